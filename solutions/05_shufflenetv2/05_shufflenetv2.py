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
# **It takes** {time}. Every exercise is a good place to stop. When you come back, choose Run, Run All Cells in the
# menu: it stops at the first check that does not pass yet, and you go on from there.
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
from ssdseg_course.explorers.figures import after, draw_boxes, draw_image, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_course.explorers.shuffle import explore_shuffle
from ssdseg_ref import mobilenetv2
from ssdseg_ref.data.crops import crops
from ssdseg_ref.data.warehouse import CLASSES
from ssdseg_ref.shufflenetv2 import REPEATS, WIDTHS

# %% [markdown]
# ## 1. The result, first
#
# Two blocks of layers: on the left the inverted residual of lesson 4, on the right the unit that you will build. Bars
# are maps, as wide as they have channels; between them stands what turns one into the next. Both take in 116 channels
# and give out 116. (No need to read the code that draws.)

# %% jupyter={"source_hidden": true}
figure, axes = panels(2, image_size=(1, 1.05))


def draw_map(panel, level, left, channels, color=figures.BLUE, hatch=""):
    panel.barh(level, channels, left=left, height=0.34, color=color, hatch=hatch, edgecolor="black", zorder=2)


def draw_step(panel, level, x, words, to=None):
    arrow = {"arrowstyle": "->", "color": "black", "shrinkA": 0, "shrinkB": 0}
    to = x if to is None else to
    panel.annotate("", (to, level + 0.82), (x, level + 0.18), arrowprops=arrow)
    panel.text((x + to) / 2 + (12 if x == to else 32), level + 0.5, words, va="center", fontsize=9)


residual, unit = axes
for level, channels in enumerate((116, 696, 696, 116)):
    draw_map(residual, level, -channels / 2, channels)
    residual.text(channels / 2 + 8, level, str(channels), va="center", fontsize=9)
for level, words in enumerate(("pointwise", "depthwise 3 × 3", "pointwise")):
    draw_step(residual, level, 0, words)
draw_step(residual, 3, 0, "")
residual.text(0, 4, "+", ha="center", va="center", fontsize=14, bbox={"boxstyle": "circle", "facecolor": "white"})
residual.plot([-58, -385, -385, -40], [0, 0, 4, 4], color="black", linewidth=1)
residual.annotate("", (-24, 4), (-44, 4), arrowprops={"arrowstyle": "->", "color": "black"})
residual.text(-375, 0.3, "shortcut", va="center", fontsize=9)
draw_step(residual, 4, 0, "")
draw_map(residual, 5, -58, 116)
residual.text(66, 5, "116", va="center", fontsize=9)
residual.set(title="inverted residual, expansion 6")

PASSES = {"color": figures.ORANGE, "hatch": "////"}
draw_map(unit, 0, -58, 58, **PASSES)
draw_map(unit, 0, 0, 58)
unit.text(66, 0, "116", va="center", fontsize=9)
draw_step(unit, 0, -29, "", to=-129)
draw_step(unit, 0, 29, "split", to=129)
draw_map(unit, 1, -158, 58, **PASSES)
unit.text(-145, 2.5, "passes\nas it is", ha="right", va="center", fontsize=9)
unit.plot([-129, -129], [1.18, 4.18], color="black", linewidth=1)
draw_step(unit, 4, -129, "", to=-29)
for level, words in enumerate(("pointwise", "depthwise 3 × 3", "pointwise"), start=1):
    draw_map(unit, level, 100, 58)
    unit.text(166, level, "58", va="center", fontsize=9)
    draw_step(unit, level, 129, words)
draw_map(unit, 4, 100, 58)
unit.text(166, 4, "58", va="center", fontsize=9)
draw_step(unit, 4, 129, "concatenate", to=29)
draw_map(unit, 5, -58, 58, **PASSES)
draw_map(unit, 5, 0, 58)
unit.text(66, 5, "116", va="center", fontsize=9)
draw_step(unit, 5, 0, "shuffle")
for stripe in range(8):
    draw_map(unit, 6, -58 + 14.5 * stripe, 14.5, **({} if stripe % 2 else PASSES))
unit.text(66, 6, "116", va="center", fontsize=9)
unit.set(title="unit of ShuffleNetV2")
for panel in axes:
    panel.set(xlim=(-420, 420), ylim=(6.4, -0.4), xticks=[], yticks=[])
    panel.title.set_fontsize(10)
