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
# # Lesson 1 - Anchors: a few thousand guesses before looking
#
# **You will be able to** say why a detector needs anchors, lay them over an image of any shape, measure before any
# training how many objects they can catch, and choose anchors that fit your own data.
#
# **You need** Python and NumPy arrays, including broadcasting (we look at it again where we use it). You need to know
# nothing about detection or neural networks.
#
# **It takes** {time}. Every exercise is a good place to stop for the day. When you come back, choose Run, Run All Cells
# in the menu: it stops at the first check that does not pass yet, and you go on from there.
#
# **How an exercise works.** You write the body of a function. The cell below it checks your answer at once, and says
# what is right or the first thing that is not, as often as you like. Stuck? `hint("01.grid_centers")` gives a hint;
# call it again for a stronger one. (The + above the notebook adds a cell for that.)

# %%
import inspect
import itertools
import timeit

import numpy as np

from ssdseg_course import check, hint
from ssdseg_course.exercises.anchor_choice import warehouse_boxes
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.anchors import explore_anchors
from ssdseg_course.explorers.figures import after, draw_boxes, draw_grid, draw_image, draw_points, panels, show
from ssdseg_ref import anchors as reference
from ssdseg_ref.boxes import centers_to_corners, pairwise_iou
from ssdseg_ref.data.warehouse import CLASSES, render

# %% [markdown]
# ## 1. The result, first
#
# Two things stay the same throughout the lesson: the size of the images that our network will look at, and the scene on
# which we try everything. It comes from the *Warehouse*, the data set that accompanies us through the course. Run this
# cell, and then the others, one after another.

# %%
IMAGE_SIZE = (160, 224)  # (height, width) in pixels
FEATURE_MAPS = ((20, 28), (10, 14), (5, 7), (3, 4))  # (rows, columns); section 2 says what they are

SCENE = 47  # any other number draws another one
scene = render(SCENE, size=(320, 448))  # drawn finer than the network sees it, for our eyes
names = [CLASSES[label - 1] for label in scene.labels]

# %% [markdown]
# On the left are the boxes that a detector should find. On the right is what you will have built by the end of this
# lesson. (Code that only draws is folded, and you need not read it. A click on the three dots unfolds it.)


# %% jupyter={"source_hidden": true}
def draw_caught(axes, anchors):
    """All anchors, faint, and for each box of the scene the one that fits best, with how well it fits."""
    overlaps = pairwise_iou(scene.boxes, anchors)
    fits = [f"{name} {overlap:.2f}" for name, overlap in zip(names, overlaps.max(axis=1), strict=True)]
    draw_image(axes, scene.image, margin=0.06)
    draw_boxes(axes, anchors, **figures.FAINT)
    draw_boxes(axes, scene.boxes, **figures.TRUTH)
    draw_boxes(axes, np.asarray(anchors)[overlaps.argmax(axis=1)], **figures.CAUGHT, labels=fits)


spec = reference.AnchorSpec(IMAGE_SIZE, FEATURE_MAPS, reference.linear_scales(0.2, 0.9, 4), (1, 2, 1 / 2, 3, 1 / 3))
figure, (left, right) = panels(2)
draw_image(left, scene.image, margin=0.06)
draw_boxes(left, scene.boxes, **figures.TRUTH, labels=names)
left.set_title("what is there")
draw_caught(right, reference.make_anchors(spec))
right.set_title("4,482 anchors, and the ones that fit best (dashed)")
show(
    figure,
    alt="Left: a warehouse with boxes around two people, a forklift and an overhead monorail. Right: the same scene "
    "under thousands of faint rectangles. Around each object one of them is dashed, near the object's own box, with a "
    "number between 0.5 and 0.9 that says how near.",
)

# %% [markdown]
# Why so many rectangles? A scene may hold no object or fifteen, in no particular order. A neural network, once built,
# always gives the same number of numbers. How does a list of any length come out of that?
#
# The answer of SSD, the *Single Shot MultiBox Detector* that we build in this course: before it sees any image, it lays
# down thousands of boxes, everywhere, in several sizes and shapes, always the same ones. These are the **anchors** (the
# paper calls them *default boxes*). Then the network answers two questions about every anchor:
#
# 1. Which class of object is here, if any?
# 2. How must you move and stretch to fit it?
#
# Thousands of anchors, thousands of answers, always the same number. Nearly all answers are "nothing here"; what is
# left is the list.
#
# Nothing in the right picture has been learned: it is a dozen lines of NumPy, and you are about to write them. They
# matter, though: a network can correct an anchor that is a little off, but where no anchor is near an object, the
# network is never asked about it. So this lesson has three questions: **where** do anchors sit, **how large** are they,
# and **what shape** do they have?

# %% [markdown]
# ## 2. Where: a grid for every feature map
#
# A convolutional network looks at an image through coarser and coarser grids, its **feature maps**. Every cell of a map
# describes the part of the image around it. Our network will look for objects on four maps. The distance from one cell
# to the next, in pixels of the image, is the **stride** of the map: 8, 16, 32 and 64 here.

# %% jupyter={"source_hidden": true}
figure, axes = panels(4)
for panel, (rows, cols), stride in zip(axes, FEATURE_MAPS, (8, 16, 32, 64), strict=True):
    draw_image(panel, scene.image, fade=0.35)
    draw_grid(panel, rows, cols)
    panel.set_title(f"{rows} × {cols}, stride {stride}")
