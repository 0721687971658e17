"""The exercises of lesson 10: what a network takes over, how it learns from few photographs, and where it errs.

Overlaps, precisions and shares lie clear of their thresholds, or on them in numbers that every kind of float holds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.exercise import Arguments, Exercise, Function, Mutant
from ssdseg_course.checking.named import compare_named, compare_words, run_named, run_words
from ssdseg_course.checking.values import Plain
from ssdseg_ref.boxes import pairwise_iou, to_pixels
from ssdseg_ref.data import augment
from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample
from ssdseg_ref.errors import error_kinds
from ssdseg_ref.transfer import learning_rates, linear_probe, running_statistics, take_over

_RNG = np.random.default_rng(10)  # of the fixed cases: always the same


def _row(*values: float) -> np.ndarray:
    return np.array(values, float)


def _the_other_way_round(function: Function) -> Function:
    """What should be returned together, in the other order."""
    return lambda *arguments: function(*arguments)[::-1]


# 10.take_over


def _taken_where(fits, otherwise=lambda name, weight, source: weight, taken=lambda weight, other: other):
    """`take_over` with another condition, another weight where it does not hold, or a changed one where it does.

    Args:
        fits: whether a weight of the target takes another one of its name.
        otherwise: the weight of a name that takes none, of the name, the target's weight and the source.
        taken: what it takes of the other one.
    """

    def take(target, source):
        return {
            name: taken(weight, source[name])
            if name in source and fits(weight, source[name])
            else otherwise(name, weight, source)
            for name, weight in target.items()
        }

    return take


def _of_one_shape(weight, other):
    return bool(weight.shape == other.shape)


def _first_of_that_shape(target, source):
    return {
        name: next((other for other in source.values() if other.shape == weight.shape), weight)
        for name, weight in target.items()
    }


def _in_their_order(target, source):
    """The first weight takes the first one, whatever its name, where the shapes are the same."""
    others = [*source.values()]
    return {
        name: others[place] if place < len(others) and others[place].shape == weight.shape else weight
        for place, (name, weight) in enumerate(target.items())
    }


def _what_fits_alone(target, source):
    return {name: source[name] for name in target if name in source and source[name].shape == target[name].shape}


def _what_both_know_alone(target, source):
    return {name: weight for name, weight in take_over(target, source).items() if name in source}


def _with_the_rest_of_the_source(target, source):
    return {**take_over(target, source), **{name: other for name, other in source.items() if name not in target}}


def _until_something_does_not_fit(target, source):
    taken = dict(target)
    for name, weight in target.items():
        if name not in source or source[name].shape != weight.shape:
            break
        taken[name] = source[name]
    return taken


def _all_or_nothing(target, source):
    fit = all(name in source and source[name].shape == weight.shape for name, weight in target.items())
    return {name: source[name] for name in target} if fit else dict(target)


def _a_corner_of_it(weight, other):
    """As much of another weight as there is room for, laid over the target's own."""
    both = tuple(slice(min(pair)) for pair in zip(weight.shape, other.shape, strict=True))
    mixed = np.array(weight)
    mixed[both] = other[both]
    return mixed


def _written_into(target, source):
    """As NumPy writes an array into another one, wherever it finds a way."""
    taken = {name: np.array(weight) for name, weight in target.items()}
    for name, weight in taken.items():
        try:
            weight[...] = source[name]
        except (KeyError, ValueError):
            continue
    return taken


