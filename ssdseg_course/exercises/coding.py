"""The last exercises of lesson 2: boxes as offsets from anchors, and the targets of a whole image."""

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Exercise, Function, Mutant
from ssdseg_course.exercises.boxes import BOTH, GRADED, SHARED, SMALL, STEPS, draw_anchors_and_boxes, draw_boxes
from ssdseg_ref.boxes import centers_to_corners, corners_to_centers, pairwise_iou
from ssdseg_ref.coding import VARIANCES, decode, encode, encode_targets
from ssdseg_ref.matching import UNMATCHED, match_anchors

ONE_COLUMN = "one of the arrays is a single column: [:, 2:] is width and height, (N, 2); [:, 2] is the widths, (N,)."
LIST_OF_A_HELPER = (
    "does your corners_to_centers give a list? Make an array of it, np.array(...), to index and to count."
)


def _with_other_variances(coding: Function, done: str) -> tuple[Mutant, ...]:
    """What goes wrong with the variances in both directions; `done` says what is done by them."""
    own = "have a variance of their own"
    mistakes = {
        (*VARIANCES[:2], 1, 1): f"the moves are right, but the stretches were not {done} by their variance, 0.2.",
        (1, 1, *VARIANCES[2:]): f"the stretches are right, but the moves were not {done} by their variance, 0.1.",
        (0.2, 0.2, 0.1, 0.1): "the variances have changed places: 0.1 belongs to the move, 0.2 to the stretch.",
        (0.1,): f"all four were {done} by 0.1. That is for the moves; the stretches {own}.",
        (0.2,): f"all four were {done} by 0.2. That is for the stretches; the moves {own}.",
    }
    return tuple(Mutant(coding(variances=variances), sentence) for variances, sentence in mistakes.items())


# 02.encode


def _encode(move=None, stretch=None, variances=VARIANCES, box_as=corners_to_centers, anchor_as=corners_to_centers):
    """`encode` with another way to say the move, the stretch, or the variances, or to read a box or an anchor.

    Both ways see (x, y, w, h), unless it is corners that they are given for it.
    """

    def encode(boxes, anchors):
        box, anchor = box_as(boxes), anchor_as(anchors)
        with np.errstate(all="ignore"):  # corners may well be 0
            move_by = (box[:, :2] - anchor[:, :2]) / anchor[:, 2:] if move is None else move(box, anchor)
            stretch_by = np.log(box[:, 2:] / anchor[:, 2:]) if stretch is None else stretch(box, anchor)
        return np.concatenate([move_by, stretch_by], axis=1) / variances

    return encode


def _as_they_are(boxes):
    """What whoever forgets to convert corners takes for (x, y, w, h)."""
    return boxes


def _of_corners(boxes, anchors):
    sizes = corners_to_centers(anchors)[:, 2:]
    return (boxes - anchors) / np.concatenate([sizes, sizes], axis=1) / VARIANCES


def _from_the_upper_left_corner(boxes, anchors):
    sizes = corners_to_centers(anchors)[:, 2:]
    offsets = encode(boxes, anchors)
    offsets[:, :2] = (boxes[:, :2] - anchors[:, :2]) / sizes / VARIANCES[:2]
    return offsets


def _draw_pairs(rng: np.random.Generator) -> Arguments:
    """Boxes and anchors that never have one size, nor one middle in x or y."""
    while True:
        boxes, anchors = (draw_boxes(rng, 5) for _ in range(2))
        if (corners_to_centers(boxes) != corners_to_centers(anchors)).all():
            return boxes, anchors


ENCODE = Exercise(
    id="02.encode",
    title="A box as four numbers from its anchor",
    points=15,
    difficulty="medium",
    minutes=15,
    home="coding.encode",
    arguments=("boxes", "anchors"),
    piece=True,
    fixed_cases=(
        (np.array([[0.25, 0.25, 0.75, 0.5]]), np.array([[0.125, 0.25, 0.375, 0.75]])),
        (np.array([[0.25, 0.25, 0.75, 0.5]]), np.array([[0.25, 0.25, 0.75, 0.5]])),
        (
            np.array([[0.0, 0.0, 0.5, 1.0], [0.5, 0.125, 0.75, 0.25], [0.25, 0.25, 0.5, 1.0]]),
            np.array([[-0.125, -0.25, 0.375, 0.5], [0.5, 0.25, 1.0, 0.375], [0.0, 0.5, 1.0, 0.75]]),
        ),
    ),
    draw=_draw_pairs,
    hints=(
        "Four numbers a pair: how far along x and along y the middle must move, counted in widths and heights of the "
        "anchor, and how many times wider and higher the box is.",
        "With both as (x, y, w, h): the move is (box - anchor) / anchor's size, the stretch is the logarithm of box "
        "size / anchor size. Both are then divided by their variances.",
        "box, anchor = corners_to_centers(boxes), corners_to_centers(anchors); move = (box[:, :2] - anchor[:, :2]) / "
        "anchor[:, 2:]; stretch = np.log(box[:, 2:] / anchor[:, 2:]); put them side by side, and divide by VARIANCES.",
    ),
    mutants=(
        Mutant(
            _encode(variances=1),
            "the offsets are right but for the variances: divide by them at the end.",
        ),
        Mutant(
            lambda boxes, anchors: encode(boxes, anchors) * np.square(VARIANCES),
            "the offsets were multiplied by the variances. Encoding divides by them, decoding multiplies.",
        ),
        Mutant(
            _encode(variances=np.square(VARIANCES)),
            "the offsets were divided by the variances twice, or by their squares. Once will do.",
        ),
        Mutant(
            _encode(variances=np.sqrt(VARIANCES)),
            "the offsets were divided by the roots of the variances. That is what statistics would do; here, as in "
            "SSD's code, one divides by the variances themselves.",
        ),
        Mutant(
            lambda boxes, anchors: encode(boxes, anchors) * np.array(VARIANCES) * np.sqrt(VARIANCES),
            "the offsets were multiplied by the roots of the variances. Encoding divides, and by the variances "
            "themselves.",
        ),
        *_with_other_variances(_encode, "divided"),
        Mutant(
            _encode(variances=(0.1, 0.2, 0.1, 0.2)),
            "the variances stand as for (x, width, y, height). The order is x, y, width, height.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: box[:, 2:] / anchor[:, 2:]),
            "the stretch is a plain ratio, 1 where the sizes are equal. Its logarithm is 0 there.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.log(box[:, 2:] / anchor[:, 2:] + 1)),
            "1 was added before the logarithm. A box as large as its anchor should get log(1) = 0.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: box[:, 2:] / anchor[:, 2:] - 1),
            "the stretch is the difference of the sizes by the anchor's: half and double are not equally far then. "
            "Take the logarithm of the ratio.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.log2(box[:, 2:] / anchor[:, 2:])),
            "the logarithm is that to the base of 2. Wanted is the natural one, which np.exp undoes.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.log10(box[:, 2:] / anchor[:, 2:])),
            "the logarithm is that to the base of 10. Wanted is the natural one, which np.exp undoes.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.log(box[:, 2:])),
            "this is the logarithm of the box's size alone. Wanted is that of its ratio to the anchor's.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.log(box[:, 2:]) / np.log(anchor[:, 2:])),
            "two logarithms were divided. Divide the sizes, then take the logarithm once.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.exp(box[:, 2:] / anchor[:, 2:])),
            "np.exp was taken where the logarithm belongs: np.exp is for the way back.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: box[:, 2:] - anchor[:, 2:]),
            "the stretch is the difference of the sizes. Take the logarithm of their ratio.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: (box[:, 2:] - anchor[:, 2:]) * 0),
            "the moves are right, but the stretches are 0 throughout: the logarithm of box size / anchor size is "
            "missing.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.log(anchor[:, 2:] / box[:, 2:])),
            "the ratio of the sizes is upside down: a box larger than its anchor should get a number over 0.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: (anchor[:, :2] - box[:, :2]) / anchor[:, 2:]),
            "the move points from the box to its anchor. It should lead the anchor to the box.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: np.abs(box[:, :2] - anchor[:, :2]) / anchor[:, 2:]),
            "the moves have lost their sign. To the left and up they are under 0.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: (box[:, :2] - anchor[:, :2]) * anchor[:, 2:]),
            "the moves were multiplied by the anchor's size. Counted in widths and heights they are divided by it.",
        ),
        Mutant(
            lambda boxes, anchors: encode(anchors, boxes),
            "boxes and anchors have changed places. The anchor is what moves, and its size is the measure.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: box[:, :2] - anchor[:, :2]),
            "the move is in fractions of the image. Count it in widths and heights of the anchor.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: (box[:, :2] - anchor[:, :2]) / box[:, 2:]),
            "the move was divided by the box's size. The network knows the anchor's size, not the box's: divide by "
            "that.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: (box[:, :2] - anchor[:, :2]) / anchor[:, :1:-1]),
            "dx was divided by the anchor's height and dy by its width. They should be the other way round.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: (box[:, :2] - anchor[:, :2]) / anchor[:, 3:]),
            "both moves were divided by the anchor's height. That along x counts in widths.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: (box[:, :2] - anchor[:, :2]) / anchor[:, 2:3]),
            "both moves were divided by the anchor's width. That along y counts in heights.",
        ),
        Mutant(
            _encode(
                move=lambda box, anchor: (box[:, :2] - anchor[:, :2]) / anchor[:, 2:3],
                stretch=lambda box, anchor: np.log(box[:, 2:] / anchor[:, 2:3]),
            ),
            "everything was divided by the anchor's width. What is along y, move and stretch, counts in heights.",
        ),
        Mutant(
            _encode(box_as=_as_they_are, anchor_as=_as_they_are),
            "these numbers were made from corners, as if xmin were the middle and xmax the width. Turn both into "
            "centers first.",
        ),
        Mutant(
            _encode(box_as=_as_they_are),
            "the anchors were turned into centers, the boxes were not: of those, the corners went in.",
        ),
        Mutant(
            _encode(anchor_as=_as_they_are),
            "the boxes were turned into centers, the anchors were not: of those, the corners went in.",
        ),
        Mutant(
            _from_the_upper_left_corner,
            "the move leads from one upper left corner to the other. It should lead from middle to middle.",
        ),
        Mutant(
            _of_corners,
            "these are the moves of the four sides. Wanted are the move of the middle and the stretch: turn corners "
            "into centers first.",
        ),
        Mutant(
            lambda boxes, anchors: encode(boxes, anchors)[:, [0, 2, 1, 3]],
            "each row is (x, width, y, height). The order is x, y, width, height.",
        ),
        Mutant(
            lambda boxes, anchors: encode(boxes, anchors)[:, [2, 3, 0, 1]],
            "the stretches come before the moves. The order is x, y, width, height.",
        ),
        Mutant(
            lambda boxes, anchors: encode(boxes, anchors)[:, [1, 0, 3, 2]],
            "each row is (y, x, height, width). The order is x, y, width, height.",
        ),
        Mutant(
            lambda boxes, anchors: np.stack(
                [encode(boxes, anchor[None].repeat(len(boxes), axis=0)) for anchor in anchors], axis=1
            ),
            "every box was encoded from every anchor. Box i belongs to anchor i: row by row, without new axes.",
        ),
        Mutant(
            lambda boxes, anchors: np.stack(np.split(encode(boxes, anchors), 2, axis=1)),
            "moves and stretches are two arrays. Put them side by side: np.concatenate([...], axis=1).",
        ),
        Mutant(
            lambda boxes, anchors: np.stack(np.split(encode(boxes, anchors), 2, axis=1), axis=1),
            "move and stretch have got an axis of their own, (N, 2, 2). np.concatenate joins along one that is there.",
        ),
        Mutant(
            lambda boxes, anchors: (encode(boxes, anchors) * VARIANCES)[:, [2, 3, 0, 1]] / VARIANCES,
            "the stretches come before the moves, and each was divided by the other's variance. The order is x, y, "
            "width, height.",
        ),
        Mutant(
            _encode(move=lambda box, anchor: box[:, :2] - anchor[:, :2] / anchor[:, 2:]),
            "only the anchor's middle was divided: a division comes before a difference. Put the difference in "
            "brackets.",
        ),
        Mutant(
            _encode(stretch=lambda box, anchor: np.abs(np.log(box[:, 2:] / anchor[:, 2:]))),
            "the stretches have lost their sign. Where the box is smaller than its anchor they are under 0.",
        ),
        Mutant(
            _encode(box_as=centers_to_corners, anchor_as=centers_to_corners),
            "corners were taken for centers and turned into corners once more. The way is corners_to_centers.",
        ),
        Mutant(
            lambda boxes, anchors: encode(boxes, anchors).T,
            "all x stand in the first row, all y in the second. A row should belong to a box: turn it back, .T.",
        ),
    ),
    errors=(
        (("list indices", "and 'list'", "'list' and"), LIST_OF_A_HELPER),
        (("too many indices", "same number of dimensions"), ONE_COLUMN),
        ("broadcast", "two of the arrays do not fit. [:, 2:] is width and height, (N, 2); [:, 2] is the widths, (N,)."),
        ("multiple values", "np.concatenate takes the arrays as one list: mind the square brackets."),
    ),
)


