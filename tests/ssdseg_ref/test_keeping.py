"""Files and folders that are whole or not there: what does a kill, a full disk or a second process leave?"""

import errno
import os
import subprocess
import sys
import time

import pytest

from ssdseg_ref import keeping
from ssdseg_ref.keeping import sweep, sweep_files, whole_file, whole_folder, write_whole

DRAFT = "0" * 32


def refuse(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_that_cannot_be_brought_to_the_disk_stays_as_it_was(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", "before")
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", "after")
    assert (tmp_path / "file").read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_system_that_cannot_wait_for_the_disk_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    write_whole(tmp_path / "new" / "file", "text")
    assert (tmp_path / "new" / "file").read_text() == "text"


def test_an_error_names_the_file_and_not_its_draft(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match=r"file'") as error:
        write_whole(tmp_path / "file", "text")
    assert error.value.filename == str(tmp_path / "file")


def test_a_draft_keeps_the_ending_of_its_file(tmp_path):
    """Keras writes a format by the ending of the name."""
    with whole_file(tmp_path / "network.keras") as draft:
        assert draft.name.endswith(".network.keras")
        assert draft.name.startswith(".")
        draft.write_bytes(b"")


def test_drafts_of_files_go_and_all_else_stays(tmp_path):
    for name in (f".{DRAFT}.network.keras", ".hidden", "network.keras"):
        (tmp_path / name).write_text("")
    sweep_files(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "network.keras"]


def test_drafts_of_folders_go_unless_somebody_is_at_work_on_them(tmp_path):
    for name in (f".mine.{DRAFT}", f".other.{DRAFT}", ".mine", "mine.txt"):
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "mine") as mine:  # clears away its own
        sweep(tmp_path)
        assert mine.exists()
    assert sorted(os.listdir(tmp_path)) == [".mine", "mine", "mine.txt"]


def test_only_drafts_of_its_own_name_are_cleared_away_by_a_folder(tmp_path):
    (tmp_path / f".other.{DRAFT}").mkdir()
    with whole_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / f".other.{DRAFT}").exists()


def test_where_folders_cannot_be_locked_a_draft_is_left_alone_for_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "fcntl", None)
    draft = tmp_path / f".mine.{DRAFT}"
    draft.mkdir()
    sweep(tmp_path)
    assert draft.exists()
    old = time.time() - keeping.ABANDONED_AFTER - 60
    os.utime(draft, (old, old))
    sweep(tmp_path)
    assert not draft.exists()


def test_a_killed_process_leaves_no_lock(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from ssdseg_ref.keeping import whole_folder\n"
        "with whole_folder(Path(sys.argv[1])) as draft: (draft / 'half').write_text(''); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "mine")], check=False)
    assert len(os.listdir(tmp_path)) == 1
    with whole_folder(tmp_path / "mine") as draft:
        (draft / "whole").write_text("")
    assert os.listdir(tmp_path) == ["mine"]
    assert os.listdir(tmp_path / "mine") == ["whole"]
