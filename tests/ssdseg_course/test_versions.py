"""A lesson started afresh and a new version of the course, with real git repositories: no work is ever lost."""

import os
import re
import subprocess
from datetime import datetime

import pytest
from learners import EXPERIMENT, LESSON, cell_of, handed_out, insert_behind, new_cell, right_answers, save, with_answers

from ssdseg_course.manifest import find_lesson
from ssdseg_course.work import versions
from ssdseg_course.work.backups import back_up
from ssdseg_course.work.versions import UpdateError, has_interrupted, reset, update_from_folder, update_from_git
from ssdseg_course.work.workspace import NotebookError, grade_id, has_work, read_notebook

ANSWER = right_answers()["grid_centers"]
OTHER_LESSON = find_lesson("02")
OWN = new_cell("grid_centers(2, 3)", "aaaa0001")
WHO = {f"GIT_{who}_{what}": "x@y.z" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(autouse=True)
def plain_git(monkeypatch, tmp_path):
    """git without the settings of whoever runs the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)


def git(folder, *arguments) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def commit(folder, message="a version") -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def worked_in() -> dict:
    notebook = with_answers(handed_out(), grid_centers=ANSWER)
    insert_behind(notebook, "grid_centers", OWN)
    return notebook


def next_version() -> dict:
    """Lesson 1 with other prose and one exercise less."""
    notebook = handed_out()
    notebook["cells"][0]["source"] = "# Lesson 1, better than before"
    notebook["cells"].remove(cell_of(notebook, "linear_scales"))
    return notebook


@pytest.fixture
def upstream(tmp_path):
    root = tmp_path / "upstream"
    save(handed_out(), root)
    save(handed_out(), root, OTHER_LESSON)
    (root / "README.md").write_text("version 1\n")
    (root / ".gitignore").write_text("/backups/\n/.ssdseg/\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(root))
    commit(root)
    return root


@pytest.fixture
def clone(upstream, tmp_path):
    git(tmp_path, "clone", "--quiet", str(upstream), "clone")
    return tmp_path / "clone"


def publish(upstream, notebook=None, lesson=LESSON) -> None:
    save(notebook or next_version(), upstream, lesson)
    (upstream / "README.md").write_text("version 2\n")
    commit(upstream)


def backups_in(root) -> list:
    return sorted((root / "backups").glob("*")) if (root / "backups").exists() else []


class TestBackups:
    def test_a_backup_has_the_date_in_its_name_and_the_same_bytes(self, tmp_path):
        path = save(worked_in(), tmp_path)
        copy = back_up(path, tmp_path)
        assert re.fullmatch(r"01_anchors-\d{4}-\d\d-\d\d-\d{6}\.ipynb", copy.name)
        assert copy.read_bytes() == path.read_bytes()

    def test_no_backup_takes_the_place_of_another(self, tmp_path, monkeypatch):
        class StandsStill(datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2026, 11, 23, 8, 15, 12)

        monkeypatch.setattr("ssdseg_course.work.backups.datetime", StandsStill)
        path = save(worked_in(), tmp_path)
        copies = [back_up(path, tmp_path) for _ in range(3)]
        names = ["01_anchors-2026-11-23-081512.ipynb", "01_anchors-2026-11-23-081512-2.ipynb"]
        assert [copy.name for copy in copies] == [*names, "01_anchors-2026-11-23-081512-3.ipynb"]


class TestReset:
    @pytest.fixture
    def root(self, tmp_path):
        solution = LESSON.solution(tmp_path)
        solution.parent.mkdir(parents=True)
        solution.write_bytes(LESSON.solution().read_bytes())
        return tmp_path

    def test_the_notebook_is_fresh_and_what_was_there_is_kept(self, root):
        path = save(worked_in(), root)
        before = path.read_bytes()
        assert "is as it was handed out; what you had is kept in" in reset(LESSON, root)
        assert path.read_bytes() == LESSON.notebook().read_bytes()
        assert [copy.read_bytes() for copy in backups_in(root)] == [before]

    def test_an_untouched_notebook_has_nothing_to_reset(self, root):
        path = save(handed_out(), root)
        before = path.stat().st_mtime_ns
        assert "there is nothing to reset" in reset(LESSON, root)
        assert path.stat().st_mtime_ns == before
        assert backups_in(root) == []

    @pytest.mark.parametrize("content", ["", "{ broken"])
    def test_a_damaged_notebook_is_kept_too(self, root, content):
        path = save(handed_out(), root)
        path.write_text(content)
        reset(LESSON, root)
        assert path.read_bytes() == LESSON.notebook().read_bytes()
        assert [copy.read_text() for copy in backups_in(root)] == [content]

    def test_a_missing_notebook_is_written(self, root):
        assert "was missing, and is there again" in reset(LESSON, root)
        assert LESSON.notebook(root).exists()

    def test_in_a_folder_without_solutions_it_is_made_from_those_that_are_installed(self, tmp_path):
        path = save(worked_in(), tmp_path)
        reset(LESSON, tmp_path)
        assert read_notebook(path) == handed_out()


class TestUpdateFromGit:
    def test_the_new_version_comes_with_the_learners_work_in_it(self, upstream, clone):
        path = save(worked_in(), clone)
        before = path.read_bytes()
        publish(upstream)
        done = update_from_git(clone)
        notebook = read_notebook(path)
        assert notebook["cells"][0]["source"] == "# Lesson 1, better than before"
        assert cell_of(notebook, "grid_centers")["source"] == ANSWER
        assert cell_of(notebook, "aaaa0001")["source"] == OWN["source"]
        assert (clone / "README.md").read_text() == "version 2\n"
        assert done.news == "1 commit"
        assert [moved.what for moved in done.moved] == ["1 answer, 1 cell of your own"]
        assert done.moved[0].backup.read_bytes() == before
        assert not has_interrupted(clone)

    def test_a_second_update_has_nothing_to_do(self, upstream, clone):
        path = save(worked_in(), clone)
        publish(upstream)
        update_from_git(clone)
        before = path.read_bytes(), backups_in(clone)
        done = update_from_git(clone)
        assert (done.news, done.moved) == ("", ())
        assert (path.read_bytes(), backups_in(clone)) == before

    def test_a_third_version_keeps_it_all(self, upstream, clone):
        path = save(worked_in(), clone)
        publish(upstream)
        update_from_git(clone)
        again = next_version()
        cell_of(again, EXPERIMENT)["source"] = "better = 1"
        publish(upstream, again)
        update_from_git(clone)
        notebook = read_notebook(path)
        assert cell_of(notebook, EXPERIMENT)["source"] == "better = 1"
        assert cell_of(notebook, "grid_centers")["source"] == ANSWER
        assert [cell["source"] for cell in notebook["cells"]].count(OWN["source"]) == 1

    def test_notebooks_that_the_new_version_does_not_change_are_not_touched(self, upstream, clone):
        path = save(worked_in(), clone, OTHER_LESSON)
        before = path.stat()
        publish(upstream)
        assert update_from_git(clone).moved == ()
        assert path.stat() == before
        assert backups_in(clone) == []

    def test_other_files_that_the_learner_has_added_stay(self, upstream, clone):
        save(worked_in(), clone)
        (clone / "lessons" / "01_anchors" / "notes.txt").write_text("mine")
        publish(upstream)
        update_from_git(clone)
        assert (clone / "lessons" / "01_anchors" / "notes.txt").read_text() == "mine"

    def test_new_lessons_and_libraries_are_told(self, upstream, clone):
        third = find_lesson("03")
        (upstream / "pyproject.toml").write_text("")
        publish(upstream, handed_out(), third)
        done = update_from_git(clone)
        assert done.new_lessons == (third.name,)
        assert done.needs_setup

    def test_a_lesson_that_is_gone_leaves_the_notebook_in_the_backups(self, upstream, clone):
        before = save(worked_in(), clone).read_bytes()
        git(upstream, "rm", "--quiet", "-r", "lessons/01_anchors")
        commit(upstream)
        moved = update_from_git(clone).moved[0]
        assert "this lesson is gone" in moved.what
        assert moved.backup.read_bytes() == before

    def test_a_damaged_notebook_goes_to_the_backups(self, upstream, clone):
        path = save(handed_out(), clone)
        path.write_text("{ broken")
        publish(upstream)
        moved = update_from_git(clone).moved[0]
        assert "your notebook was damaged" in moved.what
        assert moved.backup.read_text() == "{ broken"
        assert not has_work(read_notebook(path))

    def test_a_deleted_notebook_comes_back(self, upstream, clone):
        LESSON.notebook(clone).unlink()
        publish(upstream)
        assert update_from_git(clone).moved == ()
        assert read_notebook(LESSON.notebook(clone)) == next_version()

    def test_work_that_git_has_staged_is_carried_too(self, upstream, clone):
        path = save(worked_in(), clone)
        git(clone, "add", "--all")
        publish(upstream)
        update_from_git(clone)
        assert cell_of(read_notebook(path), "grid_centers")["source"] == ANSWER

    def test_where_another_changed_file_is_in_the_way_all_stays_as_it_was(self, upstream, clone):
        path = save(worked_in(), clone)
        before = path.read_bytes()
        (clone / "README.md").write_text("changed by the learner\n")
        publish(upstream)
        with pytest.raises(UpdateError, match=r"(?s)README\.md.*Nothing has changed"):
            update_from_git(clone)
        assert path.read_bytes() == before
        assert (clone / "README.md").read_text() == "changed by the learner\n"
        assert backups_in(clone) == []
        assert not has_interrupted(clone)

    def test_where_the_clone_has_commits_of_its_own_all_stays_as_it_was(self, upstream, clone):
        path = save(worked_in(), clone)
        commit(clone, "my answers")
        publish(upstream)
        before = path.read_bytes()
        with pytest.raises(UpdateError, match=r"has commits of its own.*git pull --rebase"):
            update_from_git(clone)
        assert path.read_bytes() == before

    def test_commits_of_the_clones_own_do_not_matter_while_there_is_no_new_version(self, clone):
        save(worked_in(), clone)
        commit(clone, "my answers")
        assert update_from_git(clone).news == ""

    def test_an_upstream_that_cannot_be_reached_is_told_in_gits_words(self, upstream, clone):
        path = save(worked_in(), clone)
        before = path.read_bytes()
        upstream.rename(upstream.with_name("moved"))
        with pytest.raises(UpdateError, match=r"(?s)git fetch: .*upstream.*Nothing has changed"):
            update_from_git(clone)
        assert path.read_bytes() == before

    def test_a_folder_that_is_no_clone_is_told_the_other_way(self, tmp_path):
        save(worked_in(), tmp_path / "unpacked")
        with pytest.raises(NotebookError, match=r"not a git clone.*ssdseg update --from"):
            update_from_git(tmp_path / "unpacked")

    def test_an_unpacked_course_inside_of_somebody_elses_clone_is_no_clone(self, clone):
        save(worked_in(), clone / "unpacked")
        with pytest.raises(NotebookError, match="not a git clone"):
            update_from_git(clone / "unpacked")

    def test_without_git_the_other_way_is_told(self, clone, monkeypatch):
        monkeypatch.setenv("PATH", "")
        with pytest.raises(NotebookError, match=r"there is no git on this machine.*ssdseg update --from"):
            update_from_git(clone)


class Killed(BaseException):
    """What stands in for a process that is killed: nothing is cleaned up behind it."""


class TestUpdateThatIsKilled:
    @pytest.fixture
    def killed(self, monkeypatch):
        """Run an update that dies when git is asked for something, or behind that."""

        def run(root, when: str, behind: bool):
            real = subprocess.run

            def dying(command, **options):
                if command[3] != when:  # git -C FOLDER COMMAND
                    return real(command, **options)
                if behind:
                    real(command, **options)
                raise Killed

            with monkeypatch.context() as patch:
                patch.setattr(subprocess, "run", dying)
                patch.setattr(versions, "finish_interrupted", lambda _: ())  # nothing runs behind a kill
                with pytest.raises(Killed):
                    update_from_git(root)
            assert has_interrupted(root)

        return run

    @pytest.mark.parametrize("behind", [False, True])
    @pytest.mark.parametrize("when", ["checkout", "merge"])
    def test_the_next_update_has_all_the_work(self, upstream, clone, killed, when, behind):
        path = save(worked_in(), clone)
        publish(upstream)
        killed(clone, when, behind)
        update_from_git(clone)
        notebook = read_notebook(path)
        assert notebook["cells"][0]["source"] == "# Lesson 1, better than before"
        assert cell_of(notebook, "grid_centers")["source"] == ANSWER
        assert cell_of(notebook, "aaaa0001")["source"] == OWN["source"]
        assert not has_interrupted(clone)

    def test_what_the_learner_has_written_since_stays(self, upstream, clone, killed):
        path = save(worked_in(), clone)
        publish(upstream)
        killed(clone, "merge", behind=True)
        newer = with_answers(next_version(), grid_centers="grid_centers = 'written since'", coverage="coverage = 1")
        save(newer, clone)
        done = update_from_git(clone)
        notebook = read_notebook(path)
        assert cell_of(notebook, "grid_centers")["source"] == "grid_centers = 'written since'"
        assert cell_of(notebook, "coverage")["source"] == "coverage = 1"
        assert cell_of(notebook, "aaaa0001")["source"] == OWN["source"]
        assert "left as they are here: grid_centers" in done.moved[0].what
        assert cell_of(read_notebook(done.moved[0].backup), "grid_centers")["source"] == ANSWER

    def test_ctrl_c_while_git_works_leaves_all_as_it_was(self, upstream, clone, monkeypatch):
        path = save(worked_in(), clone)
        before = path.read_bytes()
        publish(upstream)
        real = subprocess.run

        def interrupted(command, **options):
            if command[3] == "merge":
                raise KeyboardInterrupt
            return real(command, **options)

        monkeypatch.setattr(subprocess, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            update_from_git(clone)
        assert path.read_bytes() == before
        assert not has_interrupted(clone)

    def test_a_damaged_journal_is_told_with_the_way_out(self, clone):
        (clone / ".ssdseg").mkdir()
        (clone / ".ssdseg" / "update.json").write_text("{")
        with pytest.raises(UpdateError, match=r"update\.json is damaged: copy your notebooks back from .*backups"):
            update_from_git(clone)


class TestUpdateFromFolder:
    @pytest.fixture
    def new(self, tmp_path):
        save(next_version(), tmp_path / "new")
        return tmp_path / "new"

    @pytest.fixture
    def old(self, tmp_path):
        root = tmp_path / "old"
        save(worked_in(), root)
        save(handed_out(), root, OTHER_LESSON)
        LESSON.solution(root).parent.mkdir(parents=True)
        LESSON.solution(root).write_bytes(LESSON.solution().read_bytes())
        return root

    def test_the_work_is_carried_and_the_old_folder_stays_as_it_is(self, old, new):
        before = LESSON.notebook(old).read_bytes()
        done = update_from_folder(old, new)
        notebook = read_notebook(LESSON.notebook(new))
        assert cell_of(notebook, "grid_centers")["source"] == ANSWER
        assert [(moved.lesson, moved.what) for moved in done.moved] == [("01_anchors", "1 answer, 1 cell of your own")]
        assert LESSON.notebook(old).read_bytes() == before

    def test_the_old_solution_tells_which_cells_the_learner_has_changed(self, old, new):
        notebook = worked_in()
        cell_of(notebook, EXPERIMENT)["source"] = "print('my experiment')"
        save(notebook, old)
        assert "1 cell that you have changed" in update_from_folder(old, new).moved[0].what
        assert "print('my experiment')" in [cell["source"] for cell in read_notebook(LESSON.notebook(new))["cells"]]

    def test_work_in_the_new_folder_is_never_lost(self, old, new):
        path = save(with_answers(next_version(), grid_centers="newer = 1", coverage="coverage = 1"), new)
        before = path.read_bytes()
        moved = update_from_folder(old, new).moved[0]
        notebook = read_notebook(path)
        assert cell_of(notebook, "grid_centers")["source"] == "newer = 1"
        assert cell_of(notebook, "coverage")["source"] == "coverage = 1"
        assert moved.backup.read_bytes() == before

    def test_doing_it_twice_is_doing_it_once(self, old, new):
        update_from_folder(old, new)
        before = LESSON.notebook(new).read_bytes()
        update_from_folder(old, new)
        assert LESSON.notebook(new).read_bytes() == before
        assert backups_in(new) == []

    def test_a_damaged_notebook_does_not_keep_the_others_from_being_carried(self, old, new):
        OTHER_LESSON.notebook(old).write_text("{")
        save(handed_out(), new, OTHER_LESSON)
        done = update_from_folder(old, new)
        assert [moved.lesson for moved in done.moved] == ["01_anchors", "02_matching"]
        assert "could not be carried" in done.moved[1].what

    def test_a_lesson_that_is_gone_is_told_with_the_place_of_its_notebook(self, old, new):
        LESSON.notebook(new).unlink()
        assert str(LESSON.notebook(old)) in update_from_folder(old, new).moved[0].what

    def test_a_folder_without_a_course_is_named(self, tmp_path, new):
        with pytest.raises(NotebookError, match="no course there"):
            update_from_folder(tmp_path / "nowhere", new)

    def test_the_course_itself_is_no_older_one(self, new):
        with pytest.raises(NotebookError, match="this course itself"):
            update_from_folder(new / "lessons" / "..", new)


def test_the_stand_ins_for_versions_differ_as_they_should():
    assert not has_work(next_version())
    assert has_work(worked_in())
    assert "linear_scales" not in [grade_id(cell) for cell in next_version()["cells"]]
