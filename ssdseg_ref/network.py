"""The joint network: one backbone, with SSDLite and DeepLabV3+ on top of it."""

import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import keras
from keras import KerasTensor, layers

from ssdseg_ref.blocks import NORM, separable_conv_bn
from ssdseg_ref.config import BACKBONE_STRIDES, SHIPPED, Config, config_of
from ssdseg_ref.data.sample import IGNORE
from ssdseg_ref.deeplabv3plus import deeplabv3plus
from ssdseg_ref.mobilenetv2 import mobilenet_v2_features
from ssdseg_ref.shufflenetv2 import shufflenet_v2_features
from ssdseg_ref.ssdlite import extra_maps, ssdlite

WEIGHTS = Path(__file__).parent / "weights"
CONFIG_MEMBER = "ssdseg.json"  # of a `.keras` file, which is a zip archive; Keras reads its own members alone


def build_network(config: Config) -> keras.Model:
    """The joint network, out of stock Keras layers: a saved `.keras` file loads without custom code.

    Args:
        config: such as `LESSON` or `REFERENCE`.

    Returns:
        A model from images (B, H, W, 3), pixels in 0..255, to {"classes": (B, N, C + 1) logits, "offsets": (B, N, 4),
        "mask": (B, H, W, C + 1) logits}.

    Raises:
        ValueError: if the configuration does not hold together.
    """
    classes = len(config.classes)
    if not 1 <= classes < IGNORE:
        raise ValueError(f"a network knows 1 to {IGNORE - 1} classes, got {classes}")
    image = keras.Input((*config.image_size, 3), name="image")
    maps = backbone_features(layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image), config)
    mask, decoded = deeplabv3plus(
        maps,
        config.image_size,
        classes,
        channels=config.mask_channels,
        rates=config.aspp_rates,
        low_level_channels=config.low_level_channels,
        fine_channels=config.fine_channels,
    )
    predicting = [maps[stride] for stride in BACKBONE_STRIDES]
    predicting += extra_maps(predicting[-1], config.extra_channels)
    if config.shared_channels:
        shared = separable_conv_bn(decoded, config.shared_channels, stride=2, name="shared")
        predicting[0] = layers.Concatenate(name="shared_concat")([predicting[0], shared])
    logits, offsets = ssdlite(predicting, config.anchor_spec.anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask}, name=f"ssdseg_{config.backbone}")


def backbone_features(x: KerasTensor, config: Config) -> dict[int, KerasTensor]:
    """The feature maps that the heads stand on, by their stride.

    Args:
        x: (B, H, W, 3) in [-1, 1].
        config: says which backbone, and how wide.

    Returns:
        {4: ..., 8: ..., 16: ..., 32: ...}, and perhaps more.

    Raises:
        ValueError: if there is no such backbone.
    """
    if config.backbone == "mobilenetv2":
        return mobilenet_v2_features(x, config.alpha, norm=NORM)
    if config.backbone == "shufflenetv2":
        return shufflenet_v2_features(x, config.width, norm=NORM)
    raise ValueError(f'the backbone is "mobilenetv2" or "shufflenetv2", got {config.backbone!r}')


def load_network(name: str) -> keras.Model:
    """A trained network that is shipped with the course.

    Args:
        name: a key of `SHIPPED`, where its configuration stands.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in SHIPPED:
        raise ValueError(f"there is no shipped network {name!r}; there is {', '.join(SHIPPED)}")
    network = build_network(SHIPPED[name])
    network.load_weights(WEIGHTS / f"{name}.weights.h5")
    return network


def save_network(network: keras.Model, config: Config, path: str | Path) -> None:
    """Write a network as Keras does, in one `.keras` file, and its configuration into the same file.

    Raises:
        OSError, RuntimeError: if it cannot be written.
    """
    network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CONFIG_MEMBER, json.dumps(asdict(config), indent=1) + "\n")


def read_config(path: str | Path) -> Config | None:
    """The configuration in a `.keras` file; None where there is none, as in those that `Model.save` has written.

    Raises:
        ValueError: if it is there and damaged.
        OSError, zipfile.BadZipFile: if the file cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        if CONFIG_MEMBER not in archive.namelist():
            return None
        try:
            return config_of(json.loads(archive.read(CONFIG_MEMBER)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: its {CONFIG_MEMBER} is damaged, so nothing says what its outputs mean"
            ) from error
