"""The reader for COCO's instances, on a tiny data set, and beside pycocotools: polygons, runs, real photographs."""

import contextlib
import io
import json
import unicodedata

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from test_coco import COCO100, needs_coco100

from ssdseg_ref.data import coco_instances
from ssdseg_ref.data.reports import Listing

PERSON, DOG = 1, 18
SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]


def annotation(number=1, category=PERSON, segmentation=(SQUARE,), **more):
    return {"id": number, "image_id": 7, "category_id": category, "segmentation": list(segmentation), **more}


@pytest.fixture
def content():
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": [{"id": DOG, "name": "dog"}, {"id": PERSON, "name": "person"}],
        "annotations": [annotation(bbox=[1, 1, 4, 4], iscrowd=0)],
    }


@pytest.fixture
def write(tmp_path):
    """Write a json and its photograph of 10 x 8 pixels; gives the json's path."""

    def write_json(content, name="annotations.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(json.dumps(content))
        return path

    Image.new("RGB", (10, 8), (200, 100, 50)).save(tmp_path / "a.png")
    return write_json


def read_one(path, **more):
    samples, names, _ = coco_instances.read(path, **more)
    (sample,) = samples
    sample.validate(len(names))
    return sample


def whole(patch, size):
    pixels = np.zeros(size, bool)
    rows, columns = patch.pixels.shape
    pixels[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.pixels
    return pixels


def test_a_polygon_gives_its_pixels_and_the_box_around_them(content, write):
    sample = read_one(write(content))
    expected = np.zeros((8, 10), np.uint8)
    expected[1:5, 1:5] = 1
    np.testing.assert_array_equal(sample.mask, expected)
    np.testing.assert_allclose(sample.boxes * [10, 8, 10, 8], [[1, 1, 5, 5]], rtol=1e-6)
    assert sample.labels.tolist() == [1]


def test_classes_are_numbered_by_the_ids_of_their_categories_unless_they_are_named(content, write):
    content["annotations"].append(annotation(2, DOG, [[6, 1, 8, 1, 8, 3, 6, 3]]))
    path = write(content)
    assert coco_instances.read(path).classes == ("person", "dog")
    assert read_one(path).labels.tolist() == [1, 2]
    assert read_one(path, classes=["dog", "person"]).labels.tolist() == [2, 1]
    only_dogs = read_one(path, classes=["dog"])
    assert (only_dogs.labels.tolist(), only_dogs.mask[2, 2], only_dogs.mask[2, 7]) == ([1], 0, 1)


@pytest.mark.parametrize("small_first", [True, False])
def test_small_segments_are_painted_over_large_ones_whatever_their_order(content, write, small_first):
    content["annotations"] = [annotation(1), annotation(2, DOG, [[2, 2, 4, 2, 4, 4, 2, 4]])][
        :: 1 if small_first else -1
    ]
    mask = read_one(write(content)).mask
    assert (mask[1, 1], mask[3, 3]) == (1, 2)


def test_a_crowd_is_ignored_in_the_mask_and_has_no_box(content, write):
    counts = [8 * 6, 16, 16]  # columns 6 and 7
    content["annotations"].append(annotation(2, iscrowd=1) | {"segmentation": {"size": [8, 10], "counts": counts}})
    sample = read_one(write(content))
    assert (len(sample.boxes), np.sum(sample.mask == 255)) == (1, 16)
    assert np.all(sample.mask[:, 6:8] == 255)


def test_several_polygons_and_a_hole_by_even_and_odd(content, write):
    bow_tie = [0, 0, 4, 0, 4, 4, 0, 4, 0, 0, 1, 1, 3, 1, 3, 3, 1, 3, 1, 1]
    content["annotations"] = [annotation(segmentation=[bow_tie, [6, 6, 8, 6, 8, 8, 6, 8]])]
    sample = read_one(write(content))
    assert np.sum(sample.mask) == 16 - 4 + 4
    np.testing.assert_allclose(sample.boxes * [10, 8, 10, 8], [[0, 0, 8, 8]], rtol=1e-6)


def test_boxes_alone_leave_every_mask_unknown(content, write):
    content["annotations"] = [annotation(segmentation=[], bbox=[1, 1, 4.5, 4])]
    samples, _, has_masks = coco_instances.read(write(content))
    assert not has_masks
    assert np.all(samples[0].mask == 255)
    np.testing.assert_allclose(samples[0].boxes * [10, 8, 10, 8], [[1, 1, 5.5, 5]], rtol=1e-6)


def test_a_box_alone_among_segments_is_unknown_inside(content, write):
    content["annotations"].append(annotation(2, DOG, [], bbox=[4, 4, 3, 3]))
    samples, _, has_masks = coco_instances.read(write(content))
    assert has_masks
    mask = samples[0].mask
    assert (mask[4, 4], mask[5, 5], mask[7, 9]) == (1, 255, 0)  # the segment hides what is not known


def test_an_image_without_annotations_is_background(content, write):
    content["annotations"] = []
    samples, _, has_masks = coco_instances.read(write(content))
    assert (has_masks, samples[0].boxes.shape, samples[0].mask.max()) == (True, (0, 4), 0)


def test_a_polygon_too_thin_for_any_pixel_keeps_its_box(content, write):
    content["annotations"] = [annotation(segmentation=[[1, 1.6, 5, 1.6, 5, 2.2, 1, 2.2]])]
    sample = read_one(write(content))
    assert sample.mask.max() == 0
    np.testing.assert_allclose(sample.boxes * [10, 8, 10, 8], [[1, 1.6, 5, 2.2]], rtol=1e-6)


def test_a_heading_as_roboflow_writes_it_is_no_class(content, write):
    content["categories"] = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": PERSON, "name": "person", "supercategory": "animals"},
        {"id": DOG, "name": "dog", "supercategory": "animals"},
    ]
    assert coco_instances.read(write(content)).classes == ("person", "dog")


@pytest.mark.parametrize(
    ("json_name", "photograph", "file_name", "split"),
    [
        ("annotations/instances_val2017.json", "val2017/b.png", "b.png", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017/b.png", "b.png", "val2017"),
        ("annotations/instances_default.json", "images/b.png", "b.png", "default"),  # CVAT
        ("result.json", "images/b.png", "images\\b.png", "result"),  # Label Studio on Windows
        ("valid/_annotations.coco.json", "valid/b.png", "b.png", "valid"),  # Roboflow
        ("annotations.json", "JPEGImages/b.png", "JPEGImages/b.png", "annotations"),  # labelme2coco
    ],
)
def test_the_folders_of_the_usual_tools_are_understood(
    content, write, tmp_path, json_name, photograph, file_name, split
):
    content["images"][0]["file_name"] = file_name
    path = write(content, json_name)
    (tmp_path / photograph).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / "a.png").rename(tmp_path / photograph)
    assert coco_instances.annotation_files(tmp_path) == {split: path}
    assert len(read_one(path).boxes) == 1


def test_hidden_files_and_other_annotations_are_no_splits(content, write, tmp_path):
    for name in ("._instances_val.json", "captions_val.json", "list.json"):
        write([] if name == "list.json" else content, f"annotations/{name}")
    assert coco_instances.annotation_files(tmp_path) == {}


def test_other_objects_in_a_folder_are_no_splits(content, write, tmp_path):
    write({"version": "5.5", "shapes": [], "imagePath": "a.png", "imageData": "x"}, "a.json")  # labelme's own
    assert coco_instances.annotation_files(tmp_path) == {}
    path = write(content, "all.json")
    assert coco_instances.annotation_files(tmp_path) == {"all": path}


def test_opening_a_data_set_reads_no_photograph(content, write, tmp_path):
    path = write(content)
    (tmp_path / "a.png").unlink()
    samples = coco_instances.read(path).samples
    with pytest.raises(FileNotFoundError, match=r"annotations\.json: image 7: its photograph a\.png is in none of"):
        samples[0]


BREAKS = {
    "annotation 1 has category_id '1', a text": lambda c: c["annotations"][0].update(category_id="1"),
    "annotation 1 has category_id 77, and no": lambda c: c["annotations"][0].update(category_id=77),
    "annotation 1 is of image '7', a text": lambda c: c["annotations"][0].update(image_id="7"),
    "annotation 1 is of image 8": lambda c: c["annotations"][0].update(image_id=8),
    "two annotations have the id 1": lambda c: c["annotations"].append(annotation()),
    "entry 1 of the annotations has no id": lambda c: c["annotations"][0].pop("id"),
    "annotation 1: 'category_id' is missing": lambda c: c["annotations"][0].pop("category_id"),
    "annotation 1: iscrowd is 0 or 1, this is '0'": lambda c: c["annotations"][0].update(iscrowd="0"),
    "annotation 1 has the bbox .*'1'.*, it must be": lambda c: c["annotations"][0].update(bbox=["1", 1, 4, 4]),
    "annotation 1 has the bbox .*nan": lambda c: c["annotations"][0].update(bbox=[1, 1, float("nan"), 4]),
    "annotation 1: a polygon is .* one is '5'": lambda c: c["annotations"][0].update(
        segmentation=[[1, 1, "5", 1, 5, 5]]
    ),
    "a polygon is x, y of .* 4 numbers": lambda c: c["annotations"][0].update(segmentation=[[1, 1, 5, 5]]),
    "a polygon is x, y of .* 7 numbers": lambda c: c["annotations"][0].update(segmentation=[[1, 1, 5, 5, 2, 2, 2]]),
    "a polygon leaves the image of 10 x 8 by 1.5": lambda c: c["annotations"][0].update(
        segmentation=[[1, 1, 11.5, 1, 5, 5]]
    ),
    "a segmentation is a list of polygons or": lambda c: c["annotations"][0].update(segmentation="1, 1, 5, 5"),
    "one is 1000": lambda c: c["annotations"][0].update(segmentation=[[10**400, 1, 5, 1, 5, 5]]),
    "has the bbox .*1000": lambda c: c["annotations"][0].update(bbox=[10**400, 1, 5, 1]),
    "is of image .7., which is not": lambda c: c["annotations"][0].update(image_id=[7]),
    "has category_id .1., and no category": lambda c: c["annotations"][0].update(category_id=[1]),
    "has category_id True, and no category": lambda c: c["annotations"][0].update(category_id=True),
    "entry 1 of the images has no id": lambda c: c["images"][0].pop("id"),
    "entry 1 of the images has the id .7., which is no number": lambda c: c["images"][0].update(id=[7]),
    "entry 2 of images must be an object": lambda c: c["images"].append("a.png"),
    "iscrowd is 0 or 1, this is '0'": lambda c: c["annotations"][0].update(iscrowd="0"),
    "image 7: 'width' is missing": lambda c: c["images"][0].pop("width"),
    "has neither a segment nor a bbox": lambda c: c["annotations"][0].update(segmentation=[], bbox=[]),
    "its bbox leaves the image: .* 1.0, 1.0, 12.0": lambda c: c["annotations"][0].update(
        segmentation=[], bbox=[1, 1, 11, 4]
    ),
    "its bbox is empty or turned inside out": lambda c: c["annotations"][0].update(segmentation=[], bbox=[5, 1, -2, 4]),
    "its RLE is of the size .*10, 8.*, the image": lambda c: c["annotations"][0].update(
        segmentation={"size": [10, 8], "counts": [80]}
    ),
    "the runs of its RLE make up 79 pixels": lambda c: c["annotations"][0].update(
        segmentation={"size": [8, 10], "counts": [8, 71]}
    ),
    "its RLE has no pixel": lambda c: c["annotations"][0].update(segmentation={"size": [8, 10], "counts": [80]}),
    "the counts of an RLE are lengths": lambda c: c["annotations"][0].update(
        segmentation={"size": [8, 10], "counts": [90, -10]}
    ),
    "'counts' is missing": lambda c: c["annotations"][0].update(segmentation={"size": [8, 10]}),
    "ends within a number": lambda c: c["annotations"][0].update(segmentation={"size": [8, 10], "counts": "P"}),
    "'!' is no character": lambda c: c["annotations"][0].update(segmentation={"size": [8, 10], "counts": "!"}),
    "image 7: width and height are .* '10'": lambda c: c["images"][0].update(width="10"),
    "image 7: width and height are .* 0": lambda c: c["images"][0].update(height=0),
    "image 7: its file_name must be a text": lambda c: c["images"][0].update(file_name=None),
    "two images have the id 7": lambda c: c["images"].append(dict(c["images"][0])),
    "two categories have the id 1": lambda c: c["categories"].append({"id": 1, "name": "human"}),
    "two categories have the name 'dog'": lambda c: c["categories"].append({"id": 3, "name": "dog"}),
    "category 1 has the name None, not a text": lambda c: c["categories"][1].update(name=None),
    "134,217,728 at most in all, these are 1000": lambda c: c["images"][0].update(width=10**40),
    "the ids of categories are whole": lambda c: c["categories"][0].update(id="18"),
    "'categories' is missing": lambda c: c.pop("categories"),
    "entry 1 of annotations must be an object": lambda c: c.update(annotations=[1]),
    "'file_name' is missing": lambda c: c["images"][0].pop("file_name"),
    "1 to 254 classes apart, these are 0": lambda c: c.update(categories=[], annotations=[]),
}


@pytest.mark.parametrize("message", BREAKS)
def test_annotations_that_make_no_sense_are_named(content, write, message):
    BREAKS[message](content)
    path = write(content)
    with pytest.raises(ValueError, match=message) as error:
        coco_instances.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"x"', "{}", '{"images": {}}'])
def test_what_is_no_such_json_is_named(write, text):
    path = write({})
    path.write_text(text)
    with pytest.raises(ValueError, match=r"annotations\.json: not "):
        coco_instances.read(path)


@pytest.mark.parametrize(
    "name", ["folder\\a.png", "C:\\data\\a.png", "https://host/upload/a.png", "../../upload/1/a.png", "A.PNG"]
)
def test_a_photograph_is_found_by_the_name_that_another_machine_gave_it(content, write, name):
    content["images"][0]["file_name"] = name
    assert read_one(write(content)).labels.tolist() == [1]


def test_a_photograph_is_found_whichever_way_its_accents_are_written(content, write, tmp_path):
    content["images"][0]["file_name"] = unicodedata.normalize("NFC", "café.png")
    (tmp_path / "a.png").rename(tmp_path / unicodedata.normalize("NFD", "café.png"))
    assert read_one(write(content)).labels.tolist() == [1]


def test_photographs_of_one_name_in_two_folders_do_not_stand_in_for_each_other(content, write):
    content["images"] = [content["images"][0] | {"id": id, "file_name": f"day{id}/a.png"} for id in (7, 8)]
    with pytest.raises(FileNotFoundError, match=r"its photograph day7/a\.png is in none of"):
        coco_instances.read(write(content)).samples[0]


@pytest.mark.parametrize("broken", ["image", "category", "annotation"])
def test_one_record_without_sense_does_not_lose_the_others(content, write, broken):
    content["annotations"].insert(0, annotation(3, [PERSON] if broken == "category" else PERSON))
    if broken == "image":
        content["images"].insert(0, {"id": 9, "width": 10, "height": 8})
    if broken == "annotation":
        content["annotations"][0] = None
    report = Listing()
    assert read_one(write(content), report=report).labels.tolist()[-1:] == [1]
    assert len(report.faults) == 1


def test_a_polygon_may_stand_alone_as_via_writes_it(content, write):
    expected = read_one(write(content))
    content["annotations"][0]["segmentation"] = SQUARE
    np.testing.assert_array_equal(read_one(write(content)).mask, expected.mask)


def test_an_unknown_class_is_refused_with_the_nearest(content, write):
    with pytest.raises(ValueError, match="has no category 'persn', do you mean 'person'"):
        coco_instances.read(write(content), classes=["persn"])


def test_a_photograph_of_another_size_names_both_and_a_turn(content, write, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(content)
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(ValueError, match=r"a\.png: 8 x 10 pixels, but the json says 10 x 8; .* EXIF orientation is 6"):
        coco_instances.read(path).samples[0]


def test_a_listing_has_every_fault_and_the_rest_is_read(content, write):
    content["annotations"] += [
        annotation(2, 77),
        annotation(3, DOG, [[1, 1]]),
        annotation(4, DOG, [[6, 6, 9, 6, 9, 8]]),
    ]
    content["annotations"][0]["bbox"] = [1, 1, 8, 4]
    report = Listing()
    sample = read_one(write(content), report=report)
    assert [sentence.split(" annotation ")[1][0] for sentence in report.faults] == ["2", "3"]
    assert sample.labels.tolist() == [1, 2]
    (doubt,) = report.doubts
    assert "the bbox of annotation 1 is 1, 1, 9, 5 (corners in pixels), but its segment's is 1, 1, 5, 5" in doubt


def distance_to_border(points, polygon):
    """(K,) distances of (K, 2) points to the nearest edge."""
    edge = np.roll(polygon, -1, axis=0) - polygon
    along = ((points[:, None] - polygon) * edge).sum(-1) / np.maximum((edge**2).sum(-1), 1e-12)
    nearest = polygon + np.clip(along, 0, 1)[..., None] * edge
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1)


def test_pieces_of_an_object_are_its_parts_wherever_they_lie():
    random, size = np.random.default_rng(3), (50, 70)
    pieces = [random.uniform(-1, 8, (5, 2)) + random.uniform(0, [63, 43]) for _ in range(40)]
    pieces += [pieces[0] + [200, 0], np.array([[-1, -1], [-1, 20], [-0.5, 5]])]  # beside the image
    expected = np.zeros(size, bool)
    for piece in pieces:
        expected |= whole(coco_instances.polygons_to_patch([piece], size), size)
    np.testing.assert_array_equal(whole(coco_instances.polygons_to_patch(pieces, size), size), expected)
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize("seed", range(60))
def test_masks_of_polygons_differ_from_pycocotools_only_beside_the_border(seed):
    random, size = np.random.default_rng(seed), (60, 80)
    angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 12)))
    polygon = np.stack([np.cos(angles), np.sin(angles)], axis=1) * random.uniform(5, 29, (len(angles), 1)) + (40, 30)
    ours = whole(coco_instances.polygons_to_patch([polygon], size), size)
    theirs = coco_mask.decode(coco_mask.frPyObjects([polygon.ravel().tolist()], *size))[..., 0].astype(bool)
    middles = np.argwhere(ours != theirs)[:, ::-1] + 0.5
    assert len(middles) == 0 or distance_to_border(middles, polygon).max() < 0.2, f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_unpacked_as_pycocotools_packs_them(seed):
    random = np.random.default_rng(seed)
    size = tuple(random.integers(1, 70, 2).tolist())
    mask = (random.random(size) < random.random()).astype(np.uint8)
    packed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    counts = coco_instances.unpack_counts(packed)
    np.testing.assert_array_equal(coco_instances.runs_to_mask(np.array(counts), size), mask)


