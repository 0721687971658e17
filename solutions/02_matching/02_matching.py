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
# # Lesson 2 - Matching and coding: what the network is asked to say
#
# **You will be able to** measure the overlap of thousands of boxes without a loop, decide which anchor answers for
# which object so that no object is left out, say "move and stretch" in four numbers and take it back, and write the
# answers that a detector is trained on.
#
# **You need** lesson 1 (anchors, and what IoU is), NumPy's broadcasting, and a logarithm. Still no neural network.
#
# **It takes** {time}. The end of section 4, with its explorer, is a good
# place to stop for the day.
#
# Exercises work as in lesson 1. Stuck? `hint("02.iou")` gives a hint; call it again for a stronger one.

# %%
import inspect
import timeit

import numpy as np

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, draw_boxes, draw_image, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_course.explorers.matching import ANCHOR_SPEC, explore_matching
from ssdseg_ref import coding as reference_coding
from ssdseg_ref import matching as reference_matching
from ssdseg_ref.anchors import make_anchors
from ssdseg_ref.boxes import centers_to_corners, pairwise_iou, to_pixels
from ssdseg_ref.data.warehouse import CLASSES, render

# %% [markdown]
# ## 1. The result, first
#
# Lesson 1 ended with 2,241<!-- = 3 * (20 * 28 + 10 * 14 + 5 * 7 + 3 * 4) --> anchors, and with two questions about each
# of them: which class of object is here, and how must the anchor move and stretch to fit it? A network learns from
# right answers, and somebody has to write those down. That is this lesson.
#
# Here is a scene with two people (one of them far away, behind the cartons on the left) and two monorails whose boxes
# are nearly the same. On the right are the anchors that have to find them.

# %%
IMAGE_SIZE = (160, 224)  # (height, width) in pixels, what our network will look at
SCENE = 234
scene = render(SCENE, size=(320, 448))  # drawn finer than the network sees it, for our eyes
boxes, labels = scene.boxes, scene.labels  # (M, 4) corners, (M,) classes: 1 person, 2 forklift, 3 monorail
names = [f"{number} {CLASSES[label - 1]}" for number, label in enumerate(labels)]

anchors = make_anchors(ANCHOR_SPEC)  # (N, 4): scales 0.17, 0.3, 0.55, 0.8 and 1.1, ratios 0.43 and 2.4
classes, offsets = reference_coding.encode_targets(boxes, labels, anchors)


ROOM = (1.2 * IMAGE_SIZE[0], 1.08 * IMAGE_SIZE[1])  # of a panel with the scene and a margin around it


def draw_scene(axes, fade=0.0):
    """The scene, with a margin for the anchors that reach over its border, most of them at the top."""
    draw_image(axes, scene.image, fade=fade)
    axes.set(xlim=(-0.04, 1.04), ylim=(1.06, -0.14))


def label_boxes(axes, boxes, names, **style):
    """Boxes with their names, each at a corner of its own."""
    draw_boxes(axes, boxes, **style)
    for box, name, side in zip(boxes, names, ("left", "left", "right", "right"), strict=True):
        x = box[0] if side == "left" else box[2]
        ground = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.8, "pad": 1.8}
        axes.text(x, max(box[1] - 0.01, 0.06), name, fontsize=8, ha=side, va="bottom", bbox=ground)


figure, (left, right) = panels(2, image_size=ROOM)
draw_scene(left)
draw_scene(right, fade=0.35)
label_boxes(left, boxes, names, **figures.TRUTH)
left.set_title(f"what is there: {len(boxes)} boxes")
draw_boxes(right, boxes, **figures.TRUTH)
draw_boxes(right, anchors[classes > 0], **figures.ANCHOR)
right.set_title(f"who answers for it: {np.count_nonzero(classes)} of {len(anchors):,} anchors (thin)")
show(
    figure,
    alt="Left: a warehouse with four boxes: 0, a small person half hidden on the left; 1 and 2, two overhead monorails "
    "with nearly the same box; 3, a person on the right. Right: the same boxes and nine thin anchors: six around "
    "person 3, one around person 0 that is far too large, and one for each of the monorails.",
)

# %% [markdown]
# And this is the answer sheet: for every anchor a class, and four numbers for "move and stretch". Nearly all rows
# read *background*. These are the others:

# %%
print("anchor  class         offsets: x, y, width, height")
for anchor in np.flatnonzero(classes):
    numbers = "".join(f"{offset:8.2f}" for offset in offsets[anchor])
    print(f"{anchor:6}  {classes[anchor]} {CLASSES[classes[anchor] - 1]:9}{numbers}")

# %% [markdown]
# From four boxes to a sheet of answers there are three steps. **How near** is an anchor to a box? That is IoU, for all
# pairs. **Who answers for whom?** That is matching. **How do you say "move and stretch"?** That is coding.
#
# ## 2. Two ways to write a box
#
# Four numbers make a box, but which four? The same numbers, 0.35, 0.3, 0.6 and 0.4, read in three ways:

# %% jupyter={"source_hidden": true}
four = np.array([0.35, 0.3, 0.6, 0.4])
readings = {
    "corners\n(xmin, ymin, xmax, ymax)": four,
    "corner and size\n(xmin, ymin, width, height)": np.concatenate([four[:2], four[:2] + four[2:]]),
    "centers\n(x, y, width, height)": centers_to_corners(four),
}
figure, axes = panels(3)
figure.set_figheight(figure.get_figheight() + 0.3)  # titles of two lines
for panel, (title, box) in zip(axes, readings.items(), strict=True):
    draw_image(panel, scene.image, fade=0.35)
    draw_boxes(panel, box, **figures.CAUGHT)
    panel.plot(0.35, 0.3, "o", color=figures.BLUE, markersize=8, markeredgecolor="white")
    panel.set_title(title, fontsize=10)
show(
    figure,
    alt="Three times the scene with a dot at x 0.35, y 0.3 and a dashed box of 0.35, 0.3, 0.6, 0.4. Read "
    "as corners it is a low flat box right of the dot. Read as corner and size it is large and begins at the dot. Read "
    "as centers it is as large, but lies around the dot.",
)

# %% [markdown]
# Three boxes, and no error message: whoever mixes them up trains on nonsense. All three are in use, so code that reads
# files converts everything to one of them at once. Ours is **corners**, $(x_\min, y_\min, x_\max, y_\max)$ in fractions
# of the image.
#
# Corners are good for overlaps. For moving and stretching, **centers** are better: the middle $(x, y)$ and the size
# $(w, h)$. (Without any "+ 1": a box is a piece of the plane, not a row of pixels. From 3 to 5 is 2.)
#
# ### {02.corners_to_centers}
#
# Write `corners_to_centers(boxes)`: from an array `(N, 4)` of corners to an array `(N, 4)` of centers, one row $(x, y,
# w, h)$ per box. Take a pencil first: what are the middle and the size of a box with the corners (0.2, 0.2, 0.6, 0.8)?
#
# `boxes[:, :2]` are the upper left corners of all boxes, `boxes[:, 2:]` the lower right ones. `np.concatenate` with
# `axis=1` puts two arrays side by side.
#
# <details><summary>Compare</summary>
#
# The middle is (0.4, 0.5) and the size (0.4, 0.6), so the row is (0.4, 0.5, 0.4, 0.6).
#
# </details>


