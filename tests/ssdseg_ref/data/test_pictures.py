"""One place opens all pictures: are they read as their owners see them, and the broken ones named?"""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from ssdseg_ref.data import pictures
from ssdseg_ref.data.pictures import read_labels, read_photograph, turn_in_words

ORIENTATION = 0x0112
STORED_AS = {  # EXIF's number -> what a camera has done to the upright picture
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
RAMP = np.arange(240, dtype=np.uint8).reshape(12, 20)


def png(width, height, *, colour=0, depth=8, data=b""):
    """A PNG with any header, such as one that lies."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_a_picture_is_turned_upright_and_so_are_labels(tmp_path, orientation, form):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{form}"
    Image.fromarray(RAMP).transpose(STORED_AS[orientation]).save(path, exif=exif)
    np.testing.assert_array_equal(read_labels(path, ["L"]), RAMP)
    np.testing.assert_array_equal(read_photograph(path)[..., 1], RAMP)
    assert turn_in_words(path) == (
        f"; turned.{form} is turned upright first, for its EXIF orientation is {orientation}"
    )


def test_a_picture_without_a_turn_is_not_spoken_of(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "plain.png")
    assert turn_in_words(tmp_path / "plain.png") == turn_in_words(tmp_path / "nosuch.png") == ""


@pytest.mark.parametrize("form", ["png", "tiff", "ppm"])
def test_sixteen_bits_of_grey_are_scaled(tmp_path, form):
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / f"deep.{form}")
    np.testing.assert_array_equal(read_photograph(tmp_path / f"deep.{form}"), np.repeat(RAMP[..., None], 3, axis=-1))


def test_sixteen_bits_of_colour_are_scaled(tmp_path):
    rows = b"".join(b"\0" + (np.repeat(row, 3).astype(">u2") * 257).tobytes() for row in RAMP)
    (tmp_path / "deep.png").write_bytes(png(20, 12, colour=2, depth=16, data=rows))
    np.testing.assert_array_equal(read_photograph(tmp_path / "deep.png"), np.repeat(RAMP[..., None], 3, axis=-1))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_range_are_refused(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "deep.tiff")
    with pytest.raises(ValueError, match=rf"deep\.tiff: a picture must have 8 or 16 bits .* mode {mode}"):
        read_photograph(tmp_path / "deep.tiff")


@pytest.mark.parametrize(("mode", "form"), [("1", "png"), ("L", "bmp"), ("CMYK", "jpeg"), ("YCbCr", "jpeg")])
def test_pictures_of_other_colours_become_red_green_and_blue(tmp_path, mode, form):
    Image.new("RGB", (8, 8), "white").convert(mode).save(tmp_path / f"white.{form}")
    assert read_photograph(tmp_path / f"white.{form}").min() > 250


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    if mode == "P":
        picture = Image.new("P", (8, 8), 0)
        picture.putpalette([0, 0, 0, 255, 0, 0])
        picture.putpixel((0, 0), 1)
        picture.save(tmp_path / "clear.png", transparency=0)
    else:
        picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        picture.putpixel((0, 0), (255, 0, 0, 255))
        picture.convert(mode).save(tmp_path / "clear.png")
    pixels = read_photograph(tmp_path / "clear.png")
    assert pixels[4, 4].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == ([76, 76, 76] if mode == "LA" else [255, 0, 0])


def test_of_a_film_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert read_photograph(tmp_path / "film.gif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(20_000, 20_000), (13_000, 13_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_claims_an_enormous_picture_takes_no_memory(tmp_path, size):
    (tmp_path / "huge.png").write_bytes(png(*size))
    with pytest.raises(ValueError, match=r"huge\.png: (too large, or damaged|not a picture that can be read)"):
        read_photograph(tmp_path / "huge.png")


@pytest.mark.parametrize("content", [b"", b"\0\5\x16\7\0\2\0\0Mac OS X        ", b"nonsense", png(8, 8), png(0, 8)])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: "):
        read_photograph(tmp_path / "broken.png")


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "tiff", "webp", "bmp"])
def test_a_picture_cut_off_anywhere_is_named_or_whole(tmp_path, form):
    """Whatever a decoder raises becomes one sentence; a few formats can spare their last bytes."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(file, form)
    content = file.getvalue()
    for share in np.linspace(0, 1, 25)[:-1]:
        (tmp_path / "cut").write_bytes(content[: int(share * len(content))])
        try:
            whole = read_photograph(tmp_path / "cut").shape == (20, 30, 3) and share > 0.9
        except ValueError as error:
            whole = str(error).startswith(f"{tmp_path / 'cut'}: ")
        assert whole, share


def test_damaged_exif_data_turn_nothing(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "odd.png", exif=b"Exif\0\0MM\0*\0\0\0\xff")
    assert read_photograph(tmp_path / "odd.png").shape == (12, 20, 3)


@pytest.mark.parametrize("kind", ["missing", "a folder", "a link to itself", "a pipe"])
def test_what_is_no_file_is_named(tmp_path, kind):
    path = tmp_path / "x.jpg"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a link to itself":
        path.symlink_to(path)
    elif kind == "a pipe":
        os.mkfifo(path)  # opening it would wait for ever
    said = "it is a folder, not a file" if kind == "a folder" else "there is no such file"
    with pytest.raises(FileNotFoundError, match=rf"x\.jpg: {said}"):
        read_photograph(path)


def test_a_mask_whose_numbers_are_not_kept_is_refused(tmp_path):
    Image.fromarray(RAMP % 4).save(tmp_path / "mask.jpg")
    with pytest.raises(ValueError, match=r"mask\.jpg: labels need a format that keeps every number"):
        read_labels(tmp_path / "mask.jpg", ["L"])
    (tmp_path / "mask.png").write_bytes(png(4, 1, depth=2, data=b"\0\x1b"))  # the classes 0 to 3 in one byte
    with pytest.raises(ValueError, match=r"mask\.png: labels need a picture of mode L, .* mode L;2"):
        read_labels(tmp_path / "mask.png", ["L"])


def test_the_limit_allows_what_phones_take():
    assert pictures.MOST_PIXELS > 108e6


def test_no_other_module_opens_pictures():
    """Two ways to open them would follow two sets of rules."""
    root = Path(pictures.__file__).parents[2]
    opening = {
        path.name
        for package in ("ssdseg_ref", "ssdseg_course")
        for path in (root / package).rglob("*.py")
        if "Image.open(" in path.read_text(encoding="utf-8")
    }
    opening -= {"figures.py", "styles.py", "recipes.py"}  # what they have drawn; lines for somebody else's program
    assert opening == {"pictures.py"}


@pytest.mark.parametrize("opened", [False, True])
def test_heic_is_named_with_what_to_do(tmp_path, opened):
    (tmp_path / "x.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with (tmp_path / "x.jpg").open("rb") as file, pytest.raises(ValueError, match=r"it is HEIC.* save it as JPEG"):
        read_photograph(file if opened else tmp_path / "x.jpg")


def test_a_program_that_is_named_as_a_picture_is_not_run(tmp_path, monkeypatch):
    Image.fromarray(RAMP).save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.jpg")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript has run"))
    with pytest.raises(ValueError, match=r"x\.jpg: not a picture that can be read"):
        read_photograph(tmp_path / "x.jpg")
