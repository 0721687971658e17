"""The reader for PASCAL VOC, on a data set of a few photographs of 10 x 8 pixels, damaged in many ways."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.data import registry, voc
from ssdseg_ref.data.reports import Listing

PERSON, DOG = voc.CLASSES.index("person") + 1, voc.CLASSES.index("dog") + 1
VALUES = np.zeros((8, 10), np.uint8)
VALUES[0:4, 0:5] = PERSON
VALUES[4:6, 5:9] = DOG
VALUES[6:, 5:9] = 255


def thing(name="person", corners=(1, 1, 5, 4), difficult=0, more=""):
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox>{more}</object>"


def xml(*things, size=(10, 8), filename="a.jpg"):
    width, height = size
    return (
        f"<annotation><filename>{filename}</filename><size><width>{width}</width><height>{height}</height>"
        f"<depth>3</depth></size>{''.join(things)}</annotation>"
    )


def save_mask(path, values=VALUES, in_colours=False):
    path.parent.mkdir(exist_ok=True)
    picture = Image.fromarray(values)
    picture.putpalette(voc.palette().ravel().tolist())
    (picture.convert("RGB") if in_colours else picture).save(path)


def add(root, name, text):
    (root / "Annotations" / f"{name}.xml").write_text(text)
    Image.new("RGB", (10, 8), (9, 9, 9)).save(root / "JPEGImages" / f"{name}.jpg")


@pytest.fixture
def root(tmp_path):
    """Photograph a with a mask, b without one; train has both, val has b."""
    for part in ("Annotations", "JPEGImages", "ImageSets/Main", "ImageSets/Segmentation"):
        (tmp_path / part).mkdir(parents=True)
    add(tmp_path, "a", xml(thing(), thing("dog", (6, 5, 9, 8))))
    add(tmp_path, "b", xml(thing("dog", (2, 2, 9, 7))))
    save_mask(tmp_path / "SegmentationClass" / "a.png")
    for name, content in {"train": "a\nb\n", "val": "b\n", "dog_train": "a  1\nb  1\n"}.items():
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").write_text(content)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    return tmp_path


def test_boxes_count_pixels_from_one_and_include_the_last(root):
    sample = voc.read(root, "train").samples[0]
    np.testing.assert_allclose(sample.boxes * [10, 8, 10, 8], [[0, 0, 5, 4], [5, 4, 9, 8]], rtol=1e-6)
    assert sample.labels.tolist() == [PERSON, DOG]
    np.testing.assert_array_equal(sample.mask, VALUES)
    sample.validate(20)


def test_a_photograph_without_a_mask_has_255_everywhere(root):
    opened = voc.read(root, "train")
    assert opened.has_masks
    assert np.all(opened.samples[1].mask == 255)
    assert not voc.read(root, "val").has_masks


def test_named_classes_are_those_of_boxes_and_masks(root):
    samples, names, _ = voc.read(root, "train", ["dog"])
    assert names == ("dog",)
    assert samples[0].labels.tolist() == [1]
    np.testing.assert_array_equal(samples[0].mask, np.select([VALUES == DOG, VALUES == 255], [1, 255], 0))


def test_a_difficult_object_has_an_ignored_box(root):
    add(root, "a", xml(thing(difficult=1), thing("dog", (6, 5, 9, 8))))
    sample = voc.read(root, "train").samples[0]
    assert sample.labels.tolist() == [DOG]
    np.testing.assert_array_equal(sample.mask, VALUES)
    assert sample.ignored_labels.tolist() == [PERSON]
    height, width = sample.mask.shape
    np.testing.assert_allclose(sample.ignored_boxes * [width, height, width, height], [[0, 0, 5, 4]], atol=1e-5)


def test_parts_of_a_person_are_no_objects(root):
    head = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    add(root, "a", xml(thing(more=head)))
    assert len(voc.read(root, "train").samples[0].boxes) == 1


def test_the_lists_are_the_splits_and_those_of_single_classes_are_none(root):
    assert voc.available_splits(root) == ["train", "val", "Segmentation/train"]
    assert len(voc.read(root, "Segmentation/train").samples) == 1
    assert registry.recognise(root).name == "PASCAL VOC"


def test_the_folder_around_it_will_do(root, tmp_path_factory):
    around = tmp_path_factory.mktemp("devkit")
    (around / "VOCdevkit").mkdir()
    root.rename(around / "VOCdevkit" / "VOC2012")
    assert len(voc.read(around, "train").samples) == 2


def test_masks_in_colours_are_numbers_too(root):
    save_mask(root / "SegmentationClass" / "a.png", in_colours=True)
    np.testing.assert_array_equal(voc.read(root, "train").samples[0].mask, VALUES)
    Image.new("RGB", (10, 8), (1, 2, 3)).save(root / "SegmentationClass" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: no class has the colour 1, 2, 3"):
        voc.read(root, "train").samples[0]


def test_the_palette_is_vocs():
    assert voc.palette()[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]


def test_a_labelmap_names_and_colours_the_classes(root):
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:9,9,9::\ndog:1,2,3::\n"
    )
    add(root, "a", xml(thing("dog", (6, 5, 9, 8))))
    Image.new("RGB", (10, 8), (1, 2, 3)).save(root / "SegmentationClass" / "a.png")
    samples, names, _ = voc.read(root, "train")
    assert names == ("cat", "dog")
    assert (samples[0].labels.tolist(), samples[0].mask.min()) == ([2], 2)
    add(root, "b", xml(thing("dig")))
    with pytest.raises(ValueError, match=r"b\.xml: labelmap\.txt has no class 'dig', do you mean 'dog'"):
        voc.read(root, "train")


def test_masks_of_other_classes_need_their_names(root):
    add(root, "b", xml(thing("forklift")))
    with pytest.raises(
        ValueError, match=r"name those of the numbers 1, 2, .* --classes or labelmap.txt; .* dog, forklift"
    ):
        voc.read(root, "train")
    save_mask(root / "SegmentationClass" / "a.png", (VALUES == DOG).astype(np.uint8))
    assert voc.read(root, "train", ["dog", "person", "forklift"]).samples[0].mask.max() == 1


def test_without_masks_the_classes_are_those_of_all_splits(tmp_path):
    for split, names in {"train": ["cat"], "valid": ["ant", "cat"]}.items():  # as Roboflow lays it out
        (tmp_path / split).mkdir()
        (tmp_path / split / "x.xml").write_text(xml(*map(thing, names)))
        Image.new("RGB", (10, 8)).save(tmp_path / split / "x.jpg")
    (tmp_path / "train" / "._x.xml").write_bytes(b"of a Mac")
    assert voc.available_splits(tmp_path) == ["train", "valid"]
    samples, names, has_masks = voc.read(tmp_path, "train")
    assert (names, has_masks, samples[0].labels.tolist()) == (("ant", "cat"), False, [2])


def test_xml_files_beside_photographs_have_no_splits(tmp_path):
    (tmp_path / "x.xml").write_text(xml(thing("cat"), filename="another.png"))
    Image.new("RGB", (10, 8)).save(tmp_path / "x.png")
    assert registry.choose_split(tmp_path) is None
    assert len(registry.open_data_set(tmp_path).samples[0].boxes) == 1


def test_label_studios_folder_of_photographs_will_do(root):
    (root / "JPEGImages").rename(root / "images")
    assert len(voc.read(root, "train").samples[0].boxes) == 2


def test_a_box_counted_from_zero_is_cut_at_the_border(root):
    add(root, "a", xml(thing(corners=(0, 0, 10, 8))))
    box = voc.read(root, "train").samples[0].boxes[0]
    np.testing.assert_array_equal(box, [0, 0, 1, 1])


DAMAGE = {
    "not an xml file": "<annotation><object>",
    "not an xml of VOC: its first element is 'html'": "<html/>",
    "size/width must be a whole number of pixels, it is ''": "<annotation/>",
    "size/height must be a whole number of pixels, it is '8.5'": xml(size=(10, 8.5)),
    "size/width must be a whole number of pixels, it is '0'": xml(size=(0, 0)),
    "size/width must be a whole number of pixels, it is '999": xml(size=("9" * 5000, 8)),
    "object 1 has no name": xml(thing("")),
    "object 2, 'dog': xmin must be a number, it is 'left'": xml(thing(), thing("dog", ("left", 1, 2, 2))),
    "object 1, 'person': ymax must be a number, it is ''": xml(thing(corners=(1, 1, 2, ""))),
    "object 1, 'person': its box is .*nan": xml(thing(corners=(1, 1, 2, "nan"))),
    "object 1, 'person': its box is empty or turned inside out": xml(thing(corners=(5, 1, 2, 2))),
    "object 1, 'person': its box leaves the image": xml(thing(corners=(1, 1, 12, 4))),
    "object 1, 'person': difficult is 0 or 1, it is 'no'": xml(thing(difficult="no")),
    "an xml of VOC has no document type": '<!DOCTYPE a [<!ENTITY b "c">]>' + xml(thing("&b;")),
    "the file is empty|not an xml file": "",
}


@pytest.mark.parametrize("message", DAMAGE)
def test_an_xml_that_makes_no_sense_is_named(root, message):
    add(root, "a", DAMAGE[message])
    with pytest.raises(ValueError, match=rf"Annotations.a\.xml: ({message})") as error:
        voc.read(root, "train")
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_named(root):
    (root / "Annotations" / "a.xml").write_bytes(b"\xff\x00\xd8")
    with pytest.raises(ValueError, match=r"a\.xml: not a text file"):
        voc.read(root, "train")


def test_a_document_type_in_another_encoding_is_refused_too(root):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]>' + xml(thing("&b;"))
    (root / "Annotations" / "a.xml").write_text(text, encoding="utf-16")
    with pytest.raises(ValueError, match="has no document type"):
        voc.read(root, "train")


def test_what_is_missing_is_named(root):
    (root / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.xml: its photograph is neither in .*JPEGImages nor beside it"):
        voc.read(root, "train").samples[1]
    (root / "Annotations" / "b.xml").unlink()
    with pytest.raises(ValueError, match=r"b\.xml: there is no such file"):
        voc.read(root, "train")


def test_a_photograph_or_a_mask_of_another_size_is_named(root):
    save_mask(root / "SegmentationClass" / "a.png", VALUES[:7])
    with pytest.raises(ValueError, match=r"a\.png: 10 x 7 pixels, but the photograph has 10 x 8"):
        voc.read(root, "train").samples[0]
    add(root, "a", xml(size=(10, 9)))
    with pytest.raises(ValueError, match=r"a\.jpg: 10 x 8 pixels, but a\.xml says 10 x 9"):
        voc.read(root, "train").samples[0]


def test_a_mask_of_an_unknown_class_is_named(root):
    save_mask(root / "SegmentationClass" / "a.png", np.full((8, 10), 21, np.uint8))
    with pytest.raises(ValueError, match=r"a\.png: it holds the class 21, but the classes are 0 to 20 and 255"):
        voc.read(root, "train").samples[0]


def test_an_unknown_class_is_refused_with_the_nearest(root):
    with pytest.raises(ValueError, match="no object is of class 'persn', do you mean 'person'"):
        voc.read(root, "train", ["persn"])


def test_a_listing_has_every_fault_and_the_rest_is_read(root):
    add(root, "a", xml(thing(corners=(5, 1, 2, 2)), thing(corners=(1, 1, 12, 4)), thing()))
    (root / "Annotations" / "b.xml").write_text("<")
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\nb\n")
    report = Listing()
    (sample,) = voc.read(root, "train", report=report).samples
    assert len(sample.boxes) == 1
    assert [Path(sentence.split(": ")[0]).name for sentence in report.faults] == [
        "train.txt, line 3",
        "a.xml",
        "a.xml",
        "b.xml",
    ]


def test_lines_of_a_list_may_have_a_number_a_suffix_or_folders(root):
    (root / "ImageSets" / "Main" / "val.txt").write_text("b  1\r\nJPEGImages/a.jpg\n")
    assert [len(sample.boxes) for sample in voc.read(root, "val").samples] == [1, 2]
    (root / "ImageSets" / "Main" / "val.txt").write_text("b -1\nb.JPG\n")
    with pytest.raises(ValueError, match=r"val\.txt, line 2: b is listed twice"):
        voc.read(root, "val")


def test_a_photograph_whose_name_ends_in_a_number_is_found(root):
    add(root, "a 1", xml(thing()))
    (root / "ImageSets" / "Main" / "val.txt").write_text("a 1\na\n")
    assert [len(sample.boxes) for sample in voc.read(root, "val").samples] == [1, 2]


@pytest.mark.parametrize(
    ("declared", "encoding"), [("ISO-8859-1", "latin-1"), ("ISO-8859-1", "utf-8"), ("big5", "big5")]
)
def test_an_xml_has_the_encoding_that_it_declares_or_utf_8(root, declared, encoding):
    name = "車" if encoding == "big5" else "Kätzchen"
    text = f"<?xml version='1.0' encoding='{declared}'?>" + xml(thing(name))
    (root / "Annotations" / "b.xml").write_bytes(text.encode(encoding))
    assert [entry.name for entry in voc.parse(root / "Annotations" / "b.xml").things] == [name]


@pytest.mark.parametrize(
    "declared", ["", "<?xml version='1.0' encoding='klingon'?>", "<?xml version='1.0' encoding='ascii'?>"]
)
def test_an_xml_in_no_encoding_that_it_says_is_named(root, declared):
    (root / "Annotations" / "b.xml").write_bytes((declared + xml(thing("Kätzchen"))).encode("latin-1"))
    with pytest.raises(ValueError, match=r"b\.xml: not a text file in UTF-8"):
        voc.read(root, "train")


def test_suffixes_in_large_letters_are_read(root):
    for old, new in (
        ("Annotations/a.xml", "a.XML"),
        ("JPEGImages/a.jpg", "A.Jpg"),
        ("SegmentationClass/a.png", "a.PNG"),
    ):
        (root / old).rename((root / old).with_name(new))
    sample = voc.read(root, "train").samples[0]
    np.testing.assert_array_equal(sample.mask, VALUES)


@pytest.mark.parametrize("mode", ["RGBA", "1"])
def test_masks_of_other_kinds_give_the_same_numbers(root, mode):
    path = root / "SegmentationClass" / "a.png"
    if mode == "1":
        Image.fromarray(VALUES > 0).save(path)
        expected = (VALUES > 0).astype(np.uint8)
    else:
        save_mask(path, np.where(VALUES == 255, 0, VALUES))
        Image.open(path).convert(mode).save(path)
        expected = np.where(VALUES == 255, 0, VALUES)
    np.testing.assert_array_equal(voc.read(root, "train").samples[0].mask, expected)


def test_a_mask_that_is_transparent_in_places_is_refused(root):
    Image.new("RGBA", (10, 8), (128, 0, 0, 9)).save(root / "SegmentationClass" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: it is transparent in places"):
        voc.read(root, "train").samples[0]


def test_a_mask_in_a_format_that_changes_numbers_is_refused_rather_than_passed_over(root):
    (root / "SegmentationClass" / "a.png").unlink()
    Image.fromarray(VALUES).save(root / "SegmentationClass" / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg: labels need a format that keeps every number"):
        voc.read(root, "train").samples[0]


def test_pictures_without_an_xml_are_counted(root):
    for name in ("y", "z", "._a"):
        Image.new("RGB", (10, 8)).save(root / "JPEGImages" / f"{name}.jpg")
    save_mask(root / "SegmentationClass" / "y.png")
    report = Listing()
    voc.read(root, "train", report=report)
    assert [doubt.removeprefix(str(root)) for doubt in report.doubts] == [
        "/JPEGImages/y.jpg: photographs without an xml are not read, 2 in all with this one",
        "/SegmentationClass/y.png: masks without an xml are not read, 1 in all with this one",
    ]


def test_one_xml_that_cannot_be_opened_does_not_lose_the_others(root, monkeypatch):
    real = voc.read_text

    def closed(path, *more):
        if path.name == "a.xml":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more)

    monkeypatch.setattr(voc, "read_text", closed)
    report = Listing()
    assert len(voc.read(root, "train", report=report).samples) == 1
    assert report.faults == [f"{root / 'Annotations' / 'a.xml'}: Permission denied"]


def test_a_palette_that_says_otherwise_than_the_numbers_is_refused(root):
    path = root / "SegmentationClass" / "a.png"
    colours = Image.open(path).convert("RGB")
    colours.quantize(4).save(path)  # looks the same, but its numbers are 0 to 3
    with pytest.raises(ValueError, match=r"a\.png: pixels of number . have the colour of class .*save it without"):
        voc.read(root, "train").samples[0]
    colours.save(path)
    np.testing.assert_array_equal(voc.read(root, "train").samples[0].mask, VALUES)


@pytest.mark.parametrize("palette", [[200, 30, 40] * 256, [value for k in range(256) for value in (k, k, k)]])
def test_a_palette_without_meaning_is_not_looked_at(root, palette):
    picture = Image.fromarray(VALUES)
    picture.putpalette(palette)
    picture.save(root / "SegmentationClass" / "a.png")
    np.testing.assert_array_equal(voc.read(root, "train").samples[0].mask, VALUES)


def test_colours_of_classes_that_are_not_vocs_say_nothing(root):
    for name in ("a", "b"):
        add(root, name, xml(thing("cup")))
    picture = Image.fromarray((VALUES == PERSON).astype(np.uint8))
    picture.putpalette([0, 0, 0, *voc.palette()[2].tolist()])
    picture.save(root / "SegmentationClass" / "a.png")
    assert voc.read(root, "train", ["cup"]).samples[0].mask.sum() == 20