# 02.decode


def _decode(move=None, stretch=None, variances=VARIANCES, reach=(-0.5, 0.5), anchor_as=corners_to_centers):
    """`decode` with another move, stretch, or variances, another reach around the middle, or anchors read otherwise."""

    def decode(offsets, anchors):
        anchor, offsets = anchor_as(anchors), offsets * variances
        middle = anchor[:, :2] + offsets[:, :2] * anchor[:, 2:] if move is None else move(offsets[:, :2], anchor)
        size = anchor[:, 2:] * np.exp(offsets[:, 2:]) if stretch is None else stretch(offsets[:, 2:], anchor)
        return np.concatenate([middle + reach[0] * size, middle + reach[1] * size], axis=1)

    return decode


def _variances_after_exp(offsets, anchors):
    anchor = corners_to_centers(anchors)
    middle = anchor[:, :2] + offsets[:, :2] * VARIANCES[:2] * anchor[:, 2:]
    size = anchor[:, 2:] * np.exp(offsets[:, 2:]) * VARIANCES[2:]
    return centers_to_corners(np.concatenate([middle, size], axis=1))


def _moved_by_the_new_size(offsets, anchors):
    old, new = corners_to_centers(anchors), corners_to_centers(decode(offsets, anchors))
    new[:, :2] = old[:, :2] + offsets[:, :2] * VARIANCES[:2] * new[:, 2:]
    return centers_to_corners(new)


