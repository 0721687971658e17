"""Lesson 8's exercises take every honest answer, and have words for the mistakes that people make."""

import keras
import numpy as np
import tensorflow as tf
from answers import SEEDS, assert_passes, assert_told, every_mistake, every_variant, exercises_of
from keras import layers, ops

from ssdseg_course import EXERCISES
from ssdseg_ref.boxes import areas
from ssdseg_ref.deeplabv3plus import deeplabv3plus
from ssdseg_ref.ssdlite import extra_maps, ssdlite

# Right answers, written in another way


def weights_class_by_class(pixel_counts):
    frequency = []
    for label in range(pixel_counts.shape[1]):
        shown = pixel_counts[pixel_counts[:, label] > 0]
        frequency.append(shown[:, label].sum() / shown.sum())
    return [float(np.median(frequency)) / f for f in frequency]


def flip_in_place_of_copies(image, boxes, mask):
    new = np.array(boxes, float)
    new[:, [0, 2]] = 1 - new[:, [2, 0]]
    return [np.fliplr(image), new, np.flip(mask, axis=1)]


def flip_in_lists(image, boxes, mask):
    turned = [[1 - xmax, ymin, 1 - xmin, ymax] for xmin, ymin, xmax, ymax in boxes]  # [] without a box
    return [[row[::-1] for row in image.tolist()], turned, [row[::-1] for row in mask.tolist()]]


def flip_tensors(image, boxes, mask):
    xmin, ymin, xmax, ymax = tf.unstack(tf.convert_to_tensor(boxes), axis=1)
    return [tf.reverse(image, [1]), tf.stack([1 - xmax, ymin, 1 - xmin, ymax], axis=1), tf.reverse(mask, [1])]


def crop_in_lists(boxes, window):
    xmin, ymin, xmax, ymax = window
    result, indices = [], []
    for index, box in enumerate(boxes):
        left, right = np.clip(box[[0, 2]], xmin, xmax)
        top, bottom = np.clip(box[[1, 3]], ymin, ymax)
        share = (right - left) * (bottom - top) / ((box[2] - box[0]) * (box[3] - box[1]))
        if share >= 1 / 4:
            width, height = xmax - xmin, ymax - ymin
            corners = [(left - xmin) / width, (top - ymin) / height, (right - xmin) / width, (bottom - ymin) / height]
            result.append(corners)
            indices.append(index)
    return result, indices


def crop_tensors(boxes, window):
    boxes, window = tf.cast(boxes, tf.float32), tf.constant(window, tf.float32)
    moved = (boxes - tf.tile(window[:2], [2])) / tf.tile(window[2:] - window[:2], [2])
    cut = tf.clip_by_value(moved, 0, 1)
    kept = tf.where(areas(cut.numpy()) >= areas(moved.numpy()) / 4)[:, 0]
    return tf.gather(cut, kept), kept


def crop_box_by_box(boxes, window):
    x0, y0, x1, y1 = window
    result, indices = [], []
    for index, (a, b, c, d) in enumerate(boxes):
        left, top, right, bottom = max(a, x0), max(b, y0), min(c, x1), min(d, y1)
        if max(right - left, 0) * max(bottom - top, 0) >= 0.25 * (c - a) * (d - b) - 1e-9:
            result.append(
                [(left - x0) / (x1 - x0), (top - y0) / (y1 - y0), (right - x0) / (x1 - x0), (bottom - y0) / (y1 - y0)]
            )
            indices.append(index)
    return np.array(result).reshape(-1, 4), indices


def joint_by_hand(image_size, backbone, anchors_per_cell, classes):
    picture = layers.Input((*image_size, 3), name="picture")
    maps = backbone(picture / 127.5 - 1)
    coarse = extra_maps(maps[32], [96])
    logits, offsets = ssdlite((maps[8], maps[16], maps[32], *coarse), anchors_per_cell, classes)
    mask = deeplabv3plus(maps, image_size, classes, channels=64, rates=[2, 4], low_level_channels=24)[0]
    return keras.Model(inputs=picture, outputs=dict(mask=mask, offsets=offsets, classes=logits))


def precision_by_loops(scores, hits, positives):
    ranked = [hits[k] for k in sorted(range(len(scores)), key=lambda k: -scores[k])]
    points, found = [], 0
    for kept, hit in enumerate(ranked, start=1):
        found += int(hit)
        points.append((found / positives, found / kept))
    wanted = np.linspace(0, 1, 101)
    return sum(max((p for r, p in points if r >= recall), default=0.0) for recall in wanted) / 101