show(
    figure,
    alt="The scene four times under grids of 20 by 28, 10 by 14, 5 by 7 and 3 by 4 cells. A cell of the first is "
    "smaller than the head of the person on the right; a cell of the last is a little smaller than the forklift.",
)

# %% [markdown]
# Fine grids for small things, coarse grids for large ones. (Why 3 × 4 in the last map, where 160 / 64 is
# 2.5<!-- = 160 / 64 -->? Networks round up. We let 3 rows share the image's height evenly, so a cell is a little less
# than 64 pixels high.)
#
# Every cell gets anchors of its own, all around one point. Which point? The obvious one, the corner where the cell
# begins, is not a good one. Try it with a row of four cells across the image, from 0 at the left border to 1 at the
# right one:

# %%
print("where cells begin:", np.arange(4) / 4)
print("their middles:    ", (np.arange(4) + 0.5) / 4)

# %% [markdown]
# The beginnings lean to the left: one of them sits on the left border, and to the right of 0.75 there is none. The
# middles leave the same room at both ends. So, for a map of $R$ rows and $C$ columns, the cell in row $i$ and column
# $j$ (counted from 0) has its anchors around
#
# $$x = \frac{j + \frac12}{C} \qquad\qquad y = \frac{i + \frac12}{R}$$
#
# Two habits to take on now, since most bugs in detection come from breaking one of them:
#
# - Places and sizes are **fractions of the image**: 0 to 1 from left to right and from top to bottom. They stay true
#   when the image is resized.
# - Points are $(x, y)$, but arrays and grids are (rows, columns). A **column** number becomes an $x$, a **row** number
#   becomes a $y$: the order turns around.
#
# ### {01.grid_centers}
#
# Write `grid_centers(rows, cols)`: the middles of all cells as an array of shape `(rows * cols, 2)`, one $(x, y)$ per
# row. Go through the grid as you would read a page: the first row from left to right, then the second. For 2 rows and 3
# columns that is
#
#     (1/6, 1/4)  (3/6, 1/4)  (5/6, 1/4)
#     (1/6, 3/4)  (3/6, 3/4)  (5/6, 3/4)
#
# Two loops are fine. Without loops: `np.mgrid[:rows, :cols]` gives two arrays, the row number and the column number of
# every cell.


# %% nbgrader={"grade_id": "grid_centers", "solution": true}
def grid_centers(rows, cols):
    """Middles of the cells: (rows * cols, 2) of (x, y) in 0..1, row by row."""
    ### BEGIN SOLUTION
    y, x = np.mgrid[:rows, :cols] + 0.5
    return np.stack([x / cols, y / rows], axis=-1).reshape(-1, 2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_grid_centers", "grade": true}
check("01.grid_centers", grid_centers)

# %% [markdown]
# Your first anchors have their places. Here they are on all four maps, and the 3 × 4 map with its cells numbered in the
# order of your array:

# %% jupyter={"source_hidden": true}
with after("1.1"):
    figure, axes = panels(5)
    for panel, (rows, cols) in zip(axes, FEATURE_MAPS, strict=False):
        draw_image(panel, scene.image, fade=0.35)
        draw_points(panel, grid_centers(rows, cols), size=1.5 + 18 / rows)
        panel.set_title(f"{rows * cols} cells")
    draw_image(axes[4], scene.image, fade=0.7)
    draw_grid(axes[4], 3, 4)
    for number, (x, y) in enumerate(grid_centers(3, 4)):
        axes[4].text(x, y, number, ha="center", va="center", weight="bold")
    axes[4].set_title("row by row")
    show(
        figure,
        alt="Dots at the middles of the cells of the four maps, evenly spread: 560, 140, 35 and 12 of them. In the "
        "last panel the twelve cells of the 3 by 4 map are numbered 0 to 3 in the first row, 4 to 7 in the second, "
        "8 to 11 in the third.",
    )

# %% [markdown]
# ## 3. How large, and what shape
#
# People are tall and narrow, the monorail is wide. One square per cell will not do for both. So every cell gets several
# anchors of the **same area** and different shapes. A shape is described by its **aspect ratio** $r$, width divided by
# height:

# %% jupyter={"source_hidden": true}
figure, axes = panels(5, image_size=(1, 1))
for panel, ratio, name in zip(axes, (1 / 3, 1 / 2, 1, 2, 3), ("1/3", "1/2", "1", "2", "3"), strict=True):
    width, height = 0.5 * np.sqrt(ratio), 0.5 / np.sqrt(ratio)
    draw_boxes(panel, centers_to_corners([0.5, 0.5, width, height]), edgecolor=figures.BLUE, linewidth=2, halo=0)
    panel.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect="equal", title=f"r = {name}")
    panel.set_xlabel(f"{width:.2f} × {height:.2f} = {width * height:.2f}")
show(
    figure,
    alt="Five rectangles of one area, 0.25, with aspect ratios 1/3, 1/2, 1, 2 and 3: from tall and narrow over a "
    "square to low and wide. Their sides are 0.29 by 0.87, 0.35 by 0.71, 0.50 by 0.50, 0.71 by 0.35 and 0.87 by 0.29.",
)

