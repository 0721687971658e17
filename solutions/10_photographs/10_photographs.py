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
# # Lesson 10 - From drawings to photographs
#
# **You will be able to** take over what a network has learned, teach it something else with few pictures, choose which
# layers learn and how fast, and say honestly in which way it errs and from which score on one may believe it.
#
# **You need** lesson 8 (training, average precision) and, from lesson 4, what a batch normalisation does.
#
# **It takes** {time}. In addition, section 6 trains for five to ten minutes, once; you can read on meanwhile. Every
# exercise is a good place to stop.
#
# Stuck? `hint("10.take_over")` gives a hint for that exercise; call it again for a stronger one.

# %%
from ssdseg_course.quiet import import_keras

import_keras()  # takes a few seconds, and keeps the log of its libraries to itself

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from zlib import crc32

import keras
import numpy as np

from ssdseg_course import check, hint
from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import after, draw_image, panels, show
from ssdseg_course.explorers.live import LivePicture, how_to_train
from ssdseg_ref.data import augment, pipeline
from ssdseg_ref.data.photographs import lesson_photographs
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.data.warehouse import SPLITS, render
from ssdseg_ref.errors import ERRORS, error_costs
from ssdseg_ref.evaluation import judge, predict
from ssdseg_ref.fused import fused_twin
from ssdseg_ref.keeping import whole_file, write_whole
from ssdseg_ref.metrics import average_precision
from ssdseg_ref.multitask import LESSON, SHIPPED, Predictor, build_network, load_network
from ssdseg_ref.training import JointTraining, Recipe, optimizer

MODE = how_to_train()  # "full" for you; where nobody waits for it, in a check or an automatic test, less
PEOPLE = replace(LESSON, classes=("person",))  # the lesson's network, for one class

# %% [markdown]
# ## 1. Few photographs
#
# All networks of this course have learned from drawings: thousands of scenes, each box and each pixel for nothing.
# Photographs have to be taken and labelled. Whoever starts has ten, thirty, a hundred.
#
# This lesson's photographs are **Penn-Fudan**: people in streets, 114 to learn from. `ssdseg data get pennfudan`
# fetches them; start this notebook anew afterwards. As long as they are not there, **stand-ins** take their place:
# scenes of our Warehouse, seen from near, in another style. Every region has a texture like that of natural pictures,
# in colours that nobody chose; then come blur, noise and JPEG. For a network that has seen neither, both are strange in
# the same sense. All outputs that you see here before you run anything were made with stand-ins; what was measured on
# photographs stands in tables.

# %%
data, train, validation = lesson_photographs(PEOPLE.image_size)
if MODE != "full":
    train, validation = train[:16], validation[:4]
print(f"{data}: {len(train)} to learn from, with {sum(len(sample.boxes) for sample in train)} people; "
      f"{len(validation)} to judge by, with {sum(len(sample.boxes) for sample in validation)} people")  # fmt: skip

# %% jupyter={"source_hidden": true}
figure, axes = panels(3, image_size=PEOPLE.image_size)
for panel, sample in zip(axes, train, strict=False):
    draw_image(panel, sample.image)
    figures.draw_boxes(panel, sample.boxes, **figures.TRUTH)
there = ", ".join(str(len(sample.boxes)) for sample in train[:3])
show(figure, alt=f"Three of the pictures to learn from ({data}), with a white box around each person: {there} boxes.")

# %% [markdown]
# ## 2. What fits is taken over
#
# Our network shall know one class, `person`. The one that comes with the course knows three. Backbone and decoder are
# the same in both; the last layers are not, for they have an output for each class. So: which weights can the new
# network have?
#
# ### {10.take_over}
#
# Write `take_over(target, source)`. Both are dicts from a weight's name to its array: `target` belongs to the network
# that is to learn, `source` to the one that has learned. Return a new dict with all names of the target, in its order:
# to the source's weight where name **and** shape fit, else to the target's own.


# %% nbgrader={"grade_id": "take_over", "solution": true}
def take_over(target, source):
    """The target's weights, but for those that the source has with the same name and shape."""
    ### BEGIN SOLUTION
    taken = {}
    for name, weight in target.items():
        fits = name in source and source[name].shape == weight.shape
        taken[name] = source[name] if fits else weight
    return taken
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_take_over", "grade": true}
check("10.take_over", take_over)

# %% [markdown]
# The new network, then. What does not fit?


# %%
def weights_of(network):
    """Name to weight, of the whole network."""
    return {weight.path: np.asarray(weight) for weight in network.weights}


def network_with(weights):
    """A network for people, with these weights by name."""
    network = build_network(PEOPLE)
    network.set_weights([weights[weight.path] for weight in network.weights])
    return network


keras.utils.set_random_seed(1)
scratch = weights_of(build_network(PEOPLE))
drawings = weights_of(load_network("lesson"))
with after("10.1"):
    taken = take_over(scratch, drawings)
    rest = [name for name, old in scratch.items() if drawings[name].shape != old.shape]
    print(f"{len(scratch) - len(rest)} of {len(scratch)} weights are taken over. Not these:")
    for name in rest:
        print(f"  {name:30}{scratch[name].shape!s:>18} was {drawings[name].shape}")

# %% [markdown]
# The last axis counts outputs: four for each anchor or pixel (background and three classes) before, two now. Those two
# were among the four: background is the first and `person` the second. So even here something can be taken over, if
# one cuts it out. Where a class is new, one cannot, and the last layers begin at random.


# %%
def cut_out(name):
    """Of a last layer's weight (..., outputs) for four classes: what belongs to the first two."""
    weight = drawings[name]
    return weight.reshape(*weight.shape[:-1], -1, 4)[..., :2].reshape(scratch[name].shape)


with after("10.1"):
    taken |= {name: cut_out(name) for name in rest}

