"""Do `ssdseg demo`, `train` and `evaluate` show what they promise, and refuse what they cannot do?"""

import json
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from typer.testing import CliRunner

from ssdseg_course.cli import app, demo, networks, train
from ssdseg_course.cli.networks import NETWORK_FILE, RUN_FILE, open_network
from ssdseg_ref import multitask
from ssdseg_ref.data import convert, triples, warehouse
from ssdseg_ref.data.sample import Sample


def shows_scores_and_a_gallery(said, picture):
    for words in ("person", "forklift", "monorail", "AP@.5", "AP@[.5:.95]", "IoU", "mean", str(picture)):
        assert words in said
    assert np.asarray(Image.open(picture).convert("RGB")).std() > 20


def test_the_demo_shows_scores_and_a_gallery(tmp_path, monkeypatch):
    seeds = warehouse.SPLITS["test"][: max(demo.GALLERY_SCENES) + 1]
    samples = [warehouse.render(seed, multitask.SHIPPED[demo.NETWORK].image_size) for seed in seeds]
    monkeypatch.setattr(demo, "open_samples", lambda *_: (samples, tuple(warehouse.CLASSES)))
    monkeypatch.setattr(demo, "show_grading", lambda: None)
    picture = tmp_path / "some" / "gallery.png"
    result = CliRunner().invoke(app, ["demo", "--out", str(picture)])
    assert result.exit_code == 0, result.stderr
    shows_scores_and_a_gallery(result.stdout, picture)


