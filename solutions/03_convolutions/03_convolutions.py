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
# dilation and "same" padding do to it, take it apart into its two jobs, and say what a layer will cost before you build
# it.
#
# **You need** Python and NumPy arrays, slices above all (we look at slices with a step where we use them). Nothing of
# neural networks, and nothing of lessons 1 and 2: this one stands on its own.
#
# **It takes** about 145 minutes: seven exercises, 100 points. Every exercise is a good place to stop for the day. When
# you come back, choose Run, Run All Cells in the menu: it stops at the first check that does not pass yet, and there
# you go on. To leave an exercise out, click into the cell below its check and choose Run, Run Selected Cell and All
# Below; cells that need its answer will say so.
#
# Stuck? `hint("03.pointwise_conv2d")` gives a hint for that exercise; call it again for a stronger one.

# %%
import timeit

import numpy as np

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.cost import explore_cost
from ssdseg_course.explorers.figures import after, draw_grid, draw_image, draw_points, panels, show
from ssdseg_course.quiet import import_keras
from ssdseg_ref import convolution as reference
from ssdseg_ref.data.warehouse import render

# %% [markdown]
# ## 1. The result, first
#
# On the left is a scene of the *Warehouse*. In the middle is what a **convolution** makes of it: a small pattern was
# laid over every place of the picture, and the result says how well it fits there. This one fits where dark turns into
# bright from left to right, so whatever stands upright shows up (a *vertical* edge, as one says): white on one flank,
# black on the other, where the pattern fits the wrong way round. (The thin bars along the left and the right border
# belong to no thing; section 4 says what they are.) On the right is the price of one such layer inside of a network,
# built in the usual way and built as you will have built it by the end of this lesson. (No need to read the code that
# draws.)

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
# A network for pictures is, above all, convolutions: dozens of layers, each with hundreds of patterns, which nobody
# chooses by hand: training finds them. Nearly all its time goes there. In 2017 the MobileNet paper asked what a
# convolution really has to do, took it apart into two small steps, and trained the same network both ways:
#
# | the same network, built of | parameters | multiply-adds | right answers on ImageNet |
# |---|---|---|---|
# | standard convolutions | 29.3 million | 4,866 million | 71.7% |
# | **separable** convolutions | 4.2 million | 569 million | 70.6% |
#
# (Howard et al. 2017, table 4.) Of a hundred pictures one more goes wrong, and the work is less than an eighth: that is
# why a phone can find objects in a video. The network of this course consists of such convolutions from end to end, and
# has to: it should fit into a forklift.
#
# We build both kinds, from the simplest step up, and then count.

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
# Inside of a network there are more channels, 64 or 512, and they no longer mean colours. Each says how much of
# *something* there is at each place: of an upright edge, of stripes, of a wheel. Such an array $H \times W \times C$ is
# called a **feature map**. What we do with pictures in this lesson, networks do with feature maps.
#
# The simplest thing to do with channels is to mix them. Look at the orange beam under the ceiling, a monorail: bright
# in red, dark in blue. So *red minus blue* is large where something is orange, and about 0 on anything grey. That mix
# is a new channel, a finder of orange, and all it took are three weights: 1, 0 and -1.
#
# To get $C_{out}$ new channels from $C_{in}$ old ones, take $C_{out}$ such mixes. The weights form a matrix $K$ with
# a row for each old channel and a column for each new one. For the picture $X$ at row $y$ and column $x$, and the new
# channel $o$,
#
# $$Y_{y,x,o} = \sum_{c=0}^{C_{in}-1} X_{y,x,c} \, K_{c,o}$$
#
# This is a **pointwise convolution**, or 1 × 1 convolution: every pixel is treated alike, and none looks at its
# neighbours. Keras, which we shall use at the end, stores the weights in an array of shape
# $1 \times 1 \times C_{in} \times C_{out}$, called the **kernel**. The two ones say how many pixels the kernel looks
# at, downward and to the right. That will soon be more.
#
# *Before you code, take a pencil:* what do the weights 1, 0, -1 make of the orange pixel (0.9, 0.6, 0.2), and of the
# grey one (0.5, 0.5, 0.5)?
#
# <details><summary>Compare</summary>
#
# $1 \cdot 0.9 + 0 \cdot 0.6 - 1 \cdot 0.2 = 0.7$ for the orange one, $0.5 - 0.5 = 0$ for the grey one.
#
# </details>
#
# ### Exercise 3.1 - mixing channels  ·  10 points  ·  easy  ·  about 10 minutes
#
# Write `pointwise_conv2d(image, kernel)`: `image` has the shape `(H, W, Cin)`, `kernel` `(1, 1, Cin, Cout)`, and what
# comes back `(H, W, Cout)`. Loops are fine. Without loops: `a @ b` takes the last axis of `a` through the matrix `b`,
# for all other axes of `a` at once.


