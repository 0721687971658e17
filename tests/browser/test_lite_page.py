"""Lessons 0 to 3 in the browser's own Python, in a real browser.

Skipped where there is no browser, or where SSDSEG_PYODIDE names no folder with a Pyodide distribution.
"""

import contextlib
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from browsers import playwright, start

from ssdseg_course.lite import pyodide
from ssdseg_course.lite.wheel import write_wheel
from ssdseg_course.manifest import ROOT, find_lesson
from ssdseg_ref.data.warehouse import render

PATIENCE = 120_000  # milliseconds at most; on a quiet machine a tenth of it
SEEDS = (1, 33, 2020)
OWN_PYTHON = ROOT / ".venv-lite" / "bin" / "python"  # of `make lite`
RIGHT = """def to_pixels(box, image_size):
    height, width = image_size
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height"""
PAGE = """<!doctype html><meta charset="utf-8"><title>Checks</title><script type="module">
const { loadPyodide } = await import("./pyodide.mjs");
window.lines = [];
try {
  const python = await loadPyodide({ indexURL: "./", stdout: line => window.lines.push(line) });
  await python.loadPackage(["numpy", "pillow"]);
  for (const name of PACKAGES) python.unpackArchive(await (await fetch(name)).arrayBuffer(), "zip");
  await python.runPythonAsync(await (await fetch("checks.py")).text());
} catch (error) { window.lines.push(String(error)); }
window.done = true;
</script>"""
CHECKS = """
import hashlib
from ssdseg_course import EXERCISES
from ssdseg_course.check import report_on
from ssdseg_ref.data.warehouse import render

for name in EXERCISES:
    if name[:2] in ("00", "01", "02", "03"):
        print("check", name, report_on(EXERCISES[name], EXERCISES[name].reference, 7).passed)
for seed in SEEDS:
    scene = render(seed)
    parts = (scene.image, scene.mask, scene.boxes, scene.labels)
    print("scene", hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


@pytest.fixture(scope="module")
def distribution():
    named = os.environ.get("SSDSEG_PYODIDE")
    if not named:
        pytest.skip("SSDSEG_PYODIDE names no folder with a Pyodide distribution, such as Pyodide's own archive")
    return Path(named)


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """A server for a folder; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextlib.contextmanager
def opened(address):
    """A page of a browser, and the requests that went to other hosts."""
    elsewhere = []
    with playwright.sync_playwright() as engine:
        browser = start(engine.chromium)
        page = browser.new_page(viewport={"width": 1400, "height": 900}, accept_downloads=True)
        page.set_default_timeout(PATIENCE)
        local = (address, "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(local) or elsewhere.append(request.url))
        yield page, elsewhere
        browser.close()


def zipped(package, folder):
    """A package that is installed here, as a zip."""
    root = Path(importlib.util.find_spec(package).origin).parent
    with zipfile.ZipFile(folder / f"{package}.zip", "w") as archive:
        for file in root.glob("*.py"):
            archive.write(file, f"{package}/{file.name}")
    return f"{package}.zip"


def test_all_checks_of_lessons_0_to_3_pass_there_and_scenes_are_the_same_to_the_last_bit(distribution, tmp_path):
    for file in pyodide.needed_files(distribution):
        shutil.copy(file, tmp_path)
    packages = [zipped("platformdirs", tmp_path), write_wheel(tmp_path).name]
    (tmp_path / "index.html").write_text(PAGE.replace("PACKAGES", json.dumps(packages)))
    (tmp_path / "checks.py").write_text(CHECKS.replace("SEEDS", repr(SEEDS)))
    with served(tmp_path) as address, opened(address) as (page, elsewhere):
        page.goto(address)
        page.wait_for_function("window.done")
        lines = page.evaluate("window.lines")
    assert [line for line in lines if line.startswith("check ") and not line.endswith(" True")] == []
    assert sum(line.startswith("check ") for line in lines) == 22, lines[-1]
    scenes = map(render, SEEDS)
    parts = ((scene.image, scene.mask, scene.boxes, scene.labels) for scene in scenes)
    here = [hashlib.sha256(b"".join(part.tobytes() for part in some)).hexdigest() for some in parts]
    assert [line.split()[1] for line in lines if line.startswith("scene ")] == here
    assert elsewhere == []


def test_a_lesson_is_worked_through_saved_downloaded_and_has_its_points(distribution, tmp_path):
    if not OWN_PYTHON.exists():
        pytest.skip("JupyterLite is not there: `make lite` sets it up")
    built = subprocess.run(
        [OWN_PYTHON, "-m", "ssdseg_course.lite", tmp_path / "page"],
        env=os.environ | {"SSDSEG_PYODIDE": str(distribution), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    lesson = find_lesson("0")
    with served(tmp_path / "page") as address, opened(address) as (page, elsewhere):
        page.goto(address)
        page.get_by_role("link", name="Lesson 0").click()
        page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")
        answer = page.locator(".jp-CodeCell .cm-content", has_text="def to_pixels")
        page.mouse.move(700, 500)
        for _ in range(40):  # cells out of sight are not drawn
            if answer.count():
                break
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(500)
        answer.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(RIGHT)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.get_by_text("✓ 00.to_pixels").wait_for(state="attached")
        page.keyboard.press("Control+s")
        page.locator(".jp-DirListing-item", has_text=f"{lesson.name}.ipynb").first.click(button="right")
        with page.expect_download() as download:
            page.locator(".lm-Menu-item[data-command='filebrowser:download']").click()
        download.value.save_as(tmp_path / f"{lesson.name}.ipynb")
    assert elsewhere == []
    text = (tmp_path / f"{lesson.name}.ipynb").read_text(encoding="utf-8")
    assert re.search("needs TensorFlow, which the browser's Python does not have", text)
    said = subprocess.run(
        [sys.executable, "-m", "ssdseg_course", "doctor", tmp_path / f"{lesson.name}.ipynb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "all is well with it; 1 of 1 answers are written." in said.stdout, said.stderr
