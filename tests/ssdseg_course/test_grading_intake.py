"""What is taken in of a folder of submissions: each notebook of a lesson under its learner's name, and why not."""

import datetime
import io
import json
import os
import socket
import stat
import time
import unicodedata
import zipfile
from pathlib import Path

import pytest
from learners import LESSON, handed_out, new_cell, right_answers, with_answers

from ssdseg_course.grading import intake, search
from ssdseg_course.grading.bulk import MIB
from ssdseg_course.grading.intake import Refusal, Submission, read_again, take_in
from ssdseg_course.grading.names import Learner, Students
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import NotebookError, notebook_text

NAME = LESSON.name
NOTEBOOK = f"{NAME}.ipynb"
TEXT = notebook_text(handed_out())
BEGUN = notebook_text(with_answers(handed_out(), **right_answers()))
OTHER = notebook_text(
    with_answers(handed_out(), linear_scales="def linear_scales(first, last, maps):\n    return []\n")
)
SECOND = find_lesson("2").notebook()
LONG_AGO = 1_000_000_000  # in seconds since 1970


def put(path, content=TEXT, changed=None):
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if changed is not None:
        os.utime(path, (changed, changed))
    return path


def packed(files, **options) -> bytes:
    """A zip archive of (name, content)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return file.getvalue()


def taken(folder, lesson=None, **options) -> dict:
    """What was taken in, by (learner, lesson)."""
    found = list(take_in(folder, lesson, **options))
    result = {
        (hand_in.student, hand_in.lesson.name if isinstance(hand_in, Submission) else hand_in.lesson): hand_in
        for hand_in in found
    }
    assert len(result) == len(found)
    return result


def one(folder, lesson=None, **options):
    """The one thing that was taken in."""
    (hand_in,) = take_in(folder, lesson, **options)
    return hand_in


def test_nbgraders_folders_are_understood(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    put(tmp_path / "ada" / "02_matching" / "02_matching.ipynb", SECOND.read_text())
    put(tmp_path / "bob" / NAME / NOTEBOOK)
    found = taken(tmp_path)
    assert list(found) == [("ada", NAME), ("ada", "02_matching"), ("bob", NAME)]
    assert all(isinstance(hand_in, Submission) and not hand_in.remarks for hand_in in found.values())


def test_one_lesson_alone_can_be_wanted(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    put(tmp_path / "bob" / "02_matching" / "02_matching.ipynb", SECOND.read_text())
    found = taken(tmp_path, find_lesson("2"))
    assert isinstance(found["bob", "02_matching"], Submission)
    assert "no notebook of this lesson" in found["ada", "02_matching"].reason


WHEREVER = [
    "ada.ipynb",
    "ada.IPYNB",
    "ada.json",
    "ada.ipynb.txt",
    "ada.ipynb (1)",
    "ada/work.ipynb",
    "ada/a/b/final FINAL.ipynb",
    "ada/a/b/c/d/e/f/g/deep.ipynb",
    "ada/01_anchors-1.ipynb",
    "ada/01_anchors (2).IPYNB",
    "ada/01_anchors.ipynb.json",
    "ada/01_anchors.ipynb.txt",
    "ada/01_anchors.ipynb~",
    "ada/01_anchors.ipynb.bak",
    "ada/notes.txt",
    "ada/work.json",
    "ada/01_anchors",
    "ada/.hidden/01_anchors.ipynb",
    "ada/.ipynb_checkpoints/01_anchors-checkpoint.ipynb",
    "ada/01_anchors/.ipynb_checkpoints/01_anchors-checkpoint.ipynb",
    "ada/01_anchors.ipynb/01_anchors.ipynb",
    "ada/course/lessons/01_anchors/01_anchors.ipynb",
    "ada/backups/01_anchors.ipynb",
    "ada/a\nb.ipynb",
    "ada/" + "x" * 240 + ".ipynb",
]


@pytest.mark.parametrize("name", WHEREVER, ids=range(len(WHEREVER)))
@pytest.mark.parametrize("wanted", [None, LESSON], ids=["all", "one"])
def test_a_notebook_is_found_wherever_it_stands_and_whatever_it_is_called(name, wanted, tmp_path):
    put(tmp_path / name, BEGUN)
    hand_in = one(tmp_path, wanted)
    assert (hand_in.student, hand_in.lesson.name, hand_in.content) == ("ada", NAME, BEGUN.encode())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["work.ipynb", "work.txt"])
def test_what_it_is_is_told_in_any_encoding(name, encoding, tmp_path):
    put(tmp_path / "ada" / name, BEGUN.encode(encoding))
    assert one(tmp_path).lesson.name == NAME


ARCHIVES = {
    "ada.zip": [(NOTEBOOK, BEGUN)],
    "ada/work.zip": [(f"{NAME}/{NOTEBOOK}", BEGUN)],
    "ada/work.ZIP": [("My Work/FINAL.IPYNB", BEGUN), ("__MACOSX/My Work/._FINAL.IPYNB", "x"), ("Thumbs.db", "x")],
    f"ada/{NAME}/work.zip": [("a/b/c/x.ipynb", BEGUN)],
    f"ada/{NOTEBOOK}": [("x.ipynb", BEGUN)],
    "ada/nested.zip": [("inner.zip", packed([(NOTEBOOK, BEGUN)]))],
    "ada/slip.zip": [(f"../../../{NOTEBOOK}", BEGUN)],
    "ada/absolute.zip": [(f"/etc/{NOTEBOOK}", BEGUN)],
    "ada/windows.zip": [(f"C:\\Users\\ada\\{NOTEBOOK}", BEGUN)],
    "ada/course.zip": [
        (f"course/lessons/{NAME}/{NOTEBOOK}", BEGUN),
        (f"course/solutions/{NAME}/{NOTEBOOK}", OTHER),
        (f"course/.venv/lib/{NOTEBOOK}", OTHER),
    ],
}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("wanted", [None, LESSON], ids=["all", "one"])
def test_a_notebook_is_found_in_an_archive_and_nothing_is_written(name, wanted, tmp_path):
    put(tmp_path / name, packed(ARCHIVES[name], compression=zipfile.ZIP_DEFLATED))
    before = set(tmp_path.rglob("*"))
    hand_in = one(tmp_path, wanted)
    assert (hand_in.student, hand_in.lesson.name, hand_in.content) == ("ada", NAME, BEGUN.encode())
    assert set(tmp_path.rglob("*")) == before
    assert read_again(tmp_path, hand_in) == hand_in


BAD_ARCHIVES = {
    "bomb.zip": (packed([(f"{k}.ipynb", bytes(MIB + 1)) for k in range(5)], compression=8), "4 MiB"),
    "one-bomb.zip": (packed([(NOTEBOOK, bytes(2 * MIB))], compression=8), "more than 1 MiB"),
    "broken.zip": (packed([(NOTEBOOK, BEGUN)])[:-50], "damaged"),
    "zeros.zip": (b"PK\x03\x04" + bytes(1000), "damaged"),
    "lzma.zip": (packed([(NOTEBOOK, BEGUN)], compression=zipfile.ZIP_LZMA), "usual zip"),
    "empty.zip": (packed([]), "no notebook in it"),
    "essay.zip": (packed([("essay.pdf", "x")]), "no notebook in it"),
    "solution.rar": (b"Rar!\x1a\x07", "1 other file (solution.rar)"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_an_archive_that_cannot_be_read_is_named_with_its_reason(name, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "LARGEST_FILE", MIB)
    monkeypatch.setattr(search, "MOST_BYTES", 4 * MIB)
    content, words = BAD_ARCHIVES[name]
    put(tmp_path / "ada" / name, content)
    hand_in = one(tmp_path, LESSON)
    assert isinstance(hand_in, Refusal)
    assert words in hand_in.reason


def test_an_environment_in_an_archive_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "MOST_ENTRIES", 100)
    files = [(f"course/.venv/lib/{number}.py", "") for number in range(1000)]
    put(tmp_path / "ada.zip", packed([*files, (f"course/lessons/{NAME}/{NOTEBOOK}", BEGUN)]))
    assert one(tmp_path).remarks == ()


def test_names_without_end_in_an_archive_hold_nobody_up(tmp_path):
    files = [(f"{k}" + "_ " * 30_000 + "x.ipynb", BEGUN) for k in range(20)]
    put(tmp_path / "ada.zip", packed([*files, ("/".join("x" * 2000), BEGUN), (NOTEBOOK, BEGUN)]))
    start = time.process_time()
    assert one(tmp_path).path == ("ada.zip", NOTEBOOK)
    assert time.process_time() - start < 2


def test_an_archive_with_a_password_is_named(tmp_path):
    content = bytearray(packed([(NOTEBOOK, BEGUN)]))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    put(tmp_path / "ada" / "work.zip", bytes(content))
    assert "password" in one(tmp_path).reason


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    link = zipfile.ZipInfo(NOTEBOOK)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    put(tmp_path / "ada" / "work.zip", packed([(link, "/etc/passwd")]))
    assert "no notebook in it" in one(tmp_path).reason


def test_an_archive_of_a_whole_class_is_no_learners(tmp_path):
    files = [(f"{name}_{k}_assignsubmission_file_/{NOTEBOOK}", BEGUN) for k, name in enumerate(("Ada L", "Bob M"))]
    put(tmp_path / "Course-Lesson 1-77.zip", packed(files))
    assert "several learners; unpack it" in one(tmp_path).reason


NOT_GRADABLE = {
    "empty": (lambda folder: None, "is empty"),
    "lesson": (lambda folder: (folder / NAME).mkdir(), "is empty"),
    "folder": (lambda folder: (folder / NOTEBOOK).mkdir(), "is a folder"),
    "page": (lambda folder: put(folder / "01_anchors.html", "<html>"), "1 other file (01_anchors.html)"),
    "script": (lambda folder: put(folder / NAME / "01_anchors.py", "x = 1"), "1 other file (01_anchors/01_anchors.py)"),
    "links": (lambda folder: (folder / "work").symlink_to("/etc"), "1 link (work)"),
    "link": (lambda folder: (folder / NOTEBOOK).symlink_to("/etc/passwd"), "links are not followed"),
    "round": (lambda folder: (folder / "round").symlink_to(folder), "1 link (round)"),
    "pipe": (lambda folder: os.mkfifo(folder / NOTEBOOK), "not a plain file"),
    "other pipe": (lambda folder: os.mkfifo(folder / "x"), "1 device or pipe (x)"),
    "droppings": (lambda folder: put(folder / ".DS_Store", "x"), "no notebook"),
    "essay": (lambda folder: put(folder / "essay.ipynb", '{"cells": []}'), "which lesson"),
    "empty file": (lambda folder: put(folder / "essay.ipynb", ""), "the file is empty"),
    "no name": (lambda folder: put(folder / "\udce4\x1b[31m.py", "x"), "1 other file (\ufffd\ufffd[31m.py)"),
}


@pytest.mark.parametrize("name", NOT_GRADABLE)
def test_where_nothing_can_be_graded_it_is_said_why(name, tmp_path):
    write, words = NOT_GRADABLE[name]
    (tmp_path / "ada").mkdir()
    write(tmp_path / "ada")
    found = list(take_in(tmp_path))
    assert all(isinstance(hand_in, Refusal) and hand_in.student == "ada" for hand_in in found)
    assert words in "; ".join(hand_in.reason for hand_in in found)


def test_a_socket_is_named(tmp_path, monkeypatch):
    (tmp_path / "ada").mkdir()
    monkeypatch.chdir(tmp_path / "ada")  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(NOTEBOOK)
        assert "not a plain file" in one(tmp_path).reason


def test_what_is_no_learners_is_named_and_what_systems_leave_behind_is_not(tmp_path):
    put(tmp_path / "ada" / NOTEBOOK)
    for name in (".DS_Store", "._ada", "Thumbs.db", "desktop.ini", "__MACOSX/x", ".git/config", ".ipynb_checkpoints/x"):
        put(tmp_path / name, "x")
    put(tmp_path / "readme.txt", "x")
    put(tmp_path / NAME / "bob" / NOTEBOOK)
    (tmp_path / "link").symlink_to("ada")
    os.mkfifo(tmp_path / "pipe")
    found = {hand_in.student: getattr(hand_in, "reason", "") for hand_in in take_in(tmp_path)}
    assert set(found) == {"ada", "readme.txt", NAME, "link", "pipe"}
    assert "neither a learner's folder nor a notebook" in found["readme.txt"]
    assert f"ssdseg grade {tmp_path / NAME} --lesson 1" in found[NAME]
    assert "links are not followed" in found["link"]
    assert "not a plain file" in found["pipe"]
    assert found["ada"] == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_named(tmp_path):
    put(tmp_path / "ada" / NOTEBOOK).chmod(0)
    put(tmp_path / "bob" / NOTEBOOK)
    (tmp_path / "bob").chmod(0)
    found = taken(tmp_path)
    (tmp_path / "bob").chmod(0o700)
    assert "Permission denied" in found["ada", NAME].reason
    assert "Permission denied" in found["bob", ""].reason


def test_an_error_of_ours_costs_one_learner_alone(tmp_path, monkeypatch):
    for name in ("ada", "bob", "cy"):
        put(tmp_path / name / NOTEBOOK)
    real = intake.Search

    def broken(folder, entries):
        if entries[0].name == "bob":
            raise RuntimeError("a\x1b[31mb\ud800")
        return real(folder, entries)

    monkeypatch.setattr(intake, "Search", broken)
    found = taken(tmp_path)
    assert found["bob", ""].reason == "reading it stopped with RuntimeError: a\ufffd[31mb\ufffd"
    assert isinstance(found["cy", NAME], Submission)


# Several notebooks of one lesson.


def two(folder, first=OTHER, second=BEGUN):
    """An older notebook of the lesson's own name, and a newer one of another."""
    put(folder / "ada" / NOTEBOOK, first, LONG_AGO)
    put(folder / "ada" / "01_anchors (1).ipynb", second, LONG_AGO + 60)


