"""One call of a wrapped OpenAI client, by a blocking client or by an asynchronous one."""

import asyncio
from importlib import import_module

import openai

from tcalloc import wrap

# The HTTP library of the SDK: httpx up to version 2, then httpx2.
HTTP = import_module("httpx" if openai.__version__.startswith(("1.", "2.")) else "httpx2")
KEY = "sk-planted-0123456789abcdef"


class Blocking:
    """Calls as a program without an event loop does."""

    def __init__(self, url, policy=None, keeper=None, *, client=None, **options):
        self.plain = client or openai.OpenAI(base_url=url, api_key=KEY, max_retries=options.pop("max_retries", 0))
        self.client = self.plain if policy is None else wrap(self.plain, policy, keeper, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def ask(self, question="6 * 7?", **fields):
        return self.client.chat.completions.create(**asked(question, fields))

    def streamed(self, question="6 * 7?", **fields):
        with self.client.chat.completions.create(stream=True, **asked(question, fields)) as chunks:
            return chunks.response.headers, list(chunks)

    def raw(self, question="6 * 7?", **fields):
        return self.client.chat.completions.with_raw_response.create(**asked(question, fields))


class Awaiting(Blocking):
    """The same from one event loop."""

    def __init__(self, url, policy=None, keeper=None, *, client=None, **options):
        retries = options.pop("max_retries", 0)
        client = client or openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=retries)
        super().__init__(url, policy, keeper, client=client, **options)
        self.loop = asyncio.Runner()

    def __exit__(self, *_):
        self.loop.run(self.client.close())
        self.loop.close()

    def ask(self, question="6 * 7?", **fields):
        return self.loop.run(self.client.chat.completions.create(**asked(question, fields)))

    def streamed(self, question="6 * 7?", **fields):
        async def all_of_it():
            async with await self.client.chat.completions.create(stream=True, **asked(question, fields)) as chunks:
                return chunks.response.headers, [one async for one in chunks]

        return self.loop.run(all_of_it())

    def raw(self, question="6 * 7?", **fields):
        return self.loop.run(self.client.chat.completions.with_raw_response.create(**asked(question, fields)))


def asked(question, fields):
    messages = fields.pop("messages", [{"role": "user", "content": question}])
    return {"model": "tiny", "messages": messages} | fields
