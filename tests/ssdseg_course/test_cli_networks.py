"""Do `ssdseg demo`, `train` and `evaluate` show what they promise, and refuse what they cannot do?"""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssdseg_course.cli import app


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
    assert "resnet: neither a file nor a shipped network; those are lesson" in result.stderr


def test_a_file_that_is_no_network_gets_one_sentence(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"not a zip")
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "broken.keras")])
    assert result.exit_code == 1
    assert "broken.keras" in result.stderr
    assert "Traceback" not in result.stderr


def test_training_into_a_file_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    (tmp_path / "taken").write_text("")
    result = CliRunner().invoke(app, ["train", str(tmp_path / "taken")])
    assert result.exit_code == 1
    assert f"{tmp_path / 'taken'}: " in result.stderr.replace("\n", "")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("command", ["demo", "train", "evaluate"])
def test_every_command_says_what_it_is_for(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout
