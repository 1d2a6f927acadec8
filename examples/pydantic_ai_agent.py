"""A PydanticAI agent whose answers are votes (pip install 'tcalloc[llm]' 'pydantic-ai-slim[openai]').

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/pydantic_ai_agent.py
"""

import openai
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import tcalloc

keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d")
client = tcalloc.wrap(
    openai.AsyncOpenAI(), "vote5", keeper, rates=tcalloc.Rates.per_million(0.15, 0.60), max_tokens=256
)
agent = Agent(OpenAIChatModel("qwen", provider=OpenAIProvider(openai_client=client)))

result = agent.run_sync("17 + 25")
print(result.output)
print(result.usage)  # the tokens of all samples
print(keeper.status())
