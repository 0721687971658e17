"""The hits explorer counts what is found, what is a false alarm, and what is missed."""

from types import SimpleNamespace

import numpy as np
import pytest

from ssdseg_course.explorers.canvas import draw_scene
from ssdseg_course.explorers.hits import HitsState, explore_hits, found_and_missed, hits_view
from ssdseg_ref.data.warehouse import SPLITS

TRUTH = draw_scene(SPLITS["test"][13])


def prediction(boxes, labels, scores):
    return SimpleNamespace(boxes=np.float32(boxes).reshape(-1, 4), labels=np.int32(labels), scores=np.float32(scores))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            prediction(TRUTH.boxes, TRUTH.labels, np.ones(len(TRUTH.labels))),
            "{} found (solid), 0 false alarms (dotted), 0 m",
        ),
        (prediction([], [], []), "0 found (solid), 0 false alarms (dotted), {} missed"),
        (prediction(TRUTH.boxes, TRUTH.labels, np.full(len(TRUTH.labels), 0.1)), "0 found (solid), 0 false alarms (d"),
        (
            prediction(np.repeat(TRUTH.boxes, 2, 0), np.repeat(TRUTH.labels, 2), np.ones(2 * len(TRUTH.labels))),
            "{0} found (solid), {0} false alarms (dotted), 0 missed",  # twice the same is once too often
        ),
    ],
    ids=["perfect", "blind", "unsure", "double"],
)
def test_the_words_count(seen, words):
    _, text = hits_view(HitsState(13), lambda seed: seen)
    assert words.format(len(TRUTH.labels)) in text


def test_one_detection_over_two_boxes_finds_one_and_misses_the_other():
    """Both overlap it by more than a half; the other is missed all the same."""
    close = np.float32([[0.1, 0.1, 0.5, 0.5], [0.15, 0.1, 0.55, 0.5]])
    hits, missed = found_and_missed(close[:1], close)
    assert hits.tolist() == [True]
    assert missed.tolist() == [False, True]
    assert found_and_missed(np.empty((0, 4)), close)[1].all()
    assert len(found_and_missed(close, np.empty((0, 4)))[1]) == 0


def test_one_thing_is_not_said_in_the_plural():
    text = hits_view(HitsState(13), lambda seed: prediction([[0, 0, 0.1, 0.1]], [1], [1]))[1]
    assert "1 false alarm (dotted)" in text


def test_the_controls_move_picture_and_words():
    explorer = explore_hits(scene=13)
    before, said = explorer.picture.value, explorer.text.value
    explorer.least_score.value = 0.95
    assert explorer.picture.value != before
    assert explorer.text.value != said
