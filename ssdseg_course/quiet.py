"""Keras without the log of the libraries under it, which tells a learner nothing."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def import_keras() -> None:
    """Import Keras and TensorFlow without what their libraries write to stderr meanwhile, and without warnings later.

    Those are about the speed of graphs, and in a graded cell each would cost a learner points: nbgrader takes anything
    on stderr for a failure.
    TensorFlow 2.21 ignores TF_CPP_MIN_LOG_LEVEL while it is imported, so file descriptor 2 itself is turned away.

    The backend is TensorFlow, numbers are float32 and channels come last, whatever another course has left in
    keras.json or KERAS_BACKEND.

    Raises:
        ValueError: if Keras is imported already and runs on another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if not os.path.isabs(os.path.expanduser("~")):  # Keras would make a folder called "~" in the working folder
        os.environ.setdefault("KERAS_HOME", os.devnull)
    with stderr_away():
        import keras
        import tensorflow

        tensorflow.get_logger().setLevel("ERROR")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Keras runs on {keras.backend.backend()} here, the course needs TensorFlow: set KERAS_BACKEND=tensorflow, "
            "and restart Python or the notebook's kernel"
        )
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


@contextmanager
def stderr_away() -> Iterator[None]:
    """Turn away what libraries write to stderr, also from C++; exceptions pass."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
