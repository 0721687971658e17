"""How long do the networks take in a browser, in the page of `ssdseg export --to web`? A table of docs/device.md.

    python tests/benchmarks/page.py

The page with the shipped networks in 16 bits, drawn scenes, a headless Chromium. Each time is that of the network
alone, in its worker; pictures a second count all that the page does. The best of three windows of five seconds.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

WINDOWS, SECONDS = 3, 5
PATIENCE = 60  # seconds until the first picture


def until(tab, expression: str) -> None:
    """Wait until something holds in the page."""
    end = time.monotonic() + PATIENCE
    while not tab.evaluate(expression):
        if time.monotonic() > end:
            sys.exit(f"not within {PATIENCE} s: {expression}")
        time.sleep(0.05)


def measured(tab) -> tuple[float, float]:
    """Milliseconds of the network, and pictures a second, of the best window."""
    found = []
    for _ in range(WINDOWS):
        times, frames, begun = [], tab.evaluate("live.frames"), time.monotonic()
        while time.monotonic() - begun < SECONDS:
            time.sleep(0.25)
            times.append(tab.evaluate("pace.times.at(-1)"))
        rate = (tab.evaluate("live.frames") - frames) / (time.monotonic() - begun)
        found.append((float(np.median(times)), rate))
    return max(found, key=lambda pair: pair[1])


def main() -> None:
    """Print the table."""
    from browsers import playwright, start

    from ssdseg_course.export import page
    from ssdseg_course.export.page import serving
    from ssdseg_ref import multitask

    networks = {name: (multitask.load_network(name), config) for name, config in multitask.SHIPPED.items()}
    with tempfile.TemporaryDirectory() as place, playwright.sync_playwright() as driver:
        page.write_page(networks, Path(place) / "page", bits=16, one_file=False)
        server = serving.open_server(Path(place) / "page")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = start(driver.chromium)
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(serving.address(server))
        until(tab, "live.source === 'scenes' && live.frames > 5")
        print(f"Chromium {browser.version}\n")
        print("| network, 16 bits | threads | network, ms | pictures a second |\n|---|---|---|---|")
        for name in networks:
            for option in tab.evaluate("[...byId('backend').options].map(option => option.value)"):
                tab.select_option("#network", name)
                tab.select_option("#backend", option)
                until(tab, f"live.network === '{name}' && live.backend === '{option}' && pace.times.length > 10")
                milliseconds, rate = measured(tab)
                print(f"| {name} | {option.split()[1]} | {milliseconds:.0f} | {rate:.1f} |", flush=True)
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