# %% [markdown]
# The size is given by the **scale** $s$: the side of the square, as a fraction of the image's *shorter* side. With
# $\text{short} = \min(H, W)$ for an image of $H \times W$ pixels, the square's side is $a = s \cdot \text{short}$
# pixels. We want two things from the width $w$ and the height $h$ of an anchor:
#
# $$\frac{w}{h} = r \qquad\text{and}\qquad w \cdot h = a^2$$
#
# Multiply the two: $w^2 = r\,a^2$. Divide the second by the first: $h^2 = a^2 / r$. So, in pixels,
#
# $$w = s \cdot \text{short} \cdot \sqrt{r} \qquad\qquad h = \frac{s \cdot \text{short}}{\sqrt{r}}$$
#
# Now for a trap. We agreed on fractions of the image, so why not leave the pixels out and say that a square is 0.4 wide
# and 0.4 high? Look:

# %% jupyter={"source_hidden": true}
figure, axes = panels(2)
for panel, width, title in zip(
    axes, (0.4, 0.4 * 160 / 224), ("0.4 of the width, 0.4 of the height", "64 pixels, 64 pixels"), strict=True
):
    draw_image(panel, scene.image, fade=0.35)
    draw_boxes(panel, centers_to_corners([0.5, 0.5, width, 0.4]), **figures.CAUGHT)
    panel.set_title(title)
show(
    figure,
    alt="Left: a box of 0.4 of the image's width and 0.4 of its height is not square but wider than high, 90 by 64 "
    "pixels. Right: a box of 64 by 64 pixels is a square.",
)

# %% [markdown]
# Fractions of the width and fractions of the height are different units, since the image is not square. Shapes have
# to be made in pixels, and turned into fractions **last**: $w / W$ and $h / H$.
#
# Every cell gets one more anchor. The scale $s'$ of the next map will be larger than $s$, and many objects have a size
# in between. An **extra square** of scale $\sqrt{s\,s'}$ fills the gap: it is as many times larger than $s$ as it is
# smaller than $s'$.
#
# *Before you code, take a pencil:* how wide and how high, in pixels and then in fractions, is the anchor of scale 0.5
# and ratio 4 on an image 160 pixels high and 224 wide?
#
# <details><summary>Compare</summary>
#
# short = 160, so $a = 80$ pixels, and $\sqrt r = 2$. The anchor is 160 pixels wide and 40 high: $160 / 224 = 0.714$
# of the width and $40 / 160 = 0.25$ of the height.
#
# </details>
#
# ### {01.anchor_sizes}
#
# Write `anchor_sizes(scale, next_scale, aspect_ratios, image_size)`: the sizes `(w, h)` of all anchors of one cell, as
# fractions of the image's width and height. One row for each ratio, in the order given, and the extra square last: the
# shape is `(len(aspect_ratios) + 1, 2)`. `image_size` is `(height, width)` in pixels, in NumPy's order.
#
# The image may also be taller than it is wide. `aspect_ratios` is a list or a tuple. Your pencil answer is a good first
# test: `anchor_sizes(0.5, 0.7, [4], (160, 224))[0]`.


# %% nbgrader={"grade_id": "anchor_sizes", "solution": true}
def anchor_sizes(scale, next_scale, aspect_ratios, image_size):
    """Sizes of one cell's anchors: (A, 2) of (w, h), fractions of the image; the extra square last."""
    ### BEGIN SOLUTION
    height, width = image_size
    short = min(height, width)
    sizes = [(scale * short * np.sqrt(r), scale * short / np.sqrt(r)) for r in aspect_ratios]
    extra = np.sqrt(scale * next_scale) * short
    return np.array([*sizes, (extra, extra)]) / (width, height)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_anchor_sizes", "grade": true}
check("01.anchor_sizes", anchor_sizes)

# %% [markdown]
# Your sizes, around the middle of a landscape image and of a portrait one. The squares must be squares in both. Change
# the numbers and run the cell again:

# %%
with after("1.2"):
    standing = render(SCENE, size=(448, 320))
    figure, axes = panels(2, image_size=(448, 448), width=8)
    for panel, image, name in zip(axes, (scene.image, standing.image), ("landscape", "portrait"), strict=True):
        sizes = anchor_sizes(0.4, 0.8, [1, 2, 1 / 2, 3, 1 / 3], image.shape[:2])
        middle = np.full_like(sizes, 0.5)
        shapes = centers_to_corners(np.concatenate([middle, sizes], axis=1))
        draw_image(panel, image, fade=0.35)
        draw_boxes(panel, shapes[:-1], edgecolor=figures.YELLOW, linewidth=1.6, halo=0.8)
        draw_boxes(panel, shapes[-1], **figures.CAUGHT)
        room_x, room_y = (448 / np.array(image.shape[1::-1]) - 1) / 2  # so that both panels are one square
        panel.set(xlim=(-room_x, 1 + room_x), ylim=(1 + room_y, -room_y), title=f"{name}: extra square dashed")
    show(
        figure,
        alt="Six concentric anchors on a landscape and on a portrait image. On both there are a square, two wide and "
        "two tall rectangles of the same area, and a larger dashed square.",
    )

# %% [markdown]
# ## 4. All anchors of one map
#
# Every cell gets the same sizes, around its own middle. That is every middle with every size, and you could write two
# loops. NumPy can pair everything with everything for you: give each of the two arrays its own axis to run along.

# %%
middles = np.zeros((6, 1, 2))  # 6 cells
sizes = np.zeros((1, 4, 2))  # 4 sizes
print((middles - sizes / 2).shape)  # every cell with every size