@pytest.mark.full
def test_the_whole_demo_grades_as_well(tmp_path):
    picture = tmp_path / "gallery.png"
    command = [sys.executable, "-m", "ssdseg_course", "demo", "--out", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shows_scores_and_a_gallery(done.stdout, picture)
    assert "100 of 100" in done.stdout
    assert " 0 of 100" in done.stdout
    assert "absl::InitializeLog" not in done.stderr  # what TensorFlow says while it is imported


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
    assert f"{name}: not a network that Keras can read; `ssdseg train` writes network.keras" in result.stderr
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
    monkeypatch.setattr("ssdseg_course.cli.train.open_samples", lambda *_: (_ for _ in ()).throw(ValueError("stop")))
    CliRunner().invoke(app, ["train", str(tmp_path / "run"), "--backbone", "shufflenetv2"])
    noted = json.loads((tmp_path / "run" / RUN_FILE).read_text())
    assert noted == {"preset": "lesson", "backbone": "shufflenetv2", "mine": False}


@pytest.fixture
def toy(monkeypatch):
    """`train` without drawing and scoring, on a network of two weights; gives what its training shall do each time."""
    trained, todo = [], []

    def fit(network, config, recipe, samples, validation, folder, *, verbose, ring=None):
        trained.append(folder)
        for step in todo:
            step(folder)

    monkeypatch.setattr(
        multitask, "build_network", lambda config: keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    )
    monkeypatch.setattr("ssdseg_ref.training.train", fit)
    monkeypatch.setattr(train, "open_samples", lambda *_: ([], ("a", "b", "c")))
    monkeypatch.setattr(train, "score", lambda *_: None)
    return SimpleNamespace(trained=trained, todo=todo)


def epochs(count):
    def keep(folder):
        (folder / "checkpoints").mkdir(exist_ok=True)
        record = {"begun_with": {}, "log": [{"val_loss": 1.0}] * count}
        (folder / "checkpoints" / f"{count:04d}.json").write_text(json.dumps(record))

    return keep


def interrupt(folder):
    raise KeyboardInterrupt


def train_again(folder, *options):
    result = CliRunner().invoke(app, ["train", str(folder), *options])
    return result.exit_code, (result.stdout + result.stderr).replace("\n", " ")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_not_trained_again_and_nothing_in_it_changes(toy, tmp_path):
    assert train_again(tmp_path / "run")[0] == 0
    before = content(tmp_path / "run")
    assert set(before) == {NETWORK_FILE, RUN_FILE}
    epochs(3)(tmp_path / "run")  # as after a kill between saving and clearing up
    (tmp_path / "run" / f".{'0' * 32}.{NETWORK_FILE}").write_text("half a network")
    status, said = train_again(tmp_path / "run")
    assert (status, len(toy.trained)) == (0, 1)
    assert "this training has finished; `ssdseg evaluate" in said
    assert content(tmp_path / "run") == before


def test_a_network_of_some_other_origin_is_never_written_over(toy, tmp_path):
    keras.Sequential([keras.Input((1,)), layers.Dense(1)]).save(tmp_path / NETWORK_FILE)
    before = content(tmp_path)
    status, said = train_again(tmp_path)
    assert (status, toy.trained) == (1, [])
    assert "the network of some other training; use another folder" in said
    assert content(tmp_path) == before


@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_a_network_that_was_cut_off_is_saved_again_or_the_way_out_is_named(toy, tmp_path, has_checkpoints):
    train_again(tmp_path)
    whole = (tmp_path / NETWORK_FILE).read_bytes()
    (tmp_path / NETWORK_FILE).write_bytes(whole[:-100])
    if has_checkpoints:
        epochs(10)(tmp_path)
        assert train_again(tmp_path)[0] == 0
        assert zipfile.is_zipfile(tmp_path / NETWORK_FILE)
    else:
        status, said = train_again(tmp_path)
        assert (status, len(toy.trained)) == (1, 1)
        assert f"{NETWORK_FILE}: cut off, or not a network; delete it, and the same command trains again" in said


def test_a_full_disk_when_the_network_is_saved_costs_nothing(toy, tmp_path, monkeypatch):
    toy.todo.append(epochs(10))
    with monkeypatch.context() as full:
        full.setattr(keras.Model, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        status, said = train_again(tmp_path)
    assert status == 1
    assert f"{NETWORK_FILE}: cannot be written" in said
    assert "the training is kept, once there is room the same command saves it" in said
    assert "0010.json" in content(tmp_path)
    assert train_again(tmp_path)[0] == 0
    assert set(content(tmp_path)) == {NETWORK_FILE, RUN_FILE}


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([interrupt], "stopped before the first epoch was complete; `ssdseg train {folder} {options}` starts again"),
        (
            [epochs(1), interrupt],
            "stopped; 1 complete epoch kept in {folder}: `ssdseg train {folder} {options}` resumes",
        ),
        (
            [epochs(4), interrupt],
            "stopped; 4 complete epochs kept in {folder}: `ssdseg train {folder} {options}` resumes",
        ),
    ],
)
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(toy, tmp_path, steps, sentence):
    toy.todo.extend(steps)
    status, said = train_again(tmp_path / "run", "--backbone", "shufflenetv2")
    assert status == 130
    assert sentence.format(folder=tmp_path / "run", options="--preset lesson --backbone shufflenetv2") in said


def test_ctrl_c_behind_the_training_says_that_it_has_finished(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "score", lambda *_: interrupt(None))
    status, said = train_again(tmp_path)
    assert status == 130
    assert f"stopped; the training has finished, its network is {tmp_path / NETWORK_FILE}" in said


@pytest.mark.parametrize(
    ("noted", "sentence"),
    [
        ('{"preset": "les', "run.json: damaged; delete it and go on with the options"),
        ("", "run.json: damaged"),
        ("[]", "run.json: written by another version of the course; use another folder"),
        ('{"preset": "lesson"}', "run.json: written by another version"),
        ('{"preset": "lesson", "backbone": "mobilenetv2", "mine": false, "seed": 1}', "written by another version"),
    ],
)
def test_a_note_that_cannot_be_used_gets_one_sentence(toy, tmp_path, noted, sentence):
    (tmp_path / RUN_FILE).write_text(noted)
    status, said = train_again(tmp_path)
    assert (status, toy.trained) == (1, [])
    assert sentence in said


