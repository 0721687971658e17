"""Do image, boxes and mask still tell the same story after an augmentation?"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.boxes import areas
from ssdseg_ref.data import IGNORE, Sample, warehouse
from ssdseg_ref.data.augment import (
    WHOLE,
    augment,
    augment_strongly,
    colour,
    crop,
    crop_boxes,
    expand,
    flip,
    grey,
    paste,
    zoom,
)

SEEDS = range(50)


@pytest.fixture(scope="module")
def scenes():
    return [warehouse.render(seed, (61, 87)) for seed in SEEDS]


def augment_all(sample, rng):
    return augment(sample, rng, zoom_share=2 / 3)


def augment_small(sample, rng):
    return augment_strongly(sample, sample, rng)


def _blocks(size, blocks):
    """Filled rectangles, each (label, left, top, right, bottom) in pixels, also painted into the image."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    for label, left, top, right, bottom in blocks:
        mask[top:bottom, left:right] = label
    corners = np.array([block[1:] for block in blocks], np.float64).reshape(-1, 4)
    boxes = (corners / [width, height, width, height]).astype(np.float32)
    return Sample(np.repeat(60 * mask[..., None], 3, axis=-1), boxes, np.array([b[0] for b in blocks], np.int32), mask)


def _extent(mask, label):
    """(left, top, right, bottom) of a class in pixels, the last ones not included."""
    rows, cols = np.nonzero(mask == label)
    return [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]


def _in_pixels(boxes, mask):
    return boxes * np.tile(mask.shape[::-1], 2)


THREE_BLOCKS = _blocks((40, 60), [(1, 5, 4, 20, 30), (2, 30, 10, 60, 22), (3, 0, 33, 11, 40)])


def test_a_flip_takes_each_pixel_and_each_box_to_the_other_side():
    flipped = flip(THREE_BLOCKS)
    np.testing.assert_array_equal(flipped.image, THREE_BLOCKS.image[:, ::-1])
    np.testing.assert_array_equal(flipped.mask, THREE_BLOCKS.mask[:, ::-1])
    expected = [[40, 4, 55, 30], [0, 10, 30, 22], [49, 33, 60, 40]]
    np.testing.assert_allclose(_in_pixels(flipped.boxes, flipped.mask), expected, atol=1e-4)


def test_a_box_stays_on_its_object_when_the_image_is_flipped():
    """The old project's flip moved boxes by one pixel."""
    flipped = flip(THREE_BLOCKS)
    for box, label in zip(_in_pixels(flipped.boxes, flipped.mask), flipped.labels, strict=True):
        np.testing.assert_allclose(box, _extent(flipped.mask, label), atol=1e-4)


def test_flipping_twice_gives_the_same_boxes_bit_for_bit_where_their_numbers_are_exact():
    boxes = np.random.default_rng(0).integers(0, 512, (100, 2, 2)) / 1024
    corners = np.concatenate([boxes.min(axis=1), boxes.max(axis=1) + 0.25], axis=1).astype(np.float32)
    sample = Sample(np.zeros((8, 8, 3), np.uint8), corners, np.ones(100, np.int32), np.zeros((8, 8), np.uint8))
    np.testing.assert_array_equal(flip(flip(sample)).boxes, corners)


def test_flipping_twice_gives_the_same_sample(scenes):
    for scene in scenes:
        twice = flip(flip(scene))
        np.testing.assert_allclose(twice.boxes, scene.boxes, rtol=0, atol=2**-24)
        np.testing.assert_array_equal(twice.image, scene.image)
        np.testing.assert_array_equal(twice.mask, scene.mask)
        np.testing.assert_array_equal(twice.labels, scene.labels)


def test_a_window_of_whole_pixels_cuts_out_just_these():
    window = (10 / 60, 4 / 40, 50 / 60, 24 / 40)
    cut = crop(THREE_BLOCKS, window, (20, 40))
    np.testing.assert_array_equal(cut.image, THREE_BLOCKS.image[4:24, 10:50])
    np.testing.assert_array_equal(cut.mask, THREE_BLOCKS.mask[4:24, 10:50])
    np.testing.assert_allclose(_in_pixels(cut.boxes, cut.mask), [[0, 0, 10, 20], [20, 6, 40, 18]], atol=1e-4)
    assert cut.labels.tolist() == [1, 2]


@pytest.mark.parametrize("size", [(80, 120), (20, 30), (80, 60), (40, 60)])
def test_another_size_changes_the_pixels_and_leaves_the_fractions(size):
    resized = crop(THREE_BLOCKS, WHOLE, size)
    assert resized.image.shape == (*size, 3)
    np.testing.assert_allclose(resized.boxes, THREE_BLOCKS.boxes, atol=1e-7)
    for box, label in zip(_in_pixels(resized.boxes, resized.mask), resized.labels, strict=True):
        np.testing.assert_allclose(box, _extent(resized.mask, label), atol=0.51)


