"""A course folder out of what is installed: all of it or nothing, and a new version costs no work."""

import pytest
from learners import (
    EXPERIMENT,
    LESSON,
    cell_of,
    course_cells,
    handed_out,
    insert_behind,
    new_cell,
    right_answers,
    save,
    with_answers,
)
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.work import folder as course_folder
from ssdseg_course.work.folder import is_started, start, update_from_installation
from ssdseg_course.work.fresh import KEPT, keep, kept
from ssdseg_course.work.versions import reset, update_from_folder
from ssdseg_course.work.workspace import notebook_text, read_notebook

ANSWER = right_answers()["grid_centers"]
OWN = new_cell("grid_centers(2, 3)", "aaaa0001")
MINE = "print('my experiment')"


@pytest.fixture
def root(tmp_path):
    start(tmp_path / "course")
    return tmp_path / "course"


def worked_in() -> dict:
    """Lesson 1 with an answer, a cell of the learner's own, and a changed cell of the course's."""
    notebook = with_answers(handed_out(), grid_centers=ANSWER)
    insert_behind(notebook, "grid_centers", OWN)
    cell_of(notebook, EXPERIMENT)["source"] = MINE
    return notebook


def as_of_an_older_version(root) -> None:
    """Make it look as if lesson 1 had been handed out with other prose and one cell less, so that ids have moved."""
    notebook = handed_out()
    notebook["cells"][0]["source"] = "# Lesson 1, as it was"
    del notebook["cells"][1]
    ids = course_cells(handed_out(), "markdown") + course_cells(handed_out())
    numbered = [cell for cell in notebook["cells"] if cell["id"] in ids]
    for cell, cell_id in zip(numbered, sorted(ids), strict=False):
        cell["id"] = cell_id
    keep(LESSON.name, root, notebook_text(notebook))
    notebook = with_answers(notebook, grid_centers=ANSWER)
    next(cell for cell in notebook["cells"] if cell["source"] == cell_of(handed_out(), EXPERIMENT)["source"])[
        "source"
    ] = MINE
    insert_behind(notebook, "grid_centers", OWN)
    save(notebook, root)


def sources(root) -> list[str]:
    return [cell["source"] for cell in read_notebook(LESSON.notebook(root))["cells"]]


def backups_in(root) -> list:
    return sorted((root / "backups").glob("*"))