@pytest.mark.parametrize(("take", "content"), [("newest", BEGUN), ("oldest", OTHER), ("named", OTHER)])
def test_of_several_versions_the_newest_counts_or_the_one_that_is_asked_for(take, content, tmp_path):
    two(tmp_path)
    hand_in = one(tmp_path, take=take)
    assert hand_in.content == content.encode()
    assert "counts" in hand_in.remarks[-1]
    assert "left out" in hand_in.remarks[-1]


def test_the_newest_counts_in_archives_and_beside_them(tmp_path):
    put(tmp_path / "ada" / NOTEBOOK, OTHER, LONG_AGO)
    new = zipfile.ZipInfo(NOTEBOOK, (2020, 1, 1, 0, 0, 0))
    put(tmp_path / "ada" / "work.zip", packed([(new, BEGUN)]), LONG_AGO - 60)
    assert one(tmp_path).content == BEGUN.encode()


@pytest.mark.parametrize("newer", [TEXT, "", "\0\n"], ids=["untouched", "empty", "zeros"])
def test_a_newer_one_in_which_nothing_is_written_does_not_count(newer, tmp_path):
    two(tmp_path, BEGUN, newer)
    hand_in = one(tmp_path)
    assert hand_in.content == BEGUN.encode()
    assert "(1).ipynb" in hand_in.remarks[-1]


