"""Does `ssdseg predict` find things in pictures of any kind, and lose nothing on bad ones?"""

import json

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from typer.testing import CliRunner

from ssdseg_course.cli import app, predict
from ssdseg_course.cli.predict import coco_results
from ssdseg_ref import multitask
from ssdseg_ref.data import convert, warehouse
from ssdseg_ref.prediction import Prediction

SEEDS = warehouse.SPLITS["test"][:3]
SIZE = (240, 320)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Three scenes, one of them as a JPEG that is turned on its side, and a broken file, predicted by the command."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, seed in enumerate(SEEDS):
        image = Image.fromarray(warehouse.render(seed, SIZE).image)
        if number < 2:
            image.save(folder / f"{number + 7:06d}.png")
        else:
            turned = image.transpose(Image.Transpose.ROTATE_90)
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned back by a quarter, clockwise
            turned.save(folder / "turned.JPG", exif=exif, quality=95)
    (folder / "broken.jpg").write_text("nonsense")
    (folder / "notes.txt").write_text("no picture")
    out = folder / "out"
    result = CliRunner().invoke(app, ["predict", str(folder), "--out", str(out), "--network", "lesson"])
    return folder, out, result


def test_every_picture_comes_back_with_boxes_and_masks(done):
    _, out, result = done
    assert {path.name for path in out.iterdir()} == {
        "000007.png", "000007_mask.png", "000008.png", "000008_mask.png", "turned.png", "turned_mask.png",
        "detections.json",
    }  # fmt: skip
    for name in ("000007", "turned"):
        mask = Image.open(out / f"{name}_mask.png")
        assert np.asarray(mask).shape == SIZE
        assert np.asarray(mask).max() in (1, 2, 3)
        assert np.asarray(mask.convert("RGB")).std() > 20  # its palette shows them
        picture = Image.open(out / f"{name}.png")
        assert picture.size == (1280, 960)
    assert "3 pictures" in result.stdout


def test_a_broken_picture_is_named_and_left_out_and_the_command_says_so(done):
    _, _, result = done
    assert result.exit_code == 1
    assert "broken.jpg: left out, not a picture that can be read" in result.stderr
    assert "1 of 4 pictures could not be read" in result.stderr


def test_a_network_of_drawings_says_that_it_has_seen_no_photograph(done):
    _, _, result = done
    assert "The network lesson has only seen drawn scenes of a warehouse" in result.stdout.replace("\n", " ")


def test_the_results_are_coco_s_and_score_high(done):
    """pycocotools reads them and finds the people, forklifts and rails that were drawn."""
    _, out, _ = done
    results = json.loads((out / "detections.json").read_text())
    ids = dict(zip(SEEDS, ("000007.png", "000008.png", "turned.JPG"), strict=True))
    truth, annotations = COCO(), []
    for seed, image_id in ids.items():
        sample = warehouse.render(seed, SIZE)
        for (xmin, ymin, xmax, ymax), label in zip(sample.boxes.tolist(), sample.labels.tolist(), strict=True):
            box = [xmin * SIZE[1], ymin * SIZE[0], (xmax - xmin) * SIZE[1], (ymax - ymin) * SIZE[0]]
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image_id, "category_id": label, "bbox": box,
                    "area": box[2] * box[3], "iscrowd": 0,
                }
            )  # fmt: skip
    truth.dataset = {
        "images": [{"id": image_id} for image_id in ids.values()],
        "annotations": annotations,
        "categories": [{"id": label} for label in (1, 2, 3)],
        "info": {},
    }
    truth.createIndex()
    judge = COCOeval(truth, truth.loadRes(results), "bbox")
    judge.params.iouThrs = np.array([0.5])
    judge.evaluate()
    judge.accumulate()
    precisions = judge.eval["precision"][0, :, :, 0, -1]
    assert precisions[precisions > -1].mean() > 0.7


