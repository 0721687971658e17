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
# # Lesson 3 - Depthwise-separable convolutions: the same view for a ninth of the price
#
# **You will be able to** write a convolution, first in plain loops and then in three lines of NumPy, say what stride,
# dilation and "same" padding do to it, take it apart into its two jobs, and say what a layer costs before you build it.
#
# **You need** Python and NumPy arrays, slices above all. You need to know nothing about neural networks, and nothing
# from lessons 1 and 2.
#
# **It takes** {time}. Every exercise is a good place to stop. When you
# come back, choose Run, Run All Cells in the menu: it stops at the first check that does not pass yet.
#
# Stuck? `hint("03.pointwise_conv2d")` gives a hint for that exercise; call it again for a stronger one.

# %%
import timeit

import numpy as np

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.cost import explore_cost
from ssdseg_course.explorers.figures import after, draw_grid, draw_image, draw_points, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_course.quiet import import_keras
from ssdseg_ref import convolution as reference
from ssdseg_ref.data.crops import crops
from ssdseg_ref.data.warehouse import CLASSES, render

# %% [markdown]
# ## 1. The result, first
#
# On the left is a scene of the *Warehouse*. In the middle is what a **convolution** makes of it: a small pattern was
# laid over every place of the picture, and each pixel of the result says how well it fits there. This one fits where
# dark turns to bright from left to right: upright things show up white on one side and black on the other. On the right
# is the price of one such layer inside a network, built in the usual way, and built as you will build it by the end of
# this lesson. (No need to read the code that draws.)

# %%
SCENE = 21  # any other number draws another one
scene = render(SCENE, size=(160, 224))
image = scene.image / 255  # (160, 224, 3): red, green and blue, 0 to 1

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # dark on the left, bright on the right


def draw_map(axes, values, title, low=-2, high=2):
    """A map (H, W) of numbers in grey, from `low`, black, to `high`, white."""
    grey = np.clip((values - low) / (high - low), 0, 1) * 255
    draw_image(axes, np.repeat(grey[..., None], 3, axis=2))
    axes.set_title(title)


edges = reference.conv2d(image, np.repeat(SOBEL[..., None, None], 3, axis=2))[..., 0]
costs = [reference.conv_cost(kind, (14, 14), 3, 512, 512) for kind in ("standard", "separable")]

figure, axes = panels(3, width=12)
draw_image(axes[0], scene.image)
axes[0].set_title("a scene")
draw_map(axes[1], edges, "a convolution: upright edges", low=-6, high=6)
for row, (name, cost, color, hatch) in enumerate(
    zip(("standard", "separable"), costs, (figures.BLUE, figures.ORANGE), ("", "///"), strict=True)
):
    millions = cost.multiply_adds / 1e6
    axes[2].barh(row, millions, color=color, hatch=hatch, edgecolor="black", height=0.5)
    axes[2].text(5, row - 0.4, f"{name}: {cost.parameters / 1e6:.2f} million parameters", ha="left")
    axes[2].text(millions + 8, row, f"{millions:.0f}", va="center")
axes[2].set(
    xlim=(0, 530),
    ylim=(1.5, -0.7),
    yticks=[],
    xlabel="million multiply-adds for one picture",
    title="the price of a layer",
)
show(
    figure,
    alt="Left: a hall with a forklift, a person in a yellow vest and, under the ceiling, an orange monorail with a "
    "blue hoist. Middle: the same as a relief in grey; left sides of bright things are white lines, their right sides "
    "black ones, and plain surfaces are mid-grey. A thin white bar runs along the left border and a black one along "
    "the right. Right: two bars. The standard layer costs 462 million multiply-adds and has 2.36 million parameters, "
    "the separable one 52 million and 0.27 million.",
)

# %% [markdown]
# A network for pictures consists mostly of convolutions: dozens of layers, each with hundreds of patterns, which
# training finds. In 2017 the MobileNet paper took the convolution apart into two small steps, and trained the same
# network both ways (Howard et al. 2017, table 4):
#
# | the same network, built from | parameters | multiply-adds | right answers on ImageNet |
# |---|---|---|---|
# | standard convolutions | 29.3 million | 4,866 million | 71.7% |
# | **separable** convolutions | 4.2 million | 569 million | 70.6% |
#
# One more picture in a hundred goes wrong, for less than an eighth of the work. That is why a phone can find objects in
# a video, and why the network of this course, which should fit into a forklift, is built from such convolutions. We
# build both kinds, from the simplest step up, and then count.

# %% [markdown]
# ## 2. Mixing channels
#
# A picture has three **channels**: how much red, green and blue there is in each pixel. As an array it has the shape
# $H \times W \times 3$.

# %% jupyter={"source_hidden": true}
figure, axes = panels(4, width=12)
draw_image(axes[0], scene.image)
axes[0].set_title("the scene")
for panel, channel, name in zip(axes[1:], range(3), ("red", "green", "blue"), strict=True):
    draw_image(panel, np.repeat(scene.image[..., channel, None], 3, axis=2))
    panel.set_title(f"channel {channel}: {name}")
show(
    figure,
    alt="The scene, and its three channels as pictures in grey. Forklift and monorail, which are orange, are bright in "
    "the red channel, middling in the green one and nearly black in the blue one. The pale walls are bright in all "
    "three.",
)

# %% [markdown]
# Inside a network there are more channels, 64 or 512, and they no longer mean colours. Each says how much of
# *something* there is at each place: of an upright edge, of stripes, of a wheel. Such an array $H \times W \times C$ is
# called a **feature map**. What we do with pictures in this lesson, networks do with feature maps.
#
# The simplest thing to do with channels is to mix them. The orange beam under the ceiling, a monorail, is bright in red
# and dark in blue. So *red minus blue* is large where something is orange, and about 0 on anything grey: a new channel,
# for which three weights are enough, 1, 0 and -1.
#
# To get $C_{out}$ new channels from $C_{in}$ old ones, take $C_{out}$ such mixes. The weights form a matrix $K$ with
# one row per old channel and one column per new one. For row $y$, column $x$ and the new channel $o$,
#
# $$Y_{y,x,o} = \sum_{c=0}^{C_{in}-1} X_{y,x,c} \, K_{c,o}$$
#
# This is a **pointwise convolution**, or 1 × 1 convolution: no pixel looks at its neighbours. Keras stores the weights
# in an array of shape $1 \times 1 \times C_{in} \times C_{out}$, called the **kernel**. The two ones say how many
# pixels it looks at, downward and to the right. There will soon be more.
#
# ### {03.pointwise_conv2d}
#
# Write `pointwise_conv2d(image, kernel)`: `image` has the shape `(H, W, Cin)`, `kernel` `(1, 1, Cin, Cout)`, and what
# comes back `(H, W, Cout)`. A picture may hold whole numbers, as photographs do; what comes back must have room for
# fractions. Loops are fine. Without loops: `a @ b` multiplies the last axis of `a` by the matrix `b`, for all other
# axes at once.


# %% nbgrader={"grade_id": "pointwise_conv2d", "solution": true}
def pointwise_conv2d(image, kernel):
    """Mix the channels of each pixel: (H, W, Cin) with a kernel (1, 1, Cin, Cout) gives (H, W, Cout)."""
    ### BEGIN SOLUTION
    return image @ kernel[0, 0]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_pointwise_conv2d", "grade": true}
check("03.pointwise_conv2d", pointwise_conv2d)

# %% [markdown]
# Three mixes from one call. The columns of the matrix are the mixes; change them and run the cell again:

# %%
MIXES = np.array(
    [
        # grey, orange, blue
        [0.30, 1.0, -1.0],  # weights of red
        [0.59, 0.0, 0.5],  # weights of green
        [0.11, -1.0, 0.5],  # weights of blue
    ]
)

with after("3.1"):
    mixed = np.asarray(pointwise_conv2d(image, MIXES[None, None]))
    figure, axes = panels(3, width=12)
    draw_map(axes[0], mixed[..., 0], "grey", low=0, high=1)
    draw_map(axes[1], mixed[..., 1], "orange: red - blue", low=-1, high=1)
    draw_map(axes[2], mixed[..., 2], "blue: (green + blue) / 2 - red", low=-1, high=1)
    show(
        figure,
        alt="Three maps. Grey: the scene as a black-and-white photograph. Orange: forklift, monorail and the "
        "yellow things are bright, all else is mid-grey or darker. Blue: forklift, monorail and post are dark, windows "
        "and walls a little brighter than mid-grey; brightest are the hoist under the monorail and the person's "
        "sleeve.",
    )

