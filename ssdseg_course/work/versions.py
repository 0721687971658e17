"""A lesson started afresh, and a new version of the course: neither costs a learner any work.

Whatever is about to be replaced is copied to `backups` first. While git brings a new version, a journal in `.ssdseg`
says which copies hold work that is not in the new notebooks yet, so that the next update can finish a killed one.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdseg_course.manifest import ROOT, Lesson
from ssdseg_course.words import count
from ssdseg_course.work.backups import back_up
from ssdseg_course.work.carrying import carry_over
from ssdseg_course.work.fresh import hand_out, handed_out, kept
from ssdseg_course.work.record import forget
from ssdseg_course.work.workspace import (
    Notebook,
    NotebookError,
    has_work,
    notebook_text,
    parse_notebook,
    read_notebook,
)
from ssdseg_ref.keeping import write_whole

NOTEBOOKS = "lessons/*/*.ipynb"
NEEDS_SETUP = ("pyproject.toml", "constraints.txt")
DAMAGED = "your notebook was damaged, and a fresh one stands in its place"


class UpdateError(ValueError):
    """A new version that did not arrive; the message says why, and that nothing has changed."""


@dataclass(frozen=True)
class Moved:
    """What became of the work in one lesson.

    Attributes:
        lesson: name of the lesson.
        what: the same in words.
        backup: the copy of what was there before, if one was made.
    """

    lesson: str
    what: str
    backup: Path | None


@dataclass(frozen=True)
class Update:
    """What a new version has brought.

    Attributes:
        moved: the lessons that hold work of the learner's.
        news: what arrived, in words; "" if there was nothing new.
        new_lessons: names of lessons that were not there before.
        needs_setup: whether the course needs other libraries now.
    """

    moved: tuple[Moved, ...]
    news: str = ""
    new_lessons: tuple[str, ...] = ()
    needs_setup: bool = False


def reset(lesson: Lesson, root: Path) -> str:
    """Write the notebook of a lesson afresh, as it was handed out, and keep a copy of what was there.

    The hints to its exercises start afresh, too.

    Returns:
        what has been done, in words.

    Raises:
        NotebookError: if there is nothing to make a fresh notebook from.
    """
    path = lesson.notebook(root)
    fresh = handed_out(lesson, root if lesson.solution(root).exists() else ROOT)
    forget(root, "hints", lambda exercise_id: exercise_id.startswith(f"{lesson.number:02d}."))
    forget(root, "checks", lambda name: name == lesson.name)
    if not path.exists():
        hand_out(lesson, root, fresh)
        return f"{path} was missing, and is there again"
    if path.read_bytes() == fresh.encode():
        return f"{path} is as it was handed out: there is nothing to reset"
    backup = back_up(path, root)
    hand_out(lesson, root, fresh)
    return f"{path} is as it was handed out; what you had is kept in {backup}"


def update_from_folder(old: Path, root: Path) -> Update:
    """Carry the work of an older course folder into this one; the older one stays as it is.

    Raises:
        NotebookError: if there is no other course in that folder.
    """
    notebooks = sorted(old.glob(NOTEBOOKS))
    if not notebooks:
        raise NotebookError(f"{old}: no course there, it has no lessons/*/*.ipynb")
    if old.resolve() == root.resolve():
        raise NotebookError(f"{old} is this course itself: name the folder of the older one")
    return Update(tuple(moved for path in notebooks if (moved := _move(path, old, root))))


def _move(path: Path, old: Path, root: Path) -> Moved | None:
    """Carry one notebook from the old folder to the new one; None if there is nothing of the learner's in it."""
    name = path.stem
    solution = old / "solutions" / name / f"{name}.ipynb"  # differs from what was handed out in its answers alone
    target = root / path.relative_to(old)
    try:
        notebook = read_notebook(path)
        base = read_notebook(solution) if solution.exists() else base_of(name, old)
    except NotebookError as error:
        return Moved(name, f"could not be carried: {error}", None)
    return _carry(notebook, base, target, root, spare=path)


def base_of(name: str, root: Path) -> Notebook | None:
    """A lesson as `ssdseg start` or an update has handed it out in that folder; None where that is not known."""
    try:
        return parse_notebook(kept(name, root) or "", name)
    except NotebookError:
        return None


def _carry(old: Notebook, base: Notebook | None, target: Path, root: Path, spare: Path) -> Moved | None:
    """Put work into the notebook at `target`; `spare` is where that work can be found otherwise."""
    if not target.exists():
        return Moved(target.stem, f"this lesson is gone; your notebook: {spare}", None) if has_work(old) else None
    try:
        new = read_notebook(target)
    except NotebookError as error:
        return Moved(target.stem, f"could not be carried: {error}; your notebook: {spare}", None)
    carried = carry_over(old, new, base)
    if carried.is_empty:
        return None
    backup = None
    if carried.notebook != new:
        backup = back_up(target, root) if has_work(new) else None
        write_whole(target, notebook_text(carried.notebook))
    return Moved(target.stem, str(carried), backup)