def instances_of_coco100(path):
    """The things of the hundred photographs' panoptic annotations, as an instances json with packed runs."""
    folder = COCO100 / "annotations"
    content = json.loads((folder / "panoptic_train2017.json").read_text())
    categories = [category for category in content["categories"] if category["isthing"]]
    things = {category["id"] for category in categories}
    annotations = []
    for image in content["annotations"]:
        ids = np.asarray(Image.open(folder / "panoptic_train2017" / image["file_name"])).astype(np.int64)
        ids = ids @ [1, 256, 256**2]
        for segment in image["segments_info"]:
            if segment["category_id"] in things:
                rle = coco_mask.encode(np.asfortranarray((ids == segment["id"]).astype(np.uint8)))
                packed = {"size": rle["size"], "counts": rle["counts"].decode()}
                own = {"id": len(annotations) + 1, "image_id": image["image_id"], "segmentation": packed}
                annotations.append(segment | own)
    path.write_text(json.dumps({"images": content["images"], "categories": categories, "annotations": annotations}))


@needs_coco100
def test_real_photographs_hold_the_boxes_and_pixels_that_pycocotools_counts(tmp_path):
    path = tmp_path / "instances.json"
    instances_of_coco100(path)
    (tmp_path / "images").symlink_to(COCO100 / "images" / "train2017")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(path)
    samples, names, has_masks = coco_instances.read(path)
    assert (len(samples), has_masks) == (len(theirs.getImgIds()), True)
    assert names == tuple(category["name"] for category in theirs.loadCats(sorted(theirs.getCatIds())))
    for sample, number in zip(samples, theirs.getImgIds(), strict=True):
        sample.validate(len(names))
        annotations = theirs.loadAnns(theirs.getAnnIds(number))
        kept = [own for own in annotations if not own["iscrowd"]]
        classes = [names.index(theirs.loadCats(own["category_id"])[0]["name"]) + 1 for own in kept]
        assert sample.labels.tolist() == classes
        boxes = np.reshape([own["bbox"] for own in kept], (-1, 4)) @ [
            [1, 0, 1, 0],
            [0, 1, 0, 1],
            [0, 0, 1, 0],
            [0, 0, 0, 1],
        ]
        height, width = sample.mask.shape
        np.testing.assert_allclose(sample.boxes * [width, height, width, height], boxes, atol=1e-3)
        expected = np.zeros(sample.mask.shape, np.uint8)  # segments of panoptic annotations do not overlap
        for own in annotations:
            label = 255 if own["iscrowd"] else names.index(theirs.loadCats(own["category_id"])[0]["name"]) + 1
            expected[theirs.annToMask(own) == 1] = label
        np.testing.assert_array_equal(sample.mask, expected)
