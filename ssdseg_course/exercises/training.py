"""The exercises of lesson 8: weights of the classes, augmentation, the joint network, and how it is judged and used."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from ssdseg_course.checking.arguments import small_backbone
from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant
from ssdseg_course.checking.networks import compare_networks, run_network
from ssdseg_course.exercises.shared import KERAS_ERRORS
from ssdseg_course.lazy import LazyModule
from ssdseg_ref.boxes import areas
from ssdseg_ref.prediction import segmentation_gate

keras = LazyModule("keras")
layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
ssdlite = LazyModule("ssdseg_ref.ssdlite")
deeplabv3plus = LazyModule("ssdseg_ref.deeplabv3plus")

INDICES = "indices are wanted: np.flatnonzero makes them of true and false."
TRUE_AND_FALSE = ("of bool", "with a bool"), INDICES

EXTRA_CHANNELS, MASK_CHANNELS, RATES, LOW_LEVEL_CHANNELS = (96,), 64, (2, 4), 24  # of the lesson's network


# 08.median_frequency_weights


def _weights_with(
    *, shown=True, middle=np.median, weight=lambda level, frequency: level / frequency, background=True
):  # fmt: skip
    def weigh(pixel_counts):
        own = pixel_counts.sum(axis=0)
        sizes = pixel_counts.sum(axis=1)
        total = ((pixel_counts > 0) * sizes[:, None]).sum(axis=0) if shown else sizes.sum()
        frequency = own / total
        return weight(middle(frequency if background else frequency[1:]), frequency)

    return weigh


def _weights_from(frequency_of):
    """Median frequency weights, with another idea of what a class's frequency is."""

    def weigh(pixel_counts):
        frequency = frequency_of(pixel_counts, pixel_counts.sum(axis=1, keepdims=True), pixel_counts > 0)
        return np.median(frequency) / frequency

    return weigh


def _median_of_images(counts, sizes, shown):
    """For each class the median share, of the images that show it."""
    shares = counts / sizes
    return np.array([np.median(shares[shown[:, label], label]) for label in range(counts.shape[1])])


