"""The reader for Penn-Fudan, on photographs of 8 x 6 pixels, and on the real ones beside their own texts."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.data import pennfudan, registry
from ssdseg_ref.data.reports import Listing

PENNFUDAN = Path(os.environ.get("SSDSEG_PENNFUDAN", Path(__file__).parents[4] / "shared" / "pennfudan"))
needs_pennfudan = pytest.mark.skipif(
    not PENNFUDAN.is_dir(), reason=f"needs Penn-Fudan's photographs in {PENNFUDAN}, or where SSDSEG_PENNFUDAN points"
)

PEOPLE = np.zeros((6, 8), np.uint8)
PEOPLE[1:4, 1:3] = 1
PEOPLE[2:6, 4:8] = 2
TEXT = (
    'Bounding box for object 1 "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : (2, 2) - (3, 4)\n'
    'Bounding box for object 2 "PASpersonStanding" (Xmin, Ymin) - (Xmax, Ymax) : (5, 3) - (8, 6)\n'
)


def add(folder, name, people=PEOPLE):
    Image.new("RGB", (8, 6), (10, 20, 30)).save(folder / "PNGImages" / f"{name}.png")
    Image.fromarray(people).save(folder / "PedMasks" / f"{name}_mask.png")
    (folder / "Annotation" / f"{name}.txt").write_text(TEXT)


@pytest.fixture
def folder(tmp_path):
    """A data set of one photograph of each split, and of one more to train on."""
    root = tmp_path / "PennFudanPed"
    for part in ("PNGImages", "PedMasks", "Annotation"):
        (root / part).mkdir(parents=True)
    for name in ("FudanPed00001", "FudanPed00005", "FudanPed00030", "PennPed00007"):
        add(root, name)
    return root


def test_every_person_gives_a_box_and_pixels(folder):
    sample = pennfudan.read(folder, "train")[0]
    np.testing.assert_array_equal(sample.mask, PEOPLE > 0)
    np.testing.assert_allclose(sample.boxes * [8, 6, 8, 6], [[1, 1, 3, 4], [4, 2, 8, 6]], rtol=1e-6)
    assert sample.labels.tolist() == [1, 1]
    sample.validate(classes=1)


def test_the_number_in_the_name_gives_the_split(folder):
    assert {split: len(pennfudan.read(folder, split)) for split in pennfudan.SPLITS} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    assert [pennfudan.split_of(number) for number in (1, 5, 6, 30, 35)] == [
        "train",
        "validation",
        "test",
        "test",
        "validation",
    ]


def test_the_folder_around_it_will_do(folder):
    assert registry.recognise(folder.parent).name == registry.recognise(folder).name == "Penn-Fudan"
    assert len(registry.open_data_set(folder.parent).samples) == 2  # train


def test_only_splits_with_a_photograph_are_there(folder):
    (folder / "PNGImages" / "FudanPed00030.png").unlink()
    (folder / "PNGImages" / "._FudanPed00006.png").write_bytes(b"of a Mac")
    assert registry.recognise(folder).splits(folder) == ["train", "validation"]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("PedMasks/PennPed00007_mask.png", r"PennPed00007\.png: it has no mask, PedMasks/PennPed00007_mask\.png"),
        ("PNGImages/PennPed00007.png", r"PennPed00007_mask\.png: it has no photograph"),
    ],
)
def test_half_a_pair_is_named(folder, missing, message):
    (folder / missing).unlink()
    samples = pennfudan.read(folder, "train")
    assert len(samples[0].boxes) == 2  # the others are not lost
    with pytest.raises(FileNotFoundError, match=message):
        samples[1]


def test_a_mask_of_another_size_is_named(folder):
    add(folder, "FudanPed00001", PEOPLE[:5])
    with pytest.raises(ValueError, match=r"00001_mask\.png: 8 x 5 pixels, but the photograph has 8 x 6"):
        pennfudan.read(folder, "train")[0]


@pytest.mark.parametrize("file", ["PNGImages/FudanPed00001.png", "PedMasks/FudanPed00001_mask.png"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_picture_is_named(folder, file, share):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=Path(file).name):
        pennfudan.read(folder, "train")[0]


def test_a_text_that_counts_other_people_is_named(folder):
    (folder / "Annotation" / "FudanPed00001.txt").write_text(TEXT.splitlines()[0])
    with pytest.raises(ValueError, match=r"00001\.txt: it has boxes of the people \[1\], .* has \[1, 2\]"):
        pennfudan.read(folder, "train")[0]


def test_a_text_whose_box_lies_elsewhere_is_doubted(folder):
    (folder / "Annotation" / "FudanPed00001.txt").write_text(TEXT.replace("(2, 2)", "(5, 2)"))
    (folder / "Annotation" / "PennPed00007.txt").unlink()
    report = Listing()
    assert len(list(pennfudan.read(folder, "train", report))) == 2
    assert report.faults == []
    assert "the box of person 1 is 4, 1, 3, 4 (corners in pixels), but its pixels' is 1, 1, 3, 4" in report.doubts[0]
    assert "PennPed00007.txt: there is no such file" in report.doubts[1]


def test_an_unknown_split_or_class_is_refused(folder):
    with pytest.raises(ValueError, match="no split 'val', it has train, validation, test"):
        pennfudan.read(folder, "val")
    with pytest.raises(ValueError, match="one class person, not dog"):
        registry.open_data_set(folder, "train", ("dog",))


def test_a_folder_without_photographs_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no PNGImages"):
        pennfudan.read(tmp_path, "train")


@needs_pennfudan
def test_real_photographs_hold_as_many_people_as_their_texts_say():
    counted = {"train": [0, 0], "validation": [0, 0]}
    for text in (PENNFUDAN / "PennFudanPed" / "Annotation").glob("*.txt"):
        of_split = counted["validation" if int(text.stem[-5:]) % 5 == 0 else "train"]
        of_split[0] += 1
        of_split[1] += int(re.search(r"Objects with ground truth : (\d+)", text.read_text("latin-1"))[1])
    assert counted == {"train": [114, 290], "validation": [28, 70]}
    for split, (photographs, people) in counted.items():
        samples = pennfudan.read(PENNFUDAN, split)
        assert len(samples) == photographs
        assert sum(len(sample.boxes) for sample in samples) == people


def test_suffixes_in_large_letters_and_masks_of_one_bit_are_read(folder):
    expected = pennfudan.read(folder, "train")[0]
    photograph, mask = folder / "PNGImages" / "FudanPed00001.png", folder / "PedMasks" / "FudanPed00001_mask.png"
    photograph.rename(photograph.with_suffix(".PNG"))
    mask.unlink()
    Image.fromarray(PEOPLE == 1).save(mask.with_suffix(".PNG"))
    (folder / "Annotation" / "FudanPed00001.txt").write_text(TEXT.splitlines()[0])
    sample = pennfudan.read(folder, "train")[0]
    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.boxes, expected.boxes[:1])