def update_from_git(root: Path) -> Update:
    """Fetch the new version of a git clone, and carry the learner's work into it.

    Raises:
        UpdateError: if git cannot; then all is as it was.
        NotebookError: if this is not a git clone.
    """
    _require_clone(root)
    finished = finish_interrupted(root)
    _git(root, "fetch", "--quiet")
    head, new = _git(root, "rev-parse", "HEAD").strip(), _git(root, "rev-parse", "@{upstream}").strip()
    if not _git(root, "rev-list", "--max-count=1", f"{head}..{new}"):
        return Update(finished)
    if _git(root, "rev-list", "--max-count=1", f"{new}..{head}"):
        raise UpdateError(
            f"{root} has commits of its own, so that a new version cannot simply replace it; merge them with "
            "`git pull --rebase`, or put the new version into another folder and run "
            f"`ssdseg update --from {root}` there"
        )
    changed = set(_changed_files(root, head, new))
    notebooks = [name for name in _changed_files(root, head) if name in changed and Path(name).match(NOTEBOOKS)]
    moved = _bring(root, head, new, notebooks)
    came = _changed_files(root, "--diff-filter=A", head, new)
    return Update(
        (*finished, *moved),
        news=count(int(_git(root, "rev-list", "--count", f"{head}..{new}")), "commit"),
        new_lessons=tuple(Path(name).stem for name in came if Path(name).match(NOTEBOOKS)),
        needs_setup=any(name in changed for name in NEEDS_SETUP),
    )


def _bring(root: Path, head: str, new: str, notebooks: Sequence[str]) -> tuple[Moved, ...]:
    """Move the clone to the new commit, with the learner's notebooks out of its way meanwhile."""
    backups = {name: back_up(root / name, root) for name in notebooks if (root / name).exists()}
    _write_journal(root, head, backups)
    try:
        if notebooks:
            _git(root, "checkout", "--quiet", head, "--", *notebooks)
        _git(root, "merge", "--quiet", "--ff-only", new)
    except BaseException:
        finish_interrupted(root)
        raise
    return finish_interrupted(root)


def has_interrupted(root: Path) -> bool:
    """Whether an update was killed before all the learner's work was in the new notebooks."""
    return _journal(root).exists()


def finish_interrupted(root: Path) -> tuple[Moved, ...]:
    """Carry what is still only in backups into the notebooks: after a new version came, or an update was killed.

    Raises:
        UpdateError: if the journal cannot be read.
    """
    if not has_interrupted(root):
        return ()
    try:
        journal = json.loads(_journal(root).read_text(encoding="utf-8"))
        head, backups = journal["head"], {name: root / path for name, path in journal["backups"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UpdateError(
            f"{_journal(root)} is damaged: copy your notebooks back from {root / 'backups'}, and delete it"
        ) from None
    moved = [found for name, backup in backups.items() if (found := _finish(root, head, name, backup))]
    _journal(root).unlink()
    return tuple(moved)


def _finish(root: Path, head: str, name: str, backup: Path) -> Moved | None:
    target = root / name
    if not backup.exists():
        return None
    handed_out = _git(root, "show", f"{head}:./{name}")
    if _git(root, "rev-parse", "HEAD").strip() == head:  # the new version never came: all has to be as it was
        if not target.exists() or target.read_text(encoding="utf-8") == handed_out:
            write_whole(target, backup.read_bytes())
            backup.unlink()
        return Moved(target.stem, "put back as it was before the update", None)
    try:
        old = read_notebook(backup)
    except NotebookError:
        return Moved(target.stem, DAMAGED, backup)
    moved = _carry(old, parse_notebook(handed_out, name), target, root, spare=backup)
    return moved and Moved(moved.lesson, moved.what, backup)


def _journal(root: Path) -> Path:
    return root / ".ssdseg" / "update.json"


def _write_journal(root: Path, head: str, backups: dict[str, Path]) -> None:
    names = {name: backup.relative_to(root).as_posix() for name, backup in backups.items()}
    write_whole(_journal(root), json.dumps({"head": head, "backups": names}, indent=1) + "\n")


def _require_clone(root: Path) -> None:
    try:
        problem = "" if _git(root, "ls-files", "lessons") else "git does not know its lessons"
    except UpdateError as error:
        problem = str(error).splitlines()[0]
    if problem:
        raise NotebookError(
            f"{root} is not a git clone ({problem}): put the new version into a folder of its own, and run "
            f"`ssdseg update --from {root}` there"
        )


def _changed_files(root: Path, *range_or_options: str) -> list[str]:
    names = _git(root, "diff", "--name-only", "--no-renames", "--relative", "-z", *range_or_options)
    return [name for name in names.split("\0") if name]


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError:
        raise UpdateError("there is no git on this machine; see `ssdseg update --help` for the way without") from None
    if done.returncode:
        message = done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}"
        raise UpdateError(f"git {arguments[0]}: {message}\nNothing has changed, your notebooks are as they were.")
    return done.stdout
