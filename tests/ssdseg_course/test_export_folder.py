"""Does an export hold all that an app needs, is it written whole or not at all, and does it open again?"""

import errno
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_network import TINY, tiny_network

from ssdseg_course.cli.predict import predict
from ssdseg_course.export import folder as exports
from ssdseg_course.export.folder import describe, is_export, open_export, replaced_folder, write_export
from ssdseg_course.export.recipes import readme
from ssdseg_ref import config as presets
from ssdseg_ref.coding import decode
from ssdseg_ref.prediction import softmax

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tf2onnx")

HEIGHT, WIDTH = TINY.image_size


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module", params=list(exports.MODELS))
def export(request, network, tmp_path_factory):
    """An export of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    write_export(network, "tiny", TINY, request.param, 32, folder)
    return folder


@pytest.fixture(scope="module")
def litert_export(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("litert")
    write_export(network, "tiny", TINY, "litert", 32, folder)
    return folder


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def code(folder, language):
    """What README.md has for a language; None if nothing."""
    found = re.search(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return found and found[1]


def test_the_files_beside_the_model_say_what_the_configuration_says(export):
    assert (export / "labels.txt").read_text().splitlines() == ["background", *TINY.classes]
    anchors = np.fromfile(export / "anchors.bin", "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(anchors, TINY.anchors)
    said = json.loads((export / "model.json").read_text())
    assert (export / said["model"]).exists()
    batch = 1 if said["model"] == "model.tflite" else None
    assert said["input"]["shape"] == [batch, HEIGHT, WIDTH, 3]
    assert said["outputs"]["classes"]["shape"] == [batch, len(anchors), 4]
    assert said["decoding"]["variances"] == [0.1, 0.1, 0.2, 0.2]


def test_the_score_that_apps_are_told_is_the_one_that_predict_draws_from():
    assert describe("tiny", TINY)["decoding"]["least_score"] == predict.__defaults__[2]


def test_the_readme_says_that_masks_of_boxes_alone_mean_nothing():
    alone = readme("onnx", describe("tiny", replace(TINY, has_masks=False), "model.onnx"))
    assert "`mask`: leave it aside; the network was trained on boxes alone" in alone
    assert "no pixel in the mask" not in alone
    assert "no pixel in the mask" in readme("onnx", describe("tiny", TINY, "model.onnx"))


def test_an_export_opens_as_the_network_that_it_was(export, network, picture):
    opened, config = open_export(export)
    assert config == TINY
    right, got = network.predict_on_batch(picture[None]), opened.predict_on_batch(picture[None])
    for name, values in right.items():
        np.testing.assert_allclose(got[name], values, atol=1e-4)


def test_the_lines_for_python_run_and_find_what_the_network_finds(export, network, picture, monkeypatch, capsys):
    right = network.predict_on_batch(picture[None])
    monkeypatch.chdir(export)
    Image.fromarray(picture).save("picture.jpg", "png")  # without loss, whatever its name
    names = {}
    exec(code(export, "python"), names)
    np.testing.assert_allclose(names["boxes"], decode(right["offsets"][0], TINY.anchors), atol=1e-5)
    np.testing.assert_allclose(names["shares"], softmax(right["classes"][0]), atol=1e-5)
    np.testing.assert_array_equal(names["mask"], right["mask"][0].argmax(-1))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed if line[0].isalpha()] == list(TINY.classes)


BROWSER = """
import {readFileSync} from "node:fs";
const given = JSON.parse(readFileSync("given.json"));
class Tensor {
  constructor(...parts) { this.data = parts.find((part) => part instanceof Float32Array); }
  toTypedArray() { return this.data; }
  delete() {}
}
const run = async () =>
  Object.fromEntries(["classes", "mask", "offsets"].map((name) => [name, new Tensor(Float32Array.from(given[name]))]));
