"""Training the joint network with Keras's own `fit`: recipes, the joint loss, checkpoints, early stopping.

The optimiser is AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"), or Muon (Jordan et al.
2024, "Muon: An optimizer for hidden layers in neural networks") with AdamW for what is no matrix, under a cosine with
warm-up; what is judged and kept is an exponential moving average of the weights, which is smoother than the weights.
"""

import gc
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any
from zlib import crc32

import keras
import numpy as np
from keras import KerasTensor, callbacks, ops

from ssdseg_ref.adamw import FastAdamW
from ssdseg_ref.averaging import InStep, Ring
from ssdseg_ref.checkpoints import CHECKPOINTS, LOG, Checkpoints, finished_epochs
from ssdseg_ref.coding import decode
from ssdseg_ref.config import Config
from ssdseg_ref.data.files import LazySamples
from ssdseg_ref.data.pipeline import batches
from ssdseg_ref.data.sample import BACKGROUND, Sample
from ssdseg_ref.fused import fused_twin
from ssdseg_ref.keeping import locked
from ssdseg_ref.losses import dice_loss, giou_loss, iou_aware_loss, multibox_loss, weighted_cross_entropy
from ssdseg_ref.muon import Muon
from ssdseg_ref.workers import Workers

__all__ = ["CHECKPOINTS", "LOG", "RECIPES", "JointTraining", "Recipe", "finished_epochs", "optimizer", "train"]

Logs = dict[str, float]  # Keras's, of a batch or an epoch