def test_a_mask_keeps_to_its_classes_when_it_is_resized():
    mixed = _blocks((40, 60), [(1, 0, 0, 60, 40), (3, 20, 10, 40, 30)])
    assert set(np.unique(crop(mixed, WHOLE, (67, 131)).mask)) == {1, 3}


def test_a_box_of_which_less_than_a_quarter_is_left_becomes_ignore():
    sample = _blocks((40, 40), [(1, 0, 0, 20, 40), (2, 22, 0, 40, 40)])
    cut = crop(sample, (0.4, 0.0, 1.0, 1.0), (40, 24))  # of the first box 4 of 20 columns are left
    assert cut.labels.tolist() == [2]
    assert (cut.mask[:, :4] == IGNORE).all()
    np.testing.assert_array_equal(cut.mask[:, 4:], sample.mask[:, 20:])


def test_a_box_of_which_a_quarter_is_left_stays_and_is_cut_at_the_edge():
    sample = _blocks((64, 64), [(1, 0, 0, 32, 64)])
    cut = crop(sample, (0.375, 0.0, 1.0, 1.0), (64, 40))  # 8 of 32 columns
    np.testing.assert_allclose(cut.boxes, [[0, 0, 0.2, 1]], atol=1e-7)
    assert (cut.mask[:, :8] == 1).all()


def test_ignoring_what_is_left_of_one_box_spares_other_classes_in_front_of_it():
    sample = _blocks((40, 40), [(1, 0, 0, 20, 40), (2, 17, 10, 40, 20)])  # the second is painted over the first
    cut = crop(sample, (0.4, 0.0, 1.0, 1.0), (40, 24))
    assert (cut.mask[10:20, 1:] == 2).all()
    assert (cut.mask[:10, :4] == IGNORE).all()


def test_what_was_ignored_stays_ignored():
    sample = Sample(
        np.zeros((8, 8, 3), np.uint8),
        np.empty((0, 4), np.float32),
        np.empty(0, np.int32),
        np.full((8, 8), 255, np.uint8),
    )
    assert (crop(sample, (0.1, 0.2, 0.9, 0.7), (13, 5)).mask == IGNORE).all()


def test_a_sample_without_boxes_can_be_cropped():
    empty = _blocks((8, 8), [])
    cut = crop(empty, (0.0, 0.0, 0.5, 0.5), (4, 4))
    assert cut.boxes.shape == (0, 4)
    cut.validate(classes=1)


@pytest.mark.parametrize(
    "window",
    [(-0.1, 0, 1, 1), (0, 0, 1.01, 1), (0, 0.5, 1, 1.5), (0.5, 0, 0.5, 1), (0.6, 0, 0.4, 1), (0, 0, 1, np.nan)],
)
def test_a_window_that_is_empty_or_reaches_over_the_image_is_refused(window):
    with pytest.raises(ValueError, match="lies inside the image and is not empty"):
        crop(THREE_BLOCKS, window, (40, 60))


@pytest.mark.parametrize("change", [zoom, expand, colour, augment_all, augment_small])
def test_an_augmented_sample_is_valid_and_of_the_same_size(change, scenes):
    for seed, scene in zip(SEEDS, scenes, strict=True):
        changed = change(scene, np.random.default_rng(seed))
        changed.validate(classes=3)
        assert changed.image.shape == scene.image.shape, seed
        assert (changed.boxes.dtype, changed.labels.dtype) == (np.float32, np.int32), seed


@pytest.mark.parametrize("change", [zoom, expand, colour, augment_all, augment_small])
def test_an_augmentation_leaves_its_sample_as_it_was(change, scenes):
    for seed in SEEDS[:10]:
        before = warehouse.render(seed, (61, 87))
        change(scenes[seed], np.random.default_rng(seed))
        for part in ("image", "boxes", "labels", "mask"):
            np.testing.assert_array_equal(getattr(scenes[seed], part), getattr(before, part))


@pytest.mark.parametrize("seed", range(20))
def test_boxes_stay_on_their_objects_when_the_view_zooms_in(seed):
    sample = _blocks((120, 180), [(1, 30, 20, 80, 100), (2, 100, 30, 160, 110)])
    zoomed = zoom(sample, np.random.default_rng(seed))
    assert len(zoomed.boxes)
    for box, label in zip(_in_pixels(zoomed.boxes, zoomed.mask), zoomed.labels, strict=True):
        np.testing.assert_allclose(box, _extent(zoomed.mask, label), atol=0.51)


def test_zooming_in_enlarges_and_shows_different_windows():
    sample = _blocks((100, 100), [(1, 45, 45, 55, 55)])
    zoomed = [zoom(sample, np.random.default_rng(seed), least=0.6) for seed in range(60)]
    sizes = np.array([view.boxes[0, 2:] - view.boxes[0, :2] for view in zoomed if len(view.boxes)])
    inside = sizes[(sizes > 0.099).all(axis=1)]
    assert len(inside) > 40
    assert inside.max() < 0.1 / 0.6 + 1e-4
    assert np.ptp(inside) > 0.03


def test_other_light_changes_the_image_alone(scenes):
    for seed, scene in zip(SEEDS[:10], scenes, strict=False):
        relit = colour(scene, np.random.default_rng(seed))
        assert (relit.image != scene.image).any(), seed
        for part in ("boxes", "labels", "mask"):
            np.testing.assert_array_equal(getattr(relit, part), getattr(scene, part))


def test_other_light_keeps_brighter_pixels_brighter_in_each_channel():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)
    sample = Sample(ramp, np.empty((0, 4), np.float32), np.empty(0, np.int32), np.zeros((1, 256), np.uint8))
    for seed in range(20):
        relit = colour(sample, np.random.default_rng(seed)).image[0].astype(int)
        assert (np.diff(relit, axis=0) >= 0).all(), seed
        assert np.ptp(relit[100]) > 0, seed  # white balance: the channels part


