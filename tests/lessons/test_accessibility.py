"""What the lessons, the explorers and the checks owe to readers who cannot see, or see other colours.

What a program can tell: that there are words for every figure, not that they are true; that styles differ where
colours do, not that a reader notices. For the rest, look at the figures.
"""

import ast
import html
import importlib
import itertools
import pkgutil
import re
import sys
from collections import defaultdict
from pathlib import Path

import ipywidgets as widgets
import nbformat
import numpy as np
import pytest
from matplotlib.colors import CSS4_COLORS, TABLEAU_COLORS, to_hex, to_rgb

from ssdseg_course import explorers
from ssdseg_course.checking.report import Report
from ssdseg_course.explorers.explorer import Explorer
from ssdseg_course.manifest import LESSONS
from ssdseg_ref.plot import OKABE_ITO

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)

LEAST_WORDS = 12  # of an alt text that says what is to be seen
PALETTE = {colour.lower() for colour in OKABE_ITO}

# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency", the
# matrices of severity 1, for linear RGB. About 1 in 100 men each sees so.
SEEN_BY = {
    "trichromats": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE_POINT = np.array([0.95047, 1.0, 1.08883])  # D65
# In CIELAB, where about 2.3 can just be noticed side by side. Okabe and Ito's colours stay over it, the ill-famed red
# and green fall below.
TOLD_APART = 15

# WCAG 2.2, success criteria 1.4.3 (text) and 1.4.11 (what is no text).
LEAST_CONTRAST_OF_TEXT, LEAST_CONTRAST_OF_BARS = 4.5, 3.0


def notebook_of(lesson):
    return nbformat.read(lesson.solution(), as_version=4)


def outputs_of(lesson) -> list[tuple[dict, dict | None]]:
    """The outputs of the solution, each with the one after it."""
    following = []
    for cell in notebook_of(lesson).cells:
        if cell.cell_type == "code":
            following += itertools.zip_longest(cell.outputs, cell.outputs[1:])
    return following


def pictures_of(lesson) -> list[tuple[str, dict | None]]:
    """The alt text of every picture of the solution, and the output after it."""
    return [
        (output.metadata.get("image/png", {}).get("alt", ""), after)
        for output, after in outputs_of(lesson)
        if "image/png" in output.get("data", {})
    ]


def prose_of(lesson) -> str:
    """The markdown cells, without code."""
    text = "\n\n".join(cell.source for cell in notebook_of(lesson).cells if cell.cell_type == "markdown")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]+`", "", text)


# Figures in words


@every_lesson
def test_every_picture_has_alt_text_that_says_what_is_to_be_seen(lesson):
    alts = [alt for alt, _ in pictures_of(lesson)]
    assert alts
    for alt in alts:
        assert len(alt.split()) >= LEAST_WORDS, f"alt text {alt!r}"
        assert not re.match(r"(a |an |the )?(image|picture|figure|plot)\b", alt, re.I), f"alt text {alt!r}"
    assert len(set(alts)) == len(alts), "two figures have the same alt text"


@every_lesson
def test_the_words_of_every_figure_can_be_unfolded_under_it(lesson):
    """An explorer's still picture is the exception: a running notebook shows its words as text."""
    stills = 0
    for alt, after in pictures_of(lesson):
        if after is None:
            stills += 1
            continue
        words = re.fullmatch(
            r"<details><summary>This figure in words</summary>(.+)</details>",
            after.get("data", {}).get("text/html", ""),
        )
        assert words, f"nothing to unfold under {alt!r}"
        assert html.unescape(words[1]) == alt
    source = lesson.source().read_text(encoding="utf-8")
    assert stills == len(re.findall(r"^explore_\w+\(", source, re.M))


@every_lesson
def test_no_picture_is_shown_past_the_function_that_asks_for_alt_text(lesson):
    tree = ast.parse(lesson.source().read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
            assert not any("pyplot" in name or name in ("IPython.display", "display") for name in names)
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "show":
            given = ["figure", "alt"][: len(node.args)] + [keyword.arg for keyword in node.keywords]
            assert "alt" in given, f"line {node.lineno}"


@every_lesson
def test_pictures_in_the_prose_have_alt_text(lesson):
    prose = prose_of(lesson)
    for alt in re.findall(r"!\[([^\]]*)\]\(", prose):
        assert len(alt.split()) >= LEAST_WORDS
    for tag in re.findall(r"<img\b[^>]*>", prose):
        assert re.search(r'\balt="[^"]+"', tag)


# Colours


def test_figures_are_drawn_in_the_colours_of_okabe_and_ito_and_in_greys(run):
    for panel in run.panels:
        colours = {colour for _, colours in panel["marks"] for colour in colours}
        assert {colour for colour in colours if _is_chromatic(colour)} <= PALETTE, panel["alt"]


def test_what_differs_in_colour_differs_in_style_too(run):
    """Lines in dashes or marker, areas in hatch. Light and dark everyone can tell apart: greys count as no colour."""
    for panel in run.panels:
        by_style = defaultdict(set)
        for style, colours in panel["marks"]:
            by_style[style] |= {colour for colour in colours if _is_chromatic(colour)}
        assert {style: colours for style, colours in by_style.items() if len(colours) > 1} == {}, panel["alt"]


def test_colours_of_one_panel_are_told_apart_by_colour_blind_readers(run):
    for panel in run.panels:
        colours = {colour for _, colours in panel["marks"] for colour in colours if _is_chromatic(colour)}
        assert _confused(colours) == [], panel["alt"]


def test_the_colours_of_the_palette_are_told_apart_by_colour_blind_readers():
    assert _confused(OKABE_ITO) == []


def test_the_measure_knows_that_red_and_green_are_confused():
    assert {reader for *_, reader in _confused(["tab:red", "tab:green"])} == {"deuteranopes"}
    assert {reader for *_, reader in _confused(["red", "green"])} == {"protanopes"}
    assert _confused(["black", "white"]) == []


def _colour_literals(path: Path) -> set[str]:
    """Colours that a source writes out: as #rrggbb, or by a name where an argument or a key says that it is one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", str(node.value)):
            found.add(node.value[:7])
        named = [node] if isinstance(node, ast.keyword) else []
        pairs = [(keyword.arg, keyword.value) for keyword in named]
        if isinstance(node, ast.Dict):
            pairs += [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
        for name, value in pairs:
            if isinstance(value, ast.Constant) and re.search(r"colou?r$|^c$|^fill$", str(name)):
                found |= {str(value.value)} & {*CSS4_COLORS, *TABLEAU_COLORS, *"bgrcmykw"}
    return {to_hex(colour) for colour in found}


@pytest.mark.parametrize("path", sorted(Path(explorers.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_explorers_name_no_colour_outside_the_palette(path):
    assert {colour for colour in _colour_literals(path) if _is_chromatic(colour)} <= PALETTE


@every_lesson
def test_lessons_name_no_colour_outside_the_palette(lesson):
    assert {colour for colour in _colour_literals(lesson.source()) if _is_chromatic(colour)} <= PALETTE


def _is_chromatic(colour: str) -> bool:
    return np.ptp(to_rgb(colour)) > 0.01


def _linear(colour: str) -> np.ndarray:
    """Linear RGB of a colour of sRGB (IEC 61966-2-1)."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    """CIELAB (CIE 1976) of linear RGB."""
    xyz = XYZ_OF_RGB @ np.clip(linear, 0, 1) / WHITE_POINT
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _confused(colours) -> list[tuple[str, str, str]]:
    """Pairs of colours that are too near for some readers, and which readers."""
    return [
        (one, other, reader)
        for one, other in itertools.combinations(sorted(colours), 2)
        for reader, seen in SEEN_BY.items()
        if np.linalg.norm(_lab(seen @ _linear(one)) - _lab(seen @ _linear(other))) < TOLD_APART
    ]


# Explorers


def _explorer_classes() -> list[type[Explorer]]:
    for module in pkgutil.iter_modules(explorers.__path__):
        importlib.import_module(f"{explorers.__name__}.{module.name}")
    return Explorer.__subclasses__()


def _controls(box: widgets.Box) -> list[widgets.ValueWidget]:
    """What has a value, however deep it stands."""
    controls = []
    for child in box.children:
        if isinstance(child, widgets.Box):
            controls += _controls(child)
        elif isinstance(child, widgets.ValueWidget) and not isinstance(child, widgets.Label | widgets.FileUpload):
            controls.append(child)
    return controls


def _move(control: widgets.ValueWidget) -> None:
    """Give a control another value."""
    if isinstance(control, widgets.Checkbox):
        control.value = not control.value
    elif hasattr(control, "options"):
        control.index = control.index - 1 if control.index else 1
    elif isinstance(control.value, tuple):
        low, high = control.value
        control.value = (low, high - control.step) if high - control.step > low else (low - control.step, high)
    else:
        control.value += control.step if control.value + control.step <= control.max else -control.step


@pytest.mark.parametrize("explorer_class", _explorer_classes(), ids=lambda explorer_class: explorer_class.__name__)
def test_whatever_a_control_of_an_explorer_changes_is_said_in_its_status(explorer_class):
    """In a region of the role "status", which screen readers read out when it changes."""
    module = sys.modules[explorer_class.__module__]
    (explore,) = [function for name, function in vars(module).items() if name.startswith("explore_")]
    explorer = explore()
    controls = _controls(explorer.above)
    assert len(controls) >= 2
    for control in controls:
        before = _status(explorer)
        _move(control)
        assert _status(explorer) != before, control.description
        assert len(_status(explorer).split()) >= LEAST_WORDS


def _status(explorer: Explorer) -> str:
    return re.fullmatch(r'<div role="status"[^>]*>(.+)</div>', explorer.text.value, re.S)[1]


# Reports of checks


@pytest.mark.parametrize(("passed", "sign", "points"), [(True, "✓", "10/10"), (False, "✗", "0/10")])
def test_a_report_says_pass_or_fail_by_a_sign_and_by_points(passed, sign, points):
    shown = Report("01.grid_centers", passed, 10, ("a line",), 7)._repr_html_()
    assert 'role="status"' in shown
    words = html.unescape(re.sub(r"<[^>]+>", " ", shown)).split()
    assert words[:3] == [sign, "01.grid_centers", points]


@pytest.mark.parametrize("passed", [True, False])
def test_the_colours_of_a_report_stand_out_on_jupyters_light_and_dark_ground(passed):
    shown = Report("01.grid_centers", passed, 10, ("a line",), 7)._repr_html_()
    bars = re.findall(r"border[\w-]*:[^;]*(#[0-9a-fA-F]{6})", shown)
    texts = re.findall(r"(?<![\w-])color:\s*(#[0-9a-fA-F]{6})", shown)
    assert sorted(bars + texts) == sorted(re.findall(r"#[0-9a-fA-F]{6}\b", shown))
    assert bars
    for ground in (_ground("light"), _ground("dark")):
        assert all(_contrast(colour, ground) >= LEAST_CONTRAST_OF_BARS for colour in bars)
        assert all(_contrast(colour, ground) >= LEAST_CONTRAST_OF_TEXT for colour in texts)


def _ground(theme: str) -> str:
    """The colour behind the outputs in a theme of the JupyterLab that is installed."""
    themes = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
    style = (themes / f"theme-{theme}-extension" / "index.css").read_text(encoding="utf-8")
    return re.search(r"--jp-layout-color0:\s*([^;}]+)", style)[1].strip()


def _contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    dark, light = sorted(XYZ_OF_RGB[1] @ _linear(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_of_black_and_white_is_21():
    assert _contrast("white", "black") == pytest.approx(21)


# Prose


@every_lesson
def test_headings_go_down_one_step_at_a_time(lesson):
    levels = [len(signs) for signs in re.findall(r"^(#+) ", prose_of(lesson), re.M)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(lower <= upper + 1 for upper, lower in itertools.pairwise(levels))


@every_lesson
def test_the_words_of_a_link_say_where_it_leads(lesson):
    for words in re.findall(r"(?<!!)\[([^\]]+)\]\(", prose_of(lesson)):
        assert words.lower() not in ("here", "click here", "this", "link", "this link", "page", "more")
