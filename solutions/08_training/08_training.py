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
# # Lesson 8 - Joint training: everything together
#
# **You will be able to** put two heads on one backbone and train them together, judge a detector as COCO does, choose
# its thresholds without fooling yourself, and say where it fails.
#
# **You need** the lessons before this one. Your own functions from them will be in the network wherever they are right;
# the reference's stand in for those that are missing.
#
# **It takes** {time}. In addition, a network trains, once, for 5 to 10 minutes on two processor cores; you can read on
# meanwhile. Every exercise is a good place to stop.
#
# Stuck? `hint("08.joint_network")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

import time
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.lines import Line2D

from ssdseg_course import check, hint
from ssdseg_course.assemble import assemble
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, draw_boxes, draw_image, panels, show
from ssdseg_course.explorers.hits import explore_hits, found_and_missed, in_words
from ssdseg_course.explorers.live import curves_of_a_run, how_to_train, live_curves
from ssdseg_course.work.own_network import run_folder
from ssdseg_ref import training
from ssdseg_ref.boxes import areas, pairwise_iou
from ssdseg_ref.coding import decode
from ssdseg_ref.data import augment, warehouse
from ssdseg_ref.data.pipeline import batches
from ssdseg_ref.data.warehouse import CLASSES, SPLITS, render
from ssdseg_ref.deeplabv3plus import deeplabv3plus
from ssdseg_ref.evaluation import evaluate
from ssdseg_ref.metrics import COCO_IOU_THRESHOLDS, average_precisions, match_detections
from ssdseg_ref.mobilenetv2 import mobilenet_v2_features
from ssdseg_ref.multitask import LESSON, SHIPPED, Predictor, backbone_features, build_network, load_network
from ssdseg_ref.muon import COEFFICIENTS, orthogonalise
from ssdseg_ref.nms import average_boxes, non_max_suppression
from ssdseg_ref.plot import draw_mask, paint_prediction
from ssdseg_ref.prediction import Prediction, softmax
from ssdseg_ref.shufflenetv2 import shufflenet_v2_features
from ssdseg_ref.ssdlite import extra_maps, ssdlite

# %% [markdown]
# ## 1. The result, first
#
# One network, one look at the picture, boxes and masks. These are scenes that it has never seen, and the network is the
# large one that comes with the course. (No need to read the code that draws.)

# %% jupyter={"source_hidden": true}
config = SHIPPED["mobilenetv2"]
predictor = Predictor(load_network("mobilenetv2"), config, score_threshold=0.5)
pictures = [render(SPLITS["test"][number], size=config.image_size).image for number in (2, 13, 19)]
figure, axes = panels(3)
for panel, picture, seen in zip(axes, pictures, predictor(pictures), strict=True):
    painted = paint_prediction(picture, seen.mask, seen.boxes, seen.labels, seen.scores, tuple(CLASSES), width=700)
    panel.imshow(painted, aspect="auto")
    panel.set(xticks=[], yticks=[])
show(
    figure,
    alt="Three warehouse scenes with people, forklifts and monorails, each with a box, a score and a mask that follows "
    "its outline.",
)

# %% [markdown]
# Yours will be a smaller one, like this one, which you know from the other lessons. In section 6 your own takes its
# place:

# %%
network = shipped = load_network("lesson")
print(f"{network.count_params():,} parameters")

# %% [markdown]
# You have all its parts: anchors, matching, a backbone, the detector's heads, the decoder, the losses. This lesson puts
# them together. It begins, as every training should, with the data.

# %% [markdown]
# ## 2. What is in the data
#
# Count first. These are 300 scenes of the training split:

# %%
samples = [render(seed, size=LESSON.image_size) for seed in SPLITS["train"][:300]]
labels = np.concatenate([sample.labels for sample in samples])
pixel_counts = np.array([np.bincount(sample.mask.ravel(), minlength=256)[: len(CLASSES) + 1] for sample in samples])
shares = pixel_counts.sum(axis=0) / pixel_counts.sum()

# %% jupyter={"source_hidden": true}
figure, axes = panels(2, image_size=(1, 2.2))
boxes_of = [int(np.sum(labels == label)) for label in (1, 2, 3)]
bars = axes[0].barh(CLASSES, boxes_of, color=figures.BLUE, edgecolor="black")
axes[0].bar_label(bars, padding=3)
axes[0].set(title="number of boxes", xlabel="boxes", ylim=(2.6, -0.6), xlim=(0, 1.18 * max(boxes_of)))
bars = axes[1].barh(("background", *CLASSES), 100 * shares, color=figures.ORANGE, edgecolor="black", hatch="////")
axes[1].bar_label(bars, fmt="%.1f %%", padding=3)
axes[1].set(title="share of the pixels", xlabel="percent", ylim=(3.6, -0.6), xlim=(0, 112))
in_percent = ", ".join(f"{name} {share:.1%}" for name, share in zip(("background", *CLASSES), shares, strict=True))
show(
    figure,
    alt=f"Two panels of bars. Boxes: {', '.join(f'{name} {n}' for name, n in zip(CLASSES, boxes_of, strict=True))}. "
    f"Share of the pixels: {in_percent}.",
)
print(f"of {len(labels)} boxes {np.mean(labels == 1):.0%} are people, of the pixels {shares[0]:.0%} are background")

# %% [markdown]
# Two kinds of imbalance. Of the **boxes**, 59<!-- above -->% are people, yet people are the hardest, for they are
# small. Of the **pixels**, 89<!-- above -->% are background. Lesson 7's loss can weight classes. By how much?
#
# A common answer is **median frequency** (Eigen and Fergus 2015). The *frequency* of a class is its number of pixels
# divided by the number of all pixels in those images that *show* it. The weight is the median of all frequencies,
# divided by the class's own. So the class in the middle has the weight 1, rare ones more, the background much less.
#
# ### {08.median_frequency_weights}
#
# Write `median_frequency_weights(pixel_counts)`: `pixel_counts` is (images, classes), background first. Return a weight
# for each class. In the check every class occurs.


# %% nbgrader={"grade_id": "median_frequency_weights", "solution": true}
def median_frequency_weights(pixel_counts):
    """Median frequency / frequency, for each class."""
    ### BEGIN SOLUTION
    sizes = pixel_counts.sum(axis=1)
    of_images_that_show_it = ((pixel_counts > 0) * sizes[:, None]).sum(axis=0)
    frequency = pixel_counts.sum(axis=0) / of_images_that_show_it
    return np.median(frequency) / frequency
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_median_frequency_weights", "grade": true}
check("08.median_frequency_weights", median_frequency_weights)

# %%
with after("8.1"):
    weights = np.asarray(median_frequency_weights(pixel_counts), float)
    print("            weight    its root")
    for name, weight in zip(("background", *CLASSES), weights, strict=True):
        print(f"{name:11}{weight:7.2f}{np.sqrt(weight):12.2f}")
    print(f"monorail / background {weights[3] / weights[0]:8.0f}{np.sqrt(weights[3] / weights[0]):12.1f}")

# %% [markdown]
# Weights have a price. A monorail pixel that is missed now costs 22<!-- above --> times as much as a background pixel
# that is painted over, so the network would rather paint too much: masks grow fat. And dice, which stands beside the
# cross-entropy, already counts every class alike. So your training in section 6 takes the **roots** of these weights:
# halfway, as factors go, between them and equal weights.

