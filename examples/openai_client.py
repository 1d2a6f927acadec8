"""An OpenAI client whose answers are votes, within a budget (pip install 'tcalloc[llm]' openai).

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/openai_client.py
"""

import asyncio

import openai

import tcalloc

MODEL = "qwen"
policy = "vote5"  # or a folder from `tcalloc fit`
keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d")
prices = {"rates": tcalloc.Rates.per_million(0.15, 0.60), "max_tokens": 256}

with openai.OpenAI() as plain:
    client = tcalloc.wrap(plain, policy, keeper, **prices)
    completion = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "17 + 25"}])
    print(completion.choices[0].message.content)
    print(completion.tcalloc)  # the action, its samples, what they cost, the share of the vote


async def main() -> None:
    """Stream the winner of a vote."""
    async with openai.AsyncOpenAI() as plain:
        client = tcalloc.wrap(plain, policy, keeper, **prices)
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "18 + 25"}], stream=True
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()


asyncio.run(main())
print(keeper.status())
