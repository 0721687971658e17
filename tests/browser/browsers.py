"""Whichever Chromium there is, for the tests that drive one by Playwright."""

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # or it does not start for root, as in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def start(chromium, *flags):
    """The browser, with some more flags; the test is skipped where there is none."""
    paths = [path for path in map(shutil.which, BROWSERS) if path]
    for path in [*paths, None]:  # None is the one that Playwright has downloaded itself
        try:
            return chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        except playwright.Error:
            continue
    found = f"none of {', '.join(paths)} starts" if paths else "none found"
    pytest.skip(f"no browser, {found}: apt-get install chromium, or playwright install chromium")
