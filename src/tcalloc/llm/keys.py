"""API keys: where they come from, and to whom they may go.

The precedence, first found wins:

1. what was named: the environment variable of ``--api-key-env`` or the file of ``--api-key-file``;
2. the environment variable of the host, for the hosts in `VARIABLES` (``OPENAI_API_KEY`` for api.openai.com, ...);
3. the file ``~/.config/tcalloc/keys.json``: ``{"api.example.com": "key"}``, readable by its owner alone.

A key is bound to the host it was found for and goes nowhere else: OPENAI_API_KEY never reaches another server. It is
in no repr, no message, no file, and cannot be pickled.
"""

import json
import os
import stat
from typing import NoReturn
from urllib.parse import urlsplit

from tcalloc.errors import InputError

__all__ = ["VARIABLES", "Key", "find_key", "is_loopback"]

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
# No key is longer; a file that is, is not a key's.
_LONGEST = 1 << 14


class Key:
    """A secret that goes to one host and is shown to nobody.

    Parameters
    ----------
    secret : str
        The key.
    host : str
        The host it is for.
    source : str
        Where it was found, for messages.
    """

    __slots__ = ("_secret", "host", "source")

    def __init__(self, secret: str, host: str, source: str = "given"):
        secret = secret.strip()
        if not secret:
            raise InputError(f"the key for {host} ({source}) is empty. Fill it in.")
        if len(secret) > _LONGEST or not all("!" <= character <= "~" for character in secret):
            raise InputError(
                f"the key for {host} ({source}) holds blanks, line feeds or characters outside ASCII. Check it."
            )
        self._secret = secret
        self.host = host
        self.source = source

    def __repr__(self) -> str:
        return f"Key(for {self.host}, from {self.source})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; find it again where it is needed")

    def header(self, url: str) -> str:
        """Return the value of the Authorization header, for a URL of the key's host alone."""
        if urlsplit(url).hostname != self.host:
            raise InputError(f"the key for {self.host} does not go to {urlsplit(url).hostname}.")
        return f"Bearer {self._secret}"

    def redact(self, text: bytes) -> bytes:
        """Return text that a server sent, without the key: some echo it in their messages."""
        secret = self._secret.encode()
        return text.replace(secret, b"[key]") if secret in text else text


def find_key(
    url: str, *, variable: str | None = None, file: str | None = None, keys_file: str | None = None
) -> Key | None:
    """Find the key for a URL's host.

    Parameters
    ----------
    url : str
        The server.
    variable, file : str, optional
        The environment variable or the file that was named for it; not both.
    keys_file : str, optional
        Another file than ``~/.config/tcalloc/keys.json``.

    Returns
    -------
    Key or None
        None if nothing was named and nothing is there; refused if the host is known to want one.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if variable is not None and file is not None:
        raise InputError("a key from the environment and one from a file were named; name one of them.")
    if variable is not None:
        secret = os.environ.get(variable, "")
        if not secret.strip():
            raise InputError(f"the environment variable {variable} is not set. Export it, or name another.")
        return Key(secret, host, f"${variable}")
    if file is not None:
        return Key(_read(file), host, file)
    known = VARIABLES.get(host)
    key = None
    if known is not None and os.environ.get(known, "").strip():
        key = Key(os.environ[known], host, f"${known}")
    else:
        own = os.path.expanduser("~/.config/tcalloc/keys.json") if keys_file is None else keys_file
        kept = _from_keys_file(own, host)
        key = None if kept is None else Key(kept, host, own)
    if key is not None and parts.scheme != "https" and not is_loopback(host):
        raise InputError(
            f"the key for {host} would go over http unencrypted. Use https, or name it with --api-key-env."
        )
    if key is None and known is not None:
        raise InputError(f"no key for {host}: export {known}, or name one with --api-key-env or --api-key-file.")
    return key


def is_loopback(host: str | None) -> bool:
    """Say whether a host is this machine."""
    return host is not None and (host in ("localhost", "::1") or host.startswith("127."))


def _read(path: str) -> str:
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
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise InputError(f"{path}: others may read it. Make it yours alone: chmod 600 {path}")
            keys = json.load(file)
    except OSError:
        return None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        raise InputError(f'{path}: expected one JSON object of hosts and keys, like {{"api.example.com": "..."}}.')
    value: str | None = keys.get(host)
    return value
