"""Lesson 1: right answers that are written in another way. Every one must pass."""

import operator
from fractions import Fraction

import numpy as np
import pytest
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of, report_on, words

from ssdseg_course.exercises import anchor_choice
from ssdseg_course.exercises.anchor_choice import CHOOSE_ANCHORS
from ssdseg_ref import anchors as reference
from ssdseg_ref.boxes import pairwise_iou


def centers_by_loops(rows, cols):
    points = []
    for row in range(rows):
        for col in range(cols):
            points.append(((col + 0.5) / cols, (row + 0.5) / rows))
    return points


def centers_by_meshgrid(rows, cols):
    x, y = np.meshgrid((np.arange(cols, dtype=np.float32) + 0.5) / cols, (np.arange(rows) + 0.5) / rows)
    return np.column_stack([x.ravel(), y.ravel()])


def centers_from_linspace(rows, cols):
    x = np.linspace(0, 1, 2 * cols + 1)[1::2]
    y = np.linspace(0, 1, 2 * rows + 1)[1::2]
    return np.stack([np.tile(x, rows), np.repeat(y, cols)], 1)


def centers_as_a_tensor(rows, cols):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array(centers_by_loops(rows, cols), np.float32)

    return Tensor()


def sizes_by_loops(scale, next_scale, aspect_ratios, image_size):
    height, width = image_size
    short = min(height, width)
    sizes = []
    for ratio in aspect_ratios:
        # From the area: w * h = (s * short)^2 and w = r * h.
        high = (scale**2 * short**2 / ratio) ** 0.5
        sizes.append([ratio * high / width, high / height])
    extra = (scale * next_scale * short**2) ** 0.5
    return [*sizes, [extra / width, extra / height]]


def sizes_in_float32(scale, next_scale, aspect_ratios, image_size):
    ratios = np.asarray(aspect_ratios, np.float32)
    sides = np.float32(scale) * np.stack([np.sqrt(ratios), 1 / np.sqrt(ratios)], axis=1)
    sides = np.vstack([sides, np.full((1, 2), np.exp((np.log(scale) + np.log(next_scale)) / 2))])
    return sides * min(image_size) / np.array(image_size, np.float32)[::-1]


def map_by_loops(rows, cols, scale, next_scale, aspect_ratios, image_size):
    sizes = sizes_by_loops(scale, next_scale, aspect_ratios, image_size)
    return [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y in centers_by_loops(rows, cols) for w, h in sizes]


def map_by_repeat_and_tile(rows, cols, scale, next_scale, aspect_ratios, image_size):
    sizes = np.array(sizes_by_loops(scale, next_scale, aspect_ratios, image_size))
    middles = np.repeat(centers_by_meshgrid(rows, cols), len(sizes), axis=0)
    low = middles - np.tile(sizes, (rows * cols, 1)) / 2
    return np.hstack([low, low + np.tile(sizes, (rows * cols, 1))]).astype(np.float32)


def scales_by_adding(first, last, maps):
    scales = [first]
    while len(scales) <= maps:
        scales.append(scales[-1] + (last - first) / (maps - 1))
    return tuple(scales)


def scales_by_linspace(first, last, maps):
    scales = np.linspace(first, last, maps)
    return np.append(scales, 2 * scales[-1] - scales[-2]).astype(np.float32)


def anchors_by_loops(image_size, feature_maps, scales, aspect_ratios):
    anchors = []
    for (rows, cols), scale, next_scale in zip(feature_maps, scales[:-1], scales[1:], strict=True):
        anchors += map_by_loops(rows, cols, scale, next_scale, aspect_ratios, image_size)
    return anchors


def anchors_by_vstack(image_size, feature_maps, scales, aspect_ratios):
    anchors = np.empty((0, 4))
    for k, (rows, cols) in enumerate(feature_maps):
        more = map_by_repeat_and_tile(rows, cols, scales[k], scales[k + 1], aspect_ratios, image_size)
        anchors = np.vstack([anchors, more])
    return anchors


def coverage_by_loops(anchors, boxes, threshold=0.5):
    if len(boxes) == 0:
        return 1
    covered = 0
    for box in boxes:
        if max(pairwise_iou([box], anchors)[0]) >= threshold:
            covered += 1
    return covered / len(boxes)


