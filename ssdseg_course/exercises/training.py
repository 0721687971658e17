"""The exercises of lesson 8: weights of the classes, augmentation, the joint network, and how it is judged and used."""

from functools import lru_cache

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.checking.given import small_backbone
from ssdseg_course.checking.networks import compare_networks, run_network
from ssdseg_course.exercises.mobilenetv2 import KERAS_ERRORS
from ssdseg_course.lazy import LazyModule
from ssdseg_ref import metrics
from ssdseg_ref.boxes import areas
from ssdseg_ref.data import augment, statistics

keras = LazyModule("keras")
layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
ssdlite = LazyModule("ssdseg_ref.ssdlite")
deeplabv3plus = LazyModule("ssdseg_ref.deeplabv3plus")
multitask = LazyModule("ssdseg_ref.multitask")

EXTRA_CHANNELS, MASK_CHANNELS, RATES, LOW_LEVEL_CHANNELS = (96,), 64, (2, 4), 24  # of the lesson's network


# 08.median_frequency_weights


def median_frequency_weights(pixel_counts):
    """The reference's."""
    return statistics.median_frequency_weights(np.asarray(pixel_counts))


def _weights_with(*, shown=True, middle=np.median, inverse=True, power=1.0, background=True):
    def weigh(pixel_counts):
        own = pixel_counts.sum(axis=0)
        sizes = pixel_counts.sum(axis=1)
        total = ((pixel_counts > 0) * sizes[:, None]).sum(axis=0) if shown else sizes.sum()
        frequency = own / total
        level = middle(frequency if background else frequency[1:])
        return (level / frequency if inverse else frequency / level) ** power

    return weigh


def _mean_of_shares(pixel_counts):
    """The mean of each image's share, of the images that show the class."""
    shares = pixel_counts / pixel_counts.sum(axis=1, keepdims=True)
    frequency = shares.sum(axis=0) / (pixel_counts > 0).sum(axis=0)
    return np.median(frequency) / frequency


def _draw_counts(rng: np.random.Generator):
    images, classes = int(rng.integers(3, 7)), int(rng.integers(3, 6))
    counts = rng.integers(1, 400, (images, classes)) * (rng.random((images, classes)) < 0.6)
    counts[:, 0] = rng.integers(500, 4000, images)
    counts[rng.integers(images, size=classes), np.arange(classes)] += 7  # every class occurs
    counts[0, 1:] = 0  # an empty image
    counts[1, 1:] += 3
    return (counts,)


MEDIAN_FREQUENCY_WEIGHTS = Exercise(
    id="08.median_frequency_weights",
    title="Weights that make up for rarity",
    points=10,
    difficulty="easy",
    minutes=15,
    reference=median_frequency_weights,
    fixed_cases=((np.array([[80, 20, 0], [90, 0, 10]]),), (np.array([[900, 60, 40], [1000, 0, 0], [500, 0, 100]]),)),
    draw=_draw_counts,
    hints=(
        "For each class two sums over the images: its own pixels, and all pixels of the images that show it.",
        "`pixel_counts > 0` says which image shows which class. Multiply it by each image's size, as a column: "
        "pixel_counts.sum(axis=1)[:, None].",
        "frequency = pixel_counts.sum(axis=0) / ((pixel_counts > 0) * pixel_counts.sum(axis=1)[:, None]).sum(axis=0); "
        "np.median(frequency) / frequency.",
    ),
    mutants=(
        Mutant(_weights_with(inverse=False), "upside down: a rare class needs a large weight."),
        Mutant(
            _weights_with(shown=False),
            "divide by the pixels of the images that show the class, not by those of all images.",
        ),
        Mutant(_weights_with(middle=np.mean), "the median of the frequencies, not their mean."),
        Mutant(_weights_with(middle=lambda f: 1.0), "times the median: then the middle class has the weight 1."),
        Mutant(_weights_with(background=False), "the background counts in the median like the others."),
        Mutant(_weights_with(power=0.5), "no root is taken here."),
        Mutant(_mean_of_shares, "add up the pixels of all images first, then divide once."),
        Mutant(_weights_with(middle=np.max), "the median of the frequencies, not the largest."),
    ),
    errors=(("broadcast", "an image's size, beside (images, classes), has to be a column: [:, None]."),),
)


