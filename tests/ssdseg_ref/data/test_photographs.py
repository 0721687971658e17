"""The photographs of lesson 10, and the drawings that stand in for them."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.data import downloads
from ssdseg_ref.data.photographs import FOLDER, lesson_photographs
from ssdseg_ref.data.sample import IGNORE
from ssdseg_ref.data.styles import PERSON, restyle, stand_ins
from ssdseg_ref.data.warehouse import SPLITS, render

SIZE = (80, 112)


@pytest.fixture
def scene():
    return next(scene for scene in (render(seed, size=SIZE) for seed in SPLITS["train"]) if len({*scene.labels}) > 1)


def test_a_new_style_keeps_people_where_they_are_and_forgets_the_other_classes(scene):
    styled = restyle(scene, np.random.default_rng(1))
    styled.validate(classes=1)
    np.testing.assert_array_equal(styled.boxes, scene.boxes[scene.labels == PERSON])
    np.testing.assert_array_equal(styled.mask == PERSON, scene.mask == PERSON)


def test_what_no_loss_counts_stays_uncounted(scene):
    mask = scene.mask.copy()
    mask[:5, :5] = IGNORE
    styled = restyle(replace(scene, mask=mask), np.random.default_rng(1))
    np.testing.assert_array_equal(styled.mask == IGNORE, mask == IGNORE)


def test_a_new_style_changes_most_of_the_picture(scene):
    styled = restyle(scene, np.random.default_rng(1))
    assert np.abs(styled.image.astype(int) - scene.image).mean() > 20


def test_the_same_dice_give_the_same_style_and_others_another_one(scene):
    one, again, other = (restyle(scene, np.random.default_rng(seed)).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one.astype(int) - other).mean() > 20


def test_stand_ins_have_people_in_them():
    for sample in stand_ins(SPLITS["train"], 5, SIZE):
        sample.validate(classes=1)
        assert len(sample.boxes) > 0


def test_too_few_scenes_are_said_to_be():
    with pytest.raises(ValueError, match=r"1 seeds have \d scenes with people, 2 are wanted"):
        stand_ins(SPLITS["train"][:1], 2, SIZE)


def test_without_photographs_there_are_stand_ins(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(downloads, "is_there", lambda name: False)
    name, train, validation = lesson_photographs(SIZE)
    assert (name, len(train), len(validation)) == ("stand-ins", 100, 40)
    assert not any(np.array_equal(train[0].image, other.image) for other in validation)


@pytest.mark.parametrize("told", ["by the environment", "by a download"])
def test_photographs_are_taken_where_they_are(told, tmp_path, monkeypatch):
    for folder in ("PNGImages", "PedMasks"):
        (tmp_path / folder).mkdir()
    for number in (1, 5):  # of train, of validation
        Image.new("RGB", (40, 30), (10, 20, 30)).save(tmp_path / "PNGImages" / f"FudanPed0000{number}.png")
        people = np.zeros((30, 40), np.uint8)
        people[10:20, 10:20] = 1
        Image.fromarray(people).save(tmp_path / "PedMasks" / f"FudanPed0000{number}_mask.png")
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(downloads, "is_there", lambda name: told == "by a download")
    monkeypatch.setattr(downloads, "located", lambda name: tmp_path)
    if told == "by the environment":
        monkeypatch.setenv(FOLDER, str(tmp_path))
    name, train, validation = lesson_photographs(SIZE)
    assert (name, len(train), len(validation)) == ("Penn-Fudan", 1, 1)
    assert train[0].image.shape == (*SIZE, 3)
    monkeypatch.setenv(FOLDER, "")
    monkeypatch.setattr("ssdseg_ref.data.photographs.STAND_INS", {"train": 1, "validation": 1})
    assert lesson_photographs(SIZE)[0] == "stand-ins"
