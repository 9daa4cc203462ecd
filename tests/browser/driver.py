"""Drive JupyterLab in Chromium: start it, open a notebook, run cells, move sliders, look at the images.

Needs the Python package playwright and a Chromium (``CHROMIUM`` or /usr/bin/chromium). Everything is private and
local: a server on the loopback interface with a fresh token, with its own settings, and a browser with its own profile.
"""

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
    # Cells outside the window stay in the page, so that a test finds them.
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}


def missing() -> str | None:
    """Why the browser tests cannot run here, or None."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "the Python package playwright is not installed"
    if not Path(CHROMIUM).exists():
        return f"no Chromium at {CHROMIUM} (set CHROMIUM)"
    return None


@contextlib.contextmanager
def jupyter_lab(folder: Path, private: Path, theme: str = "JupyterLab Light"):
    """A JupyterLab server for ``folder``; yields ``(address, token)``. ``private`` receives its settings and log."""
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    themes = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    for name, values in {**_SETTINGS, themes: {"theme": theme}}.items():
        path = private / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    places = {f"JUPYTER_{name}_DIR": str(private / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}",
        f"--LabApp.user_settings_dir={private / 'settings'}", f"--LabApp.workspaces_dir={private / 'workspaces'}",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with open(private / "server.log", "wb") as log:
        environment = {**os.environ, **places, "IPYTHONDIR": str(private / "ipython")}
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _wait_for_server(server, f"{address}/api/status?token={token}", private / "server.log")
            yield address, token
        finally:
            server.terminate()  # the server ends its kernels
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_for_server(server, url: str, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def browser_page(width: int = 1300, height: int = 1000):
    """A page of a fresh headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=_FLAGS)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


class Notebook:
    """A notebook open in JupyterLab."""

    def __init__(self, page, server: tuple[str, str], name: str):
        self.page = page
        address, token = server
        page.goto(f"{address}/lab/tree/{name}?reset&token={token}")
        page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=90_000)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.evaluate(
            "async () => { await jupyterapp.restored; await jupyterapp.shell.currentWidget.sessionContext.ready }"
        )
        status = "jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status"
        page.wait_for_function(f"{status} === 'idle'", timeout=90_000)

    def command(self, name: str) -> None:
        """Run a JupyterLab command and wait until it has finished."""
        self.page.evaluate("name => jupyterapp.commands.execute(name).then(() => null)", name)

    def clear(self) -> None:
        """Remove all outputs: stored prompts look like a finished run."""
        self.command("notebook:clear-all-cell-outputs")
        assert not any(self.counts()), "stored outputs are still there"

    def run(self, cells: int | None = None) -> None:
        """Run all cells, or the first ``cells`` (markdown counts), and wait. Raises with the error of a cell."""
        total = self.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")
        if cells is None or cells >= total:
            self.command("notebook:run-all-cells")
        else:
            self.page.evaluate("n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n }", cells)
            self.command("notebook:run-all-above")
        if errors := self.errors():
            raise AssertionError("\n".join(errors))

    def counts(self) -> list[int | None]:
        """The execution count of each code cell."""
        return self.page.evaluate(
            "jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code')"
            ".map(c => c.model.executionCount)"
        )

    def errors(self) -> list[str]:
        """Name and message of the errors that the cells show."""
        return self.page.evaluate(
            "jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code')"
            ".flatMap(c => c.model.sharedModel.outputs).filter(o => o.output_type === 'error')"
            ".map(o => `${o.ename}: ${o.evalue}`)"
        )

    def images(self):
        """The live images, as locators."""
        return self.page.locator(".jp-OutputArea-output img.widget-image").all()

    def image(self, number: int = 0) -> bytes:
        """The bytes of a live image. Its address changes with each update, so only the bytes prove a change."""
        image = self.page.locator(".jp-OutputArea-output img.widget-image").nth(number)
        encoded = image.evaluate(
            "async image => { const data = new Uint8Array(await (await fetch(image.src)).arrayBuffer());"
            "let text = ''; for (const byte of data) text += String.fromCharCode(byte); return btoa(text); }"
        )
        return base64.b64decode(encoded)

    def slider(self, label: str):
        """The slider with this label."""
        return self.page.locator(".widget-slider", has=self.page.get_by_text(label, exact=True)).first

    def set_slider(self, label: str, value) -> None:
        """Type a value into a slider's number."""
        readout = self.slider(label).locator(".widget-readout")
        readout.click()
        readout.fill(str(value))
        readout.press("Enter")

    def press(self, label: str, key: str, times: int = 1) -> None:
        """Press a key on a slider's handle, as one does without a mouse."""
        self.slider(label).locator(".noUi-handle").focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def drag(self, label: str, start: float, end: float, steps: int = 40) -> None:
        """Drag a slider's handle between two places of its track, given from 0 to 1."""
        track = self.slider(label).locator(".noUi-base").bounding_box()
        handle = self.slider(label).locator(".noUi-handle").bounding_box()
        y = handle["y"] + handle["height"] / 2
        self.page.mouse.move(handle["x"] + handle["width"] / 2, y)
        self.page.mouse.down()
        self.page.mouse.move(track["x"] + start * track["width"], y)
        self.page.mouse.move(track["x"] + end * track["width"], y, steps=steps)
        self.page.mouse.up()

    def wait_for_change(self, before: bytes, number: int = 0, seconds: float = 30) -> bytes:
        """Wait until a live image differs from ``before`` and has come to rest; returns its bytes."""
        end, last, same = time.monotonic() + seconds, None, 0
        while time.monotonic() < end:
            now = self.image(number)
            same = same + 1 if now == last else 0
            if now != before and same >= 5:
                return now
            last = now
            self.page.wait_for_timeout(150)
        raise AssertionError("the image did not change")

    def screenshot(self, path: Path) -> Path:
        """Save an image of what the window shows."""
        self.page.screenshot(path=path)
        return path