# 08.flip


def flip(image, boxes, mask):
    """The mirror image, left and right exchanged.

    Args:
        image: (H, W, 3).
        boxes: (N, 4) corners in fractions of the image.
        mask: (H, W).
    """
    boxes = np.asarray(boxes)
    return image[:, ::-1], np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1), mask[:, ::-1]


def _flip_with(*, boxes=None, image=True, mask=True, rows=False):
    def flipped(picture, corners, classes):
        xmin, ymin, xmax, ymax = np.asarray(corners).T
        turn = (lambda array: array[::-1]) if rows else (lambda array: array[:, ::-1])
        new = boxes(xmin, ymin, xmax, ymax, picture.shape[1]) if boxes else (1 - xmax, ymin, 1 - xmin, ymax)
        return turn(picture) if image else picture, np.stack(new, axis=1), turn(classes) if mask else classes

    return flipped


def _compare_parts(*names: str):
    """A comparison for several things that are returned together: the first that is wrong, by its name."""

    def compare(value, expected):
        if not isinstance(value, tuple) or len(value) != len(names):
            return Complaint((f"it should return {len(names)} things: {', '.join(names)}",))
        for name, yours, right in zip(names, value, expected, strict=True):
            complaint = compare_arrays(yours, right)
            if complaint:
                return Complaint((f"{name}: {complaint.lines[0]}", *complaint.lines[1:]), complaint.advice)
        return None

    return compare


def _draw_sample(rng: np.random.Generator):
    height, width, count = int(rng.integers(2, 5)), int(rng.integers(5, 8)), int(rng.integers(1, 4))
    low = rng.uniform(0, 0.5, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.5, (count, 2))], axis=1)
    return rng.integers(0, 256, (height, width, 3)), boxes, rng.integers(0, 4, (height, width))


FLIP = Exercise(
    id="08.flip",
    title="The mirror image",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=flip,
    fixed_cases=(
        _draw_sample(np.random.default_rng(0)),
        (*_draw_sample(np.random.default_rng(1))[:1], np.empty((0, 4)), _draw_sample(np.random.default_rng(1))[2]),
    ),
    draw=_draw_sample,
    hints=(
        "Pixels: [:, ::-1]. Boxes: what was the right edge, seen from the left, is now the left edge.",
        "x becomes 1 - x. So the new xmin is 1 - xmax, and the new xmax is 1 - xmin.",
        "np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1).",
    ),
    mutants=(
        Mutant(_flip_with(mask=False), "the mask has to be flipped as well."),
        Mutant(_flip_with(image=False), "the image itself is not flipped."),
        Mutant(_flip_with(boxes=lambda x0, y0, x1, y1, w: (x0, y0, x1, y1)), "the boxes have stayed where they were."),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (1 - x0, y0, 1 - x1, y1)),
            "now xmin is larger than xmax: the new left edge comes from the old *right* one.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (1 - x1 - 1 / w, y0, 1 - x0 - 1 / w, y1)),
            "everything is a pixel too far to the left: boxes are pieces of the plane, x becomes 1 - x.",
        ),
        Mutant(_flip_with(rows=True), "that turns image and mask upside down: the columns are the second axis."),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (x0, 1 - y1, x1, 1 - y0)), "left and right, not top and bottom."
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (w - x1, y0, w - x0, y1)),
            "boxes are fractions of the image, so the right edge lies at 1.",
        ),
    ),
    compare=_compare_parts("image", "boxes", "mask"),
)


# 08.crop_boxes


def crop_boxes(boxes, window):
    """The reference's."""
    return augment.crop_boxes(boxes, window)