show(
    figure,
    alt="Two columns of bars with arrows between them; a bar is a map, as wide as it has channels. Left, the inverted "
    "residual: 116 channels, pointwise to 696, depthwise to 696, pointwise to 116, and a plus, where a shortcut from "
    "the first map arrives, too. Right, the unit of ShuffleNetV2: 116 channels are split. The left half, striped, "
    "passes as it is; the right half goes through a pointwise, a depthwise and a pointwise step, 58 channels each; the "
    "two are concatenated to 116, and the shuffle deals them out in turns.",
)

# %% [markdown]
# The unit on the right costs 23<!-- = (2 * 116 * 696 + 9 * 696) / (2 * 58 * 58 + 9 * 58) --> times fewer multiply-adds.
# (You can check, for one place of the map: two pointwise convolutions of 116 × 696 and a depthwise one of 9 × 696,
# beside two of 58 × 58 and one of 9 × 58.) So a network can afford many more channels. And there is more to it. Of
# networks of about 500 million multiply-adds each, the authors' was 58% *faster* on their graphics card than
# MobileNetV2 (Ma et al. 2018, section 4), with more right answers on ImageNet.
#
# Equal multiply-adds, a very different time. Where does it go, if not into multiplying?

# %% [markdown]
# ## 2. What has to be fetched
#
# A processor does not only multiply. It first has to *fetch* the numbers from memory, and write the results back.
# Fetching one number takes longer than dozens of multiply-adds, so a layer that does little with each number waits. The
# amount that passes between memory and processor is called the **memory access cost**.
#
# Take a pointwise convolution, from $C$ channels to $C'$, on a map of $h \times w$. If everything passes just once: it
# reads the map that comes in, it reads the weights, it writes the map that goes out. (That is the minimum; with a small
# cache it is more.)
#
# *Take a pencil:* a map of 10 × 10 with 4 channels comes in, 6 go out. How many multiply-adds, and how many numbers
# pass?
#
# <details><summary>Compare</summary>
#
# 10 · 10 · 4 · 6 = 2400<!-- = 10 * 10 * 4 * 6 --> multiply-adds. 400<!-- = 10 * 10 * 4 --> numbers come in,
# 600<!-- = 10 * 10 * 6 --> go out, and there are 24<!-- = 4 * 6 --> weights: 1024<!-- = 10 * 10 * (4 + 6) + 4 * 6 -->.
#
# </details>
#
# ### {05.memory_access_cost}
#
# Write `memory_access_cost(height, width, in_channels, out_channels)` for a pointwise convolution without a bias: how
# many numbers are read and written.


# %% nbgrader={"grade_id": "memory_access_cost", "solution": true}
def memory_access_cost(height, width, in_channels, out_channels):
    """Numbers that a pointwise convolution reads and writes."""
    ### BEGIN SOLUTION
    return height * width * (in_channels + out_channels) + in_channels * out_channels
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_memory_access_cost", "grade": true}
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
# The fewest numbers pass where as many channels come in as go out. It has to be so. $h \, w \, C \, C'$ is fixed, so
# the product of $C$ and $C'$ is fixed, and of all pairs with the same product, two equal numbers have the smallest sum.

# %% [markdown]
# ## 3. Four guidelines, measured on your machine
#
# Is that theory, or does it take time? The authors measured, on a graphics card and on a phone, and drew four
# **guidelines** from what they saw. We measure on *your* processor.
#
# A stopwatch first. Other programs disturb every measurement: while a browser loads a page, whatever is being timed
# looks slow. So rivals take **turns**: each runs once per round, for many rounds, and a disturbance hits all of them
# alike. Of a rival's rounds we take the **median**, which one interruption cannot spoil, and the middle half as the
# **spread**, which says how far to trust it.


# %%
def stopwatch(rivals, rounds=31):
    """Milliseconds of each round, by name: of functions with the tensor that each one takes, run as graphs."""
    graphs = {name: tf.function(function) for name, (function, _) in rivals.items()}
    times = {name: [] for name in rivals}
    for turn in range(rounds + 2):
        for name, (_, x) in rivals.items():
            start = time.perf_counter()
            graphs[name](x)
            if turn >= 2:  # the first call makes the graph, the second warms up the memory
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def quartiles(times):
    """A quarter of the rounds was faster than the first number, half than the second, three quarters than the third."""
    return np.percentile(times, [25, 50, 75])


# %% [markdown]
# Now what is to be timed: for each guideline, functions with (nearly) the same multiply-adds.


# %%
def pointwise(x, kernel):
    """A pointwise convolution of (B, H, W, C); in groups, if the kernel has fewer input channels than x."""
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


