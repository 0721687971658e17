"""Does training train, go on after it was killed, and stop when it no longer helps?"""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from ssdseg_ref.blocks import conv_bn, predict
from ssdseg_ref.data import warehouse
from ssdseg_ref.multitask import LESSON
from ssdseg_ref.training import CHECKPOINTS, LOG, TENSORBOARD, JointTraining, Recipe, finished_epochs, optimizer, train

CONFIG = replace(LESSON, image_size=(64, 96))
RECIPE = Recipe(epochs=3, batch_size=4, ema_momentum=0.5)


def tiny_network():
    """A network of the joint network's outputs, of so few layers that its training step is traced in no time."""
    rows, classes = len(CONFIG.anchors), len(CONFIG.classes) + 1
    image = keras.Input((*CONFIG.image_size, 3))
    x = conv_bn(layers.Rescaling(1 / 127.5, offset=-1)(image), 8, 3, stride=4, name="stem")
    pooled = layers.Flatten()(layers.AveragePooling2D(4)(x))
    outputs = {
        "classes": layers.Reshape((rows, classes))(layers.Dense(rows * classes)(pooled)),
        "offsets": layers.Reshape((rows, 4))(layers.Dense(rows * 4)(pooled)),
        "mask": layers.Resizing(*CONFIG.image_size)(predict(x, classes, name="mask_predict")),
    }
    return keras.Model(image, outputs)


@pytest.fixture(scope="module")
def scenes():
    return [warehouse.render(seed, CONFIG.image_size) for seed in range(12)]


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


def test_a_finished_training_leaves_no_checkpoint_behind(uninterrupted):
    assert not (uninterrupted[2] / CHECKPOINTS).exists()


def test_the_network_ends_with_the_averaged_weights_of_its_best_epoch(uninterrupted, scenes):
    """`val_loss` was measured on averaged weights: the network that comes back has to reach the least of them."""
    from ssdseg_ref.data.pipeline import batches

    network, history, _ = uninterrupted
    trainer = JointTraining(network, CONFIG, RECIPE.class_weights)
    trainer.compile()
    result = trainer.evaluate(batches(scenes[8:], CONFIG, RECIPE.batch_size), verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(min(history.history["val_loss"]), rel=1e-3)


STOPPED_TRAINING = """
import os, sys
sys.path.insert(0, sys.argv[3])
import keras
from test_training import CONFIG, RECIPE, tiny_network
from ssdseg_ref.data import warehouse
from ssdseg_ref import training

scenes = [warehouse.render(seed, CONFIG.image_size) for seed in range(12)]
if sys.argv[2] == "kill":
    class Killer(keras.callbacks.CSVLogger):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch == 1:
                os._exit(9)
    training.callbacks.CSVLogger = Killer
keras.utils.set_random_seed(3)
network = tiny_network()
training.train(network, CONFIG, RECIPE, scenes[:8], scenes[8:], sys.argv[1], verbose=0)
network.save_weights(sys.argv[1] + "/end.weights.h5")
"""


def test_a_killed_training_goes_on_and_ends_where_it_would_have_ended(uninterrupted, tmp_path):
    """Killed without warning behind its second epoch; batches and optimiser go on as if nothing had been."""
    (tmp_path / "run.py").write_text(STOPPED_TRAINING)
    folder = tmp_path / "run"

    def run(how):
        command = [sys.executable, str(tmp_path / "run.py"), str(folder), how, str(Path(__file__).parent)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("kill").returncode == 9
    assert finished_epochs(folder) == 2
    again = run("finish")
    assert again.returncode == 0, again.stderr
    with open(folder / LOG, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    losses = [float(row["loss"]) for row in rows]
    np.testing.assert_allclose(losses, uninterrupted[1].history["loss"], rtol=0.02)


def test_training_stops_when_validation_no_longer_improves(scenes, tmp_path):
    recipe = replace(RECIPE, epochs=30, learning_rate=1e-12, patience=2, ema_momentum=0.0)
    network = tiny_network()
    frozen = [weight.numpy() for weight in network.trainable_weights]
    history = train(network, CONFIG, recipe, scenes[:4], scenes[8:], tmp_path, verbose=0)
    assert len(history.epoch) < 30
    assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(frozen, network.trainable_weights, strict=True))


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth():
    schedule = optimizer(Recipe(epochs=1, learning_rate=1e-2, warmup=0.1), steps=100)._learning_rate
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-2)
    assert rates.index(max(rates)) == 10
    assert rates[-1] == pytest.approx(1e-4)


def test_norms_and_biases_do_not_decay():
    network = tiny_network()
    adamw = optimizer(RECIPE, steps=10)
    adamw.build(network.trainable_weights)
    decaying = {weight.name for weight in network.trainable_weights if adamw._use_weight_decay(weight)}
    assert decaying == {"kernel"}


def test_too_few_samples_are_refused(scenes, tmp_path):
    with pytest.raises(ValueError, match="3 samples do not fill a batch of 4"):
        train(tiny_network(), CONFIG, RECIPE, scenes[:3], scenes[8:], tmp_path, verbose=0)
