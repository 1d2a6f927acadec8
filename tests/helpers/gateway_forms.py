"""One question in each form of the gateway, and what its replies say.

got = MESSAGES.ask(gateway, "6 * 7?", stream=True)
MESSAGES.text(got), MESSAGES.streamed(got), MESSAGES.code(got), MESSAGES.tokens(got.json)
"""

import json

from gateway_client import send


def events(got):
    """The events of a stream as (name, data)."""
    found = []
    for block in got.data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
        if lines.get("data", "[DONE]") != "[DONE]":
            found.append((lines.get("event"), json.loads(lines["data"])))
    return found


class Chat:
    path = "/v1/chat/completions"

    @staticmethod
    def body(question, **fields):
        return {"model": "tiny", "messages": [{"role": "user", "content": question}]} | fields

    def ask(self, gateway, question="6 * 7?", headers=None, **fields):
        return send(gateway.url, "POST", self.path, self.body(question, **fields), headers)

    @staticmethod
    def text(got):
        return got.text

    @staticmethod
    def streamed(got):
        deltas = [data["choices"][0]["delta"] for _, data in events(got) if data.get("choices")]
        return "".join(delta.get("content") or "" for delta in deltas)

    @staticmethod
    def error(got):
        assert set(got.json) == {"error"}
        return got.json["error"]

    @staticmethod
    def tokens(document):
        usage = document["usage"]
        return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]

    def ended(self, got):
        return b"[DONE]" in got.data

    def __repr__(self):
        return self.path.rpartition("/")[2]


class Messages(Chat):
    path = "/v1/messages"

    @staticmethod
    def body(question, **fields):
        return {"model": "tiny", "messages": [{"role": "user", "content": question}]} | fields

    @staticmethod
    def text(got):
        return "".join(block["text"] for block in got.json["content"])

    @staticmethod
    def streamed(got):
        assert all(name == data["type"] for name, data in events(got))
        return "".join(data["delta"]["text"] for name, data in events(got) if name == "content_block_delta")

    @staticmethod
    def error(got):
        assert set(got.json) == {"type", "error"}
        assert got.json["type"] == "error"
        return got.json["error"]

    @staticmethod
    def tokens(document):
        usage = document["usage"]
        cached = usage["cache_read_input_tokens"]
        return usage["input_tokens"] + cached, cached, usage["output_tokens"]

    def ended(self, got):
        return b"message_stop" in got.data


class Responses(Chat):
    path = "/v1/responses"

    @staticmethod
    def body(question, **fields):
        return {"model": "tiny", "input": question} | fields

    @staticmethod
    def text(got):
        return got.json["output"][0]["content"][0]["text"]

    @staticmethod
    def streamed(got):
        found = events(got)
        assert all(name == data["type"] for name, data in found)
        assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
        return "".join(data["delta"] for name, data in found if name == "response.output_text.delta")

    @staticmethod
    def tokens(document):
        usage = document["usage"]
        return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"], usage["output_tokens"]

    def ended(self, got):
        return b"response.completed" in got.data


CHAT, MESSAGES, RESPONSES = Chat(), Messages(), Responses()
FORMS = [CHAT, MESSAGES, RESPONSES]
