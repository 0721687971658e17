"""Lesson 0: right answers that are written in another way, and wrong ones as people write them."""

import numpy as np
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of


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


# Mistakes, written as people write them


def both_sides_at_once(box, image_size):
    return box * np.array(image_size)


def unpacked_as_three(box, image_size):
    height, width, _ = image_size
    return box * (width, height, width, height)


def whole_pixels(box, image_size):
    height, width = image_size
    return [int(number) for number in box * np.array([width, height, width, height])]


def the_last_by_the_wrong_side(box, image_size):
    height, width = image_size
    return box[0] * width, box[1] * height, box[2] * width, box[3] * width


MISTAKES = {
    "00.to_pixels": (
        (both_sides_at_once, "which number goes with which side?"),
        (unpacked_as_three, "holds two numbers, (height, width)"),
        (whole_pixels, "what stood behind the point was cut off"),
        (the_last_by_the_wrong_side, "ymax by the width: that is the wrong side"),
    )
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
