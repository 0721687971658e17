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
# # Lesson 0 - A tour: one network that detects and segments
#
# **You will be able to** say what detection and segmentation are, try the network that you are going to build, and use
# what the lessons offer: checks, hints, comparison.
#
# **You need** Python and a little NumPy. You need to know nothing about detection or neural networks.
#
# **It takes** {time}, to warm up. The other lessons have 100 points each.
#
# A notebook is a list of cells, text and code. Click on the next cell and press **Shift + Enter**: it runs, its result
# appears below it, and the next cell is selected. Go on like that to the end. (You need not read the code here.) A cell
# that is running shows `[*]`; if one never ends, the square above, *Interrupt*, stops it.

# %%
import inspect

import numpy as np

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, draw_boxes, draw_image, panels, show
from ssdseg_course.quiet import import_keras
from ssdseg_ref import boxes as reference
from ssdseg_ref import plot
from ssdseg_ref.data.warehouse import CLASSES, render

# %% [markdown]
# ## 1. Three questions about a picture
#
# Here is a scene of the *Warehouse*, the data set of this course. A program draws it; given another number, it draws
# another scene, and it knows exactly where everything is. Here it answers three questions:

# %%
SCENE = 47
scene = render(SCENE, size=(320, 448))
names = [CLASSES[label - 1] for label in scene.labels]

# %% jupyter={"source_hidden": true}
figure, (left, middle, right) = panels(3, width=12)
figure.set_figheight(figure.get_figheight() + 0.5)  # words below, too
draw_image(left, scene.image)
left.set_title("classification: what is there?")
left.set_xlabel(", ".join(sorted(set(names))))
draw_image(middle, scene.image)
draw_boxes(middle, scene.boxes, **figures.TRUTH, labels=names)
middle.set_title("detection: where is each thing?")
middle.set_xlabel(f"{len(names)} boxes, each with its class")
grey = scene.image.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.5 + 100  # so that the tints stand out
plot.draw_mask(right, grey.astype(np.uint8), scene.mask)
right.set_axis_on()  # a frame, as the others have
right.set(xticks=[], yticks=[])
right.set_title("segmentation: what is each pixel?")
right.set_xlabel("four classes, background among them")
show(
    figure,
    alt="One warehouse scene three times. Left, plain, with the words forklift, monorail, person under it. Middle, "
    "with four boxes: two people, a forklift, a monorail. Right, in grey, with every pixel of these four tinted "
    "in its class's colour, the forklift's driver in that of the forklift; under it stands: four classes, background "
    "among them.",
)

# %% [markdown]
# - **Classification** says what is in the picture. For a robot that must not run into people that is not enough.
# - **Detection** draws a box around every single thing: *two* people, one here and one there. (And the driver? In this
#   data set he counts as part of his forklift. Somebody has to decide such things before anything can be learned.)
# - **Segmentation** gives a class to every pixel. It knows shapes exactly, but two people who touch are one patch to
#   it; the next picture has two of them.
#
# Detection counts, segmentation measures; a robot needs both. Two networks would cost twice as much, though, and most
# of their work would be the same: to see edges, then parts, then things. So we build **one small network with two
# heads**, which looks at a picture once and answers both questions. Small enough, that is, to run on a phone, or in a
# forklift.
#
# ## 2. The network at work
#
# The next cell loads the network that you are going to build: 660,020 numbers, learned in ten minutes on an ordinary
# computer from 2,000 scenes. It has never seen the ones that you choose here. (This takes a few seconds: TensorFlow is
# large.)

# %%
import_keras()
from ssdseg_course.explorers.prediction import explore_predictions

explore_predictions()

# %% [markdown]
# Move the sliders. Every box has a **score** between 0 and 1: how sure the network is. The tint is the answer of its
# other head, pixel by pixel. The scenes are the 500 of the *test split*, which are kept for judging at the end and
# were never trained on.
#
# Two things to try:
#
# - Look through some scenes. Which of the three classes does the network miss most easily? What fools it?
# - Drag *least score* down to 0.1: boxes turn up where nothing is. Up to 0.9: nearly half of the real things are lost.
#   Neither is right; somebody has to choose. (You will, in lesson 8, by measuring.)
#
# <details><summary>What we found</summary>
#
# People, above all people who are far away or half hidden: on the test split its average precision is 0.911 for
# people, 0.993 for forklifts and 0.956 for monorails. (Lesson 8 explains what that number means; 1 is perfect.) And it
# is fooled by what looks like a class without being one: the scenes have work coats on stands, for instance, and pipes
# under the ceiling. They were put there for that.
#
# </details>
#
# ## 3. A photograph of yours
#
# Press **a photograph of yours** under the picture above and choose one, with people in it. It stays on the computer
# that runs this notebook.
#
# You will most likely laugh. A sofa becomes a forklift, a leg becomes a person, and whoever fills half the picture is
# not seen at all. Nothing is broken: **this network has seen nothing but drawings.** It knows people as our program
# draws them, standing in a hall, and your photograph is as new to it as a night sky.
#
# That is worth remembering before we begin. A network knows what its data taught it, nothing else. The same code,
# trained on real photographs, finds real people; the data set is the one part that you replace.
#
# ## 4. How a lesson works
#
# A lesson explains, shows, and then asks you to write a function. A cell below it checks your answer at once. Let us do
# that once, slowly.
#
# Throughout the course a box is four numbers, $(x_{min}, y_{min}, x_{max}, y_{max})$: its upper left corner and its
# lower right one. They are **fractions of the image**, 0 to 1 from left to right and from top to bottom, so a box
# stays true when the image is resized. Only where a file or a screen needs pixels are they turned into pixels:

# %% jupyter={"source_hidden": true}
figure, (axes,) = panels(1, width=6)
draw_image(axes, scene.image, fade=0.35)
draw_boxes(axes, [[0.25, 0.5, 0.75, 0.875]], **figures.CAUGHT)
axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25 | 56", "0.5 | 112", "0.75 | 168", "1 | 224"])
axes.set_yticks([0, 0.5, 0.875, 1], ["0", "0.5 | 80", "0.875 | 140", "1 | 160"])
axes.tick_params(labelsize=9)
axes.set_title("one box, in fractions | pixels of a 160 × 224 image")
show(
    figure,
    alt="A box on the scene with its sides marked on the axes. From left to right it reaches from 0.25 to 0.75 of the "
    "width, which is from pixel 56 to pixel 168 of 224. From top to bottom it reaches from 0.5 to 0.875 of the height, "
    "from pixel 80 to pixel 140 of 160.",
)

# %% [markdown]
# ### {00.to_pixels}
#
# Write `to_pixels(box, image_size)`: the four numbers of the box in pixels, in the same order, not rounded. A tuple, a
# list or an array will do. `box` is an array of four numbers, and `image_size` is `(height, width)`, in NumPy's order:
# **height first**, though $x$ comes first in a box. That is the oldest trap of this field, and now you have seen it.
#
# The picture above is an example: for `np.array([0.25, 0.5, 0.75, 0.875])` and `(160, 224)` it is
# `(56, 80, 168, 140)`.
#
# *Do it in this order, to see how the checks talk:*
#
# 1. Run the two cells below this one as they are. The check says that there is nothing yet.
# 2. Delete the line with `raise`, and write a **wrong** answer: multiply all four by the width. Run both cells again
#    and read what the check says. It shows the call, the numbers that differ, and, since it knows this mistake, a
#    sentence about it.
# 3. Now write it right.


# %% nbgrader={"grade_id": "to_pixels", "solution": true}
def to_pixels(box, image_size):
    """The box in pixels: (xmin, ymin, xmax, ymax)."""
    ### BEGIN SOLUTION
    height, width = image_size
    xmin, ymin, xmax, ymax = box
    return xmin * width, ymin * height, xmax * width, ymax * height
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_to_pixels", "grade": true}
check("00.to_pixels", to_pixels)

# %% [markdown]
# The check tried your function on four boxes that are always the same and on six that were drawn at random. When it
# fails, it ends with a line such as `again: check("00.to_pixels", to_pixels, seed=7)`, which draws the same six again.
#
# Stuck? Ask for a hint: remove the `#` in the next cell and run it. Run it again for a stronger one. There are three
# for every exercise, and asking costs nothing.

# %%
# hint("00.to_pixels")

# %% [markdown]
# Functions that you have written are put to use at once. Yours cuts the objects out of the scene:

# %% jupyter={"source_hidden": true}
with after("0.1"):
    image_size = scene.image.shape[:2]
    figure, axes = panels(len(scene.boxes), image_size=(1, 1))
    for panel, box, name in zip(axes, scene.boxes, names, strict=True):
        xmin, ymin, xmax, ymax = np.round(to_pixels(box, image_size)).astype(int)
        panel.imshow(scene.image[ymin:ymax, xmin:xmax])
        panel.set(title=name, xticks=[], yticks=[], anchor="N")
    show(
        figure,
        alt="Four small pictures, cut out of the scene along its boxes: two people, a forklift and a monorail, each "
        "filling its picture from side to side.",
    )

# %% [markdown]
# ## 5. The map
#
# This is the network, and these are the lessons that build it, from left to right:

# %% jupyter={"source_hidden": true}
STAGES = {
    "image": (0.0, 0.45, "image\n160 × 224 × 3"),
    "backbone": (0.3, 0.45, "backbone\nsees edges, parts, things\nlessons 3, 4, 5"),
    "ssd": (0.65, 0.72, "SSDLite\nan answer for every anchor\nlessons 1, 2, 6"),
    "deeplab": (0.65, 0.18, "DeepLabV3+\nan answer for every pixel\nlesson 7"),
    "boxes": (0.98, 0.72, "boxes, classes,\nscores"),
    "mask": (0.98, 0.18, "mask"),
}
ARROWS = ("image backbone", "backbone ssd", "backbone deeplab", "ssd boxes", "deeplab mask")

