"""Carries a learner's work from a notebook of one version of the course into that of another.

Cells are recognised by what they are: an answer by its function (nbgrader's grade_id), the course's other cells by
their text, since their ids only count places. What is neither is the learner's own.
"""

import copy
import uuid
from collections import defaultdict, deque
from dataclasses import dataclass

from ssdseg_course.words import count
from ssdseg_course.work.workspace import Cell, Notebook, grade_id, is_own, is_written

CHECK = "check_"  # and the answer's name: nbgrader's name of the cell that checks it
COURSE_METADATA = ("nbgrader", "deletable", "editable")

Key = tuple[str, str]


@dataclass(frozen=True)
class Carried:
    """A notebook of the new version with the learner's work in it, and what became of that work.

    Attributes:
        notebook: the new one; both old ones are left as they are.
        answers: names of the answers that stand in their places again.
        kept: names of those whose places hold another answer already, which stays.
        gone: names of those whose exercises are gone; they stand at the end.
        own: number of the learner's own cells.
        changed: number of the course's cells that the learner has changed.
    """

    notebook: Notebook
    answers: tuple[str, ...]
    kept: tuple[str, ...]
    gone: tuple[str, ...]
    own: int
    changed: int

    @property
    def is_empty(self) -> bool:
        """Whether there was no work to carry."""
        return not (self.answers or self.kept or self.gone or self.own or self.changed)

    def __str__(self) -> str:
        parts = [count(len(self.answers), "answer"), count(self.own, "cell of your own", "cells of your own")]
        if self.changed:
            parts.append(count(self.changed, "cell that you have changed", "cells that you have changed"))
        if self.gone:
            parts.append(f"at the end, as their exercises are gone: {', '.join(self.gone)}")
        if self.kept:
            parts.append(f"left as they are here: {', '.join(self.kept)}")
        return ", ".join(part for part in parts if part)


def carry_over(old: Notebook, new: Notebook, base: Notebook | None = None) -> Carried:
    """Put the learner's work of an old notebook into a new one.

    Answers go into their places, cells of the learner's own behind the cell that they stood behind. A cell of the
    course that the learner has changed stays changed where the course has not changed it as well; where it has, the
    learner's version is shown behind it, as text. Doing this twice is doing it once.

    Args:
        old: the learner's notebook.
        new: that of the new version, fresh or with other work in it, which takes precedence.
        base: the old one as the course had handed it out. Without it nobody can tell which of the course's cells the
            learner has changed, and the new version's are taken.
    """
    carrying = _Carrying(old, new, base)
    for number, cell in enumerate(old["cells"]):
        carrying.take(number, cell)
    return carrying.carried()


