"""Pictures as people have them, from phones, scanners and drawing programs: one place opens them all.

What is trained on and what is predicted on goes through the same rules: a picture is turned upright as its EXIF data
say, 16 bits per channel are scaled to 8, what is transparent lies on white, and of several frames the first counts.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 2**27  # 134 million, more than phones have: a damaged header claims any size
ORIENTATION = 0x0112  # the number of EXIF's field
UPRIGHT = 1  # its value for a picture that needs no turning
SHALLOW_GREY = ("L;2", "L;4")  # Pillow scales these to 0..255: numbers of classes would change
PROGRAMS = ("EPS",)  # formats that Pillow would run another program for, whatever the file's name
HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")  # brands of such files

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit above stands in its place
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # such as of EXIF data; what matters is an error


class Opened(NamedTuple):
    """A picture in memory, upright, and what its file said of it."""

    picture: Image.Image
    format: str
    raw_mode: str


def read_photograph(source: Path | IO[bytes]) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 red, green, blue, upright; grey pictures get three equal channels.

    Args:
        source: a path, or a file that is open already.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture, or damaged, or too large, or neither of 8 nor of 16 bits per channel. The
            sentence names the file.
    """
    picture, file_format, _ = _open(source)
    if picture.mode.startswith("I;16") or (picture.mode == "I" and file_format in ("PNG", "PPM")):
        grey = (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)  # Pillow would clip it
        return np.repeat(grey[..., None], 3, axis=-1)
    if picture.mode in ("I", "F"):
        raise ValueError(
            f"{_name(source)}: a picture must have 8 or 16 bits per channel, this one has mode {picture.mode}"
        )
    try:
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return np.array(picture.convert("RGB"))
    except ValueError as error:  # a mode that Pillow has no way from
        raise ValueError(f"{_name(source)}: a picture of mode {picture.mode}: {error}") from None


def read_labels(path: Path, modes: Sequence[str]) -> np.ndarray:
    """Read a picture whose pixels are numbers of classes or segments: (H, W) or (H, W, channels) uint8, upright.

    Args:
        path: the file.
        modes: Pillow's names of the pixel formats that make sense here, such as "L" or "RGB".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, of another mode, or of a format that does not keep numbers as they are.
    """
    return read_labels_and_palette(path, modes)[0]


def read_labels_and_palette(path: Path, modes: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """The same as `read_labels`, and (K, 3) uint8 colours of the numbers from 0 on; None for a picture without them."""
    picture, file_format, raw_mode = _open(path)
    if file_format in ("JPEG", "MPO"):
        raise ValueError(f"{path}: labels need a format that keeps every number, such as PNG; this is a JPEG")
    if picture.mode not in modes or raw_mode in SHALLOW_GREY:
        mode = raw_mode if raw_mode in SHALLOW_GREY else picture.mode
        raise ValueError(f"{path}: labels need a picture of mode {' or '.join(modes)}, this one has mode {mode}")
    palette = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3) if picture.mode == "P" else None
    return np.array(picture).astype(np.uint8), palette


def turn_in_words(path: Path) -> str:
    """How a picture is turned, as the end of a sentence; nothing where it is not."""
    turn = orientation(path)
    return "" if turn == UPRIGHT else f"; {path.name} is turned upright first, for its EXIF orientation is {turn}"


def orientation(path: Path) -> int:
    """How a picture is turned, as its EXIF data say: 1, upright, to 8; 1 where they say nothing."""
    try:
        with Image.open(path) as picture:
            turn: int = picture.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:
        return UPRIGHT
    return turn if turn in range(UPRIGHT, 9) else UPRIGHT


def require_file(path: Path) -> None:
    """Make sure that a file is there.

    Raises:
        FileNotFoundError: one sentence that names it.
    """
    if not path.is_file():
        what = "it is a folder, not a file" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"{path}: {what}")


def _open(source: Path | IO[bytes]) -> Opened:
    if isinstance(source, Path):
        require_file(source)
        if source.stat().st_size == 0:
            raise ValueError(f"{source}: the file is empty")
    try:
        # Not by its name: Pillow 13 would map an uncompressed TIFF into memory and mix up the sides of a turned one.
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            picture = Image.open(file)
            if picture.format in PROGRAMS:
                raise UnidentifiedImageError
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError(f"it claims {width:,} x {height:,} pixels")
            raw_mode = str(picture.tile[0][3]) if picture.tile else ""
            picture.load()
            return Opened(_upright(picture), picture.format or "", raw_mode)
    except PermissionError:  # its sentence is clear, and the file need not be damaged
        raise
    except UnidentifiedImageError:
        raise ValueError(f"{_name(source)}: not a picture that can be read, {_beginning(source)}") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{_name(source)}: too large, or damaged: {error}") from None
    except Exception as error:  # a file from outside can make a decoder stop with anything
        raise ValueError(f"{_name(source)}: not a picture that can be read, perhaps cut off: {error}") from None


def _beginning(source: Path | IO[bytes]) -> str:
    """What the first bytes of a file say of a picture that Pillow does not know."""
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        file.seek(0)
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return "it is HEIC, as phones write it: save it as JPEG, or set the phone to its most compatible format"
    return "its beginning is that of none"


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # EXIF data that are damaged say nothing
        return picture


def _name(source: Path | IO[bytes]) -> str:
    return str(source) if isinstance(source, Path) else "the file"