def _weight(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.round(rng.uniform(-1, 1, shape), 2)


def _draw_weights(rng: np.random.Generator) -> Arguments:
    names = [f"{layer}/{part}" for layer in ("stem", "block1", "block2", "head") for part in ("kernel", "bias")]
    shapes = [(2,), (3,), (2, 3), (3, 2), (6,), (1, 2)]
    target = {name: _weight(rng, shapes[rng.integers(len(shapes))]) for name in rng.permutation(names)[:6].tolist()}
    source = {}
    for name in rng.permutation(names)[:6].tolist():
        same = name in target and rng.random() < 0.6
        source[name] = _weight(rng, target[name].shape if same else shapes[rng.integers(len(shapes))])
    return target, source


TAKE_OVER = Exercise(
    id="10.take_over",
    title="What fits is taken over",
    points=10,
    difficulty="easy",
    minutes=10,
    home="transfer.take_over",
    run=run_named,
    compare=compare_named,
    fixed_cases=(
        ({"stem": _row(1, 2), "head": _row(3, 4, 5)}, {"stem": _row(6, 7), "head": _row(8, 9)}),
        ({"stem": _row(1, 2), "new": _row(3, 4)}, {"old": _row(5, 6), "stem": _row(7, 8)}),
        ({"head": _row(1, 2, 3), "stem": _row(4, 5)}, {"stem": _row(6, 7), "head": _row(8, 9)}),
        ({"a": _row(1, 2), "b": _row(3, 4)}, {"b": _row(5, 6), "a": _row(7, 8)}),
        ({"kernel": np.array([[1.0, 2, 3], [4, 5, 6]])}, {"kernel": np.array([[7.0, 8], [9, 10], [11, 12]])}),
        ({"kernel": np.array([[1.0, 2]]), "bias": _row(3, 4)}, {"kernel": _row(5, 6), "bias": np.array([[7.0, 8]])}),
        ({"kernel": np.array([[1.0, 2], [3, 4]]), "bias": _row(5, 6)}, {"kernel": _row(7, 8), "bias": _row(9)}),
        ({"kernel": np.array([[1.0, 2], [3, 4]])}, {"kernel": np.array([[5.0, 6, 7], [8, 9, 10]])}),
        ({"kernel": np.array([[1.0, 2]])}, {"kernel": np.array([[3.0, 4], [5, 6]])}),
        ({"steps": np.array(1.0), "stem": _row(2)}, {"stem": _row(3), "steps": np.array(4.0)}),
        ({"a": _row(1, 2), "b": _row(3)}, {}),
        ({}, {"a": _row(1, 2)}),
    ),
    draw=_draw_weights,
    hints=(
        "Go through the target, name by name, for it is the target that is to be filled. When can the source's weight "
        "stand there, and what stands there when it cannot?",
        "Two things have to hold: `name in source`, and `source[name].shape == weight.shape`. Else the target's own "
        "weight stays.",
        "A new dict: taken = {}; for name, weight in target.items(): taken[name] = source[name] if both hold, else "
        "weight.",
    ),
    mutants=(
        Mutant(
            _taken_where(lambda weight, other: True),
            "a weight was taken by its name alone. What does a layer of three classes do with a kernel for two?",
        ),
        Mutant(
            _first_of_that_shape,
            "a weight was taken for its shape alone. Many layers have the same shape: which one should it come from?",
        ),
        Mutant(
            _in_their_order,
            "the weights were paired in the order in which they stand. Two networks need not have the same order: what "
            "tells which weight is which?",
        ),
        Mutant(
            _taken_where(lambda weight, other: weight.size == other.size),
            "a weight with as many numbers, but in another shape, was taken. Do the same numbers do the same thing in "
            "a (2, 3) and in a (3, 2)?",
        ),
        Mutant(
            _taken_where(
                lambda weight, other: weight.size == other.size, taken=lambda weight, other: other.reshape(weight.shape)
            ),
            "a weight of another shape was reshaped until it fitted. Which input would each number then be multiplied "
            "with?",
        ),
        Mutant(
            _taken_where(
                lambda weight, other: weight.shape in (other.shape, other.shape[::-1]),
                taken=lambda weight, other: other if weight.shape == other.shape else other.T,
            ),
            "a weight was transposed until it fitted. Rows are what comes in and columns what goes out: is one the "
            "other?",
        ),
        Mutant(
            lambda target, source: dict(source),
            "that is the source, whole. Which names does the network have that is to learn?",
        ),
        Mutant(
            lambda target, source: {**target, **source},
            "the source was written over the target: names that the target lacks came along, and shapes that do not "
            "fit. Whose names should come back?",
        ),
        Mutant(
            _with_the_rest_of_the_source,
            "names that only the source has came along. The network that is to learn has no such layer: whose names "
            "should come back?",
        ),
        Mutant(
            _what_fits_alone,
            "only what was taken over is there. The other layers need weights, too: which ones do they have already?",
        ),
        Mutant(
            _what_both_know_alone,
            "a name that the source does not have is missing. That layer is new: which weight has it already?",
        ),
        Mutant(
            lambda target, source: dict(target),
            "nothing was taken over: that is the target as it was. Where do the source's weights go?",
        ),
        Mutant(
            _until_something_does_not_fit,
            "it stopped at the first weight that does not fit. Those behind it may fit all the same: should one of "
            "them hold up the others?",
        ),
        Mutant(
            _all_or_nothing,
            "one weight that does not fit, and nothing was taken at all. A new head is no reason to forget the "
            "backbone: decide for each weight by itself.",
        ),
        Mutant(
            _taken_where(_of_one_shape, otherwise=lambda name, weight, source: np.zeros_like(weight)),
            "what does not fit became zeros. The target's own weight was drawn so that it can learn: why not keep it?",
        ),
        Mutant(
            _taken_where(
                lambda weight, other: not _of_one_shape(weight, other),
            ),
            "it is the wrong way round: what fits was left, and what does not fit was taken. Which of the two goes "
            "with `==`?",
        ),
        Mutant(
            _taken_where(lambda weight, other: weight.ndim == other.ndim),
            "shapes with as many axes were taken for the same. Do (2, 3) and (3, 2) fit, or (3,) and (2,)?",
        ),
        Mutant(
            _taken_where(lambda weight, other: weight.shape[-1:] == other.shape[-1:]),
            "only the last axis was compared. What about the others: is (2,) a (1, 2)?",
        ),
        Mutant(
            _taken_where(lambda weight, other: weight.shape[:1] == other.shape[:1]),
            "only the first axis was compared, as `len` does it. What about the others?",
        ),
        Mutant(
            _taken_where(lambda weight, other: weight.ndim == other.ndim, taken=_a_corner_of_it),
            "a part of a weight was laid over the target's own. Which of the source's classes or channels would that "
            "part belong to? Take it whole or not at all.",
        ),
        Mutant(
            _written_into,
            "a weight of another shape was written into the target's, for NumPy spreads it until it fits. Only the "
            "same shape will do: what does `==` of the two shapes say?",
        ),
    ),
    errors=(
        ("KeyError", "a name of one network need not be one of the other: what does `name in source` say?"),
        ("changed size during iteration", "a dict that is looped over cannot grow or shrink: fill a new one."),
        ("ambiguous", "two arrays compared give true or false for each number: compare their shapes instead."),
        ("unhashable", "a weight cannot be looked up in a dict, its name can: loop over `target.items()`."),
    ),
)


# 10.running_statistics


AXES = (0, 1, 2)  # all but the channels


def _running(
    mean_of=lambda batch: batch.mean(axis=AXES),
    variance_of=lambda batch, mean: batch.var(axis=AXES),
    seen=lambda batches: batches,
    old=lambda momentum: momentum,
    new=lambda momentum: 1 - momentum,
):
    """`running_statistics` with another statistic of a batch, other batches or other shares.

    Args:
        mean_of: (C,) of a batch.
        variance_of: (C,) of a batch and the moving mean before it.
        seen: the batches that are seen, of those given.
        old: share of what was, from the momentum.
        new: share of what is new.
    """

    def run(mean, variance, batches, momentum):
        for batch in seen(batches):
            of_batch = mean_of(batch), variance_of(batch, mean)
            mean, variance = (
                old(momentum) * was + new(momentum) * now for was, now in zip((mean, variance), of_batch, strict=True)
            )
        return np.array(mean), np.array(variance)

    return run


def _pixels(batch):
    return batch.reshape(-1, batch.shape[-1])


def _in_one(batches):
    return [np.concatenate([_pixels(batch) for batch in batches])[:, None, None]] if batches else []


def _mean_statistics_once(mean, variance, batches, momentum):
    if not batches:
        return mean, variance
    new = (
        np.mean([batch.mean(axis=AXES) for batch in batches], axis=0),
        np.mean([batch.var(axis=AXES) for batch in batches], axis=0),
    )
    return tuple(momentum * was + (1 - momentum) * now for was, now in zip((mean, variance), new, strict=True))


def _around_the_new_mean(mean, variance, batches, momentum):
    for batch in batches:
        mean = momentum * mean + (1 - momentum) * batch.mean(axis=AXES)
        variance = momentum * variance + (1 - momentum) * ((batch - mean) ** 2).mean(axis=AXES)
    return mean, variance


def _deviations(mean, variance, batches, momentum):
    """The moving standard deviation, squared in the end."""
    deviation = np.sqrt(variance)
    for batch in batches:
        deviation = momentum * deviation + (1 - momentum) * batch.std(axis=AXES)
    return running_statistics(mean, variance, batches, momentum)[0], deviation**2


def _all_count_alike(mean, variance, batches, momentum):
    for count, batch in enumerate(batches, 1):
        mean = mean + (batch.mean(axis=AXES) - mean) / (count + 1)
        variance = variance + (batch.var(axis=AXES) - variance) / (count + 1)
    return mean, variance


def _weighted_by_their_size(mean, variance, batches, momentum):
    most = max(map(len, batches), default=1)
    for batch in batches:
        share = (1 - momentum) * len(batch) / most
        mean = (1 - share) * mean + share * batch.mean(axis=AXES)
        variance = (1 - share) * variance + share * batch.var(axis=AXES)
    return mean, variance


def _one_alone(which):
    """Only the mean, 0, or only the variance, 1, moves."""

    def run(mean, variance, batches, momentum):
        moved = running_statistics(mean, variance, batches, momentum)
        return (moved[0], variance) if which == 0 else (mean, moved[1])

    return run


def _with_the_mean_s_way(mean, variance, batches, momentum):
    """The variance of all that has been seen, faded: also what the mean has moved by."""
    for batch in batches:
        moved = batch.mean(axis=AXES) - mean
        mean = mean + (1 - momentum) * moved
        variance = momentum * (variance + (1 - momentum) * moved**2) + (1 - momentum) * batch.var(axis=AXES)
    return mean, variance


def _of_places(statistic):
    """A statistic over the images alone, for each place by itself; (C,) where nothing has been seen."""
    return lambda batch: statistic(batch, axis=0)


def _activations(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.round(rng.normal(size=shape) * rng.uniform(0.5, 2, shape[-1]) + rng.uniform(-2, 2, shape[-1]), 2)


def _draw_batches(rng: np.random.Generator) -> Arguments:
    channels, height, width = (int(n) for n in rng.integers((2, 2, 3), (4, 4, 6)))
    batches = [_activations(rng, int(n), height, width, channels) for n in rng.integers(2, 5, int(rng.integers(2, 4)))]
    mean, variance = np.round(rng.uniform(-1, 1, channels), 2), np.round(rng.uniform(0.5, 2, channels), 2)
    return mean, variance, batches, float(rng.choice([0.6, 0.75, 0.9]))


RUNNING_STATISTICS = Exercise(
    id="10.running_statistics",
    title="What a batch normalisation remembers",
    points=10,
    difficulty="medium",
    minutes=15,
    home="transfer.running_statistics",
    returns=("mean", "variance"),
    fixed_cases=(
        (_row(0), _row(4), [np.array([1.0, 3]).reshape(1, 1, 2, 1)], 0.9),
        (
            _row(1, -1),
            _row(1, 2),
            [np.array([[2.0, 0], [4, 6], [0, 3], [8, 6], [2, 4], [2, 5]]).reshape(2, 3, 1, 2)],
            0.75,
        ),
        (_row(0), _row(1), [np.array([2.0, 6]).reshape(1, 2, 1, 1), np.array([4.0, 4, 10]).reshape(3, 1, 1, 1)], 0.5),
        (_row(3, 4), _row(1, 2), [], 0.9),
        (_row(5), _row(2), [np.array([1.0, 2, 6]).reshape(1, 3, 1, 1), np.array([0.0, 8]).reshape(2, 1, 1, 1)], 0.0),
        (_row(5), _row(2), [np.array([1.0, 2, 6]).reshape(1, 3, 1, 1)], 1.0),
        (_row(0.5, -1), _row(1, 3), [_activations(_RNG, n, 2, 3, 2) for n in (3, 2)], 0.8),
        (_row(1, 2, 0), _row(2, 1, 1), [_activations(_RNG, n, 2, 2, 3) for n in (2, 4, 2)], 0.9),
    ),
    draw=_draw_batches,
    hints=(
        "How many numbers does a channel have in one batch? Its mean and its variance are over all of them. And how "
        "much of the old statistic stays, if the momentum is 0.99?",
        "Batch after batch: new = momentum * old + (1 - momentum) * of the batch. The batch's own are over the axes "
        "(0, 1, 2): images, rows, columns.",
        "for batch in batches: mean = momentum * mean + (1 - momentum) * batch.mean(axis=(0, 1, 2)), and the same for "
        "the variance with batch.var.",
    ),
    mutants=(
        Mutant(
            _running(old=lambda momentum: 1 - momentum, new=lambda momentum: momentum),
            "the two shares have changed places, as in PyTorch. Keras's momentum is the share that *stays*: with 0.99, "
            "how much of it comes from the batch?",
        ),
        Mutant(
            _running(variance_of=lambda batch, mean: _pixels(batch).var(axis=0, ddof=1)),
            "the variance was divided by one less than the number of values. What does `batch.var` divide by, if "
            "nobody tells it otherwise?",
        ),
        Mutant(
            _running(seen=_in_one),
            "all batches were taken as one. They are seen one after the other: what has the second one to do with the "
            "statistics that the first one left?",
        ),
        Mutant(
            _mean_statistics_once,
            "the batches' statistics were averaged, and the old ones moved once. They move after every batch.",
        ),
        Mutant(
            _running(_of_places(np.mean), lambda batch, mean: batch.var(axis=0)),
            "the statistics are over the images alone, so each place has its own. A convolution treats all places "
            "alike: over which three axes does a channel run?",
        ),
        Mutant(
            _running(
                lambda batch: batch.mean(axis=(1, 2)).mean(axis=0),
                lambda batch, mean: batch.var(axis=(1, 2)).mean(axis=0),
            ),
            "the variance was taken in each image and averaged then. How the images differ from one another belongs to "
            "it: what is it over all of them at once?",
        ),
        Mutant(
            _running(variance_of=lambda batch, mean: batch.mean(axis=(1, 2)).var(axis=0)),
            "that is the variance of the images' means. What is the variance of all values of a channel?",
        ),
        Mutant(
            _running(seen=lambda batches: [image[None] for batch in batches for image in batch]),
            "each image moved the statistics by itself. A batch moves them once: over which axes is its mean?",
        ),
        Mutant(
            _running(variance_of=lambda batch, mean: ((batch - mean) ** 2).mean(axis=AXES)),
            "the variance was taken around the moving mean. Which mean does a batch's own variance go around?",
        ),
        Mutant(
            _around_the_new_mean,
            "the variance was taken around the moving mean, just moved. Which mean does a batch's own variance go "
            "around?",
        ),
        Mutant(
            _with_the_mean_s_way,
            "how far the mean has moved went into the variance. That is the variance of all that has been seen; Keras "
            "mixes the old variance with the batch's own, and nothing else.",
        ),
        Mutant(
            _running(
                lambda batch: batch.mean(axis=AXES, keepdims=True),
                lambda batch, mean: batch.var(axis=AXES, keepdims=True),
            ),
            "the numbers are right, but with axes of length 1 around them. What does `keepdims=True` do?",
        ),
        Mutant(
            _running(variance_of=lambda batch, mean: (batch**2).mean(axis=AXES)),
            "that is the mean of the squares. What has to be subtracted first, from each value, to get a variance?",
        ),
        Mutant(
            _running(variance_of=lambda batch, mean: batch.std(axis=AXES)),
            "the batch's standard deviation was mixed with a variance. Which of the two is the other one's square?",
        ),
        Mutant(
            _deviations,
            "the standard deviation was moved, and squared in the end. What moves is the variance itself.",
        ),
        Mutant(
            _running(seen=lambda batches: batches[::-1]),
            "the batches were seen in the opposite order, so that the first one counts most. Which one is fresh in its "
            "memory?",
        ),
        Mutant(
            _running(seen=lambda batches: batches[-1:]),
            "only the last batch was seen. Does each step of the loop go on from what the step before it gave?",
        ),
        Mutant(
            _running(seen=lambda batches: batches[:1]),
            "only the first batch was seen. Does the `return` stand inside of the loop?",
        ),
        Mutant(
            _running(old=lambda momentum: 0, new=lambda momentum: 1),
            "those are the last batch's own statistics. How much of the old ones should stay?",
        ),
        Mutant(
            _running(new=lambda momentum: 1),
            "old and new together weigh more than 1, so that the statistics grow and grow. What share is left for the "
            "batch, if `momentum` stays?",
        ),
        Mutant(
            _all_count_alike,
            "all batches count alike here. With a momentum what is long ago fades: momentum * old + what?",
        ),
        Mutant(
            _weighted_by_their_size,
            "a batch counts for its number of images. Every batch moves the statistics alike, a small one too.",
        ),
        Mutant(
            _running(lambda batch: batch.mean(), lambda batch, mean: batch.var()),
            "the channels were thrown together. A batch normalisation has one mean for each: which axis has to stay?",
        ),
        Mutant(
            _one_alone(0),
            "the variance has not moved. What does the same formula give for it?",
        ),
        Mutant(
            _one_alone(1),
            "the mean has not moved. What does the same formula give for it?",
        ),
        Mutant(
            _the_other_way_round(running_statistics),
            "both are right, but in the other order: the mean comes first, then the variance.",
        ),
    ),
    errors=(
        (
            "operands could not be broadcast",
            "two shapes do not fit: a batch's mean has to be (C,), as the old one is. Over which axes was it taken?",
        ),
        (
            ("inhomogeneous", "must match exactly"),
            "batches may differ in size, so that they make no one array: go through them, one after the other.",
        ),
        (
            ("has no attribute 'mean'", "has no attribute 'var'"),
            "`batches` is a list, and each batch in it an array: is there a loop over them?",
        ),
        ("UFuncTypeError", "`+=` writes into the array that was given: make a new one, `mean = ...`."),
    ),
)


# 10.linear_probe


def _ridge(x, y, penalty):
    """Weights with the least squares, and with the least weights where there are several such."""
    return np.linalg.pinv(x.T @ x + penalty) @ x.T @ y


def _probe(
    centre=lambda x: x.mean(axis=0),
    decay=lambda weight_decay, x: weight_decay,
    target=lambda y: y,
    bias=lambda x, y, weights: y.mean() - x.mean(axis=0) @ weights,
):
    """`linear_probe` with features that are centred in another way, another decay, other labels or another bias."""

    def probe(features, labels, weight_decay):
        x, y = np.asarray(features, float), target(np.asarray(labels, float))
        penalty = decay(weight_decay, x) * np.eye(x.shape[1])
        weights = _ridge(x - centre(x), y - y.mean(), penalty)
        return weights, bias(x, y, weights)

    return probe


def _no_centre(x):
    return 0.0


def _without_centre(bias):
    """Weights without a bias beside them, and a bias made up afterwards."""

    def probe(features, labels, weight_decay):
        x, y = np.asarray(features, float), np.asarray(labels, float)
        weights = _ridge(x, y, weight_decay * np.eye(x.shape[1]))
        return weights, bias(x, y, weights)

    return probe


def _bias_costs_too(features, labels, weight_decay):
    x = np.append(features, np.ones((len(features), 1)), axis=1)
    *weights, bias = _ridge(x, np.asarray(labels, float), weight_decay * np.eye(x.shape[1]))
    return np.array(weights), bias


def _last_weight_spared(features, labels, weight_decay):
    """A column of ones stands first, and the 0 of the diagonal last."""
    x = np.append(np.ones((len(features), 1)), features, axis=1)
    bias, *weights = _ridge(x, np.asarray(labels, float), weight_decay * np.diag([1.0] * (x.shape[1] - 1) + [0]))
    return np.array(weights), bias


def _in_one_vector(features, labels, weight_decay):
    return np.append(*linear_probe(features, labels, weight_decay))


def _decay_on_every_product(features, labels, weight_decay):
    x, y = np.asarray(features, float), np.asarray(labels, float)
    weights = _ridge(x - x.mean(axis=0), y - y.mean(), weight_decay)
    return weights, y.mean() - x.mean(axis=0) @ weights


def _of_standardised_features(features, labels, weight_decay):
    x = np.asarray(features, float)
    deviation = np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    return linear_probe((x - x.mean(axis=0)) / deviation, labels, weight_decay)


def _decay_of_standardised_features(features, labels, weight_decay):
    x = np.asarray(features, float)
    deviation = np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    weights, bias = linear_probe(x / deviation, labels, weight_decay)
    return weights / deviation, bias


def _difference_of_means(features, labels, weight_decay):
    x, y = np.asarray(features, float), np.asarray(labels, float)
    if y.min() == y.max():
        return np.zeros(x.shape[1]), y.mean()
    weights = x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)
    return weights, -(x[y == 1].mean(axis=0) + x[y == 0].mean(axis=0)) @ weights / 2


def _features(rng: np.random.Generator, examples: int, count: int) -> np.ndarray:
    return np.round(rng.normal(size=(examples, count)) * rng.uniform(0.7, 2, count) + rng.uniform(-2, 2, count), 2)


def _draw_probe(rng: np.random.Generator) -> Arguments:
    """More examples than features, so that mistakes give numbers, too, and the same ones however they are written."""
    examples, count = (int(n) for n in rng.integers((6, 2), (14, 5)))
    labels = rng.integers(0, 2, examples)
    labels[:3] = (0, 1, 1)
    return _features(rng, examples, count), labels, float(np.round(rng.uniform(0.7, 4), 2))


_LINE = np.array([[0.0], [1], [2], [3]])

LINEAR_PROBE = Exercise(
    id="10.linear_probe",
    title="What frozen features know",
    points=15,
    difficulty="medium",
    minutes=25,
    home="transfer.linear_probe",
    returns=("weights", "bias"),
    fixed_cases=(
        (_LINE, np.array([0, 0, 1, 1]), 0.0),
        (_LINE, np.array([0, 0, 1, 1]), 5.0),
        (_LINE + 3, np.array([0, 1, 1, 1]), 2.0),
        (np.array([[1.0, 0], [2, 0], [4, 0], [5, 0]]), np.array([0, 1, 0, 1]), 0.5),  # a feature that is always 0
        (np.array([[1.0, 2], [3, 1], [2, 5], [4, 4]]), np.array([1, 1, 1, 1]), 1.0),  # all of one class
        # Fewer examples than features, in whole numbers: a table without an inverse shows that whatever the machine.
        (np.array([[1.0, 2, 2], [3, 2, 4]]), np.array([1, 0]), 1.5),
        (_features(_RNG, 9, 3), np.array([0, 1, 0, 0, 0, 1, 0, 0, 1]), 3.0),
        (_features(_RNG, 8, 2), np.array([1, 1, 0, 1, 0, 1, 1, 1]), 0.0),
    ),
    draw=_draw_probe,
    hints=(
        "The bias costs nothing, so whatever the weights, the best bias makes the errors' mean 0. What is then left to "
        "do with features and labels of which the mean has been subtracted?",
        "With X and y centred, the gradient is 0 where (XᵀX + weight_decay · 1) w = Xᵀy, 1 being np.eye(D). "
        "And the bias: mean of the labels minus what the weights make of the mean features.",
        "X = features - features.mean(axis=0); w = np.linalg.solve(X.T @ X + weight_decay * np.eye(X.shape[1]), X.T @ "
        "(labels - labels.mean())); bias = labels.mean() - features.mean(axis=0) @ w.",
    ),
    mutants=(
        Mutant(
            _bias_costs_too,
            "the bias pays weight decay, too. It only says how common the class is: which entry of the diagonal should "
            "be 0?",
        ),
        Mutant(
            _without_centre(lambda x, y, weights: 0.0),
            "there is no bias, so that features of 0 must give 0. What if the features are never near 0?",
        ),
        Mutant(
            _without_centre(lambda x, y, weights: y.mean() - x.mean(axis=0) @ weights),
            "the weights were found without a bias, and it was added then. What would the weights be, had they known "
            "of it? Subtract the mean first.",
        ),
        Mutant(
            _without_centre(lambda x, y, weights: y.mean()),
            "the features still have their mean. Subtract it before the weights are found; what does the bias then "
            "have to make up for?",
        ),
        Mutant(
            _last_weight_spared,
            "the last weight pays nothing, and the bias does. Where is the column of ones: at which place of the "
            "diagonal should the 0 be?",
        ),
        Mutant(
            _probe(bias=lambda x, y, weights: y.mean()),
            "the weights are right. The bias is the mean of the labels, as if the features' mean were 0: what do the "
            "weights give there already?",
        ),
        Mutant(
            _probe(bias=lambda x, y, weights: 0.0),
            "the weights are right, and the bias is missing: with features that are not centred, what is left over on "
            "average?",
        ),
        Mutant(
            _probe(bias=lambda x, y, weights: y.mean() + x.mean(axis=0) @ weights),
            "the weights are right, and the sign in the bias is not: errors' mean is 0, so mean label = mean features "
            "@ weights + bias. What is the bias?",
        ),
        Mutant(
            _probe(bias=lambda x, y, weights: -x.mean(axis=0) @ weights),
            "the weights are right, but the mean of the labels is missing from the bias: what should come out where "
            "the features are as on average?",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: weight_decay * len(x)),
            "the decay was multiplied by the number of examples: that belongs to a *mean* of squares. What is asked "
            "for, the mean or the sum?",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: weight_decay / len(x)),
            "the decay was divided by the number of examples. What is asked for is a sum of squares, plus the decay "
            "as it is.",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: weight_decay**2),
            "the decay was squared. Rows appended to the features get squared as well: what is the square root of "
            "weight_decay good for?",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: 2 * weight_decay),
            "the decay counts twice. Both squares give a factor 2 when the slope is taken: does it cancel?",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: weight_decay / 2),
            "the decay counts half. Both squares give a factor 2 when the slope is taken: does it cancel?",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: 0),
            "the decay is left out: these are the weights of plain least squares. What keeps them small?",
        ),
        Mutant(
            _probe(decay=lambda weight_decay, x: -0.5 * weight_decay),
            "the decay was subtracted from the diagonal. It costs: which sign makes the weights smaller?",
        ),
        Mutant(
            _decay_on_every_product,
            "the decay was added to the whole table, not to its diagonal: NumPy adds a number to every entry. What "
            "does np.eye make?",
        ),
        Mutant(
            _probe(target=lambda y: 2 * y - 1),
            "the labels were turned into -1 and 1. They are 0 and 1 here, and so should the answers be.",
        ),
        Mutant(
            _probe(centre=lambda x: x.mean(), bias=lambda x, y, weights: y.mean() - x.mean() * weights.sum()),
            "one mean was subtracted from all features. Each has its own: over which axis is it?",
        ),
        Mutant(
            _of_standardised_features,
            "these are weights for features that were divided by their standard deviation. Those that will be asked "
            "are as they are: only the mean is to be subtracted.",
        ),
        Mutant(
            _decay_of_standardised_features,
            "the features were divided by their standard deviation, so that the decay costs each one something else. "
            "Only the mean is to be subtracted.",
        ),
        Mutant(
            _difference_of_means,
            "that is the line between the two classes' means. Which weights make the squares of the errors least?",
        ),
        Mutant(
            _in_one_vector,
            "weights and bias are right, but stand in one array. Two things are wanted: where does the bias begin?",
        ),
        Mutant(
            _the_other_way_round(linear_probe),
            "both are right, but in the other order: the weights come first, then the bias.",
        ),
    ),
    errors=(
        (
            ("Singular matrix", "LinAlgError"),
            "a table has no inverse: a feature that is always 0, or more features than examples, and nothing on the "
            "diagonal that would help. Where does the weight decay stand?",
        ),
        (
            ("matmul", "core dimension", "not aligned", "operands could not be broadcast"),
            "two shapes do not fit: features.T @ features is (D, D), and features.T @ labels is (D,). Which of yours "
            "is not, and how large is np.eye?",
        ),
        ("UFuncTypeError", "`-=` writes into the array that was given: make a new one, `centred = ...`."),
    ),
)


