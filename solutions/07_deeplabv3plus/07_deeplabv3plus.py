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
# # Lesson 7 - DeepLabV3+: a class for every pixel
#
# **You will be able to** let a network see far without losing detail, bring edges back that its backbone has lost,
# train it on classes that are rare, and measure it so that nobody is fooled, yourself included.
#
# **You need** lesson 3 (dilation), lesson 4 (layers in Keras) and from lesson 6 the cross-entropy and `keras.ops`.
#
# **It takes** {time}. Every exercise is a good place to stop. When you come back, choose Run, Run All Cells in the
# menu: it stops at the first check that does not pass yet, and you go on from there.
#
# Stuck? `hint("07.aspp")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from matplotlib.patches import Patch, Rectangle

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.diagrams import JOIN, MAP, WORK, draw_flow
from ssdseg_course.explorers.field_of_view import explore_field_of_view
from ssdseg_course.explorers.figures import after, draw_image, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_ref.data.augment import zoom
from ssdseg_ref.data.warehouse import CLASSES, SPLITS, render
from ssdseg_ref.losses import class_cross_entropy
from ssdseg_ref.mobilenetv2 import STAGES
from ssdseg_ref.multitask import LESSON, Predictor, load_network
from ssdseg_ref.plot import CLASS_COLOURS, draw_mask

# %% [markdown]
# ## 1. The result, first
#
# Boxes say where a thing is, roughly. A **mask** says it for every pixel: person, forklift, monorail, or background. On
# the left is a scene, in the middle its true mask, on the right what the small network of lesson 0 makes of it. (No
# need to read the code that draws.)

# %%
network = load_network("lesson")
scenes = [render(seed, size=LESSON.image_size) for seed in SPLITS["validation"][:40]]
predictions = Predictor(network, LESSON)([scene.image for scene in scenes])
masks = [scene.mask for scene in scenes]
predicted = [prediction.mask for prediction in predictions]


# %% jupyter={"source_hidden": true}
HATCHES = ("////", "....", "||||")  # one per class, so that colour never speaks alone


def paint(figure, axes, scene, masks_by_title):
    """The scene under each mask, one panel per mask: a colour and a hatch for each class, and a legend for both."""
    for panel, (title, mask) in zip(axes, masks_by_title.items(), strict=True):
        draw_mask(panel, scene.image, mask)
        for label, hatch in enumerate(HATCHES, start=1):
            if (mask == label).any():
                panel.contourf(mask == label, levels=[0.5, 1.5], colors="none", hatches=[hatch])
        panel.set_title(title, fontsize=10)
    patches = [
        Patch(facecolor=CLASS_COLOURS[label - 1], hatch=HATCHES[label - 1], edgecolor="black", label=name)
        for label, name in enumerate(CLASSES, start=1)
        if any((mask == label).any() for mask in masks_by_title.values())
    ]
    figure.set_figheight(figure.get_figheight() + 0.25)  # room for the legend
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9, handlelength=3)


shown = 3
figure, axes = panels(3)
nothing = np.zeros_like(masks[shown])
paint(
    figure,
    axes,
    scenes[shown],
    {"the scene": nothing, "its true mask": masks[shown], "what the network says": predicted[shown]},
)
show(
    figure,
    alt="A warehouse three times: as it is; with its true mask over two people and two forklifts; with the network's "
    "mask, which covers most of the same, but ends the arm of the worker on the left too early, takes some of the "
    "boxes behind him for a forklift, and misses thin bars. Each class has a colour and a hatch, which a legend names.",
)

# %% [markdown]
# Two wishes pull against each other here. To know *what* a pixel belongs to, the network has to look at much of the
# picture. To know *where* that ends, it needs fine detail. A backbone is good at the first and gives up the second: its
# last maps are 16 or 32 times coarser than the picture. **DeepLabV3+** has an answer to each.

# %% [markdown]
# ## 2. How far one value sees
#
# Take one number of some map. Which pixels can change it? That square is its **field of view**. One 3 × 3 convolution
# sees 3 × 3 pixels; a second one after it sees three places of a map, each of which sees 3 pixels: together 5. If the
# first has stride 2, neighbours on its map are two pixels apart, and the second widens the view by twice as much. And
# with **dilation** (lesson 3; the authors say **atrous**, French for "with holes", and call it a *rate*) the taps lie
# farther apart, at no cost.
#
# *Take a pencil:* a 3 × 3 convolution of stride 2, then a 3 × 3 of rate 2. How many pixels wide is the view?
#
# <details><summary>Compare</summary>
#
# The first: 3. After it, a place is 2 pixels. The second has two gaps of 2 places, so 4 places, 8 pixels: 3 + 8 =
# 11<!-- = convolution.field_of_view([(3, 2, 1), (3, 1, 2)]) -->.
#
# </details>
#
# ### {07.field_of_view}
#
# Write `field_of_view(layers)`: `layers` is a list of `(kernel_size, stride, dilation)`, the layer nearest the picture
# first. Return the side of the square, a whole number of pixels; 1 for an empty list.


# %% nbgrader={"grade_id": "field_of_view", "solution": true}
def field_of_view(layers):
    """Side of the square of pixels that can affect one value after these layers."""
    ### BEGIN SOLUTION
    side, step = 1, 1
    for kernel_size, stride, dilation in layers:
        side += (kernel_size - 1) * dilation * step
        step *= stride
    return side
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_field_of_view", "grade": true}
check("07.field_of_view", field_of_view)