# %% [markdown]
# Where an axis has length 1, NumPy repeats it: 6 cells with 4 sizes each, and for each of these a pair of numbers. (If
# `m` has shape `(6, 2)`, then `m[:, None]` has shape `(6, 1, 2)`.)
#
# One thing is left to settle: how a box is written down. So far we have used its middle and its size. For overlaps the
# two corners are handier, and that is how we write boxes from now on: $(x_\min, y_\min, x_\max, y_\max)$. The upper
# left corner is the middle minus half the size, the lower right one is the middle plus half the size.
#
# Anchors near the border reach beyond it: $x_\min$ may be below 0. Leave them alone. If it were cut off, an anchor
# would have a different shape from its neighbours, and the network would have to learn the border as a special case.
#
# ### {01.map_anchors}
#
# Write `map_anchors(...)`, which takes the arguments of both your functions, and use the two. It gives all anchors of
# one map of `rows` × `cols` cells, as corners, in an array of shape `(rows * cols * A, 4)`, where `A` is the number of
# sizes. Order: cell by cell as in exercise 1.1, and in each cell size by size as in exercise 1.2.
#
# `np.concatenate([a, b], axis=-1)` puts two arrays side by side along the last axis, and `reshape(-1, 4)` turns that
# into a plain list of boxes. If one of your two functions gives a list, wrap it first: `np.array(grid_centers(rows,
# cols))`.


# %% nbgrader={"grade_id": "map_anchors", "solution": true}
def map_anchors(rows, cols, scale, next_scale, aspect_ratios, image_size):
    """Anchors of one map: (rows * cols * A, 4) corners, ordered by row, column, size; not clipped."""
    ### BEGIN SOLUTION
    middles = grid_centers(rows, cols)[:, None]  # (rows * cols, 1, 2)
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)[None]  # (1, A, 2)
    return np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=-1).reshape(-1, 4)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_map_anchors", "grade": true}
check("01.map_anchors", map_anchors)

# %% [markdown]
# All anchors of the 5 × 7 map, and those of its cells 0 and 17. Where in your array are those of cell 17? After 17
# cells with 4 anchors each, at `anchors[68:72]`; or give the cells an axis of their own again:

# %%
with after("1.3"):
    anchors = np.array(map_anchors(5, 7, 0.45, 0.65, [1, 2, 1 / 2], IMAGE_SIZE))
    by_cell = anchors.reshape(5 * 7, 4, 4)
    figure, axes = panels(2)
    for panel, cell in zip(axes, (17, 0), strict=True):
        draw_image(panel, scene.image, margin=0.26, fade=0.35)
        draw_grid(panel, 5, 7)
        draw_boxes(panel, by_cell[cell, :-1], edgecolor=figures.YELLOW, linewidth=1.6, halo=0.8)
        draw_boxes(panel, by_cell[cell, -1], **figures.CAUGHT)
        panel.set_title(f"cell {cell}: 4 of {len(anchors)} anchors")
    show(
        figure,
        alt="The 5 by 7 grid over the scene twice. Left: the four anchors of cell 17, in the middle of the image: a "
        "square, a wide one, a tall one, and a larger square. Right: the same four around cell 0, in the upper left "
        "corner; half of each lies outside of the image.",
    )

# %% [markdown]
# ### Play: the anchor explorer
#
# You now have all the parts: map, scale, ratios. Move them and watch. The white boxes are the objects. For each of them
# the anchor that fits best is lit: dashed orange where it fits well, dotted blue where it does not. Yellow is the cell
# that you chose. The number at each object says how well its best anchor fits, from 0, not at all, to 1, the same box;
# section 7 explains it. (Sliders need a running notebook: run the cell. On a web page you see the picture alone.)

# %%
explore_anchors(seed=SCENE, level=1, scale=0.3, next_scale=0.5, aspect_ratios=(1 / 2, 1.0, 2.0), cell=64)

# %% [markdown]
# Things to find out:
#
# 1. The person on the right is caught. By which ratio? Untick them one by one.
# 2. The small person in the middle is not. Which scale, on which map, catches them? Then keep that scale, and go to
#    coarser maps.
# 3. Can one setting of one map catch all four objects?
#
# <details><summary>What we found</summary>
#
# 1. The tall one, 1/2. This person is about 27 × 76 pixels large, a ratio of 0.35. Squares and wide anchors stay
#    below 0.5.
# 2. The small person measures about 17 × 32 pixels. A scale of 0.15 (24<!-- = 0.15 * 160 --> pixels) on the 20 × 28
#    map fits closely: 0.85. On coarser maps the same anchors get worse, 0.59, 0.23 and 0.18: their middles are 16, 32
#    and 56 pixels apart, and hardly one of them is near.
# 3. Just so: the 20 × 28 map, a scale of 0.2, the ratios 1/2 and 1/3, and a next scale of 0.7, whose extra square has
#    to do for forklift and monorail alike. Three of the four barely reach 0.5, and the next scene breaks it.
#
# </details>

# %% [markdown]
# ## 5. A scale for every map
#
# One map cannot do it all: that is why there are four. Each gets a scale of its own, small on the fine map and large on
# the coarse one. The SSD paper fixes the finest map's scale $s_1$ and the coarsest's $s_m$, and goes from one to the
# other in equal steps. With the paper's $s_1 = 0.2$ and $s_4 = 0.9$, the squares on our four maps are