def test_a_box_in_fractions_becomes_one_in_pixels():
    prediction = Prediction(np.float32([[0.25, 0.5, 0.75, 1]]), np.int32([2]), np.float32([0.5]), None)
    assert coco_results("a", prediction, (100, 200)) == [
        {"image_id": "a", "category_id": 2, "bbox": [50.0, 50.0, 100.0, 50.0], "score": 0.5}
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nosuch"], "nosuch: there is no such picture, folder or data set"),
        (["voc2012"], "voc2012 is not there yet; `ssdseg data get voc2012` downloads it"),
        (["one.png", "--split", "val"], "one.png: "),
        (["."], "no pictures in it; those end in .bmp"),
        (["one.png", "--out", "text.txt"], "text.txt: is a file, not a folder"),
        (["one.png", "--out", "text.txt/deeper"], "text.txt: is a file, not a folder"),
        (["one.png", "--out", "/proc/nowhere"], "/proc: cannot be written to"),
        (["one.png", "--out", "."], "holds the pictures themselves; use another folder with --out"),
        (["one.png", "--network", "resnet"], "resnet: neither a file, nor a folder of a finished training"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    if arguments != ["."]:
        Image.new("RGB", (8, 8)).save("one.png")
        (tmp_path / "text.txt").write_text("no folder")
    result = CliRunner().invoke(app, ["predict", *arguments])
    assert result.exit_code == 1
    assert sentence in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr


def test_pictures_that_differ_in_their_suffix_alone_do_not_overwrite_one_another(tmp_path):
    assert predict.result_names([tmp_path / "a.png", tmp_path / "a.jpg", tmp_path / "b.jpg"]) == ["a_png", "a_jpg", "b"]


@pytest.mark.parametrize(
    "pictures",
    [("x.jpg", "x_mask.jpg"), ("x.jpg", "x.png", "x_png.jpg"), ("A.jpg", "a.png"), ("x.jpg", "x_mask.png", "x.png")],
)
def test_no_picture_s_results_are_written_over_another_s(pictures, tmp_path):
    names = predict.result_names([tmp_path / picture for picture in pictures])
    files = {file.casefold() for name in names for file in predict.result_files(name)}
    assert len(files) == 2 * len(pictures)


@pytest.mark.parametrize("pictures", [("1.jpg", "01.jpg", "1.png"), ("1.jpg", "one.jpg"), ("1.jpg", "².jpg")])
def test_where_numbers_do_not_tell_pictures_apart_their_files_names_do(pictures, tmp_path):
    assert predict.image_ids([tmp_path / picture for picture in pictures]) == list(pictures)


@pytest.mark.usefixtures("lesson")
def test_a_picture_that_cannot_be_read_does_not_turn_numbers_into_names(tmp_path):
    Image.fromarray(warehouse.render(SEEDS[0], SIZE).image).save(tmp_path / "000139.png")
    (tmp_path / "broken.jpg").write_text("nonsense")
    CliRunner().invoke(app, ["predict", str(tmp_path), "--out", str(tmp_path / "out"), "--network", "lesson"])
    results = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {result["image_id"] for result in results} == {139}


def test_a_wrong_network_leaves_no_empty_folder(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    out = tmp_path / "out"
    assert CliRunner().invoke(app, ["predict", str(tmp_path), "--out", str(out), "--network", "nosuch"]).exit_code == 1
    assert not out.exists()


def test_pictures_that_are_numbered_as_coco_s_keep_their_numbers(tmp_path):
    assert predict.image_ids([tmp_path / "000000000139.jpg", tmp_path / "7.jpg"]) == [139, 7]


@pytest.fixture(scope="module")
def lesson_network():
    return multitask.load_network("lesson")


@pytest.fixture
def lesson(monkeypatch, lesson_network):
    """The shipped network, built once for all tests."""
    monkeypatch.setattr(predict, "open_network", lambda _: (lesson_network, multitask.LESSON))


@pytest.mark.usefixtures("lesson")
def test_odd_pictures_cost_no_other_picture_anything(tmp_path):
    """Files of a Mac and of Windows are no pictures; what is left out is named; all others come back."""
    folder = tmp_path / "in"
    folder.mkdir()
    grey = np.asarray(Image.fromarray(warehouse.render(SEEDS[0], SIZE).image).convert("L"))
    Image.fromarray(grey).save(folder / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "16.PNG")
    Image.fromarray(grey[:3]).save(folder / "wide.bmp")
    Image.fromarray(grey[:, :1]).resize((1, 5000)).save(folder / "tall.webp")
    for name in ("._8.png", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / "folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "nowhere.jpg").symlink_to(folder / "gone.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    Image.fromarray(grey).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:2000])
    Image.new("1", (12_000, 12_000)).save(folder / "huge.png")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["predict", str(folder), "--out", str(out), "--network", "lesson"])
    assert result.exit_code == 1
    assert "6 of 10 pictures could not be read" in result.stderr
    for name, reason in {
        "loop.jpg": "there is no such file",
        "nowhere.jpg": "there is no such file",
        "empty.jpg": "the file is empty",
        "phone.HEIC": "it is HEIC, as phones write it",
        "cut.jpg": "perhaps cut off",
        "huge.png": "too large, or damaged: it claims 12,000 x 12,000 pixels",
    }.items():
        (line,) = (line for line in result.stderr.splitlines() if f"{name}: left out, " in line)
        assert reason in line
        assert line.count(name) == 1
    assert len(list(out.iterdir())) == 4 * 2 + 1
    found = json.loads((out / "detections.json").read_text())
    sure = [record["image_id"] for record in found if record["score"] > 0.5]
    assert sure.count("8.png") == sure.count("16.PNG") > 0


@pytest.mark.usefixtures("lesson")
def test_a_picture_without_enough_memory_is_left_out(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    paint = predict.result_pictures
    sizes = iter((True, False))

    def hungry(*arguments):
        if next(sizes):
            raise MemoryError
        return paint(*arguments)

    monkeypatch.setattr(predict, "result_pictures", hungry)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["predict", str(tmp_path), "--out", str(out), "--network", "lesson"])
    assert "a.png: left out, not enough memory" in result.stderr.replace("\n", "")
    assert {path.name for path in out.iterdir()} == {"b.png", "b_mask.png", "detections.json"}


@pytest.mark.usefixtures("lesson")
def test_ctrl_c_keeps_what_is_done(tmp_path, monkeypatch):
    for number in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    paint, painted = predict.result_pictures, []

    def interrupted(*arguments):
        if painted:
            raise KeyboardInterrupt
        painted.append(1)
        return paint(*arguments)

    monkeypatch.setattr(predict, "result_pictures", interrupted)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["predict", str(tmp_path), "--out", str(out), "--network", "lesson"])
    assert result.exit_code == 130
    assert "stopped; 2 of 3 pictures were not looked at" in result.stderr
    assert {path.name for path in out.iterdir()} == {"0.png", "0_mask.png", "detections.json"}


