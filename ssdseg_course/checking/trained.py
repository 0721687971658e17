"""Answers that are trained: how a classifier and a decoder of the learner's are run for challenges 4, 5 and 7.

What an answer needs comes in as arguments, and no truth of what it is judged by; a sandbox has neither weights nor the
answers to a lesson, so nothing here uses the reference's blocks.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Function
from ssdseg_course.checking.fair_training import Batch, Limits, multiply_adds, must_be_a_network, must_fit, train
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.lazy import LazyModule
from ssdseg_ref.data.sample import IGNORE

keras = LazyModule("keras")

Trained = tuple[np.ndarray, np.ndarray]  # what it says of what it is judged by; its parameters and its multiply-adds

CLASSIFIER_LIMITS = Limits(parameters=199_999, multiply_adds=10_000_000, yardsticks=15)
CLASSIFIER_RATE, CLASSIFIER_BATCH = 4e-3, 32
LIGHT = 0.2  # by which a crop is made darker or lighter, and its contrast changed, at most

DECODER_LIMITS = Limits(parameters=400_000, multiply_adds=150_000_000, yardsticks=15)
DECODER_RATE, DECODER_BATCH = 4e-3, 8
STRIDES = (4, 8, 16, 32)  # of the maps that a decoder gets


def run_classifier(build: Function, arguments: Arguments) -> Trained:
    """Build a classifier by a learner's function, train it, and sort crops with it.

    Args:
        build: the learner's.
        arguments: (N, H, W, 3) uint8 crops to learn from, (N,) their labels, (M, H, W, 3) uint8 crops to sort, steps,
            seed.

    Returns:
        (M, C) float32 logits; and (2,) parameters and multiply-adds.

    Raises:
        WrongAnswer: if it is no such network, or too large, or cannot be trained.
    """
    images, labels, judged, steps, seed = arguments
    shape, classes = images.shape[1:], int(labels.max()) + 1
    keras.utils.set_random_seed(int(seed))
    network = must_be_a_network(build(), build)
    must_fit(network, CLASSIFIER_LIMITS)
    _must_sort(network, shape, classes)
    train(
        network,
        _crops_in_order(images, labels, int(seed)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        int(steps),
        CLASSIFIER_RATE,
        yardstick=_classifier_yardstick(shape, classes),
        yardsticks=CLASSIFIER_LIMITS.yardsticks,
    )
    logits = np.asarray(network.predict(_scaled(judged), batch_size=128, verbose=0), np.float32)
    return _finite(logits), np.array([network.count_params(), multiply_adds(network)])


def run_decoder(decoder: Function, arguments: Arguments) -> Trained:
    """Build a decoder by a learner's function on a frozen backbone, train it, and label every pixel of pictures.

    Args:
        decoder: the learner's.
        arguments: weights of the backbone, all in a row, (N, H, W, 3) uint8 pictures to learn from, (N, H, W) uint8
            their masks, (M, H, W, 3) uint8 pictures to label, number of classes with background, steps, seed.

    Returns:
        (M, H, W) uint8 classes; and (2,) parameters and multiply-adds of the decoder.

    Raises:
        WrongAnswer: if it builds no such network, or one too large, or one that cannot be trained.
    """
    weights, images, masks, judged, classes, steps, seed = arguments
    size = images.shape[1:3]
    backbone = backbone_of(size)
    _set_in_a_row(backbone, weights)
    keras.utils.set_random_seed(int(seed))
    inputs = {stride: keras.Input(map_.shape[1:]) for stride, map_ in zip(STRIDES, backbone.outputs, strict=True)}
    network = _head(decoder(dict(inputs)), inputs, size, int(classes))
    must_fit(network, DECODER_LIMITS)
    learned, looked_at = (_maps(backbone, pictures) for pictures in (images, judged))
    train(
        network,
        _maps_in_order(learned, masks, int(seed)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORE),
        int(steps),
        DECODER_RATE,
        yardstick=_head(_plain_decoder(inputs, int(classes)), inputs, size, int(classes)),
        yardsticks=DECODER_LIMITS.yardsticks,
    )
    said = [
        _finite(
            network.predict_on_batch([map_[start : start + DECODER_BATCH].astype(np.float32) for map_ in looked_at])
        )
        for start in range(0, len(judged), DECODER_BATCH)
    ]
    guessed = np.concatenate([logits.argmax(axis=-1).astype(np.uint8) for logits in said])
    return guessed, np.array([network.count_params(), multiply_adds(network)])


def _must_sort(network: Any, shape: tuple[int, ...], classes: int) -> None:
    """See that a network takes crops and gives logits."""
    takes = [tuple(one.shape[1:]) for one in network.inputs]
    if takes != [shape]:
        raise WrongAnswer(
            f"the network takes pictures of {shape}: begin with `keras.Input({shape})`; yours takes {takes}"
        )
    gives = [tuple(one.shape[1:]) for one in network.outputs]
    if gives != [(classes,)]:
        raise WrongAnswer(
            f"the network gives {classes} logits a picture, a shape of ({classes},), and yours gives {gives}"
        )
    said = np.asarray(network(np.random.default_rng(0).uniform(-1, 1, (8, *shape)).astype(np.float32)))
    if (said >= 0).all() and np.allclose(said.sum(axis=-1), 1, atol=1e-3):
        raise WrongAnswer("the network ends in a softmax, and the course's loss wants logits: leave the softmax out")


def _head(built: Any, inputs: dict[int, Any], size: tuple[int, int], classes: int) -> Any:
    """The model from the backbone's maps to logits of every pixel, by what a decoder has built."""
    if not isinstance(built, keras.KerasTensor):
        kind = "None: does every way end in `return`?" if built is None else f"something else: {type(built).__name__}"
        raise WrongAnswer(f"the decoder should return the Keras tensor of its logits, and returned {kind}")
    if len(built.shape) != 4 or built.shape[-1] != classes:
        raise WrongAnswer(
            f"the decoder gives {classes} logits a place, a shape of (rows, columns, {classes}), and yours gives "
            f"{tuple(built.shape[1:])}"
        )
    if tuple(built.shape[1:3]) != size:
        built = keras.ops.image.resize(built, size, interpolation="bilinear")
    try:
        return keras.Model(list(inputs.values()), built)
    except ValueError as error:
        raise WrongAnswer(f"the logits do not come from the maps alone: {str(error).splitlines()[0]}") from error