# %% jupyter={"source_hidden": true}
figure, axes = panels(4)
for panel, (rows, cols), scale in zip(axes, FEATURE_MAPS, np.linspace(0.2, 0.9, 4), strict=True):
    draw_image(panel, scene.image, fade=0.35)
    draw_grid(panel, rows, cols)
    draw_boxes(panel, centers_to_corners([0.5, 0.5, scale * 160 / 224, scale]), **figures.CAUGHT)
    panel.set_title(f"s = {scale:.2f}, {scale * 160:.0f} pixels")
show(
    figure,
    alt="The four grids over the scene with a square in the middle of each: 32 pixels wide on the finest, about four "
    "cells across; then 69 and 107; 144 pixels on the coarsest, nearly the height of the image and about three cells.",
)

# %% [markdown]
# `np.linspace` knows these four already. But remember the extra square: in every cell it needs the scale of the
# *next* map, and the coarsest map has no next one. So the list goes on for one more step of the same size, to
# $s_{m+1}$, which may be larger than 1.
#
# ### {01.linear_scales}
#
# Write `linear_scales(first, last, maps)`: the `maps + 1` scales, where `first` is $s_1$, `last` is $s_m$, and `maps`
# is $m$, at least 2. Begin with the step: how many of them lead from the first map to the last? A test:
# `linear_scales(0.2, 0.8, 3)` ends with 1.1.


# %% nbgrader={"grade_id": "linear_scales", "solution": true}
def linear_scales(first, last, maps):
    """Scales of all maps at equal steps, and one step more: maps + 1 numbers."""
    ### BEGIN SOLUTION
    step = (last - first) / (maps - 1)
    return [first + step * k for k in range(maps + 1)]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_linear_scales", "grade": true}
check("01.linear_scales", linear_scales)

# %% [markdown]
# How do the sizes of all maps line up, extra squares included? On this axis equal distances are equal *factors*, for
# that is what counts when a box is too small or too large.

# %% jupyter={"source_hidden": true}
with after("1.4"):
    scales = np.array(linear_scales(0.2, 0.9, 4))
    extra = np.sqrt(scales[:-1] * scales[1:])
    figure, (axes,) = panels(1, image_size=(1, 7))
    axes.plot(scales[:-1] * 160, np.zeros(4), "s", markersize=12, color=figures.BLUE, label="scale of a map")
    axes.plot(extra * 160, np.zeros(4), "D", markersize=8, color=figures.ORANGE, label="extra square")
    axes.plot(scales[-1] * 160, 0, "s", markersize=12, color="none", markeredgecolor="black", label="one step more")
    axes.set(xscale="log", yticks=[], xlabel="side of the square in pixels")
    axes.set_xticks(
        [*scales * 160, *extra * 160], [f"{side:.0f}" for side in [*scales * 160, *extra * 160]], minor=False
    )
    axes.set_xticks([], minor=True)
    axes.legend(loc="upper center", ncols=3, fontsize="small")
    show(
        figure,
        alt="Sides of squares on a logarithmic axis: scales of the maps at 32, 69, 107 and 144 pixels, one step more "
        "at 181, and between any two of them the extra square, at 47, 86, 124 and 162. The widest gaps are on the "
        "left, between 32, 47 and 69.",
    )

# %% [markdown]
# Equal steps are not equal factors: small objects get the widest gaps. Keep that in mind for the last exercise.
#
# ## 6. All anchors of a network
#
# Now put the maps together:
#
# ### {01.make_anchors}
#
# Write `make_anchors(image_size, feature_maps, scales, aspect_ratios)`: the anchors of all maps in one array `(N, 4)`,
# the finest map first. `feature_maps` is a list of `(rows, cols)`, and `scales` has one entry more than that. The
# `aspect_ratios` are the same for all maps.


# %% nbgrader={"grade_id": "make_anchors", "solution": true}
def make_anchors(image_size, feature_maps, scales, aspect_ratios):
    """Anchors of all maps: (N, 4) corners, ordered by map, row, column, size."""
    ### BEGIN SOLUTION
    return np.concatenate(
        [
            map_anchors(rows, cols, scales[k], scales[k + 1], aspect_ratios, image_size)
            for k, (rows, cols) in enumerate(feature_maps)
        ]
    )
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_make_anchors", "grade": true}
check("01.make_anchors", make_anchors)

# %% [markdown]
# And here is the picture that the lesson opened with. This time the anchors are yours:

# %%
PAPER_RATIOS = (1, 2, 1 / 2, 3, 1 / 3)

with after("1.4", "1.5"):
    anchors = make_anchors(IMAGE_SIZE, FEATURE_MAPS, linear_scales(0.2, 0.9, 4), PAPER_RATIOS)
    for rows, cols in FEATURE_MAPS:
        print(f"{rows:3} × {cols:2} cells × 6 anchors = {rows * cols * 6:5,}")
    print(f"together {len(anchors):18,}")
    figure, (axes,) = panels(1, width=7)
    draw_caught(axes, anchors)
    show(
        figure,
        alt="The scene under 4,482 faint anchors. For each of the two people, the forklift and the monorail, the "
        "anchor that fits best is dashed, with its overlap: the same picture as at the beginning.",
    )

# %% [markdown]
# Of these, 75<!-- = 100 * 3360 / 4482 -->% belong to the finest map. That is the price of small objects, and a first
# hint at where a budget of anchors goes.
#
# ## 7. Do they catch the objects?
#
# How well does an anchor fit an object? Lay one over the other. The part that both cover is the *intersection*, all
# that they cover together is the *union*, and the first divided by the second is their **intersection over union**, IoU
# for short.

