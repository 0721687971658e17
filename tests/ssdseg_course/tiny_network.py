"""A network of a few layers with the inputs and outputs of the course's: what converts and packs is tried on it."""

import keras
from keras import layers

from ssdseg_ref.blocks import depthwise_bn
from ssdseg_ref.config import LESSON, Config
from ssdseg_ref.deeplabv3plus import resize
from ssdseg_ref.shufflenetv2 import channel_shuffle
from ssdseg_ref.ssdlite import ssdlite

TINY = Config(
    classes=LESSON.classes,
    image_size=(32, 48),
    backbone="none",
    alpha=1.0,
    width="none",
    extra_channels=(),
    scales=(0.2, 0.4, 0.7, 0.9),
    aspect_ratios=((0.5,), (0.5, 1.0), (1.0,)),
    aspp_rates=(),
    mask_channels=8,
    low_level_channels=8,
)


def tiny_network(config: Config = TINY, seed: int = 0) -> keras.Model:
    """Strides 8, 16 and 32, each with its heads; padding, dilated convolutions, shuffles and a resizing on the way."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((*config.image_size, 3), name="image")
    x = layers.ZeroPadding2D(1)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    maps = []
    for index, (stride, padding) in enumerate(((8, "valid"), (2, "same"), (2, "same"))):
        x = layers.Conv2D(8, 3, stride, padding, activation="relu", name=f"conv{index}")(x)
        x = channel_shuffle(depthwise_bn(x, dilation=2, name=f"dilated{index}"))
        maps.append(x)
    classes = len(config.classes)
    logits, offsets = ssdlite(maps, config.anchor_spec.anchors_per_cell, classes)
    mask = resize(layers.Conv2D(classes + 1, 1, name="mask_predict")(maps[0]), config.image_size)
    network = keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})
    for variable in network.trainable_variables:  # heads begin near zero, where nothing could be told apart
        variable.assign(variable + keras.random.normal(variable.shape, stddev=0.1, seed=len(variable.shape)))
    return network
