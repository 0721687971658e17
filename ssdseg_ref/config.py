"""What decides the shape of the joint network: two presets, and the configurations of the networks that are shipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from ssdseg_ref.anchors import AnchorSpec, make_anchors
from ssdseg_ref.data.sample import CLASSES, IMAGE_SIZE

BACKBONE_STRIDES = (8, 16, 32)  # of the backbone's maps that predict boxes; each extra map doubles the last


@dataclass(frozen=True)
class Config:
    """All that decides the shape of the network.

    Attributes:
        classes: names of the classes, 1 to 254, background not among them.
        image_size: (height, width) in pixels; any, also one that 32 does not divide.
        backbone: "mobilenetv2" or "shufflenetv2".
        alpha: width multiplier of MobileNetV2.
        width: of ShuffleNetV2, a key of its `WIDTHS`.
        extra_channels: one number per extra map.
        scales: of the anchors, one per map and one more.
        aspect_ratios: of the anchors: one tuple for all maps, or one per map.
        aspp_rates: dilations of ASPP.
        mask_channels: of ASPP and of the decoder.
        low_level_channels: of the fine map in the decoder.
        fine_channels: of a second decoder, of stride 2; 0 leaves it out.
        shared_channels: of what the detector's finest map takes from the decoder, which has seen the whole image and
            knows edges to the pixel; 0 takes nothing.
        has_masks: whether there were masks to learn from; where not, the mask that comes out means nothing.
    """

    classes: tuple[str, ...]
    image_size: tuple[int, int]
    backbone: str
    alpha: float
    width: str
    extra_channels: tuple[int, ...]
    scales: tuple[float, ...]
    aspect_ratios: tuple[float, ...] | tuple[tuple[float, ...], ...]
    aspp_rates: tuple[int, ...]
    mask_channels: int
    low_level_channels: int
    fine_channels: int = 0
    shared_channels: int = 0
    has_masks: bool = field(default=True, repr=False)

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the maps that predict boxes, finest first."""
        last = BACKBONE_STRIDES[-1]
        return BACKBONE_STRIDES + tuple(last * 2**step for step in range(1, len(self.extra_channels) + 1))

    @cached_property
    def anchor_spec(self) -> AnchorSpec:
        """Anchors of the maps that predict boxes."""
        height, width = self.image_size
        feature_maps = tuple((ceil(height / stride), ceil(width / stride)) for stride in self.strides)
        return AnchorSpec(self.image_size, feature_maps, self.scales, self.aspect_ratios)

    @cached_property
    def anchors(self) -> np.ndarray:
        """(N, 4) float32 corners, in the order of the network's rows."""
        return make_anchors(self.anchor_spec)


LESSON = Config(
    classes=CLASSES,
    image_size=IMAGE_SIZE,
    backbone="mobilenetv2",
    alpha=0.5,
    width="0.5",
    extra_channels=(96,),
    scales=(0.18, 0.33, 0.55, 0.75, 0.95),
    aspect_ratios=((0.3, 0.5), (0.35, 0.6, 2.0), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0)),
    aspp_rates=(2, 4),
    mask_channels=64,
    low_level_channels=24,
)
REFERENCE = Config(
    classes=CLASSES,
    image_size=(216, 288),
    backbone="mobilenetv2",
    alpha=1.0,
    width="1.0",
    extra_channels=(256,),
    scales=(0.13, 0.26, 0.46, 0.68, 0.95),
    aspect_ratios=((0.3, 0.45, 0.65), (0.35, 0.6, 1.4, 2.2), (0.55, 1.2, 2.0, 3.0), (1.0, 0.6, 1.8)),
    aspp_rates=(2, 4, 6),
    mask_channels=96,
    low_level_channels=32,
    fine_channels=32,
    shared_channels=96,
)
PHOTOS = replace(  # people in photographs: larger pictures, and anchors for boxes that are higher than wide
    REFERENCE,
    classes=("person",),
    image_size=(256, 320),
    scales=(0.1, 0.22, 0.42, 0.66, 0.95),
    aspect_ratios=((0.3, 0.5, 0.8), (0.25, 0.4, 0.6, 0.9), (0.3, 0.45, 0.65, 1.2), (0.45, 0.7, 1.4)),
)
PRESETS = {"lesson": LESSON, "reference": REFERENCE}
SHIPPED = {
    "lesson": LESSON,
    "mobilenetv2": REFERENCE,
    "shufflenetv2": replace(REFERENCE, backbone="shufflenetv2"),
    "photos": PHOTOS,
}


def config_of(description: Mapping[str, Any]) -> Config:
    """The configuration that `dataclasses.asdict` has written, also by way of json, which knows no tuples.

    Raises:
        KeyError, TypeError, ValueError: if it is none.
    """
    unsaid = {"has_masks": True}  # by descriptions that are older
    values = {part.name: _tuples({**unsaid, **description}[part.name]) for part in fields(Config)}
    config = Config(**values)
    if not config.classes or not all(isinstance(name, str) for name in config.classes):
        raise ValueError(f"a configuration names its classes, got {config.classes!r}")
    len(config.anchors)  # computed from most of the others, which must fit together
    return config


def _tuples(value: Any) -> Any:
    """Lists, which json has, as tuples, also within each other."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def preset(name: str, backbone: str = "mobilenetv2") -> Config:
    """A preset, on one of the two backbones.

    Args:
        name: a key of `PRESETS`.
        backbone: "mobilenetv2" or "shufflenetv2".

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there is {', '.join(PRESETS)}")
    return replace(PRESETS[name], backbone=backbone)


def fitting_preset(image_size: Sequence[int | None], rows: Sequence[int | None]) -> Config | None:
    """The preset whose networks have these shapes; None if there is none.

    A network of another number of classes counts as a preset's: their names are not known, so they are numbered.

    Args:
        image_size: (height, width) of the images that go in.
        rows: (N, C + 1) of the class logits that come out.
    """
    for config in PRESETS.values():
        anchors, values = rows
        if tuple(image_size) == config.image_size and anchors == len(config.anchors) and values:
            if values == len(config.classes) + 1:
                return config
            return replace(config, classes=tuple(f"class {label}" for label in range(1, values)))
    return None
