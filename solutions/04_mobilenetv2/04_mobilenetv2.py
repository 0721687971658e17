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
# # Lesson 4 - MobileNetV2: wide inside, narrow between
#
# **You will be able to** build a whole network from Keras layers, say why the narrow places of MobileNetV2 must not
# have an activation, read a paper's table as a program, and give your network the weights of somebody else's.
#
# **You need** lesson 3: what depthwise and pointwise convolutions are, and what they cost. You need no Keras; we begin
# with it.
#
# **It takes** {time}. Every exercise is a good place to stop. When you come back, choose Run, Run All Cells in the
# menu: it stops at the first check that does not pass yet, and you go on from there.
#
# Stuck? `hint("04.bottleneck")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

from contextlib import redirect_stdout
from io import StringIO

import keras
import numpy as np
from keras import layers

from ssdseg_course import check, hint
from ssdseg_course.checking.layer_graph import copy_weights
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_course.explorers.relu import explore_relu
from ssdseg_ref import mobilenetv2 as reference
from ssdseg_ref.convolution import conv_cost
from ssdseg_ref.data.crops import crops
from ssdseg_ref.data.warehouse import CLASSES

# %% [markdown]
# ## 1. The result, first
#
# This is the network that you will have built: one bar per map on the way from the picture (top) to the answer
# (bottom), as wide as the map has channels. (No need to read the code that draws.)


# %% jupyter={"source_hidden": true}
def draw_widths(axes, maps, title):
    """Bars for the channels of maps, one under another; narrow ones striped, wide ones plain."""
    for place, (channels, wide) in enumerate(maps):
        axes.barh(
            place,
            channels,
            height=0.85,
            color=figures.BLUE if wide else figures.ORANGE,
            hatch="" if wide else "////",
            edgecolor="black",
            linewidth=0.5,
        )
    axes.set(ylim=(len(maps), -1), yticks=[], xlabel="channels", title=title)


def channels_on_the_way():
    """(channels, whether it is an expansion) of each bottleneck's maps, in the published network."""
    maps, before = [(32, False)], 32
    for expansion, channels, repeats, _ in reference.STAGES:
        for _ in range(repeats):
            if expansion > 1:
                maps.append((expansion * before, True))
            maps.append((channels, False))
            before = channels
    return [*maps, (1280, True)]


figure, (axes,) = panels(1, image_size=(1, 2.2))
draw_widths(axes, channels_on_the_way(), "MobileNetV2 from the picture (top) to the answer (bottom)")
show(
    figure,
    alt="35 bars, one under another. The first two are narrow, 32 and 16 channels; from there on wide and narrow ones "
    "take turns. The narrow ones, striped, grow to 320 at the bottom; each wide one has six times as many channels as "
    "the narrow one above it, from 96 to 960. The last bar, wide, has 1280.",
)

# %% [markdown]
# Narrow, wide, narrow, wide: sixteen times, after a first block that does not widen. The narrow maps carry what is
# known from step to step; in the wide ones the network thinks. The MobileNets of lesson 3 have no narrow maps between.
# This is what the change was worth (Sandler et al. 2018, table 4):
#
# | network | right answers on ImageNet | parameters | multiply-adds |
# |---|---|---|---|
# | MobileNetV1 | 70.6% | 4.2 million | 575 million |
# | **MobileNetV2** | **72.0%** | **3.4 million** | **300 million** |
# | MobileNetV2, 1.4 times as wide | 74.7% | 6.9 million | 585 million |
#
# Half the work, and more right answers. In lessons 6 and 7, heads for boxes and masks will stand on top of it.

# %% [markdown]
# ## 2. How wide, please?
#
# One number makes the whole network wider or narrower: the **width multiplier** $\alpha$ ("alpha"). With $\alpha = 0.5$
# most layers have half their channels, and the network takes about a third of the multiply-adds and gives somewhat
# fewer right answers. So one design serves a phone and a server.
#
# But 0.35 times 96 channels makes 33.6<!-- = 0.35 * 96 --> channels, and processors work through numbers in packs of 8
# or 16; a layer of 33 channels takes as long as one of 40. Hence the rule in the authors' code:
#
# - round to the **nearest multiple** of the divisor, 8 (halfway cases go up), but to **at least one** divisor;
# - if that lost **more than a tenth** of the channels, take the next multiple above.
#
# *Take a pencil:* what becomes of 33.6, of 20, and of 11?
#
# <details><summary>Compare</summary>
#
# 33.6 lies nearest to 32<!-- = blocks.make_divisible(33.6) -->, which is more than nine tenths of it. 20 lies halfway:
# 24<!-- = blocks.make_divisible(20) -->. 11 lies nearest to 8, but nine tenths of 11 are 9.9<!-- = 0.9 * 11 -->: too
# much is lost, so 16<!-- = blocks.make_divisible(11) -->.
#
# </details>
#
# ### {04.make_divisible}
#
# Write `make_divisible(channels, divisor)`. `channels` may have a fraction; what comes back is a whole number, an
# `int`: Keras will make that many channels.


