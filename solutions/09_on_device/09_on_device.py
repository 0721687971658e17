# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 9 - On the device: the network in eight bits
#
# **You will be able to** take the batch normalisations out of a network, keep its numbers in eight bits, compute a
# convolution without a single fraction, exactly as a phone does it, and say what all that costs and what it brings.
#
# **You need** lesson 3 (convolution and padding), lesson 4 (batch normalisation, ReLU6) and, from lesson 8, how a
# detector is judged.
#
# **It takes** {time}. In addition, section 7 measures for about three minutes, once; you can read on meanwhile. Every
# exercise is a good place to stop.
#
# Stuck? `hint("09.fold_batch_norm")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

import json
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from PIL import Image

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.diagrams import MAP, WORK, draw_flow
from ssdseg_course.explorers.figures import after, draw_image, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_course.explorers.quantization import explore_quantization
from ssdseg_course.export import litert
from ssdseg_course.export.layer import convert_layer
from ssdseg_ref.coding import decode
from ssdseg_ref.convolution import conv2d
from ssdseg_ref.data.pipeline import batches
from ssdseg_ref.data.warehouse import CLASSES, SPLITS, render
from ssdseg_ref.evaluation import evaluate
from ssdseg_ref.multitask import LESSON, SHIPPED, Predictor, build_network, load_network
from ssdseg_ref.nms import non_max_suppression
from ssdseg_ref.plot import paint_prediction
from ssdseg_ref.prediction import softmax
from ssdseg_ref.quantization import least_error_range
from ssdseg_ref.training import LESSON_RECIPE, JointTraining

MODE = how_to_train()  # "full" for you; where nobody waits for it, in a check or an automatic test, less
LITERT = find_spec("ai_edge_litert") is not None
if not LITERT:
    print('LiteRT is not installed, and some cells want it: pip install "ssdseg-course[export]", then restart.')

# %% [markdown]
# ## 1. The result, first
#
# Both pictures below are predictions. The left one comes from Keras, in numbers of 32 bits. The right one comes from a
# file that a phone could run, and in it **every weight and every map is made of whole numbers from -128 to 127**. If
# you trained a network in lesson 8, it is yours.


# %%
LAYERS = ("stem_conv", "stem_bn", "stem_relu6")  # that are looked at in section 6, and before that
MAP_NAME, KERNEL_NAME = "stage2_block1_project_bn", "stage2_block1_filter_depthwise"


def my_network():
    """The newest network that you trained in lesson 8, or the small one that comes with the course."""
    kept = Path("../08_training/my_network").glob("*/network.keras")
    newest = max(kept, key=lambda path: path.stat().st_mtime, default=None)
    if newest is not None:
        own = keras.models.load_model(newest, compile=False)
        if {*LAYERS, MAP_NAME, KERNEL_NAME} <= {layer.name for layer in own.layers}:
            return own, "your own"
        print("The layers of your own network have other names than those that this lesson looks at.")
    return load_network("lesson"), "the course's"


network, whose = my_network()
calibration = np.stack([render(seed, size=LESSON.image_size).image for seed in SPLITS["train"][:100]])
scenes = [render(seed, size=LESSON.image_size) for seed in SPLITS["validation"][: 60 if MODE == "full" else 4]]
print(f"{whose} network: {network.count_params():,} parameters")

# %% jupyter={"source_hidden": true}
if LITERT and MODE != "skip":
    whole = litert.convert(network, bits=8, calibration=calibration[: 100 if MODE == "full" else 4])
    runners = {"Keras, 32 bits": network, "whole numbers of 8 bits": litert.LiteRTNetwork(whole)}
    size = {"Keras, 32 bits": 4 * network.count_params(), "whole numbers of 8 bits": len(whole)}
    picture = render(SPLITS["test"][33], size=LESSON.image_size).image
    figure, axes = panels(2)
    counts = []
    for panel, (title, runner) in zip(axes, runners.items(), strict=True):
        (seen,) = Predictor(runner, LESSON, score_threshold=0.5)([picture])
        counts.append(len(seen.boxes))
        painted = paint_prediction(picture, seen.mask, seen.boxes, seen.labels, seen.scores, tuple(CLASSES), width=700)
        panel.imshow(painted, aspect="auto")
        panel.set(xticks=[], yticks=[])
        panel.set_title(f"{title}: {size[title] / 1e6:.2f} MB", fontsize=10)
    show(
        figure,
        alt=f"The same warehouse scene twice, each with boxes, scores and masks: {counts[0]} boxes on the left, by "
        f"Keras in 32 bits, {counts[1]} on the right, in whole numbers of 8 bits. They are nearly the same.",
    )

# %% [markdown]
# Why would one want that? A phone, a camera or a robot has little memory and a battery. Moving a number from memory
# costs far more energy than adding it, so numbers that are a quarter as long are a gift; many small chips can do
# nothing but whole numbers; and where a processor has instructions for bytes, it does four at the price of one.
#
# How can a network survive that? You will build it by hand, from the first idea to the last bit, and then measure.

# %% [markdown]
# ## 2. A layer that need not be there
#
# First, something that costs nothing at all. After each convolution comes a batch normalisation. In training it is
# busy; afterwards it is four fixed numbers per channel, and does nothing but multiply and add. The convolution before
# it multiplies and adds anyway:

# %% jupyter={"source_hidden": true}
figure, axes = panels(1, image_size=(1, 4.4))
draw_flow(
    axes[0],
    {
        "x": (0, 0, "x", MAP),
        "conv": (1.2, 0, "convolution\nno bias", WORK),
        "bn": (2.4, 0, "batch\nnormalisation", WORK),
        "relu": (3.6, 0, "ReLU6", WORK),
        "y": (4.8, 0, "y", MAP),
        "x2": (0, 1.2, "x", MAP),
        "conv2": (1.8, 1.2, "convolution\nwith bias", WORK),
        "relu2": (3.6, 1.2, "ReLU6", WORK),
        "y2": (4.8, 1.2, "the same y", MAP),
    },
    [("x", "conv"), ("conv", "bn"), ("bn", "relu"), ("relu", "y"), ("x2", "conv2"), ("conv2", "relu2"),
     ("relu2", "y2")],
)  # fmt: skip
show(
    figure,
    alt="Two rows. Above: x goes through a convolution without a bias, a batch normalisation and a ReLU6, and gives y. "
    "Below: x goes through one convolution with a bias and a ReLU6, and gives the same y.",
)