# %%
with after("7.1"):
    backbone = [(3, 2, 1)]  # the stem; of each bottleneck the depthwise step counts, for pointwise ones see one place
    for stage in STAGES[:5]:
        backbone += [(3, stage.stride, 1)] + [(3, 1, 1)] * (stage.repeats - 1)
    print(f"MobileNetV2 down to its map of stride 16: {field_of_view(backbone)} pixels")
    for rate in (1, 2, 4, 6, 12, 18):
        print(f"then a 3 × 3 with rate {rate:2}: {field_of_view([*backbone, (3, 1, rate)]):4} pixels")

# %% [markdown]
# So one value of that map *can* depend on a square 267<!-- above --> pixels wide, more than our picture, which is 224
# wide. Then why look any farther? Because what can have a say need not have much of one. The pixels in the middle of
# the field reach the value along many paths, those at its edge along one. Luo et al. (2016) asked trained networks: by
# how much does the value change if this pixel does? That is a gradient, and the region where it is large is the
# **effective field of view**. Ask ours, for one place of the map, on 16 scenes:

# %%
TAPS = {4: "stage3_block1_expand_relu6", 16: "stage6_block1_expand_relu6"}  # the layers whose maps the heads stand on
PLACE = (5, 7)  # of the map of stride 16: the middle
pictures = tf.constant(np.stack([scene.image for scene in scenes[:16]]), tf.float32)
to_stride_16 = keras.Model(network.input, network.get_layer(TAPS[16]).output)
with tf.GradientTape() as tape:
    tape.watch(pictures)
    value = tf.reduce_sum(to_stride_16(pictures)[:, PLACE[0], PLACE[1]])
influence = np.abs(tape.gradient(value, pictures)).sum(axis=-1).mean(axis=0)  # (H, W)
middle_row, middle_col = 16 * PLACE[0] + 8, 16 * PLACE[1] + 8
rows, cols = np.indices(influence.shape)
distance = np.maximum(abs(rows + 0.5 - middle_row), abs(cols + 0.5 - middle_col))
sides = [next(side for side in range(1, 300) if influence[2 * distance <= side].sum() >= share * influence.sum())
         for share in (0.5, 0.9)]  # fmt: skip
for share, side in zip((0.5, 0.9), sides, strict=True):
    print(f"{share:.0%} of all influence comes from a square of {side} × {side} pixels")

# %% jupyter={"source_hidden": true}
figure, axes = panels(2)
draw_image(axes[0], scenes[shown].image)
axes[1].imshow(influence, extent=(0, 1, 1, 0), aspect=160 / 224, cmap="Greys", vmax=np.quantile(influence, 0.995))
axes[1].set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0))
for panel in axes:
    for side, style in zip(sides, ("-", "--"), strict=True):
        corner = ((middle_col - side / 2) / 224, (middle_row - side / 2) / 160)
        look = {"fill": False, "edgecolor": figures.VERMILION, "linewidth": 2.2, "linestyle": style}
        panel.add_patch(Rectangle(corner, side / 224, side / 160, **look))
axes[0].set_title("solid: half of all influence; dashed: 90%", fontsize=10)
axes[1].set_title("how much each pixel can change the value in the middle", fontsize=10)
show(
    figure,
    alt=f"Two panels with the same two squares around the middle: a solid one of {sides[0]} pixels, from which half of "
    f"all influence comes, and a dashed one of {sides[1]}, with 90 percent. Left: a warehouse scene; right: the "
    "influence of each pixel: dark in the middle, and fading to nearly white towards the edges.",
)

# %% [markdown]
# What *could* matter is the whole picture; what does matter is a blob in the middle: half of all influence comes from
# 71<!-- above --> × 71<!-- above --> pixels. A dilation reaches beyond it in one step, with full weight. How far should
# it reach? With a rate of 18 it sees nearly four times as far as our picture is wide. Is that good? Look at where its
# nine taps fall. The paper's maps had 33 × 33 places, our lesson network's has 10 × 14. Drag `rate` up to 18:

# %%
explore_field_of_view(rate=6)

# %% [markdown]
# With a rate of 18 on our map, 8 of 9 taps fall outside it **for every place**. They see zeros, and the 3 × 3 kernel
# has become a 1 × 1, at nine times its price. The paper's rates, 6, 12 and 18, belong to the paper's maps. Ours are 2
# and
# 4. (Chen et al. 2017 saw the same when they made their rates larger and larger, and that is where the image pooling of
# the next section comes from.)

# %% [markdown]
# ## 3. The same map, seen several times
#
# Objects are small and large. So look at the map of stride 16 with several fields of view **at once**: that is *atrous
# spatial pyramid pooling*, **ASPP**. Its branches all start from the same map:
#
# - a **pointwise** convolution: the place itself;
# - for each rate a **separable** 3 × 3 convolution with that dilation: nearer and farther neighbours;
# - the **image**: the mean of the map over all places, a pointwise convolution of it, and that one value spread over
#   the whole map again. "This is an aisle, so there may be a forklift."
#
# They are concatenated, and a pointwise convolution, the **projection**, mixes them. Every branch and the projection
# give `channels`.