def _precision_and_recall(scores, hits, positives):
    found = np.cumsum(hits[np.argsort(-scores)])
    return found / np.arange(1, len(found) + 1), found / positives


def _precision_at(recalls):
    """AP with another idea of what 101 recalls are."""

    def average_precision(scores, hits, positives):
        precision, recall = _precision_and_recall(scores, hits, positives)
        return np.mean([precision[recall >= r].max(initial=0) for r in recalls()])

    return average_precision


precision_at_hundredths = _precision_at(lambda: [k / 100 for k in range(101)])
precision_at_a_divided_range = _precision_at(lambda: np.arange(101) / 100)
precision_at_a_range_of_steps = _precision_at(lambda: np.arange(0, 1.01, 0.01))
precision_with_a_tolerance = _precision_at(lambda: np.linspace(0, 1, 101) - 1e-9)


def precision_in_whole_numbers(scores, hits, positives):
    ranked, found, points = hits[np.argsort(-scores)], 0, []
    for kept, hit in enumerate(ranked, start=1):
        found += bool(hit)
        points.append((found, found / kept))
    return sum(max((p for f, p in points if 100 * f >= k * positives), default=0) for k in range(101)) / 101


def precision_in_float32(scores, hits, positives):
    if not len(scores):
        return 0.0
    found = tf.cumsum(tf.gather(tf.cast(hits, tf.float32), tf.argsort(scores, direction="DESCENDING")))
    precision, recall = found / tf.range(1.0, len(scores) + 1.0), found / positives
    reached = recall[None] >= tf.linspace(0.0, 1.0, 101)[:, None]
    return tf.reduce_mean(tf.reduce_max(tf.where(reached, precision[None], 0.0), axis=1))


def threshold_from_precision_and_recall(scores, hits, positives):
    precision, recall = _precision_and_recall(scores, hits, positives)
    total = precision + recall
    f1 = np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0)
    return np.sort(scores)[::-1][np.argmax(f1)] if f1.any() else 1.0


def threshold_from_a_harmonic_mean(scores, hits, positives):
    precision, recall = _precision_and_recall(scores, hits, positives)
    with np.errstate(divide="ignore"):
        f1 = 2 / (1 / precision + 1 / recall)
    return np.float32(max(scores[np.argsort(-scores)][f1 == f1.max()])) if any(hits) else 1


def threshold_by_jaccard(scores, hits, positives):
    """Another measure, which is largest where F1 is."""
    kept, found = np.arange(1, len(hits) + 1), np.cumsum(hits[np.argsort(-scores)])
    return np.sort(scores)[::-1][np.argmax(found / (kept + positives - found))] if np.any(hits) else 1.0


def threshold_by_trying(scores, hits, positives):
    if sum(hits) == 0:
        return 1
    tried = {t: 2 * (hits & (scores >= t)).sum() / ((scores >= t).sum() + positives) for t in scores}
    return max(t for t, f1 in tried.items() if f1 >= max(tried.values()) - 1e-12)


def gate_by_bincount(labels, mask, least_pixels):
    counts = np.bincount(mask.ravel(), minlength=10)
    return [k for k, label in enumerate(labels) if counts[label] >= least_pixels]


def gate_of_tensors(labels, mask, least_pixels):
    same = tf.cast(labels, tf.int32)[:, None, None] == tf.cast(mask, tf.int32)[None]
    return tf.where(tf.math.count_nonzero(same, axis=(1, 2)) >= least_pixels)[:, 0]


