import datetime
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ssdseg_course.explorers import prediction
from ssdseg_course.explorers.prediction import (
    LONGEST_SIDE,
    PredictionState,
    explore_predictions,
    prediction_view,
    read_photograph,
)

UPRIGHT_AFTER_A_QUARTER_TURN = 6  # of EXIF's orientations
ORIENTATION = 0x0112


def file_of(image: np.ndarray, format: str = "png", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format, **options)
    return buffer.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)


def uploaded(content: bytes) -> tuple[dict]:
    """What the upload button holds once a file was chosen."""
    return (
        {
            "name": "photograph",
            "type": "",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime.datetime.now(tz=datetime.UTC),
        },
    )


@pytest.fixture(scope="module")
def explorer():
    return explore_predictions()


def test_a_lower_bar_shows_more_boxes():
    few, many = (prediction_view(PredictionState(least_score=least))[1] for least in (0.9, 0.2))
    assert few.count("person") < many.count("person")


def test_a_bar_of_one_shows_no_box_and_says_so():
    assert "at least 1.00: none." in prediction_view(PredictionState(least_score=1.0))[1]


def test_only_the_best_of_many_boxes_are_named(monkeypatch):
    monkeypatch.setattr(prediction, "MOST_NAMED", 2)
    assert " more. Share" in prediction_view(PredictionState())[1]


def test_a_photograph_keeps_its_shape():
    photograph = PredictionState(photograph=file_of(noise(90, 60), "jpeg"))
    picture, text = prediction_view(photograph)
    assert picture.shape[0] / picture.shape[1] == pytest.approx(90 / 60, rel=0.01)
    assert text.startswith("Your photograph, 60 × 90 pixels.")


def test_a_photograph_that_was_taken_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[ORIENTATION] = UPRIGHT_AFTER_A_QUARTER_TURN
    assert read_photograph(file_of(noise(40, 60), "jpeg", exif=exif)).shape == (60, 40, 3)


def test_a_large_photograph_is_reduced():
    assert read_photograph(file_of(noise(500, 2 * LONGEST_SIDE))).shape == (250, LONGEST_SIDE, 3)


@pytest.mark.parametrize(
    "image", [noise(30, 40)[..., 0], np.dstack([noise(30, 40), noise(30, 40)[..., :1]])], ids=["grey", "transparent"]
)
def test_a_picture_of_another_kind_becomes_red_green_and_blue(image):
    assert read_photograph(file_of(image)).shape == (30, 40, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", file_of(noise(50, 50))[:300]], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_picture_is_said_to_be_none_and_the_scene_stays(content):
    picture, text = prediction_view(PredictionState(photograph=content))
    scene, its_text = prediction_view(PredictionState())
    assert text == f"That file could not be read as a picture. A .jpg or a .png will do. {its_text}"
    assert np.array_equal(picture, scene)


def test_a_photograph_takes_the_place_of_the_scene_until_it_is_taken_back(explorer):
    scene = explorer.picture.value
    explorer.photograph.value = uploaded(file_of(noise(90, 60)))
    assert "Your photograph" in explorer.text.value
    assert explorer.picture.value != scene
    explorer.back.click()
    assert "Scene 33." in explorer.text.value
    assert explorer.picture.value == scene
    assert explorer.back.disabled


def test_another_scene_takes_the_photograph_away(explorer):
    explorer.photograph.value = uploaded(file_of(noise(90, 60)))
    explorer.scene.value = 3
    assert "Scene 3." in explorer.text.value
    explorer.scene.value = 33


def test_the_module_alone_needs_no_tensorflow():
    code = "import sys, ssdseg_course.explorers.prediction; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
