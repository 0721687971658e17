"""Transfer: a network begins with what another one has learned.

Source: Yosinski et al. 2014, "How transferable are features in deep neural networks?".
"""

from collections.abc import Mapping

import numpy as np


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