def _draw_counts(rng: np.random.Generator) -> Arguments:
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
    home="data.statistics.median_frequency_weights",
    fixed_cases=(
        (np.array([[80, 20, 0], [90, 0, 10]]),),
        (np.array([[900, 60, 40], [1000, 0, 0], [500, 0, 100]]),),
        (np.array([[70, 20, 4, 6], [100, 0, 0, 0], [45, 0, 4, 1], [150, 10, 0, 40]]),),  # no class stands in the middle
    ),
    draw=_draw_counts,
    hints=(
        "For each class two sums over the images: its own pixels, and all pixels of the images that show it.",
        "`pixel_counts > 0` says which image shows which class. Multiply it by each image's size, as a column: "
        "pixel_counts.sum(axis=1)[:, None].",
        "frequency = pixel_counts.sum(axis=0) / ((pixel_counts > 0) * pixel_counts.sum(axis=1)[:, None]).sum(axis=0); "
        "np.median(frequency) / frequency.",
    ),
    mutants=(
        Mutant(
            _weights_with(weight=lambda level, frequency: frequency / level),
            "upside down: a rare class needs a large weight.",
        ),
        Mutant(
            _weights_with(shown=False),
            "divide by the pixels of the images that show the class, not by those of all images.",
        ),
        Mutant(_weights_with(middle=np.mean), "the median of the frequencies, not their mean."),
        Mutant(_weights_with(middle=lambda f: 1.0), "times the median: then the middle class has the weight 1."),
        Mutant(
            _weights_with(middle=lambda f: np.sort(f)[len(f) // 2]),
            "of four frequencies none stands in the middle: the median lies halfway between the second and the third, "
            "and yours is the upper one.",
        ),
        Mutant(
            _weights_with(middle=lambda f: np.sort(f)[(len(f) - 1) // 2]),
            "of four frequencies none stands in the middle: the median lies halfway between the second and the third, "
            "and yours is the lower one.",
        ),
        Mutant(_weights_with(background=False), "the background counts in the median like the others."),
        Mutant(_weights_with(weight=lambda level, frequency: (level / frequency) ** 0.5), "no root is taken here."),
        Mutant(
            _weights_with(weight=lambda level, frequency: 1 - frequency),
            "that is 1 - frequency; the weight is the median frequency divided by the class's own.",
        ),
        Mutant(
            _weights_with(weight=lambda level, frequency: (1 / frequency) / (1 / frequency).sum()),
            "your weights add up to 1; median frequency gives the class in the middle the weight 1.",
        ),
        Mutant(
            _weights_from(lambda counts, sizes, shown: (counts / sizes).sum(axis=0) / shown.sum(axis=0)),
            "add up the pixels of all images first, then divide once.",
        ),
        Mutant(
            _weights_from(_median_of_images),
            "your frequency is a median over images; add up their pixels, and take the median over the classes.",
        ),
        Mutant(
            _weights_from(lambda counts, sizes, shown: shown.mean(axis=0)),
            "that counts the images that show a class; a frequency counts its pixels in them.",
        ),
        Mutant(
            _weights_from(lambda counts, sizes, shown: counts.sum(axis=0) / shown.sum(axis=0)),
            "divide by the *pixels* of the images that show the class, not by how many such images there are.",
        ),
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


def _flip_with(*, boxes=None, image="columns", mask="columns"):
    turns = {
        "columns": lambda array: array[:, ::-1],
        "rows": lambda array: array[::-1],
        "both": lambda array: array[::-1, ::-1],
        "colours": lambda array: array[:, :, ::-1],
        "columns and colours": lambda array: array[:, ::-1, ::-1],
        "all": lambda array: np.flip(array),
        "no": lambda array: array,
    }

    def flipped(picture, corners, classes):
        xmin, ymin, xmax, ymax = np.asarray(corners, np.float64).reshape(-1, 4).T
        new = boxes(xmin, ymin, xmax, ymax, picture.shape[1]) if boxes else (1 - xmax, ymin, 1 - xmin, ymax)
        return turns[image](picture), np.stack(new, axis=1), turns[mask](classes)

    return flipped


def _boxes_last(image, boxes, mask):
    image, boxes, mask = flip(image, boxes, mask)
    return image, mask, boxes


def _draw_sample(rng: np.random.Generator) -> Arguments:
    height, width, count = int(rng.integers(2, 5)), int(rng.integers(5, 8)), int(rng.integers(1, 4))
    low = rng.uniform(0, 0.5, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.5, (count, 2))], axis=1)
    return rng.integers(0, 256, (height, width, 3)), boxes, rng.integers(0, 4, (height, width))


def _flipped(flip, sample):
    """Plays the part of the one at home: the exercise has the parts of a sample, in any type of numbers."""
    image, boxes, mask = flip(sample.image, sample.boxes, sample.mask)
    return replace(
        sample,
        image=np.asarray(image, np.uint8),
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        mask=np.asarray(mask, np.uint8),
    )


FLIP = Exercise(
    id="08.flip",
    title="The mirror image",
    points=10,
    difficulty="easy",
    minutes=10,
    home="data.augment.flip",
    reference=flip,
    piece=_flipped,
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
        Mutant(_flip_with(mask="no"), "the mask has to be flipped as well."),
        Mutant(_flip_with(image="no"), "the image itself is not flipped."),
        Mutant(_flip_with(boxes=lambda x0, y0, x1, y1, w: (x0, y0, x1, y1)), "the boxes have stayed where they were."),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (1 - x0, y0, 1 - x1, y1)),
            "now xmin is larger than xmax: the new left edge comes from the old *right* one.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (1 - x1, y0, x1, y1)),
            "the left edges were written before the right ones were read: both new edges come from the old xmax. Work "
            "on a copy.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (x0, y0, 1 - x0, y1)),
            "the right edges were written before the left ones were read: both new edges come from the old xmin. Work "
            "on a copy.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (x1, y0, x0, y1)),
            "the two edges have changed places, but not moved: x becomes 1 - x.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (1 - x1 - 1 / w, y0, 1 - x0 - 1 / w, y1)),
            "everything is a pixel too far to the left: boxes are pieces of the plane, x becomes 1 - x.",
        ),
        Mutant(
            _flip_with(image="rows", mask="rows"),
            "that turns image and mask upside down: the columns are the second axis.",
        ),
        Mutant(_flip_with(image="rows"), "that turns the image upside down: its columns are the second axis."),
        Mutant(_flip_with(mask="rows"), "that turns the mask upside down: its columns are the second axis."),
        Mutant(
            _flip_with(image="both", mask="both"),
            "that turns image and mask by half a turn: only the columns, the second axis, are reversed.",
        ),
        Mutant(
            _flip_with(image="all", mask="all"),
            "np.flip without an axis reverses all of them, rows and colours, too: it is the second axis, axis=1.",
        ),
        Mutant(_flip_with(image="colours"), "that reverses red, green and blue; the columns are the second axis."),
        Mutant(
            _flip_with(image="columns and colours"),
            "red, green and blue have been reversed as well: only the second axis is.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (x0, 1 - y1, x1, 1 - y0)), "left and right, not top and bottom."
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (1 - x1, 1 - y1, 1 - x0, 1 - y0)),
            "the boxes have been turned upside down as well: y stays.",
        ),
        Mutant(
            _flip_with(boxes=lambda x0, y0, x1, y1, w: (w - x1, y0, w - x0, y1)),
            "boxes are fractions of the image, so the right edge lies at 1.",
        ),
        Mutant(_boxes_last, "the three come back in the order in which they are given: image, boxes, mask."),
    ),
    returns=("image", "boxes", "mask"),
)


# 08.crop_boxes