@pytest.mark.parametrize("change", [zoom, expand, colour, augment_all, augment_small])
def test_the_same_draw_gives_the_same_sample_and_another_draw_another(change):
    first, again, other = (change(THREE_BLOCKS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert (first.image != other.image).any()


def test_about_every_second_sample_is_flipped():
    left_is_bright = np.zeros((20, 40, 3), np.uint8)
    left_is_bright[:, :20] = 200
    sample = Sample(left_is_bright, np.empty((0, 4), np.float32), np.empty(0, np.int32), np.zeros((20, 40), np.uint8))
    views = [augment(sample, np.random.default_rng(seed), 0.5).image.astype(int) for seed in range(200)]
    flipped = np.mean([view[:, -1].mean() > view[:, 0].mean() for view in views])
    assert 0.4 < flipped < 0.6


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_the_share_of_samples_that_is_asked_for_is_zoomed(share):
    sample = _blocks((60, 100), [(1, 46, 26, 54, 34)])  # in the middle of every window
    views = [augment(sample, np.random.default_rng(seed), share) for seed in range(200)]
    larger = [areas(view.boxes)[0] > areas(sample.boxes)[0] + 1e-6 for view in views]
    assert np.mean(larger) == pytest.approx(share, abs=0.1)


def test_boxes_of_which_a_quarter_is_left_are_kept():
    boxes = np.float32([[0, 0, 0.5, 0.5], [0.4, 0.4, 0.6, 0.6], [0, 0, 0.3, 0.3], [0.8, 0.8, 1, 1]])
    cut, kept = crop_boxes(boxes, (0.25, 0.25, 0.75, 0.75))
    assert kept.tolist() == [0, 1]  # the first by exactly a quarter
    np.testing.assert_allclose(cut, [[0, 0, 0.5, 0.5], [0.3, 0.3, 0.7, 0.7]], atol=1e-6)
    assert crop_boxes(np.empty((0, 4)), (0, 0, 1, 1))[1].tolist() == []


def test_what_is_pasted_is_in_front_and_brings_its_boxes():
    below, above = _blocks((40, 60), [(1, 10, 10, 30, 30)]), _blocks((40, 60), [(2, 20, 20, 50, 35)])
    above.mask[0, 0], above.image[0, 0] = IGNORE, 99
    both = paste(below, above)
    both.validate(2)
    assert _extent(both.mask, 2) == [20, 20, 50, 35]
    assert [both.mask[place] for place in ((15, 15), (25, 25), (0, 0))] == [1, 2, 0]
    np.testing.assert_array_equal(both.image, 60 * np.repeat(both.mask[..., None], 3, axis=-1))
    np.testing.assert_array_equal(both.boxes, np.concatenate([below.boxes, above.boxes]))
    assert both.labels.tolist() == [1, 2]


@pytest.mark.parametrize(("bottom", "stays"), [(25, True), (26, False)])
def test_a_box_of_which_less_than_a_quarter_is_left_to_see_is_dropped(bottom, stays):
    below = _blocks((40, 60), [(1, 10, 10, 30, 30)])
    above = _blocks((40, 60), [(2, 5, 5, 40, bottom)])
    assert (1 in paste(below, above).labels) == stays


def test_images_of_two_sizes_are_not_pasted():
    with pytest.raises(ValueError, match=r"another of its size, got \(20, 30\) for \(40, 60\)"):
        paste(_blocks((40, 60), []), _blocks((20, 30), []))


def test_what_is_zoomed_out_keeps_its_shape_and_lies_inside(scenes):
    for seed, scene in zip(SEEDS, scenes, strict=True):
        small = expand(scene, np.random.default_rng(seed))
        small.validate(3)
        assert len(small.boxes) == len(scene.boxes), seed
        shrunk = (small.boxes[:, 2:] - small.boxes[:, :2]) / (scene.boxes[:, 2:] - scene.boxes[:, :2])
        assert (shrunk < 1.001).all(), seed
        assert (abs(shrunk - shrunk[:1, :1]) < 0.03).all(), seed  # by one share, but for whole pixels
    outside = [expand(THREE_BLOCKS, np.random.default_rng(seed)).mask[0, 0] == 0 for seed in range(20)]
    assert any(outside)


def test_grey_is_as_bright_as_pillow_says(scenes):
    for scene in scenes[:5]:
        expected = np.asarray(Image.fromarray(scene.image).convert("L"), int)
        result = grey(scene).image.astype(int)
        assert abs(result - expected[..., None]).max() <= 1
        assert (np.ptp(result, axis=-1) == 0).all()


def test_a_strong_augmentation_is_a_true_sample_still(scenes):
    for seed, (scene, other) in enumerate(pairwise(scenes)):
        varied = augment_strongly(scene, other, np.random.default_rng(seed))
        varied.validate(3)
        assert varied.image.shape == scene.image.shape


def test_what_is_augmented_strongly_comes_out_at_the_size_that_is_asked_for(scenes):
    other = warehouse.render(99, (120, 100))
    for seed, scene in zip(SEEDS, scenes, strict=True):
        varied = augment_strongly(scene, other, np.random.default_rng(seed), (64, 96))
        varied.validate(3)
        assert varied.image.shape == (64, 96, 3), seed


@pytest.mark.parametrize("step", [lambda s, rng: flip(s), zoom, expand, colour, lambda s, rng: grey(s)])
def test_ignored_boxes_move_as_the_others_do(step):
    sample = _blocks((60, 80), [(1, 10, 12, 70, 50)])
    sample = replace(sample, ignored_boxes=sample.boxes, ignored_labels=sample.labels)
    for seed in range(8):
        changed = step(sample, np.random.default_rng(seed))
        changed.validate(1)
        assert changed.ignored_labels.tolist() == [1]
        np.testing.assert_allclose(changed.ignored_boxes, changed.boxes, atol=1e-6)


def test_a_crop_keeps_what_it_shows_of_an_ignored_box_however_little():
    sample = _blocks((60, 80), [(1, 0, 0, 42, 60), (1, 0, 0, 8, 60)])
    sample = replace(sample, boxes=sample.boxes[:0], labels=sample.labels[:0])
    sample = replace(sample, ignored_boxes=_blocks((60, 80), [(1, 0, 0, 42, 60), (1, 0, 0, 8, 60)]).boxes)
    sample = replace(sample, ignored_labels=np.array([1, 2], np.int32))
    part = crop(sample, (0.5, 0, 1, 1), (60, 40))
    assert part.ignored_labels.tolist() == [1]
    np.testing.assert_allclose(part.ignored_boxes, [[0, 0, 0.05, 1]], atol=1e-6)


def test_of_boxes_alone_nothing_is_pasted_and_nothing_becomes_background():
    """A box whose object is not there would teach what is wrong, and so would a frame of background."""
    plain = _blocks((40, 60), [(1, 10, 10, 30, 30)])
    alone = Sample(plain.image, plain.boxes, plain.labels, np.full_like(plain.mask, IGNORE))
    other = _blocks((40, 60), [(1, 5, 4, 20, 30), (2, 30, 10, 50, 22)])
    mask = np.where(other.mask == 1, IGNORE, other.mask)
    for seed in SEEDS:
        bare = augment_strongly(alone, alone, np.random.default_rng(seed))
        assert len(bare.boxes) <= 1, seed
        assert (bare.mask == IGNORE).all(), seed
        mixed = augment_strongly(
            alone, Sample(other.image, other.boxes, other.labels, mask), np.random.default_rng(seed)
        )
        assert (mixed.labels == 1).sum() <= 1, seed