def random_tensor(*shape):
    """Small random numbers."""
    return tf.constant(0.05 * np.random.default_rng(0).normal(size=shape), tf.float32)


def there_and_back(narrow, wide):
    """Five convolutions from narrow to wide and five back, on four maps of 56 × 56."""
    there, back = random_tensor(1, 1, narrow, wide), random_tensor(1, 1, wide, narrow)

    def run(x):
        for _ in range(5):
            x = pointwise(pointwise(x, there), back)
        return x

    return run, random_tensor(4, 56, 56, narrow)


def in_groups(groups, channels):
    """Ten convolutions in groups: each group of outputs sees its own group of inputs alone."""
    kernel = random_tensor(1, 1, channels // groups, channels)

    def run(x):
        for _ in range(10):
            x = pointwise(x, kernel)
        return x

    return run, random_tensor(4, 28, 28, channels)


def in_pieces(pieces, channels, side_by_side):
    """Ten times that many convolutions, one after another or side by side and added."""
    kernels = [random_tensor(1, 1, channels, channels) for _ in range(pieces)]

    def run(x):
        for _ in range(10):
            if side_by_side:
                x = tf.add_n([pointwise(x, kernel) for kernel in kernels])
            else:
                for kernel in kernels:
                    x = pointwise(x, kernel)
        return x

    return run, random_tensor(4, 28, 28, channels)


def with_extras(relu, add):
    """Five narrow bottlenecks, with or without a ReLU after each layer and an addition."""
    down, up = random_tensor(1, 1, 128, 32), random_tensor(1, 1, 32, 128)

    def run(x):
        for _ in range(5):
            y = pointwise(x, down)
            y = pointwise(tf.nn.relu(y) if relu else y, up)
            y = tf.nn.relu(y) if relu else y
            x = x + y if add else y
        return x

    return run, random_tensor(4, 28, 28, 128)


GUIDELINES = {
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
MEASURED = {name: stopwatch(rivals) for name, rivals in GUIDELINES.items()}


# %% jupyter={"source_hidden": true} tags=["timed"]
def draw_bars(panel, bars):
    """Times by name, as (low, middle, high), against the first one's: a bar, its spread, and the number below it."""
    for place, (name, (low, middle, high)) in enumerate(bars.items()):
        color, hatch = (figures.BLUE, "") if place == 0 else (figures.ORANGE, "////")
        panel.barh(place, middle, height=0.36, color=color, hatch=hatch, edgecolor="black")
        panel.errorbar(middle, place, xerr=[[middle - low], [high - middle]], color="black", capsize=4, linewidth=1.5)
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # or the dotted line would run through it
        panel.text(0.03, place + 0.36, f"{name}: {middle:.2f}", fontsize=8, va="center", bbox=ground)
    panel.axvline(1, color="black", linewidth=1, linestyle=":")
    panel.set(yticks=[], xlabel="time, the first bar's is 1")
    panel.tick_params(labelsize=8)
    panel.xaxis.label.set_fontsize(8)


figure, axes = panels(4, image_size=(1, 1))
ratios = {  # of each round's times to the first bar's in the same round, and their quartiles
    guideline: {name: quartiles(np.divide(rounds, next(iter(times.values())))) for name, rounds in times.items()}
    for guideline, times in MEASURED.items()
}
farthest = max(high for bars in ratios.values() for _, _, high in bars.values())
for panel, (guideline, bars) in zip(axes, ratios.items(), strict=True):
    draw_bars(panel, bars)
    panel.set(ylim=(3.7, -0.5), xlim=(0, max(2.6, 1.05 * farthest)))
    panel.set_title(guideline, fontsize=9)
show(
    figure,
    alt="Four panels of bars over the same axis: times on this machine, each divided by the first bar's of the same "
    "round; a bar is the median, a whisker the middle half of the rounds, and the number stands below each bar. G1: "
    "from equal to unequal numbers of channels. G2: from 1 to 16 groups. G3: one large piece, four small ones in a "
    "row, four side by side. G4: without small operations, with additions, with ReLUs, with both.",
)

# %% [markdown]
# In every panel all bars have the same multiply-adds (in G4, of the convolutions). A bar is the time taken, divided by
# the first bar's time in the same round; its whisker is the spread of the rounds. Where a whisker crosses the dotted
# line, the difference may be chance. Yours will differ from ours, and that is the point: time belongs to a machine,
# multiply-adds do not. What to look for:
#
# - **G1: as many channels in as out.** Then the fewest numbers have to pass.
# - **G2: groups cost.** A convolution in $g$ groups has $1/g$ of the weights, so the same multiply-adds allow more
#   channels, and those have to be fetched.
# - **G3: one large piece is faster than many small ones.** Each has to be started, and small ones leave a wide machine
#   idle.
# - **G4: small operations are not free.** A ReLU or an addition multiplies nothing, but fetches and writes everything.
#
# If a guideline does not show on your machine, believe your machine: the authors saw them on others.
#
# Hold lesson 4's bottleneck against these. It goes from 116 to 696 channels (against G1), and it adds at the end (G4).
# It is a good block, but it breaks two of them.

# %% [markdown]
# ## 4. Split, work, shuffle
#
# So the wish list is: many channels, yet equal widths, no groups, few pieces, few additions. The authors' answer is so
# simple that it may make you laugh:
#
# 1. **Split** the channels into two halves. The left half passes *as it is*: it costs no multiply-add. (Step 3 and the
#    shuffle still have to move it, which is not free either: G4.)
# 2. **Work** on the right half: pointwise, depthwise, pointwise, all of one width (G1), without groups (G2), in one
#    branch (G3).
# 3. **Concatenate** the halves: no addition (G4).
#
# One thing is wrong with it, and you see it when a second unit follows the first: its left half is the same left half.
# Those channels would *never* be worked on, nor would any other learn of them. Therefore:
#
# 4. **Shuffle**: deal the channels out like cards, one from the left half, one from the right half, and so on. Now half
#    of what the next unit works on is fresh.

# %% jupyter={"source_hidden": true}
figure, (axes,) = panels(1, image_size=(1, 3.6))
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
    alt="Two rows of six channels with lines between them. Above, a, b, c as discs and d, e, f as squares. Below, in "
    "this order: a, d, b, e, c, f; disc and square in turns.",
)

# %% [markdown]
# *Take a pencil:* write `a b c d e f` into a table of two rows, one row per group. In which direction do you have to
# read the table to get the lower row of the picture?
#
# <details><summary>Compare</summary>
#
# Column by column. Or: swap rows and columns, then read row by row. A reshape, a swap, a reshape.
#
# </details>
#
# ### {05.channel_shuffle}
#
# Write `channel_shuffle(x, groups)` for a Keras tensor `x` of shape (B, H, W, C), where `groups` divides C. You have
# `ops.reshape(x, shape)` and `ops.swapaxes(x, one, other)`. Every `x.shape[i]` is a number but the first: that is
# `None`, for as many pictures as will come, and in a reshape you write `-1` for it.


# %% nbgrader={"grade_id": "channel_shuffle", "solution": true}
def channel_shuffle(x, groups):
    """Deal out the channels of (B, H, W, C), one from each group in turn."""
    ### BEGIN SOLUTION
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, groups, channels // groups))
    x = ops.swapaxes(x, -1, -2)
    return ops.reshape(x, (-1, height, width, channels))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_channel_shuffle", "grade": true}
check("05.channel_shuffle", channel_shuffle)

# %% [markdown]
# Where does each channel go, unit by unit? Orange discs are channels that *know* of the one that you follow: the
# channel itself, and everything in a worked half that was made from it. Try it without the shuffle. And follow channel
# 0.

# %%
explore_shuffle(channel=11, units=4)

# %% [markdown]
# With the shuffle, after four units only one channel has not learned of channel 11. It is channel 0, which is dealt to
# place 0 again and again: it is *never* worked on as long as units of stride 1 follow one another. (Can you find the
# other place whose channel stays? It is on the right side, so it does no harm.) The published networks have this flaw,
# too, in one channel of every stage. The unit of section 6, which has no split, repairs it at the start of the next
# stage, and conv5 does so after the last one.


# %% [markdown]
# ## 5. The unit of stride 1
#
# Two blocks are given. They are lesson 4's, with one more argument, `padding`, for `"same"` or `"valid"`:


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
# Why `padding`? The published weights are PyTorch's, and PyTorch pads one pixel on **every** side. At stride 1,
# TensorFlow's "same" does that as well, and either may be used. At stride 2, on an even side, "same" pads **one side
# only** (lesson 3): every window lies one pixel farther on, and such weights would see everything shifted. There we do
# as PyTorch does: a frame of zeros by `layers.ZeroPadding2D(1)`, then `"valid"`.
#
# You have seen in the picture of section 1 what happens to the right half. It does not show two things:
#
# - ShuffleNetV2 has plain ReLUs, not ReLU6.
# - Of the three steps, one has **no** activation. Which one? It is not lesson 4's choice, the last: nothing is added
#   here, so nothing has to stay linear. It is the step that only looks around, and leaves mixing and choosing to the
#   others.
#
# ### {05.basic_unit}
#
# Write `basic_unit(x)`, all that the picture shows, from the split to the shuffle: (B, H, W, C) gives (B, H, W, C), for
# any even C. The left half comes first when the two are joined. `ops.split(x, 2, axis=-1)` gives a list of two halves,
# `layers.Concatenate()([left, right])` joins them.


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


# %% nbgrader={"grade_id": "check_basic_unit", "grade": true}
check("05.basic_unit", basic_unit)

# %% [markdown]
# ## 6. The unit of stride 2
#
# Where the map shrinks, the left half cannot pass as it is: it would keep its size. So here both branches work, and
# both see **all** channels; there is no split. Each gives half of the channels that come out, so their number can
# change, too.
#
# - The **right** branch does what it did before. Only the step that looks around also shrinks the map.
# - The **left** branch does the minimum that shrinks a map, mixes its channels and gives as many as it should: the
#   same, without the step that would mix them twice.
#
# *Take a pencil:* 24 channels come in, 116 are to come out. How many channels does each step of each branch give?
#
# <details><summary>Compare</summary>
#
# Left: depthwise 24 (a depthwise step gives as many as it gets), pointwise 58. Right: pointwise 58, depthwise 58,
# pointwise 58.
#
# </details>
#
# ### {05.downsampling_unit}
#
# Write `downsampling_unit(x, channels)`: (B, H, W, C) gives half of the rows and columns (rounded up) and `channels`,
# an even number. Pad as PyTorch does. Again the left branch comes first, and again there is a shuffle.


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


# %% nbgrader={"grade_id": "check_downsampling_unit", "grade": true}
check("05.downsampling_unit", downsampling_unit)

# %% [markdown]
# ## 7. Three stages and a stem
#
# The paper's table 5, for four widths of the network. The first three numbers are the channels of its three stages, the
# last those of a pointwise convolution at the end, which the paper calls conv5. Stages have the same lengths in all
# four:

# %%
for width, (stages, conv5) in WIDTHS.items():
    print(f'WIDTHS["{width}"]:  stages {stages},  conv5 {conv5}')
print("REPEATS:", REPEATS)

# %% [markdown]
# In front of the stages stand a **stem**, a 3 × 3 convolution of stride 2 to 24 channels, with normalisation and ReLU,
# and a **pooling**, `layers.MaxPooling2D(3, 2)`: the largest number of each 3 × 3 window, with stride 2. Both are
# padded as PyTorch pads. A **stage** begins with a unit of stride 2; units of stride 1 follow until there are as many
# units as `repeats` says, including the first.
#
# So the map is halved five times: what are the strides of the five maps, counted in pixels of the picture? The next
# exercise asks for the maps by these numbers.
#
# ### {05.shufflenet_v2_features}
#
# Write `shufflenet_v2_features(x, width, repeats)`, which gives a dictionary from stride to map: what comes out of the
# stem, the pooling and each of the three stages. `width` is a key of `WIDTHS`, such as `"0.5"`, and
# `WIDTHS["0.5"].stages` its channels. `repeats` is a tuple such as `REPEATS`; to be quick, the check also tries shorter
# stages.


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


# %% nbgrader={"grade_id": "check_shufflenet_v2_features", "grade": true}
check("05.shufflenet_v2_features", shufflenet_v2_features)

# %% [markdown]
# ### {05.shufflenet_v2}
#
# Write `shufflenet_v2(input_shape, width, classes)`, a `keras.Model` from pictures to probabilities. After the last map
# it ends as lesson 4's network did, except for the last convolution: that is conv5, with this network's activation. The
# stages are as long as `REPEATS` says.


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


# %% nbgrader={"grade_id": "check_shufflenet_v2", "grade": true}
check("05.shufflenet_v2", shufflenet_v2)

# %% [markdown]
# The paper's table 8 has 1.4, 2.3, 3.5 and 7.4 million parameters, torchvision's published networks
# 1,366,792<!-- below -->, 2,278,604<!-- below -->, 3,503,624<!-- below --> and 7,393,996<!-- below -->. (Keras also
# counts the averages of the batch normalisations, which are not trained.) And yours?

# %%
with after("5.6"):
    for width in WIDTHS:
        model = shufflenet_v2((224, 224, 3), width, 1000)
        trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        print(f"width {width}: {trained:9,} parameters that are trained")

# %% [markdown]
# ## 8. Beside MobileNetV2, on your machine
#
# Now the question of section 1, on your own processor, at equal multiply-adds. Two duels:
#
# - **blocks**: four inverted residuals in a row on a map of 28 × 28, and four of your units. For the multiply-adds of a
#   residual of 64 channels a unit can have 320. A third bar is that unit without its shuffle;
# - **networks**: ShuffleNetV2 and MobileNetV2, whole. (MobileNetV2 gets somewhat larger pictures; otherwise it would
#   have fewer.)
#
# *Predict:* which of each pair is faster on your machine, and by how much?

# %%
PREDICTED_FASTER = {"blocks": "", "networks": ""}  # write what you expect between the quotation marks


# %%
def multiply_adds(model):
    """For one picture: every weight of a kernel multiplies once at each place of the map that comes out."""
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    return sum(int(np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:-1])) for layer in kernels)


