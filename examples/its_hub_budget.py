"""its_hub, whose budget number tcalloc chooses for each question (pip install 'its_hub[lm]' 'tcalloc[learn]').

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/its_hub_budget.py policy/
"""

import asyncio
import os
import re
import sys

from its_hub import OpenAICompatibleLanguageModel, SelfConsistency

import tcalloc

policy = tcalloc.load_policy(sys.argv[1])  # from `tcalloc fit`; one that decides before it samples
rates = tcalloc.Rates.per_million(0.15, 0.60, prompt_once=False)  # each sample is a request with a prompt of its own
keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d", rates=rates, max_tokens=256)
url, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
model = OpenAICompatibleLanguageModel(url, key, "qwen", max_completion_tokens=256, replace_error_with_message="")
vote = SelfConsistency(lambda text: "".join(re.findall(r"\d+", text)[-1:]))  # by the last number


async def ask(question):
    """Return the answer of a vote, and how many samples it has."""
    with keeper.grant(policy, question) as grant:
        if grant.action is None:
            raise RuntimeError("the budget is spent")
        samples = grant.run.next().n
        result = await vote.ainfer(model, question, budget=samples, return_response_only=False)
        grant.settle(rates.of(input_tokens=result.usage.prompt_tokens, output_tokens=result.usage.completion_tokens))
    return result.the_one["content"], samples


if __name__ == "__main__":
    with asyncio.Runner() as loop:
        print(*loop.run(ask("17 + 25")), "samples")
        loop.run(model.close())
    print(keeper.status())
