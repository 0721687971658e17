"""What tools for labelling write, laid out as they lay it out: every reader finds all of it, and nothing wrong in it.

No tool runs here. The layouts follow their documentation and their exporters' code: CVAT's "COCO 1.0" and "PASCAL VOC
1.1", Label Studio's "COCO", Roboflow's "COCO" and "Pascal VOC", labelme's example labelme2coco.py,
the package labelme2coco, VIA 2, and labelImg.
"""

import json

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.data import registry
from ssdseg_ref.data.check import check, splits_to_check
from ssdseg_ref.data.sample import IGNORE

WIDTH, HEIGHT = 40, 30
POLYGON = [4.0, 3.0, 24.0, 3.0, 24.0, 18.0, 4.0, 18.0]
BOX = [4.0, 3.0, 20.0, 15.0]


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 60)).save(path)


def write_json(path, images, categories, annotations, **more):
    """Annotation k is of image k, one each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sized = [{"width": WIDTH, "height": HEIGHT} | image for image in images]
    annotations = [
        {"bbox": BOX, "area": 300.0, "iscrowd": 0, "segmentation": [POLYGON]} | annotation for annotation in annotations
    ]
    content = {"info": {}, "licenses": [], "images": sized, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(content | more))


def cvat_coco(root):
    """Photographs in images/, or in images/default/ as newer versions have them."""
    images = [{"id": k, "file_name": f"{k}.jpg", "license": 0, "date_captured": 0} for k in (1, 2)]
    annotations = [
        {"id": k, "image_id": k, "category_id": k, "attributes": {"occluded": False, "rotation": 0.0}} for k in (1, 2)
    ]
    categories = [{"id": 1, "name": "cup", "supercategory": ""}, {"id": 2, "name": "jug", "supercategory": ""}]
    write_json(root / "annotations" / "instances_default.json", images, categories, annotations)
    photograph(root / "images" / "1.jpg")
    photograph(root / "images" / "default" / "2.jpg")


def label_studio(root):
    """Ids from 0; the last image is not labelled, so its size may be null."""
    images = [{"id": k, "file_name": f"images\\{k}-photo {k}.jpg"} for k in range(3)]
    images[2] |= {"width": None, "height": None}
    annotations = [{"id": k, "image_id": k, "category_id": k, "ignore": 0} for k in (0, 1)]
    categories = [{"id": 0, "name": "cup"}, {"id": 1, "name": "jug"}]
    write_json(root / "result.json", images, categories, annotations)
    for k in range(3):
        photograph(root / "images" / f"{k}-photo {k}.jpg")


def label_studio_without_images(root):
    """The names are those on its server; somebody has put the photographs beside the json."""
    images = [{"id": k, "file_name": f"/data/upload/7/{k}-photo.jpg"} for k in (0, 1)]
    annotations = [{"id": k, "image_id": k, "category_id": k, "ignore": 0} for k in (0, 1)]
    write_json(root / "result.json", images, [{"id": 0, "name": "cup"}, {"id": 1, "name": "jug"}], annotations)
    for k in (0, 1):
        photograph(root / f"{k}-photo.jpg")


def roboflow_coco(root):
    """A folder a split; category 0 is the heading of the others."""
    categories = [{"id": 0, "name": "tableware", "supercategory": "none"}]
    categories += [{"id": k, "name": name, "supercategory": "tableware"} for k, name in ((1, "cup"), (2, "jug"))]
    for split in ("train", "valid"):
        images = [{"id": k, "license": 1, "file_name": f"{k}_jpg.rf.0f.jpg", "date_captured": ""} for k in (0, 1)]
        annotations = [{"id": k, "image_id": k, "category_id": k + 1} for k in (0, 1)]
        write_json(root / split / "_annotations.coco.json", images, categories, annotations)
        for k in (0, 1):
            photograph(root / split / f"{k}_jpg.rf.0f.jpg")
    (root / "README.roboflow.txt").write_text("")


def labelmes_example(root):
    """The background is a category; the json has null where nothing is known."""
    images = [{"id": k, "license": 0, "url": None, "file_name": f"JPEGImages/{k}.jpg"} for k in (0, 1)]
    categories = [
        {"id": k, "name": name, "supercategory": None} for k, name in enumerate(["_background_", "cup", "jug"])
    ]
    annotations = [{"id": k, "image_id": k, "category_id": k + 1} for k in (0, 1)]
    write_json(root / "annotations.json", images, categories, annotations, type="instances")
    for k in (0, 1):
        photograph(root / "JPEGImages" / f"{k}.jpg")
    (root / "class_names.txt").write_text("_background_\ncup\njug\n")


def labelme2coco(root):
    """The json in a folder of its own choice, beside the photographs and labelme's own files here."""
    images = [{"id": k, "file_name": f"{k}.jpg"} for k in (1, 2)]
    categories = [{"id": k, "name": name, "supercategory": name} for k, name in enumerate(["cup", "jug"])]
    annotations = [{"id": k, "image_id": k, "category_id": k - 1} for k in (1, 2)]
    write_json(root / "dataset.json", images, categories, annotations)
    for k in (1, 2):
        photograph(root / f"{k}.jpg")
        shape = {"label": "cup", "points": [[4, 3], [24, 3], [24, 18]], "shape_type": "polygon"}
        (root / f"{k}.json").write_text(json.dumps({"version": "5.5.0", "shapes": [shape], "imagePath": f"{k}.jpg"}))