# 10.learning_rates


def _rates(steps=lambda depth, depths: max(depths) - depth, rate_of=lambda rate, decay, n: rate * decay**n):
    """`learning_rates` with other steps from a layer to the deepest, or another rate after so many.

    Args:
        steps: of a depth and all depths, in the order in which they are given.
        rate_of: of the rate, the decay and the steps.
    """

    def rates(depths, rate, decay):
        return {
            name: float(rate_of(np.float64(rate), np.float64(decay), np.float64(steps(depth, [*depths.values()]))))
            for name, depth in depths.items()
        }

    return rates


def _by_place(place):
    """The same by the place in the dict, in the place of the depth."""

    def rates(depths, rate, decay):
        return {name: rate * decay ** place(k, len(depths)) for k, name in enumerate(depths)}

    return rates


def _only_the_deepest_is_spared(depths, rate, decay):
    deepest = max(depths.values(), default=0)
    return {name: rate if depth == deepest else rate * decay for name, depth in depths.items()}


def _one_after_the_other(depths, rate, decay):
    order = sorted(depths, key=lambda name: depths[name], reverse=True)
    return {name: rate * decay ** order.index(name) for name in depths}


def _from_the_last_one(depths, rate, decay):
    last = [0, *depths.values()][-1]
    with np.errstate(divide="ignore"):
        return {name: rate * np.float64(decay) ** (last - depth) for name, depth in depths.items()}