# %% nbgrader={"grade_id": "corners_to_centers", "solution": true}
def corners_to_centers(boxes):
    """(xmin, ymin, xmax, ymax) -> (x, y, width, height): (N, 4) to (N, 4)."""
    ### BEGIN SOLUTION
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_corners_to_centers", "grade": true}
check("02.corners_to_centers", corners_to_centers)

# %% [markdown]
# Your middles and sizes, on the scene, in pixels of what the network sees:

# %% jupyter={"source_hidden": true}
with after("2.1"):
    figure, (axes,) = panels(1, width=6)
    draw_image(axes, scene.image, fade=0.2)
    draw_boxes(axes, boxes, **figures.TRUTH)
    in_pixels = corners_to_centers(to_pixels(boxes, IMAGE_SIZE))
    for number, ((x, y, _, _), (_, _, w, h)) in enumerate(zip(corners_to_centers(boxes), in_pixels, strict=True)):
        axes.plot(x, y, "o", color=figures.ORANGE, markeredgecolor="black")
        axes.annotate(
            f"{number}: {w:.0f} × {h:.0f}",
            (x, y),
            xytext=(0, 15 if number == 1 else -15),  # the middles of the two monorails are hardly a pixel apart
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "black", "linewidth": 0.8, "pad": 1.5},
        )
    show(
        figure,
        alt="The four boxes with a dot in the middle of each and their sizes: the small person 9 by 12 pixels, the "
        "monorails 132 by 57 and 139 by 56, the person on the right 32 by 60.",
    )

# %% [markdown]
# The middles of the two monorails are hardly a pixel apart. They will cause trouble.
#
# ## 3. How near: IoU of all pairs
#
# *Intersection over union* is the area that both boxes cover divided by the area that they cover together. Now you
# build it. The only hard part is the intersection, and along one axis it becomes easy. Where do two pieces of a line
# overlap?

# %% jupyter={"source_hidden": true}
figure, axes = panels(3, image_size=(1, 2.6))
for panel, (a, b) in zip(
    axes, (((0.1, 0.6), (0.35, 0.9)), ((0.1, 0.85), (0.35, 0.6)), ((0.1, 0.4), (0.6, 0.9))), strict=True
):
    start, end = max(a[0], b[0]), min(a[1], b[1])
    panel.plot(a, (2, 2), "-|", color=figures.BLUE, linewidth=4, markersize=14, markeredgewidth=3)
    panel.plot(b, (1, 1), "--|", color=figures.VERMILION, linewidth=4, markersize=14, markeredgewidth=3)
    if end > start:
        panel.fill_between((start, end), 0.6, 2.4, facecolor=figures.YELLOW, hatch="///", edgecolor="gray", zorder=0)
    panel.vlines((start, end), 0.4, 2.6, color="black", linewidth=0.8, linestyle=":")
    panel.set(xlim=(0, 1), ylim=(0.3, 2.7), yticks=[1, 2], yticklabels=["b", "a"])
    panel.set_title(f"{end:g} - {start:g} = {end - start:.2f}")
show(
    figure,
    alt="Three times a solid line a over a dashed line b. Left: a from 0.1 to 0.6 and b from 0.35 to 0.9 share the "
    "hatched piece from 0.35 to 0.6: 0.6 - 0.35 = 0.25. Middle: b lies inside a, and they share all of b, 0.25. Right: "
    "a ends at 0.4 before b begins at 0.6; 0.4 - 0.6 = -0.20, and nothing is shared.",
)

# %% [markdown]
# The shared piece begins at the **larger** of the two beginnings and ends at the **smaller** of the two ends. Where
# the difference comes out negative there is a gap, and nothing is shared. A box is one such piece in x and one in y,
# so for boxes $a$ and $b$
#
# $$w_\cap = \max\bigl(0,\; \min(x^a_\max, x^b_\max) - \max(x^a_\min, x^b_\min)\bigr)$$
#
# and likewise $h_\cap$. Clip each side at 0 *before* you multiply: two negative sides would make a positive area. The
# sum of both areas counts the shared one twice:
#
# $$\text{IoU} = \frac{w_\cap h_\cap}{A_a + A_b - w_\cap h_\cap}$$
#
# For all pairs, use lesson 1's trick: each list gets an axis of its own. `np.maximum` (not `np.max`) then compares
# entry by entry and repeats whatever has length 1:

# %%
a, b = np.random.default_rng(0).random((5, 4)), np.random.default_rng(1).random((3, 4))
print(a[:, None].shape, "and", b[None].shape, "give", np.maximum(a[:, None], b[None]).shape)
print("the xmax of a, for all pairs:", a[:, None, 2].shape, "- or, once a = a[:, None], a[..., 2]")

# %% [markdown]
# Two boxes without area have a union of 0, and 0 / 0 is `nan`, which spoils everything it meets. In that case return 0.
# `np.where(union > 0, union, 1)` is a union that you can safely divide by.
#
# ### {02.iou}
#
# Write `iou(a, b)`: for corners `a` of shape `(N, 4)` and `b` of shape `(M, 4)` the IoU of every box of `a` with every
# box of `b`, in an array of shape `(N, M)`. Row $i$ belongs to box $i$ of `a`. `b` may hold no boxes at all, `(0, 4)`.
# Two loops would pass the check, too, but further down a stopwatch is waiting.
#
# A pencil test: what is the IoU of (0, 0, 2, 2) and (1, 1, 3, 3)?
#
# <details><summary>Compare</summary>
#
# They share the unit square from (1, 1) to (2, 2). The areas are 4 and 4, so the IoU is 1 / (4 + 4 - 1) = 1/7.
#
# </details>


