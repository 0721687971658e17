"""How fast is what runs often? Each figure next to a peer's in the same run, where there is a peer.

`make bench` runs this; `make test` does not, for a machine that is busy would fail it. Figures are in the README.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ssdseg_course.export import litert, onnx
from ssdseg_ref.anchors import AnchorSpec, make_anchors
from ssdseg_ref.coding import encode_targets
from ssdseg_ref.data import warehouse
from ssdseg_ref.data.pipeline import batches, prepare
from ssdseg_ref.fused import fused_twin
from ssdseg_ref.metrics import average_precisions
from ssdseg_ref.multitask import LESSON, REFERENCE, SHIPPED, Predictor, build_network, load_network
from ssdseg_ref.training import LESSON_RECIPE, REFERENCE_RECIPE, JointTraining, optimizer

CLASSES = 3


@pytest.fixture(scope="module")
def old_anchors():
    """9,600 anchors, as the seed project had: 4 maps of a 480 x 640 image, six shapes a cell."""
    maps = ((30, 40), (15, 20), (8, 10), (4, 5))
    anchors = make_anchors(AnchorSpec((480, 640), maps, (0.1, 0.25, 0.45, 0.7, 0.9), (1.0, 2.0, 0.5, 3.0, 1 / 3)))
    spare = 9600 - len(anchors)
    assert spare >= 0
    return np.concatenate([anchors, anchors[:spare]])


@pytest.fixture(scope="module")
def five_boxes():
    generator = np.random.default_rng(0)
    middles, sizes = generator.uniform(0.2, 0.8, (5, 2)), generator.uniform(0.05, 0.35, (5, 2))
    return np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1).astype(np.float32)


@pytest.mark.benchmark(group="5 boxes and 9,600 anchors")
def test_match_and_encode(benchmark, old_anchors, five_boxes):
    benchmark(encode_targets, five_boxes, np.array([1, 2, 3, 1, 2]), old_anchors)


@pytest.mark.benchmark(group="5 boxes and 9,600 anchors")
def test_peer_pycocotools_iou_alone(benchmark, old_anchors, five_boxes):
    mask = pytest.importorskip("pycocotools.mask")

    def as_xywh(boxes):
        boxes = boxes.astype(np.float64)
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)

    benchmark(mask.iou, as_xywh(five_boxes), as_xywh(old_anchors), [0] * len(old_anchors))


@pytest.fixture(scope="module")
def detections():
    """500 images, 10 detections a class in each."""
    generator = np.random.default_rng(1)
    truths, predictions = [], []
    for _ in range(500):
        count = generator.integers(1, 6)
        low = generator.uniform(0, 0.6, (count, 2))
        boxes = np.concatenate([low, low + generator.uniform(0.05, 0.4, (count, 2))], axis=1)
        labels = generator.integers(1, CLASSES + 1, count)
        chosen = generator.integers(0, count, 10 * CLASSES)
        shift = generator.normal(0, 0.03, (10 * CLASSES, 2))
        predictions.append(
            SimpleNamespace(
                boxes=boxes[chosen] + np.tile(shift, 2),
                labels=np.repeat(np.arange(1, CLASSES + 1), 10),
                scores=generator.random(10 * CLASSES),
            )
        )
        truths.append(SimpleNamespace(boxes=boxes, labels=labels))
    return predictions, truths


@pytest.mark.benchmark(group="mAP of 500 images x 10 detections x 3 classes")
def test_average_precisions(benchmark, detections):
    benchmark.pedantic(average_precisions, detections, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="mAP of 500 images x 10 detections x 3 classes")
def test_peer_pycocotools(benchmark, detections, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")

    def rows(items, scored):
        for image, item in enumerate(items):
            for index, ((xmin, ymin, xmax, ymax), label) in enumerate(zip(item.boxes, item.labels, strict=True)):
                row = {"image_id": image, "category_id": int(label), "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
                yield row | ({"score": float(item.scores[index])} if scored else {"area": 1.0, "iscrowd": 0})

    truth = coco.COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(500)],
        "categories": [{"id": label} for label in range(1, CLASSES + 1)],
        "annotations": [row | {"id": index} for index, row in enumerate(rows(detections[1], False), start=1)],
    }
    truth.createIndex()
    results = truth.loadRes(list(rows(detections[0], True)))

    def evaluate():
        evaluation = cocoeval.COCOeval(truth, results, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()

    benchmark.pedantic(evaluate, rounds=5, warmup_rounds=1)


@pytest.fixture(scope="module")
def scenes():
    return [warehouse.render(seed, LESSON.image_size) for seed in range(64)]


@pytest.mark.benchmark(group="one scene of 160 x 224")
def test_render(benchmark):
    seeds = iter(range(10_000))
    benchmark.pedantic(lambda: warehouse.render(next(seeds)), rounds=200, warmup_rounds=5)


@pytest.mark.benchmark(group="64 pictures of the lesson preset")
def test_input_pipeline(benchmark, scenes):
    size = LESSON_RECIPE.batch_size
    stream = iter(batches(scenes, LESSON, size, seed=1))
    benchmark.pedantic(lambda: [next(stream) for _ in range(64 // size)], rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="64 pictures of the lesson preset")
def test_prepare_alone(benchmark, scenes):
    generator = np.random.default_rng(2)
    benchmark.pedantic(lambda: [prepare(scene, LESSON, generator) for scene in scenes], rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="64 pictures of the lesson preset")
@pytest.mark.parametrize("norms", ["fused", "peer_stock_keras"])
def test_training_step(benchmark, scenes, norms):
    network = build_network(LESSON)
    twin = fused_twin(network) if norms == "fused" else network
    size = LESSON_RECIPE.batch_size
    trainer = learning(twin, LESSON, LESSON_RECIPE, optimizer(LESSON_RECIPE, 1000))
    batch = next(iter(batches(scenes, LESSON, size, seed=1)))
    steps = range(64 // size)
    benchmark.pedantic(lambda: [trainer.train_on_batch(*batch) for _ in steps], rounds=5, warmup_rounds=1)


def learning(network, config, recipe, learner):
    """What takes a recipe's step: all its losses, by a given optimiser."""
    learner.build(network.trainable_variables)
    trainer = JointTraining(
        network, config, recipe.class_weights, giou_weight=recipe.giou_weight, iou_aware=recipe.iou_aware
    )
    trainer.compile(optimizer=learner, jit_compile=False)
    return trainer


