"""Exercises that choose some of many: how the learner's function is run, so that every right choice is judged alike.

Like those of `networks`, these functions stand in an exercise's `run`.
"""

from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Function
from ssdseg_course.checking.losses import run_mask
from ssdseg_course.checking.probe import WrongAnswer


def run_choice(function: Function, arguments: Arguments) -> np.ndarray:
    """Run a function of tensors that marks some of many, and let no order of equal ones matter.

    Args:
        function: from losses (B, N) and positive (B, N) to (B, N) of true and false.
        arguments: what it is called with.

    Returns:
        (B, N) int32, 1 where chosen; of those in one image that are alike, in loss and in being positive, the first
        ones, so many as were chosen.

    Raises:
        WrongAnswer: if what comes back is no tensor of true and false.
    """
    chosen = run_mask(function, arguments)
    losses, positive = np.asarray(arguments[0]), np.asarray(arguments[1], bool)
    return _first_of_equals(chosen, losses, positive) if chosen.shape == losses.shape else chosen


def _first_of_equals(chosen: np.ndarray, losses: np.ndarray, positive: np.ndarray) -> np.ndarray:
    result = np.zeros_like(chosen)
    for image in range(len(chosen)):
        for alike in {(loss, is_positive) for loss, is_positive in zip(losses[image], positive[image], strict=True)}:
            places = np.flatnonzero((losses[image] == alike[0]) & (positive[image] == alike[1]))
            result[image, places[: chosen[image, places].sum()]] = 1
    return result


def run_indices(function: Function, arguments: Arguments) -> Any:
    """Run a function that gives indices.

    Raises:
        WrongAnswer: if it gives true or false for each thing in their place.
    """
    indices = function(*arguments)
    if isinstance(indices, np.ndarray) and indices.ndim and indices.dtype.kind == "b":
        raise WrongAnswer(
            "it should return indices, and returned true or false for each box, which says nothing of their order: "
            "collect the index of each box that is kept, best first"
        )
    return indices
