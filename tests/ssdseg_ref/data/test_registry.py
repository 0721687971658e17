"""How a path finds its reader, and a command its split."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssdseg_ref.data import registry
from ssdseg_ref.data.sample import IGNORE, Sample


@pytest.fixture
def panoptic(tmp_path):
    """The names of a COCO panoptic data set; there is nothing in its files."""
    (tmp_path / "annotations").mkdir()
    for split in ("val2017", "train2017"):
        (tmp_path / "annotations" / f"panoptic_{split}.json").write_text("{}")
    return tmp_path


def test_a_folder_with_panoptic_annotations_is_recognised_by_their_names(panoptic):
    assert registry.recognise(panoptic).name == "COCO panoptic"


def test_a_panoptic_json_is_its_own_split(panoptic):
    json_path = panoptic / "annotations" / "panoptic_val2017.json"
    assert registry.recognise(json_path).name == "COCO panoptic"
    assert registry.choose_split(json_path) == "val2017"


def test_a_folder_that_triples_were_written_to_will_do(tmp_path):
    (tmp_path / "triples.json").write_text("[]")
    assert registry.recognise(tmp_path).name == "triples"
    assert len(registry.open_data_set(tmp_path).samples) == 0


def test_an_object_is_coco_and_in_a_folder_too(tmp_path):
    (tmp_path / "result.json").write_text(' {"images": []}', encoding="utf-16")
    assert registry.recognise(tmp_path / "result.json").name == registry.recognise(tmp_path).name == "COCO instances"


def test_a_list_is_triples(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    assert registry.recognise(tmp_path / "list.json").name == "triples"
    opened = registry.open_data_set(tmp_path / "list.json", classes=["a"])
    assert (len(opened.samples), opened.classes, opened.has_masks) == (0, ("a",), True)


def test_a_folder_of_no_format_is_refused_with_all_that_would_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"not a data set that can be read, which is a folder with .*panoptic.*triples"
    ):
        registry.recognise(tmp_path)


def test_a_path_without_anything_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such data set"):
        registry.recognise(tmp_path / "nowhere")


def test_several_splits_want_a_name_unless_one_is_train(panoptic):
    with pytest.raises(ValueError, match="say which split you mean, --split train2017 or --split val2017"):
        registry.choose_split(panoptic)
    (panoptic / "annotations" / "panoptic_train.json").write_text("{}")
    assert registry.choose_split(panoptic) == "train"
    assert registry.choose_split(panoptic, "val2017") == "val2017"


def test_an_unknown_split_is_refused_with_those_that_are_there(panoptic):
    with pytest.raises(ValueError, match="has no split 'val', it has train2017, val2017"):
        registry.choose_split(panoptic, "val")


def test_a_format_without_splits_refuses_one(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([]))
    assert registry.choose_split(tmp_path / "list.json") is None
    with pytest.raises(ValueError, match="triples has no splits, leave 'val' away"):
        registry.choose_split(tmp_path / "list.json", "val")


def test_every_format_has_a_card():
    cards = Path(__file__).parents[3] / "datasets"
    assert [known.card for known in registry.FORMATS if not (cards / known.card).is_file()] == []


def dogs_and_people():
    """One image with a dog, a person and pixels that nobody has drawn."""
    boxes = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32)
    mask = np.array([[1, 0], [IGNORE, 2]], np.uint8)
    sample = Sample(np.zeros((2, 2, 3), np.uint8), boxes, np.array([1, 2], np.int32), mask)
    return registry.DataSet([sample], ("dog", "person"))


def test_classes_are_found_by_their_names_and_others_are_background():
    (sample,) = registry.in_labels_of(dogs_and_people(), ("forklift", "person")).samples
    sample.validate(2)
    assert sample.labels.tolist() == [2]
    assert sample.boxes.tolist() == [[0.5, 0.5, 1, 1]]
    assert sample.mask.tolist() == [[0, 0], [IGNORE, 2]]


def test_the_same_classes_in_another_order_get_other_labels():
    (sample,) = registry.in_labels_of(dogs_and_people(), ("person", "dog")).samples
    assert sample.labels.tolist() == [2, 1]
    assert sample.mask.tolist() == [[2, 0], [IGNORE, 1]]
    data = dogs_and_people()
    assert registry.in_labels_of(data, data.classes) is data


def test_no_class_in_common_is_refused():
    with pytest.raises(ValueError, match="has dog, person, the network knows cat: no class in common"):
        registry.in_labels_of(dogs_and_people(), ("cat",))


def test_a_folder_around_a_data_set_leads_to_it(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "result.json").write_text('{"images": [], "categories": [], "annotations": []}')
    with pytest.raises(ValueError, match=r"not a data set itself, but .*export is one"):
        registry.recognise(tmp_path)


def test_labelmes_own_files_lead_to_the_page_that_says_what_to_do(tmp_path):
    (tmp_path / "a.json").write_text('{"version": "5.5.0", "flags": {}, "shapes": []}')
    with pytest.raises(ValueError, match=r"labelme's own files.*docs/own-data\.md"):
        registry.recognise(tmp_path)


def test_ignored_boxes_are_of_the_same_classes_in_other_labels():
    (sample,) = dogs_and_people().samples
    ignoring = replace(sample, ignored_boxes=sample.boxes, ignored_labels=sample.labels)
    data = registry.DataSet([ignoring], ("dog", "person"))
    (renamed,) = registry.in_labels_of(data, ("forklift", "person")).samples
    assert renamed.ignored_labels.tolist() == [2]
    assert renamed.ignored_boxes.tolist() == [[0.5, 0.5, 1, 1]]
