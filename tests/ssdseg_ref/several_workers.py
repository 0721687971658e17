"""Workers of a short training, each a process of its own: what tests of several start.

    python several_workers.py JOB JOB ...

A job is a json object: folder, addresses (none: alone), rank, epochs, seed. TensorFlow is imported once, for all of
them, before it has computed anything; what a worker says stands in `said.txt` of its folder, its process in `pid`.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from test_training import CONFIG, tiny_network

from ssdseg_ref.averaging import Ring
from ssdseg_ref.data import warehouse
from ssdseg_ref.training import LESSON_RECIPE, train
from ssdseg_ref.workers import joined

SCENES, HELD_OUT = 40, 14  # ten steps an epoch, and four batches to judge, one of which is not full


def work(job, ring=None):
    keras.utils.set_random_seed(job.get("seed", 3))
    network = tiny_network()
    scenes = [warehouse.render(seed, CONFIG.image_size) for seed in range(SCENES + HELD_OUT)]
    recipe = replace(LESSON_RECIPE, epochs=job["epochs"], batch_size=4, ema_momentum=0.5, patience=10_000)
    train(network, CONFIG, recipe, scenes[:SCENES], scenes[SCENES:], job["folder"], verbose=0, ring=ring)
    np.savez(Path(job["folder"], "weights.npz"), *network.get_weights())


def say(sentence):
    print(sentence, flush=True)


def main(job):
    if "addresses" not in job:
        return work(job)
    try:
        with joined(job["addresses"], job["rank"], {"number of things": job.get("things", 1)}, say) as workers:
            work(job, Ring(workers, say))
    except ValueError as error:
        say(f"refused: {error}")
        sys.exit(1)


def begin(job):
    folder = Path(job["folder"])
    folder.mkdir(exist_ok=True)
    if pid := os.fork():
        (folder / "pid").write_text(str(pid))
        return pid
    with open(folder / "said.txt", "w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    try:
        main(job)
        sys.stdout.flush()
        os._exit(0)
    except SystemExit as error:
        os._exit(error.code)
    except BaseException as error:
        print(f"failed: {type(error).__name__}: {error}", flush=True)
        os._exit(2)


if __name__ == "__main__":
    for process in [begin(json.loads(job)) for job in sys.argv[1:]]:
        os.waitpid(process, 0)
