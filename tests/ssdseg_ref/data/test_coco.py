"""The reader for COCO's panoptic format, on a tiny made-up data set and on a hundred real photographs."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.data import coco
from ssdseg_ref.data.reports import Listing

COCO100 = Path(os.environ.get("SSDSEG_COCO100", Path(__file__).parents[4] / "shared" / "coco100"))
needs_coco100 = pytest.mark.skipif(
    not COCO100.is_dir(), reason=f"needs a hundred photographs of COCO in {COCO100}, or where SSDSEG_COCO100 points"
)

PERSON, TRUCK, ROAD, RAILROAD = 1, 8, 149, 151
CLASSES = {"person": ["person"], "rail": ["railroad"], "ignore": ["truck"]}
IDS = np.array(  # 65538 = 2 + 256², 300 = 44 + 256: numbers that need all three channels
    [
        [7, 7, 7, 7, 0, 0],
        [7, 300, 300, 7, 65538, 65538],
        [9, 300, 300, 5, 5, 65538],
        [9, 9, 5, 5, 5, 5],
    ]
)


def segment(number, category, iscrowd=0):
    return {"id": number, "category_id": category, "iscrowd": iscrowd, "bbox": [0, 0, 1, 1], "area": 1}


def write_content(root, content):
    (root / "annotations" / "panoptic_tiny.json").write_text(json.dumps(content))


def save_png(root, ids):
    channels = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1)
    Image.fromarray(channels.astype(np.uint8)).save(root / "annotations" / "panoptic_tiny" / "0001.png")


@pytest.fixture
def content():
    return {
        "images": [{"id": 1, "file_name": "0001.jpg", "height": 4, "width": 6}],
        "categories": [
            {"id": PERSON, "name": "person"},
            {"id": TRUCK, "name": "truck"},
            {"id": ROAD, "name": "road"},
            {"id": RAILROAD, "name": "railroad"},
        ],
        "annotations": [
            {
                "image_id": 1,
                "file_name": "0001.png",
                "segments_info": [
                    segment(300, PERSON),
                    segment(9, PERSON, iscrowd=1),
                    segment(7, ROAD),
                    segment(5, RAILROAD),
                    segment(65538, TRUCK),
                ],
            }
        ],
    }


@pytest.fixture
def root(tmp_path, content):
    """A data set of one photograph of 4 x 6 pixels."""
    (tmp_path / "annotations" / "panoptic_tiny").mkdir(parents=True)
    (tmp_path / "images" / "tiny").mkdir(parents=True)
    write_content(tmp_path, content)
    save_png(tmp_path, IDS)
    Image.new("RGB", (6, 4), (200, 100, 50)).save(tmp_path / "images" / "tiny" / "0001.jpg")
    return tmp_path


def test_segments_become_boxes_and_masks(root):
    (sample,) = coco.read(root, "tiny", CLASSES)
    np.testing.assert_array_equal(
        sample.mask,
        [
            [0, 0, 0, 0, 0, 0],
            [0, 1, 1, 0, 255, 255],  # the person; the truck, which the class map ignores
            [255, 1, 1, 2, 2, 255],  # a crowd of persons; the railroad
            [255, 255, 2, 2, 2, 2],
        ],
    )
    np.testing.assert_allclose(sample.boxes, [[1 / 6, 1 / 4, 3 / 6, 3 / 4], [2 / 6, 2 / 4, 1, 1]], rtol=1e-6)
    assert sample.labels.tolist() == [1, 2]
    assert sample.image.shape == (4, 6, 3)
    sample.validate(classes=2)


def test_the_order_of_the_class_map_gives_the_labels(root):
    (sample,) = coco.read(root, "tiny", {"ignore": ["truck"], "rail": ["railroad"], "person": ["person"]})
    assert sample.labels.tolist() == [2, 1]
    assert sample.mask[3, 5] == 1


def test_photographs_may_lie_where_the_official_archive_puts_them(root):
    (root / "images" / "tiny").rename(root / "tiny")
    assert len(list(coco.read(root, "tiny", CLASSES))) == 1


def test_a_grey_photograph_becomes_red_green_and_blue(root):
    Image.new("L", (6, 4), 77).save(root / "images" / "tiny" / "0001.jpg")
    (sample,) = coco.read(root, "tiny", CLASSES)
    assert np.all(sample.image == 77)
    assert sample.image.shape == (4, 6, 3)


def test_a_photograph_without_any_class_has_an_empty_mask_and_no_boxes(root):
    (sample,) = coco.read(root, "tiny", {"truck": ["truck"]})[:1]
    assert sample.boxes.shape == (1, 4)
    save_png(root, np.zeros_like(IDS))
    write_content(root, json.loads((root / "annotations" / "panoptic_tiny.json").read_text()) | {"annotations": [
        {"image_id": 1, "file_name": "0001.png", "segments_info": []}
    ]})  # fmt: skip
    (sample,) = coco.read(root, "tiny", CLASSES)
    assert (sample.boxes.shape, sample.boxes.dtype, sample.mask.max()) == ((0, 4), np.float32, 0)


def test_opening_a_data_set_reads_no_photograph(root):
    (root / "images" / "tiny" / "0001.jpg").unlink()
    samples = coco.read(root, "tiny", CLASSES)
    assert len(samples) == 1
    with pytest.raises(FileNotFoundError, match=r"0001\.jpg: there is no such file"):
        samples[0]


def test_the_splits_of_a_folder_are_found_by_their_annotations(root):
    assert coco.available_splits(root) == ["tiny"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"person": ["persn"]}, r"panoptic_tiny\.json has no category 'persn', do you mean 'person'\?"),
        ({"cat": ["xyz"]}, "has no category 'xyz'$"),
        ({"person": ["person"], "human": ["person"]}, "uses the category 'person' twice"),
        ({"person": "person"}, "class 'person' of the class map needs a list"),
        ({"ignore": ["truck"]}, "names 1 to 254 classes, this one 0"),
    ],
)
def test_a_class_map_that_makes_no_sense_is_refused(root, classes, message):
    with pytest.raises(ValueError, match=message):
        coco.read(root, "tiny", classes)


def test_missing_annotations_are_named(root):
    with pytest.raises(FileNotFoundError, match=r"panoptic_val2017\.json: there is no such file"):
        coco.read(root, "val2017", CLASSES)


def test_a_missing_folder_of_photographs_is_named_with_both_places(root):
    (root / "images" / "tiny" / "0001.jpg").unlink()
    (root / "images" / "tiny").rmdir()
    with pytest.raises(FileNotFoundError, match=r"neither .*images.tiny nor .*tiny"):
        coco.read(root, "tiny", CLASSES)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}', "\udcff"])
def test_annotations_that_are_no_panoptic_json_are_named(root, text):
    (root / "annotations" / "panoptic_tiny.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"panoptic_tiny\.json: not "):
        coco.read(root, "tiny", CLASSES)


def test_a_segment_without_a_category_is_reported(root, content):
    del content["annotations"][0]["segments_info"][0]["category_id"]
    write_content(root, content)
    with pytest.raises(ValueError, match=r"panoptic_tiny\.json: .*'category_id' is missing"):
        coco.read(root, "tiny", CLASSES)


@pytest.mark.parametrize("file", ["images/tiny/0001.jpg", "annotations/panoptic_tiny/0001.png"])
@pytest.mark.parametrize("share", [0, 0.3, 0.8])
def test_a_damaged_picture_is_named(root, file, share):
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=Path(file).name):
        coco.read(root, "tiny", CLASSES)[0]


def test_segments_of_another_size_than_the_photograph_are_reported(root):
    save_png(root, IDS[:3])
    with pytest.raises(ValueError, match=r"0001\.png: 6 x 3 pixels, but the photograph has 6 x 4"):
        coco.read(root, "tiny", CLASSES)[0]


def test_a_segment_without_pixels_is_reported(root):
    save_png(root, np.where(IDS == 300, 0, IDS))
    with pytest.raises(ValueError, match=r"0001\.png: segment 300 .* no pixel"):
        coco.read(root, "tiny", CLASSES)[0]


@needs_coco100
def test_real_photographs_hold_as_many_boxes_and_pixels_as_their_files_say():
    labels = {"person": 1, "truck": 2, "bus": 2, "car": 2, "railroad": 3, "train": 3}
    folder = COCO100 / "annotations"
    content = json.loads((folder / "panoptic_train2017.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    boxes, pixels = Counter(), Counter()
    for annotation in content["annotations"]:
        for info in annotation["segments_info"]:  # the json's own areas: our reader counts pixels of the pictures
            label = labels.get(names[info["category_id"]])
            if label:
                boxes[label] += not info["iscrowd"]
                pixels[255 if info["iscrowd"] else label] += info["area"]

    samples = coco.read(COCO100, "train2017", coco.COURSE_CLASSES)
    assert len(samples) == 100
    read_boxes, read_pixels = Counter(), Counter()
    for sample in samples:
        sample.validate(classes=3)
        read_boxes.update(sample.labels.tolist())
        read_pixels.update(dict(enumerate(np.bincount(sample.mask.ravel(), minlength=256).tolist())))
    assert read_boxes == boxes
    assert {value: count for value, count in read_pixels.items() if count and value} == pixels
    assert pixels[255] > 0


@needs_coco100
def test_boxes_of_real_photographs_are_those_of_the_annotations():
    content = json.loads((COCO100 / "annotations" / "panoptic_train2017.json").read_text())
    persons = {
        annotation["file_name"]: [
            [x, y, x + w, y + h]
            for info in annotation["segments_info"]
            if info["category_id"] == PERSON and not info["iscrowd"]
            for x, y, w, h in [info["bbox"]]
        ]
        for annotation in content["annotations"]
    }
    for sample, expected in zip(coco.read(COCO100, "train2017", {"person": ["person"]}), persons.values(), strict=True):
        height, width = sample.mask.shape
        pixels = sample.boxes * [width, height, width, height]
        np.testing.assert_allclose(pixels, np.reshape(expected, (-1, 4)), atol=1e-3)


def first(content):
    return content["annotations"][0]["segments_info"]


BREAKS = {
    "segment 300 has category_id '1', a text": lambda c: first(c)[0].update(category_id="1"),
    "segment 300 has category_id 77, and no category": lambda c: first(c)[0].update(category_id=77),
    "two segments have the id 9": lambda c: first(c)[0].update(id=9),
    "two segments have the id 7": lambda c: first(c).append(segment(7, ROAD)),
    "a segment's id is a whole number, one is '300'": lambda c: first(c)[0].update(id="300"),
    "segment 300 has the bbox .*nan": lambda c: first(c)[0].update(bbox=[0, 0, float("nan"), 1]),
    "segment 300 has the bbox .*three": lambda c: first(c)[0].update(bbox="three"),
    "an annotation is of image '1', a text, which is not": lambda c: c["annotations"][0].update(image_id="1"),
    "an annotation is of image 2, which is not": lambda c: c["annotations"][0].update(image_id=2),
    "two images have the id 1": lambda c: c["images"].append(dict(c["images"][0])),
    "two annotations have the image_id 1": lambda c: c["annotations"].append(dict(c["annotations"][0])),
    "two categories have the id 1": lambda c: c["categories"].append({"id": PERSON, "name": "human"}),
    "two categories have the name 'person'": lambda c: c["categories"].append({"id": 99, "name": "person"}),
    "'segments_info' is missing": lambda c: c["annotations"][0].pop("segments_info"),
    "not COCO's format: 'images' must be a list": lambda c: c.update(images="none"),
    "its annotation: its file_name must be a text, it is 7": lambda c: c["annotations"][0].update(file_name=7),
    "image 1: its file_name must be a text": lambda c: c["images"][0].update(file_name=7),
    "image 1: width and height are whole numbers of pixels, these are '6'": lambda c: c["images"][0].update(width="6"),
    "segment 300: iscrowd is 0 or 1, this is '0'": lambda c: first(c)[0].update(iscrowd="0"),
    "segment 300 has the bbox .*1000": lambda c: first(c)[0].update(bbox=[0, 0, 10**400, 1]),
    "segment 300 has category_id .1., and no category": lambda c: first(c)[0].update(category_id=[1]),
    "a segment must be an object, one is 'x'": lambda c: first(c).append("x"),
    "entry 1 of the images has no id": lambda c: c["images"][0].pop("id"),
    "the ids of categories are whole numbers, one is '1', a text": lambda c: c["categories"][0].update(id="1"),
}


@pytest.mark.parametrize("message", BREAKS)
def test_annotations_that_contradict_themselves_are_named(root, content, message):
    BREAKS[message](content)
    write_content(root, content)
    with pytest.raises(ValueError, match=message) as error:
        coco.read(root, "tiny", CLASSES)
    assert str(error.value).startswith(str(root / "annotations" / "panoptic_tiny.json"))


def test_one_annotation_without_sense_does_not_lose_the_others(root, content):
    content["images"].append(content["images"][0] | {"id": 2, "file_name": 7})
    content["annotations"].append(content["annotations"][0] | {"image_id": 2})
    first(content).append(7)
    write_content(root, content)
    report = Listing()
    samples = coco.read(root, "tiny", CLASSES, report)
    assert (len(samples), len(report.faults)) == (1, 2)


def test_an_image_without_annotation_is_left_out_and_said(root, content):
    content["images"].append(content["images"][0] | {"id": 2})
    write_content(root, content)
    report = Listing()
    assert len(coco.read(root, "tiny", CLASSES, report)) == 1
    assert "without an annotation are left out, 1 in all, such as image 2" in report.doubts[0]


@pytest.mark.parametrize("name", ["tiny\\0001.jpg", "0001.JPG"])
def test_a_photograph_is_found_by_the_name_that_another_machine_gave_it(root, content, name):
    content["images"][0]["file_name"] = name
    write_content(root, content)
    assert len(coco.read(root, "tiny", CLASSES)[0].boxes)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_annotations_may_begin_with_a_byte_order_mark(root, content, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = mark + json.dumps(content)
    (root / "annotations" / "panoptic_tiny.json").write_text(text, encoding=encoding)
    assert len(coco.read(root, "tiny", CLASSES)) == 1


def test_a_photograph_of_another_size_than_the_json_says_is_named(root, content):
    content["images"][0]["width"] = 7
    write_content(root, content)
    with pytest.raises(ValueError, match=r"0001\.jpg: 6 x 4 pixels, but the json says 7 x 4$"):
        coco.read(root, "tiny", CLASSES)[0]


def test_a_turned_photograph_that_does_not_fit_names_the_cause(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(root / "images" / "tiny" / "0001.jpg", exif=exif)
    with pytest.raises(ValueError, match=r"4 x 6 pixels, but the json says 6 x 4; .* EXIF orientation is 6"):
        coco.read(root, "tiny", CLASSES)[0]


def test_by_default_every_category_is_a_class_unless_the_courses_are_all_there(content):
    assert coco.default_classes(content) == {
        "person": ("person",),
        "truck": ("truck",),
        "road": ("road",),
        "railroad": ("railroad",),
    }
    content["categories"] += [{"id": 200 + k, "name": name} for k, name in enumerate(["bus", "car", "train"])]
    assert coco.default_classes(content) == coco.COURSE_CLASSES


@pytest.mark.parametrize("categories", [None, 7, [7], [{}], [{"name": [], "id": 1}], []])
def test_damaged_categories_are_left_to_the_reader(root, content, categories):
    write_content(root, content | {"categories": categories})
    with pytest.raises(ValueError, match="panoptic_tiny"):
        coco.read(root, "tiny", coco.default_classes({"categories": categories}))
