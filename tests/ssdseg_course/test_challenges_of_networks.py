"""Challenges 4, 5, 7, 8, 9 and 10: what is asked for, what is refused, and how it is scored."""

import subprocess
import sys
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from ssdseg_course.challenges import few_labels, find_challenge, joint, on_device, scenes, segmentation, small_networks
from ssdseg_course.challenges.challenge import CLASSES as CLASS_SEEDS
from ssdseg_course.challenges.challenge import LEARNERS, Refused, Score, median_of
from ssdseg_course.challenges.crops import SIDE, crops
from ssdseg_course.challenges.scenes import hidden_scenes, middle_half_of, spread_of_a_share
from ssdseg_course.checking.settings import run_settings
from ssdseg_course.export import tracing
from ssdseg_course.work.timing import Timing
from ssdseg_ref.config import LESSON
from ssdseg_ref.data.sample import IMAGE_SIZE
from ssdseg_ref.data.warehouse import SPLITS, render
from ssdseg_ref.prediction import Prediction

NUMBERS = ("04", "05", "07", "08", "09", "10")
OTHER = CLASS_SEEDS.start  # first seed of a class table


def settings(**given):
    return run_settings(lambda: given, ())


def seen_perfectly(samples):
    return [Prediction(one.boxes, one.labels, np.ones(len(one.labels), np.float32), one.mask) for one in samples]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_task_says_what_is_scored_and_marks_say_how_they_were_measured(number):
    challenge = find_challenge(number)
    assert f"`{challenge.name}(" in challenge.task
    assert "that you have not seen" in challenge.task
    assert challenge.marks
    assert all(mark.measured for mark in challenge.marks)
    assert max(map(len, challenge.task.splitlines())) <= 130


def test_the_tasks_are_told_without_the_seconds_that_tensorflow_takes():
    code = "import sys; from ssdseg_course.challenges import MODULES, find_challenge\n"
    code += "for number in MODULES: find_challenge(number)\nprint({'keras', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_no_scene_that_is_judged_by_is_learned_from_or_in_a_split():
    learned = {*small_networks.LEARNED, *segmentation.LEARNED, *chain(*SPLITS.values())}
    judged = range(LEARNERS, LEARNERS + max(scenes.MOST, few_labels.SCENES_A_PICTURE * few_labels.JUDGED))
    assert learned.isdisjoint(judged)
    assert learned.isdisjoint(CLASS_SEEDS[:: 10**6])
    assert max(learned) < CLASS_SEEDS.start


def test_the_scenes_of_a_class_table_are_others_than_those_of_learners():
    one, other = hidden_scenes(OTHER, 2), hidden_scenes(OTHER + 7, 2)
    np.testing.assert_array_equal(one[1].image, render(OTHER + 1, IMAGE_SIZE).image)
    assert not np.array_equal(one[0].image, other[0].image)


def test_the_middle_half_of_a_share_holds_half_of_the_shares_that_one_counts():
    counted = np.random.default_rng(0).binomial(400, 0.9, 4000) / 400
    spread = spread_of_a_share(0.9, 400)
    assert 0.42 < (np.abs(counted - 0.9) <= spread).mean() < 0.58


def test_the_middle_half_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(size=400)
    low, high = middle_half_of(lambda chosen: values[chosen].mean(), 400)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 0.6745 * values.std() / 20, rel=0.3)


# crops, 4 and 5


def test_crops_are_of_one_size_and_as_many_of_each_class_and_the_same_each_time():
    drawn = [render(seed, IMAGE_SIZE) for seed in range(OTHER, OTHER + 25)]
    images, labels = crops(drawn, seed=1)
    assert images.shape == (len(labels), SIDE, SIDE, 3)
    assert images.dtype == np.uint8
    assert len(set(np.bincount(labels))) == 1
    np.testing.assert_array_equal(images, crops(drawn, seed=1)[0])


def test_a_crop_of_background_shows_nothing_else():
    sample = render(OTHER, IMAGE_SIZE)
    blank = replace(sample, image=np.where(sample.mask[..., None] > 0, 255, 0).repeat(3, -1).astype(np.uint8))
    drawn = [replace(blank, boxes=blank.boxes[:0], labels=blank.labels[:0])] * 20
    things = [render(seed, IMAGE_SIZE) for seed in range(OTHER, OTHER + 25)]
    images, labels = crops([*drawn, *things], seed=2)
    shown = images[labels == 0]
    assert (shown[shown.std(axis=(1, 2, 3)) == 0] == 0).all()
    assert (shown.reshape(len(shown), -1).min(axis=1) < 255).all()