# %% jupyter={"source_hidden": true}
figure, (axes,) = panels(1, image_size=(1, 2.9))
draw_flow(
    axes,
    {
        "x": (0, 1.5, "x, of stride 16\n10 × 14 × 288", MAP),
        "point": (1.3, 0, "pointwise", WORK),
        "near": (1.3, 1, "separable 3 × 3\nrate 2", WORK),
        "far": (1.3, 2, "separable 3 × 3\nrate 4", WORK),
        "mean": (1.3, 3, "mean over\nall places", WORK),
        "narrow": (2.3, 3, "pointwise", WORK),
        "spread": (3.3, 3, "resize to\n10 × 14", WORK),
        "join": (4.5, 1.5, "concatenate\n10 × 14 × 256", JOIN),
        "project": (5.6, 1.5, "pointwise:\nthe projection", WORK),
        "out": (6.7, 1.5, "10 × 14 × 64", MAP),
    },
    [
        ("x", "point"), ("x", "near"), ("x", "far"), ("x", "mean"), ("mean", "narrow"), ("narrow", "spread"),
        ("point", "join"), ("near", "join"), ("far", "join"), ("spread", "join"),
        ("join", "project"), ("project", "out"),
    ],
)  # fmt: skip
axes.set_title("ASPP, with our network's numbers: 64 channels, rates 2 and 4", fontsize=10)
show(
    figure,
    alt="A diagram of ASPP. From x, 10 × 14 × 288, four arrows go out: to a pointwise convolution; to a separable 3 × "
    "3 of rate 2; to one of rate 4; and to the mean over all places, which goes on through a pointwise convolution "
    "and a resize to 10 × 14. All four, 64 channels each, are concatenated to 256; the projection makes 64 of them.",
)

# %% [markdown]
# The blocks, as you know them, with ReLU6 everywhere, and `resize`, which you will understand in the next section:


# %%
def conv_bn(x, filters):
    """Pointwise convolution, batch normalisation, ReLU6."""
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return layers.Activation("relu6")(layers.BatchNormalization()(x))


def separable_conv_bn(x, filters, dilation=1):
    """Depthwise 3 × 3, then pointwise, each with batch normalisation and ReLU6."""
    x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=dilation, use_bias=False)(x)
    x = layers.Activation("relu6")(layers.BatchNormalization()(x))
    return conv_bn(x, filters)


def resize(x, size):
    """Bilinear resampling of (B, H, W, C) to size = (height, width)."""
    return ops.image.resize(x, size, interpolation="bilinear")


# %% [markdown]
# ### {07.aspp}
#
# Write `aspp(x, channels, rates)`, the branches in the order above. `layers.GlobalAveragePooling2D(keepdims=True)`
# gives (B, 1, 1, C), which `resize` can spread over `x.shape[1:3]`.


# %% nbgrader={"grade_id": "aspp", "solution": true}
def aspp(x, channels, rates):
    """Atrous spatial pyramid pooling: (B, H, W, C) gives (B, H, W, channels)."""
    ### BEGIN SOLUTION
    branches = [conv_bn(x, channels)]
    for rate in rates:
        branches.append(separable_conv_bn(x, channels, rate))
    image = conv_bn(layers.GlobalAveragePooling2D(keepdims=True)(x), channels)
    branches.append(resize(image, x.shape[1:3]))
    return conv_bn(layers.Concatenate()(branches), channels)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_aspp", "grade": true}
check("07.aspp", aspp)

# %% [markdown]
# ## 4. Between the pixels
#
# A coarse map has to become a large one. Repeating each value makes stairs. **Bilinear** resampling mixes the values on
# both sides of a place, the nearer one more strongly, first along one axis, then along the other.
#
# It all comes down to one question: *where* is a pixel? A pixel is a little square, and its place is its **middle**.
# Pixel 0 of a row of 2 has its middle at 0.5 of 2; pixel 0 of a row of 4 at 0.5 of 4, which is 0.25 of 2. So new pixel
# $i$ lies at
#
# $$\left(i + \tfrac12\right) \cdot \frac{old}{new} - \tfrac12$$
#
# among the old ones. Where that is beyond the first or the last middle, take the first or last pixel. *Take a pencil:*
# the row `0 8` becomes a row of 4. Where do the four new pixels lie, and what are they?
#
# <details><summary>Compare</summary>
#
# At -0.25, 0.25, 0.75 and 1.25, so (the outer two cut to 0 and 1): 0, 2, 6, 8.
#
# </details>
#
# Older programs took $i \cdot old / new$, which moves everything by up to half a pixel, or put corner upon corner
# ("aligned corners"). At stride 16, a mask that is moved by half a coarse pixel is off by eight fine ones.
#
# ### {07.resize_bilinear}
#
# Write `resize_bilinear(image, size)` in NumPy: `image` (H, W, C), `size` (height, width). No loop over pixels is
# needed: `image[low]` takes whole rows, `image[:, low]` whole columns.


# %% nbgrader={"grade_id": "resize_bilinear", "solution": true}
def resize_bilinear(image, size):
    """Bilinear resampling of (H, W, C) to (height, width, C), pixel middles where they belong."""
    ### BEGIN SOLUTION

    def beside(old, new):
        """For each new pixel the old ones on its two sides, and how much of the second."""
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    low, high, share = beside(image.shape[0], size[0])
    share = share[:, None, None]
    rows = (1 - share) * image[low] + share * image[high]
    low, high, share = beside(image.shape[1], size[1])
    share = share[None, :, None]
    return (1 - share) * rows[:, low] + share * rows[:, high]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_resize_bilinear", "grade": true}
check("07.resize_bilinear", resize_bilinear)

# %% [markdown]
# Now a question to ask before any training. Suppose a network were **perfect**, but had to give its mask on a map of
# stride 4, 8, 16 or 32, which is then enlarged. How good could the mask be? (IoU: the pixels that truth and mask agree
# on, divided by those that either of them marks; 1 is perfect.)


