"""Files and folders that are whole or not there, and locks: what survives a kill, a full disk and a second process.

What is being written has a hidden name of its own, a *draft*, and gets its name only when it is whole and on the disk.
The system lets go of a lock when its process dies, however it dies, so none is ever left behind.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows, where folders cannot be locked: there nothing is
    fcntl = None  # type: ignore[assignment]  # the type of a module is not optional

FILE_DRAFT = re.compile(r"\.[0-9a-f]{32}\..+")  # names of drafts; a file keeps its ending
FOLDER_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{32}")
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
ABANDONED_AFTER = 24 * 3600  # seconds without a change, where a draft's lock says nothing

_locked: set[str] = set()  # folders that this process has locked


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, whatever happens meanwhile; a link stays one.

    Raises:
        OSError: if it cannot be written; what stood there before then stands there still.
    """
    with whole_file(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name to write to, with the same ending, that becomes `path` when the block ends well.

    Raises:
        OSError: if the file cannot be brought to the disk.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}.{path.name}")  # a sibling, so that the last step is a mere rename
    try:
        yield draft
        bring_to_disk(draft)
        draft.replace(path)
        bring_to_disk(path.parent)
    except OSError as error:
        if error.filename == str(draft):  # nobody knows that name
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            draft.unlink()


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write into that becomes `target` when the block ends well, and vanishes when it does not.

    Nobody ever sees a half-written `target`. What a process that was killed has left of it is cleared away first.

    Raises:
        OSError: if `target` is there by then, and not an empty folder.
    """
    sweep(target.parent, target.name)
    draft, lock = _new_draft_folder(target)
    try:
        yield draft
        if os.name == "nt":  # there nothing takes the place of a folder, not even of an empty one
            with suppress(OSError):
                target.rmdir()
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep(folder: Path, name: str = "") -> None:
    """Clear away drafts of folders whose process is dead, and leave those that somebody is at work on.

    Args:
        folder: that the drafts lie in; it need not exist.
        name: of the folder that they were to become; all by default.
    """
    try:
        drafts = [(path, FOLDER_DRAFT.fullmatch(path.name)) for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return
    for path, draft in drafts:
        if draft and name in ("", draft[1]) and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def sweep_files(folder: Path) -> None:
    """Clear away drafts of files in a folder that this process has locked: whoever began them is dead."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if FILE_DRAFT.fullmatch(path.name) and not path.is_dir():
                path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to this process until the block ends; within it, the same folder may be locked again.

    Args:
        folder: that exists.

    Raises:
        ValueError: if another process is at work there.
    """
    name = os.path.realpath(folder)
    lock = None if name in _locked else _lock(folder)
    if lock is False:
        raise ValueError(f"{folder}: another command is at work there; wait until it ends, or take another folder")
    if lock is None:  # ours already, or a file system without locks
        yield
        return
    _locked.add(name)
    try:
        yield
    finally:
        _locked.discard(name)
        os.close(lock)


def bring_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, would be there after a power cut."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() and error.errno not in CANNOT:  # some file systems cannot do it for folders, or at all
            raise
    finally:
        os.close(descriptor)


def _new_draft_folder(target: Path) -> tuple[Path, int | None]:
    while True:
        draft = target.with_name(f".{target.name}.{uuid4().hex}")
        draft.mkdir(parents=True)
        lock = _lock(draft)
        if lock is None or (lock is not False and draft.exists()):
            return draft, lock
        if lock is not False:  # another process has cleared it away before it was locked
            os.close(lock)


def _is_abandoned(draft: Path) -> bool:
    lock = _lock(draft)
    if lock is False:
        return False
    if lock is not None:
        os.close(lock)
        return True
    with suppress(OSError):
        changed = max(path.stat().st_mtime for path in (draft, *draft.rglob("*")))
        return time.time() - changed > ABANDONED_AFTER
    return False


def _lock(folder: Path) -> int | bool | None:
    """A descriptor that holds the lock while it is open; False if another has it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
