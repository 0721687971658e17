"""Takes the answers out of a notebook in whatever state it was handed in, and says in plain words what was mended.

The notebook that is graded is always the lesson as it was handed out, with the learner's answers and own cells in it:
so nothing that is written in the one handed in, but code, counts.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading.bulk import MIB, BulkError, without_outputs
from ssdseg_course.grading.text import shown
from ssdseg_course.manifest import LESSONS, Lesson
from ssdseg_course.work.carrying import CHECK, carry_over
from ssdseg_course.work.workspace import CHECK_CALL, Cell, Notebook, NotebookError, grade_id, is_answer

MOST_CELLS = 2000
MOST_CODE = 2_000_000  # characters
LARGEST_TEXT = 8 * MIB  # characters, without outputs and pictures
MOST_BRACKETS = 500_000  # without them
CELL_TYPES = ("code", "markdown", "raw")
MARKS = ("points", "grade", "solution", "locked", "task")  # of nbgrader, which a learner has no reason to change
MARKED = ("utf-8-sig", "utf-16", "utf-32")  # encodings that a byte-order mark has told
LONGEST_NUMBER = 20  # digits
BETWEEN = re.compile(r"[ \t\r\n,]*+")
CELLS = re.compile(r'"(?:cells|worksheets)"[ \t\r\n]*+:[ \t\r\n]*+\[')
CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})(?: .*)?\r?$", re.MULTILINE)  # a line that git writes
FUNCTION = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
# Letters that nobody sees, and that Python cannot read: each with what stands in its place.
UNSEEN = str.maketrans(dict.fromkeys("\ufeff\u200b\u200c\u200d\u2060\u00ad", "") | {"\u00a0": " ", "\u2028": "\n"})
FEW = 3  # names that are listed


@dataclass(frozen=True)
class Repaired:
    """A lesson's notebook as it was handed out, with a learner's work in it.

    Attributes:
        notebook: the lesson's cells and the learner's, without outputs.
        remarks: what was wrong with the one that was handed in, a sentence each; none if it was in order.
    """

    notebook: Notebook
    remarks: tuple[str, ...]


def repair(content: bytes, lesson: Lesson, release: Notebook) -> Repaired:
    """Put the answers of a notebook into the lesson's own.

    Args:
        content: the file that was handed in.
        lesson: for which.
        release: the lesson's notebook as it was handed out.

    Raises:
        NotebookError: if no answer can be found in it, with the reason.
    """
    remarks: list[str] = []
    text = decoded(content, remarks)
    if CONFLICT.search(text):
        text = _more_written(text, release)
        remarks.append("there is a merge conflict in it: of its two sides that with more answers was read")
    text = _without_outputs(text)
    cells = _cells(_parsed(text, remarks), release, remarks)
    _must_be_of(lesson, cells)
    cells = _named(cells, release, remarks)
    cells = _with_every_answer(cells, release, remarks)
    old = {**release, "cells": cells}
    carried = carry_over(old, release, release)
    for cell in carried.notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return Repaired(carried.notebook, tuple(dict.fromkeys(remarks)))


def decoded(content: bytes, remarks: list[str]) -> str:
    """The text of a file in whatever encoding.

    Args:
        content: of the file.
        remarks: gets a sentence where the encoding is not the one that it should be.

    Raises:
        NotebookError: if there is nothing in it.
    """
    if not content.strip(b"\x00 \t\r\n"):
        raise NotebookError("the file is empty")
    encoding: str = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1" if encoding == "utf-8" else encoding
        text = content.decode(encoding, errors="replace")
    if encoding in MARKED:
        remarks.append(f"the file begins with a byte-order mark ({encoding}); it was read all the same")
    elif encoding != "utf-8":
        name = "Latin-1" if encoding == "latin-1" else encoding.upper()
        remarks.append(f"the file is not in UTF-8; it was read as {name}")
    return text


def _without_outputs(text: str) -> str:
    """The text of a notebook without outputs, attached pictures and widgets.

    Raises:
        NotebookError: if far too much is left.
    """
    try:
        text = without_outputs(text.encode()).decode()
    except BulkError as error:
        raise NotebookError(f"{error}; clear its outputs in Jupyter") from None
    if len(text) > LARGEST_TEXT or text.count("[") + text.count("{") > MOST_BRACKETS:
        raise NotebookError(
            f"without its outputs it still has more than {LARGEST_TEXT // MIB} MiB, or far too many parts"
        )
    return text


def _more_written(text: str, release: Notebook) -> str:
    """The side of a merge conflict with more answers in it; the upper one, one's own, where that does not tell."""
    sides = [_side(text, lower) for lower in (False, True)]
    stubs = {cell["source"].strip() for cell in release["cells"] if is_answer(cell)}

    def written(side: str) -> int:
        try:
            found = _cells(_parsed(_without_outputs(side), []), release, [])
        except NotebookError:
            return -1
        return len({_own_name(cell) for cell in found if _own_name(cell) and cell["source"].strip() not in stubs})

    return max(sides, key=written)