def _crop_with(
    *, moved=True, scaled=True, cut=True, rule="area", least=0.25, strict=False, all_boxes=False, after_cut=True
):  # fmt: skip
    def crop(boxes, window):
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        xmin, ymin, xmax, ymax = window
        new = boxes - [xmin, ymin, xmin, ymin] if moved else boxes
        new = new / ([xmax - xmin, ymax - ymin] * 2) if scaled else new
        high = (1, 1, 1, 1) if scaled else (xmax - xmin, ymax - ymin) * 2
        clipped = np.clip(new, 0, high)
        share = areas(clipped) / np.maximum(areas(new), 1e-12)
        middle = (new[:, :2] + new[:, 2:]) / 2
        keep = {
            "area": share > least if strict else share >= least,
            "middle": ((middle > 0) & (middle < 1)).all(axis=1),
            "any": share > 0,
            "inside": share > 1 - 1e-6,
            "window": areas(clipped) >= least,
        }[rule]
        kept = np.flatnonzero(keep)
        result = clipped if cut else new
        return (result if all_boxes else result[kept]), kept

    return crop


def _draw_window(rng: np.random.Generator):
    count = int(rng.integers(4, 9))
    low = rng.uniform(0, 0.6, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.2, 0.4, (count, 2))], axis=1)
    x, y = rng.uniform(0.1, 0.4, 2).tolist()
    return boxes, (x, y, x + 0.45, y + 0.4)


CROP_BOXES = Exercise(
    id="08.crop_boxes",
    title="What is left of a box",
    points=15,
    difficulty="medium",
    minutes=20,
    reference=crop_boxes,
    fixed_cases=(
        (np.array([[0.25, 0.25, 0.5, 0.5]]), (0.25, 0.0, 0.75, 1.0)),
        (
            np.array([[0, 0, 0.5, 0.5], [0.4, 0.4, 0.6, 0.6], [0.125, 0.5, 0.375, 0.75], [0.7, 0.7, 1.0, 1.0]]),
            (0.25, 0.25, 0.75, 0.75),
        ),
        (np.empty((0, 4)), (0.25, 0.25, 0.75, 0.75)),
    ),
    draw=_draw_window,
    hints=(
        "Move the boxes so that the window's corner is the origin, divide by the window's sides, cut to 0..1.",
        "share = areas(cut) / areas(moved), the part of each box that is left; keep where it is at least 0.25.",
        "moved = (boxes - [xmin, ymin, xmin, ymin]) / [width, height, width, height]; cut = np.clip(moved, 0, 1); "
        "kept = np.flatnonzero(areas(cut) >= 0.25 * areas(moved)); return cut[kept], kept.",
    ),
    mutants=(
        Mutant(_crop_with(moved=False), "the window's corner is the new origin: subtract it first."),
        Mutant(_crop_with(scaled=False), "the new boxes are fractions of the *window*: divide by its sides."),
        Mutant(_crop_with(cut=False), "boxes are cut at the window's edge."),
        Mutant(_crop_with(rule="middle"), "what counts is how much of its area is left, not where its middle lies."),
        Mutant(_crop_with(rule="any"), "boxes of which less than a quarter is left are dropped."),
        Mutant(_crop_with(rule="inside"), "boxes may be cut: a quarter is enough."),
        Mutant(_crop_with(rule="window"), "a quarter of the *box*, not of the window."),
        Mutant(_crop_with(least=0.5), "a quarter is enough, not a half."),
        Mutant(_crop_with(strict=True), "exactly a quarter is enough."),
        Mutant(_crop_with(all_boxes=True), "the boxes that are dropped are still there."),
    ),
    compare=_compare_parts("boxes", "indices"),
    errors=(("broadcast", "four numbers for four sides: [xmin, ymin, xmin, ymin]."),),
)


# 08.joint_network


def joint_network(image_size, backbone, anchors_per_cell, classes):
    """The lesson's network on any backbone.

    Args:
        image_size: (height, width) in pixels.
        backbone: from (B, H, W, 3) in -1..1 to {4: ..., 8: ..., 16: ..., 32: ...}.
        anchors_per_cell: one number a map of stride 8, 16, 32 and 64.
        classes: number of classes, background not counted.
    """
    return _network()(image_size, backbone, anchors_per_cell, classes)


