"""What a server bills a crowd of requests, with a fault in every fifth that bills nothing; for `chaos.Chaos`."""

import threading

from chaos import completion

from tcalloc import Rates

RATES = Rates.per_million(1.0, 2.0)
AT_A_TIME = 50


class Books:
    """What the server bills; every fifth request meets a fault that bills nothing."""

    FAULTS = ("429", "status:503", "error_200:500", "loading")

    def __init__(self, lossy=False, faults=True):
        self.bill, self.answered, self.lossy, self.faults = 0, 0, lossy, faults
        self._guard, self._i = threading.Lock(), 0

    def __call__(self, handler, body):
        with self._guard:
            i, self._i = self._i, self._i + 1
        fault = self.FAULTS[i // 5 % len(self.FAULTS)] if self.faults and i % 5 == 0 else None
        if fault is not None:
            word, _, argument = fault.partition(":")
            getattr(handler, "fault_" + word)(body, argument)
            return
        document = completion(body)
        cost = document["usage"]["prompt_tokens"] + 2 * document["usage"]["completion_tokens"]
        with self._guard:
            self.bill += cost
            self.answered += 1
        if self.lossy and i % 7 == 0:  # billed, and its reply never comes
            handler.hang_up()
        else:
            handler.reply(200, document)
