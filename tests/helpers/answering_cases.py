"""What the tests of answering share: questions, a policy that stops when two answers agree, a client of the server."""

from tcalloc.learn.protocol import Draw
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.http.retry import Backoff
from tcalloc.measure import Vote

QUESTIONS = [{"id": f"q{i}", "question": f"{i} + {i}", "answer": str(2 * i)} for i in range(20)]


class Agree:
    """Draw until two agree, at most five."""

    def start(self, x):
        return Agreeing()


class Agreeing:
    def __init__(self):
        self.results = []

    def next(self):
        seen = [result.answer for result in self.results]
        if len(seen) >= 5 or len(set(seen)) < len(seen):
            return None
        return Draw(Vote(1), 1)

    def add(self, results):
        self.results.extend(results)

    @property
    def answer(self):
        return Vote(5).kind.answer(self.results)[0]

    @property
    def spend(self):
        return sum(result.cost for result in self.results)

    @property
    def vote_share(self):
        return Vote(5).kind.answer(self.results)[1]


def client_of(server, model="tiny", **options):
    return ChatClient(server.url, model, Parameters(max_tokens=32), key=None, backoff=Backoff(retries=1), **options)