# %% jupyter={"source_hidden": true}
figure, axes = panels(3, image_size=(1, 1.6))
truth = np.array([0.35, 0.3, 0.95, 0.9])
for panel, anchor in zip(
    axes, ([0.05, 0.1, 0.65, 0.6], [0.25, 0.2, 0.83, 0.84], [0.38, 0.27, 0.97, 0.88]), strict=True
):
    overlap = np.concatenate([np.maximum(truth[:2], anchor[:2]), np.minimum(truth[2:], anchor[2:])])
    x, y, right, bottom = overlap
    panel.fill([x, right, right, x], [y, y, bottom, bottom], facecolor=figures.YELLOW, hatch="///", edgecolor="gray")
    draw_boxes(panel, truth, edgecolor="black", linewidth=2, halo=0)
    draw_boxes(panel, anchor, edgecolor=figures.VERMILION, linewidth=2, linestyle="--", halo=0)
    panel.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    panel.set_title(f"IoU = {pairwise_iou([truth], [anchor]).item():.2f}")
show(
    figure,
    alt="Three times an object's box, solid, and an anchor, dashed, with their intersection hatched. Left: they share "
    "a corner, IoU 0.16. Middle: they share two thirds of each, IoU 0.55. Right: they nearly coincide, IoU 0.85.",
)

# %% [markdown]
# IoU is 0 for boxes that do not touch, 1 for equal boxes and for no others. It penalises a box that is too large as
# well as one that is too small. The usual bar for "fits" is 0.5: the shared part is half of all that the two cover,
# which is stricter than it sounds, as the middle picture shows. You write IoU yourself in lesson 2; until then
# `pairwise_iou(a, b)` of the reference gives the IoU of every box of `a` with every box of `b`, in an array of shape
# `(len(a), len(b))`:

# %%
pairwise_iou([[0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 1, 0.5], [0.5, 0, 1.5, 1], [2, 2, 3, 3]])

# %% [markdown]
# Now we can say how good a set of anchors is, long before there is a network. A box is *covered* when at least one
# anchor overlaps it by at least the threshold. The share of covered boxes is the **coverage**, also called the recall
# of the anchors. The remaining boxes have only anchors that fit badly, and a detector rarely finds such objects.
#
# ### {01.coverage}
#
# Write `coverage(anchors, boxes, threshold)`: the share, 0 to 1, of the `boxes` whose best anchor has an IoU of at
# least `threshold`. Where there are no boxes, none is missed: return 1. (`boxes` may be empty, of shape `(0, 4)`; there
# is always an anchor.)


# %% nbgrader={"grade_id": "coverage", "solution": true}
def coverage(anchors, boxes, threshold):
    """Share of the boxes that some anchor overlaps with at least the threshold."""
    ### BEGIN SOLUTION
    if len(boxes) == 0:
        return 1.0
    best = pairwise_iou(boxes, anchors).max(axis=1)  # of each box
    return float(np.mean(best >= threshold))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_coverage", "grade": true}
check("01.coverage", coverage)

# %% [markdown]
# What does a threshold of 0.5 demand? Here is your coverage for all thresholds, over the boxes of 300 scenes of the
# Warehouse, once with the paper's anchors and once with squares alone:

# %%
all_boxes, all_labels = warehouse_boxes()  # (M, 4) corners, (M,) classes: 1 person, 2 forklift, 3 monorail
PAPER_SCALES = (0.2, 0.433, 0.667, 0.9, 1.133)  # linear_scales(0.2, 0.9, 4)

with after("1.5", "1.6"):
    thresholds = np.linspace(0.2, 0.9, 15)
    figure, (axes,) = panels(1, image_size=(1, 2.8))
    for ratios, name, style in ((PAPER_RATIOS, "five ratios and a square", "o-"), ((1,), "two squares", "s--")):
        anchors = make_anchors(IMAGE_SIZE, FEATURE_MAPS, PAPER_SCALES, ratios)
        shares = [coverage(anchors, all_boxes, threshold) for threshold in thresholds]
        print(f"{name} per cell: coverage {coverage(anchors, all_boxes, 0.5):.3f} at 0.5")
        axes.plot(thresholds, shares, style, color="black", label=f"{name} per cell: {len(anchors):,} anchors")
    axes.axvline(0.5, color=figures.VERMILION, linestyle=":", label="the usual threshold")
    axes.set(xlabel="threshold: least IoU of a covered box", ylabel="coverage", ylim=(0, 1.02))
    axes.legend()
    show(
        figure,
        alt="Coverage against the threshold, two falling curves. With the paper's five ratios nearly all boxes are "
        "covered up to a threshold of 0.4, nine in ten at 0.5; with squares alone eight in ten at 0.4 and about six in "
        "ten at 0.5. At 0.8 both are close to zero.",
    )

# %% [markdown]
# Shapes are worth a lot: at 0.5, squares alone cover 0.590<!-- above --> of the boxes, the paper's shapes
# 0.894<!-- above -->. And no set of this kind often reaches an IoU of 0.8. It need not: the anchor only has to be near
# enough to be asked. Moving and stretching it is the network's job.
#
# ## 8. Your choice
#
# The paper's scales and ratios were chosen for photographs of everything. You have a warehouse, and a budget: every
# anchor is a question that the network has to answer for every image. So look at the data first. Here is section 3
# backwards: from the width and height of each box, in pixels, to its scale and its ratio.

