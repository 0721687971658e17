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
# # Lesson 6 - SSDLite: boxes from a map
#
# **You will be able to** put a detector's heads on a backbone, write the loss that trains them, say why most of the
# background must not count in it, and sift thousands of boxes down to those that people want to see.
#
# **You need** lesson 1 (anchors and their order), lesson 2 (matching, offsets) and lesson 4 (layers in Keras).
#
# **It takes** {time}. Every exercise is a good place to stop. When you come back, choose Run, Run All Cells in the
# menu: it stops at the first check that does not pass yet, and you go on from there.
#
# Stuck? `hint("06.prediction_head")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, draw_boxes, draw_image, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_course.explorers.mining import explore_mining
from ssdseg_course.explorers.suppression import explore_suppression
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.coding import decode, encode_targets
from ssdseg_ref.data.warehouse import CLASSES, SPLITS, render
from ssdseg_ref.multitask import LESSON, Predictor, load_network
from ssdseg_ref.nms import non_max_suppression as reference_nms

# %% [markdown]
# ## 1. The result, first
#
# On the left: what the trained network of lesson 0 *really* says, every box with a score of at least 0.3 for a person.
# On the right: what you will make of it. (No need to read the code that draws.)

# %%
network = load_network("lesson")
scenes = [render(SPLITS["test"][number], size=LESSON.image_size) for number in (19, 25)]
outputs = {name: np.asarray(value) for name, value in network(np.stack([scene.image for scene in scenes])).items()}
print({name: value.shape for name, value in outputs.items()})

# %% jupyter={"source_hidden": true}
logits = outputs["classes"][0]
shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
raw_boxes = np.clip(decode(outputs["offsets"][0], LESSON.anchors), 0, 1)
likely = np.flatnonzero(shares[:, 1] >= 0.3)
best = reference_nms(raw_boxes, shares[:, 1], score_threshold=0.3)
figure, axes = panels(2)
for panel, chosen, title in ((axes[0], likely, "as it comes"), (axes[1], best, "as it goes out")):
    draw_image(panel, scenes[0].image, fade=0.3)
    labels = [f"{shares[index, 1]:.2f}" for index in chosen] if chosen is best else ()
    draw_boxes(panel, raw_boxes[chosen], edgecolor=figures.ORANGE, linewidth=1.6, labels=labels)
    panel.set_title(f"{title}: {len(chosen)} boxes", fontsize=10)
show(
    figure,
    alt=f"A warehouse twice. Left: {len(likely)} boxes in bundles around the people, many almost the same. Right: "
    f"{len(best)}, one for each bundle, with their scores.",
)

# %% [markdown]
# For every one of its 2,428<!-- = len(multitask.LESSON.anchors) --> anchors the network gives four numbers for the
# classes (three and the background) and four offsets. This lesson has three parts: where these numbers **come from**
# (heads), how the network **learns** them (a loss), and how they become boxes that can be **used** (NMS).

# %% [markdown]
# ## 2. Coarser maps
#
# A backbone ends at stride 32: on a picture of 160 × 224 that is a map of 5<!-- = 160 / 32 --> × 7<!-- = 224 / 32 -->.
# A forklift right in front of the camera fills half the picture. Which cell is to see it as a whole? Lesson 1's answer
# was: one of a coarser map, with larger anchors. So after the backbone we let the map shrink further, step by step.
# Each **extra map** is made from the one before by a small block:
#
# 1. **squeeze**: pointwise, to *half* the channels that the map will have;
# 2. **depthwise** 3 × 3 of stride 2;
# 3. **pointwise** to the map's channels.
#
# In the SSD of 2016, steps 2 and 3 were one plain 3 × 3 convolution. MobileNetV2's authors took it apart, in the heads
# as well, and called the result **SSDLite**: on their backbone it reduced the heads from 14.8 to 2.1 million
# parameters, and from 1.25 to 0.35 billion multiply-adds (Sandler et al. 2018, table 5).
#
# The two blocks of lesson 4, with ReLU6 unless you say otherwise:


# %%
def conv_bn(x, filters, kernel_size, stride, activation="relu6"):
    """Convolution, batch normalisation, activation."""
    x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)


def depthwise_bn(x, kernel_size, stride, activation="relu6"):
    """Depthwise convolution, batch normalisation, activation."""
    x = layers.DepthwiseConv2D(kernel_size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)


# %% [markdown]
# ### {06.extra_maps}
#
# Write `extra_maps(x, channels)`: `x` is the backbone's last map, `channels` a list with the channels of each extra
# map, all even. Return the list of the extra maps, the largest first. The first is made from `x`, the second from the
# first, and so on.