# %% [markdown]
# (From now on, mid-grey is 0 in most maps, brighter is positive, darker negative.)
#
# On the orange map the forklift stands out, but so do monorail, vest and post. Telling them apart takes shapes. Shapes
# are relations between *neighbours*, and a pointwise convolution sees none.

# %% [markdown]
# ## 3. Looking around, and what to do at the border
#
# So let the kernel look at a window of $k \times k$ pixels, with a weight for each; a position in the kernel that holds
# a weight is called a **tap**. Here is a picture of 4 × 4 pixels with one channel, a kernel of 3 × 3, and what comes
# out. Each number on the right is a sum of nine products. Marked in yellow are a window, the kernel, and the output
# pixel that the two give:

# %%
SMALL = np.array([[1, 1, 5, 5], [1, 1, 5, 5], [1, 1, 5, 5], [9, 9, 9, 9]])


def draw_numbers(axes, numbers, marked, title, padding=None):
    """A grid of numbers; those that are marked stand bold on yellow, those of the padding are hatched."""
    rows, cols = numbers.shape
    for (row, col), number in np.ndenumerate(numbers):
        left, right, top, bottom = col / cols, (col + 1) / cols, row / rows, (row + 1) / rows
        is_marked, is_padding = marked[row, col], padding is not None and padding[row, col]
        if is_marked or is_padding:
            ground = figures.YELLOW if is_marked else "#EEEEEE"
            box = [left, right, right, left], [top, top, bottom, bottom]
            axes.fill(*box, facecolor=ground, edgecolor="gray", hatch="////" if is_padding else "")
        axes.text(
            *((left + right) / 2, (top + bottom) / 2, f"{number:g}"),
            ha="center",
            va="center",
            weight="bold" if is_marked else "normal",
            bbox={"facecolor": ground, "edgecolor": "none", "pad": 1} if is_padding else None,
        )
    draw_grid(axes, rows, cols)
    around = 3.05 / cols, 3.05 / rows  # cells are of one size in all grids, up to 6 × 6
    axes.set(xlim=(0.5 - around[0], 0.5 + around[0]), ylim=(0.5 + around[1], 0.5 - around[1]), title=title)
    axes.axis("off")


padded, is_padding = np.pad(SMALL, 1), np.pad(np.zeros((4, 4), bool), 1, constant_values=True)
sums = reference.conv2d(SMALL[..., None], SOBEL[..., None, None])[..., 0]
window = np.zeros((6, 6), bool)
window[2:5, 1:4] = True
figure, axes = panels(3, image_size=(1, 1), width=9)
draw_numbers(axes[0], padded, window, "the picture, zeros around it", is_padding)
draw_numbers(axes[1], SOBEL, np.ones((3, 3), bool), "the kernel")
draw_numbers(axes[2], sums, window[1:5, 1:5] & np.eye(4, k=-1, dtype=bool) & (np.arange(4) == 1), "the output")
show(
    figure,
    alt="Left: the picture, 4 by 4 numbers, two columns of 1 and two of 5 with a row of 9 below, inside a frame of "
    "hatched zeros; a window of 3 by 3 is marked, with the rows 1 1 5, 1 1 5 and 9 9 9. Middle: the kernel, rows -1 0 "
    "1, -2 0 2 and -1 0 1. Right: the output, 4 by 4 numbers; the one in row 2, column 1, 12, is marked.",
)

# %% [markdown]
# The marked window gives $(5 - 1) + 2 \cdot (5 - 1) + (9 - 9) =$ 12<!-- = 4 + 2 * 4 + 0 -->: it is darker on its left
# than on its right. (Take a pencil: which window gives the 16 above it?)
#
# At the border, a window reaches beyond the picture. The zeros around the picture, hatched, are there for that: they
# are the **padding**. With as many as here, the output has the size of the picture, and the padding is called
# **"same"**.
#
# Two more numbers say how windows lie:
#
# - **stride**: how many pixels farther on the next window begins. A stride of 2 gives half as many rows and columns;
#   this is how networks make their maps smaller.
# - **dilation**: the distance from one tap to the next. With a dilation of 2, one pixel is left out between taps.
#
# How many zeros does that take, and on which side? Here are rows of pixels, numbered from 1, between their zeros. Above
# them are the windows, one dot per tap:


