"""What the site shows is spelt as the British do: lessons, docs, cards, its own pages, docstrings of the reference."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ssdseg_course.authoring import read_source
from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.site import texts

codespell = pytest.importorskip("codespell_lib", reason="codespell is not installed: pip install codespell")

INDENTED = re.compile(r"^    .*$", re.MULTILINE)  # code in Markdown, though not in a docstring
CODE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]+\$|\]\([^)]*\)|https?://\S+|<[^>]+>", re.DOTALL)
# Words of the field, which American spelling shares or which stand in the title of a paper or in the name of a tool.
FIELD = {"biased", "centers", "color", "labeling", "license", "optimizer", "program", "story"}
TITLES = {"equalization", "generalized", "normalization", "regularization"}
PLACES = ("*.md", "docs/**/*.md", "datasets/*.md")


def documents():
    """Texts by where they stand, without their code and formulas."""
    found = {
        lesson.name: "\n".join(cell.source for cell in read_source(lesson).cells if cell.cell_type == "markdown")
        for lesson in LESSONS
    }
    paths = [path for place in PLACES for path in ROOT.glob(place)] + sorted(texts.PAGES.glob("*.md"))
    found |= {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    found = {name: INDENTED.sub("", text) for name, text in found.items()}
    for path in (ROOT / "ssdseg_ref").rglob("*.py"):
        nodes = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
        found[path.relative_to(ROOT).as_posix()] = "\n".join(ast.get_docstring(node) or "" for node in nodes)
    return {name: CODE.sub(" ", text) for name, text in found.items()}


def american():
    """American words, each with its British form, as codespell lists them."""
    listed = Path(codespell.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = [line.partition("->")[::2] for line in listed.read_text(encoding="utf-8").splitlines()]
    return {word.strip().lower(): british for british, words in pairs for word in words.split(",") if word.strip()}


def test_no_text_that_the_site_shows_has_a_spelling_mistake(tmp_path):
    for name, text in documents().items():
        (tmp_path / f"{name.replace('/', '_')}.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,rare,informal", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_no_text_that_the_site_shows_is_spelt_as_americans_do():
    wrong = american()
    found = [
        (name, word, wrong[word.lower()])
        for name, text in documents().items()
        for word in re.findall(r"[A-Za-z]+", text)
        if word.lower() in wrong
        and word.lower() not in FIELD
        # of papers' titles, which are in italics or in capitals
        and not (word.lower() in TITLES and word[0].isupper())
    ]
    assert found == []


def test_words_that_are_let_through_would_be_found():
    assert set(american()) >= FIELD | TITLES