# %% nbgrader={"grade_id": "extra_maps", "solution": true}
def extra_maps(x, channels):
    """Ever coarser maps, each half the size of the one before: a list of (B, H, W, channels)."""
    ### BEGIN SOLUTION
    maps = []
    for filters in channels:
        x = conv_bn(x, filters // 2, 1, 1)
        x = depthwise_bn(x, 3, 2)
        x = conv_bn(x, filters, 1, 1)
        maps.append(x)
    return maps
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_extra_maps", "grade": true}
check("06.extra_maps", extra_maps)

# %%
with after("6.1"):
    for extra in extra_maps(keras.Input((5, 7, 320)), [256, 128, 64]):
        print("a map of", extra.shape[1:])

# %% [markdown]
# From 5 × 7 to 3<!-- = np.ceil(5 / 2) --> × 4<!-- = np.ceil(7 / 2) -->, to 2 × 2, to 1 × 1: odd sides are rounded up.
# Our lesson network has one of them; a picture of 320 × 320 would need more.

# %% [markdown]
# ## 3. A head
#
# Each cell of a map has $A$ anchors. For each anchor the head has to give $V$ numbers: $V = K + 1$ for $K$ classes and
# the background, $V = 4$ for the offsets. So it gives $A \cdot V$ numbers in every cell, and that is simply a
# convolution with $A \cdot V$ channels. A head looks around once, depthwise, then predicts, pointwise.
#
# What comes out has the shape (B, H, W, A·V). Anchors, though, are a long list: row by row, cell by cell, anchor by
# anchor (lesson 1). *Take a pencil:* a map of 1 × 2 cells, 2 anchors per cell, 3 numbers per anchor. Number them 0 to
# 11 as they lie in memory (the last axis moves fastest). Which of them belong to the second anchor of the first cell?
#
# <details><summary>Compare</summary>
#
# Cell 0 has the numbers 0 to 5, cell 1 those from 6 to 11. The first anchor of cell 0 has 0, 1, 2, the second 3, 4, 5.
# So in memory everything is already in the right order: it only has to be cut into rows of 3.
#
# </details>

# %% jupyter={"source_hidden": true}
figure, (axes,) = panels(1, image_size=(1, 4.5))
for row in range(4):
    cell, anchor = divmod(row, 2)
    color, hatch = ((figures.BLUE, ""), (figures.ORANGE, "////"))[anchor]
    numbers = np.arange(3 * row, 3 * row + 3)
    axes.bar(numbers, 0.7, 0.92, bottom=1.6, color=color, hatch=hatch, edgecolor="black", align="edge")
    for number in numbers:
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(number + 0.46, 1.95, str(number), ha="center", va="center", bbox=ground)
    words = f"row {row}: " + "  ".join(map(str, numbers)) + f"\ncell {cell}, anchor {anchor}"
    axes.text(numbers[1] + 0.46, 0.8, words, ha="center", va="center", fontsize=9)
for cell in range(2):
    axes.text(6 * cell + 3, 2.5, f"channels of cell {cell}", ha="center", fontsize=9)
axes.set(xlim=(-0.3, 12.3), ylim=(0.2, 2.9), xticks=[], yticks=[])
show(
    figure,
    alt="Twelve boxes in a line, numbered 0 to 11: six channels of cell 0, then six of cell 1; in each three plain "
    "ones for anchor 0 and three striped ones for anchor 1. Below them the rows: 0 1 2, 3 4 5, 6 7 8, 9 10 11.",
)

# %% [markdown]
# After the last convolution comes **nothing**: no normalisation and no activation. An offset may be negative and a
# logit may be anything; a ReLU there could never say "a little to the left". So this convolution has a bias. Only the
# last convolutions of the heads have one: these, and that of the mask in lesson 7.
#
# ### {06.prediction_head}
#
# Write `prediction_head(x, anchors_per_cell, values)`: a depthwise 3 × 3 block (with ReLU6), then *one* last
# convolution for all the anchors of a cell, then the cut into rows by `layers.Reshape((-1, values))`. Out comes (B,
# H·W·A, values).


# %% nbgrader={"grade_id": "prediction_head", "solution": true}
def prediction_head(x, anchors_per_cell, values):
    """`values` numbers for every anchor of every cell of (B, H, W, C): (B, H * W * anchors_per_cell, values)."""
    ### BEGIN SOLUTION
    x = depthwise_bn(x, 3, 1)
    x = layers.Conv2D(anchors_per_cell * values, 1)(x)
    return layers.Reshape((-1, values))(x)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_prediction_head", "grade": true}
check("06.prediction_head", prediction_head)

# %% [markdown]
# Two heads on every map, one for classes, one for offsets, and all maps' rows in one long list. These are the maps of
# our lesson network:

# %%
with after("6.2"):
    feature_maps = [keras.Input((*size, 64)) for size in LESSON.anchor_spec.feature_maps]
    per_cell = LESSON.anchor_spec.anchors_per_cell
    heads = [prediction_head(x, count, len(CLASSES) + 1) for x, count in zip(feature_maps, per_cell, strict=True)]
    for size, count, rows in zip(LESSON.anchor_spec.feature_maps, per_cell, heads, strict=True):
        print(f"map {size[0]:2} × {size[1]:2}, {count} anchors per cell: {rows.shape[1]:5} rows")
    print(f"together{layers.Concatenate(axis=1)(heads).shape[1]:27} rows; anchors: {len(LESSON.anchors)}")

# %% [markdown]
# ## 4. Softmax, background, and a loss
#
# Each row of the class head has $K + 1$ **logits** $z_k$, which may be any numbers. **Softmax** turns them into shares
# that are positive and add up to 1:
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}$$
#
# The first of them, $k = 0$, is the **background**. Why a class of its own? An anchor has to be able to say "nothing
# here", and most anchors should.
#
# How wrong is a row? Look at the share that it gives to the class that is *true*. The **cross-entropy** is minus its
# logarithm: 0 where the share is 1, 0.69<!-- = -np.log(1 / 2) --> where it is one half,
# 4.6<!-- = -np.log(1 / 100) --> where it is one hundredth.
#
# There is one trap. With logits such as 500 and 0, the second share is $e^{-500}$, which a computer rounds to 0, and
# its logarithm is minus infinity. Yet the logarithm itself is simple: $\log p_k = z_k - \log \sum_j e^{z_j}$, here
# $-500$. `ops.log_softmax` computes it this way.
#
# **What is `ops`?** `keras.ops` has NumPy's functions under NumPy's names: `ops.sum`, `ops.abs`, `ops.where`. But they
# remember how a number came about, so Keras can compute **gradients**: in which direction each weight has to move to
# make the loss smaller. And a function written with `ops` becomes a *graph*, which runs without Python. That demands
# two things of you: no `np` in a loss, and no Python `if` or `for` over the numbers. You know this from NumPy: whole
# arrays at once.