# %% [markdown]
# ## 3. The same scene, seen in another way
#
# 2,000 scenes are not many. **Augmentation** makes more of them: mirrored, zoomed into, in another light. One rule:
# what changes the picture has to change boxes and mask in the same way, *exactly*. A box that is a pixel off teaches
# the network to be a pixel off.
#
# ### {08.flip}
#
# Write `flip(image, boxes, mask)`, left and right exchanged, for an image (H, W, 3), boxes (N, 4) in fractions of the
# image and a mask (H, W). Return all three. (A trap: the old left edge becomes the new right one.)


# %% nbgrader={"grade_id": "flip", "solution": true}
def flip(image, boxes, mask):
    """Image, boxes and mask, left and right exchanged."""
    ### BEGIN SOLUTION
    flipped = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)
    return image[:, ::-1], flipped, mask[:, ::-1]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_flip", "grade": true}
check("08.flip", flip)

# %% [markdown]
# A **zoom** takes a window of the image and enlarges it. A box that reaches over the window's edge is cut. And if
# hardly anything is left of it? A hand at the edge of a picture is not a person to learn from, nor is it background.
# The rule here: at least **a quarter of the box's area** has to be in the window. Otherwise the box is dropped, and in
# the mask what is left of the thing becomes 255, "ignore": whatever the network says there, no loss counts it.
#
# ### {08.crop_boxes}
#
# Write `crop_boxes(boxes, window)`: boxes (N, 4) and the window `(xmin, ymin, xmax, ymax)` are in fractions of the
# image. Return two things: the boxes that are kept, (M, 4), in fractions of the *window* and cut at its edge; and their
# indices (M,). `areas(boxes)` gives the areas of boxes, 0 where a box is turned inside out.


# %% nbgrader={"grade_id": "crop_boxes", "solution": true}
def crop_boxes(boxes, window):
    """Boxes as fractions of a window, of which at least a quarter is in it, and their indices."""
    ### BEGIN SOLUTION
    xmin, ymin, xmax, ymax = window
    moved = (boxes - [xmin, ymin, xmin, ymin]) / [xmax - xmin, ymax - ymin, xmax - xmin, ymax - ymin]
    cut = np.clip(moved, 0, 1)
    kept = np.flatnonzero(areas(cut) >= 0.25 * areas(moved))
    return cut[kept], kept
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_crop_boxes", "grade": true}
check("08.crop_boxes", crop_boxes)

# %% jupyter={"source_hidden": true}
with after("8.2", "8.3"):
    scene, window = samples[35], (0.1, 0.25, 0.75, 0.9)
    zoomed = augment.crop(scene, window, scene.image.shape[:2])
    mirrored, mirrored_boxes, _ = flip(scene.image, scene.boxes, scene.mask)
    cut_boxes, kept = crop_boxes(scene.boxes, window)
    is_kept = np.isin(np.arange(len(scene.boxes)), np.asarray(kept, int))
    solid = {"edgecolor": figures.ORANGE, "linewidth": 2}
    figure, axes = panels(2)
    draw_image(axes[0], np.asarray(mirrored))
    draw_boxes(axes[0], np.asarray(mirrored_boxes), **solid)
    axes[0].set_title("mirrored by you", fontsize=10)
    draw_image(axes[1], scene.image)
    draw_boxes(axes[1], [window], edgecolor="white", linewidth=3, linestyle="--")
    draw_boxes(axes[1], scene.boxes[is_kept], **solid)
    draw_boxes(axes[1], scene.boxes[~is_kept], edgecolor=figures.SKY, linewidth=2.4, linestyle=":")
    axes[1].set_title("a window, dashed; what is dotted is dropped, by you", fontsize=10)
    show(
        figure,
        alt="Two panels. A scene mirrored, its boxes still around the same things. The scene as it is, a window in "
        f"white dashes: {is_kept.sum()} boxes in solid orange are kept, {(~is_kept).sum()} in dotted blue is dropped, "
        "for less than a quarter of it lies in the window.",
    )
    figure, axes = panels(2)
    draw_image(axes[0], zoomed.image)
    draw_boxes(axes[0], np.asarray(cut_boxes), **solid)
    axes[0].set_title("the window, enlarged; its boxes are cut by you", fontsize=10)
    draw_image(axes[1], zoomed.image, fade=0.6)
    ignored = np.ma.masked_equal(zoomed.mask == 255, False)
    axes[1].imshow(ignored, extent=(0, 1, 1, 0), cmap="Greys", vmin=0, vmax=1.6, interpolation="nearest")
    axes[1].set(aspect=zoomed.mask.shape[0] / zoomed.mask.shape[1])
    axes[1].set_title(f"{(zoomed.mask == 255).sum():,} pixels of its mask are 255, dark here", fontsize=10)
    show(
        figure,
        alt="Two panels. The window enlarged, with the boxes that are kept, cut at its edge. The same, faded, with "
        f"{(zoomed.mask == 255).sum():,} dark pixels, where pieces of the dropped forklift are: its mask is 255 there.",
    )

# %% [markdown]
# ## 4. Two heads on one backbone
#
# This is the plan of the network. The backbone runs **once**; each head takes from it the maps that it needs.
#
# | from | goes to |
# |---|---|
# | picture, 0..255 | scaled to -1..1 by `layers.Rescaling(1 / 127.5, offset=-1)` |
# | scaled picture | the backbone: maps `{2: ..., 4: ..., 8: ..., 16: ..., 32: ...}` |
# | all maps | `deeplabv3plus` (lesson 7): the mask's logits |
# | maps 8, 16, 32, and one extra map of 96 channels made from 32 | `ssdlite` (lesson 6): class logits and offsets |
#
# The calls, with the numbers of our lesson network:
#
# - `deeplabv3plus(maps, image_size, classes, channels=64, rates=(2, 4), low_level_channels=24)` gives two things, the
#   mask's logits and the decoder's map; you need the first;
# - `extra_maps(x, (96,))` gives a list;
# - `ssdlite(feature_maps, anchors_per_cell, classes)` gives logits and offsets. `feature_maps` go from fine to coarse,
#   as the anchors do. `classes` does not count the background.
#
# ### {08.joint_network}
#
# Write `joint_network(image_size, backbone, anchors_per_cell, classes)`: `image_size` is (height, width), `backbone` a
# function from the scaled picture to the dict of maps. Return a `keras.Model` from the picture to a dict with the keys
# `"classes"`, `"offsets"` and `"mask"`. To be quick, the check uses a tiny backbone.


# %% nbgrader={"grade_id": "joint_network", "solution": true}
def joint_network(image_size, backbone, anchors_per_cell, classes):
    """Detection and segmentation on one backbone: a model from (B, H, W, 3) to classes, offsets and mask."""
    ### BEGIN SOLUTION
    image = keras.Input((*image_size, 3))
    maps = backbone(layers.Rescaling(1 / 127.5, offset=-1)(image))
    mask, _ = deeplabv3plus(maps, image_size, classes, channels=64, rates=(2, 4), low_level_channels=24)
    feature_maps = [maps[8], maps[16], maps[32], *extra_maps(maps[32], (96,))]
    logits, offsets = ssdlite(feature_maps, anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask})
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_joint_network", "grade": true}
check("08.joint_network", joint_network)

# %% [markdown]
# A backbone is a function, so it can be swapped for another. What do two heads on one backbone save?