# %% nbgrader={"grade_id": "make_divisible", "solution": true}
def make_divisible(channels, divisor):
    """The multiple of the divisor that is nearest to a number of channels, and not much less."""
    ### BEGIN SOLUTION
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_make_divisible", "grade": true}
check("04.make_divisible", make_divisible)

# %% [markdown]
# The widths of the paper's table, under the multipliers for which weights are published (look at 24 with
# $\alpha = 0.5$: not every layer halves):

# %%
with after("4.1"):
    print("alpha  " + "".join(f"{channels:6}" for channels in (32, 16, 24, 32, 64, 96, 160, 320)))
    for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
        widths = [int(make_divisible(channels * alpha, 8)) for channels in (32, 16, 24, 32, 64, 96, 160, 320)]
        print(f"{alpha:<7}" + "".join(f"{width:6}" for width in widths))

# %% [markdown]
# ## 3. A first network in Keras
#
# In lesson 3 you computed with arrays. To *train* a network, something has to know how each number came about. Keras
# does, if we build from its **layers**. A layer is an object with weights that can be called like a function:

# %%
image = keras.Input((160, 224, 3))  # a place for pictures of 160 × 224 pixels; no picture yet
stripes = layers.Conv2D(16, 3, strides=2, padding="same")  # a layer: 16 kernels of 3 × 3
x = stripes(image)  # the layer, applied

print("in: ", image.shape, "  out:", x.shape)
model = keras.Model(image, x)  # all between these two is a network
print(f"{model.count_params()} parameters: {3 * 3 * 3 * 16} weights and {16} biases")
print("two pictures through it:", model(np.zeros((2, 160, 224, 3), np.float32)).shape)

# %% [markdown]
# Two steps, which are easily mistaken for one: `layers.Conv2D(...)` **makes** a layer, `(image)` **applies** it. What
# `x` holds is not numbers but a **Keras tensor**: a promise of numbers, with a shape. Its first side is `None`, for as
# many pictures as will come. `keras.Model` takes the path from one tensor to another and makes a network of it.
#
# Three layers will follow one another again and again:
#
# 1. a **convolution** without a bias;
# 2. a **batch normalisation**. In training, each channel is shifted and scaled so that over the batch it has mean 0 and
#    deviation 1. Then two learned numbers per channel, $\gamma$ and $\beta$, say which scale and which mean it is to
#    have: $y = \gamma \, (x - \mu) / \sqrt{\sigma^2 + \varepsilon} + \beta$. So no layer has to cope with numbers from
#    the layer before that keep changing size, and deep networks become easy to train. (After training, when pictures
#    come one by one, averages of $\mu$ and $\sigma^2$ that were kept during training take the place of the batch's.
#    Keras knows which of the two it is doing.) It subtracts the mean, so a bias before it would have no effect;
# 3. an **activation**. Here it is ReLU6, $\min(\max(x, 0), 6)$. Without something nonlinear, all layers in a row could
#    be replaced by one. The 6 keeps numbers small, for phones that compute with eight bits.
#
# ### {04.conv_bn}
#
# Write `conv_bn(x, filters, kernel_size, stride, activation)`: three layers applied to the Keras tensor `x`, with
# "same" padding. `activation` is a name, such as `"relu6"`, for `layers.Activation`; or it is `None`, and then nothing
# follows the normalisation. What comes back is the last tensor. (`layers.BatchNormalization()` needs no argument.)
#
# The check gives your network unexpected weights, pictures and training averages; then it compares layer by layer.
# Names do not matter to it, nor how many lines you take, nor whether another of Keras's layers does the same with the
# same weights.


# %% nbgrader={"grade_id": "conv_bn", "solution": true}
def conv_bn(x, filters, kernel_size, stride, activation):
    """Convolution, batch normalisation, activation: (B, H, W, C) gives (B, H / stride, W / stride, filters)."""
    ### BEGIN SOLUTION
    x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_conv_bn", "grade": true}
check("04.conv_bn", conv_bn)

# %% [markdown]
# ### {04.depthwise_bn}
#
# Write `depthwise_bn(x, kernel_size, stride, dilation, activation)`: as before, with a *depthwise* convolution (lesson
# 3), one layer for all channels. What is it called in Keras, why does it need no number of filters, and what does it
# call the dilation? Type `layers.D` and press the Tab key; `layers.Conv2D?` shows what a layer takes.


