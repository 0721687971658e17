"""What the course remembers of a learner between two commands: hints given, and results of checks.

It stands in `.ssdseg/record.json` of the course folder. Nothing depends on it: a record that is missing, damaged or
cannot be written costs a hint given again, or a check run again.
"""

import contextlib
import json
from pathlib import Path

from ssdseg_course.work.workspace import write_whole


def record_path(root: Path) -> Path:
    """The file of a course."""
    return root / ".ssdseg" / "record.json"


def recall(root: Path, kind: str, name: str):
    """What was noted under that name, None if nothing was."""
    return _read(root).get(kind, {}).get(name)


def note(root: Path, kind: str, name: str, value) -> None:
    """Remember a value (of json's kinds) under that name, where the record can be written."""
    record = _read(root)
    record.setdefault(kind, {})[name] = value
    with contextlib.suppress(OSError):
        write_whole(record_path(root), json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _read(root: Path) -> dict[str, dict]:
    try:
        record = json.loads(record_path(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {kind: values for kind, values in record.items() if isinstance(values, dict)}
