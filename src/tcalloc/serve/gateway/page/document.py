"""The page itself: one document that fetches nothing but its figures, and holds none."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from tcalloc._templates import Markup, environment

__all__ = ["Document", "document", "templates"]


@dataclass(frozen=True, slots=True)
class Document:
    """The page, and the policy that a browser holds it to."""

    text: str
    content_security_policy: str


@cache
def templates() -> Environment:
    """Return what fills the templates of the page."""
    return environment("tcalloc.serve.gateway.page")


@cache
def document() -> Document:
    """Return the page. A browser runs only its own script and style, and sends what is typed only to this gateway."""
    known = templates()
    # They are ours, and their line ends are part of what is hashed.
    style, script = (Markup(known.get_template(one).render()) for one in ("page.css", "page.js"))
    text = known.get_template("page.html").render(style=style, script=script)
    rules = {
        "default-src": "'none'",
        "style-src": _hashed(style),
        "script-src": _hashed(script),
        "connect-src": "'self'",
        "img-src": "data:",  # its empty icon, without which a browser asks for one
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return Document(text, "; ".join(f"{name} {value}" for name, value in rules.items()))


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
