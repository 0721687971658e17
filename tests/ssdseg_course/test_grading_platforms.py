"""Files for Canvas and Moodle: who is in them, under which id, and nothing that a spreadsheet would work out."""

import csv
import io

import pytest

from ssdseg_course.grading.platforms import PlatformError, Result, number, read_roster, upload
from ssdseg_course.manifest import find_lesson

LESSON = find_lesson("2")
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Warm-up (11),02_matching (12),Final Score
,,,,,Manual Posting,,
    Points Possible,,,,,5,100,(read only)
"Lovelace, Ada",101,u1,ada@x.org,"Maths, A",5,50,77
"Byron, George",102,u2,bob@x.org,Maths,,,
"Ex, Cused",103,u3,cy@x.org,Maths,,EX,
"Student, Test",,,,Maths,,,
=Nobody,,,,Maths,,,
"""
MOODLE = """\
First name;Last name;ID number;Email address;Assignment: 02_matching (Real);Last downloaded from this course
Ada;Lovelace;u1;Ada@x.org;50,5;1
George;Byron;u2;bob@x.org;-;1
No;Number;;none@x.org;-;1
"""
WORKSHEET = """\
Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade),Feedback comments
Participant 12345,Ada Lovelace,ada@x.org,Submitted,,100.00,-,
Participant 12346,=cmd|' /C calc'!A0,bob@x.org,Submitted,3,100.00,-,old
"""


def result(student, points=87.5, **other):
    return Result(student, other.pop("name", student), other.pop("email", ""), points, 100, **other)


def roster(tmp_path, text, platform, encoding="utf-8"):
    path = tmp_path / "export.csv"
    path.write_text(text, encoding=encoding)
    return read_roster(path, platform)


def rows(file) -> list:
    return list(csv.reader(io.StringIO(file.text, newline="")))


def test_a_file_for_canvas_has_its_own_columns_ids_and_points_possible(tmp_path):
    file = upload("canvas", LESSON, [result("u1"), result("bob@x.org", 100)], roster(tmp_path, CANVAS, "canvas"))
    assert rows(file) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "02_matching (12)"],
        ["    Points Possible", "", "", "", "", "100"],
        ["Lovelace, Ada", "101", "u1", "ada@x.org", "Maths, A", "87.5"],
        ["Byron, George", "102", "u2", "bob@x.org", "Maths", "100"],
    ]
    assert file.name == "canvas-02_matching.csv"
    assert [(one.student, one.known_as, one.before, one.after) for one in file.changes] == [
        ("u1", "101", "50", "87.5"),
        ("bob@x.org", "102", "", "100"),
    ]
    assert file.left_out == ("=Nobody: has no id in export.csv",)
    assert file.notes == ()


def test_canvas_keeps_its_points_possible_even_where_they_are_others(tmp_path):
    text = CANVAS.replace(",5,100,(read only)", ",5,10,(read only)")
    file = upload("canvas", LESSON, [result("u1")], roster(tmp_path, text, "canvas"))
    assert rows(file)[1][-1] == "10"
    assert file.notes == ("02_matching (12) has 10 points in Canvas, and 100 here",)


def test_who_is_not_known_doubled_or_excused_is_left_out_and_named(tmp_path):
    class_of = [result("u1"), result("101"), result("zoe"), result("u3"), result("u2")]
    text = CANVAS.replace("102,u2", "102,twice").replace("103,u3", "103,u3") + '"B, C",104,twice,x,Maths,,,\n'
    file = upload("canvas", LESSON, [*class_of, result("twice")], roster(tmp_path, text, "canvas"))
    assert file.changes == ()
    assert set(file.left_out) == {
        "zoe: nobody in export.csv has this id",
        "u2: nobody in export.csv has this id",
        "twice: 2 people in export.csv have this id",
        "u1: is the same person in export.csv as 101",
        "101: is the same person in export.csv as u1",
        "u3: is excused from it in Canvas",
        "=Nobody: has no id in export.csv",
    }


def test_a_name_alone_is_no_id(tmp_path):
    file = upload("canvas", LESSON, [result("x", name="Ada Lovelace")], roster(tmp_path, CANVAS, "canvas"))
    assert "x: nobody in export.csv has this id" in file.left_out


def test_the_id_in_a_folders_name_counts(tmp_path):
    folder = result("Lovelace-Ada-101-288e57ef", name="Lovelace, Ada (101)")
    assert [one.known_as for one in upload("canvas", LESSON, [folder], roster(tmp_path, CANVAS, "canvas")).changes] == [
        "101"
    ]


def test_a_file_for_moodle_has_one_id_and_feedback(tmp_path):
    comments = ("iou: =SUM(1)\nsecond line",)
    ada = result("u1", email="ada@x.org", comments=comments, penalty=5)
    file = upload("moodle", LESSON, [ada, result("none@x.org")], roster(tmp_path, MOODLE, "moodle"))
    assert rows(file) == [
        ["Email address", "Full name", "02_matching", "02_matching (feedback)"],
        ["Ada@x.org", "Ada Lovelace", "87.5", "iou: =SUM(1)\nsecond line\n5 points less for being late"],
        ["none@x.org", "No Number", "87.5", ""],
    ]
    assert [one.before for one in file.changes] == ["50,5", "-"]
    assert "map from Email address" in file.notes[0]


def test_without_an_export_learners_are_known_by_their_own_ids():
    class_of = [result("ada", name="=Ada"), result("bob")]
    assert rows(upload("canvas", LESSON, class_of, None))[2] == ["'=Ada", "", "", "ada", "", "87.5"]
    assert rows(upload("moodle", LESSON, class_of, None))[1] == ["ada", "'=Ada", "87.5", ""]
    with_mail = [result("ada", email="a@x.org")]
    assert rows(upload("moodle", LESSON, with_mail, None))[1][0] == "a@x.org"


def test_moodles_worksheet_comes_back_with_points_and_comments(tmp_path):
    class_of = [result("Ada Lovelace_12345", comments=("iou: nearly",)), result("bob@x.org", 3)]
    file = upload("moodle", LESSON, class_of, roster(tmp_path, WORKSHEET, "moodle"))
    assert rows(file)[1:] == [
        ["Participant 12345", "Ada Lovelace", "ada@x.org", "Submitted", "87.5", "100.00", "-", "iou: nearly"],
        ["Participant 12346", "'=cmd|' /C calc'!A0", "bob@x.org", "Submitted", "3", "100.00", "-", "old"],
    ]
    assert [(one.before, one.after) for one in file.changes] == [("", "87.5"), ("3", "3")]


def test_an_id_that_would_be_a_formula_is_left_out(tmp_path):
    text = CANVAS.replace("101,u1", "=1+1,u1").replace("102,u2", "102,=2")
    file = upload("canvas", LESSON, [result("u1"), result("bob@x.org")], roster(tmp_path, text, "canvas"))
    assert [row[:4] for row in rows(file)[2:]] == [["Byron, George", "102", "", "bob@x.org"]]
    assert "u1: the id '=1+1' would be a formula in a spreadsheet" in file.left_out


def test_points_in_another_spelling_are_no_change_and_no_cell_moves_a_cursor(tmp_path):
    text = CANVAS.replace(",5,50,77", ',5,"87,50",77').replace("102,u2", "102\x1b[2J,u2")
    file = upload("canvas", LESSON, [result("u1"), result("u2")], roster(tmp_path, text, "canvas"))
    assert [(one.before, one.is_new) for one in file.changes] == [("87,50", False), ("", True)]
    assert "\x1b" not in file.changes[1].known_as


@pytest.mark.parametrize("sign", "=+-@\t")
def test_no_cell_of_a_name_is_a_formula(tmp_path, sign):
    text = CANVAS.replace('"Lovelace, Ada"', f'"{sign}1+1"').replace('"Maths, A"', f'"{sign}2"')
    file = upload("canvas", LESSON, [result("u1")], roster(tmp_path, text, "canvas"))
    for cell in rows(file)[2]:
        assert not cell.startswith(tuple("=+-@\t"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_export_is_read_in_whatever_encoding_and_written_in_utf_8_without_a_mark(tmp_path, encoding):
    text = CANVAS.replace("Lovelace, Ada", "Núñez, प्रिया")
    file = upload("canvas", LESSON, [result("u1")], roster(tmp_path, text, "canvas", encoding))
    assert rows(file)[2][0] == "Núñez, प्रिया"
    assert file.text.encode().startswith(b"Student,")


@pytest.mark.parametrize(
    ("points", "text"), [(87.5, "87.5"), (100, "100"), (0, "0"), (1234.0, "1234"), (2 / 3, "0.67"), (1e-9, "0")]
)
def test_numbers_are_read_alike_in_every_language(points, text):
    assert number(points) == text


@pytest.mark.parametrize(
    ("platform", "text", "words"),
    [
        ("canvas", "", "its first line must have all of Student, ID, Section"),
        ("canvas", MOODLE, "export the gradebook in Canvas once more"),
        ("moodle", "Vorname,Nachname\nA,B\n", "its first line must have one of ID number, Email address, Username"),
        ("canvas", CANVAS.replace("Warm-up", "02_matching"), "several columns could be 02_matching"),
        ("canvas", CANVAS.replace("5,100,", "5,(read only),"), "Canvas does not let the column 02_matching"),
    ],
)
def test_an_export_that_is_none_is_one_sentence(tmp_path, platform, text, words):
    with pytest.raises(PlatformError) as caught:
        upload(platform, LESSON, [result("u1")], roster(tmp_path, text, platform))
    assert words in str(caught.value)
    assert "export.csv" in str(caught.value)


def test_a_broken_export_is_one_sentence(tmp_path):
    with pytest.raises(PlatformError, match=r"export\.csv, line 2"):
        roster(tmp_path, "Student,ID,Section\n" + "x" * 200_000 + ",1,2\n", "canvas")


def test_a_pseudonym_is_shown_and_the_real_id_is_written(tmp_path):
    hidden = result("u1", shown_as="learner-abcdef")
    file = upload("canvas", LESSON, [hidden], roster(tmp_path, CANVAS, "canvas"))
    assert [one.student for one in file.changes] == ["learner-abcdef"]
    assert rows(file)[2][2] == "u1"
