"""Does an archive arrive whole, whatever a server does, and is a data set there whole or not at all?"""

import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest
from faulty_server import PIECE, serve

from ssdseg_ref.data import downloads, fetching
from ssdseg_ref.data.downloads import DATA_SETS, DataSet, get
from ssdseg_ref.data.fetching import Archive, Patience, download
from ssdseg_ref.keeping import locked

NOISE = np.random.default_rng(0).bytes(5 * PIECE)
QUICK = Patience(timeout=0.3, tries=3, pause=0)


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"data/{name}.bin", content)
    return buffer.getvalue()


CONTENT = zipped(noise=NOISE, more=b"more")


def archive_of(content: bytes = CONTENT, *addresses: str, **other) -> Archive:
    known = hashlib.sha256(content).hexdigest()
    return replace(Archive("archive.zip", addresses, len(content), known, unpacked=len(NOISE) + 4), **other)


@pytest.fixture
def server():
    with serve(CONTENT) as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Download from addresses with these faults, tried in turn; gives the bytes."""

    def fetch(*faults: str, begun: bytes | None = None, **other) -> bytes:
        addresses = [server.address(fault) for fault in faults]
        if begun is not None:
            (tmp_path / "archive.zip.part").write_bytes(begun)
        path = download(archive_of(CONTENT, *addresses, **other), tmp_path, patience=QUICK)
        assert [path] == list(tmp_path.iterdir())
        return path.read_bytes()

    return fetch


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SSDSEG_HOME", str(home))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return home


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/archive.zip"


@pytest.mark.parametrize("fault", ["good", "no-range", "drips", "moved", "busy-once", "refuses-ranges", "says-nothing"])
def test_an_archive_arrives(fetch, fault):
    assert fetch(fault) == CONTENT


@pytest.mark.parametrize("fault", ["cut", "stalls"])
def test_what_is_cut_or_stalls_is_gone_on_with(fetch, server, fault):
    assert fetch(fault) == CONTENT
    assert server.ranges[:3] == [None, f"bytes={PIECE}-", f"bytes={2 * PIECE}-"]


def test_what_came_before_is_not_asked_for_again(fetch, server):
    assert fetch("good", begun=CONTENT[:1234]) == CONTENT
    assert server.ranges == ["bytes=1234-"]


def test_a_file_that_only_had_to_be_checked_needs_no_server(fetch, server):
    assert fetch("missing", begun=CONTENT) == CONTENT
    assert server.ranges == []


@pytest.mark.parametrize("fault", ["no-range", "refuses-ranges", "other-range", "odd-range"])
def test_a_server_that_has_no_parts_sends_all_of_it_again(fetch, fault):
    assert fetch(fault, begun=CONTENT[:1234]) == CONTENT


@pytest.mark.parametrize("begun", [bytes(1234), bytes(len(CONTENT)), bytes(len(CONTENT) + 1)])
def test_a_beginning_that_is_wrong_is_thrown_away(fetch, begun):
    assert fetch("good", begun=begun) == CONTENT


def test_another_server_goes_on_where_the_first_ended(fetch, server):
    assert fetch("cut-no-range", "good") == CONTENT
    assert server.ranges[-1] == f"bytes={PIECE}-"


@pytest.mark.parametrize("fault", ["missing", "wrong", "loop", "says-more", "says-less", "endless", "page", "silent"])
def test_an_address_that_fails_leaves_it_to_the_next(fetch, fault):
    assert fetch(fault, "good") == CONTENT


def test_half_of_the_wrong_bytes_do_not_spoil_the_right_ones(fetch, server):
    """The second address is asked for all of it, once its half did not fit."""
    assert fetch("good", begun=bytes(PIECE)) == CONTENT
    assert server.ranges == [f"bytes={PIECE}-", None]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("missing", "answers 404 Not Found"),
        ("wrong", "other bytes came than the archive's, so they were thrown away"),
        ("loop", "its redirects never end"),
        ("moved-to-nowhere", "InvalidSchema"),
        ("says-more", f"offers {len(CONTENT) + 100:,} bytes where the archive has {len(CONTENT):,}"),
        ("page", f"offers 4 bytes where the archive has {len(CONTENT):,}"),
        ("endless", "more came than the archive's"),
        ("silent", "nothing came for 0.3 s, 3 times in a row"),
        ("no-answer", "the connection was cut, 3 times in a row"),
        ("cut-at-once", "the connection was cut, 3 times in a row"),
    ],
)
def test_why_nothing_came_is_said(fetch, tmp_path, fault, sentence):
    with pytest.raises(OSError, match=r"^archive.zip cannot be downloaded: 127.0.0.1:\d+: ") as error:
        fetch(fault)
    assert sentence in str(error.value)
    assert "kept" not in str(error.value)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_what_came_is_kept_for_the_next_day(fetch, tmp_path):
    with pytest.raises(OSError, match="the connection was cut, 3 times in a row; 0 MB of 0 MB are kept"):
        fetch("cut-no-range")
    assert (tmp_path / "archive.zip.part").read_bytes() == CONTENT[:PIECE]
    assert fetch("good") == CONTENT


def test_each_address_gives_its_reason(server, tmp_path):
    told = []
    addresses = [server.address("missing"), server.address("loop")]
    with pytest.raises(OSError, match=r"404 Not Found; 127\S+ its redirects never end"):
        download(archive_of(CONTENT, *addresses), tmp_path, tell=told.append, patience=QUICK)
    assert len(told) == 1
    assert told[0].endswith("answers 404 Not Found; trying the next address")


def test_without_a_network_that_is_said(tmp_path):
    addresses = (closed_port(), "http://no-such-host.invalid/archive.zip")
    with pytest.raises(OSError, match=r"no-such-host.invalid cannot be reached; is there a network\?"):
        download(archive_of(CONTENT, *addresses), tmp_path, patience=QUICK)


def test_a_server_that_cannot_be_trusted_leaves_it_to_the_next(server, tmp_path):
    told = []
    addresses = (server.address("good").replace("http", "https"), server.address("good"))
    download(archive_of(CONTENT, *addresses), tmp_path, tell=told.append, patience=QUICK)
    assert told[0].endswith("no secure connection can be made to it; trying the next address")


def test_progress_ends_with_the_size(server, tmp_path):
    seen = []
    archive = archive_of(CONTENT, server.address("cut"))
    download(archive, tmp_path, lambda *step: seen.append(step), patience=QUICK)
    assert seen[-2:] == [
        ("downloading archive.zip", len(CONTENT), len(CONTENT)),
        ("checking archive.zip", 0, len(CONTENT)),
    ]
    done = [done for _, done, _ in seen[:-1]]
    assert done == sorted(done)


def data_set(server, fault="good", **other) -> DataSet:
    return DataSet("small", (archive_of(CONTENT, server.address(fault), **other),))


def test_a_data_set_is_downloaded_and_unpacked_once(server, home):
    folder = get(data_set(server), patience=QUICK)
    assert folder == home / "datasets" / "small"
    assert (folder / "data" / "noise.bin").read_bytes() == NOISE
    assert get(data_set(server, "missing"), patience=QUICK) == folder
    assert sum(server.asked.values()) == 1
    assert list((home / "downloads").iterdir()) == []


def test_archives_are_kept_if_asked_for(server, home):
    get(data_set(server), keep=True, patience=QUICK)
    assert (home / "downloads" / "small" / "archive.zip").read_bytes() == CONTENT
    shutil.rmtree(home / "datasets")
    get(data_set(server, "missing"), patience=QUICK)
    assert not server.asked["missing"]


def test_archives_of_ones_own_are_unpacked_where_they_lie(server, home, tmp_path):
    (tmp_path / "archive.zip").write_bytes(CONTENT)
    folder = get(data_set(server), tmp_path)
    assert (folder / "data" / "more.bin").read_bytes() == b"more"
    assert (tmp_path / "archive.zip").read_bytes() == CONTENT
    assert not server.asked


def test_archives_that_ones_own_folder_lacks_are_downloaded(server, tmp_path):
    second = zipped(second=b"second")
    (tmp_path / "second.zip").write_bytes(second)
    both = (*data_set(server).archives, archive_of(second, name="second.zip"))
    folder = get(DataSet("both", both), tmp_path, patience=QUICK)
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["more.bin", "noise.bin", "second.bin"]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], bytes(len(CONTENT))])
def test_an_archive_of_ones_own_that_is_another_stays_as_it_is(server, home, tmp_path, content):
    (tmp_path / "archive.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"not the archive that was published .*; it is left as it is"):
        get(data_set(server), tmp_path)
    assert (tmp_path / "archive.zip").read_bytes() == content
    assert not (home / "datasets").exists()


def test_a_folder_without_the_archives_is_named(server, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none of archive.zip"):
        get(data_set(server), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder"):
        get(data_set(server), tmp_path / "nowhere")


def test_an_archive_that_is_refused_leaves_no_folder(server, home):
    with pytest.raises(ValueError, match=r"its member 'data/noise.bin' makes it larger"):
        get(data_set(server, unpacked=100), patience=QUICK)
    assert list((home / "datasets").iterdir()) == []


def test_space_is_looked_at_before_anything_is_fetched(server, monkeypatch, home):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**9))
    with pytest.raises(OSError, match=r"^small needs 2.1 GB, and \S+ has 1.0 GB free; make room, or set SSDSEG_HOME"):
        get(data_set(server, unpacked=2 * 10**9))
    assert not server.asked


def test_what_is_there_already_needs_no_space(server, monkeypatch, home):
    usage = namedtuple("usage", "total used free")
    small = data_set(server, unpacked=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, round(10**6 * downloads.BLOCKS) + 10))
    with pytest.raises(OSError, match="needs"):
        get(small)
    (home / "downloads" / "small" / "archive.zip.part").write_bytes(CONTENT[:-10])
    get(small)


def test_a_place_that_cannot_be_written_to_is_named(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(OSError, match=r"home: data sets cannot be kept there \(Not a directory\); set SSDSEG_HOME"):
        get(data_set(server))


def test_a_disk_that_fills_up_says_so_and_keeps_what_came(server, monkeypatch, home):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching._Resuming, "_take", full)
    with pytest.raises(OSError, match=r"cannot be kept there \(No space left on device\); set SSDSEG_HOME"):
        get(data_set(server))


@pytest.mark.parametrize("step", ["checking", "unpacking"])
def test_ctrl_c_after_the_download_does_not_lose_it(server, home, step):
    def interrupt(what, *_):
        if what.startswith(step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(data_set(server), progress=interrupt, patience=QUICK)
    assert downloads.downloaded(data_set(server)) == len(CONTENT)
    assert not downloads.is_there("small")
    get(data_set(server, "missing"), patience=QUICK)
    assert not server.asked["missing"]
    assert list((home / "downloads").iterdir()) == []


def test_ctrl_c_while_pooch_compares_hashes_does_not_lose_the_download(server, monkeypatch, home):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pooch.core, "hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get(data_set(server), patience=QUICK)
    assert [path.name for path in (home / "downloads" / "small").iterdir()] == ["archive.zip.part"]
    get(data_set(server, "missing"), patience=QUICK)
    assert not server.asked["missing"]


def test_what_a_killed_process_has_left_is_cleared_away(server, home):
    store = home / "downloads" / "small"
    store.mkdir(parents=True)
    (store / "tmp1234").write_bytes(CONTENT)
    get(data_set(server), keep=True, patience=QUICK)
    assert [path.name for path in store.iterdir()] == ["archive.zip"]


def test_an_empty_folder_is_no_data_set(server, home):
    (home / "datasets" / "small").mkdir(parents=True)
    assert (get(data_set(server), patience=QUICK) / "data" / "more.bin").read_bytes() == b"more"


def test_two_processes_do_not_spoil_each_other(server, home):
    store = home / "downloads" / "small"
    store.mkdir(parents=True)
    code = (
        "import sys; from pathlib import Path; from ssdseg_ref.keeping import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(ValueError, match="another command is at work there"):
            get(data_set(server), patience=QUICK)
        other.stdin.close()
        other.wait()
    assert not server.asked
    get(data_set(server), patience=QUICK)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("how", [signal.SIGINT, getattr(signal, "SIGKILL", None)])
def test_a_process_that_is_stopped_leaves_a_beginning_to_go_on_from(server, home, how):
    small = data_set(server, "stalls")
    code = (
        "import sys; from ssdseg_ref.data.downloads import *\n"
        "from ssdseg_ref.data.fetching import Archive\n"
        f"get({small!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        part = home / "downloads" / "small" / "archive.zip.part"
        deadline = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(how)
    assert part.read_bytes() == CONTENT[:PIECE]
    server.ranges.clear()
    folder = get(data_set(server), patience=QUICK)
    assert server.ranges == [f"bytes={PIECE}-"]
    assert (folder / "data" / "noise.bin").read_bytes() == NOISE
    assert list((home / "downloads").iterdir()) == []


def listed(tmp_path, **files: bytes) -> Path:
    """A list of the hashes of files, after a line about where it is from."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  data/{name}.bin\n" for name, content in files.items()]
    path = tmp_path / "sums"
    path.write_text("# of this test\n" + "".join(lines))
    return path


