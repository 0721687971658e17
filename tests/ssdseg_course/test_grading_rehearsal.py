"""A term, rehearsed: a class with the mistakes that people make is graded, exported, late, and graded anew.

The answers are those of `term_answers.json`, as people have written them for lesson 2: right ones and mistakes.
"""

import contextlib
import csv
import json
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from sandboxes import needs_sandbox
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import grade_id, notebook_text, read_notebook

LESSON = find_lesson("2")
EXERCISES = exercises_of(LESSON)
MENDED = EXERCISES[2]
ANSWERS = json.loads((Path(__file__).parent / "term_answers.json").read_text(encoding="utf-8"))
DUE = "percent_per_day = 10\nlargest_percent = 50\nfree_days = 1\n[due]\n2 = 2026-10-12T10:00:00Z\n"
THIRTY = 30


def of_kind(exercise: str, kind: str) -> list[str]:
    return [answer["code"] for answer in ANSWERS if (answer["exercise"], answer["kind"]) == (exercise, kind)]


def hand_in(folder: Path, number: int) -> float:
    """Write the submission of a learner, and give the points that it deserves.

    Every learner has their own ways: of the seven answers up to three are mistakes, others are right in another way
    than the solution. Every sixth is empty but for one answer, as of somebody who has just begun.
    """
    notebook = read_notebook(LESSON.solution())
    stubs = {grade_id(cell): cell["source"] for cell in read_notebook(LESSON.notebook())["cells"]}
    cells = {grade_id(cell): cell for cell in notebook["cells"]}
    points = 0.0
    for place, exercise in enumerate(EXERCISES):
        mistakes, honest = of_kind(exercise.id, "mistake"), of_kind(exercise.id, "honest")
        cell = cells[exercise.name]
        if number % 6 == 5 and place:
            cell["source"] = stubs[exercise.name]
        elif place in {(number * step + step) % 7 for step in range(1, 1 + number % 4)}:
            cell["source"] = mistakes[number % len(mistakes)]
        else:
            points += exercise.points
            if honest and (number + place) % 2:
                cell["source"] = honest[number % len(honest)]
    folder.mkdir(parents=True)
    (folder / f"{LESSON.name}.ipynb").write_text(notebook_text(notebook), encoding="utf-8")
    hours = 30 * (number % 4)  # 0, 2, 3 or 4 started days, of which one is free
    (folder / "timestamp.txt").write_text(f"2026-10-{12 + (10 + hours) // 24} {(10 + hours) % 24:02d}:00:00 UTC")
    return points


def late(number: int, points: float) -> float:
    """What being late leaves: ten of a hundred points for each day but the free one."""
    return max(0.0, points - min(50, 10 * [0, 1, 2, 3][number % 4]))


def ssdseg(term: Path, *arguments: str) -> str:
    """What a command prints, in one line."""
    with contextlib.chdir(term):
        done = CliRunner().invoke(app, ["grade", *arguments])
    text = " ".join(done.output.split())
    assert done.exit_code == 0, text
    return text


def scores(term: Path, column: str = "score") -> dict[str, float]:
    with (term / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student_id"]: float(row[column]) for row in csv.DictReader(file)}


@needs_sandbox
@pytest.mark.parametrize("learners", [4, pytest.param(THIRTY, marks=pytest.mark.slow)])
def test_a_class_is_graded_exported_late_and_graded_anew(tmp_path, learners):
    tmp_path.chmod(0o755)
    deserved = {f"u{number:02d}": 0.0 for number in range(learners)}
    for number, student in enumerate(deserved):
        deserved[student] = hand_in(tmp_path / "submitted" / student / LESSON.name, number)
    # Graded: each has what was deserved.
    text = ssdseg(tmp_path, "submitted")
    assert f"{learners} graded, 0 unchanged since they were graded, 0 not graded" in text
    assert scores(tmp_path) == deserved
    # Late: a table of due dates counts without grading anything.
    (tmp_path / "due_dates.toml").write_text(DUE)
    text = ssdseg(tmp_path, "submitted")
    assert f"0 graded, {learners} unchanged" in text
    after = {student: late(number, points) for number, (student, points) in enumerate(deserved.items())}
    assert scores(tmp_path) == after
    # Exported: a dry run writes nothing, and Canvas gets what counts.
    head = f"Student,ID,SIS User ID,SIS Login ID,Section,{LESSON.name} (7)\n    Points Possible,,,,,100\n"
    people = "".join(
        f'"Name, {student}",{100 + n},{student},{student}@x.org,A,\n' for n, student in enumerate(deserved)
    )
    (tmp_path / "export.csv").write_text(head + people)
    before = set(tmp_path.iterdir())
    text = ssdseg(tmp_path, "--csv", "canvas", "--roster", "export.csv", "--dry-run")
    assert f"Learners: {learners}, {learners} of them with other points than before" in text
    assert set(tmp_path.iterdir()) == before
    ssdseg(tmp_path, "--csv", "canvas", "--roster", "export.csv")
    with (tmp_path / f"canvas-{LESSON.name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[1:]
    assert {row["SIS User ID"]: float(row[f"{LESSON.name} (7)"]) for row in rows} == after
    # A check that was too strict, and is mended: before, nobody had its points.
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", "ssdseg") as book:
        for student in deserved:
            grade = book.find_grade(f"check_{MENDED.name}", LESSON.name, LESSON.name, student)
            grade.auto_score = 0
        book.find_comment(MENDED.name, LESSON.name, LESSON.name, "u00").manual_comment = "Sorry: our check was wrong."
        book.db.commit()
    ssdseg(tmp_path, "submitted")
    before_it = scores(tmp_path, "raw_score")
    assert sum(before_it.values()) < sum(deserved.values())
    text = ssdseg(tmp_path, "submitted", "--exercise", "2.3")
    assert f"{MENDED.id}: changed" in text
    changed = sum(points > before_it[student] for student, points in deserved.items())
    assert f"{MENDED.id}: {changed} changed, {learners - changed} as before" in text
    assert scores(tmp_path) == after
    # Exported once more, for Moodle, with the comment that a grader has written meanwhile.
    ssdseg(tmp_path, "--csv", "moodle")
    text = (tmp_path / f"moodle-{LESSON.name}.csv").read_text(encoding="utf-8")
    assert f"{MENDED.name}: Sorry: our check was wrong." in text
    # A look at likeness: what stands in the solution is nobody's own.
    assert "a hint to look, and never a verdict" in ssdseg(tmp_path, "submitted", "--similarity")