COMPARED = 32  # samples of each split, whose pixels workers compare
SAME_WEIGHTS = 1e-5  # relative: closer than any two networks that began with other numbers
TENSORBOARD = "tensorboard"  # in a run's folder: the same for `tensorboard --logdir`


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training samples.
        batch_size: images per step.
        learning_rate: at the top of the schedule.
        weight_decay: of AdamW.
        warmup: share of all steps in which the learning rate rises.
        ema_momentum: of the moving average of the weights.
        class_weights: of the mask's cross-entropy, one per class and background first; four fit the Warehouse.
        zoom_share: share of the samples that are zoomed into; see `augment`.
        strong: whether samples are augmented as small data needs it, by `augment_strongly`.
        taken_over_rate: share of the learning rate for weights that another network has learned.
        muon_rate: learning rate of kernels that are matrices, by Muon, at the top of the schedule; with 0 they take
            AdamW's steps as all others do.
        giou_weight: of the GIoU loss in the joint loss, where the other parts weigh 1.
        iou_aware: whether a positive's score learns how good its box is; see `iou_aware_loss`.
        split: of the Warehouse, to be trained on.
        patience: epochs without a better validation loss after which training stops.
        seed: of the order and the augmentation of the samples.
    """

    epochs: int
    batch_size: int = 16
    learning_rate: float = 2.5e-3
    weight_decay: float = 1e-4
    warmup: float = 0.08
    ema_momentum: float = 0.99
    class_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    zoom_share: float = 0.0
    strong: bool = field(default=False, repr=False)
    taken_over_rate: float = field(default=1.0, repr=False)
    giou_weight: float = field(default=1.0, repr=False)
    iou_aware: bool = field(default=False, repr=False)
    muon_rate: float = field(default=0.0, repr=False)
    split: str = "train"
    patience: int = 5
    seed: int = 1


LESSON_RECIPE = Recipe(
    epochs=20, batch_size=8, learning_rate=2e-3, ema_momentum=0.995, giou_weight=5, iou_aware=True, muon_rate=0.02
)
REFERENCE_RECIPE = replace(LESSON_RECIPE, epochs=10, ema_momentum=0.998, zoom_share=1 / 3, split="train_large")
RECIPES = {"lesson": LESSON_RECIPE, "reference": REFERENCE_RECIPE}


class JointTraining(keras.Model):
    """The network with the joint loss around it: detection and segmentation in one number.

    Its weights are the network's own: when it is fitted, the network is.

    Args:
        network: from `build_network`.
        config: that it was built from.
        class_weights: of the mask's cross-entropy, background first.
        giou_weight: see `Recipe`.
        iou_aware: see `Recipe`.

    Raises:
        ValueError: if there are more or fewer weights than classes.
    """

    PARTS = ("class", "box", "giou", "mask", "dice")

    def __init__(
        self,
        network: keras.Model,
        config: Config,
        class_weights: Sequence[float],
        *,
        giou_weight: float = 1.0,
        iou_aware: bool = False,
    ):
        wanted = len(config.classes) + 1
        if len(class_weights) != wanted:
            raise ValueError(
                f"{len(config.classes)} classes and background need {wanted} class_weights, background first, got "
                f"{len(class_weights)}"
            )
        super().__init__(name="joint_training", dtype=network.dtype_policy)
        self.network = network
        self.anchors = config.anchors
        self.class_weights = np.asarray(class_weights, np.float32)
        self.giou_weight, self.iou_aware = giou_weight, iou_aware
        self.trackers = [keras.metrics.Mean(name=part, dtype="float32") for part in self.PARTS]
        self.built = True  # the network is

    def call(self, images: KerasTensor, training: bool | None = None) -> KerasTensor:
        """The network's own output, a dict of tensors."""
        return self.network(images, training=training)

    def compute_loss(
        self,
        x: KerasTensor,
        y: dict[str, KerasTensor],
        y_pred: dict[str, KerasTensor],
        sample_weight: KerasTensor | None = None,
        training: bool = True,
    ) -> KerasTensor:
        """Weighted sum of the five parts, each tracked under its own name; in float32, whatever the network computes
        in."""
        y_pred = {name: ops.cast(output, "float32") for name, output in y_pred.items()}
        class_loss, box_loss = multibox_loss(y["classes"], y["offsets"], y_pred["classes"], y_pred["offsets"])
        positive = ops.cast(y["classes"] != BACKGROUND, "float32")
        positives = ops.sum(positive)
        truth = decode(y["offsets"], self.anchors)  # (B, N, 4)
        # A fresh network's wildest offsets would overflow the exponential.
        boxes = decode(ops.clip(y_pred["offsets"], -30.0, 30.0), self.anchors)
        if self.iou_aware:
            images = ops.cast(ops.shape(positive)[0], "float32")
            lacks = ops.sum(positive * iou_aware_loss(truth, boxes, y["classes"], y_pred["classes"]))
            class_loss += lacks / ops.maximum(positives, images)  # as `multibox_loss` divides
        parts = (
            class_loss,
            box_loss,
            ops.sum(positive * giou_loss(truth, boxes)) / ops.maximum(positives, 1.0),
            weighted_cross_entropy(y["mask"], y_pred["mask"], self.class_weights),
            dice_loss(y["mask"], y_pred["mask"]),
        )
        for tracker, part in zip(self.trackers, parts, strict=True):
            tracker.update_state(part)
        weights = (1.0, 1.0, self.giou_weight, 1.0, 1.0)
        return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def train(
    network: keras.Model,
    config: Config,
    recipe: Recipe,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    folder: str | Path,
    *,
    taken_over: Collection[str] = (),
    verbose: int | str = "auto",
    watchers: Sequence[callbacks.Callback] = (),
    ring: Ring | None = None,
) -> keras.callbacks.History:
    """Train a network, in place.

    A training that was stopped, by Ctrl-C or a power cut, goes on from its last whole epoch when it is called again
    with the same folder; one that had finished is not trained again, its network comes back. In the end the network
    holds the moving average of the epoch with the least validation loss.

    Args:
        network: from `build_network`.
        config: that it was built from.
        recipe: how.
        training: samples to learn from.
        validation: samples that say when to stop.
        folder: of this run: gets `log.csv`, a log for TensorBoard, and checkpoints, of which the best weights stay.
        taken_over: paths of the weights that another network has learned; see `Recipe`.
        verbose: as Keras's `fit` takes it.
        watchers: further callbacks, such as one that draws the losses.
        ring: of the workers that train together; each calls this with the same arguments, and a folder of its own.
            They go on from the last epoch that any of them has kept.

    Returns:
        Keras's history of the epochs of this call.

    Raises:
        ValueError: if there are too few samples for a batch, if classes and weights differ in number, if the folder
            holds another training, or one at work, if a sample cannot be read or holds a class that the network does
            not know, if workers differ or one is lost, and if the loss is no number any more; the epochs before are
            kept.
        OSError: if the folder cannot be written into; the epochs before are kept.
    """
    _can_train(network)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), _collecting_later() as later:
        twin = fused_twin(network)
        trainer = JointTraining(
            twin, config, recipe.class_weights, giou_weight=recipe.giou_weight, iou_aware=recipe.iou_aware
        )
        steps = len(training) // recipe.batch_size
        learner = optimizer(recipe, steps * recipe.epochs, taken_over)
        begun_with = _begun_with(config, recipe, training, validation)
        share, judged, together = (0, 1), validation, list[callbacks.Callback]()
        if ring:
            _begin_equal(ring, twin, {**begun_with, "images": _digest(training, validation)})
            share = (ring.workers.rank, len(ring.workers))
            judged = _dealt_out(validation, recipe.batch_size, *share)
            together = [InStep(ring, len(judged))]
        trainer.compile(optimizer=learner, jit_compile=False)  # XLA is slow on a CPU
        if ring:
            ring.stepping_along(trainer.optimizer)  # the outermost: what scales losses applies in a branch
        trainer.optimizer.build(twin.trainable_variables)  # else the first step is traced twice, which takes long
        kept = Checkpoints(folder, begun_with)
        kept.read(twin, trainer)
        if ring:
            _go_on_equal(ring.workers, kept, twin, trainer)
        history = callbacks.History()
        history.on_train_begin()  # of no epoch yet
        if not _has_finished(kept, recipe):
            if not kept.can_go_on:
                raise kept.damaged()
            with _one_sentence_errors(folder / TENSORBOARD), _graphs_as_written():
                history = trainer.fit(
                    batches(
                        training,
                        config,
                        recipe.batch_size,
                        seed=recipe.seed,
                        first_batch=kept.epochs * steps,
                        zoom_share=recipe.zoom_share,
                        strong=recipe.strong,
                        share=share,
                    ),
                    epochs=recipe.epochs,
                    initial_epoch=kept.epochs,
                    steps_per_epoch=steps,
                    shuffle=False,  # `batches` has done it
                    validation_data=batches(judged, config, recipe.batch_size),
                    callbacks=[*together, *_keeping(kept, recipe), *_tensorboard(folder), later, *watchers],
                    verbose=verbose,
                )
        if ring:
            ring.workers.gather("trained")  # from here on the folder of each holds all epochs
        kept.finish(twin)
        network.set_weights(twin.get_weights())
    return history


