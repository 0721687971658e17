"""The explorers of lesson 6 show what the reference computes, on a real network's raw output."""

import numpy as np
import pytest

from ssdseg_course.explorers import mining
from ssdseg_course.explorers.mining import MiningState, explore_mining, mining_view
from ssdseg_course.explorers.raw_output import raw_output
from ssdseg_course.explorers.suppression import SuppressionState, explore_suppression, suppression_view
from ssdseg_ref import losses, multitask, nms
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.data.warehouse import CLASSES, SPLITS, render

SEED = SPLITS["test"][19]


def test_the_raw_output_becomes_what_the_predictor_finds():
    config = multitask.SHIPPED["lesson"]
    predictor = multitask.Predictor(multitask.load_network("lesson"), config, score_threshold=0.4, gate_pixels=0)
    (prediction,) = predictor([render(SEED, size=config.image_size).image])
    output = raw_output(SEED)
    for box, label, score in zip(prediction.boxes, prediction.labels, prediction.scores, strict=True):
        row = np.abs(output.shares[:, label] - score).argmin()
        assert output.shares[row, label] == pytest.approx(score, abs=0.02)
        np.testing.assert_allclose(np.clip(output.boxes[row], 0, 1), box, atol=0.02)


def test_mining_agrees_with_the_reference():
    assert (mining.NEGATIVES_PER_POSITIVE, mining.LEAST_NEGATIVES) == (
        losses.NEGATIVES_PER_POSITIVE,
        losses.LEAST_NEGATIVES,
    )
    output = raw_output(SEED)
    mined = np.asarray(losses.mine_hard_negatives(output.losses[None], output.positive[None]))
    _, text = mining_view(MiningState(19))
    assert f"{mined.sum()} are mined" in text
    assert f"They have {output.losses[mined[0]].sum():.1f}," in text


def test_the_hardest_are_told_one_by_one_with_how_nearly_each_had_a_box():
    """Twelve boxes that look alike under one label would tell nothing."""
    output = raw_output(SEED)
    boxes = render(SEED, size=multitask.SHIPPED["lesson"].image_size).boxes
    hardest = np.where(output.positive, -1, output.losses).argmax()
    label = output.shares[hardest, 1:].argmax() + 1
    _, text = mining_view(MiningState(19))
    assert text.count("IoU with a box") == mining.HARDEST_DRAWN
    guess = f"1: {CLASSES[label - 1]} {output.shares[hardest, label]:.0%}"
    assert f"{guess}, IoU with a box {pairwise_iou(output.anchors[[hardest]], boxes).max():.2f}" in text


def test_the_words_of_suppression_count_what_is_drawn():
    _, some = suppression_view(SuppressionState(19, 1, 0.45, 0.3))
    _, every = suppression_view(SuppressionState(19, 1, 1.0, 0.3))
    output = raw_output(SEED)
    kept = nms.non_max_suppression(output.boxes, output.shares[:, 1], 0.45, 0.3)
    assert len(kept) > 1
    assert f"Kept, solid: {len(kept)} with the scores" in some
    assert "Suppressed, dotted: 0," in every


@pytest.mark.parametrize(
    ("explorer", "control", "value"),
    [
        (explore_suppression, "iou_threshold", 0.9),
        (explore_suppression, "score_threshold", 0.9),
        (explore_suppression, "label", 2),
        (explore_suppression, "scene", 3),
        (explore_mining, "ratio", 0),
        (explore_mining, "positives", True),
        (explore_mining, "scene", 3),
    ],
)
def test_a_control_moves_picture_and_words(explorer, control, value):
    explorer = explorer()
    before, said = explorer.picture.value, explorer.text.value
    getattr(explorer, control).value = value
    assert explorer.picture.value != before
    assert explorer.text.value != said
