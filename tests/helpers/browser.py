"""A real browser for tests: Debian's Chromium without a window, driven over its own protocol (CDP) with aiohttp.

with Browser() as browser:
    browser.open(url)
    browser.wait("document.querySelector('h1')")
    browser.size(400)
    browser.picture("page.png")
    assert browser.complaints == []      # of the console: errors of scripts, and what a policy forbade
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--remote-debugging-port=0", "--force-color-profile=srgb",
)  # fmt: skip
PATIENCE = 60.0


class Browser:
    def __init__(self):
        self.complaints, self.requested = [], []
        self._numbers = iter(range(1, 1 << 30))

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory(prefix="tcalloc-browser-", ignore_cleanup_errors=True)
        command = [PROGRAM, *OPTIONS, f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            self._loop.run_until_complete(self._connect())
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if hasattr(self, "_session"):
            self._loop.run_until_complete(self._session.close())
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._loop.close()
        self._folder.cleanup()

    async def _connect(self):
        said, until = Path(self._folder.name) / "DevToolsActivePort", time.monotonic() + PATIENCE
        while not said.exists() or not said.read_text().strip():
            assert self._process.poll() is None, "the browser has ended"
            assert time.monotonic() < until, "the browser does not start"
            await asyncio.sleep(0.05)
        port = said.read_text().split()[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as reply:
            page = next(one for one in await reply.json() if one["type"] == "page")
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)

    def call(self, method, **parameters):
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, parameters), PATIENCE))

    async def _call(self, method, parameters):
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]
            self._note(told.get("method"), told.get("params", {}))

    def _note(self, method, told):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['source']}: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])

    # ------------------------------------------------------------------------------------------ what a person does

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression in the page."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script):
        """Wait until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < until, f"never: {script}\n{self.text()}\n{self.complaints}"
            time.sleep(0.05)

    def text(self):
        return self.run("document.body ? document.body.innerText : ''")

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, name):
        code = {"Enter": 13, "Tab": 9}[name]
        about = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="\r" if name == "Enter" else "", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def size(self, width, height=900, scale=1):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def dark(self, on):
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}],
        )

    def picture(self, path, whole=True):
        """Save the page as PNG: all of it, or what the window shows."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(told["data"]))
