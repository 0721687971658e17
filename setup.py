"""Puts the course's own files into the wheel, so that `pip install` gives a learner the lessons; see pyproject.toml."""

import json
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
FILES = ("nbgrader_config.py", "lessons/*/[0-9][0-9]_*.ipynb", "solutions/*/[0-9][0-9]_*.py")
SOLUTIONS = "solutions/*/[0-9][0-9]_*.ipynb"


class BuildWithCourse(build_py):
    """Builds the packages, with the course's files in a folder of their own (`ssdseg_course.manifest.ROOT`)."""

    def run(self) -> None:
        """Build the packages, then add the files."""
        super().run()
        if self.editable_mode:  # there the repository itself is the course
            return
        folder = Path(self.build_lib, "ssdseg_course", "_course")
        shutil.rmtree(folder, ignore_errors=True)
        for path in (path for pattern in (*FILES, SOLUTIONS) for path in HERE.glob(pattern)):
            copy = folder / path.relative_to(HERE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.match(SOLUTIONS):
                copy.write_text(_without_outputs(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
            else:
                shutil.copyfile(path, copy)


def _without_outputs(text: str) -> str:
    """A notebook without its outputs, nearly all of which are pictures."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


setup(cmdclass={"build_py": BuildWithCourse})
