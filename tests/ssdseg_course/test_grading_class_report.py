"""How a class did: counted by exercise, mistakes by their sentence."""

from ssdseg_course.grading.class_report import as_markdown, summarise
from ssdseg_course.grading.gradebook import ExerciseRecord, Record

ADVICE = "this is what you get when x and y change places."


def record(student, earned=0, first="", advice=""):
    """A submission of one exercise."""
    return Record(student, "01_anchors", (ExerciseRecord("01.grid_centers", earned, 10, first, advice),), ())


CLASS = [
    record("a", 10),
    record("b", first="row 0 is", advice=ADVICE),
    record("c", first="row 1 is", advice=ADVICE),
    record("d", first="it stopped with <b>ValueError</b>"),
    record("e", first="not written yet: put your code"),
]


def test_mistakes_are_counted_by_their_sentence():
    (summary,) = summarise(CLASS)
    assert (summary.learners, summary.passed, summary.unwritten) == (5, 1, 1)
    assert summary.mistakes == ((ADVICE, 2), ("it stopped with <b>ValueError</b>", 1))


def test_the_page_shows_what_to_teach_again():
    page = as_markdown("Anchors", summarise(CLASS))
    assert "| 01.grid_centers Where anchors sit | 1 of 5 | 1 | 3 |" in page
    assert f"    - 2 of 5: {ADVICE}" in page
    assert "<b>" not in page


def test_what_learners_write_is_no_markup_and_not_long():
    sentence = "it stopped with ValueError: ![x](http://host/x.png) " + "y" * 1000
    page = as_markdown("Anchors", summarise([record("a", first=sentence)]))
    assert "![x]" not in page
    assert max(map(len, page.splitlines())) < 300


def test_a_class_without_mistakes_has_no_list():
    assert "said most" not in as_markdown("Anchors", summarise(CLASS[:1]))
