"""The page at / without a browser: its addresses, its headers, its figures in every state, and the status as JSON."""

import base64
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from gateway_client import send
from upstreams import Upstream

from tcalloc import BudgetKeeper, Rates
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.history import History, Served
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.page.status import Known, status_document
from tcalloc.serve.gateway.server import Gateway

pytest.importorskip("jinja2")
from tcalloc.serve.gateway.page.curves import line, scale
from tcalloc.serve.gateway.page.figures import figures
from tcalloc.serve.gateway.page.words import duration

RATES = Rates.per_million(1.0, 2.0)
KEY = "client-key-0123456789"


def gate(server, policy=None, keeper=None, **options):
    sending = Sending(max_tokens=50)
    return Gateway(
        server.url, policy or Always(Vote(3)), port=0, keeper=keeper, rates=RATES, sending=sending, **options
    )


def served(time, **fields):
    known = {"action": "vote3", "outcome": "answered", "reason": "policy", "samples": 3, "spend": 0.001}
    known |= {"vote_share": 0.75, "seconds": 0.2, "price": 2.0}
    return Served(time, **known | fields)


def known(requests=(), **fields):
    metrics = Metrics()
    metrics.history = History(0.0)
    for one in requests:
        if one.action is not None:
            metrics.action(one.action, one.samples, one.vote_share)
        metrics.request(one)
    defaults = {"policy": "vote3", "unit": "usd", "explore": 0.0, "budget": None, "budget_failed": False}
    defaults |= {"period_seconds": None, "savings": None, "drift": None}
    return Known(metrics, **defaults | fields)


def shown(*args, now=100.0, **fields):
    page = figures(status_document(known(*args, **fields), now))
    Closed(page)
    return page


def words(page):
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


DRIFT = {
    "price": {"usual": 0.00021, "recent": 0.0002, "alarm": 0.0, "direction": 0.0, "since": 0.0},
    "difficulty": {"usual": 0.3, "recent": 0.42, "alarm": 1.0, "direction": 1.0, "since": 60.0},
    "agreement": {"usual": 0.8, "recent": None, "alarm": 1.0, "direction": -1.0},
}


