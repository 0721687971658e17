"""How fast is a class graded? `ssdseg grade` beside serial `nbgrader autograde`, in the same run.

    python tests/benchmarks/grading.py                  # 100 submissions of lesson 1, 20 of lesson 4: half an hour
    python tests/benchmarks/grading.py --autograde 4    # nbgrader grades four of each; its rate is taken from those

Submissions are the solution, the untouched lesson, and solutions with one answer missing, in turns. Both grade into a
new gradebook; the time is that of the whole command.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import ROOT, Lesson, find_lesson

CLASSES = (("1", 100), ("4", 20))


def hand_in(folder: Path, lesson: Lesson, number: int) -> None:
    """Write that many submissions, as nbgrader collects them."""
    solved = json.loads(lesson.solution().read_text(encoding="utf-8"))
    kinds = [solved, json.loads(lesson.notebook().read_text(encoding="utf-8"))]
    for exercise in exercises_of(lesson):
        cells = [
            cell for cell in solved["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") != exercise.name
        ]
        kinds.append({**solved, "cells": cells})
    for student in range(number):
        path = folder / f"learner{student:03d}" / lesson.name / f"{lesson.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(kinds[student % len(kinds)]), encoding="utf-8")


def run(command: list[str], folder: Path) -> float:
    """Seconds that a command takes."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-1000:]}")
    return time.monotonic() - start


def measure(lesson: Lesson, number: int, autograded: int) -> tuple[float, float]:
    """Submissions a minute, by us and by nbgrader."""
    with tempfile.TemporaryDirectory() as place:
        ours, theirs = Path(place, "ours"), Path(place, "theirs")
        hand_in(ours / "submitted", lesson, number)
        hand_in(theirs / "submitted", lesson, autograded)
        seconds = run([sys.executable, "-m", "ssdseg_course", "grade", "submitted"], ours)
        shutil.copy(ROOT / "nbgrader_config.py", theirs)
        shutil.copytree(lesson.solution().parent, theirs / "solutions" / lesson.name)
        run([sys.executable, "-m", "nbgrader", "generate_assignment", lesson.name, "--force"], theirs)
        other_seconds = run([sys.executable, "-m", "nbgrader", "autograde", lesson.name], theirs)
    return 60 * number / seconds, 60 * autograded / other_seconds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--autograde", type=int, help="submissions of each lesson that nbgrader grades; all by default")
    options = parser.parse_args()
    print("lesson          submissions  ssdseg grade  nbgrader autograde   ratio")
    for name, number in CLASSES:
        lesson = find_lesson(name)
        ours, theirs = measure(lesson, number, min(options.autograde or number, number))
        row = f"{lesson.name:16}{number:11}{ours:11.1f}/min{theirs:17.1f}/min{ours / theirs:8.1f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
