"""The built site: whole, linked, spelt, without other hosts, and open to all readers."""

import contextlib
import functools
import http.server
import itertools
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.site import building, lessons
from ssdseg_course.site.errors import SiteError

HTTP_ALONE = ("host.robots.ox.ac.uk",)  # PASCAL VOC, as its authors give the address
PATIENCE = 60_000  # milliseconds at most
KINDS = (  # of pages, one of each
    "index.html",
    "lessons/01_anchors.html",
    "lessons/08_training.html",  # wide tables
    "lessons/03_convolutions.html",  # wide formulas
    "solutions/01_anchors.html",
    "explorers.html",
    "glossary.html",
    "notation.html",
    "api/index.html",
    "api/ssdseg_ref.anchors.html",
    "docs/grading.html",
    "docs/models/mobilenetv2.html",
    "datasets/warehouse.html",
    "README.html",
    "CHANGELOG.html",
    "search.html?q=anchor",
)
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """What a page links to, loads, and offers as anchors."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.loads, self.names, self.pictures = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in LOADED and values.get(LOADED[tag]) and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values[LOADED[tag]])
        if tag == "img":
            self.pictures.append(values.get("alt"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def a_browser():
    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from browsers import playwright, start

    with playwright.sync_playwright() as running:
        browser = start(running.chromium)
        yield browser
        browser.close()


def every_link_within_the_site_leads_somewhere_and_others_are_https(pages):
    wrong = []
    for path, page in pages.items():
        for link in {*page.links, *page.loads}:
            parts = urlsplit(link)
            if parts.scheme in ("data", "mailto") or parts.scheme == "https" or parts.netloc in HTTP_ALONE:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if (
                parts.scheme
                or not target.is_file()
                or (parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names)
            ):
                wrong.append((path.name, link))
    assert wrong == []


def no_page_loads_anything_from_another_host(pages):
    assert [(path.name, load) for path, page in pages.items() for load in page.loads if urlsplit(load).netloc] == []


def every_picture_has_words(pages):
    assert [path.name for path, page in pages.items() for alt in page.pictures if not alt] == []


def a_lesson_has_its_outputs_and_no_solution_and_the_solutions_are_folded(site):
    for lesson in LESSONS:
        learners = (site / "lessons" / f"{lesson.name}.html").read_text(encoding="utf-8")
        solutions = (site / "solutions" / f"{lesson.name}.html").read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" not in learners + solutions
        assert "raise" in learners
        assert "NotImplementedError" in learners
        assert solutions.count("<details>") == solutions.count("</details>") > 0


def watched(browser, problems, **options):
    """A tab that writes down whatever goes wrong in it."""
    tab = browser.new_page(**options)
    tab.on("console", lambda message: problems.append((tab.url, message.text)) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append((tab.url, str(error))))
    tab.on("requestfailed", lambda request: problems.append((tab.url, request.url, request.failure)))
    tab.on("response", lambda answer: problems.append((answer.status, answer.url)) if answer.status >= 400 else None)
    return tab


def pages_have_no_violation_that_axe_finds_no_error_and_fit_a_phone(browser, address):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}, "preload": False}
    wrong, asked = [], set()
    for scheme, width in itertools.product(("light", "dark"), (1280, 375)):
        tab = watched(browser, wrong, color_scheme=scheme, viewport={"width": width, "height": 800})
        tab.on("request", lambda request: asked.add(request.url))
        for name in KINDS:
            tab.goto(f"{address}/{name}")
            tab.wait_for_load_state("networkidle")
            if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append((name, width, "is wider than the window"))
            for found in axe.run(tab, options=rules).response["violations"]:
                node = found["nodes"][0]
                wrong.append((name, scheme, width, found["id"], node["html"][:150], len(found["nodes"])))
        tab.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def the_network_runs_in_the_front_page_once_it_is_asked_to(browser, start_page):
    wrong, asked = [], []
    tab = watched(browser, wrong, viewport={"width": 1280, "height": 900})
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(start_page)
    tab.wait_for_load_state("networkidle")
    assert not any("/network/" in url for url in asked)  # six megabytes
    tab.locator(".live summary").click()
    network = tab.frame_locator(".live iframe")
    network.locator("#found span").first.wait_for(timeout=PATIENCE)  # something is found in a scene
    tab.locator(".live summary").click()
    tab.locator(".live iframe").wait_for(state="detached", timeout=PATIENCE)
    assert wrong == []
    tab.close()


def the_search_finds_pages(browser, search_page):
    wrong = []
    tab = watched(browser, wrong)
    tab.goto(f"{search_page}?q=coverage")
    tab.wait_for_function("/found \\d+ pages/.test(document.body.textContent)", timeout=PATIENCE)
    assert tab.locator("a", has_text="Lesson 1").count() > 0
    assert wrong == []
    tab.close()


def explorers_wake(browser, explorers_page):
    wrong = []
    tab = watched(browser, wrong)
    tab.goto(explorers_page)
    tab.wait_for_function("!document.querySelector('.explorer:not(.explorer-awake)')", timeout=PATIENCE)
    assert wrong == []
    tab.close()


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")  # of Sphinx's extensions
def test_the_site_is_whole_and_open_to_all_readers(tmp_path):  # one test, for the build takes longer than all of them
    site = tmp_path / "out"
    building.build(site)
    pages = {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    every_link_within_the_site_leads_somewhere_and_others_are_https(pages)
    no_page_loads_anything_from_another_host(pages)
    every_picture_has_words(pages)
    a_lesson_has_its_outputs_and_no_solution_and_the_solutions_are_folded(site)
    with a_browser() as browser, served(site) as address:
        pages_have_no_violation_that_axe_finds_no_error_and_fit_a_phone(browser, address)
        for place in (address, site.as_uri()):  # from a server, and from the disk
            the_network_runs_in_the_front_page_once_it_is_asked_to(browser, f"{place}/index.html")
            the_search_finds_pages(browser, f"{place}/search.html")
            explorers_wake(browser, f"{place}/explorers.html")


def test_something_that_is_no_site_is_not_replaced(tmp_path):
    (tmp_path / "work.txt").write_text("mine")
    with pytest.raises(SiteError, match="is not a site"):
        building.build(tmp_path)
    assert (tmp_path / "work.txt").read_text() == "mine"


@pytest.fixture
def quick(monkeypatch):
    """A build whose pages are one page that says "new"."""
    monkeypatch.setattr(building, "_write_sources", lambda *_: None)
    monkeypatch.setattr(building, "_write_network", lambda folder: None)

    def write(source, pages):
        pages.mkdir()
        (pages / "index.html").write_text("new")

    monkeypatch.setattr(building, "_run_sphinx", write)


def a_site(folder):
    folder.mkdir()
    (folder / building.MARK).touch()
    (folder / "index.html").write_text("old")


def left_by(folder):
    return sorted(path.name for path in folder.iterdir()), (folder / "site" / "index.html").read_text()


def test_a_build_takes_the_place_of_the_old_site_and_leaves_nothing_beside_it(tmp_path, quick):
    a_site(tmp_path / "site")
    building.build(tmp_path / "site")
    assert left_by(tmp_path) == (["site"], "new")


def test_lessons_that_run_in_the_browser_may_be_built_before_the_site_and_stay(tmp_path, quick):
    lite = tmp_path / "site" / "lite" / "index.html"
    lite.parent.mkdir(parents=True)
    lite.write_text("lessons")
    building.build(tmp_path / "site")
    assert left_by(tmp_path) == (["site"], "new")
    assert lite.read_text() == "lessons"


def test_a_build_that_fails_leaves_the_old_site_as_it_was(tmp_path, quick, monkeypatch):
    a_site(tmp_path / "site")

    def fail(*_):
        raise SiteError("broken")

    monkeypatch.setattr(building, "_write_network", fail)
    with pytest.raises(SiteError, match="broken"):
        building.build(tmp_path / "site")
    assert left_by(tmp_path) == (["site"], "old")


STOPPED = """
import os, sys
from pathlib import Path
from ssdseg_course.site import building
building._write_sources = building._write_network = lambda *_: None
building._run_sphinx = lambda source, pages: (pages.mkdir(), (pages / "index.html").write_text("new"))
rename = Path.rename
def stop_after(path, target):
    rename(path, target)
    os._exit(9)