def unit_without_shuffle(x):
    """All that the reference's unit does but its last step."""
    left, right = ops.split(x, 2, axis=-1)
    half = right.shape[-1]
    right = conv_bn(right, half, 1, 1, "relu")
    right = depthwise_bn(layers.ZeroPadding2D(1)(right), 3, 1, None, "valid")
    return layers.Concatenate()([left, conv_bn(right, half, 1, 1, "relu")])


def four_in_a_row(block, channels):
    """A model of four blocks, each on what the one before gives: (B, 28, 28, channels) gives the same shape."""
    x = first = keras.Input((28, 28, channels))
    for number in range(4):
        x = block(x, number)
    return keras.Model(first, x)


with after("5.3", "5.6"):
    duels = {
        "blocks": {
            "inverted residual, 64 channels": four_in_a_row(
                lambda x, number: mobilenetv2.bottleneck(x, 64, name=f"block{number}")[0], 64
            ),
            "your unit, 320 channels": four_in_a_row(lambda x, _: basic_unit(x), 320),
            "the same without shuffle": four_in_a_row(lambda x, _: unit_without_shuffle(x), 320),
        },
        "networks": {
            "MobileNetV2, alpha 0.5, 272 × 272": mobilenetv2.mobilenet_v2((272, 272, 3), 0.5),
            "ShuffleNetV2, width 1.0, 224 × 224": shufflenet_v2((224, 224, 3), "1.0", 1000),
        },
    }
    for models in duels.values():
        for name, model in models.items():
            print(f"{name:36}{multiply_adds(model) / 1e6:5.0f} million multiply-adds")

