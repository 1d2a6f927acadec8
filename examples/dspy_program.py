"""A DSPy program whose answers are votes (pip install 'tcalloc[llm]' openai 'dspy>=3.4').

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/dspy_program.py
"""

import dspy
import openai

import tcalloc
from tcalloc.serve.wrapping.dspy_model import dspy_model

keeper = tcalloc.BudgetKeeper(total=5, unit="usd", period="30d")
client = tcalloc.wrap(openai.OpenAI(), "vote5", keeper, rates=tcalloc.Rates.per_million(0.15, 0.60), max_tokens=256)
dspy.configure(lm=dspy_model(client, "qwen", cache=False))  # DSPy's cache would answer equal questions by itself

answers = dspy.settings.lm("17 + 25")
print(answers[0])
print(dspy.settings.lm.history[-1]["usage"])  # the tokens of all samples
print(keeper.status())
