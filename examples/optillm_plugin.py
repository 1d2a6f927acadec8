"""A plugin of optillm: ask for the model "tcalloc-qwen" (pip install optillm 'tcalloc[llm]').

mkdir -p optillm/plugins && cp examples/optillm_plugin.py optillm/plugins/tcalloc_plugin.py && optillm
"""

import functools
import os

import tcalloc

SLUG = "tcalloc"
POLICY = os.environ.get("TCALLOC_POLICY", "vote5")  # or a policy's folder, from `tcalloc fit`


@functools.cache
def wrapped(client):
    """Return the client of optillm with adaptive samples."""
    return tcalloc.wrap(client, POLICY)


def run(system_prompt, initial_query, client, model, request_config=None):
    """Return the answer and the tokens of all samples."""
    messages = [{"role": "system", "content": system_prompt}] if system_prompt else []
    alone = "\nAssistant: " not in initial_query  # optillm makes one text of a conversation
    question = initial_query.removeprefix("User: ") if alone else initial_query
    messages.append({"role": "user", "content": question})
    fields = {name: value for name, value in (request_config or {}).items() if name not in ("n", "stream")}
    reply = wrapped(client).chat.completions.create(model=model, messages=messages, **fields)
    return reply.choices[0].message.content, reply.usage.completion_tokens