def test_scenes_without_a_class_give_no_crops():
    empty = replace(render(OTHER, IMAGE_SIZE), boxes=np.empty((0, 4), np.float32), labels=np.empty(0, np.int32))
    with pytest.raises(ValueError, match="take more scenes"):
        crops([empty], seed=1)


def test_accuracy_is_the_share_of_crops_that_are_sorted_right():
    truth = np.arange(40) % 4
    logits = np.eye(4, dtype=np.float32)[np.where(np.arange(40) < 10, (truth + 1) % 4, truth)]
    score = small_networks.accuracy((logits, np.array([18_412, 1_434_432])), truth)
    assert score.value == pytest.approx(75)
    assert score.low == pytest.approx(75 - 67.45 * np.sqrt(0.75 * 0.25 / 40))
    assert score.note == "18,412 parameters, 1.4 million multiply-adds"


@pytest.mark.parametrize(
    "result", [np.zeros((40, 4)), (np.zeros((40, 3)), np.zeros(2)), (np.zeros((39, 4)), np.zeros(2))]
)
def test_what_is_no_logits_of_all_crops_gets_no_score(result):
    with pytest.raises(Refused, match="40 crops want 4 logits each"):
        small_networks.accuracy(result, np.zeros(40, int))


# 7


def test_a_perfect_mask_scores_100_and_one_without_a_class_less():
    masks = [render(seed, IMAGE_SIZE).mask for seed in range(OTHER, OTHER + 6)]
    perfect = np.stack([np.where(mask == 255, 0, mask) for mask in masks]).astype(np.uint8)
    costs = np.array([12_804, 9_000_000])
    assert segmentation.mean_iou((perfect, costs), masks).value == pytest.approx(100)
    without = segmentation.mean_iou((np.where(perfect == 1, 0, perfect), costs), masks)
    assert without.value == pytest.approx(200 / 3)
    assert without.note == "person 0, forklift 100, monorail 100; 12,804 parameters, 9 million multiply-adds"


@pytest.mark.parametrize("guess", [np.full((2, 4, 5), 4, np.uint8), np.zeros((2, 4, 5)), np.zeros((1, 4, 5), np.uint8)])
def test_what_is_no_mask_of_all_scenes_gets_no_score(guess):
    with pytest.raises(Refused, match="of classes from 0 to 3"):
        segmentation.mean_iou((guess, np.zeros(2)), [np.zeros((4, 5), np.uint8)] * 2)


# 8


def test_the_lesson_s_network_has_the_work_that_the_budget_is_made_of():
    planned = joint.plan(settings(learning_rate=0.004, class_weights=[1, 2, 1, 2]))
    assert planned.config == LESSON
    assert planned.work == joint.WORK
    assert planned.recipe == {"learning_rate": 0.004, "class_weights": (1, 2, 1, 2), "epochs": 7, "seed": 1}


@pytest.mark.parametrize(("share", "epochs"), [(1, 7), (0.5, 14), (0.1, 14), (2, 3), (7, 1)])
def test_all_trainings_have_the_same_multiply_adds_so_a_smaller_network_sees_more(share, epochs):
    assert joint.epochs_of(int(share * joint.WORK)) == epochs


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 100}, "there is no setting 'epochs'"),
        ({"alpha": 1.4}, "parameters, and 1,000,000 are allowed"),
        ({"image_size": [320, 320], "fine_channels": 128, "mask_channels": 160}, "cannot see each scene once"),
        ({"scales": [0.2, 0.3, 0.4, 0.5]}, "with 4 maps there are 5 scales, got 4"),
        ({"aspp_rates": [2, 2]}, "aspp_rates differ"),
        ({"scales": [0.9, 0.3, 0.4, 0.5, 0.6]}, "scales grow"),
        ({"aspect_ratios": [[1], [2]]}, "aspect_ratios holds 3 to 5 values"),
        ({"class_weights": [1, 1]}, "class_weights holds 4 values"),
        ({"batch_size": 0}, "batch_size is a whole number from 4 to 64, got 0"),
    ],
)
def test_a_training_that_is_none_or_too_dear_is_refused(given, words):
    with pytest.raises(Refused, match=words):
        joint.judge(OTHER, 1, [settings(**given)])


