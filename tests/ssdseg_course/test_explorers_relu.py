"""The ReLU explorer shows what a ReLU destroys, and what it does not."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from ssdseg_course.explorers import relu
from ssdseg_course.explorers.relu import DIMENSIONS, ReluState, draw_matrix, explore_relu, lost, relu_view, spiral
from ssdseg_ref.plot import OKABE_ITO


def test_the_more_dimensions_the_less_is_lost():
    losses = [lost(dimensions) for dimensions in DIMENSIONS]
    assert losses[0] > 2 * losses[-1]
    assert all(earlier > later - 0.02 for earlier, later in pairwise(losses))


def test_without_a_relu_nothing_would_be_lost():
    points, matrix = spiral(), draw_matrix(3, 0)
    np.testing.assert_allclose(points @ matrix @ np.linalg.pinv(matrix), points, atol=1e-9)


@pytest.mark.parametrize(
    ("dimensions", "words"), [(2, "folded or gone"), (10, "mostly there"), (50, "hardly anything")]
)
def test_the_words_say_what_the_picture_shows(dimensions, words):
    picture, text = relu_view(ReluState(dimensions, 3))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert f"into {dimensions} dimensions by the random matrix number 3" in text
    assert words in text


def test_the_words_say_what_the_number_is_and_of_what():
    _, text = relu_view(ReluState(3, 0))
    assert "On average its points move by 0.51 of its radius; over 40 matrices that is 0.33." in text


def test_no_stroke_crosses_the_spiral():
    """Its rim is drawn in ink, and along its middle there is colour alone."""
    picture, _ = relu_view(ReluState(50, 0))
    middle, half = np.array([60 + relu.SIDE / 2, 80 + relu.SIDE / 2]), 0.46 * relu.SIDE
    cols, rows = np.rint(middle + half * spiral() * [1, -1]).astype(int).T
    assert picture[rows, cols].max(axis=-1).min() > 100


def test_the_sliders_move_picture_and_words():
    explorer = explore_relu(dimensions=2)
    before, said = explorer.picture.value, explorer.text.value
    explorer.dimensions.value = 50
    assert explorer.picture.value != before
    assert explorer.text.value != said
    assert "50 dimensions" in explorer.text.value


def test_it_needs_no_tensorflow():
    code = (
        "import sys; from ssdseg_course.explorers.relu import explore_relu; explore_relu(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_colours_are_those_of_okabe_and_ito():
    for color in (relu.START, relu.END):
        assert "#{:02X}{:02X}{:02X}".format(*color) in OKABE_ITO