# %% nbgrader={"grade_id": "pointwise_conv2d", "solution": true}
def pointwise_conv2d(image, kernel):
    """Mix the channels of each pixel: (H, W, Cin) with a kernel (1, 1, Cin, Cout) gives (H, W, Cout)."""
    ### BEGIN SOLUTION
    return image @ kernel[0, 0]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_pointwise_conv2d", "grade": true, "points": 10}
check("03.pointwise_conv2d", pointwise_conv2d)

# %% [markdown]
# Three mixes of your own making, from one call. The columns of the matrix are the mixes; change them and run again:

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
# (From now on mid-grey is 0 in most maps, brighter is positive, darker negative.)
#
# On the orange map the forklift stands out, and so do monorail, vest and post. To tell them apart takes more than a
# colour. Shapes are relations between *neighbours*, and a pointwise convolution sees none.

# %% [markdown]
# ## 3. Looking around, and what to do at the border
#
# So let the kernel look at a window of $k \times k$ pixels. Each pixel in the window has its own weight; a place in the
# kernel that holds a weight is called a **tap**. Here is a picture of 4 × 4 pixels with one channel, a kernel of 3 × 3,
# and what comes out. Each number on the right is a sum of nine products:

# %%
SMALL = np.array([[1, 1, 5, 5], [1, 1, 5, 5], [1, 1, 5, 5], [9, 9, 9, 9]])


def draw_numbers(axes, numbers, marked, title):
    """A grid of numbers; those that are marked stand bold on a hatched ground."""
    rows, cols = numbers.shape
    for (row, col), number in np.ndenumerate(numbers):
        left, right, top, bottom = col / cols, (col + 1) / cols, row / rows, (row + 1) / rows
        if marked[row, col]:
            box = [left, right, right, left], [top, top, bottom, bottom]
            axes.fill(*box, facecolor=figures.YELLOW, edgecolor="gray", hatch="//", alpha=0.6)
        weight = "bold" if marked[row, col] else "normal"
        axes.text((left + right) / 2, (top + bottom) / 2, f"{number:g}", ha="center", va="center", weight=weight)
    draw_grid(axes, rows, cols)
    around = 3.05 / cols, 3.05 / rows  # cells are of one size in all grids, up to 6 × 6
    axes.set(xlim=(0.5 - around[0], 0.5 + around[0]), ylim=(0.5 + around[1], 0.5 - around[1]), title=title)
    axes.axis("off")


padded = np.pad(SMALL, 1)
sums = reference.conv2d(SMALL[..., None], SOBEL[..., None, None])[..., 0]
window = np.zeros((6, 6), bool)
window[2:5, 1:4] = True
figure, axes = panels(3, image_size=(1, 1), width=9)
draw_numbers(axes[0], padded, window, "the picture, zeros around it")
draw_numbers(axes[1], SOBEL, np.ones((3, 3), bool), "the kernel")
draw_numbers(axes[2], sums, window[1:5, 1:5] & np.eye(4, k=-1, dtype=bool) & (np.arange(4) == 1), "the output")
show(
    figure,
    alt="Left: the picture, 4 by 4 numbers, two columns of 1 and two of 5 with a row of 9 below, inside of a frame of "
    "zeros; a window of 3 by 3 is marked, with the rows 1 1 5, 1 1 5 and 9 9 9. Middle: the kernel, rows -1 0 1, -2 0 "
    "2 and -1 0 1. Right: the output, 4 by 4 numbers; the one in row 2, column 1, 12, is marked.",
)

# %% [markdown]
# The marked window gives $-1 \cdot 1 + 0 \cdot 1 + 1 \cdot 5 \; - \; 2 \cdot 1 + 0 \cdot 1 + 2 \cdot 5 \; - \;
# 1 \cdot 9 + 0 \cdot 9 + 1 \cdot 9 = 12$: on its left it is darker than on its right. Find the window of the number
# above it, 16, and check it.
#
# <details><summary>Compare</summary>
#
# It lies one row higher, and has the row 1 1 5 three times: $(5 - 1) + 2 \cdot (5 - 1) + (5 - 1) = 4 + 8 + 4 = 16$.
#
# </details>
#
# At the border, a window hangs over. Zeros around the picture let it: that is **padding**. With it the output has as
# many pixels as the picture (as long as windows begin at every pixel), and the padding is called **"same"**.
#
# Two more numbers say how windows lie:
#
# - **stride**: the next window begins that many pixels further on. A stride of 2 gives half as many rows and half as
#   many columns; this is how networks make their maps smaller.
# - **dilation**: the way from one tap to the next. With a dilation of 2, a pixel is left out between taps.
#
# How many zeros does that take, and on which side? Look at a single row of pixels, numbered from 1, between zeros,
# which are hatched. Over it are the windows, a dot for every tap:


# %% jupyter={"source_hidden": true}
def draw_row(axes, top, side, kernel_size, stride, dilation, padding):
    """A row of pixels between its zeros (hatched), under its windows, a dot a tap; gives the y under it, and words."""
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
# The first row is what you would expect: 7 pixels, 7 windows, the outer ones hang over by one pixel. At stride 2, 7
# pixels get 4 windows. In general, for a side of $n$ pixels (the height or the width),
#
# $$\text{outputs} = \left\lceil \frac{n}{\text{stride}} \right\rceil \qquad\qquad
# \text{reach} = \text{dilation} \cdot (k - 1) + 1$$
#
# where $\lceil\,\rceil$ rounds up, and the *reach* is the length of a window: $k$ taps have $k - 1$ gaps between them,
# and one pixel more is the first tap itself. The last window begins $(\text{outputs} - 1) \cdot \text{stride}$ pixels
# behind the first and is as long as the reach. So from the beginning of the first to the end of the last there are
#
# $$\text{needed} = (\text{outputs} - 1) \cdot \text{stride} + \text{reach}$$
#
# pixels. What is needed and not there is missing, and zeros fill the place: half of them before the row, half after it.
# Two special cases:
#
# - **An odd number is missing.** TensorFlow puts the odd zero *after*: below, or to the right. In the third row of the
#   picture a single zero is missing, half of 1 rounds down to 0, and so nothing at all stands before. **At stride 2,
#   with the usual kernel of 3, an even side is padded at its end alone.** Each of our networks begins with such a
#   convolution, 3 × 3 at stride 2.
# - **Less than nothing is missing.** With long steps and a short kernel the pixels are more than enough. Then nothing
#   is padded.
#
# *A pencil again:* a side of 10 pixels, $k = 3$, stride 2, dilation 1. How many outputs, how many needed, how many
# missing?
#
# <details><summary>Compare</summary>
#
# 5 outputs; $4 \cdot 2 + 3 = 11$ needed; 1 missing: none before, one after.
#
# </details>
#
# ### Exercise 3.2 - how many zeros, and where  ·  10 points  ·  medium  ·  about 20 minutes
#
# Write `same_padding(side, kernel_size, stride, dilation)`: the zeros that go before and after a side of so many
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


# %% nbgrader={"grade_id": "check_same_padding", "grade": true, "points": 10}
check("03.same_padding", same_padding)

# %% [markdown]
# Your padding at work, with rarer kernels too. Every window should have all of its taps on a pixel or on a zero, and no
# zero should be without use. (In the last row some pixels are left out: the steps are longer than the kernel.) Put in
# rows of your own: `(side, kernel_size, stride, dilation)`.

# %%
with after("3.2"):
    figure, words = draw_rows([(6, 2, 1, 1), (7, 3, 1, 2), (8, 3, 2, 1), (9, 4, 3, 1), (8, 1, 3, 1)], same_padding)
    show(figure, alt=f"Rows of pixels under their windows, between the zeros that your function gives. {words}.")

# %% [markdown]
# Why be so careful about a zero? PyTorch users pad both sides alike. At stride 2 on an even side, their first window
# begins one pixel further left, and all others too. Carry trained weights from one to the other with the wrong padding
# and nothing fails, no shape is off; the network just sees every picture shifted by a pixel, at each such layer again,
# and is a little worse at everything. It is a classic among the bugs that nobody finds.
#
# ## 4. A convolution in plain loops
#
# Now all parts are there. Call the picture with its zeros $P$. The output pixel in row $y$ and column $x$ has a window
# that begins at row $y \cdot \text{stride}$ and column $x \cdot \text{stride}$ of $P$. Tap $(i, j)$ lies
# $i \cdot \text{dilation}$ rows further down and $j \cdot \text{dilation}$ columns further right. And with several
# channels, each tap mixes them, as in section 2. All in one formula, where everything is counted from 0:
#
# $$Y_{y,x,o} = \sum_{i=0}^{k-1} \sum_{j=0}^{k-1} \sum_{c=0}^{C_{in}-1}
# P_{\,y \cdot \text{stride} + i \cdot \text{dilation},\;\; x \cdot \text{stride} + j \cdot \text{dilation},\;\; c}
# \; K_{i,j,c,o}$$
#
# So the kernel has four axes, $k \times k \times C_{in} \times C_{out}$. Each of its numbers is learned in training:
# they are the layer's **parameters**. (In mathematics a convolution turns the kernel around first. No network library
# does that, and neither do we.)
#
# ### Exercise 3.3 - convolution, number by number  ·  20 points  ·  medium  ·  about 25 minutes
#
# Write `conv2d_loops(image, kernel, stride, dilation)`: `image` is `(H, W, Cin)`, `kernel` is `(k, k, Cin, Cout)`, with
# "same" padding. What comes back is `(ceil(H / stride), ceil(W / stride), Cout)`.
#
# Be as slow and plain as you like: each letter under the sums, and each of $y$, $x$ and $o$, can be a loop. The first
# step is done with `np.pad(image, (above_and_below, left_and_right, (0, 0)))`: two numbers for each axis, and none for
# the channels. Your `same_padding` knows them. (Height and width may differ, so ask it twice.)


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