def test_the_notebook_of_the_right_name_counts_where_times_say_nothing(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK, "right")
    put(tmp_path / "ada" / NAME / "01_anchors-Copy1.ipynb", "wrong")
    put(tmp_path / "ada" / NAME / ".ipynb_checkpoints" / "01_anchors-checkpoint.ipynb", "old")
    hand_in = one(tmp_path)
    assert hand_in.content == b"right"
    assert "Copy1" in hand_in.remarks[0]


def test_a_checkpoint_counts_only_where_nothing_else_is_left(tmp_path):
    put(tmp_path / "ada" / NOTEBOOK, OTHER, LONG_AGO)
    put(tmp_path / "ada" / ".ipynb_checkpoints" / "01_anchors-checkpoint.ipynb", BEGUN)
    hand_in = one(tmp_path)
    assert (hand_in.content, hand_in.remarks) == (OTHER.encode(), ())
    put(tmp_path / "ada" / NOTEBOOK, "")
    hand_in = one(tmp_path)
    assert hand_in.content == BEGUN.encode()
    assert "the copy which Jupyter kept" in "; ".join(hand_in.remarks)


def test_two_entries_of_one_learner_are_read_as_one(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK, OTHER, LONG_AGO)
    put(tmp_path / "ada.ipynb", BEGUN)
    put(tmp_path / "ada.zip", packed([("x.ipynb", TEXT)]))
    hand_in = one(tmp_path)
    assert hand_in.content == BEGUN.encode()
    assert "ada/01_anchors/01_anchors.ipynb" in hand_in.remarks[-1]
    assert "ada.zip/x.ipynb" in hand_in.remarks[-1]


