"""Weights that tell two networks apart: fresh batch normalisations would hide a wrong order or a wrong epsilon."""

import keras
import numpy as np

NORM_RANGES = {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5), "moving_mean": (-0.5, 0.5), "moving_variance": (0.2, 2.0)}


def randomise(model: keras.Model, seed: int) -> None:
    """Draw all weights at random, those of batch normalisations too, so that the image still matters at the output."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name in NORM_RANGES:
                weight.assign(rng.uniform(*NORM_RANGES[weight.name], weight.shape))
            elif weight.name == "kernel":
                own_channel_alone = isinstance(layer, keras.layers.DepthwiseConv2D)
                fan_in = np.prod(weight.shape[:2] if own_channel_alone else weight.shape[:-1])
                weight.assign(rng.normal(0, fan_in**-0.5, weight.shape))


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one pass through the convolutions and dense layers, as papers count them."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
            places = np.prod(layer.output.shape[1:-1], dtype=int)
            total += places * np.prod(layer.kernel.shape)
    return int(total)