# Most mistakes leave most of the network as it is, and building takes longer than all else in a check: so each part is
# built once, and stands in the networks of several mistakes.


@lru_cache(maxsize=8)
def _picture_and_maps(image_size, backbone, scale, offset):
    image = keras.Input((*image_size, 3))
    return image, backbone(layers.Rescaling(scale, offset=offset)(image) if scale else image)


@lru_cache(maxsize=16)
def _mask_head(image_size, backbone, scale, offset, classes, size):
    _, maps = _picture_and_maps(image_size, backbone, scale, offset)
    mask, _ = deeplabv3plus.deeplabv3plus(
        maps, size, classes, channels=MASK_CHANNELS, rates=RATES, low_level_channels=LOW_LEVEL_CHANNELS
    )
    return mask


@lru_cache(maxsize=16)
def _detector(image_size, backbone, scale, offset, classes, anchors_per_cell, strides, order):
    _, maps = _picture_and_maps(image_size, backbone, scale, offset)
    chosen = [maps[stride] for stride in strides]
    chosen += ssdlite.extra_maps(chosen[-1], EXTRA_CHANNELS * (len(anchors_per_cell) - len(chosen)))
    return ssdlite.ssdlite(chosen[::order], anchors_per_cell, classes)


def _network(
    *, scale=1 / 127.5, offset=-1.0, order=1, last=32, classes_more=0, size=None, as_list=False, swapped=False
):  # fmt: skip
    """The network with one mistake, or with none."""

    def build(image_size, backbone, anchors_per_cell, classes):
        below = (image_size, backbone, scale, offset)
        image, _ = _picture_and_maps(*below)
        classes += classes_more
        mask = _mask_head(*below, classes, size or image_size)
        strides = tuple(stride for stride in (8, 16, 32) if stride <= last)
        logits, offsets = _detector(*below, classes, anchors_per_cell, strides, order)
        if swapped:
            logits, offsets = offsets, logits
        if as_list:
            return keras.Model(image, [logits, offsets, mask])
        return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})

    return build


