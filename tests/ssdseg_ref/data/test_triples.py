"""The reader and the writer for lists of (image, mask, boxes) files."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.data import triples
from ssdseg_ref.data.sample import Sample

CLASSES = ("person", "forklift", "monorail")


def random_sample(seed: int, boxes: int = 4, size: tuple[int, int] = (30, 41)) -> Sample:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((boxes, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    return Sample(
        image=rng.integers(0, 256, (*size, 3)).astype(np.uint8),
        boxes=corners,
        labels=rng.integers(1, 4, boxes).astype(np.int32),
        mask=rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), size),
    )


@pytest.fixture
def folder(tmp_path):
    """One triple of 10 x 20 pixels by hand: boxes.csv is for the tests to fill."""
    Image.new("RGB", (20, 10), (1, 2, 3)).save(tmp_path / "image.png")
    Image.new("L", (20, 10), 2).save(tmp_path / "mask.png")
    (tmp_path / "boxes.csv").write_text("1,5,2,20,10\n")
    (tmp_path / "list.json").write_text('[["image.png", "mask.png", "boxes.csv"]]')
    return tmp_path


def read_one(folder):
    (sample,) = triples.read(folder / "list.json")
    return sample


def test_what_is_written_is_read_again(tmp_path):
    samples = [random_sample(seed, boxes=seed % 3) for seed in range(5)]
    whole_image = np.array([[0, 0, 1, 1]], np.float32)
    samples.append(dataclasses.replace(samples[0], boxes=whole_image, labels=np.array([3], np.int32)))
    path = triples.write(iter(samples), tmp_path / "out")
    again = triples.read(path, CLASSES)
    assert len(again) == len(samples)
    for number, (expected, sample) in enumerate(zip(samples, again, strict=True)):
        sample.validate(len(CLASSES))
        np.testing.assert_allclose(sample.boxes, expected.boxes, atol=1e-6, err_msg=f"sample {number}")
        for part in ("image", "labels", "mask"):
            np.testing.assert_array_equal(getattr(sample, part), getattr(expected, part), err_msg=f"sample {number}")


def test_boxes_are_fractions_of_the_image(folder):
    sample = read_one(folder)
    np.testing.assert_allclose(sample.boxes, [[0.25, 0.2, 1, 1]])
    assert (sample.labels.tolist(), sample.labels.dtype, sample.boxes.dtype) == ([1], np.int32, np.float32)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("last_end", [True, False], ids=["last line ended", "last line open"])
@pytest.mark.parametrize("start", ["", "\ufeff", "label,xmin,ymin,xmax,ymax|", "\ufefflabel, xmin, ymin, xmax, ymax|"])
def test_any_line_ends_byte_order_mark_and_header_will_do(folder, end, last_end, start):
    text = start + "1,5,2,20,10| 3, 0.5, 0, 10, 5.25" + "|" * last_end
    (folder / "boxes.csv").write_bytes(text.replace("|", end).encode())
    sample = read_one(folder)
    assert sample.labels.tolist() == [1, 3]
    np.testing.assert_allclose(sample.boxes[1], [0.025, 0, 0.5, 0.525], rtol=1e-6)


@pytest.mark.parametrize("text", ["", "\n", "label,xmin,ymin,xmax,ymax", "\r\n\r\n"])
def test_a_table_without_lines_means_no_boxes(folder, text):
    (folder / "boxes.csv").write_text(text)
    assert read_one(folder).boxes.shape == (0, 4)


def test_a_mask_with_a_palette_holds_its_indices(folder):
    mask = Image.new("P", (20, 10), 3)
    mask.putpalette([255, 0, 0] * 256)
    mask.save(folder / "mask.png")
    assert np.all(read_one(folder).mask == 3)


def test_file_names_may_be_absolute(folder, tmp_path):
    names = [str(folder / name) for name in ("image.png", "mask.png", "boxes.csv")]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "list.json").write_text(json.dumps([names]))
    assert len(list(triples.read(tmp_path / "elsewhere" / "list.json", CLASSES))) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2,5,2,20", "line 2: expected label,xmin,ymin,xmax,ymax, got '2,5,2,20'"),
        ("2,5,2,20,10,1", "line 2: expected label,xmin"),
        ("2;5;2;20;10", "line 2: expected label,xmin"),
        ("person,5,2,20,10", "line 2: expected label,xmin"),
        ("label,xmin,ymin,xmax,ymax", "line 2: expected label,xmin"),
        ("4,5,2,20,10", "line 2: 4 is no class, the classes are 1 person, 2 forklift, 3 monorail"),
        ("0,5,2,20,10", "line 2: 0 is no class"),
        ("99999999999999,5,2,20,10", "line 2: 99999999999999 is no class"),
        ("1,5,2,21,10", "line 2: a box leaves the image: .* are 5.0, 2.0, 21.0, 10.0 pixels, the image has 20 x 10"),
        ("1,-1,2,20,10", "line 2: a box leaves the image: .* are -1.0, 2.0"),
        ("1,5,2,20.25,10", "line 2: a box leaves the image: .* 20.25, 10.0"),
        ("1,5,2,inf,10", "line 2: a box leaves the image: .* inf"),
        ("1,20,2,5,10", "line 2: a box is empty or turned inside out"),
        ("1,20,2,20.01,10", "line 2: a box is empty or turned inside out: .* 20.01"),
        ("1,5,2,nan,10", "line 2: a box is no number"),
    ],
)
def test_a_line_that_is_no_box_is_named(folder, line, message):
    (folder / "boxes.csv").write_text("1,5,2,20,10\n" + line)
    with pytest.raises(ValueError, match=message) as error:
        read_one(folder)
    assert str(error.value).startswith(str(folder / "boxes.csv"))


@pytest.mark.parametrize("line", ["1,5,2,20.001,10", "1,-0.05,0,20.0000001,10.1", "1,0,-1e-9,20,10"])
def test_a_box_outside_by_a_rounding_error_is_cut_at_the_border(folder, line):
    (folder / "boxes.csv").write_text(line)
    sample = read_one(folder)
    sample.validate(len(CLASSES))
    assert sample.boxes.max() == 1


def test_an_unknown_class_in_the_mask_is_blamed_on_the_mask(folder):
    Image.new("L", (20, 10), 4).save(folder / "mask.png")
    with pytest.raises(ValueError, match=r"mask\.png: the mask holds the unknown class 4"):
        read_one(folder)


def test_a_mask_of_another_size_is_blamed_on_the_mask(folder):
    Image.new("L", (10, 20), 1).save(folder / "mask.png")
    with pytest.raises(ValueError, match=r"mask\.png: the mask is \(20, 10\)"):
        read_one(folder)


def test_a_mask_in_colour_is_refused(folder):
    Image.new("RGB", (20, 10)).save(folder / "mask.png")
    with pytest.raises(ValueError, match=r"mask\.png: labels need a picture of mode L or P or 1, .* RGB"):
        read_one(folder)


def test_a_mask_of_one_bit_holds_its_class(folder):
    Image.new("1", (20, 10), 1).save(folder / "mask.png")
    assert np.all(read_one(folder).mask == 1)


def test_a_table_in_utf_16_is_read(folder):
    (folder / "boxes.csv").write_text("1,5,2,20,10\r\n", encoding="utf-16", newline="")
    assert read_one(folder).labels.tolist() == [1]


@pytest.mark.parametrize("name", ["image.png", "mask.png", "boxes.csv"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: there is no such file"):
        read_one(folder)


@pytest.mark.parametrize("name", ["image.png", "mask.png"])
@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_a_damaged_picture_is_named(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=name):
        read_one(folder)


def test_an_empty_picture_is_called_empty(folder):
    (folder / "image.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"image\.png: the file is empty"):
        read_one(folder)


def test_a_table_that_is_no_text_is_named(folder):
    (folder / "boxes.csv").write_bytes(b"\xff\x001")
    with pytest.raises(ValueError, match=r"boxes\.csv: not a text file in UTF-8"):
        read_one(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a json file"),
        ("[[", "not a json file"),
        ("{}", "it must be a list of .*, this is a dict"),
        ('[["a", "b"]]', "entry 1 should be three file names"),
        ('[["a", "b", 3]]', "entry 1 should be three file names"),
        ('[{"image": "a", "mask": "b", "boxes": "c"}]', "entry 1 should be three file names"),
    ],
)
def test_a_json_that_is_no_list_of_triples_is_named(folder, text, message):
    (folder / "list.json").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        triples.read(folder / "list.json", CLASSES)
    assert str(error.value).startswith(str(folder / "list.json"))


def test_a_missing_json_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json: there is no such file"):
        triples.read(tmp_path / "none.json", CLASSES)


def test_writing_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("do not lose me")
    with pytest.raises(FileExistsError, match="something is there already"):
        triples.write([random_sample(0)], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]


def test_writing_accepts_an_empty_folder(tmp_path):
    (tmp_path / "out").mkdir()
    assert triples.write([random_sample(0)], tmp_path / "out").is_file()


def test_writing_that_fails_midway_leaves_nothing_behind(tmp_path):
    def samples():
        yield random_sample(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        triples.write(samples(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_upright_or_refused_with_the_cause(folder, orientation):
    """The mask is drawn on what a viewer shows."""
    stored = {5: (10, 20), 6: (10, 20), 7: (10, 20), 8: (10, 20)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", stored.get(orientation, (20, 10))).save(folder / "image.png", exif=exif)
    assert read_one(folder).image.shape == (10, 20, 3)
    if orientation in stored:
        Image.new("L", (10, 20), 2).save(folder / "mask.png")  # drawn on the picture as it is stored
        with pytest.raises(ValueError, match=rf"mask\.png: .* EXIF orientation is {orientation}"):
            read_one(folder)


def test_names_may_have_backslashes_and_other_large_letters(folder):
    (folder / "sub").mkdir()
    (folder / "mask.png").rename(folder / "sub" / "mask.png")
    (folder / "list.json").write_text(json.dumps([["IMAGE.PNG", "sub\\mask.png", ".\\boxes.csv"]]))
    assert read_one(folder).labels.tolist() == [1]