# %% [markdown]
# ## 3. Look first
#
# The network has not seen one of these pictures. What does it find? *Predict:* many false alarms, or many people
# missed?


# %%
def judged(network, samples=validation, config=PEOPLE):
    """Predictions, and average precision (at an IoU of 0.5, and the mean of ten) and the people's IoU."""
    found = predict(Predictor(network, config, gate_pixels=0), samples)
    scores = judge(found, samples, config.classes)
    return found, {"AP@.5": scores.mean_ap50, "AP": scores.mean_ap, "IoU": scores.mean_iou}


def in_words(scores):
    """A line of a table."""
    return "   ".join(f"{name} {value:.3f}" for name, value in scores.items())


with after("10.1"):
    before, at_once = judged(network_with(taken))
    print("drawings' network, nothing learned:", in_words(at_once))


# %% jupyter={"source_hidden": true}
def draw_found(predictions, samples, least_score=0.4):
    """True boxes and, over them, detections."""
    figure, axes = panels(len(samples), image_size=PEOPLE.image_size)
    counts = []
    for panel, prediction, sample in zip(axes, predictions, samples, strict=True):
        sure = prediction.scores >= least_score
        counts.append(f"{sure.sum()} found, {len(sample.boxes)} there")
        draw_image(panel, sample.image, fade=0.25)
        figures.draw_boxes(panel, sample.boxes, **figures.TRUTH)
        figures.draw_boxes(panel, prediction.boxes[sure], **figures.CAUGHT)
        panel.set_title(counts[-1], fontsize=10)
    show(
        figure,
        alt=f"{len(samples)} pictures with true boxes, white, and detections with a score of at least "
        f"{least_score}, orange and dashed: {'; '.join(counts)}.",
    )


with after("10.1"):
    draw_found(before[:3], validation[:3])

# %% [markdown]
# Look at several (`draw_found(before[3:6], validation[3:6])`), and ask of each miss: is the person smaller than those
# of the drawings, or cut, or of another colour? Does it stand before something that the network has never seen? And of
# each false alarm: what is there that a person in a drawing has?
#
# A network that was trained on drawings has learned what tells people from shelves *in drawings*: plain colours with
# sharp edges. Networks like **texture** better than shape (Geirhos et al. 2019), and texture is what has changed.
#
# But how much of it is lost? Between "it finds nothing" and "it knows nothing" there is a difference. The next two
# sections look inside.

# %% [markdown]
# ## 4. What it sees inside
#
# ### Statistics of another world
#
# A batch normalisation subtracts a mean and divides by a deviation. After training both are fixed: the ones of the
# *drawings*. In a photograph, other values come, and what leaves the layer is neither centred nor of size 1. Layer upon
# layer that adds up. While a layer trains, its statistics follow what it sees:
#
# $$\mu \leftarrow m \mu + (1 - m)\,\mu_\text{batch} \qquad \sigma^2 \leftarrow m \sigma^2 + (1 - m)\,
# \sigma^2_\text{batch}$$
#
# with a **momentum** $m$. *Take a pencil:* how much of the old mean is left after 80 steps with $m = 0.99$? With 0.9?
#
# <details><summary>Compare</summary>
#
# 0.99 to the power of 80 is 0.45<!-- = 0.99 ** 80 -->: nearly half of it still belongs to the drawings. With 0.9 it is
# 0.0002<!-- = 0.9 ** 80 -->.
#
# </details>
#
# ### {10.running_statistics}
#
# Write `running_statistics(mean, variance, batches, momentum)`: mean and variance (C,) of a layer, and a list of what
# comes to it, (B, H, W, C) each, one after the other. Return the pair (mean, variance) after that. The variance is
# divided by the number of a channel's values, B times H times W, not by one less, as Keras does it.


# %% nbgrader={"grade_id": "running_statistics", "solution": true}
def running_statistics(mean, variance, batches, momentum):
    """Moving mean and variance (C,) after some batches."""
    ### BEGIN SOLUTION
    for batch in batches:
        mean = momentum * mean + (1 - momentum) * batch.mean(axis=(0, 1, 2))
        variance = momentum * variance + (1 - momentum) * batch.var(axis=(0, 1, 2))
    return mean, variance
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_running_statistics", "grade": true}
check("10.running_statistics", running_statistics)

# %% [markdown]
# Now the whole network: the pictures go through, and **nothing is learned** but these statistics. No label is used
# (Li et al. 2017 call it AdaBN). The first layer is compared with yours.


# %%
MOMENTUM = 0.9


def with_new_statistics(weights, samples, batch_size=8):
    """The weights, with the statistics of these pictures in all batch normalisations."""
    network = network_with(weights)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    images = [sample.image for sample in samples]
    for _ in range(2):
        for start in range(0, len(images) - batch_size + 1, batch_size):
            network(np.stack(images[start : start + batch_size]), training=True)
    return weights_of(network)


with after("10.1", "10.2"):
    first = network_with(taken)
    came = keras.Model(first.input, first.get_layer("stem_bn").input)
    images = np.stack([sample.image for sample in train])
    batch_list = [came.predict(images[start : start + 8], verbose=0) for start in range(0, len(images) - 7, 8)] * 2
    mean, variance = (taken[f"stem_bn/moving_{part}"] for part in ("mean", "variance"))
    own_mean, own_variance = running_statistics(mean, variance, batch_list, MOMENTUM)
    renewed = with_new_statistics(taken, train)
    apart = np.abs(renewed["stem_bn/moving_mean"] - own_mean).max()
    print(f"channel 0 of the first layer: variance {variance[0]:.3f} in drawings, {own_variance[0]:.3f} here")
    print(f"your mean and Keras's differ by {'less than 0.0001' if apart < 1e-4 else f'{apart:.4f}'}")
    found, of_statistics = judged(network_with(renewed))
    print("statistics of drawings:      ", in_words(at_once))
    print("statistics of these pictures:", in_words(of_statistics))

