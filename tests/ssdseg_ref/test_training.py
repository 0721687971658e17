"""Does training train, go on after it was killed, and stop when it no longer helps?"""

import csv
import gc
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ssdseg_ref.blocks import conv_bn, output_conv
from ssdseg_ref.config import LESSON
from ssdseg_ref.data import warehouse
from ssdseg_ref.data.files import LazySamples
from ssdseg_ref.data.pipeline import batches
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.training import (
    CHECKPOINTS,
    LOG,
    TENSORBOARD,
    JointTraining,
    Recipe,
    _begun_with,
    _dealt_out,
    finished_epochs,
    optimizer,
    train,
)

pytestmark = pytest.mark.filterwarnings("ignore:Even though the .tf.config:UserWarning")  # of `eagerly`

CONFIG = replace(LESSON, image_size=(64, 96))
RECIPE = Recipe(epochs=3, batch_size=4, ema_momentum=0.5)


def tiny_network(config=CONFIG):
    """A network of the joint network's outputs, of so few layers that its training step is traced in no time."""
    rows, classes = len(config.anchors), len(config.classes) + 1
    image = keras.Input((*CONFIG.image_size, 3))
    x = conv_bn(layers.Rescaling(1 / 127.5, offset=-1)(image), 8, 3, stride=4, name="stem")
    pooled = layers.Flatten()(layers.AveragePooling2D(4)(x))
    outputs = {
        "classes": layers.Reshape((rows, classes))(layers.Dense(rows * classes)(pooled)),
        "offsets": layers.Reshape((rows, 4))(layers.Dense(rows * 4)(pooled)),
        "mask": layers.Resizing(*CONFIG.image_size)(output_conv(x, classes, name="mask_predict")),
    }
    return keras.Model(image, outputs)


@pytest.fixture(scope="module")
def scenes():
    return [warehouse.render(seed, CONFIG.image_size) for seed in range(12)]


@pytest.fixture
def eagerly():
    """Steps run as they are written, for tests of a few of them: tracing takes longer. Others train in a graph."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def uninterrupted(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    keras.utils.set_random_seed(3)
    network = tiny_network()
    history = train(network, CONFIG, RECIPE, scenes[:8], scenes[8:], folder, verbose=0)
    return network, history, folder


def test_the_loss_falls(uninterrupted):
    losses = uninterrupted[1].history["loss"]
    assert losses[-1] < losses[0]


def test_the_log_has_a_row_an_epoch_and_every_part_of_the_loss(uninterrupted):
    with open(uninterrupted[2] / LOG, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert {*JointTraining.PARTS, "loss", "val_loss"} <= set(rows[0])
    for row in rows:
        assert float(row["loss"]) == pytest.approx(sum(float(row[part]) for part in JointTraining.PARTS), rel=1e-4)


def test_tensorboard_can_read_the_log(uninterrupted):
    """Its own reader finds the loss of every epoch, in training and in validation."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for part in ("train", "validation"):
        events = EventAccumulator(str(uninterrupted[2] / TENSORBOARD / part)).Reload()
        assert [event.step for event in events.Tensors("epoch_loss")] == [0, 1, 2]


def test_a_finished_training_leaves_no_more_than_its_best_weights(uninterrupted):
    kept = sorted(path.name for path in (uninterrupted[2] / CHECKPOINTS).iterdir())
    assert [name[4:] for name in kept] == [".best.weights.h5", ".json"]


def test_a_finished_training_gives_its_network_back_and_trains_no_more(uninterrupted, scenes):
    network, _, folder = uninterrupted
    again = tiny_network()
    history = train(again, CONFIG, RECIPE, scenes[:8], scenes[8:], folder, verbose=0)
    assert history.epoch == []
    for first, second in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_collector_is_held_back_until_the_first_step_is_done_and_no_longer(scenes, tmp_path):
    seen = []

    def look(batch, logs):
        seen.append(gc.isenabled())
        if len(seen) == 3:
            raise KeyboardInterrupt

    def stop(logs):
        raise KeyboardInterrupt

    for number, watcher in enumerate(
        (keras.callbacks.LambdaCallback(on_train_batch_begin=look), keras.callbacks.LambdaCallback(on_train_begin=stop))
    ):
        with pytest.raises(KeyboardInterrupt):
            train(tiny_network(), CONFIG, RECIPE, scenes[:8], scenes[8:], tmp_path / str(number), watchers=[watcher])
        assert gc.isenabled()
    assert seen == [False, True, True]


