"""The exercises of lesson 2: which anchor answers for which box, and in what numbers."""

import numpy as np

from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.exercises.boxes import (
    BOTH,
    CORNERS_TO_CENTERS,
    EXACT,
    IOU,
    SHARED,
    SMALL,
    draw_anchors_and_boxes,
)
from ssdseg_course.exercises.coding import DECODE, ENCODE, ENCODE_TARGETS
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.matching import UNMATCHED, match_anchors

# 02.greedy_match


def greedy_match(ious):
    """Pairs one to one, the largest IoU first.

    Args:
        ious: (N, M), of every anchor with every box.

    Returns:
        (N,) int, the index of each anchor's box, or -1.
    """
    ious = np.array(ious, np.float64)  # a copy
    matches = np.full(len(ious), UNMATCHED)
    while ious.size and ious.max() > 0:
        anchor, box = np.unravel_index(ious.argmax(), ious.shape)
        matches[anchor] = box
        ious[anchor] = 0
        ious[:, box] = 0
    return matches


def _over(ious, least):
    """`greedy_match` of the pairs with more than `least`."""
    return greedy_match(np.where(ious > least, ious, 0))


def _smallest_first(ious):
    return greedy_match(np.where(ious > 0, 2 - ious, 0))


def _best_anchor_of_each_box(ious, order=lambda best: range(len(best))) -> np.ndarray:
    """Each box takes its best anchor; where two want the same, the later one in the order of their best IoU wins."""
    matches = np.full(len(ious), UNMATCHED)
    best = ious.max(axis=0, initial=0)
    for box in order(best):
        if best[box] > 0:
            matches[ious[:, box].argmax()] = box
    return matches


def _best_anchor_even_at_0(ious) -> np.ndarray:
    matches = np.full(len(ious), UNMATCHED)
    for box in range(ious.shape[1]):
        matches[ious[:, box].argmax()] = box
    return matches


def _without_a_stop(rounds, struck_out):
    """`greedy_match` that goes on when nothing over 0 is left.

    Args:
        rounds: how many pairs it takes, from the shape of the table.
        struck_out: what it writes over rows and columns that are out.
    """

    def greedy(ious):
        ious = np.array(ious, np.float64)
        matches = np.full(len(ious), UNMATCHED)
        for _ in range(rounds(*ious.shape) if ious.size else 0):
            anchor, box = np.unravel_index(ious.argmax(), ious.shape)
            matches[anchor] = box
            ious[anchor] = struck_out
            ious[:, box] = struck_out
        return matches

    return greedy


def _shifted_by_deleting(ious):
    matches = np.full(len(ious), UNMATCHED)
    while ious.size and ious.max() > 0:
        anchor, box = np.unravel_index(ious.argmax(), ious.shape)
        matches[anchor] = box
        ious = np.delete(np.delete(ious, anchor, axis=0), box, axis=1)
    return matches


def _best_box_of_each_anchor(ious) -> np.ndarray:
    if not ious.size:
        return np.full(len(ious), UNMATCHED)
    return np.where(ious.max(axis=1) > 0, ious.argmax(axis=1), UNMATCHED)


def _box_by_box(ious):
    matches = np.full(len(ious), UNMATCHED)
    for box in range(ious.shape[1]):
        free = np.where(matches == UNMATCHED, ious[:, box], 0)
        if free.max(initial=0) > 0:
            matches[free.argmax()] = box
    return matches


def _anchor_by_anchor(ious):
    return _anchor_of_each_box(_box_by_box(ious.T), len(ious))


def _anchor_of_each_box(matches, boxes: int) -> np.ndarray:
    """(M,) index of each box's anchor, or -1, out of the (N,) index of each anchor's box; or the other way round."""
    anchors = np.full(boxes, UNMATCHED)
    matched = np.flatnonzero(matches != UNMATCHED)
    anchors[matches[matched]] = matched
    return anchors


def _columns_for_rows(ious) -> np.ndarray:
    """The anchor of each box, where the box of each anchor should stand."""
    anchors = np.full(max(ious.shape), UNMATCHED)
    anchors[: ious.shape[1]] = _anchor_of_each_box(greedy_match(ious), ious.shape[1])
    return anchors[: len(ious)]