def _all_frozen_at_0(depths, rate, decay):
    return learning_rates(depths, rate, decay) if decay else dict.fromkeys(depths, 0.0)


def _in_order_of_depth(depths):
    return sorted(set(depths))


def _divided(rate, decay, steps):
    with np.errstate(divide="ignore"):
        return rate / decay**steps


def _draw_depths(rng: np.random.Generator) -> Arguments:
    names = ["stem", "block1", "block2", "neck", "boxes", "classes", "mask"]
    count = int(rng.integers(4, 8))
    depths = np.sort(rng.integers(0, 6, count))
    depths[:2], depths[-1] = (0, 0), 6
    order = rng.permutation(count)
    return {names[k]: int(depths[k]) for k in order}, float(rng.choice([0.1, 0.4])), float(rng.choice([0.5, 0.6, 0.8]))


LEARNING_RATES = Exercise(
    id="10.learning_rates",
    title="The nearer to the input, the slower",
    points=10,
    difficulty="easy",
    minutes=10,
    home="transfer.learning_rates",
    run=run_named,
    compare=compare_named,
    fixed_cases=(
        ({"stem": 0, "body": 1, "head": 2}, 0.1, 0.5),
        ({"head": 3, "stem": 0, "body": 1}, 0.4, 0.5),
        ({"stem": 0, "body": 1, "boxes": 2, "mask": 2}, 0.3, 0.1),
        ({"stem": 0, "body": 1, "head": 2}, 0.2, 0.0),
        ({"stem": 0, "body": 1, "head": 3}, 0.2, 1.0),
        ({"body": 4, "head": 6}, 0.5, 0.8),
        ({"all": 0}, 0.3, 0.5),
        ({"all": 5}, 0.3, 0.5),
        ({}, 0.1, 0.5),
    ),
    draw=_draw_depths,
    hints=(
        "Begin with the layer that you know: which one has `rate` itself? And how many steps is each other one away "
        "from it?",
        "steps = deepest - depth, where deepest is the largest of depths.values(). Each step multiplies by decay.",
        "{name: rate * decay ** (deepest - depth) for name, depth in depths.items()}; 0 ** 0 is 1 in Python, so decay "
        "0 takes care of itself. An empty dict has no largest depth: max(..., default=0).",
    ),
    mutants=(
        Mutant(
            _rates(steps=lambda depth, depths: depth),
            "that counts from the input: the first layer learns fastest. Which end should change least?",
        ),
        Mutant(
            _rates(steps=lambda depth, depths: depth - min(depths)),
            "that counts from the layer nearest to the input, which learns fastest. Which end should change least?",
        ),
        Mutant(
            _by_place(lambda k, count: count - 1 - k),
            "the steps were counted in the order in which the layers stand in the dict. What says how deep a layer is?",
        ),
        Mutant(
            _by_place(lambda k, count: k),
            "each layer in the dict got less than the one before it, whatever its depth. What says how deep it is?",
        ),
        Mutant(
            _rates(steps=lambda depth, depths: sum(other > depth for other in _in_order_of_depth(depths))),
            "the different depths were counted, not the steps between them. From depth 1 to depth 3, how many steps "
            "are there?",
        ),
        Mutant(
            _rates(steps=lambda depth, depths: sum(other > depth for other in depths)),
            "the layers behind each one were counted. Two at one depth are one step, and a depth without a layer is "
            "one, too: how far is it from `depth` to the deepest?",
        ),
        Mutant(
            _rates(steps=lambda depth, depths: len(depths) - 1 - depth),
            "the deepest layer was taken to be at the number of layers less one. Depths may have gaps, or occur twice: "
            "which is the largest?",
        ),
        Mutant(
            _rates(steps=lambda depth, depths: max(depths) - depth + 1),
            "there is one step too many: the deepest layer has `rate` itself. How many steps is it away from itself?",
        ),
        Mutant(
            _rates(rate_of=_divided),
            "that divides by decay at each step, so that rates grow towards the input. Which way should they go?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: rate * (1 - decay) ** n),
            "each step took off a share of `decay`. What is a rate multiplied by, if decay 1 gives all layers the "
            "same?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: rate * max(1 - decay * n, 0)),
            "the rates fall along a straight line. Each step should multiply: what is a half of a half?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: rate * decay * n if n else rate),
            "decay was multiplied with the number of steps. A step multiplies by decay, two steps do so twice: which "
            "operator is that?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: rate * decay * n),
            "decay was multiplied with the number of steps, and the deepest layer stands still. Two steps multiply by "
            "decay twice, no step not at all: which operator is that?",
        ),
        Mutant(
            _one_after_the_other,
            "the layers were sorted, and each got less than the one before it. Two at one depth get the same, and a "
            "gap is more than one step: what does the depth itself say?",
        ),
        Mutant(
            _from_the_last_one,
            "the last layer in the dict was taken for the deepest. What says how deep a layer is?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: rate * np.exp(-decay * n)),
            "that is exp(-decay * steps), so that decay 0 gives all layers the same rate. What should decay 1 do?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: (rate * decay) ** n if n else rate),
            "the power was taken of rate * decay together. What is multiplied again at each step: both?",
        ),
        Mutant(
            _only_the_deepest_is_spared,
            "all but the deepest got the same rate. Each further step multiplies once more.",
        ),
        Mutant(
            _all_frozen_at_0,
            "with decay 0 the deepest layer is frozen, too. It is no step away from itself: what is 0 ** 0?",
        ),
        Mutant(
            lambda depths, rate, decay: dict.fromkeys(depths, rate),
            "all layers got the same rate. What does each step towards the input multiply it by?",
        ),
        Mutant(
            lambda depths, rate, decay: learning_rates(depths, 1.0, decay),
            "those are the factors. What are they multiplied with?",
        ),
        Mutant(
            _rates(rate_of=lambda rate, decay, n: n),
            "those are the steps to the deepest layer. What does each of them do to the rate?",
        ),
    ),
    errors=(
        (
            ("empty sequence", "iterable argument is empty"),
            "an empty dict has no largest depth: max(depths.values(), default=0).",
        ),
        ("'str' and 'int'", "`max(depths)` is the last of the names: what do you get by `depths.values()`?"),
        ("math domain error", "decay may be 0, which has no logarithm. Can it be done without one?"),
        ("ZeroDivisionError", "decay may be 0, and nothing can be divided by it. Can it be multiplied?"),
        ("negative power", "0 has no negative power: from the deepest layer to this one, or the other way round?"),
        ("dict_values", "depths.values() can be looped over, not indexed: `max` and `sorted` take it as it is."),
    ),
)


# 10.paste