def _begin_equal(ring: Ring, network: keras.Model, about: dict[str, Any]) -> None:
    """Refuse workers that would train something else, and let all begin with the same weights."""
    ring.workers.must_agree(about)
    size = float(np.mean([np.abs(weight).mean() for weight in network.get_weights()]))
    sizes = ring.workers.gather(size)
    if not np.allclose(sizes, sizes[0], rtol=SAME_WEIGHTS):
        raise ValueError("the workers begin with different networks; give all of them the same one to begin with")
    # Two kinds of processors may differ in the last digit of a random number.
    ring.equalise([weight for weight in network.weights if weight.dtype == "float32"])


def _go_on_equal(workers: Workers, kept: Checkpoints, network: keras.Model, trainer: keras.Model) -> None:
    """Let whoever has most epochs hand them to those that have others: one that was killed, or a new machine."""
    there = workers.gather(kept.log)
    most = max(range(len(there)), key=lambda rank: len(there[rank]))
    if all(log == there[most] for log in there):
        return
    files = workers.gather(kept.hand_out() if workers.rank == most else None)[most]
    if kept.log != there[most]:
        kept.take_over(files)
        kept.read(network, trainer)
    workers.must_agree({"number of epochs that are kept": kept.epochs})


def _digest(*parts: Sequence[Sample]) -> str:
    """A few of the samples, taken evenly, in eight digits."""
    checksum = 0
    for samples in parts:
        for place in np.linspace(0, len(samples) - 1, min(COMPARED, len(samples))).astype(int):
            sample = samples[int(place)]
            for part in (sample.image, sample.boxes, sample.labels, sample.mask):
                checksum = crc32(np.ascontiguousarray(part).tobytes(), checksum)
    return f"{checksum:08x}"


def _dealt_out(samples: Sequence[Sample], batch_size: int, rank: int, workers: int) -> Sequence[Sample]:
    """The batches that one of several workers judges; all of them, where there are fewer than workers."""
    if len(samples) <= batch_size * (workers - 1):
        return samples
    own = [place for place in range(len(samples)) if place // batch_size % workers == rank]
    return LazySamples(own, samples.__getitem__)


def _keeping(kept: Checkpoints, recipe: Recipe) -> list[callbacks.Callback]:
    """In this order: a checkpoint holds the raw weights, what is judged and kept as the best the averaged ones."""
    return [_KeepRaw(kept), callbacks.SwapEMAWeights(swap_on_epoch=True), _KeepBest(kept, recipe)]


def _tensorboard(folder: Path) -> list[callbacks.Callback]:
    """TensorFlow's own log, so none where Keras runs on another backend."""
    if keras.backend.backend() != "tensorflow":
        return []
    return [callbacks.TensorBoard(folder / TENSORBOARD, write_graph=False)]


@contextmanager
def _one_sentence_errors(log: Path) -> Iterator[None]:
    """What TensorFlow says on pages of its own, of a sample that cannot be read or a log that cannot be written."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("tensorflow"):
            raise
        if str(log) in str(error):
            raise OSError(f"{log}: cannot be written, perhaps the disk is full; what was kept is there") from error
        if of_a_sample := re.search(r"^(?:ValueError|FileNotFoundError): (.+)$", str(error), re.MULTILINE):
            raise ValueError(of_a_sample[1]) from error
        raise


@contextmanager
def _graphs_as_written() -> Iterator[None]:
    """Without TensorFlow's rewriting of graphs, which takes a second before a training's first step, and speeds up
    none."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    from tensorflow.config import optimizer as graphs

    off = "disable_meta_optimizer"
    before = graphs.get_experimental_options().get(off, False)
    graphs.set_experimental_options({off: True})
    try:
        yield
    finally:
        graphs.set_experimental_options({off: before})


@contextmanager
def _collecting_later() -> Iterator[callbacks.Callback]:
    """Hold Python's garbage collector back until the first step is done, which the callback notices.

    While TensorFlow traces that step, it would search a million objects again and again and free nothing, which takes
    one second of ten.
    """
    was_on = gc.isenabled()

    def go_on() -> None:
        if was_on:
            gc.enable()

    gc.disable()
    try:
        yield callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: go_on())
    finally:
        go_on()


