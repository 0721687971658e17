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
# # Lesson 5 - ShuffleNetV2: what multiply-adds do not tell
#
# **You will be able to** say why two networks with equal multiply-adds take different times, measure it on your own
# machine, build the units of ShuffleNetV2, and follow a channel on its way through them.
#
# **You need** lesson 4: layers, Keras tensors, `conv_bn` and `depthwise_bn`.
#
# **It takes** about 120 minutes: six exercises, 100 points. Every exercise is a good place to stop. When you come
# back, choose Run, Run All Cells in the menu: it stops at the first check that does not pass yet, and there you go on.
#
# Stuck? `hint("05.basic_unit")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, panels, show
from ssdseg_course.explorers.shuffle import explore_shuffle
from ssdseg_ref import mobilenetv2
from ssdseg_ref.shufflenetv2 import REPEATS, WIDTHS

# %% [markdown]
# ## 1. The result, first
#
# Two blocks of layers. Left the inverted residual of lesson 4, right the unit that you will build. Both take 116
# channels in and give 116 channels out. (No need to read the code that draws.)

# %% jupyter={"source_hidden": true}
figure, axes = panels(2, image_size=(1, 1.25))
for panel, blocks, title in (
    (
        axes[0],
        (("pointwise", 116, 696), ("depthwise", 696, 696), ("pointwise", 696, 116), ("add", 116, 116)),
        "inverted residual, expansion 6",
    ),
    (
        axes[1],
        (("pointwise", 58, 58), ("depthwise", 58, 58), ("pointwise", 58, 58), ("concatenate, shuffle", 116, 116)),
        "unit of ShuffleNetV2",
    ),
):
    for place, (step, come_in, go_out) in enumerate(blocks):
        width = (0.3 + max(come_in, go_out) / 696) / 1.4
        color, hatch = (figures.ORANGE, "////") if step[0] in "ac" else (figures.BLUE, "")
        panel.barh(place, width, left=0.62 - width / 2, height=0.5, color=color, hatch=hatch, edgecolor="black")
        panel.text(0.62, place + 0.42, f"{step}, {come_in} to {go_out}", ha="center", va="center", fontsize=8)
    if "unit" in title:
        panel.annotate(
            "",
            (0.36, 2.75),
            (0.36, -0.5),
            arrowprops={"arrowstyle": "->", "color": "black", "connectionstyle": "arc3,rad=0.35"},
        )
        panel.text(0.1, 1.2, "58 pass\nas they\nare", ha="center", va="center", fontsize=8)
    panel.set(xlim=(-0.05, 1.2), ylim=(3.75, -0.7), xticks=[], yticks=[], title=title)
    panel.title.set_fontsize(10)
show(
    figure,
    alt="Two columns of four bars. Left, the inverted residual: pointwise from 116 to 696 channels, depthwise on 696, "
    "pointwise back to 116, and an addition; the first three bars are wide. Right, the unit of ShuffleNetV2: pointwise,"
    " depthwise, pointwise on 58 channels each, narrow bars, then concatenate and shuffle to 116; an arrow leads past "
    "the three, for the 58 channels that pass as they are.",
)

# %% [markdown]
# The unit on the right costs a twenty-third of the multiply-adds. (You can check, for one place of the map: two
# pointwise convolutions of 116 × 696 and a depthwise one of 9 × 696, beside two of 58 × 58 and one of 9 × 58.) So a
# network can afford many more channels. And there is more to it. Of networks of about 500
# million multiply-adds each, the authors' was 58% *faster* on their graphics card than MobileNetV2 (Ma et al. 2018,
# section 4), with more right answers on ImageNet.
#
# Equal multiply-adds, a very different time. Where does it go, if not into multiplying?

# %% [markdown]
# ## 2. What has to be fetched
#
# A processor does not only multiply. It first has to *fetch* the numbers from memory, and bring the results back.
# Fetching one number takes longer than dozens of multiply-adds, so a layer that does little with each number waits.
# How much passes between memory and processor is called the **memory access cost**.
#
# Take a pointwise convolution, from $C$ channels to $C'$, on a map of $h \times w$. If everything passes just once: it
# reads the map that comes in, it reads the weights, it writes the map that goes out. (That is the least possible; a
# small cache makes it more.)
#
# *Take a pencil:* a map of 10 × 10 with 4 channels comes in, 6 go out. How many multiply-adds, and how many numbers
# pass?
#
# <details><summary>Compare</summary>
#
# 10 · 10 · 4 · 6 = 2400 multiply-adds. In come 400 numbers, out go 600, and there are 24 weights: 1024.
#
# </details>
#
# ### Exercise 5.1 - what has to be fetched  ·  10 points  ·  easy  ·  about 10 minutes
#
# Write `memory_access_cost(height, width, in_channels, out_channels)` of a pointwise convolution without a bias: how
# many numbers are read and written.