# %%
def half_mobilenet(x):
    """MobileNetV2, half as wide."""
    return mobilenet_v2_features(x, 0.5)


def half_shufflenet(x):
    """ShuffleNetV2, the narrowest one."""
    return shufflenet_v2_features(x, "0.5")


with after("8.4"):
    for backbone in (half_mobilenet, half_shufflenet):
        keras.utils.clear_session()
        joint = joint_network(LESSON.image_size, backbone, LESSON.anchor_spec.anchors_per_cell, len(CLASSES))
        picture = keras.Input((*LESSON.image_size, 3))
        alone = keras.Model(picture, list(backbone(picture).values())).count_params()
        print(
            f"{backbone.__name__:16} joint {joint.count_params():9,} parameters, of which the backbone {alone:9,}: "
            f"two networks would have {joint.count_params() + alone:,}"
        )

# %% [markdown]
# ## 5. Five losses, one number
#
# Training makes *one* number small. Ours is the sum of five: class and box of lesson 6, cross-entropy and dice of
# lesson
# 7, and one that you have not met: **GIoU** (Rezatofighi et al. 2019), 1 minus the IoU of the predicted with the true
# box, with a term that still pulls where the two do not overlap. Smooth L1 looks at four numbers, GIoU at the box.
#
# May we simply add them? Look at their sizes, in a fresh network and in a trained one:

# %%
inputs, wanted = next(iter(batches(samples[:16], LESSON, 16)))
keras.utils.set_random_seed(1)
for name, some in (("fresh", build_network(LESSON)), ("trained", network)):
    trainer = training.JointTraining(some, LESSON, (1, 1, 1, 1))
    trainer.compute_loss(inputs, wanted, some(inputs, training=False))
    sizes = {tracker.name: float(tracker.result()) for tracker in trainer.trackers}
    print(f"{name:8}" + "  ".join(f"{part} {size:5.2f}" for part, size in sizes.items()), end="  ")
    print(f"largest / smallest {max(sizes.values()) / min(sizes.values()):3.0f}")

# %% [markdown]
# The last column says how far the largest and the smallest are apart: by a factor of 15<!-- above --> at the beginning,
# of 21<!-- above --> at the end; the class loss stays the largest. One backbone can serve all of them. That is because
# every one of them is a **mean**: over positives, over pixels, over classes. Were the mask's a sum over the
# 35,840<!-- = 160 * 224 --> pixels of a picture, it would begin with five digits, and the backbone would serve that
# head alone. So here the weights of the losses may all be 1. Where they may not, watch the individual parts, not the
# sum. (One of them will get more weight, for another reason: section 13.)

# %% [markdown]
# ## 6. The training
#
# Whose pieces are in the network? Save your notebooks, and ask:

# %%
assembly = assemble()
print(assembly.table())

# %% [markdown]
# What is yours is used when the network is built, in augmentation, matching and coding, in the losses, and later in
# NMS, in the gate of section 9 and in the scores. What no training and no prediction calls is not among the pieces:
# lesson 3's loops, `field_of_view`, `choose_threshold` and the like. `joint_network` and the weights of the classes are
# not in the table either, but they are used, for the next cell calls them by name. The recipe:
#
# - 8 pictures per step; the learning rate rises over the first steps, then falls along a cosine to nearly 0;
# - kernels take the steps of **Muon**, all other weights those of **AdamW**, of which more below;
# - GIoU weighs five times, and scores learn how good their box is: section 13 says why;
# - scenes are mirrored every second time, always shown in another light, and zoomed every fourth time, with your
#   `crop_boxes`;
# - in the mask's cross-entropy each class has the **root of its median frequency weight**, by your function;
# - what is kept is a **moving average** of the weights, which is steadier than the weights themselves;
# - ten passes through 2,000 scenes.
#
# ### A step in every direction
#
# A gradient says which way is down. How far to go is the business of the **optimiser**, and it decides how much a
# network has learned when your coffee is ready.
#
# Nearly all of our weights stand in kernels, and the kernel of a 1 × 1 convolution is a **matrix**: it takes what comes
# in, here 64 channels, to what goes out, 64 again. So is its gradient, and a matrix stretches: the inputs along one
# direction by much, along the next by less, along the last hardly at all. By how much are its **singular values**, one
# for each direction. Follow the gradient as it is, and the kernel learns along a few directions, and what lies along
# the others, the rare and the fine, waits.
#
# Adam divides every *number* of the gradient by its usual size; its very first step is the sign of each. That helps,
# but a number knows nothing of directions. **Muon** (Jordan et al. 2024) sees the matrix: it keeps the directions, and
# makes **all singular values 1**.
#
# *Take a guess:* of 64 directions of a kernel in the decoder, along how many is the gradient of a fresh network at
# least a tenth of its longest? And the signs of it?

# %% jupyter={"source_hidden": true}
keras.utils.set_random_seed(1)
fresh = build_network(LESSON)
with tf.GradientTape() as tape:
    trainer = training.JointTraining(fresh, LESSON, (1, 1, 1, 1))
    loss = trainer.compute_loss(inputs, wanted, fresh(inputs, training=True))
gradient = tape.gradient(loss, fresh.get_layer("decoder_refine2_pw_conv").kernel.value)[0, 0]
figure, (left, right) = panels(2)
STEPS = (
    ("the gradient", gradient, figures.SKY, ":"),
    ("its signs: Adam's first step", tf.sign(gradient), figures.PURPLE, "--"),
    ("Muon's step", orthogonalise(gradient), figures.ORANGE, "-"),
)
directions = {}
for name, matrix, colour, style in STEPS:
    lengths = np.linalg.svd(matrix, compute_uv=False)
    left.semilogy(range(1, 65), lengths / lengths[0], color=colour, linestyle=style, linewidth=2, label=name)
    directions[name] = (lengths >= lengths[0] / 10).sum()
left.set(xlabel="direction, longest first", ylabel="share of the longest", ylim=(1e-4, 2), title="One step, 64 x 64")
left.legend(fontsize=8)
a, b, c = COEFFICIENTS
values = [np.geomspace(1e-3, 1, 501)]
for _ in range(5):
    values.append(a * values[-1] + b * values[-1] ** 3 + c * values[-1] ** 5)
LOOKS = {0: ("black", ":"), 1: (figures.SKY, "-."), 2: (figures.PURPLE, "--"), 5: (figures.ORANGE, "-")}
for times, (colour, style) in LOOKS.items():
    right.semilogx(values[0], values[times], color=colour, linestyle=style, linewidth=2, label=f"{times} times")
right.set(xlabel="singular value at first", ylabel="after the polynomial", title="How all become 1, nearly")
right.legend(fontsize=8, handlelength=3)
show(
    figure,
    alt="Left: singular values of three steps on a logarithmic scale. The gradient's fall steeply, those of its signs "
    "less, Muon's are nearly level. Right: once and twice the polynomial lifts small values; five times, and all from "
    "0.002 on lie between 0.68 and 1.21.",
)
for name, count in directions.items():
    print(f"{name:30} at least a tenth of its longest along {count:2} of 64 directions")