class Closed(HTMLParser):
    """Refuses a page whose tags do not close."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.ids = [], []
        self.feed(page)
        self.close()
        assert self.stack == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        self.stack.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        assert not any(name.startswith("on") or name in ("style", "src", "href") for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


# ---------------------------------------------------------------------------------------------- addresses


def test_the_page_is_for_all_and_the_figures_are_for_clients(get):
    with Upstream() as server, gate(server, client_keys=[KEY]) as gateway:
        page = get(gateway, "/")
        refused = [get(gateway, path) for path in ("/status", "/status.html")]
        wrong = get(gateway, "/status.html", {"Authorization": "Bearer client-key-wrong"})
        right = [get(gateway, path, {"Authorization": f"Bearer {KEY}"}) for path in ("/status", "/status.html")]
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert [one.status for one in (*refused, wrong, *right)] == [401, 401, 401, 200, 200]
    assert KEY not in "".join(one.data.decode() + str(one.headers) for one in (page, *right))
    assert right[0].json["requests"] == {"open": 0}


def test_the_page_fetches_nothing_and_runs_its_own_script_alone(get):
    with Upstream() as server, gate(server) as gateway:
        page, figures_ = get(gateway, "/"), get(gateway, "/status.html")
    text, policy = page.data.decode(), page.headers["content-security-policy"]
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for rule in ("default-src 'none'", "connect-src 'self'", "form-action 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert re.findall(r"https?://", text) == []
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]
    for one in (page, figures_):
        assert (one.headers["cache-control"], one.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert "script-src" not in figures_.headers["content-security-policy"]


def test_other_names_of_this_machine_see_no_figures(get):
    with Upstream() as server, gate(server) as gateway:
        for path in ("/status", "/status.html"):
            assert get(gateway, path, {"Host": "evil.example"}).status == 403


def test_without_jinja2(get, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tcalloc.serve.gateway.page.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "tcalloc._templates")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with Upstream() as server, gate(server) as gateway:
        for path in ("/", "/status.html"):
            got = get(gateway, path)
            assert got.status == 501
            assert "pip install 'tcalloc[serve]'" in got.data.decode()
        assert get(gateway, "/status").status == 200


def test_the_status_is_what_was_done(ask, get):
    keeper = BudgetKeeper(total=1.0, unit="usd", period="30d")
    with Upstream(["5", "7", "7"]) as server, gate(server, keeper=keeper) as gateway:
        ask(gateway, "a prompt of somebody")
        ask(gateway, stream=True, tools=[1])
        ask(gateway, headers={"x-tcalloc-extract": "none"})
        got = get(gateway, "/status")
        page = get(gateway, "/status.html").data.decode()
    told = json.loads(got.data, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert told["requests"] == {"open": 0, "answered": 3}
    assert told["actions"] == {"vote3": 1, "one": 2}
    assert told["spend"] == pytest.approx(told["budget"]["spent"]) == pytest.approx(5 * 24e-6)
    assert (told["vote_share"]["votes"], told["latency"]["requests"], told["unit"]) == (1, 3, "usd")
    assert told["budget"]["period_seconds"] == 30 * 86400
    last = told["last"]
    assert [(one["action"], one["samples"], one["reason"]) for one in reversed(last)] == [
        ("vote3", 3, "policy"),
        ("one", 1, "tools"),
        ("one", 1, "not voted on"),
    ]
    assert last[2]["vote_share"] == pytest.approx(2 / 3)
    assert "a prompt of somebody" not in got.data.decode() + page
    assert "$0.00012 of $1 is spent, after 0 % of the 30 days." in words(page)


def test_without_prices_the_policys_own_cost_is_counted(ask, get):
    with Upstream() as server, Gateway(server.url, Always(Vote(3)), port=0) as gateway:
        ask(gateway)
        ask(gateway, stream=True, tools=[1])
        told = get(gateway, "/status").json
        text = get(gateway, "/metrics").data.decode()
    assert (told["spend"], told["unit"], told["budget"]) == (4.0, "samples", None)
    assert "tcalloc_spend_total 4\n" in text


def test_a_budget_that_cannot_be_read(ask, get, monkeypatch):
    keeper = BudgetKeeper(total=1.0, unit="usd")
    with Upstream() as server, gate(server, keeper=keeper) as gateway:
        ask(gateway)
        monkeypatch.setattr(keeper, "status", lambda: 1 / 0)
        told, page = get(gateway, "/status").json, get(gateway, "/status.html")
    assert (told["budget"], told["budget_failed"]) == (None, True)
    assert page.status == 200
    assert "The budget cannot be read" in words(page.data.decode())


def test_a_budget_that_is_spent_is_said_first(ask, get):
    keeper = BudgetKeeper(total=0.0005, unit="usd", period="30d")
    with Upstream() as server, gate(server, keeper=keeper) as gateway:
        codes = [ask(gateway).status for _ in range(12)]
        told, page = get(gateway, "/status").json, words(get(gateway, "/status.html").data.decode())
    assert 429 in codes
    assert told["last"][0]["reason"] == "no money"
    assert re.search(
        r"nothing left for some requests: \d+ of the last 10 requests were refused\. The next period", page
    )


# ---------------------------------------------------------------------------------------------- figures


def test_before_the_first_request():
    page = words(shown())
    assert "No request has ended yet. Clients use this address with /v1 behind it." in page
    assert page.count("Nothing to draw yet.") == 2
    assert "no figure yet: needs --explore" in page
    assert "nan" not in page.lower()
    assert "None " not in page.replace("None: every", "")


@pytest.mark.parametrize("period", [None, "30d", 100, "1h"])
@pytest.mark.parametrize("rolling", [False, True])
def test_a_new_budget(period, rolling):
    if rolling and period is None:
        return
    keeper = BudgetKeeper(total=3.0, unit="usd", period=period, rolling=rolling)
    page = words(shown(budget=keeper.status()))
    assert "of $3; $0 reserved, $3 free" in page
    keeper.choose(["one"], [0.5], [0.1], [0.1]).settle(0.05)
    page = words(shown([served(50.0, price=None)], budget=keeper.status()))
    assert "$0.05 of $3 is spent" in page


def test_one_request_and_a_million():
    page = shown([served(3.0)])
    assert "h0.01" in page  # one place is a dot
    assert "1 answer;" in words(page)
    many = known()
    many.metrics.history.add(served(0.0))
    many.metrics._requests["answered"] = 10**6
    many.metrics._actions |= {f"vote{i}": 10**6 // (i + 1) for i in range(150)}
    page = words(figures(status_document(many, 1e6)))
    assert "1,000,000" in page
    assert "139 others" in page


def test_names_of_others_are_one_escaped_line():
    hostile = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\nb\u202ec\x00", "x" * 5000, "\ud800"]
    requests = [served(float(i), action=name, reason=name) for i, name in enumerate(hostile)]
    page = shown(requests, drift={name: {"alarm": 1.0} for name in hostile})
    page.encode()
    assert "<script" not in page
    assert "<img" not in page
    assert "x" * 81 not in re.sub(r"<td class=\"left\">x*</td>", "", page)
    assert "\u202e" not in page
    json.dumps(status_document(known(requests), 1.0)).encode()


def test_what_was_learned_is_shown_as_it_is():
    savings = {"saved_share": 0.314, "low": 0.25, "high": 0.38, "requests": 400, "agreement": 0.8}
    page = words(shown([served(1.0)], savings=savings, drift=DRIFT, explore=0.02))
    assert "Saved 31 %" in page
    assert "95 % interval 25 to 38 %" in page
    assert "400 explored requests" in page
    assert "price steady: $0.0002, usually $0.00021" in page
    assert "difficulty risen 40 s ago: 42 %, usually 30 %" in page
    assert "agreement fallen: -, usually 80 %" in page
    assert "Since the policy was loaded, this has changed: difficulty, agreement." in page
    assert "2.0 % of the requests are explored" in page


def test_a_server_that_fails_is_said_first():
    requests = [served(float(i), outcome="refused", vote_share=None) for i in range(4)]
    assert "4 of the last 4 requests got no answer" in words(shown(requests))
    calm = [*requests, *[served(5.0 + i) for i in range(10)]]
    assert "got no answer" not in words(shown(calm))


def test_a_price_that_nothing_but_the_cheapest_can_pay():
    budget = replace(BudgetKeeper(total=3.0, unit="usd", period=100).status(), price=float("inf"))
    told = status_document(known([served(1.0, price=4.0), served(90.0, price=float("inf"))], budget=budget), 100.0)
    assert (told["budget"]["price"], told["budget"]["cheapest_only"]) == (None, True)
    page = words(figures(told))
    assert "∞ only the cheapest is affordable" in page
    assert "4 at the last request" in page  # of those that had a number


def test_infinite_numbers_are_no_json():
    told = status_document(known([served(1.0, price=float("inf"), spend=float("nan"))]), 2.0)
    json.dumps(told, allow_nan=False)
    figures(told)


@pytest.mark.parametrize("highest", [1e-9, 0.02, 0.1, 0.3, 1.0, 7.0, 99.0, 1234.5, 1e12])
def test_scales_are_round_and_reach_the_highest(highest):
    marks = scale(highest)
    assert marks[0] == 0
    assert highest * (1 - 1e-9) <= marks[-1] <= 2.6 * highest
    assert 3 <= len(marks) <= 6
    assert scale(0.0) == scale(float("nan")) == [0.0, 1.0]


def test_lines():
    assert line("spent", "", [(0.0, 0.0), (0.5, 1.0)], filled=True).area == "M0,1000 L500,0 L500,1000 L0,1000 Z"
    assert line("spent", "", [(2.0, -1.0)]).path == "M1000,1000 h0.01"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (0.0004, "0.4 ms"),
        (0.43, "430 ms"),
        (12.34, "12 s"),
        (210, "3.5 min"),
        (7200, "2 h"),
        (1e6, "12 d"),
    ],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_the_last_requests_are_those_that_a_client_left_too(get):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        send(gateway.url, "POST", "/v1/chat/completions", {"model": "tiny", "messages": []})  # no request at all
        assert get(gateway, "/status").json["last"] == []
