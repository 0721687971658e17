"""The field-of-view explorer counts the taps that a convolution really has on the map."""

import keras
import numpy as np
import pytest

from ssdseg_course.explorers.field_of_view import MAPS, FieldState, explore_field_of_view, field_view, taps_inside


@pytest.mark.parametrize("rate", [1, 2, 6, 18])
@pytest.mark.parametrize("size", MAPS.values())
def test_the_taps_inside_are_those_that_a_convolution_adds_up(rate, size):
    convolution = keras.layers.Conv2D(1, 3, padding="same", dilation_rate=rate, kernel_initializer="ones")
    counted = np.asarray(convolution(np.ones((1, *size, 1), np.float32)))[0, ..., 0]
    np.testing.assert_array_equal(taps_inside(*size, rate), counted)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (FieldState(18), "for 100% of the places the middle one alone"),
        (FieldState(1, row=0, col=0), "row 0, column 0, 4 of its 9 taps"),
        (FieldState(6, "33 × 33", 1.0, 1.0), "row 32, column 32, 4 of its 9 taps"),
    ],
)
def test_the_words_say_what_the_picture_shows(state, words):
    picture, text = field_view(state)
    assert picture.dtype == np.uint8
    assert words in text


@pytest.mark.parametrize(("rate", "map_size"), [(18, "10 × 14"), (12, "33 × 33"), (1, "12 × 16")])
def test_all_nine_taps_are_drawn_also_those_that_fall_beside_the_map(rate, map_size):
    corner, text = field_view(FieldState(rate, map_size, row=0.0, col=0.0))
    middle, _ = field_view(FieldState(rate, map_size))
    rims = np.argwhere(np.all(corner == LOST_RIM, axis=-1))
    map_rows, map_cols = np.nonzero(np.all(middle == INK_RIM, axis=-1))  # its frame, and discs inside of it
    assert "of its 9 taps fall on the map" in text
    assert rims[:, 0].min() < map_rows.min(), "above the map"
    assert rims[:, 1].min() < map_cols.min(), "to the left of it"
    assert rims.min() > 0, "and not cut off"


LOST_RIM, INK_RIM = (85, 85, 85), (0, 0, 0)


@pytest.mark.parametrize(("control", "value"), [("rate", 2), ("map_size", "33 × 33"), ("row", 0.1), ("col", 0.9)])
def test_a_control_moves_picture_and_words(control, value):
    explorer = explore_field_of_view()
    before, said = explorer.picture.value, explorer.text.value
    getattr(explorer, control).value = value
    assert explorer.picture.value != before
    assert explorer.text.value != said