def test_a_network_of_another_number_of_classes_predicts(tmp_path, monkeypatch):
    """Their names are not known, so they have numbers; of a warehouse nothing is said."""
    rows, (height, width) = len(multitask.LESSON.anchors), multitask.LESSON.image_size
    image = keras.Input((height, width, 3))
    x = layers.Flatten()(layers.AveragePooling2D(80)(image))
    outputs = {
        "classes": layers.Reshape((rows, 6))(layers.Dense(rows * 6)(x)),
        "offsets": layers.Reshape((rows, 4))(layers.Dense(rows * 4)(x)),
        "mask": layers.Conv2D(6, 1)(image),
    }
    keras.Model(image, outputs).save(tmp_path / "five.keras")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    arguments = ["predict", str(tmp_path), "--out", str(out), "--network", str(tmp_path / "five.keras")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "warehouse" not in result.stdout
    monkeypatch.setattr("ssdseg_course.cli.networks.open_samples", lambda *_: ([], ("a", "b", "c")))
    evaluated = CliRunner().invoke(app, ["evaluate", str(tmp_path / "five.keras"), "--split", "test"])
    assert "the network knows 5 classes, the Warehouse has 3" in evaluated.stderr.replace("\n", " ")


@pytest.mark.parametrize("target", ["coco", "voc", "triples"])
def test_the_images_of_a_data_set_are_looked_at_by_their_numbers(target, tmp_path):
    scenes = [warehouse.render(seed, SIZE) for seed in SEEDS[:2]]
    data = convert.TARGETS[target].write({"val": scenes}, warehouse.CLASSES, tmp_path / "data", True)
    (next((tmp_path / "data").rglob("000001.png"))).write_bytes(b"")
    out = tmp_path / "out"
    more = [] if target == "triples" else ["--split", "val"]
    result = CliRunner().invoke(app, ["predict", str(data), *more, "--out", str(out), "--network", "lesson"])
    assert (result.exit_code, "1 of 2 pictures could not be read" in result.stderr) == (1, True)
    assert "000001: left out, " in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["000000.png", "000000_mask.png", "detections.json"]
    found = json.loads((out / "detections.json").read_text())
    assert {record["image_id"] for record in found} == {0}
    assert max(record["score"] for record in found) > 0.5