# %% [markdown]
# On the left is the answer. A singular value decomposition at every step would be slow. On the right is what Muon does:
# it divides the matrix $X$ by its length, so that no singular value is above 1, and computes, five times,
#
# $$X \leftarrow a X + b\,(X X^\top) X + c\,(X X^\top)^2 X$$
#
# Products leave the directions as they are, and turn each singular value $s$ into $a s + b s^3 + c s^5$. With
# $a = 3.44$, $b = -4.78$ and $c = 2.03$, small values are more than trebled each time, and large ones stay between 0.7
# and 1.2. Near enough, for a few products of small matrices. It is all in `ssdseg_ref.muon`. What has no directions
# (biases, the weights of the normalisations, the kernels of depthwise convolutions, which mix nothing) takes AdamW's
# step.
#
# The lesson's network from the same random start, 5,000 steps of 8 pictures, the same losses; 300 validation scenes:
#
# | | mAP@.5 | mAP@[.5:.95] | at IoU 0.9 | mIoU |
# |---|---|---|---|---|
# | AdamW for all weights | 0.910 | 0.609 | 0.14 | 0.774 |
# | Muon for kernels, AdamW for the rest | 0.948 | 0.678 | 0.24 | 0.826 |
#
# ### The training itself
#
# It takes 10 to 20 minutes of one processor core's time, so 5 to 10 on two quiet ones. You may interrupt it (the square
# in the menu): run the cell again, and it goes on after the last whole epoch. Read on meanwhile.
#
# It is done **once**. Your network is kept in the folder `my_network`, beside this notebook, and the next Run All finds
# it there. Change one of the pieces, and another training begins, in a folder of its own.
#
# *Predict* before you begin, for the curves grow before your eyes: which of the five losses falls first, and which
# last? And where does the validation's loss begin, above the training's or below it?

# %% tags=["timed"]
MODE = how_to_train()  # "full" for you; where nobody waits for it, in a check or an automatic test, less


def backbone(x):
    """The backbone of the lesson's network: MobileNetV2, half as wide."""
    return backbone_features(x, LESSON)


with after("8.1", "8.4"):
    roots = np.sqrt(np.asarray(median_frequency_weights(pixel_counts), float))
    recipe = replace(training.LESSON_RECIPE, epochs=10, zoom_share=0.25, class_weights=tuple(roots.round(3).tolist()))
    if MODE != "skip":
        run = run_folder([joint_network, *(piece.function for piece in assembly.pieces)], recipe)
        learn, judge = warehouse.split("train", LESSON.image_size), warehouse.split("validation", LESSON.image_size)
        if MODE == "short":
            run, recipe = Path(mkdtemp(prefix="ssdseg_lesson8_")), replace(recipe, epochs=1, batch_size=8)
            learn, judge = samples[:16], samples[16:24]
        keras.utils.set_random_seed(recipe.seed)
        began = time.process_time()
        with assembly.in_place():
            own = joint_network(LESSON.image_size, backbone, LESSON.anchor_spec.anchors_per_cell, len(CLASSES))
            trained = training.train(
                own, replace(LESSON), recipe, learn, judge, run, verbose=0, watchers=[live_curves()]
            )
        if trained.epoch:
            minutes = round((time.process_time() - began) / 60)
            print(f"{in_words(minutes, 'minute')} of one core's time; kept in {run}")
        else:
            print(f"trained before with the same pieces, and kept in {run}")
            curves_of_a_run(run)
        if MODE == "full":
            network = own
            network.save(run / "network.keras")  # lesson 9 takes it from there, and so does `ssdseg export`
whose = "the course's own small network" if network is shipped else "your own network"
print(f"In what follows {whose} is judged.")

# %% [markdown]
# Learn to read such curves. Class and box fall fast at first, then slowly. The mask's parts fall late, once the coarse
# maps know what they show. At the beginning the *validation* loss lies above that of training: it judges the moving
# average, and after the first epoch, 250<!-- = 2000 // 8 --> steps, a share of 0.29<!-- = 0.995 ** 249 --> of that is
# still the network as it was initialised at random. Later the two come closer and may cross, for validation scenes come
# as they are, those of training zoomed and in odd lights. Where the validation loss *rises* while the training loss
# still falls, the network is learning its scenes by heart. In the last epochs the curves are flat: the cosine has made
# the learning rate so small that hardly anything changes any more.

# %% [markdown]
# ## 7. How good is it?
#
# For detectors people quote one number, **average precision** (AP). It has to judge a whole list of boxes with scores,
# so it takes some care. For one class:
#
# 1. Sort all detections of all pictures by score. Each is a **hit** if it overlaps a box that no better one has taken
#    yet, by an IoU of at least 0.5; a second box on the same person is a *false alarm*, like one on the floor.
# 2. Go down the list. After each detection: **precision**, the share of hits among those so far; **recall**, the share
#    of all true boxes that has been found.
# 3. Precision goes up and down. At each recall, count the **best precision that is still to come**: the curve may only
#    fall.
# 4. AP is the mean of that at the 101 recalls 0, 0.01, ..., 1; where a recall is never reached, it is 0.
#
# *Take a pencil:* two boxes exist. Detections, best first: hit, false alarm, hit. Precision and recall after each? And
# AP, roughly?
#
# <details><summary>Compare</summary>
#
# Precision 1, 1/2, 2/3; recall 1/2, 1/2, 1. Up to a recall of one half the best still to come is 1, beyond it 2/3:
# about 0.83<!-- = metrics.average_precision([0.9, 0.8, 0.7], [True, False, True], 2) -->.
#
# </details>
#
# ### {08.average_precision}
#
# Write `average_precision(scores, hits, positives)`: scores (D,) and hits (D,), true or false, of all detections of a
# class, in any order; `positives` is how many true boxes there are, at least one. No two scores are equal. Without any
# detection, the result is 0.


# %% nbgrader={"grade_id": "average_precision", "solution": true}
def average_precision(scores, hits, positives):
    """Mean over 101 recalls of the best precision that is still to come."""
    ### BEGIN SOLUTION
    found = np.cumsum(hits[np.argsort(-scores)])
    recall = found / positives
    precision = found / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101))
    return np.append(best, 0)[at].mean()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_average_precision", "grade": true}
check("08.average_precision", average_precision)


# %% [markdown]
# Now for real, on 150 validation scenes. `match_detections` does step 1:


# %%
def judged(predictions, scenes, label, least_iou=0.5):
    """Scores and hits of all detections of a class, and how many boxes of it there are."""
    scores, hits, positives = [], [], 0
    for prediction, scene in zip(predictions, scenes, strict=True):
        mine, true = prediction.labels == label, scene.labels == label
        overlaps = pairwise_iou(prediction.boxes[mine], scene.boxes[true])
        scores.append(prediction.scores[mine])
        hits.append(match_detections(overlaps, np.array([least_iou]))[0])
        positives += true.sum()
    return np.concatenate(scores), np.concatenate(hits), int(positives)


validation = [render(seed, size=LESSON.image_size) for seed in SPLITS["validation"][:150]]
with assembly.in_place():
    predict = Predictor(network, replace(LESSON), gate_pixels=0)
    found = predict([scene.image for scene in validation])