@pytest.fixture(scope="module")
def reference_batch():
    size = REFERENCE_RECIPE.batch_size
    scenes = [warehouse.render(seed, REFERENCE.image_size) for seed in range(size)]
    return next(iter(batches(scenes, REFERENCE, size, seed=1)))


STEP = pytest.mark.benchmark(group=f"{REFERENCE_RECIPE.batch_size} pictures of the reference preset, one training step")


@STEP
@pytest.mark.parametrize("kind", ["ours", "peer_stock_keras"])
def test_reference_step(benchmark, reference_batch, kind):
    network = build_network(REFERENCE)
    twin = fused_twin(network) if kind == "ours" else network
    recipe = REFERENCE_RECIPE
    trainer = learning(twin, REFERENCE, recipe, optimizer(recipe, 1000) if kind == "ours" else stock_adamw(recipe))
    benchmark.pedantic(trainer.train_on_batch, reference_batch, rounds=10, warmup_rounds=2)


def stock_adamw(recipe):
    return keras.optimizers.AdamW(
        recipe.learning_rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.ema_momentum
    )


@STEP
def test_peer_pytorch_step(benchmark, reference_batch):
    """The same network with the same weights; it predicts the same, else it would be no peer. Its losses are fewer."""
    torch = pytest.importorskip("torch")
    import torch_twin

    network = build_network(REFERENCE)
    twin = torch_twin.TorchTwin(network).to(memory_format=torch.channels_last)
    images, targets = reference_batch
    images = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(torch.float32)
    targets = {name: torch.from_numpy(np.array(value)) for name, value in targets.items()}
    targets |= {name: targets[name].long() for name in ("classes", "mask")}
    twin.eval()
    with torch.inference_mode():
        got = twin(images[:2])
    expected = network.predict_on_batch(np.array(reference_batch[0][:2]))
    for name, value in expected.items():
        np.testing.assert_allclose(got[name].numpy(), value, atol=1e-3)
    twin.train()
    learner = torch.optim.AdamW(twin.parameters(), fused=True)

    def step():
        learner.zero_grad(set_to_none=True)
        torch_twin.loss(twin(images), targets).backward()
        learner.step()

    benchmark.pedantic(step, rounds=10, warmup_rounds=2)