HONEST = {
    "08.median_frequency_weights": (weights_class_by_class,),
    "08.flip": (flip_in_place_of_copies, flip_in_lists, flip_tensors),
    "08.crop_boxes": (crop_box_by_box, crop_in_lists, crop_tensors),
    "08.joint_network": (joint_by_hand,),
    "08.average_precision": (
        precision_by_loops,
        precision_at_hundredths,
        precision_at_a_divided_range,
        precision_at_a_range_of_steps,
        precision_with_a_tolerance,
        precision_in_whole_numbers,
        precision_in_float32,
    ),
    "08.choose_threshold": (
        threshold_by_trying,
        threshold_from_precision_and_recall,
        threshold_from_a_harmonic_mean,
        threshold_by_jaccard,
    ),
    "08.segmentation_gate": (gate_by_bincount, gate_of_tensors),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("08")


def _curves(exercise_id):
    """(found, kept, positives) of every case of many checks."""
    for seed in SEEDS:
        for scores, hits, positives in EXERCISES[exercise_id].cases(seed):
            yield np.cumsum(np.asarray(hits, int)[np.argsort(-scores)]), np.arange(1, len(hits) + 1), positives


def test_no_recall_but_0_and_1_is_one_of_the_101_so_that_no_rounding_decides():
    for found, _, positives in _curves("08.average_precision"):
        on_a_hundredth = found[100 * found % positives == 0]
        assert set(on_a_hundredth.tolist()) <= {0, positives}


def test_the_best_f1_is_reached_once_or_by_precision_and_recall_that_change_places():
    for found, kept, positives in _curves("08.choose_threshold"):
        f1 = 2 * found / (kept + positives)
        best = np.flatnonzero(f1 > f1.max() - 1e-9) if found.any() else [0]
        assert len({frozenset((found[k] / kept[k], found[k] / positives)) for k in best}) == 1


# Mistakes, written as people write them


def edges_not_exchanged(image, boxes, mask):
    return image[:, ::-1], np.stack([1 - boxes[:, 0], boxes[:, 1], 1 - boxes[:, 2], boxes[:, 3]], axis=1), mask[:, ::-1]


def two_of_three(image, boxes, mask):
    return image[:, ::-1], mask[:, ::-1]


def kept_as_booleans(boxes, window):
    xmin, ymin, xmax, ymax = window
    moved = (boxes - [xmin, ymin, xmin, ymin]) / [xmax - xmin, ymax - ymin, xmax - xmin, ymax - ymin]
    cut = np.clip(moved, 0, 1)
    return cut[areas(cut) >= 0.25 * areas(moved)], areas(cut) >= 0.25 * areas(moved)


def both_things_of_deeplab(image_size, backbone, anchors_per_cell, classes):
    image = keras.Input((*image_size, 3))
    maps = backbone(layers.Rescaling(1 / 127.5, offset=-1)(image))
    mask = deeplabv3plus(maps, image_size, classes, channels=64, rates=(2, 4), low_level_channels=24)
    logits, offsets = ssdlite([maps[8], maps[16], maps[32], *extra_maps(maps[32], (96,))], anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})


def three_maps(image_size, backbone, anchors_per_cell, classes):
    image = keras.Input((*image_size, 3))
    maps = backbone(layers.Rescaling(1 / 127.5, offset=-1)(image))
    return ssdlite([maps[8], maps[16], maps[32]], anchors_per_cell, classes)


def no_zero_behind(scores, hits, positives):
    found = np.cumsum(hits[np.argsort(-scores)])
    precision = found / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return best[np.searchsorted(found / positives, np.linspace(0, 1, 101))].mean()


def precision_alone(scores, hits, positives):
    order = np.argsort(-scores)
    return scores[order][(np.cumsum(hits[order]) / np.arange(1, len(hits) + 1)).argmax()] if hits.any() else 1.0


def overlap_unclipped(boxes, window):
    """Width times height, both of which may be negative."""
    boxes, (x0, y0, x1, y1) = np.asarray(boxes).reshape(-1, 4), window
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    kept = np.flatnonzero(width * height >= 0.25 * areas(boxes))
    moved = (boxes - [x0, y0, x0, y0]) / [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
    return np.clip(moved, 0, 1)[kept], kept


def nothing_dropped(boxes, window):
    x0, y0, x1, y1 = window
    cut = np.clip(boxes, [x0, y0, x0, y0], [x1, y1, x1, y1])
    return (cut - [x0, y0, x0, y0]) / [x1 - x0, y1 - y0, x1 - x0, y1 - y0], np.arange(len(boxes))


def left_in_the_image(boxes, window):
    x0, y0, x1, y1 = window
    cut = np.clip(boxes, [x0, y0, x0, y0], [x1, y1, x1, y1])
    kept = np.flatnonzero(areas(cut) >= 0.25 * areas(boxes))
    return cut[kept], kept


def background_counted(image_size, backbone, anchors_per_cell, classes):
    image = keras.Input((*image_size, 3))
    maps = backbone(layers.Rescaling(1 / 127.5, offset=-1)(image))
    mask, _ = deeplabv3plus(maps, image_size, classes, channels=64, rates=(2, 4), low_level_channels=24)
    chosen = [maps[8], maps[16], maps[32], *extra_maps(maps[32], (96,))]
    logits, offsets = ssdlite(chosen, anchors_per_cell, classes + 1)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})


