"""What waits for Keras, and so for TensorFlow's seconds, and what does not?"""

import subprocess
import sys

WITHOUT_KERAS = [
    "anchors",
    "boxes",
    "coding",
    "config",
    "convolution",
    "errors",
    "evaluation",
    "fitting",
    "keeping",
    "matching",
    "metrics",
    "nms",
    "prediction",
    "quantization",
    "transfer",
    "data.augment",
    "data.check",
    "data.convert",
    "data.pipeline",
    "data.registry",
    "data.sample",
    "data.splits",
    "data.statistics",
    "data.warehouse",
]


def test_what_needs_numpy_alone_is_imported_without_keras():
    """All in one process: none may bring Keras along, not even by way of another."""
    code = (
        "import sys, importlib\n"
        f"for name in {WITHOUT_KERAS}:\n"
        "    importlib.import_module('ssdseg_ref.' + name)\n"
        "    if {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules): sys.exit(name)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