# %% jupyter={"source_hidden": true}
with after("8.5"):
    figure, axes = panels(2, image_size=(1, 1.4))
    lines = (("-", figures.BLUE), ("--", figures.ORANGE), (":", figures.GREEN))
    told = []
    for label, (name, (style, color)) in enumerate(zip(CLASSES, lines, strict=True), start=1):
        scores, hits, positives = judged(found, validation, label)
        order = np.argsort(-scores)
        hit_count = np.cumsum(hits[order])
        recall, precision = hit_count / positives, hit_count / np.arange(1, len(order) + 1)
        value = float(average_precision(scores, hits, positives))
        told.append(f"{name} {value:.2f}")
        axes[0].plot(recall, precision, linestyle=style, color=color, label=told[-1])
        f1 = 2 * hit_count / (np.arange(1, len(order) + 1) + positives)
        axes[1].plot(np.sort(scores)[::-1], f1, linestyle=style, color=color)
    axes[0].set(xlabel="recall", ylabel="precision", title="precision over recall", xlim=(0, 1), ylim=(0, 1.03))
    axes[1].set(
        xlabel="score threshold", ylabel="F1", title="both in one number, section 8", xlim=(0, 1), ylim=(0, 1.03)
    )
    figure.set_figheight(figure.get_figheight() + 0.35)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, title="average precision")
    show(
        figure,
        alt="Two panels with one curve per class. Left: precision over recall: for forklift and monorail it stays near "
        "1 for long and then falls, for person it begins to fall much sooner; average precisions "
        f"{', '.join(told)}. Right: F1 over the score threshold, which rises, has a broad top, and "
        "falls towards 1.",
    )

# %% [markdown]
# Is it what everybody else counts? `pycocotools` is COCO's own program. Give it the same boxes:

# %%
try:
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError:
    COCO = None
    print("pycocotools is not installed; `pip install pycocotools` and restart, if you want to compare")


def coco_average_precisions(predictions, scenes):
    """AP of each class at an IoU of 0.5, by COCO's own program."""

    def entry(image, box, label):
        xmin, ymin, xmax, ymax = (1000 * np.float64(box)).tolist()
        sides = [xmin, ymin, xmax - xmin, ymax - ymin]
        return {"image_id": image, "category_id": int(label), "bbox": sides, "area": sides[2] * sides[3], "iscrowd": 0}

    truths = [
        entry(image, box, label)
        for image, scene in enumerate(scenes)
        for box, label in zip(scene.boxes, scene.labels, strict=True)
    ]
    results = [
        {**entry(image, box, label), "score": float(score)}
        for image, seen in enumerate(predictions)
        for box, label, score in zip(seen.boxes, seen.labels, seen.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(len(scenes))],
            "categories": [{"id": label} for label in (1, 2, 3)],
            "annotations": [{"id": number, **one} for number, one in enumerate(truths, start=1)],
        }
        truth.createIndex()
        coco = COCOeval(truth, truth.loadRes(results), "bbox")
        coco.evaluate()
        coco.accumulate()
    return coco.eval["precision"][0, :, :, 0, -1].mean(axis=0)


with after("8.5"):
    yours = [float(average_precision(*judged(found, validation, label))) for label in (1, 2, 3)]
    theirs = coco_average_precisions(found, validation) if COCO else [float("nan")] * 3
    for name, one, other in zip(CLASSES, yours, theirs, strict=True):
        print(f"{name:9} yours {one:.4f}   pycocotools {other:.4f}")

# %% [markdown]
# The mean over the classes is **mAP@.5**. Take the mean over ten IoU thresholds as well, 0.5, 0.55, ..., 0.95, and you
# have COCO's **mAP@[.5:.95]**, which also asks how well the boxes fit.

# %% [markdown]
# ## 8. How sure is sure enough?
#
# AP judges all thresholds at once. Whoever *uses* the network has to choose one for each class. **F1** puts precision
# and recall into one number, their harmonic mean. If $k$ detections are kept, of which $t$ are hits, and there are $P$
# boxes,
#
# $$F_1 = \frac{2 t}{k + P}$$
#
# ### {08.choose_threshold}
#
# Write `choose_threshold(scores, hits, positives)`: the *score* of the last detection to keep for the best F1. Of
# several with the same F1, return the highest; return 1.0 if there is no hit at all. No two scores are equal.


# %% nbgrader={"grade_id": "choose_threshold", "solution": true}
def choose_threshold(scores, hits, positives):
    """The score threshold with the best F1."""
    ### BEGIN SOLUTION
    if not hits.any():
        return 1.0
    order = np.argsort(-scores)
    f1 = 2 * np.cumsum(hits[order]) / (np.arange(1, len(hits) + 1) + positives)
    return scores[order][f1.argmax()]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_choose_threshold", "grade": true}
check("08.choose_threshold", choose_threshold)

# %% [markdown]
# Chosen on **validation**, tried on **test** scenes. Not on the same ones: a threshold that was chosen on the test
# scenes fits *them*, and what it reaches there says nothing about tomorrow's. That goes for everything that is chosen:
# the number of epochs, the anchors, the NMS threshold.

# %%
test = [render(seed, size=LESSON.image_size) for seed in SPLITS["test"][:150]]
with assembly.in_place():
    found_in_test = predict([scene.image for scene in test])


def precision_and_recall(predictions, label, threshold):
    """Precision and recall on the test scenes, of detections with at least that score."""
    scores, hits, positives = judged(predictions, test, label)
    kept = scores >= threshold
    return hits[kept].sum() / max(kept.sum(), 1), hits[kept].sum() / positives


with after("8.6"):
    thresholds = {label: float(choose_threshold(*judged(found, validation, label))) for label in (1, 2, 3)}
    for label, name in enumerate(CLASSES, start=1):
        precision, recall = precision_and_recall(found_in_test, label, thresholds[label])
        print(
            f"{name:9} threshold {thresholds[label]:.2f}: on test scenes precision {precision:.2f}, recall {recall:.2f}"
        )

# %% [markdown]
# ## 9. One head asks the other
#
# Two heads look at the same picture, and they can disagree: a box says "forklift", and the mask does not have a single
# forklift pixel. The **segmentation gate** lets a detection pass only if the *same image's* mask has at least some
# pixels of its class. Does that help? Only counting can tell: both heads stand on one backbone, and what fools one may
# fool the other.
#
# ### {08.segmentation_gate}
#
# Write `segmentation_gate(labels, mask, least_pixels)` for the labels (D,) of the detections in an image, and its
# predicted mask (H, W). Return the indices of those that may pass, in their order.


# %% nbgrader={"grade_id": "segmentation_gate", "solution": true}
def segmentation_gate(labels, mask, least_pixels):
    """Indices of the detections whose class the mask shows."""
    ### BEGIN SOLUTION
    pixels = np.array([(mask == label).sum() for label in labels], int)
    return np.flatnonzero(pixels >= least_pixels)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_segmentation_gate", "grade": true}
check("08.segmentation_gate", segmentation_gate)


# %%
def hits_and_false_alarms(predictions, scenes, least):
    """Hits and false alarms among the detections that are sure enough and pass the gate."""
    counts = np.zeros(2, int)
    for prediction, scene in zip(predictions, scenes, strict=True):
        passing = np.asarray(segmentation_gate(prediction.labels, prediction.mask, least), int)
        sure = [k for k in passing if prediction.scores[k] >= thresholds[int(prediction.labels[k])]]
        for label in (1, 2, 3):
            rows = [k for k in sure if prediction.labels[k] == label]
            overlaps = pairwise_iou(prediction.boxes[rows], scene.boxes[scene.labels == label])
            hits = match_detections(overlaps, np.array([0.5]))[0]
            counts += hits.sum(), (~hits).sum()
    return counts