# %% [markdown]
# For a channel whose convolution gives $a = \sum w x$, the normalisation gives
#
# $$y = \gamma\,\frac{a - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$
#
# with the moving mean $\mu$ and variance $\sigma^2$ of the training. Sort that into "times $x$" and "in any case". What
# are the new weights, and what is the bias? This is called **folding** (Jacob et al. 2018, section 3.2).
#
# ### {09.fold_batch_norm}
#
# Write `fold_batch_norm(kernel, gamma, beta, mean, variance, epsilon)`: the kernel is (k, k, Cin, Cout), the next four
# are (Cout,). Return the new kernel, of the same shape, and the bias (Cout,).


# %% nbgrader={"grade_id": "fold_batch_norm", "solution": true}
def fold_batch_norm(kernel, gamma, beta, mean, variance, epsilon):
    """A kernel and a bias that do what the kernel and the batch normalisation do."""
    ### BEGIN SOLUTION
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, beta - mean * factor
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_fold_batch_norm", "grade": true}
check("09.fold_batch_norm", fold_batch_norm)

# %% [markdown]
# Now all of the network. Each convolution is tried on what really comes to it when the network looks at a scene:


# %%
def folding_pairs(network):
    """(convolution, batch normalisation behind it) of the whole network."""
    normalisations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    found = [(layer.input._keras_history.operation, layer) for layer in normalisations]
    return [(before, norm) for before, norm in found if hasattr(before, "kernel")]


def folded(convolution, norm):
    """Kernel (k, k, Cin, Cout), or (k, k, C) of a depthwise one, and bias, by your function."""
    kernel = np.asarray(convolution.kernel, np.float64)
    if isinstance(convolution, keras.layers.DepthwiseConv2D):
        kernel = kernel[..., 0]  # (k, k, C, 1): its channels stand on axis 2
    numbers = (np.asarray(part, np.float64) for part in norm.weights)  # gamma, beta, mean, variance
    return fold_batch_norm(kernel, *numbers, norm.epsilon)


with after("9.1"):
    pairs = folding_pairs(network)
    maps = [part for convolution, norm in pairs for part in (convolution.input, norm.output)]
    seen = keras.Model(network.input, maps).predict_on_batch(scenes[0].image[None])
    worst, saved = 0.0, 0
    for number, (convolution, norm) in enumerate(pairs):
        x, wanted = seen[2 * number], seen[2 * number + 1]
        kept = convolution.kernel.numpy()
        kernel, bias = folded(convolution, norm)
        convolution.kernel.assign(np.reshape(kernel, kept.shape))
        got = convolution(x) + np.asarray(bias, np.float32)
        convolution.kernel.assign(kept)
        worst = max(worst, float(np.abs(got - wanted).max() / np.abs(wanted).max()))
        saved += wanted.size
    print(f"{len(pairs)} batch normalisations are gone; the largest difference is {worst:.0e} of a map's largest value")
    parameters = sum(norm.count_params() for _, norm in pairs)
    print(
        f"{parameters:,} parameters become {parameters // 4:,} biases, and {saved:,} multiply-adds a picture are saved"
    )

# %% [markdown]
# Folded, the network says what it said before, but for the last digits of a float. Everything that puts a network on a
# device folds first. So will we: from here on "kernel" means the folded one, and it has a bias.

# %% [markdown]
# ## 3. Numbers in eight bits
#
# Eight bits can tell 256 things apart. We lay them over the range that is needed, like the marks of a ruler:
#
# $$x \approx s\,(q - z)$$
#
# $q$ is the whole number that is kept, from -128 to 127. The **scale** $s$ is the distance between two marks. The
# **zero point** $z$ is the mark at which $x = 0$ lies. That has to be a mark: padding is made of zeros, and ReLU begins
# there, and an error in a number that stands everywhere is an error everywhere. So the range is widened to hold 0, if
# it does not, and $z$ is rounded to a whole number.
#
# *Take a pencil:* with 4 bits, $q$ goes from -8 to 7. Lay that over the range from -1 to 2. Scale? Zero point?
#
# <details><summary>Compare</summary>
#
# 16 marks have 15 gaps, so $s$ = 3 / 15 = 0.2<!-- = quantization.quantization_parameters(-1, 2, 4)[0] -->. The lowest
# mark, -8, is $x$ = -1, and zero lies five marks further up: $z$ =
# -3<!-- = quantization.quantization_parameters(-1, 2, 4)[1] -->.
#
# </details>
#
# Play with it first. The picture below is kept in very few bits. Drag the end of the range down until it hurts, then
# up: what happens in the shadows, what in the lights? From how many bits on do you see nothing any more?

# %%
explore_quantization(bits=3)

# %% [markdown]
# There are two kinds of error. **Rounding** takes at most half a step, everywhere; a shorter range makes it smaller.
# **Clipping** takes what lies beyond the ends, all of it; a longer range makes that smaller. Every choice of a range
# trades one for the other.
#
# ### {09.quantization_parameters}
#
# Write `quantization_parameters(low, high, bits)` for a range with `low < high`. Widen it to hold 0. Return two
# numbers: the scale, with which the lowest whole number stands for the low end and the highest for the high end; and
# the zero point, the whole number nearest to where 0 lies. Whole numbers go from -2<sup>bits - 1</sup> to 2<sup>bits -
# 1</sup> - 1.


# %% nbgrader={"grade_id": "quantization_parameters", "solution": true}
def quantization_parameters(low, high, bits):
    """Scale and zero point of a range that is made to hold 0."""
    ### BEGIN SOLUTION
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-(2 ** (bits - 1)) - low / scale)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_quantization_parameters", "grade": true}
check("09.quantization_parameters", quantization_parameters)

# %% [markdown]
# ### {09.quantize}
#
# Write `quantize(x, scale, zero_point, bits)` for an array of any shape: the whole number nearest to each value; what
# lies outside of the range becomes its end. Return whole numbers in type, too, such as `np.int32`.


# %% nbgrader={"grade_id": "quantize", "solution": true}
def quantize(x, scale, zero_point, bits):
    """The nearest whole numbers, within so many bits."""
    ### BEGIN SOLUTION
    largest = 2 ** (bits - 1) - 1
    return np.clip(np.round(x / scale) + zero_point, -largest - 1, largest).astype(np.int32)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_quantize", "grade": true}
check("09.quantize", quantize)


# %% [markdown]
# There and back again, with one of the network's own maps, the one after the first bottleneck of stride 4:

# %%
probe = keras.Model(network.input, network.get_layer(MAP_NAME).output)
values = probe.predict(calibration, batch_size=10, verbose=0)


