"""The pages that stand for a graded submission: the notebook for nbgrader's formgrader, and the learner's feedback.

Nothing that a learner has handed in is shown as anything but text: the outputs are ours, and what markup there is in
the prose is the lesson's.
"""

import re

from jinja2 import Environment

from ssdseg_course.checking.report import SIGNS, Report
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.grading.gradebook import Mark, Record, Standing
from ssdseg_course.grading.grader import Graded
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.workspace import Cell, Notebook, code_cells, grade_id, notebook_text

FEEDBACK = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: {{ name }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
pre { background: #f6f6f6; padding: .75rem; overflow-x: auto; font-size: 14px; }
section { border-left: 6px solid #009E73; padding: 0 0 0 1rem; margin: 1.5rem 0; }
section.open { border-color: #D55E00; }
.report { white-space: pre-wrap; }
.comment { background: #eef4fb; padding: .5rem .75rem; }
h2 { font-size: 1.1rem; margin: 0; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ name }}: <strong>{{ "%g" % points }} of {{ "%g" % record.points }} points</strong>
{%- if penalty %}, after {{ "%g" % penalty }} less for being late{% endif %}
{% if late %} ({{ late }}){% endif %}</p>
{% if record.remarks %}
<ul>
{% for remark in record.remarks %}
<li>{{ remark }}</li>
{% endfor %}
</ul>
{% endif %}
{% for result, exercise_title, mark in parts %}
<section{% if mark.points < result.points %} class="open"{% endif %}>
<h2>{{ signs[mark.points >= result.points] }} {{ result.exercise }}
{{ "%g" % mark.points }}/{{ "%g" % result.points }} · {{ exercise_title }}</h2>
{% if mark.by_hand %}
<p>These points were given by hand; the check gave {{ "%g" % result.earned }}.</p>
{% endif %}
{% if mark.comment %}
<p class="report comment">{{ mark.comment }}</p>
{% endif %}
<p class="report">{{ result.said }}</p>
<details><summary>your answer</summary><pre>{{ result.code }}</pre></details>
</section>
{% endfor %}
</body>
</html>
""")


def feedback_page(record: Record, standing: Standing, name: str) -> str:
    """The page that a learner gets back: what was found, and all that the instructor has changed or said by hand.

    Args:
        record: of the submission.
        standing: what nbgrader has of it.
        name: of the learner.
    """
    parts = []
    for result in record.results:
        function = result.exercise.split(".")[1]
        exercise = EXERCISES.get(result.exercise)
        mark = standing.marks.get(function, Mark(result.earned, False, ""))
        parts.append((result, exercise.title if exercise else function, mark))
    return FEEDBACK.render(
        title=find_lesson(record.lesson).title,
        name=name,
        record=record,
        points=standing.points,
        penalty=standing.penalty,
        late=standing.late,
        parts=parts,
        signs=SIGNS,
    )


def graded_notebook(graded: Graded, release: Notebook) -> str:
    """The text of the notebook that nbgrader's formgrader shows."""
    reports = {f"{CHECK}{report.exercise_id.split('.')[1]}": report for report in graded.reports}
    prose = {cell["source"] for cell in release["cells"] if cell["cell_type"] == "markdown"}
    cells = []
    for cell in graded.notebook["cells"]:
        cell = _as_text(cell) if cell["cell_type"] != "code" and cell["source"] not in prose else dict(cell)
        if report := reports.get(grade_id(cell) or ""):
            cell["outputs"] = [_output(report)]
        cells.append(cell)
    return notebook_text({**graded.notebook, "cells": cells})


def with_new_report(page: Notebook, graded: Graded) -> str | None:
    """The text of such a notebook with one exercise graded anew; None if it was made of other code than that."""
    if _sources(page) != _sources(graded.notebook):
        return None
    (report,) = graded.reports
    check = f"{CHECK}{report.exercise_id.split('.')[1]}"
    cells = [{**cell, "outputs": [_output(report)]} if grade_id(cell) == check else cell for cell in page["cells"]]
    return notebook_text({**page, "cells": cells})


def _sources(notebook: Notebook) -> list[str]:
    return [cell["source"] for _, cell in code_cells(notebook)]


def _as_text(cell: Cell) -> Cell:
    """A cell of the learner's prose, which could hold a script, as what it is: letters."""
    fence = "`" * (3 + max(map(len, re.findall("`+", cell["source"])), default=0))
    return {**cell, "cell_type": "markdown", "source": f"{fence}text\n{cell['source']}\n{fence}"}


def _output(report: Report) -> dict[str, object]:
    text = str(report)
    if report.passed:
        return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}
    error = f"CheckFailed: {report.exercise_id}"
    return {"output_type": "error", "ename": "CheckFailed", "evalue": error, "traceback": text.splitlines()}
