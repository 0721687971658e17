"""Challenge 3: the fastest convolution that NumPy's plain operations can be made to do."""

import ast

import numpy as np

from ssdseg_course.challenges.challenge import Mark, Timed
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.values import Plain, close
from ssdseg_course.sandboxed.alone import call_alone
from ssdseg_ref.convolution import conv2d

TIMED = ((80, 112, 32), (3, 3, 32, 32))  # image and kernel
STRIDES = (1, 2)
# (image, kernel, stride): odd and even sides, kernels larger than the image, strides that leave a rest
SHAPES = (
    ((1, 1, 1), (1, 1, 1, 1), 1),
    ((5, 7, 3), (3, 3, 3, 4), 1),
    ((6, 9, 2), (3, 3, 2, 5), 2),
    ((7, 8, 2), (2, 2, 2, 3), 1),
    ((9, 10, 3), (5, 5, 3, 2), 3),
    ((3, 4, 2), (5, 5, 2, 3), 2),
    ((8, 6, 4), (1, 1, 4, 3), 2),
)
ALLOWED = ("collections", "functools", "itertools", "math", "numpy", "operator", "ssdseg_course", "typing")
NOT_OF_NUMPY = ("convolve", "correlate")
# With these an answer could come by a library in a way that reading it does not show.
BY_NAME = (
    "_sys",
    "attrgetter",
    "compile",
    "ctypeslib",
    "eval",
    "exec",
    "f2py",
    "get_ipython",
    "get_type_hints",
    "getattr",
    "globals",
    "load",
    "methodcaller",
    "modules",
    "vars",
)
DUNDERS = ("__call__", "__init__", "__name__")  # of such names, those that are harmless


def reference(image: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """The reference's, without dilation."""
    return conv2d(image, kernel, stride)


def cases(first: int) -> list[Arguments]:
    """What an answer has to be right on."""
    rng = np.random.default_rng((first, 0))
    return [(*_drawn(rng, image, kernel), stride) for image, kernel, stride in SHAPES]


def rounds(first: int) -> list[Arguments]:
    """What is timed: each pixel, and every other."""
    rng = np.random.default_rng((first, 1))
    return [(*_drawn(rng, *TIMED), stride) for stride in STRIDES]


def _drawn(rng: np.random.Generator, image: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=image).astype(np.float32), rng.normal(size=kernel).astype(np.float32)


def compare(arguments: Arguments, own: Plain, right: Plain) -> str:
    """What is wrong with a map, "" if nothing."""
    assert isinstance(right, np.ndarray)
    image, kernel, stride = arguments
    what = f"an image {image.shape} and a kernel {kernel.shape} at stride {stride}"
    if isinstance(own, tuple) or own.shape != right.shape:
        shape = "several arrays" if isinstance(own, tuple) else f"the shape {own.shape}"
        return f"{what} give the shape {right.shape}, and yours gives {shape}"
    scale = np.abs(right).max()  # sums in another order differ by the rounding of the largest, not of each
    wrong = np.argwhere(~close(own / scale + 1, right / scale + 1))
    if len(wrong) == 0:
        return ""
    place = tuple(map(int, wrong[0]))
    return (
        f"of {what}, {place} should be {right[place]:.4g} and yours is {own[place]:.4g} ({len(wrong):,} values differ)"
    )


def objection(source: str) -> str:
    """What in the source of an answer is a library's work, "" if nothing."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "write it as a function with `def`, so that it can be read"
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "."]
        for module in modules:
            top = module.partition(".")[0]
            if top not in ALLOWED:
                return f"it is to be NumPy's work alone, and uses `{module}`"
        names = [getattr(node, "id", ""), getattr(node, "attr", "")]
        aliases = [alias for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)]
        names += [part for alias in aliases for part in alias.name.split(".")]
        for name in names:
            if name in NOT_OF_NUMPY:
                return f"`np.{name}` is a library's convolution already"
            if name in BY_NAME or (name.startswith("__") and name not in DUNDERS):
                return f"it uses `{name}`, by which a library could be hidden"
    return ""


CONVOLUTION = Timed(
    number="03",
    title="A convolution of your own, fast",
    task=f"""\
Write `my_conv2d(image, kernel, stride)`: "same" padding, as exercise 3.4 has it, without dilation, and with NumPy
alone. No library's convolution, `np.convolve` and `np.correlate` included; products and sums of any kind are yours
(`@`, `einsum`, `tensordot`, `np.fft`). First it is compared with the reference, on odd sizes and strides. Then an
image {TIMED[0]} meets a kernel {TIMED[1]}, at strides 1 and 2, yours and the reference's in turns, and the time
that yours takes is divided by the reference's. Half the time is 0.50.""",
    name="my_conv2d",
    unit="times the reference's time",
    higher_is_better=False,
    seconds=20.0,
    marks=(
        Mark("the lesson's own in float64", 1.72, "its sum in what `np.zeros` gives unless told otherwise"),
        Mark("the reference", 1.0, "by definition; all of these as for a class, NumPy on one thread"),
        Mark("the lesson's own", 0.55, "tap by tap, as exercise 3.4 has it, in float32"),
        Mark("a clever one", 0.51, "in blocks of 20 rows, the three that a kernel meets side by side"),
    ),
    run=call_alone,
    objection=objection,
    reference=reference,
    cases=cases,
    rounds=rounds,
    compare=compare,
    reference_modules=("convolution",),
    reference_source="""\
def my_conv2d(image, kernel, stride):
    return conv2d(image, kernel, stride)
""",
    idle_source="""\
import numpy as np
def my_conv2d(image, kernel, stride):
    return np.zeros((-(-len(image) // stride), -(-image.shape[1] // stride), kernel.shape[3]), np.float32)
""",
)

CHALLENGES = (CONVOLUTION,)
