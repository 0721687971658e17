"""What being late costs: each rule of a table of due dates, and what a table that cannot be meant is told."""

from datetime import UTC, datetime, timedelta

import pytest

from ssdseg_course.grading.due_dates import DueDates, DueDatesError, read_due_dates

MONDAY = datetime(2026, 10, 12, 21, 59, tzinfo=UTC)
WEEK = timedelta(days=7)
TABLE = DueDates({"01_anchors": MONDAY, "02_matching": MONDAY + WEEK}, percent_per_day=10, largest_percent=25)
TEXT = """\
percent_per_day = 10
largest_percent = 50
free_days = 2
timezone = "Europe/Berlin"

[due]
1 = 2026-10-12T23:59:00
02_matching = 2026-10-19T23:59:00+00:00

[extensions."Ada L"]
02_matching = 2026-10-22T23:59:00+00:00
"""


def table_of(tmp_path, text):
    path = tmp_path / "due_dates.toml"
    path.write_text(text, encoding="utf-8")
    return read_due_dates(path)


def cost(table=TABLE, student="ada", **after) -> dict:
    """Days and percent of lessons handed in so long after they were due."""
    names = {"one": "01_anchors", "two": "02_matching"}
    handed_in = {names[key]: table.due[names[key]] + value for key, value in after.items()}
    return {name: (late.days, late.free, late.percent) for name, late in table.late(student, handed_in).items()}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(seconds=-1), (0, 0, 0)),
        (timedelta(), (0, 0, 0)),
        (timedelta(seconds=1), (1, 0, 10)),
        (timedelta(days=1), (1, 0, 10)),
        (timedelta(days=1, seconds=1), (2, 0, 20)),
        (timedelta(days=9), (9, 0, 25)),
    ],
)
def test_each_started_day_costs_as_much_up_to_the_largest_penalty(after, expected):
    assert cost(one=after) == {"01_anchors": expected}


def test_free_days_are_spent_in_the_order_of_due_dates_and_reach_across_lessons():
    table = DueDates(TABLE.due, percent_per_day=10, largest_percent=50, free_days=3)
    two_days = timedelta(days=2)
    assert cost(table, two=two_days, one=two_days) == {"01_anchors": (2, 2, 0), "02_matching": (2, 1, 10)}


def test_an_extension_counts_for_one_learner_and_one_lesson():
    table = DueDates(TABLE.due, {("ada", "01_anchors"): MONDAY + WEEK}, percent_per_day=10)
    assert cost(table, one=WEEK) == {"01_anchors": (0, 0, 0)}
    assert cost(table, "bob", one=WEEK)["01_anchors"][0] == 7


def test_a_lesson_without_a_due_date_is_never_late():
    assert TABLE.late("ada", {"03_convolutions": MONDAY + WEEK}) == {}


def test_a_table_is_read_with_its_time_zone(tmp_path):
    table = table_of(tmp_path, TEXT)
    assert table.due["01_anchors"] == MONDAY  # summer time in Berlin
    assert table.extensions == {("Ada L", "02_matching"): datetime(2026, 10, 22, 23, 59, tzinfo=UTC)}
    assert (table.percent_per_day, table.largest_percent, table.free_days) == (10, 50, 2)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("free_days = 2", "free_days =", "line 3: it cannot be read as TOML"),
        ("free_days = 2", "free_days = -1", "line 3: free_days is a number from 0 to 10000, not -1"),
        ("free_days = 2", "free_days = 1.5", "line 3: free_days is a number of whole days, not 1.5"),
        ("percent_per_day = 10", 'percent_per_day = "10"', "line 1: percent_per_day is a number from 0 to 100"),
        ("percent_per_day = 10", "percent_per_day = nan", "line 1: percent_per_day is a number from 0 to 100, not nan"),
        ("percent_per_day = 10", "percent = 10", "line 1: percent is not known; there are percent_per_day"),
        ("Europe/Berlin", "Middle/Earth", "line 4: 'Middle/Earth' is not a time zone"),
        ('"Europe/Berlin"', "7", "line 4: 7 is not a time zone"),
        ('timezone = "Europe/Berlin"', "", "line 7: 2026-10-12 23:59:00 could be meant anywhere on earth"),
        ("1 = 2026-10-12T23:59:00", "77 = 2026-10-12T23:59:00", "line 7: there is no lesson '77'"),
        ("1 = 2026-10-12T23:59:00", "02 = 2026-10-12T23:59:00", "line 8: 02_matching is there twice"),
        ("1 = 2026-10-12T23:59:00", "1 = 2026-10-12", "line 7: 2026-10-12 is not a date with a time"),
        ("1 = 2026-10-12T23:59:00", '1 = "soon"', "line 7: soon is not a date with a time"),
        ("1 = 2026-10-12T23:59:00", "1 = 2026-02-30T23:59:00", "it cannot be read as TOML"),
        ("1 = 2026-10-12T23:59:00", "1 = 0001-01-01T00:00:00+23:59", "line 7: 0001-01-01 00:00:00+23:59 is too far"),
        ("02_matching = 2026-10-22", "02_matching = 2026-10-18", "ends before its due date"),
        ("02_matching = 2026-10-22", "03_convolutions = 2026-10-22", "03_convolutions has an extension, and no due"),
        ("[due]", "[dates]", "line 6: dates is not known"),
        (TEXT, "", "there is no due date; write them below a line [due]"),
        (TEXT, "due = 3", "line 1: a line such as 01_anchors"),
        (TEXT, "extensions = 3\n[due]\n1 = 2026-10-12T23:59:00Z", "line 1: extensions stand below a line such as"),
    ],
)
def test_a_bad_table_is_one_sentence_with_file_and_line(tmp_path, before, after, words):
    with pytest.raises(DueDatesError) as caught:
        table_of(tmp_path, TEXT.replace(before, after, 1))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "due_dates.toml"))
    assert words in message
    assert "\n" not in message


def test_a_table_that_is_no_text_or_not_there_is_named(tmp_path):
    path = tmp_path / "due_dates.toml"
    with pytest.raises(DueDatesError, match="cannot be read: No such file"):
        read_due_dates(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DueDatesError, match="not a text in UTF-8"):
        read_due_dates(path)