# %% [markdown]
# Again they take turns, so that what disturbs one disturbs the other. A bar is the time of a round, divided by the
# first one's time in the same round.

# %% tags=["timed"]
with after("5.3", "5.6"):
    lapses = {
        duel: stopwatch(
            {
                name: (lambda x, model=model: model(x, training=False), random_tensor(4, *model.input.shape[1:]))
                for name, model in models.items()
            },
            rounds=21,
        )
        for duel, models in duels.items()
    }
    for times in lapses.values():
        for name, rounds in times.items():
            low, middle, high = quartiles(rounds)
            print(f"{name:36}{middle:6.1f} ms for four pictures, half of the rounds {low:.1f} to {high:.1f}")
        other, ours, *_ = times.values()
        print(f"{'':36}the second was faster than the first in {sum(np.less(ours, other))} of {len(ours)} rounds\n")
    print("You predicted:", PREDICTED_FASTER)

# %% jupyter={"source_hidden": true} tags=["timed"]
with after("5.3", "5.6"):
    figure, axes = panels(2, image_size=(1, 2.2))
    for panel, (duel, times) in zip(axes, lapses.items(), strict=True):
        first = next(iter(times.values()))
        bars = {name: quartiles(np.divide(rounds, first)) for name, rounds in times.items()}
        draw_bars(panel, bars)
        panel.set(ylim=(2.7, -0.5), xlim=(0, max(1.6, 1.1 * max(high for _, _, high in bars.values()))))
        panel.set_title(f"{duel} of equal multiply-adds", fontsize=9)
    show(
        figure,
        alt="Two panels of bars: times on this machine, divided by the first bar's of the same round; a bar "
        "is the median, a whisker the middle half of the rounds, the number stands below each bar. Left: an inverted "
        "residual of 64 channels, a unit of 320, the unit without its shuffle. Right: MobileNetV2, and ShuffleNetV2.",
    )

