"""A request to a gateway by the standard library, and what came of it."""

import http.client
import json
from urllib.parse import urlsplit


class Got:
    def __init__(self, reply, data):
        self.status, self.data = reply.status, data
        self.headers = {name.lower(): value for name, value in reply.getheaders()}

    @property
    def json(self):
        return json.loads(self.data)

    @property
    def text(self):
        return self.json["choices"][0]["message"]["content"]

    @property
    def chunks(self):
        lines = [line[6:] for line in self.data.decode().split("\n") if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]

    @property
    def streamed(self):
        return "".join(one["choices"][0]["delta"].get("content") or "" for one in self.chunks if one["choices"])


def send(url, method, path, body=None, headers=None, timeout=20):
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, {"Content-Type": "application/json"} | (headers or {}))
    reply = connection.getresponse()
    got = Got(reply, reply.read())
    connection.close()
    return got