# %%
def perfect_at(stride, mask):
    """A true mask as a map of that stride would hold it, enlarged again by your function."""
    height, width = mask.shape
    shares = np.eye(len(CLASSES) + 1)[np.where(mask == 255, 0, mask)]
    coarse = shares.reshape(height // stride, stride, width // stride, stride, -1).mean(axis=(1, 3))
    return np.asarray(resize_bilinear(coarse, (height, width))).argmax(axis=-1)


def iou_of(label, truths, guesses):
    """IoU of a class over all masks together."""
    both = sum(((truth == label) & (guess == label)).sum() for truth, guess in zip(truths, guesses, strict=True))
    either = sum(
        ((truth != 255) & ((truth == label) | (guess == label))).sum()
        for truth, guess in zip(truths, guesses, strict=True)
    )
    return both / either


with after("7.3"):
    print("stride   " + "   ".join(CLASSES))
    perfect = {}
    for stride in (2, 4, 8, 16, 32):
        enlarged = [perfect_at(stride, mask) for mask in masks]
        perfect[stride] = ious = [iou_of(label, masks, enlarged) for label in (1, 2, 3)]
        print(f"{stride:6}   " + "   ".join(f"{iou:{len(name)}.2f}" for iou, name in zip(ious, CLASSES, strict=True)))

# %% jupyter={"source_hidden": true}
with after("7.3"):
    figure, axes = panels(3)
    coarse = {f"perfect, at stride {stride}": perfect_at(stride, masks[shown]) for stride in (4, 16, 32)}
    paint(figure, axes, scenes[shown], coarse)
    show(
        figure,
        alt="The scene three times with its true mask as maps of stride 4, 16 and 32 would know it: sharp; then with "
        "pieces of masts and legs missing; then a few blobs in the middle of the largest things. In all scenes "
        f"monorails have an IoU of {perfect[4][2]:.2f}, {perfect[16][2]:.2f} and {perfect[32][2]:.2f}.",
    )

# %% [markdown]
# At stride 16 even a perfect network would get 0.36<!-- above --> for the thin monorails. No training can mend that. So
# this is what the "+" in DeepLabV3+ is for.

# %% [markdown]
# ## 5. The edges come back
#
# The backbone had fine maps along the way. They know little about *what*, but exactly *where*. So:
#
# 1. take a fine map, of stride 4, and **narrow** it by a pointwise convolution, so that its many channels do not drown
#    the others;
# 2. **enlarge** ASPP's map to the same size;
# 3. **concatenate**: ASPP's first, then the fine one;
# 4. **refine** with two separable 3 × 3 convolutions.

# %% jupyter={"source_hidden": true}
figure, (axes,) = panels(1, image_size=(1, 3.6))
draw_flow(
    axes,
    {
        "x": (0, 0, "x, from ASPP\n10 × 14 × 64", MAP),
        "large": (1.2, 0, "resize to\n40 × 56", WORK),
        "fine": (0, 1.4, "low_level\n40 × 56 × 96", MAP),
        "narrow": (1.2, 1.4, "pointwise\nto 24", WORK),
        "join": (2.4, 0.7, "concatenate\n40 × 56 × 88", JOIN),
        "first": (3.5, 0.7, "separable\n3 × 3", WORK),
        "second": (4.5, 0.7, "separable\n3 × 3", WORK),
        "out": (5.5, 0.7, "40 × 56 × 64", MAP),
    },
    [("x", "large"), ("fine", "narrow"), ("large", "join"), ("narrow", "join"), ("join", "first"), ("first", "second"),
     ("second", "out")],
)  # fmt: skip
axes.set_title("the decoder, with our network's numbers", fontsize=10)
show(
    figure,
    alt="A diagram of the decoder. Above, x from ASPP, 10 × 14 × 64, is resized to 40 × 56. Below, the fine map of "
    "stride 4, 40 × 56 × 96, is narrowed by a pointwise convolution to 24 channels. Both are concatenated to 40 × 56 "
    "× 88; two separable 3 × 3 convolutions follow and give 40 × 56 × 64.",
)

# %% [markdown]
# ### {07.decoder}
#
# Write `decoder(x, low_level, low_level_channels, channels)`: `x` is ASPP's map, `low_level` the fine one, which is
# narrowed to `low_level_channels`; each refining step gives `channels`.


# %% nbgrader={"grade_id": "decoder", "solution": true}
def decoder(x, low_level, low_level_channels, channels):
    """A coarse map and a fine one joined: (B, h, w, C) and (B, H, W, C') give (B, H, W, channels)."""
    ### BEGIN SOLUTION
    low_level = conv_bn(low_level, low_level_channels)
    x = resize(x, low_level.shape[1:3])
    x = layers.Concatenate()([x, low_level])
    x = separable_conv_bn(x, channels)
    return separable_conv_bn(x, channels)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_decoder", "grade": true}
check("07.decoder", decoder)

# %% [markdown]
# After it come one pointwise convolution to the logits of the $K$ classes and the background, and a last `resize` to
# the size of the picture. That is all of DeepLabV3+:

# %%
with after("7.2", "7.4"):
    maps = {4: keras.Input((40, 56, 96)), 16: keras.Input((10, 14, 288))}
    decoded = decoder(aspp(maps[16], 64, (2, 4)), maps[4], 24, 64)
    logits = resize(layers.Conv2D(len(CLASSES) + 1, 1)(decoded), (160, 224))
    head = keras.Model(list(maps.values()), logits)
    print(f"logits {logits.shape}, {head.count_params():,} parameters")

# %% [markdown]
# The larger networks that come with this course go one step further: a second, narrow decoder on the map of stride 2,
# for the monorails.

# %% [markdown]
# ## 6. Rare classes count more
#
# Cross-entropy, as in lesson 6, now for each pixel. But look at what the pixels are:

# %%
counts = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=256)
for label, name in enumerate(("background", *CLASSES)):
    print(f"{name:11}{counts[label] / counts[:4].sum():7.1%}")
