"""A headless Chromium, driven over pipes in the DevTools protocol: a page, what it shows, asks and complains of."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Browser", "Tab", "found"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # as root, containers allow no other
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
SECONDS = 30.0
NO_GRAPHICS = "No available adapters."
"""What Chromium notes where a page asks whether there is WebGPU, and there is not."""


def found() -> str | None:
    """The path of a browser, of the environment variable CHROMIUM or of the usual names; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with a fresh profile in ``folder``."""

    def __init__(self, path: str, folder: Path) -> None:
        # Chromium reads commands from descriptor 3 and writes to 4; ours lie higher, so that neither is overwritten.
        self._downloads = folder / "downloads"
        self._downloads.mkdir()
        theirs_in, ours_out = map(_high, os.pipe())
        ours_in, theirs_out = map(_high, os.pipe())

        def connect() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        with open(folder / "browser.log", "wb") as log:
            self._process = subprocess.Popen(
                [path, *OPTIONS, f"--user-data-dir={folder / 'profile'}"],
                pass_fds=(3, 4),
                preexec_fn=connect,
                stdout=log,
                stderr=log,
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a command."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._in, 1 << 20)
            assert more, "the browser has ended"
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def open(self, width: int, height: int, dark: bool = False) -> Tab:
        """An empty tab whose window has so many pixels."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session, self._downloads)
        self.ask(
            "Browser.setDownloadBehavior", behavior="allow", browserContextId=context, downloadPath=str(self._downloads)
        )
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.ask(f"{domain}.enable")
        tab.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        tab.resize(width, height, dark)
        return tab

    def close(self) -> None:
        self.ask("Browser.close")
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)


def _high(descriptor: int) -> int:
    """The same descriptor under a number of 10 or more."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return high


class Tab:
    """A page in the browser."""

    def __init__(self, browser: Browser, session: str, downloads: Path) -> None:
        self._browser, self._session, self._downloads = browser, session, downloads

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.ask(method, self._session, **parameters)

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, url: str) -> None:
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        result = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = SECONDS) -> Any:
        """Wait until an expression is true, and give its value."""
        end = time.monotonic() + seconds
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"never true: {condition}; {self.run('document.body.innerText')}"
            time.sleep(0.03)
        return value

    def mouse(self, kind: str, x: float, y: float) -> None:
        """``kind``: "Pressed", "Moved" (while it is pressed) or "Released"."""
        buttons = 0 if kind == "Released" else 1
        clicks = 0 if kind == "Moved" else 1
        more = {"button": "left", "buttons": buttons, "clickCount": clicks}
        self.ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)

    def drag(self, points: list[tuple[float, float]], between: Callable[[], None] = lambda: None) -> None:
        """Press at the first point, move over all, and let go at the last."""
        self.mouse("Pressed", *points[0])
        for point in points:
            self.mouse("Moved", *point)
            between()
        self.mouse("Released", *points[-1])

    def click(self, selector: str) -> None:
        x, y, width, height = self.box(selector)
        self.drag([(x + width / 2, y + height / 2)])

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """X, y, width and height of an element in the window, into which it is scrolled."""
        script = f"""(() => {{ const element = document.querySelector({selector!r});
            element.scrollIntoView({{block: "nearest", behavior: "instant"}});
            const b = element.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()"""
        x, y, width, height = self.run(script)
        return x, y, width, height

    def press(self, key: str, modifiers: int = 0, times: int = 1) -> None:
        """Press a key by its name. ``modifiers``: 2 for Ctrl, 8 for Shift."""
        text = {"text": key} if len(key) == 1 and not modifiers & 2 else {"text": "\r"} if key == "Enter" else {}
        names = {" ": "Space", **{letter: f"Key{letter.upper()}" for letter in "abcdefghijklmnopqrstuvwxyz"}}
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "z": 90}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        more = {"key": key, "code": names.get(key, key), "windowsVirtualKeyCode": codes.get(key, 0)}
        for _ in range(times):
            self.ask("Input.dispatchKeyEvent", type="keyDown", modifiers=modifiers, **more, **text)
            self.ask("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **more)

    def download(self, selector: str, name: str) -> bytes:
        """Click an element, and what is then saved under that name."""
        path = self._downloads / name
        path.unlink(missing_ok=True)
        self.click(selector)
        end = time.monotonic() + SECONDS
        while not path.exists():  # it has another name until it is whole
            assert time.monotonic() < end, f"{name} is never saved"
            time.sleep(0.03)
        return path.read_bytes()

    def picture(self) -> bytes:
        """What the window shows, a PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def _events(self, method: str) -> list[dict[str, Any]]:
        self.run("0")  # so that what has happened so far has arrived
        own = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [event["params"] for event in own if event["method"] == method]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What the page asked for: "method" and "url" of each."""
        return [event["request"] for event in self._events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """What the console has of warnings and errors, and exceptions that nobody caught."""
        said = [
            entry["entry"]["text"] for entry in self._events("Log.entryAdded") if entry["entry"]["level"] != "verbose"
        ]
        thrown = [str(event["exceptionDetails"]) for event in self._events("Runtime.exceptionThrown")]
        logged = [str(e["args"]) for e in self._events("Runtime.consoleAPICalled") if e["type"] in ("error", "warning")]
        return [text for text in said + thrown + logged if text != NO_GRAPHICS]

    def forgive(self) -> None:
        """Forget what was complained of so far."""
        self.run("0")
        self._browser.events = [event for event in self._browser.events if event["method"] != "Log.entryAdded"]
