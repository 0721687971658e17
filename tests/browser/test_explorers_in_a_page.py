"""The explorers in a page, in Chromium: that they say what the notebook says, and can be used by everybody."""

import functools
import http.server
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
from browsers import playwright, start

from ssdseg_course.explorers import (
    anchors,
    cost,
    field_of_view,
    hits,
    matching,
    mining,
    prediction,
    quantization,
    relu,
    shuffle,
    suppression,
)
from ssdseg_course.site.explorers import PAGES, PLACE, write_explorers

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install axe-playwright-python"
)

PATIENCE = 60_000  # milliseconds at most; on a quiet machine a fiftieth of it
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 812}
DRAWS = {"anchors": 8, "matching": 8}  # random settings of each explorer that are compared
FEWER_DRAWS = 3
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
READY = f"document.querySelectorAll('.explorer-awake').length === {len(PAGES)}"
# Sets one control as a person does, by the events that an input sends; what it allows is up to the input.
SET = """([explorer, draws]) => {
    const section = document.querySelector(`[data-explorer="${explorer}"]`);
    for (const group of section.querySelectorAll("[data-control]")) {
        const draw = draws.shift();
        const inputs = group.matches("input") ? [group] : [...group.querySelectorAll("input")];
        if (group.matches("select")) {
            if (!group.options.length) continue;
            group.selectedIndex = Math.floor(draw[0] * group.options.length);
            group.dispatchEvent(new Event("change", {bubbles: true}));
        } else if (inputs[0].type === "range") inputs.forEach((input, k) => {
            input.value = Number(input.min) + draw[k] * (input.max - input.min);
            input.dispatchEvent(new Event("input", {bubbles: true}));
        });
        else if (inputs[0].type === "radio") inputs[Math.floor(draw[0] * inputs.length)].click();
        else inputs.forEach((input, k) => { if ((draw[k] < 0.5) !== input.checked) input.click(); });
    }
    return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done({
        state: JSON.parse(section.dataset.state),
        words: section.querySelector(".explorer-words").textContent,
    }))));
}"""
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
DARK = "document.documentElement.dataset.theme = 'dark'; document.body.style.background = '#121212'"
NOW = """explorer => {
    const section = document.querySelector(`[data-explorer="${explorer}"]`);
    return {state: JSON.parse(section.dataset.state), words: section.querySelector(".explorer-words").textContent};
}"""


def anchor_state(level, scales, ratios, cell, scene):
    return anchors.AnchorState(scene, level, *scales, tuple(anchors.RATIOS[name] for name in ratios), cell)


def matching_state(threshold, box, x, y, scene):
    sides = (None, None) if box is None else (tuple(x), tuple(y))
    return matching.MatchingState(scene, threshold, box, *sides)


STATES: dict[str, Callable] = {
    "prediction": prediction.PredictionState,
    "anchors": anchor_state,
    "matching": matching_state,
    "cost": lambda size, **rest: cost.CostState(size=tuple(size), **rest),
    "relu": relu.ReluState,
    "shuffle": shuffle.ShuffleState,
    "mining": mining.MiningState,
    "suppression": suppression.SuppressionState,
    "field_of_view": field_of_view.FieldState,
    "hits": hits.HitsState,
    "quantization": quantization.QuantizationState,
}


@functools.cache
def notebook(name):
    return PAGES[name].explore()