def _from_the_upper_left_corner_on(offsets, anchors):
    sizes = corners_to_centers(anchors)[:, 2:]
    offsets = offsets * VARIANCES
    low = anchors[:, :2] + offsets[:, :2] * sizes
    return np.concatenate([low, low + sizes * np.exp(offsets[:, 2:])], axis=1)


def _draw_offsets(rng: np.random.Generator) -> Arguments:
    offsets = rng.integers(1, 2 * STEPS, (5, 4)) * rng.choice([-1, 1], (5, 4)) / STEPS
    return offsets, draw_boxes(rng, 5, least=16)


def _decoded(decode, offsets, anchors, _):
    """Plays the part of the one at home, an image at a time: the exercise has no batch."""
    images = np.reshape(offsets, (-1, *np.shape(offsets)[-2:]))
    return np.stack([decode(image, anchors) for image in images]).reshape(np.shape(offsets))


DECODE = Exercise(
    id="02.decode",
    title="And back",
    points=10,
    difficulty="easy",
    minutes=10,
    home="coding.decode",
    arguments=("offsets", "anchors"),
    piece=_decoded,
    fixed_cases=(
        (np.array([[5.0, 0.0, 0.0, 0.0]]), np.array([[0.25, 0.25, 0.5, 0.75]])),
        (np.array([[0.0, 0.0, 0.0, 0.0]]), np.array([[0.25, 0.25, 0.5, 0.75]])),
        (
            np.array([[0.0, -5.0, 0.0, 3.5], [2.5, 1.25, -3.5, 0.0], [-1.0, 0.5, 1.0, -2.0]]),
            np.array([[-0.25, 0.0, 0.25, 0.5], [0.5, 0.25, 1.0, 0.5], [0.0, 0.5, 1.0, 0.75]]),
        ),
    ),
    draw=_draw_offsets,
    hints=(
        "Undo the steps of encode, the last one first. What did encode do last?",
        "Multiply by the variances. The middle is the anchor's middle + move * anchor's size, the size is the anchor's "
        "size * exp(stretch). Then turn centers into corners.",
        "anchor = corners_to_centers(anchors); offsets = offsets * VARIANCES; middle = anchor[:, :2] + offsets[:, :2] "
        "* anchor[:, 2:]; size = anchor[:, 2:] * np.exp(offsets[:, 2:]); then centers_to_corners of both side by side.",
    ),
    mutants=(
        Mutant(_decode(variances=1), "the variances are missing: encode has divided by them, so multiply."),
        Mutant(
            _decode(variances=1 / np.array(VARIANCES)),
            "the offsets were divided by the variances. encode has divided: to undo that, multiply.",
        ),
        Mutant(
            _decode(variances=np.sqrt(VARIANCES)),
            "the offsets were multiplied by the roots of the variances. Here, as in SSD's code, one multiplies by the "
            "variances themselves.",
        ),
        Mutant(
            _decode(variances=np.square(VARIANCES)),
            "the offsets were multiplied by the variances twice. encode has divided by them once.",
        ),
        *_with_other_variances(_decode, "multiplied"),
        Mutant(
            lambda offsets, anchors: decode(offsets[:, [0, 2, 1, 3]], anchors),
            "the offsets were read as (x, width, y, height). The order is x, y, width, height.",
        ),
        Mutant(
            lambda offsets, anchors: decode(offsets[:, [2, 3, 0, 1]], anchors),
            "the offsets were read with the stretches first. The order is x, y, width, height.",
        ),
        Mutant(
            _variances_after_exp,
            "the stretch met its variance only after np.exp. Multiply first: encode divided the logarithm.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:] * (1 + offsets)),
            "the stretch was taken for a share of the anchor's size. It is a logarithm, and np.exp undoes that.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:] * offsets),
            "np.exp is missing: offsets of 0 should give the anchor's own size, not 0.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:] * 2**offsets),
            "the stretch was undone by a power of 2. encode took the natural logarithm, and np.exp undoes that.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:] * 10**offsets),
            "the stretch was undone by a power of 10. encode took the natural logarithm, and np.exp undoes that.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:] * np.exp(-offsets)),
            "the stretch has the wrong sign, or the anchor's size was divided by np.exp of it: over 0 the box is "
            "larger than its anchor.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: np.exp(anchor[:, 2:] * offsets)),
            "np.exp was taken of the size and the stretch together. It is for the stretch alone.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:]),
            "the boxes have the sizes of their anchors: the stretches have not been used.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: anchor[:, :2]),
            "the boxes have the middles of their anchors: the moves have not been used.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: anchor[:, :2] + offsets / anchor[:, 2:]),
            "the moves were divided by the anchor's size. encode has divided: multiply.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: (anchor[:, :2] + offsets) * anchor[:, 2:]),
            "middle and move were both multiplied by the anchor's size. The move alone counts in it: put no brackets "
            "around the sum.",
        ),
        Mutant(
            _decode(anchor_as=centers_to_corners),
            "the anchors were taken for centers and turned into corners once more. The way is corners_to_centers.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: np.exp(offsets)),
            "the size is np.exp of the stretch alone. It should be so many times the anchor's size.",
        ),
        Mutant(
            _decode(stretch=lambda offsets, anchor: anchor[:, 2:] + np.exp(offsets)),
            "np.exp of the stretch was added to the anchor's size. It says how many times: multiply.",
        ),
        Mutant(
            _decode(anchor_as=_as_they_are),
            "the anchors come as corners and were used as they are. Turn them into centers first.",
        ),
        Mutant(
            _moved_by_the_new_size,
            "the move was counted in sizes of the new box. encode has counted it in those of the anchor.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: anchor[:, :2] + offsets * anchor[:, 2:3]),
            "both moves were counted in the anchor's width. That along y counts in heights.",
        ),
        Mutant(
            _decode(
                move=lambda offsets, anchor: anchor[:, :2] + offsets * anchor[:, 2:3],
                stretch=lambda offsets, anchor: anchor[:, 2:3] * np.exp(offsets),
            ),
            "everything was counted in the anchor's width. What is along y, move and stretch, counts in heights.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: anchor[:, :2] + offsets),
            "the move was added as a fraction of the image. It counts in widths and heights of the anchor.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: offsets * anchor[:, 2:]),
            "the move starts at the corner of the image. It starts at the anchor's middle.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: anchor[:, :2] - anchor[:, 2:] / 2 + offsets * anchor[:, 2:]),
            "the move starts at the anchor's upper left corner. It starts at its middle.",
        ),
        Mutant(
            _decode(move=lambda offsets, anchor: anchor[:, :2] - offsets * anchor[:, 2:]),
            "the boxes move the wrong way: a dx over 0 leads to the right.",
        ),
        Mutant(
            _decode(reach=(0, 1)),
            "the boxes begin at their middles. A box reaches half its size to either side of its middle.",
        ),
        Mutant(
            _decode(reach=(-1, 1)),
            "the boxes are twice as wide and high as they should be. A box reaches half its size to either side.",
        ),
        Mutant(
            lambda offsets, anchors: corners_to_centers(decode(offsets, anchors)),
            "these are middles and sizes. Wanted are corners.",
        ),
        Mutant(
            lambda offsets, anchors: np.concatenate(
                [decode(offsets, anchors)[:, :2], corners_to_centers(decode(offsets, anchors))[:, 2:]], axis=1
            ),
            "these are upper left corners and sizes. Wanted are two corners.",
        ),
        Mutant(
            lambda offsets, anchors: centers_to_corners(corners_to_centers(decode(offsets, anchors))[:, [2, 3, 0, 1]]),
            "middle and size have changed places on the way to centers_to_corners: the middle comes first.",
        ),
        Mutant(
            lambda offsets, anchors: corners_to_centers(corners_to_centers(decode(offsets, anchors))),
            "the last step went the wrong way: middles and sizes become corners by centers_to_corners.",
        ),
        Mutant(
            _from_the_upper_left_corner_on,
            "the upper left corner was moved instead of the middle, and the box begins there. Move the middle, then "
            "turn centers into corners.",
        ),
        Mutant(
            lambda offsets, anchors: decode(offsets, anchors)[:, [1, 0, 3, 2]],
            "each row is (ymin, xmin, ymax, xmax). x comes before y.",
        ),
        Mutant(
            lambda offsets, anchors: decode(offsets, anchors)[:, [2, 3, 0, 1]],
            "maxima come before minima. The upper left corner, middle - size / 2, comes first.",
        ),
        Mutant(
            lambda offsets, anchors: np.stack(np.split(decode(offsets, anchors), 2, axis=1)),
            "the two corners are two arrays. Put them side by side: np.concatenate([...], axis=1).",
        ),
        Mutant(
            lambda offsets, anchors: np.clip(decode(offsets, anchors), 0, 1),
            "boxes were cut off at the border of the image. Leave them: decode should undo encode, and no more.",
        ),
    ),
    errors=(
        (("list indices", "and 'list'", "'list' and"), LIST_OF_A_HELPER),
        (("too many indices", "same number of dimensions"), ONE_COLUMN),
        (
            "centers_to_corners() takes",
            "centers_to_corners takes one array, middles and sizes side by side: np.concatenate([...], axis=1).",
        ),
        ("broadcast", "two of the arrays do not fit. [:, 2:] is width and height, (N, 2); [:, 2] is the widths, (N,)."),
        ("multiple values", "np.concatenate takes the arrays as one list: mind the square brackets."),
    ),
)


