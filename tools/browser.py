"""A real Chromium for tests, driven over its DevTools protocol; and axe-core, fetched once into a cache.

Both are optional: `browser` is None without Chromium, and `axe_source` raises OSError without network.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from evaluation.files import sha256

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
AXE = "axe-core@4.10.3"
AXE_SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
SECONDS = 120                          # for an answer; the machine may be busy


def browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def axe_source() -> str:
    """Return the script of axe-core, downloaded by npm and checked; OSError says why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evaluation-tests"
    archive = cache / f"{AXE.replace('@', '-')}.tgz"
    if not archive.is_file():
        if shutil.which("npm") is None:
            raise FileNotFoundError("npm is not installed")
        with tempfile.TemporaryDirectory() as folder:
            try:
                command = ["npm", "pack", "--silent", "--pack-destination", folder, AXE]
                subprocess.run(command, check=True, capture_output=True, timeout=SECONDS, cwd=folder)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                raise OSError(f"npm cannot download {AXE}: {error}") from None
            cache.mkdir(parents=True, exist_ok=True)
            part = cache / f"{archive.name}.{os.getpid()}"
            shutil.copyfile(Path(folder) / archive.name, part)
            part.replace(archive)
    found = sha256(archive)
    assert found == AXE_SHA256, f"{archive}: SHA-256 {found}, expected {AXE_SHA256}; delete it"
    with tarfile.open(archive) as files:
        member = files.extractfile("package/axe.min.js")
        assert member
        return member.read().decode()


class Browser:
    """A headless Chromium with one page, used as a context manager."""

    def __init__(self) -> None:
        self.number, self.buffer, self.session = 0, b"", ""

    def __enter__(self) -> Browser:
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self.to = os.pipe()
        self.of, theirs_out = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
                 "--no-first-run", f"--user-data-dir={self.folder.name}", "about:blank"]  # fmt: skip
        # Chromium reads commands from descriptor 3 and writes answers to descriptor 4
        redirect = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", str(browser())]
        self.process = subprocess.Popen(
            [*redirect, *flags], pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")
        self.send("Runtime.enable")
        self.errors: list[str] = []
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.close(self.to)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.of)
        self.folder.cleanup()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data) :]
        while True:
            found = self._next()
            if found.get("id") == self.number:
                assert "error" not in found, found["error"]
                result: dict[str, Any] = found["result"]
                return result

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.of], [], [], max(end - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            data = os.read(self.of, 1 << 20)
            assert data, "Chromium has ended"
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if found.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(json.dumps(found["params"]))
        return found

    def open(
        self, page: Path | str, width: int = 1100, height: int = 900, dark: bool = False, mobile: bool = False
    ) -> None:
        """Open a file, or an address, in a window of a size and a colour scheme."""
        address = page if isinstance(page, str) else page.resolve().as_uri()
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", media="", features=scheme)
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=address)
        scheme_of = address.partition(":")[0] + ":"
        end = time.monotonic() + SECONDS
        while self.run("document.readyState === 'complete' && location.protocol") != scheme_of:
            assert time.monotonic() < end, "the page does not load"
            time.sleep(0.05)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Enter": 13, " ": 32, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)

    def pdf(self) -> bytes:
        """Return the page as its own style sheet prints it."""
        found = self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(found["data"])