# %% [markdown]
# Without a label and without a gradient, AP@.5 goes from 0.117<!-- above --> to 0.297<!-- above -->. It does not always
# help: on Penn-Fudan it went from 0.155 to 0.100. But it costs nothing to try. And it warns of the other direction: in
# Keras a frozen layer (`trainable = False`) keeps its statistics, **whatever they are of**; a layer that trains renews
# them, and with a momentum near 1 and few steps it ends half way between two worlds. Our networks were trained with
# 0.99; the trainings below use 0.9.

# %% [markdown]
# ### A linear probe
#
# What do the **frozen** features know about people? Ask the simplest reader there is, one linear function: for every
# cell of a map, is its middle on a person? (Alain and Bengio 2016.) If that can tell, the knowledge is there, and only
# what stands on top has to learn. A linear function with the least sum of squares needs no training: it is **ridge
# regression**, in closed form. With the features $x_i$ and the answers $y_i$, 0 or 1, it makes
#
# $$\sum_i (w \cdot x_i + b - y_i)^2 + \lambda\,|w|^2$$
#
# the least. Nobody charges for the bias $b$: subtract the means of features and answers first, solve
# $(X^\top X + \lambda I)\,w = X^\top y$ for those, and then choose $b$ such that the mean error is 0.
#
# ### {10.linear_probe}
#
# Write `linear_probe(features, labels, weight_decay)`: features (N, D), labels (N,) of 0 and 1, and $\lambda$. Return
# the weights (D,) and the bias.


# %% nbgrader={"grade_id": "linear_probe", "solution": true}
def linear_probe(features, labels, weight_decay):
    """Weights (D,) and bias of the linear function that fits best."""
    ### BEGIN SOLUTION
    centre = features.mean(axis=0)
    x, y = features - centre, labels - labels.mean()
    weights = np.linalg.solve(x.T @ x + weight_decay * np.eye(x.shape[1]), x.T @ y)
    return weights, labels.mean() - centre @ weights
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_linear_probe", "grade": true}
check("10.linear_probe", linear_probe)

# %% [markdown]
# Four backbones are asked, at three depths: one that has learned nothing; that of the drawings; the same, asked about
# *drawings*; and that of the network `photos` (section 8), which began with a backbone that has seen photographs by the
# million. The reader learns on the training pictures, and is judged on the others, by average precision over all cells.


# %%
DEPTHS = {4: "stage3_block1_expand", 8: "stage4_block1_expand", 16: "stage6_block1_expand"}  # read where they begin


