"""The few photographs that lesson 10 learns from: Penn-Fudan's where they are, else drawings that stand in for them."""

import os
from collections.abc import Sequence

from ssdseg_ref.data import downloads, pennfudan
from ssdseg_ref.data.augment import WHOLE, crop
from ssdseg_ref.data.sample import IMAGE_SIZE, Sample
from ssdseg_ref.data.styles import stand_ins
from ssdseg_ref.data.warehouse import SPLITS

FOLDER = "SSDSEG_PENNFUDAN"  # environment variable: where Penn-Fudan lies; empty: stand-ins, whatever there is
STAND_INS = {"train": 100, "validation": 40}


def lesson_photographs(size: tuple[int, int] = IMAGE_SIZE) -> tuple[str, list[Sample], list[Sample]]:
    """People, the one class, in pictures that a network of drawings has not seen the like of.

    Args:
        size: (height, width) in pixels that all pictures are brought to.

    Returns:
        name: "Penn-Fudan" or "stand-ins".
        train: to learn from; of stand-ins there are 100.
        validation: to be judged by; of stand-ins there are 40.

    Raises:
        FileNotFoundError: if the environment names a folder without photographs of Penn-Fudan.
    """
    if photographs := penn_fudan(size):
        return "Penn-Fudan", *photographs
    train, validation = (stand_ins(SPLITS[split], count, size) for split, count in STAND_INS.items())
    return "stand-ins", train, validation


def penn_fudan(size: tuple[int, int] = IMAGE_SIZE) -> tuple[list[Sample], list[Sample]] | None:
    """Penn-Fudan's photographs to learn from and to be judged by; None where it is not.

    Args:
        size: (height, width) in pixels that all are brought to.

    Raises:
        FileNotFoundError: if the environment names a folder without them.
    """
    fetched = downloads.located("pennfudan") if downloads.is_there("pennfudan") else ""
    folder = os.environ.get(FOLDER, fetched)
    if not folder:
        return None
    train, validation = (_of_size(pennfudan.read(folder, split), size) for split in ("train", "validation"))
    return train, validation


def _of_size(samples: Sequence[Sample], size: tuple[int, int]) -> list[Sample]:
    return [crop(sample, WHOLE, size) for sample in samples]
