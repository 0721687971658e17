"""`ssdseg data get`, with a small data set whose archive lies in a folder, or that nobody has."""

import hashlib
import subprocess
import sys
import zipfile

import pytest
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_ref.data import downloads
from ssdseg_ref.data.fetching import Archive


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Put a small data set into the table, and its archive into the folder `own`."""
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    own = tmp_path / "own"
    own.mkdir()
    with zipfile.ZipFile(own / "small.zip", "w") as archive:
        archive.writestr("data/file.txt", "content")
    content = (own / "small.zip").read_bytes()
    known = hashlib.sha256(content).hexdigest()
    archive = Archive("small.zip", ("http://no-such-host.invalid/small.zip",), len(content), known, unpacked=100)
    monkeypatch.setitem(downloads.DATA_SETS, "small", downloads.DataSet("small", (archive,)))
    return own


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)], env={"COLUMNS": "120"})


def row(output: str, *cells: str) -> bool:
    """Whether a line of a table starts with these cells."""
    return any(line.replace("│", " ").split()[: len(cells)] == list(cells) for line in output.splitlines())


def test_an_archive_of_ones_own_is_unpacked_and_listed(small, tmp_path):
    before = run("list").output
    assert row(before, "small", "no")
    assert row(before, "coco-train", "no", "20,450", "MB")
    assert "ssdseg data get pennfudan" in before
    result = run("get", "small", "--from", small)
    assert (result.exit_code, result.stderr) == (0, "")
    folder = tmp_path / "home" / "datasets" / "small"
    assert result.stdout == f"small: {folder}\n"
    assert (folder / "data" / "file.txt").read_text() == "content"
    assert row(run("list").output, "small", "yes")


@pytest.mark.parametrize("home", ["taken", "taken/home", "/proc/nowhere"])
def test_without_a_home_data_sets_are_listed_and_getting_one_says_what_to_do(monkeypatch, tmp_path, small, home):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / home))
    listed = run("list")
    assert (listed.exit_code, row(listed.output, "small", "no")) == (0, True)
    result = run("get", "small", "--from", small)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"ssdseg: {tmp_path / home}: data sets cannot be kept there (")
    assert result.stderr.endswith("set SSDSEG_HOME to a folder with room\n")


def test_what_is_downloaded_goes_by_its_name(small, tmp_path):
    missing = run("info", "small")
    assert missing.exit_code == 1
    assert "small is not there yet; `ssdseg data get small` downloads it" in missing.stderr
    run("get", "small", "--from", small)
    found = run("check", "small")
    assert f"{tmp_path / 'home' / 'datasets' / 'small'}: not a data set that can be read" in found.stderr


@pytest.mark.parametrize(
    ("name", "inside"),
    [("pennfudan", "PennFudanPed"), ("voc2007", "VOCdevkit/VOC2007"), ("voc2012", "VOCdevkit/VOC2012")],
)
def test_a_reader_is_given_the_folder_inside_of_what_was_unpacked(name, inside):
    (downloads.folder(name) / inside).mkdir(parents=True)
    assert downloads.located(name) == downloads.folder(name) / inside


def test_a_second_time_nothing_is_done(small):
    run("get", "small", "--from", small)
    result = run("get", "small")
    assert result.exit_code == 0
    assert "small is there already" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["voc"], "ssdseg: there is no data set 'voc' to get, there are pennfudan, voc2007, voc2012, coco-val, coco"),
        (["small"], "ssdseg: small.zip cannot be downloaded: no-such-host.invalid cannot be reached; is there a netw"),
        (["small", "--from", "no/folder"], "ssdseg: no/folder: no such folder"),
        (["voc2012", "--from", "."], "ssdseg: .: holds none of VOCtrainval_11-May-2012.tar"),
    ],
)
def test_what_cannot_be_had_ends_with_one_sentence(arguments, message):
    result = run("get", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_an_archive_that_does_not_match_is_not_unpacked(small, tmp_path):
    path = small / "small.zip"
    path.write_bytes(bytes(path.stat().st_size))
    result = run("get", "small", "--from", small)
    assert result.exit_code == 1
    assert "not the archive that was published (its SHA-256 is another); it is left as it is" in result.stderr
    assert path.exists()
    assert not (tmp_path / "home" / "datasets").exists()


def test_ctrl_c_says_how_to_go_on(monkeypatch):
    def interrupt(data_set, *_):
        store = downloads.downloads(data_set.name)
        store.mkdir(parents=True)
        (store / "small.zip.part").write_bytes(bytes(3_000_000))
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "get", interrupt)
    result = run("get", "small")
    assert result.exit_code == 130
    assert result.stderr == "3 MB are kept, the same command goes on from there\nstopped\n"


def test_getting_waits_neither_for_tensorflow_nor_for_matplotlib():
    code = (
        "import sys, ssdseg_course.cli.get, ssdseg_ref.data.downloads, pooch\n"
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_command_explains_itself():
    result = run("get", "--help")
    assert result.exit_code == 0
    assert "--from" in result.output
