"""`ssdseg data`, with a small stand-in for the Warehouse so that nothing takes long."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import ssdseg_ref.data
from ssdseg_course.cli import app
from ssdseg_ref.data import reports, splits, triples
from ssdseg_ref.data.sample import Sample

SPLITS = {"train": range(0, 6), "validation": range(10, 12), "test": range(20, 23)}


def render(seed: int, size: tuple[int, int]) -> Sample:
    """One box and as much mask, in the upper left quarter."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    mask[: height // 2, : width // 2] = 1 + seed % 3
    image = np.full((*size, 3), seed, np.uint8)
    return Sample(image, np.array([[0, 0, 0.5, 0.5]], np.float32), np.array([1 + seed % 3], np.int32), mask)


def split(name, size, progress, elsewhere=None):
    return splits.cached_split(f"warehouse-{name}", SPLITS[name], size, render, progress, elsewhere)


@pytest.fixture(autouse=True)
def small_warehouse(monkeypatch, tmp_path):
    """Replace the Warehouse, and keep the cache in a temporary folder."""
    stand_in = SimpleNamespace(CLASSES=("person", "forklift", "monorail"), SPLITS=SPLITS, render=render, split=split)
    monkeypatch.setitem(sys.modules, "ssdseg_ref.data.warehouse", stand_in)
    monkeypatch.setattr(ssdseg_ref.data, "warehouse", stand_in, raising=False)
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def row(output: str, *cells: str) -> bool:
    """Whether a line of a table starts with these cells."""
    return any(line.replace("│", " ").split()[: len(cells)] == list(cells) for line in output.splitlines())


def test_the_list_says_which_splits_are_drawn():
    before = run("list").output
    assert row(before, "train", "6", "no")
    assert "ssdseg data make --split train" in before
    assert run("make", "--split", "train").exit_code == 0
    after = run("list").output
    assert row(after, "train", "6", "yes")
    assert row(after, "validation", "2", "no")


def test_make_draws_every_split_unless_told_otherwise():
    result = run("make", "--size", "8x10")
    assert (result.exit_code, result.stdout.count("are ready")) == (0, 3)
    assert row(run("list", "--size", "8x10").output, "test", "3", "yes")
    assert row(run("list").output, "test", "3", "no")


def test_info_counts_boxes_and_pixels():
    result = run("info", "warehouse", "--split", "test")
    assert result.exit_code == 0
    assert "3 images, 0 of them without a box" in result.output
    for name in ("person", "forklift", "monorail"):
        assert row(result.output, name, "1", "1"), name  # images, boxes
        assert row(result.output, name, *["0.2500"] * 5), name
        assert row(result.output, name, *["1.40"] * 5), name  # 224 / 160
    assert row(result.output, "background", "75.00%")


def test_info_draws_figures(tmp_path):
    result = run("info", "warehouse", "--plot", tmp_path / "figures.png")
    assert result.exit_code == 0
    with Image.open(tmp_path / "figures.png") as picture:
        assert picture.format == "PNG"


def test_what_is_exported_can_be_read_and_described_again(tmp_path):
    result = run("export", "warehouse", tmp_path / "out", "--split", "test", "--count", "2", "--size", "8x10")
    assert result.exit_code == 0
    samples = triples.read(tmp_path / "out" / "triples.json", ("person", "forklift", "monorail"))
    np.testing.assert_array_equal([sample.image[0, 0, 0] for sample in samples], [20, 21])
    assert "2 images" in run("info", tmp_path / "out" / "triples.json").output


def test_the_classes_of_triples_can_be_named(tmp_path):
    run("export", "warehouse", tmp_path / "out", "--split", "test")
    described = run("info", tmp_path / "out" / "triples.json", "--classes", "one, two, three").output
    assert row(described, "two", "1", "1")
    result = run("info", tmp_path / "out" / "triples.json", "--classes", "one,two")
    assert result.exit_code == 1
    assert "3 is no class, the classes are 1 one, 2 two" in result.stderr