def there_and_back(x, low, high, bits):
    """What is left of values that are kept in so many bits."""
    scale, zero_point = quantization_parameters(low, high, bits)
    whole = np.asarray(quantize(x, scale, int(zero_point), bits), np.float64)
    return float(scale) * (whole - int(zero_point))


def rms(errors):
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


with after("9.2", "9.3"):
    low, high = float(values.min()), float(values.max())
    print(f"map {values.shape[1:]} of {len(values)} scenes: from {low:.1f} to {high:.1f}, rms {rms(values):.2f}")
    print("bits    scale    rms of the error    scale / √12")
    for bits in (8, 6, 4):
        scale, _ = quantization_parameters(low, high, bits)
        error = rms(there_and_back(values, low, high, bits) - values)
        print(f"{bits:4}{scale:9.3f}{error:20.4f}{scale / np.sqrt(12):15.4f}")

# %% [markdown]
# With 8 and with 6 bits the last two columns agree. A value may lie anywhere between two marks, so the error of
# rounding is spread evenly from minus half a step to plus half a step, and the rms of that is a step divided by √12.
# Each bit less doubles it. With 4 bits a step is wider than the values' own spread: most of them share two or three
# marks, and the rule no longer holds.

# %% [markdown]
# ## 4. Kernels: a scale for each channel
#
# Folding has a price after all. Each output channel was multiplied with a factor of its own, so the channels of one
# kernel can be of very different size. Here is the depthwise kernel of that same block, folded; each bar is the largest
# weight of a channel:

# %% jupyter={"source_hidden": true}
with after("9.1"):
    chosen = {convolution.name: (convolution, norm) for convolution, norm in pairs}[KERNEL_NAME]
    depthwise = np.asarray(folded(*chosen)[0])
    largest = np.sort(np.abs(depthwise).max(axis=(0, 1)))[::-1]
    figure, axes = panels(1, image_size=(1, 3.4))
    axes[0].bar(np.arange(len(largest)), largest, color=figures.BLUE, edgecolor="black", linewidth=0.6)
    step = largest[0] / 127
    axes[0].axhline(step, color=figures.VERMILION, linestyle="--", linewidth=2)
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes[0].text(len(largest) - 0.5, 1.2 * step, "one step of the largest channel", ha="right", fontsize=9, bbox=ground)
    axes[0].set(xlabel="channels, the largest first", ylabel="largest weight", xlim=(-1, len(largest)))
    axes[0].set(yscale="log", ylim=(0.5 * step, 1.5 * largest[0]))
    show(
        figure,
        alt=f"Bars for {len(largest)} channels, from {largest[0]:.2f} down to {largest[-1]:.2f}. A dashed line lies at "
        f"{step:.2f}, a step of the largest channel in whole numbers up to 127.",
    )
    print(f"the largest channel is {largest[0] / largest[-1]:.0f} times the smallest")
    print(
        f"with one scale for all, the smallest has the whole numbers up to {largest[-1] / step:.0f}; alone, up to 127"
    )

# %% [markdown]
# So each output channel gets a scale of its own. It costs one number per channel, and the arithmetic does not mind: an
# output channel is a sum of its own (section 6). Kernels are spread about 0 on both sides, so they need no zero point
# either: the largest weight, sign aside, becomes 127, and -128 stays unused. (What would a zero point cost here? Every
# product would have to subtract it.)
#
# ### {09.quantize_kernel}
#
# Write `quantize_kernel(kernel)` for a kernel (k, k, Cin, Cout): return whole numbers from -127 to 127 of the same
# shape, and the scales (Cout,), one for each output channel. A channel of zeros, which do occur, has the scale 1.


# %% nbgrader={"grade_id": "quantize_kernel", "solution": true}
def quantize_kernel(kernel):
    """Whole numbers from -127 to 127, each output channel with a scale of its own, and the scales."""
    ### BEGIN SOLUTION
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scales = np.where(largest > 0, largest / 127, 1)
    return np.round(kernel / scales).astype(np.int8), scales
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_quantize_kernel", "grade": true}
check("09.quantize_kernel", quantize_kernel)

# %% [markdown]
# Does it matter for what the network sees? Try: fold all kernels, round them, put them back (divided by the factor that
# the batch normalisation will multiply them with again), and let the network be judged, with one scale a channel and
# with one scale for all. Your function gives the row of 8 bits; for fewer, `rounded` does the same with fewer steps.


# %%
def rounded(kernel, bits, per_channel):
    """A folded kernel (..., C) after a visit to whole numbers."""
    if bits == 8 and per_channel:
        flat = kernel.reshape(1, 1, -1, kernel.shape[-1])
        whole, scales = quantize_kernel(flat)
        return (np.asarray(whole, np.float64) * np.asarray(scales)).reshape(kernel.shape)
    largest = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)) if per_channel else None)
    scale = np.where(largest > 0, largest, 1) / (2 ** (bits - 1) - 1)
    return np.round(kernel / scale) * scale


def judged_in(bits, per_channel):
    """mAP and mIoU of the network with its kernels in so many bits."""
    kept = [convolution.kernel.numpy() for convolution, _ in pairs]
    for convolution, norm in pairs:
        factor = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        kernel = rounded(np.asarray(folded(convolution, norm)[0]), bits, per_channel)
        unfolded = np.divide(kernel, factor, out=np.zeros_like(kernel), where=factor != 0)
        convolution.kernel.assign(unfolded.reshape(convolution.kernel.shape))
    scores = evaluate(Predictor(network, LESSON), scenes)
    for (convolution, _), kernel in zip(pairs, kept, strict=True):
        convolution.kernel.assign(kernel)
    return scores


with after("9.1", "9.4"):
    if MODE != "skip":
        scores = evaluate(Predictor(network, LESSON), scenes)
        print(f"{len(scenes)} scenes            mAP@[.5:.95]    mIoU")
        print(f"32 bits                 {scores.mean_ap:12.3f}{scores.mean_iou:8.3f}")
        for bits in (8, 5, 4, 3):
            for per_channel in (True, False):
                scores = judged_in(bits, per_channel)
                which = "a scale a channel" if per_channel else "one scale for all"
                print(f"{bits} bits, {which}{scores.mean_ap:12.3f}{scores.mean_iou:8.3f}")