def test_an_archive_without_a_hash_is_known_by_its_files(server, tmp_path):
    small = data_set(server, sha256=None, sums=listed(tmp_path, noise=NOISE))
    folder = get(small, patience=QUICK)
    assert [path.name for path in (folder / "data").iterdir()] == ["noise.bin"]  # what is not listed, nobody knows


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"noise": NOISE, "more": b"less"}, "data/more.bin is another file"),
        ({"noise": NOISE, "third": b""}, "data/third.bin is missing"),
    ],
)
def test_an_archive_with_another_file_is_thrown_away(server, home, tmp_path, files, sentence):
    small = data_set(server, sha256=None, sums=listed(tmp_path, **files))
    with pytest.raises(OSError, match=f"{sentence}, so they were thrown away"):
        get(small, patience=QUICK)
    assert list((home / "downloads" / "small").iterdir()) == []
    assert not (home / "datasets").exists()


def test_a_file_that_is_no_archive_is_thrown_away(server, tmp_path):
    small = data_set(server, "wrong", sha256=None, sums=listed(tmp_path, noise=NOISE))
    with pytest.raises(OSError, match=r"archive.zip is damaged .* so they were thrown away"):
        get(small, patience=QUICK)


def test_the_table_has_what_the_card_of_each_data_set_says():
    assert list(DATA_SETS) == ["pennfudan", "voc2007", "voc2012", "coco-val", "coco-train"]
    for data_set in DATA_SETS.values():
        for archive in data_set.archives:
            assert all(address.endswith(f"/{archive.name}") for address in archive.addresses)
            assert (archive.sha256 is None) == (archive.sums is not None)
            assert archive.sha256 is None or len(archive.sha256) == 64
    with pytest.raises(ValueError, match="there is no data set 'voc' to get, there are pennfudan, voc2007, "):
        downloads.find("voc")