figure, (axes,) = panels(1, image_size=(1, 3), width=12)
axes.set(xlim=(-0.1, 1.1), ylim=(0, 1))
axes.set_axis_off()
axes.fill([0.16, 0.8, 0.8, 0.16], [0, 0, 1, 1], facecolor="#EEEEEE", edgecolor="gray", linestyle="--")
axes.text(0.18, 0.93, "one network, trained together: lesson 8", va="center", fontsize=11)
ground = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": figures.BLUE, "linewidth": 1.5}
plates = {
    name: axes.text(x, y, words, ha="center", va="center", fontsize=11, bbox=ground).get_bbox_patch()
    for name, (x, y, words) in STAGES.items()
}
for arrow in ARROWS:
    start, end = arrow.split()
    look = {"arrowstyle": "-|>", "color": "gray", "patchA": plates[start], "patchB": plates[end], "shrinkB": 3}
    axes.annotate("", STAGES[end][:2], STAGES[start][:2], arrowprops=look)
show(
    figure,
    alt="A diagram of the network. An image goes into the backbone, lessons 3, 4 and 5. From there two arrows: one to "
    "SSDLite, lessons 1, 2 and 6, which gives boxes, classes and scores; one to DeepLabV3+, lesson 7, which gives the "
    "mask. A dashed frame around backbone, SSDLite and DeepLabV3+ says: one network, trained together, lesson 8.",
)

# %% [markdown]
# | lesson | what you build | with |
# |---|---|---|
# | 0 | this tour | |
# | 1 Anchors | thousands of boxes to ask about, and which suit your data | NumPy |
# | 2 Matching and coding | which anchor answers for which thing, and in which numbers | NumPy |
# | 3 Depthwise-separable convolutions | the network's main operation, for a ninth of the price | NumPy, Keras |
# | 4 MobileNetV2 | a backbone built from them, equal to the published one | Keras |
# | 5 ShuffleNetV2 | another one, made for speed | Keras |
# | 6 SSDLite | the head that detects: predictions, their loss, their clean-up | Keras, NumPy |
# | 7 DeepLabV3+ | the head that segments, and how it is judged | Keras, NumPy |
# | 8 Joint training | data, training, measuring: your own pieces become one network | all of it |
#
# Go through them in this order. No lesson depends on your answers from an earlier one: where it needs them, it uses the
# package's own, the **reference**. Nobody gets stuck for good.
#
# ## 6. The command line
#
# Everything is in the notebooks. But these commands, typed into a terminal (in JupyterLab: File, New, Terminal), are
# handy:
#
# | command | what it does |
# |---|---|
# | `ssdseg lab 1` | opens lesson 1 |
# | `ssdseg check 1` | runs all of your lesson 1 from scratch, and lists every exercise with its points |
# | `ssdseg check 1 --watch` | the same again whenever you save |
# | `ssdseg hint 00.to_pixels` | the next stronger hint |
# | `ssdseg compare 1` | your functions beside the reference's: text, result, speed |
# | `ssdseg progress` | where you are in the course |
# | `ssdseg reset 1` | a fresh lesson 1; yours is kept, with its date, in `backups` |
#
# If your terminal does not know `ssdseg`, run `source .venv/bin/activate` in the course's folder first.
#
# **Save often** (Ctrl + S): the commands read what is saved. When you come back another day, run all cells from the top
# (menu Run, Run All Cells): a notebook forgets its functions when it is closed, though not their text. That stops at
# the first check that fails, which is where you were. To skip an exercise, run the cells after it one by one.
#
# ## 7. Compare with the reference
#
# Every lesson ends with a look at how the reference does it. Here it is one line, and it works for any number of boxes
# at once:

# %%
with after("0.1"):
    example = np.array([0.25, 0.5, 0.75, 0.875])
    print("yours:    ", np.array(to_pixels(example, (160, 224))))
    print("reference:", reference.to_pixels(example, (160, 224)))
    print()
    print(inspect.getsource(reference.to_pixels))

# %% [markdown]
# ## To remember
#
# - Detection: a box and a class for every object. Segmentation: a class for every pixel. One backbone can serve both.
# - A box is $(x_{min}, y_{min}, x_{max}, y_{max})$ in fractions of the image. Images and arrays say height first,
#   points say $x$ first.
# - A network knows its data. Ours knows drawings; with other data the same code learns other things.
#
# **Next:** lesson 1, where a detector looks before it has seen anything.
#
# ## The papers
#
# The course rebuilds these four, piece by piece. There is no need to read them first; each lesson says which section it
# draws on.
#
# - W. Liu et al. 2016, *SSD: Single Shot MultiBox Detector* (ECCV): lessons 1, 2 and 6.
# - M. Sandler et al. 2018, *MobileNetV2: Inverted Residuals and Linear Bottlenecks* (CVPR): lessons 4 and 6.
# - N. Ma et al. 2018, *ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design* (ECCV): lesson 5.
# - L.-C. Chen et al. 2018, *Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation* (ECCV),
#   which is DeepLabV3+: lesson 7.