# %% [markdown]
# Look closely, for this may not be what you expected. In **eight** bits it makes no difference here: our channels
# differ by a factor of 12 or so at most, and eight bits have room for that. Take bits away, and the one scale gives out
# first, by far. In networks that were trained for weeks on millions of photographs some channels are hundreds of times
# larger than others. There, eight bits with one scale are a catastrophe: Krishnamoorthi (2018, table 2) has MobileNetV2
# at 0.1% of ImageNet's pictures right instead of 71.9%, and with a scale a channel at 69.8%. So it is the rule.
#
# (Per *input* channel would not do: why? Look at the sum in section 6: what has to be taken out of it?)

# %% [markdown]
# ### What was rounded away, learned back
#
# Rounding takes each *weight* to its nearest mark. That is the best for each weight, and need not be the best for the
# network: thousands of small errors add up, and nobody asked what the next layer can bear. So let the network learn
# with rounded kernels, in three bits, where all of it is plain to see.
#
# There is one obstacle. Rounding is a staircase, and a staircase is flat nearly everywhere: no gradient comes through.
# The way out is bold (Bengio et al. 2013): forwards rounded, backwards **as if nothing had been rounded**. The network
# has two sets of kernels then: one in floats, which learns and which no picture meets; and the same rounded, with which
# the network sees. In every step
#
# 1. the float kernels are rounded, in three bits and with a scale for each channel, which stays as it is;
# 2. the network looks at eight scenes, and the joint loss of lesson 8 gives a gradient;
# 3. the *float* kernels take the step.
#
# A single step changes hardly any rounded weight. A float has to be pushed across the middle between two marks, and
# that takes many steps that agree. The batch normalisations stay as they are, for on a device they are folded. All this
# is called **fake quantisation** (Jacob et al. 2018, section 3).
#
# *Predict*: of what three bits took from mAP and from mIoU, how much comes back in 120 steps, half a minute on two
# cores? And of a hundred weights, how many will stand at another mark?

# %%
PREDICTED = {"mAP": None, "mIoU": None, "other marks": None}  # write percent in place of None

# %% jupyter={"source_hidden": true}
STEPS = 120 if MODE == "full" else 2
BITS = 3
RATE = 2e-3


LARGEST = 2 ** (BITS - 1) - 1  # whole number


def scales_of(convolution):
    """A scale for each channel, as `rounded` has them."""
    axes = (0, 1, 3) if isinstance(convolution, keras.layers.DepthwiseConv2D) else (0, 1, 2)
    largest = ops.max(ops.abs(convolution.kernel), axis=axes, keepdims=True)
    return ops.where(largest > 0, largest, 1) / LARGEST


def in_marks(kernel, scales):
    """Whole numbers, as TensorFlow rounds and clips."""
    return ops.clip(ops.round(kernel / scales), -LARGEST, LARGEST)


def seen_by(some_network):
    """A scene with what a network sees in it, and the number of its boxes."""
    picture = render(SPLITS["test"][33], size=LESSON.image_size).image
    (seen,) = Predictor(some_network, LESSON, score_threshold=0.5)([picture])
    boxes = (seen.boxes, seen.labels, seen.scores)
    return paint_prediction(picture, seen.mask, *boxes, tuple(CLASSES), width=500), len(seen.boxes)


def draw_learning(losses, goal, before, now):
    """The loss so far; and a scene as the network with rounded kernels saw it before, and as it sees it now."""
    figure, axes = panels(3, image_size=(1, 1.35))
    axes[0].plot(losses, color=figures.BLUE)
    axes[0].axhline(goal, color="black", linestyle=":", label="such scenes in 32 bits")
    axes[0].set(xlim=(-1, STEPS), ylim=(0, None), xlabel="step")
    axes[0].set_title(f"joint loss with kernels of {BITS} bits", fontsize=10)
    axes[0].legend(fontsize=8)
    titles = (f"{BITS} bits, rounded", f"{BITS} bits after {len(losses)} steps")
    for panel, (painted, _), title in zip(axes[1:], (before, now), titles, strict=True):
        panel.imshow(painted, aspect="auto")
        panel.set(xticks=[], yticks=[])
        panel.set_title(title, fontsize=10)
    return figure, (
        f"Left: the joint loss of {len(losses)} steps goes from {losses[0]:.1f} to {losses[-1]:.1f}, and a dotted line "
        f"lies at {goal:.1f}, the loss of the network in 32 bits. Then a scene twice, with boxes and mask: "
        f"{before[1]} boxes before, {now[1]} after these steps."
    )


# %%
with after("9.1"):
    if MODE != "skip":
        learner = keras.models.clone_model(network)
        learner.set_weights(network.get_weights())
        convolutions = [convolution for convolution, _ in folding_pairs(learner)]
        scales = [scales_of(convolution) for convolution in convolutions]  # they stay
        floats = [keras.Variable(convolution.kernel.numpy()) for convolution in convolutions]  # they learn
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, STEPS))
        optimizer.build(floats)
        weights = {"giou_weight": LESSON_RECIPE.giou_weight, "iou_aware": LESSON_RECIPE.iou_aware}
        joint = JointTraining(learner, LESSON, LESSON_RECIPE.class_weights, **weights)

        def round_all():
            """Give the network its kernels, rounded."""
            for convolution, kernel, scale in zip(convolutions, floats, scales, strict=True):
                convolution.kernel.assign(in_marks(kernel, scale) * scale)

        @tf.function  # as a graph, which is faster
        def step(images, targets):
            round_all()
            kernels = [convolution.kernel.value for convolution in convolutions]
            with tf.GradientTape() as tape:
                loss = joint.compute_loss(images, targets, learner(images, training=False))
            optimizer.apply(tape.gradient(loss, kernels), floats)  # as if nothing had been rounded
            return loss

        seeds = SPLITS["train"][: 200 if MODE == "full" else 8]
        learned_from = [render(seed, size=LESSON.image_size) for seed in seeds]
        stream = iter(batches(learned_from, LESSON, 8, seed=1))
        marks = [np.asarray(in_marks(*pair)) for pair in zip(floats, scales, strict=True)]
        images, targets = next(iter(batches(learned_from, LESSON, 8, seed=2)))
        goal = float(joint.compute_loss(images, targets, network(images)))
        round_all()
        at_first = evaluate(Predictor(learner, LESSON), scenes)
        before, losses, picture = seen_by(learner), [], LivePicture()
        for number in range(STEPS):
            losses.append(float(step(*next(stream))))
            if number % 10 == 0:
                picture.draw(*draw_learning(losses, goal, before, seen_by(learner)))
        round_all()
        picture.leave(*draw_learning(losses, goal, before, seen_by(learner)))

        print(f"you predicted {PREDICTED}\n")
        in_floats, learned = (evaluate(Predictor(one, LESSON), scenes) for one in (network, learner))
        print(f"{len(scenes)} scenes            mAP@[.5:.95]    mIoU")
        for name, its in (("32 bits", in_floats), ("3 bits, rounded", at_first), ("3 bits, learned", learned)):
            print(f"{name:24}{its.mean_ap:12.3f}{its.mean_iou:8.3f}")
        now = [in_marks(*pair) for pair in zip(floats, scales, strict=True)]
        share = 100 * np.mean(np.concatenate([np.ravel(one != old) for one, old in zip(now, marks, strict=True)]))
        print(f"\n{share:.1f} of 100 weights stand at another mark")

