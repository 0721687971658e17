"""Transfer: a network begins with what another one has learned, and goes on from there.

Sources: Yosinski et al. 2014, "How transferable are features in deep neural networks?"; Ioffe and Szegedy 2015, "Batch
Normalization"; Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes"; Howard and
Ruder 2018, "Universal Language Model Fine-tuning for Text Classification", section 3.2, for rates by depth.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike


def take_over(target: Mapping[str, np.ndarray], source: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of a network, but for those that another network has under the same name and in the same shape.

    Args:
        target: name to weight, of the network that is to learn.
        source: name to weight, of the one that has learned.

    Returns:
        All names of the target, in its order: to the source's weight where that fits, else to the target's own.
    """
    return {
        name: source[name] if name in source and source[name].shape == weight.shape else weight
        for name, weight in target.items()
    }


def running_statistics(
    mean: ArrayLike, variance: ArrayLike, batches: Iterable[ArrayLike], momentum: float
) -> tuple[np.ndarray, np.ndarray]:
    """The statistics of a batch normalisation after it has seen some batches, as Keras keeps them.

    Args:
        mean: (C,) moving mean so far.
        variance: (C,) moving variance so far.
        batches: activations, each (B, H, W, C), seen one after the other.
        momentum: share of the old statistics that stays at each step, in 0..1.

    Returns:
        mean: (C,) float64.
        variance: (C,) float64. A batch's own is over all but the channels, divided by their number, not by one less.
    """
    moving_mean, moving_variance = np.array(mean, np.float64), np.array(variance, np.float64)
    for batch in batches:
        activations = np.asarray(batch, np.float64)
        moving_mean = momentum * moving_mean + (1 - momentum) * activations.mean(axis=(0, 1, 2))
        moving_variance = momentum * moving_variance + (1 - momentum) * activations.var(axis=(0, 1, 2))
    return moving_mean, moving_variance


def linear_probe(features: ArrayLike, labels: ArrayLike, weight_decay: float) -> tuple[np.ndarray, float]:
    """The best linear answer that frozen features can give: ridge regression, in closed form.

    Args:
        features: (N, D), of N examples.
        labels: (N,) of 0 and 1.
        weight_decay: what the squares of the weights cost, over 0, or 0 where the features are linearly independent.

    Returns:
        weights: (D,) float64, and
        bias: float, which costs nothing: together they make sum((features @ weights + bias - labels)**2) +
        weight_decay * sum(weights**2) the least.

    Source: Hastie et al. 2009, "The Elements of Statistical Learning", section 3.4.1.
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.float64)
    # Whatever the weights, the best bias makes the mean error 0: so it drops out once both are centred.
    centred = x - x.mean(axis=0)
    weights = np.linalg.solve(centred.T @ centred + weight_decay * np.eye(x.shape[1]), centred.T @ (y - y.mean()))
    return weights, float(y.mean() - x.mean(axis=0) @ weights)


def learning_rates(depths: Mapping[str, int], rate: float, decay: float) -> dict[str, float]:
    """A learning rate for each layer: the nearer to the input, the smaller.

    Args:
        depths: name of a layer to its depth, counted from the input.
        rate: of the deepest layer.
        decay: what each step towards the input multiplies it by: 1 gives all layers one rate, 0 freezes all but the
            deepest.

    Returns:
        Name to rate, in the order of `depths`.

    Source: Howard and Ruder 2018, section 3.2, "discriminative fine-tuning".
    """
    deepest = max(depths.values(), default=0)
    return {name: float(rate * decay ** (deepest - depth)) for name, depth in depths.items()}
