"""Does `train --data` learn from what people have: their classes, their boxes, with masks or without?"""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_network import TINY, tiny_network
from typer.testing import CliRunner

from ssdseg_course.cli import app, train
from ssdseg_course.cli.networks import NETWORK_FILE, RUN_FILE, open_network
from ssdseg_ref import multitask, network, own_data
from ssdseg_ref.data import convert, registry, warehouse
from ssdseg_ref.data.files import LazySamples
from ssdseg_ref.data.sample import IGNORE, Sample

SCENES = 10
PHOTOS = replace(TINY, classes=("person",))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Networks of a few layers, and trainings of a few steps."""
    monkeypatch.setattr(network, "build_network", tiny_network)
    monkeypatch.setattr(multitask, "load_network", lambda name: tiny_network(PHOTOS, seed=3))
    monkeypatch.setitem(multitask.SHIPPED, "photos", PHOTOS)
    monkeypatch.setattr(own_data, "EPOCHS", 2)
    monkeypatch.setattr(own_data, "LEAST_STEPS", 2)
    tf.config.run_functions_eagerly(True)  # to trace a step takes longer than a few of them
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def scenes():
    return [warehouse.render(seed, (72, 100)) for seed in range(SCENES)]


@pytest.fixture(scope="module")
def coco(scenes, tmp_path_factory):
    """With a validation split."""
    folder = tmp_path_factory.mktemp("data") / "coco"
    convert.TARGETS["coco"].write({"train": scenes[:7], "val": scenes[7:]}, warehouse.CLASSES, folder, True)
    return folder


@pytest.fixture(scope="module")
def boxes_alone(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "voc"
    bare = [Sample(s.image, s.boxes, s.labels, np.full_like(s.mask, IGNORE)) for s in scenes]
    convert.TARGETS["voc"].write({"train": bare}, warehouse.CLASSES, folder, False)
    return folder


def ssdseg(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    return result.exit_code, " ".join((result.stdout + result.stderr).split())


def test_a_network_for_the_classes_of_the_data_is_trained_saved_and_scored(coco, tmp_path):
    status, said = ssdseg("train", tmp_path / "run", "--data", coco)
    assert status == 0, said
    assert "7 images with" in said
    assert "3 images to say when to stop: val" in said
    assert ", of 8 more what belongs to 'person'" in said
    assert "made anew" not in said
    trained, config = open_network(str(tmp_path / "run"))
    assert config.classes == tuple(warehouse.CLASSES)
    assert trained.output["mask"].shape[-1] == 4
    assert not (tmp_path / "run" / "checkpoints").exists()
    status, scores = ssdseg("evaluate", tmp_path / "run" / NETWORK_FILE, "--data", coco, "--split", "val")
    assert (status, scores.count("forklift")) == (0, 1)
    figures = [word for word in scores.split() if word.startswith(("0.", "-"))]
    assert all(figure in said for figure in figures)  # the training's last table
    for file, split, warned in ((NETWORK_FILE, "train", True), ("", "train", True), ("", "val", False)):
        status, said = ssdseg("evaluate", tmp_path / "run" / file, "--data", coco, "--split", split)
        assert (status, "it has learned from these images" in said) == (0, warned)


def test_a_training_says_again_what_it_was_begun_with_or_goes_on_without_being_told(coco, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(train, "print_scores", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    status, said = ssdseg("train", run, "--data", coco, "--classes", "person,forklift")
    assert (status, "the training has finished" in said) == (130, True)
    noted = json.loads((run / RUN_FILE).read_text())
    assert len(noted.pop("checksum")) == 8
    assert noted == {"data": str(coco), "classes": "person,forklift", "start": "photos", "mine": False}
    status, said = ssdseg("train", run)
    assert (status, f"`ssdseg evaluate {run} --data {coco} --split val` scores its network" in said) == (0, True)
    status, said = ssdseg("train", run, "--data", coco)
    assert status == 1
    assert f"begun with --data {coco} --classes person,forklift --from photos; go on with these" in said


def test_a_training_that_is_stopped_goes_on_where_it_was(coco, tmp_path, monkeypatch):
    run = tmp_path / "run"
    keep = train._keep
    monkeypatch.setattr(train, "_keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    status, said = ssdseg("train", run, "--data", coco)
    assert (status, "2 complete epochs kept" in said) == (130, True)
    monkeypatch.setattr(train, "_keep", keep)
    status, said = ssdseg("train", run)
    assert (status, "steps, 2 of them done" in said) == (0, True)


def test_a_training_does_not_go_on_with_other_images_or_labels(coco, tmp_path):
    noted = {"data": str(coco), "start": "photos", "mine": False, "checksum": "00000000"}
    (tmp_path / RUN_FILE).write_text(json.dumps(noted))
    status, said = ssdseg("train", tmp_path)
    assert status == 1
    assert (
        f"{coco}: its images or labels are others than when the training in {tmp_path} was begun; use another" in said
    )


def test_all_that_samples_show_and_say_is_in_their_checksum(scenes):
    def checksum(first):
        return own_data.survey([first, *scenes[1:]], warehouse.CLASSES).checksum

    first, checksums = scenes[0], {checksum(scenes[0])}
    for part in ("image", "boxes", "labels", "mask"):
        changed = getattr(first, part).copy()
        changed.flat[-1] += 1
        checksums.add(checksum(replace(first, **{part: changed})))
    assert len(checksums) == 5
    assert checksum(replace(first)) in checksums


def test_boxes_alone_train_no_mask_and_open_the_gate(boxes_alone, tmp_path):
    status, said = ssdseg("train", tmp_path / "run", "--data", boxes_alone)
    assert status == 0, said
    assert "the mask head is not trained" in said
    assert "2 images to say when to stop: every fifth image, which is not trained on" in said
    trained, config = open_network(str(tmp_path / "run"))
    assert not config.has_masks
    assert multitask.Predictor(trained, config).gate_pixels == 0
    assert "the network was trained on boxes alone, so its masks have no score" in said
    assert not any(line.count("0.") == 3 for line in said.split("│"))


def test_a_run_is_what_another_one_begins_with(coco, boxes_alone, tmp_path):
    assert ssdseg("train", tmp_path / "first", "--data", coco)[0] == 0
    begun = tmp_path / "first" / NETWORK_FILE
    status, said = ssdseg("train", tmp_path / "second", "--data", boxes_alone, "--from", begun)
    assert status == 0, said
    total = len(tiny_network().weights)
    assert f"{total} of {total} weights 8 images" in said


@pytest.mark.parametrize("data", ["coco", "boxes_alone"])  # with a validation split, and without
def test_a_network_is_scored_on_the_images_as_they_are_as_evaluate_does(data, request, monkeypatch):
    """Not on what is kept in memory, where large ones are smaller."""
    monkeypatch.setattr(own_data, "LONGEST_IN_MEMORY", 50)
    looked_at = train._look_at_data(train.TrainingRun(data=str(request.getfixturevalue(data))))
    assert {sample.image.shape for sample in looked_at.validation} == {(36, 50, 3)}
    assert {sample.image.shape for sample in looked_at.scored} == {(72, 100, 3)}


def test_one_image_that_cannot_be_read_is_told_and_left_out(coco, tmp_path):
    damaged = tmp_path / "data"
    convert.TARGETS["coco"].write(
        {"train": registry.open_data_set(coco, "train").samples}, warehouse.CLASSES, damaged, True
    )
    picture = next(damaged.rglob("*.png"))
    picture.write_bytes(b"not a picture")
    status, said = ssdseg("train", tmp_path / "run", "--data", damaged)
    assert status == 1
    assert f"left out: {picture}" in said
    assert "1 of 7 images could not be read and were left out" in said
    assert (tmp_path / "run" / NETWORK_FILE).exists()


@pytest.mark.parametrize(
    ("images", "sentence"),
    [(0, "data: there is no image to learn from"), (5, "data: there is neither a box nor a mask of person, forklift,")],
)
def test_where_there_is_nothing_to_learn_nothing_is_trained(images, sentence, scenes, tmp_path):
    bare = [Sample(s.image, s.boxes[:0], s.labels[:0], s.mask * 0) for s in scenes[:images]]
    convert.TARGETS["coco"].write({"train": bare}, warehouse.CLASSES, tmp_path / "data", True)
    status, said = ssdseg("train", tmp_path / "run", "--data", tmp_path / "data")
    assert status == 1
    assert sentence in said


def test_a_validation_split_without_an_image_judges_nothing(scenes, tmp_path):
    convert.TARGETS["coco"].write({"train": scenes, "val": []}, warehouse.CLASSES, tmp_path / "data", True)
    looked_at = train._look_at_data(train.TrainingRun(data=str(tmp_path / "data")))
    assert (len(looked_at.training), len(looked_at.validation)) == (8, 2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--data", "nothing_there"), "nothing_there: neither a folder nor a file"),
        (("--from", "photos"), "--from is for data of your own, so say which by --data"),
        (("--data", "{coco}", "--preset", "lesson"), "--preset is for the Warehouse"),
        (("--data", "{coco}", "--mine"), "--mine is for the Warehouse"),
        (("--data", "{coco}", "--from", "nobody"), "nobody: neither a file, nor a folder of a finished training"),
        (("--data", "{coco}", "--split", "test"), "has no split 'test', it has train, val"),
        (("--data", "{coco}", "--classes", "person,"), "--classes needs different names"),
        (("--data", "{coco}", "--classes", "cat"), "cat"),
    ],
)
def test_what_cannot_be_trained_gets_one_sentence(options, sentence, coco, tmp_path):
    status, said = ssdseg("train", tmp_path / "run", *(option.format(coco=coco) for option in options))
    assert status in (1, 2)
    assert sentence in said
    assert not (tmp_path / "run" / NETWORK_FILE).exists()


def test_imagenet_that_cannot_be_fetched_names_another_beginning(coco, tmp_path, monkeypatch):
    def download(*arguments, **options):
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "MobileNetV2", download)
    status, said = ssdseg("train", tmp_path / "run", "--data", coco, "--from", "imagenet")
    assert status == 1
    assert "could not be fetched: URL fetch failure: no route to host; `--from photos` needs no network" in said


def test_data_anchors_says_what_a_training_would_choose(coco, monkeypatch):
    status, said = ssdseg("data", "anchors", coco)
    assert status == 0, said
    assert "7 images" in said
    assert "they cover" in said
    assert ssdseg("data", "anchors", coco, "--from", "nobody") == (
        1,
        f"ssdseg: --from is one of {', '.join(multitask.SHIPPED)}, got 'nobody'",
    )


@pytest.mark.parametrize(
    ("splits", "training", "expected"),
    [
        (["train", "val"], "train", "val"),
        (["test", "train", "valid"], "train", "valid"),
        (["train2014", "train2017", "val2014", "val2017"], "train2017", "val2017"),
        (["train", "trainval", "val"], "trainval", None),
        (["train", "test"], "train", None),
    ],
)
def test_a_validation_split_is_known_by_its_name(splits, training, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "recognise", lambda path: type("Known", (), {"splits": lambda self, path: splits})())
    assert registry.validation_split(tmp_path, training) == expected


def test_small_data_fills_its_epochs_and_large_data_is_passed_over_once(scenes):
    assert len(own_data.repeated(scenes, 5)) == 10
    many = LazySamples(range(100), lambda index: scenes[0])
    assert own_data.repeated(many, 16) is many


def test_rare_classes_weigh_more_within_limits():
    recipe = own_data.fit_recipe(100, (0.2, 1.5, 40.0, 0.0))
    assert recipe.class_weights == (0.5, 1.5, 2.0, 1.0)
    assert recipe.strong
    assert [own_data.fit_batch_size(images) for images in (1, 3, 4, 13, 16, 5_000)] == [1, 2, 4, 8, 16, 16]
    assert own_data.fit_recipe(3, (1.0, 1.0)).batch_size == 2
    assert not own_data.fit_recipe(5_000, (1.0, 1.0)).strong
