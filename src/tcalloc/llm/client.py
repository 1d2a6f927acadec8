"""Chat completions from any OpenAI-compatible server.

    client = ChatClient("http://127.0.0.1:8080/v1", "smollm2", Parameters(temperature=0.8, max_tokens=256))
    reply = client.complete([{"role": "user", "content": "6 × 7 = ?"}], n=4)
    [choice.text for choice in reply.choices]      # perhaps fewer than 4: ask again for the rest

If a server does not support a field (choices `n`, seeds, the old name of max_tokens), it is left out from then on.
"""

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from tcalloc._printing import cleaned
from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.llm.asking import Asking
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.concurrency.cut import Cut
from tcalloc.llm.concurrency.event_loop import Stop
from tcalloc.llm.http.attempts import endpoint
from tcalloc.llm.http.keys import Key, find_key, is_loopback
from tcalloc.llm.http.known_server import KnownServer
from tcalloc.llm.http.replies import Reply, TokenCounter
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.http.transport import Sender, Timeouts, Transport
from tcalloc.llm.money.bill import Bill
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.parameters import Parameters

__all__ = ["ChatClient", "Parameters"]

_MOST_SEED = 0x7FFFFFFF
Messages = Sequence[Mapping[str, Any]]


class ChatClient:
    """One model on one server. Threads may share it; close it, or use it as a context manager.

    Parameters
    ----------
    base_url : str
        The URL before ``/chat/completions``, for example http://127.0.0.1:8080/v1.
    model : str
        The model's name.
    parameters : Parameters, optional
        The fields of a request besides the question.
    key : Key, "find" or None
        The API key; "find" looks where `tcalloc.llm.http.keys` says. None sends none.
    rates : Rates, optional
        Prices, such as ``Rates.per_million(0.15, 0.6)``; without them costs are not known.
    timeouts : Timeouts, optional
        How long to wait.
    backoff : Backoff, optional
        When to try again.
    max_body : int, optional
        The largest reply that is read, in bytes.
    label : str, optional
        The name of the server in a run's keys, instead of its host: for servers whose address changes.

    Attributes
    ----------
    host : str
        The server's name in the keys of samples: without the port, which changes when a local server restarts.
    arm : str
        A short hash of model, host and parameters.
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
        self.counter = TokenCounter()
        self._backoff = backoff or Backoff()
        found = find_key(url) if isinstance(key, str) else key
        self._transport: Sender = Transport(url, found, timeouts or Timeouts(), max_body)
        self._known = KnownServer(base_url, self.host, model, self.parameters, self.counter, found)

    @cleaned
    def __repr__(self) -> str:
        return f"ChatClient({self.host!r}, {self.model!r})"

    def __enter__(self) -> "ChatClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def variant(self, parameters: Parameters, transport: Sender) -> "ChatClient":
        """Return a client of the same model with other parameters, which shares `arm` and what is known of the server.

        Parameters
        ----------
        parameters : Parameters
            Its fields of a request.
        transport : Sender
            Sends its requests, with the same key; perhaps by the connections of `transport`.
        """
        other = copy.copy(self)
        other.parameters, other._transport = parameters, transport
        return other

    @property
    def transport(self) -> Sender:
        """Sends its requests."""
        return self._transport

    @property
    def n_limit(self) -> int | None:
        """The most choices a request can have, as far as is known."""
        return self._known.n_limit

    @property
    def notes(self) -> list[str]:
        """Remarks about the server, each once."""
        return self._known.notes

    # ------------------------------------------------------------------------------------------ identity

    def messages(self, messages: Messages) -> list[dict[str, Any]]:
        """Return the messages to send: the system message, if there is one, and the given messages.

        Parameters
        ----------
        messages : sequence of mapping
            The conversation: dictionaries with "role" and "content".
        """
        system = self.parameters.system
        first = [{"role": "system", "content": system}] if system is not None else []
        return [*first, *(dict(message) for message in messages)]

    def params(self, messages: Messages) -> str:
        """Return a short hash of model, host, parameters and prompt, the key of a sample.

        Parameters
        ----------
        messages : sequence of mapping
            The conversation: dictionaries with "role" and "content".
        """
        return _hash(self.arm, self.messages(messages))[:16]

    def seed(self, question: str, sample: int) -> int | None:
        """Return the seed of one sample: the same in every run, unrelated between questions and samples.

        Parameters
        ----------
        question : str
            The question's id.
        sample : int
            The sample's number.
        """
        if self.parameters.seed is None:
            return None
        # Servers give choice i of a request the seed + i, so the seeds of neighbours must not differ by one.
        return int(_hash(self.parameters.seed, question, sample)[:8], 16) & _MOST_SEED

    # ------------------------------------------------------------------------------------------ asking

    def complete(
        self, messages: Messages, n: int = 1, seed: int | None = None, meter: Meter | Bill | None = None
    ) -> Reply:
        """Send a request, with retries if needed, and wait for the reply in this thread.

        Parameters
        ----------
        messages : sequence of mapping
            The conversation.
        n : int
            Number of choices; a server may give fewer.
        seed : int, optional
            The random seed to send.
        meter : Meter, optional
            Counts requests and their cost.

        Returns
        -------
        Reply
            From 1 to n choices.

        Raises
        ------
        LlmError
            See `tcalloc.llm.failures`.
        """
        return event_loop.run(Asking(self, messages, n, seed, meter).reply())

    async def complete_async(
        self,
        messages: Messages,
        n: int = 1,
        seed: int | None = None,
        meter: Meter | Bill | None = None,
        stop: Stop | None = None,
        cut: Cut | None = None,
        look: Callable[[str], object] | None = None,
    ) -> Reply:
        """Send a request, with retries if needed, without blocking the event loop; any loop will do.

        A task that is cancelled drops its request; others on the same client continue.

        Parameters
        ----------
        messages, n, seed, meter
            As in `complete`.
        stop : Stop, optional
            Once it is set, nothing more is sent, and requests that wait for their turn or a retry end with `Stopped`.
        cut : Cut, optional
            Once it is set, the request is dropped. Its reply then holds the choices that came to their end, and the
            tokens of the others as far as they came. The reply is asked for as a stream.
        look : callable, optional
            Called with the text of each choice that comes to its end in a stream, while others are under way.

        Returns
        -------
        Reply
            From 1 to n choices; perhaps none if it was cut off.

        Raises
        ------
        LlmError
            See `tcalloc.llm.failures`.
        """
        return await event_loop.bridge(Asking(self, messages, n, seed, meter, stop, cut, look).reply())

    def most_cost(self, messages: Messages, n: int = 1) -> float | None:
        """Return the most that a request of n samples can cost; None if rates and max_tokens do not limit it.

        Parameters
        ----------
        messages : sequence of mapping
            The conversation.
        n : int
            The number of samples.
        """
        if self.rates is None or self.parameters.max_tokens is None:
            return None
        body = self._known.body(self.parameters, self.messages(messages), n, _MOST_SEED)
        return self.rates.most(len(body), n, self.parameters.max_tokens)

    @property
    def most_tries(self) -> int:
        """The most times that one request may be sent, and billed, until it brings a reply or fails."""
        return 1 + self._backoff.retries + self._backoff.bad_replies

    def cost(self, reply: Reply) -> float | None:
        """Return what a reply cost, with what was billed of choices that were cut off; None without rates.

        Parameters
        ----------
        reply : Reply
            The server's reply.
        """
        if self.rates is None:
            return None
        if not reply.input_tokens:  # it was never sent
            return 0.0
        request = self.rates.request_cost(*reply.prompt) * self.rates.prompts(len(reply.choices) + len(reply.cut))
        answers = [self.rates.answer_cost(choice.output_tokens, choice.reasoning_tokens) for choice in reply.choices]
        return math.fsum([request, *answers, *(self.rates.answer_cost(tokens) for tokens in reply.cut)])


def _hash(*parts: Any) -> str:
    return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
