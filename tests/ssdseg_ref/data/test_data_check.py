"""`data check` finds every fault that people's data sets have, each with its file, and counts what is there."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from test_coco import COCO100, needs_coco100
from test_pennfudan import PENNFUDAN, needs_pennfudan

from ssdseg_ref.data.check import check, splits_to_check

SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]


def annotation(number, **more):
    return {"id": number, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], "bbox": [1, 1, 4, 4]} | more


@pytest.fixture
def faulty(tmp_path):
    """COCO's instances with one fault of each kind, and one image that is fine but for its annotations."""
    names = ["fine.png", "missing.png", "unreadable.png", "other_size.png", "turned.png"]
    images = [{"id": k, "file_name": name, "width": 10, "height": 8} for k, name in enumerate(names, start=1)]
    annotations = [
        annotation(1),
        annotation(2, segmentation=[[1, 1, 13, 1, 5, 5]]),  # outside
        annotation(3, segmentation=[], bbox=[5, 5, -2, 2]),  # inside out
        annotation(4, category_id=9),  # no such class
        annotation(4),  # an id twice
        annotation(5, bbox=["1", 1, 4, 4]),  # a text for a number
        annotation(6, segmentation=[], bbox=None),  # empty
        annotation(7, category_id="1"),
        annotation(8, bbox=[1, 1, 8, 7]),  # not where its segment is
    ]
    content = {"images": images, "categories": [{"id": 1, "name": "cup"}], "annotations": annotations}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    Image.new("RGB", (10, 8)).save(tmp_path / "fine.png")
    (tmp_path / "unreadable.png").write_bytes(b"\x89PNG but not really")
    Image.new("RGB", (10, 9)).save(tmp_path / "other_size.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (10, 8)).save(tmp_path / "turned.png", exif=exif)
    return tmp_path


def test_every_fault_has_its_sentence_and_its_file(faulty):
    found = check(faulty, "annotations")
    json_path = faulty / "annotations.json"
    expected = [
        f"{json_path}: two annotations have the id 4",
        f"{json_path}: annotation 2: a polygon leaves the image",
        f"{json_path}: annotation 3: its bbox is empty or turned inside out",
        f"{json_path}: annotation 4 has category_id 9, and no category has that id",
        f"{json_path}: annotation 5 has the bbox ['1', 1, 4, 4]",
        f"{json_path}: annotation 6 has neither a segment nor a bbox",
        f"{json_path}: annotation 7 has category_id '1', a text",
        f"{json_path}: image 2: its photograph missing.png is in none of",
        f"{faulty / 'unreadable.png'}: not a picture that can be read",
        f"{faulty / 'other_size.png'}: 10 x 9 pixels, but the json says 10 x 8",
    ]
    assert [sentence[: len(start)] for sentence, start in zip(found.faults, expected, strict=True)] == expected
    doubts = [
        f"{json_path}: image 1: the bbox of annotation 8 is",
        f"{faulty / 'turned.png'}: its EXIF orientation is 3",
    ]
    assert [sentence[: len(start)] for sentence, start in zip(found.doubts, doubts, strict=True)] == doubts
    assert not any("\n" in sentence for sentence in found.faults + found.doubts)
    assert (found.images, found.boxes, found.images_without_boxes) == (2, 2, 1)


def test_an_empty_data_set_is_a_fault(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    assert check(tmp_path / "list.json").faults == (f"{tmp_path / 'list.json'}: it is empty, there is no image",)


def test_what_cannot_be_opened_is_one_fault(tmp_path):
    (tmp_path / "list.json").write_text('{"images": 7}')
    (fault,) = check(tmp_path / "list.json").faults
    assert fault.startswith(f"{tmp_path / 'list.json'}: not COCO's format")


def test_lines_of_triples_are_listed_one_by_one(tmp_path):
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "boxes.csv").write_text("1,1,1,5,5\n1,5,5,1,1\n9,1,1,5,5\n1,1,1,50,5\none,1,1,5,5\n")
    (tmp_path / "list.json").write_text(
        json.dumps([["a.png", "mask.png", "boxes.csv"], ["a.png"], ["a.png", "mask.png", "none.csv"]])
    )
    (tmp_path / "none.csv").write_text("")
    found = check(tmp_path / "list.json", classes=["cup"])
    starts = [sentence.removeprefix(f"{tmp_path}{os.sep}")[:18] for sentence in found.faults]
    assert starts == ["list.json: entry 2", *(f"boxes.csv, line {number}:"[:18] for number in (2, 3, 4, 5))]
    assert (found.images, found.boxes, found.images_without_boxes) == (2, 1, 1)
    assert found.doubts == (
        f"{tmp_path / 'list.json'}: entries 1 and 3 are the same picture, {tmp_path / 'a.png'}",
        f"{tmp_path / 'list.json'}: there are boxes of cup, but no mask has a pixel of them",
    )


def triple(tmp_path, mask, boxes):
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((8, 10), mask, np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "boxes.csv").write_text(boxes)
    (tmp_path / "list.json").write_text(json.dumps([["a.png", "mask.png", "boxes.csv"]]))
    return check(tmp_path / "list.json", classes=["cup"])


def test_masks_of_black_and_white_are_doubted(tmp_path):
    (doubt,) = triple(tmp_path, 255, "1,1,1,5,5").doubts
    assert doubt.endswith(
        'boxes of cup, but no mask has a pixel of them; many pixels are 255, which means "ignore", not a class'
    )


def test_boxes_in_fractions_are_doubted(tmp_path):
    (doubt,) = triple(tmp_path, 1, "1,0.1,0.1,0.5,0.5\n1,0,0,1,1\n1,3,3,3.5,8").doubts
    assert "less than a pixel wide or high, 2 in all, the first in image 0" in doubt


def test_boxes_alone_and_classes_that_nobody_shows_are_doubted(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "jug"}],
        "annotations": [annotation(1, segmentation=[])],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    found = check(tmp_path / "a.json")
    assert (found.faults, found.has_masks) == ((), False)
    assert [doubt.split(": ")[1] for doubt in found.doubts] == [
        "there are boxes alone, so nothing can be learnt for masks",
        "no image shows jug",
    ]


@needs_coco100
def test_a_hundred_photographs_of_coco_have_no_fault():
    found = check(COCO100, "train2017")
    assert (found.faults, found.doubts, found.images, found.boxes) == ((), (), 100, 253)


@needs_pennfudan
def test_penn_fudan_has_no_fault():
    assert splits_to_check(PENNFUDAN) == ["train", "validation"]
    found = check(PENNFUDAN, "validation")
    assert (found.faults, found.doubts, found.images, found.boxes) == ((), (), 28, 70)
