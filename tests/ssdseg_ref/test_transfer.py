"""Does a network begin with what another one has learned, where it fits?"""

import numpy as np

from ssdseg_ref.transfer import take_over


def test_what_fits_by_name_and_shape_is_taken_and_the_rest_stays():
    target = {"a": np.zeros((2, 3)), "b": np.zeros(4), "c": np.zeros(1)}
    source = {"c": np.ones(1), "b": np.ones(5), "a": np.ones((2, 3)), "d": np.ones(2)}
    taken = take_over(target, source)
    assert list(taken) == ["a", "b", "c"]
    assert taken["a"] is source["a"]
    assert taken["b"] is target["b"]
    assert taken["c"] is source["c"]


def test_a_transposed_weight_does_not_fit():
    target = {"a": np.zeros((2, 3))}
    assert take_over(target, {"a": np.ones((3, 2))})["a"] is target["a"]
    assert take_over({}, {"a": np.ones(1)}) == {}