def _side(text: str, lower: bool) -> str:
    """One side of each conflict that `git merge` has left in a text."""
    parts, place, skipping, inside = [], 0, False, False
    for mark in CONFLICT.finditer(text):
        if mark[1][0] != "<" and not inside:  # a row of signs that is no conflict's
            continue
        if not skipping:
            parts.append(text[place : mark.start()])
        place = mark.end() + 1
        inside = mark[1][0] != ">"
        skipping = {"<": lower, "|": True, "=": not lower, ">": False}[mark[1][0]]
    return "".join([*parts, "" if skipping else text[place:]])


def _parsed(text: str, remarks: list[str]) -> dict[str, Any]:
    try:
        notebook = json.loads(text, strict=False, parse_int=_short)
    except RecursionError:
        raise NotebookError("the file is not a notebook: it is nested far too deeply") from None
    except json.JSONDecodeError:
        cells = _salvaged(text)
        if not cells:
            raise NotebookError("the file is damaged, and no cell of a notebook can be read in it") from None
        count = f"{len(cells)} cell{'s' * (len(cells) > 1)}"
        remarks.append(f"the file breaks off or is damaged; {count} could be read, what stood behind is lost")
        return {"nbformat": 4, "cells": cells}
    if not isinstance(notebook, dict):
        raise NotebookError("the file is not a notebook")
    if "worksheets" in notebook or notebook.get("nbformat") in (1, 2, 3):
        return _converted(notebook, remarks)
    if notebook.get("nbformat") != 4:
        remarks.append(f"it says that it is of format {shown(notebook.get('nbformat'), 20)}; it was read as format 4")
    _look_at_kernel(notebook.get("metadata"), remarks)
    return notebook


def _short(number: str) -> int:
    """A whole number; Python refuses those of thousands of digits, and none of a notebook has."""
    return int(number[:LONGEST_NUMBER])


def _salvaged(text: str) -> list[Any]:
    """The cells of a broken file that can be read, from the first one on."""
    start = CELLS.search(text)
    decoder = json.JSONDecoder(strict=False, parse_int=_short)
    cells: list[Any] = []
    place = start.end() if start else len(text)
    while place < len(text) and len(cells) <= MOST_CELLS:
        between = BETWEEN.match(text, place)
        try:
            cell, place = decoder.raw_decode(text, between.end() if between else place)
        except (json.JSONDecodeError, RecursionError):
            break
        cells.append(cell)
    return cells


def _converted(notebook: dict[str, Any], remarks: list[str]) -> dict[str, Any]:
    """A notebook of an older format as one of format 4: of its cells alone."""
    version = shown(notebook.get("nbformat"), 20)
    try:
        sheets = notebook.get("worksheets", [notebook])
        cells = [_modern(cell) for sheet in sheets for cell in sheet["cells"]]
    except (KeyError, TypeError, AttributeError):
        raise NotebookError(f"the file is a notebook of format {version} that cannot be converted") from None
    remarks.append(f"it is of format {version}; it was converted to format 4")
    return {"nbformat": 4, "cells": cells}


def _modern(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "source": cell.get("source", cell.get("input", ""))}


