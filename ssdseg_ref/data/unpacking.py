"""Unpacking zip and tar files that nobody has looked into: no way out of the folder, and nothing larger than said.

All members are looked at before the first is written. The whole archive is refused for a member with a name that leads
elsewhere, a link, a device or anything else that has no place in a data set, also where that member is not wanted.
"""

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

CHUNK = 1 << 18  # bytes that are read at a time
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # to Windows, in any folder

Progress = Callable[[str, int, int], None]  # (what is being done, bytes done, bytes in all)


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int  # bytes
    open: Callable[[], IO[bytes]]


Choose = Callable[[list[Member]], list[Member]]


def nothing(*_: object) -> None:
    """Progress that nobody looks at."""


def unpack_members(path: Path, target: Path, room: int, choose: Choose, progress: Progress = nothing) -> int:
    """Unpack some members of an archive into a folder.

    Args:
        path: of the archive; `.zip`, anything else is a tar that is not compressed.
        target: a folder that exists, and in which nobody else has put links.
        room: bytes that all of them have at most.
        choose: takes the members and gives those that are wanted.
        progress: called now and then.

    Returns:
        What is left of `room`, in bytes.

    Raises:
        ValueError: if the archive is damaged or not harmless, its members need more than `room`, or none is wanted.
        OSError: if something cannot be read or written.
    """
    with opened(path) as members:
        wanted = choose(members)
        if not wanted:
            raise ValueError(f"{path.name} is refused: it holds nothing of what was looked for")
        total = check_room(path, wanted, room)
        done = 0
        for member in wanted:
            for count in _write(path, member, target):
                done += count
                progress(f"unpacking {path.name}", done, total)
    return room - total


def check_room(path: Path, members: list[Member], room: int) -> int:
    """The size of all members, in bytes.

    Raises:
        ValueError: if it is more than `room`.
    """
    total = 0
    for member in members:
        total += member.size
        if total > room:
            raise _refused(path, member.name, f"makes it larger than the {room / 1e6:,.0f} MB that are known of")
    return total


@contextmanager
def opened(path: Path) -> Iterator[list[Member]]:
    """The files in a zip or in a tar that is not compressed, once all members have turned out to be harmless.

    Raises:
        ValueError: if the archive is damaged, or a member is not harmless.
    """
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield _zip_members(path, archive)
        else:
            with tarfile.open(path, "r:") as archive:
                yield _tar_members(path, archive)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError) as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error


def _zip_members(path: Path, archive: zipfile.ZipFile) -> list[Member]:
    members = []
    for info in archive.infolist():
        _check_name(path, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise _refused(path, info.filename, "is a link")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(path, info.filename, "is neither a file nor a folder")
        if info.flag_bits & 1:
            raise _refused(path, info.filename, "is encrypted")
        if not info.is_dir():
            members.append(Member(info.filename, info.file_size, partial(archive.open, info)))
    return members


def _tar_members(path: Path, archive: tarfile.TarFile) -> list[Member]:
    members = []
    for info in archive:
        _check_name(path, info.name)
        if info.issym() or info.islnk():
            raise _refused(path, info.name, "is a link")
        if not (info.isfile() or info.isdir()):
            raise _refused(path, info.name, "is neither a file nor a folder")
        if info.isfile():
            members.append(Member(info.name, info.size, partial(_tar_file, archive, info)))
    return members


def _tar_file(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # which is so for links and folders alone
    return file


def _check_name(path: Path, name: str) -> None:
    # A backslash and a colon lead out of a folder on Windows, and none of our archives has any.
    if name.startswith("/") or ".." in name.split("/") or set(name) & set("\\:\0"):
        raise _refused(path, name, "leads out of the folder")
    if any(map(DEVICE.fullmatch, name.split("/"))):
        raise _refused(path, name, "has the name of a device")


def _refused(path: Path, name: str, reason: str) -> ValueError:
    return ValueError(f"{path.name} is refused: its member {name!r} {reason}")


def _write(path: Path, member: Member, target: Path) -> Iterator[int]:
    """Write a member, and give the number of bytes of each piece."""
    place = target / member.name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, place.open("wb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
                yield len(chunk)
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise _refused(path, member.name, "has the place of another") from None