def test_two_trainings_in_one_folder_are_refused(toy, tmp_path):
    code = "import sys; from ssdseg_ref.keeping import locked\nwith locked(sys.argv[1]): print(1, flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        status, said = train_again(tmp_path)
        other.kill()
    assert (status, toy.trained) == (1, [])
    assert f"{tmp_path}: another command is at work there" in said


def test_a_training_that_has_not_finished_is_named_where_its_network_is_wanted(toy, tmp_path):
    toy.todo.extend([epochs(2), interrupt])
    train_again(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 1
    assert f"its training has not finished; `ssdseg train {tmp_path}` goes on" in result.stderr.replace("\n", " ")


class TestAnotherDataSet:
    """`evaluate --data`: the same figures through a reader, classes by their names, one sentence where nothing fits."""

    @pytest.fixture
    def scenes(self):
        seeds = warehouse.SPLITS["validation"][:6]
        return [warehouse.render(seed, multitask.LESSON.image_size) for seed in seeds]

    def figures(self, *arguments):
        result = CliRunner().invoke(app, ["evaluate", "lesson", *map(str, arguments)], env={"COLUMNS": "120"})
        assert result.exit_code == 0, result.stderr
        return [line for line in result.stdout.splitlines() if line.startswith("│")]

    def test_scores_are_the_same_through_a_reader(self, scenes, tmp_path, monkeypatch):
        triples.write(scenes, tmp_path / "scenes")
        monkeypatch.setattr(networks, "open_samples", lambda *_: (scenes, tuple(warehouse.CLASSES)))
        assert self.figures("--data", tmp_path / "scenes") == self.figures("--split", "validation")

    def test_a_class_that_is_not_there_gets_a_dash(self, scenes, tmp_path):
        coco = convert.TARGETS["coco"]
        people = [
            Sample(scene.image, scene.boxes[scene.labels == 1], scene.labels[scene.labels == 1], scene.mask * 0)
            for scene in scenes
        ]
        coco.write({"train": people}, ("person",), tmp_path / "people", False)
        rows = self.figures("--data", tmp_path / "people")
        assert [row.split("│")[2].strip() for row in rows if "forklift" in row] == ["-"]
        assert all(0 <= float(row.split("│")[2]) <= 1 for row in rows if "person" in row)

    def test_a_bad_picture_is_told_and_the_others_are_scored(self, scenes, tmp_path):
        triples.write(scenes, tmp_path / "scenes")
        (tmp_path / "scenes" / "images" / "000002.png").write_bytes(b"")
        result = CliRunner().invoke(app, ["evaluate", "lesson", "--data", str(tmp_path / "scenes")])
        assert result.exit_code == 1
        assert "5 images of" in result.stdout
        assert f"left out: {tmp_path / 'scenes' / 'images' / '000002.png'}: the file is empty" in result.stderr
        assert result.stderr.endswith("ssdseg: 1 of 6 images could not be read and were left out, see above\n")

    def test_what_fits_nothing_is_one_sentence(self, scenes, tmp_path):
        coco = convert.TARGETS["coco"]
        dogs = [Sample(scenes[0].image, scenes[0].boxes[:1], np.ones(1, np.int32), scenes[0].mask * 0)]
        coco.write({"train": dogs}, ("dog",), tmp_path / "dogs", False)
        for data, sentence in (
            (tmp_path / "dogs", "the data set has dog, the network knows person, forklift, monorail: no class in"),
            (tmp_path / "nowhere", "neither a folder nor a file, nor one of warehouse, pennfudan"),
        ):
            result = CliRunner().invoke(app, ["evaluate", "lesson", "--data", str(data)])
            assert result.exit_code == 1
            assert sentence in result.stderr.replace("\n", " ")


def test_training_into_a_folder_that_cannot_be_written_is_refused_by_its_name():
    result = CliRunner().invoke(app, ["train", "/proc/nowhere"])
    assert result.exit_code == 1
    assert "/proc: cannot be written to" in result.stderr


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
    again, its_config = open_network(str(tmp_path))
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
