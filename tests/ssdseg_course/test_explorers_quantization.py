import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

from ssdseg_course.explorers.quantization import (
    BITS,
    GREY_LEVELS,
    QuantizationState,
    brightness,
    explore_quantization,
    quantization_view,
)

WIDGET = "application/vnd.jupyter.widget-view+json"
CHANGES = {
    "range": lambda explorer: setattr(explorer.high, "value", 0.5),
    "bits": lambda explorer: setattr(explorer.bits, "value", 8),
}
ENDS = (0.1, 0.5, 1.0, 1.75, 4.0)


def error_of(state: QuantizationState) -> float:
    return float(re.search(r"The error is ([\d.]+) of", quantization_view(state)[1])[1])


# The view: what it draws and what it says


def test_eight_bits_over_the_whole_range_lose_nothing():
    assert error_of(QuantizationState(high=1.0, bits=8)) == 0


@pytest.mark.parametrize("bits", BITS[:-1])
def test_the_error_of_rounding_is_that_of_even_chances(bits):
    """A value that may lie anywhere between two levels is off by a step / sqrt(12)."""
    step = GREY_LEVELS / (2**bits - 1)
    assert 0.6 < error_of(QuantizationState(high=1.0, bits=bits)) / (step / np.sqrt(12)) < 1.4


def test_a_range_that_ends_early_costs_more_than_rounding():
    cut, whole = (error_of(QuantizationState(high=high, bits=4)) for high in (0.5, 1.0))
    assert cut > 5 * whole
    share = np.mean(brightness() > 0.5 + 0.5 / 30)
    assert f"{share:.1%} of the pixels are cut off" in quantization_view(QuantizationState(high=0.5, bits=4))[1]


def test_every_state_can_be_drawn_and_no_two_look_alike():
    pictures = set()
    for high, bits in itertools.product(ENDS, BITS):
        picture, _ = quantization_view(QuantizationState(high, bits))
        assert picture.dtype == np.uint8
        assert picture.shape == (720, 1344, 3)
        edges = [picture[0], picture[-1], picture[:, 0], picture[:, -1]]
        assert all((edge == 255).all() for edge in edges), (high, bits)
        pictures.add(picture.tobytes())
    assert len(pictures) == len(ENDS) * len(BITS)


# The widgets around it


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_a_control_changes_picture_and_text(change):
    explorer = explore_quantization()
    picture, text = explorer.picture.value, explorer.text.value
    change(explorer)
    assert explorer.picture.value != picture
    assert explorer.text.value != text


def test_the_controls_begin_with_the_state_that_was_asked_for():
    state = QuantizationState(high=0.65, bits=5)
    assert explore_quantization(**vars(state)).state == state


def test_a_viewer_without_widgets_gets_the_same_in_words(outputs):
    explore_quantization()._ipython_display_()
    (still,) = [metadata for data, metadata in outputs if "image/png" in data and WIDGET not in data]
    assert still["image/png"]["alt"] == quantization_view(QuantizationState())[1]


def test_the_explorer_needs_no_tensorflow():
    code = "import sys, ssdseg_course.explorers.quantization; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