def coverage_the_other_way_round(anchors, boxes, threshold):
    best = pairwise_iou(np.float64(anchors), np.float64(boxes)).max(axis=0)
    return np.mean(best >= threshold) if best.size else np.ones(())


def coverage_as_a_fraction_of_any(anchors, boxes, threshold):
    covered = (pairwise_iou(boxes, anchors) >= threshold).any(axis=1)
    return float(Fraction(int(covered.sum()), len(covered))) if len(covered) else 1.0


def coverage_within_rounding(anchors, boxes, threshold):
    if boxes.shape[0] == 0:
        return np.float32(1)
    return np.float32(sum(row.max() >= threshold - 1e-9 for row in pairwise_iou(boxes, anchors)) / len(boxes))


def choice_by_hand():
    return [0.17, 0.3, 0.55, 0.8, 1.1], [0.43, 2.4]


HONEST = {
    "01.grid_centers": (centers_by_loops, centers_by_meshgrid, centers_from_linspace, centers_as_a_tensor),
    "01.anchor_sizes": (sizes_by_loops, sizes_in_float32),
    "01.map_anchors": (map_by_loops, map_by_repeat_and_tile),
    "01.linear_scales": (scales_by_adding, scales_by_linspace),
    "01.make_anchors": (anchors_by_loops, anchors_by_vstack),
    "01.coverage": (
        coverage_within_rounding,
        coverage_by_loops,
        coverage_the_other_way_round,
        coverage_as_a_fraction_of_any,
        reference.coverage,
    ),
    "01.choose_anchors": (choice_by_hand,),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("01")


# Mistakes, written as people write them


def middles_one_after_the_other(rows, cols):
    y, x = np.mgrid[:rows, :cols]
    return np.array([(x + 0.5) / cols, (y + 0.5) / rows]).reshape(-1, 2)


def middles_divided_first(rows, cols):
    return [(j + 0.5 / cols, i + 0.5 / rows) for i in range(rows) for j in range(cols)]


def sizes_with_a_root_on_one_side(scale, next_scale, aspect_ratios, image_size):
    height, width = image_size
    short = min(image_size)
    sizes = [(scale * short * r**0.5 / width, scale * short / height) for r in aspect_ratios]
    extra = (scale * next_scale) ** 0.5 * short
    return [*sizes, (extra / width, extra / height)]


def sizes_in_two_rows(scale, next_scale, aspect_ratios, image_size):
    return np.array(reference.anchor_sizes(scale, next_scale, aspect_ratios, image_size)).T


def middles_and_sizes_side_by_side(rows, cols, scale, next_scale, aspect_ratios, image_size):
    sizes = reference.anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return np.concatenate([reference.grid_centers(rows, cols) - sizes / 2, sizes], axis=1)


def one_array_of_maps(image_size, feature_maps, scales, aspect_ratios):
    return np.array(
        [
            reference.map_anchors(*size, scales[k], scales[k + 1], aspect_ratios, image_size)
            for k, size in enumerate(feature_maps)
        ]
    )


def stacked_maps(image_size, feature_maps, scales, aspect_ratios):
    return np.stack(list(map(np.asarray, _maps(image_size, feature_maps, scales, aspect_ratios))))


def _maps(image_size, feature_maps, scales, aspect_ratios):
    for k, size in enumerate(feature_maps):
        yield reference.map_anchors(*size, scales[k], scales[k + 1], aspect_ratios, image_size)


def best_box_of_each_anchor(anchors, boxes, threshold):
    return (pairwise_iou(anchors, boxes).max(axis=1) >= threshold).mean()


def nothing_asked_first(anchors, boxes, threshold):
    return (pairwise_iou(boxes, anchors).max(axis=0) >= threshold).mean() if len(boxes) else 1.0


def ratios_for_each_map():
    return [0.16, 0.3, 0.45, 0.6, 0.75], ((0.43, 2.2), (0.43, 2.2), (0.43, 1.0, 2.2), (2.2, 0.43))


def middles_with_a_swapped_mgrid(rows, cols):
    x, y = np.mgrid[:rows, :cols]
    return np.stack([(x + 0.5) / cols, (y + 0.5) / rows], axis=-1).reshape(-1, 2)


def middles_stacked_too_early(rows, cols):
    x, y = (np.arange(cols) + 0.5) / cols, (np.arange(rows) + 0.5) / rows
    return np.stack([x, y], axis=-1)


def middles_appended_as_two(rows, cols):
    points = []
    for i in range(rows):
        for j in range(cols):
            points.append((j + 0.5) / cols, (i + 0.5) / rows)
    return points


def sizes_of(
    short=min, ratios=lambda ratios: [*ratios, 1.0], extra=lambda s, t: np.sqrt(s * t), end=lambda sizes: sizes
):
    """The lesson's way, ratio by ratio, with the extra square as one ratio more."""

    def anchor_sizes(scale, next_scale, aspect_ratios, image_size):
        height, width = image_size
        *all_ratios, last = ratios(aspect_ratios)
        sizes = [
            (side * short(image_size) * r**0.5 / width, side * short(image_size) / r**0.5 / height)
            for side, r in [*((scale, r) for r in all_ratios), (extra(scale, next_scale), last)]
        ]
        return end(np.array(sizes))

    return anchor_sizes


def sizes_by_a_root_of_a_tuple(scale, next_scale, aspect_ratios, image_size):
    return scale * aspect_ratios**0.5


def the_height(image_size):
    return image_size[0]


def pairs_by(middles_by, sizes_by):
    def map_anchors(rows, cols, *shape):
        middles, sizes = reference.grid_centers(rows, cols), reference.anchor_sizes(*shape)
        middles, sizes = middles_by(middles, len(sizes)), sizes_by(sizes, len(middles))
        return np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)

    return map_anchors