rng = np.random.default_rng(7)
zoomed = [zoom(scene, rng) for scene in scenes]
print(f"\n255, ignore: in the scenes as they are {counts[255]} pixels, in the same {len(zoomed)} after a zoom "
      f"{sum((scene.mask == 255).sum() for scene in zoomed)}")  # fmt: skip

# %% [markdown]
# A network that says "background" everywhere is right for 88.5<!-- above -->% of all pixels. Three decisions belong in
# the loss:
#
# - **A weight for each class**: a pixel of a rare class counts more. (How to choose them, in lesson 8.)
# - **"Ignore"**: the mask says 255 where nobody can or should say what it is, and nothing counts there. In this course:
#   a crowd in a photograph, and the rest of an object that a zoom has cut off (lesson 8). Drawn scenes have none as
#   long as they are whole; zoomed ones do.
# - **A mean, not a sum.** A sum over pixels grows with the picture, and with the batch: train on larger pictures, and
#   your loss weights mean something else. Divide by the sum of the *weights* that were counted. Then weights of (2, 2,
#   2, 2) do the same as (1, 1, 1, 1).
#
# $$L = \frac{\sum_i w_{c_i} \, \text{cross-entropy}_i}{\sum_i w_{c_i}}$$
#
# ### {07.weighted_cross_entropy}
#
# Write `weighted_cross_entropy(mask, logits, class_weights)` in `ops`: `mask` is (B, H, W) whole numbers, `logits` (B,
# H, W, K + 1), and `class_weights` K + 1 numbers, background first. One number comes back, and 0 where no pixel counts.
# `class_cross_entropy(classes, logits)` is lesson 6's. `ops.take(weights, classes)` looks up many at once; but 255 is
# not a class, so first turn it into one (any one), and set its weight to 0.


# %% nbgrader={"grade_id": "weighted_cross_entropy", "solution": true}
def weighted_cross_entropy(mask, logits, class_weights):
    """Cross-entropy of the pixels, a mean weighted by class; where the mask is 255, nothing counts."""
    ### BEGIN SOLUTION
    counts = mask != 255
    classes = ops.where(counts, mask, 0)
    weights = ops.take(ops.convert_to_tensor(class_weights, dtype=logits.dtype), classes)
    weights = ops.where(counts, weights, 0.0)
    return ops.sum(weights * class_cross_entropy(classes, logits)) / ops.maximum(ops.sum(weights), 1e-7)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_weighted_cross_entropy", "grade": true}
check("07.weighted_cross_entropy", weighted_cross_entropy)

# %% [markdown]
# ## 7. Overlap as a loss
#
# Cross-entropy asks pixel by pixel. What we want in the end is a matter of *areas*: how much do truth and mask overlap?
# **Dice** is twice the overlap, divided by the sum of both areas: 1 if they agree, 0 if they never meet. A class of
# three pixels weighs as much as one of three thousand. With shares $p$ (softmax) in place of yes and no, a network can
# learn from it. For each class:
#
# $$\text{dice} = \frac{2 \sum_i t_i \, p_i}{\sum_i t_i + \sum_i p_i}$$
#
# $t_i$ is 1 where the true class is this one. The sums run over all pixels of all pictures of the batch. The loss is
# the **mean of $1 - \text{dice}$** over the classes that the batch's masks hold; the dice of nothing measures nothing.
# Background is a class like the others.
#
# ### {07.dice_loss}
#
# Write `dice_loss(mask, logits)`. Where the mask is 255, neither truth nor shares count. One number comes back, 0 where
# no pixel counts.


# %% nbgrader={"grade_id": "dice_loss", "solution": true}
def dice_loss(mask, logits):
    """1 - dice, the mean over the classes that the masks hold."""
    ### BEGIN SOLUTION
    counts = ops.cast(mask != 255, logits.dtype)[..., None]
    truth = ops.one_hot(ops.where(mask != 255, mask, 0), logits.shape[-1], dtype=logits.dtype) * counts
    share = ops.softmax(logits, axis=-1) * counts
    overlap, truth_area, share_area = (ops.sum(part, axis=(0, 1, 2)) for part in (truth * share, truth, share))
    dice = 2 * overlap / ops.maximum(truth_area + share_area, 1e-7)
    present = ops.cast(truth_area > 0, logits.dtype)
    return ops.sum(present * (1 - dice)) / ops.maximum(ops.sum(present), 1.0)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_dice_loss", "grade": true}
check("07.dice_loss", dice_loss)

# %% [markdown]
# V-Net, which introduced dice as a loss, has **squares** in the denominator: $\sum t_i + \sum p_i^2$ (for $t_i$, 0 or
# 1, the square changes nothing). What does that change? Take an object to whose pixels the network gives the share $p$,
# and nothing elsewhere:

# %%
print("share p   dice loss   dice-square loss")
for p in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
    print(f"{p:7.1f}{1 - 2 * p / (1 + p):12.3f}{1 - 2 * p / (1 + p * p):19.3f}")

# %% [markdown]
# Dice-square is content sooner: at a share of 0.7<!-- above --> it has little left to say, while dice keeps pushing. We
# train with dice. Its gradient is unsteady where a batch holds only a few pixels of a class; so cross-entropy and dice
# go together, one steady, the other fair.

