"""Lesson 0: right answers that are written in another way. Every one must pass."""

import numpy as np
from answers import assert_passes, every_variant, exercises_of


def by_hand(box, image_size):
    height, width = image_size
    xmin, ymin, xmax, ymax = box
    return xmin * width, ymin * height, xmax * width, ymax * height


def by_a_loop(box, image_size):
    pixels = []
    for place, side in enumerate(box):
        pixels.append(float(side) * image_size[(place + 1) % 2])
    return pixels


def in_float32(box, image_size):
    return np.float32(box) * np.float32(list(image_size[::-1]) * 2)


def corner_by_corner(box, image_size):
    return (np.reshape(box, (2, 2)) * image_size[::-1]).ravel()


HONEST = {"00.to_pixels": (by_hand, by_a_loop, in_float32, corner_by_corner)}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("00")