def _crop_with(
    *, moved=True, scaled=True, cut=True, rule="area", least=0.25, strict=False, all_boxes=False, order=(0, 1, 2, 3),
    sides=(0, 1), in_image=False, places="given", swapped=False,
):  # fmt: skip
    """Cropping with one mistake.

    `order` is how the window's numbers are read, `sides` what x and y are divided by, `in_image` whether the boxes that
    come back are in fractions of the image, and `places` what the indices count.
    """

    def crop(boxes, window):
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        xmin, ymin, xmax, ymax = (window[k] for k in order)
        size = np.array([(xmax - xmin, ymax - ymin)[k] for k in sides] * 2)
        new = boxes - [xmin, ymin, xmin, ymin] if moved else boxes
        new = new / size if scaled else new
        clipped = np.clip(new, 0, 1 if scaled else size)
        low, high = np.maximum(new[:, :2], 0), np.minimum(new[:, 2:], 1)
        if in_image:
            corner = np.array([xmin, ymin, xmin, ymin])
            clipped, new = clipped * size + corner, boxes
        whole = np.maximum(areas(new), 1e-12)
        share = areas(clipped) / whole
        middle = (new[:, :2] + new[:, 2:]) / 2
        by_side = (clipped[:, 2:] - clipped[:, :2]) / np.maximum(new[:, 2:] - new[:, :2], 1e-12)
        keep = {
            "area": share > least if strict else share >= least,
            "signed": np.prod(high - low, axis=1) >= least * whole,
            "signed, cut": np.prod(high - low, axis=1) >= least * whole,
            "middle": ((middle > 0) & (middle < 1)).all(axis=1),
            "any": share > 0,
            "inside": share > 1 - 1e-6,
            "window": areas(clipped) >= least,
            "image": areas(clipped) >= least * areas(boxes),
            "iou": areas(clipped) / (1 + whole - areas(clipped)) >= least,
            "sides": (by_side >= least).all(axis=1),
            "corner": ((new[:, :2] >= 0) & (new[:, :2] < 1)).all(axis=1),
            "none": np.ones(len(boxes), bool),
        }[rule]
        kept = np.flatnonzero(keep)
        result = np.concatenate([low, high], axis=1) if rule == "signed" else clipped if cut else new
        result = result if all_boxes else result[kept]
        kept = {"given": kept, "kept": np.arange(len(kept)), "dropped": np.flatnonzero(~keep)}[places]
        return (kept, result) if swapped else (result, kept)

    return crop


# Much and little of a box in a wide window, along one side or both: every rule but the right one keeps others. Numbers
# are sums of powers of two, so that a quarter is a quarter however it is worked out.
_BOXES_AROUND = np.array(
    [
        [0.3125, 0.1875, 0.5, 0.3125],  # all of it
        [0.125, 0.125, 0.3125, 0.25],  # a third, but not its middle
        [0.0625, 0.1875, 0.3125, 0.25],  # exactly a quarter
        [0.09375, 0.046875, 0.34375, 0.171875],  # three eighths of either side, which is less
        [0.625, 0.25, 0.8125, 0.3125],  # two thirds, and its middle
        [0.15625, 0.078125, 0.40625, 0.203125],  # its middle, but less than a half
        [0.25, 0.3125, 0.375, 0.8125],  # an eighth, over its whole width
        [0.0, 0.0, 1.0, 1.0],  # an eighth, which fills the window
    ]
)


