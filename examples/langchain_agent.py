"""A LangChain agent whose answers are votes (pip install 'tcalloc[llm]' langchain langchain-openai).

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/langchain_agent.py
"""

import asyncio

from langchain.agents import create_agent

import tcalloc
from tcalloc.serve.wrapping.langchain_middleware import langchain_middleware

keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d")
prices = {"rates": tcalloc.Rates.per_million(0.15, 0.60), "max_tokens": 256}
adaptive = langchain_middleware("vote5", keeper, **prices)  # or a policy's folder, from `tcalloc fit`
agent = create_agent("openai:qwen", tools=[], middleware=[adaptive])

question = {"messages": [{"role": "user", "content": "17 + 25"}]}
message = agent.invoke(question)["messages"][-1]
print(message.content)
print(message.usage_metadata)  # the tokens of all samples
print(asyncio.run(agent.ainvoke(question))["messages"][-1].content)
print(keeper.status())