def paste(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    """The objects of another picture, cut out by its mask and laid over this one: what is new is in front.

    Args:
        image: (H, W, 3).
        boxes: (N, 4) corners in fractions of the image.
        labels: (N,).
        mask: (H, W), 0 for the background, 255 for "ignore".
        other_image: (H, W, 3).
        other_boxes: (M, 4).
        other_labels: (M,).
        other_mask: (H, W).

    Returns:
        image, boxes, labels and mask: boxes of which less than a quarter is left to see are dropped, and the other's
        come last.
    """
    pasted = augment.paste(
        Sample(image, boxes, labels, mask), Sample(other_image, other_boxes, other_labels, other_mask)
    )
    return pasted.image, pasted.boxes, pasted.labels, pasted.mask


def _objects(mask):
    return (mask != BACKGROUND) & (mask != IGNORE)


def _pixels_of(box, shape, rounded=np.rint):
    """Rows and columns that a box covers."""
    x0, y0, x1, y1 = rounded(to_pixels(box, shape)).astype(int)
    return np.s_[y0:y1, x0:x1]


def _outward(pixels):
    return np.concatenate([np.floor(pixels[:2] + 1e-6), np.ceil(pixels[2:] - 1e-6)])


def _one_further(pixels):
    return np.rint(pixels) + _row(0, 0, 1, 1)


def _by_share(enough=lambda visible: visible >= 0.25, rounded=np.rint, of_the_image=False, turned=False):
    """Which boxes stay, by the share of their pixels that is left to see."""

    def stays(box, label, mask, taken, others):
        shape = taken.shape[::-1] if turned else taken.shape
        part = taken[_pixels_of(box, shape, rounded)]
        if of_the_image:
            return enough((part.size - part.sum()) / taken.size)
        return part.size == 0 or enough(1 - part.mean())

    return stays


def _by_its_own_pixels(box, label, mask, taken, others):
    """By the pixels of its class in it."""
    part = _pixels_of(box, taken.shape)
    own = mask[part] == label
    return own.sum() == 0 or (own & ~taken[part]).sum() >= 0.25 * own.sum()


def _by_the_boxes(box, label, mask, taken, others):
    """By what the other boxes cover, whatever stands in them."""
    covered = np.zeros(taken.shape, bool)
    for other in others:
        covered[_pixels_of(other, taken.shape)] = True
    return 1 - covered[_pixels_of(box, taken.shape)].mean() >= 0.25


def _by_iou(box, label, mask, taken, others):
    return bool(pairwise_iou(box[None], others).max(initial=0) < 0.75)


def _by_its_middle(box, label, mask, taken, others):
    x, y = to_pixels((box[:2] + box[2:]).repeat(2)[[0, 2, 0, 2]] / 2, taken.shape).astype(int)[:2]
    return not taken[y, x]


def _paste_with(
    *, takes=lambda mask, other_mask, other_boxes: _objects(other_mask), covers=None, stays=None,
    image=lambda own, other, taken: np.where(taken[..., None], other, own),
    masked=lambda own, other, taken: np.where(taken, other, own),
    boxes=lambda own, other, kept: np.concatenate([own[kept], other]),
    labels=lambda own, other, kept: np.concatenate([own[kept], other]),
):  # fmt: skip
    """`paste` with one mistake.

    Args:
        takes: (H, W) bool, which pixels are pasted, of both masks and the other's boxes.
        covers: the same, for what covers a box; None for the same pixels.
        stays: whether a box stays: see `_by_share`.
        image: the picture, of both pictures and the pixels that are pasted.
        masked: the mask, of both.
        boxes: of both and the indices of those that stay.
        labels: of both and the same indices.
    """
    stays = stays or _by_share()

    def pasted(picture, own_boxes, own_labels, mask, other_picture, other_boxes, other_labels, other_mask):
        taken = takes(mask, other_mask, other_boxes)
        cover = covers(mask, other_mask, other_boxes) if covers else taken
        kept = [k for k, box in enumerate(own_boxes) if stays(box, own_labels[k], mask, cover, np.asarray(other_boxes))]
        return (
            image(picture, other_picture, taken),
            boxes(own_boxes, other_boxes, kept),
            labels(own_labels, other_labels, kept),
            masked(mask, other_mask, taken),
        )

    return pasted


def _rectangles(mask, other_mask, other_boxes):
    taken = np.zeros(mask.shape, bool)
    for box in other_boxes:
        taken[_pixels_of(box, mask.shape)] = True
    return taken


def _boxes_in_pixels(*arguments):
    image, boxes, labels, mask = paste(*arguments)
    return image, to_pixels(boxes, mask.shape), labels, mask


def _masks_before_boxes(*arguments):
    image, boxes, labels, mask = paste(*arguments)
    return image, mask, boxes, labels


Object = tuple[int, Any, Any]  # class, box (x0, y0, x1, y1) in pixels, and what of it the mask has: None for all


def _scene(
    rng: np.random.Generator, shape: tuple[int, int], objects: Sequence[Object], ignored: Sequence[Any] = ()
) -> Arguments:
    """A picture of noise with objects.

    Args:
        rng: of the noise.
        shape: (height, width).
        objects: what it shows.
        ignored: boxes in pixels that are "ignore" in the mask.
    """
    mask = np.zeros(shape, np.uint8)
    for label, box, filled in objects:
        x0, y0, x1, y1 = filled or np.rint(box).astype(int)
        mask[y0:y1, x0:x1] = label
    for x0, y0, x1, y1 in ignored:
        mask[y0:y1, x0:x1] = IGNORE
    boxes = np.array([box for _, box, _ in objects], float).reshape(-1, 4) / [*shape[::-1], *shape[::-1]]
    labels = np.array([label for label, _, _ in objects], np.int32)
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8), boxes.astype(np.float32), labels, mask


def _draw_scene(rng: np.random.Generator, shape: tuple[int, int], count: int, ignored: int) -> Arguments:
    def box(largest):
        size = rng.integers(2, largest, 2)
        low = [int(rng.integers(0, side - length + 1)) for side, length in zip(shape[::-1], size, strict=True)]
        return np.array([*low, *(low + size)])

    objects = []
    for _ in range(count):
        corners = box(6)
        moved = np.clip(corners + rng.uniform(-0.35, 0.35, 4), 0, [*shape[::-1], *shape[::-1]])
        x0, y0, x1, y1 = (int(side) for side in corners)
        filled = (x0, y0, x1, y1 - 1) if rng.random() < 0.5 else None
        objects.append((int(rng.integers(1, 4)), moved, filled))
    return _scene(rng, shape, objects, [box(4) for _ in range(ignored)])


def _draw_paste(rng: np.random.Generator) -> Arguments:
    shape = int(rng.integers(7, 9)), int(rng.integers(10, 13))
    return *_draw_scene(rng, shape, int(rng.integers(2, 5)), 1), *_draw_scene(rng, shape, int(rng.integers(1, 4)), 1)


def _fixed_pastes() -> tuple[Arguments, ...]:
    small, large = (4, 6), (8, 12)
    one = [(1, (0, 0, 2, 2), None)]
    covered = [
        (1, (0, 0, 4, 4), None),  # a quarter is left: it stays
        (2, (4, 0, 8, 4), None),  # a little less: it goes
        (3, (8, 0, 12, 4), None),  # three quarters are left
        (1, (0, 4, 4, 8), (0, 4, 2, 8)),  # its own pixels are all covered, half of the box is not
        (2, (4.4, 4.4, 7.6, 7.6), None),  # rounded, it has sixteen pixels
        (3, (8, 4, 12, 8), (10, 4, 12, 8)),  # its own pixels are all to be seen
    ]
    over = [
        (1, (0, 0, 4, 3), None),
        (2, (4, 0, 8, 4), (4, 0, 8, 3)),
        (2, (4, 3, 5, 4), None),
        (3, (8, 0, 9, 4), None),
        (1, (0, 4, 2, 8), None),
        (3, (4, 4, 8, 8), (4, 4, 8, 7)),
        (2, (8, 4, 11, 8), None),
        (1, (11, 4, 12, 6), None),
    ]
    between = [
        (1, (1.6, 1.6, 4.4, 4.4), None),  # of (2, 2) to (4, 4)
        (2, (6.4, 1.4, 9.6, 3.6), None),
        (3, (2.3, 5.3, 5.7, 7.7), None),
        (1, (8, 5, 11, 8), None),
    ]
    over_these = [(2, (2, 2, 4, 4), None), (3, (6, 1, 10, 3), None), (1, (3, 5, 5, 8), None), (2, (9, 6, 10, 7), None)]
    rectangle = [(1, (2, 0, 8, 8), (2, 0, 4, 8))]
    pairs: tuple[tuple[tuple[int, int], tuple[Any, ...], tuple[Any, ...]], ...] = (  # of two scenes of one shape
        (small, (one,), ([(2, (3, 1, 6, 4), (4, 1, 6, 4))],)),
        (small, (one,), ([(2, (0, 0, 3, 3), None)],)),
        (
            small,
            ([(3, (2, 0, 6, 3), None)], [(0, 0, 1, 4)]),
            ([(1, (0, 1, 3, 4), None)], [(3, 0, 6, 3)]),
        ),
        (large, (covered,), (over,)),
        (large, (between, [(0, 6, 2, 8)]), (over_these, [(0, 0, 12, 1)])),
        (large, ([(2, (3, 1, 7, 6), None), (1, (0, 0, 3, 8), None)],), (rectangle,)),
        (small, ([],), (one,)),
        (small, (one,), ([], [(0, 0, 6, 4)])),
    )
    return tuple((*_scene(_RNG, shape, *own), *_scene(_RNG, shape, *other)) for shape, own, other in pairs)


