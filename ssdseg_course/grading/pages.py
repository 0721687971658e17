"""The pages that stand for a graded submission: the notebook for nbgrader's formgrader, and the learner's feedback.

Nothing that a learner has handed in is shown as anything but text: the outputs are ours, and what markup there is in
the prose is the lesson's.
"""

import re

from jinja2 import Environment

from ssdseg_course.checking.report import Report
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.grading.grader import Graded
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.workspace import Cell, Notebook, grade_id, notebook_text

FEEDBACK = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: {{ graded.student }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
pre { background: #f6f6f6; padding: .75rem; overflow-x: auto; font-size: 14px; }
section { border-left: 6px solid #009E73; padding: 0 0 0 1rem; margin: 1.5rem 0; }
section.open { border-color: #D55E00; }
.report { white-space: pre-wrap; }
h2 { font-size: 1.1rem; margin: 0; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ graded.student }}: <strong>{{ graded.earned }} of {{ graded.points }} points</strong></p>
{% if graded.remarks %}
<ul>
{% for remark in graded.remarks %}
<li>{{ remark }}</li>
{% endfor %}
</ul>
{% endif %}
{% for report, exercise_title, code in parts %}
<section{% if not report.passed %} class="open"{% endif %}>
<h2>{{ report.title }} · {{ exercise_title }}</h2>
<p class="report">{{ report.messages | join("\n") }}</p>
<details><summary>your answer</summary><pre>{{ code }}</pre></details>
</section>
{% endfor %}
</body>
</html>
""")


def feedback_page(graded: Graded) -> str:
    """The page that a learner gets back."""
    sources = {grade_id(cell): cell["source"] for cell in graded.notebook["cells"]}
    parts = [
        (report, EXERCISES[report.exercise_id].title, sources.get(report.exercise_id.split(".")[1], ""))
        for report in graded.reports
    ]
    return FEEDBACK.render(graded=graded, title=find_lesson(graded.lesson).title, parts=parts)


def graded_notebook(graded: Graded, release: Notebook) -> str:
    """The text of the notebook that nbgrader's formgrader shows."""
    reports = {f"{CHECK}{report.exercise_id.split('.')[1]}": report for report in graded.reports}
    prose = {cell["source"] for cell in release["cells"] if cell["cell_type"] == "markdown"}
    cells = []
    for cell in graded.notebook["cells"]:
        cell = _as_text(cell) if cell["cell_type"] != "code" and cell["source"] not in prose else dict(cell)
        if grade_id(cell) in reports:
            cell["outputs"] = [_output(reports[grade_id(cell)])]
        cells.append(cell)
    return notebook_text({**graded.notebook, "cells": cells})


def _as_text(cell: Cell) -> Cell:
    """A cell of the learner's prose, which could hold a script, as what it is: letters."""
    fence = "`" * (3 + max(map(len, re.findall("`+", cell["source"])), default=0))
    return {**cell, "cell_type": "markdown", "source": f"{fence}text\n{cell['source']}\n{fence}"}


def _output(report: Report) -> dict:
    text = str(report)
    if report.passed:
        return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}
    error = f"CheckFailed: {report.exercise_id}"
    return {"output_type": "error", "ename": "CheckFailed", "evalue": error, "traceback": text.splitlines()}
