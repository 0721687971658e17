"""The glossary has every term that a lesson introduces, in bold as they do, and the notation every symbol."""

import functools
import re

import pytest

from ssdseg_course.authoring import read_source
from ssdseg_course.manifest import LESSONS
from ssdseg_course.site import texts

BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
MOST_WORDS = 3  # of a term; what is longer in bold is a sentence to remember
# What stands in bold for its weight alone. A new word in bold goes here, or into the glossary.
NO_TERMS = """
all, all negatives, and, applies, at least, at least one, at once, before, chosen on validation, column, come from,
count the data, down, edges, eight, enlarge, every, exact halves, expand, filter, first, fold, for every place,
four channels, guidelines, height first, how large, how near, indices, instructions for that, it takes, kept, kinds,
larger, larger pictures, last, learns, left, looks around, lowest, makes, mean, means, middle, mixes channels, move,
narrow, nearest multiple, no, nothing, nothing is learned, number of images, once, output, over, papers, penn-fudan,
penn-fudan's photographs, perfect, pixels, project, refine, right, rises, roots, row, same, same area, save often,
shift + enter, shifted, single runs, small person, smaller, square, squares, stretch, then, three, throw away first,
time is measured, train longer, turns, two, two values, used, what shape, where, with mining, work, wrong, you need,
your, your own pictures
"""
ENTRY = re.compile(r"^([^\n:#]+)\n: ([^\n]+) \[Lesson (\d+)\]\(lessons/(\w+)\.ipynb\)\.$", re.MULTILINE)
COMMAND = re.compile(r"\\(?!alpha|beta|gamma|epsilon|varepsilon|lambda|mu|sigma)[a-zA-Z]+")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$", re.DOTALL)


@functools.cache
def prose(lesson):
    return "\n".join(cell.source for cell in read_source(lesson).cells if cell.cell_type == "markdown")


def page(name):
    return (texts.PAGES / name).read_text(encoding="utf-8")


def words(text):
    return [re.sub(r"(?<=x)es$|(?<=ss)es$|(?<!s)s$", "", word) for word in re.findall(r"[a-z0-9]+", text.lower())]


def names(term):
    """Of "Average precision (AP)" both."""
    return [words(name) for name in re.split(r" \(|\)$", term) if name]


def no_terms():
    return set(" ".join(NO_TERMS.split()).split(", "))


def entries():
    return ENTRY.findall(page("glossary.md"))


def symbols(text):
    """Letters of all formulas, without what stands below or above them."""
    found = set()
    for shown, inline in FORMULA.findall(re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
        formula = re.sub(r"\\(?:text|mathrm|begin|end)\{[^{}]*\}", " ", shown or inline)
        formula = re.sub(r"_(?:\{[^{}]*\}|\\[a-z]+|\w)", "", formula)
        found |= set(re.findall(r"\\[a-z]+|[A-Za-z]", COMMAND.sub(" ", formula)))
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_what_a_lesson_prints_in_bold_is_in_the_glossary_or_no_term(lesson):
    known = [set(name) for term, *_ in entries() for name in names(term)]
    bold = {phrase.strip('"').lower() for phrase in BOLD.findall(prose(lesson))}
    terms = {
        phrase
        for phrase in bold - no_terms()
        if phrase[-1] not in ".:?!," and not re.search(r"[\d$`]", phrase) and len(phrase.split()) <= MOST_WORDS
    }
    assert {phrase for phrase in terms if not any(set(words(phrase)) <= name for name in known)} == set()


def test_what_is_no_term_is_in_bold_somewhere():
    bold = {phrase.strip('"').lower() for lesson in LESSONS for phrase in BOLD.findall(prose(lesson))}
    assert no_terms() - bold == set()


def test_every_entry_is_used_in_the_lesson_that_it_leads_to():
    lessons = {lesson.name: f" {' '.join(words(prose(lesson)))} " for lesson in LESSONS}
    numbers = {lesson.name: str(lesson.number) for lesson in LESSONS}
    for term, _, number, name in entries():
        assert numbers[name] == number, term
        assert any(f" {' '.join(one)} " in lessons[name] for one in names(term)), term


def test_the_glossary_is_in_order_and_has_nothing_twice():
    terms = [term.lower().replace("-", " ") for term, *_ in entries()]
    assert terms == sorted(set(terms))
    assert len(terms) == page("glossary.md").count("\n: ")  # each is written as the others are


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_symbol_of_a_lesson_is_in_the_notation(lesson):
    rows = re.findall(r"^\| (.+) \| (.+) \| ([\d, ]+) \|$", page("notation.md"), re.MULTILINE)
    known = set().union(*(symbols(symbol) for symbol, _, where in rows if str(lesson.number) in where.split(", ")))
    assert symbols(prose(lesson)) - known == set()