# %% [markdown]
# What we saw (yours may differ in the last digit): three bits took mAP from 0.670<!-- above --> to 0.553<!-- above -->
# and mIoU from 0.820<!-- above --> to 0.550<!-- above -->. After 120 steps they were 0.628<!-- above --> and
# 0.773<!-- above -->, so nearly two thirds and four fifths of it were back. All that with
# 3.2<!-- above --> of 100 weights at another mark.
#
# So rounding to the nearest mark was wrong for a few weights in a hundred, and nobody could have told which by looking
# at one of them. The gradient is a white lie: it says which way the loss would fall if the marks could follow. One step
# changes next to nothing. Steps that agree add up in the float until it crosses the middle; steps that do not agree
# cancel. And mind what stayed as it was: the marks, the bits, and so the size of a file. Each weight has only been
# given a mark that suits the others.

# %% [markdown]
# ## 5. Maps: a range for what is not there yet
#
# Kernels are known. Maps are not: they depend on the picture. After a ReLU6 we know the range, 0 to 6. After a linear
# bottleneck we do not. So one lets the network look at some pictures, a hundred say, and notes what occurs. That is
# **calibration**. Of all these values, which range should be laid down: from the smallest to the largest?

# %% jupyter={"source_hidden": true}
with after("9.2", "9.3"):
    sample = np.append(np.random.default_rng(0).choice(values.ravel(), 200_000), [low, high]).astype(np.float64)
    choices = {
        "smallest to largest": (low, high),
        "of one scene": (float(values[0].min()), float(values[0].max())),
        "least error in 8 bits": least_error_range(sample, 8),
        "least error in 4 bits": least_error_range(sample, 4),
    }
    figure, axes = panels(1, image_size=(1, 3))
    axes[0].hist(values.ravel(), 120, color=figures.SKY, log=True)
    lines = (("-", figures.BLACK), ("--", figures.VERMILION), ("-.", figures.BLUE), (":", figures.PURPLE))
    for (name, ends), (style, color) in zip(choices.items(), lines, strict=True):
        for end in ends:
            axes[0].axvline(end, color=color, linestyle=style, linewidth=2, label=name if end == ends[0] else None)
    figure.set_figheight(figure.get_figheight() + 0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    axes[0].grid(axis="y", linewidth=0.5)
    axes[0].set(xlabel="value", ylabel="how many (each line ten times more)")
    show(
        figure,
        alt="A histogram of the map's values, on a scale where each line means ten times as many: a narrow mountain "
        "about 0, with long thin tails. Lines mark four ranges: "
        + "; ".join(f"{name}, {a:.1f} to {b:.1f}" for name, (a, b) in choices.items()),
    )
    print("range                       from     to   cut off   rms of the error in 8 bits   in 4 bits")
    for name, ends in choices.items():
        errors = [rms(there_and_back(sample, *ends, bits) - sample) for bits in (8, 4)]
        cut = np.mean((sample < ends[0]) | (sample > ends[1]))
        print(f"{name:23}{ends[0]:9.1f}{ends[1]:7.1f}{cut:10.3%}{errors[0]:29.4f}{errors[1]:12.4f}")

# %% [markdown]
# Smallest and largest are decided by **two values** out of millions, and every other value pays for them with coarser
# steps. A range that cuts off a few in a hundred thousand is better; in four bits, one that cuts off a few in a
# thousand has less than half of the error. With eight bits there is room enough, so that the simple rule costs little,
# and LiteRT's converter keeps to it. The best range is found here by trying 64 of them (`least_error_range`).
#
# The range of *one* scene happens to cut off a little here: good in four bits, a little too much in eight. That is
# chance, and the next scene gives another one. Calibrate on as many pictures as it takes for the range to settle, and
# on such as the device will see. Night is not in a range that was learned by day.

# %% [markdown]
# ## 6. A convolution in whole numbers
#
# Now the centre of it all. Put $x = s_x (q_x - z_x)$ and $w = s_w q_w$ into the sum of a convolution:
#
# $$\sum w\,x + b = s_x s_w \Big( \sum (q_x - z_x)\, q_w + q_b \Big), \qquad q_b = \frac{b}{s_x s_w}$$
#
# Inside the brackets everything is whole: products of bytes, summed up in **32 bits**, and a bias in the same unit.
# A scale a channel is no trouble, since each sum belongs to one output channel. (Were there one scale for each *input*
# channel, it could not be taken out of the sum.) What comes out must be a map in eight bits again, with a scale $s_y$
# and zero point $z_y$ of its own:
#
# $$q_y = z_y + M \cdot \text{sum}, \qquad M = \frac{s_x s_w}{s_y}$$

# %% jupyter={"source_hidden": true}
figure, axes = panels(1, image_size=(1, 8))
draw_flow(
    axes[0],
    {
        "q": (0, 0.5, "map\nint8", MAP),
        "move": (1.15, 0.5, "subtract\nzero point", WORK),
        "conv": (2.3, 0.5, "convolve\nadd bias", WORK),
        "sums": (3.45, 0.5, "sums\nint32", MAP),
        "scale": (4.6, 0.5, "times M:\nmultiply, shift", WORK),
        "end": (5.75, 0.5, "add zero point\nand clip", WORK),
        "out": (6.9, 0.5, "map\nint8", MAP),
    },
    [("q", "move"), ("move", "conv"), ("conv", "sums"), ("sums", "scale"), ("scale", "end"), ("end", "out")],
    width=0.9,
)
show(
    figure,
    alt="A row of boxes: a map in int8; subtract its zero point; convolve and add the bias; sums in int32; times M, by "
    "a multiplication and a shift; add the new zero point and clip; a map in int8.",
)

# %% [markdown]
# Only $M$ is still a fraction, and the chip may not know any. But it is a *fixed* fraction, known before. So it is
# written as a whole number, divided by a power of two, and dividing by $2^n$ is shifting by $n$ bits:
#
# $$M \approx \frac{\text{multiplier}}{2^{\text{shift}}}$$
#
# The larger the multiplier, the closer it comes; in int32 with its sign there is room for 31 bits. So the shift is
# chosen such that the multiplier lies between $2^{30}$ and $2^{31}$. An example with few bits: 0.3 in three bits, 4 to
# 7, is 5 / 16 (0.3125); in five bits, 16 to 31, it is 19 / 64 (0.2969).
#
# ### {09.fixed_point}
#
# Write `fixed_point(factor)` for a factor above 0: return the multiplier, from 2<sup>30</sup> to 2<sup>31</sup> - 1,
# rounded to the nearest, and the shift; both are whole numbers. `np.frexp(factor)` gives a mantissa from 0.5 to 1 and
# an exponent, with factor = mantissa · 2<sup>exponent</sup>. (A mantissa just below 1 may be rounded to 2<sup>31</sup>,
# which has no room: then halve it, and shift one less.)


# %% nbgrader={"grade_id": "fixed_point", "solution": true}
def fixed_point(factor):
    """Multiplier of 31 bits and shift: factor = multiplier / 2**shift, very nearly."""
    ### BEGIN SOLUTION
    mantissa, exponent = np.frexp(factor)
    multiplier, shift = round(float(mantissa) * 2**31), 31 - int(exponent)
    return (multiplier, shift) if multiplier < 2**31 else (multiplier // 2, shift - 1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_fixed_point", "grade": true}
check("09.fixed_point", fixed_point)

# %% [markdown]
# Two details decide whether two programs agree **to the last bit**.
#
# *Room.* A sum of 32 bits times a multiplier of 31 has up to 62: compute that product in `int64`.
#
# *Rounding.* A shift to the right, `>>`, rounds **down**, also below zero: `-3 >> 1` is -2. Add half of what is divided
# by, first, and it rounds to the nearest, halves up: `(-3 + 1) >> 1` is -1.
#
# The activation comes for free: a ReLU6 is nothing but clipping, at the whole numbers that stand for 0 and for 6.
#
# ### {09.requantize}
#
# Write `requantize(sums, multiplier, shift, zero_point, low, high)`: sums (..., Cout) in int32, multiplier and shift
# (Cout,), both in int64 already. Multiply and shift, to the nearest; add the zero point; clip to `low` and `high`.
# Return whole numbers.


# %% nbgrader={"grade_id": "requantize", "solution": true}
def requantize(sums, multiplier, shift, zero_point, low, high):
    """Sums of 32 bits as whole numbers of eight, rounded once."""
    ### BEGIN SOLUTION
    half = np.int64(1) << (shift - 1)
    whole = (sums.astype(np.int64) * multiplier + half) >> shift
    return np.clip(whole + zero_point, low, high).astype(np.int8)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_requantize", "grade": true}
check("09.requantize", requantize)

# %% [markdown]
# The last piece: the sums. You wrote the convolution in lesson 3, and `conv2d(image, kernel, stride)` is the
# reference's; it keeps to "same" padding as TensorFlow has it, and does not care whether numbers are whole. Two traps
# are left. `int8` minus `int8` is `int8` in NumPy, and 100 - (-100) has no room there. And a padding stands for
# $x = 0$: which $q$ is that?
#
# ### {09.conv2d_int8}
#
# Write `conv2d_int8(q, kernel, bias, zero_point, stride)`: q (H, W, Cin) and kernel (k, k, Cin, Cout) are int8, bias
# (Cout,) is int32, `zero_point` is that of q. Return the sums with the bias, whole numbers of at least 32 bits.


# %% nbgrader={"grade_id": "conv2d_int8", "solution": true}
def conv2d_int8(q, kernel, bias, zero_point, stride):
    """Sums of a convolution in whole numbers, with "same" padding."""
    ### BEGIN SOLUTION
    moved = q.astype(np.int32) - zero_point  # now 0 stands for 0, and the padding is right
    return conv2d(moved, kernel.astype(np.int32), stride) + bias
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_conv2d_int8", "grade": true}
check("09.conv2d_int8", conv2d_int8)

# %% [markdown]
# Now against the real thing. `convert_layer` takes the network's first convolution with its batch normalisation and
# ReLU6, and has LiteRT, the runtime of Android phones, make a layer in whole numbers of it. We read its kernel, bias
# and scales, compute with *your* functions, and compare all that comes out:

# %%
with after("9.1", "9.3", "9.4", "9.5", "9.6", "9.7"):
    if LITERT and MODE != "skip":
        layer = convert_layer(network, LAYERS, calibration[:20])
        (in_scale, in_zero), (out_scale, out_zero) = layer.come_in, layer.go_out
        q = np.asarray(quantize(scenes[0].image / 127.5 - 1, in_scale, in_zero, 8), np.int8)
        sums = conv2d_int8(q, layer.kernel, layer.bias, in_zero, 2)
        points = [fixed_point(in_scale * scale / out_scale) for scale in layer.kernel_scales]
        multiplier, shift = np.array(points, np.int64).T
        zero, six = np.asarray(quantize(np.array([0.0, 6.0]), out_scale, out_zero, 8)).tolist()
        mine = np.asarray(requantize(np.asarray(sums), multiplier, shift, out_zero, zero, six))
        theirs = layer(q)
        print(f"your layer and LiteRT's: {np.sum(mine != theirs):,} of {theirs.size:,} whole numbers differ")
        kernel = np.asarray(quantize_kernel(np.asarray(folded(*pairs[0])[0]))[0])
        print(f"your kernel and LiteRT's: {np.sum(kernel != layer.kernel)} of {kernel.size} whole numbers differ")
        (real,) = keras.Model(network.input, network.get_layer(LAYERS[-1]).output)(scenes[0].image[None]).numpy()
        error = rms(out_scale * (mine.astype(float) - out_zero) - real)
        print(f"beside the layer in 32 bits: rms of the difference {error:.4f}, a step is {out_scale:.4f}")

# %% [markdown]
# Not "close": equal, each of them. You know now what happens in every one of the millions of multiplications of a
# quantised network. (The last line is more than a step / √12, for not only this map was rounded: the picture and the
# kernel were, too.)
#
# Why "each of them", and not "always"? LiteRT has three sets of kernels, and they disagree on **exact halves**: its own
# take them up, as you do; its slow reference takes them away from zero; XNNPACK, which runs a file on most processors,
# multiplies with a float of 32 bits and takes them to the even neighbour. With scales as they come from real pictures
# an exact half hardly ever occurs. Should two phones ever disagree by one, you know where to look.

# %% [markdown]
# ## 7. What it costs, what it brings
#
# Time to measure, on your machine. Four files are made of each of the two large networks:
#
# | format | weights | maps | needs |
# |---|---|---|---|
# | float32 | 32 bits | 32 bits | nothing |
# | float16 | 16 bits | 32 bits, in most places | nothing |
# | weights only | 8 bits, a scale a channel | 32 bits | nothing |
# | int8 | 8 bits, a scale a channel | 8 bits | pictures for the calibration |
#
# All are run by LiteRT, for one picture at a time, with one thread and with two. It takes about three minutes, once;
# the files and the table are kept in the folder `my_exports`, beside this notebook.

# %% tags=["timed"]
FORMATS = {
    "float32": {"bits": 32},
    "float16": {"bits": 16},
    "weights only": {"bits": 8, "weights_only": True},
    "int8": {"bits": 8},
}
EXPORTS = Path("my_exports")
NETWORKS = {"full": ("mobilenetv2", "shufflenetv2"), "short": ("lesson",), "skip": ()}[MODE if LITERT else "skip"]
COUNT = 100 if MODE == "full" else 4  # pictures to calibrate on, and to judge


def milliseconds(look, rounds=40):
    """Median time of a call, after a few to warm up."""
    times = []
    for _ in range(rounds + 5):
        start = time.perf_counter()
        look()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times[5:]))