def backbone_of(size: tuple[int, int]) -> Any:
    """The backbone of the network `lesson`, from (B, H, W, 3) pixels in 0..255 to its maps, with random weights.

    Args:
        size: (H, W).
    """
    from ssdseg_ref.blocks import NORM
    from ssdseg_ref.config import LESSON
    from ssdseg_ref.mobilenetv2 import mobilenet_v2_features

    image = keras.Input((*size, 3))
    maps = mobilenet_v2_features(keras.layers.Rescaling(1 / 127.5, offset=-1)(image), LESSON.alpha, norm=NORM)
    return keras.Model(image, [maps[stride] for stride in STRIDES])


def _set_in_a_row(network: Any, weights: np.ndarray) -> None:
    """Give a network its weights, which come all in a row."""
    ends = np.cumsum([int(np.prod(weight.shape)) for weight in network.weights])
    parts = np.split(weights, ends[:-1])
    network.set_weights([part.reshape(own.shape) for part, own in zip(parts, network.weights, strict=True)])


def _maps(backbone: Any, images: np.ndarray) -> list[np.ndarray]:
    """The backbone's maps of many pictures, in float16, for there are many numbers."""
    batches = [backbone.predict_on_batch(images[start : start + 16]) for start in range(0, len(images), 16)]
    return [np.concatenate([batch[place].astype(np.float16) for batch in batches]) for place in range(len(STRIDES))]


def _maps_in_order(maps: list[np.ndarray], masks: np.ndarray, seed: int) -> Iterator[Batch]:
    for chosen in _in_order(len(masks), DECODER_BATCH, np.random.default_rng(seed)):
        yield [map_[chosen].astype(np.float32) for map_ in maps], masks[chosen].astype(np.int32)


def _crops_in_order(images: np.ndarray, labels: np.ndarray, seed: int) -> Iterator[Batch]:
    """Batches of crops without end, mirrored and in other light at random."""
    rng = np.random.default_rng(seed)
    for chosen in _in_order(len(images), CLASSIFIER_BATCH, rng):
        batch = _scaled(images[chosen])
        mirrored = rng.random(len(batch)) < 0.5
        batch[mirrored] = batch[mirrored, :, ::-1]
        contrast, light = rng.uniform(-LIGHT, LIGHT, (2, len(batch), 1, 1, 1)).astype(np.float32)
        yield np.clip(batch * (1 + contrast) + light, -1, 1), labels[chosen]


def _in_order(count: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices of batches: all in a random order, then all again in another."""
    waiting = np.empty(0, int)
    while True:
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(count)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def _scaled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / np.float32(127.5) - 1


def _finite(logits: np.ndarray) -> np.ndarray:
    if not np.isfinite(logits).all():
        raise WrongAnswer("the trained network gives numbers that are none (nan or infinity)")
    return logits


def _classifier_yardstick(shape: tuple[int, ...], classes: int) -> Any:
    """Three bottlenecks without a sum, as the start answer of lesson 4 has them."""
    layers = keras.layers
    x = image = keras.Input(shape)
    x = _normalised(layers.Conv2D(16, 3, 2, "same", use_bias=False)(x))
    for channels in (24, 32, 48):
        x = _normalised(layers.Conv2D(3 * x.shape[-1], 1, use_bias=False)(x))
        x = _normalised(layers.DepthwiseConv2D(3, 2, "same", use_bias=False)(x))
        x = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(x))
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def _normalised(x: Any) -> Any:
    return keras.layers.Activation("relu6")(keras.layers.BatchNormalization()(x))


def _plain_decoder(maps: dict[int, Any], classes: int) -> Any:
    """The start answer of lesson 7: the map of stride 16 enlarged and laid over that of stride 4."""
    layers, ops = keras.layers, keras.ops
    narrow = [_normalised(layers.Conv2D(32, 1, use_bias=False)(maps[stride])) for stride in (4, 16)]
    coarse = ops.image.resize(narrow[1], narrow[0].shape[1:3], interpolation="bilinear")
    return layers.Conv2D(classes, 1)(layers.Concatenate()([narrow[0], coarse]))