PASTE = Exercise(
    id="10.paste",
    title="Cut out and pasted in",
    points=20,
    difficulty="medium",
    minutes=25,
    home="data.augment.paste",
    reference=paste,
    returns=("image", "boxes", "labels", "mask"),
    fixed_cases=_fixed_pastes(),
    draw=_draw_paste,
    hints=(
        "First find out which pixels are pasted: a table of true and false, from the other's mask alone. Image and "
        "mask are then one `np.where` each. And what does this table say of a box that was there before?",
        "taken = (other_mask != 0) & (other_mask != 255). For each of the first boxes: its pixels, rounded, are a part "
        "of this table; the share that is not taken has to be at least 0.25. Then append the other's boxes and labels.",
        "x0, y0, x1, y1 = np.rint(box * [W, H, W, H]).astype(int); keep it if 1 - taken[y0:y1, x0:x1].mean() >= 0.25. "
        "np.where(taken[..., None], other_image, image) for the image; np.concatenate([boxes[kept], other_boxes]).",
    ),
    mutants=(
        Mutant(
            _paste_with(takes=lambda mask, other_mask, other_boxes: other_mask != BACKGROUND),
            'pixels of "ignore" (255) were pasted, too. Nobody knows what they show: should they cover anything?',
        ),
        Mutant(
            _paste_with(takes=lambda mask, other_mask, other_boxes: other_mask != IGNORE),
            "the other's background was pasted, too, and covers all of the first picture. Which of its pixels show an "
            "object?",
        ),
        Mutant(
            _paste_with(takes=lambda mask, other_mask, other_boxes: _objects(other_mask) & (mask == BACKGROUND)),
            "the pasted objects stand behind those that were there. What is new is in front: does the first mask have "
            "a say in what is pasted?",
        ),
        Mutant(
            _paste_with(takes=lambda mask, other_mask, other_boxes: _objects(other_mask) & (mask != IGNORE)),
            'where the first mask says "ignore", nothing was pasted. What is new is in front, there too.',
        ),
        Mutant(
            _paste_with(takes=lambda mask, other_mask, other_boxes: ~_objects(mask)),
            "it was cut out by the first mask: its objects stayed, and all around them is the other picture. Whose "
            "objects should be cut out?",
        ),
        Mutant(
            _paste_with(takes=_rectangles),
            "whole boxes were pasted, with the background in their corners. What says which pixels of a box show the "
            "object?",
        ),
        Mutant(
            _paste_with(image=lambda own, other, taken: own),
            "the image is what it was: the boxes and the mask tell of objects that it does not show.",
        ),
        Mutant(
            _paste_with(masked=lambda own, other, taken: own),
            "the mask is what it was: what is the class of the pixels that were pasted?",
        ),
        Mutant(
            _paste_with(masked=lambda own, other, taken: other),
            "that is the other's mask. Where nothing was pasted, what does the picture show?",
        ),
        Mutant(
            _paste_with(masked=lambda own, other, taken: np.maximum(own, other)),
            "of the two masks the larger number was taken. A class's number says nothing of what is in front: which "
            "pixels were pasted?",
        ),
        Mutant(
            _paste_with(masked=lambda own, other, taken: np.where(other == BACKGROUND, own, other)),
            'the mask has the other\'s "ignore", and the image does not have its pixels. Paste the same pixels into '
            "both.",
        ),
        Mutant(
            _paste_with(
                boxes=lambda own, other, kept: np.concatenate([other, own[kept]]),
                labels=lambda own, other, kept: np.concatenate([other, own[kept]]),
            ),
            "all is there, but the other's boxes and labels come last.",
        ),
        Mutant(
            _paste_with(labels=lambda own, other, kept: np.concatenate([other, own[kept]])),
            "the labels stand in another order than their boxes: each box is now something else.",
        ),
        Mutant(
            _paste_with(labels=lambda own, other, kept: np.concatenate([own, other])),
            "a box was dropped, and its label was not: from there on each box has the label of another one.",
        ),
        Mutant(
            _paste_with(boxes=lambda own, other, kept: own[kept], labels=lambda own, other, kept: own[kept]),
            "the pasted objects have no boxes. A detector would learn that there is nothing to find: where do the "
            "other's boxes go?",
        ),
        Mutant(
            _paste_with(boxes=lambda own, other, kept: other, labels=lambda own, other, kept: other),
            "only the other's boxes are there. Which of the first ones can still be seen?",
        ),
        Mutant(
            _paste_with(stays=lambda *_: True),
            "a box stayed of which hardly anything is left to see. How much of it has been covered?",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: visible > 0.25)),
            "exactly a quarter is enough. Which comparison has the equal in it?",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: 1 - visible < 0.25)),
            "a box was dropped as soon as a quarter of it is covered. A quarter *left to see* is enough.",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: 1 - visible <= 0.25)),
            "a box was dropped once more than a quarter of it is covered. It is what is *left to see* that has to be a "
            "quarter.",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: 1 - visible >= 0.25)),
            "the wrong boxes were dropped: `taken` is what is covered. What share is left to see?",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: visible >= 0.5)),
            "a box was dropped of which between a quarter and a half is left. A quarter is enough.",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: visible == 1)),
            "a box was dropped for a pixel that is covered. A quarter left to see is enough.",
        ),
        Mutant(
            _paste_with(stays=_by_share(lambda visible: visible > 0)),
            "a box stayed for a pixel that is left. It takes a quarter.",
        ),
        Mutant(
            _paste_with(stays=_by_share(of_the_image=True)),
            "what is left of a box was divided by the pixels of the image. A quarter of the *box* is asked for: how "
            "many pixels has it?",
        ),
        Mutant(
            _paste_with(stays=_by_share(rounded=np.floor)),
            "the sides of a box were cut off at the point, not rounded: 7.6 is nearer to 8. What does `int` do, what "
            "`np.rint`?",
        ),
        Mutant(
            _paste_with(stays=_by_share(rounded=_outward)),
            "each box was widened to every pixel that it touches. Round its sides instead.",
        ),
        Mutant(
            _paste_with(stays=_by_share(rounded=_one_further)),
            "each box has a row and a column too many: its far side is where it ends, and a slice leaves out its end "
            "by itself.",
        ),
        Mutant(
            _paste_with(stays=_by_share(turned=True)),
            "the sides of a box were multiplied the wrong way round: x goes with the width, y with the height. Which "
            "of them is shape[0]?",
        ),
        Mutant(
            _paste_with(stays=_by_its_own_pixels),
            "only the pixels of its own class were counted in a box. What is asked for is the share of all its pixels.",
        ),
        Mutant(
            _paste_with(stays=_by_the_boxes),
            "a box was taken to be covered by the other's boxes. These have corners where nothing was pasted: what "
            "says which pixels were?",
        ),
        Mutant(
            _paste_with(stays=_by_iou),
            "that goes by the IoU of two boxes. How much of *this* box is covered, by all that was pasted together?",
        ),
        Mutant(
            _paste_with(stays=_by_its_middle),
            "that looks at the middle of a box alone. What share of its pixels is left to see?",
        ),
        Mutant(
            _boxes_in_pixels,
            "the boxes came back in pixels. What comes in as fractions of the image goes out as such.",
        ),
        Mutant(
            _masks_before_boxes,
            "the four come back in the order in which they are given: image, boxes, labels, mask.",
        ),
    ),
    errors=(
        (
            "operands could not be broadcast",
            "(H, W) of true and false and (H, W, 3) of colours do not fit by themselves: `taken[..., None]` has an "
            "axis for the colours.",
        ),
        (
            ("slice indices must be integers", "only integers"),
            "pixels are counted in whole numbers: np.rint(...).astype(int).",
        ),
        (
            ("all the input array dimensions", "must match exactly", "number of dimensions"),
            "what is put together has to be (N, 4) and (M, 4), even where N is 0: an index array of no box is "
            "np.array([], int), and `boxes[kept]` is (0, 4) then.",
        ),
        ("ambiguous", "an `if` takes one true or false, not a table: which share of it do you ask for?"),
        (
            "arrays used as indices must be of integer",
            "an empty list as an index has to say what it holds: np.array(kept, int).",
        ),
    ),
)


# 10.error_kinds


def _kinds_with(
    *, found=lambda iou: iou >= 0.5, near=lambda iou: iou >= 0.1, take="best free", used_up=True,
    checks=("duplicate", "confusion", "localisation"), order=None, own=lambda label, true_labels: true_labels == label,
    confused=lambda ious, free: ious, placed=lambda ious, free: ious, doubled=None, confused_by=None,
    also_takes=(), placed_by_class=True,
):  # fmt: skip
    """`error_kinds` with one mistake.

    Args:
        found: whether an IoU is enough to find a truth.
        near: whether it is enough to be near it.
        take: which truth a detection takes: the best free one of its class, the "first free", the "best" whether it is
            free or not, or the "best of all" whatever its class.
        used_up: whether a truth that was taken is gone.
        checks: the kinds that are looked for, in this order.
        order: places of the detections in the order in which they choose, of the (D, M) IoUs.
        own: which truths are of its class.
        confused: IoUs that count for a confusion, of those and what is free.
        placed: the same, for a bad place.
        doubled: whether an IoU is enough for a duplicate; None for what finds a truth.
        confused_by: the same for a confusion.
        also_takes: kinds that take a truth as well.
        placed_by_class: whether a bad place is one near a truth of its class.
    """
    doubled, confused_by = doubled or found, confused_by or found

    def kinds_of(boxes, labels, true_boxes, true_labels):
        overlaps = pairwise_iou(np.asarray(boxes, float), np.asarray(true_boxes, float))
        true_labels = np.asarray(true_labels)
        free = np.ones(len(true_labels), bool)
        kinds = [""] * len(overlaps)
        for k in range(len(overlaps)) if order is None else order(overlaps):
            ious = overlaps[k]
            of_class = own(labels[k], true_labels)
            candidates = {
                "best free": np.where(of_class & free, ious, 0),
                "first free": np.where(of_class & free & found(ious), 2 - np.arange(len(ious)) / 100, 0),
                "best": np.where(of_class, ious, 0),
                "best of all": ious,
            }[take]
            best = int(candidates.argmax()) if len(candidates) else -1
            if best >= 0 and candidates[best] > 0 and free[best] and of_class[best] and found(candidates[best]):
                kinds[k] = "correct"
                free[best] = not used_up
                continue
            near_these = of_class | (not placed_by_class)
            tests = {
                "duplicate": (np.where(of_class, ious, 0), doubled),
                "duplicate of any class": (ious, doubled),
                "confusion": (np.where(of_class, 0, confused(ious, free)), confused_by),
                "localisation": (np.where(near_these, placed(ious, free), 0), near),
            }
            for kind in checks:
                values, enough = tests[kind]
                if values.max(initial=0) > 0 and enough(values.max(initial=0)):
                    kinds[k] = kind.removesuffix(" of any class")
                    if kind in also_takes:
                        free[values.argmax()] = False
                    break
            else:
                kinds[k] = "background"
        return kinds

    return kinds_of


def _by_one_truth(boxes, labels, true_boxes, true_labels):
    """The truth with the largest IoU decides all, whatever its class."""
    kinds: list[str] = []
    taken: set[int] = set()
    for label, ious in zip(labels, pairwise_iou(np.asarray(boxes, float), np.asarray(true_boxes, float)), strict=True):
        best = int(ious.argmax()) if len(ious) else -1
        iou = ious.max(initial=0)
        if iou < 0.1 or (iou < 0.5 and true_labels[best] != label):
            kinds.append("background")
        elif iou < 0.5:
            kinds.append("localisation")
        elif true_labels[best] != label:
            kinds.append("confusion")
        else:
            kinds.append("duplicate" if best in taken else "correct")
            taken.add(best)
    return kinds


def _places_among_some(boxes, labels, true_boxes, true_labels):
    """A place among the free truths of a class is taken for one among all."""
    free = np.ones(len(true_labels), bool)
    kinds = []
    for label, ious in zip(labels, pairwise_iou(np.asarray(boxes, float), np.asarray(true_boxes, float)), strict=True):
        own = np.asarray(true_labels) == label
        candidates = ious[own & free]
        if candidates.max(initial=0) >= 0.5:
            free[candidates.argmax()] = False
            kinds.append("correct")
        elif ious[own].max(initial=0) >= 0.5:
            kinds.append("duplicate")
        elif ious[~own].max(initial=0) >= 0.5:
            kinds.append("confusion")
        else:
            kinds.append("localisation" if ious[own].max(initial=0) >= 0.1 else "background")
    return kinds


def _with_the_missed(*arguments):
    kinds = error_kinds(*arguments)
    return [*kinds, *["missed"] * (len(arguments[3]) - kinds.count("correct"))]


def _by_their_iou(overlaps):
    return np.argsort(-overlaps.max(axis=1, initial=0), kind="stable")


def _backwards(overlaps):
    return range(len(overlaps))[::-1]


def _whatever_the_class(label, true_labels):
    return np.ones(len(true_labels), bool)


def _truth_by_truth(boxes, labels, true_boxes, true_labels):
    """Each truth takes the detection that overlaps it most; the others are judged as if all truths were taken."""
    labels, true_labels = np.asarray(labels), np.asarray(true_labels)
    overlaps = pairwise_iou(np.asarray(boxes, float), np.asarray(true_boxes, float))
    of_class = np.where(labels[:, None] == true_labels, overlaps, 0)
    kinds = _kinds_with(used_up=True, take="best free")(boxes, labels, true_boxes, true_labels)
    rest = [
        "duplicate" if own.max(initial=0) >= 0.5
        else "confusion" if np.where(labels[k] == true_labels, 0, overlaps[k]).max(initial=0) >= 0.5
        else kinds[k]
        for k, own in enumerate(of_class)
    ]  # fmt: skip
    taken: set[int] = set()
    for truth in range(len(true_labels)):
        column = [0 if k in taken else iou for k, iou in enumerate(of_class[:, truth])]
        if column and max(column) >= 0.5:
            best = int(np.argmax(column))
            taken.add(best)
            rest[best] = "correct"
    return rest


def _pixel_boxes(*corners: tuple[float, ...]) -> np.ndarray:
    return np.array(corners, float).reshape(-1, 4)


def _across(x: float, width: float = 10) -> tuple[float, float, float, float]:
    """A box of ten pixels' height that begins at x."""
    return (x, 0, x + width, 10)