class TestStart:
    def test_every_lesson_is_there_as_it_is_handed_out(self, root):
        for lesson in LESSONS:
            assert lesson.notebook(root).read_bytes() == lesson.notebook().read_bytes()

    @pytest.mark.parametrize("name", ["empty", "link"])
    def test_an_empty_folder_is_filled(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "empty")
        start(tmp_path / name)
        assert LESSON.notebook(tmp_path / "empty").exists()

    def test_what_is_there_stays_and_is_named(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        for taken in (tmp_path, tmp_path / "notes.txt"):
            with pytest.raises(ValueError, match="there is something already; name a new folder"):
                start(taken)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_course_that_is_there_is_to_be_updated(self, root):
        before = save(worked_in(), root).read_bytes()
        with pytest.raises(ValueError, match="holds a course already; `ssdseg update`"):
            start(root)
        assert LESSON.notebook(root).read_bytes() == before

    def test_the_folder_that_one_is_in_is_not_replaced(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match="the folder that you are in"):
            start(course_folder.Path("."))

    def test_ctrl_c_leaves_nothing_behind(self, tmp_path, monkeypatch):
        def stopped(lesson, *_):
            if lesson == LESSONS[-1]:
                raise KeyboardInterrupt

        monkeypatch.setattr(course_folder, "hand_out", stopped)
        done = CliRunner().invoke(app, ["start", str(tmp_path / "course")])
        assert done.exit_code == 130
        assert list(tmp_path.iterdir()) == []

    def test_it_says_how_to_go_on(self, tmp_path):
        done = CliRunner().invoke(app, ["start", str(tmp_path / "my course")])
        assert done.exit_code == 0
        assert f"cd '{tmp_path / 'my course'}'\nssdseg lab" in done.output


class TestUpdate:
    def test_without_a_newer_version_nothing_is_touched(self, root):
        path = save(worked_in(), root)
        before = path.stat()
        done = update_from_installation(root)
        assert (done.news, done.moved, done.new_lessons) == ("", (), ())
        assert path.stat() == before

    def test_the_new_version_comes_with_the_learners_work_in_it(self, root):
        as_of_an_older_version(root)
        before = LESSON.notebook(root).read_bytes()
        done = update_from_installation(root)
        assert "with changes in 1 lesson" in done.news
        (moved,) = done.moved
        assert moved.what == "1 answer, 1 cell of your own, 1 cell that you have changed"
        assert moved.backup.read_bytes() == before
        assert read_notebook(LESSON.notebook(root)) == worked_in()

    def test_a_second_update_has_nothing_to_do(self, root):
        as_of_an_older_version(root)
        update_from_installation(root)
        before = LESSON.notebook(root).read_bytes()
        assert update_from_installation(root).news == ""
        assert LESSON.notebook(root).read_bytes() == before

    def test_a_lesson_that_nobody_has_touched_leaves_no_backup(self, root):
        as_of_an_older_version(root)
        LESSON.notebook(root).write_text(kept(LESSON.name, root), encoding="utf-8")
        assert update_from_installation(root).moved == ()
        assert read_notebook(LESSON.notebook(root)) == handed_out()
        assert backups_in(root) == []

    def test_a_new_lesson_is_told(self, root):
        last = LESSONS[-1]
        last.notebook(root).unlink()
        (root / KEPT / f"{last.name}.ipynb").unlink()
        assert update_from_installation(root).new_lessons == (last.name,)
        assert last.notebook(root).exists()

    @pytest.mark.parametrize("step", ["write_whole", "keep"])
    def test_an_update_that_is_killed_is_finished_by_the_next(self, root, monkeypatch, step):
        as_of_an_older_version(root)

        def killed(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(course_folder, step, killed)
            with pytest.raises(KeyboardInterrupt):
                update_from_installation(root)
        update_from_installation(root)
        assert read_notebook(LESSON.notebook(root)) == worked_in()
        assert kept(LESSON.name, root) == notebook_text(handed_out())

    def test_without_what_was_handed_out_answers_and_own_cells_are_carried_all_the_same(self, root):
        as_of_an_older_version(root)
        (root / KEPT / f"{LESSON.name}.ipynb").unlink()
        update_from_installation(root)
        assert {ANSWER, OWN["source"]} <= set(sources(root))

    def test_a_damaged_notebook_goes_to_the_backups(self, root):
        as_of_an_older_version(root)
        LESSON.notebook(root).write_text("{ broken")
        (moved,) = update_from_installation(root).moved
        assert "your notebook was damaged" in moved.what
        assert moved.backup.read_text() == "{ broken"
        assert read_notebook(LESSON.notebook(root)) == handed_out()

    def test_a_reset_brings_the_new_version_of_its_lesson(self, root):
        as_of_an_older_version(root)
        reset(LESSON, root)
        save(worked_in(), root)
        assert update_from_installation(root).news == ""
        assert read_notebook(LESSON.notebook(root)) == worked_in()

    def test_from_another_folder_changed_cells_are_carried_too(self, root, tmp_path):
        as_of_an_older_version(root)
        start(tmp_path / "new")
        update_from_folder(root, tmp_path / "new")
        assert read_notebook(LESSON.notebook(tmp_path / "new")) == worked_in()

    def test_the_command_asks_no_git(self, root, monkeypatch):
        monkeypatch.chdir(root)
        monkeypatch.setenv("PATH", "")
        assert "which is installed. Install a newer one first." in CliRunner().invoke(app, ["update"]).output
        as_of_an_older_version(root)
        output = CliRunner().invoke(app, ["update"]).output
        assert "with changes in 1 lesson" in output
        assert "01_anchors: 1 answer" in output


def test_only_a_folder_that_was_started_is_updated_from_the_installation(root, tmp_path):
    assert is_started(root)
    save(handed_out(), tmp_path / "other", find_lesson("02"))
    assert not is_started(tmp_path / "other")
