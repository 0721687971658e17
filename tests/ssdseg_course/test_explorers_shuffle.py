"""The shuffle explorer shows where channels go, as the reference's units let them."""

import numpy as np
import pytest

from ssdseg_course.explorers.shuffle import (
    CHANNELS,
    ShuffleState,
    explore_shuffle,
    shuffle_view,
    shuffled_order,
    spread,
)
from ssdseg_ref.shufflenetv2 import channel_shuffle


def test_it_shuffles_as_the_reference_does():
    shuffled = np.asarray(channel_shuffle(np.arange(CHANNELS, dtype=np.float32)[None, None, None], 2)).ravel()
    assert shuffled_order() == shuffled.tolist()
    assert shuffled_order(False) == list(range(CHANNELS))


def test_what_spreads_is_what_a_change_reaches():
    """A change of one channel is followed through units that mix the right half and shuffle."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(CHANNELS // 2, CHANNELS // 2))
    for channel in range(CHANNELS):
        change = np.eye(CHANNELS)[channel]
        for knows in spread(channel, 6, shuffled=True):
            assert (change != 0).tolist() == knows
            change = np.concatenate([change[: CHANNELS // 2], change[CHANNELS // 2 :] @ mix])[shuffled_order()]


def test_without_a_shuffle_half_of_the_channels_never_know():
    assert sum(spread(11, 6, shuffled=False)[-1]) == CHANNELS // 2
    assert sum(spread(0, 6, shuffled=False)[-1]) == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ShuffleState(11, 4), "after unit 4: 11. 1 do not know of it yet"),
        (ShuffleState(0, 4), "after unit 4: 1. 11 do not know of it yet"),
        (ShuffleState(11, 4, shuffled=False), "never learn of each other"),
        (ShuffleState(3, 0), "no unit yet"),
    ],
)
def test_the_words_say_what_the_picture_shows(state, words):
    picture, text = shuffle_view(state)
    assert picture.dtype == np.uint8
    assert words in text


def test_the_controls_move_picture_and_words():
    explorer = explore_shuffle()
    before, said = explorer.picture.value, explorer.text.value
    explorer.shuffled.value = False
    assert explorer.picture.value != before
    assert explorer.text.value != said