def _two_passes(image_size, backbone, anchors_per_cell, classes):
    """A backbone for each head: twice the work."""
    image = keras.Input((*image_size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    maps, others = backbone(x), backbone(x)
    mask, _ = deeplabv3plus.deeplabv3plus(
        others, image_size, classes, channels=MASK_CHANNELS, rates=RATES, low_level_channels=LOW_LEVEL_CHANNELS
    )
    chosen = [maps[8], maps[16], maps[32]]
    chosen += ssdlite.extra_maps(chosen[-1], EXTRA_CHANNELS)
    logits, offsets = ssdlite.ssdlite(chosen, anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})


JOINT_NETWORK = Exercise(
    id="08.joint_network",
    title="Two heads on one backbone",
    points=20,
    difficulty="medium",
    minutes=25,
    reference=joint_network,
    fixed_cases=(((70, 90), small_backbone, (2, 3, 1, 2), 2),),  # sides that 32 does not divide, and not our classes
    draw=None,
    hints=(
        "From the picture up: keras.Input, Rescaling, the backbone once. Then the mask's head, then the detector's.",
        "deeplabv3plus takes all maps and gives two things, of which you need the first. ssdlite wants a list of four "
        "maps: strides 8, 16, 32 and the extra one, extra_maps(maps[32], (96,)).",
        "chosen = [maps[8], maps[16], maps[32], *extra_maps(maps[32], (96,))]; logits, offsets = ssdlite(chosen, "
        'anchors_per_cell, classes); keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask}).',
    ),
    mutants=(
        Mutant(_network(scale=None), "pixels come as 0..255; the backbone wants -1..1: layers.Rescaling first."),
        Mutant(_network(scale=1 / 255, offset=0.0), "that scales to 0..1; the backbone wants -1..1."),
        Mutant(_network(scale=1 / 127.5, offset=0.0), "that scales to 0..2: the offset of -1 is missing."),
        Mutant(_network(order=-1), "the detector's maps come finest first, as the anchors do."),
        Mutant(_network(last=16), "the map of stride 32 is missing among the detector's."),
        Mutant(_network(classes_more=1), "the heads add the background themselves: give them `classes`."),
        Mutant(_network(as_list=True), "a dict is wanted, so that nobody has to remember an order."),
        Mutant(_network(swapped=True), "classes and offsets are exchanged: ssdlite gives the logits first."),
        Mutant(_network(size=(32, 32)), "the mask has the size of the picture."),
        Mutant(_two_passes, "the backbone is built twice. One, for both heads: that is the point."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        ("zip()", "as many maps as numbers of anchors: strides 8, 16, 32, and one extra map."),
        ("unpack", "deeplabv3plus gives two things, ssdlite too: name both."),
        ("KeyError", "the maps are a dict by stride: 2, 4, 8, 16, 32."),
        *KERAS_ERRORS,
    ),
)


# 08.average_precision


def average_precision(scores, hits, positives):
    """The reference's."""
    return metrics.average_precision(scores, hits, positives)


def _precision_with(
    *, ordered=True, envelope=True, recalls=101, interpolate=True, rising=False, divisor=None, first=0.0
):  # fmt: skip
    def precision(scores, hits, positives):
        scores, hits = np.asarray(scores), np.asarray(hits, float)
        order = np.argsort(scores if rising else -scores, kind="stable") if ordered else np.arange(len(scores))
        found = np.cumsum(hits[order])
        recall = found / (positives if divisor is None else max(found[-1] if len(found) else 1, 1))
        curve = found / np.arange(1, len(found) + 1)
        best = np.maximum.accumulate(curve[::-1])[::-1] if envelope else curve
        if not interpolate:
            return float(np.sum(np.diff(np.append(0, recall)) * best))
        points = np.linspace(first, 1, recalls)
        at = np.searchsorted(recall, points)
        return float(np.where(at < len(best), np.append(best, 0)[at], 0).mean())

    return precision


def _only_recall(scores, hits, positives):
    return float(np.sum(hits) / positives)


def _draw_hits(rng: np.random.Generator):
    count = int(rng.integers(8, 30))
    scores = rng.permutation(count) / count + 0.01
    hits = rng.random(count) < 0.3 + 0.5 * scores
    hits[scores.argmax()] = False  # so that precision rises somewhere
    hits[np.argsort(-scores)[1]] = True
    return scores, hits, int(hits.sum() + rng.integers(1, 5))


AVERAGE_PRECISION = Exercise(
    id="08.average_precision",
    title="Average precision",
    points=20,
    difficulty="hard",
    minutes=30,
    reference=average_precision,
    fixed_cases=(
        (np.array([0.9]), np.array([True]), 1),
        (np.array([0.9, 0.8]), np.array([True, False]), 2),
        (np.array([0.3, 0.9, 0.8, 0.5]), np.array([True, False, True, True]), 4),
        (np.array([0.6, 0.7]), np.array([False, False]), 3),
        (np.array([]), np.array([], bool), 3),
    ),
    draw=_draw_hits,
    hints=(
        "Sort by score, best first. How many have been found after 1, 2, 3, ... detections? That gives precision and "
        "recall at each of them.",
        "The best precision still to come is a maximum from behind: np.maximum.accumulate(precision[::-1])[::-1]. At "
        "each of 101 recalls take it at the first detection whose recall reaches that far, np.searchsorted.",
        "at = np.searchsorted(recall, np.linspace(0, 1, 101)); np.append(best, 0)[at].mean(): where the recall is "
        "never reached, `at` is the length of the list, and the appended 0 stands there.",
    ),
    mutants=(
        Mutant(_precision_with(ordered=False), "the detections have to be sorted by score, the best first."),
        Mutant(_precision_with(rising=True), "the best come first: argsort rises, so sort by -scores."),
        Mutant(
            _precision_with(envelope=False),
            "at each recall the best precision *still to come* counts: the curve may only fall.",
        ),
        Mutant(_precision_with(recalls=11), "101 recalls, as COCO has them, not the 11 of the older VOC."),
        Mutant(
            _precision_with(interpolate=False), "that is the area under the steps; COCO takes the mean at 101 recalls."
        ),
        Mutant(_precision_with(divisor="found"), "recall is a share of all boxes that there are, not of those found."),
        Mutant(_only_recall, "that is the recall in the end."),
        Mutant(
            lambda s, h, p: float(np.mean(h)) if len(h) else 0.0, "that is the precision of all detections together."
        ),
        Mutant(_precision_with(first=0.01, recalls=100), "the recall 0 is one of the 101."),
    ),
    errors=(
        ("IndexError", "a recall that is never reached has the precision 0: append a 0 to the list first."),
        ("ZeroDivisionError", "without any detection it is 0; np.arange(1, 1) is an empty list, which does no harm."),
    ),
)


# 08.choose_threshold


def choose_threshold(scores, hits, positives):
    """The reference's."""
    return metrics.choose_threshold(scores, hits, positives)


def _threshold_with(measure, *, ordered=True, last_of_equal=False):
    def choose(scores, hits, positives):
        scores, hits = np.asarray(scores, float), np.asarray(hits, bool)
        if not hits.any():
            return 1.0
        order = np.argsort(-scores, kind="stable") if ordered else np.arange(len(scores))
        found, kept = np.cumsum(hits[order]), np.arange(1, len(hits) + 1)
        value = measure(found, kept, positives)
        best = len(value) - 1 - value[::-1].argmax() if last_of_equal else value.argmax()
        return float(scores[order][best])

    return choose


def _f1(found, kept, positives):
    return 2 * found / (kept + positives)


def _index(scores, hits, positives):
    return float(_f1(np.cumsum(np.asarray(hits)[np.argsort(-scores)]), np.arange(1, len(hits) + 1), positives).argmax())


def _best_value(scores, hits, positives):
    return float(_f1(np.cumsum(np.asarray(hits)[np.argsort(-scores)]), np.arange(1, len(hits) + 1), positives).max())


CHOOSE_THRESHOLD = Exercise(
    id="08.choose_threshold",
    title="How sure is sure enough",
    points=15,
    difficulty="medium",
    minutes=20,
    reference=choose_threshold,
    fixed_cases=(
        (np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, True, False, True]), 3),
        (np.array([0.2, 0.9, 0.8, 0.3, 0.1]), np.array([False, True, True, False, False]), 2),
        (np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]), np.array([True, True, False, False, False, False, True]), 3),
        (np.array([0.9, 0.5, 0.4, 0.3]), np.array([True, False, False, True]), 2),
        (np.array([0.95, 0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, True, True, False, False]), 8),
        (np.array([0.9]), np.array([False]), 2),
    ),
    draw=_draw_hits,
    hints=(
        "Sort, best first. If you keep the first k, how many are right? F1 of each k, and where it is largest.",
        "found = np.cumsum(hits in that order); f1 = 2 * found / (k + positives), where k = np.arange(1, D + 1). "
        "np.argmax gives the first of the largest.",
        "order = np.argsort(-scores); f1 = 2 * np.cumsum(hits[order]) / (np.arange(1, len(hits) + 1) + positives); "
        "scores[order][f1.argmax()], or 1.0 where not hits.any().",
    ),
    mutants=(
        Mutant(
            _threshold_with(lambda found, kept, positives: found / kept),
            "that looks at the precision alone: it keeps the first hits and misses the rest.",
        ),
        Mutant(
            _threshold_with(lambda found, kept, positives: found / positives),
            "that looks at the recall alone: it keeps everything.",
        ),
        Mutant(_threshold_with(_f1, ordered=False), "the detections have to be sorted by score first."),
        Mutant(_threshold_with(_f1, last_of_equal=True), "of several with the same F1 the highest threshold."),
        Mutant(_index, "that is the place in the list; wanted is the score that stands there."),
        Mutant(_best_value, "that is the best F1; wanted is the score at which it is reached."),
        Mutant(
            _threshold_with(lambda found, kept, positives: found / kept + found / positives),
            "F1 is the harmonic mean, 2 * found / (kept + positives), not the sum of precision and recall.",
        ),
        Mutant(lambda s, h, p: 0.5, "0.5 is as good a guess as any, but look at the scores."),
    ),
    errors=(
        ("empty", "without any hit it is 1.0: ask `if not hits.any()` first."),
        ("IndexError", "which list does the index point into, the sorted or the given one?"),
    ),
)


