"""The learner's own attempts at challenges: a line of json each, in `.ssdseg/attempts.txt` of the course folder.

Nothing depends on them: a file that is missing, damaged or cannot be written costs the memory of an attempt.
"""

import json
import math
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ssdseg_course.challenges.challenge import Score
from ssdseg_course.work.record import record_path

NUMBERS, TEXTS = ("value", "low", "high"), ("challenge", "when", "note")
LARGEST = 2**22  # bytes of the file that are read, from its end


@dataclass(frozen=True)
class Attempt:
    """A score that was reached.

    Attributes:
        when: local time, "2026-11-27 09:12".
        score: what came of it.
    """

    when: str
    score: Score


def attempts_path(root: Path) -> Path:
    """The file of a course."""
    # Of a name in .jsonl JupyterLite would take the content for a single piece of json, and its kernel would die.
    return record_path(root).with_name("attempts.txt")


def note_attempt(root: Path, number: str, score: Score) -> bool:
    """Add an attempt at a challenge, in one write, so that two processes do not mix their lines.

    Returns:
        whether it could be written.
    """
    line = {"challenge": number, "when": f"{datetime.now():%Y-%m-%d %H:%M}", **vars(score)}
    try:
        path = attempts_path(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        # It begins with a line end: what stands before may have been cut off in the middle of a line.
        text = f"\n{json.dumps(line, ensure_ascii=False)}\n".encode()
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            return os.write(file, text) == len(text)
        finally:
            os.close(file)
    except OSError:
        return False


def attempts_at(root: Path, number: str) -> list[Attempt]:
    """All attempts at a challenge, in their order; lines that cannot be read are passed over."""
    try:
        with attempts_path(root).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LARGEST))
            lines = file.read().splitlines()
    except OSError:
        return []
    found = (_read(line, number) for line in lines)
    return [attempt for attempt in found if attempt]


def _read(line: bytes, number: str) -> Attempt | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("challenge") != number:
        return None
    numbers: list[Any] = [values.get(name) for name in NUMBERS]
    texts = [values.get(name) for name in TEXTS]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
        return None
    if not all(isinstance(one, str) for one in texts):
        return None
    value, low, high = map(float, numbers)
    return Attempt(str(texts[1]), Score(value, low, high, str(texts[2])))
