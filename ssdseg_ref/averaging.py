"""Means over several workers, by TensorFlow's own ring of collectives: what they learn is what one would learn.

Every worker computes gradients on its part of each batch; the optimiser steps along their mean, so weights that began
equal stay equal (synchronous data parallelism). In a ring each of N workers sends 2 (N - 1) / N of the bytes, however
many there are: Patarasu and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations".
Batch normalisation sees each worker's part of a batch alone; its moving averages are averaged before they are judged.

Keras 3 has no `fit` for TensorFlow's strategies on several machines. One is made here for what it does when it is
made: it starts TensorFlow's server, and finds the others'.
"""

import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, callbacks

from ssdseg_ref.workers import Say, Workers

GROUP = 7_001  # of the ring; the strategy counts its own from 1
FIRST_AVERAGE = 10_000  # likewise
SO_ATTACH_FILTER = 26  # Linux's

Logs = dict[str, float]


class Ring:
    """TensorFlow's collectives between workers that have come together.

    It has to be made before TensorFlow computes anything, once in a process.

    Args:
        workers: all of them.
        say: takes a sentence where a port is open to more than it should be.

    Raises:
        ValueError: if Keras runs on another backend, or TensorFlow has computed something already.
    """

    def __init__(self, workers: Workers, say: Say):
        if keras.backend.backend() != "tensorflow":
            raise ValueError("several workers need Keras on TensorFlow; set KERAS_BACKEND=tensorflow")
        import tensorflow as tf

        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": [f"{host}:{port}" for host, port in workers.places]}),
            task_type="worker",
            task_id=workers.rank,
            rpc_layer="grpc",
        )
        try:
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except RuntimeError as error:
            raise ValueError(f"several workers have to come together before TensorFlow computes ({error})") from error
        place = workers.places[workers.rank]
        if not only_to(place):
            say(f"TensorFlow listens on port {place[1]} of all this machine's addresses: only Linux can hold it to one")
        self.workers = workers
        self._numbers = count(FIRST_AVERAGE)

    def average(self, tensors: Sequence[Any]) -> list[Any]:
        """Means over the workers of some float tensors, in one message; all workers have to call it alike.

        Args:
            tensors: of any shapes, which are known; the same here and on every worker.
        """
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(tensor, "float32") for tensor in tensors]
        with tf.device("CPU:0"):  # the ring goes over the network, so through the memory of the machine
            flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
            total = tf.raw_ops.CollectiveReduceV2(
                input=flat,
                group_size=len(self.workers),
                group_key=GROUP,
                instance_key=next(self._numbers),  # each place in the program has its own, the same on all workers
                ordering_token=[],
                merge_op="Add",
                final_op="Id",
                communication_hint="ring",
            )
            parts = tf.split(total / len(self.workers), [int(np.prod(tensor.shape)) for tensor in tensors])
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def equalise(self, variables: Sequence[keras.Variable]) -> None:
        """Give variables their means over the workers."""
        for variable, mean in zip(variables, self.average([variable.value for variable in variables]), strict=True):
            variable.assign(mean)

    def stepping_along(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Have an optimiser step along the workers' mean gradient from now on."""
        apply = optimizer.apply

        def apply_mean(gradients: list[KerasTensor], variables: Sequence[keras.Variable] | None = None) -> None:
            apply(self.average(gradients), variables)

        optimizer.apply = apply_mean


class InStep(callbacks.Callback):
    """Ahead of all that looks at an epoch: makes what was learned and what is logged the same on all workers.

    Args:
        ring: of the workers.
        judged: samples of the validation that this worker judges.
    """

    def __init__(self, ring: Ring, judged: int):
        super().__init__()
        self.ring = ring
        self.judged = judged

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Notice that a worker is lost."""
        self.ring.workers.must_be_whole()

    on_test_batch_end = on_train_batch_end

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Average what batch normalisation has seen."""
        self.ring.equalise([one for one in self.model.network.non_trainable_variables if "moving_" in one.path])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Average the logs; those of the validation by how many samples each worker has judged."""
        names = sorted(logs)
        weights = np.array([self.judged if name.startswith("val_") else 1.0 for name in names])
        values = np.array([logs[name] for name in names])
        sums, total = self.ring.average([weights * values, weights])
        logs |= dict(zip(names, (sums / total).numpy().tolist(), strict=True))


def only_to(place: tuple[str, int]) -> bool:
    """Have the kernel drop whatever comes to a port of this process at another address than the given one.

    TensorFlow's server listens on all addresses, and nothing tells it otherwise. A filter on its socket does, in the
    kernel's classic BPF (McCanne and Jacobson 1993, "The BSD Packet Filter").

    Returns:
        Whether that was done; Linux alone can.
    """
    if sys.platform != "linux":
        return False
    address, port = place
    network = 0xFFF00000  # of a position: counted from the IP header
    wanted = int.from_bytes(socket.inet_aton(address), "big")
    program = (
        (0x30, 0, 0, network),  # the first byte
        (0x54, 0, 0, 0xF0),
        (0x15, 0, 3, 0x40),  # says IPv4, or drop it
        (0x20, 0, 0, network + 16),  # the address that it is for
        (0x15, 0, 1, wanted),  # is ours, or drop it
        (0x06, 0, 0, 0xFFFFFFFF),
        (0x06, 0, 0, 0),
    )
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    done = False
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            one = socket.socket(fileno=os.dup(descriptor))
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and one.getsockname()[1] == port:
                filtered = struct.pack("HL", len(program), ctypes.addressof(instructions))
                one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filtered)
                done = True
            one.close()
    return done