# %% [markdown]
# Trust a difference only where one of them wins nearly every round; otherwise run the cell again, and the winner may
# change. In our run (yours may differ, and then yours counts) ShuffleNetV2 was faster in nearly every round, though by
# a few percent only. The **block** alone was slower. The third bar lacks nothing but the shuffle, which multiplies
# nothing but moves all 320 channels: what it is lower by, the moving costs. G4 holds for the authors' own unit, too.
# (Then where does the network win? Not in blocks like these. To look elsewhere, give `four_in_a_row` other channels,
# and write another map than 28 × 28 into it.)
#
# The 58% of section 1 was measured on a graphics card, and need not show up here. What holds on every machine is this:
# multiply-adds alone do not tell you the time, and a stopwatch does, for *one* machine. In lesson 8 both will stand
# under the same heads, trained on the same scenes.

# %% [markdown]
# ## 9. What the shuffle is worth
#
# Without the shuffle, half of the channels would never be worked on, said section 4. What does that cost? Let something
# learn, and see. The pictures are **crops**: squares of 32 × 32 pixels out of drawn scenes, each with a person, a
# forklift, a piece of a monorail, or none of them. The network is small: a stem to 16 channels, three of *your* units,
# a pooling, three more units, and a mean and a dense layer that decide.
#
# Its rival is the same without shuffle, and no new unit is needed for that. Deal out `a b c d e f` in two groups, then
# what you get in three: `a d b e c f`, and `a b c d e f` again. A shuffle in $C / 2$ groups undoes the one in two; put
# behind each unit, it sends every half back to its side. Both networks have equally many weights and multiply-adds.
#
# Two trainings that differ in nothing but their random beginning end differently as well. So there are **three** of
# each kind, and only what is larger than the differences within a kind is due to the shuffle. All six stand side by
# side in one model, share nothing but the picture, and so see the same 768 crops in the same order. The training takes
# about a minute on two cores, and you watch; frames mark what the first network of each kind gets wrong.
#
# *Predict:* of 400 crops that they have not seen, how many percent will they get right? Guessing gets 25.