# %% [markdown]
# ## 8. Decoder and losses, seen
#
# Do they keep their promise? A whole training takes its time (lesson 8). But the backbone of our network has been
# trained already; so we leave it as it is, compute its maps once, and train new heads on them, built from *your*
# functions, on 48 scenes. There are three heads: one without a decoder, whose coarse map is enlarged 16 times; one with
# a decoder; and the same once more with dice in place of the cross-entropy. They take turns, a pass through the scenes
# each, eight times; that takes less than a minute on two cores, and you watch.
#
# How does one judge **edges**? A thing has much more inside than edge, and the inside is easy. So we count a second
# time, only the pixels of a narrow **band** along the edges of the true masks: those that have another class at most
# two pixels away. (The authors judge their decoder in such bands, too: Chen et al. 2018, section 4.4.)
#
# *Predict:* the **mIoU**, the mean of the three classes' IoU, in that band alone, without and with a decoder. Mind the
# table of section 4.

# %%
PREDICTED = {"no decoder": None, "decoder": None}  # write numbers between 0 and 1 in place of None


# %%
MODE = how_to_train()  # "full" for you; less in a check or an automatic test, where nobody waits for it
REACH = 2  # pixels from an edge


def new_head(with_decoder):
    """Your ASPP, and your decoder or none, up to logits of the size of the picture."""
    fine, coarse = keras.Input((40, 56, 96)), keras.Input((10, 14, 288))
    x = aspp(coarse, 64, (2, 4))
    x = decoder(x, fine, 24, 64) if with_decoder else x
    head = keras.Model([fine, coarse], resize(layers.Conv2D(len(CLASSES) + 1, 1)(x), LESSON.image_size))
    for layer in head.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.8  # in so few steps its averages have to adapt fast
    return head


def cross_entropy_of_whole_numbers(mask, logits):
    """All classes count alike; Keras's `fit` turns a mask into floats."""
    return weighted_cross_entropy(ops.cast(mask, "int32"), logits, (1.0,) * (len(CLASSES) + 1))


def dice_of_whole_numbers(mask, logits):
    """The same for dice."""
    return dice_loss(ops.cast(mask, "int32"), logits)


def band_along_edges(mask):
    """Where two classes meet within `REACH` pixels: the largest class around a pixel is not the smallest."""
    classes, side = tf.constant(mask[None, ..., None], tf.float32), 2 * REACH + 1
    largest, smallest = (sign * tf.nn.max_pool2d(sign * classes, side, 1, "SAME") for sign in (1, -1))
    return np.asarray(largest != smallest)[0, ..., 0]


def mean_iou(truths, guesses):
    """mIoU of the three classes."""
    return np.mean([iou_of(label, truths, guesses) for label in (1, 2, 3)])


HEADS = {
    "no decoder": (False, cross_entropy_of_whole_numbers),
    "decoder": (True, cross_entropy_of_whole_numbers),
    "decoder, dice": (True, dice_of_whole_numbers),
}
along_edges = [np.where(band_along_edges(mask), mask, 255) for mask in masks]  # 255: nothing counts there
rails = int(np.argmax([(mask == 3).sum() for mask in masks]))  # the scene that shows most of a monorail


# %% jupyter={"source_hidden": true}
def draw_heads(curves, said):
    """The mIoU along edges so far, and one scene under each head's mask, with the true outlines."""
    figure, axes = panels(4, image_size=(1, 1.15))
    styles = (("-", "o", figures.BLUE), ("--", "s", figures.VERMILION), (":", "^", figures.GREEN))
    for (name, curve), (style, marker, color) in zip(curves.items(), styles, strict=True):
        axes[0].plot(range(1, len(curve) + 1), curve, linestyle=style, marker=marker, color=color, label=name)
    axes[0].set(xlim=(0.5, EPOCHS + 0.5), ylim=(0, 0.6), xlabel="passes")
    axes[0].set_title("mIoU along edges", fontsize=10)
    axes[0].legend(fontsize=8)
    for panel, (name, guesses) in zip(axes[1:], said.items(), strict=True):
        draw_mask(panel, scenes[rails].image, guesses[rails])
        for label, hatch in enumerate(HATCHES, start=1):
            if (guesses[rails] == label).any():
                panel.contourf(guesses[rails] == label, levels=[0.5, 1.5], colors="none", hatches=[hatch])
        panel.contour(masks[rails] > 0, levels=[0.5], colors="black", linewidths=1)
        panel.set_title(name, fontsize=10)
    return figure, (
        f"After {len(curves['decoder'])} passes. Left, three curves of mIoU along edges, which end at "
        + ", ".join(f"{curve[-1]:.2f} ({name})" for name, curve in curves.items())
        + ". Then the scene with a monorail under the mask of each head, the true outlines drawn in black: without a "
        "decoder round blots that leave them; with it, shapes that follow them more closely."
    )