def test_the_list_of_penn_fudan_has_its_510_files():
    (archive,) = DATA_SETS["pennfudan"].archives
    sums = fetching._sums(archive.sums)
    assert len(sums) == 3 * 170
    assert all(len(known) == 64 and name.startswith("PennFudanPed/") for name, known in sums.items())


def test_a_locked_store_is_free_again_afterwards(server, home):
    get(data_set(server), keep=True, patience=QUICK)
    with locked(home / "downloads" / "small"):
        pass


def test_of_coco_one_split_is_unpacked_as_its_reader_wants_it(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    masks = io.BytesIO()
    with zipfile.ZipFile(masks, "w") as archive:
        archive.writestr("panoptic_val2017/000000000139.png", b"png")
        archive.writestr("__MACOSX/panoptic_val2017/._000000000139.png", b"not wanted")
    held = {
        "val2017.zip": {"val2017/000000000139.jpg": b"jpg"},
        "annotations_trainval2017.zip": {
            f"annotations/{kind}_{split}.json": b"{}"
            for kind in ("instances", "captions")
            for split in ("train2017", "val2017")
        },
        "panoptic_annotations_trainval2017.zip": {
            "annotations/panoptic_val2017.json": b"{}",
            "annotations/panoptic_val2017.zip": masks.getvalue(),
            "annotations/panoptic_train2017.json": b"{}",
            "annotations/panoptic_train2017.zip": b"is not looked into",
        },
    }
    archives = []
    for archive in DATA_SETS["coco-val"].archives:
        path = own / archive.name
        with zipfile.ZipFile(path, "w") as writer:
            for name, content in held[archive.name].items():
                writer.writestr(name, content)
        known = hashlib.sha256(path.read_bytes()).hexdigest()
        archives.append(replace(archive, size=path.stat().st_size, sha256=known))
    folder = get(DataSet("coco-val", tuple(archives)), own)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "annotations/captions_val2017.json",
        "annotations/instances_val2017.json",
        "annotations/panoptic_val2017.json",
        "annotations/panoptic_val2017/000000000139.png",
        "val2017/000000000139.jpg",
    ]


def test_the_card_of_coco_has_the_hashes_that_are_compared():
    card = (Path(__file__).parents[3] / "datasets" / "coco.md").read_text(encoding="utf-8")
    for name in ("coco-val", "coco-train"):
        for archive in DATA_SETS[name].archives:
            assert f"| {archive.name} | {archive.size:,} | `{archive.sha256}` |" in card