def _draw_window(rng: np.random.Generator) -> Arguments:
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
    home="data.augment.crop_boxes",
    piece=True,
    fixed_cases=(
        (np.array([[0.25, 0.25, 0.5, 0.5]]), (0.25, 0.0, 0.75, 1.0)),
        (
            np.array(
                [[0.0625, 0.5, 0.3125, 0.75], [0.4, 0.4, 0.6, 0.6], [0.15625, 0.5, 0.40625, 0.75], [0.7, 0.7, 1.0, 1.0]]
            ),
            (0.25, 0.25, 0.75, 0.75),
        ),
        # Beside the window, and diagonally behind its corners: there both sides of the overlap are negative.
        (
            np.array([[0.75, 0.75, 1, 1], [0, 0, 0.125, 0.125], [0.25, 0.53125, 0.5, 0.78125], [0, 0.625, 0.25, 0.75]]),
            (0.25, 0.5, 0.5, 0.625),
        ),
        (_BOXES_AROUND, (0.25, 0.125, 0.75, 0.375)),
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
        Mutant(
            _crop_with(in_image=True),
            "the right boxes are kept, but in fractions of the image: move them to the window's corner, and divide by "
            "its sides.",
        ),
        Mutant(_crop_with(sides=(1, 0)), "x is divided by the window's width, y by its height; yours the other way."),
        Mutant(_crop_with(order=(1, 0, 3, 2)), "the window is (xmin, ymin, xmax, ymax): x stands first."),
        Mutant(_crop_with(cut=False), "boxes are cut at the window's edge."),
        Mutant(_crop_with(rule="middle"), "what counts is how much of its area is left, not where its middle lies."),
        Mutant(_crop_with(rule="any"), "boxes of which less than a quarter is left are dropped."),
        Mutant(
            _crop_with(rule="none"), "nothing is dropped, not even a box that lies outside: ask how much of it is left."
        ),
        Mutant(_crop_with(rule="inside"), "boxes may be cut: a quarter is enough."),
        Mutant(_crop_with(rule="window"), "a quarter of the *box*, not of the window."),
        Mutant(
            _crop_with(rule="image"),
            "an area in fractions of the window is compared with one in fractions of the image: take both in one.",
        ),
        Mutant(_crop_with(rule="iou"), "that is IoU of box and window; what counts is the part of the box alone."),
        Mutant(_crop_with(rule="sides"), "a quarter of the area, not a quarter of each side."),
        Mutant(_crop_with(rule="corner"), "what counts is how much of its area is left, not where its corner lies."),
        Mutant(
            _crop_with(rule="signed"),
            "behind the window's corner both sides of the overlap are negative, and their product is positive: no side "
            "may count as less than 0.",
        ),
        Mutant(
            _crop_with(rule="signed, cut"),
            "a box behind the window's corner is kept: both sides of its overlap are negative, and multiplied they "
            "make a positive area.",
        ),
        Mutant(_crop_with(least=0.5), "a quarter is enough, not a half."),
        Mutant(_crop_with(strict=True), "exactly a quarter is enough."),
        Mutant(_crop_with(all_boxes=True), "the boxes that are dropped are still there."),
        Mutant(_crop_with(places="kept"), "the indices are places among the boxes *given*, so that labels can follow."),
        Mutant(_crop_with(places="dropped"), "those are the indices of the boxes that are dropped."),
        Mutant(_crop_with(swapped=True), "the boxes come first, then their indices."),
    ),
    returns=("boxes", "indices"),
    errors=(("broadcast", "four numbers for four sides: [xmin, ymin, xmin, ymin]."), TRUE_AND_FALSE),
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
def _mask_head(image_size, backbone, scale, offset, classes):
    """Logits of the mask, and the decoder's map."""
    _, maps = _picture_and_maps(image_size, backbone, scale, offset)
    return deeplabv3plus.deeplabv3plus(
        maps, image_size, classes, channels=MASK_CHANNELS, rates=RATES, low_level_channels=LOW_LEVEL_CHANNELS
    )


@lru_cache(maxsize=32)
def _detector(image_size, backbone, scale, offset, classes, anchors_per_cell, strides, order):
    _, maps = _picture_and_maps(image_size, backbone, scale, offset)
    chosen = [maps[stride] for stride in strides]
    chosen += ssdlite.extra_maps(chosen[-1], EXTRA_CHANNELS * (len(anchors_per_cell) - len(chosen)))
    return ssdlite.ssdlite(chosen[::order], anchors_per_cell, classes)


def _network(
    *, scale=1 / 127.5, offset=-1.0, order=1, strides=(8, 16, 32), more_in_detector=0, as_list=False, swapped=False,
    mask_of=None,
):  # fmt: skip
    """The network with one mistake, or with none; `mask_of` says what is made of the mask's logits."""

    def build(image_size, backbone, anchors_per_cell, classes):
        below = (image_size, backbone, scale, offset)
        image, _ = _picture_and_maps(*below)
        mask, decoded = _mask_head(*below, classes)
        logits, offsets = _detector(*below, classes + more_in_detector, anchors_per_cell, strides, order)
        if swapped:
            logits, offsets = offsets, logits
        mask = mask_of(mask, decoded) if mask_of else mask
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
    home="network.build_network",
    reference=joint_network,
    fixed_cases=(((70, 90), small_backbone, (2, 3, 1, 2), 2),),  # sides that 32 does not divide, and not our classes
    draw=None,
    hints=(
        "From the picture up: keras.Input, Rescaling, the backbone once. Then the mask's head, then the detector's.",
        "deeplabv3plus takes all maps and gives two things, of which you need the first. ssdlite takes a list of four "
        "maps: strides 8, 16, 32 and the extra one, extra_maps(maps[32], (96,)).",
        "chosen = [maps[8], maps[16], maps[32], *extra_maps(maps[32], (96,))]; logits, offsets = ssdlite(chosen, "
        'anchors_per_cell, classes); keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask}).',
    ),
    mutants=(
        Mutant(_network(scale=None), "pixels come as 0..255; the backbone expects -1..1: layers.Rescaling first."),
        Mutant(_network(scale=1 / 255, offset=0.0), "that scales to 0..1; the backbone expects -1..1."),
        Mutant(_network(order=-1), "the detector's maps come finest first, as the anchors do."),
        Mutant(_network(strides=(8, 16)), "the map of stride 32 is missing among the detector's."),
        Mutant(
            _network(strides=(4, 8, 16, 32)),
            "the detector does not look at the map of stride 4: strides 8, 16, 32, and then the extra map.",
        ),
        Mutant(_network(strides=(4, 16, 32)), "the detector's first map is that of stride 8; yours has stride 4."),
        Mutant(_network(more_in_detector=1), "ssdlite adds the background itself: give it `classes`, not one more."),
        Mutant(_network(as_list=True), "a dict is wanted, so that nobody has to remember an order."),
        Mutant(_network(swapped=True), "classes and offsets are exchanged: ssdlite gives the logits first."),
        Mutant(
            _network(mask_of=lambda mask, decoded: decoded),
            "that is the decoder's map; of the two things that deeplabv3plus gives, the first are the mask's logits.",
        ),
        Mutant(
            _network(mask_of=lambda mask, decoded: ops.argmax(mask, axis=-1)),
            "the mask's *logits* are wanted, a number for each class: a loss can learn nothing from an argmax.",
        ),
        Mutant(_two_passes, "the backbone is built twice. One, for both heads: that is the point."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        ("zip()", "as many maps as numbers of anchors: strides 8, 16, 32, and one extra map."),
        ("unpack", "deeplabv3plus gives two things, ssdlite too: name both."),
        ("KeyError", "the maps are a dict by stride: 2, 4, 8, 16, 32."),
        ("Kernel shape must", "extra_maps gives a list: `*extra_maps(...)` puts what is in it among the other maps."),
        *KERAS_ERRORS,
    ),
)


