"""Fetching an archive from several addresses, in pieces, until it has the hash that is known.

A cut connection leaves `NAME.part`, from which the next try, another mirror or another day's command goes on. It does
not matter who sent which piece, for the hash decides. pooch downloads one file from one address and compares its hash;
what goes on from a piece is `_Resuming`, which pooch is given as its downloader.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ssdseg_ref.data.unpacking import CHUNK, Member, Progress, check_room, nothing, opened, unpack_members

if TYPE_CHECKING:
    import requests

CHUNK_OF_A_RESPONSE = 1 << 14  # bytes; where a connection is cut, a piece of such a chunk is lost
RETRIED = (408, 429, 500, 502, 503, 504)  # answers that may be others in a moment

Tell = Callable[[str], None]  # takes a sentence


@dataclass(frozen=True)
class Archive:
    """A file that a data set comes in, and what is taken from it."""

    name: str  # that its host gives it
    addresses: tuple[str, ...]  # tried in turn; all have the same bytes
    size: int  # bytes
    sha256: str | None  # hexadecimal; None where nobody publishes it
    unpacked: int  # bytes, at most, of all that is taken from it; more is refused
    members: tuple[str, ...] = ("*",)  # patterns of the names that are taken
    inner: tuple[str, ...] = ()  # zip files in it, each of which is unpacked where it lies
    sums: Path | None = None  # a list of its files' SHA-256, as `sha256sum` writes it; nothing else is taken then


class Patience(NamedTuple):
    """How long a server is waited for."""

    timeout: float = 30.0  # seconds without a byte after which a connection counts as cut
    tries: int = 5  # in a row that bring nothing new, at one address
    pause: float = 1.0  # seconds after the first of them; doubled after each


PATIENCE = Patience()


def download(
    archive: Archive,
    store: Path,
    progress: Progress = nothing,
    tell: Tell = nothing,
    patience: Patience = PATIENCE,
) -> Path:
    """Fetch an archive from the first of its addresses that gives it, and go on from what is there already.

    Args:
        archive: to fetch.
        store: a folder that exists; the archive gets its own name in it, and `NAME.part` until it is whole.
        progress: called now and then.
        tell: called with a sentence about an address that failed, when there is another to try.
        patience: with each server.

    Returns:
        The path of the archive, whose bytes are those that are known.

    Raises:
        OSError: if none of the addresses gives it; the sentence says why, a reason for each.
    """
    failures: list[tuple[str, _Failed]] = []
    for address in archive.addresses:
        try:
            return _download_from(address, archive, store, progress, patience)
        except _Failed as failure:
            failures.append((urlsplit(address).netloc, failure))
            if len(failures) < len(archive.addresses):
                tell(f"{archive.name} from {failures[-1][0]}: {failure}; trying the next address")
    raise OSError(_why(archive, failures, _size(part_of(store, archive))))


def _why(archive: Archive, failures: list[tuple[str, "_Failed"]], kept: int) -> str:
    hosts = dict.fromkeys(host for host, _ in failures)
    if all(isinstance(failure, _Unreachable) for _, failure in failures):
        reasons = f"{' and '.join(hosts)} cannot be reached; is there a network?"
    else:
        reasons = "; ".join(f"{host}: {failure}" for host, failure in failures)
    sentence = f"{archive.name} cannot be downloaded: {reasons}"
    if not kept:
        return sentence
    return f"{sentence}; {megabytes(kept)} of {megabytes(archive.size)} are kept, the same command goes on from there"


def _download_from(address: str, archive: Archive, store: Path, progress: Progress, patience: Patience) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it announces each download by itself
    known = f"sha256:{archive.sha256}" if archive.sha256 else None
    part = part_of(store, archive)
    while True:
        anew = not part.exists() and not (store / archive.name).exists()
        fetch = _Resuming(archive, part, progress, patience)
        try:
            path = Path(pooch.retrieve(address, known, fname=archive.name, path=store, downloader=fetch))
        except ValueError:  # the hash is another
            difference = "other bytes came than the archive's"
        else:
            difference = _difference(archive, path) or ""
            if not difference:
                part.unlink(missing_ok=True)
                return path
            path.unlink()
        part.unlink(missing_ok=True)
        if anew:  # else what was there before may be to blame
            raise _Failed(f"{difference}, so they were thrown away")


class _Failed(Exception):
    """An address does not give the archive; the message says why."""


class _Unreachable(_Failed):
    """Not even a connection."""


class _Resuming:
    """A downloader for pooch that goes on from a file of the bytes that came before."""

    def __init__(self, archive: Archive, part: Path, progress: Progress, patience: Patience) -> None:
        self.archive, self.part, self.patience = archive, part, patience
        self.progress = progress
        self.ranges = True  # whether the server is asked for the rest only
        self.came = 0  # bytes of this server

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        """Fill `output_file`, as pooch wants it; raise `_Failed` where that does not work."""
        import requests

        with requests.Session() as session:
            self._fill(session, url)
        # pooch removes its file if it is stopped while hashing, and 19 GB should survive that: a second name for them.
        os.unlink(output_file)
        try:
            os.link(self.part, output_file)
        except OSError:  # a file system without links
            self.part.replace(output_file)
        self.progress(f"checking {self.archive.name}", 0, self.archive.size)

    def _fill(self, session: "requests.Session", url: str) -> None:
        import requests

        most, tries = _size(self.part), 0
        while _size(self.part) != self.archive.size:
            try:
                reason = self._go_on(session, url)
            except requests.TooManyRedirects:
                raise _Failed("its redirects never end") from None
            except requests.exceptions.SSLError:
                raise _Failed("no secure connection can be made to it") from None
            except (requests.ConnectionError, requests.Timeout) as error:
                if not self.came and type(next(iter(error.args), None)).__name__ == "MaxRetryError":
                    raise _Unreachable("cannot be reached") from None  # rather than waited for
                stalled = isinstance(error, requests.Timeout) or "timed out" in str(error)
                reason = f"nothing came for {self.patience.timeout:g} s" if stalled else "the connection was cut"
            except requests.exceptions.ChunkedEncodingError:
                reason = "the connection was cut"
            except (requests.RequestException, ValueError) as error:  # such as a redirect to no address at all
                raise _Failed(f"{type(error).__name__}") from error
            if not reason:
                continue
            size = _size(self.part)
            tries = 1 if size > most else tries + 1
            most = max(most, size)
            if tries >= self.patience.tries:
                raise _Failed(f"{reason}, {tries} times in a row")
            time.sleep(self.patience.pause * 2 ** (tries - 1))

    def _go_on(self, session: "requests.Session", url: str) -> str:
        """Take what the server gives, and say why that was not all; nothing where to ask again at once."""
        had = _size(self.part)
        headers = {"Accept-Encoding": "identity"}  # or sizes would be those of something else
        if had and self.ranges:
            headers["Range"] = f"bytes={had}-"
        with session.get(url, headers=headers, stream=True, timeout=self.patience.timeout) as response:
            if response.status_code in RETRIED:
                return f"answers {response.status_code} {response.reason}"
            start, total = _place(response)
            if "Range" in headers and (response.status_code == 416 or (response.status_code == 206 and start != had)):
                self.ranges = False  # begin anew, but lose nothing before that works
                return ""
            if response.status_code not in (200, 206) or start not in (0, had):
                raise _Failed(f"answers {response.status_code} {response.reason}")
            if total not in (None, self.archive.size):
                raise _Failed(f"offers {total:,} bytes where the archive has {self.archive.size:,}")
            with self.part.open("ab" if start else "wb") as file:
                self._take(response, file, start)
        return "" if _size(self.part) == self.archive.size else "the connection was cut"

    def _take(self, response: "requests.Response", file: IO[bytes], size: int) -> None:
        for chunk in response.iter_content(CHUNK_OF_A_RESPONSE):
            size += len(chunk)
            self.came += len(chunk)
            if size > self.archive.size:
                file.truncate(0)
                raise _Failed(f"more came than the archive's {self.archive.size:,} bytes, so they were thrown away")
            file.write(chunk)
            self.progress(f"downloading {self.archive.name}", size, self.archive.size)


def _place(response: "requests.Response") -> tuple[int, int | None]:
    """Where in the file the bytes of an answer begin, and the size of the whole file, None if it is not said."""
    if response.status_code == 206:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if not said:
            return -1, None
        return int(said[1]), None if said[2] == "*" else int(said[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def part_of(store: Path, archive: Archive) -> Path:
    """Where the bytes of an archive lie that have come so far."""
    return store / f"{archive.name}.part"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it is not there, or nobody may look
        return 0


def verify(archive: Archive, path: Path, progress: Progress = nothing) -> str | None:
    """What tells a file from the archive of which the hash, or those of its members, is known; None if nothing does.

    Raises:
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    if size != archive.size:
        return f"it has {size:,} bytes instead of {archive.size:,}"
    if archive.sha256:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                progress(f"checking {archive.name}", file.tell(), size)
        if digest.hexdigest() != archive.sha256:
            return "its SHA-256 is another"
    return _difference(archive, path)


