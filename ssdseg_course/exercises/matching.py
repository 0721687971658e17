"""Exercises of lesson 2: which anchor answers for which box."""

from itertools import permutations

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Exercise, Function, Mutant
from ssdseg_course.exercises.boxes import BOTH, EXACT, GRADED, SHARED, SMALL, draw_anchors_and_boxes
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


def _best_anchor_of_each_box(ious: np.ndarray, order: Function = lambda best: range(len(best))) -> np.ndarray:
    """Each box takes its best anchor; where two want the same, the later one in the order of their best IoU wins."""
    matches = np.full(len(ious), UNMATCHED)
    best = ious.max(axis=0, initial=0)
    for box in order(best):
        if best[box] > 0:
            matches[ious[:, box].argmax()] = box
    return matches


def _best_anchor_even_at_0(ious: np.ndarray) -> np.ndarray:
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


def _best_box_of_each_anchor(ious: np.ndarray) -> np.ndarray:
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


def _anchor_of_each_box(matches: np.ndarray, boxes: int) -> np.ndarray:
    """(M,) index of each box's anchor, or -1, out of the (N,) index of each anchor's box; or the other way round."""
    anchors = np.full(boxes, UNMATCHED)
    matched = np.flatnonzero(matches != UNMATCHED)
    anchors[matches[matched]] = matched
    return anchors


def _columns_for_rows(ious: np.ndarray) -> np.ndarray:
    """The anchor of each box, where the box of each anchor should stand."""
    anchors = np.full(max(ious.shape), UNMATCHED)
    anchors[: ious.shape[1]] = _anchor_of_each_box(greedy_match(ious), ious.shape[1])
    return anchors[: len(ious)]


def _zero_for_none(matches):
    return np.where(matches == UNMATCHED, 0, matches)


def _largest_sum(ious):
    """The pairs with the largest sum, as the Hungarian method finds them, without those of 0."""
    if ious.shape[0] < ious.shape[1]:
        return _anchor_of_each_box(_largest_sum(ious.T), len(ious))
    choices = permutations(range(len(ious)), ious.shape[1])  # an anchor for each box
    best = max(choices, key=lambda choice: sum(ious[anchor, box] for box, anchor in enumerate(choice)))
    matches = np.full(len(ious), UNMATCHED)
    for box, anchor in enumerate(best):
        if ious[anchor, box] > 0:
            matches[anchor] = box
    return matches


def _each_in_order_of_its_best(ious):
    """The anchors choose, those with the largest IoU first; nobody looks again at what is left."""
    matches, ious = np.full(len(ious), UNMATCHED), np.array(ious)
    for anchor in np.argsort(-ious.max(axis=1, initial=0)):
        if ious[anchor].max(initial=0) > 0:
            matches[anchor] = ious[anchor].argmax()
            ious[:, matches[anchor]] = 0
    return matches


def _boxes_in_order_of_their_best(ious):
    return _anchor_of_each_box(_each_in_order_of_its_best(ious.T), len(ious))


def _only_who_want_each_other(ious):
    """One round: pairs that are the best of their row and of their column."""
    row, column = ious.max(axis=1, initial=0)[:, None], ious.max(axis=0, initial=0)
    both = (ious == row) & (ious == column) & (ious > 0)
    return np.where(both.any(axis=1), both.argmax(axis=1), UNMATCHED) if ious.size else np.full(len(ious), UNMATCHED)


def _pairs(ious: np.ndarray) -> np.ndarray:
    """(K, 2) of (anchor, box), in the order in which they are taken."""
    matches = greedy_match(ious)
    anchors = np.flatnonzero(matches != UNMATCHED)
    pairs = np.stack([anchors, matches[anchors]], axis=1)
    return pairs[np.argsort(-ious[anchors, matches[anchors]])] if len(pairs) else np.zeros(0)


def _own_ious(without: float) -> Function:
    """(N,) IoU of each anchor with its box, and what stands for none."""

    def own(ious):
        matches = greedy_match(ious)
        return [without if box == UNMATCHED else ious[anchor, box] for anchor, box in enumerate(matches)]

    return own


def _draw_greedy_match(rng: np.random.Generator) -> Arguments:
    """A table without two equal numbers but 0, which about a third of them are.

    The others are over 0.45 or very small: whoever stops early, at 0.05 or at 0.3, makes one and the same mistake.
    """
    shape = int(rng.integers(3, 8)), int(rng.integers(2, 5))
    order = (1 + rng.permutation(np.prod(shape))) / (1 + np.prod(shape))
    table = np.where(rng.random(len(order)) < 0.25, 0.001 + 0.01 * order, 0.45 + 0.55 * order)
    return (np.round(table * (rng.random(len(order)) > 0.3), 5).reshape(shape),)