# %% nbgrader={"grade_id": "depthwise_bn", "solution": true}
def depthwise_bn(x, kernel_size, stride, dilation, activation):
    """Depthwise convolution, batch normalisation, activation: (B, H, W, C) gives (B, ..., C)."""
    ### BEGIN SOLUTION
    x = layers.DepthwiseConv2D(kernel_size, stride, padding="same", dilation_rate=dilation, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_depthwise_bn", "grade": true}
check("04.depthwise_bn", depthwise_bn)

# %% [markdown]
# With these two you could build the whole of MobileNetV1: depthwise, pointwise, depthwise, pointwise, each with its
# ReLU6. What did its authors improve a year later?

# %% [markdown]
# ## 4. What a ReLU destroys
#
# A ReLU turns everything negative into 0. A 0 no longer knows what it was. Is that bad? It depends on how many channels
# there are.
#
# An experiment from the paper. Take something simple, a spiral in the plane: points with 2 numbers each. Take them into
# $n$ dimensions by a random matrix ($n$ channels, each a mix of the two numbers). Apply a ReLU. Then go back to the
# plane as well as possible, by the matrix's *pseudo-inverse*, which undoes the first step. Whatever is missing now, the
# ReLU took.
#
# ### {04.through_relu}
#
# Write `through_relu(points, matrix)`: `points` has the shape `(N, d)`, `matrix` `(d, n)`, and what comes back is
# `(N, d)` again. This one is NumPy. `np.linalg.pinv(matrix)` is the pseudo-inverse, of shape `(n, d)`.


# %% nbgrader={"grade_id": "through_relu", "solution": true}
def through_relu(points, matrix):
    """Points (N, d) through a ReLU in n dimensions, to which a matrix (d, n) leads, and back: (N, d)."""
    ### BEGIN SOLUTION
    return np.maximum(points @ matrix, 0) @ np.linalg.pinv(matrix)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_through_relu", "grade": true}
check("04.through_relu", through_relu)

# %% jupyter={"source_hidden": true}
with after("4.4"):
    at = np.linspace(0.05, 1, 400)
    spiral = np.stack([at * np.cos(5 * np.pi * at), at * np.sin(5 * np.pi * at)], axis=-1)
    figure, axes = panels(5, image_size=(1, 1))
    for panel, dimensions in zip(axes, (None, 2, 3, 10, 50), strict=True):
        back = spiral
        if dimensions:
            matrix = np.random.default_rng((dimensions, 1)).normal(size=(2, dimensions))
            back = np.asarray(through_relu(spiral, matrix))
        back = back / np.abs(back).max()
        panel.scatter(*back.T, s=2 + 22 * at, color=figures.BLUE)
        title = f"back from {dimensions} dimensions" if dimensions else "the spiral"
        panel.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=[], yticks=[], aspect="equal", title=title)
        panel.title.set_fontsize(9)
    show(
        figure,
        alt="Five panels. First a spiral of two and a half turns, thin in the middle, thick outside. "
        "Then what comes back. From 2 and from 3 dimensions: a part of it, cut off by straight lines onto which all "
        "other arcs were pressed. From 10: all turns, bent into narrow triangles. From 50: a whole spiral again, "
        "flattened on one side.",
    )

# %% [markdown]
# From few dimensions, only a part of the spiral comes back. Whole arcs have been pressed onto one straight line:
# different points have become one, and no later layer can tell them apart again. From many, the spiral is bent, but
# everything is still there. Each point is cut to 0 in about half of the channels, but the others still know where it
# was. Try other numbers of dimensions, and other matrices:

# %%
explore_relu(dimensions=3)

# %% [markdown]
# Hence the paper's rule: **a ReLU belongs where there are many channels.** Where there are few, what comes out of a
# layer must stay as it is: *linear*. And this is how to have both. Carry few channels from block to block, which is
# cheap. In each block, widen them, apply the ReLU6s there, and narrow them again *without* an activation. Such a
# narrow, linear place is a **linear bottleneck**.

# %% [markdown]
# ## 5. The inverted residual
#
# Here is the block. $C$ channels come in, $C'$ go out, and inside there are $t$ times $C$:
#
# | step | kernel | channels | activation |
# |---|---|---|---|
# | 1. **expand** | pointwise | $C \to tC$ | ReLU6 |
# | 2. **filter** | depthwise 3 × 3, has the block's stride | $tC \to tC$ | ReLU6 |
# | 3. **project** | pointwise | $tC \to C'$ | *none* |
#
# Each step has its batch normalisation. And one more thing: where what comes out has the shape of what came in, **the
# input is added to the output**. The block then only has to say what should *change*, and the gradient has a path
# around it, which is what makes networks of a hundred layers trainable (He et al. 2016, ResNet). There, the wide maps
# were added, with a narrow middle between them. Here the narrow ones are: an **inverted residual**. What has to be kept
# for the sum is a sixth as large.

