"""Whatever comes from outside is fit for a terminal, a table, a page and a database once it has been through here."""

import json
import random
import sys
import unicodedata

import pytest

from ssdseg_course.grading.text import shown, shown_lines

UNSAFE = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    "name", ["ada", "José", "Jose\u0301", "प्रिया", "สมชาย", "李 雷", "O'Brien, Miles", "ශ්\u200dරී", "🙂"]
)
def test_names_of_people_stay_as_they_are(name):
    assert shown(name) == name


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("a\x1b[31mb", "a\ufffd[31mb"),
        ("a\ud800b", "a\ufffdb"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("a\nb\r\nc\td\u2028e", "a b c d e"),
        ("  a\u00a0\u3000b ", "a b"),
        ("a\x00b\x9bc\u200bd", "a\ufffdb\ufffdc\ufffdd"),
        (b"a\xe4b".decode("utf-8", "surrogateescape"), "a\ufffdb"),
    ],
)
def test_what_would_move_a_cursor_or_cannot_be_written_is_replaced(given, left):
    assert shown(given) == left


def test_no_letter_of_all_does_harm():
    letters = [chr(number) for number in range(sys.maxunicode + 1)]
    random.Random(0).shuffle(letters)
    text = shown("".join(letters), len(letters))
    assert not {unicodedata.category(letter) for letter in text} & UNSAFE
    assert {letter for letter in text if unicodedata.category(letter) == "Cf"} == {"\u200c", "\u200d"}
    assert text.encode("utf-8").decode() == text
    assert len(text.splitlines()) == 1


LARGE = [10**5000, None, {"a": ["\ud800"]}, ["x"] * 10**5, ValueError("\x1b"), "é" * 10**7]


@pytest.mark.parametrize("value", LARGE, ids=range(len(LARGE)))
def test_anything_becomes_a_short_line(value):
    line = shown(value)
    assert len(line) <= 80
    json.dumps(line, ensure_ascii=False).encode()


def test_what_has_no_text_is_named_by_its_type():
    class Silent(Exception):
        def __str__(self):
            raise self

    assert shown(Silent()) == "<Silent>"


def test_lines_stay_lines():
    assert shown_lines("if x:\n\ty\x1b\ud800\n") == "if x:\n\ty\ufffd\ufffd\n"
    assert len(shown_lines("x" * 10**6)) == 20_000