def _difference(archive: Archive, path: Path) -> str | None:
    """The first file in an archive that is not the one in the list of hashes; None if there is no such list."""
    if archive.sums is None:
        return None
    try:
        with opened(path) as members:
            taken = _taken(archive, members)
            check_room(path, taken, archive.unpacked)
            inside = {member.name: member for member in taken}
            for name, known in _sums(archive.sums).items():
                if name not in inside:
                    return f"{name} is missing"
                with inside[name].open() as file:
                    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # it has `readinto`
                if digest.hexdigest() != known:
                    return f"{name} is another file"
    except ValueError as error:  # damaged, or refused
        return str(error)
    return None


def _sums(path: Path) -> dict[str, str]:
    """{name: SHA-256}."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("  ", 1) for line in lines if not line.startswith("#"))
    return {name: known for known, name in pairs}


def unpack(archive: Archive, path: Path, target: Path, progress: Progress = nothing) -> None:
    """Unpack what is wanted of an archive into a folder.

    Args:
        archive: says what is wanted.
        path: of the file.
        target: a folder that exists, and in which nobody else has put links.
        progress: called now and then.

    Raises:
        ValueError: if a member has an absolute name or one that leads out of the folder, if it is a link or a device,
            if all that is wanted is larger than what is known of the archive, or if it is damaged.
        OSError: if something cannot be written.
    """
    left = unpack_members(path, target, archive.unpacked, partial(_taken, archive), progress)
    for name in archive.inner:
        inner = target / name
        if not inner.is_file():
            raise ValueError(f"{path.name} is refused: it lacks {name}")
        left = unpack_members(inner, inner.parent, left, partial(_below, f"{inner.stem}/"), progress)
        inner.unlink()


def _taken(archive: Archive, members: list[Member]) -> list[Member]:
    if archive.sums:
        sums = _sums(archive.sums)
        return [member for member in members if member.name in sums]
    return [member for member in members if any(fnmatchcase(member.name, wanted) for wanted in archive.members)]


def _below(folder: str, members: list[Member]) -> list[Member]:
    return [member for member in members if member.name.startswith(folder)]


def have(store: Path, archive: Archive) -> int:
    """Bytes of an archive that are in a folder, whole or in part."""
    return max(_size(store / archive.name), _size(part_of(store, archive)))


def megabytes(size: int) -> str:
    """Bytes, in words."""
    return f"{size / 1e6:,.0f} MB"
