"""A plugin of optillm: ask for the model "tcalloc-qwen" (pip install optillm 'tcalloc[llm]').

mkdir -p optillm/plugins && cp examples/optillm_plugin.py optillm/plugins/tcalloc_plugin.py
OPENAI_API_KEY=none optillm --base-url http://127.0.0.1:8080/v1
"""

import os

import tcalloc

SLUG = "tcalloc"
policy = os.environ.get("TCALLOC_POLICY", "vote5")  # or a policy's folder, from `tcalloc fit`
if os.path.isdir(policy):
    policy = tcalloc.load_policy(policy)
keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d", state="budget.db")  # tcalloc budget budget.db
prices = {"rates": tcalloc.Rates.per_million(0.15, 0.60), "max_tokens": 256}


def run(system_prompt, initial_query, client, model, request_config=None):
    """Return the answer and the tokens of all samples."""
    messages = [{"role": "system", "content": system_prompt}] if system_prompt else []
    alone = "\nAssistant: " not in initial_query  # optillm makes one text of a conversation
    question = initial_query.removeprefix("User: ") if alone else initial_query
    messages.append({"role": "user", "content": question})
    fields = {name: value for name, value in (request_config or {}).items() if name not in ("n", "stream")}
    adaptive = tcalloc.wrap(client, policy, keeper, **prices)  # optillm makes a client for each request
    reply = adaptive.chat.completions.create(model=model, messages=messages, **fields)
    return reply.choices[0].message.content, reply.usage.completion_tokens
