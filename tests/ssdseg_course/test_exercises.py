"""The whole bank of exercises, held to what every exercise promises."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from ssdseg_course import EXERCISES
from ssdseg_course.check import find_exercise
from ssdseg_course.checking.judge import judge
from ssdseg_course.checking.probe import probe
from ssdseg_course.checking.report import Report
from ssdseg_course.checking.values import same, to_plain
from ssdseg_course.exercises import anchor_choice
from ssdseg_course.manifest import LESSONS
from ssdseg_ref import anchors as reference
from ssdseg_ref.boxes import pairwise_iou

SEEDS = range(20)


def seeds_of(exercise) -> range:
    """Seeds worth trying: one where nothing is drawn from it."""
    return SEEDS if exercise.draw else SEEDS[:1]


MUTANTS = [
    pytest.param(exercise, mutant, id=f"{exercise.id}-{number}")
    for exercise in EXERCISES.values()
    for number, mutant in enumerate(exercise.mutants)
]

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def report_on(exercise, function, seed=0) -> Report:
    """What a check says, without raising."""
    return judge(exercise, probe(function, exercise.cases(seed)), seed)


def words(report: Report) -> str:
    """The report's text, its lines joined again."""
    return " ".join(str(report).split())


@every_exercise
def test_the_reference_passes_whatever_the_seed(exercise):
    for seed in seeds_of(exercise):
        report = report_on(exercise, exercise.reference, seed)
        assert report.passed, report
        assert report.earned == exercise.points


@every_exercise
def test_the_stub_is_told_that_it_is_not_written_yet(exercise):
    scope = {}
    exec(f'def {exercise.name}(*arguments):\n    raise NotImplementedError("not written yet")', scope)
    report = report_on(exercise, scope[exercise.name])
    assert not report.passed
    assert "not written yet" in str(report)


@pytest.mark.parametrize(("exercise", "mutant"), MUTANTS)
def test_a_mutant_fails_with_its_own_sentence_whatever_the_seed(exercise, mutant):
    for seed in seeds_of(exercise):
        report = report_on(exercise, mutant.function, seed)
        assert not report.passed, f"seed {seed}"
        assert report.earned == 0
        assert mutant.sentence in words(report), f"seed {seed}"


@every_exercise
def test_no_two_mutants_are_the_same(exercise):
    cases = exercise.cases(seed=0)
    answers = [[to_plain(mutant.function(*case)) for case in cases] for mutant in exercise.mutants]
    for (one, first), (other, second) in itertools.combinations(enumerate(answers), 2):
        assert not all(map(same, first, second)), f"mutants {one} and {other}"
    assert len({mutant.sentence for mutant in exercise.mutants}) == len(exercise.mutants)


@every_exercise
def test_an_exercise_has_six_mutants_three_hints_and_a_place_in_a_lesson(exercise):
    assert len(exercise.mutants) >= 6
    assert len(set(exercise.hints)) == 3
    assert exercise.difficulty in ("easy", "medium", "hard")
    assert int(exercise.id.split(".")[0]) in [lesson.number for lesson in LESSONS]
    assert find_exercise(exercise.id) is exercise


@every_exercise
def test_the_same_seed_draws_the_same_cases(exercise):
    first, second = exercise.cases(7), exercise.cases(7)
    assert repr(first) == repr(second)
    assert exercise.draw is None or repr(first) != repr(exercise.cases(8))


@every_exercise
def test_the_sentences_do_not_give_the_answer_away(exercise):
    for mutant in exercise.mutants:
        assert len(mutant.sentence) < 250
        assert "np.mgrid" not in mutant.sentence
        assert "def " not in mutant.sentence


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_the_points_of_a_lesson_make_a_hundred(lesson):
    points = [exercise.points for exercise in EXERCISES.values() if exercise.id.startswith(f"{lesson.number:02d}.")]
    assert sum(points) == 100


# Honest variants: right answers that are written in another way. Every one must pass.


def centers_by_loops(rows, cols):
    points = []
    for row in range(rows):
        for col in range(cols):
            points.append(((col + 0.5) / cols, (row + 0.5) / rows))
    return points


def centers_by_meshgrid(rows, cols):
    x, y = np.meshgrid((np.arange(cols, dtype=np.float32) + 0.5) / cols, (np.arange(rows) + 0.5) / rows)
    return np.column_stack([x.ravel(), y.ravel()])


def centers_from_linspace(rows, cols):
    x = np.linspace(0, 1, 2 * cols + 1)[1::2]
    y = np.linspace(0, 1, 2 * rows + 1)[1::2]
    return np.stack([np.tile(x, rows), np.repeat(y, cols)], 1)


def centers_as_a_tensor(rows, cols):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array(centers_by_loops(rows, cols), np.float32)

    return Tensor()


def sizes_by_loops(scale, next_scale, aspect_ratios, image_size):
    height, width = image_size
    short = min(height, width)
    sizes = []
    for ratio in aspect_ratios:
        # From the area: w * h = (s * short)^2 and w = r * h.
        high = (scale**2 * short**2 / ratio) ** 0.5
        sizes.append([ratio * high / width, high / height])
    extra = (scale * next_scale * short**2) ** 0.5
    return [*sizes, [extra / width, extra / height]]