# 02.encode_targets


def _with_classes(classes, without_boxes=0, offsets=encode_targets):
    """`encode_targets` with other classes: a function of (labels, matches).

    Args:
        classes: that function.
        without_boxes: the class of all anchors in an image without boxes.
        offsets: takes those from another answer.
    """

    def targets(boxes, labels, anchors, threshold):
        matches = match_anchors(anchors, boxes, threshold)
        own = classes(labels, matches) if len(boxes) else np.full(len(anchors), without_boxes)
        return own, offsets(boxes, labels, anchors, threshold)[1]

    return targets


def _with_offsets(offsets):
    """`encode_targets` with other offsets: a function of (boxes, anchors, matches)."""

    def targets(boxes, labels, anchors, threshold):
        matches = match_anchors(anchors, boxes, threshold)
        classes, right = encode_targets(boxes, labels, anchors, threshold)
        return classes, (offsets(boxes, anchors, matches) if len(boxes) else right)

    return targets


def _matched(matches):
    return np.flatnonzero(matches != UNMATCHED)


def _scattered(rows, matches):
    """(N, 4), with `rows` at the anchors that have a box and 0 elsewhere."""
    offsets = np.zeros((len(matches), 4))
    offsets[_matched(matches)] = rows
    return offsets


def _labels_in_turn(labels, matches):
    """The k-th anchor with a box gets the k-th label, from the first again when they run out."""
    classes = np.zeros(len(matches), int)
    positive = _matched(matches)
    classes[positive] = np.resize(labels, len(positive))
    return classes


