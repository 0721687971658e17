"""The lessons as a learner sees them: a real JupyterLab in a real browser, driven by Playwright.

Skipped where Playwright or a browser is missing. Screenshots go to the folder that SSDSEG_SCREENSHOTS names, else to
pytest's own.
"""

import base64
import io
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from browsers import playwright, start
from PIL import Image

from ssdseg_course.manifest import LESSONS, find_lesson

expect = playwright.expect

LAPTOP, NARROW = {"width": 1280, "height": 800}, {"width": 800, "height": 800}  # pixels
SERVER_STARTS, KERNEL_RUNS, PAGE_ANSWERS = 120, 180, 60  # seconds at most; on a quiet machine a tenth of it
MOST_STEPS = 20  # of a slider
expect.set_options(timeout=1000 * PAGE_ANSWERS)

SWAPPED = """def grid_centers(rows, cols):
    y, x = np.mgrid[:rows, :cols] + 0.5
    return np.stack([y / rows, x / cols], axis=-1).reshape(-1, 2)"""
RIGHT = SWAPPED.replace("[y / rows, x / cols]", "[x / cols, y / rows]")


def explorer_cells(lesson) -> list[int]:
    """Places of the cells that show an explorer."""
    if not lesson.solution().exists():
        return []
    cells = nbformat.read(lesson.solution(), as_version=4).cells
    return [k for k, cell in enumerate(cells) if cell.cell_type == "code" and re.search("^explore_", cell.source, re.M)]


WHEN = {1: (), 2: pytest.mark.full, 8: pytest.mark.full}  # a lesson's explorers are looked at; all others: slow


with_explorers = pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(lesson, marks=WHEN.get(lesson.number, pytest.mark.slow), id=lesson.name)
        for lesson in LESSONS
        if explorer_cells(lesson)
    ],
)


@pytest.fixture(scope="module")
def browser():
    """Whichever browser there is. Closed with the module: Playwright's loop would be in the way of other tests'."""
    with playwright.sync_playwright() as driver:
        started = start(driver.chromium)
        yield started.new_context(viewport=LAPTOP)  # one for all, so that JupyterLab itself is loaded once
        started.close()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder with copies of all notebooks, nothing run yet."""
    root = tmp_path_factory.mktemp("course")
    for lesson in LESSONS:
        for place in (lesson.solution, lesson.notebook):
            if place().exists():
                notebook = nbformat.read(place(), as_version=4)
                for cell in notebook.cells:
                    if cell.cell_type == "code":
                        cell.outputs, cell.execution_count = [], None
                place(root).parent.mkdir(parents=True)
                nbformat.write(notebook, place(root))
    return root


@pytest.fixture(scope="module")
def lab(browser, course, tmp_path_factory):
    """A JupyterLab that serves that folder, its address and token; none without a browser.

    Its settings are its own: nothing of it touches those of the user.
    """
    home = tmp_path_factory.mktemp("jupyter")
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    folders = {
        name: str(home / folder)
        for name, folder in {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }.items()
    }
    token, log = secrets.token_hex(16), home / "lab.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={_free_port()}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={course}"]
    with log.open("w") as output:
        server = subprocess.Popen(command, env={**os.environ, **folders}, stdout=output, stderr=output)
    try:
        yield _address(server, home / "runtime", log), token
    finally:
        server.terminate()  # takes its kernels with it
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _address(server: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Where the server answers, as it says itself: it takes another port where that one has gone meanwhile."""
    give_up = time.monotonic() + SERVER_STARTS
    while time.monotonic() < give_up and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = json.loads(file.read_text())["url"]
                urllib.request.urlopen(f"{url}api", timeout=5).close()
                return url
            except (ValueError, urllib.error.URLError, TimeoutError):  # half written, or not listening yet
                pass
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def page(browser, request, tmp_path):
    """A window of a laptop's size. What it shows in the end is kept as a screenshot."""
    folder = Path(os.environ.get("SSDSEG_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page = browser.new_page()
    page.set_default_timeout(1000 * PAGE_ANSWERS)
    page.keep = lambda name: page.screenshot(path=folder / f"{request.node.name}-{name}.png")
    yield page
    page.keep("end")
    page.close()


class Notebook:
    """A notebook that is open in the browser."""

    def __init__(self, page, lab, course, path):
        url, token = lab
        self.page = page
        self.content = nbformat.read(path, as_version=4).cells
        self.code = [place for place, cell in enumerate(self.content) if cell.cell_type == "code"]
        page.goto(f"{url}lab/tree/{path.relative_to(course).as_posix()}?token={token}&reset")
        expect(self.cell(0)).to_be_visible()
        expect(page.get_by_role("button", name="| Idle")).to_be_visible()  # the status bar on the kernel

    def cell(self, place: int):
        """A cell by its place. One out of sight may have no content: scroll to it first."""
        return self.page.locator(f'.jp-Notebook [data-windowed-list-index="{place}"]')

    def place(self, grade_id: str) -> int:
        """Where the cell of that grade_id stands."""
        ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in self.content]
        return ids.index(grade_id)

    def run_all(self) -> None:
        """Run > Run All Cells. Does not wait for them."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def write(self, place: int, text: str) -> None:
        """Replace a cell's text, as from a keyboard."""
        editor = self.cell(place).locator(".cm-content")
        editor.scroll_into_view_if_needed()
        editor.click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(text)

    def run(self, place: int) -> None:
        """Run one cell, with the keyboard, and wait until it has run."""
        prompt = self.cell(place).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        self.cell(place).locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+Enter")
        expect(prompt).not_to_have_text(before)
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=1000 * KERNEL_RUNS)

    def wait_until_run(self, place: int) -> None:
        """Wait until a cell's prompt has a number, or until any cell has failed: then no further one runs."""
        prompt = self.cell(place).locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]"))
        prompt.or_(self.errors()).first.wait_for(timeout=1000 * KERNEL_RUNS)

    def has_run(self, place: int) -> bool:
        """Whether a cell has run. Those that waited behind one that failed no longer do."""
        prompt = self.cell(place).locator(".jp-InputPrompt")
        expect(prompt).not_to_contain_text("*")
        return re.search(r"\d", prompt.inner_text()) is not None

    def errors(self):
        """Errors and warnings that are shown anywhere in it."""
        return self.page.locator('.jp-Notebook [data-mime-type="application/vnd.jupyter.stderr"]')


