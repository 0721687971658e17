"""What is written in another format is the same when it is read again, or what is lost is counted."""

import contextlib
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from pycocotools.coco import COCO

from ssdseg_ref.data import convert, registry, voc
from ssdseg_ref.data.sample import IGNORE, Sample

CLASSES = ("cup", "jug")


def sample(boxes, labels, mask, seed=0):
    height, width = mask.shape
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    corners = np.array(boxes, np.float64).reshape(-1, 4) / [width, height, width, height]
    return Sample(image, corners.astype(np.float32), np.array(labels, np.int32), mask)


@pytest.fixture
def tidy():
    """Boxes of whole pixels around what their classes fill, two of one class overlapping; some pixels of 255."""
    mask = np.zeros((30, 41), np.uint8)
    mask[2:12, 3:9] = 1
    mask[8:20, 6:30] = 1
    mask[22:29, 30:41] = 2
    mask[0:2] = IGNORE
    full = sample([[3, 2, 9, 12], [6, 8, 30, 20], [30, 22, 41, 29]], [1, 1, 2], mask)
    return [full, sample([], [], np.zeros((7, 5), np.uint8), seed=1)]


@pytest.mark.parametrize("target", convert.TARGETS)
def test_boxes_around_their_pixels_come_back_the_same(tidy, target, tmp_path):
    where = convert.TARGETS[target].write({"train": tidy}, CLASSES, tmp_path / "out", True)
    opened = registry.open_data_set(where, classes=CLASSES)
    assert (opened.classes, opened.has_masks) == (CLASSES, True)
    pixels = sum(one.mask.size for one in tidy)
    assert convert.compare(tidy, opened.samples) == convert.Difference(3, 0, pytest.approx(0, abs=1e-4), pixels, 0)


@pytest.mark.parametrize("target", ["coco", "panoptic", "voc"])
def test_names_and_splits_are_written_too(tidy, target, tmp_path):
    write = convert.TARGETS[target].write
    where = write({"train": tidy, "validation": tidy[:1]}, CLASSES, tmp_path / "out", True)
    assert [len(registry.open_data_set(where, split).samples) for split in ("train", "validation")] == [2, 1]
    assert registry.open_data_set(where, "validation").classes == CLASSES


@pytest.mark.parametrize("target", ["coco", "voc"])
def test_boxes_alone_stay_boxes_alone(target, tmp_path):
    alone = [sample([[1, 1, 4, 4]], [2], np.full((6, 6), IGNORE, np.uint8))]
    where = convert.TARGETS[target].write({"train": alone}, CLASSES, tmp_path / "out", False)
    opened = registry.open_data_set(where, "train")
    assert not opened.has_masks
    assert convert.compare(alone, opened.samples).other_pixels == 0
    assert not (tmp_path / "out" / "SegmentationClass").exists()


