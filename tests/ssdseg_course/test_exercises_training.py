"""Lesson 8's exercises take every honest answer, and have words for the mistakes that people make."""

import keras
import numpy as np
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of
from keras import layers

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


def threshold_by_trying(scores, hits, positives):
    if sum(hits) == 0:
        return 1
    tried = {t: 2 * (hits & (scores >= t)).sum() / ((scores >= t).sum() + positives) for t in scores}
    return max(t for t, f1 in tried.items() if f1 >= max(tried.values()) - 1e-12)


def gate_by_bincount(labels, mask, least_pixels):
    counts = np.bincount(mask.ravel(), minlength=10)
    return [k for k, label in enumerate(labels) if counts[label] >= least_pixels]


HONEST = {
    "08.median_frequency_weights": (weights_class_by_class,),
    "08.flip": (flip_in_place_of_copies,),
    "08.crop_boxes": (crop_box_by_box,),
    "08.joint_network": (joint_by_hand,),
    "08.average_precision": (precision_by_loops,),
    "08.choose_threshold": (threshold_by_trying,),
    "08.segmentation_gate": (gate_by_bincount,),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("08")


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


MISTAKES = {
    "08.flip": (
        (edges_not_exchanged, "comes from the old *right* one"),
        (two_of_three, "it should return 3 things: image, boxes, mask"),
    ),
    "08.crop_boxes": ((kept_as_booleans, "tuple with an array of bool"),),
    "08.joint_network": (
        (both_things_of_deeplab, "mask"),
        (three_maps, "as many maps as numbers of anchors"),
    ),
    "08.average_precision": ((no_zero_behind, "append a 0 to the list first"),),
    "08.choose_threshold": ((precision_alone, "the precision alone"),),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