# %% jupyter={"source_hidden": true}
figure, axes = panels(2, image_size=(1, 1.5))
RESNET = (256, 64, 64, 256), ("1 × 1\nReLU", "3 × 3\nReLU", "1 × 1\nlinear"), "then ReLU"
INVERTED = (24, 144, 144, 24), ("1 × 1\nReLU6", "depthwise\n3 × 3\nReLU6", "1 × 1\nlinear"), "as it is"
for panel, (channels, steps, afterwards), title in (
    (axes[0], RESNET, "residual of ResNet: wide - narrow - wide"),
    (axes[1], INVERTED, "inverted residual: narrow - wide - narrow"),
):
    for place, number in enumerate(channels):
        is_wide, height = number == max(channels), number / 256
        panel.bar(
            place,
            height,
            bottom=-height / 2,
            width=0.3,
            color=figures.BLUE if is_wide else figures.ORANGE,
            hatch="" if is_wide else "////",
            edgecolor="black",
        )
        panel.text(place, -height / 2 - 0.06, f"{number}", ha="center", va="top", fontsize=9)
    for place, step in enumerate(steps):
        panel.annotate("", (place + 0.8, 0), (place + 0.2, 0), arrowprops={"arrowstyle": "->", "color": "black"})
        panel.text(place + 0.5, -0.9, step, ha="center", va="center", fontsize=9)
    shortcut = {"arrowstyle": "->", "connectionstyle": "arc3,rad=-0.25", "linewidth": 1.5, "color": "black"}
    panel.annotate("", (3, 0.62), (0, 0.62), arrowprops=shortcut)
    panel.text(1.5, 1.12, f"added, {afterwards}", ha="center", fontsize=9)
    panel.set(xlim=(-0.4, 3.4), ylim=(-1.15, 1.3), title=title)
    panel.axis("off")
    panel.title.set_fontsize(10)
show(
    figure,
    alt="Two rows of four bars with arrows between them, a bar for the channels of each map. Left, the residual of "
    "ResNet: 256 channels, 64, 64 and 256; an arc from the first bar to the last says: added, then ReLU. Its steps are "
    "1 by 1 with ReLU, 3 by 3 with ReLU, and 1 by 1, linear. Right, the inverted residual: 24 channels, 144, 144 and "
    "24; its arc says: added, as it is. Its steps are 1 by 1 with ReLU6, depthwise 3 by 3 with ReLU6, and 1 by 1, "
    "linear.",
)

# %% [markdown]
# ### {04.bottleneck}
#
# Write `bottleneck(x, channels, stride, expansion)` with your `conv_bn` and `depthwise_bn`. `channels` go out;
# `x.shape[-1]` says how many come in.
#
# - With an expansion of 1 there is nothing to widen: leave step 1 out.
# - Add `x` (by `layers.Add()([x, y])` or `x + y`) where the stride is 1 *and* as many channels go out as came in.
# - Return **two** tensors: the output, and the map that step 1 made (x itself, where there was no step 1). SSDLite will
#   need that second one in lesson 6.


# %% nbgrader={"grade_id": "bottleneck", "solution": true}
def bottleneck(x, channels, stride, expansion):
    """Inverted residual: gives (B, H', W', channels), and the expansion (B, H, W, expansion * C) that it came from."""
    ### BEGIN SOLUTION
    expanded = x if expansion == 1 else conv_bn(x, expansion * x.shape[-1], 1, 1, "relu6")
    y = depthwise_bn(expanded, 3, stride, 1, "relu6")
    y = conv_bn(y, channels, 1, 1, None)
    if stride == 1 and x.shape[-1] == channels:
        y = layers.Add()([x, y])
    return y, expanded
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_bottleneck", "grade": true}
check("04.bottleneck", bottleneck)

# %% [markdown]
# What does such a block cost? Count it with lesson 3's `conv_cost`, beside a plain 3 × 3 convolution with as many
# channels in and out:

# %%
rows, cols, narrow, t = 14, 14, 64, 6
steps = {
    "expand": conv_cost("pointwise", (rows, cols), 1, narrow, t * narrow),
    "filter": conv_cost("depthwise", (rows, cols), 3, t * narrow, t * narrow),
    "project": conv_cost("pointwise", (rows, cols), 1, t * narrow, narrow),
    "all three": (0, 0),
    "plain 3 × 3, 64 channels": conv_cost("standard", (rows, cols), 3, narrow, narrow),
    "plain 3 × 3, 384 channels": conv_cost("standard", (rows, cols), 3, t * narrow, t * narrow),
}
steps["all three"] = np.sum([steps[name] for name in ("expand", "filter", "project")], axis=0)
for name, (parameters, multiply_adds) in steps.items():
    print(f"{name:26}{int(parameters):11,} parameters{int(multiply_adds):14,} multiply-adds")

# %% [markdown]
# It costs 1.4<!-- = 10_311_168 / 7_225_344 --> times as much as a plain convolution of the narrow maps, has two
# activations instead of one, and looks at 384<!-- above --> channels on the way. The plain convolution that could do
# the same costs 25<!-- = 260_112_384 / 10_311_168 --> times as much.

# %% [markdown]
# ## 6. The table is the network
#
# The paper gives the whole network as a table, its table 2. In the course it is this, line for line:

# %%
STAGES = (
    # expansion t, channels c, repeats n, stride s
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

# %% [markdown]
# Read a row like this: $n$ bottlenecks that give $c$ channels each, with the expansion $t$. The **first** of them has
# the stride $s$; the others have stride 1. At the front stands the **stem**, an ordinary 3 × 3 convolution of stride 2
# to 32 channels, with ReLU6. Every width, the stem's too, is multiplied by $\alpha$ and rounded as in section 2.
#
# The stem and four of the rows halve the map, so in the end a pixel of the map stands for $2^5 = 32$ pixels of the
# picture, each way: the map has **stride 32**. Heads for boxes and masks need finer maps as well, for small things and
# sharp edges. Where should they be taken from? Just before the map shrinks, in the block that shrinks it, lies its
# richest version: the expansion, with six times as many channels, computed anyway. There the authors attached SSDLite,
# and so do we.
#
# ### {04.mobilenet_v2_features}
#
# Write `mobilenet_v2_features(x, alpha, stages)`, for a table such as `STAGES`. It gives a dict from strides to maps:
#
# - for every stride that the network leaves again (2, 4, 8 and 16 with the whole table): the *expansion* in the
#   bottleneck that leaves it;
# - for the final stride (32): the output of the last bottleneck.
#
# A stride in the table is 1 or 2. To be quick, the check also tries short tables.


# %% nbgrader={"grade_id": "mobilenet_v2_features", "solution": true}
def mobilenet_v2_features(x, alpha, stages):
    """The maps of MobileNetV2 by their strides: {2: ..., 4: ..., 8: ..., 16: ..., 32: ...} for the whole table."""
    ### BEGIN SOLUTION
    x = conv_bn(x, make_divisible(32 * alpha, 8), 3, 2, "relu6")
    maps, so_far = {}, 2
    for expansion, channels, repeats, stride in stages:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            x, expanded = bottleneck(x, make_divisible(channels * alpha, 8), step, expansion)
            if step > 1:
                maps[so_far] = expanded
                so_far *= step
    maps[so_far] = x
    return maps
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_mobilenet_v2_features", "grade": true}
check("04.mobilenet_v2_features", mobilenet_v2_features)

# %%
with after("4.6"):
    for stride, feature_map in mobilenet_v2_features(keras.Input((160, 224, 3)), 1.0, STAGES).items():
        _, height, width, channels = feature_map.shape
        print(f"stride {stride:2}: {height:3} × {width:3} places, {channels:3} channels")

# %% [markdown]
# ## 7. The whole network
#
# To tell a thousand kinds of things apart, as in the paper, the last map still needs a **head**: one more pointwise
# convolution to 1280 channels (ReLU6), then the *mean* over all places, one number per channel, and from these a dense
# layer with a softmax over the classes. A narrow network keeps its 1280; a wide one, $\alpha > 1$, has
# `make_divisible(1280 * alpha, 8)`.
#
# Our own network will have other heads. But only with this one can we compare with the published network.
#
# ### {04.mobilenet_v2}
#
# Write `mobilenet_v2(input_shape, alpha, classes)`, which returns a `keras.Model` from pictures of `input_shape`, such
# as `(224, 224, 3)`, to `classes` probabilities. `layers.GlobalAveragePooling2D()` takes the mean over all places;
# `layers.Dense(classes, activation="softmax")` is the last layer.


# %% nbgrader={"grade_id": "mobilenet_v2", "solution": true}
def mobilenet_v2(input_shape, alpha, classes):
    """MobileNetV2 as a model from (B, H, W, 3) to (B, classes) probabilities."""
    ### BEGIN SOLUTION
    image = keras.Input(input_shape)
    x = mobilenet_v2_features(image, alpha, STAGES)[32]
    x = conv_bn(x, make_divisible(1280 * max(alpha, 1.0), 8), 1, 1, "relu6")
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, activation="softmax")(x)
    return keras.Model(image, x)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_mobilenet_v2", "grade": true}
check("04.mobilenet_v2", mobilenet_v2)

# %% [markdown]
# Does it have the parameters and the multiply-adds of the paper? To count the latter, every convolution is passed to
# lesson 3's `conv_cost`:


# %%
def count_multiply_adds(model):
    """Multiply-adds of all convolutions and dense layers, for one picture."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D):
            kind = "depthwise" if isinstance(layer, layers.DepthwiseConv2D) else "standard"
            _, *size, in_channels = layer.input.shape
            total += conv_cost(
                kind, size, layer.kernel_size[0], in_channels, layer.output.shape[-1], layer.strides[0]
            ).multiply_adds
        elif isinstance(layer, layers.Dense):
            total += layer.kernel.shape[0] * layer.kernel.shape[1]
    return total


with after("4.7"):
    print("alpha   parameters   multiply-adds   (pictures of 224 × 224, 1000 classes)")
    for alpha in (0.35, 0.5, 1.0, 1.4):
        model = mobilenet_v2((224, 224, 3), alpha, 1000)
        print(f"{alpha:<6}{model.count_params():12,}{count_multiply_adds(model):16,}")

# %% [markdown]
# The paper says 300 and 585 million multiply-adds for $\alpha$ = 1 and 1.4, and so do you, nearly. Parameters: the
# paper says 3.4 million for $\alpha$ = 1. For 1.4 it says 6.9 million, where Keras's own network has
# 6,156,712<!-- above -->, as yours has; and 3,538,984<!-- above --> for 1, as yours. We keep to the network whose
# weights are available.

# %% [markdown]
# ## 8. Somebody else's weights
#
# The proof: take the MobileNetV2 that comes with Keras, give all of its weights to *your* network, and show both the
# same pictures. Your layers have other names and may have been made in another order; `copy_weights` looks at how a
# layer is built and what it stands on, and finds its twin.
#
# Keras downloads the weights trained on ImageNet. Where that does not work, we use random ones instead, even for the
# averages of the batch normalisations; otherwise two different networks might agree by accident.


# %%
def published_network():
    """Keras's own MobileNetV2, with ImageNet's weights if they are available, and which weights it has."""
    try:
        with redirect_stdout(StringIO()):  # Keras announces its download, also one that fails then
            network = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights="imagenet")
        return network, "ImageNet's weights"
    except Exception:  # Keras raises a bare Exception where a download fails
        network, rng = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None), np.random.default_rng(0)
        for weight in network.weights:
            scale = 1 if weight.ndim == 1 else (2 / np.prod(weight.shape[:-1])) ** 0.5
            low = 0.5 if weight.name in ("gamma", "moving_variance") else -0.5
            values = rng.uniform(low, low + 1, weight.shape) if weight.ndim == 1 else rng.normal(0, scale, weight.shape)
            weight.assign(values)
        return network, "random weights (ImageNet's could not be fetched)"


with after("4.7"):
    published, which = published_network()
    yours = mobilenet_v2((96, 96, 3), 0.35, 1000)
    copy_weights(published, yours)
    pictures = np.random.default_rng(1).uniform(-1, 1, (4, 96, 96, 3)).astype(np.float32)
    theirs, ours = np.asarray(published(pictures)), np.asarray(yours(pictures))
    print(which)
    print(f"{len(published.weights)} arrays of weights, {published.count_params():,} numbers, found their places")
    print(f"largest probability {theirs.max():.4f},", end=" ")
    print(f"largest difference between the two networks {np.abs(theirs - ours).max():.1e}")

# %% [markdown]
# The same down to the last digits: what was trained into Keras's MobileNetV2 runs in yours. (Weights from PyTorch would
# find their places, too, but they were trained with zeros on both sides alike. In yours, every picture would be shifted
# by a pixel, five times over: see lesson 3.)

# %% [markdown]
# ## 9. Linear or not: let them learn
#
# A spiral is not a network. Does a ReLU at the narrow places cost anything where it counts, in right answers? Let two
# small networks learn. Both are a stem and four of your blocks, **four channels** narrow and 24<!-- = 6 * 4 --> wide
# inside, with the sum around each block that allows it. Both have the same parameters, begin with the same random
# weights, and see the same 1,200 crops of Warehouse scenes, of 32 × 32 pixels: a person, a forklift, a piece of
# monorail, or *background*: none of these, or only a small bit of one. The one difference is what stands after the
# narrow maps: nothing, or a ReLU6.
#
# Chance has its share in every training, so one pair would prove little. There are two such pairs, each with random
# weights of its own, and a third pair with **16 channels** in place of four. (It takes about a minute on two quiet
# cores. If you have more time, write more 4s and 16s into
# `PAIRS`.)
#
# *Predict*, before you run it. The answers are judged on 800 other crops, and whoever guesses gets 25 of 100 right. By
# how many in 100 will the linear ones be ahead, with 4 channels, and with 16? Will the gap be larger than what chance
# does from pair to pair?

# %%
PREDICTED = {4: None, 16: None}  # by how many in 100 the linear ones are ahead; write numbers in place of None

# %% tags=["timed"]
MODE = how_to_train()  # "full" for you; less in a check or an automatic test, where nobody waits for it
PAIRS = (4, 4, 16)  # channels between the blocks, for each pair of networks
EPOCHS = 4  # how often each crop is seen
KINDS = ("background", *CLASSES)
WAYS = {"linear": None, "ReLU6": "relu6"}  # what stands after the narrow maps
DRAWN = {
    ("linear", 4): ("-", "o", figures.BLUE),
    ("ReLU6", 4): ("--", "s", figures.VERMILION),
    ("linear", 16): ("-.", "^", figures.SKY),
    ("ReLU6", 16): (":", "v", figures.ORANGE),
}


def block(x, channels, stride, narrow_end):
    """Your inverted residual, with an activation, or none, at its narrow end."""
    y = conv_bn(x, 6 * x.shape[-1], 1, 1, "relu6")
    y = depthwise_bn(y, 3, stride, 1, "relu6")
    y = conv_bn(y, channels, 1, 1, narrow_end)
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == channels else y


def small_network(narrow, narrow_end, steps):
    """A network from crops (B, 32, 32, 3) to four sums (B, 4), and its first part, to a narrow map (B, 16, 16, C)."""
    crop = keras.Input((32, 32, 3))
    x = conv_bn(conv_bn(crop, 16, 3, 2, "relu6"), narrow, 1, 1, narrow_end)
    first = x = block(x, narrow, 1, narrow_end)
    for stride in (2, 2, 1):
        x = block(x, narrow, stride, narrow_end)
    x = layers.GlobalAveragePooling2D()(conv_bn(x, 64, 1, 1, "relu6"))
    network = keras.Model(crop, layers.Dense(len(KINDS))(x))
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # in so few steps its averages have to adapt fast
    rates = keras.optimizers.schedules.CosineDecay(4e-3, steps)  # long steps first, then shorter and shorter
    network.compile(keras.optimizers.Adam(rates), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return network, keras.Model(crop, first)


def draw_pairs(shares, maps):
    """The narrow maps of a crop in the first pair, and how many answers of all networks have been right so far."""
    figure = figures.Figure(figsize=(12, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 9)
    picture_of_it = figure.add_subplot(grid[:, 0])
    figures.draw_image(picture_of_it, (forklift[0] + 1) * 127.5)
    picture_of_it.set_title("a crop", fontsize=9)
    for row, (way, values) in enumerate(maps.items()):
        for channel in range(4):
            panel = figure.add_subplot(grid[row, 1 + channel])
            panel.imshow(values[..., channel], cmap="gray")
            panel.set(xticks=[], yticks=[], title=f"{np.mean(values[..., channel] == 0):.0%} are 0")
            panel.title.set_fontsize(9)
            if channel == 0:
                panel.set_ylabel(way)
    curves = figure.add_subplot(grid[:, 5:])
    named = set()
    for (pair, way), share in shares.items():
        kind = way, PAIRS[pair]
        dashes, marker, color = DRAWN[kind]
        name = None if kind in named else f"{way}, {PAIRS[pair]} channels"
        named.add(kind)
        seen = range(1, len(share) + 1)
        curves.plot(seen, share, linestyle=dashes, marker=marker, color=color, label=name, markeredgecolor="black")
    curves.axhline(0.25, color="gray", linestyle=":")
    curves.text(EPOCHS + 0.15, 0.265, "guessing", fontsize=8, ha="right")
    curves.set(xlim=(0.8, EPOCHS + 0.2), ylim=(0, 1), xlabel="times that each crop was seen", title="right answers")
    curves.set_xticks(range(1, EPOCHS + 1))
    curves.legend(fontsize=8, loc="lower right")
    ends = ", ".join(f"{way} with {PAIRS[pair]} channels {share[-1]:.0%}" for (pair, way), share in shares.items())
    zeros = ", ".join(f"{way} {np.mean(values == 0):.0%}" for way, values in maps.items())
    return figure, (
        "Left: a crop with a forklift, and what stands for it in the narrow map behind the first block, a small "
        "picture for each of four channels, above in a linear network, below in one with ReLU6. Share of zeros: "
        f"{zeros}. Right: curves of the share of right answers, one for each network, against how often each crop was "
        f"seen. At their end: {ends}."
    )


with after("4.2", "4.3"):
    if MODE != "skip":
        count, unseen_count, epochs, pairs = (1200, 800, EPOCHS, PAIRS) if MODE == "full" else (64, 64, 1, (4,))
        networks = {}
        for pair, narrow in enumerate(pairs):
            for way, narrow_end in WAYS.items():
                keras.utils.set_random_seed(pair)  # the same random weights for both of a pair
                networks[pair, way] = small_network(narrow, narrow_end, epochs * -(-count // 32))
        crops_seen, kinds = crops(count, seed=0, size=32)  # (N, 32, 32, 3), (N,): takes some seconds to draw
        unseen, kinds_of_unseen = crops(unseen_count, seed=1, size=32)
        crops_seen, unseen = (some / np.float32(127.5) - 1 for some in (crops_seen, unseen))  # -1 to 1
        forklift = unseen[kinds_of_unseen == 2][1:2]
        shares = {which: [] for which in networks}
        picture = LivePicture()
        for epoch in range(epochs):  # in turns, so that all can be watched
            for which, (network, _) in networks.items():
                keras.utils.set_random_seed(epoch)  # the same order of the crops
                network.fit(crops_seen, kinds, batch_size=32, epochs=1, verbose=0)
                answers = network.predict(unseen, batch_size=200, verbose=0).argmax(axis=1)
                shares[which].append(np.mean(answers == kinds_of_unseen))
            maps = {way: np.asarray(networks[0, way][1](forklift))[0] for way in WAYS}
            picture.draw(*draw_pairs(shares, maps))
        picture.leave(*draw_pairs(shares, maps))

        print(f"you predicted {PREDICTED}; right answers in 100, by pair:")
        print("channels    linear    ReLU6    ahead   parameters of each")
        for pair, narrow in enumerate(pairs):
            linear, with_relu = (100 * shares[pair, way][-1] for way in WAYS)
            print(f"{narrow:8}{linear:10.1f}{with_relu:9.1f}{linear - with_relu:9.1f}", end="")
            print(f"{networks[pair, 'linear'][0].count_params():13,}")

# %% [markdown]
# - **With four channels, the linear ones are ahead in both pairs**, and they end close to one another. Those with a
#   ReLU6 lie far apart: one may be nearly as good, another loses every fifth answer. How much is destroyed depends on
#   the weights that it began with, and a network should not need luck. Both gaps are larger than the difference between
#   the two linear ones; but how large a gap is, chance decides.
# - **With 16 channels little is left of the gap**, about what chance could have made; one pair cannot tell. That is the
#   rule of section 4, seen as right answers: a ReLU takes little where there are many channels.
# - **What is missing can be seen.** In the narrow map, after its sum, a 0 says that both parts were cut there: two
#   numbers are lost, and with four channels there are few others that may still know them. Where all four are 0,
#   nothing is left of that place, as of the arcs of the spiral. In the linear network hardly anything is exactly 0.
# - **It also learns less.** Where a ReLU gives 0, no gradient passes, so what lies before it learns nothing through
#   that number. And in a sum whose second part is never negative, a block can add to what came in, but take nothing
#   back. The experiment does not tell these reasons apart.
#
# The paper's figure 6 compares the two on ImageNet. There the linear ones are ahead although the bottlenecks have 16
# channels and more; perhaps because a thousand classes ask more of them than our four do.
#
# ## 10. Compare with the reference
#
# The package's own version is `ssdseg_ref/mobilenetv2.py`, with its blocks in `ssdseg_ref/blocks.py`. It differs in two
# things. Its layers have names, so that you can find them in a saved file. And it initialises its weights differently:
# Keras counts every channel as an input of a depthwise kernel, which sees only its own, and so starts it too small.
# With batch normalisation after it, both can be trained.
#
# Save the notebook (Ctrl + S) and type into a terminal:
#
#     ssdseg check 4      # runs your notebook from scratch, and counts your points
#     ssdseg compare 4    # your functions beside the reference's
#     ssdseg assemble     # the joint network, with your functions in it wherever they pass
#
# The last one is new: it builds the network of the whole course from what you have written so far, loads trained
# weights, and shows that it sees what the reference sees.
#
# ## To remember
#
# - A **layer** is made, then applied; a **Keras tensor** is a promise of numbers; `keras.Model` is the path from one to
#   another.
# - Convolution, batch normalisation, activation: one block. The normalisation makes a bias unnecessary.
# - A ReLU destroys much where there are few channels, and hardly anything where there are many. So: **expand, filter,
#   project**, and the projection is **linear**. With four channels that is seen in the answers within a minute.
# - The sum joins the narrow ends, where stride and channels allow it: an **inverted residual**.
# - A table in a paper can be data, and a loop over it the network. $\alpha$ scales every width, rounded to a multiple
#   of eight.
# - Equal parameters are a good sign; equal output under the same weights is a proof.
#
# **Next:** lesson 5, ShuffleNetV2, asks what multiply-adds do not tell.
#
# ## The papers
#
# - M. Sandler et al. 2018, *MobileNetV2: Inverted Residuals and Linear Bottlenecks* (CVPR, arXiv 1801.04381): figure 1
#   is the spiral, table 2 the network, section 6.2 has SSDLite.
# - A. Howard et al. 2017, *MobileNets* (arXiv 1704.04861): the width multiplier.
# - S. Ioffe and C. Szegedy 2015, *Batch Normalization* (ICML).
# - K. He et al. 2016, *Deep Residual Learning for Image Recognition* (CVPR): why the input is added.

# %% [markdown]
# ## An open challenge
#
# No points, and no right answer: which network with fewer than 200,000 parameters sorts small pictures best, if it may
# train for a minute? Pictures are 48 × 48 pixels, cut out of the warehouse: background, person, forklift or monorail.
# Write `my_network()`, which returns a Keras model with four logits; bottlenecks are a good start. Where should the
# map shrink, how wide should it be inside, what do the sums bring?
#
# A minute is long on one machine and short on another, so the course counts neither: all networks get 600 steps, and
# may take 10 million multiply-adds a picture. Your score is the percentage of pictures sorted right, out of 500 scenes
# that you have not seen. Take the `#` away below when you are ready; `ssdseg challenge 4` does the same in a terminal.

# %%
from ssdseg_course import challenge


def my_network():
    """A Keras model from (48, 48, 3), scaled to -1..1, to four logits."""
    image = keras.Input((48, 48, 3))
    x = conv_bn(image, 16, 3, 2, "relu6")
    for channels in (24, 32, 48):
        x, _ = bottleneck(x, channels, 2, 3)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(4)(x))


challenge("04")  # the marks, and your attempts; the next line, without its "# ", trains for about a minute
# challenge("04", my_network)