def test_a_lesson_under_another_lessons_name_is_what_is_in_it(tmp_path):
    put(tmp_path / "ada" / "02_matching" / "02_matching.ipynb", BEGUN)
    hand_in = one(tmp_path)
    assert hand_in.lesson is LESSON
    assert "is 01_anchors by what is in it" in hand_in.remarks[0]
    assert "it looks like 01_anchors" in one(tmp_path, find_lesson("2")).reason
    assert isinstance(one(tmp_path, LESSON), Submission)


def test_a_lesson_that_has_functions_of_an_earlier_one_in_it_is_itself(tmp_path):
    for number in ("4", "5", "6", "7"):
        lesson = find_lesson(number)
        put(tmp_path / "ada" / f"{lesson.name}.ipynb", lesson.notebook().read_bytes())
        put(tmp_path / f"bob{number}" / "04_mobilenetv2.ipynb", lesson.notebook().read_bytes())
    found = taken(tmp_path)
    assert {lesson for student, lesson in found if student == "ada"} == {find_lesson(k).name for k in "4567"}
    assert {(student, lesson[:2]) for student, lesson in found if student != "ada"} == {
        (f"bob{k}", f"0{k}") for k in "4567"
    }


def course(folder: Path, **notebooks) -> Path:
    """A whole course, as a learner has it: two lessons, the solutions, and an environment."""
    for number in ("1", "2"):
        lesson = find_lesson(number)
        put(lesson.notebook(folder), lesson.notebook().read_bytes())
        put(lesson.solution(folder), lesson.solution().read_bytes())
    put(folder / "colab" / "start.ipynb", '{"cells": []}')
    put(folder / ".venv" / "pyvenv.cfg", "")
    put(folder / "env" / "pyvenv.cfg", "")
    for place in (".venv", "env"):
        put(folder / place / "lib" / NOTEBOOK, BEGUN)
    return folder