# %% nbgrader={"grade_id": "iou", "solution": true}
def iou(a, b):
    """IoU of every box of a with every box of b: (N, 4) and (M, 4) corners to (N, M); 0 for boxes without area."""
    ### BEGIN SOLUTION
    a, b = a[:, None], b[None]  # (N, 1, 4), (1, M, 4)
    low = np.maximum(a[..., :2], b[..., :2])  # (N, M, 2)
    high = np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)  # (N, M)
    area_a, area_b = (np.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (a, b))
    union = area_a + area_b - shared
    return shared / np.where(union > 0, union, 1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_iou", "grade": true}
check("02.iou", iou)

# %% [markdown]
# First, the IoU of the scene's boxes with one another: that the two monorails are nearly one box is now a number. Then,
# for each box, how many anchors come how near.

# %%
with after("2.2"):
    among_themselves = iou(boxes, boxes)
    print("IoU of the boxes among themselves")
    for name, row in zip(names, among_themselves, strict=True):
        print(f"  {name:12}", "".join(f"{value:6.2f}" for value in row))
    print()
    print("anchors with an IoU   over 0   from 0.3   from 0.5   the best")
    for name, row in zip(names, np.asarray(iou(boxes, anchors)), strict=True):
        near, good = np.sum(row >= 0.3), np.sum(row >= 0.5)
        print(f"  {name:18}{np.sum(row > 0):8}{near:11}{good:11}{row.max():11.2f}")

# %% [markdown]
# Hundreds of anchors touch each box, and few fit. None reaches 0.5 with the small person: our smallest ones measure
# 18<!-- = 0.17 * 160 * 0.43**0.5 --> × 41<!-- = 0.17 * 160 / 0.43**0.5 --> and 42<!-- = 0.17 * 160 * 2.4**0.5 --> ×
# 18<!-- = 0.17 * 160 / 2.4**0.5 --> pixels, and the visible part of this person 9 × 12.
#
# The same in plain Python, one pair at a time, against yours:

# %% tags=["timed"]
with after("2.2"):

    def iou_of_two(a, b):
        width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height / union if union > 0 else 0

    def milliseconds(function, repeat=5):
        return min(timeit.repeat(function, number=1, repeat=repeat)) * 1000

    rows, columns = anchors.tolist(), boxes.tolist()
    slow = milliseconds(lambda: [[iou_of_two(row, column) for column in columns] for row in rows])
    fast = milliseconds(lambda: iou(anchors, boxes), repeat=20)
    count = len(rows) * len(columns)
    print(f"{count:,} pairs: plain Python {slow:.1f} ms, yours {fast:.2f} ms, {slow / fast:.1f} times as fast")

# %% [markdown]
# COCO has 118,000 training images. At 10 milliseconds each, a loop would add 20<!-- = 118000 * 0.010 / 60 --> minutes
# to every pass over them. (Yours is no faster? Then it has a loop: the second hint shows the way without one.)
#
# ## 4. Who answers for whom
#
# Which box does an anchor answer for, if any? Two rules come to mind. Each alone fails in our scene.
#
# **Rule A, the threshold:** an anchor answers for the box that it overlaps most if their IoU is at least 0.5.
#
# **Rule B, the best one:** a box is answered for by the anchor that overlaps it most.

# %%
table = pairwise_iou(anchors, boxes)  # (N, M)
by_threshold = np.where(table.max(axis=1) >= 0.5, table.argmax(axis=1), -1)  # (N,): index of the box, or -1
by_best = np.full(len(anchors), -1)
for box in range(len(boxes)):
    by_best[table[:, box].argmax()] = box

figure, axes = panels(2, image_size=ROOM)
for panel, matches, title in zip(axes, (by_threshold, by_best), ("A: the threshold", "B: the best one"), strict=True):
    found = np.isin(np.arange(len(boxes)), matches)
    counts = [np.sum(matches == box) for box in range(len(boxes))]
    draw_scene(panel, fade=0.35)
    draw_boxes(panel, anchors[matches >= 0], **figures.ANCHOR)
    words = [f"{name}: {count or 'none'}" for name, count in zip(names, counts, strict=True)]
    label_boxes(panel, boxes, words, **figures.TRUTH)
    panel.set_title(f"{title}: {np.sum(~found)} of 4 boxes left out")
show(
    figure,
    alt="The scene twice, with the number of anchors that each rule gives to each box. Left, by the threshold: person "
    "3 gets six and monorail 2 gets one; person 0 and monorail 1 get none. Right, by the best anchor of each box: "
    "person 0, monorail 2 and person 3 get one each, monorail 1 gets none, as monorail 2 has the same best anchor.",
)

# %% [markdown]
# - Rule A forgets the **small person**, whom no anchor overlaps by 0.5, and **monorail 1**: the one anchor that reaches
#   0.5 with it overlaps monorail 2 a little more, and answers for that one.
# - Rule B forgets **monorail 1** too: both monorails have the same best anchor, and it can answer for one only.
# - And rule B is stingy: of six anchors that fit **person 3**, five are told to say "background" while they look at a
#   person.
#
# A box without an anchor is an object that the network is taught *not* to see. So we want both rules, with rule B made
# fair:
#
# 1. **First, one to one.** Of all pairs of an anchor and a box, the one with the largest IoU is taken. Both are then
#    out, and of what remains the largest is taken, until no pair overlaps. Always taking the best at hand, without ever
#    looking back, is called *greedy*.
# 2. **Then the threshold.** Every anchor that is still free takes the box that it overlaps most if their IoU reaches
#    the threshold.
#
# Here is the first step on five of the anchors. The pair that is taken is framed; its row and its column are out, and
# turn grey:

# %%
few = np.array([2001, 1959, 2110, 2107, 855])
own = reference_matching.match_anchors(anchors, boxes, threshold=1)[few]  # so high that only the first step counts
picks = sorted(((row, own[row]) for row in np.flatnonzero(own >= 0)), key=lambda pick: -table[few][pick])

figure, axes = panels(3, image_size=(1, 1.15))
for done, panel in enumerate(axes, start=1):
    taken = picks[:done] if done < 3 else picks
    order = {pick: place for place, pick in enumerate(taken, start=1)}
    out_rows, out_columns = ({pick[side] for pick in taken} for side in (0, 1))
    panel.set(xlim=(-0.5, 3.5), ylim=(4.5, -0.5))
    panel.set_xticks(range(4), [name.replace(" ", "\n") for name in names])
    panel.set_yticks(range(5), few)
    panel.tick_params(length=0, labelsize=9)
    panel.xaxis.tick_top()
    panel.set_xlabel(f"{len(taken)} taken")
    for row, column in np.ndindex(5, 4):
        words, style = f"{table[few[row], column]:.3f}", {}
        if (row, column) in order:
            words = f"{order[row, column]}.\n{words}"
            style = {"weight": "bold", "bbox": {"facecolor": figures.YELLOW, "edgecolor": "black", "pad": 3}}
        elif row in out_rows or column in out_columns:
            left, right, top, bottom = column - 0.5, column + 0.5, row - 0.5, row + 0.5
            panel.fill([left, right, right, left], [top, top, bottom, bottom], facecolor="#DDDDDD", edgecolor="none")
            style = {"color": "#595959"}
        panel.text(column, row, words, ha="center", va="center", fontsize=10, **style)
first, second, third, fourth = (f"{table[few[row], column]:.3f}" for row, column in picks)
show(
    figure,
    alt=f"A table of IoUs, five anchors down and four boxes across, three times. First {first}, anchor 2001 with "
    f"person 3, is framed, and the rest of its row and its column turns grey. Second {second}, anchor 2110 with "
    f"monorail 2: that turns {table[2110, 1]:.3f} grey, the best of monorail 1. In the last panel all four are taken: "
    f"third {third}, anchor 2107 with monorail 1, and fourth {fourth}, anchor 855 with person 0.",
)

# %% [markdown]
# Monorail 1 lost its best anchor, 2110, to monorail 2, by 0.558<!-- above --> against 0.569<!-- above -->. It took
# its second best, 2107, though that is under 0.5. And the small person got an anchor that is far too large, with an
# IoU of 0.161<!-- above -->. Better a bad anchor than none.
#
# ### {02.greedy_match}
#
# Write `greedy_match(ious)`. `ious` has the shape `(N, M)`: **one row per anchor, one column per box**. The result has
# $N$ entries, one for each anchor: the index of its box, or -1 for an anchor without one. For the table above that is
# `[3, -1, 2, 1, 0]`.
#
# - A pair may be taken as long as its IoU is over 0. With 0 the anchor does not even touch the box.
# - There may be more boxes than anchors; some boxes then go without. There may be no boxes at all, `(N, 0)`.
# - The caller still needs the table: work on a copy. Among equal pairs, take whichever you like.
#
# `ious.argmax()` says where the largest number is, counted through the whole table, row by row, and
# `np.unravel_index(place, ious.shape)` turns that into row and column. An array without entries has no maximum:
# `ious.size` tells you. If your loop never ends, it strikes nothing out, or not where it looks.


# %% nbgrader={"grade_id": "greedy_match", "solution": true}
def greedy_match(ious):
    """One-to-one pairs, the largest IoU first: (N, M), anchors by boxes, to (N,), the index of a box or -1."""
    ### BEGIN SOLUTION
    ious = ious.copy()
    matches = np.full(len(ious), -1)
    while ious.size and ious.max() > 0:
        anchor, box = np.unravel_index(ious.argmax(), ious.shape)
        matches[anchor] = box
        ious[anchor] = 0
        ious[:, box] = 0
    return matches
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_greedy_match", "grade": true}
check("02.greedy_match", greedy_match)

# %%
with after("2.2", "2.3"):
    matches = np.asarray(greedy_match(np.asarray(iou(anchors, boxes))), int)
    for anchor in np.flatnonzero(matches >= 0):
        box = matches[anchor]
        print(f"anchor {anchor:4} answers for {names[box]:10}, IoU {table[anchor, box]:.3f}")

# %% [markdown]
# No box is left out.
#
# (Some detectors look for the pairs with the largest *sum* of IoUs instead. That takes longer, and may give up the
# best pair of all to help two others.)
#
# The second step may only fill in anchors that are still free. Three NumPy tools do that without a loop.
# `ious.max(axis=1)` is the largest number of each row, and `ious.argmax(axis=1)` says where in its row that stands. And
# a **mask**, an array of true and false, on the left: `matches[free] = ...` fills in the entries where `free` is true,
# and needs as many values as there are such entries:

# %%
numbers = np.array([10, 11, 12, 13])
odd = numbers % 2 == 1  # combine masks with &, each comparison in brackets: (a == 1) & (b > 2)
numbers[odd] = (numbers * 100)[odd]
print(odd, numbers)

# %% [markdown]
# ### {02.match_anchors}
#
# Write `match_anchors(anchors, boxes, threshold)` with the two functions you have: first greedy, one to one; then every
# free anchor takes the box that it overlaps most if that IoU is **at least** `threshold`. Again $N$ entries, the index
# of a box or -1.
#
# An image may have no boxes, `(0, 4)`. A row without entries has no largest entry, so handle that case first.


# %% nbgrader={"grade_id": "match_anchors", "solution": true}
def match_anchors(anchors, boxes, threshold):
    """The box that each anchor answers for: (N, 4) and (M, 4) corners to (N,), the index of a box or -1."""
    ### BEGIN SOLUTION
    ious = iou(anchors, boxes)  # (N, M)
    matches = greedy_match(ious)
    if len(boxes) == 0:
        return matches
    free = (matches == -1) & (ious.max(axis=1) >= threshold)
    matches[free] = ious.argmax(axis=1)[free]
    return matches
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_match_anchors", "grade": true}
check("02.match_anchors", match_anchors)

# %% [markdown]
# How many anchors does the threshold let in? Your function, on the scene, for three thresholds. Only the anchors of
# person 3 are drawn:

# %% jupyter={"source_hidden": true}
with after("2.4"):
    figure, axes = panels(3, image_size=(0.8 * IMAGE_SIZE[0], 0.7 * IMAGE_SIZE[1]))
    figure.set_figheight(figure.get_figheight() + 0.3)  # titles of two lines
    for panel, threshold in zip(axes, (0.3, 0.5, 0.7), strict=True):
        matches = np.asarray(match_anchors(anchors, boxes, threshold))
        draw_image(panel, scene.image, fade=0.5)
        panel.set(xlim=(0.35, 1.05), ylim=(1.1, 0.3))
        draw_boxes(panel, boxes[3], **figures.TRUTH)
        draw_boxes(panel, anchors[matches == 3], **{**figures.ANCHOR, "linewidth": 1.0, "halo": 0})
        counts = f"{np.sum(matches >= 0)} anchors, {np.sum(matches == 3)} of person 3"
        panel.set_title(f"threshold {threshold}:\n{counts}", fontsize=11)
    show(
        figure,
        alt="Person 3 with the anchors that answer for it at three thresholds. At 0.3 they are 45 of 81 in "
        "the whole scene, and many reach far beyond the person to all sides; at 0.5 they are six of nine, all close "
        "to its box; at 0.7 one of four.",
    )

# %% [markdown]
# At 0.3, anchors answer for objects of which they see hardly half. At 0.7 every box has just the one anchor of step 1,
# and the network has little to learn from. 0.5 is the usual compromise.
#
# ### Play: the matching explorer
#
# Drag the threshold, and watch anchors take the selected box (dashed) or let it go (dotted). The solid one is the
# anchor that the box got in step 1. Then move the box: drag the bar between the two ends of `x` or `y`; an end alone
# resizes it. After each name stands the number of its anchors. (Sliders need a running notebook; on a web page you see
# the picture alone.)

# %%
explore_matching(seed=SCENE, threshold=0.5, box=3)

# %% [markdown]
# Things to find out:
#
# 1. At which threshold does person 3 have only one anchor left? Would you want all those that it has at 0.3?
# 2. Drag the lower side of person 0 down to where the hidden feet would be. When does an anchor fit?
# 3. Take monorail 1 and move it to the right, a few pixels only. What happens to monorail 2?
#
# <details><summary>What we found</summary>
#
# 1. At 0.58. At 0.3 it has 45 anchors, and most of what some of them see is wall.
# 2. With the lower side at 120, about 40 pixels high in all, an anchor reaches 0.5. With the right side at 52, too,
#    it reaches 0.9: the anchors know whole people, not half ones.
# 3. Two pixels are enough: now monorail 1 overlaps the anchor that both want more, 0.572 against 0.569, and takes it.
#    Monorail 2 makes do with the next one (0.499). Whichever is nearer wins, but neither goes without.
#
# </details>
#
# ## 5. Positive, negative, ignored
#
# An anchor that answers for a box is **positive**. Every other one is **negative** and should say *background*. Over
# the first hundred training scenes:

# %%
samples = [render(seed, size=IMAGE_SIZE) for seed in range(100)]

with after("2.4"):
    counts = [np.sum(np.asarray(match_anchors(anchors, sample.boxes, 0.5)) >= 0) for sample in samples]
    total = len(samples) * len(anchors)
    print(f"{sum(len(sample.boxes) for sample in samples)} boxes in {len(samples)} scenes")
    print(f"{sum(counts):,} of {total:,} anchors are positive: one in {total / sum(counts):.0f}")

# %% [markdown]
# A network could say "background" everywhere and be right 99 times in 100. Lesson 6 deals with that in the **loss**,
# the number that says how wrong the answers are: for each positive the three *hardest* negatives count, the others
# are ignored.
#
# Other detectors mark some anchors as ignored on the answer sheet: Faster R-CNN those with an IoU between 0.3 and 0.7,
# RetinaNet those between 0.4 and 0.5.
#
# ## 6. How to say "move and stretch"
#
# A positive anchor knows its box. What should the network answer there? Not the box's corners: every cell of a feature
# map does the same sums on what lies around it, and never learns where it is. It sees *a person a bit to the left of
# the middle of my anchor, and a bit smaller*. That is what it should say: how far to move, how much to stretch.
#
# First the **move**, from the middle of the anchor to the middle of its box, for all positive anchors of the hundred
# scenes. Each panel shows the moves in x on the four maps, the one with the smallest anchors first. (Half of the moves
# lie inside the box of each plot, nine in ten between its whiskers; *spread* is the standard deviation.)

# %%
pairs = []  # (anchor's index, box) of every positive anchor
for sample in samples:
    matches = reference_matching.match_anchors(anchors, sample.boxes)
    pairs += [(anchor, sample.boxes[matches[anchor]]) for anchor in np.flatnonzero(matches >= 0)]
indices, of_boxes = np.array([index for index, _ in pairs]), np.array([box for _, box in pairs])
of_anchors = anchors[indices]

map_ends = np.cumsum([rows * cols * 3 for rows, cols in ANCHOR_SPEC.feature_maps])  # 3 anchors per cell
of_map = np.searchsorted(map_ends, indices, side="right")
move = (of_boxes[:, 0::2] - of_anchors[:, 0::2]).mean(axis=1)  # of the middle in x, a fraction of the image
move_in_widths = move / (of_anchors[:, 2] - of_anchors[:, 0])

figure, axes = panels(2, image_size=(1, 2))
for panel, values, title in zip(
    axes, (move, move_in_widths), ("in fractions of the image", "divided by the anchor's width"), strict=True
):
    boxes_of_maps = [values[of_map == level] for level in range(4)]
    panel.boxplot(boxes_of_maps, whis=(5, 95), showfliers=False, widths=0.5, medianprops={"color": "black"})
    spreads = [f"stride {8 * 2**level}\nspread {values[of_map == level].std():.3f}" for level in range(4)]
    panel.set_xticks(range(1, 5), spreads, fontsize=9)
    panel.axhline(0, color="gray", linewidth=0.8, linestyle=":")
    panel.set_title(title)
show(
    figure,
    alt="Box plots of the moves in x, by map. Left, in fractions of the image, the standard deviation rises from 0.015 "
    "on the finest map over 0.034 and 0.055 to 0.094 on the coarsest, a factor of six. Right, divided by the anchor's "
    "width, it is between 0.111 and 0.143 on all four maps.",
)

# %% [markdown]
# Left: a move of 0.05 of the image is little for a large anchor, and more than half of the width of the smallest one.
# Right: **divided by the anchor's size**, the moves of all maps look alike.
#
# Now the **stretch**. The ratio of the two sizes has two flaws. It is lopsided: half as wide is 0.5 below 1, twice as
# wide is 1 above it. And it must never be 0 or less, while a network's output can be any number.
#
# The natural **logarithm**, `np.log`, fixes both. $\log 1 = 0$: no stretch. $\log 2$ and $\log \frac12$ are equally far
# from 0. And whatever number comes out of the network, its $\exp$ is a size above 0.

# %%
sizes_of_boxes, sizes_of_anchors = of_boxes[:, 2:] - of_boxes[:, :2], of_anchors[:, 2:] - of_anchors[:, :2]
ratios = (sizes_of_boxes / sizes_of_anchors).ravel()

figure, axes = panels(2, image_size=(1, 2.6))
for panel, values, bins, marks, title in zip(
    axes,
    (ratios, np.log(ratios)),
    (np.linspace(0, 2.5, 51), np.linspace(-1.25, 1.25, 51)),
    ((0.5, 1, 2), (np.log(0.5), 0, np.log(2))),
    ("width and height of the box / those of the anchor", "their logarithms"),
    strict=True,
):
    panel.hist(values, bins=bins, color=figures.SKY, edgecolor="black", linewidth=0.4)
    for mark, name, style in zip(marks, ("half", "same", "double"), (":", "-", "--"), strict=True):
        panel.axvline(mark, ymax=0.8, color="black", linestyle=style, label=f"{name}: {mark:.2f}")
    panel.set(title=title, ylabel="how many", ylim=(0, 290))  # room for the legend above the lines
    panel.legend(fontsize=8, loc="upper center", ncols=3)
show(
    figure,
    alt="Two histograms of how large boxes are against their anchors. Left, the plain ratio: lopsided, from 0.5 over a "
    "summit a little under 1 to 1.8; lines mark half at 0.50, same at 1.00, double at 2.00. Right, its logarithm: "
    "from -0.6 to 0.6, with the lines for half and double equally far from 0, at -0.69 and 0.69.",
)

# %% [markdown]
# So far, then: with an anchor $(x_a, y_a, w_a, h_a)$ and its box $(x, y, w, h)$, both as centers, the move is $(x -
# x_a) / w_a$ and the stretch $\log(w / w_a)$, and the same in y.
#
# *Take a pencil:* the anchor has its middle at (0.5, 0.5), width 0.2 and height 0.4. The box has its middle at (0.52,
# 0.46), width 0.2 and height 0.2. What are its two moves and its two stretches? ($\log 2 \approx 0.69$)
#
# <details><summary>Compare</summary>
#
# The move is 0.02 / 0.2 = 0.1 widths and -0.04 / 0.4 = -0.1 heights. The width is the same: $\log 1 = 0$. The height
# is halved: $\log \frac12 = -0.69$.
#
# </details>
#
# One step is left. Look how widely these four numbers are spread, in all hundred scenes:

# %% jupyter={"source_hidden": true}
plain = reference_coding.encode(of_boxes, of_anchors, variances=(1, 1, 1, 1))
PARTS = ("x: move / width", "y: move / height", "log of widths", "log of heights")


def show_spread(offsets, alt):
    """A histogram of each of the four offsets, on one axis, under the bell curve of unit spread."""
    figure, axes = panels(4, image_size=(1, 1.2))
    bell = np.linspace(-4, 4, 200)
    for panel, values, name in zip(axes, offsets.T, PARTS, strict=True):
        panel.hist(values, bins=np.linspace(-4, 4, 41), density=True, color=figures.SKY, edgecolor="none")
        panel.plot(bell, np.exp(-(bell**2) / 2) / np.sqrt(2 * np.pi), "--", color="black", linewidth=1.2)
        panel.set(title=f"{name}\nspread {values.std():.2f}", yticks=[], xlim=(-4, 4))
        panel.title.set_fontsize(10)
    highest = max(panel.get_ylim()[1] for panel in axes)
    for panel in axes:
        panel.set_ylim(0, highest)  # the same bell is as high in all of them
    show(figure, alt)


show_spread(
    plain,
    alt="Four narrow histograms around 0, far narrower than the dashed bell curve of unit spread. The standard "
    "deviations are 0.13 and 0.14 for the moves, and 0.26 each for the logarithms of the sizes.",
)

# %% [markdown]
# They are narrow, and not equally narrow. The loss adds up the errors of all four, so the moves, spread half as
# widely, would count for less; and beside what a wrong class costs, errors of a tenth weigh nearly nothing.
#
# So SSD divides: the moves by 0.1, the stretches by 0.2. The authors' code calls these numbers **variances**, and so
# has everybody since, though they are used as standard deviations: one divides by them. With them the four numbers are
#
# $$t_x = \frac{(x - x_a)\,/\,w_a}{0.1} \qquad t_w = \frac{\log(w / w_a)}{0.2}$$
#
# and $t_y$ and $t_h$ likewise. The box of the pencil exercise has $t_x = 1$, $t_y = -1$, $t_w = 0$ and $t_h = -0.69 /
# 0.2 = -3.5$.
#
# ### {02.encode}
#
# Write `encode(boxes, anchors)`: both are corners of shape `(N, 4)`, and box $i$ belongs to anchor $i$. The result is
# `(N, 4)`, each row $(t_x, t_y, t_w, t_h)$. Your `corners_to_centers` is the first step, and dividing by all four
# `VARIANCES` at once can be the last.

# %%
VARIANCES = np.array([0.1, 0.1, 0.2, 0.2])  # of x, y, width, height


# %% nbgrader={"grade_id": "encode", "solution": true}
def encode(boxes, anchors):
    """Offsets from each anchor to its box: (N, 4) and (N, 4) corners to (N, 4) of (x, y, width, height)."""
    ### BEGIN SOLUTION
    box, anchor = corners_to_centers(boxes), corners_to_centers(anchors)
    move = (box[:, :2] - anchor[:, :2]) / anchor[:, 2:]
    stretch = np.log(box[:, 2:] / anchor[:, 2:])
    return np.concatenate([move, stretch], axis=1) / VARIANCES
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_encode", "grade": true}
check("02.encode", encode)

# %% [markdown]
# The same hundred scenes, by your function:

# %%
with after("2.5"):
    show_spread(
        np.asarray(encode(of_boxes, of_anchors)),
        alt="The four histograms again, after dividing by the variances: each is about a third wider than the dashed "
        "bell curve, with standard deviations of 1.31 and 1.44 for the moves and 1.32 for both sizes.",
    )

# %% [markdown]
# All four are now of one size, about 1. The variances were found on other data, but they describe the rule more than
# the data: anchors that answer have an IoU of 0.5, so they are never far away.
#
# A trained network gives offsets, and we want boxes: every step has to be undone, the last one first.
#
# ### {02.decode}
#
# Write `decode(offsets, anchors)`: the boxes, corners of shape `(N, 4)`, from which `encode` made these offsets.
# `centers_to_corners`, from lesson 1, is there for the last step.


# %% nbgrader={"grade_id": "decode", "solution": true}
def decode(offsets, anchors):
    """The boxes that lie at these offsets from their anchors: (N, 4) and (N, 4) corners to (N, 4) corners."""
    ### BEGIN SOLUTION
    anchor = corners_to_centers(anchors)
    offsets = offsets * VARIANCES
    middle = anchor[:, :2] + offsets[:, :2] * anchor[:, 2:]
    size = anchor[:, 2:] * np.exp(offsets[:, 2:])
    return centers_to_corners(np.concatenate([middle, size], axis=1))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_decode", "grade": true}
check("02.decode", decode)

# %% [markdown]
# No network is perfect, so how much does an error in the offsets matter? Here each of the four is off by about 0.5, in
# thirty attempts for each of two objects.

# %%
with after("2.5", "2.6"):
    back = np.asarray(decode(np.asarray(encode(of_boxes, of_anchors)), of_anchors))
    print(f"{len(back):,} boxes, encoded and decoded: off by at most {np.abs(back - of_boxes).max():.0e}")

    figure, (axes,) = panels(1, image_size=ROOM, width=6.5)
    draw_scene(axes, fade=0.3)
    errors = np.random.default_rng(0).normal(0, 0.5, (30, 4))
    for anchor, box in ((2001, boxes[3]), (2110, boxes[2])):
        own = np.tile(anchors[anchor], (30, 1))
        attempts = np.asarray(decode(np.asarray(encode(box[None], own[:1])) + errors, own))
        draw_boxes(axes, attempts, edgecolor=figures.VERMILION, linewidth=0.8, alpha=0.6, halo=0)
        draw_boxes(axes, box, **figures.TRUTH)
        mean = pairwise_iou(box[None], attempts).mean()
        place = (box[0], box[3] + 0.03) if anchor == 2110 else (box[0] - 0.13, box[1] - 0.03)
        axes.text(*place, f"IoU {mean:.2f} on average", fontsize=9, va="center", bbox={"facecolor": "white", "pad": 2})
    show(
        figure,
        alt="A bundle of thirty thin boxes around person 3 and one around monorail 2, all near the true box. Both "
        "bundles are as wide, measured by their object: the mean IoU with the true box is 0.80 for the person and 0.81 "
        "for the monorail.",
    )

# %% [markdown]
# The monorail is four times as wide, and the same errors move its box four times as far. Relative to the object they
# are worth the same: that is what dividing by the anchor's size has bought.
#
# ## 7. The answer sheet of an image
#
# All the parts are there. For one image, the **targets** of the network are:
#
# - a class for every anchor: the label of its box, or 0, background, for an anchor without one;
# - four offsets for every anchor: to its box, or zeros for an anchor without one.
#
# ### {02.encode_targets}
#
# Write `encode_targets(boxes, labels, anchors, threshold)` with `match_anchors` and `encode`. `boxes` are corners
# `(M, 4)` and `labels` their classes `(M,)`, from 1 up. Return two arrays, `classes` of shape `(N,)` and `offsets` of
# shape `(N, 4)`.
#
# A mask on the left, as in 2.4, and an array of indices on the right do it without a loop: `labels[[1, 0, 1]]` gives
# `labels[1]`, `labels[0]`, `labels[1]`. Mind the -1 of anchors without a box: as an index it means *the last one*.
# `boxes` may be empty, `(0, 4)`, and then even the last one is not there.


# %% nbgrader={"grade_id": "encode_targets", "solution": true}
def encode_targets(boxes, labels, anchors, threshold):
    """What the network should say for one image: classes (N,), 0 for background, and offsets (N, 4)."""
    ### BEGIN SOLUTION
    matches = match_anchors(anchors, boxes, threshold)
    positive = matches >= 0
    chosen = matches[positive]  # the index of each positive anchor's box
    classes = np.zeros(len(anchors), int)
    offsets = np.zeros((len(anchors), 4))
    classes[positive] = labels[chosen]
    offsets[positive] = encode(boxes[chosen], anchors[positive])
    return classes, offsets
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_encode_targets", "grade": true}
check("02.encode_targets", encode_targets)

# %% [markdown]
# The table from the beginning, and, from your sheet alone, back to the picture. If a network learned to write this
# sheet, `decode` would turn its answers into these boxes:

# %% jupyter={"source_hidden": true}
with after("2.6", "2.7"):
    classes, offsets = encode_targets(boxes, labels, anchors, 0.5)
    classes, offsets = np.asarray(classes, int), np.asarray(offsets)
    positive = classes > 0
    print("anchor  class         offsets: x, y, width, height")
    for anchor in np.flatnonzero(positive):
        numbers = "".join(f"{offset:8.2f}" for offset in offsets[anchor])
        print(f"{anchor:6}  {classes[anchor]} {CLASSES[classes[anchor] - 1]:9}{numbers}")

    figure, (left, right) = panels(2, image_size=ROOM)
    for panel in (left, right):
        draw_scene(panel, fade=0.35)
    draw_boxes(left, anchors[positive], **figures.ANCHOR)
    left.set_title(f"{np.sum(positive)} positive anchors")
    draw_boxes(right, np.asarray(decode(offsets, anchors))[positive], **figures.ANCHOR)
    right.set_title("the same, moved and stretched by their offsets")
    show(
        figure,
        alt="Left: the nine positive anchors, near the objects. Right: the same nine after decoding. They have "
        "become four boxes that lie exactly on the objects, six of them on top of each other on person 3.",
    )

# %% [markdown]
# Six anchors say the same thing about the person on the right, and that is intended. (How a detector gets rid of such
# copies is a story for lesson 6.)
#
# The small person's anchor has -6.00<!-- above --> for the height: shrinking that far is a lot to ask. That is the
# price of "better a bad anchor than none", and why lesson 1 fought for coverage.

# %% [markdown]
# ## 8. Let something learn it
#
# So far a sheet was *written*. Can the numbers on it be *found*, by something that knows nothing at the start? A whole
# network comes in lesson 3 and after. But its last step is in your hands already, and that step can learn alone.
#
# Take the nine positive anchors, and for each four offsets, all 0: every box is its anchor. Decode, and see how far
# each side of a box lies from where it should be, $e = \text{decoded} - \text{true}$. Half the sum of all squares of
# $e$ is the **loss** $L$: 0 when all boxes lie on their objects. Then make it smaller, again and again: ask of each of
# the 36<!-- = 9 * 4 --> numbers how the loss would change if that number rose a little, its **slope**, and move it a
# step *against* that. This is **gradient descent**, and all networks of this course learn by it, or by a refinement of
# it.
#
# If a side moves right a little, the loss rises at the rate of that side's $e$ (the slope of $\frac12 e^2$ is $e$; that
# is what the half is for). The rest follows from your `decode`. If $t_x$ rises by 1, *both* sides of the box move right
# by $0.1 \, w_a$. If $t_w$ rises a little, the right side moves right and the left side left, each at a rate of half of
# $0.2 \, w$, where $w$ is the box's width now (the slope of $\exp$ is $\exp$). So, with $\partial L / \partial t_x$ for
# the slope of $L$ in $t_x$,
#
# $$\frac{\partial L}{\partial t_x} = (e_\text{left} + e_\text{right}) \cdot 0.1 \, w_a \qquad
# \frac{\partial L}{\partial t_w} = \frac{e_\text{right} - e_\text{left}}{2} \cdot 0.2 \, w$$
#
# and the same in y. Nobody shows it the sheet. It sees boxes alone.
#
# *Predict*, before you run it:
#
# 1. All nine take steps by the same rule. Which object's box will arrive **last**: person 0, which is small and whose
#    anchor is much too large; monorail 1 or 2; or person 3?
# 2. Somebody decodes the same numbers, while they are learned, with 0.1 and 0.2 exchanged. The boxes then a) arrive
#    later, b) stop beside the objects, though the loss goes to 0, or c) fly away?
# 3. Somebody else leaves the variances out altogether, so that moves count in whole widths, and learns by the same
#    rule, going as far for a slope of 1. Again: a), b) or c)?

# %%
PREDICTED = ("?", "?", "?")  # your three answers; the next cell shows them beside what happened

# %%
STEPS, RATE = 300, 200  # how many steps, and how far each goes for a slope of 1
SHOWN = (0, 1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 170)  # after these, the figure is drawn anew
EXCHANGED, WITHOUT = VARIANCES[[2, 3, 0, 1]], np.ones(4)


def boxes_at(numbers, variances):
    """What your `decode` makes of the nine anchors' numbers, if other variances are meant than yours."""
    return np.asarray(decode(numbers * variances / VARIANCES, own))


def slopes(numbers, variances):
    """How the loss changes with each of the numbers (9, 4): the two formulas above."""
    now = boxes_at(numbers, variances)
    (near, far), size = np.split(now - wanted, 2, axis=1), now[:, 2:] - now[:, :2]
    by_move = (near + far) * variances[:2] * (own[:, 2:] - own[:, :2])
    by_stretch = (far - near) / 2 * variances[2:] * size
    return np.concatenate([by_move, by_stretch], axis=1)


def iou_of_objects(at):
    """How well nine boxes lie on what they answer for: the mean IoU of each of the four objects."""
    ious = np.diag(pairwise_iou(at, wanted))
    return [ious[answers_for == number].mean() for number in range(len(boxes))]


def draw_learning(done, right, exchanged):
    """The boxes as they are now, decoded in both ways, and how well they have lain since the beginning."""
    figure, axes = panels(3, image_size=ROOM, width=13)
    for panel, at, title in zip(
        axes, (right, exchanged), (f"after {done} steps", "the same numbers, variances exchanged"), strict=False
    ):
        draw_scene(panel, fade=0.35)
        draw_boxes(panel, boxes, **figures.TRUTH)
        draw_boxes(panel, at, **figures.ANCHOR)
        panel.set_title(title)
    ways = (
        ("person 0", [row[0] for row in courses["right"]], "-.", figures.PURPLE),
        ("the other three", [np.mean(row[1:]) for row in courses["right"]], "-", figures.BLUE),
        ("all, exchanged", [np.mean(row) for row in courses["exchanged"]], "--", figures.ORANGE),
        ("all, learned without", [np.mean(row) for row in courses["without"]], ":", figures.VERMILION),
    )
    for name, course, style, color in ways:
        axes[2].plot(course, style, color=color, label=name, linewidth=2)
    axes[2].set_xscale("symlog", linthresh=1)
    axes[2].set_xticks((0, 1, 3, 10, 30, 100, 300), (0, 1, 3, 10, 30, 100, 300))
    axes[2].set(xlim=(0, STEPS), ylim=(-0.02, 1.02), xlabel="steps", title="IoU with the true boxes")
    axes[2].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.04))
    at_last = "; ".join(f"{name} {course[-1]:.2f}" for name, course, _, _ in ways)
    return figure, (
        f"The scene twice, after {done} steps, with its true boxes, white, and those that are being learned, thin. "
        f"In the left one they are decoded as they are learned, in the middle one with the variances exchanged. On the "
        f"right, curves of the IoU with the true boxes against the steps. At their end: {at_last}."
    )