def measured(content, config, judged):
    """A row of the table: size, times with one and with two threads, scores."""
    picture = np.float32(judged[0].image[None])
    one, two = (litert.LiteRTNetwork(content, threads) for threads in (1, 2))
    scores = evaluate(Predictor(two, config), judged)
    return {
        "MB": len(content) / 1e6,
        "1 thread": milliseconds(lambda: one.predict_on_batch(picture)),
        "2 threads": milliseconds(lambda: two.predict_on_batch(picture)),
        "mAP": scores.mean_ap,
        "mIoU": scores.mean_iou,
    }


def table_of(name):
    """{format: row} of a shipped network; made once, and kept."""
    kept = EXPORTS / f"{name}.json"
    if kept.exists() and MODE == "full":
        return json.loads(kept.read_text())
    config, big = SHIPPED[name], load_network(name)
    pictures = np.stack([render(seed, size=config.image_size).image for seed in SPLITS["train"][:COUNT]])
    judged = [render(seed, size=config.image_size) for seed in SPLITS["validation"][:COUNT]]
    rows = {}
    for format_name, options in FORMATS.items():
        content = litert.convert(big, calibration=pictures, **options)
        rows[format_name] = measured(content, config, judged)
        if MODE == "full":
            EXPORTS.mkdir(exist_ok=True)
            (EXPORTS / f"{name} {format_name}.tflite").write_bytes(content)
    if MODE == "full":
        kept.write_text(json.dumps(rows))
    return rows