# %% nbgrader={"grade_id": "memory_access_cost", "solution": true}
def memory_access_cost(height, width, in_channels, out_channels):
    """Numbers that a pointwise convolution reads and writes."""
    ### BEGIN SOLUTION
    return height * width * (in_channels + out_channels) + in_channels * out_channels
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_memory_access_cost", "grade": true, "points": 10}
check("05.memory_access_cost", memory_access_cost)

# %% [markdown]
# Now four convolutions with (nearly) equal multiply-adds. Only the ratio of channels differs:

# %%
RATIOS = ((128, 128), (90, 180), (52, 312), (36, 432))

with after("5.1"):
    print("channels        multiply-adds   numbers that pass")
    for come_in, go_out in RATIOS:
        numbers = int(memory_access_cost(56, 56, come_in, go_out))
        print(f"{come_in:3} to {go_out:3}{56 * 56 * come_in * go_out:19,}{numbers:20,}")

# %% [markdown]
# As many come in as go out: the fewest numbers pass. It has to be so. $h \, w \, C \, C'$ is given, so the product of
# $C$
# and $C'$ is given, and of all pairs with the same product two equal ones have the smallest sum.

# %% [markdown]
# ## 3. Four guidelines, measured on your machine
#
# Is that theory, or does it take time? The authors measured, on a graphics card and on a phone, and drew four
# **guidelines** from what they saw. We measure on *your* processor. A stopwatch first: it makes a graph of a function,
# as training does, runs it a few times, and takes the **median**, which one interruption cannot spoil.


# %%
def milliseconds(function, *arguments, runs=15):
    """Median time of a function of tensors, run as a graph."""
    graph, times = tf.function(function), []
    graph(*arguments)  # the first call makes the graph
    for _ in range(runs):
        start = time.perf_counter()
        graph(*arguments)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def pointwise(x, kernel):
    """A pointwise convolution of (B, H, W, C); in groups, if the kernel has fewer input channels than x."""
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


def random_tensor(*shape):
    """Small random numbers."""
    return tf.constant(0.05 * np.random.default_rng(0).normal(size=shape), tf.float32)


def there_and_back(narrow, wide):
    """Time of five convolutions from narrow to wide and five back, on four maps of 56 x 56."""
    there, back = random_tensor(1, 1, narrow, wide), random_tensor(1, 1, wide, narrow)

    def run(x):
        for _ in range(5):
            x = pointwise(pointwise(x, there), back)
        return x

    return milliseconds(run, random_tensor(4, 56, 56, narrow))


