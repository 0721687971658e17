"""A network that begins with another one's weights: all that fit, and of the heads what belongs to classes of both."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from ssdseg_ref.transfer import take_over

CLASS_HEADS = ("_classes_predict/", "mask_predict/")  # in the path of a weight whose last axis goes through the classes


class Adopted(NamedTuple):
    """What a network has begun with.

    Attributes:
        whole: paths of the weights that were taken over as they are.
        partly: paths of those of which the rows of some classes were.
        anew: paths of the others.
    """

    whole: tuple[str, ...]
    partly: tuple[str, ...]
    anew: tuple[str, ...]


def adopt(
    network: keras.Model, classes: Sequence[str], source: keras.Model, source_classes: Sequence[str] = ()
) -> Adopted:
    """Give a network the weights of another one, where names and shapes agree.

    A head that predicts classes is taken over class by class: where both know a class of the same name, and background,
    its weights move to their new place.

    Args:
        network: that is to learn; changed in place.
        classes: that it is to know.
        source: that has learned; a backbone is enough.
        source_classes: that it knows.
    """
    own = {weight.path: np.asarray(weight) for weight in network.weights}
    learned = {weight.path: np.asarray(weight) for weight in source.weights}
    fitting = (
        learned
        if tuple(classes) == tuple(source_classes)
        else {path: w for path, w in learned.items() if not _is_class_head(path)}
    )
    taken = take_over(own, fitting)
    partly = []
    for path, weight in own.items():
        if path in learned and path not in fitting:
            moved = _class_by_class(weight, learned[path], classes, source_classes)
            if moved is not None:
                taken[path] = moved
                partly.append(path)
    for weight in network.weights:
        weight.assign(taken[weight.path])
    whole = tuple(path for path in own if path in fitting and taken[path] is fitting[path])
    anew = tuple(path for path in own if path not in whole and path not in partly)
    return Adopted(whole, tuple(partly), anew)


def _is_class_head(path: str) -> bool:
    return any(head in f"_{path}" for head in CLASS_HEADS)


def _class_by_class(
    weight: np.ndarray, learned: np.ndarray, classes: Sequence[str], learned_classes: Sequence[str]
) -> np.ndarray | None:
    """The weight with the learned values of background and of the classes that both know; None if they do not fit.

    The last axis goes through the anchors of a cell, and for each of them through background and the classes.
    """
    names, learned_names = ["", *classes], ["", *learned_classes]  # no class is called like background
    per_anchor = weight.reshape(*weight.shape[:-1], -1, len(names)).copy()
    theirs = learned.reshape(*learned.shape[:-1], -1, len(learned_names))
    if per_anchor.shape[:-1] != theirs.shape[:-1] or not set(classes) & set(learned_classes):
        return None
    for place, name in enumerate(names):
        if name in learned_names:
            per_anchor[..., place] = theirs[..., learned_names.index(name)]
    return per_anchor.reshape(weight.shape)