# %%
width, height = ((all_boxes[:, 2:] - all_boxes[:, :2]) * (224, 160)).T
box_scales = np.sqrt(width * height) / 160
box_ratios = width / height

# %% jupyter={"source_hidden": true}
COLORS = (figures.BLUE, figures.VERMILION, figures.GREEN)
figure, _ = panels(1, image_size=(5, 10))
figure.clear()
rows = figure.subplots(3, 2, sharex="col")  # a row for each class, so that no peak hides another
for label, (row, name, color) in enumerate(zip(rows, CLASSES, COLORS, strict=True), start=1):
    for panel, values, bins in zip(
        row, (box_scales, box_ratios), (np.geomspace(0.05, 1, 31), np.geomspace(0.15, 6, 31)), strict=True
    ):
        panel.hist(values[all_labels == label], bins=bins, color=color, edgecolor="black", linewidth=0.4)
        panel.set(xscale="log", ylabel="boxes")
        panel.set_title(f"{name}: {np.sum(all_labels == label)} boxes", fontsize=10)
for panel, name, ticks in zip(
    rows[-1],
    ("scale of the box", "ratio of the box, width / height"),
    ((0.05, 0.1, 0.2, 0.4, 0.8), (0.2, 0.33, 0.5, 1, 2, 3, 5)),
    strict=True,
):
    panel.set_xlabel(name)
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_xticks([], minor=True)
show(
    figure,
    alt="Histograms of the Warehouse's boxes, a row for each class, on logarithmic axes. Scales: people from 0.08 to "
    "0.5, half of them between 0.18 and 0.3; forklifts and monorails around 0.45. Ratios: people between 0.2 and 0.8, "
    "with two peaks near 0.35 and 0.6; forklifts mostly around 1.2, some from 0.4 on; monorails mostly around 2.3.",
)

# %% [markdown]
# Each class has a shape of its own, and people, who are the most frequent, are small as well. A good set of anchors
# lies where these peaks are. To try one out, change the scales and the ratios at the end of this cell, and run it as
# often as you like:


# %%
def try_out(scales, aspect_ratios):
    """Count the anchors, and measure their coverage of the Warehouse, class by class."""
    anchors = make_anchors(IMAGE_SIZE, FEATURE_MAPS, scales, aspect_ratios)
    shares = [coverage(anchors, all_boxes[all_labels == label], 0.5) for label in (1, 2, 3)]
    by_class = ", ".join(f"{name} {share:.3f}" for name, share in zip(CLASSES, shares, strict=True))
    print(f"{len(anchors):,} anchors, coverage {coverage(anchors, all_boxes, 0.5):.3f} ({by_class})")


with after("1.4", "1.5", "1.6"):
    scales = linear_scales(0.2, 0.9, 4)  # or five numbers of your own: one per map, and one more
    aspect_ratios = (1, 2, 1 / 2)
    try_out(scales, aspect_ratios)

# %% [markdown]
# ### {01.choose_anchors}
#
# Write `choose_anchors()`: it returns `(scales, aspect_ratios)`, five rising scales and as many ratios as you like,
# the same for all maps. With **at most 2,400 anchors** they should reach a coverage of **at least 0.90** at a
# threshold of 0.5, over the boxes above.
#
# Three things to think about before you try at random:
#
# - The finest map has 560<!-- = 20 * 28 --> of the 747<!-- = 20 * 28 + 10 * 14 + 5 * 7 + 3 * 4 --> cells. What does
#   one more ratio cost? How many does the budget allow?
# - Every cell has its extra square whatever you do. Is the ratio 1 still worth its price?
# - Which class loses most? Look up its peak in the histograms. Scales need not be linear: any five rising numbers will
#   do.


# %% nbgrader={"grade_id": "choose_anchors", "solution": true}
def choose_anchors():
    """Scales (five) and aspect ratios for the Warehouse: coverage of 0.90 or more with at most 2,400 anchors."""
    ### BEGIN SOLUTION
    # 747 cells allow three anchors each. The extra square is one of them: one tall shape and one wide one are left.
    return (0.17, 0.3, 0.55, 0.8, 1.1), (0.43, 2.4)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_choose_anchors", "grade": true}
check("01.choose_anchors", choose_anchors)

# %% [markdown]
# Half of the paper's anchors, and they cover more of the boxes. Where did you gain, and where did you lose? The boxes
# in eight groups from small to large:

# %%
with after("1.5", "1.6", "1.7"):
    try_out(PAPER_SCALES, PAPER_RATIOS)
    try_out(*choose_anchors())
    edges = np.quantile(box_scales, np.linspace(0, 1, 9))
    centers = np.sqrt(edges[:-1] * edges[1:])
    figure, (left, right) = panels(2, image_size=(190, 224))
    for choice, name, style in (
        ((PAPER_SCALES, PAPER_RATIOS), "the paper's", "s--"),
        (choose_anchors(), "yours", "o-"),
    ):
        anchors = make_anchors(IMAGE_SIZE, FEATURE_MAPS, *choice)
        parts = [(box_scales >= low) & (box_scales <= high) for low, high in itertools.pairwise(edges)]
        left.plot(
            centers, [coverage(anchors, all_boxes[part], 0.5) for part in parts], style, color="black", label=name
        )
    left.set(xscale="log", xlabel="scale of the boxes", ylabel="coverage", ylim=(0, 1.02))
    left.set_xticks([0.1, 0.2, 0.4, 0.8], ["0.1", "0.2", "0.4", "0.8"])
    left.set_xticks([], minor=True)
    left.legend()
    left.set_box_aspect(160 / 224)  # the shape of the picture beside it
    draw_caught(right, anchors)
    right.set_title("your anchors at work")
    show(
        figure,
        alt="Left: coverage against the scale of the boxes, a curve for the paper's anchors and one for yours. Both "
        "are lowest for the smallest boxes. Right: the scene of the beginning, with your best anchors dashed.",
    )