def tiled(rows, times):
    return np.tile(rows, (times, 1))


def repeated(rows, times):
    return np.repeat(rows, times, axis=0)


def maps_off_by_one(image_size, feature_maps, scales, aspect_ratios):
    return np.concatenate(
        [
            reference.map_anchors(*size, scales[k + 1], scales[k + 2], aspect_ratios, image_size)
            for k, size in enumerate(feature_maps)
        ]
    )


def maps_side_by_side(image_size, feature_maps, scales, aspect_ratios):
    return np.concatenate(list(_maps(image_size, feature_maps, scales, aspect_ratios)), axis=1)


def maps_looked_up(image_size, feature_maps, scales, aspect_ratios):
    anchors = []
    for size in feature_maps:
        k = list(feature_maps).index(size)
        anchors += reference.map_anchors(*size, scales[k], scales[k + 1], aspect_ratios, image_size).tolist()
    return anchors


def maps_assigned_to_append(image_size, feature_maps, scales, aspect_ratios):
    anchors = []
    for part in _maps(image_size, feature_maps, scales, aspect_ratios):
        anchors = anchors.append(part)
    return anchors


def coverage_of(ious=lambda ious: ious, best=lambda ious: ious.max(axis=1), share=np.mean, guard=True):
    def coverage(anchors, boxes, threshold):
        if guard and len(boxes) == 0:
            return 1.0
        return share(best(ious(pairwise_iou(boxes, anchors))) >= threshold)

    return coverage


def coverage_by_a_question(anchors, boxes, threshold):
    return 1.0 if pairwise_iou(boxes, anchors).max(axis=1) >= threshold else 0.0