with after("2.4", "2.6", "2.7"), np.errstate(all="ignore"):  # what flies away flies farther than a float can say
    own, answers_for = anchors[positive], np.asarray(match_anchors(anchors, boxes, 0.5), int)[positive]
    wanted = boxes[answers_for]
    courses, losses = {"right": [], "exchanged": [], "without": []}, []
    learned, without = np.zeros((len(own), 4)), np.zeros((len(own), 4))
    picture = LivePicture()
    for done in range(STEPS + 1):
        now, exchanged = boxes_at(learned, VARIANCES), boxes_at(learned, EXCHANGED)
        for course, at in zip(courses.values(), (now, exchanged, boxes_at(without, WITHOUT)), strict=True):
            course.append(iou_of_objects(at))
        losses.append(np.sum((now - wanted) ** 2) / 2)
        if done in SHOWN and how_to_train() == "full":
            picture.draw(*draw_learning(done, now, exchanged))
        learned = learned - RATE * slopes(learned, VARIANCES)
        without = without - RATE * slopes(without, WITHOUT)
    picture.leave(*draw_learning(done, now, exchanged))

    off = np.abs(learned - offsets[positive]).max(axis=1)
    print(f"you predicted {', '.join(PREDICTED)}; it was person 0, b, c\n")
    print(f"IoU after{'':11}0 steps   3 steps  30 steps{STEPS:4} steps")
    for number, name in enumerate(names):
        print(f"  {name:16}" + "".join(f"{courses['right'][k][number]:10.2f}" for k in (0, 3, 30, STEPS)))
    for name in ("exchanged", "without"):
        print(f"  {'all, ' + name:16}" + "".join(f"{np.mean(courses[name][k]):10.2f}" for k in (0, 3, 30, STEPS)))
    print(f"\nthe loss went from {losses[0]:.2f} to {losses[-1]:.6f}")
    print(f"the learned numbers differ from those of your sheet by {off[answers_for == 0].max():.2f} for person 0,")
    print(f"and by at most {off[answers_for > 0].max():.2f} for all others")

