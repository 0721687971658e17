"""What should a network for photographs begin with? The table of docs/models/photos.md, and the shipped weights again.

    python tests/benchmarks/photos.py backbone objectron_solution_packed_assets.data photographs.npz
    KERAS_BACKEND=jax python tests/benchmarks/photos.py compare photographs.npz --pennfudan FOLDER --coco FOLDER
    KERAS_BACKEND=jax python tests/benchmarks/photos.py train photographs.npz --pennfudan FOLDER --coco FOLDER

`backbone` takes the MobileNetV2 out of Google's SSD for Open Images, a file of the npm package @mediapipe/objectron
0.4.1675468480, and brings it into `ssdseg_ref`'s own layers. `compare` trains from four starting points, with three
seeds each, for 600 steps; `train` trains two networks for 2,500: one with every second photograph of COCO, judged on
the others, and the one that is shipped, with all of them. Both want JAX, and a GPU: a step of 32 pictures takes 30 ms
on an H100, with 15 processes that prepare pictures.
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

BATCH = 32
STARTS = ("photographs+drawings", "photographs", "drawings", "scratch")
SEEDS = (1, 2, 3)
MODEL = slice(184, 9987912)  # of the package's file: a .tflite whose sha256 begins with d0a5255b
CONVOLUTIONS = 51


# --- the backbone


def folded_layers(model: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each convolution along the backbone of a .tflite, in order; batch norms are folded in."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    from ssdseg_ref.mobilenetv2 import STAGES

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    graph, kinds = content.subgraphs[0], schema.BuiltinOperator

    def kind(operator):
        code = content.operatorCodes[operator.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    widened = {op.outputs[0]: op.inputs[0] for op in graph.operators if kind(op) == kinds.DEQUANTIZE}

    def constant(index):
        tensor = graph.tensors[widened.get(index, index)]
        numbers = np.frombuffer(bytes(content.buffers[tensor.buffer].data), {1: np.float16, 0: np.float32}[tensor.type])
        return numbers.reshape(tensor.shape).astype(np.float32)

    found = []
    at = graph.inputs[0]

    def follow(wanted, channels):
        """The operator of a kind that reads the map we are at, and has so many channels."""
        for op in graph.operators:
            if kind(op) == wanted and at in op.inputs[:2]:
                if wanted == kinds.ADD:
                    return op.outputs[0]
                kernel = constant(op.inputs[1])
                if kernel.shape[0 if wanted == kinds.CONV_2D else 3] == channels:
                    found.append((kernel, constant(op.inputs[2])))
                    return op.outputs[0]
        raise ValueError(f"convolution {len(found) + 1} with {channels} channels is not where it should be")

    width = 32
    at = follow(kinds.CONV_2D, width)
    for expansion, channels, repeats, _ in STAGES:
        for repeat in range(repeats):
            if expansion != 1:
                at = follow(kinds.CONV_2D, width * expansion)
            at = follow(kinds.DEPTHWISE_CONV_2D, width * expansion)
            at = follow(kinds.CONV_2D, channels)
            at = at if repeat == 0 else follow(kinds.ADD, channels)
            width = channels
    return found


def write_backbone(assets: Path, target: Path, pennfudan: Path, coco: Path) -> None:
    """Fill `ssdseg_ref`'s backbone, make sure that it computes the same, and give its batch norms true statistics.

    A folded convolution leaves batch norms that do nothing but add. One that trains would divide by what it sees and
    destroy the features; so each gets the statistics of photographs, and the scale that takes them out again.
    """
    import keras
    from ai_edge_litert.interpreter import Interpreter

    from ssdseg_ref.mobilenetv2 import mobilenet_v2_features

    model = assets.read_bytes()[MODEL]
    layers = folded_layers(model)
    if len(layers) != CONVOLUTIONS:
        raise ValueError(f"{assets}: the backbone has {CONVOLUTIONS} convolutions, found {len(layers)}")

    def backbone(size):
        image = keras.Input((*size, 3))
        return keras.Model(image, mobilenet_v2_features(image, 1.0))

    network = backbone((300, 300))
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)]
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    for convolution, norm, (kernel, bias) in zip(convolutions, norms, layers, strict=True):
        depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
        convolution.set_weights([kernel[0][..., None] if depthwise else kernel.transpose(1, 2, 3, 0)])
        norm.set_weights([np.ones_like(bias), bias, np.zeros_like(bias), np.full_like(bias, 1 - norm.epsilon)])

    picture = np.random.default_rng(0).uniform(-1, 1, (1, 300, 300, 3)).astype(np.float32)
    runtime = Interpreter(model_content=model, experimental_preserve_all_tensors=True)
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], picture)
    runtime.invoke()
    known = [runtime.get_tensor(x["index"]) for x in runtime.get_tensor_details() if x["shape"].size == 4 and x["name"]]
    for stride, output in network.predict_on_batch(picture).items():
        same_shape = [x for x in known if x.shape == output.shape]
        print(f"stride {stride}: largest difference {min(abs(x - output).max() for x in same_shape):.1e}")

    small = backbone((192, 256))
    small.set_weights(network.get_weights())
    photographs = pictures(pennfudan, coco)
    norms = [x for x in small.layers if isinstance(x, keras.layers.BatchNormalization)]
    seen = keras.Model(small.input, [norm.input for norm in norms]).predict(photographs, batch_size=16, verbose=0)
    for norm, values in zip(norms, seen, strict=True):
        mean, variance = values.mean((0, 1, 2), dtype=np.float64), values.var((0, 1, 2), dtype=np.float64)
        _, bias, _, _ = norm.get_weights()
        scale = np.sqrt(variance + norm.epsilon)
        norm.set_weights([np.float32(x) for x in (scale, bias + mean, mean, variance)])
    np.savez_compressed(target, **{weight.path: np.asarray(weight) for weight in small.weights})


def pictures(pennfudan: Path, coco: Path) -> np.ndarray:
    """(B, 192, 256, 3) in [-1, 1]: every second photograph."""
    from ssdseg_ref.data.augment import WHOLE, crop

    samples = [*photographs_of(pennfudan, coco)["all"]][::2]
    return np.stack([crop(sample, WHOLE, (192, 256)).image for sample in samples]).astype(np.float32) / 127.5 - 1


# --- the data, prepared by other processes

SETS: dict[str, list] = {}


def photographs_of(pennfudan: Path, coco: Path) -> dict[str, list]:
    """Samples of people: to train on, with half or all of COCO's, and to judge by."""
    from ssdseg_ref.data.registry import open_data_set

    street = list(open_data_set(pennfudan, "train").samples)
    people = list(open_data_set(coco, None, ("person",)).samples)
    return {
        "half": street + people[0::2],
        "all": street + people,
        "validation": list(open_data_set(pennfudan, "validation").samples),
        "unseen": people[1::2],
    }