# %% nbgrader={"grade_id": "check_conv2d_loops", "grade": true, "points": 20}
check("03.conv2d_loops", conv2d_loops)

# %% [markdown]
# Two patterns over a small copy of the scene, upright (vertical) edges and level (horizontal) ones, found by your
# loops:

# %%
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
# Right, and hopelessly slow: minutes for one layer and one picture. (The lines along the borders are no mistake. The
# picture ends there, zeros begin, and that is an edge as good as any.)
#
# ## 5. The same without a loop over pixels
#
# Which loops are the long ones? Those over $y$ and $x$: thousands of turns. Those over $i$ and $j$ take nine turns in
# all. So turn the nest around. Hold one tap fast, and ask what it does for *all* output pixels at once.
#
# While the window wanders over the padded picture, the tap $(i, j)$ meets one pixel for every output pixel. Here they
# are for a picture of 4 × 4, numbered, between its zeros (at stride 2 they stand below and on the right alone):

# %% jupyter={"source_hidden": true}
numbers = np.arange(1, 17).reshape(4, 4)
figure, axes = panels(4, image_size=(1, 1), width=11)
for panel, (i, j), stride in zip(axes, ((0, 0), (1, 2), (2, 2), (1, 1)), (1, 1, 1, 2), strict=True):
    between_zeros = np.pad(numbers, reference.same_padding(4, 3, stride))
    met = np.zeros_like(between_zeros, bool)
    met[i : i + 4 : stride, j : j + 4 : stride] = True
    draw_numbers(panel, between_zeros, met, f"tap ({i}, {j}), stride {stride}")
show(
    figure,
    alt="Four times the numbers 1 to 16 in four rows, with the pixels marked that one tap meets. In the first three "
    "there is a frame of zeros around them. Tap (0, 0): the 4 by 4 square in the upper left corner of the frame. Tap "
    "(1, 2): the square one column to the right of the middle. Tap (2, 2): that in the lower right corner. In the "
    "fourth, at stride 2, zeros stand below and on the right alone; tap (1, 1) meets every second number of every "
    "second row, 6, 8, 14 and 16.",
)

# %% [markdown]
# They form a picture themselves: the same picture, **shifted**, and with a stride thinned out. What the tap adds to the
# output is that shifted picture with its channels mixed by the matrix $K_{i,j}$. Mixing channels is exercise 3.1, an
# `@ kernel[i, j]`. (Or your `pointwise_conv2d` with `kernel[i:i+1, j:j+1]`: it wants a kernel of four axes.) So
#
# > **a $k \times k$ convolution is $k^2$ pointwise convolutions of shifted pictures, added up.**
#
# The shifted picture is a slice with a step. `a[start:stop:step]` takes every `step`-th entry from `start` on and stays
# below `stop`:

# %%
a = np.arange(10, 30)
print(a[3:12:4], "begins at place 3, goes on by 4, and stops before place 12")

# %% [markdown]
# For the rows of tap $i$: where does the slice start, what is its step, and where must it stop so that there is one row
# for each of the outputs? A slice may stop later than right behind its last entry, so $\text{outputs} \cdot
# \text{stride}$ behind the start is enough: each entry takes one step, the last one too.
#
# ### Exercise 3.4 - convolution, tap by tap  ·  20 points  ·  hard  ·  about 30 minutes
#
# Write `conv2d(image, kernel, stride, dilation)`: the same as exercise 3.3, and no loop but the two over the taps.
# (The check sees only what comes out and accepts your loops from above too. The clock below tells them apart, and with
# loops some later cells take many seconds.)
#
# If you put what concerns the slices into a helper of your own, exercise 3.5 can use it again.


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


# %% nbgrader={"grade_id": "check_conv2d", "grade": true, "points": 20}
check("03.conv2d", conv2d)

# %% [markdown]
# What was it worth? The same small picture again, on your machine:


# %%
def milliseconds(function, *arguments):
    """The best of 15 tries, or of as many as take a second: what else the machine does can only make it slower."""
    seconds = []
    while len(seconds) < 15 and sum(seconds) < 1:
        seconds.append(timeit.timeit(lambda: function(*arguments), number=1))
    return 1000 * min(seconds)