GATE = 1
with after("8.6", "8.7"):
    print("                     validation               test")
    best, boxes_in_all = -1.0, sum(len(scene.labels) for scene in validation)
    for least in (0, 1, 20, 100, 400):
        hits, false_alarms = hits_and_false_alarms(found, validation, least)
        of_test = hits_and_false_alarms(found_in_test, test, least)
        for_test = f"{of_test[0]:4} hits, {of_test[1]:3} false"
        print(f"at least {least:3} pixels: {hits:4} hits, {false_alarms:3} false   {for_test}")
        f1 = 2 * hits / (hits + false_alarms + boxes_in_all)
        if f1 > best:
            best, GATE = f1, least
    print(f"the best F1 on validation: at least {GATE} pixels")

# %% [markdown]
# Compare the rows: whether the mask has *one* pixel of the class, or a hundred, changes nothing, since the two heads
# mostly err together. Nor is a stricter gate free: at 400 pixels real things are gone, and no false alarm. So the
# number of pixels is one more thing that is **chosen on validation**, the right-hand columns say what came of it, and
# here the choice is: no gate. That is a result, too. (A network half as well trained gained a little from 400 pixels.)
#
# One mistake to avoid: ask *this* image's mask, not the masks of the whole batch. Otherwise a forklift in one picture
# opens the gate for ghosts in another, and your scores depend on how pictures are grouped into batches.

# %% [markdown]
# ## 10. Hits and misses
#
# Numbers do not say *what* goes wrong, so look: hits in solid lines, false alarms dotted, misses dashed. Change `FIRST`
# to see others:

# %%
FIRST = 12

# %% jupyter={"source_hidden": true}
KINDS = (
    ("found", "", {"edgecolor": figures.ORANGE, "linewidth": 2}),
    ("false alarm", "?", {"edgecolor": figures.PURPLE, "linewidth": 2.4, "linestyle": ":"}),
    ("missed", " missed", {"edgecolor": figures.SKY, "linewidth": 2.4, "linestyle": "--"}),
)
with after("8.6"):
    figure, axes = panels(3)
    words = []
    for panel, prediction, scene in zip(axes, found_in_test[FIRST:], test[FIRST:], strict=False):
        draw_image(panel, scene.image, fade=0.2)
        counts = np.zeros(3, int)
        for label, name in enumerate(CLASSES, start=1):
            rows = np.flatnonzero((prediction.labels == label) & (prediction.scores >= thresholds[label]))
            truth = scene.boxes[scene.labels == label]
            hits, missed = found_and_missed(prediction.boxes[rows], truth)
            groups = (prediction.boxes[rows][hits], prediction.boxes[rows][~hits], truth[missed])
            for (_, mark, style), boxes in zip(KINDS, groups, strict=True):
                inside = np.clip(boxes, 0.012, 0.988)  # at the very edge, a line and its label would be cut off
                draw_boxes(panel, inside, labels=[name + mark] * len(boxes), **style)
            counts += [len(boxes) for boxes in groups]
        words.append(f"{counts[0]} found, {in_words(counts[1], 'false alarm')}, {counts[2]} missed")
        panel.set_title(words[-1], fontsize=9)
    figure.set_figheight(figure.get_figheight() + 0.25)  # room for the legend
    lines = [Line2D([], [], color=style["edgecolor"], linestyle=style.get("linestyle", "-"), linewidth=3, label=kind)
             for kind, _, style in KINDS]  # fmt: skip
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=9, handlelength=4)
    show(figure, alt=f"Three test scenes with boxes: {'; '.join(words)}.")

# %% [markdown]
# And any scene, with any threshold:

# %%
explore_hits(network, scene=6)

# %% [markdown]
# Most of what is missed is small, half hidden, or cut by the edge. Which of these could be mended by larger pictures,
# which by more scenes, which by finer anchors?

# %% [markdown]
# ## 11. Yours beside the one that comes with the course
#
# Both have the same plan and the same anchors, and both are judged in the same way, with the gate that you have just
# chosen. The course's was trained by a longer recipe: twenty epochs, equal weights of the classes, no zooms.

# %%
predictors = {"the course's": Predictor(shipped, LESSON, gate_pixels=GATE)}
if network is not shipped:
    predictors = {"yours": Predictor(network, replace(LESSON), gate_pixels=GATE), **predictors}
print(f"{len(test)} test scenes     mAP@.5   mAP@[.5:.95]    mIoU     IoU of {', '.join(CLASSES)}")
with assembly.in_place():
    for name, predictor in predictors.items():
        scores = evaluate(predictor, test)
        ious = "  ".join(f"{iou:.3f}" for iou in scores.ious[1:])
        print(f"{name:15}{scores.mean_ap50:11.3f}{scores.mean_ap:15.3f}{scores.mean_iou:8.3f}     {ious}")
if network is shipped:
    print("(No network of your own has been trained here, so there is one row only.)")

# %% jupyter={"source_hidden": true}
shown = test[FIRST]
masks = {"true": shown.mask} | {name: predictor([shown.image])[0].mask for name, predictor in predictors.items()}
figure, axes = panels(len(masks))
for panel, (title, mask) in zip(axes, masks.items(), strict=True):
    draw_mask(panel, shown.image, mask)
    for label in range(1, len(CLASSES) + 1):
        if (mask == label).any():
            panel.contour(mask == label, levels=[0.5], colors="black", linewidths=1)
    panel.set_title(f"mask: {title}", fontsize=10)
right = ", ".join(f"{np.mean(mask == shown.mask):.1%} in {name}" for name, mask in masks.items() if name != "true")
show(
    figure,
    alt=f"Scene {FIRST} of the test split under {len(masks)} masks: {', '.join(masks)}. Correct pixels: {right}.",
)

# %% [markdown]
# ## 12. ShuffleNetV2 beside MobileNetV2
#
# The course ships two larger networks, with the same heads and anchors, on pictures of 216 × 288, from 8,000 scenes
# (MobileNetV2 went through them 24.5 times, ShuffleNetV2 29 times). How fast are they on your machine?

# %% tags=["timed"]
fast_pictures = [render(seed, size=(216, 288)).image for seed in SPLITS["test"][:16]]
for name in ("mobilenetv2", "shufflenetv2"):
    shipped = load_network(name)
    look = Predictor(shipped, SHIPPED[name])
    look(fast_pictures)  # the first call makes the graph
    times = []
    for _ in range(5):
        start = time.perf_counter()
        look(fast_pictures)
        times.append(time.perf_counter() - start)
    print(f"{name:13}{shipped.count_params():10,} parameters {len(fast_pictures) / min(times):6.1f} pictures a second")

# %% [markdown]
# And how good? All 500 test scenes, `ssdseg evaluate mobilenetv2` and `ssdseg evaluate shufflenetv2`:
#
# | network | parameters | mAP@.5 | mAP@[.5:.95] | mIoU |
# |---|---|---|---|---|
# | `lesson`, 160 × 224 | 660,020 | 0.953 | 0.701 | 0.828 |
# | `shufflenetv2` | 1,172,492<!-- above --> | 0.979 | 0.816 | 0.922 |
# | `mobilenetv2` | 2,407,908<!-- above --> | 0.978 | 0.854 | 0.932 |
#
# ShuffleNetV2 has half of the parameters and quick units; its mask is nearly as good, its boxes lie a little less well.
# Which would you choose for a camera that runs on a battery?

