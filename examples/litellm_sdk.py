"""LiteLLM's SDK, whose answers are votes within a budget (pip install litellm 'tcalloc[llm]').

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/litellm_sdk.py
"""

import asyncio

import litellm

import tcalloc
from tcalloc.serve.litellm import hook

litellm.callbacks = [hook]
# Instead: TCALLOC_POLICY=vote5 TCALLOC_TOTAL=5 and so on.
litellm.tcalloc = {"policy": "vote5", "total": 5, "period": "30d", "max_tokens": 256, "state": "budget.db"}
# LiteLLM knows the prices of well-known models.
prices = {"input_cost_per_token": 0.15e-6, "output_cost_per_token": 0.6e-6}


async def main():
    """Ask one question."""
    question = [{"role": "user", "content": "17 + 25"}]
    response = await litellm.acompletion(model="openai/qwen", messages=question, **prices)
    print(response.choices[0].message.content)
    print(response.usage)  # the tokens of all samples
    await asyncio.sleep(1)  # LiteLLM computes the bill in the background


asyncio.run(main())
print(tcalloc.BudgetKeeper.open("budget.db").status())
