"""Crops: what a small classifier learns from."""

import numpy as np
import pytest

from ssdseg_ref.data import crops as module
from ssdseg_ref.data.crops import FIRST_SCENE, crops
from ssdseg_ref.data.drawing import Dice
from ssdseg_ref.data.warehouse import SPLITS, render


@pytest.fixture(scope="module")
def forty() -> tuple[np.ndarray, np.ndarray]:
    return crops(40, seed=0, size=32)


def test_crops_are_square_pictures_with_a_label_each(forty):
    images, labels = forty
    assert images.shape == (40, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (40,)
    assert labels.dtype == np.int32


def test_each_class_comes_as_often_as_the_others(forty):
    assert np.bincount(forty[1]).tolist() == [10, 10, 10, 10]
    assert sorted(np.bincount(crops(6, seed=1, size=8)[1], minlength=4).tolist()) == [1, 1, 2, 2]


def test_classes_are_mixed_so_that_any_part_has_all(forty):
    assert len(set(forty[1][:20].tolist())) == 4


def test_the_same_seed_gives_the_same_crops_and_another_seed_others():
    first, again, other = (crops(8, seed=seed, size=16) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_no_split_of_the_warehouse_has_a_scene_that_crops_are_cut_from():
    assert all(max(seeds) < FIRST_SCENE for seeds in SPLITS.values())


def test_two_seeds_share_no_scene(monkeypatch):
    drawn: dict[int, set[int]] = {0: set(), 1: set()}
    for seed, scenes in drawn.items():
        monkeypatch.setattr(module, "render", lambda scene, scenes=scenes: scenes.add(scene) or render(scene))
        crops(12, seed=seed, size=8)
    assert all(drawn.values())
    assert all(drawn.values())
    assert not drawn[0] & drawn[1]


def test_a_crop_shows_its_class_and_little_of_the_others():
    for scene in range(FIRST_SCENE, FIRST_SCENE + 20):
        sample = render(scene)
        for label, (left, top, side) in module._windows(sample, Dice(scene)):
            assert min(left, top) >= 0, (scene, label)
            part = sample.mask[top : top + side, left : left + side]
            assert part.shape == (side, side), (scene, label)
            own, others = np.mean(part == label), np.mean((part != label) & (part != 0))
            assert own >= 0.1, (scene, label)
            assert others <= 0.1, (scene, label)


@pytest.mark.parametrize(("count", "seed", "size"), [(0, 0, 32), (4, 0, 0), (4, -1, 32), (4, 10**6, 32)])
def test_what_cannot_be_drawn_is_refused(count, seed, size):
    with pytest.raises(ValueError, match="crops"):
        crops(count, seed, size)
