"""Keys: whatever a server echoes, and wherever a user puts one by mistake, it is neither printed nor stored."""

import base64
import gc
import json
import time
import urllib.parse

import pytest
from chaos import Chaos, completion
from sample_cli import main, write_questions

from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.failures import LlmError
from tcalloc.llm.http.keys import Key, find_key, hide_keys, is_loopback
from tcalloc.llm.http.retry import Backoff

SECRET = "sk-a1/B2+c3=D4_e5-F6"
HELLO = [{"role": "user", "content": "1 + 1"}]


def escaped(form):
    return "".join(form(ord(c)) for c in SECRET)


FORMS = {
    "plain": SECRET,
    "lower": SECRET.lower(),
    "upper": SECRET.upper(),
    "json": escaped(lambda c: f"\\u{c:04x}"),
    "json, upper": escaped(lambda c: f"\\u{c:04X}"),
    "json, twice": escaped(lambda c: f"\\\\u{c:04x}"),
    "json, a slash": SECRET.replace("/", "\\/"),
    "each character": "".join(f"\\{c}" for c in SECRET),
    "in part": "\\u0073\\u006b" + SECRET[2:],
    "javascript": escaped(lambda c: f"\\x{c:02x}"),
    "url": urllib.parse.quote(SECRET, safe=""),
    "url, all": escaped(lambda c: f"%{c:02X}"),
    "url, twice": escaped(lambda c: f"%25{c:02x}"),
    "html": escaped(lambda c: f"&#{c};"),
    "html, hex": escaped(lambda c: f"&#x{c:X};"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64, header": base64.b64encode(f"Bearer {SECRET}".encode()).decode(),
    "base64, user": base64.urlsafe_b64encode(f"me:{SECRET}:x".encode()).decode(),
}


def traces(text):
    """The forms of the key that a text holds, also after it is decoded."""
    found = [name for name, form in FORMS.items() if form in text]
    # What is left of a form when its first or last character was cut off.
    return found + [name for name, form in FORMS.items() if form[4:-4] in text]


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_found_in_all_forms(form):
    key = Key(SECRET, "h")
    for before, after in (("", ""), ("Bearer ", "."), ("x", "y"), ("\\\\", "%")):
        assert traces(key.redact(before + FORMS[form] + after)) == []
    assert "[key]" in key.redact(FORMS[form])


def test_texts_without_the_key_stay():
    key = Key(SECRET, "h")
    for text in (
        "",
        "So \\frac{1}{2} is 50 % & sk-a1 is not it.",
        "\\" * 50_000,
        "%25" * 50_000,
        "&#" * 50_000,
        "s" * 50_000,
    ):
        started = time.process_time()
        assert key.redact(text) == text
        assert time.process_time() - started < 2
    assert Key("EMPTY", "h").redact("EMPTY, EMPTYING, empty") == "[key], EMPTYING, empty"
    assert Key("1", "h").redact("11 + 1") == "11 + 1"  # no secret, and answers hold it


def echo_everywhere(form, status):
    def fault(handler, body):
        said = FORMS[form]
        document = completion(body)
        document["choices"][0]["message"]["content"] = f"You sent {said} 2"
        document["choices"][0]["finish_reason"] = said
        document |= {"id": f"{said}-{time.perf_counter_ns()}", "model": said}
        if status != 200:
            document = {"error": {"message": f"bad {said}", "type": said, "code": said, "param": said}}
        # A raw JSON escape: what json.dumps would write for a backslash is another text.
        data = json.dumps(document).replace("\\\\u", "\\u").replace("\\\\/", "\\/").encode()
        headers = [("Location", f"https://{said}.example/{said}?k={said}"), ("Retry-After", said), ("X-Key", said)]
        handler.reply(status, data, headers, kind=f"text/{said}" if status == 201 else "application/json")

    return fault


@pytest.mark.parametrize("form", ["plain", "json", "json, twice", "javascript", "url", "base64, header"])
def test_an_echoed_key_is_nowhere(form, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MY_KEY", SECRET)
    questions = write_questions(tmp_path / "q.jsonl", 1)
    seen = []
    for status in (200, 201, 307, 400, 401, 404):
        run = tmp_path / f"run{status}"
        with Chaos(default=echo_everywhere(form, status)) as server:
            base = ["--base-url", server.url, "--model", "tiny", "--api-key-env", "MY_KEY", "--samples", "1"]
            code = main(["sample", str(questions), "--out", str(run), *base])
            assert code == (0 if status == 200 else 1)
            assert server.requests[0]["headers"]["Authorization"] == f"Bearer {SECRET}"
        seen += capsys.readouterr()
    seen += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    everything = "\n".join(seen)
    assert "[key]" in (tmp_path / "run200" / "samples.jsonl").read_text()
    assert traces(everything) == []
    for line in (tmp_path / "run200" / "samples.jsonl").read_text().splitlines():
        assert traces(json.loads(line)["text"]) == []


def test_a_key_is_in_no_attribute():
    key = Key(SECRET, "127.0.0.1")
    with Chaos() as server, ChatClient(server.url, "m", key=key) as client:
        client.complete(HELLO)
        ours = ("tcalloc", "requests", "urllib3", "aiohttp")
        held = [one for one in gc.get_objects() if str(type(one).__module__).startswith(ours)]
        shown = []
        for one in held:
            names = list(getattr(one, "__dict__", ())) + list(getattr(type(one), "__slots__", ()))
            for name in names:
                value = getattr(one, name, None) if isinstance(name, str) else None
                if isinstance(value, str | bytes | dict | list | tuple):
                    shown.append(repr(value))
        assert len(held) > 3
        assert SECRET not in "".join(shown) + repr(client) + repr(vars(client))
        assert server.requests[0]["headers"]["Authorization"] == f"Bearer {SECRET}"


def test_errors_with_a_key_in_every_place():
    key = Key(SECRET, "127.0.0.1")
    for status in (201, 307, 400, 500):
        with Chaos(default=echo_everywhere("plain", status)) as server:
            client = ChatClient(server.url, "m", key=key, backoff=Backoff(retries=0, bad_replies=0))
            with client, pytest.raises(LlmError) as caught:
                client.complete(HELLO)
        assert traces(str(caught.value) + repr(caught.value) + repr(caught.value.args)) == []


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("--api-key-env", SECRET),
        ("--api-key-env", "sk-proj-0123456789abcdef"),
        ("--api-key-env", "gsk_0123456789abcdefABCDEF"),
        ("--api-key-env", "AKIAIOSFODNN7EXAMPLE"),
        ("--api-key-env", "AIzaSyA0123456789abcdef"),
        ("--api-key-env", "0123456789abcdef0123456789abcdef"),
        ("--api-key-env", "NAME=sk-proj-0123456789"),
        ("--api-key-env", "a\0b"),
        ("--api-key-file", "sk-proj-0123456789abcdef"),
        ("--api-key-file", "0123456789abcdef0123456789abcdef"),
        ("--api-key", "sk-proj-0123456789abcdef"),
        ("--key", "gsk_0123456789abcdefABCDEF"),
        ("--api-key=sk-proj-0123456789abcdef", "x"),
        ("--concurrency", "sk-proj-0123456789abcdef"),
    ],
)
def test_a_key_where_a_name_belongs_is_not_repeated(option, given, tmp_path, capsys):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    base = [
        "sample",
        str(questions),
        "--base-url",
        "http://127.0.0.1:1/v1",
        "--model",
        "m",
        "--out",
        str(tmp_path / "run"),
    ]
    code = main([*base, option, given])
    out, err = capsys.readouterr()
    assert code in (1, 2)
    assert err.count("\n") == 1
    for part in (given[4:], option.partition("=")[2]):
        assert not part or part not in out + err
    assert not (tmp_path / "run").exists()


