"""Where the course stands, what in a notebook is the learner's, and files that are written whole or not at all."""

import os

import nbformat
import pytest
from learners import IMPORTING, LESSON, cell_of, handed_out, insert_behind, new_cell, right_answers, save, with_answers
from nbgrader.utils import compute_checksum

from ssdseg_course.explorers import figures
from ssdseg_course.manifest import ROOT
from ssdseg_course.work import workspace
from ssdseg_course.work.workspace import (
    NotebookError,
    cell_in_words,
    course_root,
    has_work,
    notebook_text,
    read_lesson,
    read_notebook,
)
from ssdseg_ref.keeping import write_whole


def test_the_course_is_the_nearest_one_at_or_above_the_working_directory(tmp_path, monkeypatch):
    save(handed_out(), tmp_path / "outer")
    folder = save(handed_out(), tmp_path / "outer" / "inner").parent
    monkeypatch.chdir(folder)
    assert course_root() == tmp_path / "outer" / "inner"
    monkeypatch.chdir(tmp_path / "outer")
    assert course_root() == tmp_path / "outer"


def test_outside_of_any_course_it_is_the_one_that_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert course_root() == ROOT


def test_where_there_is_no_course_at_all_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    with pytest.raises(NotebookError, match="no course here or above; go to the folder that holds `lessons`"):
        course_root()


def test_a_notebook_that_is_read_and_written_is_the_same_to_the_last_byte():
    path = LESSON.notebook()
    assert notebook_text(read_notebook(path)) == path.read_text(encoding="utf-8")


def test_a_notebook_is_written_as_jupyter_writes_it(tmp_path):
    notebook = with_answers(handed_out(), grid_centers="x = 'ü'\n\ny = 2\n")
    path = save(notebook, tmp_path)
    read = nbformat.read(path, as_version=4)
    nbformat.validate(read)
    assert nbformat.writes(read) + "\n" == path.read_text(encoding="utf-8")


def test_a_handed_out_notebook_holds_no_work():
    assert not has_work(handed_out())


@pytest.mark.parametrize("name", right_answers())
def test_an_answer_is_work(name):
    assert has_work(with_answers(handed_out(), **{name: right_answers()[name]}))


def test_a_cell_of_ones_own_is_work_and_a_blank_one_is_not():
    notebook = handed_out()
    insert_behind(notebook, "grid_centers", new_cell(" \n"))
    assert not has_work(notebook)
    insert_behind(notebook, "grid_centers", new_cell("1 + 1"))
    assert has_work(notebook)


def test_having_run_a_notebook_is_no_work():
    notebook = handed_out()
    cell_of(notebook, IMPORTING)["execution_count"] = 7
    assert not has_work(notebook)


def test_the_checksum_is_the_one_that_nbgrader_computes():
    cells = [cell for cell in nbformat.read(LESSON.notebook(), as_version=4).cells if "nbgrader" in cell.metadata]
    assert cells
    for cell in cells:
        assert workspace.checksum(cell) == compute_checksum(cell) == cell.metadata.nbgrader.checksum


def test_a_cell_is_named_by_its_first_line_and_its_heading():
    notebook = handed_out()
    place = next(k for k, cell in enumerate(notebook["cells"]) if cell["source"].startswith("explore_anchors("))
    words = cell_in_words(notebook, place)
    assert words.startswith("the cell that begins with `explore_anchors(seed=SCENE")
    assert words.endswith('under "Play: the anchor explorer"')


def test_a_lesson_that_the_course_does_not_have_is_said_to_be_missing(tmp_path):
    with pytest.raises(NotebookError, match=r"no such notebook; lesson 1 is not in this course yet"):
        read_lesson(LESSON, tmp_path)


@pytest.mark.parametrize("left", [LESSON.source, LESSON.notebook], ids=["its source", "its folder"])
def test_a_deleted_notebook_of_which_something_is_left_is_answered_with_the_way_out(left, tmp_path):
    left(tmp_path).parent.mkdir(parents=True)
    if left == LESSON.source:
        left(tmp_path).touch()
    with pytest.raises(NotebookError, match=r"there is no such notebook; `ssdseg reset 1` writes a fresh one"):
        read_lesson(LESSON, tmp_path)


def test_a_file_whose_writing_fails_is_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("before")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_writing_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_whole(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_a_figure_is_not_drawn_where_a_check_runs_the_notebook(monkeypatch, outputs):
    figure, _ = figures.panels(1)
    monkeypatch.setenv(workspace.CHECKING, "1")
    figures.show(figure, alt="nothing")
    assert outputs == []
    monkeypatch.delenv(workspace.CHECKING)
    figures.show(figure, alt="an empty panel")
    assert outputs[0][0]["text/plain"] == "an empty panel"
