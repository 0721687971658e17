"""DeepLabV3+: atrous spatial pyramid pooling, and a decoder that brings the edges back.

Source: Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", section
3.1 and figure 2; ASPP with image pooling from Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3.
"""

from collections.abc import Mapping, Sequence

from keras import KerasTensor, layers, ops

from ssdseg_ref.blocks import conv_bn, output_conv, separable_conv_bn


def resize(x: KerasTensor, size: tuple[int, int]) -> KerasTensor:
    """Bilinear resampling to (height, width), with pixel middles where they belong (no aligned corners).

    An operation and not Keras's layer `Resizing`, whose `training` is True by default (Keras 3.15): in a network that
    is called without that argument, it makes every batch normalisation behind it train.

    Args:
        x: (B, H, W, C).
        size: (height, width) that comes out.

    Returns:
        (B, height, width, C); `x` itself where it has that size already.
    """
    return x if tuple(x.shape[1:3]) == tuple(size) else ops.image.resize(x, size, interpolation="bilinear")


def aspp(x: KerasTensor, channels: int, rates: Sequence[int]) -> KerasTensor:
    """Atrous spatial pyramid pooling: the same map seen with several fields of view, and as a whole.

    Args:
        x: (B, H, W, C).
        channels: of each branch and of the output.
        rates: dilation of the separable 3 x 3 convolutions, one branch each.

    Returns:
        (B, H, W, channels).
    """
    size = x.shape[1:3]
    branches = [conv_bn(x, channels, name="aspp_point")]
    branches += [separable_conv_bn(x, channels, dilation=rate, name=f"aspp_rate{rate}") for rate in rates]
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_pool")(x)  # (B, 1, 1, C)
    pooled = conv_bn(pooled, channels, name="aspp_image")
    branches.append(resize(pooled, size))
    x = layers.Concatenate(name="aspp_concat")(branches)
    return conv_bn(x, channels, name="aspp_project")


def decoder(
    x: KerasTensor, low_level: KerasTensor, low_level_channels: int, channels: int, *, name: str = "decoder"
) -> KerasTensor:
    """Lay the coarse map over a fine one, which still knows where the edges are.

    Args:
        x: (B, h, w, C), the output of `aspp`.
        low_level: (B, H, W, c), a finer map of the backbone; of stride 4 in the paper.
        low_level_channels: to which the fine map is narrowed first, so that it does not outweigh the coarse one.
        channels: of the output.
        name: prefix of the layers' names.

    Returns:
        (B, H, W, channels).
    """
    low_level = conv_bn(low_level, low_level_channels, name=f"{name}_low")
    x = resize(x, low_level.shape[1:3])
    x = layers.Concatenate(name=f"{name}_concat")([x, low_level])
    x = separable_conv_bn(x, channels, name=f"{name}_refine1")
    return separable_conv_bn(x, channels, name=f"{name}_refine2")


def deeplabv3plus(
    maps: Mapping[int, KerasTensor],
    image_size: tuple[int, int],
    classes: int,
    *,
    channels: int,
    rates: Sequence[int],
    low_level_channels: int,
    fine_channels: int = 0,
) -> tuple[KerasTensor, KerasTensor]:
    """The whole head, from the backbone's maps to the logits of every pixel.

    Args:
        maps: the backbone's (B, h, w, C), by stride: 16, 4, and 2 where the fine decoder is there.
        image_size: (H, W) in pixels.
        classes: number of classes, background not counted.
        channels: of ASPP and decoder.
        rates: of ASPP.
        low_level_channels: see `decoder`.
        fine_channels: of a second decoder, on the map of stride 2, for thin things and sharp edges; 0 leaves it out.
            The paper has none.

    Returns:
        (B, H, W, classes + 1) logits, and the decoder's map of stride 4, which other heads may read too.
    """
    decoded = decoder(aspp(maps[16], channels, rates), maps[4], low_level_channels, channels)
    x = decoded
    if fine_channels:
        x = conv_bn(x, fine_channels, name="fine_squeeze")
        x = decoder(x, maps[2], fine_channels // 2, fine_channels, name="fine")
    x = output_conv(x, classes + 1, name="mask_predict")
    return resize(x, image_size), decoded