# %% [markdown]
# - **Large things come first.** After three steps the monorails lie at 0.92<!-- above --> and
#   0.93<!-- above -->, person 0 at 0.25<!-- above -->; and even after all 300<!-- above --> steps this last box is not
#   quite there. The size comes in twice, the anchor's for a move, the box's own for a stretch: it is a factor of the
#   slope, so the numbers of something small take small steps; and it is what the numbers are multiplied by, so its box
#   changes little for them. Person 0 has a small anchor, and the more its box shrinks, the slower it goes. That is one
#   good reason why SSD's loss does not compare boxes but *offsets*, and why there is a sheet to compare with: with half
#   the squares of *their* differences, every number would close the same share of its gap in a step, whatever the size
#   of its anchor.
# - **It has found your sheet.** Its numbers are those that `encode` wrote, though it never saw them: one set of numbers
#   alone decodes to these boxes. (Only person 0 is still on the way, 0.17<!-- above --> off.)
# - **Exchanged: b.** The loss is nearly 0 at last, for whoever learns decodes rightly. Whoever decodes with other
#   variances moves all boxes twice as far and stretches them by half of what was meant, and stays at an IoU of
#   0.50<!-- above -->. There is no error message. So the variances belong to a network as its weights do, and
#   `ssdseg export` (lesson 9) writes them down beside the model that goes to the phone.
# - **Without: c.** The variances come in twice, too. Where a unit is ten times as long, as for moves, the slope is ten
#   times as large, and the box goes ten times as far for it: the step is 100<!-- = 1 / 0.1 ** 2 --> times as long; for
#   stretches it is 25<!-- = 1 / 0.2 ** 2 --> times. The box lands far beyond its object, the next slope is larger
#   still, and so on. With `RATE = 2` nothing flies away (try it; and what do all the others do then?).
#
# So a variance is a step length, one for each of the four numbers. Which one is right depends on how you learn; that it
# must be the *same* one when you encode and when you decode does not.
#
# ## 9. Compare with the reference
#
# The package's own versions are in `ssdseg_ref/boxes.py`, `matching.py` and `coding.py`. Do they agree with yours on
# a hundred images?