def _draw_kinds(rng: np.random.Generator) -> Arguments:
    """Detections around truths, none with an IoU near a threshold, no two IoUs over 0 alike."""
    while True:
        truths = int(rng.integers(2, 5))
        low = rng.uniform(0, 0.5, (truths, 2))
        true_boxes = np.concatenate([low, low + rng.uniform(0.2, 0.45, (truths, 2))], axis=1)
        true_labels = rng.integers(1, 3, truths)
        around = rng.integers(0, truths, int(rng.integers(5, 10)))
        moved = rng.uniform(-1, 1, (len(around), 4)) * rng.choice([0.02, 0.08, 0.2], (len(around), 1))
        corners = true_boxes[around] + moved
        boxes = np.concatenate([np.minimum(corners[:, :2], corners[:, 2:] - 0.02), corners[:, 2:]], axis=1)
        labels = np.where(rng.random(len(around)) < 0.75, true_labels[around], rng.integers(1, 4, len(around)))
        ious = pairwise_iou(boxes, true_boxes)
        known = np.sort(ious[ious > 0])
        if min(np.abs(known - 0.5).min(), np.abs(known - 0.1).min(), np.diff(known).min(initial=1)) > 1e-4:
            return boxes, labels, true_boxes, true_labels


ERROR_KINDS = Exercise(
    id="10.error_kinds",
    title="Wrong in which way",
    points=20,
    difficulty="hard",
    minutes=30,
    home="errors.error_kinds",
    run=run_words,
    compare=compare_words,
    fixed_cases=(
        (_pixel_boxes(_across(0), _across(50)), np.array([1, 1]), _pixel_boxes(_across(0)), np.array([1])),
        (_pixel_boxes(_across(1), _across(0)), np.array([1, 1]), _pixel_boxes(_across(0)), np.array([1])),
        (_pixel_boxes(_across(1), _across(2)), np.array([2, 1]), _pixel_boxes(_across(0)), np.array([1])),
        # Of a truth: just over a half, exactly a half, less; exactly a tenth, less; nothing.
        (
            _pixel_boxes(*(_across(x, width) for x, width in ((0, 5.5), (20, 5), (40, 4.5), (60, 1), (80, 0.9)))),
            np.array([1, 1, 1, 1, 1]),
            _pixel_boxes(*(_across(x) for x in (0, 20, 40, 60, 80))),
            np.array([1, 1, 1, 1, 1]),
        ),
        # The same of a truth of another class, and one that has been found already.
        (
            _pixel_boxes(
                *(_across(x, width) for x, width in ((0, 5), (20, 4.5), (40, 10), (40, 5), (40, 4.5), (40, 1)))
            ),
            np.array([2, 2, 1, 1, 1, 1]),
            _pixel_boxes(*(_across(x) for x in (0, 20, 40))),
            np.array([1, 1, 1]),
        ),
        # Two truths in reach: the better one first; and what the second one finds is still free.
        (
            _pixel_boxes(_across(1), _across(0.5), _across(2)),
            np.array([1, 1, 1]),
            _pixel_boxes(_across(3), _across(0)),
            np.array([1, 1]),
        ),
        (
            _pixel_boxes(_across(1), _across(4)),
            np.array([1, 1]),
            _pixel_boxes(_across(3), _across(0)),
            np.array([1, 1]),
        ),
        # Its own class is good enough, another one is better; and the other way round.
        (
            _pixel_boxes(_across(2), _across(24)),
            np.array([1, 1]),
            _pixel_boxes(_across(0), _across(3), _across(20), _across(25)),
            np.array([1, 2, 1, 2]),
        ),
        # A truth of its class that is found already, and one of another class.
        (
            _pixel_boxes(_across(0), _across(2)),
            np.array([1, 1]),
            _pixel_boxes(_across(0), _across(3)),
            np.array([1, 2]),
        ),
        # Near a truth of its class, upon one of another, which is found already.
        (
            _pixel_boxes(_across(0), _across(1), _across(60), _across(61)),
            np.array([1, 2, 1, 2]),
            _pixel_boxes(_across(0), _across(7), _across(60)),
            np.array([1, 2, 1]),
        ),
        # One that is badly placed, or of a wrong class, takes nothing from those behind it.
        (
            _pixel_boxes(_across(5), _across(1), _across(30), _across(31), _across(32)),
            np.array([1, 1, 2, 1, 1]),
            _pixel_boxes(_across(0), _across(30)),
            np.array([1, 1]),
        ),
        (np.zeros((0, 4)), np.zeros(0, int), _pixel_boxes(_across(0)), np.array([1])),
        (_pixel_boxes(_across(0), _across(5)), np.array([1, 2]), np.zeros((0, 4)), np.zeros(0, int)),
    ),
    draw=_draw_kinds,
    hints=(
        "Take the detections one after the other, and keep a list of truths that are still free. For one detection, "
        "which of the five questions do you ask first, and which truths does each of them look at?",
        "Correct: the best truth of its class that is free, IoU at least 0.5; then that one is taken. Duplicate: any "
        "of its class, 0.5. Confusion: any of another class, 0.5. Localisation: any of its class, 0.1. Else "
        "background.",
        "ious = pairwise_iou(boxes, true_boxes); for row k: own = true_labels == labels[k]; best_free = "
        "np.where(own & free, ious[k], 0); then if best_free.max(initial=0) >= 0.5: free[best_free.argmax()] = False; "
        "elif ious[k][own].max(initial=0) >= 0.5: and so on.",
    ),
    mutants=(
        Mutant(
            _kinds_with(used_up=False),
            "a truth was found twice. Once a detection has taken it, what is the next one that lies there?",
        ),
        Mutant(
            _kinds_with(own=_whatever_the_class),
            "classes were not looked at: a detection took a truth of another class. What does it mean to be right in "
            "place and wrong in name?",
        ),
        Mutant(
            _kinds_with(found=lambda iou: iou > 0.5),
            "an IoU of exactly 0.5 is enough. Which comparison has the equal in it?",
        ),
        Mutant(
            _kinds_with(near=lambda iou: iou > 0.1),
            "an IoU of exactly 0.1 is enough to be near a truth. Which comparison has the equal in it?",
        ),
        Mutant(
            _kinds_with(near=lambda iou: iou > 0),
            "a detection that hardly touches a truth is called badly placed. From which IoU on is it near?",
        ),
        Mutant(
            _kinds_with(order=_by_their_iou),
            "the detection with the largest IoU chose first. The order is that of the scores, best first, as they "
            "come: who takes the truth?",
        ),
        Mutant(
            _truth_by_truth,
            "the truths chose their detections. It goes the other way: one detection after the other, best first, "
            "takes a truth that is free.",
        ),
        Mutant(
            _kinds_with(order=_backwards),
            "the last detection chose first. They come best first: who may take the truth?",
        ),
        Mutant(
            _kinds_with(take="best"),
            "a detection whose best truth is taken was called a duplicate, although another one of its class was free "
            "and near enough. Which truths may it choose from?",
        ),
        Mutant(
            _kinds_with(take="first free"),
            "the first free truth that is near enough was taken. Of several, which one does the detection overlap "
            "most?",
        ),
        Mutant(
            _kinds_with(take="best of all"),
            "the truth with the largest IoU was looked at, whatever its class. Another one of the right class may be "
            "good enough: which truths does the first question look at?",
        ),
        Mutant(
            _by_one_truth,
            "the truth that a detection overlaps most decided everything. Each question looks at other truths: those "
            "of its class that are free, all of its class, those of other classes. Which is the best of *these*?",
        ),
        Mutant(
            _places_among_some,
            "a place among some truths was taken for one among all: after `ious[own & free]` the places count anew. "
            "How do they keep their own?",
        ),
        Mutant(
            _kinds_with(placed_by_class=False),
            "a detection near a truth of another class is called badly placed. That is wrong in two ways, and counts "
            "as background: which truths does the question look at?",
        ),
        Mutant(
            _kinds_with(checks=("duplicate of any class", "confusion", "localisation")),
            "a detection upon a truth of another class is called a duplicate. Two of which class are duplicates?",
        ),
        Mutant(
            _kinds_with(checks=("confusion", "duplicate", "localisation")),
            "a detection upon a truth of its class that is taken, and upon one of another class, is a duplicate. "
            "Which of the two questions comes first?",
        ),
        Mutant(
            _kinds_with(checks=("duplicate", "localisation", "confusion")),
            "a detection near a truth of its class, and upon one of another, is a confusion. Which of the two "
            "questions comes first?",
        ),
        Mutant(
            _kinds_with(checks=("localisation", "duplicate", "confusion")),
            "a detection upon a truth that is taken is called badly placed. An IoU of 0.5 is 0.1, too: which question "
            "has to come first?",
        ),
        Mutant(
            _kinds_with(checks=("confusion", "localisation")),
            "there are no duplicates here. What is a second detection upon the same truth?",
        ),
        Mutant(
            _kinds_with(checks=("duplicate", "localisation")),
            "there is no confusion here. What is a detection upon a truth of another class?",
        ),
        Mutant(
            _kinds_with(checks=("duplicate", "confusion")),
            "nothing is badly placed here. What is a detection whose IoU with a truth of its class is 0.3?",
        ),
        Mutant(
            _kinds_with(placed=lambda ious, free: np.where(free, ious, 0)),
            'a detection near a truth that is taken is badly placed all the same. Does "localisation" ask whether '
            "the truth is free?",
        ),
        Mutant(
            _kinds_with(confused=lambda ious, free: np.where(free, ious, 0)),
            "a detection upon a truth of another class is a confusion, whether that one is taken or not.",
        ),
        Mutant(
            _kinds_with(confused_by=lambda iou: iou >= 0.1),
            "a detection that is only near a truth of another class is called a confusion. It takes an IoU of 0.5.",
        ),
        Mutant(
            _kinds_with(doubled=lambda iou: iou >= 0.1),
            "a detection that is only near a truth of its class is called a duplicate. It takes an IoU of 0.5: what is "
            "it below that?",
        ),
        Mutant(
            _kinds_with(also_takes=("confusion",)),
            "a detection of a wrong class took the truth away from the right one behind it. Who takes a truth?",
        ),
        Mutant(
            _kinds_with(also_takes=("localisation",)),
            "a detection that is badly placed took the truth away from a better one behind it. Who takes a truth?",
        ),
        Mutant(
            _with_the_missed,
            "the list has an entry for each missed truth, too. It is about the detections: one word for each.",
        ),
        Mutant(
            lambda boxes, labels, true_boxes, true_labels: [
                "correct" if kind == "correct" else "background"
                for kind in _kinds_with()(boxes, labels, true_boxes, true_labels)
            ],
            "right and wrong are told apart, and nothing more. In which way is each of the others wrong?",
        ),
    ),
    errors=(
        (
            ("empty sequence", "zero-size array"),
            "without a truth of its class there is no largest IoU: `.max(initial=0)` gives 0 then.",
        ),
        ("ambiguous", "a comparison of arrays gives true or false for each: which one do you ask about?"),
        ("IndexError", "an index among some truths is none among all: `np.where(own, ious, 0)` keeps their places."),
    ),
)


# 10.choose_threshold


