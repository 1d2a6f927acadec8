"""Documents that are nearly right: each value in each place may be an odd one."""

import json

ODD = [
    None, True, -1, 0.5, 10**400, "", "text", "\ud800", "user", [], [[]], ["\ud800"], {}, {"type": "text"},
    {"type": "text", "text": "1+1"}, {"\ud800": 1},
]  # fmt: skip


def places(value):
    """Paths to all that stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (name,)
        yield from ((name, *rest) for rest in places(one))


def changed(body, place, value):
    """A body with another value in a place; ...: with none."""
    body = inner = json.loads(json.dumps(body))
    *above, last = place
    for name in above:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return body
