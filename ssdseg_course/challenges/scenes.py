"""The hidden scenes that networks are judged by, and how far their scores can be trusted."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from ssdseg_course.challenges.challenge import LEARNERS
from ssdseg_ref.data.sample import IMAGE_SIZE, Sample
from ssdseg_ref.data.splits import cached_split
from ssdseg_ref.data.warehouse import render

MOST = 500  # that a challenge may ask for
BOOTSTRAPS = 100
MIDDLE_HALF = 0.6745  # of a normal distribution, in deviations on each side


def hidden_scenes(first: int, count: int, size: tuple[int, int] = IMAGE_SIZE) -> Sequence[Sample]:
    """Scenes that no split of the data set has. Those of learners are drawn once and kept, for attempts are many.

    Args:
        first: seed of the first one.
        count: how many, at most `MOST`.
        size: (height, width) in pixels.

    Raises:
        OSError: if those of learners cannot be kept.
    """
    if first != LEARNERS:
        return _drawn(first, count, size)
    kept = MOST if size == IMAGE_SIZE else count  # several challenges share those of that size
    scenes = cached_split("challenges", range(LEARNERS, LEARNERS + kept), size, render)
    return [scenes[index] for index in range(count)]


@lru_cache(maxsize=1)  # a class table judges all answers to a challenge by the same
def _drawn(first: int, count: int, size: tuple[int, int]) -> list[Sample]:
    return [render(seed, size) for seed in range(first, first + count)]


def spread_of_a_share(share: float, count: int) -> float:
    """How far from a share the middle half of others would lie, each counted in as many other examples.

    Args:
        share: that was found, in 0..1.
        count: of examples.
    """
    return MIDDLE_HALF * float(np.sqrt(share * (1 - share) / count))


def middle_half_of(score: Callable[[np.ndarray], float], count: int) -> tuple[float, float]:
    """Between which scores the middle half lies if as many scenes are drawn again out of these, with repeats.

    Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".

    Args:
        score: from the indices of the scenes that were drawn.
        count: of scenes.
    """
    rng = np.random.default_rng(count)
    drawn = [score(rng.integers(0, count, count)) for _ in range(BOOTSTRAPS)]
    low, high = np.quantile(drawn, (0.25, 0.75))
    return float(low), float(high)
