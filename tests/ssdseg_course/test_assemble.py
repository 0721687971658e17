"""Is the network that a learner's own functions make the reference's, piece by piece and as a whole?"""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from learners import save
from typer.testing import CliRunner

from ssdseg_course import EXERCISES
from ssdseg_course.assemble import Assembly, Piece, PieceError, assemble
from ssdseg_course.checking.layer_graph import copy_weights
from ssdseg_course.checking.report import Report
from ssdseg_course.cli import app
from ssdseg_course.cli.assemble import differences
from ssdseg_course.manifest import LESSONS
from ssdseg_course.work.workspace import read_notebook
from ssdseg_ref import anchors, boxes, coding, evaluation, matching, multitask, training
from ssdseg_ref.data import augment, warehouse
from ssdseg_ref.ssdlite import extra_maps

SCENES = [warehouse.render(seed, multitask.LESSON.image_size) for seed in warehouse.SPLITS["test"][:4]]


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A course in which every exercise is answered."""
    root = tmp_path_factory.mktemp("solved")
    for lesson in LESSONS:
        save(read_notebook(lesson.solution()), root, lesson)
    return root


@pytest.fixture(scope="module")
def assembly(solved):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(solved)
        return assemble()


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    for lesson in LESSONS:
        save(read_notebook(lesson.notebook()), tmp_path, lesson)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(root, lesson_number: int, name: str, source: str) -> None:
    """Write an answer into the notebook of a lesson."""
    lesson = LESSONS[lesson_number]
    notebook = read_notebook(lesson.notebook(root))
    cell = next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)
    cell["source"] = source
    save(notebook, root, lesson)


def test_every_piece_is_the_learners_where_every_exercise_is_solved(assembly):
    assert {piece.exercise_id for piece in assembly.pieces} == {
        exercise.id for exercise in EXERCISES.values() if exercise.piece
    }
    assert [piece.exercise_id for piece in assembly.pieces if piece.note] == []
    assert "the reference's" not in assembly.table()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "lesson" else (pytest.mark.full,)) for name in multitask.SHIPPED],
)
def test_the_learners_network_gives_the_references_output_with_the_shipped_weights(assembly, name):
    config = multitask.SHIPPED[name]
    shipped = multitask.load_network(name)
    built = assembly.build_network(config)
    copy_weights(shipped, built)
    image = warehouse.render(5, config.image_size).image[None]
    for key, expected in shipped.predict_on_batch(image).items():
        np.testing.assert_allclose(built.predict_on_batch(image)[key], expected, atol=1e-3 * np.std(expected))


def test_the_learners_predictions_are_the_references(assembly):
    network = multitask.load_network("lesson")
    expected = multitask.Predictor(network, multitask.LESSON)([scene.image for scene in SCENES])
    with assembly.in_place():
        got = multitask.Predictor(network, replace(multitask.LESSON))([scene.image for scene in SCENES])
    for mine, right in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine.labels, right.labels)
        np.testing.assert_allclose(mine.boxes, right.boxes, atol=1e-4)
        np.testing.assert_array_equal(mine.mask, right.mask)


def test_the_learners_scores_are_the_references(assembly):
    network = multitask.load_network("lesson")
    expected = evaluation.evaluate(multitask.Predictor(network, multitask.LESSON), SCENES)
    with assembly.in_place():
        got = evaluation.evaluate(multitask.Predictor(network, replace(multitask.LESSON)), SCENES)
    np.testing.assert_allclose(got.precisions, expected.precisions, atol=1e-6)
    np.testing.assert_allclose(got.ious, expected.ious, atol=1e-6)


@pytest.mark.full
def test_a_network_trains_on_the_learners_functions(assembly, tmp_path):
    recipe = training.Recipe(epochs=1, batch_size=4, ema_momentum=0.5)
    losses = []
    for own in (False, True):
        config = replace(multitask.LESSON, image_size=(64, 96))
        scenes = [warehouse.render(seed, config.image_size) for seed in range(12)]
        training.keras.utils.set_random_seed(3)
        network = multitask.build_network(config)
        if own:
            copy = assembly.build_network(config)
            copy_weights(network, copy)
            with assembly.in_place():
                history = training.train(
                    copy, replace(config), recipe, scenes[:8], scenes[8:], tmp_path / "a", verbose=0
                )
        else:
            start = network.get_weights()
            history = training.train(network, config, recipe, scenes[:8], scenes[8:], tmp_path / "b", verbose=0)
            network.set_weights(start)
        losses.append(history.history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_samples_are_mirrored_and_cropped_by_the_learner_as_by_the_reference(assembly):
    right, window = augment.flip(SCENES[0]), (0.1, 0.2, 0.7, 0.9)
    cropped = augment.crop(SCENES[0], window, (64, 96))
    original = augment.flip
    with assembly.in_place():
        assert augment.flip is not original
        pairs = [(augment.flip(SCENES[0]), right), (augment.crop(SCENES[0], window, (64, 96)), cropped)]
    for mine, expected in pairs:
        for part in ("image", "boxes", "labels", "mask"):
            assert getattr(mine, part).dtype == getattr(expected, part).dtype
            np.testing.assert_allclose(getattr(mine, part), getattr(expected, part), atol=1e-6)


def test_the_reference_is_itself_again_afterwards(assembly):
    originals = (anchors.grid_centers, boxes.pairwise_iou, coding.encode, matching.match_anchors)
    with assembly.in_place():
        assert matching.pairwise_iou is not originals[1]
    assert (anchors.grid_centers, boxes.pairwise_iou, coding.encode, matching.match_anchors) == originals
    assert matching.pairwise_iou is originals[1]


def test_what_a_notebook_has_imported_of_the_reference_is_the_learners_meanwhile(monkeypatch):
    """Lesson 8's `joint_network` calls `extra_maps` by the name under which its notebook has imported it."""
    notebook = sys.modules["__main__"]
    monkeypatch.setattr(notebook, "extra_maps", extra_maps, raising=False)
    assembly = Assembly((Piece("06.extra_maps", lambda x, channels: ["the learner's"], ""),))
    with assembly.in_place():
        assert notebook.extra_maps("x", (96,)) == ["the learner's"]
    assert notebook.extra_maps is extra_maps