def said_by_python(name, state):
    return notebook(name).view(STATES[name](**state))[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    body = "".join(write_explorers(root / "parts" / "explorers").values()).replace(PLACE, "../parts/explorers")
    (root / "lessons").mkdir()
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>All</title>'
    )
    icon = '<link rel="icon" href="data:,">'
    page = (
        f'<!doctype html><html lang="en"><head>{head}{icon}</head><body><main><h1>All</h1>{body}</main></body></html>'
    )
    (root / "lessons" / "all.html").write_text(page, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def address(root):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/lessons/all.html"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = start(running.chromium)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """Opens the page; at the end it must have complained of nothing, and asked no other host."""
    tabs, complaints, asked = [], [], []

    def open_it(dark=False, **options):
        tab = browser.new_page(**{"viewport": WIDE, **options})
        tabs.append(tab)
        tab.set_default_timeout(PATIENCE)
        tab.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        if dark:
            tab.evaluate(DARK)
        tab.wait_for_function(READY)
        return tab

    yield open_it
    for tab in tabs:
        tab.close()
    assert complaints == []
    origin = address.rsplit("/", 2)[0]
    assert [url for url in asked if not url.startswith((origin, "data:"))] == []


def test_every_explorer_begins_with_the_words_of_the_notebook(open_page):
    tab = open_page()
    for name in PAGES:
        shown = tab.evaluate(NOW, name)
        assert shown["words"] == said_by_python(name, shown["state"]), name
        assert STATES[name](**shown["state"]) == notebook(name).state, name


@pytest.mark.parametrize("name", PAGES)
def test_wherever_its_controls_stand_a_page_says_what_the_notebook_says(open_page, name):
    tab, dice = open_page(), random.Random(name)
    seen = set()
    for _ in range(DRAWS.get(name, FEWER_DRAWS)):
        draws = [[dice.random() for _ in range(6)] for _ in PAGES[name].controls]
        if name == "matching":  # the scene first, for it brings its own boxes, and the last control is read first then
            tab.evaluate(SET, [name, [[0.5], [0], [0, 1], [0, 1], [draws[-1][0]]]])
            draws[-1] = draws[-1][:1]
        shown = tab.evaluate(SET, [name, draws])
        assert shown["words"] == said_by_python(name, shown["state"]), shown["state"]
        seen.add(shown["words"])
    assert len(seen) > 1


def test_a_moved_box_is_matched_where_it_is_now(open_page):
    tab, dice = open_page(), random.Random(0)
    for name, low, high in (("x-0", 0, 200), ("x-1", 0, 224), ("y-0", 0, 140), ("y-1", 0, 160)):
        for _ in range(3):
            value = dice.randrange(low, high) + 0.5
            tab.locator(f"#explorer-matching-{name}").evaluate(
                "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
            )
            tab.evaluate(DRAWN)
            shown = tab.evaluate(NOW, "matching")
            assert shown["words"] == said_by_python("matching", shown["state"])
            for ends in (shown["state"]["x"], shown["state"]["y"]):
                assert ends[0] <= ends[1]


def test_a_box_follows_the_pointer_and_no_further_than_the_border(open_page):
    tab = open_page()
    svg = tab.locator('[data-explorer="matching"] svg')
    svg.scroll_into_view_if_needed()
    frame, before = svg.bounding_box(), tab.evaluate(NOW, "matching")["state"]
    scale = 672 / 736 * frame["width"] / 224  # screen pixels for a pixel of the network's image
    margin = 32 / 736 * frame["width"]
    x, y = (margin + scale * np.mean(before[side]) + frame[side] for side in ("x", "y"))
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 10 * scale, y + 5 * scale, steps=4)
    tab.evaluate(DRAWN)
    moved = tab.evaluate(NOW, "matching")
    assert moved["state"]["x"] == pytest.approx([side + 10 for side in before["x"]], abs=0.6)
    assert moved["state"]["y"] == pytest.approx([side + 5 for side in before["y"]], abs=0.6)
    assert moved["words"] == said_by_python("matching", moved["state"])
    tab.mouse.move(0, 0, steps=4)
    tab.mouse.up()
    tab.evaluate(DRAWN)
    assert tab.evaluate(NOW, "matching")["state"]["x"][0] >= 0


def test_a_click_chooses_the_cell_under_it(open_page):
    tab = open_page()
    svg = tab.locator('[data-explorer="anchors"] svg')
    svg.scroll_into_view_if_needed()
    frame = svg.bounding_box()
    margin = 32 / 736 * frame["width"]
    svg.click(position={"x": margin + 5, "y": margin + 5})
    tab.wait_for_function("JSON.parse(document.querySelector('[data-explorer=anchors]').dataset.state).cell === 0")


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_alone_moves_every_control(open_page, name):
    tab = open_page()
    section = tab.locator(f'[data-explorer="{name}"]')
    for group in section.locator("[data-control]").all():
        control = group.get_attribute("data-control")
        before = tab.evaluate(NOW, name)["state"][control]
        kind = group.get_attribute("data-kind")
        group.evaluate(
            "one => (one.matches('input, select') ? one : one.querySelector('input:checked, input')).focus()"
        )
        for key in ("Space",) if kind == "flags" else ("ArrowLeft", "ArrowRight"):  # the first may stand at its end
            tab.keyboard.press(key)
            tab.evaluate(DRAWN)
            if (after := tab.evaluate(NOW, name)["state"][control]) != before:
                break
        assert after != before, control


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(open_page, dark, size):
    tab = open_page(dark, viewport=size, reduced_motion="reduce")
    assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = axe.Axe().run(tab, context=".explorer", options={"runOnly": LEVELS})
    assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []


def test_explorers_work_from_the_disk(browser, root):
    tab, complaints = browser.new_page(viewport=WIDE), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("requestfailed", lambda request: complaints.append(request.url))
    tab.goto((root / "lessons" / "all.html").as_uri())
    tab.wait_for_function(READY, timeout=PATIENCE)
    for name in PAGES:
        shown = tab.evaluate(NOW, name)
        assert shown["words"] == said_by_python(name, shown["state"]), name
    assert complaints == []
    tab.close()


def test_a_page_without_scripts_has_a_picture_and_its_words(browser, address):
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(address)
        for name in PAGES:
            section = tab.locator(f'[data-explorer="{name}"]')
            assert section.locator(".explorer-words").inner_text() == notebook(name).view(notebook(name).state)[1]
            assert section.locator("img").count() == 1