def batch(data: str, seed: int, step: int) -> tuple[np.ndarray, ...]:
    """Images, classes, offsets and masks of one step."""
    from ssdseg_ref.coding import encode_targets
    from ssdseg_ref.config import PHOTOS
    from ssdseg_ref.data.augment import augment_strongly

    samples, rng = SETS[data], np.random.default_rng((seed, step))
    parts = []
    for _ in range(BATCH):
        one, other = samples[rng.integers(len(samples))], samples[rng.integers(len(samples))]
        sample = augment_strongly(one, other, rng, PHOTOS.image_size)
        parts.append((sample.image, *encode_targets(sample.boxes, sample.labels, PHOTOS.anchors), sample.mask))
    return tuple(np.stack(part) for part in zip(*parts, strict=True))


def batches(pool: ProcessPoolExecutor, ahead: int, data: str, seed: int, steps: int) -> Iterator[tuple]:
    """The batches of a training, prepared some steps ahead."""
    waiting = [pool.submit(batch, data, seed, step) for step in range(min(ahead, steps))]
    for step in range(steps):
        ready = waiting.pop(0).result()
        if step + ahead < steps:
            waiting.append(pool.submit(batch, data, seed, step + ahead))
        yield ready


# --- the training, one compiled step for all runs


def depthwise_by_shifts() -> None:
    """Nine shifted products, which XLA fuses into one pass over the memory of a GPU."""
    import jax.numpy as jnp
    from keras import layers, ops

    def call(self, x):
        kernel, (size, _), stride, dilation = ops.convert_to_tensor(self.kernel), self.kernel_size, *self._steps()
        reach = (size - 1) * dilation + 1
        out = [-(-side // stride) for side in x.shape[1:3]]
        missing = [max((o - 1) * stride + reach - side, 0) for o, side in zip(out, x.shape[1:3], strict=True)]
        x = jnp.pad(x, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))

        def window(i, j):
            rows, columns = (
                np.s_[k * dilation : k * dilation + (o - 1) * stride + 1 : stride]
                for k, o in zip((i, j), out, strict=True)
            )
            return x[:, rows, columns]

        return sum(window(i, j) * kernel[i, j, :, 0] for i in range(size) for j in range(size))

    layers.DepthwiseConv2D._steps = lambda self: (self.strides[0], self.dilation_rate[0])
    layers.DepthwiseConv2D.call = call


class Runs:
    """Trainings of one network that differ in start, seed and data.

    Args:
        backbone: name to weight, from `write_backbone`.
        pool: prepares batches.
        ahead: how many.
    """

    def __init__(self, backbone: Mapping[str, np.ndarray], pool: ProcessPoolExecutor, ahead: int):
        import jax
        import jax.numpy as jnp
        import keras

        from ssdseg_ref.config import PHOTOS
        from ssdseg_ref.network import build_network
        from ssdseg_ref.training import JointTraining

        self.backbone, self.pool, self.ahead = backbone, pool, ahead
        self.network = build_network(PHOTOS)
        self.trainer = JointTraining(self.network, PHOTOS, (1.0, 1.0))
        self.optimizer = keras.optimizers.AdamW(weight_decay=1e-4)
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
        self.optimizer.build(self.network.trainable_variables)
        names = [variable.path for variable in self.optimizer.variables]
        rate_at = next(place for place, name in enumerate(names) if name.endswith("learning_rate"))

        def loss(weights, statistics, images, targets):
            outputs, statistics = self.network.stateless_call(weights, statistics, images, training=True)
            return self.trainer.compute_loss(images, targets, outputs), statistics

        def step(state, rate, rates, momentum, images, targets):
            weights, statistics, optimizer, average = state
            (value, statistics), slopes = jax.value_and_grad(loss, has_aux=True)(weights, statistics, images, targets)
            optimizer = [rate if place == rate_at else value for place, value in enumerate(optimizer)]
            moved, optimizer = self.optimizer.stateless_apply(optimizer, slopes, weights)
            weights = [old + share * (new - old) for old, new, share in zip(weights, moved, rates, strict=True)]
            average = [momentum * old + (1 - momentum) * new for old, new in zip(average, weights, strict=True)]
            return (weights, statistics, optimizer, average), value

        self.step = jax.jit(step, donate_argnums=0)
        self.look = jax.jit(lambda weights, statistics, x: self.network.stateless_call(weights, statistics, x)[0])
        self.jnp = jnp

    def start(self, name: str, seed: int) -> dict[str, np.ndarray]:
        """All weights at the beginning, by their paths."""
        import keras

        from ssdseg_ref.config import PHOTOS
        from ssdseg_ref.network import build_network, load_network
        from ssdseg_ref.transfer import take_over

        keras.utils.set_random_seed(seed)
        weights = {weight.path: np.asarray(weight) for weight in build_network(PHOTOS).weights}
        if "drawings" in name:
            drawn = {weight.path: np.asarray(weight) for weight in load_network("mobilenetv2").weights}
            for path, weight in drawn.items():
                if "classes_predict" in path or "mask_predict" in path:  # of its four classes, background and person
                    by_class = weight.reshape(*weight.shape[:-1], -1, 4)[..., :2]
                    drawn[path] = by_class.reshape(*weight.shape[:-1], -1)
            weights = take_over(weights, drawn)
        return take_over(weights, self.backbone) if "photographs" in name else weights

    def train(self, start: str, seed: int, data: str, steps: int, backbone_rate: float, momentum: float) -> tuple:
        """Weights, averaged, and statistics after a training; AdamW under a cosine from 2e-3, with warm-up."""
        weights = self.start(start, seed)
        trainable, others = self.network.trainable_variables, self.network.non_trainable_variables
        values = [self.jnp.asarray(weights[variable.path]) for variable in trainable]
        statistics = [self.jnp.asarray(weights.get(variable.path, variable.value)) for variable in others]
        zeros = [self.jnp.zeros_like(variable.value) for variable in self.optimizer.variables]
        state = (values, statistics, zeros, [value + 0 for value in values])
        rates = [self.jnp.float32(backbone_rate if v.path in self.backbone else 1.0) for v in trainable]
        warmup = max(1, round(0.08 * steps))
        started = time.time()
        for step, (images, classes, offsets, mask) in enumerate(batches(self.pool, self.ahead, data, seed, steps)):
            cosine = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (step - warmup) / (steps - warmup)))
            rate = self.jnp.float32(2e-3 * ((step + 1) / warmup if step < warmup else cosine))
            targets = {"classes": classes, "offsets": offsets, "mask": mask}
            state, loss = self.step(state, rate, rates, self.jnp.float32(momentum), images.astype(np.float32), targets)
            if step % 100 == 99:
                pace = 1000 * (time.time() - started) / (step + 1)
                print(f"{start} {seed}: step {step + 1}, loss {float(loss):.3f}, {pace:.0f} ms a step", flush=True)
        return state[3], state[1]

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What `Predictor` asks of a network, always on as many pictures."""
        padded = np.zeros((BATCH, *images.shape[1:]), np.float32)
        padded[: len(images)] = images
        return {name: np.asarray(output)[: len(images)] for name, output in self.look(*self.judged, padded).items()}

    def scores(self, weights: list, statistics: list, data: str) -> dict[str, float]:
        """AP@.5, AP and IoU of person."""
        from ssdseg_ref.config import PHOTOS
        from ssdseg_ref.evaluation import evaluate
        from ssdseg_ref.prediction import Predictor

        self.judged = weights, statistics
        found = evaluate(Predictor(self, PHOTOS), SETS[data])
        return {"AP@.5": found.mean_ap50, "AP": found.mean_ap, "IoU": found.mean_iou}

    def save(self, weights: list, statistics: list, path: Path) -> None:
        """Write the network in half precision, as the shipped weights are."""
        import h5py

        variables = [*self.network.trainable_variables, *self.network.non_trainable_variables]
        for variable, value in zip(variables, [*weights, *statistics], strict=True):
            variable.assign(value)
        whole = path.with_suffix(".full.h5").with_name(f"{path.stem}.full.weights.h5")
        self.network.save_weights(whole)

        def copy(source, target):
            target.attrs.update(source.attrs)
            for name, item in source.items():
                if isinstance(item, h5py.Group):
                    copy(item, target.create_group(name))
                    continue
                half = item[()].astype(np.float16) if item.dtype == np.float32 else item[()]
                packing = {"compression": "gzip", "compression_opts": 9} if half.ndim else {}
                target.create_dataset(name, data=half, **packing)

        with h5py.File(whole) as source, h5py.File(path, "w") as target:
            copy(source, target)
        whole.unlink()


def main() -> None:
    """Parse the command line and do what it asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("backbone", "compare", "train"))
    parser.add_argument("files", type=Path, nargs="+", help="see above")
    parser.add_argument("--pennfudan", type=Path, required=True)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="instead of 600 and 2,500")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    given = parser.parse_args()
    if given.what == "backbone":
        write_backbone(*given.files, given.pennfudan, given.coco)
        return
    SETS.update(photographs_of(given.pennfudan, given.coco))
    context = multiprocessing.get_context("fork")  # before JAX is there, whose threads a fork would lose
    with ProcessPoolExecutor(given.workers, mp_context=context) as pool:
        for waiting in [pool.submit(batch, "all", 0, step) for step in range(given.workers)]:
            waiting.result()
        depthwise_by_shifts()
        with np.load(given.files[0]) as backbone:
            runs = Runs(dict(backbone), pool, 2 * given.workers)
        if given.what == "compare":
            for seed in SEEDS:
                for start in STARTS:
                    trained = runs.train(start, seed, "half", given.steps or 600, 1.0, 0.995)
                    row = {data: runs.scores(*trained, data) for data in ("validation", "unseen")}
                    print(json.dumps({"start": start, "seed": seed, **row}), flush=True)
            return
        for data, judges in (("half", ("validation", "unseen")), ("all", ("validation",))):
            trained = runs.train(STARTS[0], 1, data, given.steps or 2500, 0.3, 0.998)
            print(json.dumps({"data": data, **{judge: runs.scores(*trained, judge) for judge in judges}}), flush=True)
        runs.save(*trained, Path("photos.weights.h5"))


if __name__ == "__main__":
    main()
