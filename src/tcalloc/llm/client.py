"""Chat completions from any OpenAI-compatible server.

    client = ChatClient("http://127.0.0.1:8080/v1", "smollm2", Parameters(temperature=0.8, max_tokens=256))
    reply = client.complete([{"role": "user", "content": "6 × 7 = ?"}], n=4)
    [choice.text for choice in reply.choices]      # perhaps fewer than 4: ask again for the rest

What a server does not know (choices `n`, seeds, the old name of max_tokens) is noticed once and left out from then on.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from tcalloc.errors import InputError
from tcalloc.llm import _loop
from tcalloc.llm._attempts import Adapted, Failed, endpoint
from tcalloc.llm._loop import Stop
from tcalloc.llm.failures import AccessError, LlmError, QuotaError, RefusedError, Stopped, UnreachableError
from tcalloc.llm.keys import Key, find_key, is_loopback
from tcalloc.llm.meter import Meter, Rates
from tcalloc.llm.parameters import Parameters
from tcalloc.llm.replies import (
    BadReply,
    Reply,
    ServerError,
    TokenCounter,
    error_of,
    is_quota,
    message_of,
    parse_reply,
)
from tcalloc.llm.retry import Backoff, is_busy, retry_after
from tcalloc.llm.transport import Exchange, Lost, Timeouts, Transport

__all__ = ["ChatClient", "Parameters"]

Messages = Sequence[Mapping[str, Any]]


class ChatClient:
    """One model on one server. Threads may share it; close it, or use it as a context manager.

    Parameters
    ----------
    base_url : str
        What goes before ``/chat/completions``: http://127.0.0.1:8080/v1.
    model : str
        The model's name.
    parameters : Parameters, optional
        What is asked for besides the question.
    key : Key, "find" or None
        The API key; "find" looks where `tcalloc.llm.keys` says. None sends none.
    rates : Rates, optional
        Prices; without them costs are not known.
    timeouts : Timeouts, optional
        How long to wait.
    backoff : Backoff, optional
        When to try again.
    max_body : int, optional
        The largest reply that is read, in bytes.
    label : str, optional
        What stands for the server in a run's keys, instead of its host: for servers that are not always at one place.

    Attributes
    ----------
    host : str
        The server as samples are keyed by it: without the port, which changes when a local server starts again.
    arm : str
        A short hash of model, host and parameters.
    n_limit : int or None
        The most choices a request can have, as far as is known.
    notes : list of str
        What was noticed about the server, each once.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        parameters: Parameters | None = None,
        *,
        key: Key | str | None = "find",
        rates: Rates | None = None,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
        max_body: int = 32 << 20,
        label: str | None = None,
    ):
        url = endpoint(base_url)
        if not model:
            raise InputError("the model's name is empty. Name one that the server has.")
        host = urlsplit(url).hostname or ""
        self.base_url = base_url
        self.model = model
        self.parameters = parameters or Parameters()
        self.rates = rates
        self.host = label or ("localhost" if is_loopback(host) else host)
        self.arm = _hash(model, self.host, self.parameters.as_dict())[:12]
        self.n_limit: int | None = None
        self.notes: list[str] = []
        self.counter = TokenCounter()
        self._backoff = backoff or Backoff()
        found = find_key(url) if isinstance(key, str) else key
        self._transport = Transport(url, found, timeouts or Timeouts(), max_body)
        self._key = found
        self._guard = threading.Lock()
        self._succeeded = False
        self._not_before = 0.0
        self._left_out: set[str] = set()
        self._noted: set[str] = set()
        self._ids: dict[str, None] = {}
        self._same_ids = False

    def __repr__(self) -> str:
        return f"ChatClient({self.host!r}, {self.model!r})"

    def __enter__(self) -> "ChatClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop all connections."""
        self._transport.close()

    def _redact(self, text: str) -> str:
        return text if self._key is None else self._key.redact(text)

    # ------------------------------------------------------------------------------------------ identity

    def messages(self, messages: Messages) -> list[dict[str, Any]]:
        """Return what is sent: the system message, if there is one, and the messages."""
        system = self.parameters.system
        first = [{"role": "system", "content": system}] if system is not None else []
        return [*first, *(dict(message) for message in messages)]

    def params(self, messages: Messages) -> str:
        """Return a short hash of model, host, parameters and prompt: what a sample is keyed by."""
        return _hash(self.arm, self.messages(messages))[:16]

    def seed(self, question: str, sample: int) -> int | None:
        """Return the seed of one sample: the same in every run, unrelated between questions and samples."""
        if self.parameters.seed is None:
            return None
        # Servers give choice i of a request seed + i, so neighbours must not be one apart.
        return int(_hash(self.parameters.seed, question, sample)[:8], 16) & 0x7FFFFFFF

    # ------------------------------------------------------------------------------------------ asking

    def complete(self, messages: Messages, n: int = 1, seed: int | None = None, meter: Meter | None = None) -> Reply:
        """Ask once, however many tries it takes, and wait for the reply in this thread.

        Parameters
        ----------
        messages : sequence of mapping
            The conversation.
        n : int
            Choices; a server that cannot give so many gives fewer.
        seed : int, optional
            As it is sent.
        meter : Meter, optional
            Counts every request and what it costs.

        Returns
        -------
        Reply
            From 1 to n choices.

        Raises
        ------
        LlmError
            See `tcalloc.llm.failures`.
        """
        return _loop.run(self._ask(messages, n, seed, meter, None))

    async def complete_async(
        self,
        messages: Messages,
        n: int = 1,
        seed: int | None = None,
        meter: Meter | None = None,
        stop: Stop | None = None,
    ) -> Reply:
        """Ask once, however many tries it takes, without blocking the event loop; any loop will do.

        A task that is cancelled drops its request; others on the same client go on.

        Parameters
        ----------
        messages, n, seed, meter
            As of `complete`.
        stop : Stop, optional
            Once it is set, nothing more is sent, and what waits for its turn or its retry ends with `Stopped`.

        Returns
        -------
        Reply
            From 1 to n choices.

        Raises
        ------
        LlmError
            See `tcalloc.llm.failures`.
        """
        return await _loop.bridge(self._ask(messages, n, seed, meter, stop))

    async def _ask(
        self, messages: Messages, n: int, seed: int | None, meter: Meter | None, stop: Stop | None
    ) -> Reply:
        whole = self.messages(messages)
        if self.n_limit is not None:
            n = min(n, self.n_limit)
        stop = stop or Stop()
        wanted = n
        adapted = tries = bad = 0
        doubted: set[str] = set()
        while True:
            await self._wait(max(0.0, self._not_before - time.monotonic()), stop)
            outcome = await self._once(whole, n, seed, meter, stop, doubted)
            if isinstance(outcome, Reply):
                self._succeeded = True
                if len(outcome.choices) < wanted:
                    self._limit_n(len(outcome.choices))
                if outcome.input_estimated or any(choice.estimated for choice in outcome.choices):
                    self._note("usage", "does not count all tokens of its replies; what is missing is estimated")
                return outcome
            if isinstance(outcome, Adapted):
                n, adapted = outcome.n, adapted + 1
                if adapted > 20:
                    raise RefusedError(outcome.said)
                continue
            if not outcome.again:
                raise outcome.error
            if outcome.bad:
                bad += 1
            else:
                tries += 1
            # A server that never answered is rather a wrong URL than a busy one: say so before minutes have passed.
            most = self._backoff.retries if self._succeeded or not outcome.gone else min(3, self._backoff.retries)
            if tries > most or bad > self._backoff.bad_replies:
                raise outcome.error
            pause = self._backoff.pause(tries + bad - 1, outcome.after)
            if outcome.after is not None:
                with self._guard:  # all others wait as well: the server said so
                    self._not_before = max(
                        self._not_before, time.monotonic() + min(outcome.after, self._backoff.longest)
                    )
            await self._wait(pause, stop)

    async def _wait(self, seconds: float, stop: Stop) -> None:
        if await stop.wait(seconds):
            raise Stopped("interrupted before the request was sent.")

    async def _once(
        self,
        messages: list[dict[str, Any]],
        n: int,
        seed: int | None,
        meter: Meter | None,
        stop: Stop,
        doubted: set[str],
    ) -> "Reply | Failed | Adapted":
        """Send one request and settle what it cost."""
        body = self._body(messages, n, seed)
        most = self.rates.most(len(body), n, self.parameters.max_tokens or 0) if self.rates is not None else 0.0
        if meter is not None:
            await self._reserve(meter, most, stop)
        billed = True
        try:
            started = time.monotonic()
            exchange = await self._transport.exchange(body)
            outcome = self._judge(exchange, messages, n)
            if isinstance(outcome, Reply) and self._repeated(outcome, doubted):
                outcome = self._bad_reply("it repeats an earlier one")
            if isinstance(outcome, Reply):
                outcome = replace(outcome, seconds=time.monotonic() - started, seed=seed)
                billed = False  # it is paid for as what it is, not as what it could have been
                if meter is not None:
                    meter.pay(self.cost(outcome) or 0.0)
            else:
                billed = isinstance(outcome, Failed) and outcome.billed
            return outcome
        finally:
            if meter is not None:
                meter.settle(most, lost=billed)

    async def _reserve(self, meter: Meter, most: float, stop: Stop) -> None:
        """Reserve the most that a request can cost; while others may give theirs back, wait without blocking."""
        while not meter.try_reserve(most):
            await self._wait(0.02, stop)

    def cost(self, reply: Reply) -> float | None:
        """Return what a reply cost; None without rates."""
        if self.rates is None:
            return None
        out = sum(choice.output_tokens for choice in reply.choices)
        return self.rates.cost(reply.input_tokens, out, sum(choice.reasoning_tokens for choice in reply.choices))

    def _body(self, messages: list[dict[str, Any]], n: int, seed: int | None) -> bytes:
        p = self.parameters
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        limit = "max_completion_tokens" if "max_tokens" in self._left_out else "max_tokens"
        given: dict[str, Any] = {
            "temperature": p.temperature,
            "top_p": p.top_p,
            limit: p.max_tokens,
            "stop": list(p.stop) or None,
        }
        given |= {"reasoning_effort": p.reasoning_effort, "seed": None if "seed" in self._left_out else seed}
        body |= {key: value for key, value in given.items() if value is not None}
        if n > 1:
            body["n"] = n
        if p.logprobs and "logprobs" not in self._left_out:
            body["logprobs"], body["top_logprobs"] = True, 1
        return json.dumps(body | dict(p.extra), separators=(",", ":")).encode()

    # ------------------------------------------------------------------------------------------ judging

    def _judge(self, exchange: Exchange | Lost, messages: list[dict[str, Any]], n: int) -> "Reply | Failed | Adapted":
        if isinstance(exchange, Lost):
            error = UnreachableError(
                f"{self.base_url}: {exchange.reason}. {'' if self._succeeded else 'Is the URL right?'}".rstrip()
            )
            return Failed(error, again=True, billed=exchange.sent, bad=exchange.bad, gone=not exchange.sent)
        if exchange.status != 200:
            return self._judge_status(exchange.status, exchange, error_of(exchange.body, self._redact), n)
        if exchange.kind and "json" not in exchange.kind and exchange.kind != "text/plain":
            return self._bad_reply(f"it is {exchange.kind[:40]}, not JSON; is the URL right (.../v1)?")
        size = sum(len(str(message.get("content", ""))) for message in messages)
        failed: BadReply | ServerError
        try:
            reply = parse_reply(exchange.body, n, size, self.counter, self._redact)
        except (BadReply, ServerError) as error:
            failed = error
        else:
            return reply
        if isinstance(failed, BadReply):
            return self._bad_reply(str(failed))
        words = failed.body["error"]
        if failed.status is None and not is_quota(words):
            return self._bad_reply(f"it holds an error under status 200: {message_of(words)}")
        return self._judge_status(failed.status or 429, exchange, words, n)

    def _judge_status(self, status: int, exchange: Exchange, error: dict[str, Any], n: int) -> "Failed | Adapted":
        message = message_of(error)
        said = f"{self.base_url}: status {status}" + (f": {message}" if message else "")
        if status == 402 or is_quota(error):
            return Failed(
                QuotaError(f"{self.base_url}: the quota is used up: {message or status}. Add credit, then run again.")
            )
        if is_busy(status):
            return Failed(UnreachableError(f"{said}."), again=True, after=retry_after(exchange.retry_after, exchange.retry_after_ms))
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
        if status == 404 and not self._succeeded:
            missing = f"does not know the model {self.model!r} or has no such URL (.../v1)"
            return Failed(AccessError(f"{self.base_url}: {missing}{f': {message}' if message else ''}."))
        if status in (400, 422):
            adapted = self._adapt(message, str(error.get("param") or ""), n, said)
            if adapted is not None:
                return adapted
            if "model" in message.lower() and self.model in message and not self._succeeded:
                return Failed(AccessError(f"{said}. Name a model that the server has."))
        return Failed(RefusedError(f"{said}."))

    def _adapt(self, message: str, param: str, n: int, said: str) -> "Adapted | None":
        """Leave out what the server says it does not take; ask for fewer choices."""
        low = message.lower()
        if "max_completion_tokens" in low and self._leave_out(
            "max_tokens", "wants max_completion_tokens for max_tokens"
        ):
            return Adapted(n, said)
        for name in ("seed", "logprobs"):
            if (name in param or name in low) and self._leave_out(name, f"does not take {name}; left out"):
                return Adapted(n, said)
        if n > 1:  # if that was the reason, the next reply shows it
            return Adapted(n // 2, said)
        return None

    def _leave_out(self, name: str, note: str) -> bool:
        """Stop sending a field. True if the request is worth another try without it."""
        p = self.parameters
        sent = {"max_tokens": p.max_tokens, "seed": p.seed, "logprobs": p.logprobs or None}[name] is not None
        # If another thread noticed it while this request was under way, it is; a server that goes on complaining
        # of what it was not sent is stopped by the bound on such tries.
        self._left_out.add(name)
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

    def _bad_reply(self, why: str) -> "Failed":
        error: LlmError = UnreachableError(f"{self.base_url}: status 200, but the reply is no answer: {why}.")
        return Failed(error, again=True, billed=True, bad=True)

    def _repeated(self, reply: Reply, doubted: set[str]) -> bool:
        """Say whether this reply came before: to another request, over a connection that brought it twice.

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
        self._transport.reconnect()
        return True


def _target(location: str) -> str:
    """Return where a redirect leads, without what may be secret in it."""
    try:
        where = urlsplit(location)
        name = where.hostname
    except ValueError:
        return ""
    return f" to {where.scheme}://{name}{where.path}"[:200] if name else f" to {where.path}"[:200]


def _hash(*parts: Any) -> str:
    return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
