"""Knowledge about a server, and the meaning of its replies: an answer, another try, or the end."""

import json
import re
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tcalloc.llm.failures import AccessError, LlmError, QuotaError, RefusedError, UnreachableError
from tcalloc.llm.http.attempts import Adapted, Failed
from tcalloc.llm.http.keys import Key
from tcalloc.llm.http.replies import (
    BadReply,
    Reply,
    ServerError,
    TokenCounter,
    error_of,
    is_quota,
    message_of,
    parse_reply,
    prompt_size,
)
from tcalloc.llm.http.retry import is_busy, retry_after
from tcalloc.llm.http.streams import unwrapped
from tcalloc.llm.http.transport import Exchange, Lost
from tcalloc.llm.parameters import Parameters

__all__ = ["KnownServer"]

_STREAM = "text/event-stream"


class KnownServer:
    """What the replies of one model on one server have shown. Threads share it.

    Parameters
    ----------
    base_url, host, model : str
        Those of the client.
    parameters : Parameters
        The fields of a request besides the question.
    counter : TokenCounter
        Estimates tokens that a reply does not count.
    key : Key or None
        The key, which is removed from the server's messages.

    Attributes
    ----------
    succeeded : bool
        Whether any reply was an answer.
    not_before : float
        When it may be asked again, on the clock of `time.monotonic`, if it asked for a pause.
    n_limit : int or None
        The most choices a request can have, as far as is known.
    left_out : set of str
        Fields that the server does not accept.
    notes : list of str
        Remarks, each once.
    prompts : TokenCounter
        Estimates tokens of prompts.
    """

    def __init__(
        self, base_url: str, host: str, model: str, parameters: Parameters, counter: TokenCounter, key: Key | None
    ):
        self.base_url, self.host, self.model, self.parameters = base_url, host, model, parameters
        self.counter, self._key = counter, key
        self.succeeded = False
        self.not_before = 0.0
        self.n_limit: int | None = None
        self.left_out: set[str] = set()
        self.notes: list[str] = []
        self._noted: set[str] = set()
        self._answers = self._tokens = 0
        self.prompts = TokenCounter()
        self._ids: dict[str, None] = {}
        self._same_ids = False
        self._guard = threading.Lock()

    def _redact(self, text: str) -> str:
        return text if self._key is None else self._key.redact(text)

    def body(
        self,
        parameters: Parameters,
        messages: list[dict[str, Any]],
        n: int,
        seed: int | None,
        *,
        stream: bool = False,
    ) -> bytes:
        """Return the body of a request, without the fields that the server does not accept."""
        p, left_out = parameters, self.left_out
        limit = "max_completion_tokens" if "max_tokens" in left_out else "max_tokens"
        given: dict[str, Any] = {
            "temperature": p.temperature,
            "top_p": p.top_p,
            limit: p.max_tokens,
            "stop": list(p.stop) or None,
            "reasoning_effort": p.reasoning_effort,
            "seed": None if "seed" in left_out else seed,
        }
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        body |= {key: value for key, value in given.items() if value is not None}
        if n > 1:
            body["n"] = n
        if stream and "stream" not in left_out:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if p.logprobs and "logprobs" not in left_out:
            few = p.top_logprobs is None or "top_logprobs" in left_out
            body["logprobs"], body["top_logprobs"] = True, 1 if few else p.top_logprobs
        return json.dumps(body | dict(p.extra), separators=(",", ":")).encode()

    def take_note(self, reply: Reply, wanted: int) -> None:
        """Learn from an answer to a request for `n` choices."""
        self.succeeded = True
        with self._guard:
            self._answers += len(reply.choices)
            self._tokens += reply.output_tokens
        if len(reply.choices) < wanted:
            self._limit_n(len(reply.choices))
        if reply.input_estimated or any(choice.estimated for choice in reply.choices):
            self._note("usage", "does not count all tokens of its replies; what is missing is estimated")

    @property
    def usual_tokens(self) -> float:
        """Mean number of tokens of an answer; 1 as long as there was none."""
        return self._tokens / self._answers if self._answers else 1.0

    def judge(
        self, exchange: Exchange | Lost, messages: list[dict[str, Any]], n: int, doubted: set[str]
    ) -> Reply | Failed | Adapted:
        """Return the result of a request for `n` choices.

        `doubted` holds the ids of replies that this request refused as repetitions; more are added.
        """
        if isinstance(exchange, Lost):
            ask = "" if self.succeeded else " Is the server running, and is the URL right?"
            error = UnreachableError(f"{self.base_url}: {exchange.reason}.{ask}")
            return Failed(error, again=True, billed=exchange.sent, bad=exchange.bad, gone=not exchange.sent)
        if exchange.status != 200:
            return self._judge_status(exchange.status, exchange, error_of(exchange.body, self._redact), n)
        size = prompt_size(messages)
        try:
            reply = parse_reply(unwrapped(exchange.body), n, size, self.counter, self._redact)
        except BadReply as error:
            if exchange.kind and "json" not in exchange.kind and exchange.kind not in ("text/plain", _STREAM):
                return self._bad_reply(f"it is {exchange.kind[:40]}, not JSON; is the URL right (.../v1)?")
            return self._bad_reply(str(error))
        except ServerError as failed:
            words = failed.body["error"]
            status = failed.status or _status_in(words)
            if status is None and not is_quota(words):
                return self._bad_reply(f"it holds an error under status 200: {message_of(words)}")
            return self._judge_status(status or 429, exchange, words, n)
        if not reply.input_estimated:
            self.prompts.learn(size, reply.input_tokens)
        if self._repeated(reply, doubted):
            return replace(self._bad_reply("it repeats an earlier one"), repeated=True)
        return reply

    def _judge_status(self, status: int, exchange: Exchange, error: dict[str, Any], n: int) -> Failed | Adapted:
        message = message_of(error)
        said = f"{self.base_url}: status {status}" + (f": {message}" if message else "")
        if status == 402 or is_quota(error):
            return Failed(
                QuotaError(f"{self.base_url}: the quota is used up: {message or status}. Add credit, then run again.")
            )
        if is_busy(status):
            after = retry_after(exchange.retry_after, exchange.retry_after_ms)
            return Failed(UnreachableError(f"{said}."), again=True, after=after)
        if 300 <= status < 400:
            to = _target(exchange.location or "")
            return Failed(
                AccessError(f"{self.base_url}: redirects{to}; redirects are not followed. Give the final URL.")
            )
        if status == 401:
            what = (
                "does not accept the key"
                if self._key is not None
                else "wants a key: name one with --api-key-env or --api-key-file"
            )
            return Failed(AccessError(f"{self.base_url}: {what}{f' ({message})' if message else ''}."))
        if status == 404 and not self.succeeded:
            missing = f"does not know the model {self.model!r} or has no such URL (.../v1)"
            return Failed(AccessError(f"{self.base_url}: {missing}{f': {message}' if message else ''}."))
        if status in (400, 422):
            adapted = self._adapt(message, str(error.get("param") or ""), n, said)
            if adapted is not None:
                return adapted
            if "model" in message.lower() and self.model in message and not self.succeeded:
                return Failed(AccessError(f"{said}. Name a model that the server has."))
        return Failed(RefusedError(f"{said}."))

    def _adapt(self, message: str, param: str, n: int, said: str) -> Adapted | None:
        """Leave out the fields that the server does not accept, or ask for fewer choices."""
        low, p = message.lower(), self.parameters
        if "max_completion_tokens" in low and self._leave_out(
            "max_tokens", "wants max_completion_tokens for max_tokens"
        ):
            return Adapted(n, said)
        # top_logprobs first: a server that gives fewer of the likeliest tokens still gives log-probabilities.
        for name in ("seed", "top_logprobs", "logprobs", "stream"):
            if (name in param or re.search(rf"\b{name}", low)) and self._leave_out(
                name, f"does not take {name}{f' = {p.top_logprobs}' if name == 'top_logprobs' else ''}; left out"
            ):
                return Adapted(n, said)
        if n > 1:  # if that was the reason, the next reply shows it
            return Adapted(n // 2, said)
        return None

    def _leave_out(self, name: str, note: str) -> bool:
        """Stop sending a field. True if the request is worth another try without it."""
        p = self.parameters
        streamed = None if "stream" in self.left_out else True
        given = {
            "max_tokens": p.max_tokens, "seed": p.seed, "logprobs": p.logprobs or None, "stream": streamed,
            "top_logprobs": p.top_logprobs,
        }  # fmt: skip
        sent = given[name] is not None
        # It is if another thread removed the field while this request was open. A server that keeps complaining about
        # a field that was not sent is stopped by the limit on such tries.
        self.left_out.add(name)
        if sent:
            self._note(name, note)
        return sent

    def _note(self, about: str, note: str) -> None:
        with self._guard:
            if about not in self._noted:
                self._noted.add(about)
                self.notes.append(f"{self.host} {note}.")

    def _limit_n(self, n: int) -> None:
        self._note("n", f"does not give as many choices per request as asked for ({n}); the rest is asked for again")
        with self._guard:
            self.n_limit = n if self.n_limit is None else min(n, self.n_limit)

    def _bad_reply(self, why: str) -> Failed:
        error: LlmError = UnreachableError(f"{self.base_url}: status 200, but the reply is no answer: {why}.")
        return Failed(error, again=True, billed=True, bad=True)

    def _repeated(self, reply: Reply, doubted: set[str]) -> bool:
        """Return whether this reply came before, to another request, over a connection that sent it twice.

        `doubted` holds the ids that this request refused as repetitions before.
        """
        if not reply.id or self._same_ids:
            return False
        with self._guard:
            fresh = reply.id not in self._ids
            self._ids[reply.id] = None
            if len(self._ids) > 4096:
                del self._ids[next(iter(self._ids))]
        if fresh:
            return False
        if reply.id in doubted:  # over a new connection too: one id for all replies
            self._same_ids = True
            self._note("ids", "gives all replies one id; until that was clear, some requests were sent twice")
            return False
        doubted.add(reply.id)
        return True


def _target(location: str) -> str:
    """Return the target of a redirect, without parts that may be secret."""
    try:
        where = urlsplit(location)
        name = where.hostname
    except ValueError:
        return ""
    return f" to {where.scheme}://{name}{where.path}"[:200] if name else f" to {where.path}"[:200]


def _status_in(error: dict[str, Any]) -> int | None:
    """Return the status that an error under status 200 names as text: "429"."""
    for value in (error.get("code"), error.get("status")):
        if isinstance(value, str) and value.isascii() and value.isdigit() and 400 <= int(value[:9]) < 600:
            return int(value)
    return None