# %%
PREDICTED = {"with shuffle": None, "without": None}  # write percent in place of None

# %%
MODE = how_to_train()  # "full" for you; less in a check or an automatic test, where nobody waits for it
EPOCHS, CROPS = (6, 768) if MODE == "full" else (1, 64)
KINDS = ("background", *CLASSES)
STARTS = (1, 2, 3)


def small_network(image, shuffled):
    """A stem and six of your units, with their shuffle or with each one undone: (B, 32, 32, 3) gives (B, 4) logits."""
    x = conv_bn(image, 16, 3, 2, "relu")
    for unit in range(6):
        x = layers.MaxPooling2D(2)(x) if unit == 3 else x
        x = basic_unit(x) if shuffled else channel_shuffle(basic_unit(x), x.shape[-1] // 2)
    return layers.Dense(len(KINDS))(layers.GlobalAveragePooling2D()(x))


def side_by_side(networks):
    """A model of all networks, ready to learn: (B, 32, 32, 3) gives (B, networks, 4) logits."""
    picture = keras.Input((32, 32, 3))
    logits = []
    for name, start in networks:
        keras.utils.set_random_seed(start)
        logits.append(small_network(layers.Rescaling(1 / 127.5, offset=-1)(picture), name == "with shuffle"))
    model = keras.Model(picture, ops.stack(logits, axis=1))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # in so few steps its averages have to adapt fast
    rates = keras.optimizers.schedules.CosineDecay(5e-3, decay_steps=EPOCHS * CROPS // 32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rates), loss=loss)
    return model


# %% jupyter={"source_hidden": true}
STYLES = {"with shuffle": ("-", "o", figures.BLUE), "without": ("--", "s", figures.VERMILION)}


def draw_lesson(curves, guesses):
    """Shares of right crops so far, and 64 crops, framed where the first network of each kind is wrong."""
    figure, axes = panels(3, image_size=(1, 1))
    for (name, start), curve in curves.items():
        style, marker, color = STYLES[name]
        label = name if start == STARTS[0] else None
        places = range(1, len(curve) + 1)
        axes[0].plot(places, curve, linestyle=style, marker=marker, color=color, label=label, markersize=4)
    axes[0].set(xlim=(0.5, EPOCHS + 0.5), ylim=(0.2, 1), xlabel="passes")
    axes[0].set_title(f"share of {len(unseen)} crops that is right", fontsize=10)
    axes[0].legend(fontsize=8, loc="lower right")
    sheet = unseen[:64].reshape(8, 8, 32, 32, 3).swapaxes(1, 2).reshape(256, 256, 3)
    wrong = {}
    for panel, name in zip(axes[1:], STYLES, strict=True):
        wrong[name] = np.flatnonzero(guesses[name, STARTS[0]][:64] != true_kinds[:64])
        row, col = np.divmod(wrong[name], 8)
        frames = np.stack([col + 0.06, row + 0.06, col + 0.94, row + 0.94], axis=-1) / 8
        draw_image(panel, sheet)
        draw_boxes(panel, frames, edgecolor=figures.ORANGE, linewidth=2)
        panel.set_title(f"{name}: {len(wrong[name])} of 64 wrong", fontsize=10)
    passes = len(curves["without", STARTS[0]])
    ends = {name: [f"{curve[-1]:.1%}" for (kind, _), curve in curves.items() if kind == name] for name in STYLES}
    return figure, (
        f"After {passes} passes. Left, six curves of the share of unseen crops that is right: "
        f"with shuffle they end at {', '.join(ends['with shuffle'])}, without at {', '.join(ends['without'])}. Then "
        "64 crops twice, those in a frame that the first network of each kind takes for something else: "
        f"{len(wrong['with shuffle'])} with shuffle, {len(wrong['without'])} without."
    )


# %%
with after("5.2", "5.3"):
    if MODE != "skip":
        (seen, kinds_seen), (unseen, true_kinds) = crops(CROPS, seed=0, size=32), crops(400, seed=1, size=32)
        networks = [(name, start) for start in STARTS for name in STYLES]
        learners, picture = side_by_side(networks), LivePicture()
        curves = {which: [] for which in networks}
        for _ in range(EPOCHS):
            learners.fit(seen, np.repeat(kinds_seen[:, None], len(networks), axis=1), batch_size=32, verbose=0)
            said = learners.predict(unseen, batch_size=200, verbose=0).argmax(axis=-1)  # (400, networks)
            guesses = dict(zip(networks, said.T, strict=True))
            for which, guess in guesses.items():
                curves[which].append((guess == true_kinds).mean())
            picture.draw(*draw_lesson(curves, guesses))
        picture.leave(*draw_lesson(curves, guesses))
        for name in STYLES:
            shares = [curves[name, start][-1] for start in STARTS]
            print(f"{name:13}" + "".join(f"{share:8.1%}" for share in shares) + f"    mean {np.mean(shares):.1%}")
        print("You predicted:", PREDICTED)

# %% [markdown]
# What we saw in our run (yours may differ a little): without the shuffle 74.0<!-- above --> percent of the crops are
# right on average, with it 81.0<!-- above -->. Even the worst network with it, 79.0<!-- above -->, is ahead of the best
# without, 74.5<!-- above -->, and the means lie farther apart than any two of a kind: so it is the shuffle. That is
# what the time of section 8 buys.
#
# Why so much? Look at what is left without it. The left half, 8 of the 16 channels, arrives at the mean as the stem
# made it, only pooled, after six units. The right half is a plain chain of six units, only 8 channels wide, that never
# sees the left. With the shuffle nearly all of the 16 are worked on, and mixed.
#
# Nothing else differs, and in so small a network nothing makes up for it. In the published networks every stage
# begins with a unit of stride 2, which mixes both halves anyway. How much the shuffle is worth *there* is not measured
# here.

# %% [markdown]
# ## 10. Compare with the reference
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
#   makes sure that it is not always the same half. You have seen what that is worth, and what it costs.
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

# %% [markdown]
# ## An open challenge
#
# No points, and no right answer: the task of lesson 4's challenge once more. Which network with fewer than 200,000
# parameters sorts pictures of 48 × 48 pixels best, if it may train for a minute? This time begin with units that split
# and shuffle, and see whether they beat your bottlenecks. How wide, how many units, and at which stride?
#
# All networks get 600 steps, and may take 10 million multiply-adds a picture. You know by now what those do not tell,
# so the time of a step is measured as well, in turns with one of a small network, and what takes fifteen times as long
# is refused. Your score is the percentage of pictures sorted right, out of 500 scenes that you have not seen. Take the
# `#` away below when you are ready; `ssdseg challenge 5` does the same in a terminal.

# %%
from ssdseg_course import challenge


def my_network():
    """A Keras model from (48, 48, 3), scaled to -1..1, to four logits."""
    image = keras.Input((48, 48, 3))
    x = conv_bn(image, 24, 3, 2, "relu", "same")
    for channels in (32, 64):
        x = downsampling_unit(x, channels)
        x = basic_unit(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(4)(x))


challenge("05")  # the marks, and your attempts; the next line, without its "# ", trains for about a minute
# challenge("05", my_network)