# 08.average_precision


def _precision_if_any(average_precision, scores, hits, positives):
    """Plays the part of the one at home: the exercise has at least one box to be found."""
    return average_precision(np.asarray(scores), np.asarray(hits), positives) if positives else float("nan")


def _sorted_by(scores, hits, *, rising=False, ordered=True):
    """Hits, best first, and how many of them there are after each detection; or sorted wrongly."""
    scores, hits = np.asarray(scores, np.float64), np.asarray(hits, np.float64)
    order = np.argsort(scores if rising else -scores, kind="stable") if ordered else np.arange(len(scores))
    return hits[order], np.cumsum(hits[order])


def _precision_with(
    *, best="to come", recalls=101, first=0.0, positives_are=lambda found, positives: positives, side="left",
    mean=lambda values, reached: np.where(reached, values, 0).mean(), swapped=False, **order,
):  # fmt: skip
    """AP with one mistake, but always as the mean at some recalls."""

    def precision(scores, hits, positives):
        _, found = _sorted_by(scores, hits, **order)
        if not len(found):
            return 0.0
        recall, precisions = found / positives_are(found, positives), found / np.arange(1, len(found) + 1)
        curve = {
            "to come": lambda: np.maximum.accumulate(precisions[::-1])[::-1],
            "so far": lambda: np.maximum.accumulate(precisions),
            "here": lambda: precisions,
        }[best]()
        points = np.linspace(first, 1, recalls)
        if swapped:
            return float(np.mean([recall[precisions >= point].max(initial=0) for point in points]))
        at = np.searchsorted(recall, points, side=side)
        return float(mean(np.append(curve, 0)[at], at < len(curve)))

    return precision


def _area_under(steps):
    """AP as an area below the curve, without its 101 recalls."""

    def area(scores, hits, positives):
        ordered, found = _sorted_by(scores, hits)
        if not len(found):
            return 0.0
        return float(steps(ordered, found / positives, found / np.arange(1, len(found) + 1)))

    return area


def _under_the_envelope(hits, recall, precision):
    return np.sum(np.diff(np.append(0, recall)) * np.maximum.accumulate(precision[::-1])[::-1])


def _under_straight_lines(hits, recall, precision):
    return np.trapezoid(np.append(1, precision), np.append(0, recall))


def _at_straight_lines(hits, recall, precision):
    return np.interp(np.linspace(0, 1, 101), recall, precision, right=0).mean()


def _only_recall(scores, hits, positives):
    return float(np.sum(hits) / positives)