def test_what_is_not_written_stays_the_references(untouched):
    answer(untouched, 1, "grid_centers", "def grid_centers(rows, cols):\n    return [[0.5, 0.5]]")
    assembly = assemble()
    assert assembly.own == ()
    notes = {piece.exercise_id: piece.note for piece in assembly.pieces}
    assert notes["01.grid_centers"] == "not right yet: `ssdseg check 1` says why"
    assert notes["02.iou"] == "not written yet"
    config = assembly.build_network(multitask.LESSON)
    assert config.count_params() == multitask.load_network("lesson").count_params()


def test_one_right_answer_is_enough_to_take_part(untouched):
    source = (
        "def grid_centers(rows, cols):\n"
        "    return [((col + 0.5) / cols, (row + 0.5) / rows) for row in range(rows) for col in range(cols)]"
    )
    answer(untouched, 1, "grid_centers", source)
    assembly = assemble(["01.grid_centers"])
    assert [piece.exercise_id for piece in assembly.own] == ["01.grid_centers"]
    with assembly.in_place():
        mine = replace(multitask.LESSON).anchors
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, multitask.LESSON.anchors, atol=1e-6)


def test_a_function_that_passes_its_check_and_stops_in_the_network_is_named(untouched):
    source = (
        "def grid_centers(rows, cols):\n"
        "    if (rows, cols) == (20, 28):\n        raise RuntimeError('too large')\n"
        "    return [((col + 0.5) / cols, (row + 0.5) / rows) for row in range(rows) for col in range(cols)]"
    )
    answer(untouched, 1, "grid_centers", source)
    expected = r"your `grid_centers` of 01.grid_centers .* RuntimeError: too large"
    with assemble(["01.grid_centers"]).in_place(), pytest.raises(PieceError, match=expected):
        _ = replace(multitask.LESSON).anchors


def test_what_is_no_piece_is_refused():
    with pytest.raises(ValueError, match=r"03.conv2d is no piece of the network; those are 01.grid_centers"):
        assemble(["03.conv2d"])


def test_the_command_shows_whose_each_piece_is_and_that_the_output_is_the_same(solved, monkeypatch):
    monkeypatch.chdir(solved)
    result = CliRunner().invoke(app, ["assemble"], env={"COLUMNS": "150"})
    assert result.exit_code == 0, result.stderr
    assert re.search(r"the pieces of the network lesson: (\d+) of \1 are yours", result.stdout)
    assert "In 16 of 16 test scenes it sees what the reference sees" in " ".join(result.stdout.split())
    assert "but for rounding in the last digits" in result.stdout


def test_a_piece_is_tried_again_only_when_something_has_changed(untouched, monkeypatch):
    tried = []

    def report_on(exercise, *_):
        tried.append(exercise.id)
        return Report(exercise.id, True, 1, (), 0)

    monkeypatch.setattr(sys.modules["ssdseg_course.mine"], "report_on", report_on)
    ids = ["01.grid_centers", "02.iou", "02.match_anchors"]
    assert [piece.exercise_id for piece in assemble(ids).own] == ids
    assert tried == ids
    assert [piece.exercise_id for piece in assemble(ids).own] == ids
    assert tried == ids
    answer(untouched, 2, "iou", "def iou(a, b):\n    return 0")
    assemble(ids)
    assert tried == [*ids, "02.iou"]
    (LESSONS[1].notebook(untouched).parent / "helper.py").write_text("x = 1")
    assemble(ids)
    assert tried == [*ids, "02.iou", "01.grid_centers"]


def test_only_pieces_of_the_network_that_is_built_are_at_work(solved, monkeypatch):
    monkeypatch.chdir(solved)
    fresh = assemble()
    assert fresh.at_work == ()
    fresh.build_network(multitask.SHIPPED["shufflenetv2"])
    at_work = {piece.exercise_id for piece in fresh.at_work}
    assert {"05.channel_shuffle", "05.basic_unit", "06.extra_maps", "07.aspp"} <= at_work
    assert not {name for name in at_work if name.startswith(("04.mobilenet", "08.", "06.multibox"))}


def test_differences_are_told_in_words():
    rng = np.random.default_rng(0)
    right = {key: rng.normal(size=(1, 8, size)) for key, size in (("classes", 4), ("offsets", 4), ("mask", 4))}
    yours = {**right, "classes": right["classes"][..., ::-1], "offsets": right["offsets"] + 3}
    off = {key: float(np.abs(right[key] - yours[key]).max()) for key in right}
    told = list(differences(right, yours, off))
    assert [line.split()[0] for line in told] == ["100.0", "boxes"]
    assert "anchors are given another class" in told[0]
    assert "look at what follows them" in next(differences(right, right, dict.fromkeys(right, 0.0)))
