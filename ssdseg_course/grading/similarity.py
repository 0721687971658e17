"""Answers that are more alike than answers to one task usually are: a hint to look at them, never a verdict.

Source: Schleimer, Wilkerson, Aiken 2003, "Winnowing: local algorithms for document fingerprinting". The fingerprints
are those of copydetect, of which all are kept, for answers are short: runs of letters of the code without comments and
spaces, in which names stand for no more than that there is a name.
"""

import io
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from copydetect import CodeFingerprint

from ssdseg_course.grading.intake import Refusal, Submission
from ssdseg_course.grading.repair import repair
from ssdseg_course.manifest import Lesson
from ssdseg_course.work.workspace import Cell, Notebook, NotebookError, code_cells, is_answer, is_written, read_notebook

RUN = 20  # letters of a fingerprint
LEAST = 120  # fingerprints of a learner's own, without which there is nothing to compare
NOTEWORTHY = 0.5  # of the shorter one's fingerprints; what stands below is not shown
USUAL = 0.25  # of a class: what so many have written is what one writes there
LEAST_USUAL = 3  # learners, in a small class
LONGEST_CODE = 100_000  # characters of a learner's answers that are looked at


@dataclass(frozen=True)
class Pair:
    """Two learners whose answers are alike.

    Attributes:
        lesson: name of the lesson.
        one, other: their ids.
        share: of the shorter one's own fingerprints that the other has as well, 0 to 1.
        compared: number of the shorter one's own fingerprints.
    """

    lesson: str
    one: str
    other: str
    share: float
    compared: int


@dataclass(frozen=True)
class Comparison:
    """What came of comparing a lesson's submissions.

    Attributes:
        lesson: its name.
        pairs: those that are worth a look, the most alike first.
        compared: how many learners were compared.
        too_short: ids of those who wrote too little that is their own.
        unread: ids of those whose notebook cannot be read, and why.
    """

    lesson: str
    pairs: tuple[Pair, ...]
    compared: int
    too_short: tuple[str, ...]
    unread: tuple[Refusal, ...] = ()


def compare_submissions(hand_ins: Iterable[Submission | Refusal]) -> list[Comparison]:
    """Compare what a class has handed in, lesson by lesson.

    Args:
        hand_ins: of the class; see `intake.take_in`.
    """
    prints: dict[Lesson, dict[str, set[int]]] = {}
    refused: dict[str, list[Refusal]] = {}
    releases: dict[Lesson, Notebook] = {}
    for hand_in in hand_ins:
        if isinstance(hand_in, Refusal):
            refused.setdefault(hand_in.lesson, []).append(hand_in)
            continue
        lesson = hand_in.lesson
        if lesson not in releases:
            releases[lesson] = read_notebook(lesson.notebook())
        try:
            notebook = repair(hand_in.content, lesson, releases[lesson]).notebook
            marks = fingerprints(_code(own_cells(notebook, releases[lesson])))
        except Exception as error:  # whatever somebody has handed in, the others are compared
            reason = str(error) if isinstance(error, NotebookError) else f"reading it stopped: {type(error).__name__}"
            refused.setdefault(lesson.name, []).append(Refusal(hand_in.student, lesson.name, reason))
            continue
        prints.setdefault(lesson, {})[hand_in.student] = marks
    found = []
    for lesson, of_learners in prints.items():
        given = [*code_cells(releases[lesson]), *code_cells(read_notebook(lesson.solution()))]
        unread = refused.pop(lesson.name, [])
        found.append(compare(lesson.name, of_learners, fingerprints(_code(cell for _, cell in given)), unread))
    for lesson_name, refusals in refused.items():
        found.append(Comparison(lesson_name, (), 0, (), tuple(refusals)))
    return found


def compare(
    lesson: str, prints: dict[str, set[int]], given: Collection[int] = (), unread: Sequence[Refusal] = ()
) -> Comparison:
    """Compare what learners have written for a lesson.

    Args:
        lesson: its name.
        prints: fingerprints of each learner's answers.
        given: those of what nobody has to invent: what the lesson hands out, and what it would answer itself.
        unread: who could not be compared.
    """
    common = Counter(mark for marks in prints.values() for mark in marks)
    usual = max(LEAST_USUAL, USUAL * len(prints))
    boilerplate = set(given) | {mark for mark, number in common.items() if number > usual}
    own = {student: marks - boilerplate for student, marks in prints.items()}
    enough = {student: marks for student, marks in own.items() if len(marks) >= LEAST}
    pairs = []
    for one, other in combinations(sorted(enough), 2):
        shorter = min(len(enough[one]), len(enough[other]))
        share = len(enough[one] & enough[other]) / shorter
        if share >= NOTEWORTHY:
            pairs.append(Pair(lesson, one, other, share, shorter))
    pairs.sort(key=lambda pair: (-pair.share, -pair.compared, pair.one, pair.other))
    too_short = tuple(sorted(set(own) - set(enough)))
    return Comparison(lesson, tuple(pairs), len(enough), too_short, tuple(unread))


def fingerprints(code: str) -> set[int]:
    """All fingerprints of a code; of a text that Python cannot read as well."""
    lines = (line.rstrip() for line in code[:LONGEST_CODE].splitlines())
    text = "\n".join(line for line in lines if line)  # of many empty lines, the lexer takes the square of the time
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return set(CodeFingerprint("answer.py", RUN, 1, language="python", fp=io.StringIO(text)).hashes)


def own_cells(notebook: Notebook, release: Notebook) -> list[Cell]:
    """The cells that a learner has written: answers that are no longer stubs, and cells that were not handed out."""
    handed_out = {cell["source"] for _, cell in code_cells(release)}
    cells = (cell for _, cell in code_cells(notebook))
    return [cell for cell in cells if (is_answer(cell) and is_written(cell)) or cell["source"] not in handed_out]


def _code(cells: Iterable[Cell]) -> str:
    return "\n\n".join(cell["source"] for cell in cells)