# Numbers of boxes for which no recall but 0 and 1 is one of the 101, or of 11: what a rounding makes of k / 100 then
# decides nothing.
_POSITIVES = (3, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def _f1_is_best_once(scores: np.ndarray, hits: np.ndarray, positives: int) -> bool:
    """Whether one threshold alone has the best F1, so that no rounding can make it another."""
    found, kept = np.cumsum(hits[np.argsort(-scores)]), np.arange(1, len(hits) + 1)
    f1 = 2 * found / (kept + positives)
    return bool(np.sum(f1 > f1.max() - 1e-9) == 1)


def _draw_hits(rng: np.random.Generator) -> Arguments:
    while True:
        count = int(rng.integers(8, 30))
        scores = (rng.permutation(count) + 0.3456) / count
        hits = rng.random(count) < 0.3 + 0.5 * scores
        hits[scores.argmax()] = False  # so that precision rises somewhere
        hits[np.argsort(-scores)[1]] = True
        positives = min(number for number in _POSITIVES if number > hits.sum())
        if _f1_is_best_once(scores, hits, positives):
            return scores, hits, positives


AVERAGE_PRECISION = Exercise(
    id="08.average_precision",
    title="Average precision",
    points=20,
    difficulty="hard",
    minutes=30,
    home="metrics.average_precision",
    piece=_precision_if_any,
    fixed_cases=(
        (np.array([0.9]), np.array([True]), 1),
        (np.array([0.9, 0.8]), np.array([True, False]), 3),
        (np.array([0.3, 0.9, 0.8, 0.5]), np.array([True, False, True, True]), 3),
        (np.array([0.3, 0.9, 0.2, 0.8, 0.5]), np.array([True, True, False, False, True]), 7),
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
            _precision_with(best="here"),
            "at each recall the best precision *still to come* counts: the curve may only fall.",
        ),
        Mutant(
            _precision_with(best="so far"),
            "that is the best precision so far; the best *still to come* counts, a maximum from behind.",
        ),
        Mutant(_precision_with(recalls=11), "101 recalls, as COCO has them, not the 11 of the older VOC."),
        Mutant(_precision_with(first=0.01, recalls=100), "the recall 0 is one of the 101."),
        Mutant(
            _precision_with(side="right"),
            "a recall counts as reached where it is *at least* that large; yours has to be larger, and 1 never is.",
        ),
        Mutant(
            _precision_with(mean=lambda values, reached: values[reached].mean() if reached.any() else 0.0),
            "recalls that are never reached count, too, with the precision 0: the mean is over all 101.",
        ),
        Mutant(
            _area_under(_under_the_envelope), "that is the area under the steps; COCO takes the mean at 101 recalls."
        ),
        Mutant(
            _area_under(lambda hits, recall, precision: np.sum(np.diff(np.append(0, recall)) * precision)),
            "that is the area under the curve as it is; at each recall the best precision still to come counts, and "
            "the mean is at 101 recalls.",
        ),
        Mutant(
            _area_under(_under_straight_lines),
            "that is the area under straight lines from point to point (trapezoids); COCO takes the best precision "
            "still to come, at 101 recalls.",
        ),
        Mutant(
            _area_under(_at_straight_lines),
            "that lays straight lines between the detections; at each recall the best precision still to come counts.",
        ),
        Mutant(
            _area_under(lambda hits, recall, precision: np.sum(hits * precision) / max(np.sum(hits), 1)),
            "that is the mean precision of the hits; boxes that are never found count, too, and so do 101 recalls.",
        ),
        Mutant(
            _precision_with(positives_are=lambda found, positives: max(found[-1], 1)),
            "recall is a share of all boxes that there are, not of those found.",
        ),
        Mutant(
            _precision_with(positives_are=lambda found, positives: len(found)),
            "recall is a share of the boxes that there are, `positives`, not of the detections.",
        ),
        Mutant(_precision_with(swapped=True), "precision and recall are exchanged: recall goes through `positives`."),
        Mutant(_only_recall, "that is the recall in the end."),
        Mutant(
            lambda s, h, p: float(np.mean(h)) if len(h) else 0.0, "that is the precision of all detections together."
        ),
    ),
    errors=(
        ("is out of bounds", "a recall that is never reached has the precision 0: append a 0 to the list first."),
        (
            ("zero-size", "empty sequence"),
            "without any detection it is 0, and there is no largest of none: ask for that first.",
        ),
        ("ZeroDivisionError", "without any detection it is 0; np.arange(1, 1) is an empty list, which does no harm."),
    ),
)


# 08.choose_threshold


def _threshold_with(measure, *, last_of_equal=False, step=0, none=1.0, unsorted=False, **order):
    """The threshold of the best value of a measure, or with another mistake.

    `measure` goes from (found, kept, positives) to numbers, `step` from the right place to another one.
    """

    def choose(scores, hits, positives):
        scores, hits = np.asarray(scores, float), np.asarray(hits, bool)
        if not hits.any() and none is not None:
            return none
        _, found = _sorted_by(scores, hits, **order)
        kept = np.arange(1, len(hits) + 1)
        with np.errstate(invalid="ignore"):
            value = measure(found, kept, positives)
        best = len(value) - 1 - value[::-1].argmax() if last_of_equal else value.argmax()
        ranked = np.sort(scores)[:: 1 if order.get("rising") else -1]
        ranked = scores if unsorted or not order.get("ordered", True) else ranked
        return float(ranked[min(best + step, len(ranked) - 1)])

    return choose


def _f1(found, kept, positives):
    return 2 * found / (kept + positives)


def _f1_as_written(found, kept, positives):
    """From precision and recall: 0 / 0 before the first hit."""
    precision, recall = found / kept, found / positives
    return 2 * precision * recall / (precision + recall)


def _from_f1(answer):
    """Something else that the list of F1 could be asked for."""

    def choose(scores, hits, positives):
        _, found = _sorted_by(scores, hits)
        return float(answer(np.sort(scores)[::-1], _f1(found, np.arange(1, len(hits) + 1), positives)))

    return choose