# %% [markdown]
# The paper's curve has a dent, near 0.3. Look back at the axis of section 5: at
# 47<!-- = 160 * (0.2 * (0.2 + 0.7 / 3))**0.5 --> pixels, a scale of 0.29<!-- = (0.2 * (0.2 + 0.7 / 3))**0.5 -->, there
# is only an extra square, and a person of that size is not square.
#
# What is still missed is mostly small: for an object of 12 pixels, middles that are 8 pixels apart are far apart. A
# finer map would help, at the price of four times the anchors of the finest one now. Choosing anchors is a trade-off,
# and now you can put numbers on it.
#
# ## 9. Compare with the reference
#
# The package's own version of this lesson is `ssdseg_ref/anchors.py`. Does it give the same anchors? Is it faster? How
# is it written?

# %% tags=["timed"]
with after("1.5"):
    spec = reference.AnchorSpec(IMAGE_SIZE, FEATURE_MAPS, PAPER_SCALES, PAPER_RATIOS)
    yours = np.array(make_anchors(IMAGE_SIZE, FEATURE_MAPS, PAPER_SCALES, PAPER_RATIOS))
    theirs = reference.make_anchors(spec)
    print(f"largest difference: {np.abs(yours - theirs).max():.0e}, types {yours.dtype} and {theirs.dtype}")

    def milliseconds(function):
        return min(timeit.repeat(function, number=20, repeat=5)) / 20 * 1000

    print(f"yours {milliseconds(lambda: make_anchors(IMAGE_SIZE, FEATURE_MAPS, PAPER_SCALES, PAPER_RATIOS)):.2f} ms")
    print(f"reference {milliseconds(lambda: reference.make_anchors(spec)):.2f} ms")
    print()
    print(inspect.getsource(reference.map_anchors))

# %% [markdown]
# If yours took longer, it has a loop in Python where the reference leaves the loop to NumPy. The reference gives
# float32, which is what networks compute with, and refuses wrong input with a sentence. Its `AnchorSpec` keeps the four
# arguments together, since the network, the training and the predictions all need the same ones.
#
# To see your other functions beside the reference's, save the notebook (Ctrl + S) and type into a terminal (in
# JupyterLab: File, New, Terminal):
#
#     ssdseg check 1      # runs your notebook from scratch, and counts your points
#     ssdseg compare 1    # both sources side by side, their results, and the time that both take
#
# ## To remember
#
# - A network gives a fixed number of answers; anchors turn them into a list of any length. Each anchor asks: what is
#   here, and how must I move and stretch to fit?
# - Where: the middles of the cells of every feature map, $\left(\frac{j + 1/2}{C}, \frac{i + 1/2}{R}\right)$. Columns
#   become $x$, rows become $y$.
# - What size and shape: $w = s \cdot \text{short} \cdot \sqrt r$ and $h = s \cdot \text{short} / \sqrt r$ **in
#   pixels**, then divided by the image's sides; and one extra square of $\sqrt{s\,s'}$.
# - Anchors reach beyond the border, and stay as they are.
# - Coverage is measured before any training. If it is low, no training will help; look at the data and choose again.
#
# **Next:** lesson 2 decides which anchor answers for which object, and says "move and stretch" in four numbers.
#
# ## The papers
#
# - W. Liu et al. 2016, *SSD: Single Shot MultiBox Detector* (ECCV): section 2.2 has the default boxes, the linear
#   scales (its equation 4) and the extra square of this lesson. It writes $w = s\sqrt r$ in fractions, for square
#   images; ours is the same on those.
# - S. Ren et al. 2015, *Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks* (NeurIPS):
#   introduced anchors, 3 scales times 3 ratios at every position of one map.
# - J. Redmon and A. Farhadi 2017, *YOLO9000: Better, Faster, Stronger* (CVPR): section 2 chooses anchors from the data,
#   by k-means clustering with IoU as the measure. If you liked exercise 1.7, try it.

# %% [markdown]
# ## An open challenge
#
# No points for the lesson, and no right answer: how many boxes can you cover, and how few anchors does it take? Write
# `my_anchors()`, as in exercise 1.7, but with no limits, and with ratios for each map if you like: `((2,), (), (0.4,
# 2), (1,))` gives the finest map one ratio and its extra square, the second one its extra square alone. Your score is
# the percentage of boxes covered in 300 scenes that you have not seen, less 5 points for every thousand anchors. It
# stands among some known ones, and `ssdseg challenge 1` in a terminal keeps all your attempts together.

# %%
from ssdseg_course import challenge


def my_anchors():
    """Five scales, and ratios: the same for all maps, or a tuple of ratios for each of the four."""
    return (0.2, 0.43, 0.67, 0.9, 1.13), ((1, 2, 1 / 2), (1, 2, 1 / 2), (1, 2, 1 / 2), (1, 2, 1 / 2))


challenge("01", my_anchors)