def via(root):
    """A polygon is no list in a list."""
    images = [{"id": k, "license": 0, "file_name": f"{k}.jpg", "date_captured": ""} for k in (1, 2)]
    categories = [{"id": k, "name": name, "supercategory": "type"} for k, name in ((1, "cup"), (2, "jug"))]
    annotations = [{"id": k, "image_id": k, "category_id": k, "segmentation": POLYGON} for k in (1, 2)]
    write_json(root / "via_export_coco.json", images, categories, annotations)
    for k in (1, 2):
        photograph(root / f"{k}.jpg")


def write_xml(path, name, filename):
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = "<xmin>5</xmin><ymin>4</ymin><xmax>24</xmax><ymax>18</ymax>"
    path.write_text(
        f"<annotation>\n<folder>photos</folder><filename>{filename}</filename>"
        f"<path>C:\\Users\\me\\photos\\{filename}</path><source><database>Unknown</database></source>"
        f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size><segmented>0</segmented>"
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><occluded>0</occluded>"
        f"<difficult>0</difficult><bndbox>{corners}</bndbox>"
        "<attributes><attribute><name>rotation</name><value>0.0</value></attribute></attributes></object></annotation>"
    )


def label_img(root):
    """An xml beside each photograph."""
    for name in ("cup", "jug"):
        write_xml(root / f"my {name}.xml", name, f"my {name}.JPG")
        photograph(root / f"my {name}.JPG")


def label_img_in_two_folders(root):
    """As many data sets have it: annotations/ and images/, in small letters."""
    for name in ("cup", "jug"):
        write_xml(root / "annotations" / f"{name}.xml", name, f"{name}.png")
        photograph(root / "images" / f"{name}.png")


def cvat_voc(root):
    """Lists of each class beside that of all, and a labelmap in colours of its own."""
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name in ("cup", "jug"):
        write_xml(root / "Annotations" / f"{name}.xml", name, f"{name}.jpg")
        photograph(root / "JPEGImages" / f"{name}.jpg")
        (lists / f"{name}_default.txt").write_text(
            "".join(f"{other} {1 if other == name else -1:2}\n" for other in ("cup", "jug"))
        )
    (lists / "default.txt").write_text("cup\njug\n")
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncup:250,50,83::\njug:36,179,83::\n"
    )


def roboflow_voc(root):
    """A folder a split, an xml beside each photograph."""
    for split in ("train", "valid"):
        for name in ("cup", "jug"):
            write_xml(root / split / f"{name}_jpg.rf.0f.xml", name, f"{name}_jpg.rf.0f.jpg")
            photograph(root / split / f"{name}_jpg.rf.0f.jpg")


WITH_MASKS = [cvat_coco, label_studio, label_studio_without_images, roboflow_coco, labelmes_example, labelme2coco, via]
BOXES_ALONE = [label_img, label_img_in_two_folders, cvat_voc, roboflow_voc]


@pytest.mark.parametrize("export", [*WITH_MASKS, *BOXES_ALONE], ids=lambda export: export.__name__)
def test_an_export_is_read_as_its_tool_has_left_it(tmp_path, export):
    export(tmp_path)
    for split in splits_to_check(tmp_path):
        found = check(tmp_path, split)
        assert (found.faults, found.boxes, found.has_masks) == ((), 2, export in WITH_MASKS)
        assert [doubt for doubt in found.doubts if "boxes alone" not in doubt] == []
        opened = registry.open_data_set(tmp_path, split)
        assert opened.classes == ("cup", "jug")
        labels = [sample.labels.tolist() for sample in opened.samples if len(sample.labels)]
        assert labels == [[1], [2]]
        for sample in opened.samples:
            np.testing.assert_allclose(
                sample.boxes * [WIDTH, HEIGHT, WIDTH, HEIGHT],
                np.tile([4, 3, 24, 18], (len(sample.boxes), 1)),
                rtol=1e-6,
            )
            if export in WITH_MASKS:
                assert np.sum(sample.mask > 0) == 300 * len(sample.boxes)


def test_an_image_that_nobody_has_labelled_is_background(tmp_path):
    label_studio(tmp_path)
    sample = registry.open_data_set(tmp_path).samples[2]
    assert (sample.mask.shape, sample.mask.max(), len(sample.boxes)) == ((HEIGHT, WIDTH), 0, 0)


def test_brush_strokes_of_cvat_are_crowds_and_that_is_said(tmp_path):
    cvat_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_default.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        counts = [3 + 4 * HEIGHT, 15, HEIGHT * WIDTH - 18 - 4 * HEIGHT]
        annotation |= {"iscrowd": 1, "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]}}
    path.write_text(json.dumps(content))
    found = check(tmp_path)
    assert "all of its 2 annotations are crowds (iscrowd 1), as CVAT writes" in found.doubts[0]
    assert np.sum(registry.open_data_set(tmp_path).samples[0].mask == IGNORE) == 15


def test_a_heading_that_one_split_uses_is_known_in_the_other(tmp_path):
    roboflow_coco(tmp_path)
    path = tmp_path / "train" / "_annotations.coco.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 0
    path.write_text(json.dumps(content))
    names = registry.open_data_set(tmp_path, "train").classes
    assert names == ("tableware", "cup", "jug")
    assert [sample.labels.tolist() for sample in registry.open_data_set(tmp_path, "valid", names).samples] == [[2], [3]]