with after("3.3 and 3.4"):
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
# The products are the same and as many. What went away is Python between them: a loop in Python pays more for each turn
# than for the product in it.
#
# ### Farther for the same price: dilation
#
# Nine taps need not stand side by side. With a dilation of 2 they reach over 5 × 5 pixels, with 6 over 13 × 13, and
# there are still nine of them: **the same parameters, the same multiply-adds, a wider view**. DeepLab, the segmenting
# half of our network, lives on that (lesson 7). Here the taps lie on the person, and under them is what an edge kernel
# finds at that dilation. (The bars on the left and on the right are the border again, with a dilation of 6 six pixels
# wide.)

# %% jupyter={"source_hidden": true}
with after("3.4"):
    figure = figures.Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(2, 3)
    height, width, _ = image.shape
    for column, dilation in enumerate((1, 2, 6)):
        taps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2) * dilation
        draw_image(axes[0, column], scene.image, fade=0.35)
        draw_points(axes[0, column], (taps + (34, 120) + 0.5) / (width, height), size=3.5)
        axes[0, column].set_title(f"dilation {dilation}: reaches over {2 * dilation + 1} × {2 * dilation + 1} pixels")
        axes[0, column].set(xlim=(0, 0.35), ylim=(1, 0.5))
        found = np.asarray(conv2d(image, EDGES[..., :1], 1, dilation))[..., 0]
        draw_map(axes[1, column], found, f"{found.size * 27:,} multiply-adds")
    show(
        figure,
        alt="Above: the person with nine dots, the taps, at dilations of 1, 2 and 6: close together on the arm, then "
        "over its width, then over the whole chest. Below: upright edges of the whole scene at each dilation, each for "
        "the same 967,680 multiply-adds. Thin lines at 1, thicker ones at 2; at 6 broad bands, and small things such "
        "as the wheels are there twice, side by side. A white bar along the left border and a black one along the "
        "right grow wider with the dilation.",
    )

# %% [markdown]
# ## 6. One convolution, two jobs
#
# Count the numbers in a kernel: $k \cdot k \cdot C_{in} \cdot C_{out}$. For 512 channels in, 512 out and $k = 3$ that
# is 2,359,296. Why so many? Because a standard convolution does two jobs at once: it **looks around**, and it **mixes
# channels**; and for every pair of an old and a new channel it has another way to look around. A quarter of a million
# pairs, nine taps each.
#
# Must it be every pair? An upright edge is an upright edge, whichever of the new channels wants to know. So do one job
# after the other:
#
# 1. **Depthwise**: every channel is looked at with a kernel of its own. No channel hears of another.
# 2. **Pointwise**: each pixel's channels are mixed. No pixel hears of another. You have built that in exercise 3.1.
#
# One after the other they are a **depthwise-separable convolution**. What is missing is the first step. In a formula,
# it is the one from section 4 without the sum over channels:
#
# $$Y_{y,x,\,c \cdot D + d} = \sum_{i=0}^{k-1} \sum_{j=0}^{k-1}
# P_{\,y \cdot \text{stride} + i \cdot \text{dilation},\;\; x \cdot \text{stride} + j \cdot \text{dilation},\;\; c}
# \; K_{i,j,c,d}$$
#
# Its kernel is $k \times k \times C \times D$. $D$ is the **depth multiplier**: how many kernels each channel has. It
# is nearly always 1; with 2, every channel could be searched for upright *and* for level edges. Then there are
# $C \cdot D$ channels in the output, and their order is that of Keras: all $D$ of channel 0, all $D$ of channel 1, and
# so on. That is what the index $c \cdot D + d$ says.
#
# ### Exercise 3.5 - each channel on its own  ·  15 points  ·  medium  ·  about 15 minutes
#
# Write `depthwise_conv2d(image, kernel, stride, dilation)`: `image` is `(H, W, C)`, `kernel` `(k, k, C, D)`, and what
# comes back `(ceil(H / stride), ceil(W / stride), C * D)`. Go tap by tap again. A tap weights each channel of its
# shifted picture, instead of mixing them.
#
# For the multiplier, think of the shapes. The shifted picture is `(H', W', C)` and `kernel[i, j]` is `(C, D)`. Give the
# picture one axis more, with `[..., None]`, and NumPy pairs each channel with all of its kernels: `(H', W', C, 1)`
# times `(C, D)` is `(H', W', C, D)`. A `reshape` at the end makes one axis of the last two, in Keras's order.


