"""A network of Keras's in PyTorch, layer by layer with the same weights: the peer of a training step.

It knows the layers that the joint networks are made of, and no others.
"""

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class TorchTwin(nn.Module):
    """The same functional graph: (B, 3, H, W) images in 0..255 in, a dict of Keras's outputs, channels last, out."""

    def __init__(self, network: keras.Model):
        super().__init__()
        self.steps, self.modules_by_name = [], nn.ModuleDict()
        for layer in network.operations:
            if isinstance(layer, keras.layers.InputLayer):
                continue
            sources = layer.input if isinstance(layer.input, list) else [layer.input]
            if (module := _module(layer)) is not None:
                self.modules_by_name[layer.name] = module
            self.steps.append((layer, [id(one) for one in sources], id(layer.output)))
        self.entry = id(network.inputs[0])
        self.exits = {name: id(output) for name, output in network.output.items()}

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What Keras's network gives."""
        values = {self.entry: images}
        for layer, sources, target in self.steps:
            inputs = [values[source] for source in sources]
            if layer.name in self.modules_by_name:
                values[target] = self.modules_by_name[layer.name](_padded(inputs[0], layer))
            else:
                values[target] = _computed(layer, inputs)
        outputs = {name: values[source] for name, source in self.exits.items()}
        return outputs | {"mask": outputs["mask"].permute(0, 2, 3, 1)}


def _module(layer: keras.Layer) -> nn.Module | None:
    if isinstance(layer, keras.layers.BatchNormalization):
        module = nn.BatchNorm2d(layer.gamma.shape[0], eps=layer.epsilon, momentum=1 - layer.momentum)
        for part, weight in (
            (module.weight, layer.gamma),
            (module.bias, layer.beta),
            (module.running_mean, layer.moving_mean),
            (module.running_var, layer.moving_variance),
        ):
            part.data.copy_(_tensor(weight))
        return module
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    if not (depthwise or isinstance(layer, keras.layers.Conv2D)):
        return None
    kernel = _tensor(layer.kernel)  # (h, w, in, out), or (h, w, in, 1)
    kernel = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
    channels = layer.input.shape[-1]
    module = nn.Conv2d(
        channels,
        len(kernel),
        layer.kernel_size,
        layer.strides,
        dilation=layer.dilation_rate,
        groups=channels if depthwise else 1,
        bias=layer.use_bias,
    )
    module.weight.data.copy_(kernel)
    if layer.use_bias:
        module.bias.data.copy_(_tensor(layer.bias))
    return module


def _padded(x: torch.Tensor, layer: keras.Layer) -> torch.Tensor:
    """Padding as TensorFlow has it, which puts the odd pixel behind."""
    if getattr(layer, "padding", "valid") != "same" or layer.kernel_size == (1, 1):
        return x
    amounts = []
    for size, kernel, stride, rate in zip(
        x.shape[2:], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size)
        amounts.insert(0, (total // 2, total - total // 2))
    return F.pad(x, [amount for pair in amounts for amount in pair])


def _computed(layer: keras.Layer, inputs: list[torch.Tensor]) -> torch.Tensor:
    first = inputs[0]
    match type(layer).__name__:
        case "Rescaling":
            return first * layer.scale + layer.offset
        case "Activation":
            return {"relu6": F.relu6, "relu": F.relu}[layer.activation.__name__](first)
        case "Add":
            return sum(inputs)
        case "Concatenate":
            return torch.cat(inputs, dim=1)  # channels, or the anchors of all maps
        case "GlobalAveragePooling2D":
            return first.mean(dim=(2, 3), keepdim=True)
        case "Resize":
            return F.interpolate(first, size=tuple(layer.output.shape[1:3]), mode="bilinear", align_corners=False)
        case "Reshape":
            return first.permute(0, 2, 3, 1).reshape(len(first), -1, layer.target_shape[-1])
    raise TypeError(f"no twin of {type(layer).__name__} is written")


def _tensor(weight: keras.Variable) -> torch.Tensor:
    return torch.from_numpy(np.array(weight))


def loss(outputs: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]) -> torch.Tensor:
    """Four of the joint loss's five parts; the negatives that are mined cost a sort here as well."""
    classes, positive = targets["classes"], targets["classes"] > 0
    losses = F.cross_entropy(outputs["classes"].permute(0, 2, 1), classes, reduction="none")
    hardness = torch.where(positive, -1.0, losses.detach())
    rank = hardness.argsort(dim=1, descending=True).argsort(dim=1)
    counted = positive | (rank < 3 * positive.sum(dim=1, keepdim=True))
    boxes = F.smooth_l1_loss(outputs["offsets"], targets["offsets"], reduction="none").sum(dim=-1)
    logits, mask = outputs["mask"].permute(0, 3, 1, 2), targets["mask"]
    share, truth = logits.softmax(dim=1), F.one_hot(mask.clamp(max=logits.shape[1] - 1)).permute(0, 3, 1, 2)
    dice = 2 * (share * truth).sum(dim=(0, 2, 3)) / (share + truth).sum(dim=(0, 2, 3))
    found = positive.sum()
    return (
        (losses * counted).sum() / found
        + (boxes * positive).sum() / found
        + F.cross_entropy(logits, mask, ignore_index=255)
        + (1 - dice).mean()
    )
