"""A server that streams its answers word by word, each choice at its own pace, and notes who hung up on it."""

import json
import threading
import time

from chaos import Chaos

PROMPT = 3000


class Streams(Chaos):
    """Answers as streams where they are asked for.

    Parameters
    ----------
    say : callable
        From the request's body and the choice's number to (text, seconds per word).
    """

    def __init__(self, say):
        super().__init__(default=self._answer)
        self.say = say
        self.sent = []
        """Per request: the words of each choice that were sent."""
        self.hung_up = 0
        self._counts = threading.Lock()

    def _answer(self, handler, body):
        said = [self.say(body, i) for i in range(body.get("n", 1))]
        words = [text.split() for text, _ in said]
        usage = {"prompt_tokens": PROMPT, "completion_tokens": sum(len(some) + 1 for some in words)}
        if not body.get("stream"):
            time.sleep(max(pace * len(some) for (_, pace), some in zip(said, words, strict=True)))
            choices = [{"index": i, "message": {"content": text}, "finish_reason": "stop"}
                       for i, (text, _) in enumerate(said)]  # fmt: skip
            handler.reply(200, {"choices": choices, "usage": usage})
            return
        assert body["stream_options"] == {"include_usage": True}
        sent = [0] * len(said)
        with self._counts:
            self.sent.append(sent)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def event(document):
            data = b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()

        began = time.monotonic()
        try:
            plan = sorted((pace * (j + 1), i, j) for i, (_, pace) in enumerate(said) for j in range(len(words[i])))
            for when, i, j in plan:
                if self.release.wait(max(0.0, began + when - time.monotonic())):
                    return
                text = words[i][j] if j == 0 else " " + words[i][j]
                event({"choices": [{"index": i, "delta": {"content": text}}]})
                sent[i] += 1
                if j == len(words[i]) - 1:
                    event({"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]})
            event({"choices": [], "usage": usage})
            event(b"[DONE]")
            handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            with self._counts:
                self.hung_up += 1
            raise
