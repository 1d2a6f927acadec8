"""The page at / in a real browser: with and without keys, at three widths, and when the gateway goes away."""

import re

import pytest
from browser import PROGRAM, Browser
from gateway_client import send
from upstreams import Upstream

from tcalloc import BudgetKeeper, Rates
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.history import Served
from tcalloc.serve.gateway.server import Gateway

pytest.importorskip("jinja2")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium (Debian: apt-get install chromium)")

KEY = "client-key-0123456789"
# The page asks again every 5 seconds, and at once when it is looked at again.
AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(autouse=True)
def quiet(browser):
    browser.complaints.clear()
    browser.requested.clear()
    browser.size(1500)
    browser.dark(False)


def gate(server, **options):
    keeper = BudgetKeeper(total=0.01, unit="usd", period="30d")
    rates = Rates.per_million(1.0, 2.0)
    return Gateway(
        server.url, Always(Vote(3)), port=0, keeper=keeper, rates=rates, sending=Sending(max_tokens=50), **options
    )


def ask(gateway, headers=None):
    body = {"model": "tiny", "messages": [{"role": "user", "content": "6 + 7"}]}
    assert send(gateway.url, "POST", "/v1/chat/completions", body, headers).status == 200


def page_of(gateway):
    return gateway.url.removesuffix("v1")


def test_without_keys_it_works_at_once(browser):
    with Upstream() as server, gate(server) as gateway:
        browser.open(page_of(gateway))
        browser.wait("document.querySelector('.tiles')")
        assert "No request has ended yet." in browser.text()
        for _ in range(5):
            ask(gateway)
        browser.run(AGAIN)
        browser.wait("document.body.innerText.includes('$0.00036 of $0.01 is spent')")
        text = browser.text()
        assert re.search(r"Requests\s+5\s", text)
        assert re.search(r"vote3\s+5\s+100.0\s%", text)
        assert browser.run("document.querySelectorAll('svg.chart').length") == 2  # there is no price yet
        # A table that was opened stays open when the figures change.
        browser.run("document.querySelector('details').open = true")
        ask(gateway)
        browser.run(AGAIN)
        browser.wait("document.body.innerText.includes('$0.000432 of $0.01 is spent')")
        assert browser.run("document.querySelector('details').open")
        assert browser.run("document.title") == "tcalloc gateway"
        assert browser.complaints == []
        assert {url.partition("?")[0] for url in browser.requested} <= {
            page_of(gateway) + path for path in ("", "status.html")
        }


def test_a_key_is_typed_kept_and_forgotten(browser):
    with Upstream() as server, gate(server, client_keys=[KEY]) as gateway:
        ask(gateway, {"Authorization": f"Bearer {KEY}"})
        browser.open(page_of(gateway))
        browser.wait("document.activeElement && document.activeElement.id === 'key'")
        assert "asks for a key" in browser.text()
        assert "vote3" not in browser.text()
        for wrong, said in (("client-key-wrong", "does not know this key"), ("schlüssel-ключ", "no such characters")):
            browser.type(wrong)
            browser.press("Enter")
            browser.wait(f"document.body.innerText.includes('{said}')")
        browser.wait("document.activeElement && document.activeElement.id === 'key'")
        browser.type(KEY)
        browser.press("Enter")
        browser.wait("document.querySelector('.tiles')")
        assert "vote3" in browser.text()
        assert not browser.run("document.getElementById('ask').offsetParent")
        browser.open(page_of(gateway))  # as if it were loaded again
        browser.wait("document.querySelector('.tiles')")
        assert KEY not in browser.run("document.documentElement.outerHTML") + browser.run(
            "location.href + document.cookie"
        )
        assert browser.run("localStorage.length") == 0
        browser.run("document.getElementById('forget').click()")
        browser.wait("document.getElementById('ask').offsetParent")
        assert "vote3" not in browser.text()
        assert browser.run("sessionStorage.length") == 0
        assert not any(KEY in url for url in browser.requested)
    assert all("401" in one for one in browser.complaints)


def test_the_gateway_goes_away(browser):
    with Upstream() as server:
        with gate(server) as gateway:
            ask(gateway)
            browser.open(page_of(gateway))
            browser.wait("document.querySelector('.tiles')")
        browser.run(AGAIN)
        browser.wait("document.body.innerText.includes('The gateway does not answer. These figures are of')")
        assert "vote3" in browser.text()
        assert browser.run("getComputedStyle(document.getElementById('figures')).opacity") < "1"


def test_the_budget_does_not_answer(browser, monkeypatch):
    with Upstream() as server, gate(server) as gateway:
        ask(gateway)
        monkeypatch.setattr(gateway._keeper, "status", lambda: 1 / 0)
        browser.open(page_of(gateway))
        browser.wait("document.querySelector('.verdict.bad')")
        assert "The budget cannot be read" in browser.text()
        assert "vote3" in browser.text()


@pytest.mark.parametrize("dark", [False, True])
def test_three_widths_and_names_of_others(browser, dark):
    names = ["<img src=x onerror=alert(1)>", "vote16 " + "a-very-long-name-of-a-model/" * 8, "vote3 שלום", "x" * 300]
    with Upstream() as server, gate(server) as gateway:
        for i, name in enumerate(names * 3):
            gateway.metrics.action(name, 3, 0.5)
            gateway.metrics.fallback(name)
            gateway.metrics.request(
                Served(gateway.metrics.history.since + i, name, "answered", name, 3, 1e-5, 0.5, 0.2, 1.0)
            )
        browser.dark(dark)
        for width in (400, 900, 1500):
            browser.size(width)
            browser.open(page_of(gateway))
            browser.wait("document.querySelector('.tiles')")
            assert browser.run("document.documentElement.scrollWidth") <= width
            # Nothing is cut off: every figure stays within its frame.
            assert browser.run(
                "[...document.querySelectorAll('.tiles > div, #verdict, .pair > *')]"
                ".every(one => one.scrollWidth <= one.clientWidth + 1)"
            )
            assert browser.run("document.querySelectorAll('main img').length") == 0
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark
    assert browser.complaints == []


def test_the_keyboard_reaches_every_table(browser):
    with Upstream() as server, gate(server) as gateway:
        ask(gateway)
        browser.open(page_of(gateway))
        browser.wait("document.querySelector('.tiles')")
        reached = []
        for _ in range(6):
            browser.press("Tab")
            reached.append(browser.run("document.activeElement.id"))
        assert {"h-spending-table", "last-scroll"} <= set(reached)
        names = "[...document.querySelectorAll('svg.chart')].map(one => one.getAttribute('aria-labelledby'))"
        for both in browser.run(names):
            for one in both.split():
                assert browser.run(f"document.getElementById('{one}').textContent.trim().length") > 3