def test_a_joint_score_is_the_mean_of_both_and_100_for_what_is_there():
    samples = [render(seed, IMAGE_SIZE) for seed in range(OTHER, OTHER + 5)]
    score = joint.joint_score(seen_perfectly(samples), samples, lambda scores: scores.mean_ap50, "all of it")
    assert score.value == score.low == score.high == pytest.approx(100)
    assert score.note == "mAP 1.000, mIoU 1.000; all of it"
    blind = [
        replace(one, boxes=one.boxes[:0], labels=one.labels[:0], scores=one.scores[:0])
        for one in seen_perfectly(samples)
    ]
    assert joint.joint_score(blind, samples, lambda scores: scores.mean_ap50, "").value == pytest.approx(50)


# 9


def test_half_of_the_time_brings_five_points_and_twice_the_time_costs_five():
    score, one = Score(80.0, 79.0, 82.0, "it"), Timing(1.0, 1.0, 1.0)
    assert on_device.priced(score, Timing(0.5, 0.5, 0.5), one).value == pytest.approx(85)
    twice = on_device.priced(score, Timing(2.0, 2.0, 2.0), one)
    assert (twice.low, twice.value, twice.high) == pytest.approx((74, 75, 77))
    assert twice.note == "2 s, shufflenetv2 1 s; it"


def test_a_time_that_varies_makes_the_points_vary():
    score = on_device.priced(Score(80.0, 80.0, 80.0), Timing(1.0, 0.5, 4.0), Timing(1.0, 1.0, 1.0))
    assert (score.low, score.value, score.high) == pytest.approx((70, 80, 85))


@pytest.mark.parametrize(
    ("given", "own_files", "words"),
    [
        ({"network": "photos"}, True, "neither lesson, mobilenetv2, shufflenetv2, nor a folder"),
        ({"network": 3}, True, "network is lesson, mobilenetv2, shufflenetv2, or an exported folder"),
        ({"network": "phone"}, False, "in a class table the network is one of"),
        ({"network": "phone", "bits": 8}, True, "bits was chosen when it was exported"),
        ({"bits": 4}, True, "bits is 32 or 16 or 8, got 4"),
        ({"speed": 4}, True, "there is no setting 'speed'"),
    ],
)
def test_what_is_no_candidate_is_refused(given, own_files, words):
    with pytest.raises(ValueError, match=words):
        on_device.read_candidate(settings(**given), own_files)


def test_where_litert_is_missing_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    with pytest.raises(Refused, match=r'ai-edge-litert is needed .* pip install "ssdseg-course\[export\]"'):
        on_device.judge(OTHER, [settings()])


# 10


def test_rates_fall_towards_the_input_and_frozen_parts_have_none():
    rates = few_labels.rates_of({"rate": 0.01, "decay": 0.5, "frozen": 2, "heads_rate": 0.02})
    assert rates["heads"] == 0.02
    assert rates["stage7"] == pytest.approx(0.005)
    assert rates["stage6"] == pytest.approx(0.0025)
    assert rates["stem"] == rates["stage1"] == 0
    assert set(few_labels.rates_of({}).values()) == {2e-3}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pictures": [1] * 10}, "pictures are 10 different ones"),
        ({"pictures": [1, 2]}, "pictures holds 10 values"),
        ({"pictures": list(range(91, 101))}, "each of pictures is a whole number from 0 to 99, got 100"),
        ({"augmentation": "magic"}, "augmentation is 'none' or 'zoom' or 'strong'"),
        ({"steps": 1000}, "there is no setting 'steps'"),
    ],
)
def test_what_is_no_plan_for_ten_labels_is_refused(given, words):
    with pytest.raises(Refused, match=words):
        few_labels.judge(OTHER, 1, [settings(**given)])


def test_average_precision_of_people_is_100_where_each_is_found(monkeypatch):
    samples = few_labels.stand_ins(range(OTHER, OTHER + 20), 3)
    monkeypatch.setattr(few_labels.evaluation, "predict", lambda _, some: seen_perfectly(some))
    score = few_labels.scored(None, samples, {"pictures": (1, 2), "rate": 0.01})
    assert score.value == pytest.approx(100)
    assert score.note == "IoU of the mask 1.00; rate 0.01"


