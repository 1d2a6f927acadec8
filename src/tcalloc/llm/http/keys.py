"""API keys: where they are found, and to which host they may be sent.

The first key that is found counts:

1. the environment variable of ``--api-key-env`` or the file of ``--api-key-file``;
2. the environment variable of the host, for the hosts in `VARIABLES` (``OPENAI_API_KEY`` for api.openai.com, ...);
3. the file ``~/.config/tcalloc/keys.json``: ``{"api.example.com": "key"}``, readable only by its owner.

A key is bound to the host for which it was found: OPENAI_API_KEY never reaches another server. A key is in no repr,
attribute, message or file, and cannot be pickled. Replies of a server are stored and printed without the key, however
it is escaped.
"""

import base64
import ipaddress
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NoReturn
from urllib.parse import urlsplit

from tcalloc._printing import cleaned
from tcalloc.errors import InputError

__all__ = ["VARIABLES", "Key", "find_key", "hide_keys", "is_loopback"]

VARIABLES = {
    "api.openai.com": "OPENAI_API_KEY",
    "openrouter.ai": "OPENROUTER_API_KEY",
    "api.together.xyz": "TOGETHER_API_KEY",
    "api.groq.com": "GROQ_API_KEY",
    "api.mistral.ai": "MISTRAL_API_KEY",
    "api.deepseek.com": "DEEPSEEK_API_KEY",
    "api.fireworks.ai": "FIREWORKS_API_KEY",
    "api.x.ai": "XAI_API_KEY",
    "api.anthropic.com": "ANTHROPIC_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
}
# Shorter keys are no secrets; even shorter ones would be found in every text.
_SECRET, _PLACEHOLDER = 8, 4
# Names of variables that may be repeated in messages, because a key has another form.
_PLAIN_NAME = re.compile(r"[A-Z]{1,20}[0-9]{0,2}(?:_[A-Z]{0,20}[0-9]{0,2}){0,8}")
# The form of most keys, for text that may contain one by mistake.
_LIKE_A_KEY = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|key|fw|tgp|AIza)[-_A-Za-z0-9]{12,}|[A-Za-z0-9_-]{32,}")
# No key is longer than this; a longer file is not a key file.
_LONGEST = 1 << 14


class Key:
    """A secret that is sent to one host and shown nowhere.

    Parameters
    ----------
    secret : str
        The key.
    host : str
        The host of the key.
    source : str
        Where it was found, for messages.
    """

    __slots__ = ("_hide", "_reveal", "host", "source")

    def __init__(self, secret: str, host: str, source: str = "given"):
        secret = secret.strip()
        if not secret:
            raise InputError(f"the key for {host} ({source}) is empty. Fill it in.")
        if len(secret) > _LONGEST or not all("!" <= character <= "~" for character in secret):
            raise InputError(
                f"the key for {host} ({source}) holds blanks, line feeds or characters outside ASCII. Check it."
            )
        # Closures, so that code that prints all attributes of all objects does not print the key.
        self._reveal: Callable[[], str] = lambda: secret
        self._hide = _redactor(secret)
        self.host = host
        self.source = source

    @cleaned
    def __repr__(self) -> str:
        return f"Key(for {self.host}, from {self.source})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; find it again where it is needed")

    def header(self, url: str) -> str:
        """Return the value of the Authorization header, for a URL of the key's host alone."""
        if urlsplit(url).hostname != self.host:
            raise InputError(f"the key for {self.host} does not go to {urlsplit(url).hostname}.")
        return f"Bearer {self._reveal()}"

    def redact(self, text: str) -> str:
        """Return text from a server without the key, because some servers repeat it in their messages.

        It is found in upper and lower case, escaped as in JSON, URLs and HTML, and in base64. Placeholders such as
        "EMPTY", of fewer than 8 characters, are found as words only, and those of fewer than 4 not at all.
        """
        return self._hide(text)


def _redactor(secret: str) -> Callable[[str], str]:
    """Return a function that removes a key from a text."""
    if len(secret) < _PLACEHOLDER:
        return lambda text: text
    if len(secret) < _SECRET:
        word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])")
        return lambda text: word.sub("[key]", text)
    coded = list(_in_base64(secret))
    escaped = re.compile("".join(map(_escapes, secret)))
    lower = secret.lower()

    def hide(text: str) -> str:
        for form in coded:
            text = text.replace(form, "[key]")
        # The pattern takes 0.1 ms per thousand characters, so it is used only if it may find something.
        if lower in text.lower() or any(mark in text for mark in ("\\", "%", "&#")):
            text = escaped.sub("[key]", text)
        return text

    return hide


