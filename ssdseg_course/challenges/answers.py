"""Finds the answer to a challenge in a notebook, without running anything of it."""

import ast
import re
from collections.abc import Sequence

from ssdseg_course.challenges.challenge import Challenge
from ssdseg_course.sandboxed.definitions import Source, Statement, needed_for, statements
from ssdseg_course.work.workspace import Notebook, code_cells, grade_id


def made_of(notebook: Notebook, name: str, challenge: Challenge) -> list[Statement]:
    """The statements that an answer is made of, in the notebook's order; none where there is no such function.

    Args:
        notebook: the learner's.
        name: of its file, for tracebacks.
        challenge: which.
    """
    sources = [Source(place, grade_id(cell), cell["source"]) for place, cell in code_cells(notebook)]
    needed = needed_for(statements(sources, name), challenge.name)
    return needed if any(challenge.name in statement.names for statement in needed) else []


def source_of_statements(found: Sequence[Statement]) -> str:
    """Their code."""
    return "\n".join(ast.unparse(statement.code) for statement in found)


def is_untouched(notebook: Notebook, release: Notebook, challenge: Challenge) -> bool:
    """Whether the answer stands as the lesson hands it out.

    Args:
        notebook: the learner's.
        release: the lesson's, as it was handed out.
        challenge: which.
    """
    return _cells(notebook, challenge) == _cells(release, challenge)


def without_starter(notebook: Notebook, release: Notebook, challenge: Challenge) -> Notebook:
    """The notebook without the cell that the lesson hands out, where an answer stands in another cell: which of the two
    is the lower one does not matter then, and grading may have put cells in order.

    Args:
        notebook: the learner's.
        release: the lesson's, as it was handed out.
        challenge: which.
    """
    starters = set(_cells(release, challenge))
    if starters.issuperset(_cells(notebook, challenge)):
        return notebook
    return {**notebook, "cells": [cell for cell in notebook["cells"] if cell["source"].strip() not in starters]}


def _cells(notebook: Notebook, challenge: Challenge) -> list[str]:
    """The cells in which the answer is defined."""
    pattern = re.compile(rf"^[ \t]*(?:def[ \t]+)?{re.escape(challenge.name)}[ \t]*[(=]", re.MULTILINE)
    calls = re.compile(r"challenge\([^)]*\)\s*\Z")
    sources = (cell["source"].strip() for _, cell in code_cells(notebook))
    return [source for source in sources if pattern.search(source) and not calls.fullmatch(source)]
