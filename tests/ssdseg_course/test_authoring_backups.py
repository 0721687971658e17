"""A build of the lessons takes no learner's work away."""

from types import SimpleNamespace

import pytest
from learners import new_cell
from tiny_course import SOURCE, TINY, make_tiny_course

from ssdseg_course import authoring
from ssdseg_course.work.workspace import notebook_text, read_notebook


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with the tiny lesson's learner's notebook; what takes time in a build is left out."""
    monkeypatch.setattr(authoring, "NotebookClient", lambda *_, **__: SimpleNamespace(execute=lambda **_: None))
    authoring.build(TINY, make_tiny_course(tmp_path))
    return tmp_path


def test_a_notebook_that_holds_answers_is_copied_before_a_build_replaces_it(course):
    path = TINY.notebook(course)
    notebook = read_notebook(path)
    notebook["cells"].append(new_cell("grid_centers(2, 3)"))
    path.write_text(notebook_text(notebook))
    before = path.read_bytes()
    kept = authoring.build(TINY, course)
    assert kept.parent == course / "backups"
    assert kept.read_bytes() == before
    assert path.read_bytes() != before


def test_a_damaged_notebook_is_copied_as_well(course):
    TINY.notebook(course).write_text("{ broken")
    assert authoring.build(TINY, course).read_text() == "{ broken"


def test_a_change_of_the_source_alone_leaves_no_copies_behind(course):
    make_tiny_course(course, SOURCE.replace("Middles of the cells.", "All middles."))
    assert authoring.build(TINY, course) is None
    assert not (course / "backups").exists()