def _zero_for_none(matches):
    return np.where(matches == UNMATCHED, 0, matches)


def _draw_greedy_match(rng: np.random.Generator):
    """A table without two equal numbers but 0, which about a third of them are."""
    anchors, boxes = int(rng.integers(3, 8)), int(rng.integers(2, 5))
    table = (1 + rng.permutation(anchors * boxes)) / (1 + anchors * boxes)
    return (np.round(table * (rng.random(len(table)) > 0.35), 3).reshape(anchors, boxes),)


GREEDY_MATCH = Exercise(
    id="02.greedy_match",
    title="One to one, the best pair first",
    points=20,
    difficulty="hard",
    minutes=25,
    reference=greedy_match,
    fixed_cases=(
        (np.array([[0.2, 0.1, 0.0], [0.7, 0.8, 0.0], [0.6, 0.3, 0.0], [0.0, 0.0, 0.4]]),),
        (np.array([[0.8, 0.7, 0.1], [0.5, 0.6, 0.0]]),),
        (np.array([[0.5, 0.0], [0.3, 0.0], [0.0, 0.0]]),),
        (np.array([[0.3, 0.9, 0.2, 0.6]]),),
        (np.zeros((3, 2)),),
        (np.zeros((3, 0)),),
    ),
    draw=_draw_greedy_match,
    hints=(
        "Do it by hand on the table first: circle the largest number, strike out its row and its column, and look for "
        "the largest that is left. When do you stop?",
        "Work on a copy. While its largest number is over 0: find where that is, write the box down for the anchor, "
        "and set the whole row and the whole column to 0.",
        "np.unravel_index(table.argmax(), table.shape) gives (anchor, box). Then matches[anchor] = box; "
        "table[anchor] = 0; table[:, box] = 0; all that while table.size and table.max() > 0.",
    ),
    mutants=(
        Mutant(
            _best_anchor_of_each_box,
            "every box took its best anchor, also one that another box had taken: of two boxes that share their best "
            "anchor, the first is lost.",
        ),
        Mutant(
            _best_anchor_even_at_0,
            "two boxes took the same anchor, and the first of them is lost. (And a box that nothing touches took one, "
            "too.)",
        ),
        Mutant(
            lambda ious: _best_anchor_of_each_box(ious, order=np.argsort),
            "a box whose best anchor is taken goes without. It should get the best of those that are still free.",
        ),
        Mutant(
            _best_box_of_each_anchor,
            "every anchor took its best box, so some boxes have several. One to one: a box that has its anchor is out.",
        ),
        Mutant(
            lambda ious: _best_anchor_of_each_box(ious, order=lambda best: np.argsort(-best)),
            "an anchor that had a box was given away again. Once a pair is taken, both its row and its column are out.",
        ),
        Mutant(
            _box_by_box,
            "the boxes chose in their order, the first one first. The pair with the largest IoU of all comes first, "
            "whichever box it is.",
        ),
        Mutant(
            _anchor_by_anchor,
            "the anchors chose in their order, the first one first. The pair with the largest IoU of all comes first, "
            "whichever anchor it is.",
        ),
        Mutant(
            lambda ious: greedy_match(1 + ious),
            "pairs with an IoU of 0 were taken: a box got an anchor that it does not touch. Stop where nothing over 0 "
            "is left.",
        ),
        Mutant(
            _without_a_stop(lambda anchors, boxes: boxes, struck_out=0),
            "nothing over 0 was left, and it went on, a round for every box: the largest of zeros is the first entry. "
            "Stop there.",
        ),
        Mutant(
            _without_a_stop(lambda anchors, boxes: boxes, struck_out=-1),
            "nothing over 0 was left, and it went on, a round for every box, with pairs that do not touch or are out "
            "already. Stop there.",
        ),
        Mutant(
            _without_a_stop(min, struck_out=0),
            "nothing over 0 was left, and it went on: the largest of zeros is the first entry, so that anchor got a "
            "box that it does not touch. Stop there.",
        ),
        Mutant(
            _without_a_stop(lambda anchors, boxes: anchors, struck_out=0),
            "nothing over 0 was left, and it went on, a round for every anchor: the largest of zeros is the first "
            "entry. Stop there.",
        ),
        Mutant(
            _without_a_stop(lambda anchors, boxes: anchors, struck_out=-1),
            "nothing over 0 was left, and it went on, a round for every anchor, with pairs that do not touch or are "
            "out already. Stop there.",
        ),
        Mutant(
            _shifted_by_deleting,
            "once a row or a column is deleted, those behind it move up, and their numbers mean others. Strike out, "
            "with zeros, instead of deleting.",
        ),
        Mutant(
            lambda ious: _over(ious, 0.5),
            "pairs up to an IoU of 0.5 were left out. In this step anything over 0 is good enough: every box should "
            "get its anchor.",
        ),
        Mutant(
            lambda ious: _over(ious, np.nextafter(0.5, 0)),
            "pairs under an IoU of 0.5 were left out. The threshold comes in the next exercise: here anything over 0 "
            "is good enough.",
        ),
        Mutant(
            lambda ious: _zero_for_none(greedy_match(ious)),
            "an anchor without a box got 0, and that is the index of the first box. Say -1.",
        ),
        Mutant(_smallest_first, "the pair with the smallest IoU was taken first. Begin with the largest."),
        Mutant(
            lambda ious: _over(ious, np.nextafter(ious.max(initial=1e-9), 0)),
            "only one pair was taken. Go on until no pair with an IoU over 0 is left.",
        ),
        Mutant(
            lambda ious: _anchor_of_each_box(greedy_match(ious), ious.shape[1]),
            "this says which anchor each box has. Wanted is which box each anchor has: one entry for every row.",
        ),
        Mutant(
            _columns_for_rows,
            "row and column have changed places in the result: the column, the box, should be written down at the "
            "place of the row, the anchor.",
        ),
    ),
    errors=(
        ("IndexError", "np.unravel_index gives the row first, and that is the anchor, then the column, the box."),
        ("empty sequence", "a table without entries has no largest number. See to `ious.size` before you ask for one."),
        (
            "zero-size array",
            "a table without entries has no largest number. See to `ious.size` before you ask for one.",
        ),
    ),
)