# %% tags=["timed"]
with after("2.7"):
    same_classes, same_offsets = 0, 0
    for sample in samples:
        yours = encode_targets(sample.boxes, sample.labels, anchors, 0.5)
        theirs = reference_coding.encode_targets(sample.boxes, sample.labels, anchors, 0.5)
        same_classes += np.array_equal(yours[0], theirs[0])
        same_offsets += np.allclose(yours[1], theirs[1], atol=1e-3)
    print(f"the same classes in {same_classes} of 100 images, the same offsets in {same_offsets}")

    for name, mine in (("yours", encode_targets), ("the reference", reference_coding.encode_targets)):
        print(f"{name:14}{milliseconds(lambda f=mine: f(boxes, labels, anchors, 0.5), repeat=20):.2f} ms an image")
    print()
    print(inspect.getsource(reference_coding.encode_targets))

# %% [markdown]
# Where an image differs, several anchors overlap a box equally well, and rounding decides. The reference never searches
# the whole table: each box remembers its best free anchor, and looks again only when it loses that one.
#
# ## To remember
#
# - Boxes come in formats that look alike: convert them to one as soon as they are read.
# - Overlap: $\max$ of the beginnings, $\min$ of the ends, clip each side at 0, **then** multiply. Union: the sum less
#   the intersection.
# - Matching: first greedily, one to one, so that no object is left out; then the threshold, so that anchors that fit
#   well are not told to say "background".
# - Positive anchors have a box, all others are negative: class 0. One in 189<!-- = 224100 / 1186 --> is positive.
# - Coding: move / size of the anchor / 0.1, and log of the size ratio / 0.2. Zero means "stay as you are". Decoding
#   undoes it, the last step first, with the same variances: with others no loss tells that the boxes are wrong.
#
# **Next:** lesson 3 begins to build the network that has to fill in this sheet, out of the cheapest convolutions
# there are.
#
# ## The papers
#
# - W. Liu et al. 2016, *SSD: Single Shot MultiBox Detector* (ECCV): section 2.2 has the matching in two steps, with a
#   threshold of 0.5, and equation 2 the offsets; the variances are only in the authors' code.
# - R. Girshick et al. 2014, *Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation*
#   (CVPR): appendix C is where moves in widths and logarithms of sizes come from.
# - S. Ren et al. 2015, *Faster R-CNN* (NeurIPS), section 3.1.2, and T.-Y. Lin et al. 2017, *Focal Loss for Dense
#   Object Detection* (ICCV, "RetinaNet"), section 4: matching with a band that is ignored.
# - N. Carion et al. 2020, *End-to-End Object Detection with Transformers* (ECCV, "DETR"): one to one with the best
#   sum, instead of greedily, and no second step.

# %% [markdown]
# ## An open challenge
#
# No points this time, but a clock: 500 boxes and 4,482 anchors, and the same matches as the reference, sooner. Where
# does the time go: to the overlaps, or to the search for the largest one? Which pairs need no look at all?
# Write `my_matching(anchors, boxes, threshold)`; it may call whatever you have in this notebook. It is compared with
# the reference first, on cases you have not seen, ties among them: of equal overlaps the first box counts, then the
# first anchor. Then both are timed in turns, and your score is your time divided by the reference's: less is better. In
# brackets behind it: where half of the turns lay. (`ssdseg challenge 2` does the same in a terminal.)

# %% tags=["timed"]
from ssdseg_course import challenge


def my_matching(anchors, boxes, threshold):
    """The box that each anchor answers for, or -1, as `match_anchors` gives it."""
    return match_anchors(anchors, boxes, threshold)


challenge("02", my_matching)