def cells(network, samples, stride, config):
    """Features (N, D) of all cells of a map, and whether the middle of each is on a person (N,)."""
    layer = network.get_layer(f"{DEPTHS[stride]}_conv")
    reader = keras.Model(network.input, layer.input)
    height, width = config.image_size
    resized = [augment.crop(sample, augment.WHOLE, config.image_size) for sample in samples]
    maps = reader.predict(np.stack([sample.image for sample in resized]), batch_size=8, verbose=0)
    middles = np.stack([sample.mask[stride // 2 :: stride, stride // 2 :: stride] for sample in resized])
    assert maps.shape[1:3] == (height // stride, width // stride)
    return np.float64(maps.reshape(-1, maps.shape[-1])), np.float64(middles.ravel() == 1)


def probed(network, config, learn, test, stride):
    """Average precision of a linear probe."""
    weights, bias = linear_probe(*cells(network, learn, stride, config), 1.0)
    features, labels = cells(network, test, stride, config)
    return average_precision(features @ weights + bias, labels == 1, int(labels.sum()))


if MODE != "skip":
    with after("10.1", "10.3"):
        scenes = {split: [render(seed, size=PEOPLE.image_size) for seed in SPLITS[split][: 60 if MODE == "full" else 8]]
                  for split in ("train", "validation")}  # fmt: skip
        asked = {
            "nothing": (network_with(scratch), PEOPLE, train[:60], validation),
            "drawings": (network_with(taken), PEOPLE, train[:60], validation),
            "drawings, asked about drawings": (network_with(taken), PEOPLE, scenes["train"], scenes["validation"]),
            "photographs": (load_network("photos"), SHIPPED["photos"], train[:60], validation),
        }
        strides = DEPTHS if MODE == "full" else (16,)
        probes = {name: [probed(*what, stride) for stride in strides] for name, what in asked.items()}
        print("backbone has seen               " + "".join(f"  stride {stride:2}" for stride in strides))
        for name, values in probes.items():
            print(f"{name:32}" + "".join(f"{value:11.2f}" for value in values))

# %% [markdown]
# Read it downwards. At stride 16 a backbone that has learned nothing reaches 0.13<!-- above -->: random features are
# features, too. In its own world that of the drawings reaches 0.69<!-- above -->; in this one 0.26<!-- above --> are
# left. So it does know something, and most of what it knew is lost with the style. And the last row was never shown a
# stand-in either, but it has seen the *variety* of photographs: 0.60<!-- above -->.
#
# Now to the right. Early maps tell little, whoever made them: edges are good for anything, and say nothing about people
# yet. Deep maps have specialised on what they were trained for (Yosinski et al. 2014), and there the backbones part.
#
# A probe costs seconds, and says beforehand which backbone is worth a training. On Penn-Fudan it said, at stride 16:
# nothing 0.34, drawings 0.56, photographs 0.92.

# %% [markdown]
# ## 5. Which layers learn, and how fast?
#
# New layers know nothing and need a high rate; old ones know something, and a high rate destroys it. Between "all the
# same" and "frozen" lies everything: **the nearer to the input, the slower** (Howard and Ruder 2018).
#
# ### {10.learning_rates}
#
# Write `learning_rates(depths, rate, decay)`: `depths` is a dict from a layer's name to its depth, counted from the
# input. The deepest layers get `rate`; each step towards the input multiplies it by `decay`. Return a dict from name to
# rate. With a decay of 0 all but the deepest are frozen, with 1 all learn alike.


# %% nbgrader={"grade_id": "learning_rates", "solution": true}
def learning_rates(depths, rate, decay):
    """Name to rate: the nearer to the input, the smaller."""
    ### BEGIN SOLUTION
    deepest = max(depths.values(), default=0)
    return {name: rate * decay ** (deepest - depth) for name, depth in depths.items()}
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_learning_rates", "grade": true}
check("10.learning_rates", learning_rates)

# %%
RATE = 2e-3
STAGES = ("stem", *(f"stage{number}" for number in range(1, 8)))
PARTS = {name: depth for depth, name in enumerate((*STAGES, "heads"))}  # heads: decoder, extra maps, last layers


def part_of(name):
    """The part of the network that a layer belongs to."""
    first = name.split("/")[0].split("_")[0]
    return first if first in STAGES else "heads"


with after("10.4"):
    for decay in (0, 0.7, 1):
        rates = learning_rates(PARTS, RATE, decay)
        print(f"decay {decay:3}: " + "  ".join(f"{1000 * rates[name]:.2f}" for name in PARTS) + "  thousandths")

# %% [markdown]
# ### More pictures out of few: cut and paste
#
# Mirroring and light are free. But a person always stands before the wall where the camera found them. If there are
# masks, people can be **cut out and pasted** into other pictures (Ghiasi et al. 2021). It looks wrong, and helps.
#
# ### {10.paste}
#
# Write `paste(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask)` for two pictures of one
# size (H, W): the objects of the other lie over the first. Boxes are (M, 4) corners in fractions of the image. Return
# image, boxes, labels and mask.
#
# - Pixels of the other are taken where its mask is neither 0, background, nor 255, "ignore".
# - A box of the first is dropped if less than a quarter of its pixels is left to see. Its pixels: corners times width
#   and height, rounded, the end not included.
# - All boxes of the other stay, behind those of the first.


# %% nbgrader={"grade_id": "paste", "solution": true}
def paste(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    """Image, boxes, labels and mask of the first picture with the objects of the other over it."""
    ### BEGIN SOLUTION
    height, width = mask.shape
    taken = (other_mask != 0) & (other_mask != 255)
    kept = []
    for number, box in enumerate(boxes):
        x0, y0, x1, y1 = np.rint(box * [width, height, width, height]).astype(int)
        covered = taken[y0:y1, x0:x1]
        if covered.size == 0 or 1 - covered.mean() >= 0.25:
            kept.append(number)
    kept = np.array(kept, int)
    return (
        np.where(taken[..., None], other_image, image),
        np.concatenate([boxes[kept], other_boxes]),
        np.concatenate([labels[kept], other_labels]),
        np.where(taken, other_mask, mask),
    )
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_paste", "grade": true}
check("10.paste", paste)


# %%
def parts_of(sample):
    """Image, boxes, labels and mask."""
    return sample.image, sample.boxes, sample.labels, sample.mask


def pasted(samples):
    """Each with the people of the next one over it."""
    others = [*samples[1:], samples[0]]
    return [Sample(*paste(*parts_of(one), *parts_of(other))) for one, other in zip(samples, others, strict=True)]


# %% jupyter={"source_hidden": true}
with after("10.5"):
    figure, axes = panels(3, image_size=PEOPLE.image_size)
    shown = (("first", train[0]), ("other", train[1]), ("pasted", pasted(train[:2])[0]))
    for panel, (title, sample) in zip(axes, shown, strict=True):
        draw_image(panel, sample.image)
        figures.draw_boxes(panel, sample.boxes, **figures.TRUTH)
        panel.set_title(title, fontsize=10)
    show(
        figure,
        alt=f"Three pictures with boxes around people: one with {len(shown[0][1].boxes)}, another with "
        f"{len(shown[1][1].boxes)}, and the first with the other's people over it: {len(shown[2][1].boxes)} boxes.",
    )

# %% [markdown]
# ## 6. The trainings
#
# Now everything is there for an experiment that is fair: **all with the same number of steps**, the same pictures to be
# judged by, one thing changed at a time. Every training is short: 80 steps of 8 pictures. With that nothing gets as
# good as it could; the question is what gets there *sooner*.
#
# | name | begins with | learns |
# |---|---|---|
# | scratch | random weights | everything |
# | heads | the drawings' network | the heads alone; the backbone is frozen, with the statistics of drawings |
# | heads, new statistics | the same with the statistics of section 4 | the heads alone |
# | by depth | the drawings' network | everything, the nearer to the input, the slower: decay 0.7 |
# | all | the drawings' network | everything at one rate |
# | 10, 30 | the drawings' network | everything, from the first 10 or 30 pictures |
# | pasted, zoomed in, zoomed out | the drawings' network | everything, from all pictures and as many in this form |
#
# *Predict* the order of the first five, and which augmentation brings most.
#
# You can watch: a curve for each training, the joint loss in means of ten steps. Does the lowest curve win?
#
# It takes five to ten minutes on two quiet cores, and is done **once**: what comes out is kept in the folder
# `my_transfer`, beside this notebook. You may interrupt it and run it again: it goes on with the next training. Delete
# the folder to measure anew.


# %%
class ByPart(keras.optimizers.AdamW):
    """AdamW with a share of the learning rate for each weight."""

    shares = ()

    def update_step(self, gradient, variable, learning_rate):
        """Keras calls this for each weight."""
        super().update_step(gradient, variable, learning_rate * self.shares[self._get_variable_index(variable)])


def fine_tune(begin, samples, rates, steps, batch_size, watcher):
    """Train from these weights, each part at its rate: 0 freezes it; a callback watches. Gives a network."""
    network = network_with(begin)
    for layer in network.layers:
        layer.trainable = rates[part_of(layer.name)] > 0
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    recipe = Recipe(epochs=1, learning_rate=RATE, ema_momentum=0.95, class_weights=(1.0, 2.0))
    twin = fused_twin(network)  # the same network, in fewer operations
    trainer = JointTraining(twin, PEOPLE, recipe.class_weights)
    learner = ByPart.from_config(optimizer(recipe, steps).get_config())
    learner.shares = [rates[part_of(weight.path)] / RATE for weight in twin.trainable_variables]
    trainer.compile(optimizer=learner, jit_compile=False)
    learner.build(twin.trainable_variables)
    trainer.fit(
        pipeline.batches(samples, PEOPLE, batch_size, seed=recipe.seed),
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True), watcher],
        verbose=0,
    )
    network.set_weights(twin.get_weights())
    return network


# %% jupyter={"source_hidden": true}
STEPS, BATCH = (80, 8) if MODE == "full" else (2, 4)
EVERY = max(STEPS // 8, 1)  # steps, of whose losses the mean is drawn


class Watcher(keras.callbacks.Callback):
    """Notes losses while something learns, and has them drawn."""

    def __init__(self, losses, draw):
        super().__init__()
        self.losses, self.draw, self.total = losses, draw, 0.0

    def on_train_batch_end(self, batch, logs):
        """Keras's loss is the mean of all steps so far."""
        if (batch + 1) % EVERY == 0:
            before, self.total = self.total, logs["loss"] * (batch + 1)
            self.losses.append((self.total - before) / EVERY)
            self.draw()


def draw_losses(curves):
    """A line for each training so far."""
    figure, (panel, words) = panels(2, image_size=(1, 1.6))
    marks = (("o", figures.BLUE), ("s", figures.VERMILION), ("^", figures.GREEN), ("D", figures.PURPLE))
    looks = [(dashes, *mark) for dashes in ("-", "--", ":") for mark in marks]
    noted = {name: losses for name, losses in curves.items() if losses}
    for (name, losses), (dashes, marker, colour) in zip(noted.items(), looks, strict=False):
        steps = EVERY * np.arange(1, len(losses) + 1)
        panel.plot(steps, losses, dashes, marker=marker, markersize=4, color=colour, label=name)
    panel.set(xlabel="step", xlim=(0, STEPS + 2), ylim=(0, None))
    panel.set_title("loss of the pictures that are learned from", fontsize=10)
    words.axis("off")
    words.legend(*panel.get_legend_handles_labels(), loc="center left", fontsize=9, handlelength=4)
    told = ", ".join(f"{name} {losses[0]:.1f} to {losses[-1]:.1f}" for name, losses in noted.items())
    return figure, f"Curves of the loss, a training each, from the first steps to the last: {told}."


# %% tags=["timed"]
ORIGIN = crc32(b"".join(weight.tobytes() for weight in drawings.values()))  # another beginning, another result
KEPT = Path("my_transfer") / f"{data}-{ORIGIN:08x}" if MODE == "full" else Path(mkdtemp(prefix="ssdseg_lesson10_"))


def experiments():
    """Name to: weights to begin with, pictures, decay of the rates."""
    dice = np.random.default_rng(10)
    return {
        "scratch": (scratch, train, 1),
        "heads": (taken, train, 0),
        "heads, new statistics": (renewed, train, 0),
        "by depth": (taken, train, 0.7),
        "all": (taken, train, 1),
        "10": (taken, train[:10], 1),
        "30": (taken, train[:30], 1),
        "pasted": (taken, train + pasted(train), 1),
        "zoomed in": (taken, train + [augment.zoom(sample, dice) for sample in train], 1),
        "zoomed out": (taken, train + [augment.expand(sample, dice) for sample in train], 1),
    }


def of_training(name, begin, samples, decay):
    """Scores of a training, its weights and its losses: out of the folder, or trained now."""
    scores, weights = KEPT / f"{name}.json", KEPT / f"{name}.npz"
    if not scores.exists():
        losses = curves[name] = []
        watcher = Watcher(losses, lambda: picture.draw(*draw_losses(curves)))
        network = fine_tune(begin, samples, learning_rates(PARTS, RATE, decay), STEPS, BATCH, watcher)
        KEPT.mkdir(parents=True, exist_ok=True)
        with whole_file(weights) as draft, draft.open("wb") as file:
            np.savez(file, **weights_of(network))
        write_whole(scores, json.dumps({**judged(network)[1], "losses": losses}))
    kept = json.loads(scores.read_text(encoding="utf-8"))
    return kept, dict(np.load(weights)), kept.pop("losses", [])


results, trained, curves = {"drawings": at_once} if "at_once" in globals() else {}, {}, {}
if MODE != "skip":
    with after("10.1", "10.2", "10.4", "10.5"):
        picture = LivePicture()
        chosen = experiments() if MODE == "full" else {name: experiments()[name] for name in ("all",)}
        for name, experiment in chosen.items():
            results[name], trained[name], curves[name] = of_training(name, *experiment)
            print(f"{name:22}{in_words(results[name])}")
        if any(curves.values()):
            picture.leave(*draw_losses(curves))


# %% jupyter={"source_hidden": true}
if "zoomed out" in results:
    figure, axes = panels(3, image_size=(1, 1))
    groups = (
        ("where it begins", ("scratch", "drawings", "heads", "heads, new statistics", "by depth", "all")),
        ("one augmentation more", ("all", "pasted", "zoomed in", "zoomed out")),
    )
    told = []
    for panel, (title, names) in zip(axes[[0, 2]], groups, strict=True):
        bars = panel.barh(names, [results[name]["AP@.5"] for name in names], color=figures.SKY, edgecolor="black")
        panel.bar_label(bars, fmt="%.2f", padding=3)
        panel.invert_yaxis()
        panel.set(title=title, xlabel="AP@.5", xlim=(0, 1))
        told.append(f"{title}: " + ", ".join(f"{name} {results[name]['AP@.5']:.2f}" for name in names))
    counts, names = (0, 10, 30, len(train)), ("drawings", "10", "30", "all")
    curve = [results[name]["AP@.5"] for name in names]
    axes[1].plot(range(4), curve, "o-", color=figures.BLUE)
    axes[1].set(title="so many pictures", ylabel="AP@.5", ylim=(0, 1), xticks=range(4), xticklabels=counts)
    told.append("pictures: " + ", ".join(f"{count}: {value:.2f}" for count, value in zip(counts, curve, strict=True)))
    show(figure, alt=f"Three panels of AP at an IoU of 0.5. {'. '.join(told)}.")

# %% [markdown]
# How to read that:
#
# - *The loss* is that of the pictures that are learned from, and the lowest curve does not win: ten pictures are soon
#   known by heart. That of scratch falls, too, by saying "background" everywhere.
# - **Scratch** is hopeless in so few steps: it has to learn edges first. That is what a beginning is worth.
# - **Frozen** layers cost least time, and can only use what is there. With the statistics of drawings that is little;
#   with those of the new pictures, which cost no label, the same heads find twice as much.
# - **By depth or all alike?** Where the new pictures are very different, as stand-ins are, early layers have to change,
#   too, and slow rates hold them back. Where they are similar, slow rates protect what is good.
# - The **learning curve** says what the next hundred pictures would bring: if it rises, photograph; if it is flat,
#   think about something else. Each point has about three times the pictures of the one before. Here ten already
#   bring more than three times what there was, and from 30 to 100 hardly anything comes: after 80 steps the *steps* are
#   short, not the pictures.
# - **Augmentation** costs steps: with twice the pictures each is seen half as often. In a short training it may even
#   harm, as here; it pays in long ones, where pictures are known by heart.
#
# The same cells on **Penn-Fudan's photographs** gave these AP@.5:
#
# | nothing learned | scratch | heads | heads, new statistics | by depth | all |
# |---|---|---|---|---|---|
# | 0.16 | 0.19 | 0.32 | 0.31 | 0.51 | 0.67 |
#
# | 10 | 30 | all 114 | and pasted | and zoomed in | and zoomed out |
# |---|---|---|---|---|---|
# | 0.41 | 0.51 | 0.67 | 0.67 | 0.62 | 0.66 |
#
# The order of the beginnings is the same, but for the new statistics, which do not help there: section 4 said so. And
# the curve still rises: more photographs, please. None of the augmentations helped in 80 steps.
#
# Be careful: these are **single runs**, judged by some dozens of pictures. With another seed every number moves by some
# hundredths; what differs by less is not different. The table below is of photographs, with three seeds each and
# with 600 steps on a GPU; it is out of [the card of `photos`](../../docs/models/photos.md).
#
# | begins with | AP@.5 on Penn-Fudan, validation | IoU | AP@.5 on photographs of COCO |
# |---|---|---|---|
# | nothing | 0.49 | 0.20 | 0.07 |
# | drawings: the network `mobilenetv2` | 0.93 | 0.74 | 0.21 |
# | a backbone that has seen photographs | 0.97 | 0.81 | 0.36 |
# | that backbone, and the drawings' decoder and heads | 0.98 | 0.82 | 0.42 |
#
# Before any training the drawings' network had 0.07 on Penn-Fudan. The last column says something else: whoever has
# learned in pictures of few places knows *these places*. Photographs from elsewhere are the honest question. There a
# backbone that has seen the world reaches 0.36 where drawings reach 0.21; with the drawings' decoder and heads 0.42.

# %% [markdown]
# ## 7. Wrong in which way?
#
# One number says how good a detector is, and nothing about what to do. Errors have **kinds** (after Bolya et al. 2020),
# and each has another cure: boxes that sit badly want better offsets, doubles another NMS, alarms on the background
# more pictures *without* people, and missed people more pictures *with* such people.
#
# ### {10.error_kinds}
#
# Write `error_kinds(boxes, labels, true_boxes, true_labels)` for one picture: detections (D, 4) and (D,), **best
# first**, and what is there. Return D words. One detection after the other is the first of these that fits:
#
# - `"correct"`: a true box of its class that no detection before it has taken has an IoU of at least 0.5 with it. It
#   takes the one with the largest; of equal ones the last.
# - `"duplicate"`: a true box of its class, taken already, has an IoU of at least 0.5 with it.
# - `"confusion"`: a true box of another class, taken or not, has an IoU of at least 0.5 with it.
# - `"localisation"`: a true box of its class, taken or not, has an IoU of at least 0.1 with it.
# - `"background"`: anything else.
#
# `pairwise_iou(a, b)` of the next cell gives all overlaps (D, M) at once.

# %%
from ssdseg_ref.boxes import pairwise_iou


# %% nbgrader={"grade_id": "error_kinds", "solution": true}
def error_kinds(boxes, labels, true_boxes, true_labels):
    """What each detection is: correct, or an error of some kind."""
    ### BEGIN SOLUTION
    overlaps = pairwise_iou(boxes, true_boxes)
    free = np.ones(len(true_labels), bool)
    kinds = []
    for label, ious in zip(labels, overlaps, strict=True):
        own = true_labels == label
        can_take = np.flatnonzero(own & free & (ious >= 0.5))
        if len(can_take):
            best = ious[can_take].max()
            free[can_take[ious[can_take] == best][-1]] = False
            kinds.append("correct")
        elif (ious[own] >= 0.5).any():
            kinds.append("duplicate")
        elif (ious[~own] >= 0.5).any():
            kinds.append("confusion")
        elif (ious[own] >= 0.1).any():
            kinds.append("localisation")
        else:
            kinds.append("background")
    return kinds
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_error_kinds", "grade": true}
check("10.error_kinds", error_kinds)

# %% [markdown]
# Count, among detections with a score of at least 0.3. (With a single class there is no confusion.) And what does a
# kind *cost*? `error_costs` mends all errors of one kind, and none of another, and tells by how much AP@.5 rises: a box
# in its true place, a double or an alarm gone, a missed person struck off the list.


# %%
def kinds_of(predictions, samples, least_score=0.3):
    """How often each kind occurs, and how many people are missed."""
    counts = Counter()
    for prediction, sample in zip(predictions, samples, strict=True):
        order = np.argsort(-prediction.scores, kind="stable")
        order = order[prediction.scores[order] >= least_score]
        kinds = list(error_kinds(prediction.boxes[order], prediction.labels[order], sample.boxes, sample.labels))
        counts.update(kinds)
        counts["missed"] += len(sample.boxes) - kinds.count("correct")
    return counts


KINDS = [kind for kind in ERRORS if kind != "confusion"]
if MODE != "skip":
    with after("10.1", "10.6"):
        seen = {"drawings": before}
        if "all" in trained:
            seen["all"] = judged(network_with(trained["all"]))[0]
        costs = {}
        for name, predictions in seen.items():
            counts, costs[name] = kinds_of(predictions, validation), error_costs(predictions, validation, 1)
            print(f"{name:9} correct {counts['correct']}; " + ", ".join(f"{kind} {counts[kind]}" for kind in KINDS))
            print(f"{'':9} costs   " + ", ".join(f"{kind} {costs[name][kind]:.2f}" for kind in KINDS))

# %% jupyter={"source_hidden": true}
if MODE != "skip":
    with after("10.1", "10.6"):
        figure, axes = panels(len(costs), image_size=(1, 2))
        for panel, (name, of_kind) in zip(axes, costs.items(), strict=True):
            bars = panel.barh(KINDS, [of_kind[kind] for kind in KINDS], color=figures.SKY, edgecolor="black")
            panel.bar_label(bars, fmt="%.2f", padding=3)
            panel.invert_yaxis()
            panel.set(title=name, xlabel="AP@.5 that it costs", xlim=(0, 1))
        told = [f"{name}: " + ", ".join(f"{kind} {costs[name][kind]:.2f}" for kind in KINDS) for name in costs]
        show(figure, alt=f"What each kind of error costs, in points of AP at an IoU of 0.5. {'; '.join(told)}.")
        if "all" in seen:
            draw_found(seen["all"][:3], validation[:3])

# %% [markdown]
# Does *often* mean *dear*? No. Most people are missed, at a score of 0.3, and yet "missed" costs nothing: AP looks at
# all detections, down to a score of 0.01, and there nearly everybody has some box. They are not missed, they are *not
# believed*. Boxes that sit badly cost most: half on the person is no find, and the person is missed as well. An alarm
# with a low score costs nearly nothing, one above the hits costs much. The costs do not add up to what is missing,
# either: whoever mends one kind leaves the others.
#
# ## 8. Sure enough for what?
#
# In lesson 8 the threshold was the best compromise. A *use* is no compromise. Whoever counts visitors wants neither
# misses nor alarms; who blurs faces must not miss one, and alarms do no harm; who stops a machine for every alarm has
# it switched off by its people within a week. So: say first which precision the use demands, then take as much recall
# as there is.
#
# ### {10.choose_threshold}
#
# Write `choose_threshold(scores, correct, least_precision)`: scores (D,) of all detections of a data set, in any order,
# and whether each is correct (D,). Return the **lowest** score such that, of all detections with at least that score,
# the share of correct ones is at least `least_precision`. Equal scores stay together. If there is none, return
# `float("inf")`.


# %% nbgrader={"grade_id": "choose_threshold", "solution": true}
def choose_threshold(scores, correct, least_precision):
    """The lowest threshold with at least this precision."""
    ### BEGIN SOLUTION
    for threshold in np.unique(scores):
        if correct[scores >= threshold].mean() >= least_precision:
            return threshold
    return float("inf")
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_choose_threshold", "grade": true}
check("10.choose_threshold", choose_threshold)

# %% [markdown]
# Three uses, and three networks. The third is **`photos`**, which comes with the course: `load_network("photos")`. It
# began as section 6's last row, and learned from 214 photographs for 2,500 steps; pictures of 256 × 320.


# %%
def scores_and_correct(predictions, samples):
    """(D,) scores and (D,) whether correct, of a whole data set."""
    scores, correct = [], []
    for prediction, sample in zip(predictions, samples, strict=True):
        order = np.argsort(-prediction.scores, kind="stable")
        kinds = list(error_kinds(prediction.boxes[order], prediction.labels[order], sample.boxes, sample.labels))
        scores.append(prediction.scores[order])
        correct.append(np.array([kind == "correct" for kind in kinds], bool))
    return np.concatenate(scores), np.concatenate(correct)


USES = {"nobody may be missed": 0.3, "counting": 0.8, "each alarm stops a machine": 0.95}  # precision that they want
if MODE != "skip":
    with after("10.1", "10.6", "10.7"):
        seen["photos"], of_photos = judged(load_network("photos"), config=SHIPPED["photos"])
        print(f"photos, on these pictures: {in_words(of_photos)}")
        people = sum(len(sample.boxes) for sample in validation)
        curves = {name: scores_and_correct(predictions, validation) for name, predictions in seen.items()}
        for name, (scores, correct) in curves.items():
            for use, precision in USES.items():
                threshold = choose_threshold(scores, correct, precision)
                found = correct[scores >= threshold].sum() / people
                print(f"{name:9}{use:27}precision {precision:.2f}: threshold {threshold:5.2f}, recall {found:.2f}")

# %% jupyter={"source_hidden": true}
if MODE != "skip":
    with after("10.1", "10.6", "10.7"):
        figure, axes = panels(1, image_size=(1, 2))
        styles = (("-", figures.BLUE), ("--", figures.ORANGE), (":", figures.GREEN))
        told = []
        for (name, (scores, correct)), (style, color) in zip(curves.items(), styles, strict=False):
            hits = np.cumsum(correct[np.argsort(-scores, kind="stable")])
            precision = hits / np.arange(1, len(hits) + 1)
            axes[0].plot(hits / people, precision, linestyle=style, color=color, label=name)
            told.append(f"{name} comes to a recall of {hits[-1] / people:.2f}")
        axes[0].set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.03), title="what can be had together")
        figure.legend(loc="outside right upper")
        show(figure, alt=f"Precision over recall, a curve for each network. With all detections {', '.join(told)}.")

# %% [markdown]
# A threshold is chosen on validation and holds for pictures *like these*. It says nothing about another camera; and a
# precision of .95 out of forty detections is two errors, give or take two.
#
# On the photographs of Penn-Fudan that it has not seen, `photos` reaches AP@.5 0.97 and an IoU of 0.83; on other
# photographs, of COCO, a twin of it reached 0.45. Stand-ins are as strange to it as to the drawings' network, and
# without having seen one it finds nearly as many in them as our best training, in boxes that lie better: AP 0.241
# against 0.195. **What a network has seen before is worth more than anything that one can do with a hundred pictures.**
#
# ## 9. An open end: photographs of your own
#
# Half an hour, thirty pictures, and a free tool for labelling: what would you like to find? Take the photographs where
# the network shall work: with that camera, in that light, also empty scenes. Put every fifth one aside to judge by,
# **before** you look at any result; not neighbours out of one film, of which one lies here and one there.
#
# [docs/own-data.md](../../docs/own-data.md) goes with you, from the tool's clicks to the trained network. In short:
#
#     ssdseg data check my_photographs                # what is wrong with them, file by file
#     ssdseg data info my_photographs --plot page.png # classes, sizes, a page of pictures with boxes and masks
#     ssdseg data anchors my_photographs              # which anchors fit, and how much they cover
#     ssdseg train my_run --data my_photographs --from photos
#     ssdseg evaluate my_run --data my_photographs --split val
#
# `train` does what you did in this lesson: it takes over what fits and cuts out what is known of the last layers, lets
# old layers learn at 0.3 of the rate of new ones, pastes and zooms where pictures are few, and stops when the
# validation says so. Then look at the errors by kind, draw the learning curve with 10, 20 and 30 pictures, and decide
# whether to take a hundred more.
#
# ## 10. Compare with the reference
#
# Save the notebook (Ctrl + S) and type into a terminal:
#
#     ssdseg check 10      # runs your notebook from scratch, without the trainings, and counts your points
#     ssdseg compare 10    # your functions beside the reference's
#
# ## To remember
#
# - What fits by name and shape is taken over; last layers are cut out where a class is known, and new where it is not.
# - **Look before you train**, and ask the frozen features with a linear probe: it costs seconds.
# - A frozen batch normalisation keeps the statistics of another world; one that trains needs steps to forget them.
# - New layers fast, old ones slowly; frozen ones when there are very few pictures.
# - Compare at equal steps, change one thing at a time, and do not believe the second digit of a single run.
# - Errors have kinds, and each kind has another cure.
# - The use chooses the precision; the threshold follows.
#
# ## The papers
#
# - J. Yosinski et al. 2014, *How transferable are features in deep neural networks?* (NeurIPS).
# - R. Geirhos et al. 2019, *ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy
#   and robustness* (ICLR).
# - Y. Li et al. 2017, *Revisiting Batch Normalization For Practical Domain Adaptation* (ICLR workshop,
#   arXiv:1603.04779).
# - G. Alain and Y. Bengio 2016, *Understanding intermediate layers using linear classifier probes* (arXiv:1610.01644).
# - J. Howard and S. Ruder 2018, *Universal Language Model Fine-tuning for Text Classification* (ACL), section 3.2.
# - G. Ghiasi et al. 2021, *Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation* (CVPR).
# - D. Bolya et al. 2020, *TIDE: A General Toolbox for Identifying Object Detection Errors* (ECCV).
# - L. Wang et al. 2007, *Object Detection Combining Recognition and Segmentation* (ACCV): the photographs.

# %% [markdown]
# ## An open challenge
#
# No points, and no right answer: somebody pays for ten labels, and no more. Which pictures shall have them, and how
# does the drawings' network learn from so few? Write `my_plan(pictures)`. It gets the 100 stand-ins, without labels,
# and returns a dict: the numbers of ten of them, learning rates, what is frozen, how they are augmented. Are ten that
# differ as much as possible better than the first ten? What must a layer know already, so that
# you may freeze it?
#
# The course trains 80 steps of 8 pictures, as in section 6, half a minute on two cores. Your score is AP@.5 of people,
# in percent, in 60 pictures that you have not seen; they are stand-ins even if you have the photographs, so that scores
# can be compared. Take the `#` away below when you are ready; `ssdseg challenge 10` does the same in a terminal, and
# `ssdseg challenge 10 --task` says which settings there are.

# %%
from ssdseg_course import challenge


def my_plan(pictures):
    """Which ten are labelled, and how the network learns from them."""
    return {"pictures": list(range(10)), "augmentation": "none", "rate": 0.002}


challenge("10")  # the marks, and your attempts; the next line, without its "# ", trains for half a minute
# challenge("10", my_plan)