def _threshold_alone(boxes, labels, anchors, threshold):
    classes, offsets = encode_targets(boxes, labels, anchors, threshold)
    lost = pairwise_iou(anchors, boxes).max(axis=1, initial=0) < threshold
    return np.where(lost, 0, classes), np.where(lost[:, None], 0, offsets)


def _by_the_largest_iou(boxes, labels, anchors, threshold):
    """Asks `match_anchors` only whether an anchor has a box, and takes the one it overlaps most."""
    if len(boxes) == 0:
        return encode_targets(boxes, labels, anchors, threshold)
    matches, nearest = match_anchors(anchors, boxes, threshold), pairwise_iou(anchors, boxes).argmax(axis=1)
    positive = matches != UNMATCHED
    offsets = np.where(positive[:, None], encode(boxes[nearest], anchors), 0)
    return np.where(positive, labels[nearest], 0), offsets


def _an_entry_for_each_box(boxes, labels, anchors, threshold):
    """`match_anchors` with boxes and anchors exchanged, and what can be made of that without an error."""
    matches = match_anchors(boxes, anchors, threshold)
    positive = matches != UNMATCHED
    offsets = np.zeros((len(boxes), 4))
    offsets[positive] = encode(boxes[positive], anchors[matches[positive]])
    return np.where(positive, labels, 0), offsets


def _of_positives(keep_classes: bool) -> Function:
    """`encode_targets` with rows for positive anchors alone, of the classes, too, or of the offsets only."""

    def targets(*arguments):
        classes, offsets = encode_targets(*arguments)
        return (classes if keep_classes else classes[classes > 0]), offsets[classes > 0]

    return targets


def _truth_of_an_index(boxes, labels, anchors, threshold):
    """Asks `if box`, which is false for box 0 and true for -1, the last one."""
    if len(boxes) == 0:
        return encode_targets(boxes, labels, anchors, threshold)
    matches = match_anchors(anchors, boxes, threshold)
    offsets = np.where((matches != 0)[:, None], encode(boxes[matches], anchors), 0)
    return np.where(matches != 0, labels[matches], 0), offsets


