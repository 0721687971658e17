"""One worker of a short training, as a process of its own: what tests of several start.

python one_worker.py HOST:PORT,HOST:PORT RANK FOLDER [epochs [batch size]]       no rank: alone
"""

import json
import sys
from dataclasses import replace

import keras
import numpy as np
from test_training import CONFIG, RECIPE, tiny_network

from ssdseg_ref.averaging import Ring
from ssdseg_ref.data import warehouse
from ssdseg_ref.training import train
from ssdseg_ref.workers import joined


def main(addresses, rank, folder, epochs="2", seed="3"):
    recipe = replace(RECIPE, epochs=int(epochs), patience=50)

    def work(ring=None):
        keras.utils.set_random_seed(int(seed))
        network = tiny_network()
        scenes = [warehouse.render(seed, CONFIG.image_size) for seed in range(54)]
        history = train(network, CONFIG, recipe, scenes[:40], scenes[40:], folder, verbose=0, ring=ring)
        print(json.dumps({name: history.history[name] for name in ("loss", "val_loss")}), flush=True)
        np.savez(f"{folder}/weights.npz", *network.get_weights())

    def say(sentence):
        print(sentence, file=sys.stderr, flush=True)

    if addresses == "alone":
        work()
        return
    try:
        with joined(addresses.split(","), int(rank), {"number of things": 1}, say) as workers:
            work(Ring(workers, say))
    except ValueError as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