def _in_base64(secret: str) -> Iterator[str]:
    """Yield the visible parts of a key in the base64 of a longer text; they depend on where the key begins in it."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        # The first characters hold bits of the text before the key, the last one bits of the text after it.
        inner = whole[(0, 2, 3)[shift] : len(whole) - ((len(secret) + shift) % 3 != 0)]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


def _escapes(character: str) -> str:
    """Return a pattern of all ways to write one character of a key; bounded, so that no text makes it slow."""
    found = []
    for one in dict.fromkeys((character, character.lower(), character.upper())):
        code = ord(one)
        digits = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{code:x}")
        found += [
            rf"\\{{0,4}}{re.escape(one)}",
            rf"\\{{1,4}}(?:[uU]\{{?0{{0,4}}|[xX]){digits}\}}?",
            f"%(?:25){{0,3}}{digits}",
        ]
        found += [f"&#(?:0{{0,5}}{code}|[xX]0{{0,5}}{digits});"]
    return f"(?:{'|'.join(found)})"


def find_key(url: str, *, variable: str | None = None, file: str | None = None) -> Key | None:
    """Find the key for a URL's host.

    Parameters
    ----------
    url : str
        The server.
    variable, file : str, optional
        The named environment variable or file; not both.

    Returns
    -------
    Key or None
        None if nothing was named and none is found; an error if the host is known to need a key.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if variable is not None and file is not None:
        raise InputError("a key from the environment and one from a file were named; name one of them.")
    if variable is not None:
        plain = _PLAIN_NAME.fullmatch(variable) is not None
        secret = os.environ.get(variable, "") if "=" not in variable and "\0" not in variable else ""
        if not secret.strip():
            if plain:
                raise InputError(f"the environment variable {variable} is not set. Export it, or name another.")
            raise InputError(
                "the key's environment variable is not set. Give the name of a variable, such as OPENAI_API_KEY, not "
                "the key. What was given is not repeated here, since it may be the key."
            )
        return Key(secret, host, f"${variable}" if plain else "the environment")
    if file is not None:
        return Key(_read(file), host, file)
    known = VARIABLES.get(host)
    key = None
    if known is not None and os.environ.get(known, "").strip():
        key = Key(os.environ[known], host, f"${known}")
    else:
        own = os.path.expanduser("~/.config/tcalloc/keys.json")
        kept = _from_keys_file(own, host)
        key = None if kept is None else Key(kept, host, own)
    if key is not None and parts.scheme != "https" and not is_loopback(host):
        raise InputError(
            f"the key for {host} would go over http unencrypted. Use https, or name it with --api-key-env."
        )
    if key is None and known is not None:
        raise InputError(f"no key for {host}: export {known}, or name one with --api-key-env or --api-key-file.")
    return key


@lru_cache(maxsize=256)
def is_loopback(host: str | None) -> bool:
    """Say whether a host is this machine."""
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: 127.example.com is not this machine
        return False


def hide_keys(text: str) -> str:
    """Return a message about a wrong command line without words that look like a key."""
    return _LIKE_A_KEY.sub("[key?]", text)


def _read(path: str) -> str:
    if not os.path.exists(path) and (os.sep not in path and hide_keys(path) != path):
        raise InputError(
            "the key's file does not exist. Give the name of a file that holds the key, not the key. What was given "
            "is not repeated here, since it may be the key."
        )
    try:
        with open(path, "rb") as file:
            data = file.read(_LONGEST + 1)
        return data.decode("ascii")
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "not plain text"
    raise InputError(f"{path}: the key cannot be read ({reason}). Expected a file that holds the key alone.")


def _from_keys_file(path: str, host: str) -> str | None:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except OSError:
        return None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InputError(f"{path}: others may read it. Make it yours alone: chmod 600 {path}")
    try:
        keys = json.loads(data)
    except ValueError:
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        raise InputError(f'{path}: expected one JSON object of hosts and keys, like {{"api.example.com": "..."}}.')
    value: str | None = keys.get(host)
    return value