# 08.segmentation_gate


def segmentation_gate(labels, mask, least_pixels):
    """The reference's."""
    return multitask.segmentation_gate(labels, mask, least_pixels)


def _gate_with(*, strict=False, least=None, all_pixels=False, values=False, blocked=False):
    def gate(labels, mask, least_pixels):
        labels, mask = np.asarray(labels, int), np.asarray(mask)
        count = np.array([(mask == label).sum() for label in labels], int)
        if all_pixels:
            count = np.full(len(labels), (mask > 0).sum())
        least_pixels = least_pixels if least is None else least
        passes = count > least_pixels if strict else count >= least_pixels
        passes = ~passes if blocked else passes
        return labels[passes] if values else np.flatnonzero(passes)

    return gate


def _draw_gate(rng: np.random.Generator):
    mask = rng.choice([0, 0, 0, 0, 1, 2, 3], (4, 5), p=[0.2, 0.2, 0.2, 0.2, 0.12, 0.06, 0.02])
    mask[0, :4] = (1, 1, 1, 0)
    mask[mask == 3] = 0
    mask[1, 1] = 3
    labels = np.concatenate([[3, 1], rng.integers(1, 4, 5)])
    return labels, mask, 3


SEGMENTATION_GATE = Exercise(
    id="08.segmentation_gate",
    title="The one head asks the other",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=segmentation_gate,
    fixed_cases=(
        (np.array([1, 2, 1]), np.array([[0, 0], [0, 1]]), 1),
        (np.array([3, 2, 1, 2]), np.array([[0, 2, 2], [3, 1, 1]]), 2),
        (np.array([2, 1]), np.array([[0, 0], [1, 0]]), 0),
        (np.array([2, 1]), np.array([[0, 0], [0, 0]]), 1),
        (np.array([], int), np.array([[0, 1]]), 1),
    ),
    draw=_draw_gate,
    hints=(
        "For each detection: how many pixels of the mask have its class?",
        "np.bincount(mask.ravel(), minlength=...) counts each class; indexed with `labels`, it has a number for each "
        "detection.",
        "pixels = np.array([(mask == label).sum() for label in labels]); np.flatnonzero(pixels >= least_pixels).",
    ),
    mutants=(
        Mutant(_gate_with(strict=True), "exactly so many pixels are enough: at least, not more than."),
        Mutant(_gate_with(least=1), "it passes with a single pixel, whatever `least_pixels` says."),
        Mutant(_gate_with(all_pixels=True), "the pixels of *its own* class count, not those of all classes."),
        Mutant(_gate_with(values=True), "the indices are wanted, not the labels."),
        Mutant(_gate_with(blocked=True), "those are the ones that should not pass."),
        Mutant(lambda labels, mask, least: np.arange(len(labels)), "everything passes."),
    ),
    errors=(
        ("IndexError", "np.bincount has no place for a class that never comes: minlength makes room for it."),
        ("only integer", "an empty list has floats in it: np.array([...], int)."),
    ),
)

EXERCISES = (
    MEDIAN_FREQUENCY_WEIGHTS,
    FLIP,
    CROP_BOXES,
    JOINT_NETWORK,
    AVERAGE_PRECISION,
    CHOOSE_THRESHOLD,
    SEGMENTATION_GATE,
)