# %% nbgrader={"grade_id": "depthwise_conv2d", "solution": true}
def depthwise_conv2d(image, kernel, stride, dilation):
    """Each channel on its own: (H, W, C) and (k, k, C, D) give (H', W', C * D), padded "same"."""
    ### BEGIN SOLUTION
    output = sum(
        shifted[..., None] * kernel[i, j] for i, j, shifted in shifted_images(image, len(kernel), stride, dilation)
    )
    return output.reshape(*output.shape[:2], -1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_depthwise_conv2d", "grade": true, "points": 15}
check("03.depthwise_conv2d", depthwise_conv2d)

# %% [markdown]
# Each channel of the scene with a kernel of its own: red is searched for upright edges, green for level ones, and blue
# is blurred. Three looks that know nothing of each other:

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
# And now both steps.
#
# ### Exercise 3.6 - first look around, then mix  ·  10 points  ·  easy  ·  about 5 minutes
#
# Write `separable_conv2d(image, depthwise_kernel, pointwise_kernel, stride, dilation)`. Stride and dilation belong to
# the step that looks around. The depthwise kernel is `(k, k, C, D)` and the pointwise one `(1, 1, C * D, Cout)`.


# %% nbgrader={"grade_id": "separable_conv2d", "solution": true}
def separable_conv2d(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    """Look around channel by channel, then mix: (H, W, C) gives (H', W', Cout), padded "same"."""
    ### BEGIN SOLUTION
    return pointwise_conv2d(depthwise_conv2d(image, depthwise_kernel, stride, dilation), pointwise_kernel)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_separable_conv2d", "grade": true, "points": 10}
check("03.separable_conv2d", separable_conv2d)

# %% [markdown]
# What can the two steps do together? Each colour is searched for upright and for level edges (a multiplier of 2, so
# there are six looks), and the pointwise kernel makes three channels of the six:

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
# The third map is a small wonder: edges, but only where *orange* begins or ends (or its opposite, blue, as in the hoist
# and the sleeve); grey things fade. Neither step can do that alone. (And the relief came for free, as a sum.)
#
# **What is lost?** A separable convolution is still a convolution. Multiply the two kernels and you have a standard
# kernel that does the same:

# %%
with after("3.4 and 3.6"):
    rng = np.random.default_rng(0)
    looks, mixes = rng.normal(size=(3, 3, 3, 1)), rng.normal(size=(1, 1, 3, 8))
    product = looks * mixes  # (3, 3, 3, 8)
    difference = np.subtract(conv2d(small, product, 1, 1), separable_conv2d(small, looks, mixes, 1, 1))
    print(f"{looks.size} + {mixes.size} numbers do what {product.size} do; difference {np.abs(difference).max():.0e}")

# %% [markdown]
# It does not work the other way round. A standard kernel has for each pair of channels nine numbers of its own; in the
# product, all eight new channels look at red in one and the same way, only stronger or weaker. That is the whole
# restriction, and what it cost on ImageNet stands in section 1: 71.7% became 70.6%.
#
# ## 7. The price
#
# How much do we save? Two things cost:
#
# - **Parameters**: numbers in the kernels. They have to be learned, stored, and sent to the phone. (Layers often add
#   one more number to each output channel, the *bias*. Ours have none: a step that follows, batch normalisation, does
#   that job.)
# - **Multiply-adds**: products, each with the addition that goes with it. They take time and battery. Look at the
#   formulas again: every number of the kernel is used exactly once for every *output* pixel. So
#
# $$\text{multiply-adds} = \text{parameters} \cdot H' \cdot W'
# \qquad\text{with}\qquad H' = \left\lceil \frac{H}{\text{stride}} \right\rceil,\;
# W' = \left\lceil \frac{W}{\text{stride}} \right\rceil$$
#
# (Zeros of the padding count as well; everybody counts so.) The kinds differ in their kernels alone:
#
# | kind | kernel | in words |
# |---|---|---|
# | standard | $k \times k \times C_{in} \times C_{out}$ | every pair of channels |
# | depthwise | $k \times k \times C_{in} \times D$, where $C_{out} = C_{in} \cdot D$ | every channel for itself |
# | pointwise | $1 \times 1 \times C_{in} \times C_{out}$ | one pixel at a time |
# | separable | a depthwise one with $D = 1$, then a pointwise one | the stride in the first of the two |
#
# ### Exercise 3.7 - what it costs  ·  15 points  ·  medium  ·  about 15 minutes
#
# Write `conv_cost(kind, size, kernel_size, in_channels, out_channels, stride)`: `(parameters, multiply_adds)` for one
# picture, two whole numbers. `kind` is one of the four words above, `size` is the `(height, width)` that goes in, and
# there is no bias. (Where the kind is pointwise, the kernel size is 1; where it is depthwise, `out_channels` is a
# multiple of `in_channels`.)


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


# %% nbgrader={"grade_id": "check_conv_cost", "grade": true, "points": 15}
check("03.conv_cost", conv_cost)

# %% [markdown]
# The layer that the lesson opened with, now counted by you. The paper's own counts for it, in its table 6, are 2.36 and
# 0.27 million parameters, 462 and 52.3 million multiply-adds.

# %%
with after("3.7"):
    kinds = {"standard": 3, "depthwise": 3, "pointwise": 1, "separable": 3}  # with the side of their kernel
    print(f"{'':12}{'parameters':>14}{'multiply-adds':>16}")
    for kind, kernel_size in kinds.items():
        parameters, multiply_adds = map(int, conv_cost(kind, (14, 14), kernel_size, 512, 512, 1))
        print(f"{kind:12}{parameters:14,}{multiply_adds:16,}")

# %% [markdown]
# ### Where eight to nine times come from
#
# Divide one price by the other. The pixels cancel, and so does $C_{in}$:
#
# $$\frac{\text{separable}}{\text{standard}} =
# \frac{k^2 \, C_{in} + C_{in} \, C_{out}}{k^2 \, C_{in} \, C_{out}} = \frac{1}{C_{out}} + \frac{1}{k^2}$$
#
# That is the equation of section 3.1 of the MobileNet paper. Read it piece by piece. Looking around was done for every
# new channel, and is now done once: a part of $1 / C_{out}$ remains. Mixing was done at every tap, and is now done
# once: a part of $1 / k^2$ remains. With hundreds of channels the first part hardly counts, and for $k = 3$ the whole
# is a little more than a ninth.

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
# From 64 channels on, a 3 × 3 kernel saves eight to nine times. With few channels it saves less, and with a single one
# it even costs a little more (0.9 times fewer: $1/1 + 1/9$ is above 1). Then looking around *was* the whole job, and
# the mixing comes on top.
#
# ### Play: the cost explorer
#
# Choose a layer and see its price. On the upper two axes each line means ten times as many (k, M, G, T: thousands,
# millions, and so on, a thousand times more each). The bars below set both kinds side by side, and split the separable
# one into its two steps. (Controls need a running notebook: run the cell. On a web page you see the picture alone.)

# %%
explore_cost(kernel_size=3, in_channels=64, out_channels=64, size=(20, 28))

# %% [markdown]
# Things to find out:
#
# 1. Change the map alone. Which of the numbers move, and which do not?
# 2. Which controls change the saving, "times fewer", and which leave it as it is?
# 3. Which of the two steps costs more? Can you turn that around?
# 4. When does a separable convolution cost *more* than a standard one?
#
# <details><summary>What we found</summary>
#
# 1. Multiply-adds alone. A kernel does not know how large the picture is: the same parameters serve any size. Half the
#    height and half the width mean a quarter of the work, which is why networks make their maps smaller as they go.
# 2. The kernel and the channels that come out. Neither the map nor the channels that go in: they cancelled.
# 3. The pointwise step, as soon as $C_{out}$ is larger than $k^2$, and by far with hundreds of channels. It takes a
#    large kernel and few channels to turn that around: 7 × 7 and 32 output channels or fewer, for one.
# 4. With a kernel of 1 × 1. There is nothing to look around for, so the depthwise step is for nothing. And with a
#    single output channel, which the slider, 8 and up, does not offer: $1/C_{out} + 1/k^2$ is above 1 exactly where $k$
#    or $C_{out}$ is 1.
#
# </details>
#
# ## 8. The same in Keras
#
# So far everything was NumPy. Do you compute what a real library computes? Keras has a layer for each kind. Let us give
# its layers *your* kernels and compare. (The import takes some seconds: TensorFlow is large.)

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


with after("3.1, 3.4, 3.5 and 3.6"):
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
# Differences of about a millionth, on numbers of up to ten or so: Keras computes in float32, with some seven digits,
# and you in float64. Everything else is the same, borders included. (A stride and a dilation above 1 at once do not
# stand in the table: Keras refuses that.)
#
# And the parameters? A Keras layer counts its own:

# %%
with after("3.7"):
    layers = {
        "standard": keras.layers.Conv2D(512, 3, use_bias=False),
        "depthwise": keras.layers.DepthwiseConv2D(3, use_bias=False),
        "pointwise": keras.layers.Conv2D(512, 1, use_bias=False),
        "separable": keras.layers.SeparableConv2D(512, 3, use_bias=False),
    }
    yours = [int(conv_cost(kind, (14, 14), kinds[kind], 512, 512, 1)[0]) for kind in layers]
    print(f"{'':12}{'Keras counts':>14}{'you':>14}")
    for (kind, layer), parameters in zip(layers.items(), yours, strict=True):
        layer.build((1, 14, 14, 512))
        print(f"{kind:12}{layer.count_params():14,}{parameters:14,}")

# %% [markdown]
# Now you can take stock of a whole network. This is the network of this course, which you build in lessons 4 to 8; your
# function counts its convolutions:

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
# One standard convolution, the very first, where only three channels go in and there is little to save. All the rest is
# taken apart. And as the explorer said: most of the price is the pointwise steps. (Why there are more of them than
# depthwise ones: lesson 4.)
#
# ## 9. What multiply-adds do not tell
#
# Nine times fewer multiply-adds: is it nine times as fast? Ask your machine. Eight maps of 40 × 56 pixels and 64
# channels go through Keras's layers:

# %%
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
# Most likely the separable one is faster on your machine too, and by less than its multiply-adds promise. (How much
# less varies from run to run: on one machine we saw it 4 times as fast, and then 7 times.) Look at the last lines: in
# every run, the depthwise step does far fewer multiply-adds *a second* than the others. Why?
#
# A processor can multiply much faster than it can fetch numbers from memory. A standard convolution uses each number
# that it has fetched $k^2 \cdot C_{out}$ times, 576 times here. The depthwise step uses it $k^2$ = 9 times, and then
# waits for the next. It is limited by memory, not by arithmetic, and the map that goes from the first step to the
# second has to be written and fetched once more. So:
#
# - **Multiply-adds are a price on paper.** They are the same on every machine, and good to compare designs with.
# - **Time is measured**, on the machine that the network is for. ShuffleNetV2, lesson 5, was designed by people who
#   took that at its word.
# - **Parameters** are what has to be stored and sent. Of these, the saving is real everywhere.
#
# And your own functions? The same layers for a single map:

# %%
with after("3.4, 3.5 and 3.6"):
    one = maps[0].numpy()
    kernels = {kind: [weight.numpy() for weight in layer.weights] for kind, layer in layers.items()}
    corner = one[:4, :4]  # first a small piece, since some answers take long
    for kind, function in (("standard", conv2d), ("separable", separable_conv2d)):
        whole = milliseconds(function, corner, *kernels[kind], 1, 1) * one.size / corner.size
        if whole > 5000:
            print(f"{kind:10} about {whole / 1000:.0f} s, to judge by a small piece: we leave that out")
        else:
            print(f"{kind:10}{milliseconds(function, one, *kernels[kind], 1, 1):6.1f} ms")

# %% [markdown]
# ## 10. Compare with the reference
#
# The package's own version of this lesson is `ssdseg_ref/convolution.py`. It takes another way once more: NumPy can
# give out all windows at once as a *view*, which copies nothing, and one call of `tensordot` or `einsum` does the sums.
# (`tensordot` itself first copies the windows into one large matrix, nine times as large as the picture.) Which way is
# quicker? That depends on the channels and on the machine; do not be surprised if it is yours.

# %%
with after("3.4, 3.5 and 3.6"):
    for name, yours, theirs, kernels in (
        ("standard", conv2d, reference.conv2d, (STANDARD,)),
        ("depthwise", depthwise_conv2d, reference.depthwise_conv2d, (DEPTHWISE,)),
        ("separable", separable_conv2d, reference.separable_conv2d, (DEPTHWISE, AFTER_DEPTHWISE)),
    ):
        arguments = (small, *kernels, 2, 1)
        difference = np.abs(np.subtract(yours(*arguments), theirs(*arguments))).max()
        print(f"{name:10} difference {difference:.0e},", end=" ")
        print(f"yours {milliseconds(yours, *arguments):.1f} ms, reference {milliseconds(theirs, *arguments):.1f} ms")

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
#   **stride** is the way from window to window, the **dilation** the way from tap to tap.
# - "Same" padding gives $\lceil n / \text{stride} \rceil$ outputs, and puts the odd zero at the end. At stride 2 on an
#   even side, it pads the end alone.
# - A $k \times k$ convolution is $k^2$ pointwise convolutions of shifted pictures, added up.
# - **Depthwise** looks around and mixes nothing; **pointwise** mixes and does not look around; **separable** is the one
#   and then the other, for $1/C_{out} + 1/k^2$ of the price. For $k = 3$ and many channels that is a little more than a
#   ninth, and nearly all of it is the pointwise step.
# - Parameters do not depend on the size of the picture; multiply-adds are parameters times output pixels.
# - A dilated kernel sees farther at the same price.
# - Multiply-adds are counted, time is measured.
#
# **Next:** lesson 4 stacks these steps, in a cunning order, into MobileNetV2.
#
# ## The papers
#
# - A. Howard et al. 2017, *MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications*
#   (arXiv 1704.04861): section 3.1 has the two steps and the equation of section 7; tables 4 and 6 the numbers that we
#   quoted.
# - F. Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions* (CVPR): the same step,
#   out of another thought, by the author of Keras.
# - L. Sifre 2014, *Rigid-Motion Scattering for Image Classification* (PhD thesis, École Polytechnique): where both say
#   that they have it from.
# - F. Yu and V. Koltun 2016, *Multi-Scale Context Aggregation by Dilated Convolutions* (ICLR): dilation, for
#   segmentation.
