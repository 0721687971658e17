"""Do `ssdseg demo`, `train` and `evaluate` show what they promise, and refuse what they cannot do?"""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_course.cli.networks import NETWORK_FILE, RUN_FILE, open_network
from ssdseg_ref import multitask


def test_the_demo_shows_scores_a_gallery_and_two_grades(tmp_path):
    picture = tmp_path / "some" / "gallery.png"
    command = [sys.executable, "-m", "ssdseg_course", "demo", "--out", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in ("person", "forklift", "monorail", "AP@.5", "AP@[.5:.95]", "IoU", "mean", str(picture)):
        assert words in done.stdout
    assert "100 of 100" in done.stdout
    assert " 0 of 100" in done.stdout
    assert "absl::InitializeLog" not in done.stderr  # what TensorFlow says while it is imported
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.std() > 20


def test_a_network_that_does_not_exist_is_answered_with_those_that_do():
    result = CliRunner().invoke(app, ["evaluate", "resnet"])
    assert result.exit_code == 1
    assert (
        "resnet: neither a file, nor a folder of a finished training, nor a shipped network; those are" in result.stderr
    )
    assert "lesson, mobilenetv2" in result.stderr


@pytest.mark.parametrize("name", ["broken.keras", "text.txt"])
def test_a_file_that_is_no_network_gets_one_sentence(name, tmp_path):
    (tmp_path / name).write_bytes(b"not a zip")
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / name)])
    assert result.exit_code == 1
    assert f"{name}: no network that Keras can read; `ssdseg train` writes network.keras" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("other", [("--backbone", "shufflenetv2"), ("--mine",), ("--preset", "reference")])
def test_a_run_is_gone_on_with_as_it_was_begun_or_not_at_all(other, tmp_path, monkeypatch):
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    (tmp_path / RUN_FILE).write_text('{"preset": "lesson", "backbone": "mobilenetv2", "mine": false}')
    result = CliRunner().invoke(app, ["train", str(tmp_path), *other])
    assert result.exit_code == 1
    assert "holds a training that was begun with --preset lesson --backbone mobilenetv2; go on" in result.stderr
    assert not (tmp_path / "home").exists()


def test_a_training_notes_what_it_was_begun_with(tmp_path, monkeypatch):
    """Before its first step, so that one that is stopped at once has noted it too."""
    monkeypatch.setattr("ssdseg_course.cli.networks.open_samples", lambda *_: (_ for _ in ()).throw(ValueError("stop")))
    CliRunner().invoke(app, ["train", str(tmp_path / "run"), "--backbone", "shufflenetv2"])
    noted = json.loads((tmp_path / "run" / RUN_FILE).read_text())
    assert noted == {"preset": "lesson", "backbone": "shufflenetv2", "mine": False}


def test_training_into_a_folder_that_cannot_be_written_is_refused_by_its_name():
    result = CliRunner().invoke(app, ["train", "/proc/nowhere"])
    assert result.exit_code == 1
    assert "/proc: cannot be written into" in result.stderr


def test_training_into_a_file_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    (tmp_path / "taken").write_text("")
    result = CliRunner().invoke(app, ["train", str(tmp_path / "taken")])
    assert result.exit_code == 1
    assert f"{tmp_path / 'taken'}: is a file, not a folder" in result.stderr.replace("\n", "")
    assert not (tmp_path / "home").exists()


def test_a_trained_network_is_opened_with_the_preset_that_it_was_built_from(tmp_path):
    config = multitask.preset("lesson", "shufflenetv2")
    network = multitask.build_network(config)
    network.save(tmp_path / NETWORK_FILE)
    for name in (tmp_path, tmp_path / NETWORK_FILE):
        again, its_config = open_network(str(name))
        assert its_config == multitask.LESSON
        assert again.count_params() == network.count_params()


def test_a_network_of_another_kind_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "dense.keras")
    with pytest.raises(ValueError, match=r"dense.keras: a Keras network, but built from none of the presets"):
        open_network(str(tmp_path / "dense.keras"))


@pytest.mark.parametrize("command", ["demo", "train", "evaluate", "predict", "assemble"])
def test_every_command_says_what_it_is_for(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout
