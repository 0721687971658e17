"""What a reader does with a fault of a data set: it stops at the first, or it lists them all.

A reader of training data must not go on beside a fault, so it raises. `ssdseg data check` wants every fault of every
file: it reads with a `Listing`, which notes the sentence, and the reader leaves out what it is about.
"""

from pathlib import Path

import numpy as np

from ssdseg_ref.data.pictures import orientation, read_photograph, turn_in_words


class Report:
    """Stops at the first fault."""

    def wrong(self, sentence: str) -> None:
        """Take note of a fault; where this returns, the reader leaves out what the sentence is about.

        Args:
            sentence: names the file first, then says what was wanted and what came.

        Raises:
            ValueError: the sentence.
        """
        raise ValueError(sentence)

    def doubtful(self, sentence: str) -> None:
        """Take note of what may be right, but is worth a look; reading goes on with it."""


class Listing(Report):
    """Collects every fault.

    Attributes:
        faults: the sentences, in the order of the files.
        doubts: likewise.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.doubts: list[str] = []

    def wrong(self, sentence: str) -> None:
        """Note the sentence."""
        self.faults.append(sentence)

    def doubtful(self, sentence: str) -> None:
        """Note the sentence."""
        self.doubts.append(sentence)


STRICT = Report()


def read_photograph_of(path: Path, size: tuple[int, int] | None, says: str, report: Report) -> np.ndarray:
    """Read a photograph, (H, W, 3) uint8 and upright, whose annotations say how large it is.

    Args:
        path: the file.
        size: (width, height), or None where nothing is said.
        says: who says it, such as "the json".
        report: gets a doubt about a photograph that is turned: what was drawn on it as it is stored does not fit.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or is of another size.
    """
    image = read_photograph(path)
    if size not in (None, image.shape[1::-1]):
        wanted = " x ".join(map(str, size))
        raise ValueError(f"{path}: {in_pixels(image)} pixels, but {says} says {wanted}{turn_in_words(path)}")
    if (turn := orientation(path)) != 1:
        report.doubtful(
            f"{path}: its EXIF orientation is {turn}: make sure that it was annotated upright, as it is read"
        )
    return image


def in_pixels(image: np.ndarray) -> str:
    """Width x height of (H, W, ...), in words."""
    return f"{image.shape[1]} x {image.shape[0]}"
