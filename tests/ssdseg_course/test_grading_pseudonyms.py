"""Pseudonyms: always the same for one learner, telling nothing, and undone by the key alone."""

import stat

import pytest

from ssdseg_course.grading.names import Learner
from ssdseg_course.grading.pseudonyms import PSEUDONYM, KeyFileError, Pseudonyms

ADA = Learner("ada", "=Ada", email="a@x.org", listed=True)
HEADER = "pseudonym,id,name,email\n"


def test_a_pseudonym_is_the_same_in_the_next_grading_and_leads_back(tmp_path):
    key = tmp_path / "key.csv"
    hidden = Pseudonyms(key).hidden(ADA)
    assert PSEUDONYM.fullmatch(hidden.id)
    assert (hidden.name, hidden.email, hidden.first_name) == (hidden.id, "", "")
    again = Pseudonyms(key)
    assert again.hidden(ADA) == hidden
    assert again.hidden(Learner("bob", "bob")).id != hidden.id
    known = Pseudonyms(key).whose(hidden.id)
    assert known
    assert (known.id, known.name, known.email) == ("ada", "=Ada", "a@x.org")
    assert Pseudonyms(key).whose("ada") is None


def test_the_key_is_its_owners_alone_and_no_formula(tmp_path):
    key = tmp_path / "key.csv"
    Pseudonyms(key).hidden(ADA)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert ",ada,'=Ada,a@x.org" in key.read_text()


def test_two_keys_give_two_pseudonyms(tmp_path):
    assert Pseudonyms(tmp_path / "a").hidden(ADA) != Pseudonyms(tmp_path / "b").hidden(ADA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a key file"),
        ("id,name\nada,Ada\n", "line 2: that is not a pseudonym and an id"),
        (
            f"{HEADER}learner-abcdef,ada,,\nlearner-abcdef,bob,,\n",
            "line 3: this pseudonym or this id stands in it twice",
        ),
        (f"{HEADER}learner-abcdef,../ada,,\n", "line 2"),
        ("\udcff", "not a key file"),
    ],
)
def test_what_is_no_key_is_named_and_left_alone(tmp_path, text, words):
    key = tmp_path / "key.csv"
    key.write_text(text, errors="surrogateescape")
    before = key.read_bytes()
    with pytest.raises(KeyFileError, match=words):
        Pseudonyms(key)
    assert key.read_bytes() == before
