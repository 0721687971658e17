"""What does an exported network cost, and what does it see? The tables of docs/device.md.

    python tests/benchmarks/device.py                      # all formats of the two large networks: 20 minutes
    python tests/benchmarks/device.py --scenes 500         # scored on the whole test split
    python tests/benchmarks/device.py --peer detector.tflite

Each time is of one picture, pixels in, raw outputs out, measured in a process of its own: 20 pictures to warm up, then
200, the fastest of three such runs. Memory is what the process holds afterwards, less what it held before the network
was opened. A peer is any other `.tflite`: it gets random pixels of its own size, and no score.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

NETWORKS = ("mobilenetv2", "shufflenetv2")
THREADS = (1, 2)
PASSES = 3  # over all rows, of which the fastest counts
WARM_UP, ROUNDS = 20, 200
CALIBRATION_SCENES = 100
MEGABYTE = 1e6

FORMATS = {
    "LiteRT, float32": {"bits": 32},
    "LiteRT, float16": {"bits": 16},
    "LiteRT, weights in 8 bits": {"bits": 8, "weights_only": True},
    "LiteRT, int8": {"bits": 8},
}


def write_all(name: str, folder: Path) -> dict[str, Path]:
    """Write a shipped network in all formats."""
    from ssdseg_course.export import litert, onnx
    from ssdseg_ref.config import SHIPPED
    from ssdseg_ref.data import warehouse
    from ssdseg_ref.network import load_network

    network, size = load_network(name), SHIPPED[name].image_size
    seeds = warehouse.SPLITS["train"][:CALIBRATION_SCENES]
    calibration = np.stack([warehouse.render(seed, size).image for seed in seeds])
    paths = {}
    for title, options in FORMATS.items():
        whole = options["bits"] == 8 and not options.get("weights_only")
        content = litert.convert(network, calibration=calibration if whole else None, **options)
        paths[title] = folder / f"{name}{len(paths)}.tflite"
        paths[title].write_bytes(content)
    paths["ONNX Runtime, float32"] = folder / f"{name}.onnx"
    paths["ONNX Runtime, float32"].write_bytes(onnx.convert(network))
    return paths


def opened(path: str, threads: int):
    """A function of nothing that looks at one picture, by whatever runs the file."""
    from ai_edge_litert.interpreter import Interpreter

    generator = np.random.default_rng(0)
    if path.endswith(".onnx"):
        from ssdseg_course.export.onnx import OnnxNetwork

        network = OnnxNetwork(Path(path), threads)
        image = generator.uniform(0, 255, (1, *network.image_size, 3)).astype(np.float32)
        return lambda: network.predict_on_batch(image)
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    image = generator.uniform(0, 1, entry["shape"]).astype(entry["dtype"])
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def look():
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in outputs]

    return look


def keras_opened(name: str):
    """The same by Keras itself, whose threads cannot be told in one process."""
    from ssdseg_ref.network import load_network

    network = load_network(name)
    image = np.random.default_rng(0).uniform(0, 255, (1, *network.input_shape[1:])).astype(np.float32)
    return lambda: network.predict_on_batch(image)


def timed(look) -> dict[str, float]:
    """Milliseconds of a picture: the median, and the 90th percentile."""
    seconds = []
    for round_ in range(WARM_UP + ROUNDS):
        start = time.perf_counter()
        look()
        if round_ >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return {
        "median": float(np.median(seconds)) * 1e3,
        "late": float(np.percentile(seconds, 90)) * 1e3,
    }


def _held() -> float:
    return psutil.Process().memory_info().rss / MEGABYTE


def in_own_process(path: str, threads: int) -> dict[str, float]:
    """`timed` in a fresh process that may use no more cores than threads."""
    command = ["taskset", "--cpu-list", f"0-{threads - 1}", sys.executable, __file__, "--one", path, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{path}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def one(path: str, threads: int) -> None:
    """What the fresh process does."""
    if Path(path).suffix:
        import ai_edge_litert.interpreter  # noqa: F401
        import onnxruntime  # noqa: F401

        before = _held()
        look = opened(path, threads)
    else:
        import keras  # noqa: F401

        before = _held()
        look = keras_opened(path)
    found = timed(look)
    print(json.dumps(found | {"megabytes": _held() - before}))


def row(title: str, path: str, times: list[dict[str, float]], scores: str) -> str:
    """A line of the table."""
    size = f"{Path(path).stat().st_size / MEGABYTE:.2f}" if Path(path).suffix else ""
    cells = [f"{time_['median']:.1f} ({time_['late']:.1f})" for time_ in times]
    return f"| {title} | {size} | {times[0]['megabytes']:.0f} | {' | '.join(cells)} | {scores} |"


def fastest(paths: list[str]) -> list[list[dict[str, float]]]:
    """For each file and number of threads the fastest of some passes, in turns: a busy minute slows one pass."""
    passes = [[[in_own_process(path, threads) for threads in THREADS] for path in paths] for _ in range(PASSES)]
    return [
        [min(runs, key=lambda run: run["median"]) for runs in zip(*several, strict=True)]
        for several in zip(*passes, strict=True)
    ]


def scored(network, name: str, scenes: int) -> str:
    """mAP@.5, mAP@[.5:.95] and mIoU on the first scenes of the test split."""
    from ssdseg_ref.config import SHIPPED
    from ssdseg_ref.data import warehouse
    from ssdseg_ref.evaluation import evaluate
    from ssdseg_ref.prediction import Predictor

    seeds = warehouse.SPLITS["test"][:scenes]
    samples = [warehouse.render(seed, SHIPPED[name].image_size) for seed in seeds]
    scores = evaluate(Predictor(network, SHIPPED[name]), samples)
    return f"{scores.mean_ap50:.3f} | {scores.mean_ap:.3f} | {scores.mean_iou:.3f}"


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scenes", type=int, default=100, help="of the test split, that are scored")
    options.add_argument("--peer", type=Path, help="another .tflite, to be timed")
    options.add_argument("--one", nargs=2, metavar=("FILE", "THREADS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        one(given.one[0], int(given.one[1]))
        return
    from ssdseg_course.export.litert import LiteRTNetwork
    from ssdseg_course.export.onnx import OnnxNetwork
    from ssdseg_ref.network import load_network

    columns = ("file, MB", "memory, MB", *(f"{count} thread{'s' * (count > 1)}, ms" for count in THREADS))
    columns += ("mAP@.5", "mAP@[.5:.95]", "mIoU")
    with tempfile.TemporaryDirectory() as place:
        for name in NETWORKS:
            files = write_all(name, Path(place))
            rows = [(title, str(path)) for title, path in files.items()] + [("Keras, `predict_on_batch`", name)]
            found = [
                scored((OnnxNetwork if path.suffix == ".onnx" else LiteRTNetwork)(path, 2), name, given.scenes)
                for path in files.values()
            ]
            found.append(scored(load_network(name), name, given.scenes))
            if given.peer and name == NETWORKS[-1]:
                rows, found = [*rows, (given.peer.name, str(given.peer))], [*found, " | | "]
            print(f"\n| {name} | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|", flush=True)
            times = fastest([path for _, path in rows])
            for (title, path), of_threads, scores in zip(rows, times, found, strict=True):
                print(row(title, path, of_threads, scores), flush=True)


if __name__ == "__main__":
    main()