GREEDY_MATCH = Exercise(
    id="02.greedy_match",
    title="One to one, the best pair first",
    points=20,
    difficulty="hard",
    minutes=25,
    reference=greedy_match,
    fixed_cases=(
        (np.array([[0.2, 0.1, 0.0], [0.7, 0.8, 0.0], [0.6, 0.3, 0.0], [0.0, 0.0, 0.46]]),),
        (np.array([[0.5, 0.6, 0.0], [0.8, 0.7, 0.1]]),),
        (np.array([[0.5, 0.0], [0.3, 0.0], [0.0, 0.0]]),),
        (np.array([[0.3, 0.9, 0.2, 0.6]]),),
        (np.array([[0.9, 0.0], [0.6, 0.0004]]),),
        (np.array([[0.701, 0.0], [0.704, 0.5]]),),
        (np.array([[0.9, 0.8], [0.7, 0.45]]),),
        (np.array([[0.9, 0.0], [0.8, 0.5], [0.0, 0.7]]),),
        (np.array([[0.9, 0.8, 0.0], [0.0, 0.5, 0.7]]),),
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
            lambda ious: _over(ious, 0.05),
            "a pair with a small IoU was left out. In this step anything over 0 is good enough: every box should get "
            "its anchor.",
        ),
        Mutant(
            _largest_sum,
            "these are the pairs with the largest sum. Greedy never gives up the best pair that is left, not even "
            "where two others would gain more by it.",
        ),
        Mutant(
            _each_in_order_of_its_best,
            "the anchors chose one after the other, in the order of their best IoU. That order changes once a box is "
            "gone: look for the largest number anew each time.",
        ),
        Mutant(
            _boxes_in_order_of_their_best,
            "the boxes chose one after the other, in the order of their best IoU. That order changes once an anchor is "
            "gone: look for the largest number anew each time.",
        ),
        Mutant(
            _only_who_want_each_other,
            "only pairs were taken that are the best of their row and of their column. When these are out, go on with "
            "what is left.",
        ),
        Mutant(
            lambda ious: greedy_match(np.round(ious, 2)),
            "the IoUs were rounded to two decimals, and pairs became equal that are not. Compare them as they are.",
        ),
        Mutant(
            lambda ious: ious.argmax(axis=1) if ious.size else np.full(len(ious), UNMATCHED),
            "every anchor took a box, also where all IoUs are 0, and some boxes have several anchors. Take the largest "
            "number of the whole table, strike out, and repeat.",
        ),
        Mutant(
            lambda ious: _pairs(ious)[:, 1] if len(_pairs(ious)) else np.zeros(0),
            "these are the boxes in the order in which they were taken. Wanted is an entry for each anchor: write the "
            "box down at the place of its anchor.",
        ),
        Mutant(
            _pairs,
            "these are the pairs (anchor, box). Wanted is an entry for each anchor: the index of its box, or -1.",
        ),
        Mutant(
            lambda ious: (greedy_match(ious)[:, None] == np.arange(ious.shape[1])).astype(int),
            "this is a table with a mark for each pair. Wanted is an entry for each anchor: the index of its box, or "
            "-1.",
        ),
        Mutant(
            _own_ious(UNMATCHED),
            "these are the IoUs of the pairs. Wanted is which box each anchor has: its index.",
        ),
        Mutant(
            _own_ious(0),
            "these are the IoUs of the pairs, and 0 for none. Wanted is which box each anchor has: its index, or -1.",
        ),
        Mutant(
            lambda ious: greedy_match(ious) + 1,
            "every number is one too large: boxes are counted from 0, and -1 stands for none.",
        ),
        Mutant(
            lambda ious: greedy_match(ious)[greedy_match(ious) != UNMATCHED],
            "only anchors with a box have an entry here. Each anchor needs one: -1 for those without a box.",
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
        (
            "to unpack",
            "np.argwhere gives a row for each place it finds: np.argwhere(...)[0] is the first, (anchor, box).",
        ),
        (
            ("empty sequence", "zero-size array"),
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


def _threshold_first(greedy_over, greedy=greedy_match):
    """By the threshold first, then one anchor for each box that has none.

    Args:
        greedy_over: (N,) bool, which anchors may serve those, of the matches by the threshold.
        greedy: (N,) indices of boxes, of (N, M) IoUs: how these boxes get one.
    """

    def match(anchors, boxes, threshold):
        ious = pairwise_iou(anchors, boxes)
        if not ious.size:
            return np.full(len(anchors), UNMATCHED)
        matches = np.where(ious.max(axis=1) >= threshold, ious.argmax(axis=1), UNMATCHED)
        left_out = ~np.isin(np.arange(len(boxes)), matches)
        own = greedy(ious * left_out * greedy_over(matches)[:, None])
        return np.where(own != UNMATCHED, own, matches)

    return match


def _box_by_box_over_the_threshold(order: Function, free_alone: bool) -> Function:
    """The second half as loops: each box takes all anchors that reach the threshold, the last box that wants one wins.

    Args:
        order: of the boxes, of their number.
        free_alone: whether anchors that greedy_match gave away are left alone.
    """

    def match(anchors, boxes, threshold):
        ious = pairwise_iou(anchors, boxes)
        matches = greedy_match(ious)
        free = (matches == UNMATCHED) | (not free_alone)
        for box in order(len(boxes)):
            matches[free & (ious[:, box] >= threshold)] = box
        return matches

    return match


def _only_the_first_anchors(best_of):
    """The second half in a loop over as many anchors as there are boxes.

    Args:
        best_of: the IoUs that are held to the threshold, of the (N, M) table.
    """

    def match(anchors, boxes, threshold):
        ious = pairwise_iou(anchors, boxes)
        matches = greedy_match(ious)
        for anchor in range(min(ious.shape)):
            if matches[anchor] == UNMATCHED and best_of(ious)[anchor] >= threshold:
                matches[anchor] = ious[anchor].argmax()
        return matches

    return match


def _with_the_iou_itself(anchors, boxes, threshold):
    """Writes the largest IoU down instead of its place, and an array of whole numbers cuts it to 0 or 1."""
    right, first = match_anchors(anchors, boxes, threshold), greedy_match(pairwise_iou(anchors, boxes))
    best = pairwise_iou(anchors, boxes).max(axis=1, initial=0)
    return np.where(right == first, first, best.astype(int))


def _without_brackets(matches, best, threshold):
    """What `matches == -1 & (best >= threshold)` means: & binds before ==."""
    return matches == (UNMATCHED & (best >= threshold))


def _greedy_over_the_threshold(anchors, boxes, threshold):
    return _match(lambda ious: _over(ious, np.nextafter(threshold, 0)))(anchors, boxes, threshold)


def _strictly_over_the_threshold(anchors, boxes, threshold):
    return match_anchors(anchors, boxes, np.nextafter(np.float32(threshold), np.float32(1)))


LIST_OF_MATCHES = "a list cannot be indexed by a mask. If greedy_match gives a list, make an array of it."
_UNDER_THEM = np.array([0, 0.5, 0.5, 0.75])  # an anchor that overlaps the lower of the boxes of BOTH a little

# The first box has an anchor that fits, the second one. No anchor fits the two others, and their best one is the same.
_COMPETING = (
    np.array([[0.25, 0.25, 0.75, 0.75], [0, 0, 0.5, 0.46875], [0.75, 0, 1, 0.5], [0.75, 0.4375, 1, 0.9375]]),
    np.array([[0, 0, 0.5, 0.5], [0.75, 0.375, 1, 0.5], [0.75, 0, 1, 0.1875]]),
)

_NEARLY_HALF = np.array([[0, 0, 0.5, 0.4], [0, 0, 0.5, 0.249]])  # the second has an IoU of 0.498 with a box of GRADED

MATCH_ANCHORS = Exercise(
    id="02.match_anchors",
    title="Then the threshold",
    points=15,
    difficulty="medium",
    minutes=20,
    home="matching.match_anchors",
    piece=True,
    fixed_cases=(
        (*GRADED, 0.4),
        (*SHARED, 0.5),
        (*SMALL, 0.5),
        (*BOTH, 0.5),
        (SHARED[0], SHARED[1][::-1], 0.5),
        (np.vstack([BOTH[0], _UNDER_THEM]), BOTH[1][::-1], 0.5),
        (*_COMPETING, 0.5),
        (_NEARLY_HALF, GRADED[1], 0.5),
        (*GRADED, 0.25),
        (*EXACT, 0.5),
        (GRADED[0], np.zeros((0, 4)), 0.5),
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
            _box_by_box_over_the_threshold(range, free_alone=True),
            "a free anchor took the last box that reaches the threshold. It should take the one it overlaps most.",
        ),
        Mutant(
            _box_by_box_over_the_threshold(lambda count: range(count)[::-1], free_alone=True),
            "a free anchor took the first box that reaches the threshold. It should take the one it overlaps most.",
        ),
        Mutant(
            _box_by_box_over_the_threshold(range, free_alone=False),
            "every box took all anchors that reach the threshold, also from other boxes. Only free anchors may still "
            "take a box, and each takes the one it overlaps most.",
        ),
        Mutant(
            _threshold_first(lambda matches: matches == UNMATCHED),
            "the threshold came first, and greedy_match got what was left: a box then finds its best anchor taken. "
            "First greedy for all boxes, then the threshold.",
        ),
        Mutant(
            _threshold_first(lambda matches: np.full(len(matches), True)),
            "the threshold came first, then greedy_match for the boxes left out. Taken by itself, without the pairs "
            "that fit better, it chooses otherwise: first greedy for all boxes.",
        ),
        Mutant(
            _threshold_first(lambda matches: matches == UNMATCHED, greedy=_box_by_box),
            "the threshold came first, then the boxes left out took what was left, one after the other. First "
            "greedy_match for all boxes, then the threshold.",
        ),
        Mutant(
            _threshold_first(lambda matches: np.full(len(matches), True), greedy=_best_anchor_of_each_box),
            "the threshold came first, then the boxes left out took their best anchors, also from others. First "
            "greedy_match for all boxes, then the threshold.",
        ),
        Mutant(
            _match(_best_anchor_even_at_0),
            "every box took its best anchor, also where two wanted the same, and where a box touches none. That is "
            "what greedy_match is there for.",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: (matches == UNMATCHED) | (best >= threshold)),
            "free anchors and those that reach the threshold have taken their best boxes. It should be those that are "
            "both: & instead of |.",
        ),
        Mutant(
            _with_the_iou_itself,
            "free anchors have got a number that is no index of their box. max says how well the best box fits, argmax "
            "which one that is.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _match(
                takes=lambda matches, best, least: (matches == UNMATCHED) & (np.round(best, 2) >= least)
            )(anchors, boxes, threshold),
            "the IoUs were rounded to two decimals, and one a little under the threshold came to it. Compare them as "
            "they are.",
        ),
        Mutant(
            _only_the_first_anchors(lambda ious: ious.max(axis=1)),
            "only as many anchors were held to the threshold as there are boxes. Go through all anchors: len(anchors).",
        ),
        Mutant(
            _only_the_first_anchors(lambda ious: ious.max(axis=0)),
            "the loop runs over the boxes, and takes their numbers for those of anchors: axis=0 gives the best of each "
            "box, axis=1 of each anchor.",
        ),
        Mutant(
            _match(takes=_without_brackets),
            "& binds more tightly than ==. Put each comparison in brackets: (matches == -1) & (...).",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: (matches == UNMATCHED) & (best < threshold)),
            "free anchors under the threshold have taken a box, those that reach it have not. Turn the comparison.",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: (matches == UNMATCHED) & (best <= threshold)),
            "free anchors up to the threshold have taken a box, those over it have not. Turn the comparison: at least "
            "`threshold`.",
        ),
        Mutant(
            _match(takes=lambda matches, best, threshold: (matches != UNMATCHED) & (best >= threshold)),
            "the anchors that greedy_match gave away were looked at, not the free ones. Free is -1.",
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
            lambda anchors, boxes, threshold: (
                match_anchors(boxes, anchors, threshold) if len(boxes) else np.full(len(anchors), UNMATCHED)
            ),
            "where there are boxes this has one entry for each of them. Wanted is one for every anchor. Were anchors "
            "and boxes exchanged on the way to iou?",
        ),
        Mutant(
            lambda *arguments: match_anchors(*arguments) + 1,
            "every number is one too large: boxes are counted from 0, and -1 stands for none.",
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
        (
            ("empty sequence", "zero-size array"),
            "without any box a row has no largest number. Answer an image without boxes first.",
        ),
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
        (
            "is ambiguous",
            "`and`, `or` and `not` need one truth, and these are many: & joins two masks entry by entry, each in "
            "brackets.",
        ),
        (("list indices", "only integer scalar arrays"), LIST_OF_MATCHES),
    ),
)


EXERCISES = (GREEDY_MATCH, MATCH_ANCHORS)
