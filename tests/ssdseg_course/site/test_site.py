"""The built site: whole, linked, spelt, without other hosts, and open to all readers."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.site import building, lessons
from ssdseg_course.site.errors import SiteError

HTTP_ALONE = ("host.robots.ox.ac.uk",)  # PASCAL VOC, as its authors give the address
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


def pages_have_no_violation_that_axe_finds_and_fit_a_phone(site):
    from axe_playwright_python.sync_playwright import Axe

    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from browsers import playwright, start

    names = ("index", "lessons/01_anchors", "solutions/01_anchors", "api/ssdseg_ref.anchors", "glossary", "search")
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    wrong, others = [], []
    with playwright.sync_playwright() as play:
        browser = start(play.chromium)
        for scheme, width in (("light", 1280), ("dark", 375)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
            page.on("request", lambda request: others.append(request.url) if request.url.startswith("http") else None)
            for name in names:
                page.goto((site / f"{name}.html").as_uri())
                page.wait_for_timeout(300)
                for found in Axe().run(page, options=rules).response["violations"]:
                    wrong.append((name, scheme, found["id"], found["nodes"][0]["html"][:150], len(found["nodes"])))
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wrong.append((name, width, "is wider than the window"))
        browser.close()
    assert wrong == []
    assert others == []


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
    pages_have_no_violation_that_axe_finds_and_fit_a_phone(site)


def test_the_site_s_own_texts_are_spelt_as_the_british_do():
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,rare", str(Path(building.__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(building.__file__).parent.glob("pages/*.md"))
    assert re.findall(r"\b(?:color|normaliz\w+|quantiz\w+|neighbor\w*|center\w*)\b(?!_)", text) == []


def test_something_that_is_no_site_is_not_replaced(tmp_path):
    (tmp_path / "work.txt").write_text("mine")
    with pytest.raises(SiteError, match="is not a site"):
        building.build(tmp_path)
    assert (tmp_path / "work.txt").read_text() == "mine"


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