# %%
curves, said_by = {name: [] for name in HEADS}, {}
with after("7.2", "7.3", "7.4", "7.5", "7.6"):
    if MODE != "skip":
        EPOCHS = 8 if MODE == "full" else 1
        learn = [render(seed, size=LESSON.image_size) for seed in SPLITS["train"][:48]]
        to_maps = keras.Model(network.input, [network.get_layer(TAPS[stride]).output for stride in (4, 16)])
        maps_of, maps_to_judge = (
            to_maps.predict(np.stack([scene.image for scene in some]), verbose=0) for some in (learn, scenes)
        )
        true_masks = np.stack([scene.mask for scene in learn]).astype(np.int32)
        heads, picture = {}, LivePicture()
        for name, (with_decoder, loss) in HEADS.items():
            keras.utils.set_random_seed(1)
            rates = keras.optimizers.schedules.CosineDecay(5e-3, decay_steps=6 * EPOCHS)
            heads[name] = new_head(with_decoder)
            heads[name].compile(optimizer=keras.optimizers.Adam(rates), loss=loss)
        for epoch in range(EPOCHS):
            for name, head in heads.items():
                keras.utils.set_random_seed(epoch)  # the same order of the scenes for all three
                head.fit(maps_of, true_masks, batch_size=8, verbose=0)
                said_by[name] = head.predict(maps_to_judge, verbose=0).argmax(axis=-1)
                curves[name].append(mean_iou(along_edges, said_by[name]))
            picture.draw(*draw_heads(curves, said_by))
        picture.leave(*draw_heads(curves, said_by))

        print("mIoU along edges after each pass")
        for name, curve in curves.items():
            print(f"{name:20}" + "".join(f"{value:6.2f}" for value in curve))
        print(f"\n{'IoU of':20}" + "".join(f"{name:>10}" for name in CLASSES) + "    mean   along edges   pixels found")
        ideals = {f"perfect, stride {stride}": [perfect_at(stride, mask) for mask in masks] for stride in (16, 4)}
        for name, said in (said_by | ideals).items():
            ious = [iou_of(label, masks, said) for label in (1, 2, 3)]
            there = [(mask > 0) & (mask < 255) for mask in masks]
            trios = zip(said, masks, there, strict=True)
            share = sum((guess == mask)[some].sum() for guess, mask, some in trios) / sum(some.sum() for some in there)
            numbers = "".join(f"{iou:10.2f}" for iou in ious)
            print(f"{name:20}{numbers}{np.mean(ious):8.2f}{mean_iou(along_edges, said):14.2f}{share:15.0%}")
        print("You predicted, along edges:", PREDICTED)

# %% [markdown]
# What we saw in our run (yours may differ in the last digit): along the edges the head without a decoder ends at
# 0.28<!-- above -->, the one with it at 0.49<!-- above -->. Now look at the last two rows. Had the *true* masks gone
# through a map of stride 16, 0.31<!-- above --> would be left of them there. So the first head has nearly reached what
# such a map gives, and has little left to win there; the second is past it, with room up to the 0.79<!-- above --> of
# stride 4. It gains most where things are thin: monorails go from 0.27<!-- above --> to 0.73<!-- above -->; forklifts
# from 0.50<!-- above --> to 0.68<!-- above -->, people from 0.43<!-- above --> to 0.60<!-- above -->.
#
# And look at how the curves *begin*. After two passes the decoder's head still has little with cross-entropy, and with
# **dice** three times as much, more than any other. Cross-entropy counts pixels, and "background" is right for nearly
# all of them; dice counts areas, so it pays at once to find something. (The loss is not all of it: the head without a
# decoder has cross-entropy, too, and does not begin at 0.) At the end the two lie close together, and this is one
# training of each: do not believe the small differences. Here are the last masks beside the true one:

# %% jupyter={"source_hidden": true}
if said_by:
    figure, axes = panels(4)
    paint(figure, axes, scenes[rails], {"true": masks[rails]} | {name: said[rails] for name, said in said_by.items()})
    for panel in axes:
        panel.title.set_fontsize(9)
    show(
        figure,
        alt="A scene with a monorail under four masks. The true one; without a decoder: round blots, and half of the "
        "rail is missing; with the decoder: the rail is there, and outlines follow the things; with dice for "
        "cross-entropy: much the same, with a little more of the rail's end and of the left forklift's mast filled.",
    )

# %% [markdown]
# None of the three is good yet: 48 scenes are few, and the backbone has not learned with them. In lesson 8 it does.

# %% [markdown]
# ## 9. What is taken for what
#
# A measure needs no gradient, but it has to be honest. Count all pixels of **all** pictures in one table, the
# **confusion matrix**: the row is the true class, the column the predicted one. On its diagonal is what is right.
#
# ### {07.confusion_matrix}
#
# Write `confusion_matrix(masks, predicted, classes)` in NumPy: two lists of masks, which may have different sizes, and
# are whole numbers of any type, often `uint8`; `classes` does not count the background. Return (classes + 1, classes +
# 1) whole numbers. Where the true mask is 255, nothing counts.
#
# Beware of `matrix[mask, guess] += 1`. If the same pair comes up a thousand times, it adds 1 once. `np.bincount` counts
# properly, but one number at a time: so turn the two into one number, `row * side + column`.


# %% nbgrader={"grade_id": "confusion_matrix", "solution": true}
def confusion_matrix(masks, predicted, classes):
    """Pixels of all images, counted by true class (row) and predicted class (column)."""
    ### BEGIN SOLUTION
    side = classes + 1
    counts = np.zeros(side * side, int)
    for mask, guess in zip(masks, predicted, strict=True):
        seen = mask != 255
        counts += np.bincount(mask[seen].astype(int) * side + guess[seen].astype(int), minlength=side * side)
    return counts.reshape(side, side)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_confusion_matrix", "grade": true}
check("07.confusion_matrix", confusion_matrix)


# %% [markdown]
# From this table, the IoU of each class is three sums away, and their mean, without the background, is **mIoU**:


# %%
def class_ious(confusion):
    """IoU of each class; nan where neither truth nor prediction has it."""
    confusion = np.asarray(confusion, float)
    both = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    with np.errstate(invalid="ignore"):
        return both / either