def sizes_in_float32(scale, next_scale, aspect_ratios, image_size):
    ratios = np.asarray(aspect_ratios, np.float32)
    sides = np.float32(scale) * np.stack([np.sqrt(ratios), 1 / np.sqrt(ratios)], axis=1)
    sides = np.vstack([sides, np.full((1, 2), np.exp((np.log(scale) + np.log(next_scale)) / 2))])
    return sides * min(image_size) / np.array(image_size, np.float32)[::-1]


def map_by_loops(rows, cols, scale, next_scale, aspect_ratios, image_size):
    sizes = sizes_by_loops(scale, next_scale, aspect_ratios, image_size)
    return [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y in centers_by_loops(rows, cols) for w, h in sizes]


def map_by_repeat_and_tile(rows, cols, scale, next_scale, aspect_ratios, image_size):
    sizes = np.array(sizes_by_loops(scale, next_scale, aspect_ratios, image_size))
    middles = np.repeat(centers_by_meshgrid(rows, cols), len(sizes), axis=0)
    low = middles - np.tile(sizes, (rows * cols, 1)) / 2
    return np.hstack([low, low + np.tile(sizes, (rows * cols, 1))]).astype(np.float32)


def scales_by_adding(first, last, maps):
    scales = [first]
    while len(scales) <= maps:
        scales.append(scales[-1] + (last - first) / (maps - 1))
    return tuple(scales)


def scales_by_linspace(first, last, maps):
    scales = np.linspace(first, last, maps)
    return np.append(scales, 2 * scales[-1] - scales[-2]).astype(np.float32)


def anchors_by_loops(image_size, feature_maps, scales, aspect_ratios):
    anchors = []
    for (rows, cols), scale, next_scale in zip(feature_maps, scales[:-1], scales[1:], strict=True):
        anchors += map_by_loops(rows, cols, scale, next_scale, aspect_ratios, image_size)
    return anchors


def anchors_by_vstack(image_size, feature_maps, scales, aspect_ratios):
    anchors = np.empty((0, 4))
    for k, (rows, cols) in enumerate(feature_maps):
        more = map_by_repeat_and_tile(rows, cols, scales[k], scales[k + 1], aspect_ratios, image_size)
        anchors = np.vstack([anchors, more])
    return anchors


def coverage_by_loops(anchors, boxes, threshold=0.5):
    if len(boxes) == 0:
        return 1
    covered = 0
    for box in boxes:
        if max(pairwise_iou([box], anchors)[0]) >= threshold:
            covered += 1
    return covered / len(boxes)


def coverage_the_other_way_round(anchors, boxes, threshold):
    best = pairwise_iou(np.float64(anchors), np.float64(boxes)).max(axis=0)
    return np.mean(best >= threshold) if best.size else np.ones(())


def coverage_as_a_fraction_of_any(anchors, boxes, threshold):
    covered = (pairwise_iou(boxes, anchors) >= threshold).any(axis=1)
    return float(Fraction(int(covered.sum()), len(covered))) if len(covered) else 1.0


def choice_by_hand():
    return [0.17, 0.3, 0.55, 0.8, 1.1], [0.43, 2.4]


def choice_map_by_map():
    return np.array([0.16, 0.3, 0.45, 0.6, 0.75]), ((0.43, 2.2), (0.43, 2.2), (0.43, 1.0, 2.2), (2.2, 0.43))


HONEST = {
    "01.grid_centers": (centers_by_loops, centers_by_meshgrid, centers_from_linspace, centers_as_a_tensor),
    "01.anchor_sizes": (sizes_by_loops, sizes_in_float32),
    "01.map_anchors": (map_by_loops, map_by_repeat_and_tile),
    "01.linear_scales": (scales_by_adding, scales_by_linspace),
    "01.make_anchors": (anchors_by_loops, anchors_by_vstack),
    "01.coverage": (coverage_by_loops, coverage_the_other_way_round, coverage_as_a_fraction_of_any, reference.coverage),
    "01.choose_anchors": (choice_by_hand, choice_map_by_map),
}


@pytest.mark.parametrize(
    ("exercise_id", "variant"),
    [(exercise_id, variant) for exercise_id, variants in HONEST.items() for variant in variants],
)
def test_an_honest_variant_passes(exercise_id, variant):
    for seed in seeds_of(EXERCISES[exercise_id]):
        report = report_on(EXERCISES[exercise_id], variant, seed)
        assert report.passed, report


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == set(EXERCISES)


def test_the_boxes_of_the_choice_are_those_of_the_first_training_scenes():
    drawn, kept = anchor_choice.draw_boxes(), anchor_choice.warehouse_boxes()
    assert np.array_equal(drawn[:, 0], kept[1]), "run ssdseg_course.exercises.anchor_choice.save_boxes()"
    pixels = kept[0] * (224, 160, 224, 160)
    np.testing.assert_allclose(drawn[:, 1:], pixels, atol=1e-3)
