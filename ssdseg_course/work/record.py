"""What the course remembers of a learner between two commands: hints given, and results of checks.

It is kept in `.ssdseg/record.json` of the course folder. Nothing depends on it: a record that is missing, damaged or
cannot be written costs a hint given again, or a check run again.
"""

import functools
import hashlib
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from ssdseg_course.manifest import LESSONS, Lesson
from ssdseg_ref.keeping import write_whole

PACKAGES = ("ssdseg_course", "ssdseg_ref")
LIBRARIES = ("numpy", "tensorflow", "keras")

Record = dict[str, dict[str, Any]]  # what was noted, by kind and name


def record_path(root: Path) -> Path:
    """The file of a course."""
    return root / ".ssdseg" / "record.json"


def recall(root: Path, kind: str, name: str) -> Any:
    """What was noted under that name, None if nothing was."""
    return _read(root).get(kind, {}).get(name)


def note(root: Path, kind: str, name: str, value: object) -> bool:
    """Remember a value (of json's kinds) under that name; whether the record could be written."""
    record = _read(root)
    record.setdefault(kind, {})[name] = value
    return _write(root, record)


def forget(root: Path, kind: str, is_meant: Callable[[str], bool]) -> None:
    """Forget what was noted under the names that are meant."""
    record = _read(root)
    kept = {name: value for name, value in record.get(kind, {}).items() if not is_meant(name)}
    if len(kept) < len(record.get(kind, {})):
        _write(root, {**record, kind: kept})


def _write(root: Path, record: Record) -> bool:
    try:
        write_whole(record_path(root), json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    except OSError:
        return False
    return True


def _read(root: Path) -> Record:
    try:
        record = json.loads(record_path(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {kind: values for kind, values in record.items() if isinstance(values, dict)}


def surroundings(code: str, lesson: Lesson, root: Path) -> str:
    """Stands for all that a result depends on besides the code that was tried: if it changes, so may the result.

    Args:
        code: the learner's.
        lesson: in whose notebook it is.
        root: the course folder.
    """
    digest = hashlib.sha256(course_version().encode())
    for module in sorted(lesson.notebook(root).parent.glob("*.py")):  # that the notebook may import
        digest.update(module.read_bytes())
    if "mine" in code:  # answers of other lessons
        for other in LESSONS:
            if other.notebook(root).exists():
                digest.update(other.notebook(root).read_bytes())
    return digest.hexdigest()


@functools.cache
def course_version() -> str:
    """Stands for the exercises, the reference, and what they compute with."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        folder = Path(str(files(package)))
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.npy")]):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    versions = [f"{library} {version(library)}" for library in LIBRARIES]
    return f"{digest.hexdigest()} {platform.python_version()} {versions}"
