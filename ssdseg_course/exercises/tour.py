"""The exercise of lesson 0: a warm-up, to learn how checks and hints work."""

from itertools import product

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant

LANDSCAPE, PORTRAIT = (160, 224), (300, 200)  # (height, width) in pixels


def to_pixels(box, image_size):
    """(xmin, ymin, xmax, ymax) in fractions of the image -> the same in pixels."""
    height, width = image_size
    return np.multiply(box, (width, height, width, height))


def _draw(rng: np.random.Generator) -> Arguments:
    height, width = rng.choice(np.arange(101, 500), 2, replace=False).tolist()
    low, size = rng.uniform(0.05, 0.4, 2), rng.uniform(0.1, 0.5, 2)
    return np.concatenate([low, low + size]), (height, width)


def _stretched(box, x_by, y_by):
    return np.multiply(box, (x_by, y_by, x_by, y_by))


def _size_last(box, image_size):
    xmin, ymin, xmax, ymax = to_pixels(box, image_size)
    return xmin, ymin, xmax - xmin, ymax - ymin


def _middle_first(box, image_size):
    xmin, ymin, xmax, ymax = to_pixels(box, image_size)
    return (xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin


NUMBERS, SIDES = ("xmin", "ymin", "xmax", "ymax"), ("height", "width")  # a side at its place in `image_size`
RIGHT = (1, 0, 1, 0)  # places of the sides that a box is multiplied by
WITH_A_SENTENCE_OF_THEIR_OWN = ((0, 1, 0, 1), (0, 0, 0, 0), (1, 1, 1, 1), (1, 1, 0, 0))


def _multiplied_by(places):
    """`to_pixels` with the sides at these places of `image_size`."""
    return lambda box, image_size: np.multiply(box, [image_size[place] for place in places])


def _some_by_the_wrong_side(places: tuple[int, ...]) -> Mutant:
    wrong = [number for number in range(4) if places[number] != RIGHT[number]]
    said = " and ".join(f"{NUMBERS[number]} by the {SIDES[places[number]]}" for number in wrong)
    return Mutant(_multiplied_by(places), f"{said}: that is the wrong side of the image.")


TO_PIXELS = Exercise(
    id="00.to_pixels",
    title="From fractions to pixels",
    points=10,
    difficulty="easy",
    minutes=4,
    home="boxes.to_pixels",
    reference=to_pixels,
    fixed_cases=(
        (np.array([0.25, 0.5, 0.75, 0.875]), LANDSCAPE),
        (np.array([0.0, 0.0, 1.0, 1.0]), LANDSCAPE),
        (np.array([0.1, 0.2, 0.4, 0.9]), PORTRAIT),
        (np.array([0.1, 0.25, 0.375, 0.9]), (75, 101)),  # no whole pixels
    ),
    draw=_draw,
    hints=(
        "A point half-way across an image that is 224 pixels wide lies at pixel 112. What did you do with 0.5 and 224?",
        "xmin and xmax run along the width, ymin and ymax along the height: four products.",
        "Take the two arguments apart first: height, width = image_size and xmin, ymin, xmax, ymax = box. Then return "
        "four products, beginning with xmin * width.",
    ),
    mutants=(
        Mutant(
            lambda box, image_size: _stretched(box, *image_size),
            "x was multiplied by the height and y by the width. `image_size` is (height, width): which comes first?",
        ),
        Mutant(
            lambda box, image_size: _stretched(box, image_size[1], image_size[1]),
            "all four were multiplied by the width. Which of them run from top to bottom?",
        ),
        Mutant(
            lambda box, image_size: _stretched(box, image_size[0], image_size[0]),
            "all four were multiplied by the height. Which of them run from left to right?",
        ),
        Mutant(
            lambda box, image_size: np.multiply(box, np.repeat(image_size[::-1], 2)),
            "the first two were multiplied by the width and the last two by the height. The order of a box is (xmin, "
            "ymin, xmax, ymax).",
        ),
        Mutant(
            lambda box, image_size: to_pixels(box, image_size)[[1, 0, 3, 2]],
            "the numbers are right, but y comes before x. The order of a box is (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            lambda box, image_size: to_pixels(box, image_size)[[0, 2, 1, 3]],
            "the numbers are right, but both x come first. The order of a box is (xmin, ymin, xmax, ymax): corner by "
            "corner.",
        ),
        Mutant(
            _size_last,
            "the last two are the width and the height of the box. They should be its far corner, xmax and ymax.",
        ),
        Mutant(
            lambda box, image_size: _stretched(box, 1 / image_size[1], 1 / image_size[0]),
            "these were divided by the sides of the image. From a fraction to pixels it goes the other way.",
        ),
        Mutant(
            lambda box, image_size: np.append(to_pixels(box, image_size)[:2], box[2:]),
            "only the first corner is in pixels: xmax and ymax are still fractions.",
        ),
        Mutant(
            lambda box, image_size: _stretched(box, image_size[1] - 1, image_size[0] - 1),
            "the sides were taken one pixel too short. A width of 224 pixels reaches from 0 to 224, not to 223.",
        ),
        Mutant(
            lambda box, image_size: to_pixels(box, image_size).astype(int),
            "what stood behind the point was cut off. A box may begin between two pixels: leave the numbers as they "
            "are.",
        ),
        Mutant(
            lambda box, image_size: np.round(to_pixels(box, image_size)),
            "the numbers were rounded. A box may begin between two pixels: leave them as they are.",
        ),
        Mutant(
            lambda box, image_size: np.ceil(to_pixels(box, image_size)),
            "the numbers were rounded up. A box may begin between two pixels: leave them as they are.",
        ),
        Mutant(
            lambda box, image_size: to_pixels(box, LANDSCAPE),
            "224 and 160 were used whatever `image_size` is. Take the argument.",
        ),
        Mutant(
            _middle_first,
            "these are the middle and the size of the box. Wanted are its corners: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            lambda box, image_size: to_pixels(box, image_size).reshape(2, 2),
            "the two corners are pairs of their own. Return the four numbers in one row.",
        ),
        Mutant(
            lambda box, image_size: to_pixels(box, image_size)[None],
            "the four numbers are right, and packed into a list once too often. One pair of brackets is enough.",
        ),
        *(
            _some_by_the_wrong_side(places)
            for places in product((0, 1), repeat=4)
            if places not in (RIGHT, *WITH_A_SENTENCE_OF_THEIR_OWN)
        ),
    ),
    errors=(
        ("broadcast", "a box has four numbers and an image two sides: which number goes with which side?"),
        ("to unpack", "`image_size` holds two numbers, (height, width), and `box` four, (xmin, ymin, xmax, ymax)."),
        ("ndarray' object has no attribute", "`box` is an array of four numbers: box[0] is xmin, and so on."),
    ),
)


ALLOWED = (
    "boxes.centers_to_corners",
    "boxes.corners_to_centers",
    "boxes.areas",
    "boxes.pairwise_iou",
)
EXERCISES = (TO_PIXELS,)