# 02.match_anchors


def _no_threshold(anchors, boxes, _threshold):
    return greedy_match(pairwise_iou(anchors, boxes))


def _match(greedy=greedy_match, takes=lambda matches, best, threshold: (matches == UNMATCHED) & (best >= threshold)):
    """`match_anchors` with another first half or another second one.

    Args:
        greedy: (N,) indices of boxes, of (N, M) IoUs.
        takes: (N,) which anchors take the box they overlap most, of `greedy`'s matches, (N,) best IoUs and threshold.
    """

    def match(anchors, boxes, threshold):
        ious = pairwise_iou(anchors, boxes)
        matches = greedy(ious)
        if not ious.size:
            return matches
        return np.where(takes(matches, ious.max(axis=1), threshold), ious.argmax(axis=1), matches)

    return match


def _threshold_alone(ious):
    return np.full(len(ious), UNMATCHED)


def _greedy_over_the_threshold(anchors, boxes, threshold):
    return _match(lambda ious: _over(ious, np.nextafter(threshold, 0)))(anchors, boxes, threshold)


def _last_box_over_the_threshold(anchors, boxes, threshold):
    ious = pairwise_iou(anchors, boxes)
    matches = greedy_match(ious)
    for anchor in np.flatnonzero(matches == UNMATCHED):
        near = np.flatnonzero(ious[anchor] >= threshold)
        matches[anchor] = near[-1] if len(near) else UNMATCHED
    return matches


def _strictly_over_the_threshold(anchors, boxes, threshold):
    return match_anchors(anchors, boxes, np.nextafter(np.float32(threshold), np.float32(1)))