# %% [markdown]
# ## 13. Sharper boxes
#
# In the last column but one of that table is what is hardest. At an IoU of 0.5 the large networks find nearly
# everything; mAP@[.5:.95] asks up to an IoU of 0.95. Where does it get lost? The boxes of `mobilenetv2` for 100
# validation scenes, judged at each of the ten thresholds:

# %%
large = SHIPPED["mobilenetv2"]
sharp_scenes = [render(seed, size=large.image_size) for seed in SPLITS["validation"][:100]]
outputs = load_network("mobilenetv2").predict(np.stack([scene.image for scene in sharp_scenes]), 20, verbose=0)
shares = softmax(outputs["classes"])
corners = np.clip(decode(outputs["offsets"], large.anchors), 0, 1)


def boxes_with(vote):
    """The detections of all these scenes, each box as NMS keeps it, or as `vote` makes it."""
    found = []
    for boxes, scores, scene in zip(corners, shares, sharp_scenes, strict=True):
        kept = {label: non_max_suppression(boxes, scores[:, label], 0.65, 0.01, 100) for label in (1, 2, 3)}
        found.append(
            Prediction(
                np.concatenate([vote(boxes, scores[:, label], kept[label]) for label in kept]),
                np.repeat([1, 2, 3], [len(kept[label]) for label in kept]),
                np.concatenate([scores[kept[label], label] for label in kept]),
                scene.mask,
            )
        )
    return found


def as_kept(boxes, scores, kept):
    """No vote."""
    return boxes[kept]


by_iou = average_precisions(boxes_with(as_kept), sharp_scenes, COCO_IOU_THRESHOLDS, 3).mean(axis=1)
print("IoU  " + "".join(f"{iou:6.2f}" for iou in COCO_IOU_THRESHOLDS))
print("AP   " + "".join(f"{ap:6.2f}" for ap in by_iou) + f"    mean {by_iou.mean():.3f}")

# %% [markdown]
# Nothing is wrong with *what* it finds; the boxes lie a little off. How little is enough? Take three boxes, and shift
# each to the right and down.

# %% jupyter={"source_hidden": true}
figure, (left, right) = panels(2)
pixels = np.linspace(0, 6, 121)
THINGS = (
    ("a far person", 12, 30, figures.PURPLE, ":"),
    ("a person", 29, 70, figures.ORANGE, "-"),
    ("a forklift", 90, 80, figures.SKY, "--"),
)
for name, width, height, colour, style in THINGS:
    apart = [pairwise_iou([[0, 0, width, height]], [[d, d, width + d, height + d]])[0, 0] for d in pixels]
    left.plot(pixels, apart, color=colour, linestyle=style, linewidth=2, label=f"{name}, {width} x {height}")
left.axhline(0.9, color="grey", linewidth=1, linestyle=":")
left.set(xlabel="pixels too far right, and too far down", ylabel="IoU", ylim=(0.3, 1.02), title="One pixel matters")
left.legend(fontsize=8)
WIDTH = 29.0
pull = np.minimum(pixels / (0.1 * WIDTH), 1) / (0.1 * WIDTH)
right.plot(pixels, pull, color=figures.SKY, linestyle="--", linewidth=2, label="smooth L1")
for weight, style in ((1, ":"), (5, "-")):
    overlap = 2 * WIDTH / (WIDTH + pixels) ** 2
    label = f"{weight} x (1 - IoU)"
    right.plot(pixels, weight * overlap, color=figures.ORANGE, linestyle=style, linewidth=2, label=label)
right.set(xlabel="pixels too far right", ylabel="slope of the loss, per pixel", title="What pulls at a person's box")
right.legend(fontsize=8)
show(
    figure,
    alt="Left: IoU falls with the shift, fastest for the smallest box: one pixel both ways leaves "
    f"{pairwise_iou([[0, 0, 12, 30]], [[1, 1, 13, 31]])[0, 0]:.2f} of a far person. Right: the slope of smooth L1 "
    "falls to zero in the last three pixels; that of five times 1 - IoU stays above it there.",
)

# %% [markdown]
# On the left: one pixel costs a far person a fifth of its IoU, and a forklift a twentieth. So the first help is
# **larger pictures**: the large networks look at 216 × 288 pixels, and no longer at 192 × 256, for 1.29<!-- = 660 / 513
# --> times the multiply-adds.
#
# On the right is the second. Smooth L1 is *square* near zero: the closer a box gets, the more weakly it is pulled. It
# turns square where an offset is below 1, that is, by the variance of lesson 2, below a tenth of the box: for this
# person 2.9<!-- = 29 / 10 --> pixels, just where it matters. IoU has a corner at zero, and so has GIoU: they pull to
# the end. With the weight 1 they pull weakly: shifted by d, a box of width w has the IoU (w - d) / (w + d), whose slope
# begins with 2 / w, and the steepest slope of smooth L1 is 10 / w. So **GIoU gets the weight 5**.
#
# The third is the score. NMS keeps the box that scores best, and nobody has taught the score to know which box is best:
# cross-entropy wants all of the share for "person", whether the anchor's box lies well or badly. Let us ask for less.
# A positive whose box has the IoU q shall give q to its class and 1 - q to background:
#
# $$q \cdot \mathrm{CE}(\text{class}) + (1 - q) \cdot \mathrm{CE}(\text{background})
# = \mathrm{CE}(\text{class}) + (1 - q)\,(z_{\text{class}} - z_{\text{background}})$$
#
# where z are the logits; the sum inside softmax is the same in both, and drops out. It is one line in
# `ssdseg_ref.losses.iou_aware_loss`. Does the score know its box then?

# %% jupyter={"source_hidden": true}
figure, (left, right) = panels(2)
ordered, near_scores, near_ious = [], [], []
for boxes, scores, scene in zip(corners, shares, sharp_scenes, strict=True):
    overlaps = pairwise_iou(scene.boxes, boxes)
    for label, row in zip(scene.labels, overlaps, strict=True):
        near = np.flatnonzero((row >= 0.5) & (scores[:, label] >= 0.05))
        near_scores.extend(scores[near, label])
        near_ious.extend(row[near])
        better = row[near][:, None] - row[near][None]
        ordered.extend((scores[near, label][:, None] > scores[near, label][None])[better > 0.05])
some = np.random.default_rng(1).permutation(len(near_ious))[:3000]
left.plot(np.array(near_ious)[some], np.array(near_scores)[some], ".", color=figures.SKY, markersize=2)
left.set(xlabel="IoU of the box with the truth", ylabel="score", title="Every box of 0.05 or more, before NMS")


def one_vote(scene, index):
    """What is around one true box: those that vote, the best of them, their mean, and the IoU of both."""
    truth, boxes = sharp_scenes[scene].boxes[index], corners[scene]
    scores = shares[scene][:, sharp_scenes[scene].labels[index]]
    voting = np.flatnonzero((pairwise_iou([truth], boxes)[0] >= 0.5) & (scores >= 0.01))
    best = voting[[scores[voting].argmax()]]
    mean = average_boxes(boxes, scores, best)
    return boxes[voting], boxes[best], mean, *pairwise_iou([truth], np.concatenate([boxes[best], mean]))[0]


