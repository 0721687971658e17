"""Networks that several tests look at are built once."""

from collections.abc import Callable
from functools import cache

import pytest


@pytest.fixture(scope="session")
def network_of() -> Callable:
    """Gives the network of a configuration; a test may change its weights, the next one gets those it began with."""
    from ssdseg_ref.network import build_network  # here alone: importing Keras takes seconds

    @cache
    def built(config):
        network = build_network(config)
        network.run_eagerly = True  # tracing a graph takes longer than the few images of a test
        return network, network.get_weights()

    def fresh(config):
        network, weights = built(config)
        network.set_weights(weights)
        return network

    return fresh


@pytest.fixture(scope="session")
def shipped() -> Callable:
    """Gives the shipped network of a name."""
    from ssdseg_ref.network import load_network

    @cache
    def loaded(name):
        network = load_network(name)
        network.run_eagerly = name != "lesson"
        return network

    return loaded