def _halfway(ranked, f1):
    best = f1.argmax()
    return (ranked[best] + (ranked[best + 1] if best + 1 < len(ranked) else 0)) / 2


def _of_a_grid(scores, hits, positives):
    tried = np.linspace(0, 1, 101)
    found = np.array([np.sum(hits[scores >= threshold]) for threshold in tried])
    kept = np.array([np.sum(scores >= threshold) for threshold in tried])
    return float(tried[::-1][_f1(found, kept, positives)[::-1].argmax()])


_SCORES = np.array([0.953, 0.915, 0.803, 0.704, 0.611, 0.508, 0.407])  # none of them on a grid of hundredths

CHOOSE_THRESHOLD = Exercise(
    id="08.choose_threshold",
    title="How sure is sure enough",
    points=15,
    difficulty="medium",
    minutes=20,
    home="metrics.choose_threshold",
    fixed_cases=(
        (np.array([0.915, 0.803, 0.311, 0.204]), np.array([True, True, False, True]), 3),
        (np.array([0.803, 0.311, 0.915, 0.204]), np.array([True, False, True, False]), 2),
        (_SCORES[:4], np.array([True, False, False, True]), 2),  # two of equal F1: 2 / 3 and 4 / 6
        (_SCORES[:3], np.array([True, False, True]), 3),
        (_SCORES[:6], np.array([True, True, False, False, False, True]), 7),
        (_SCORES[:6], np.array([False, True, False, False, False, True]), 3),
        (_SCORES, np.array([False, True, True, False, False, False, True]), 3),
        (np.array([0.915]), np.array([False]), 2),
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
            "that looks at the recall alone: it keeps everything up to the last hit.",
        ),
        Mutant(
            _threshold_with(lambda found, kept, positives: found / kept * found / positives),
            "that is precision times recall; F1 is their harmonic mean, 2 * found / (kept + positives).",
        ),
        Mutant(
            _threshold_with(lambda found, kept, positives: found / kept + found / positives),
            "F1 is the harmonic mean, 2 * found / (kept + positives), not the sum of precision and recall.",
        ),
        Mutant(
            _threshold_with(lambda found, kept, positives: np.minimum(found / kept, found / positives)),
            "that is the smaller of precision and recall; F1 is their harmonic mean, 2 * found / (kept + positives).",
        ),
        Mutant(
            _threshold_with(lambda found, kept, positives: _f1(found, kept, found[-1])),
            "recall is a share of all boxes that there are, `positives`, not of those found.",
        ),
        Mutant(
            _threshold_with(lambda found, kept, positives: _f1(found, kept, len(found))),
            "recall is a share of the boxes that there are, `positives`, not of the detections.",
        ),
        Mutant(
            _threshold_with(_f1_as_written),
            "before the first hit precision and recall are 0, F1 is 0 / 0, nan, and argmax takes nan for the largest.",
        ),
        Mutant(_threshold_with(_f1, ordered=False), "the detections have to be sorted by score first."),
        Mutant(_threshold_with(_f1, rising=True), "the best come first: argsort rises, so sort by -scores."),
        Mutant(
            _threshold_with(_f1, unsorted=True),
            "the place is one in the *sorted* list; you look it up in the list as it was given.",
        ),
        Mutant(_threshold_with(_f1, last_of_equal=True), "of several with the same F1 the highest threshold."),
        Mutant(
            _threshold_with(_f1, step=1), "that is the first detection to be dropped; the last to be kept is wanted."
        ),
        Mutant(
            _threshold_with(_f1, none=None), "without any hit every threshold has F1 = 0, and 1.0 is wanted: keep none."
        ),
        Mutant(_threshold_with(_f1, none=0.0), "without any hit 1.0 is wanted: with 0 everything would be kept."),
        Mutant(
            _from_f1(lambda ranked, f1: f1.argmax()),
            "that is the place in the list; the score that stands there is wanted.",
        ),
        Mutant(
            _from_f1(lambda ranked, f1: f1.argmax() + 1),
            "that is how many to keep; the score of the last of them is wanted.",
        ),
        Mutant(
            _from_f1(lambda ranked, f1: f1.max()), "that is the best F1; the score at which it is reached is wanted."
        ),
        Mutant(_from_f1(_halfway), "that lies between two scores; the score of the last one to keep is wanted."),
        Mutant(
            _of_a_grid,
            "that is a threshold of a grid of hundredths; the *score* of the last detection to keep is wanted.",
        ),
        Mutant(lambda s, h, p: 0.5, "0.5 is as good a guess as any, but look at the scores."),
    ),
    errors=(
        ("empty", "without any hit it is 1.0: ask `if not hits.any()` first."),
        ("is out of bounds", "which list does the index point into? It counts from 0, and `k` from 1."),
    ),
)


# 08.segmentation_gate