def _box_0_is_none(boxes, labels, anchors, threshold):
    classes, offsets = encode_targets(boxes, labels, anchors, threshold)
    lost = match_anchors(anchors, boxes, threshold) <= 0
    return np.where(lost, 0, classes), np.where(lost[:, None], 0, offsets)


_offsets_of_all = _with_offsets(lambda boxes, anchors, matches: encode(boxes[matches], anchors))


def _draw_encode_targets(rng: np.random.Generator) -> Arguments:
    anchors, boxes, threshold = draw_anchors_and_boxes(rng)
    return boxes, rng.permutation([3, 1, 1, 2, 3][: len(boxes)]), anchors, threshold


def _with_labels(pair: Arguments, *labels: int, threshold: float = 0.5) -> Arguments:
    anchors, boxes = pair
    return boxes, np.array(labels, np.int32), anchors, threshold


ENCODE_TARGETS = Exercise(
    id="02.encode_targets",
    title="The answer sheet of an image",
    points=10,
    difficulty="medium",
    minutes=15,
    home="coding.encode_targets",
    piece=True,
    fixed_cases=(
        _with_labels((GRADED[0][::-1], GRADED[1]), 3, 1, threshold=0.4),
        _with_labels(GRADED, 3, 1, threshold=0.3),
        _with_labels(SHARED, 2, 3),
        _with_labels(SMALL, 3, 1),
        _with_labels(BOTH, 2, 1),
        (np.zeros((0, 4)), np.zeros(0, np.int32), GRADED[0], 0.5),
    ),
    draw=_draw_encode_targets,
    returns=("classes", "offsets"),
    hints=(
        "match_anchors says which box each anchor has. Begin with zeros for all anchors, and fill in those that have a "
        "box. Which label, and which box, belongs to each of them?",
        "positive = matches >= 0 marks the anchors with a box, and matches[positive] are the indices of their boxes: "
        "labels[...] and boxes[...] of these give what belongs there, one for each positive anchor.",
        "classes = np.zeros(len(anchors), int); offsets = np.zeros((len(anchors), 4)); chosen = matches[positive]; "
        "classes[positive] = labels[chosen]; offsets[positive] = encode(boxes[chosen], anchors[positive]).",
    ),
    mutants=(
        Mutant(
            _with_classes(lambda labels, matches: np.where(matches >= 0, labels[matches] - 1, 0)),
            "the classes are one too small. Labels begin at 1 already, and 0 is background: take them as they are.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: np.where(matches >= 0, labels[matches] + 1, 0)),
            "the classes are one too large. Labels begin at 1 already, and 0 is background: take them as they are.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: np.where(matches >= 0, labels[matches], -1), without_boxes=-1),
            "anchors without a box have the class -1. Background is a class of its own: 0.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: labels[matches]),
            "anchors without a box have got the class of the last box: -1 as an index means the last one. Their class "
            "is 0.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: labels[matches], offsets=_offsets_of_all),
            "anchors without a box have got the class of the last box and the offsets to it: -1 as an index means the "
            "last one. Theirs are all 0.",
        ),
        Mutant(
            _box_0_is_none,
            "the anchors of box 0 were taken for anchors without a box. 0 is a box; none is -1.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: matches + 1),
            "the classes are the numbers of the boxes. Look up the label of each box.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: matches, without_boxes=-1),
            "the classes are what match_anchors gave, indices of boxes. Look up the label of each box.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: np.where(matches >= 0, matches, 0)),
            "the classes are indices of boxes, and 0 for none. Look up the label of each box.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: np.zeros(len(matches))),
            "the offsets are right, and the classes are still 0 throughout. Anchors with a box have its label.",
        ),
        Mutant(
            _of_positives(keep_classes=False),
            "only anchors with a box have an entry here. Each anchor needs one: class 0 and zeros for the others.",
        ),
        Mutant(
            _of_positives(keep_classes=True),
            "the classes are right, but only anchors with a box have offsets. Each anchor needs a row: zeros for the "
            "others.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: np.where(matches >= 0, 0, labels[0])),
            "anchors without a box have got a class, those with one have not. Turn the mask: with a box is >= 0.",
        ),
        Mutant(
            _with_classes(lambda labels, matches: (matches >= 0).astype(int)),
            "every anchor with a box has the class 1. It should have the label of its box.",
        ),
        Mutant(
            _with_classes(_labels_in_turn),
            "the labels were dealt out in turn. The anchor's box, matches[anchor], says which label it gets.",
        ),
        Mutant(
            _offsets_of_all,
            "anchors without a box have the offsets to the last box: -1 as an index means the last one. Theirs are 0.",
        ),
        Mutant(
            _with_offsets(lambda boxes, anchors, matches: np.zeros((len(anchors), 4))),
            "the classes are right, and the offsets are still 0 throughout. Anchors with a box need those to it.",
        ),
        Mutant(
            _with_offsets(lambda boxes, anchors, matches: _scattered(boxes[matches[_matched(matches)]], matches)),
            "the offsets are the boxes themselves. Encode them from their anchors.",
        ),
        Mutant(
            _with_offsets(
                lambda boxes, anchors, matches: _scattered(
                    encode(boxes[matches[_matched(matches)]], anchors[: len(_matched(matches))]), matches
                )
            ),
            "the boxes were encoded from the first anchors of the list. Each box is encoded from the anchor that has "
            "it.",
        ),
        Mutant(
            _with_offsets(
                lambda boxes, anchors, matches: _scattered(
                    encode(np.resize(boxes, (len(_matched(matches)), 4)), anchors[_matched(matches)]), matches
                )
            ),
            "the boxes were dealt out in turn. The anchor's box, matches[anchor], says which one is encoded.",
        ),
        Mutant(
            _with_offsets(
                lambda boxes, anchors, matches: _scattered(
                    encode(anchors[_matched(matches)], boxes[matches[_matched(matches)]]), matches
                )
            ),
            "boxes and anchors have changed places on the way to encode.",
        ),
        Mutant(
            _threshold_alone,
            "anchors under the threshold have been left out, and with them the boxes that no anchor fits well. "
            "match_anchors has dealt with the threshold: take all it gives.",
        ),
        Mutant(
            lambda boxes, labels, anchors, threshold: encode_targets(boxes, labels, anchors, 1.0),
            "each box has a single anchor. Those that reach the threshold are missing: did it get to match_anchors?",
        ),
        Mutant(
            lambda boxes, labels, anchors, threshold: encode_targets(boxes, labels, anchors, 0.5),
            "0.5 was used whatever `threshold` is. Hand the argument on.",
        ),
        Mutant(
            _truth_of_an_index,
            "anchors of box 0 were taken for anchors without one, and those without one got the last box: to `if`, 0 "
            "is false and -1 is true. Ask for >= 0.",
        ),
        Mutant(
            _by_the_largest_iou,
            "each anchor has the box that it overlaps most. It should have the one that match_anchors gave it.",
        ),
        Mutant(
            _an_entry_for_each_box,
            "there is an entry for each box. Wanted is one for each anchor. Were anchors and boxes exchanged on the "
            "way to match_anchors?",
        ),
        Mutant(
            _with_offsets(
                lambda boxes, anchors, matches: _scattered(
                    encode(boxes[matches[_matched(matches)]], anchors[_matched(matches)]) / VARIANCES, matches
                )
            ),
            "the offsets were divided by the variances twice. encode has done it already.",
        ),
        Mutant(
            _with_offsets(
                lambda boxes, anchors, matches: _scattered(
                    boxes[matches[_matched(matches)]] - anchors[_matched(matches)], matches
                )
            ),
            "the offsets are differences of corners. Encode the boxes from their anchors.",
        ),
        Mutant(
            lambda *arguments: encode_targets(*arguments)[::-1],
            "the classes come first, then the offsets.",
        ),
    ),
    errors=(
        (
            "with size 0",
            "an image without boxes has no last box either, for which -1 stands. Look up the boxes of positive anchors "
            "alone: matches[positive].",
        ),
        (
            f"size of axis is {len(GRADED[0])} but size of corresponding boolean axis is {len(GRADED[1])}",
            "this mask has one entry for each box, and what it is put on one for each anchor. Were anchors and boxes "
            "exchanged on the way to match_anchors?",
        ),
        (
            "out of bounds",
            "an index is larger than the list: indices of boxes belong in `boxes` and `labels`, those of anchors "
            "into `anchors`. Were anchors and boxes exchanged on the way to match_anchors?",
        ),
        (
            "from shape (0,)",
            "without any box your encode gives an empty list, which has no rows of four. Answer an image without boxes "
            "first, or let encode give an array of shape (0, 4).",
        ),
        ("too many indices", "without any box a list has no columns. Answer an image without boxes first."),
        (
            "boolean index",
            "labels and boxes have one entry for each box, the mask one for each anchor. matches[positive] says which "
            "box.",
        ),
        ("cannot assign", "on the left of = stand the positive anchors alone, on the right all of them."),
        (
            "broadcast",
            "encode needs as many boxes as anchors, and a mask on the left as many rows as are true: of all of them, "
            "take those of the positive anchors alone.",
        ),
    ),
)

EXERCISES = (ENCODE, DECODE, ENCODE_TARGETS)