MISTAKES = {
    "01.grid_centers": (
        (middles_one_after_the_other, "puts each x beside its y"),
        (middles_divided_first, ""),
        (middles_with_a_swapped_mgrid, "x is made of the column number"),
        (middles_stacked_too_early, "Every x goes with every y"),
        (middles_appended_as_two, "append takes one thing"),
    ),
    "01.anchor_sizes": (
        (sizes_with_a_root_on_one_side, "went into the width alone"),
        (sizes_in_two_rows, "a row for each anchor"),
        (sizes_of(short=the_height), "whichever side is shorter. That goes wrong where the image is higher than wide"),
        (sizes_of(ratios=lambda ratios: operator.add(ratios, (1.0,))), "takes either"),
        (sizes_of(ratios=lambda ratios: operator.add(ratios, [1.0])), "takes either"),
        (sizes_of(extra=lambda s, t: s * t), "A root is missing"),
        (sizes_of(end=lambda sizes: np.minimum(sizes, 1)), "An anchor may be larger than the image"),
        (sizes_by_a_root_of_a_tuple, "does no arithmetic"),
    ),
    "01.map_anchors": (
        (middles_and_sizes_side_by_side, "each middle meets each size"),
        (pairs_by(tiled, tiled), "One of the two needs np.repeat"),
        (pairs_by(repeated, repeated), "One of the two needs np.tile"),
        (pairs_by(tiled, repeated), "all of one shape come first"),
    ),
    "01.linear_scales": (
        (
            lambda first, last, maps: [first + (last - first) / (maps - 1) * (k - 1) for k in range(maps + 1)],
            "too small",
        ),
        (
            lambda first, last, maps: np.arange(
                first, last + 2 * (last - first) / (maps - 1), (last - first) / (maps - 1)
            ),
            "rounding decides whether the bound itself is in",
        ),
        (
            lambda first, last, maps: [round(first + (last - first) / (maps - 1) * k, 2) for k in range(maps + 1)],
            "rounded to two decimals",
        ),
    ),
    "01.make_anchors": (
        (one_array_of_maps, "np.concatenate joins them, np.array cannot"),
        (stacked_maps, "np.concatenate joins maps of different sizes"),
        (maps_off_by_one, "gets scales[k] and scales[k + 1]"),
        (maps_side_by_side, "one behind the other, along axis 0"),
        (maps_looked_up, "the place of a map was looked up by its size"),
        (maps_assigned_to_append, "append gives back nothing"),
    ),
    "01.coverage": (
        (best_box_of_each_anchor, "this is the share of anchors that meet a box"),
        (nothing_asked_first, "this is the share of anchors that meet a box"),
        (coverage_of(ious=lambda ious: np.round(ious, 2)), "0.498 became 0.5"),
        (coverage_of(ious=lambda ious: np.round(ious, 1)), "0.47 became 0.5"),
        (coverage_of(share=np.sum), "this is how many boxes are covered"),
        (coverage_of(share=np.sum, guard=False), "this is how many boxes are covered"),
        (coverage_of(best=lambda ious: ious.sum(axis=1)), "added up"),
        (coverage_of(best=lambda ious: ious), "the share of all pairs"),
        (coverage_of(guard=False), "None is missed there: say 1"),
        (coverage_of(share=lambda covered: covered), "their share is wanted, one number"),
        (coverage_by_a_question, "`if` needs one of them"),
    ),
    "01.choose_anchors": ((ratios_for_each_map, "the same ratios for all maps"),),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)


def test_the_boxes_of_the_choice_are_those_of_the_first_training_scenes():
    drawn, kept = anchor_choice.draw_boxes(), anchor_choice.warehouse_boxes()
    assert np.array_equal(drawn[:, 0], kept[1]), "run ssdseg_course.exercises.anchor_choice.save_boxes()"
    pixels = kept[0] * (224, 160, 224, 160)
    np.testing.assert_allclose(drawn[:, 1:], pixels, atol=1e-3)


def test_what_a_hint_says_of_the_boxes_is_so():
    boxes, labels = anchor_choice.warehouse_boxes()
    widths, heights = ((boxes[:, 2:] - boxes[:, :2]) * (224, 160)).T
    ratios, scales = widths / heights, np.sqrt(widths * heights) / 160
    people, rails = ratios[labels == 1], ratios[labels == 3]
    assert np.mean((people >= 0.25) & (people <= 0.65)) == pytest.approx(4 / 5, abs=0.02)
    assert np.mean((rails >= 1.5) & (rails <= 3)) == pytest.approx(2 / 3, abs=0.02)
    assert np.mean(scales < 0.17) == pytest.approx(1 / 8, abs=0.005)
    assert np.mean(scales > 0.7) < 0.01
    assert np.mean(scales[labels == 1] < 0.3) > 0.7  # what `TOO_LARGE` says
    assert np.mean(scales[labels == 2] > 0.4) > 0.6  # what `TOO_SMALL` says


def test_a_choice_of_very_many_ratios_is_counted_and_not_laid():
    report = report_on(CHOOSE_ANCHORS, lambda: ((0.1, 0.2, 0.3, 0.4, 0.5), np.full(10**6, 0.5)))
    assert "747,000,747 anchors" in words(report)


def test_a_complaint_about_ratios_stays_short():
    report = report_on(CHOOSE_ANCHORS, lambda: ((0.1, 0.2, 0.3, 0.4, 0.5), np.full((3, 10_000), 0.5)))
    assert "the same ratios for all maps" in words(report)
    assert len(words(report)) < 500