def _compare_threshold(value: Plain, expected: np.ndarray) -> Complaint | None:
    """As `compare_arrays`, but for infinity, which may be right here."""
    if np.isfinite(expected) or isinstance(value, tuple) or value.ndim:
        return compare_arrays(value, expected)
    return None if value == expected else Complaint((f"it should be inf, and yours is {value:.4g}",), kind="numbers")


def _sorted_by_score(scores, correct):
    """Scores and correct, best first."""
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    return np.asarray(scores, float)[order], np.asarray(correct, bool)[order]


def _precision(correct, scores, threshold):
    return correct[scores >= threshold].mean()


def _threshold_with(
    *, enough=lambda value, least: value >= least, kept=lambda scores, threshold: scores >= threshold,
    value=lambda correct, kept: correct[kept].mean() if kept.any() else 0.0, choose=min, none=float("inf"),
    stops=False,
):  # fmt: skip
    """`choose_threshold` with one mistake.

    Args:
        enough: whether a value reaches the least one.
        kept: which detections a threshold keeps.
        value: what should be the precision, of (D,) correct and (D,) kept.
        choose: one of those that reach it.
        none: the answer where there is none.
        stops: whether it stops at the first that does not reach it, from the top.
    """

    def threshold_of(scores, correct, least_precision):
        scores, correct = np.asarray(scores, float), np.asarray(correct, bool)
        reach = []
        for threshold in np.unique(scores)[::-1].tolist():
            if enough(value(correct, kept(scores, threshold)), least_precision):
                reach.append(threshold)
            elif stops:
                break
        return float(choose(reach)) if reach else none

    return threshold_of


def _cumulative(
    *, ordered=True, last_in=True, best_so_far=False, answer=lambda scores, place: scores[place], falling=True
):
    """The threshold by a running count of the sorted detections, with one mistake; equal scores are split."""

    def threshold_of(scores, correct, least_precision):
        if ordered:
            scores, correct = _sorted_by_score(scores, correct)
        if not falling:
            scores, correct = scores[::-1], correct[::-1]
        precision = np.cumsum(correct) / np.arange(1, len(correct) + 1)
        precision = np.maximum.accumulate(precision) if best_so_far else precision
        places = np.flatnonzero(precision >= least_precision)
        return float(answer(scores, places[-1])) if len(places) else float("inf")

    return threshold_of


def _sorted_and_not(scores, correct, least_precision):
    _, sorted_correct = _sorted_by_score(scores, correct)
    precision = np.cumsum(sorted_correct) / np.arange(1, len(scores) + 1)
    places = np.flatnonzero(precision >= least_precision)
    return float(scores[places[-1]]) if len(places) else float("inf")


def _from_the_right_one(answer):
    """Something else that is known where the threshold is."""

    def threshold_of(scores, correct, least_precision):
        scores, correct = np.asarray(scores, float), np.asarray(correct, bool)
        threshold = _threshold_with()(scores, correct, least_precision)
        return float(answer(scores, correct, threshold)) if np.isfinite(threshold) else threshold

    return threshold_of


def _next_below(scores, correct, threshold):
    return max(scores[scores < threshold], default=threshold)


def _halfway_below(scores, correct, threshold):
    return (threshold + max(scores[scores < threshold], default=0)) / 2


def _draw_scores(rng: np.random.Generator) -> Arguments:
    """Scores with ties, no two of them closer than a hundredth; precisions to reach that every float holds."""
    count = int(rng.integers(6, 14))
    scores = np.round(rng.choice(np.arange(0.05, 0.99, 0.02), count), 2)
    scores[1] = scores[0]
    correct = rng.random(count) < 0.2 + 0.7 * scores
    correct[np.argmax(scores)] = True
    return scores, correct, float(rng.choice([0.5, 0.625, 0.75]))


def _detections(*pairs: tuple[float, bool]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in pairs], float), np.array([right for _, right in pairs], bool)


CHOOSE_THRESHOLD = Exercise(
    id="10.choose_threshold",
    title="A precision to rely on",
    points=15,
    difficulty="medium",
    minutes=20,
    home="errors.choose_threshold",
    compare=_compare_threshold,
    fixed_cases=(
        (*_detections((0.9, True), (0.8, True), (0.6, False), (0.3, False)), 0.6),
        (*_detections((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.2, False)), 0.75),  # exactly
        (*_detections((0.3, False), (0.9, True), (0.6, True), (0.8, False), (0.5, True)), 0.7),
        (*_detections((0.9, True), (0.6, True), (0.6, False), (0.6, False), (0.2, False)), 0.6),  # equal scores
        (*_detections((0.9, False), (0.8, True), (0.7, True), (0.6, True), (0.3, False)), 0.7),  # wrong at first
        (*_detections((0.9, True), (0.8, False), (0.7, False), (0.5, True)), 1.0),
        (*_detections((0.9, False), (0.8, False), (0.5, True)), 0.5),  # nowhere
        (*_detections((0.9, False), (0.4, False)), 0.1),
        (*_detections((0.8, True), (0.8, False), (0.4, False)), 0.75),
        (*_detections((0.8, False), (0.5, False)), 0.0),  # anything goes
        (*_detections((0.9, True), (0.8, True), (0.7, False)), 0.7),  # two thirds are less
        (*_detections((0.7, True)), 0.9),
        (np.zeros(0), np.zeros(0, bool), 0.5),
    ),
    draw=_draw_scores,
    hints=(
        "Only the scores themselves are worth trying: between two of them nothing changes. For one of them, which "
        "detections are kept, and what share of these is right?",
        "Precision does not fall steadily: it may drop below what is asked for and come back. So try all scores, and "
        'take the lowest that reaches it; float("inf") where none does.',
        "good = [t for t in scores if correct[scores >= t].mean() >= least_precision]; then the smallest of them, "
        'min(good, default=float("inf")).',
    ),
    mutants=(
        Mutant(
            _threshold_with(choose=max),
            "that is the highest threshold with this precision. Each lower one that has it, too, finds more: which is "
            "wanted?",
        ),
        Mutant(
            _cumulative(),
            "equal scores were split: a threshold keeps all detections of one score, or none. What is the precision "
            "once all of them are in?",
        ),
        Mutant(
            _threshold_with(stops=True),
            "it stopped where the precision first falls short. It may come back further down: which score is the "
            "lowest that reaches it?",
        ),
        Mutant(
            _threshold_with(enough=lambda value, least: value > least),
            "exactly that precision is enough. Which comparison has the equal in it?",
        ),
        Mutant(
            _threshold_with(kept=lambda scores, threshold: scores > threshold),
            "detections with the threshold itself as their score were left out. They are kept: which comparison has "
            "the equal in it?",
        ),
        Mutant(
            _threshold_with(value=lambda correct, kept: correct[kept].sum() / max(correct.sum(), 1)),
            "that is recall: of all that are right, how many are kept. Precision asks it the other way round: of "
            "those kept, how many are right?",
        ),
        Mutant(
            _threshold_with(value=lambda correct, kept: correct[kept].sum() / len(correct)),
            "the right ones were divided by all detections. How many of them does the threshold keep?",
        ),
        Mutant(
            _threshold_with(value=lambda correct, kept: kept.mean()),
            "that is the share of detections that is kept. What share of these is right?",
        ),
        Mutant(
            _threshold_with(value=lambda correct, kept: 1 - correct[kept].mean()),
            "the wrong ones were counted. Precision is the share of those kept that is right.",
        ),
        Mutant(
            _cumulative(best_so_far=True),
            "a precision that was reached once was taken to hold from there on. It falls again: what is it at each "
            "score itself?",
        ),
        Mutant(
            _cumulative(ordered=False),
            "the detections were counted in the order in which they come. In which order does a falling threshold let "
            "them in?",
        ),
        Mutant(
            _sorted_and_not,
            "the place was found in the sorted list, and looked up in the list as it came. Which of the two knows it?",
        ),
        Mutant(
            _threshold_with(value=lambda correct, kept: round(correct[kept].mean(), 1)),
            "the precision was rounded, and two thirds are no 0.7. Compare it as it is.",
        ),
        Mutant(
            _cumulative(falling=False),
            "the detections were counted from the lowest score up. Which of them does a threshold keep?",
        ),
        Mutant(
            _threshold_with(kept=lambda scores, threshold: scores <= threshold),
            "what lies below the threshold was kept. Sure detections have high scores: which side stays?",
        ),
        Mutant(
            _from_the_right_one(lambda scores, correct, threshold: _precision(correct, scores, threshold)),
            "that is the precision that is reached. Which score reaches it?",
        ),
        Mutant(
            _from_the_right_one(lambda scores, correct, threshold: (scores >= threshold).sum()),
            "that is how many detections are kept. What is the score of the last of them?",
        ),
        Mutant(
            _from_the_right_one(lambda scores, correct, threshold: (scores > threshold).sum()),
            "that is a place in the sorted list. Which score stands there?",
        ),
        Mutant(
            _from_the_right_one(_next_below),
            "that is the first score to be dropped: `scores >= threshold` would keep it. Which is the last to stay?",
        ),
        Mutant(
            _from_the_right_one(_halfway_below),
            "that lies between two scores. Wanted is the score of the last detection that stays.",
        ),
        Mutant(
            _threshold_with(none=1.0),
            "where no score reaches it, 1 was given. A score may be 1: what is larger than any of them?",
        ),
        Mutant(
            _threshold_with(none=0.0),
            "where no score reaches it, 0 was given, which keeps everything. What keeps nothing?",
        ),
        Mutant(
            _threshold_with(none=-1.0),
            "where no score reaches it, -1 was given, which keeps everything. What keeps nothing?",
        ),
        Mutant(
            _threshold_with(none=float("nan")),
            "where no score reaches it, nan was given. No comparison with it holds, so it would do its work: but "
            "infinity says what is meant, and is a number to calculate with.",
        ),
        Mutant(
            _threshold_with(none=float("-inf")),
            "where no score reaches it, -inf was given, which keeps everything. Which end keeps nothing?",
        ),
        Mutant(
            lambda scores, correct, least_precision: min(np.asarray(scores)[np.asarray(correct, bool)], default=np.inf),
            "that is the lowest score of those that are right. How many wrong ones would it let in?",
        ),
        Mutant(
            lambda scores, correct, least_precision: least_precision,
            "a precision was taken for a score. A score says how sure the network feels, not how often it is right: "
            "count.",
        ),
    ),
    errors=(
        (
            ("empty sequence", "zero-size", "iterable argument is empty", "out of bounds"),
            'where no score reaches it, there is none to choose from: infinity is wanted, float("inf").',
        ),
        ("ZeroDivisionError", "without any detection there is nothing to divide by: infinity is wanted then."),
        ("ambiguous", "a comparison of arrays gives true or false for each detection: try one threshold at a time."),
    ),
)


EXERCISES = (TAKE_OVER, RUNNING_STATISTICS, LINEAR_PROBE, LEARNING_RATES, PASTE, ERROR_KINDS, CHOOSE_THRESHOLD)

ALLOWED = ("errors.error_costs",)