def test_the_network_ends_with_the_averaged_weights_of_its_best_epoch(uninterrupted, scenes):
    """`val_loss` was measured on averaged weights: the network that comes back has to reach the least of them."""
    network, history, _ = uninterrupted
    trainer = JointTraining(network, CONFIG, RECIPE.class_weights)
    trainer.compile()
    result = trainer.evaluate(batches(scenes[8:], CONFIG, RECIPE.batch_size), verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(min(history.history["val_loss"]), rel=1e-3)


KILLED_TRAINING = """
import os, sys
sys.path.insert(0, sys.argv[2])
import keras
from test_training import CONFIG, RECIPE, tiny_network
from ssdseg_ref.data import warehouse
from ssdseg_ref import training

scenes = [warehouse.render(seed, CONFIG.image_size) for seed in range(12)]
class Killer(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            os._exit(9)
keras.utils.set_random_seed(3)
training.train(tiny_network(), CONFIG, RECIPE, scenes[:8], scenes[8:], sys.argv[1], verbose=0, watchers=[Killer()])
"""


@pytest.mark.usefixtures("eagerly")
def test_a_killed_training_goes_on_and_ends_where_it_would_have_ended(uninterrupted, scenes, tmp_path):
    """Killed without warning after its second epoch; batches and optimiser go on as if nothing had happened."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", KILLED_TRAINING, str(folder), str(Path(__file__).parent)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 9
    assert finished_epochs(folder) == 2
    train(tiny_network(), CONFIG, RECIPE, scenes[:8], scenes[8:], folder, verbose=0)
    with open(folder / LOG, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    losses = [float(row["loss"]) for row in rows]
    np.testing.assert_allclose(losses, uninterrupted[1].history["loss"], rtol=0.02)


def test_a_training_that_an_older_course_has_begun_is_the_same_training():
    """Its notes, and the folder of lesson 8, know nothing of what came later."""
    begun = _begun_with(CONFIG, RECIPE, [], [])
    later = {"strong", "taken_over_rate", "giou_weight", "iou_aware", "has_masks"}
    assert not later & {*begun["recipe"], *begun["config"]}
    assert not any(name in repr((CONFIG, RECIPE)) for name in later)
    younger = replace(RECIPE, strong=True, taken_over_rate=0.5, giou_weight=5, iou_aware=True)
    other = _begun_with(replace(CONFIG, has_masks=False), younger, [], [])
    assert later <= {*other["recipe"], *other["config"]}


def test_the_recipe_weighs_giou_and_teaches_scores_the_iou(scenes):
    """Each part is tracked as it is; their sum is weighted."""
    network = tiny_network()
    inputs, wanted = next(iter(batches(scenes[:8], CONFIG, 8)))
    outputs, parts = network(inputs), {}
    for weight, aware in ((1.0, False), (5.0, False), (5.0, True)):
        trainer = JointTraining(network, CONFIG, RECIPE.class_weights, giou_weight=weight, iou_aware=aware)
        total = float(trainer.compute_loss(inputs, wanted, outputs))
        sizes = {tracker.name: float(tracker.result()) for tracker in trainer.trackers}
        assert total == pytest.approx(sum(sizes.values()) + (weight - 1) * sizes["giou"], rel=1e-5)
        parts[weight, aware] = sizes
    assert parts[1.0, False] == parts[5.0, False]
    changed = {name for name, size in parts[5.0, True].items() if size != parts[5.0, False][name]}
    assert changed == {"class"}


def grey(label):
    """A grey picture without boxes whose every pixel has one class."""
    size = CONFIG.image_size
    picture, nothing = np.full((*size, 3), 100, np.uint8), np.zeros((0, 4), np.float32)
    return Sample(picture, nothing, np.zeros(0, np.int32), np.full(size, label, np.uint8))


class Stop(keras.callbacks.Callback):
    """Ctrl-C as an epoch begins."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_is_gone_on_with_remembers_its_best_epoch(tmp_path):
    """The epoch before the stop is noted as one that no later epoch can beat."""
    recipe, samples = replace(RECIPE, epochs=2), [grey(1)] * 4
    with pytest.raises(KeyboardInterrupt):
        train(tiny_network(), CONFIG, recipe, samples, samples, tmp_path, verbose=0, watchers=[Stop(1)])
    assert finished_epochs(tmp_path) == 1
    record, best = (tmp_path / CHECKPOINTS / name for name in ("0001.json", "0001.best.weights.h5"))
    noted, weights = json.loads(record.read_text()), best.read_bytes()
    noted["log"][0]["val_loss"] = -1.0
    record.write_text(json.dumps(noted))
    network = tiny_network()
    assert train(network, CONFIG, recipe, samples, samples, tmp_path, verbose=0).epoch == [1]
    assert best.read_bytes() == weights
    with h5py.File(best) as file:
        for value, name in zip(network.get_weights(), sorted(file), strict=True):
            np.testing.assert_array_equal(value, file[name])
    with open(tmp_path / LOG, newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_diverges_says_so_and_keeps_what_was_there_before(scenes, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.network.trainable_weights[0].assign(self.model.network.trainable_weights[0] * np.nan)

    network = tiny_network()
    fresh = network.get_weights()
    with pytest.raises(ValueError, match=r"diverged: in epoch 2 its loss is nan; .* keeps the epoch before"):
        train(network, CONFIG, RECIPE, scenes[:4], scenes[8:], tmp_path, verbose=0, watchers=[Spoil()])
    assert finished_epochs(tmp_path) == 1
    for before, after in zip(fresh, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_training_that_diverges_at_its_last_step_is_found_by_its_validation(scenes, tmp_path):
    wild = replace(RECIPE, epochs=1, learning_rate=1e41)
    with pytest.raises(ValueError, match="diverged: in epoch 1 its val_loss is nan"):
        train(tiny_network(), CONFIG, wild, scenes[:4], scenes[8:], tmp_path, verbose=0)
    assert finished_epochs(tmp_path) == 0


@pytest.mark.parametrize("classes", [1, 5, 20])
def test_another_number_of_classes_needs_as_many_weights(classes, tmp_path):
    config = replace(CONFIG, classes=tuple(f"class {number}" for number in range(classes)))
    with pytest.raises(ValueError, match=f"need {classes + 1} class_weights, background first, got 4"):
        train(tiny_network(), config, RECIPE, [grey(1)] * 4, [grey(1)] * 4, tmp_path, verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_training_stops_when_validation_no_longer_improves(tmp_path):
    """Weights that hardly move, and no normalisation whose averages would."""
    rows, classes = len(CONFIG.anchors), len(CONFIG.classes) + 1
    image = keras.Input((*CONFIG.image_size, 3))
    x = layers.Flatten()(layers.AveragePooling2D(16)(layers.Rescaling(1 / 255)(image)))
    outputs = {
        "classes": layers.Reshape((rows, classes))(layers.Dense(rows * classes)(x)),
        "offsets": layers.Reshape((rows, 4))(layers.Dense(rows * 4)(x)),
        "mask": layers.Conv2D(classes, 1)(image),
    }
    recipe = replace(RECIPE, epochs=30, learning_rate=1e-12, patience=2, ema_momentum=0.0)
    samples = [grey(1)] * 4
    history = train(keras.Model(image, outputs), CONFIG, recipe, samples, samples, tmp_path, verbose=0)
    assert 3 <= len(history.epoch) < 10


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth():
    adamw = optimizer(Recipe(epochs=1, learning_rate=1e-2, warmup=0.1), steps=100)
    rates = []
    for step in range(101):
        adamw.iterations.assign(step)
        rates.append(float(adamw.learning_rate))
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-2)
    assert rates.index(max(rates)) == 10
    assert rates[-1] == pytest.approx(1e-4)


@pytest.mark.parametrize("muon_rate", [0.0, 0.5])
def test_norms_and_biases_do_not_decay(muon_rate):
    """Where there is no gradient, the decay alone changes a weight."""
    weights = tiny_network().trainable_weights
    before = [weight.assign_add(keras.ops.ones(weight.shape)).numpy() for weight in weights]
    learner = optimizer(replace(RECIPE, learning_rate=1.0, weight_decay=0.5, muon_rate=muon_rate), steps=10)
    learner.apply([keras.ops.zeros(weight.shape) for weight in weights], weights)
    changed = {weight.name for weight, old in zip(weights, before, strict=True) if (weight.numpy() != old).any()}
    assert changed == {"kernel"}


def test_kernels_learn_at_muons_rate_and_those_taken_over_at_their_share():
    """By the length of the first step, which momentum and gradient do not change."""
    weights = [keras.Variable(np.zeros((4, 4)), dtype="float32", name=name) for name in ("new", "old")]
    recipe = replace(RECIPE, learning_rate=1e-3, weight_decay=0, warmup=0, muon_rate=0.2, taken_over_rate=0.25)
    learner = optimizer(recipe, steps=1000, taken_over=["old"])
    learner.iterations.assign(1)  # the warm-up's single step is over
    learner.apply([keras.ops.eye(4), keras.ops.eye(4) * 50], weights)
    new, old = (np.abs(np.linalg.eigvalsh(weight.numpy())).mean() for weight in weights)
    assert new == pytest.approx(0.2, rel=0.35)
    assert old == pytest.approx(0.25 * new, rel=1e-3)


def test_too_few_samples_are_refused(scenes, tmp_path):
    with pytest.raises(ValueError, match="3 samples do not fill a batch of 4"):
        train(tiny_network(), CONFIG, RECIPE, scenes[:3], scenes[8:], tmp_path, verbose=0)


@pytest.mark.parametrize(("policy", "classes"), [("mixed_float16", 1), ("mixed_bfloat16", 20)])
def test_a_network_of_mixed_precision_and_any_number_of_classes_trains(policy, classes, tmp_path):
    config = replace(CONFIG, classes=tuple(f"class {number}" for number in range(classes)))
    recipe = replace(RECIPE, epochs=1, class_weights=(1.0,) * (classes + 1))
    boxes, labels = np.array([[0.1, 0.1, 0.6, 0.9]], np.float32), np.array([classes], np.int32)
    samples = [replace(grey(classes), boxes=boxes, labels=labels)] * 4
    keras.mixed_precision.set_global_policy(policy)
    try:
        network = tiny_network(config)
        history = train(network, config, recipe, samples, samples, tmp_path, verbose=0)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(history.history["val_loss"]).all()
    assert {weight.dtype for weight in network.trainable_weights} == {"float32"}


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_weights_of_another_precision_are_refused_with_the_way_out(kind, tmp_path):
    """What "floatx" in keras.json makes of a network."""
    network = keras.Sequential([keras.Input((2,)), layers.Dense(1, dtype=kind)])
    with pytest.raises(ValueError, match=f'weights of float32, these are {kind}; correct "floatx" in keras.json'):
        train(network, CONFIG, RECIPE, [], [], tmp_path, verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_a_full_disk_under_tensorboard_s_log_gets_one_sentence(scenes, tmp_path):
    class Full(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, f"{tmp_path / TENSORBOARD}/x; No space left on device")

    with pytest.raises(OSError, match=r"tensorboard: cannot be written, perhaps the disk is full"):
        train(tiny_network(), CONFIG, RECIPE, scenes[:4], scenes[8:], tmp_path, verbose=0, watchers=[Full()])
    assert finished_epochs(tmp_path) == 1


@pytest.mark.usefixtures("eagerly")
def test_a_sample_that_cannot_be_read_is_named_in_one_sentence(scenes, tmp_path):
    def read(entry):
        if entry == 3:
            raise ValueError("photo.jpg: not a picture that can be read")
        return scenes[entry]

    samples = LazySamples(range(4), read)
    with pytest.raises(ValueError, match=r"^photo\.jpg: not a picture that can be read$"):
        train(tiny_network(), CONFIG, RECIPE, samples, scenes[8:], tmp_path, verbose=0)


def test_weights_that_were_taken_over_learn_at_their_own_rate(scenes, tmp_path, eagerly):
    """A share of 0 keeps them as they are: the share is of the step, which Adam makes as long for any gradient."""
    keras.utils.set_random_seed(1)
    network = tiny_network()
    old = {weight.path: np.asarray(weight) for weight in network.trainable_weights}
    kept = {path for path in old if path.startswith("stem")}
    assert kept
    recipe = replace(RECIPE, epochs=1, ema_momentum=0.0, weight_decay=0.0, taken_over_rate=0.0)
    train(network, CONFIG, recipe, scenes[:8], scenes[8:], tmp_path, taken_over=kept, verbose=0)
    moved = {w.path for w in network.trainable_weights if abs(np.asarray(w) - old[w.path]).max() > 1e-7}
    assert moved == set(old) - kept


def test_a_smaller_share_takes_smaller_steps():
    def moved(share):
        variable = keras.Variable(np.zeros(3, np.float32), name="v")
        recipe = replace(RECIPE, weight_decay=0.0, taken_over_rate=share)
        learner = optimizer(recipe, 10, [variable.path])
        learner.build([variable])
        learner.apply([np.float32([1, -2, 3])], [variable])
        return np.asarray(variable)

    np.testing.assert_allclose(moved(0.3), 0.3 * moved(1.0), rtol=1e-5)


def test_a_strong_augmentation_is_the_same_after_a_stop(scenes, tmp_path, eagerly):
    recipe = replace(RECIPE, epochs=2, strong=True)

    def trained(folder, *epochs):
        for count in epochs:
            keras.utils.set_random_seed(3)
            network = tiny_network()
            stop = [keras.callbacks.LambdaCallback(on_epoch_end=_stop_at(count))]
            with suppress(KeyboardInterrupt):
                train(network, CONFIG, recipe, scenes[:8], scenes[8:], folder, verbose=0, watchers=stop)
        return network

    whole, resumed = trained(tmp_path / "a", 9), trained(tmp_path / "b", 1, 9)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def _stop_at(count):
    def stop(epoch, logs):
        if epoch + 1 == count:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize(("samples", "workers"), [(14, 2), (16, 4), (13, 4), (12, 4), (3, 2), (1, 3)])
def test_the_judgement_is_dealt_out_batch_by_batch_or_done_by_all(samples, workers):
    parts = [list(_dealt_out(range(samples), 4, rank, workers)) for rank in range(workers)]
    if samples > 4 * (workers - 1):
        assert sorted(place for part in parts for place in part) == list(range(samples))
        assert all(part[first] % 4 == 0 for part in parts for first in range(0, len(part), 4))
    else:
        assert parts == [list(range(samples))] * workers