def in_groups(groups, channels):
    """Time of ten convolutions in groups: each group of outputs sees its own group of inputs alone."""
    kernel = random_tensor(1, 1, channels // groups, channels)

    def run(x):
        for _ in range(10):
            x = pointwise(x, kernel)
        return x

    return milliseconds(run, random_tensor(4, 28, 28, channels))


def in_pieces(pieces, channels, side_by_side):
    """Time of ten times so many convolutions, one behind the other or side by side and added."""
    kernels = [random_tensor(1, 1, channels, channels) for _ in range(pieces)]

    def run(x):
        for _ in range(10):
            if side_by_side:
                x = tf.add_n([pointwise(x, kernel) for kernel in kernels])
            else:
                for kernel in kernels:
                    x = pointwise(x, kernel)
        return x

    return milliseconds(run, random_tensor(4, 28, 28, channels))


def with_extras(relu, add):
    """Time of five narrow bottlenecks, with or without a ReLU behind each layer and an addition."""
    down, up = random_tensor(1, 1, 128, 32), random_tensor(1, 1, 32, 128)

    def run(x):
        for _ in range(5):
            y = pointwise(x, down)
            y = pointwise(tf.nn.relu(y) if relu else y, up)
            y = tf.nn.relu(y) if relu else y
            x = x + y if add else y
        return x

    return milliseconds(run, random_tensor(4, 28, 28, 128))


MEASURED = {
    "G1: channels in and out": {f"{a} to {b}": there_and_back(a, b) for a, b in RATIOS},
    "G2: groups": {f"{g} ({c} channels)": in_groups(g, c) for g, c in ((1, 128), (4, 256), (16, 512))},
    "G3: pieces": {
        "1 of 128 channels": in_pieces(1, 128, False),
        "4 of 64, in a row": in_pieces(4, 64, False),
        "4 of 64, side by side": in_pieces(4, 64, True),
    },
    "G4: small operations": {
        "none": with_extras(False, False),
        "additions": with_extras(False, True),
        "ReLUs": with_extras(True, False),
        "both": with_extras(True, True),
    },
}

# %% jupyter={"source_hidden": true}
figure, axes = panels(4, image_size=(1, 1.05))
for panel, (guideline, times) in zip(axes, MEASURED.items(), strict=True):
    first = next(iter(times.values()))
    for place, (name, duration) in enumerate(times.items()):
        panel.barh(
            place,
            duration / first,
            height=0.45,
            color=figures.BLUE if place == 0 else figures.ORANGE,
            hatch="" if place == 0 else "////",
            edgecolor="black",
        )
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # or the dotted line would run through it
        panel.text(0.02, place + 0.4, f"{name}: {duration / first:.1f}", fontsize=8, va="center", bbox=ground)
    panel.axvline(1, color="black", linewidth=1, linestyle=":")
    panel.set(ylim=(3.7, -0.5), yticks=[], xlim=(0, 1.1 * max(3, *(t / first for t in times.values()))), xticks=[])
    panel.set_title(guideline, fontsize=9)
show(
    figure,
    alt="Four panels of bars: times on this machine, each divided by the first of its panel, which is 1; the numbers "
    "stand below each bar. G1: from equal to unequal numbers of channels. G2: from 1 to 16 groups. G3: one large piece,"
    " four small ones in a row, four side by side. G4: without small operations, with additions, with ReLUs, with "
    "both.",
)

# %% [markdown]
# In every panel all bars have the same multiply-adds (G4: of convolutions). Yours will differ from ours, and that is
# the
# point: time belongs to a machine, multiply-adds do not. On two processor cores we once saw 1.9, 2.2, 1.8 and 1.2 for
# the last bars. Other programs disturb the measurement: if a bar looks strange, run the cell again. The guidelines:
#
# - **G1: as many channels in as out.** Then the fewest numbers have to pass.
# - **G2: groups cost.** A convolution in $g$ groups has a $g$-th of the weights, so for the same multiply-adds one can
#   have more channels, and those have to be fetched.
# - **G3: one large piece is faster than many small ones.** Each has to be started, and small ones leave a wide machine
#   idle.
# - **G4: small operations are not free.** A ReLU or an addition multiplies nothing, but fetches and writes everything.
#
# Hold lesson 4's bottleneck against these. It goes from 116 to 696 channels (against G1), and it adds at the end (G4).
# It is a good block, but not an innocent one.

# %% [markdown]
# ## 4. Split, work, shuffle
#
# So the wish list: many channels, yet equal widths, no groups, few pieces, little that is added. The authors' answer
# is so simple that one may laugh:
#
# 1. **Split** the channels in two halves. The left half passes *as it is*: it costs no multiply-add. (Step 3 and the
#    shuffle still have to move it, which is not free either: G4.)
# 2. **Work** on the right half: pointwise, depthwise, pointwise, all of one width (G1), without groups (G2), in one
#    branch (G3).
# 3. **Concatenate** the halves: no addition (G4).
#
# One thing is wrong with it, and you see it when a second unit follows the first: its left half is the same left half.
# Those channels would *never* be worked on, nor would any other hear of them. Therefore
#
# 4. **Shuffle**: deal the channels out like cards, one from the left half, one from the right half, and so on. Now
#    half of what comes next is fresh.

# %% jupyter={"source_hidden": true}
figure, (axes,) = panels(1, image_size=(1, 2.6))
order = np.arange(6).reshape(2, -1).T.ravel()
for place in range(6):
    for y, channel in ((1, place), (0, order[place])):
        marker, color = ("o", figures.BLUE) if channel < 3 else ("s", figures.ORANGE)
        axes.plot([place], [y], linestyle="", marker=marker, color=color, markersize=22, markeredgecolor="black")
        axes.text(place, y, "abcdef"[channel], ha="center", va="center", fontsize=12, zorder=4)
    axes.plot([order[place], place], [1, 0], color="black", linewidth=1, zorder=0)
axes.text(-0.6, 1, "two groups of three", ha="right", va="center", fontsize=9)
axes.text(-0.6, 0, "dealt out", ha="right", va="center", fontsize=9)
axes.set(xlim=(-2.3, 5.5), ylim=(-0.4, 1.4), xticks=[], yticks=[])
show(
    figure,
    alt="Two rows of six channels with lines between them. Above a, b, c as discs and d, e, f as squares. Below, in "
    "this order: a, d, b, e, c, f; disc and square in turns.",
)

# %% [markdown]
# *Take a pencil:* write `a b c d e f` into a table of two rows, one row a group. In which direction do you have to
# read the table to get the lower row of the picture?
#
# <details><summary>Compare</summary>
#
# Column by column. Or: swap rows and columns, then read row by row. A reshape, a swap, a reshape.
#
# </details>
#
# ### Exercise 5.2 - dealing out the channels  ·  15 points  ·  easy  ·  about 15 minutes
#
# Write `channel_shuffle(x, groups)` for a Keras tensor `x` of shape (B, H, W, C), where `groups` divides C. You have
# `ops.reshape(x, shape)` and `ops.swapaxes(x, one, other)`. Every `x.shape[i]` is a number, but the first: that is
# `None`, for as many pictures as will come, and in a reshape you write `-1` for it.


# %% nbgrader={"grade_id": "channel_shuffle", "solution": true}
def channel_shuffle(x, groups):
    """Deal the channels of (B, H, W, C) out, one from each group in turns."""
    ### BEGIN SOLUTION
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, groups, channels // groups))
    x = ops.swapaxes(x, -1, -2)
    return ops.reshape(x, (-1, height, width, channels))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_channel_shuffle", "grade": true, "points": 15}
check("05.channel_shuffle", channel_shuffle)

# %% [markdown]
# Where does each channel go, unit by unit? Orange discs are channels that *know* of the one that you follow: the
# channel
# itself, and in a worked half everything that was made from it. Try it without the shuffle. And follow channel 0.

# %%
explore_shuffle(channel=11, units=4)

# %% [markdown]
# With the shuffle, knowledge of channel 11 has reached all but one after four units. The one is channel 0: it is dealt
# to place 0 again and again, so this channel is *never* worked on as long as units of stride 1 follow each other. (Do
# you find the other fixed place? It stands on the right side, so it does no harm.) The published networks have this
# flaw too, one channel in a hundred; the unit of section 6, which has no split, mends it at the start of the next
# stage; behind the last stage, conv5 does.

# %% [markdown]
# ## 5. The unit of stride 1
#
# Two blocks are given. They are lesson 4's, with one argument more, `padding`, for `"same"` or `"valid"`:


# %%
def conv_bn(x, filters, kernel_size, stride, activation, padding="same"):
    """Convolution, batch normalisation, activation."""
    x = layers.Conv2D(filters, kernel_size, stride, padding=padding, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)


def depthwise_bn(x, kernel_size, stride, activation, padding="same"):
    """Depthwise convolution, batch normalisation, activation."""
    x = layers.DepthwiseConv2D(kernel_size, stride, padding=padding, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)


# %% [markdown]
# Why padding? The weights that one can find are PyTorch's, and PyTorch pads one pixel on **every** side. With stride 2
# and an even side, TensorFlow's "same" pads **one side only** (lesson 3), and everything is seen one pixel
# further (half a pixel of the map that comes out).
# So that such weights would fit, we do as PyTorch does: a frame of zeros by `layers.ZeroPadding2D(1)`, then `"valid"`.
#
# | step on the right half | kernel | activation |
# |---|---|---|
# | 1. pointwise | 1 × 1 | ReLU |
# | 2. a frame of zeros, then depthwise | 3 × 3, "valid" | *none* |
# | 3. pointwise | 1 × 1 | ReLU |
#
# It is a plain ReLU here, not ReLU6, and it is the depthwise step that has none.
#
# ### Exercise 5.3 - the unit of stride 1  ·  25 points  ·  medium  ·  about 25 minutes
#
# Write `basic_unit(x)`: split, work on the right half, concatenate (left half first), shuffle in two groups. The
# channels of `x` are even; as many come out as went in, and each step has half of them. `ops.split(x, 2, axis=-1)`
# gives
# a list of two halves, `layers.Concatenate()([left, right])` joins them.


# %% nbgrader={"grade_id": "basic_unit", "solution": true}
def basic_unit(x):
    """The unit of stride 1: (B, H, W, C) gives (B, H, W, C)."""
    ### BEGIN SOLUTION
    left, right = ops.split(x, 2, axis=-1)
    half = right.shape[-1]
    right = conv_bn(right, half, 1, 1, "relu")
    right = depthwise_bn(layers.ZeroPadding2D(1)(right), 3, 1, None, "valid")
    right = conv_bn(right, half, 1, 1, "relu")
    return channel_shuffle(layers.Concatenate()([left, right]), 2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_basic_unit", "grade": true, "points": 25}
check("05.basic_unit", basic_unit)

# %% [markdown]
# ## 6. The unit of stride 2
#
# Where the map shrinks, the left half cannot pass as it is: it would keep its size. So here **both** branches work, and
# **both** see all channels; there is no split. Each gives half of the channels that come out, so the number of channels
# can change, too.
#
# | left branch | right branch |
# |---|---|
# | | pointwise, ReLU |
# | frame of zeros, depthwise 3 × 3, **stride 2**, no activation | frame of zeros, depthwise 3 × 3, **stride 2**, none |
# | pointwise, ReLU | pointwise, ReLU |
#
# ### Exercise 5.4 - the unit of stride 2  ·  20 points  ·  medium  ·  about 20 minutes
#
# Write `downsampling_unit(x, channels)`. `channels` come out, an even number; every pointwise step gives half of them.
# Concatenate, left first, and shuffle.


# %% nbgrader={"grade_id": "downsampling_unit", "solution": true}
def downsampling_unit(x, channels):
    """The unit of stride 2: (B, H, W, C) gives (B, ceil(H / 2), ceil(W / 2), channels)."""
    ### BEGIN SOLUTION
    left = depthwise_bn(layers.ZeroPadding2D(1)(x), 3, 2, None, "valid")
    left = conv_bn(left, channels // 2, 1, 1, "relu")
    right = conv_bn(x, channels // 2, 1, 1, "relu")
    right = depthwise_bn(layers.ZeroPadding2D(1)(right), 3, 2, None, "valid")
    right = conv_bn(right, channels // 2, 1, 1, "relu")
    return channel_shuffle(layers.Concatenate()([left, right]), 2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_downsampling_unit", "grade": true, "points": 20}
check("05.downsampling_unit", downsampling_unit)

# %% [markdown]
# ## 7. Three stages and a stem
#
# The paper's table 5, for four widths of the network. The first three numbers are the channels of its three stages, the
# last those of a pointwise convolution at the end, which the paper calls conv5. Stages are as long in all of them:

# %%
for width, (stages, conv5) in WIDTHS.items():
    print(f'WIDTHS["{width}"]:  stages {stages},  conv5 {conv5}')
print("REPEATS:", REPEATS)

# %% [markdown]
# In words:
#
# | part | what | stride of its map |
# |---|---|---|
# | stem | frame of zeros, convolution 3 × 3 of stride 2 to 24 channels ("valid"), ReLU | 2 |
# | pooling | frame of zeros, `layers.MaxPooling2D(3, 2)`: of each 3 × 3 window the largest | 4 |
# | stage | a unit of stride 2, then units of stride 1: so many as `repeats` says, **together** | 8, 16, 32 |
#
# ### Exercise 5.5 - three stages and a stem  ·  20 points  ·  hard  ·  about 25 minutes
#
# Write `shufflenet_v2_features(x, width, repeats)`, which gives `{2: ..., 4: ..., 8: ..., 16: ..., 32: ...}`: the maps
# behind the stem, the pooling and each of the three stages. `width` is a key of `WIDTHS`, such as `"0.5"`, and
# `WIDTHS["0.5"].stages` its channels. `repeats` is a tuple such as `REPEATS`; the check also tries shorter stages, so
# that it is quick.


# %% nbgrader={"grade_id": "shufflenet_v2_features", "solution": true}
def shufflenet_v2_features(x, width, repeats):
    """The maps of ShuffleNetV2 by their strides: {2: ..., 4: ..., 8: ..., 16: ..., 32: ...}."""
    ### BEGIN SOLUTION
    maps = {}
    x = maps[2] = conv_bn(layers.ZeroPadding2D(1)(x), 24, 3, 2, "relu", "valid")
    x = maps[4] = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stride, channels, units in zip((8, 16, 32), WIDTHS[width].stages, repeats, strict=True):
        x = downsampling_unit(x, channels)
        for _ in range(units - 1):
            x = basic_unit(x)
        maps[stride] = x
    return maps
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_shufflenet_v2_features", "grade": true, "points": 20}
check("05.shufflenet_v2_features", shufflenet_v2_features)

# %% [markdown]
# ### Exercise 5.6 - the whole ShuffleNetV2  ·  10 points  ·  easy  ·  about 10 minutes
#
# Write `shufflenet_v2(input_shape, width, classes)`, a `keras.Model` like lesson 4's: the last map, a pointwise
# convolution to `WIDTHS[width].conv5` channels with ReLU, the mean over all places, a dense layer with a softmax. Take
# `REPEATS` for the stages.


# %% nbgrader={"grade_id": "shufflenet_v2", "solution": true}
def shufflenet_v2(input_shape, width, classes):
    """ShuffleNetV2 as a model from (B, H, W, 3) to (B, classes) probabilities."""
    ### BEGIN SOLUTION
    image = keras.Input(input_shape)
    x = shufflenet_v2_features(image, width, REPEATS)[32]
    x = conv_bn(x, WIDTHS[width].conv5, 1, 1, "relu")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_shufflenet_v2", "grade": true, "points": 10}
check("05.shufflenet_v2", shufflenet_v2)

# %% [markdown]
# The paper's table 8 has 1.4, 2.3, 3.5 and 7.4 million parameters, torchvision's published networks 1,366,792,
# 2,278,604, 3,503,624 and 7,393,996. Those that Keras counts besides are the averages of the batch normalisations,
# which are not trained:

# %%
with after("5.6"):
    for width in WIDTHS:
        model = shufflenet_v2((224, 224, 3), width, 1000)
        trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        print(f"width {width}: {trained:9,} parameters that are trained")

# %% [markdown]
# ## 8. Beside MobileNetV2, on your machine
#
# Now the question of section 1, on your own processor: two networks of about the same multiply-adds, 146 million and
# (at $\alpha$ = 0.5 on 256 × 256 pictures) about 130. Which is faster with you?

# %%
with after("5.6"):
    rivals = {
        "ShuffleNetV2, width 1.0, 224 x 224": (shufflenet_v2((224, 224, 3), "1.0", 1000), 224),
        "MobileNetV2, alpha 0.5, 256 x 256": (mobilenetv2.mobilenet_v2((256, 256, 3), 0.5), 256),
    }
    for name, (model, side) in rivals.items():
        duration = milliseconds(
            lambda x, model=model: model(x, training=False), random_tensor(4, side, side, 3), runs=7
        )
        print(f"{name}: {4000 / duration:6.1f} pictures a second")

# %% [markdown]
# Whatever came out: you now know that it is a question for a stopwatch. In lesson 8 both will stand under the same
# heads, trained on the same scenes.
#
# ## 9. Compare with the reference
#
# The package's own version is `ssdseg_ref/shufflenetv2.py`. Save the notebook (Ctrl + S) and type into a terminal:
#
#     ssdseg check 5      # runs your notebook from scratch, and counts your points
#     ssdseg compare 5    # your functions beside the reference's
#
# ## To remember
#
# - Multiply-adds belong to a network, time belongs to a machine. **Measure.**
# - What has to be fetched counts: equal widths (G1), few groups (G2), large pieces (G3), few small operations (G4).
# - **Split, work on one half, concatenate, shuffle**: half of the channels pass without a multiply-add, and the shuffle
#   sees to it that it is not always the same half.
# - At stride 2 both branches work on everything.
# - Frameworks pad differently. Where weights are to fit, one pixel matters.
#
# **Next:** lesson 6, SSDLite: the first heads on top of a backbone.
#
# ## The papers
#
# - N. Ma et al. 2018, *ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design* (ECCV, arXiv
#   1807.11164): section 2 has the guidelines, figure 3 the units, table 5 the network, table 8 the comparison.
# - X. Zhang et al. 2018, *ShuffleNet* (CVPR, arXiv 1707.01083): the shuffle's first appearance, with groups.
