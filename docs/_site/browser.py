"""A headless Chromium that opens pages of the site, and says what a reader would notice.

``python docs/_site/browser.py site folder`` writes pictures of all pages, at the widths of a desk and a phone, light
and dark, and prints what is wrong with them.
"""

import base64
import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTHS = (1280, 390)
# What of a page is wider than the window, though it cannot be scrolled by itself.
_WIDE = """JSON.stringify([document.documentElement.scrollWidth, [...document.querySelectorAll('.md-content *')].filter(
    e => e.getBoundingClientRect().right > WIDTH + 1 && !e.closest(
    '.md-typeset__scrollwrap, .md-typeset__table, pre, code, .arithmatex, .katex, .highlight')).map(
    e => e.tagName + ' ' + e.textContent.trim().slice(0, 60)).slice(0, 5),
    document.querySelectorAll('.arithmatex').length, document.querySelectorAll('.arithmatex .katex').length])"""


@dataclasses.dataclass
class View:
    """A page as it was shown."""

    scroll_width: int
    too_wide: list[str]
    formulas: int
    typeset: int
    requests: list[str]
    errors: list[str]
    bytes: int


class Browser:
    """A running Chromium, spoken to over a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, out: int):
        self._process, self._to, self._from = process, to, out
        self._number = itertools.count(1)
        self._rest, self.events = b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result."""
        number = next(self._number)
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._from, 1 << 16)
            if not data:
                raise RuntimeError("Chromium ended.")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def evaluate(self, script: str) -> Any:
        """Value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=script, awaitPromise=True)["result"].get("value")

    def open(self, url: str, width: int, *, dark: bool = False) -> View:
        """Show a page and wait until its scripts have run."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.events.clear()
        self.call("Page.navigate", url=url)
        for _ in range(200):
            ready = self.evaluate("document.readyState == 'complete' && (document.fonts.status == 'loaded')")
            if ready:
                break
            time.sleep(0.02)
        # A palette that was chosen on a page before is kept, whatever the system prefers.
        self.evaluate(f"document.querySelectorAll('input[name=__palette]')[{int(dark)}]?.click()")
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        width_now, wide, formulas, typeset = json.loads(self.evaluate(_WIDE.replace("WIDTH", str(width))))
        requests = [
            e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"
        ]
        errors = [_message(e) for e in self.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
        return View(width_now, wide, formulas, typeset, requests, errors, sum(map(_size, set(requests))))

    def search(self, word: str, seconds: float = 20.0) -> list[str]:
        """Titles of the pages that the search of the shown page finds."""
        self.evaluate(f"""{{
            const field = document.querySelector('.md-search__input');
            field.focus();
            field.value = {json.dumps(word)};
            field.dispatchEvent(new Event('keyup', {{bubbles: true}}));
        }}""")
        titles: list[str] = []
        end = time.monotonic() + seconds
        while not titles and time.monotonic() < end:
            time.sleep(0.1)
            found = "[...document.querySelectorAll('.md-search-result__item h1')].map(title => title.textContent)"
            titles = json.loads(self.evaluate(f"JSON.stringify({found})"))
        return titles

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what is shown, or the whole page, as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


def _message(event: dict[str, Any]) -> str:
    entry = event["params"].get("entry") or event["params"]["exceptionDetails"]
    text = (entry.get("exception") or {}).get("description") or entry["text"]
    return f"{text} {entry.get('url', '')}".strip()[:300]


def _size(url: str) -> int:
    path = Path(url.removeprefix("file://").partition("#")[0].partition("?")[0])
    return path.stat().st_size if url.startswith("file://") and path.is_file() else 0


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start a Chromium with nothing of the user's, and end it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise FileNotFoundError("There is no Chromium; install the package `chromium`.")
    inward, to = os.pipe()
    out, outward = os.pipe()

    def as_three_and_four() -> None:
        first, second = os.dup(inward), os.dup(outward)  # neither may be overwritten by the other
        os.dup2(first, 3)
        os.dup2(second, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(  # noqa: S603
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
                f"--user-data-dir={folder}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=as_three_and_four,  # noqa: PLW1509
        )
        os.close(inward)
        os.close(outward)
        try:
            yield Browser(process, to, out)
        finally:
            process.kill()
            process.wait()
            os.close(to)
            os.close(out)


def faults(view: View, width: int) -> list[str]:
    """What is wrong with a page, in words."""
    found = [f"needs {view.scroll_width} of {width} pixels"] if view.scroll_width > width else []
    found += [f"too wide: {text}" for text in view.too_wide]
    found += [f"asks for {url}" for url in view.requests if not url.startswith(("file:", "data:", "blob:"))]
    found += [f"error: {text}" for text in view.errors]
    if view.typeset < view.formulas:
        found.append(f"{view.formulas - view.typeset} formulas are not typeset")
    return found


def main(site: Path, out: Path | None) -> int:
    """Look at all pages; return how many have faults."""
    bad = 0
    pages = sorted(page for page in site.rglob("*.html") if page.name != "404.html")  # that one is for servers
    with browser() as window:
        for page in pages:
            for width, dark in itertools.product(WIDTHS, (False, True)):
                view = window.open(page.absolute().as_uri(), width, dark=dark)
                wrong = faults(view, width)
                bad += bool(wrong)
                name = page.relative_to(site).with_suffix("")
                for text in wrong:
                    print(f"{name}, {width} px, {'dark' if dark else 'light'}: {text}")  # noqa: T201
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    window.picture(out / f"{str(name).replace('/', '-')}-{width}-{'dark' if dark else 'light'}.png")
    print(f"{len(pages)} pages, {bad} views with faults.")  # noqa: T201
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)))