people = [(scene, index) for scene in range(40) for index in np.flatnonzero(sharp_scenes[scene].labels == 1)]
scene, index = max(people, key=lambda place: one_vote(*place)[4] - one_vote(*place)[3])  # one that gains much
truth = sharp_scenes[scene].boxes[index]
voting, best, mean, before, averaged = one_vote(scene, index)
draw_image(right, sharp_scenes[scene].image, fade=0.5)
STYLES = (
    (voting, {"color": "grey", "linewidth": 0.7}),
    (best, {"color": figures.PURPLE, "linewidth": 2, "linestyle": "--"}),
    (mean, {"color": figures.ORANGE, "linewidth": 3}),
    (truth[None], {"color": "black", "linewidth": 1}),
)
for boxes, style in STYLES:
    for xmin, ymin, xmax, ymax in boxes:
        right.plot([xmin, xmax, xmax, xmin, xmin], [ymin, ymin, ymax, ymax, ymin], **style)
middle, size = (truth[:2] + truth[2:]) / 2, np.max(truth[2:] - truth[:2]) * 0.65
right.set(xlim=(middle[0] - size, middle[0] + size), ylim=(middle[1] + size, middle[1] - size))
right.set_title(f"{len(voting)} boxes of one person: IoU {before:.2f}, averaged {averaged:.2f}", fontsize=10)
show(
    figure,
    alt=f"Left: scores rise with the IoU of their boxes, with much scatter. Right: {len(voting)} boxes around one "
    f"person; the best-scored has an IoU of {before:.2f} with the truth, their mean one of {averaged:.2f}.",
)
print(f"of two boxes of one thing, the one that lies better also scores better in {np.mean(ordered):.0%} of all pairs")

# %% [markdown]
# Not much. With plain cross-entropy, before, it was 69 %. Whether a box lies two pixels off is hard to tell from where
# it was predicted. Somebody who found a way to rank these boxes right would gain some three points more; that is an
# open question.
#
# The fourth costs no training at all. NMS throws away what overlaps the best box, but those boxes have looked at the
# same thing from other anchors, and erred in other directions. So let them **vote**: each kept box becomes the mean of
# all that overlap it by half or more, weighted by their scores and by how near they are. Above, on the right, is one
# that gains much: the thick box is the mean, the dashed one what NMS alone keeps, the thin black one the truth.

# %%
for name, vote in (("kept", as_kept), ("averaged", average_boxes)):
    by_iou = average_precisions(boxes_with(vote), sharp_scenes, COCO_IOU_THRESHOLDS, 3).mean(axis=1)
    print(f"{name:10}" + "".join(f"{ap:6.2f}" for ap in by_iou) + f"    mean {by_iou.mean():.3f}")

# %% [markdown]
# Look where the vote helps: not at 0.5, where the boxes were good enough, but at the strict end. All four together, on
# the 300 validation scenes:
#
# | `mobilenetv2` | mAP@[.5:.95] | person | at IoU 0.75 | at 0.9 | mIoU |
# |---|---|---|---|---|---|
# | trained as in this lesson, 192 × 256 | 0.730 | 0.691 | 0.84 | 0.34 | 0.874 |
# | the same, averaged | 0.744 | 0.704 | 0.86 | 0.37 | 0.874 |
# | trained on at 216 × 288 with the new losses | 0.787 | 0.756 | 0.89 | 0.51 | 0.897 |
# | the same, averaged | 0.806 | 0.771 | 0.90 | 0.55 | 0.897 |
# | trained on by Muon, in batches of 8, averaged | 0.834 | 0.819 | 0.92 | 0.64 | 0.925 |
# | at last without zooms, at half the rates, averaged | 0.845 | 0.831 | 0.93 | 0.65 | 0.929 |
#
# The last two rows have the losses of the row above them. The first has seen as many pictures again as that one, with
# the optimiser of section 6; the second has been trained on for a while with pictures as they will be: a third of
# those before were enlarged.
#
# The mask has gained as well, from the larger pictures and from the longer training. What was tried besides is in
# `docs/ablations.md`.

# %% [markdown]
# ## 14. Where to go from here
#
# - **Train longer**: `ssdseg train my_run --mine` trains your pieces with the whole recipe; `ssdseg train my_run
#   --preset reference` is the large network, about an hour. Each writes a log that TensorBoard shows.
# - **Your own pictures**: `ssdseg predict FOLDER --out RESULTS`. The networks know drawings, not photographs. What
#   would you need to teach them those? (`datasets/` says how to bring data in COCO's format.)
# - **What was tried, and with what result**, is in `docs/ablations.md`: anchors, finer decoders, losses, NMS.
# - **Papers** that go on from here: FCOS (no anchors), DETR (no NMS), Panoptic FPN (boxes and masks made one).
#
# ## 15. Compare with the reference
#
# Save the notebook (Ctrl + S) and type into a terminal:
#
#     ssdseg check 8      # runs your notebook from scratch, without the training, and counts your points
#     ssdseg compare 8    # your functions beside the reference's
#     ssdseg assemble     # the whole network from your functions, and whether it sees what the reference sees
#
# ## To remember
#
# - **Count the data** before anything else.
# - Augmentation changes picture, boxes and mask in the same way, exactly.
# - **One backbone, two heads**: the second costs little more than its own layers.
# - Losses that are **means** may be added; watch the parts.
# - AP: best precision still to come, at 101 recalls. A second box on the same thing is a false alarm.
# - **Choose on validation, report on test.**
# - Numbers say how much goes wrong, pictures say what.
#
# You have built a network that detects and segments, from its anchors to its average precision. Lesson 9 puts it on a
# phone.
#
# ## The papers
#
# - D. Eigen and R. Fergus 2015, *Predicting Depth, Surface Normals and Semantic Labels* (ICCV): median frequency.
# - H. Rezatofighi et al. 2019, *Generalized Intersection over Union* (CVPR): GIoU.
# - K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse and J. Bernstein 2024, *Muon: An optimizer for hidden
#   layers in neural networks* (a report on the web): steps that are equally long in every direction.
# - I. Loshchilov and F. Hutter 2019, *Decoupled Weight Decay Regularization* (ICLR): AdamW.
# - T.-Y. Lin et al. 2014, *Microsoft COCO* (ECCV), and its `pycocotools`.
# - Z. Tian et al. 2019, *FCOS* (ICCV); N. Carion et al. 2020, *DETR* (ECCV); A. Kirillov et al. 2019, *Panoptic Feature
#   Pyramid Networks* (CVPR).

# %% [markdown]
# ## An open challenge
#
# No points, and no right answer: how good can a network get in eight minutes? Write `my_training()`. It returns a dict
# of what you would do differently from a plain recipe (no zooms, all classes alike): of the network (its backbone, how
# wide, how large the pictures are, anchors, heads) and of the training (learning rate, weights of the classes, zooms,
# and more).
#
# A busy machine should harm nobody, so the budget is not in seconds. It is as many multiply-adds as the lesson's
# network needs for 7 epochs, about eight minutes on two cores. A network of half the work sees each scene twice as
# often, one of twice the work half as often. Which is better? Your score is the mean of mAP@.5 and mIoU, in percent,
# over 150 scenes that you have not seen. Take the `#` away below when you are ready; `ssdseg challenge 8` does the same
# in a terminal, and `ssdseg challenge 8 --task` says which settings there are.

# %%
from ssdseg_course import challenge


def my_training():
    """What is done otherwise than in `LESSON` and in a plain recipe."""
    return {"learning_rate": 0.003, "class_weights": (1, 2, 1.5, 2)}


challenge("08")  # the marks, and your attempts; the next line, without its "# ", trains for about eight minutes
# challenge("08", my_training)