Path.rename = stop_after
building.build(Path(sys.argv[1]))
"""


def test_the_next_build_finds_the_site_that_one_stopped_between_its_two_renames_has_left(tmp_path, quick, monkeypatch):
    a_site(tmp_path / "site")
    done = subprocess.run([sys.executable, "-c", STOPPED, str(tmp_path / "site")], check=False)
    assert done.returncode == 9
    assert not (tmp_path / "site").exists()
    with monkeypatch.context() as patch:
        patch.setattr(building, "_write_sources", lambda *_: (_ for _ in ()).throw(SiteError("broken")))
        with pytest.raises(SiteError):
            building.build(tmp_path / "site")
    assert left_by(tmp_path) == (["site"], "old")
    building.build(tmp_path / "site")
    assert left_by(tmp_path) == (["site"], "new")


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_broken_notebook_is_named_with_the_remedy(tmp_path, content):
    lesson = LESSONS[1]
    if content is not None:
        lesson.solution(tmp_path).parent.mkdir(parents=True)
        lesson.solution(tmp_path).write_text(content)
    with pytest.raises(SiteError, match=r"01_anchors\.ipynb is .*make lessons"):
        lessons.write_lesson(lesson, tmp_path / "source", tmp_path, {})


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "NEEDED", ("no_such_package",))
    with pytest.raises(SiteError, match="no_such_package is not installed: pip install"):
        building.build(tmp_path / "out")