def test_a_folder_with_one_coco_split_needs_no_split_named(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "panoptic_val2017.json").write_text("{}")
    assert "images/val2017" in run("info", tmp_path).stderr
    (tmp_path / "annotations" / "panoptic_train2017.json").write_text("{}")
    assert "--split train2017 or --split val2017" in run("info", tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "ssdseg: nowhere: neither a folder nor a file, nor one of warehouse, pennfudan"),
        (
            ["info", "warehouse", "--split", "tests"],
            "ssdseg: the warehouse has no split 'tests', it has train, validation",
        ),
        (["info", "warehouse", "--classes", "a,b"], "ssdseg: --classes is for data sets of your own only"),
        (["info", ".", "--size", "8x10"], "ssdseg: --size is for the warehouse only"),
        (
            ["info", "warehouse", "--plot", "no/such/folder.png"],
            "ssdseg: no/such/folder.png: No such file or directory",
        ),
    ],
)
def test_bad_input_ends_with_one_sentence(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_a_folder_without_annotations_is_no_data_set(tmp_path):
    result = run("info", tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "not a data set that can be read" in result.stderr


def test_export_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "precious.txt").write_text("do not lose me")
    result = run("export", "warehouse", tmp_path)
    assert result.exit_code == 1
    assert "name a folder that is new or empty" in result.stderr


@pytest.mark.parametrize("size", ["8", "8x", "0x8", "-8x8", "8x8x8", "big"])
def test_a_size_that_is_none_is_refused(size):
    result = run("make", "--size", size)
    assert result.exit_code == 2
    assert "HEIGHTxWIDTH" in result.stderr


def test_ctrl_c_says_stopped(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ssdseg_ref.data.warehouse, "split", interrupt)
    result = run("make")
    assert (result.exit_code, result.stderr) == (130, "stopped\n")


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(ssdseg_ref.data.warehouse, "split", lambda *_: 1 / 0)
    assert isinstance(run("make").exception, ZeroDivisionError)


@pytest.mark.parametrize("command", [[], ["list"], ["make"], ["info"], ["check"], ["convert"], ["export"]])
def test_every_command_explains_itself(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_does_not_wait_for_tensorflow():
    code = "import sys, ssdseg_course.cli; print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_bad_input_ends_the_process_with_one_sentence():
    command = [sys.executable, "-m", "ssdseg_course", "data", "make", "--size", "wide"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "HEIGHTxWIDTH" in result.stderr
    assert "Traceback" not in result.stderr


def folder_of_instances(tmp_path, **wrong):
    """COCO's instances with one photograph and one annotation."""
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]} | wrong
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [annotation],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    return tmp_path


def test_check_counts_and_says_that_nothing_is_wrong(tmp_path):
    result = run("check", folder_of_instances(tmp_path))
    assert result.exit_code == 0
    assert result.stdout == "annotations: 1 images, 0 of them without a box; 1 boxes\n0 wrong, 0 to look at\n"


def test_check_lists_faults_and_ends_with_one(tmp_path):
    result = run("check", folder_of_instances(tmp_path, category_id="1"))
    assert result.exit_code == 1
    first, second, _, last = result.stdout.splitlines()
    assert first.startswith(f"wrong: {tmp_path / 'annotations.json'}: annotation 1 has category_id '1', a text")
    assert second.startswith("look at: ")
    assert last == "1 wrong, 1 to look at"


def test_check_of_the_warehouse_says_that_there_is_nothing_to_check():
    assert "drawn by the course itself" in run("check", "warehouse").stderr


def test_check_of_nothing_is_one_sentence(tmp_path):
    result = run("check", tmp_path / "nowhere")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "neither a folder nor a file, nor one of warehouse, pennfudan" in result.stderr


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("coco", "annotations/instances_test.json"),
        ("panoptic", "annotations/panoptic_test.json"),
        ("voc", "labelmap.txt"),
        ("triples", "triples.json"),
    ],
)
def test_convert_writes_reads_again_and_says_so(tmp_path, target, path):
    result = run("convert", "warehouse", tmp_path / "out", "--to", target, "--split", "test", "--size", "8x10")
    assert (result.exit_code, (tmp_path / "out" / path).is_file()) == (0, True)
    assert "test: 3 images, 3 boxes, all of it the same when it is read again" in result.stdout
    classes = [] if target != "triples" else ["--classes", "person,forklift,monorail"]
    assert row(run("info", tmp_path / "out", *classes).output, "person", "1", "1")


def test_convert_takes_several_splits(tmp_path):
    arguments = ["convert", "warehouse", tmp_path / "out", "--size", "8x10", "--split", "test", "--split", "train"]
    assert "give --split once" in run(*arguments, "--to", "triples").stderr
    result = run(*arguments, "--to", "voc", "--count", "2")
    assert (result.exit_code, result.stdout.count("2 images, 2 boxes")) == (0, 2)


def test_convert_says_what_is_lost(tmp_path):
    source = folder_of_instances(tmp_path, segmentation=[], bbox=[1, 1, 4.5, 4.5])
    result = run("convert", source, tmp_path / "out", "--to", "voc")
    assert "VOC could not say it all: 1 boxes come back elsewhere, by up to 0.5 pixels, and 0.00%" in result.stdout