tables = {name: table_of(name) for name in NETWORKS}
for name, rows in tables.items():
    print(f"{name:17}MB    1 thread   2 threads     mAP    mIoU")
    for format_name, row in rows.items():
        print(
            f"  {format_name:12}{row['MB']:6.2f}{row['1 thread']:9.1f} ms{row['2 threads']:9.1f} ms"
            f"{row['mAP']:8.3f}{row['mIoU']:8.3f}"
        )

# %% jupyter={"source_hidden": true}
if len(tables) == 2:
    figure, axes = panels(2, image_size=(1, 1.35))
    told = []
    for panel, (name, rows) in zip(axes, tables.items(), strict=True):
        times = [row["1 thread"] for row in rows.values()]
        bars = panel.barh(list(rows), times, color=figures.SKY, edgecolor="black")
        panel.bar_label(bars, [f"{row['1 thread']:.1f} ms, {row['MB']:.1f} MB" for row in rows.values()], padding=3)
        panel.set(title=name, xlabel="milliseconds, one thread", xlim=(0, 1.6 * max(times)), ylim=(3.6, -0.6))
        told.append(f"{name}: " + ", ".join(f"{k} {v:.1f} ms" for k, v in zip(rows, times, strict=True)))
    show(figure, alt=f"Two panels of bars, a format each. {'; '.join(told)}.")

# %% [markdown]
# Read the columns one by one.
#
# *Size.* Half, three tenths, a third. Both files of 8 bits keep more than a quarter, for the graph itself and the
# biases do not shrink; int8 has, in addition, a scale for each map.
#
# *Scores.* They move by a few thousandths, in either direction. A hundred pictures to calibrate on were enough.
#
# *Time.* Here it depends on your processor. float16 weights are unpacked to floats when the file is opened: half of the
# file, the same time. With weights only, maps stay floats, but each is rounded to bytes just before it is multiplied,
# and its range has to be found first, anew for every picture. And int8? A processor multiplies bytes faster than floats
# only if it has **instructions for that**: on desktops they are called VNNI, and on a machine without them int8 is no
# faster than float32, or slower. Phones' processors have had them since about 2018 (Arm calls them dot product
# instructions), and their special chips often do nothing else. This table says nothing about your phone: run the file
# *there*.

# %% [markdown]
# ## 8. The last mile
#
# What comes out of a file are raw numbers. Softmax, decoding, NMS and the mask's classes stay outside: a phone's app
# does them in its own language. (Decoding in int8 would leave 256 places for a corner to be.) It takes a few lines, and
# one decision: **throw away first**. Of thousands of anchors hardly a hundred have any class with a score worth a look;
# decode those alone.


# %%
def look(picture, run, config, least_score=0.4):
    """Boxes, labels, scores and the mask's classes of a picture of any size; and the milliseconds of each step."""
    clock = [time.perf_counter()]
    height, width = config.image_size
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    clock.append(time.perf_counter())
    outputs = run.predict_on_batch(small[None])
    clock.append(time.perf_counter())
    shares = softmax(outputs["classes"][0])
    worth = np.flatnonzero(shares[:, 1:].max(axis=1) >= least_score)
    boxes = np.clip(decode(outputs["offsets"][0][worth], config.anchors[worth]), 0, 1)
    found = []
    for label in range(1, shares.shape[1]):
        scores = shares[worth, label]
        for k in non_max_suppression(boxes, scores, 0.65, least_score, 100):
            found.append((boxes[k], label, float(scores[k])))
    clock.append(time.perf_counter())
    mask = outputs["mask"][0].argmax(axis=-1)
    clock.append(time.perf_counter())
    return found, mask, 1000 * np.diff(clock)


