"""A whole class, most of it broken or hostile, graded in one run: everybody gets what is deserved, and no more."""

import socket
import threading
import time
from pathlib import Path

import psutil
import pytest
import submissions
from learners import LESSON
from nbgrader.api import Gradebook
from sandboxes import needs_sandbox

from ssdseg_course.grading.grading import Options, grade_folder
from ssdseg_course.manifest import ROOT

SECONDS = 4  # that an exercise may take here
WORKERS = 2


class Listener:
    """Somebody who should never be called."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                self.server.accept()
            except OSError:
                return
            self.calls += 1


def states(root: Path) -> dict:
    """Of every learner's submission that the gradebook knows: points and what else could have been changed."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        return {
            submission.student.id: (
                submission.score,
                submission.max_score,
                submission.needs_manual_grade,
                submission.timestamp,
            )
            for submission in book.assignment_submissions(LESSON.name)
        }


# Of each kind some: `make test` grades them, `make test-all` all of them.
SOME = [
    "ada",
    "bob",
    "untouched",
    "one-wrong",
    "helper-below",
    "module-beside",
    "wrong-early",
    "list-early",
    "truncated",
    "no-metadata",
    "latin-1",
    "pipe",
    "forged-outputs",
    "script",
    "crash",
    "loop",
    "memory-of-children",
    "forks",
    "leaves-a-process",
    "more-namespaces",
    "patched-numpy",
    "pickled-report",
    "takes-the-reference",
    "terminal-letters",
    "looks-for-solutions",
    "looks-for-neighbours",
    "writes-the-gradebook",
    "leaves-a-note",
    "reads-the-note",
    "connects",
    "mounts",
    "looks-at-processes",
    "reads-the-environment",
]


def everybody(root: Path, port: int) -> tuple[submissions.Case, ...]:
    """The whole class; see `submissions.reaching`."""
    return (
        *submissions.GOOD,
        *submissions.HONEST,
        *submissions.BROKEN,
        *submissions.FILES,
        *submissions.MARKS,
        *submissions.HARMS,
        *submissions.FORGERIES,
        *submissions.reaching(root, port),
    )


@pytest.fixture(
    scope="module", params=[pytest.param("some", marks=pytest.mark.part), pytest.param("all", marks=pytest.mark.full)]
)
def graded(request, tmp_path_factory):
    """The class, graded; with what was seen before and after."""
    root = tmp_path_factory.mktemp("term")
    root.chmod(0o755)
    listener = Listener()
    cases = [case for case in everybody(root, listener.port) if request.param == "all" or case.name in SOME]
    honest = root / "earlier"
    submissions.write_class(honest, submissions.GOOD[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_INSTRUCTOR", "42")
        grade_folder(honest, root, Options(lesson=LESSON, workers=1, seconds=SECONDS))
        before = states(root)
        submissions.write_class(root / "submitted", cases)
        start = time.monotonic()
        outcome = grade_folder(root / "submitted", root, Options(lesson=LESSON, workers=WORKERS, seconds=SECONDS))
    print(f"  {len(cases)} submissions in {time.monotonic() - start:.0f} s")
    listener.server.close()
    return root, cases, outcome, before, states(root), listener


def said_of(name: str, graded) -> str:
    """All that the instructor reads of a learner."""
    root, _, outcome, *_ = graded
    page = root / "feedback" / name / LESSON.name / f"{LESSON.name}.html"
    parts = [one.reason for one in outcome.not_graded if one.student == name]
    parts += [remark for one in outcome.records if one.student == name for remark in one.remarks]
    parts += [page.read_text().replace("&#39;", "'").replace("&lt;", "<")] if page.exists() else []
    return "\n".join(parts)


@needs_sandbox
def test_everybody_gets_what_is_deserved_and_the_instructor_reads_why(graded):
    _, cases, _, _, after, _ = graded
    points = {case.name: after[case.name][0] if case.name in after else None for case in cases}
    said = {case.name: said_of(case.name, graded) for case in cases}
    assert not {
        case.name: (points[case.name], said[case.name])
        for case in cases
        if points[case.name] != case.points or case.words not in said[case.name]
    }


def test_there_are_more_than_a_hundred_of_them():
    names = [case.name for case in everybody(Path("/"), 0)]
    assert len(set(names)) == len(names) > 100
    assert set(SOME) <= set(names)


@needs_sandbox
def test_no_lesson_has_more_than_its_points(graded):
    after = graded[4]
    assert all(score <= full == 100 for score, full, *_ in after.values())


@needs_sandbox
def test_grades_given_before_stay_exactly_as_they_were(graded):
    _, _, outcome, before, after, _ = graded
    assert set(before) == {"ada", "bob"}
    assert {name: after[name] for name in before} == before
    assert outcome.unchanged == len(before)


@needs_sandbox
def test_nothing_that_a_submission_started_is_left(graded):
    own = {process.pid for process in psutil.Process().children(recursive=True)}
    left = [
        process.info
        for process in psutil.process_iter(["pid", "ppid", "cmdline"])
        if process.info["pid"] in own or process.info["ppid"] == 1  # others may be grading at the same time
    ]
    assert not [
        process
        for process in left
        if "98765" in (process["cmdline"] or ()) or "sandboxed" in " ".join(process["cmdline"] or ())
    ]


@needs_sandbox
def test_nobody_got_out(graded):
    root, _, _, _, _, listener = graded
    assert listener.calls == 0
    for place in ("/tmp/note", "/dev/shm/note", "/tmp/owned", ROOT / "note"):
        assert not Path(place).exists(), place
    assert (root / "gradebook.db").stat().st_size > 0


@needs_sandbox
def test_pages_show_what_learners_write_as_text(graded):
    root = graded[0]
    for kind in ("feedback", "autograded"):
        (page,) = (root / kind / "script" / LESSON.name).glob(f"{LESSON.name}.*")
        text = page.read_text()
        assert "alert(2)" in text
        if kind == "feedback":
            assert "<script" not in text
        else:
            assert "```text\\n" in text
    page = root / "feedback" / "terminal-letters" / LESSON.name / f"{LESSON.name}.html"
    assert "\x1b" not in page.read_text()


@needs_sandbox
def test_feedback_says_nothing_of_cases_but_the_one_that_failed(graded):
    page = (graded[0] / "feedback" / "one-wrong" / LESSON.name / f"{LESSON.name}.html").read_text()
    assert page.count("called with") == 1
    assert "seed" not in page  # it would draw all of them