MATCH_ANCHORS = Exercise(
    id="02.match_anchors",
    title="Then the threshold",
    points=15,
    difficulty="medium",
    minutes=20,
    reference=match_anchors,
    fixed_cases=(
        (*EXACT, 0.5),
        (*SHARED, 0.5),
        (*SMALL, 0.5),
        (*BOTH, 0.5),
        (*EXACT, 0.25),
        (EXACT[0], np.zeros((0, 4)), 0.5),
    ),
    draw=draw_anchors_and_boxes,
    hints=(
        "greedy_match has done the first half. Which anchors may still take a box, and which box would each of them "
        "take?",
        "ious = iou(anchors, boxes) has a row for each anchor: ious.max(axis=1) says how well its best box fits and "
        "ious.argmax(axis=1) which one that is. Fill in only where greedy_match left -1.",
        "free = (matches == -1) & (ious.max(axis=1) >= threshold), then "
        "matches[free] = ious.argmax(axis=1)[free]. Without any box there is no largest IoU: return early.",
    ),
    mutants=(
        Mutant(
            _match(_threshold_alone),
            "the threshold alone has decided: a box that no anchor fits well has none at all. greedy_match comes "
            "first.",
        ),
        Mutant(
            _no_threshold,
            "each box has just the anchor that greedy_match gave it. A box may have several: free anchors that reach "
            "the threshold are missing. (matches[free][...] = writes into a copy, and nothing comes of it.)",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: matches == UNMATCHED),
            "every free anchor has taken its best box, however little they overlap. What is `threshold` for?",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: (matches == UNMATCHED) & (best > 0)),
            "every free anchor that touches a box has taken one. Only those should whose IoU reaches `threshold`.",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: (matches <= 0) & (best >= threshold)),
            "anchors that greedy_match gave to box 0 were taken for free ones. 0 is a box; free is -1.",
        ),
        Mutant(
            _match(_best_anchor_of_each_box),
            "of two boxes that share their best anchor, one has lost it and gets no other. That is what greedy_match "
            "is there for.",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: best >= threshold),
            "the threshold has taken an anchor away from the box that greedy_match gave it to. Only free anchors may "
            "still take a box.",
        ),
        Mutant(
            _greedy_over_the_threshold,
            "greedy_match was held to the threshold, too, so boxes that no anchor fits well have none. Any IoU over 0 "
            "will do there.",
        ),
        Mutant(
            _strictly_over_the_threshold,
            "an anchor whose IoU is exactly the threshold was left out. Reaching it is enough.",
        ),
        Mutant(
            _match(lambda ious: greedy_match(1 + ious)),
            "a box got an anchor that it does not touch. Pairs with an IoU of 0 are none.",
        ),
        Mutant(
            _last_box_over_the_threshold,
            "a free anchor took the last box that reaches the threshold. It should take the one it overlaps most.",
        ),
        Mutant(
            lambda anchors, boxes, _threshold: match_anchors(anchors, boxes, 0.5),
            "0.5 was used whatever `threshold` is. Take the argument.",
        ),
        Mutant(
            lambda *arguments: _zero_for_none(match_anchors(*arguments)),
            "an anchor without a box got 0, and that is the index of the first box. Say -1.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: match_anchors(boxes, anchors, threshold),
            "this has one entry for every box. Wanted is one for every anchor. Were anchors and boxes exchanged on "
            "the way to iou?",
        ),
        Mutant(
            lambda anchors, boxes, threshold: match_anchors(anchors, boxes, threshold) if len(boxes) else np.zeros(0),
            "right, but for an image without boxes: it has no entries then. Every anchor needs one also there: -1.",
        ),
        Mutant(
            lambda *arguments: (match_anchors(*arguments) != UNMATCHED).astype(int),
            "this says only whether an anchor has a box. Wanted is which one: its index, or -1.",
        ),
    ),
    errors=(
        ("empty sequence", "without any box a row has no largest number. Answer an image without boxes first."),
        ("zero-size array", "without any box a row has no largest number. Answer an image without boxes first."),
        (
            "cannot assign",
            "on the left of = stand the chosen anchors alone, on the right all of them. Choose by the same mask on "
            "both sides.",
        ),
        (
            "boolean index",
            "a mask has one entry for each anchor: axis=1 gives the best of each row, axis=0 of each box.",
        ),
        (
            "could not be broadcast",
            "these need one entry for each anchor: iou(anchors, boxes), and axis=1 for each row.",
        ),
        ("TypeError", "a list cannot be indexed by a mask. If greedy_match gives a list, make an array of it."),
    ),
)


EXERCISES = (CORNERS_TO_CENTERS, IOU, GREEDY_MATCH, MATCH_ANCHORS, ENCODE, DECODE, ENCODE_TARGETS)