FIRST_STEP = """
import sys, tempfile, time
from dataclasses import replace
import keras
from ssdseg_ref.data import warehouse
from ssdseg_ref.data.pipeline import batches
from ssdseg_ref.multitask import REFERENCE, build_network
from ssdseg_ref.training import REFERENCE_RECIPE, JointTraining, train

network = build_network(REFERENCE)
recipe = replace(REFERENCE_RECIPE, epochs=1)
scenes = [warehouse.render(seed, REFERENCE.image_size) for seed in range(recipe.batch_size)]
started = time.perf_counter()
tell = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: print(time.perf_counter() - started))
if sys.argv[1] == "ours":
    train(network, REFERENCE, recipe, scenes, scenes, tempfile.mkdtemp(), watchers=[tell], verbose=0)
else:
    losses = {"giou_weight": recipe.giou_weight, "iou_aware": recipe.iou_aware}
    trainer = JointTraining(network, REFERENCE, recipe.class_weights, **losses)
    learner = keras.optimizers.AdamW(1e-3, weight_decay=1e-4, use_ema=True)
    trainer.compile(optimizer=learner, jit_compile=False)
    learner.build(network.trainable_variables)
    trainer.fit(batches(scenes, REFERENCE, recipe.batch_size, seed=1), steps_per_epoch=1, callbacks=[tell], verbose=0)
"""


@pytest.mark.benchmark(group="a training of the reference preset until its first step is done")
@pytest.mark.parametrize("kind", ["ours", "peer_stock_keras"])
def test_first_step(benchmark, kind):
    """In a process of its own: what has been traced stays. Imports and the first scenes are not counted."""

    def until_first_step():
        result = subprocess.run([sys.executable, "-c", FIRST_STEP, kind], capture_output=True, text=True, check=True)
        seconds.append(float(result.stdout.split()[0]))

    seconds = []
    benchmark.pedantic(until_first_step, rounds=3)
    benchmark.extra_info["seconds, without imports"] = sorted(seconds)[1]
    print(f"\n{kind}: {sorted(seconds)[1]:.1f} s without imports")


IMPORTS = {
    "nothing": "import sys",
    "numpy_parts": "from ssdseg_ref import anchors, boxes, coding, matching, metrics, nms, prediction",
    "peer_keras": "import keras",
}


@pytest.mark.benchmark(group="a process that imports")
@pytest.mark.parametrize("what", IMPORTS)
def test_import(benchmark, what):
    command = [sys.executable, "-c", IMPORTS[what]]
    options = {"check": True, "capture_output": True}
    benchmark.pedantic(subprocess.run, (command,), options, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="64 pictures of the lesson preset")
def test_prediction(benchmark, scenes):
    predictor = Predictor(load_network("lesson"), LESSON)  # a fresh one would keep NMS busy with thousands of boxes
    images = [scene.image for scene in scenes]
    benchmark.pedantic(predictor, (images,), rounds=5, warmup_rounds=1)


shipped = cache(load_network)
RUNTIMES = {
    "litert": lambda name: litert.LiteRTNetwork(litert.convert(shipped(name))),
    "litert_int8": lambda name: litert.LiteRTNetwork(litert.convert(shipped(name), 8, calibration(name))),
    "peer_onnxruntime": lambda name: onnx.OnnxNetwork(onnx.convert(shipped(name))),
    "peer_keras_predict_on_batch": shipped,
}


def calibration(name):
    return np.stack([warehouse.render(seed, SHIPPED[name].image_size).image for seed in range(20)])


@contextmanager
def one_core():
    """All threads of this process on one core: TensorFlow's number of threads is fixed when it starts."""
    threads = {int(task): os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")}
    for thread, cores in threads.items():
        os.sched_setaffinity(thread, {min(cores)})
    try:
        yield
    finally:
        for thread, cores in threads.items():
            os.sched_setaffinity(thread, cores)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be kept to one core here")
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.benchmark(group=f"one picture by {name}, one core"))
        for name in ("mobilenetv2", "shufflenetv2")
    ],
)
def test_one_picture(benchmark, name, runtime):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("tf2onnx")
    network = RUNTIMES[runtime](name)
    image = warehouse.render(0, SHIPPED[name].image_size).image[None].astype(np.float32)
    network.predict_on_batch(image)  # all threads are there now
    with one_core():
        benchmark.pedantic(network.predict_on_batch, (image,), rounds=100, warmup_rounds=10)
