"""How long does torchvision's light detector take for a picture? A peer for docs/device.md, on the same machine.

    pip install torch torchvision           # gigabytes, so in an environment of its own
    taskset --cpu-list 0 python tests/benchmarks/torchvision_peer.py 1
    taskset --cpu-list 0-1 python tests/benchmarks/torchvision_peer.py 2

Its weights are random, which changes no time but that of its NMS; so backbone and heads are timed apart, too.
"""

import sys
import time

import torch
import torchvision

WARM_UP, ROUNDS = 20, 200
SIZE = 320

torch.set_num_threads(int(sys.argv[1]))
detector = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
picture = torch.rand(3, SIZE, SIZE)


def whole():
    """All that an app needs: resizing, network, decoding, NMS."""
    return detector([picture])


def raw():
    """What the other figures of the page hold: backbone and heads."""
    return detector.head(list(detector.backbone(picture[None]).values()))


with torch.inference_mode():
    for look in (raw, whole):
        seconds = []
        for _ in range(WARM_UP + ROUNDS):
            start = time.perf_counter()
            look()
            seconds.append(time.perf_counter() - start)
        kept = sorted(seconds[WARM_UP:])
        print(f"{look.__name__}: {kept[ROUNDS // 2] * 1e3:.1f} ({kept[ROUNDS * 9 // 10] * 1e3:.1f}) ms")
print(f"{sum(parameter.numel() for parameter in detector.parameters()):,} parameters, torch {torch.__version__}")