def _look_at_kernel(metadata: Any, remarks: list[str]) -> None:
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    name = kernel.get("name") if isinstance(kernel, dict) else None
    language = kernel.get("language") if isinstance(kernel, dict) else None
    known = ("python", "ssdseg", "conda", "venv", ".venv")
    if isinstance(name, str) and not name.lower().startswith(known) and language != "python":
        remarks.append(f"it was written for the kernel '{shown(name, 40)}'; it was run with Python")


def _cells(notebook: dict[str, Any], release: Notebook, remarks: list[str]) -> list[Cell]:
    """Its cells, each with a type, metadata and its text in one piece."""
    known = {cell["source"] for cell in release["cells"]}
    found = notebook.get("cells")
    if not isinstance(found, list):
        raise NotebookError("the file is not a notebook: it has no cells")
    cells, strange = [], 0
    for cell in found:
        source = cell.get("source", "") if isinstance(cell, dict) else None
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str):
            strange += 1
            continue
        kind = cell.get("cell_type")
        kind = kind if kind in CELL_TYPES else "code" if "outputs" in cell else "raw"
        metadata = cell.get("metadata")
        identity = cell.get("id")
        cells.append(
            {
                "cell_type": kind,
                "id": identity if isinstance(identity, str) else "",
                "metadata": metadata if isinstance(metadata, dict) else {},
                "source": _clean(source, known, remarks),
            }
        )
    if strange:
        remarks.append(
            f"{strange} cell{'s' * (strange > 1)} without a text {'were' if strange > 1 else 'was'} left out"
        )
    if len(cells) > MOST_CELLS or sum(len(cell["source"]) for cell in cells) > MOST_CODE:
        raise NotebookError(f"it has more than {MOST_CELLS:,} cells or {MOST_CODE:,} characters of code and text")
    return cells


def _clean(source: str, known: set[str], remarks: list[str]) -> str:
    """A cell's text with line ends of one kind, and no letter that a file cannot hold or nobody can see."""
    source = source.replace("\r\n", "\n").replace("\x00", "").encode("utf-8", "replace").decode()
    if source in known:
        return source
    if source.translate(UNSEEN) != source:
        remarks.append("letters that cannot be seen, such as a byte-order mark, were taken out of its cells")
        source = source.translate(UNSEEN)
    if "<<<<<<< " in source and CONFLICT.search(source):
        remarks.append("there is a merge conflict in one of its cells: the upper side was read")
        source = _side(source, lower=False)
    return source


def _must_be_of(lesson: Lesson, cells: list[Cell]) -> None:
    """A notebook of another lesson has none of this one's names."""
    names = {_own_name(cell) for cell in cells} | {name for cell in cells for name in _functions(cell)}

    if not names & names_of(lesson):
        best = most_alike(names)
        other = f"; it looks like {best.name}" if best else ""
        raise NotebookError(f"none of the functions of {lesson.name} is in it{other}")


def names_of(lesson: Lesson) -> set[str]:
    """Names of the functions that a lesson asks for."""
    return {exercise.name for exercise in exercises_of(lesson)}


def most_alike(names: set[str]) -> Lesson | None:
    """The lesson most of whose functions are among some names; None if no function of any is."""
    best = max(LESSONS, key=lambda lesson: len(names & names_of(lesson)))
    return best if names & names_of(best) else None


def _own_name(cell: Cell) -> str:
    """What nbgrader calls the cell, by what the file says; "" without a name."""
    marks = cell["metadata"].get("nbgrader")
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return name if isinstance(name, str) else ""


def _functions(cell: Cell) -> list[str]:
    """Names of the functions that are defined at the top of a cell of code, also one that was made text."""
    return FUNCTION.findall(cell["source"])


def _is_defined(name: str, cell: Cell) -> bool:
    """Whether a cell makes that name stand for something, in whatever way."""
    ways = rf"[ \t]*+(?:(?:async[ \t]++)?def[ \t]++{name}\b|{name}[ \t]*+(?::[^=\n]*+)?=(?!=))"
    return any(re.match(ways, line) for line in cell["source"].splitlines())