const loadLiteRt = async () => {}, loadAndCompile = async () => ({run});
const ort = {Tensor, InferenceSession: {create: async () => ({run})}};
globalThis.fetch = async (name) => ({arrayBuffer: async () => new Uint8Array(readFileSync(name)).buffer});
globalThis.document = {querySelector: () => null};
globalThis.OffscreenCanvas = class {
  getContext() { return {drawImage() {}, getImageData: () => ({data: Uint8ClampedArray.from(given.rgba)})}; }
};
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_lines_for_javascript_feed_the_pixels_and_decode_the_boxes(export, network, picture, tmp_path):
    """In node, with stand-ins for the browser and for the runtime, which gives what the network gives."""
    script = code(export, "javascript")
    if script is None:
        pytest.skip("not for browsers")
    right = network.predict_on_batch(picture[None])
    rgba = np.concatenate([picture, np.full((HEIGHT, WIDTH, 1), 255, np.uint8)], axis=-1)
    given = {name: values.ravel().tolist() for name, values in (right | {"rgba": rgba}).items()}
    (tmp_path / "given.json").write_text(json.dumps(given))
    shutil.copy(export / "anchors.bin", tmp_path)
    imports = [line for line in script.splitlines() if line.startswith("import ")]
    assert len(imports) == 1
    tail = f"console.log(JSON.stringify([Array.from(floats), [...Array({len(TINY.anchors)}).keys()].map(box)]));"
    (tmp_path / "app.mjs").write_text(BROWSER + script.replace(imports[0], "") + tail)
    done = subprocess.run(["node", "app.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    floats, boxes = json.loads(done.stdout)
    np.testing.assert_array_equal(floats, picture.ravel())
    np.testing.assert_allclose(boxes, decode(right["offsets"][0], TINY.anchors), atol=1e-5)


def test_the_lines_for_kotlin_name_the_files_and_sizes_of_this_network(export):
    lines = code(export, "kotlin")
    if lines is None:
        pytest.skip("not for phones")
    assert f"createScaledBitmap(photo, {WIDTH}, {HEIGHT}, true)" in lines
    assert f"FloatArray(4 * {len(TINY.anchors)})" in lines
    assert json.loads((export / "model.json").read_text())["model"] in lines
    assert "$" not in lines


def test_a_file_that_left_its_folder_is_told_by_its_shapes(litert_export, tmp_path, monkeypatch):
    shutil.copy(litert_export / "model.tflite", tmp_path / "moved.tflite")
    assert is_export(tmp_path / "moved.tflite")
    with pytest.raises(ValueError, match=r"moved.tflite: there is no model.json beside it .* none of the presets"):
        open_export(tmp_path / "moved.tflite")
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    assert open_export(tmp_path / "moved.tflite")[1] == TINY
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(TINY, classes=("one", "two")))
    assert open_export(tmp_path / "moved.tflite")[1].classes == ("class 1", "class 2", "class 3")


@pytest.mark.parametrize("content", ["{}", "[]", "not json", '{"format": "layers-model"}'])
def test_a_model_json_of_something_else_says_nothing(content, litert_export, tmp_path, monkeypatch):
    shutil.copy(litert_export / "model.tflite", tmp_path)
    (tmp_path / "model.json").write_text(content)
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    assert not is_export(tmp_path)
    assert open_export(tmp_path / "model.tflite")[1] == TINY


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "../model.tflite"}, "model.json: damaged; export the network again"),
        ({"config": {}}, "model.json: damaged; export the network again"),
        ({"config": None}, "model.json: damaged; export the network again"),
        (
            {"config": describe("", presets.LESSON)["config"]},
            "model.tflite: not the network that .*model.json describes",
        ),
        ({"model": "model.onnx"}, "model.onnx"),  # there is no such file
    ],
)
def test_a_description_that_is_damaged_or_does_not_fit_is_named(changes, sentence, litert_export, tmp_path):
    shutil.copytree(litert_export, tmp_path, dirs_exist_ok=True)
    said = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(said | changes))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        open_export(tmp_path)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def only(folder, *names):
    assert {path.name for path in folder.iterdir()} == set(names)


def test_an_earlier_export_is_replaced_and_nothing_of_it_stays(litert_export, tmp_path):
    shutil.copytree(litert_export, tmp_path / "out")
    with replaced_folder(tmp_path / "out") as draft:
        (draft / "new").write_text("")
        assert content(tmp_path / "out") == content(litert_export)
    only(tmp_path / "out", "new")
    only(tmp_path, "out")


def write_into(folder, step):
    with replaced_folder(folder) as draft:
        (draft / "new").write_text("")
        step(draft)


def raises(error):
    def step(draft):
        raise error

    return step


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_an_export_that_is_not_finished_leaves_what_was_there(error, litert_export, tmp_path):
    shutil.copytree(litert_export, tmp_path / "out")
    with pytest.raises(error):
        write_into(tmp_path / "out", raises(error))
    assert content(tmp_path / "out") == content(litert_export)
    only(tmp_path, "out")


@pytest.mark.parametrize("name", ["notes.txt", "network.keras", "model.json"])
def test_a_folder_that_holds_something_else_is_not_written_over(name, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(ValueError, match="out: holds something other than an export"):
        write_into(tmp_path / "out", raises(AssertionError("nothing is to be done")))
    only(tmp_path / "out", name)


def test_the_working_folder_is_not_taken_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is the working folder; use another folder"):
        write_into(Path("."), lambda draft: None)


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there", target_is_directory=True)
    write_into(tmp_path / "link", lambda draft: None)
    assert (tmp_path / "link").is_symlink()
    only(tmp_path / "there", "new")


def test_what_appears_in_the_meantime_is_not_written_over(tmp_path):
    def meanwhile(draft):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("")

    with pytest.raises(ValueError, match="holds something other"):
        write_into(tmp_path / "out", meanwhile)
    only(tmp_path / "out", "notes.txt")
    only(tmp_path, "out")


def test_a_disk_that_is_full_is_told_under_the_name_that_the_user_knows(tmp_path):
    def full(draft):
        raise OSError(errno.ENOSPC, "No space left on device", str(draft / "model.tflite"))

    with pytest.raises(OSError, match="No space left") as caught:
        write_into(tmp_path / "out", full)
    assert caught.value.filename == str(tmp_path / "out" / "model.tflite")
    assert list(tmp_path.iterdir()) == []
