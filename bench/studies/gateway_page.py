"""A picture of the gateway's page, from a real run: a policy, a budget, 8 clients, and a fake server behind it.

    python bench/studies/gateway_page.py --height 1150 --out docs/gateway.png
                                                      a minute of traffic, half of the period
    python bench/studies/gateway_page.py --seconds 20 --widths 400,900,1500 --dark --out /tmp/page.png
    python bench/studies/gateway_page.py --keep 300                    serves it for 300 s more, to be looked at

Questions are easy or hard, in turn; the fake server answers the easy ones right in 95 % of the samples, the hard ones
in 55 %, after 0.1 s or so. Needs Chromium (Debian: apt-get install chromium). Several widths go to files of their own.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import numpy as np
from aiohttp import web

from tcalloc import BudgetKeeper, PricedPolicy, Rates, Samples
from tcalloc.measure import One, Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))
from browser import Browser
from upstreams import Upstream, document

RATES, BILL = Rates.per_million(1.0, 2.0), 24e-6
RIGHT = {False: 0.95, True: 0.55}
ACTIONS = [One(), Vote(3), Vote(5), Vote(9)]


def question(i):
    return f"What is {i} times {i + 3}, less a long number such as {i * i}?" if i % 2 else f"{i} plus 1?"


def fitted():
    """Return a policy that knows from the text which questions are hard."""
    rng = np.random.default_rng(0)
    right = np.array([RIGHT[bool(i % 2)] for i in range(200)])[:, None]
    codes = np.where(rng.random((200, 16)) < right, 0, rng.integers(1, 4, (200, 16)))
    samples = Samples(codes, cost=np.full((200, 16), BILL))
    return PricedPolicy().fit([question(i) for i in range(200)], samples.table(ACTIONS))


async def answering(request, body):
    await asyncio.sleep(random.lognormvariate(-2.3, 0.4))
    hard = "times" in str(body["messages"][-1]["content"])
    number = 7 if random.random() < RIGHT[hard] else random.randrange(5)
    return web.json_response(document(body, f"The answer is {number}."))


async def traffic(url, seconds, clients):
    """Ask from several clients at a time, until so many seconds have passed."""
    until, numbers = time.monotonic() + seconds, iter(range(10**9))

    async def client(session):
        while time.monotonic() < until:
            i = next(numbers)
            body = {"model": "tiny", "messages": [{"role": "user", "content": question(i)}]}
            if i % 20 == 0:
                body["tools"] = [{"type": "function", "function": {"name": "look"}}]
            async with session.post(f"{url}/chat/completions", json=body) as reply:
                await reply.read()
            await asyncio.sleep(random.expovariate(8.0))

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))


def pictures(browser, url, out, widths, height, dark):
    browser.dark(dark)
    for width in widths:
        browser.size(width, height or 900)
        browser.open(url)
        browser.wait("document.querySelector('.tiles')")
        browser.picture(out if len(widths) == 1 else out.with_stem(f"{out.stem}-{width}"), whole=height is None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--total", type=float, default=0.25)
    parser.add_argument("--out", type=Path, default=Path("gateway.png"))
    parser.add_argument("--widths", default="1100")
    parser.add_argument("--height", type=int, help="cut the picture off there")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--keep", type=float, default=0.0)
    args = parser.parse_args()
    random.seed(0)
    keeper = BudgetKeeper(args.total, "usd", f"{round(2 * args.seconds)}s")
    with (
        Browser() as browser,
        tempfile.TemporaryDirectory() as folder,
        Upstream(default=answering) as server,
        Gateway(
            server.url, fitted(), port=0, keeper=keeper, rates=RATES, sending=Sending(max_tokens=20), explore=0.08,
            store=Path(folder) / "seen",
        ) as gateway,
    ):  # fmt: skip
        asyncio.run(traffic(gateway.url, args.seconds, args.clients))
        gateway.review()  # as it does every hour
        page = gateway.url.removesuffix("v1")
        widths = [int(width) for width in args.widths.split(",")]
        pictures(browser, page, args.out, widths, args.height, args.dark)
        print(keeper.status())
        if args.keep:
            print(page, flush=True)
            time.sleep(args.keep)


if __name__ == "__main__":
    main()