class _KeepRaw(callbacks.Callback):
    """Ahead of the averaging: keeps what a training goes on from."""

    def __init__(self, kept: Checkpoints):
        super().__init__()
        self.kept = kept

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.kept.write(self.model)


class _KeepBest(callbacks.Callback):
    """Behind it: keeps the averaged weights that are best, and ends a training that gets no better, or diverges."""

    def __init__(self, kept: Checkpoints, recipe: Recipe):
        super().__init__()
        self.kept = kept
        self.recipe = recipe

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._must_be_finite("loss", logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._must_be_finite("val_loss", logs)
        self.kept.add(self.model.network, logs)
        if _has_finished(self.kept, self.recipe):
            self.model.stop_training = True

    def _must_be_finite(self, name: str, logs: Logs) -> None:
        if not isfinite(logs[name]):
            epoch, folder = self.kept.epochs, self.kept.run
            before = "the epoch" if epoch == 1 else f"the {epoch} epochs"
            kept = f"; {folder} keeps {before} before" if epoch else ""
            raise ValueError(
                f"the training diverged: in epoch {epoch + 1} its {name} is {logs[name]}; try a smaller learning "
                f"rate than {self.recipe.learning_rate:g}, or losses and samples without such numbers{kept}"
            )


def _has_finished(kept: Checkpoints, recipe: Recipe) -> bool:
    waited = kept.epochs - kept.best_epoch
    return kept.epochs >= recipe.epochs or (waited >= recipe.patience and kept.epochs > 1)


def _begun_with(
    config: Config, recipe: Recipe, training: Sequence[Sample], validation: Sequence[Sample]
) -> dict[str, Any]:
    samples = {"training": len(training), "validation": len(validation)}
    return {"config": _noted(config), "recipe": _noted(recipe), "samples": samples}


def _noted(part: Config | Recipe) -> dict[str, Any]:
    """Its attributes. Those that are younger than trainings that may go on, which `repr` leaves out, stand there only
    where they are not what they always were."""
    values = ((one, getattr(part, one.name)) for one in fields(part))
    return {one.name: value for one, value in values if one.repr or value != one.default}


def _can_train(network: keras.Model) -> None:
    backend = keras.backend.backend()
    if backend in ("numpy", "openvino"):
        raise ValueError(f"Keras's backend {backend} cannot train; set KERAS_BACKEND=tensorflow before Python starts")
    others = {str(weight.dtype) for weight in network.trainable_weights} - {"float32"}
    if others:
        raise ValueError(
            f'training needs weights of float32, these are {others.pop()}; correct "floatx" in keras.json, or take the '
            "policy mixed_float16, whose weights are float32"
        )


def optimizer(recipe: Recipe, steps: int, taken_over: Collection[str] = ()) -> FastAdamW:
    """AdamW, or Muon with it, under a cosine with warm-up, with a moving average of the weights.

    Args:
        recipe: its rates.
        steps: of the whole training.
        taken_over: paths of the weights that learn at the recipe's `taken_over_rate`.
    """
    warmup = max(1, round(recipe.warmup * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100,
        max(1, steps - warmup),
        alpha=0.01,
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
    options: dict[str, Any] = {
        "weight_decay": recipe.weight_decay,
        "use_ema": True,
        "ema_momentum": recipe.ema_momentum,
        "slow": taken_over,
        "share": recipe.taken_over_rate,
    }
    if recipe.muon_rate:
        learner: FastAdamW = Muon(schedule, matrix_rate=recipe.muon_rate / recipe.learning_rate, **options)
    else:
        learner = FastAdamW(schedule, **options)
    learner.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return learner