if LITERT and MODE != "skip":
    name = NETWORKS[-1]
    content = EXPORTS / f"{name} int8.tflite" if MODE == "full" else whole
    run = litert.LiteRTNetwork(content, threads=2)
    photos = [render(seed, size=(480, 640)).image for seed in SPLITS["test"][: max(COUNT // 4, 3)]]
    steps = np.array([look(photo, run, SHIPPED[name])[2] for photo in photos])[1:]
    names = ("resize", "network", "boxes", "mask")
    for step_name, step in zip(names, np.median(steps, axis=0), strict=True):
        print(f"{step_name:9}{step:6.1f} ms")
    print(f"{name} in int8: {1000 / np.median(steps.sum(axis=1)):.0f} pictures a second, pictures of 480 × 640 in")

# %% [markdown]
# The network takes a part of the time only. Whoever halves it has not halved the wait: this is why one measures **from
# end to end**. Which line would you work on next? (In an app, the picture is resized by the camera or the graphics
# chip, and the mask is coloured there, too.)
#
# Now take it out of the notebook. In a terminal:
#
#     ssdseg export shufflenetv2 --to litert --bits 8 --out phone     # model, labels, anchors, and how to use them
#     ssdseg export shufflenetv2 --to litert --out phone32 --explain  # which operator takes how long
#     ssdseg evaluate phone                                           # the same table as for any network
#
# The folder has a README with code for Python, Kotlin and JavaScript. In place of `shufflenetv2` it takes the folder of
# your own network, too.

# %% [markdown]
# ## 9. An open end
#
# Smaller, faster, and as good: how far can you go? This score counts both. It is the mean of mAP and mIoU in percent,
# less **five points for each doubling** of the time, beside ShuffleNetV2 in float32 with one thread in your own table.


# %%
def device_score(row):
    """The mean of both scores, in percent; each doubling of the time costs five points."""
    slower = row["1 thread"] / tables["shufflenetv2"]["float32"]["1 thread"]
    return 50 * (row["mAP"] + row["mIoU"]) - 5 * np.log2(slower)


def candidate():
    """Yours: a network and its configuration. To begin with: ShuffleNetV2 on smaller pictures, without training."""
    config = replace(SHIPPED["shufflenetv2"], image_size=(160, 224))
    smaller = build_network(config)
    smaller.set_weights(load_network("shufflenetv2").get_weights())  # kernels do not ask how large a picture is
    return smaller, config


if MODE == "full" and LITERT:
    smaller, config = candidate()
    judged = [render(seed, size=config.image_size) for seed in SPLITS["validation"][:COUNT]]
    marks = {f"{name}, {form}": device_score(row) for name, rows in tables.items() for form, row in rows.items()}
    row = measured(litert.convert(smaller), config, judged)
    marks["your candidate"] = device_score(row)
    for name, mark in sorted(marks.items(), key=lambda pair: -pair[1]):
        print(f"{name:30}{mark:6.1f}")
    print(f"your candidate: {row['1 thread']:.1f} ms, mAP {row['mAP']:.3f}, mIoU {row['mIoU']:.3f}")

# %% [markdown]
# Smaller pictures alone make it faster, and its boxes much worse, since it has never seen things at that size; the mask
# hardly minds. So there is something to win:
#
# - **Train it there.** Some epochs with the smaller `config`, from these weights, as in lesson 8.
# - **Fake quantisation**, as in section 4: for longer, with the maps rounded, too. How few bits are enough?
# - **Pruning.** Leave out the channels whose folded kernels are smallest, then train on.
# - **Narrower.** A backbone of half the width, taught by the large one.

# %% [markdown]
# ## 10. Compare with the reference
#
# Save the notebook (Ctrl + S) and type into a terminal:
#
#     ssdseg check 9      # runs your notebook from scratch, without the measuring, and counts your points
#     ssdseg compare 9    # your functions beside the reference's
#
# ## To remember
#
# - After the training a batch normalisation is a factor and an addend: **fold** it.
# - $x \approx s (q - z)$: rounding costs up to half a step, clipping all that lies beyond the ends.
# - **Zero has to be exact.**
# - Kernels: symmetric, a scale for each **output** channel. Maps: a scale and a zero point, from a calibration on
#   pictures such as the device will see.
# - Products of bytes, sums of 32 bits, a multiplier and a shift, one rounding: whole numbers all the way.
# - int8 is smaller everywhere, and faster **where there are instructions for it**. Measure on the device, from end to
#   end.
#
# ## The papers
#
# - B. Jacob et al. 2018, *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*
#   (CVPR): folding, zero points, fixed-point multipliers, fake quantisation.
# - Y. Bengio, N. Léonard and A. Courville 2013, *Estimating or Propagating Gradients Through Stochastic Neurons for
#   Conditional Computation* (arXiv:1308.3432): gradients through steps.
# - R. Krishnamoorthi 2018, *Quantizing deep convolutional networks for efficient inference: A whitepaper*
#   (arXiv:1806.08342): a scale for each channel, calibration, tables.
# - M. Nagel et al. 2019, *Data-Free Quantization through Weight Equalization and Bias Correction* (ICCV): how to even
#   out the channels of a kernel.
# - M. Nagel et al. 2021, *A White Paper on Neural Network Quantization* (arXiv:2106.08295).

# %% [markdown]
# ## An open challenge
#
# No points for the lesson, and no right answer: section 9, with hidden scenes and a table. Write `my_candidate()`. It
# returns a dict that says which network runs: one of the course's, on pictures of any size, in 32, 16 or 8 bits; or the
# folder of one of your own, trained on smaller pictures or pruned, that `ssdseg export ... --to litert` has written.
# You may set what comes after the network as well, such as the threshold of NMS.
#
# Its time and that of ShuffleNetV2 in float32 are measured in turns, on one thread. Your score is the mean of
# mAP@[.5:.95] and mIoU, in percent, over 100 scenes that you have not seen, less five points for each doubling of the
# time. Take the `#` away below when you are ready; `ssdseg challenge 9` does the same in a terminal.

# %%
from ssdseg_course import challenge


def my_candidate():
    """Which network runs, and how."""
    return {"network": "shufflenetv2", "image_size": (176, 240)}


challenge("09")  # the marks, and your attempts; the next line, without its "# ", needs LiteRT and a minute
# challenge("09", my_candidate)
