"""Is a notebook as JupyterLite saves it the same to those who read it?"""

import subprocess
import sys

import pytest

from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import grade_id, notebook_text, read_notebook

LESSON = find_lesson("0")
RIGHT = (
    "def to_pixels(box, image_size):\n    height, width = image_size\n    return box * [width, height, width, height]"
)
WRONG = RIGHT.replace("width, height, width, height]", "height, width, height, width]")
AS_SAVED = {
    "kernelspec": {"display_name": "Python (Pyodide)", "language": "python", "name": "python"},
    "language_info": {
        "codemirror_mode": {"name": "python", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.8",
    },
    "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2, "version_minor": 0}},
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RIGHT, "all is well with it; 1 of 1 answers are written."),
        (WRONG, "1 of 1 answers are written, 1 of them not right yet."),
        (None, "all is well with it; 0 of 1 answers are written."),
    ],
)
def test_doctor_tries_its_answers_as_grading_will(answer, words, tmp_path):
    notebook = read_notebook(LESSON.notebook()) | {"metadata": AS_SAVED}
    for number, cell in enumerate(cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        cell["metadata"] |= {"trusted": True}
        cell["execution_count"] = number
        if grade_id(cell) == "to_pixels" and answer:
            cell["source"] = answer
    path = tmp_path / f"{LESSON.name}.ipynb"
    path.write_text(notebook_text(notebook), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ssdseg_course", "doctor", path], capture_output=True, text=True, check=False
    )
    assert words in done.stdout, done.stderr