@pytest.fixture
def open_notebook(page, lab, course):
    """Opens the notebook at a path of the course folder."""
    return lambda path: Notebook(page, lab, course, path)


NOTHING_CUT_OFF = """area => {
    const end = area.getBoundingClientRect().right + 2;  // the margin of a widget
    const shown = [...area.querySelectorAll(".jupyter-widgets, .widget-readout, button, img")];
    return shown.every(element => element.getBoundingClientRect().right <= end);
}"""


def shown_picture(cell) -> np.ndarray:
    """The picture that a cell shows, as (H, W, 3) uint8."""
    picture = cell.locator(".jp-OutputArea img:visible")
    expect(picture).to_have_count(1)  # never there twice
    url = picture.evaluate(
        """image => fetch(image.src).then(answer => answer.blob()).then(blob => new Promise(done => {
            const reader = new FileReader();
            reader.onload = () => done(reader.result);
            reader.readAsDataURL(blob);
        }))"""
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


@pytest.mark.full
def test_all_cells_of_lesson_1_run_and_their_figures_are_shown(course, page, open_notebook):
    notebook = open_notebook(find_lesson("01").solution(course))
    notebook.run_all()
    notebook.wait_until_run(notebook.code[-1])
    assert notebook.errors().all_inner_texts() == []
    figures = page.locator(".jp-Notebook .jp-RenderedImage img")
    assert figures.count() > 10
    assert figures.evaluate_all("figures => figures.filter(figure => !figure.naturalWidth).length") == 0
    expect(page.locator('.jp-Notebook [role="status"]', has_text="✓ 01.")).to_have_count(7)


@with_explorers
def test_moving_a_slider_changes_the_picture_and_the_words(lesson, course, page, open_notebook):
    notebook = open_notebook(lesson.notebook(course))
    notebook.run_all()
    notebook.wait_until_run(notebook.code[-1])  # or until the first exercise, which is not written
    for place in explorer_cells(lesson):
        cell = notebook.cell(place)
        if not notebook.has_run(place):
            notebook.run(place)
        slider, words = cell.locator(".noUi-handle").last, cell.locator('[role="status"]')
        slider.scroll_into_view_if_needed()
        picture, text = shown_picture(cell), words.inner_text()
        assert min(picture.shape[:2]) > 100
        page.keep(f"{place}-before")
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(words).not_to_have_text(text, use_inner_text=True)
        for _ in range(MOST_STEPS):  # a threshold that passes no score changes words alone
            moved = shown_picture(cell)
            if moved.shape != picture.shape or (moved != picture).any():
                break
            page.keyboard.press("ArrowRight")
            page.wait_for_timeout(500)
        else:
            pytest.fail("the picture stays the same")
        page.keep(f"{place}-moved")
        page.set_viewport_size(NARROW)
        page.wait_for_function(NOTHING_CUT_OFF, arg=cell.locator(".jp-OutputArea").element_handle())
        page.keep(f"{place}-narrow")
        page.set_viewport_size(LAPTOP)


def test_a_wrong_answer_is_explained_and_a_right_one_earns_its_points(course, page, open_notebook):
    notebook = open_notebook(find_lesson("01").notebook(course))
    answer, check = notebook.place("grid_centers"), notebook.place("check_grid_centers")
    report = notebook.cell(check).locator('[role="status"]')

    notebook.run_all()
    expect(report).to_contain_text("not written yet", timeout=1000 * KERNEL_RUNS)  # where Jupyter stops running cells
    page.keep("unwritten")

    notebook.write(answer, SWAPPED)
    notebook.run(answer)
    notebook.run(check)
    expect(report).to_contain_text("✗ 01.grid_centers  0/10", use_inner_text=True)
    expect(report).to_contain_text("this is what you get when x and y change places")
    report.scroll_into_view_if_needed()
    page.keep("wrong")

    notebook.write(answer, RIGHT)
    notebook.run(answer)
    notebook.run(check)
    expect(report).to_contain_text("✓ 01.grid_centers")
    expect(report).to_contain_text("10/10")
    report.scroll_into_view_if_needed()
    expect(notebook.errors()).to_have_count(0)