# %% jupyter={"source_hidden": true}
def draw_row(axes, top, side, kernel_size, stride, dilation, padding):
    """A row of pixels between its zeros (hatched), under its windows, one dot per tap; gives the y below, and words."""
    before, after_it = (int(zeros) for zeros in padding)
    outputs = -(-side // stride)
    levels = min(-(-(dilation * (kernel_size - 1) + 1) // stride), outputs)
    base = top + 0.5 * levels + 0.2
    for number in range(outputs):
        taps = number * stride - before + dilation * np.arange(kernel_size) + 0.5
        y = base - 0.35 - 0.5 * (number % levels)
        axes.plot(taps, np.full(len(taps), y), "o-", color=figures.BLUE, markersize=5, markeredgecolor="black")
    for pixel in range(-before, side + after_it):
        inside = 0 <= pixel < side
        square = [pixel, pixel + 1, pixel + 1, pixel], [base, base, base + 0.8, base + 0.8]
        axes.fill(*square, facecolor="white" if inside else "#DDDDDD", hatch="" if inside else "////", edgecolor="gray")
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        shown = pixel + 1 if inside else 0
        axes.text(pixel + 0.5, base + 0.4, shown, ha="center", va="center", bbox=ground, fontsize=9)
    words = f"side {side}, k = {kernel_size}, stride {stride}, dilation {dilation}: {before} before, {after_it} after"
    axes.text(10.4, base + 0.4, words, va="center")
    return base + 1.4, words


def draw_rows(rows, same_padding):
    """A figure of rows with the padding that `same_padding` gives, and in words what it gives."""
    figure, (axes,) = panels(1, image_size=(len(rows) * 1.9 + sum(d * (k - 1) / s / 2 for _, k, s, d in rows), 21))
    top, said = 0, []
    for row in rows:
        top, words = draw_row(axes, top, *row, same_padding(*row))
        said.append(words)
    axes.set(xlim=(-2.2, 19.5), ylim=(top - 0.4, 0))
    axes.axis("off")
    return figure, "; ".join(said)


figure, _ = draw_rows([(7, 3, 1, 1), (7, 3, 2, 1), (8, 3, 2, 1)], reference.same_padding)
show(
    figure,
    alt="Three rows of numbered pixels under windows of three taps. Side 7, stride 1: seven windows, one zero before "
    "the row and one after. Side 7, stride 2: four windows, one zero before and one after. Side 8, stride 2: four "
    "windows, no zero before and one after.",
)

# %% [markdown]
# In general, for a side of $n$ pixels (the height or the width),
#
# $$\text{outputs} = \left\lceil \frac{n}{\text{stride}} \right\rceil \qquad\qquad
# \text{reach} = \text{dilation} \cdot (k - 1) + 1$$
#
# where $\lceil\,\rceil$ rounds up, and the *reach* is the length of a window. How many pixels lie between the beginning
# of the first window and the end of the last one? Those that are needed but not there are missing, and zeros take their
# place: half of them before the row, half after it. Two special cases:
#
# - **An odd number is missing.** TensorFlow puts the odd zero *after*: below, or to the right. In the third row of the
#   figure a single zero is missing, and nothing stands before. Each of our networks begins with such a convolution, 3 ×
#   3 at stride 2: **on an even side it is padded at the end alone.**
# - **Less than nothing is missing.** With large strides and a small kernel there are more than enough pixels. Then
#   nothing is padded.
#
# *A pencil again:* a side of 10 pixels, $k = 3$, stride 2, dilation 1. How many outputs, pixels needed, pixels missing?
#
# <details><summary>Compare</summary>
#
# 5<!-- = -(-10 // 2) --> outputs, 11<!-- = 4 * 2 + 3 --> needed, 1 missing: none before,
# 1<!-- = convolution.same_padding(10, 3, 2)[1] --> after.
#
# </details>
#
# ### {03.same_padding}
#
# Write `same_padding(side, kernel_size, stride, dilation)`: the zeros that go before and after a side of that many
# pixels, as `(before, after)`, two whole numbers. (`a // b` rounds a / b down, `-(-a // b)` rounds it up.)


# %% nbgrader={"grade_id": "same_padding", "solution": true}
def same_padding(side, kernel_size, stride, dilation):
    """Zeros before and after a side of the picture, as TensorFlow puts them: (before, after)."""
    ### BEGIN SOLUTION
    outputs = -(-side // stride)
    reach = dilation * (kernel_size - 1) + 1
    missing = max((outputs - 1) * stride + reach - side, 0)
    return missing // 2, missing - missing // 2
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_same_padding", "grade": true}
check("03.same_padding", same_padding)

# %% [markdown]
# Your padding at work. Every window should have each of its taps on a pixel or on a zero, and no zero should be unused.
# Add rows of your own: `(side, kernel_size, stride, dilation)`.

# %%
with after("3.2"):
    figure, words = draw_rows([(6, 2, 1, 1), (7, 3, 1, 2), (8, 3, 2, 1), (9, 4, 3, 1), (8, 1, 3, 1)], same_padding)
    show(figure, alt=f"Rows of pixels under their windows, between the zeros that your function gives. {words}.")

# %% [markdown]
# Why so much care about a zero? PyTorch users pad both sides alike. At stride 2 on an even side, their windows begin
# one pixel farther to the left. Carry trained weights from one to the other with the wrong padding, and nothing fails
# and no shape is wrong; but the network sees every picture shifted by a pixel, again at each such layer, and is a
# little worse at everything.
#
# ## 4. A convolution in plain loops
#
# Call the picture with its zeros $P$. The window of the output pixel in row $y$ and column $x$ begins at row $y \cdot
# \text{stride}$ and column $x \cdot \text{stride}$ of $P$. Tap $(i, j)$ lies $i \cdot \text{dilation}$ rows farther
# down and $j \cdot \text{dilation}$ columns farther right. And each tap mixes the channels, as in section 2:
#
# $$Y_{y,x,o} = \sum_{i=0}^{k-1} \sum_{j=0}^{k-1} \sum_{c=0}^{C_{in}-1}
# P_{\,y \cdot \text{stride} + i \cdot \text{dilation},\;\; x \cdot \text{stride} + j \cdot \text{dilation},\;\; c}
# \; K_{i,j,c,o}$$
#
# So the kernel has four axes, $k \times k \times C_{in} \times C_{out}$. Its numbers, learned in training, are the
# layer's **parameters**.
#
# ### {03.conv2d_loops}
#
# Write `conv2d_loops(image, kernel, stride, dilation)`: `image` is `(H, W, Cin)`, `kernel` is `(k, k, Cin, Cout)`, with
# "same" padding. What comes back is `(ceil(H / stride), ceil(W / stride), Cout)`.
#
# Be as slow and plain as you like: each letter of the formula can be a loop. For the padding there is
# `np.pad(image, (above_and_below, left_and_right, (0, 0)))`: two numbers for each axis, and none for the channels.


# %% nbgrader={"grade_id": "conv2d_loops", "solution": true}
def conv2d_loops(image, kernel, stride, dilation):
    """Convolution, number by number: (H, W, Cin) and (k, k, Cin, Cout) give (H', W', Cout), padded "same"."""
    ### BEGIN SOLUTION
    height, width, in_channels = image.shape
    k, _, _, out_channels = kernel.shape
    paddings = [same_padding(side, k, stride, dilation) for side in (height, width)]
    padded = np.pad(image, (*paddings, (0, 0)))
    output = np.zeros((-(-height // stride), -(-width // stride), out_channels))
    for y, x, o in np.ndindex(output.shape):  # three loops in one
        for i, j, c in np.ndindex(k, k, in_channels):
            pixel = padded[y * stride + i * dilation, x * stride + j * dilation, c]
            output[y, x, o] += pixel * kernel[i, j, c, o]
    return output
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_conv2d_loops", "grade": true}
check("03.conv2d_loops", conv2d_loops)

# %% [markdown]
# Two patterns over a small copy of the scene, for upright and for level edges, found by your loops:

# %% tags=["timed"]
small = render(SCENE, size=(80, 112)).image / 255
EDGES = np.stack([SOBEL, SOBEL.T], axis=-1)[:, :, None].repeat(3, axis=2) / 3  # (3, 3, 3, 2): upright, level

with after("3.3"):
    start = timeit.default_timer()
    found = np.asarray(conv2d_loops(small, EDGES, 1, 1))
    seconds = timeit.default_timer() - start
    figure, axes = panels(3, width=12)
    draw_image(axes[0], small * 255)
    axes[0].set_title("80 × 112 pixels")
    draw_map(axes[1], found[..., 0], "upright edges")
    draw_map(axes[2], found[..., 1], "level edges")
    show(
        figure,
        alt="The small scene and two maps in grey. In the first, upright things have a white and a black flank: the "
        "forklift's mast, the person, window frames. In the second, level ones have: the monorail, the door, the "
        "forklift's roof, the stripes of the post. Strong lines run along the left and right border of the first, and "
        "along the upper and lower border of the second, where the picture ends and the zeros begin.",
    )
    products = found.size * 3 * 3 * 3
    print(f"{products:,} products in {seconds:.2f} s: {seconds / products * 1e6:.2f} millionths of a second each")
    print(f"the layer of section 1, with its 462 million: {seconds / products * 462.4e6 / 60:.0f} minutes")

# %% [markdown]
# Right, and hopelessly slow. (The lines along the borders are not a mistake. The picture ends there, the zeros begin,
# and that is as good an edge as any.)
#
# ## 5. The same without a loop over pixels
#
# The long loops are those over $y$ and $x$: thousands of turns. Those over $i$ and $j$ take nine turns in all. So turn
# the nesting around: keep one tap fixed, and ask what it does for *all* output pixels at once.
#
# While the window slides over the padded picture, the tap $(i, j)$ meets one pixel for every output pixel, here in
# yellow:

# %% jupyter={"source_hidden": true}
numbers = np.arange(1, 17).reshape(4, 4)
figure, axes = panels(4, image_size=(1, 1), width=11)
for panel, (i, j), stride in zip(axes, ((0, 0), (1, 2), (2, 2), (1, 1)), (1, 1, 1, 2), strict=True):
    zeros = reference.same_padding(4, 3, stride)
    between_zeros, is_padding = np.pad(numbers, zeros), np.pad(np.zeros((4, 4), bool), zeros, constant_values=True)
    met = np.zeros_like(between_zeros, bool)
    met[i : i + 4 : stride, j : j + 4 : stride] = True
    draw_numbers(panel, between_zeros, met, f"tap ({i}, {j}), stride {stride}", is_padding)
show(
    figure,
    alt="Four times the numbers 1 to 16 in four rows, with the pixels marked that one tap meets. In the first three "
    "there is a frame of hatched zeros around them. Tap (0, 0): the 4 by 4 square in the upper left corner of the "
    "frame. Tap (1, 2): the square one column to the right of the middle. Tap (2, 2): that in the lower right corner. "
    "In the fourth, at stride 2, zeros stand below and on the right alone; tap (1, 1) meets every second number of "
    "every second row, 6, 8, 14 and 16.",
)

# %% [markdown]
# They form a picture themselves: the same picture **shifted** and, with a stride, thinned out. What the tap adds to the
# output is that picture with its channels mixed by the matrix $K_{i,j}$, as in exercise 3.1. So
#
# > **a $k \times k$ convolution is $k^2$ pointwise convolutions of shifted pictures, added up.**
#
# The shifted picture is a slice with a step. `a[start:stop:step]` takes every `step`-th entry from `start` on and stays
# below `stop`:

# %%
a = np.arange(10, 30)
print(a[3:12:4], "begins at place 3, goes on by 4, and stops before place 12")

# %% [markdown]
# For the rows of tap $i$: where does the slice start, what is its step, and where may it stop so that there is one row
# for each of the outputs? (It may stop later than right after its last entry.)
#
# ### {03.conv2d}
#
# Write `conv2d(image, kernel, stride, dilation)`: the same as exercise 3.3, with no loop but the two over the taps.
# (The check accepts your loops too; the stopwatch below tells them apart.) If you put the slicing into a helper of your
# own, exercise 3.5 can use it again.


# %% nbgrader={"grade_id": "conv2d", "solution": true}
def conv2d(image, kernel, stride, dilation):
    """Convolution, tap by tap: (H, W, Cin) and (k, k, Cin, Cout) give (H', W', Cout), padded "same"."""
    ### BEGIN SOLUTION
    return sum(shifted @ kernel[i, j] for i, j, shifted in shifted_images(image, len(kernel), stride, dilation))


def shifted_images(image, k, stride, dilation):
    """For each tap (i, j), the pixels that it meets: (i, j, (H', W', C))."""
    height, width, _ = image.shape
    paddings = [same_padding(side, k, stride, dilation) for side in (height, width)]
    padded = np.pad(image, (*paddings, (0, 0)))
    rows, cols = (-(-side // stride) * stride for side in (height, width))  # that the slices go over
    for i, j in np.ndindex(k, k):
        top, left = i * dilation, j * dilation
        yield i, j, padded[top : top + rows : stride, left : left + cols : stride]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_conv2d", "grade": true}
check("03.conv2d", conv2d)

# %% [markdown]
# What has that gained us? The same small picture again, on your machine:


# %% tags=["timed"]
def milliseconds(function, *arguments):
    """The best of 15 tries, or of as many as take a second: what else the machine does can only make it slower."""
    seconds = []
    while len(seconds) < 15 and sum(seconds) < 1:
        seconds.append(timeit.timeit(lambda: function(*arguments), number=1))
    return 1000 * min(seconds)


with after("3.3", "3.4"):
    by_loops = milliseconds(conv2d_loops, small, EDGES, 1, 1)
    by_taps = milliseconds(conv2d, small, EDGES, 1, 1)
    difference = np.subtract(conv2d_loops(small, EDGES, 1, 1), conv2d(small, EDGES, 1, 1))
    print(f"number by number {by_loops:8.2f} ms")
    print(f"tap by tap       {by_taps:8.2f} ms, {by_loops / by_taps:.0f} times as fast")
    print(f"largest difference {np.abs(difference).max():.0e}")
    if by_loops < 20 * by_taps:
        print("That is still number by number, or nearly: some loop runs over the pixels. Some cells below will take")
        print("many seconds. Can you leave only the two loops over the taps?")

# %% [markdown]
# The products are the same, and there are just as many. What has gone is the Python between them, which takes longer
# per turn of a loop than the product in it.
#
# ### Farther for the same price: dilation
#
# Nine taps need not stand side by side. With a dilation of 2 they reach over 5 × 5 pixels, with 6 over 13 × 13, for
# **the same parameters and the same multiply-adds**. DeepLab, the segmenting half of our network, depends on that
# (lesson 7). Above are the taps over the person, below is what an edge kernel finds:

# %% jupyter={"source_hidden": true}
with after("3.4"):
    figure = figures.Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(2, 3)
    height, width, _ = image.shape
    for column, dilation in enumerate((1, 2, 6)):
        taps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2) * dilation
        draw_image(axes[0, column], scene.image, fade=0.35)
        middle, half = np.array([34, 120]) + 0.5, np.array([21, 15])
        draw_points(axes[0, column], (taps + middle) / (width, height), size=4)
        axes[0, column].set_title(f"dilation {dilation}: reaches over {2 * dilation + 1} × {2 * dilation + 1} pixels")
        (left, top), (right, bottom) = (middle - half) / (width, height), (middle + half) / (width, height)
        axes[0, column].set(xlim=(left, right), ylim=(bottom, top))
        found = np.asarray(conv2d(image, EDGES[..., :1], 1, dilation))[..., 0]
        draw_map(axes[1, column], found, f"{found.size * 27:,} multiply-adds")
    show(
        figure,
        alt="Above: the person's chest, its pixels enlarged, with nine dots, the taps, at dilations of 1, 2 and 6: on "
        "neighbouring pixels of the arm, then over its width, then over the whole chest. Below: upright edges of the "
        "whole scene at each dilation, each for the same 967,680 multiply-adds. Thin "
        "lines at 1, thicker ones at 2; at 6 broad bands, and small things such as the wheels are there twice, side by "
        "side. A white bar along the left border and a black one along the right grow wider with the dilation.",
    )

# %% [markdown]
# ## 6. One convolution, two jobs
#
# Count the numbers in a kernel: $k \cdot k \cdot C_{in} \cdot C_{out}$. For 512 channels in, 512 out and $k = 3$ that
# is 2,359,296<!-- = convolution.conv_cost("standard", (1, 1), 3, 512, 512).parameters -->. Why so many? Because a
# standard convolution does two jobs at once: it **looks around**, and it **mixes channels**; and for every pair of an
# old and a new channel it has its own way of looking around. Must it be every pair? An upright edge is an upright edge,
# whichever of the new channels wants to know. So give each job a step of its own:
#
# - **depthwise**: every channel is looked at with kernels of its own. No channel knows of another.
# - **pointwise**: each pixel's channels are mixed, as in exercise 3.1. No pixel knows of another.
#
# Together they are a **depthwise-separable convolution**. What is missing is the depthwise step. Its formula is the one
# from section 4, without the sum over channels:
#
# $$Y_{y,x,\,c \cdot D + d} = \sum_{i=0}^{k-1} \sum_{j=0}^{k-1}
# P_{\,y \cdot \text{stride} + i \cdot \text{dilation},\;\; x \cdot \text{stride} + j \cdot \text{dilation},\;\; c}
# \; K_{i,j,c,d}$$
#
# Its kernel is $k \times k \times C \times D$. $D$, the **depth multiplier**, says how many kernels each channel has;
# it is nearly always 1. The order of the output channels is that of Keras, as the index $c \cdot D + d$ says: all $D$
# of channel 0, all $D$ of channel 1, and so on.
#
# ### {03.depthwise_conv2d}
#
# Write `depthwise_conv2d(image, kernel, stride, dilation)`: `image` is `(H, W, C)`, `kernel` `(k, k, C, D)`, and what
# comes back `(ceil(H / stride), ceil(W / stride), C * D)`. Go tap by tap again. For the multiplier, think of shapes:
# with one more axis, `[..., None]`, the shifted picture is `(H', W', C, 1)`, and `kernel[i, j]` is `(C, D)`.


# %% nbgrader={"grade_id": "depthwise_conv2d", "solution": true}
def depthwise_conv2d(image, kernel, stride, dilation):
    """Each channel on its own: (H, W, C) and (k, k, C, D) give (H', W', C * D), padded "same"."""
    ### BEGIN SOLUTION
    output = sum(
        shifted[..., None] * kernel[i, j] for i, j, shifted in shifted_images(image, len(kernel), stride, dilation)
    )
    return output.reshape(*output.shape[:2], -1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_depthwise_conv2d", "grade": true}
check("03.depthwise_conv2d", depthwise_conv2d)

# %% [markdown]
# Red searched for upright edges, green for level ones, and blue blurred: three views that know nothing of one another.

# %%
BLUR = np.full((3, 3), 1 / 9)

with after("3.5"):
    own = np.stack([SOBEL, SOBEL.T, BLUR], axis=-1)[..., None]  # (3, 3, 3, 1)
    looks = np.asarray(depthwise_conv2d(image, own, 1, 1))
    figure, axes = panels(3, width=12)
    draw_map(axes[0], looks[..., 0], "red: upright edges")
    draw_map(axes[1], looks[..., 1], "green: level edges")
    draw_map(axes[2], looks[..., 2], "blue: blurred", low=0, high=1)
    show(
        figure,
        alt="Three maps in grey. Red channel: white and black flanks of all that stands upright. Green channel: those "
        "of all that lies level, such as the monorail, the door, the forklift's roof and the stripes of the post. Blue "
        "channel: the scene, a little out of focus, with monorail, forklift and post nearly black.",
    )

# %% [markdown]
# ### {03.separable_conv2d}
#
# Write `separable_conv2d(image, depthwise_kernel, pointwise_kernel, stride, dilation)`, from what you have. The
# depthwise kernel is `(k, k, C, D)` and the pointwise one `(1, 1, C * D, Cout)`. Which step has the stride and the
# dilation?


# %% nbgrader={"grade_id": "separable_conv2d", "solution": true}
def separable_conv2d(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    """Look around channel by channel, then mix: (H, W, C) gives (H', W', Cout), padded "same"."""
    ### BEGIN SOLUTION
    return pointwise_conv2d(depthwise_conv2d(image, depthwise_kernel, stride, dilation), pointwise_kernel)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_separable_conv2d", "grade": true}
check("03.separable_conv2d", separable_conv2d)

# %% [markdown]
# What can the two steps do together? Each colour is searched for upright and for level edges, six views in all, and the
# pointwise kernel turns the six into three channels:

# %%
LOOKS = np.stack([SOBEL, SOBEL.T], axis=-1)[:, :, None].repeat(3, axis=2)  # (3, 3, 3, 2)
WISHES = np.array(
    [
        # upright, a relief, upright and orange
        [1, 1, 3],  # red, upright
        [0, 1, 0],  # red, level
        [1, 1, 0],  # green, upright
        [0, 1, 0],  # green, level
        [1, 1, -3],  # blue, upright
        [0, 1, 0],  # blue, level
    ]
)

with after("3.6"):
    wanted = np.asarray(separable_conv2d(image, LOOKS, WISHES[None, None], 1, 1))
    figure, axes = panels(3, width=12)
    titles = ("upright edges of grey", "upright + level edges: a relief", "upright edges of orange")
    for channel, title in enumerate(titles):
        draw_map(axes[channel], wanted[..., channel], title, low=-6, high=6)
    show(
        figure,
        alt="Three maps in grey. The first has all upright edges. The second looks like a relief of the scene with a "
        "lamp in a corner, level and upright edges alike. In the third the flanks of orange and yellow things are "
        "strong: the forklift's body, both ends of the monorail, vest, coat and post. Those of the blue hoist and "
        "sleeve are too, with white and black exchanged. Pillars and windows are nearly gone.",
    )

# %% [markdown]
# The third map has edges, but only where *orange* begins or ends (or its opposite, blue, as in the hoist and the
# sleeve); grey things fade. Neither step can do that alone.
#
# **What is lost?** A separable convolution is still a convolution. Multiply the two kernels and you have a standard
# kernel that does the same:

# %%
with after("3.4", "3.6"):
    rng = np.random.default_rng(0)
    looks, mixes = rng.normal(size=(3, 3, 3, 1)), rng.normal(size=(1, 1, 3, 8))
    product = looks * mixes  # (3, 3, 3, 8)
    difference = np.subtract(conv2d(small, product, 1, 1), separable_conv2d(small, looks, mixes, 1, 1))
    print(f"{looks.size} + {mixes.size} numbers do what {product.size} do; difference {np.abs(difference).max():.0e}")

# %% [markdown]
# It does not work the other way round. A standard kernel has nine numbers for each pair of channels; in the product,
# all eight new channels look at red in one and the same way, only stronger or weaker. That is the whole restriction,
# and section 1 shows what it cost on ImageNet.
#
# ## 7. The price
#
# Two things cost:
#
# - **Parameters**: numbers in the kernels. They have to be learned, stored, and sent to the phone. (Layers often add a
#   number to each output channel, the *bias*. Ours have none: the batch normalisation that follows does that job.)
# - **Multiply-adds**: products, each with its addition. They take time and battery. Look at the formulas again: how
#   often is each number of the kernel used? Products with the zeros of the padding count as well.
#
# | kind | kernel | in words |
# |---|---|---|
# | standard | $k \times k \times C_{in} \times C_{out}$ | every pair of channels |
# | depthwise | $k \times k \times C_{in} \times D$, where $C_{out} = C_{in} \cdot D$ | every channel on its own |
# | pointwise | $1 \times 1 \times C_{in} \times C_{out}$ | one pixel at a time |
# | separable | a depthwise one with $D = 1$, then a pointwise one | the stride in the first of the two |
#
# ### {03.conv_cost}
#
# Write `conv_cost(kind, size, kernel_size, in_channels, out_channels, stride)`: `(parameters, multiply_adds)` for one
# picture, two whole numbers. `kind` is one of the four words above, `size` is the `(height, width)` that goes in,
# padding is "same", and there is no bias. (If the kind is pointwise, the kernel size is 1; if it is depthwise,
# `out_channels` is a multiple of `in_channels`.)


# %% nbgrader={"grade_id": "conv_cost", "solution": true}
def conv_cost(kind, size, kernel_size, in_channels, out_channels, stride):
    """What a convolution costs: (parameters, multiply_adds), without bias."""
    ### BEGIN SOLUTION
    taps = kernel_size * kernel_size
    parameters = {
        "standard": taps * in_channels * out_channels,
        "depthwise": taps * out_channels,
        "pointwise": in_channels * out_channels,
        "separable": taps * in_channels + in_channels * out_channels,
    }[kind]
    height, width = size
    return parameters, parameters * -(-height // stride) * -(-width // stride)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_conv_cost", "grade": true}
check("03.conv_cost", conv_cost)

# %% [markdown]
# The layer that opened the lesson, now counted by you. The paper's own counts for it, in its table 3, are
# 2.36<!-- = convolution.conv_cost("standard", (14, 14), 3, 512, 512).parameters / 1e6 --> and
# 0.27<!-- = convolution.conv_cost("separable", (14, 14), 3, 512, 512).parameters / 1e6 --> million parameters,
# 462<!-- = convolution.conv_cost("standard", (14, 14), 3, 512, 512).multiply_adds / 1e6 --> and
# 52.3<!-- = convolution.conv_cost("separable", (14, 14), 3, 512, 512).multiply_adds / 1e6 --> million multiply-adds.

# %%
with after("3.7"):
    kinds = {"standard": 3, "depthwise": 3, "pointwise": 1, "separable": 3}  # with the side of their kernel
    print(f"{'':12}{'parameters':>14}{'multiply-adds':>16}")
    for kind, kernel_size in kinds.items():
        parameters, multiply_adds = map(int, conv_cost(kind, (14, 14), kernel_size, 512, 512, 1))
        print(f"{kind:12}{parameters:14,}{multiply_adds:16,}")

# %% [markdown]
# ### Where the saving comes from
#
# Divide one price by the other. The pixels cancel, and so does $C_{in}$:
#
# $$\frac{\text{separable}}{\text{standard}} =
# \frac{k^2 \, C_{in} + C_{in} \, C_{out}}{k^2 \, C_{in} \, C_{out}} = \frac{1}{C_{out}} + \frac{1}{k^2}$$
#
# (Section 3.1 of the MobileNet paper.) Looking around was done for every new channel, and is now done once:
# $1 / C_{out}$ remains. Mixing was done at every tap, and is now done once: $1 / k^2$ remains. With hundreds of
# channels the first part hardly counts, and for $k = 3$ the whole is a little more than a ninth.

# %% jupyter={"source_hidden": true}
with after("3.7"):
    channels = 2 ** np.arange(0, 11)
    figure, (axes,) = panels(1, image_size=(1, 2.6))
    for k, style, color in ((3, "o-", figures.BLUE), (5, "s--", figures.VERMILION)):
        standard = [conv_cost("standard", (14, 14), k, 64, c, 1)[1] for c in channels.tolist()]
        separable = [conv_cost("separable", (14, 14), k, 64, c, 1)[1] for c in channels.tolist()]
        saving = np.divide(standard, separable)
        axes.plot(channels, saving, style, color=color, label=f"k = {k}")
        axes.axhline(k * k, color="black", linestyle=":")
        axes.text(1, k * k + 0.4, f"never more than k² = {k * k}", color="black")
    axes.set(xscale="log", xlabel="output channels", ylabel="times fewer multiply-adds", ylim=(0, 28))
    axes.set_xticks(channels, channels)
    axes.set_xticks([], minor=True)
    axes.legend(loc="center left")
    show(
        figure,
        alt="How many times fewer multiply-adds a separable convolution takes, against the output channels, which "
        "double from 1 to 1,024. For k = 3 the curve rises from 0.9 at one channel over 4.2 at 8 and 7.0 at 32 to 8.9 "
        "at 1,024 and stays below 9. For k = 5 it rises from 1.0 over 6.1 and 14.0 to 24.4 and stays below 25.",
    )

# %% [markdown]
# A 3 × 3 kernel saves a factor of 7.9<!-- = 1 / (1 / 64 + 1 / 9) --> at 64 output channels, between 8 and 9 from 128
# on, and less with fewer. With a single one it even costs 11<!-- = 100 * (1 / 1 + 1 / 9 - 1) -->% more: then looking
# around *was* the whole job.
#
# ### Play: the cost explorer
#
# On the upper two axes each line means ten times as many (k, M, G, T: thousands, millions, and so on). The bars below
# show both kinds side by side, and split the separable one into its two steps. (Controls need a running notebook. On a
# web page you see the picture alone.)

# %%
explore_cost(kernel_size=3, in_channels=64, out_channels=64, size=(20, 28))

# %% [markdown]
# 1. Which controls change the saving, "times fewer", and which leave it as it is?
# 2. Which of the two steps costs more? Can you turn that around?
# 3. When does a separable convolution cost *more* than a standard one?
#
# <details><summary>What we found</summary>
#
# 1. The kernel and the channels that come out. The map and the channels that go in cancelled.
# 2. The depthwise step costs more where $k^2$ is larger than $C_{out}$: with 8 output channels at 3 × 3
#    (52.9<!-- = 100 * 9 / (9 + 8) -->% of the price), with up to 16 at 5 × 5, with up to 32 at 7 × 7. With hundreds of
#    channels the pointwise step is nearly all of it.
# 3. With a kernel of 1 × 1: there is nothing to look around for. With 8 output channels that costs
#    12.5<!-- = 100 * (1 / 8 + 1 / 1 - 1) -->% more.
#
# </details>
#
# ## 8. The same in Keras
#
# Do you compute what a real library computes? Keras has a layer for each kind. Let us give its layers *your* kernels
# and compare. (The import takes a few seconds: TensorFlow is large.)

# %%
import_keras()
import keras
import tensorflow as tf

from ssdseg_ref.multitask import LESSON, build_network

rng = np.random.default_rng(0)
STANDARD, DEPTHWISE = rng.normal(size=(3, 3, 3, 8)), rng.normal(size=(3, 3, 3, 2))
POINTWISE, AFTER_DEPTHWISE = rng.normal(size=(1, 1, 3, 8)), rng.normal(size=(1, 1, 6, 8))


def keras_output(layer, *kernels):
    """What a layer makes of the small scene with these kernels."""
    layer.build((1, *small.shape))
    layer.set_weights(kernels)
    return layer(small[None].astype(np.float32))[0].numpy()  # a layer takes a stack of pictures: here a stack of one


with after("3.1", "3.4", "3.5", "3.6"):
    table = ["stride, dilation   Conv2D    DepthwiseConv2D   Conv2D 1 × 1   SeparableConv2D"]
    for stride, dilation in ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3)):
        steps = {"strides": stride, "dilation_rate": dilation, "padding": "same", "use_bias": False}
        pairs = (
            (
                keras_output(keras.layers.Conv2D(8, 3, **steps), STANDARD),
                conv2d(small, STANDARD, stride, dilation),
            ),
            (
                keras_output(keras.layers.DepthwiseConv2D(3, depth_multiplier=2, **steps), DEPTHWISE),
                depthwise_conv2d(small, DEPTHWISE, stride, dilation),
            ),
            (
                keras_output(keras.layers.Conv2D(8, 1, use_bias=False), POINTWISE),
                pointwise_conv2d(small, POINTWISE),
            ),
            (
                keras_output(
                    keras.layers.SeparableConv2D(8, 3, depth_multiplier=2, **steps), DEPTHWISE, AFTER_DEPTHWISE
                ),
                separable_conv2d(small, DEPTHWISE, AFTER_DEPTHWISE, stride, dilation),
            ),
        )
        a, b, c, d = (f"{np.abs(theirs - np.asarray(yours)).max():.0e}" for theirs, yours in pairs)
        table.append(f"{stride:6}{dilation:8}{a:>13}{b:>16}{c:>15}{d:>17}")
    print("largest differences:", *table, sep="\n")

# %% [markdown]
# Differences of about a millionth: Keras computes in float32, with about seven digits, and you in float64. (A stride
# and a dilation that are both above 1 are not in the table: Keras refuses that.)
#
# Now take stock of the network of this course, which you build in lessons 4 to 8; your function counts its
# convolutions:

# %%
with after("3.7"):
    totals = {kind: np.zeros(3, int) for kind in ("standard", "depthwise", "pointwise")}
    for layer in build_network(LESSON).layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            kind = "depthwise" if depthwise else "pointwise" if layer.kernel_size == (1, 1) else "standard"
            _, *size, in_channels = layer.input.shape
            out_channels = layer.output.shape[-1]
            cost = conv_cost(kind, size, layer.kernel_size[0], in_channels, out_channels, layer.strides[0])
            totals[kind] += [1, *map(int, cost)]
    print(f"{'':12}{'layers':>8}{'parameters':>14}{'multiply-adds':>16}")
    for kind, (layers, parameters, multiply_adds) in totals.items():
        print(f"{kind:12}{layers:8}{parameters:14,}{multiply_adds:16,}")

# %% [markdown]
# There is one standard convolution, the very first, where only three channels go in and there is little to save. All
# the rest are taken apart, and most of the price is the pointwise steps. (Why there are more of them than depthwise
# ones: lesson 4.)
#
# ## 9. What multiply-adds do not tell
#
# About eight times fewer multiply-adds: is that eight times as fast? Ask your machine. Eight maps of 40 × 56 pixels and
# 64 channels go through Keras's layers:

# %% tags=["timed"]
maps = tf.constant(np.random.default_rng(0).normal(size=(8, 40, 56, 64)).astype(np.float32))
layers = {
    "standard": keras.layers.Conv2D(64, 3, padding="same", use_bias=False),
    "depthwise": keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False),
    "pointwise": keras.layers.Conv2D(64, 1, use_bias=False),
    "separable": keras.layers.SeparableConv2D(64, 3, padding="same", use_bias=False),
}
compiled = [tf.function(layer) for layer in layers.values()]  # without Python between the steps
for function in compiled:
    function(maps)  # the first call builds
# All four in turns, 25 times, and of each the median: what else the machine does should hit all alike.
seconds = [[timeit.timeit(lambda f=function: f(maps), number=1) for function in compiled] for _ in range(25)]
times = dict(zip(layers, 1000 * np.median(seconds, axis=0), strict=True))  # in milliseconds

with after("3.7"):
    work = {kind: 8 * conv_cost(kind, (40, 56), 1 if kind == "pointwise" else 3, 64, 64, 1)[1] for kind in layers}
    shares = {kind: (work[kind] / work["standard"], times[kind] / times["standard"]) for kind in layers}
    figure, (axes,) = panels(1, image_size=(1, 2.8))
    for row, (kind, (of_work, of_time)) in enumerate(shares.items()):
        axes.barh(row - 0.2, of_work, height=0.36, color=figures.BLUE, edgecolor="black")
        axes.barh(row + 0.2, of_time, height=0.36, color=figures.ORANGE, hatch="///", edgecolor="black")
        axes.text(of_work + 0.01, row - 0.2, f"{work[kind] / 1e6:,.0f} million multiply-adds", va="center", fontsize=9)
        axes.text(of_time + 0.01, row + 0.2, f"{times[kind]:.2f} ms", va="center", fontsize=9)
    axes.set(yticks=range(4), yticklabels=layers, ylim=(3.5, -0.5), xlim=(0, 1.3 * max(map(max, shares.values()))))
    axes.set_xlabel("share of the standard convolution (plain: multiply-adds, striped: time)")
    shown = "; ".join(f"{kind} {of_work:.0%} and {of_time:.0%}" for kind, (of_work, of_time) in shares.items())
    show(
        figure,
        alt="Bars for four kinds of convolution, as shares of the standard one's multiply-adds and of its time on the "
        f"machine that ran this notebook: {shown}.",
    )
    print(f"{work['standard'] / work['separable']:.1f} times fewer multiply-adds,", end=" ")
    print(f"{times['standard'] / times['separable']:.1f} times as fast")
    for kind in layers:
        print(f"{kind:12}{work[kind] / times[kind] / 1e6:8.1f} billion multiply-adds a second")

# %% [markdown]
# Most likely the separable one is faster on your machine too, but by less than its multiply-adds promise. Look at the
# last lines: the depthwise step does far fewer multiply-adds *a second* than the others. A processor can multiply much
# faster than it can fetch numbers from memory. A standard convolution uses each number that it has fetched
# 576<!-- = 9 * 64 --> times here, $k^2 \cdot C_{out}$. The depthwise step uses it 9<!-- = 3 * 3 --> times, and then
# waits for the next. So **multiply-adds are a price on paper**, good to compare designs with; **time is measured**, on
# the machine that the network is for.

# %% [markdown]
# ## 10. Both kinds learn
#
# A price is one side. What does one get for it? The MobileNet paper trained on more than a million photographs; a
# minute is enough to see the same in small. Here are 1,200 **crops** of Warehouse scenes, 32 × 32 pixels each, of four
# kinds: a person, a forklift, a piece of monorail, or *background*: none of these, or only a small bit of one. A small
# network is to say which. It is five convolutions in a row, and it is built four times: from standard or from separable
# ones, and in each kind 8 or 16 channels wide at first. (The first one, into which only three channels go, is standard
# in all four, as in section 8.) Nothing else differs.
#
# After each convolution stand a **batch normalisation**, which shifts and scales each channel to mean 0 and deviation
# 1, and a **ReLU**, which turns what is negative into 0 (more on both in lesson 4). At the end, each channel's mean
# over all places goes, each with a weight, into four sums, one for each kind, and the largest is the answer. All
# kernels begin at random. Keras then does what networks learn by: it shows 32 crops, works out for each weight in which
# direction the answers would become better, and moves all weights a little that way. That is one **step**. (For that,
# one has to know how the answers change with each weight, through all layers. TensorFlow works that out; so this part
# is not done in NumPy.)
#
# *Predict*, before you run it. The answers are judged on 800 other crops, of scenes that no network has seen;
# whoever guesses gets a quarter right.
#
# 1. At 16 channels, the separable network has about a seventh of the parameters. How many more of 100 crops will the
#    standard one get right: a) hardly any, at most 3, b) about 10, c) 20 or more?
# 2. And how long does a step of the standard one take, against the separable one's: a) hardly longer, b) up to twice as
#    long, c) about seven times as long?

# %%
PREDICTED = ("?", "?")  # your answers; they are shown beside what happened

# %% tags=["timed"]
MODE = how_to_train()  # "full" for you; less in a check or an automatic test, where nobody waits for it
EPOCHS = 8  # how often each crop is seen
KINDS = ("background", *CLASSES)


def convolutions(kind, width):
    """The five convolutions: (kind, channels that go out, stride). The first, with three channels in, is standard."""
    return [("standard", width, 2)] + [
        (kind, channels, stride)
        for channels, stride in ((2 * width, 1), (2 * width, 2), (4 * width, 1), (4 * width, 1))
    ]


def classifier(kind, width, steps):
    """A network from crops (B, 32, 32, 3) to four sums (B, 4), ready to be trained for a number of steps."""
    x = crop = keras.Input((32, 32, 3))
    for kind_of_layer, channels, stride in convolutions(kind, width):
        if kind_of_layer == "separable":
            start = keras.initializers.RandomNormal(stddev=1 / 3)  # Keras's own is for layers that mix channels
            x = keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, depthwise_initializer=start)(x)
        side = 1 if kind_of_layer == "separable" else 3
        stride = 1 if kind_of_layer == "separable" else stride
        x = keras.layers.Conv2D(channels, side, stride, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
    network = keras.Model(crop, keras.layers.Dense(len(KINDS))(keras.layers.GlobalAveragePooling2D()(x)))
    rates = keras.optimizers.schedules.CosineDecay(4e-3, steps)  # long steps first, then shorter and shorter
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(rates), loss)
    return network


STYLES = {
    ("standard", 8): ("v:", figures.SKY),
    ("standard", 16): ("o-", figures.BLUE),
    ("separable", 8): ("^--", figures.ORANGE),
    ("separable", 16): ("s-.", figures.VERMILION),
}


def draw_answers(said, accuracies):
    """Eight crops with the answers of the two wider networks, and how many of all crops each has got right so far."""
    figure = figures.Figure(figsize=(12, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 7)
    right = {kind: said[kind, 16] == kinds_shown for kind in ("standard", "separable")}
    for place, (crop, kind) in enumerate(zip(shown, kinds_shown, strict=True)):
        panel = figure.add_subplot(grid[place // 4, place % 4])
        draw_image(panel, crop)
        panel.set_title(KINDS[kind], fontsize=9)
        answers = [f"{name}: {KINDS[said[name, 16][place]]} {'✓✗'[not right[name][place]]}" for name in right]
        panel.set_xlabel("\n".join(answers), fontsize=8)
    curves = figure.add_subplot(grid[:, 4:])
    for (kind, width), (style, color) in STYLES.items():
        share = accuracies[kind, width]
        curves.plot(
            range(1, len(share) + 1), share, style, color=color, label=f"{kind}, {width}", markeredgecolor="black"
        )
    curves.axhline(0.25, color="gray", linestyle="--", linewidth=0.8)
    curves.set(xlim=(0.8, EPOCHS + 0.2), ylim=(0, 1), xlabel="times that each crop was seen", title="right answers")
    curves.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.27))
    at_last = ", ".join(f"{kind} {width} {share[-1]:.0%}" for (kind, width), share in accuracies.items())
    return figure, (
        f"Left: eight crops with the answers of the two networks that are 16 wide; standard gets "
        f"{right['standard'].sum()} of them right, separable {right['separable'].sum()}. Right: the share of right "
        f"answers for 800 crops, against how often each crop of the training was seen. After {len(share)} times it is, "
        f"by kind and width: {at_last}."
    )


if MODE != "skip":
    count, unseen_count = (1200, 800) if MODE == "full" else (64, 64)
    epochs = EPOCHS if MODE == "full" else 1
    pictures, kinds = crops(count, seed=0, size=32)  # (N, 32, 32, 3), (N,): takes some seconds to draw
    unseen, kinds_of_unseen = crops(unseen_count, seed=1, size=32)
    chosen = np.concatenate([np.flatnonzero(kinds_of_unseen == kind)[:2] for kind in range(4)])
    shown, kinds_shown = unseen[chosen], kinds_of_unseen[chosen]
    pictures, unseen = (some / np.float32(127.5) - 1 for some in (pictures, unseen))  # -1 to 1

    keras.utils.set_random_seed(0)
    networks = {how: classifier(*how, epochs * -(-count // 32)) for how in STYLES}
    accuracies = {how: [] for how in STYLES}
    picture = LivePicture()
    for _ in range(epochs):  # in turns, so that all four can be watched
        said = {}
        for how, network in networks.items():
            network.fit(pictures, kinds, batch_size=32, epochs=1, verbose=0)
            answers = network.predict(unseen, batch_size=200, verbose=0).argmax(axis=1)
            accuracies[how].append(np.mean(answers == kinds_of_unseen))
            said[how] = answers[chosen]
        picture.draw(*draw_answers(said, accuracies))
    picture.leave(*draw_answers(said, accuracies))

# %% [markdown]
# Now the price of each, by your `conv_cost` on paper, and in milliseconds on your machine: of a step of training with
# 32 crops, and of the answers to 64.

# %% tags=["timed"]
with after("3.7"):
    if MODE != "skip":
        prices = {}
        for kind, width in networks:
            side, channels, paid = 32, 3, np.zeros(2, int)
            for kind_of_layer, out_channels, stride in convolutions(kind, width):
                paid += np.array(conv_cost(kind_of_layer, (side, side), 3, channels, out_channels, stride), int)
                side, channels = -(-side // stride), out_channels
            prices[kind, width] = paid

        answer = {how: tf.function(network) for how, network in networks.items()}
        some = tf.constant(unseen[:64])
        times = {how: [] for how in networks}
        for _ in range(23):  # all four in turns, so that what else the machine does hits all alike
            for how, network in networks.items():
                step = timeit.timeit(lambda n=network: n.train_on_batch(pictures[:32], kinds[:32]), number=1)
                times[how].append((1000 * step, 1000 * timeit.timeit(lambda f=answer[how]: f(some), number=1)))
        quartiles = {how: np.percentile(rows[3:], (25, 50, 75), axis=0) for how, rows in times.items()}

        gap = 100 * (accuracies["standard", 16][-1] - accuracies["separable", 16][-1])
        longer = quartiles["standard", 16][1, 0] / quartiles["separable", 16][1, 0]
        print(
            f"you predicted {' and '.join(PREDICTED)}; at 16 channels the standard network gets {gap:.1f} more of 100"
        )
        print(f"right, and its step takes {longer:.1f} times as long\n")
        print(f"{'':16}parameters  multiply-adds   right   ms a step (half of the steps)       ms for 64 answers")
        for (kind, width), (parameters, multiply_adds) in prices.items():
            (low, middle, high), (low_64, middle_64, high_64) = quartiles[kind, width].T
            print(f"{kind + ', ' + str(width):15}{parameters:11,}{multiply_adds:15,}", end="")
            print(f"{accuracies[kind, width][-1]:8.1%}{middle:12.1f} ({low:.1f} to {high:.1f}){'':10}", end="")
            print(f"{middle_64:10.1f} ({low_64:.1f} to {high_64:.1f})")

        figure, axes = panels(2, image_size=(1, 1.7))
        for (kind, width), (style, color) in STYLES.items():
            share, (low, middle, high) = accuracies[kind, width][-1], quartiles[kind, width][:, 0]
            name = f"{kind}, {width}"
            axes[0].plot(prices[kind, width][0], share, style[0], color=color, markeredgecolor="black", markersize=9)
            axes[1].plot((low, high), (share, share), color=color, linestyle=style[1:])
            axes[1].plot(middle, share, style[0], color=color, markeredgecolor="black", markersize=9)
            for panel, x in ((axes[0], prices[kind, width][0]), (axes[1], middle)):
                above = 9 if kind == "standard" else -16
                panel.annotate(name, (x, share), xytext=(0, above), textcoords="offset points", ha="center", fontsize=8)
        lowest = min(share[-1] for share in accuracies.values())
        axes[0].set(xscale="log", xlabel="parameters", ylabel="right answers", xlim=(1000, 200_000))
        axes[1].set(
            xlabel="ms a step (the line: half of the steps)", xlim=(0, 1.3 * max(q[2, 0] for q in quartiles.values()))
        )
        for panel in axes:
            panel.set_ylim(lowest - 0.03, max(share[-1] for share in accuracies.values()) + 0.03)
        said_ms = "; ".join(f"{kind} {width} {q[1, 0]:.1f} ms" for (kind, width), q in quartiles.items())
        show(
            figure,
            alt="Four points, the share of right answers against the parameters on the left, on a scale where each "
            "label is ten times the one before, and against the milliseconds of a step on the right, where a line "
            "through each shows its spread. On the left the separable ones have a sixth or a seventh of the "
            f"parameters. A step takes {said_ms}.",
        )

# %% [markdown]
# Compare the points. Differences of one or two in 100 are chance: with other crops or another beginning
# they turn out otherwise. (Change the number in `set_random_seed`.)
#
# - **The same width.** The separable network has a sixth or a seventh of the parameters, a fifth to a seventh of the
#   multiply-adds, and is a few answers in 100 behind, at most. That is the table of section 1 in small. What it gives
#   up is what section 6 said: all new channels look at an old one in one and the same way. It also begins more slowly,
#   as the curves show.
# - **Cheaper on paper, and as good.** The separable network of 16 channels has little more than half of the parameters
#   of the standard one of 8, 9,408<!-- above --> against 17,496<!-- above -->, and is about as good. So one uses a part
#   of the saving for width.
# - **Time is another matter.** Seven times fewer multiply-adds do not make a step seven times as fast. Look at the pair
#   that we have just compared: the separable one was cheaper on paper, and on our machine its step took longer. In
#   networks as small as these, much of a step is not multiplying: dozens of small operations have to be started, the
#   batch normalisations take their means, and the depthwise steps wait for memory, as in section 9. And look at the
#   spread before you believe a difference: where the lines of two points overlap widely, only many more turns would
#   tell which is faster. Section 9's layer, wider and on larger maps, saved more.
#
# And the proof that nothing else is inside: the same trained network, layer by layer, out of *your* functions.


# %%
def answer_by_hand(network, crop):
    """The four sums (4,) for a crop (32, 32, 3), by your functions and by the weights that were learned."""
    x = crop
    for layer in network.layers:
        weights = [np.asarray(weight) for weight in layer.get_weights()]
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            x = np.asarray(depthwise_conv2d(x, *weights, layer.strides[0], 1))
        elif isinstance(layer, keras.layers.Conv2D):
            x = np.asarray(conv2d(x, *weights, layer.strides[0], 1))
        elif isinstance(layer, keras.layers.BatchNormalization):
            scale, shift, mean, variance = weights
            x = scale * (x - mean) / np.sqrt(variance + layer.epsilon) + shift
        elif isinstance(layer, keras.layers.ReLU):
            x = np.maximum(x, 0)
        elif isinstance(layer, keras.layers.Dense):
            x = np.mean(x, axis=(0, 1)) @ weights[0] + weights[1]
    return x


with after("3.4", "3.5"):
    if MODE != "skip":
        network = networks["separable", 16]
        by_hand = np.array([answer_by_hand(network, unseen[place]) for place in chosen[::2]])
        by_keras = network.predict(unseen[chosen[::2]], verbose=0)
        for kind, sums in zip(kinds_shown[::2], by_hand, strict=True):
            print(f"a {KINDS[kind]:12}", "".join(f"{KINDS[k]:>13} {sums[k]:5.1f}" for k in range(4)))
        print(f"largest difference from Keras's: {np.abs(by_hand - by_keras).max():.0e}")

# %% [markdown]
# ## 11. Compare with the reference
#
# The package's own version is `ssdseg_ref/convolution.py`. It takes yet another way: NumPy can provide all windows at
# once as a *view*, which copies nothing, and one call of `tensordot` or `einsum` does the sums.

# %% [markdown]
# To see your functions beside the reference's, save the notebook (Ctrl + S) and type into a terminal (in JupyterLab:
# File, New, Terminal):
#
#     ssdseg check 3      # runs your notebook from scratch, and counts your points
#     ssdseg compare 3    # both sources side by side, their results, and the time that both take
#
# ## To remember
#
# - A convolution lays a kernel of $k \times k$ taps over every place, and sums products over taps and channels. The
#   **stride** is the distance from window to window, the **dilation** the distance from tap to tap.
# - "Same" padding gives $\lceil n / \text{stride} \rceil$ outputs, and puts the odd zero at the end.
# - A $k \times k$ convolution is $k^2$ pointwise convolutions of shifted pictures, added up.
# - **Depthwise** looks around and mixes nothing; **pointwise** mixes and does not look around; **separable** is one and
#   then the other, for $1/C_{out} + 1/k^2$ of the price.
# - Multiply-adds are counted, time is measured.
#
# **Next:** lesson 4 stacks these steps, in a clever order, into MobileNetV2.
#
# ## The papers
#
# - A. Howard et al. 2017, *MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications* (arXiv
#   1704.04861): section 3.1 has the two steps; tables 3 and 4 have the numbers that we quoted.
# - F. Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions* (CVPR): the same step, arrived at
#   from another idea, by the author of Keras.
# - F. Yu and V. Koltun 2016, *Multi-Scale Context Aggregation by Dilated Convolutions* (ICLR): dilation, for
#   segmentation.

# %% [markdown]
# ## An open challenge
#
# No points this time, but a clock: how fast can a convolution be in NumPy alone? Write `my_conv2d(image, kernel,
# stride)`, padded "same", without dilation. No library's convolution, `np.convolve` included; products and sums of
# every kind are allowed: `@`, `einsum`, `tensordot`, `np.fft`. Think of memory as much as of multiply-adds. Yours is
# compared with the reference first, then both are timed in turns, and your score is your time divided by the
# reference's: less is better. (`ssdseg challenge 3` does the same in a terminal.)

# %% tags=["timed"]
from ssdseg_course import challenge


def my_conv2d(image, kernel, stride):
    """(H, W, Cin) and (k, k, Cin, Cout) give (H', W', Cout), padded "same"."""
    return conv2d(image, kernel, stride, 1)


challenge("03", my_conv2d)