# %%
x = ops.convert_to_tensor([[1.0, -2.0, 3.0]])
print("sizes:          ", np.asarray(ops.abs(x)))
print("shares:         ", np.asarray(ops.softmax(x)).round(3))
print("a choice:       ", np.asarray(ops.where(x > 0, x, 0.0)))
print("a 1 at the class:", np.asarray(ops.one_hot(ops.convert_to_tensor([2]), 3)))

# %% [markdown]
# ### {06.class_cross_entropy}
#
# Write `class_cross_entropy(classes, logits)`: `classes` holds whole numbers, the true class of each row, and `logits`
# has one more axis, the last, of K + 1 numbers. One loss per row comes back, in the shape of `classes`: that may be (B,
# N) for anchors, (B, H, W) for pixels in lesson 7, or any other. The check looks at the gradients, too.


# %% nbgrader={"grade_id": "class_cross_entropy", "solution": true}
def class_cross_entropy(classes, logits):
    """Minus the logarithm of the share of the true class: (...) from logits (..., K + 1)."""
    ### BEGIN SOLUTION
    true_class = ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype)
    return -ops.sum(true_class * ops.log_softmax(logits, axis=-1), axis=-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_class_cross_entropy", "grade": true}
check("06.class_cross_entropy", class_cross_entropy)

# %% [markdown]
# ## 5. Smooth L1
#
# For offsets we need a distance between what the head says and what it should say. With $d = |\text{truth} -
# \text{prediction}|$, it could be
#
# - the **square**, $\tfrac12 d^2$: gentle near zero; but far out its gradient grows with $d$, and a single wild box
#   drags all weights along with it;
# - the plain distance, $d$, **L1**: the gradient is 1 everywhere, even where everything is nearly right, so the network
#   never comes to rest.
#
# **Smooth L1** takes the best of both (Girshick 2015):
#
# $$\text{smooth}_{L1}(d) = \begin{cases} \tfrac12 d^2 & d < 1 \\ d - \tfrac12 & \text{otherwise} \end{cases}$$

# %% jupyter={"source_hidden": true}
figure, axes = panels(2, image_size=(1, 1.9))
d = np.linspace(-3, 3, 301)
curves = {
    "square": (0.5 * d**2, d, ":", figures.BLUE),
    "L1": (abs(d), np.where(np.isclose(d, 0), np.nan, np.sign(d)), "--", figures.GREEN),  # at 0 it has none
    "smooth L1": (np.where(abs(d) < 1, 0.5 * d**2, abs(d) - 0.5), np.clip(d, -1, 1), "-", figures.VERMILION),
}
for name, (loss, slope, style, color) in curves.items():
    axes[0].plot(d, loss, linestyle=style, color=color, label=name, linewidth=2)
    axes[1].plot(d, slope, linestyle=style, color=color, label=name, linewidth=2)
axes[0].set(ylim=(0, 4), title="loss", xlabel="prediction - truth")
axes[1].set(title="gradient", xlabel="prediction - truth")
axes[0].legend()
show(
    figure,
    alt="Two panels. Left: the losses over the difference from -3 to 3: the square, dotted, rises fastest; L1, dashed, "
    "is a V; smooth L1, solid, is round near zero and runs parallel to the V, half below it. Right: their gradients: a "
    "straight rising line; a step from -1 to 1; and a line that rises from -1 to 1 between -1 and 1 and is flat "
    "elsewhere.",
)

# %% [markdown]
# ### {06.smooth_l1}
#
# Write `smooth_l1(truth, predicted)`, number by number: what comes back has their shape.


# %% nbgrader={"grade_id": "smooth_l1", "solution": true}
def smooth_l1(truth, predicted):
    """Half the square of the difference near zero, straight farther out; element by element."""
    ### BEGIN SOLUTION
    distance = ops.abs(truth - predicted)
    return ops.where(distance < 1, 0.5 * ops.square(distance), distance - 0.5)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_smooth_l1", "grade": true}
check("06.smooth_l1", smooth_l1)

# %% [markdown]
# ## 6. Too much nothing
#
# Match a scene as in lesson 2. Of its 2,428<!-- = len(multitask.LESSON.anchors) --> anchors, a few have a box: the
# **positives**. All others should say "background": the **negatives**. Let us add up what each kind contributes to the
# class loss, for a network that knows nothing yet and for the trained one:

# %%
targets = [encode_targets(scene.boxes, scene.labels, LESSON.anchors) for scene in scenes]
classes, offsets = (np.stack(parts) for parts in zip(*targets, strict=True))

with after("6.3"):
    for name, class_logits in (("fresh", np.zeros_like(outputs["classes"])), ("trained", outputs["classes"])):
        losses = np.asarray(class_cross_entropy(classes, ops.convert_to_tensor(class_logits)))
        positive = classes > 0
        print(
            f"{name:8} {positive[0].sum()} positives: {losses[0][positive[0]].sum():7.1f}   "
            f"{(~positive[0]).sum()} negatives: {losses[0][~positive[0]].sum():7.1f}"
        )
    easy = np.sort(losses[0][~positive[0]])[: -3 * positive[0].sum()]
    print(f"trained, all but the hardest: {len(easy)} negatives: {easy.sum():7.1f}, on average {easy.mean():.3f}")

# %% [markdown]
# In the beginning the negatives have 53<!-- = 3303.5 / 62.4 --> times the weight of the positives. A network that
# always says "background" would be nearly perfect, and that is what it learns first, and perhaps all that it learns. In
# the end, in a trained network, most negatives have become easy: pieces of floor that it is sure of, each with a loss
# of 0.002<!-- above --> on average. All 2248<!-- above --> of them together amount to 4.1<!-- above -->, a tenth of the
# positives. They have fallen silent. But they have to be silenced first, and until then, which is a large part of a
# training, they drown all that matters; in section 10 you can watch it.
#
# **Hard negative mining** (Liu et al. 2016): of the negatives, only the *hardest* count, those with the largest losses,
# three for each positive. The floor is left alone; the barrel that looks like a person is trained on.
#
# Two details decide whether that works.
#
# - **Each image by itself.** Mined over a whole batch, images compete for places: the total is right, three for each
#   positive, but which image gets them depends on what else is in the batch.
# - **An image without any box** has no positives, and three times none is none. It would teach nothing at all, though
#   it is what best teaches what is *not* there. So we take at least three negatives per image.
#
# ### {06.mine_hard_negatives}
#
# Write `mine_hard_negatives(losses, positive)`: `losses` is (B, N), `positive` (B, N) of true and false. Return (B, N)
# of true and false, the negatives that count: in each image three per positive, at least three, and no more than there
# are negatives. Where several are equally hard, any of them will do, but never more than that number in all. (A network
# may be so sure of a piece of floor that its loss is exactly 0.)
#
# A trick for the rank of each anchor, without a loop: `ops.argsort` says which is first, second, third. The argsort *of
# that* says which place each one has:

# %%
hardness = ops.convert_to_tensor([[0.2, 0.9, 0.1, 0.5]])
order = ops.argsort(-hardness, axis=1)
print("which is first, second, ...: ", np.asarray(order))
print("each one's place:            ", np.asarray(ops.argsort(order, axis=1)))


# %% nbgrader={"grade_id": "mine_hard_negatives", "solution": true}
def mine_hard_negatives(losses, positive):
    """The hardest negatives of each image, three per positive and at least three: (B, N) bool."""
    ### BEGIN SOLUTION
    anchors = ops.shape(losses)[1]
    found = ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
    wanted = ops.minimum(ops.maximum(3 * found, 3), anchors - found)
    hardness = ops.where(positive, -1.0, losses)  # no loss is below 0, so positives come last
    rank = ops.argsort(ops.argsort(-hardness, axis=1), axis=1)
    return ops.cast(rank, "int32") < wanted
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_mine_hard_negatives", "grade": true}
check("06.mine_hard_negatives", mine_hard_negatives)

# %% [markdown]
# Our two scenes: one crowded, one nearly empty. What does each get, mined by itself, and mined over both together?

# %%
with after("6.3", "6.5"):
    losses = class_cross_entropy(classes, ops.convert_to_tensor(outputs["classes"]))
    positive = ops.convert_to_tensor(classes > 0)
    by_image = np.asarray(mine_hard_negatives(losses, positive)).sum(axis=1)
    flat = mine_hard_negatives(ops.reshape(losses, (1, -1)), ops.reshape(positive, (1, -1)))
    over_both = np.asarray(flat).reshape(classes.shape).sum(axis=1)
    for number in range(2):
        print(
            f"scene {number}: {(classes[number] > 0).sum():2} positives, negatives mined by itself "
            f"{by_image[number]:3}, over both {over_both[number]:3}"
        )

# %% [markdown]
# Which anchors are they? Those that the network takes for something. The five hardest are numbered, with what it takes
# them for and how surely. Can you blame it? Here most of the mined ones lie on a person or a forklift after all, and
# overlap its box by a little less than the 0.5 that would have made them positives: the line between positive and
# negative is sharp, and the network cannot see it.

# %%
explore_mining(scene=19)

# %% [markdown]
# ## 7. The multibox loss
#
# Now the whole loss of the detector. With $P$ positives in the batch:
#
# $$L_{class} = \frac{1}{P} \sum_{\text{positives and mined}} \text{cross-entropy}, \qquad
# L_{box} = \frac{1}{P} \sum_{\text{positives}} \text{smooth}_{L1} \text{ of the four offsets, added up}$$
#
# A negative has no box, so its offsets have no target. And what if the batch has hardly any positives? Then a few would
# be divided by a small number, and the mined negatives of empty images would weigh far too much. So we divide by the
# **number of images**, where that is larger.
#
# One more detail: no gradient should flow through the choice of negatives. `ops.stop_gradient(losses)` gives the mining
# the numbers without their history.
#
# ### {06.multibox_loss}
#
# Write `multibox_loss(classes, offsets, class_logits, predicted_offsets)`, from what you have: `classes` (B, N), 0 for
# background, and `offsets` (B, N, 4) are the targets; `class_logits` (B, N, K + 1) and `predicted_offsets` (B, N, 4)
# are what the network says. Return two numbers, class loss and box loss. (The first case of the check is one image of
# four anchors, whose cross-entropies are the logarithms of 2, 4, 8 and 2: if it fails, take a pencil.)


# %% nbgrader={"grade_id": "multibox_loss", "solution": true}
def multibox_loss(classes, offsets, class_logits, predicted_offsets):
    """The loss of the classes and that of the boxes, two scalars."""
    ### BEGIN SOLUTION
    positive = classes > 0
    losses = class_cross_entropy(classes, class_logits)
    counted = ops.logical_or(positive, mine_hard_negatives(ops.stop_gradient(losses), positive))
    images = ops.cast(ops.shape(losses)[0], losses.dtype)
    divisor = ops.maximum(ops.sum(ops.cast(positive, losses.dtype)), images)
    distances = ops.sum(smooth_l1(offsets, predicted_offsets), axis=-1)
    class_loss = ops.sum(ops.where(counted, losses, 0.0)) / divisor
    box_loss = ops.sum(ops.where(positive, distances, 0.0)) / divisor
    return class_loss, box_loss
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_multibox_loss", "grade": true}
check("06.multibox_loss", multibox_loss)

# %%
with after("6.6"):
    wanted = [ops.convert_to_tensor(part) for part in (classes, offsets)]
    for name, scale in (("fresh", 0.0), ("trained", 1.0)):
        said = [ops.convert_to_tensor(scale * outputs[part]) for part in ("classes", "offsets")]
        class_loss, box_loss = (float(part) for part in multibox_loss(*wanted, *said))
        print(f"{name:8} class loss {class_loss:.2f}, box loss {box_loss:.2f}")

# %% [markdown]
# ## 8. Only the best stays
#
# The network is trained, and gives 2,428<!-- = len(multitask.LESSON.anchors) --> boxes for each class. Section 1 showed
# why we cannot leave it at that: many anchors see the same person, and each is right to say so. **Non-maximum
# suppression** (NMS), for one class at a time:
#
# 1. Leave out the boxes with a low score.
# 2. The best of those that are left is **kept**.
# 3. Whatever overlaps it by an IoU **over** the threshold is the same thing once more: drop it.
# 4. Repeat from step 2 with what is left, until nothing is left or enough are kept.
#
# *Take a pencil:* three boxes in a row, with the scores 0.9, 0.8 and 0.7. The first overlaps the second by 0.6, the
# second the third by 0.6, the first the third by 0.33. The threshold is 0.5. Which are kept?
#
# <details><summary>Compare</summary>
#
# The first is kept and drops the second. The third overlaps the first by only 0.33, so it stays and is kept. That the
# second would have dropped it does not matter: it is gone.
#
# </details>
#
# ### {06.non_max_suppression}
#
# Write `non_max_suppression(boxes, scores, iou_threshold, score_threshold, max_detections)`, in NumPy again, for boxes
# (N, 4) and scores (N,) of one class. A score equal to the threshold takes part; an IoU equal to the threshold does no
# harm. Return the **indices** of the kept boxes, best first, at most `max_detections`. `pairwise_iou(a, b)` is lesson
# 2's IoU of every box with every other; there may be no boxes at all.


# %% nbgrader={"grade_id": "non_max_suppression", "solution": true}
def non_max_suppression(boxes, scores, iou_threshold, score_threshold, max_detections):
    """Indices (D,) of the boxes that are kept, best first."""
    ### BEGIN SOLUTION
    candidates = np.flatnonzero(scores >= score_threshold)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    kept = []
    while len(candidates) and len(kept) < max_detections:
        best, rest = candidates[0], candidates[1:]
        kept.append(best)
        candidates = rest[pairwise_iou(boxes[[best]], boxes[rest])[0] <= iou_threshold]
    return np.array(kept, np.int64)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_non_max_suppression", "grade": true}
check("06.non_max_suppression", non_max_suppression)

# %% [markdown]
# Both thresholds are a trade-off. A low IoU threshold also drops a person who stands behind another; a high one leaves
# duplicates. A low score threshold lets ghosts in, a high one loses people. Move them:

# %%
explore_suppression(scene=19)

# %% [markdown]
# In lesson 8 the thresholds are *chosen*, on scenes kept for that purpose.
#
# A trap that costs many projects their detections: the background is a class of the softmax, but **not a class of
# boxes**. If NMS runs over class 0 as well, boxes of pure floor, with the best scores of all, take up the places that
# `max_detections` allows.
#
# ## 9. From numbers to boxes
#
# Everything together, with your functions: softmax, decode (lesson 2), clip to the picture, NMS for each class.

# %% jupyter={"source_hidden": true}
with after("6.7"):
    figure, axes = panels(2)
    found_by_you = []
    for panel, scene, class_logits, predicted in zip(axes, scenes, outputs["classes"], outputs["offsets"], strict=True):
        shares = np.asarray(ops.softmax(ops.convert_to_tensor(class_logits)))
        boxes = np.clip(decode(predicted, LESSON.anchors), 0, 1)
        draw_image(panel, scene.image, fade=0.3)
        count = 0
        for label, (name, style) in enumerate(zip(CLASSES, ("-", (0, (4, 1.5)), (0, (1, 1.2))), strict=True), start=1):
            kept = np.asarray(non_max_suppression(boxes, shares[:, label], 0.45, 0.4, 100), int)
            words = [f"{name} {shares[index, label]:.2f}" for index in kept]
            draw_boxes(panel, boxes[kept], edgecolor=figures.ORANGE, linewidth=2, linestyle=style, labels=words)
            count += len(kept)
        found_by_you.append(count)
        panel.set_title(f"{count} found", fontsize=10)
    show(
        figure,
        alt=f"Two warehouse scenes with the boxes that are left: {found_by_you[0]} in the first, {found_by_you[1]} in "
        "the second; people in solid lines, forklifts dashed, monorails dotted, each with its name and score.",
    )

# %%
with after("6.7"):
    predictor = Predictor(network, LESSON, score_threshold=0.4, iou_threshold=0.45, gate_pixels=0)
    found_by_reference = [len(prediction.boxes) for prediction in predictor([scene.image for scene in scenes])]
    print("found by you:", found_by_you, "  by the reference:", found_by_reference)

# %% [markdown]
# ## 10. Fit one batch
#
# Now something learns, with your functions. To see whether heads and loss work at all, people take *one* batch and fit
# it again and again: if a network cannot learn eight pictures by heart, something is broken, and no long training will
# mend it. The backbone is the trained one of lesson 0 and stays as it is; on its three maps stand **your** extra map
# and **your** heads, fresh, and **your** loss fits them for fifty steps: twice, from the same beginning, in a quarter
# of a minute on two cores.
#
# - **with mining**: your `multibox_loss`;
# - **all negatives**: the same, but in the class loss every negative counts.
#
# An object is found if a box of its class, with a score of at least 0.5, overlaps it by an IoU of at least 0.5. In the
# picture, dashed boxes are what the heads say, white ones what they miss.
#
# *Predict:* how does the class loss of the **positives**, the anchors with a box, go in the first ten steps?


# %%
MINED, EVERY = "with mining", "all negatives"
PREDICTED = {MINED: "", EVERY: ""}  # write "falls", "stays" or "rises" between the quotation marks

# %%
MODE = how_to_train()  # "full" for you; less in a check or an automatic test, where nobody waits for it
STEPS = 50 if MODE == "full" else 2
batch = [render(seed, size=LESSON.image_size) for seed in SPLITS["train"][:8]]
fitted = 6  # the scene that you will see
parts = zip(*[encode_targets(scene.boxes, scene.labels, LESSON.anchors) for scene in batch], strict=True)
true_classes, true_offsets = (tf.constant(np.stack(part)) for part in parts)
has_box = np.asarray(true_classes) > 0


def fresh_heads(maps):
    """Your extra map and your heads, on maps like those of the backbone: class logits and offsets for all anchors."""
    inputs = [keras.Input(x.shape[1:]) for x in maps]
    feature_maps = inputs + extra_maps(inputs[-1], [96])
    sides = list(zip(feature_maps, LESSON.anchor_spec.anchors_per_cell, strict=True))
    classes, offsets = (
        layers.Concatenate(axis=1)([prediction_head(x, count, values) for x, count in sides])
        for values in (len(CLASSES) + 1, 4)
    )
    return keras.Model(inputs, [classes, offsets])


def make_step(maps, mining):
    """A function that takes one step with fresh heads, and gives what they said before it."""
    keras.utils.set_random_seed(1)
    heads, optimizer = fresh_heads(maps), keras.optimizers.Adam(0.01)

    @tf.function  # as a graph, which is faster
    def step():
        with tf.GradientTape() as tape:
            logits, offsets = heads(maps, training=True)
            class_loss, box_loss = multibox_loss(true_classes, true_offsets, logits, offsets)
            losses = class_cross_entropy(true_classes, logits)
            if not mining:  # the same sum over all anchors, divided by the same number of positives
                class_loss = tf.reduce_sum(losses) / has_box.sum()
            loss = class_loss + box_loss
        gradients = tape.gradient(loss, heads.trainable_weights)
        optimizer.apply(gradients, heads.trainable_weights)
        return logits, offsets, class_loss, losses

    return step


# %% jupyter={"source_hidden": true}
def boxes_said(logits, offsets):
    """What is left of one image's rows, by your NMS: class, box and score of each."""
    shares, boxes = np.asarray(ops.softmax(logits)), np.clip(decode(np.asarray(offsets), LESSON.anchors), 0, 1)
    kept = [(label, index) for label in range(1, len(CLASSES) + 1)
            for index in np.asarray(non_max_suppression(boxes, shares[:, label], 0.45, 0.5, 100), int)]  # fmt: skip
    return [(label, boxes[index], shares[index, label]) for label, index in kept]


def found_of(scene, said):
    """Which of its boxes are among those that were said, of their class and with an IoU of at least 0.5."""
    overlaps = [
        max((pairwise_iou(box[None], guess[None])[0, 0] for name, guess, _ in said if name == label), default=0)
        for box, label in zip(scene.boxes, scene.labels, strict=True)
    ]
    return np.array(overlaps) >= 0.5


def draw_fit(curves, said):
    """The class loss of the positives so far, and one scene with the boxes that both sets of heads say now."""
    figure, axes = panels(3, image_size=(1, 1.35))
    for (name, curve), (style, marker, color) in zip(
        curves.items(), (("-", "o", figures.BLUE), ("--", "s", figures.VERMILION)), strict=True
    ):
        axes[0].plot(curve, linestyle=style, marker=marker, markevery=5, color=color, label=name)
    axes[0].axhline(np.log(len(CLASSES) + 1), color="black", linewidth=1, linestyle=":", label="knows nothing")
    axes[0].set(xlim=(-1, STEPS), ylim=(0, 6.5), xlabel="step")
    axes[0].set_title("class loss of a positive", fontsize=10)
    axes[0].legend(fontsize=8)
    found = {name: found_of(batch[fitted], each) for name, each in said.items()}
    counts = {name: f"{which.sum()} of {len(which)}" for name, which in found.items()}
    for panel, (name, each) in zip(axes[1:], said.items(), strict=True):
        draw_image(panel, batch[fitted].image, fade=0.3)
        draw_boxes(panel, batch[fitted].boxes[~found[name]], **figures.TRUTH)
        words = [f"{CLASSES[label - 1]} {score:.2f}" for label, _, score in each]
        draw_boxes(
            panel, [box for _, box, _ in each], edgecolor=figures.ORANGE, linestyle="--", linewidth=2, labels=words
        )
        panel.set_title(f"{name}: finds {counts[name]}", fontsize=10)
    steps = len(curves[MINED])
    return figure, (
        f"After {steps} steps. Left, two curves: with mining the class loss of a positive went from "
        f"{curves[MINED][0]:.1f} to {curves[MINED][-1]:.1f}; with all negatives from {curves[EVERY][0]:.1f} up to "
        f"{max(curves[EVERY]):.1f} and down to {curves[EVERY][-1]:.1f}; a dotted line at {np.log(4):.1f}. Then a scene "
        "twice, with the boxes that the heads say, dashed, and those that they miss, white: with mining they find "
        f"{counts[MINED]}, with all negatives {counts[EVERY]}."
    )


# %%
with after("6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7"):
    if MODE != "skip":
        taps = [network.get_layer(f"map{number}_classes_depthwise").input for number in (1, 2, 3)]
        maps = keras.Model(network.input, taps)(np.stack([scene.image for scene in batch]))
        fits = {MINED: make_step(maps, True), EVERY: make_step(maps, False)}
        curves, picture, lines = {name: [] for name in fits}, LivePicture(), []
        for number in range(STEPS):
            said = {}
            for name, step in fits.items():
                logits, offsets, class_loss, losses = (np.asarray(part) for part in step())
                own = losses[has_box].mean()
                curves[name].append(own)
                said[name] = boxes_said(logits[fitted], offsets[fitted])
                if number in (0, 5, 10, 20, 30, STEPS - 1):
                    found = [
                        found_of(scene, boxes_said(*rows)) for scene, *rows in zip(batch, logits, offsets, strict=True)
                    ]
                    found = np.concatenate(found)
                    words = f"step {number:2}, {name:13}{own:24.2f}{class_loss - own:15.2f}"
                    lines.append(f"{words}{found.sum():15} of {len(found)}")
            if number % 5 == 0:
                picture.draw(*draw_fit(curves, said))
        picture.leave(*draw_fit(curves, said))
        print(f"{'class loss':>31} of positives   of negatives   objects found", *lines, sep="\n")
        print("You predicted:", PREDICTED)

# %% [markdown]
# What we saw in our run (yours may differ in the last digit): with mining the class loss of a positive falls from
# 1.88<!-- above --> to 1.18<!-- above --> in five steps (then it rises a little, to 1.31<!-- above --> after ten, while
# the mined negatives are being learned, and falls again). With all negatives it **rises**, to 6.23<!-- above --> after
# ten. A network that knows nothing, and calls all four classes equally likely, has 1.39<!-- = np.log(4) -->. (Fresh
# heads have more: what they say is random, and what they find is luck.) So the second heads have learned something that
# is worse than nothing: that there is never anything. After five steps they find
# 2<!-- above --> of the 26<!-- above --> objects in the eight scenes; the others find 18<!-- above -->.
#
# The first two lines say why. Mined, the negatives weigh 7<!-- = 13.44 / 1.88 --> times as much as the positives.
# When all count, they weigh 99<!-- = 186.44 / 1.88 --> times as much, and all pull the same way: more background,
# everywhere. What the positives pull for is drowned. (Dividing by the number of anchors in place of positives
# would not help: the loss gets smaller, the shares in it do not.)
#
# Then it turns. Once the background is learned, the negatives have little left to say, and the positives are heard: the
# second set of heads now learns the same things, late, and first has to unlearn. After fifty steps a positive still has
# 1.67<!-- above -->, and 19<!-- above --> objects are found, one more than the others found after five. On one batch
# it comes nearer all the same, for in every step it sees the same negatives, which soon are all easy. In a training of
# many pictures new floors keep coming.
#
# And the test? With mining 26<!-- above --> of the 26<!-- above --> objects are found after fifty steps: nothing is
# broken.

# %% [markdown]
# ## 11. Compare with the reference
#
# The package's own versions are `ssdseg_ref/ssdlite.py`, `ssdseg_ref/losses.py` and `ssdseg_ref/nms.py`. They start the
# last convolution of each head near zero, so that a fresh network finds every class equally likely and every box where
# its anchor is. (Keras's own initialisation would only make the first losses larger.) Save the notebook (Ctrl + S) and
# type into a terminal:
#
#     ssdseg check 6      # runs your notebook from scratch, and counts your points
#     ssdseg compare 6    # your functions beside the reference's
#     ssdseg assemble     # the joint network, with your functions in it
#
# ## To remember
#
# - A head is a convolution with (anchors per cell) × (numbers per anchor) channels, cut into rows in the anchors'
#   order. Nothing comes after it.
# - **Background is a class** of the softmax, but not of the boxes.
# - Compute cross-entropy by `log_softmax`; smooth L1 is round near zero and straight far out.
# - **Hard negative mining**: three per positive, each image by itself, at least three. Without it the background is
#   learned first, and what you look for is drowned for a long time.
# - Before a long training, **fit one batch**: a network that cannot learn that by heart will not learn more.
# - Only positives have a box to learn.
# - **NMS** keeps the best and drops what overlaps it; what is dropped suppresses nothing.
#
# *To think about:* two people stand one behind the other, and their boxes overlap by 0.7. Can any IoU threshold show
# both, without duplicates? What would a network need to say so that one could tell?
#
# **Next:** lesson 7, DeepLabV3+: a class for every pixel.
#
# ## The papers
#
# - W. Liu et al. 2016, *SSD: Single Shot MultiBox Detector* (ECCV, arXiv 1512.02325): section 2.2 has the loss, mining
#   and NMS.
# - M. Sandler et al. 2018, *MobileNetV2* (CVPR): section 6.2, SSDLite.
# - R. Girshick 2015, *Fast R-CNN* (ICCV): smooth L1, equation 3.
# - A. Shrivastava et al. 2016, *Training Region-based Object Detectors with Online Hard Example Mining* (CVPR): another
#   way of mining.

# %% [markdown]
# ## An open challenge
#
# No points this time, but a clock: 10,000 boxes, of which the best 200 that do not overlap are kept. The indices must
# be the reference's, and of equal scores the first box goes first. Your function compares each kept box with all that
# are left. Does it have to? Write `my_suppression(boxes, scores, iou_threshold, max_detections)`. It is compared with
# the reference first, then both are timed in turns, and your score is your time divided by the reference's: less is
# better. (`ssdseg challenge 6` does the same in a terminal.)

# %% tags=["timed"]
from ssdseg_course import challenge


def my_suppression(boxes, scores, iou_threshold, max_detections):
    """Indices of the boxes that are kept, best first."""
    return non_max_suppression(boxes, scores, iou_threshold, 0.0, max_detections)


challenge("06", my_suppression)
