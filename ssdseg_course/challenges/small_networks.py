"""Challenges 4 and 5: the best classifier of small pictures with under 200,000 parameters, trained for a minute."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ssdseg_course.challenges.challenge import SEEDS, Mark, Refused, Score, Seeded
from ssdseg_course.challenges.crops import NAMES, SIDE, crops
from ssdseg_course.challenges.scenes import hidden_scenes, spread_of_a_share
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.trained import CLASSIFIER_BATCH, CLASSIFIER_LIMITS, run_classifier
from ssdseg_course.checking.values import Plain
from ssdseg_course.words import filled
from ssdseg_ref.data.sample import IMAGE_SIZE
from ssdseg_ref.data.splits import cached_split
from ssdseg_ref.data.warehouse import render

LEARNED = range(4_000_000, 4_000_600)  # seeds of the scenes whose crops are learned from
JUDGED = 500  # hidden scenes
STEPS = 600
SECONDS = 400.0  # of work: the dearest network that is allowed takes about a minute on two quiet cores


def cases(first: int, seed: int) -> list[Arguments]:
    """The one case: crops to learn from and their labels, crops to sort, steps and seed."""
    images, labels = crops(cached_split("challenge-crops", LEARNED, IMAGE_SIZE, render), seed=SEEDS[0])
    return [(images, labels, _judged(first)[0], STEPS, seed)]


@lru_cache(maxsize=1)
def _judged(first: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of hidden scenes, and their labels."""
    return crops(hidden_scenes(first, JUDGED), seed=first)


def judge(first: int, _seed: int, results: Sequence[Plain]) -> Score:
    """Percent of the hidden crops that are sorted right."""
    return accuracy(results[0], _judged(first)[1])


def accuracy(result: Plain, truth: np.ndarray) -> Score:
    """Percent of crops that are sorted right.

    Args:
        result: logits (M, C), and (2,) parameters and multiply-adds.
        truth: (M,) labels.

    Raises:
        Refused: if these are no such numbers.
    """
    logits, costs = _parts(result, len(truth))
    share = float((logits.argmax(axis=-1) == truth).mean())
    spread = spread_of_a_share(share, len(truth))
    note = f"{int(costs[0]):,} parameters, {costs[1] / 1e6:.1f} million multiply-adds"
    return Score(100 * share, 100 * (share - spread), 100 * (share + spread), note)


def _parts(result: Plain, count: int) -> tuple[np.ndarray, np.ndarray]:
    # A sandbox may give anything.
    if isinstance(result, tuple) and [getattr(part, "shape", None) for part in result] == [(count, len(NAMES)), (2,)]:
        if CLASSIFIER_LIMITS.allow(*result[1]):
            return result
        raise Refused("it has more parameters or multiply-adds than are allowed")
    raise Refused(f"{count} crops want {len(NAMES)} logits each")


MILLIONS, TIMES, SCENES = CLASSIFIER_LIMITS.multiply_adds // 10**6, CLASSIFIER_LIMITS.yardsticks, len(LEARNED)
TASK = f"""\
Write `my_network()`: it returns a Keras model that sorts small pictures into {", ".join(NAMES)}: from ({SIDE},
{SIDE}, 3), already scaled to -1..1, to four logits (no softmax). {{rule}} It has fewer than 200,000 parameters and
takes at most {MILLIONS} million multiply-adds a picture.

The course trains it, all answers alike: {STEPS} steps of {CLASSIFIER_BATCH} crops out of {SCENES} scenes, mirrored
and relit. That takes up to a minute on two cores. The budget is steps and multiply-adds, not seconds, so your score
does not depend on how busy your machine is. Only a step that takes {TIMES:g} times as long as one of a small
network, measured in turns, is refused.

The score is the percentage of crops that it sorts right, cut out of {JUDGED} scenes that you have not seen. In
brackets: where half of the scores would lie with other scenes. What differs by less is not different."""

# Again: `python tests/benchmarks/challenges.py 4`, and 5.
GUESSING = Mark("guessing", 25.0, "four classes, as many crops of each")
BOTTLENECKS = Seeded(
    number="04",
    title="The best for 200,000 parameters",
    task=filled(TASK.format(rule="Bottlenecks are a good start; anything that Keras can train will do.")),
    name="my_network",
    unit="%",
    higher_is_better=True,
    marks=(
        Mark("another clever one", 96.2, "the one with 95.3, wider, on pictures that it moves and zooms itself"),
        Mark("the reference's blocks", 95.4, "seven bottlenecks, four with a sum; 121,868 parameters"),
        Mark(
            "a clever one",
            95.3,
            "plain convolutions and sums, half the multiply-adds of these blocks; 117,356 parameters",
        ),
        Mark("the start answer", 91.8, "three bottlenecks; 18,412 parameters"),
        GUESSING,
    ),
    cases=cases,
    judge=judge,
    run=run_classifier,
    seconds=SECONDS,
    needs_tensorflow=True,
    digits=1,
)

SHUFFLES = Seeded(
    number="05",
    title="The best for 200,000 parameters, split and shuffled",
    task=filled(TASK.format(rule="Split and shuffle, or beat lesson 4's answer with something else.")),
    name="my_network",
    unit="%",
    higher_is_better=True,
    marks=(
        Mark("a clever one", 96.2, "no shuffle: plain convolutions and sums, on pictures that it zooms itself"),
        Mark("the reference's units", 93.5, "three stages, seven units; 83,140 parameters"),
        Mark("the start answer", 92.3, "two stages, four units; 10,596 parameters"),
        GUESSING,
    ),
    cases=cases,
    judge=judge,
    run=run_classifier,
    seconds=SECONDS,
    needs_tensorflow=True,
    digits=1,
)

CHALLENGES = (BOTTLENECKS, SHUFFLES)
