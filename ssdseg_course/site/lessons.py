"""Two pages of a lesson: as it runs, with stubs where answers belong; and its solutions, each folded away."""

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ssdseg_course.manifest import Lesson
from ssdseg_course.site.errors import SiteError
from ssdseg_course.site.explorers import PLACE
from ssdseg_course.site.texts import relink

EXERCISE = re.compile(r"^#{2,4} (Exercise [\d.]+[^\n·]*)", re.MULTILINE)
MARKS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)


def write_lesson(lesson: Lesson, source: Path, root: Path, fragments: dict[str, str]) -> None:
    """Write the sources of both pages.

    Raises:
        SiteError: if one of the lesson's notebooks is missing or broken.
    """
    executed, learners = _read(lesson.solution(root)), _read(lesson.notebook(root))
    stubs = {cell.id: cell.source for cell in learners.cells}
    cells, solutions, heading = [], [], lesson.title
    for cell in executed.cells:
        if cell.cell_type == "markdown":
            if found := EXERCISE.findall(cell.source):
                heading = found[-1].strip(" -")
            cell.source = relink(cell.source, f"lessons/{lesson.name}.ipynb", root, lesson.notebook(root))
        elif cell.cell_type == "code":
            if cell.metadata.get("nbgrader", {}).get("solution") and not cell.metadata.nbgrader.get("grade"):
                if cell.id not in stubs:
                    raise SiteError(f"{lesson.notebook(root)} lacks the cell {cell.id}: run `make lessons`")
                solutions.append((heading, MARKS.sub("", cell.source).strip()))
                cell.source = stubs[cell.id]
            cell.outputs = [_as_page(output, source) for output in cell.outputs]
            if cell.metadata.get("jupyter", {}).get("source_hidden"):
                cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-input"]
        cells.append(cell)
        cells += [
            nbformat.v4.new_markdown_cell(fragment.replace(PLACE, "../_static/explorers"), id=f"explorer-{name}")
            for name, fragment in fragments.items()
            if cell.cell_type == "code" and re.search(rf"\bexplore_{name}s?\(", cell.source)
        ]
    executed.cells = cells
    if solutions:
        link = f"[Solutions of this lesson](../solutions/{lesson.name}.md), each behind a click."
        executed.cells.append(nbformat.v4.new_markdown_cell(link, id="solutions"))
    folder = source / "lessons"
    folder.mkdir(exist_ok=True)
    nbformat.write(executed, folder / f"{lesson.name}.ipynb")
    _write_solutions(lesson, source, solutions)


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise SiteError(f"{path} is missing: run `make lessons`, which builds it") from None
    except OSError:
        raise
    except Exception as error:  # whatever nbformat finds wrong
        raise SiteError(f"{path} is not a notebook ({type(error).__name__}): run `make lessons`") from error


def _as_page(output: NotebookNode, source: Path) -> NotebookNode:
    """The output with its picture as a file, under its own alt text."""
    data: dict[str, Any] = output.get("data", {})
    if "image/png" not in data:
        return output
    about = output.metadata.get("image/png", {})
    picture = base64.b64decode(data["image/png"])
    name = hashlib.sha256(picture).hexdigest()[:16] + ".png"
    folder = source / "_static" / "figures"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(picture)
    width = f' width="{about["width"]}"' if "width" in about else ""
    alt = escape(about.get("alt", "A figure that the code above draws."), quote=True)
    html = f'<img src="../_static/figures/{name}" alt="{alt}"{width} loading="lazy">'
    return nbformat.v4.new_output("display_data", data={"text/html": html})


def _write_solutions(lesson: Lesson, source: Path, solutions: list[tuple[str, str]]) -> None:
    folder = source / "solutions"
    folder.mkdir(exist_ok=True)
    parts = [
        f"# Solutions of lesson {lesson.number}\n\nTry it yourself first: a check says what is wrong. "
        f"Back to [the lesson](../lessons/{lesson.name}.ipynb)."
    ]
    for heading, code in solutions:
        parts.append(
            f"## {heading}\n\n<details><summary>Show the solution</summary>\n\n```python\n{code}\n```\n\n</details>"
        )
    (folder / f"{lesson.name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
