"""What training on several machines costs and would gain, from processes on this one: the figures of
docs/several-machines.md.

    python tests/benchmarks/machines.py

Measured are a step of the lesson preset, and the mean of its gradients over loopback; computed from these is what it
would be over a network. Times are of the processor, medians, so that others at work on the machine change little; the
mean's by the clock is the least of a hundred.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import keras
import numpy as np
import tensorflow as tf
from keras import callbacks

from ssdseg_course import quiet
from ssdseg_ref import training
from ssdseg_ref.averaging import Ring
from ssdseg_ref.config import LESSON, REFERENCE
from ssdseg_ref.data import warehouse
from ssdseg_ref.network import build_network
from ssdseg_ref.workers import joined

STEPS = 20
BATCH = training.LESSON_RECIPE.batch_size
NETWORKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1.25e9}  # bytes a second
MACHINES = (2, 8, 64)
STEP_SECONDS = (0.1, 0.3, 1, 10, 60)
WARM_UP, AVERAGES = 5, 100


class Times(callbacks.Callback):
    """Seconds of the processor in each step."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.process_time() - self.start)


def worker(addresses, rank, batch, folder):
    """Train twenty steps, alone or with others, then average; print what it took."""
    quiet.import_keras()
    together = joined(addresses, rank, {}, lambda _: None) if len(addresses) > 1 else nullcontext()
    with together as workers:
        ring = Ring(workers, print) if workers else None
        keras.utils.set_random_seed(1)
        network = build_network(LESSON)
        recipe = replace(training.LESSON_RECIPE, epochs=1, batch_size=batch)
        scenes, held_out = (warehouse.split(name, LESSON.image_size) for name in ("train", "validation"))
        times = Times()
        history = training.train(
            network,
            LESSON,
            recipe,
            scenes[: STEPS * batch],
            held_out[:32],
            folder,
            verbose=0,
            watchers=[times],
            ring=ring,
        )
        said = {"step": statistics.median(times.seconds[2:]), "val_loss": history.history["val_loss"][-1]}
        if ring:
            for name, tensors in (("all", network.trainable_weights), ("one", [np.zeros(1, np.float32)])):
                said[name] = cost(ring, tensors)
            said["bytes"] = bytes_of(network)
            checksums = workers.gather([crc32(weight.tobytes()) for weight in network.get_weights()])
            said["equal"] = all(one == checksums[0] for one in checksums)
        print(json.dumps(said), flush=True)


def bytes_of(network):
    """What the gradients of a network take."""
    return 4 * sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def cost(ring, tensors):
    """Seconds of a mean over the workers: the least by the clock, and the processor's median."""

    @tf.function
    def mean():
        return tf.add_n([tf.reduce_sum(one) for one in ring.average([tf.convert_to_tensor(one) for one in tensors])])

    wall, processor = [], []
    for _ in range(WARM_UP + AVERAGES):
        start = time.perf_counter(), time.process_time()
        mean().numpy()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return {"wall": min(wall[WARM_UP:]), "processor": statistics.median(processor[WARM_UP:])}


def run(count, batch=BATCH):
    """What `count` processes on loopback say, by their ranks."""
    with tempfile.TemporaryDirectory() as folder:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
        for one in sockets:
            one.close()
        command = [sys.executable, __file__, "--batch", str(batch), "--addresses", ",".join(addresses)]
        processes = [
            subprocess.Popen([*command, "--rank", str(rank), "--folder", f"{folder}/{rank}"], stdout=subprocess.PIPE)
            for rank in range(count)
        ]
        return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]


def print_gains(message, byte, size):
    """How many times as many steps N machines do, by the time of a step on one: computed, for gradients of a size.

    In a ring of N a mean takes 2 (N - 1) messages, one after another, and carries 2 (N - 1) / N of the bytes. What that
    takes over loopback, in seconds a message and a byte, is added to what the network takes.
    """
    for network, rate in NETWORKS.items():
        for count in MACHINES:
            mean = 2 * (count - 1) * message + 2 * (count - 1) / count * size * (byte + 1 / rate)
            gains = "  ".join(f"{step:g} s: {step / (step / count + mean):.1f}" for step in STEP_SECONDS)
            print(f"{network}, {count} machines: a mean {mean * 1e3:.0f} ms; gains by a step of {gains}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, kind in (("--addresses", str), ("--rank", int), ("--batch", int), ("--folder", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.addresses:
        return worker(arguments.addresses.split(","), arguments.rank, arguments.batch, arguments.folder)
    said = run(2)[0]
    equal = "equal" if said["equal"] else "not equal"
    print(f"2 workers, {BATCH // 2} pictures each: a step {said['step'] * 1e3:.0f} ms each")
    print(f"  after {STEPS} steps their weights are {equal}; validation loss {said['val_loss']:.4f}")
    for what, name in ((f"{said['bytes'] / 1e6:.2f} MB", "all"), ("one number", "one")):
        wall, processor = (said[name][kind] * 1e3 for kind in ("wall", "processor"))
        print(f"  mean of {what}: at least {wall:.2f} ms, {processor:.2f} ms of each one's processor", flush=True)
    message, rest = said["one"]["wall"] / 2, said["all"]["wall"] - said["one"]["wall"]
    for name, size in (("lesson", said["bytes"]), ("mobilenetv2", bytes_of(build_network(REFERENCE)))):
        print(f"{name}, {size / 1e6:.2f} MB")
        print_gains(message, rest / said["bytes"], size)
    for batch in (BATCH, BATCH // 2):
        said = run(1, batch)[0]
        print(f"alone, {batch} pictures: a step {said['step'] * 1e3:.0f} ms; validation loss {said['val_loss']:.4f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