def _gate_with(
    *, strict=False, least=None, count="own", blocked=False, shift=0, give=np.flatnonzero, never=False, share=None
):  # fmt: skip
    """The gate with one mistake; `give` makes the answer of (D,) true and false."""

    def gate(labels, mask, least_pixels):
        labels, mask = np.asarray(labels, int), np.asarray(mask)
        counted = {
            "own": lambda: [(mask == label + shift).sum() for label in labels],
            "all": lambda: [(mask > 0).sum() for _ in labels],
            "detections": lambda: [(labels == label).sum() for label in labels],
            "any": lambda: [(mask == label).any() for label in labels],
        }[count]()
        pixels = np.array(counted, float)
        pixels = pixels * share / mask.size if share else pixels
        least_pixels = least_pixels if least is None else least
        passes = pixels > least_pixels if strict else pixels >= least_pixels
        passes = passes & (pixels > 0) if never else passes
        return give(~passes if blocked else passes)

    return gate


def _labels_that_pass(labels, mask, least_pixels):
    return np.asarray(labels, int)[segmentation_gate(labels, mask, least_pixels)]


def _each_class_once(labels, mask, least_pixels):
    labels = np.unique(np.asarray(labels, int))
    return np.array([k for k, label in enumerate(labels) if (mask == label).sum() >= least_pixels], int)


def _draw_gate(rng: np.random.Generator) -> Arguments:
    mask = rng.choice([0, 0, 0, 0, 1, 2, 3], (4, 5), p=[0.2, 0.2, 0.2, 0.2, 0.12, 0.06, 0.02])
    mask[0, :4] = (1, 1, 1, 0)
    mask[mask == 3] = 0
    mask[1, 1] = 3
    labels = np.concatenate([[3, 1], rng.integers(1, 4, 5)])
    return labels, mask, 3


SEGMENTATION_GATE = Exercise(
    id="08.segmentation_gate",
    title="One head asks the other",
    points=10,
    difficulty="easy",
    minutes=10,
    home="prediction.segmentation_gate",
    piece=True,
    fixed_cases=(
        (np.array([1, 2, 1]), np.array([[0, 0], [0, 1]]), 1),
        (np.array([3, 2, 1, 2]), np.array([[0, 2, 2], [3, 1, 1]]), 2),
        (np.array([2, 1]), np.array([[0, 0], [1, 0]]), 0),
        (np.array([2, 1]), np.array([[0, 0], [0, 0]]), 1),
        (np.array([], int), np.array([[0, 1]]), 1),
        (np.array([3, 3, 1, 2]), np.array([[1, 1, 1, 0], [3, 3, 3, 3], [3, 2, 0, 0]], np.uint8), 4),
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
        Mutant(
            _gate_with(count="any"), "whether there is *any* such pixel is 0 or 1; count them: (mask == label).sum()."
        ),
        Mutant(_gate_with(count="all"), "the pixels of *its own* class count, not those of all classes."),
        Mutant(_gate_with(count="detections"), "you count detections of the class; count the mask's pixels."),
        Mutant(
            _gate_with(shift=-1), "the class is one too low: labels and mask both count from 1, for 0 is background."
        ),
        Mutant(
            _gate_with(shift=1), "the class is one too high: labels and mask both count from 1, for 0 is background."
        ),
        Mutant(_gate_with(share=1), "that is a share of the mask; `least_pixels` counts pixels."),
        Mutant(_gate_with(share=100), "that is a share of the mask in percent; `least_pixels` counts pixels."),
        Mutant(_gate_with(never=True), "where `least_pixels` is 0, everything passes: no pixel is at least none."),
        Mutant(_labels_that_pass, "the indices are wanted, not the labels."),
        Mutant(_each_class_once, "each detection has an index of its own, also where several have one class."),
        Mutant(_gate_with(blocked=True), "those are the ones that should not pass."),
        Mutant(
            _gate_with(give=np.where),
            "np.where gives a tuple, with an array for each axis: its [0], or np.flatnonzero.",
        ),
        Mutant(
            _gate_with(give=lambda passes: passes.astype(int)),
            "those are ones and zeros, one for each detection; the indices of those that pass are wanted.",
        ),
        Mutant(lambda labels, mask, least: np.arange(len(labels)), "everything passes."),
    ),
    errors=(
        ("is out of bounds", "np.bincount has no place for a class that never comes: minlength makes room for it."),
        ("too deep", "np.bincount counts along one axis, and the mask has two: mask.ravel()."),
        ("only integer", "an empty list has floats in it: np.array([...], int)."),
        TRUE_AND_FALSE,
    ),
)

ALLOWED = ("metrics.match_detections", "metrics.class_ious", "metrics.mean_iou")
EXERCISES = (
    MEDIAN_FREQUENCY_WEIGHTS,
    FLIP,
    CROP_BOXES,
    JOINT_NETWORK,
    AVERAGE_PRECISION,
    CHOOSE_THRESHOLD,
    SEGMENTATION_GATE,
)
