"""Files by the names that another machine gave them."""

import unicodedata

import pytest

from ssdseg_ref.data.files import LazySamples, Readable, find, in_words, named, visible_files


@pytest.mark.parametrize(
    "name", ["a/café.jpg", "a\\café.jpg", "a/CAFÉ.JPG", unicodedata.normalize("NFD", "a/café.jpg"), "./a/café.jpg"]
)
def test_a_file_is_found_however_its_name_is_written(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "café.jpg").touch()
    assert named(tmp_path, name).samefile(tmp_path / "a" / "café.jpg")


def test_the_name_as_it_stands_comes_first_and_two_that_are_alike_are_none(tmp_path):
    for name in ("a.jpg", "A.jpg", "b\\c.jpg"):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("the file system takes large letters for small ones")
    assert named(tmp_path, "A.jpg").name == "A.jpg"
    assert named(tmp_path, "b\\c.jpg").name == "b\\c.jpg"
    assert named(tmp_path, "A.JPG") == tmp_path / "A.JPG"


def test_a_file_that_comes_later_is_found(tmp_path):
    assert find([tmp_path], "A.jpg") is None
    (tmp_path / "a.jpg").touch()
    assert find([tmp_path / "none", tmp_path], "A.jpg") == tmp_path / "a.jpg"


@pytest.mark.parametrize("name", ["a" * 400, "a\0b", "\ud800", "", "."])
def test_what_can_be_no_name_is_no_file(tmp_path, name):
    assert find([tmp_path], name) is None


def test_hidden_files_and_folders_that_are_missing_hold_nothing(tmp_path):
    for name in ("b.PNG", "a.png", "._a.png", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in visible_files(tmp_path, ".png")] == ["a.png", "b.PNG"]
    assert visible_files(tmp_path / "none", ".png") == []


def read(entry):
    if isinstance(entry, Exception):
        raise entry
    return entry


def test_what_cannot_be_read_is_told_once_and_the_rest_goes_on():
    told = []
    odd = [ValueError("a.png: odd"), PermissionError(13, "Permission denied", "b.png"), MemoryError()]
    samples = Readable(LazySamples([1, odd[0], 2, odd[1], odd[2], 3], read), told.append)
    assert list(samples) == list(samples) == [1, 2, 3]
    assert told == ["left out: a.png: odd", "left out: b.png: Permission denied", "left out: not enough memory"]
    assert (len(samples), samples.unread, samples[1], list(samples[1:])) == (3, 3, 2, [2, 3])


def test_a_mistake_of_ours_is_no_unreadable_picture():
    with pytest.raises(ZeroDivisionError):
        list(Readable(LazySamples([ZeroDivisionError()], read), print))


def test_nothing_that_can_be_read_is_an_error():
    assert list(Readable([], print)) == []
    with pytest.raises(ValueError, match="none of 1 images can be read"):
        list(Readable(LazySamples([ValueError("odd")], read), lambda _: None))


def test_an_error_of_several_lines_is_told_in_one():
    assert in_words(ValueError("a\nb")) == "a b"
