"""A LangChain agent whose answers are votes (pip install 'tcalloc[llm]' langchain langchain-openai).

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/langchain_agent.py
"""

import openai
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

import tcalloc

keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d")
prices = {"rates": tcalloc.Rates.per_million(0.15, 0.60), "max_tokens": 256}
client = tcalloc.wrap(openai.OpenAI(), "vote5", keeper, **prices)
later = tcalloc.wrap(openai.AsyncOpenAI(), "vote5", keeper, **prices)

# All four: LangChain makes a plain client for each that is missing.
model = ChatOpenAI(
    model="qwen",
    root_client=client,
    client=client.chat.completions,
    root_async_client=later,
    async_client=later.chat.completions,
)
agent = create_agent(model, tools=[])

message = agent.invoke({"messages": [{"role": "user", "content": "17 + 25"}]})["messages"][-1]
print(message.content)
print(message.usage_metadata)  # the tokens of all samples
print(keeper.status())