def test_panoptic_gives_each_pixel_one_segment_and_loses_boxes_without_any(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[2:12, 2:12] = 1
    mask[15, 15:18] = 2  # without a box
    untidy = [sample([[2, 2, 12, 12], [4, 4, 6, 6], [13, 2, 16, 5]], [1, 1, 1], mask)]
    folder = convert.to_panoptic({"a": untidy}, CLASSES, tmp_path / "out")
    lost = convert.compare(untidy, registry.open_data_set(folder).samples)
    assert lost == convert.Difference(3, 1, pytest.approx(0, abs=1e-4), 400, 3)
    (annotation,) = json.loads((folder / "annotations" / "panoptic_a.json").read_text())["annotations"]
    assert [own["area"] for own in annotation["segments_info"]] == [96, 4, 3]
    assert [own["iscrowd"] for own in annotation["segments_info"]] == [0, 0, 1]


@pytest.mark.parametrize(
    ("classes", "has_masks", "sentence"), [(CLASSES, False, "nobody has drawn any"), (["ignore"], True, "'ignore'")]
)
def test_what_panoptic_cannot_be_is_refused(tidy, classes, has_masks, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        convert.to_panoptic({"a": tidy}, classes, tmp_path / "out", has_masks)
    assert not (tmp_path / "out").exists()


def test_more_segments_than_a_byte_has_numbers_keep_theirs(tmp_path):
    mask = np.ones((20, 60), np.uint8)
    boxes = [[3 * column, row, 3 * column + 3, row + 1] for row in range(20) for column in range(20)]
    many = [sample(boxes, [1] * 400, mask)]
    folder = convert.to_panoptic({"a": many}, CLASSES, tmp_path / "out")
    assert convert.compare(many, registry.open_data_set(folder).samples).other_boxes == 0


def test_what_coco_cannot_say_is_counted(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[4:10, 4:10] = 1  # its box is larger, as that of somebody half hidden
    mask[15, 15:18] = 2  # without a box
    lost = convert.compare(
        untidy := [sample([[4, 4, 10, 14]], [1], mask)],
        registry.open_data_set(convert.to_coco({"a": untidy}, CLASSES, tmp_path / "out")).samples,
    )
    assert lost == convert.Difference(1, 1, pytest.approx(4), 400, 3)


def test_voc_has_boxes_of_whole_pixels_that_count_from_one(tmp_path):
    fractions = [sample([[3.4, 2, 8.6, 12.0]], [1], np.zeros((20, 20), np.uint8))]
    folder = convert.to_voc({"a": fractions}, CLASSES, tmp_path / "out")
    box = ElementTree.parse(folder / "Annotations" / "000000.xml").find("object/bndbox")
    assert [int(side.text) for side in box] == [4, 3, 9, 12]
    lost = convert.compare(fractions, voc.read(folder, "a").samples)
    assert (lost.other_boxes, lost.other_pixels) == (1, 0)
    assert lost.farthest == pytest.approx(0.4, abs=1e-4)


def test_pycocotools_reads_what_is_written(tidy, tmp_path):
    folder = convert.to_coco({"train": tidy}, CLASSES, tmp_path / "out")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(folder / "annotations" / "instances_train.json")
    annotations = theirs.loadAnns(theirs.getAnnIds(1))
    assert [own["iscrowd"] for own in annotations] == [0, 0, 0, 1]
    for own, box in zip(annotations, [[3, 2, 6, 10], [6, 8, 24, 12], [30, 22, 11, 7], [0, 0, 41, 2]], strict=True):
        np.testing.assert_allclose(own["bbox"], box, atol=1e-4)
        assert theirs.annToMask(own).sum() == own["area"]
    assert {label["name"] for label in theirs.loadCats(theirs.getCatIds())} == set(CLASSES)


@pytest.mark.parametrize("target", convert.TARGETS)
def test_a_folder_that_holds_something_is_left_alone(tidy, target, tmp_path):
    (tmp_path / "precious.txt").write_text("do not lose me")
    with pytest.raises(FileExistsError, match="name a folder that is new or empty"):
        convert.TARGETS[target].write({"train": tidy}, CLASSES, tmp_path, True)


def test_triples_have_one_split(tidy, tmp_path):
    with pytest.raises(ValueError, match="triples have one split, not a, b"):
        convert.to_triples({"a": tidy, "b": tidy}, CLASSES, tmp_path / "out")


@pytest.mark.parametrize("name", ["a:b", "a\nb", "background", "#a", "", "a\x01", "\ud800"])
def test_a_name_that_a_labelmap_cannot_hold_is_refused(tidy, name, tmp_path):
    with pytest.raises(ValueError, match=r"labelmap\.txt cannot hold"):
        convert.to_voc({"a": tidy}, ["cup", name], tmp_path / "out")


def test_another_picture_is_an_error_not_a_loss(tidy):
    with pytest.raises(ValueError, match="another picture"):
        convert.compare(tidy[:1], [sample([], [], tidy[0].mask, seed=5)])


def test_ids_are_unique_over_all_images(tidy, tmp_path):
    folder = convert.to_coco({"a": [*tidy, *tidy]}, CLASSES, tmp_path / "out")
    content = json.loads((folder / "annotations" / "instances_a.json").read_text())
    ids = [own["id"] for own in content["annotations"]]
    assert len(set(ids)) == len(ids) == 8