def test_who_has_photographs_is_told_what_the_plan_reaches_there_and_scored_on_stand_ins(monkeypatch):
    """Trainings are left out: a network is the pictures that it has learned from."""
    photographs = [render(seed, IMAGE_SIZE) for seed in range(OTHER, OTHER + 4)]
    judged = {len(photographs): 70.0, few_labels.JUDGED: 20.0}
    monkeypatch.setattr(few_labels, "penn_fudan", lambda size: (photographs * 30, photographs))
    monkeypatch.setattr(few_labels, "pool", lambda: photographs * 25)
    monkeypatch.setattr(few_labels, "hidden", lambda first: photographs[:1] * few_labels.JUDGED)
    monkeypatch.setattr(few_labels, "trained", lambda given, pictures, seed: pictures)
    monkeypatch.setattr(few_labels, "scored", lambda network, some, given: Score(judged[len(some)], 0, 100, "it"))
    challenge, asked = find_challenge("10"), []

    def my_plan(pictures):
        asked.append(pictures.shape)
        return {"rate": 0.002}

    few_labels.photographs.cache_clear()
    score = challenge.score(my_plan)
    assert (score.value, score.note) == (20.0, "it; the same plan on Penn-Fudan's photographs: 70.0")
    assert asked == [(100, *IMAGE_SIZE, 3)] * 2
    assert challenge.score(my_plan, OTHER).note == "it"

    def diverging(given, pictures, seed):
        if len(pictures) == few_labels.POOL and pictures is not few_labels.pool():
            raise ValueError("the training diverged")
        return pictures

    few_labels.photographs.cache_clear()
    monkeypatch.setattr(few_labels, "pool", lambda chosen=photographs * 25: chosen)
    monkeypatch.setattr(few_labels, "trained", diverging)
    score = challenge.score(my_plan)
    assert (score.value, score.note) == (20.0, "it; the same plan on Penn-Fudan's photographs: the training diverged")
    monkeypatch.setattr(few_labels, "penn_fudan", lambda size: (photographs, photographs))  # a part of them
    few_labels.photographs.cache_clear()
    assert challenge.score(my_plan).note == "it"
    few_labels.photographs.cache_clear()


# several trainings


def test_of_three_trainings_the_median_counts_with_its_own_range():
    scores = [Score(70.0, 60.0, 75.0, "a"), Score(90.0, 88.0, 92.0, "b"), Score(80.0, 79.0, 93.0, "c")]
    assert median_of(scores) == Score(80.0, 79.0, 93.0, "c; 70.0 to 90.0 in 3 trainings")
    assert median_of(scores[:1]) == scores[0]


@pytest.mark.parametrize("number", ["04", "05", "07"])
def test_learners_are_shown_the_first_seed_and_class_tables_have_three(number, monkeypatch):
    for module in (small_networks, segmentation):
        monkeypatch.setattr(module, "LEARNED", module.LEARNED[:12])
        monkeypatch.setattr(module, "JUDGED", 12)
    small_networks._judged.cache_clear()
    challenge = find_challenge(number)
    trials = challenge.trials(OTHER)
    assert [case[-1] for trial in trials for case in trial.cases] == [1, 2, 3]
    for one, *others in zip(*(trial.cases[0][:-1] for trial in trials), strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)
    seen = []
    monkeypatch.setattr(type(challenge), "results", lambda self, answer, cases: seen.extend(cases))
    monkeypatch.setitem(vars(challenge), "judge", lambda first, seed, results: seen.append(seed))
    challenge.score(None, OTHER)
    assert [seen[0][-1], *seen[1:]] == [1, 1]
    small_networks._judged.cache_clear()


def test_settings_are_trained_by_the_seed_of_the_trial(monkeypatch):
    """In challenge 8 it is that of the recipe, by which a training is kept and found again."""
    trained = []
    monkeypatch.setattr(joint, "trained_network", lambda planned: trained.append(planned.recipe["seed"]))
    monkeypatch.setattr(joint.evaluation, "predict", lambda predictor, some: seen_perfectly(some))
    monkeypatch.setattr(joint, "Predictor", lambda network, config: None)
    monkeypatch.setattr(joint, "JUDGED", 2)
    scores = [trial.judge([settings()]).value for trial in find_challenge("08").trials(OTHER)]
    assert trained == [1, 2, 3]
    assert scores == pytest.approx([100] * 3)