def one_map_too_fine(image_size, backbone, anchors_per_cell, classes):
    image = keras.Input((*image_size, 3))
    maps = backbone(layers.Rescaling(1 / 127.5, offset=-1)(image))
    mask, _ = deeplabv3plus(maps, image_size, classes, channels=64, rates=(2, 4), low_level_channels=24)
    logits, offsets = ssdlite([maps[4], maps[8], maps[16], maps[32]], anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})


def labels_for_a_mask(image_size, backbone, anchors_per_cell, classes):
    image = keras.Input((*image_size, 3))
    maps = backbone(layers.Rescaling(1 / 127.5, offset=-1)(image))
    mask, _ = deeplabv3plus(maps, image_size, classes, channels=64, rates=(2, 4), low_level_channels=24)
    chosen = [maps[8], maps[16], maps[32], *extra_maps(maps[32], (96,))]
    logits, offsets = ssdlite(chosen, anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": ops.argmax(mask, axis=-1)})


def precision_at_the_hits(scores, hits, positives):
    precision, _ = _precision_and_recall(scores, hits, positives)
    return np.sum(precision * hits[np.argsort(-scores)]) / positives


precision_at_eleven = _precision_at(lambda: np.arange(11) / 10)


def precision_where_reached(scores, hits, positives):
    if not len(scores):
        return 0.0
    precision, recall = _precision_and_recall(scores, hits, positives)
    return np.mean([precision[recall >= r].max() for r in np.linspace(0, 1, 101) if r <= recall[-1]])


def product_of_both(scores, hits, positives):
    precision, recall = _precision_and_recall(scores, hits, positives)
    return np.sort(scores)[::-1][(precision * recall).argmax()] if hits.any() else 1.0


def recall_of_the_found(scores, hits, positives):
    if not hits.any():
        return 1.0
    precision, recall = _precision_and_recall(scores, hits, hits.sum())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return scores[np.argsort(-scores)][f1.argmax()]


def how_many_to_keep(scores, hits, positives):
    precision, recall = _precision_and_recall(scores, hits, positives)
    return (precision * recall / np.maximum(precision + recall, 1e-9)).argmax() + 1


def largest_of_none(scores, hits, positives):
    precision, recall = _precision_and_recall(scores, hits, positives)
    best = [precision[recall >= r].max() if r <= recall.max() else 0 for r in np.linspace(0, 1, 101)]
    return np.mean(best)


def gate_of_a_picture(labels, mask, least_pixels):
    return np.flatnonzero(np.bincount(mask, minlength=9)[labels] >= least_pixels)


def gate_as_where_gives_it(labels, mask, least_pixels):
    return np.where(np.array([np.sum(mask == label) >= least_pixels for label in labels], bool))


def gate_in_true_and_false(labels, mask, least_pixels):
    return np.array([np.sum(mask == label) >= least_pixels for label in labels], bool)


MISTAKES = {
    "08.flip": (
        (edges_not_exchanged, "comes from the old *right* one"),
        (two_of_three, "it should return 3 things, image, boxes and mask"),
    ),
    "08.crop_boxes": (
        (kept_as_booleans, "np.flatnonzero makes them of true and false"),
        (overlap_unclipped, "both sides of its overlap are negative"),
        (nothing_dropped, "nothing is dropped"),
        (left_in_the_image, "but in fractions of the image"),
    ),
    "08.joint_network": (
        (both_things_of_deeplab, "mask"),
        (three_maps, "as many maps as numbers of anchors"),
        (background_counted, "ssdlite adds the background itself"),
        (one_map_too_fine, "the detector does not look at the map of stride 4"),
        (labels_for_a_mask, "the mask's *logits* are wanted"),
    ),
    "08.average_precision": (
        (no_zero_behind, "append a 0 to the list first"),
        (largest_of_none, "there is no largest of none"),
        (precision_at_the_hits, "the area under the curve as it is"),
        (precision_at_eleven, "not the 11 of the older VOC"),
        (precision_where_reached, "recalls that are never reached count, too"),
    ),
    "08.choose_threshold": (
        (precision_alone, "the precision alone"),
        (product_of_both, "that is precision times recall"),
        (recall_of_the_found, "not of those found"),
        (how_many_to_keep, "that is how many to keep"),
    ),
    "08.segmentation_gate": (
        (gate_of_a_picture, "mask.ravel()"),
        (gate_as_where_gives_it, "np.where gives a tuple"),
        (gate_in_true_and_false, "np.flatnonzero makes them of true and false"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
