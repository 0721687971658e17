"""Ids and tables of students."""

import pytest

from ssdseg_course.grading.names import StudentsError, id_of, in_a_table, is_plain, key_of, read_students

HEADER = "id,first_name,last_name,email\n"


@pytest.mark.parametrize("name", ["ada", "José", "प्रिया", "สมชาย", "ada.l@x.org", "a b", "0815", "x" * 100])
def test_a_plain_name_is_its_own_id(name):
    assert id_of(key_of(name)) == name


def test_an_id_is_always_the_same_and_can_be_read():
    assert id_of(key_of("Lovelace, Ada (5678)")) == "Lovelace-Ada-5678-288e57ef"


@pytest.mark.parametrize(
    "name", ["", " ", "...", "=1+1", "\u0301", "a" * 101, "ส" * 90, "\udce4", "ada.", "<b>", "a/../b"]
)
def test_any_other_becomes_one(name):
    assert not is_plain(name)
    assert is_plain(id_of(name))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "\t=1"])
def test_nothing_in_a_table_is_a_formula(text):
    assert in_a_table(text) == f"'{text}"


def test_other_texts_stay_as_they_are():
    assert in_a_table("O'Brien-Smith =1") == "O'Brien-Smith =1"


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "s1,Ada,Lovelace,ada@x.org\n\ns2,Jo,Li,\n",
        "\ufeff" + HEADER + "s1,Ada,Lovelace,ada@x.org\ns2,Jo,Li",
        "ID;First Name;Last Name;Email\r\ns1;Ada;Lovelace;ada@x.org\r\ns2;Jo;Li;\r\n",
        'last_name\tid\tgroup\temail\tfirst_name\nLovelace\ts1\t"a\nb"\tada@x.org\tAda\nLi\ts2\t\t\tJo\n',
    ],
    ids=["plain", "mark", "excel", "tabs"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_is_read_as_programs_write_it(content, encoding, tmp_path):
    path = tmp_path / "students.csv"
    path.write_bytes(content.encode(encoding))
    learners = read_students(path).learners
    assert {learner.id: (learner.first_name, learner.last_name, learner.email) for learner in learners.values()} == {
        "s1": ("Ada", "Lovelace", "ada@x.org"),
        "s2": ("Jo", "Li", ""),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "must name the columns"),
        ("name,mail\nada,x\n", "must name the columns"),
        (HEADER + "../x,A,B,\n", "line 2: '../x' is not an id"),
        (HEADER + ",A,B,\n", "line 2: '' is not an id"),
        (HEADER + "a,A,B,\na,C,D,\n", "line 3: a is there twice"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_line(content, words, tmp_path):
    path = tmp_path / "students.csv"
    path.write_text(content)
    with pytest.raises(StudentsError, match=words):
        read_students(path)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudentsError, match=r"none\.csv: it cannot be read"):
        read_students(tmp_path / "none.csv")