class _Carrying:
    def __init__(self, old: Notebook, new: Notebook, base: Notebook | None):
        self.notebook = copy.deepcopy(new)
        self.cells = self.notebook["cells"]
        self.base_by_id: dict[object, Cell] = {cell.get("id"): cell for cell in (base or {"cells": []})["cells"]}
        self.base_texts = {_key(cell) for cell in self.base_by_id.values()}
        self.places: dict[Key, deque[int]] = defaultdict(deque)  # of the new cells, by what they are
        for place, cell in enumerate(self.cells):
            self.places[_key(cell)].append(place)
        self.there = {_text(cell) for cell in self.cells}
        self.ids = {cell.get("id") for cell in self.cells}
        self.chosen = _chosen_answers(old)
        self.behind: dict[int, list[Cell]] = defaultdict(list)  # to insert, by the place of the cell before them
        self.end: list[Cell] = []  # cells to insert behind all others
        self.place = -1  # of the new cell that stands for the last old one; -1 is above all
        self.answers: list[str] = []
        self.kept: list[str] = []
        self.gone: list[str] = []
        self.own = self.changed = 0

    def take(self, number: int, cell: Cell) -> None:
        """Find a place for the next cell of the old notebook."""
        given = self._as_given(cell)
        another_try = is_written(cell) and number != self.chosen[_answer_name(cell)]
        if given is None or another_try:
            self.own += self._insert(self._as_own(cell), self.behind[self.place])
            return
        places = self.places.get(_key(given))
        if places:
            self.place = places.popleft() if len(places) > 1 else places[0]
        if is_written(cell):
            self._take_answer(cell, self.place if places else None)
        elif not grade_id(cell) and cell["source"].strip() != given["source"].strip():
            self._take_change(cell, self.place if places else None)

    def _as_given(self, cell: Cell) -> Cell | None:
        """The cell as the course had handed it out, where it comes from the course."""
        if grade_id(cell) or _key(cell) in self.places or _key(cell) in self.base_texts:
            return cell
        if cell.get("id") in self.base_by_id:
            return self.base_by_id[cell["id"]]
        return None if is_own(cell) else cell

    def _take_answer(self, cell: Cell, place: int | None) -> None:
        name = _answer_name(cell)
        if place is None:
            mark = f"Your answer to `{name}`, an exercise that this version of the lesson no longer has."
            mark = f"# {mark}\n" if cell["cell_type"] == "code" else f"*{mark}*\n\n"
            self._insert(self._as_own({**cell, "source": mark + cell["source"]}), self.end)
            self.gone.append(name)
        elif self.cells[place]["source"] == cell["source"] or not is_written(self.cells[place]):
            self._write(place, cell["source"])
            self.answers.append(name)
        else:
            self.kept.append(name)

    def _take_change(self, cell: Cell, place: int | None) -> None:
        self.changed += 1
        if place is not None:
            self._write(place, cell["source"])
            return
        text = f"```python\n{cell['source']}\n```" if cell["cell_type"] == "code" else cell["source"]
        text = f"*Your version of a cell that the course has changed:*\n\n{text}"
        self._insert(self._as_own({"cell_type": "markdown", "metadata": {}, "source": text}), self.behind[self.place])

    def _write(self, place: int, source: str) -> None:
        cell = self.cells[place]
        if cell["source"] != source:
            cell["source"] = source
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)

    def _insert(self, cell: Cell, cells: list[Cell]) -> bool:
        """Add a cell, if the new notebook does not have it already."""
        if _text(cell) in self.there:
            return False
        cells.append(cell)
        return True

    def _as_own(self, cell: Cell) -> Cell:
        """The cell as one of the learner's: without nbgrader's marks, and with an id that no other cell has."""
        own = copy.deepcopy(cell)
        own["metadata"] = {name: value for name, value in own["metadata"].items() if name not in COURSE_METADATA}
        if own.get("id") in self.ids or "id" not in own:
            own["id"] = uuid.uuid4().hex[:8]
        self.ids.add(own["id"])
        return own

    def carried(self) -> Carried:
        """The new notebook, put together."""
        cells = [*self.behind[-1]]
        for place, cell in enumerate(self.cells):
            cells += [cell, *self.behind[place]]
        self.notebook["cells"] = [*cells, *self.end]
        return Carried(self.notebook, tuple(self.answers), tuple(self.kept), tuple(self.gone), self.own, self.changed)


def _chosen_answers(notebook: Notebook) -> dict[str, int]:
    """Of each answer's cells that are written, where there are copies: the one that its check sees, by its place."""
    chosen: dict[str, int] = {}
    checked = set()
    for place, cell in enumerate(notebook["cells"]):
        name = _answer_name(cell)
        if is_written(cell) and (name not in checked or name not in chosen):
            chosen[name] = place
        elif name.startswith(CHECK):
            checked.add(name.removeprefix(CHECK))
    return chosen


def _answer_name(cell: Cell) -> str:
    return grade_id(cell) or ""


def _key(cell: Cell) -> Key:
    """What a cell of the course is recognised by."""
    name = grade_id(cell)
    return ("nbgrader", name) if name else _text(cell)


def _text(cell: Cell) -> Key:
    return cell["cell_type"], cell["source"].strip()