def test_names_that_are_plain_are_repeated():
    for name in ("NOT_SET", "OPENAI_API_KEY2", "KEY"):
        with pytest.raises(InputError, match=f"the environment variable {name} is not set"):
            find_key("http://127.0.0.1:1/v1", variable=name)
    with pytest.raises(InputError, match=r"nowhere/key: the key cannot be read"):
        find_key("http://127.0.0.1:1/v1", file="nowhere/key")
    assert (
        hide_keys("argument --samples: 'many' is not a whole number")
        == "argument --samples: 'many' is not a whole number"
    )


def test_what_is_this_machine():
    for host in ("localhost", "127.0.0.1", "127.255.0.3", "::1", "0:0:0:0:0:0:0:1"):
        assert is_loopback(host)
    for host in (
        "127.evil.com",
        "127.0.0.1.evil.com",
        "127.1",
        "127.0.0.256",
        "localhost.evil.com",
        "10.0.0.1",
        "",
        None,
    ):
        assert not is_loopback(host)


def test_a_key_of_a_file_does_not_go_to_a_name_like_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / ".config" / "tcalloc" / "keys.json"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps({"127.evil.com": "a-key-of-mine"}))
    own.chmod(0o600)
    with pytest.raises(InputError, match="unencrypted"):
        find_key("http://127.evil.com/v1")