@pytest.mark.parametrize("below", ["", "course", "home/ada/course"])
def test_of_a_whole_course_what_was_begun_counts_and_never_the_solution(below, tmp_path):
    root = course(tmp_path / "ada" / below)
    assert "nothing is written in any" in one(tmp_path).reason
    assert isinstance(one(tmp_path, LESSON), Submission)  # it was asked for, and has no points
    put(LESSON.notebook(root), OTHER)
    hand_in = one(tmp_path)
    assert (hand_in.lesson, hand_in.content) == (LESSON, OTHER.encode())
    assert "not begun, and not graded: 02_matching" in hand_in.remarks


def test_where_one_lesson_is_wanted_what_may_be_of_it_is_named(tmp_path):
    put(tmp_path / "ada" / NOTEBOOK)
    put(tmp_path / "ada" / "essay.ipynb", '{"cells": []}')
    assert "essay.ipynb: it cannot be told" in one(tmp_path, LESSON).remarks[0]


def test_a_lesson_whose_folder_holds_no_notebook_is_named_beside_others(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    (tmp_path / "ada" / "02_matching").mkdir()
    found = taken(tmp_path)
    assert isinstance(found["ada", NAME], Submission)
    assert "no notebook in it" in found["ada", "02_matching"].reason


def test_archives_of_two_lessons_are_two_submissions(tmp_path):
    put(tmp_path / "ada" / "one.zip", packed([(NOTEBOOK, BEGUN)]))
    put(tmp_path / "ada" / "two.zip", packed([("02_matching.ipynb", SECOND.read_bytes())]))
    assert list(taken(tmp_path)) == [("ada", NAME), ("ada", "02_matching")]


# Size.


def with_outputs(size: int, text: str = BEGUN) -> bytes:
    """A notebook with outputs of so many bytes, a picture among them, and pasted ones."""
    notebook = json.loads(text)
    output = {"output_type": "stream", "name": "stdout", "text": ['"}]\n' * (size // 40)]}
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * (size // 2)}}
    notebook["cells"][1 if notebook["cells"][1]["cell_type"] == "code" else -1].update(outputs=[output, picture])
    notebook["cells"].append(
        {**new_cell("a", "p1c7", "markdown"), "attachments": {"x.png": {"image/png": "B" * (size // 4)}}}
    )
    return json.dumps(notebook).encode()


@pytest.mark.parametrize("name", ["work.ipynb", "work.zip"])
def test_many_outputs_are_left_out_and_the_answers_are_read(name, tmp_path):
    large = with_outputs(30 * MIB)
    put(tmp_path / "ada" / name, packed([("x.ipynb", large)], compression=8) if name.endswith("zip") else large)
    hand_in = one(tmp_path)
    assert len(hand_in.content) < MIB
    sources = ["".join(cell["source"]) for cell in json.loads(hand_in.content)["cells"]]
    assert sources[:-1] == ["".join(cell["source"]) for cell in json.loads(BEGUN)["cells"]]


def test_what_is_large_without_outputs_is_refused_at_once(tmp_path):
    put(tmp_path / "ada" / NOTEBOOK, b" " * (21 * MIB))
    put(tmp_path / "bob" / NOTEBOOK, b"[]," * (7 * MIB))
    with (tmp_path / "cy.ipynb").open("wb") as file:
        file.truncate(10**12)
    reasons = {hand_in.student: hand_in.reason for hand_in in take_in(tmp_path, LESSON)}
    assert "more than 20 MiB" in reasons["ada"]
    assert "values" in reasons["bob"]
    assert "more than 128 MiB" in reasons["cy"]


def test_a_learner_with_thousands_of_files_is_looked_at_in_part(tmp_path):
    for number in range(1100):
        put(tmp_path / "ada" / NAME / f"{number}.txt", "")
    assert "more than 1,000 files" in one(tmp_path, LESSON).reason
    put(tmp_path / "ada" / NAME / "zzz.ipynb", BEGUN)
    assert isinstance(one(tmp_path, LESSON), Submission)


def test_a_learner_takes_no_more_than_some_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "MOST_SECONDS", 0)
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    put(tmp_path / "ada" / "work.zip", packed([(NOTEBOOK, BEGUN)]))
    assert "0 seconds of work" in one(tmp_path, LESSON).reason


def test_folders_without_end_are_looked_at_in_part(tmp_path):
    deep = tmp_path / "ada"
    for _ in range(40):
        deep = deep / "x"
    put(deep / NOTEBOOK)
    assert "too deep" in one(tmp_path).reason


# Whose it is.

PLATFORM = [
    "Lovelace, Ada (5678)",
    "Miles O'Brien_123457_assignsubmission_file_",
    "José",
    "प्रिया",
    "สมชาย",
    "李雷",
    "=HYPERLINK(1)",
    "+1",
    "-rf",
    "@sum",
    "a\nb",
    "a<b>",
    ".hidden",
    "_x",
    "ada.",
    "bob ",
    "\u202eada",
    "x" * 255,
    "ส" * 85,
    "\udce4",
]


def test_any_name_is_taken_and_becomes_an_id_of_its_own(tmp_path):
    for name in PLATFORM:
        put(tmp_path / name / NOTEBOOK)
    found = list(take_in(tmp_path))
    assert all(isinstance(hand_in, Submission) for hand_in in found)
    ids = {hand_in.student for hand_in in found}
    assert len(ids) == len(PLATFORM)
    assert {"José", "प्रिया", "สมชาย", "李雷"} <= ids
    for student in ids:
        assert student[0].isalnum()
        assert len(student) <= 100
        (tmp_path / "feedback" / student).mkdir(parents=True)
    assert {hand_in.learner.name for hand_in in found} >= {
        "Lovelace, Ada (5678)",
        "Miles O'Brien_123457",
        "=HYPERLINK(1)",
    }


def test_one_name_written_in_two_ways_is_one_learner(tmp_path):
    put(tmp_path / unicodedata.normalize("NFC", "José") / NOTEBOOK, OTHER, LONG_AGO)
    put(tmp_path / f"{unicodedata.normalize('NFD', 'José')}.ipynb", BEGUN)
    put(tmp_path / "Li_7_assignsubmission_file_" / NOTEBOOK)
    put(tmp_path / "Li_7_assignsubmission_onlinetext_" / "onlinetext.html", "x")
    found = taken(tmp_path)
    assert [student for student, _ in found] == ["José", "Li_7"]
    assert found["José", NAME].content == BEGUN.encode()


def test_capital_letters_tell_learners_apart_and_it_is_said(tmp_path):
    put(tmp_path / "Ada" / NOTEBOOK)
    put(tmp_path / "ada" / NOTEBOOK)
    found = taken(tmp_path)
    assert found["Ada", NAME].remarks == ("ada is taken for somebody else",)


def test_two_names_never_become_one_id(tmp_path):
    put(tmp_path / "a<b" / NOTEBOOK)
    (name,) = {hand_in.student for hand_in in take_in(tmp_path)}
    put(tmp_path / name / NOTEBOOK)
    assert all("would stand for somebody else" in hand_in.reason for hand_in in take_in(tmp_path))


CLASS = Students(
    [
        Learner("s1", "Ada Lovelace", "Ada", "Lovelace", "ada@x.org", True),
        Learner("s2", "Miles O'Brien", "Miles", "O'Brien", "", True),
        Learner("s3", "Jo Li", "Jo", "Li", "", True),
        Learner("s4", "Jo Li", "Jo", "Li", "", True),
        Learner("5678", "José Núñez", "José", "Núñez", "", True),
    ]
)


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("s1", "s1"),
        ("S1", "s1"),
        ("Lovelace, Ada (77)", "s1"),
        ("ada lovelace_123_assignsubmission_file_", "s1"),
        ("ada@x.org", "s1"),
        ("Miles O'Brien_9_assignsubmission_file_", "s2"),
        ("Somebody (5678)", "5678"),
        (unicodedata.normalize("NFD", "Núñez José"), "5678"),
        ("Jo Li (s3)", "s3"),
    ],
)
def test_a_table_says_who_is_meant(name, student, tmp_path):
    put(tmp_path / name / NOTEBOOK)
    hand_in = one(tmp_path, students=CLASS)
    assert (hand_in.student, hand_in.remarks) == (student, ())


def test_a_table_with_two_of_one_name_and_a_name_that_is_in_none(tmp_path):
    put(tmp_path / "Jo Li" / NOTEBOOK)
    put(tmp_path / "Zoe" / NOTEBOOK)
    found = taken(tmp_path, students=CLASS)
    assert "s3 or s4" in found["Jo Li", ""].reason
    assert found["Zoe", NAME].remarks == ("not in the table of students",)


def test_two_folders_of_one_learner_of_the_table_are_read_as_one(tmp_path):
    put(tmp_path / "Ada Lovelace_1_assignsubmission_file_" / NOTEBOOK, OTHER, LONG_AGO)
    put(tmp_path / "s1" / NOTEBOOK, BEGUN)
    assert one(tmp_path, students=CLASS).content == BEGUN.encode()


# What nbgrader lays beside a notebook, hard links, files beside.


def test_the_time_of_handing_in_is_nbgraders(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    put(tmp_path / "ada" / NAME / "timestamp.txt", "2026-11-23 09:00:00.5 UTC")
    put(tmp_path / "ada" / NAME / "submission_secret.txt", "a1b2c3d4e5")
    found = taken(tmp_path)
    assert found["ada", NAME].timestamp == datetime.datetime(2026, 11, 23, 9, 0, 0, 500_000)
    assert found["ada", NAME].secret == "a1b2c3d4e5"


@pytest.mark.parametrize("text", [b"//9999999999999999999999h0x", b"\xff\xfe", b"9" * 10**6, b"\x1b[2J", b""])
def test_a_time_that_is_none_is_not_believed(text, tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    put(tmp_path / "ada" / NAME / "timestamp.txt", text)
    put(tmp_path / "ada" / NAME / "submission_secret.txt", text)
    hand_in = one(tmp_path)
    assert (hand_in.timestamp, hand_in.secret) == (None, "")


def test_a_backup_of_hard_links_costs_nobody_anything_and_one_file_of_two_learners_is_known(tmp_path):
    put(tmp_path / "class" / "ada" / NOTEBOOK)
    put(tmp_path / "class" / "bob" / NOTEBOOK)
    os.link(tmp_path / "class" / "ada" / NOTEBOOK, tmp_path / "backup")
    (tmp_path / "class" / "cy").mkdir()
    os.link(tmp_path / "class" / "bob" / NOTEBOOK, tmp_path / "class" / "cy" / NOTEBOOK)
    found = {hand_in.student: hand_in for hand_in in take_in(tmp_path / "class")}
    assert all(isinstance(hand_in, Submission) for hand_in in found.values())
    assert found["bob"].file == found["cy"].file != found["ada"].file


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_hard_link_to_somebody_elses_file_is_not_read(tmp_path):
    put(tmp_path / "secret.ipynb")
    (tmp_path / "class" / "ada").mkdir(parents=True)
    os.chown(tmp_path / "class" / "ada", 1234, 1234)
    os.link(tmp_path / "secret.ipynb", tmp_path / "class" / "ada" / NOTEBOOK)
    assert "somebody else's file under another name" in one(tmp_path / "class").reason


def test_files_beside_a_notebook_go_with_it_and_those_of_others_do_not(tmp_path):
    put(tmp_path / "ada" / NAME / NOTEBOOK)
    put(tmp_path / "ada" / NAME / "helper.py", "x = 1")
    put(tmp_path / "ada" / NAME / "data" / "table.csv", "1,2")
    put(tmp_path / "ada" / NAME / "film.mp4", bytes(9 * MIB))
    put(tmp_path / "ada" / "other.py", "x = 2")
    hand_in = one(tmp_path)
    assert hand_in.beside == {"helper.py": b"x = 1", "data/table.csv": b"1,2"}
    assert "film.mp4 is too large" in "; ".join(hand_in.remarks)
    put(tmp_path / "bob.zip", packed([(f"a/{NOTEBOOK}", BEGUN), ("a/helper.py", "x = 1"), ("b/other.py", "")]))
    assert taken(tmp_path)["bob", NAME].beside == {"helper.py": b"x = 1"}


def test_what_is_gone_when_it_is_read_again_is_said(tmp_path):
    path = put(tmp_path / "ada" / NOTEBOOK)
    hand_in = one(tmp_path)
    path.unlink()
    with pytest.raises(NotebookError, match="cannot be read: No such file"):
        read_again(tmp_path, hand_in)


def test_an_empty_folder_holds_nothing(tmp_path):
    assert taken(tmp_path) == {}