def test_convert_to_what_is_no_format_is_refused(tmp_path):
    result = run("convert", "warehouse", tmp_path / "out", "--to", "yolo")
    assert (result.exit_code, result.stderr) == (1, "ssdseg: --to is one of coco, panoptic, voc, triples, got 'yolo'\n")


def test_info_says_that_there_are_boxes_alone(tmp_path):
    result = run(
        "info", folder_of_instances(tmp_path, segmentation=[], bbox=[1, 1, 4, 4]), "--plot", tmp_path / "p.png"
    )
    assert result.exit_code == 0
    assert "There are boxes alone: all masks are 255" in result.stdout
    assert (tmp_path / "p.png").is_file()


@pytest.fixture
def one_bad_of_four(tmp_path):
    """COCO's instances whose second picture is cut off."""
    folder = folder_of_instances(tmp_path)
    content = json.loads((folder / "annotations.json").read_text())
    content["images"] = [content["images"][0] | {"id": k, "file_name": f"{k}.png"} for k in range(1, 5)]
    content["annotations"] = [content["annotations"][0] | {"id": k, "image_id": k} for k in range(1, 5)]
    (folder / "annotations.json").write_text(json.dumps(content))
    for k in range(1, 5):
        Image.new("RGB", (10, 8), (k, k, k)).save(folder / f"{k}.png")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:40])
    return folder


@pytest.mark.parametrize("command", [["info"], ["convert", "--to", "coco"], ["convert", "--to", "voc"], ["export"]])
def test_one_bad_picture_is_told_and_left_out_and_the_rest_goes_on(one_bad_of_four, command, tmp_path):
    out = [tmp_path / "out"] if command[0] != "info" else ["--plot", tmp_path / "p.png"]
    result = run(command[0], one_bad_of_four, *out, *command[1:])
    told, last = result.stderr.splitlines()
    assert told.startswith(f"left out: {one_bad_of_four / '2.png'}: not a picture that can be read")
    assert (result.exit_code, last) == (1, "ssdseg: 1 of 4 images could not be read and were left out, see above")
    if command[0] == "info":
        assert "3 images, 0 of them without a box" in result.stdout
        assert (tmp_path / "p.png").is_file()
    else:
        written = run("info", tmp_path / "out" / "triples.json" if command[0] == "export" else tmp_path / "out")
        assert (written.exit_code, "3 images" in written.stdout) == (0, True)


def test_where_no_picture_can_be_read_nothing_is_written(one_bad_of_four, tmp_path):
    for path in one_bad_of_four.glob("*.png"):
        path.write_bytes(b"")
    result = run("convert", one_bad_of_four, tmp_path / "out", "--to", "coco")
    assert (result.exit_code, (tmp_path / "out").exists()) == (1, False)
    assert result.stderr.endswith("ssdseg: none of 4 images can be read, see above\n")


def test_names_that_cannot_be_printed_are_escaped(one_bad_of_four):
    content = json.loads((one_bad_of_four / "annotations.json").read_text())
    content["images"][1]["file_name"] = "\ud800写真.png"
    (one_bad_of_four / "annotations.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "ssdseg_course", "data", "check", str(one_bad_of_four)]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    result = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert b"its photograph \\ud800\\u5199\\u771f.png is in none of" in result.stdout
    assert result.stdout.endswith(b"1 wrong, 0 to look at\n")


def test_names_in_any_letters_are_drawn_without_a_warning(one_bad_of_four, tmp_path, recwarn):
    content = json.loads((one_bad_of_four / "annotations.json").read_text())
    content["categories"][0]["name"] = "写真 $x_ [red]"
    (one_bad_of_four / "annotations.json").write_text(json.dumps(content))
    assert "写真 $x_ [red]" in run("info", one_bad_of_four, "--plot", tmp_path / "p.png").stdout
    assert [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)] == []
    assert (tmp_path / "p.png").is_file()


def test_ctrl_c_during_a_check_shows_what_was_found_before(one_bad_of_four, monkeypatch):
    real = reports.read_photograph

    def interrupted(path):
        if path.name == "3.png":
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(reports, "read_photograph", interrupted)
    result = run("check", one_bad_of_four)
    assert (result.exit_code, result.stderr) == (130, "stopped\n")
    assert result.stdout.startswith(f"wrong: {one_bad_of_four / '2.png'}: not a picture")
    assert "0 wrong" not in result.stdout