with after("7.7"):
    table = np.asarray(confusion_matrix(masks, predicted, len(CLASSES)), int)
    print("true \\ said  " + "".join(f"{name:>12}" for name in ("background", *CLASSES)))
    for name, row in zip(("background", *CLASSES), table, strict=True):
        print(f"{name:13}" + "".join(f"{count:12,}" for count in row))
    ious = class_ious(table)
    print("\nIoU          " + "".join(f"{iou:12.3f}" for iou in ious))
    print(f"mIoU of the three classes: {ious[1:].mean():.3f}")

# %% [markdown]
# Read a row: most of what is missed is taken for background, and some person pixels for forklift (the drivers). Now the
# same predictions once more, as is often done: an IoU for each picture, then the mean over the pictures. What about
# pictures *without* the class? Three people, three ideas:

# %%
with after("7.7"):
    each = np.array(
        [
            class_ious(confusion_matrix([mask], [guess], len(CLASSES)))[1:]
            for mask, guess in zip(masks, predicted, strict=True)
        ]
    )
    print(f"{'one table for all pictures':46}{ious[1:].mean():.2f}")
    print(f"{'mean of pictures, those without are left out':46}{np.nanmean(each, axis=0).mean():.2f}")
    print(f"{'mean of pictures, without counts as 0':46}{np.nan_to_num(each).mean():.2f}")
    print(f"{'mean of pictures, without counts as 1':46}{np.where(np.isnan(each), 1, each).mean():.2f}")
    print(f"\nPeople alone: the network has {ious[1]:.2f}, a perfect mask at stride 4 would have {perfect[4][0]:.2f}.")

# %% [markdown]
# One network, one set of predictions: from 0.46<!-- above --> to 0.87<!-- above -->. The last idea even rewards rare
# classes, for most pictures do not contain them. And in a mean over pictures, twelve missed pixels of a distant worker
# weigh as much as a forklift that fills half the picture. So: **one table for all pictures**. When you compare your
# mIoU with somebody else's, first ask how it was averaged.
#
# ## 10. Compare with the reference
#
# The package's own versions are `ssdseg_ref/deeplabv3plus.py`, `ssdseg_ref/losses.py` and `ssdseg_ref/metrics.py`. Save
# the notebook (Ctrl + S) and type into a terminal:
#
#     ssdseg check 7      # runs your notebook from scratch, and counts your points
#     ssdseg compare 7    # your functions beside the reference's
#     ssdseg assemble     # the joint network, with your functions in it
#
# A trap in Keras (3.15) that we fell into: its layer `Resizing` assumes that it is *training* unless told otherwise,
# and passes that on to every batch normalisation after it. Whoever then calls `network(image)` gets a different mask,
# and a slightly damaged network. `ops.image.resize` makes no such assumption.
#
# ## To remember
#
# - The **field of view** grows by (kernel - 1) × dilation × stride so far; what *counts* is a blob in its middle, the
#   effective field. A rate wider than the map is wasted.
# - **ASPP**: a point, several rates, the whole image, concatenated and projected.
# - Before you train, ask what a *perfect* network could reach at that stride. The **decoder** is the answer.
# - A pixel's place is its **middle**.
# - Weighted cross-entropy is a **mean**, 255 counts nowhere. **Dice** weighs classes alike, however small.
# - mIoU comes from **one confusion matrix over all pictures**.
#
# *To think about:* the network has 0.78<!-- above --> for people here, though a perfect mask at stride 4 could have
# 0.92<!-- above -->. What would you look at first: the weights of the classes, the decoder, or the size of the picture?
#
# **Next:** lesson 8: both heads on one backbone, and a training of your own.
#
# ## The papers
#
# - L.-C. Chen et al. 2018, *Encoder-Decoder with Atrous Separable Convolution* (ECCV, arXiv 1802.02611): DeepLabV3+.
# - L.-C. Chen et al. 2017, *Rethinking Atrous Convolution* (arXiv 1706.05587): rates that are too large, image pooling.
# - W. Luo et al. 2016, *Understanding the Effective Receptive Field in Deep Convolutional Neural Networks* (NeurIPS,
#   arXiv 1701.04128).
# - F. Milletari et al. 2016, *V-Net* (3DV, arXiv 1606.04797): dice as a loss, with squares.
# - M. Drozdzal et al. 2016, *The Importance of Skip Connections in Biomedical Image Segmentation* (arXiv 1608.04117):
#   without squares.

# %% [markdown]
# ## An open challenge
#
# No points, and no right answer: what can a decoder make of a backbone that it may not change, in two minutes? Write
# `my_decoder(maps)`. It gets the maps of the course's backbone by their strides, 4, 8, 16 and 32, and returns the
# logits of four classes, at any size. Which maps do you use, and how are they joined? Are monorails, which are thin,
# worth a finer map?
#
# All decoders get 600 steps of 8 scenes, and may have 400,000 parameters and take 150 million multiply-adds a picture.
# Your score is the mIoU of 100 scenes that you have not seen. Take the `#` away below when you are ready;
# `ssdseg challenge 7` does the same in a terminal.

# %%
from ssdseg_course import challenge


def my_decoder(maps):
    """Logits (rows, columns, 4) of the backbone's maps, {4: ..., 8: ..., 16: ..., 32: ...}."""
    fine, coarse = (
        layers.Activation("relu6")(layers.BatchNormalization()(layers.Conv2D(32, 1, use_bias=False)(maps[stride])))
        for stride in (4, 16)
    )
    x = layers.Concatenate()([resize(coarse, fine.shape[1:3]), fine])
    return layers.Conv2D(4, 1)(x)


challenge("07")  # the marks, and your attempts; the next line, without its "# ", trains for about two minutes
# challenge("07", my_decoder)