def _named(cells: list[Cell], release: Notebook, remarks: list[str]) -> list[Cell]:
    """The cells with the marks that the lesson gave them; whatever else they say of themselves is forgotten."""
    known = {name: cell for cell in release["cells"] if (name := grade_id(cell))}
    ids = {cell["id"] for cell in release["cells"]}
    marked = [name for name in map(_own_name, cells) if name in known]
    if not marked:
        remarks.append("nbgrader's marks are gone from all cells; answers were found by the names of their functions")
    result: list[Cell] = []
    retyped: list[str] = []
    checks: list[str] = []
    changed: list[str] = []
    for cell in cells:
        name = _own_name(cell)
        if name not in known:
            call = CHECK_CALL.fullmatch(cell["source"].strip())
            name = cell["id"] if cell["id"] in known else f"{CHECK}{call[2]}" if call else ""
        original = known.get(name)
        if original is None:
            own: Cell = {"cell_type": cell["cell_type"], "metadata": {}, "source": cell["source"]}
            result.append(own | ({"id": cell["id"]} if cell["id"] in ids and cell["id"] not in known else {}))
            continue
        marks, right = cell["metadata"].get("nbgrader"), original["metadata"]["nbgrader"]
        if isinstance(marks, dict) and any(marks.get(key, right.get(key)) != right.get(key) for key in MARKS):
            changed.append(name)
        if cell["cell_type"] != original["cell_type"]:
            retyped.append(name)
        if not is_answer(original) and cell["source"].strip() != original["source"].strip():
            checks.append(name)
        result.append(
            {**cell, "cell_type": original["cell_type"], "id": original["id"], "metadata": dict(original["metadata"])}
        )
    if changed:
        remarks.append(f"nbgrader's marks were changed in {_listed(changed)}; the lesson's own count")
    if retyped:
        remarks.append(f"{_listed(retyped)} had another type of cell; the lesson's own was put back")
    if checks:
        remarks.append(f"the text of {_listed(checks)} was changed; the lesson's own is used")
    order = [name for name in known if name in marked]
    if list(dict.fromkeys(marked)) != order:
        remarks.append("cells stand in another order than in the lesson; they were put back in their places")
    return result


def _with_every_answer(cells: list[Cell], release: Notebook, remarks: list[str]) -> list[Cell]:
    """The cells, with an answer that stands in another cell known as that answer."""
    before = cells  # holds all of them, so that no other can get the identity of one that is left out
    functions = {id(cell): _functions(cell) for cell in before}
    for original in filter(is_answer, release["cells"]):
        name = original["metadata"]["nbgrader"]["grade_id"]
        own = [cell for cell in cells if grade_id(cell) == name]
        places = {id(cell) for cell in own}
        written = [cell for cell in own if cell["source"].strip() != original["source"].strip()]
        if len(written) > 1:
            remarks.append(f"`{name}` has {len(written)} cells; the last one above its check counts")
        if any(_is_defined(name, cell) for cell in written):
            continue
        elsewhere = [cell for cell in cells if id(cell) not in places and name in functions[id(cell)]]
        if not elsewhere:
            if not own:
                remarks.append(f"the cell of `{name}` is missing")
            continue
        best, host = elsewhere[-1], grade_id(elsewhere[-1])
        if host:
            remarks.append(f"`{name}` was found in the cell of `{host}`")
            text = f"# `{name}` stands in the cell of `{host}`."
            stub = {**original, "source": text, "metadata": dict(original["metadata"])}
            cells = [cell for cell in cells if id(cell) not in places]
            cells.insert(next(place for place, cell in enumerate(cells, start=1) if cell is best), stub)
        else:
            remarks.append(f"`{name}` was found in another cell, by its name")
            answer = {**original, "source": best["source"], "metadata": dict(original["metadata"])}
            cells = [answer if cell is best else cell for cell in cells if id(cell) not in places]
        functions |= {id(cell): _functions(cell) for cell in cells if id(cell) not in functions}
    return cells


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(f"`{name}`" for name in names[:FEW]) + more
