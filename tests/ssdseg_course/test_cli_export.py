"""Does `ssdseg export` try out what it writes, and do `predict` and `evaluate` take it?"""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_network import TINY, tiny_network
from typer.testing import CliRunner

from ssdseg_course.cli import app, networks
from ssdseg_course.cli import export as command
from ssdseg_course.export import litert
from ssdseg_ref.data import warehouse

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture
def tiny(network, monkeypatch):
    """`export` takes the tiny network, whatever it is called, and looks at few scenes."""
    monkeypatch.setattr(command, "open_network", lambda _: (network, TINY))
    monkeypatch.setattr(command, "SCENES", 3)
    monkeypatch.setattr(command, "CALIBRATION_SCENES", 4)


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("options", "model"),
    [(("litert",), "model.tflite"), (("litert", "--bits", "8"), "model.tflite"), (("onnx",), "model.onnx")],
)
def test_what_is_written_is_tried_out_and_is_taken_by_predict_and_evaluate(options, model, tiny, tmp_path, monkeypatch):
    out = tmp_path / "some" / "where"
    status, said, errors = run("export", "tiny", "--to", *options, "--out", out)
    assert (status, errors) == (0, "")
    assert "largest difference of the raw outputs from the network's: classes" in said
    for words in ("3 validation scenes", "mAP@.5", "mAP@[.5:.95]", "mIoU", "the network", "what was written", str(out)):
        assert words in said
    assert json.loads((out / "model.json").read_text())["network"] == "tiny"
    assert (out / model).is_file()

    samples = [warehouse.render(seed, TINY.image_size) for seed in range(3)]
    monkeypatch.setattr(networks, "open_samples", lambda *_: (samples, tuple(warehouse.CLASSES)))
    tables = [run("evaluate", path) for path in (out, out / model)]
    assert tables[0] == tables[1]
    assert tables[0][0] == 0
    assert "3 test scenes" in tables[0][1]

    Image.fromarray(samples[0].image).save(tmp_path / "scene.png")
    for option, path in (("--model", out / model), ("--network", out)):
        status, said, _ = run("predict", tmp_path / "scene.png", "--out", tmp_path / option, option, path)
        assert status == 0
        assert (tmp_path / option / "scene_mask.png").exists()


def test_the_operators_are_explained(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "SLOWEST", 100)  # all: which are slowest is chance here
    status, said, _ = run("export", "tiny", "--to", "litert", "--explain", "--out", tmp_path / "out")
    assert status == 0
    for words in ("DEPTHWISE_CONV_2D", "share", "count", "the whole file", "dilated0"):
        assert words in said


def test_a_second_export_takes_the_place_of_the_first(tiny, tmp_path):
    assert run("export", "tiny", "--to", "onnx", "--out", tmp_path / "out")[0] == 0
    assert run("export", "tiny", "--to", "savedmodel", "--out", tmp_path / "out")[0] == 0
    assert not (tmp_path / "out" / "model.onnx").exists()
    assert (tmp_path / "out" / "saved_model").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("onnx", "--bits", "8"), "--bits 8 is for --to litert and --to web; onnx has 32 bits"),
        (("litert", "--one-file"), "--one-file is for --to web only"),
        (("onnx", "--explain"), "--explain is for --to litert only"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, sentence, tmp_path):
    status, _, errors = run("export", "lesson", "--to", *options, "--out", tmp_path / "out")
    assert (status, errors) == (1, f"ssdseg: {sentence}\n")


@pytest.mark.parametrize(
    ("kind", "package"),
    [("litert", "ai_edge_litert"), ("onnx", "tf2onnx"), ("onnx", "onnx"), ("onnx", "onnxruntime")],
)
def test_a_missing_tool_is_named_with_what_installs_it(kind, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    monkeypatch.setattr(command, "open_network", lambda _: pytest.fail("loaded before it was refused"))
    status, _, errors = run("export", "lesson", "--to", kind, "--out", tmp_path / "out")
    name = package.replace("_", "-")
    assert status == 1
    assert f'{name} is needed for this, and not installed: pip install "ssdseg-course[export]"' in errors
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_what_runs_it_is_answered_with_what_installs_it(network, tmp_path, monkeypatch):
    (tmp_path / "model.tflite").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    status, _, errors = run("evaluate", tmp_path / "model.tflite")
    assert status == 1
    assert 'ai-edge-litert is needed for this, and not installed: pip install "ssdseg-course[export]"' in errors


def test_a_file_or_a_foreign_folder_in_the_way_is_named_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "open_network", lambda _: pytest.fail("loaded before it was refused"))
    (tmp_path / "notes.txt").write_text("mine")
    for out, sentence in ((tmp_path, "holds something other than an export"), (tmp_path / "notes.txt", "is a file")):
        status, _, errors = run("export", "lesson", "--to", "litert", "--out", out)
        assert status == 1
        assert sentence in errors
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_training_that_diverged_is_not_exported(network, tmp_path, monkeypatch):
    broken = tiny_network()
    broken.trainable_variables[0].assign(np.full(broken.trainable_variables[0].shape, np.nan, np.float32))
    monkeypatch.setattr(command, "open_network", lambda _: (broken, TINY))
    status, _, errors = run("export", "mine.keras", "--to", "litert", "--out", tmp_path / "out")
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert "mine.keras: some of its weights are not finite numbers: its training must have diverged" in errors


def test_what_is_exported_already_is_not_exported_again(tiny, tmp_path, monkeypatch):
    assert run("export", "tiny", "--to", "onnx", "--out", tmp_path / "out")[0] == 0
    monkeypatch.undo()
    status, _, errors = run("export", tmp_path / "out", "--to", "onnx", "--out", tmp_path / "again")
    assert status == 1
    assert "is exported already; export the network that it was made from" in errors


def test_what_does_not_compute_the_same_is_not_kept(tiny, tmp_path, monkeypatch):
    other = litert.convert(tiny_network(seed=1))
    monkeypatch.setattr("ssdseg_course.export.litert.convert", lambda *_: other)
    status, _, errors = run("export", "tiny", "--to", "litert", "--out", tmp_path / "out")
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert "what was written does not compute what the network computes, so nothing was kept" in errors


def test_a_stop_in_the_middle_leaves_nothing(tiny, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_try_out", stop)
    status, _, errors = run("export", "tiny", "--to", "litert", "--out", tmp_path / "out")
    assert (status, errors, list(tmp_path.iterdir())) == (130, "stopped\n", [])


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("cat", "dog"), "the network knows 2 classes, the Warehouse has 3;"),
        (("cat", "dog", "cow"), "the network knows 3 classes, the Warehouse has 3 others;"),
    ],
)
def test_a_network_of_other_classes_is_exported_without_a_score(names, sentence, tmp_path, monkeypatch):
    config = replace(TINY, classes=names)
    monkeypatch.setattr(command, "SCENES", 2)
    monkeypatch.setattr(command, "open_network", lambda _: (tiny_network(config), config))
    status, said, _ = run("export", "pets.keras", "--to", "litert", "--out", tmp_path / "out")
    assert status == 0
    assert "It knows other classes than the Warehouse, so there is no score." in said
    assert (tmp_path / "out" / "labels.txt").read_text().split() == ["background", *names]
    status, _, errors = run("evaluate", tmp_path / "out")
    assert status == 1
    assert sentence in errors
