"""Exercises on losses and other functions of tensors: how the learner's function is run, and how results compare."""

import inspect
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.exercise import Arguments, Function
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.checking.values import Plain, close
from ssdseg_course.lazy import LazyModule

tf = LazyModule("tensorflow")

NO_TENSOR = (
    "it should return a tensor, and returned something else: {kind}. Plain numbers do not know where they came from, "
    "and no gradient flows back through them: use `ops` in the place of `np` all the way, no `float(...)` and no "
    "`.numpy()`"
)
STOPPED = (
    "no gradient flows back to `{name}`, and a network could not learn from it: `stop_gradient` stands between that "
    "and what comes back"
)
STEPS = (
    "no gradient flows back to `{name}`, and a network could not learn from it: between that and what comes back "
    "stands what has no slope, a rounding, whole numbers or a comparison ({steps})"
)
APART = "what comes back does not depend on `{name}` at all, so a network could not learn from it"
CUT = (
    "no gradient flows back to `{name}`: on the way it is made a plain number or array, which does not know where it "
    "came from. Use `ops` in the place of `np` all the way, no `float(...)` and no `.numpy()`"
)
WITHOUT_SLOPE = {"Round", "Rint", "Floor", "Ceil", "Sign", "ArgMax", "ArgMin", "Greater", "GreaterEqual", "Less",
                 "LessEqual", "Equal", "NotEqual", "Cast", "TopKV2", "OneHot", "FloorDiv"}  # fmt: skip


def run_loss(*, wrt: tuple[int, ...]) -> Function:
    """A `run` for losses: their values, and their gradients, on tensors; and once more as a graph, as training does.

    Args:
        wrt: places of the arguments, from 0, that the network would give: gradients are taken with respect to these.

    Returns:
        a `run` that gives (value, gradients), both plain; it can be pickled, for a sandbox is told how to run.
    """
    return partial(_run_loss, wrt)


def _run_loss(wrt: tuple[int, ...], function: Function, arguments: Arguments) -> tuple[Any, ...]:
    tensors = [tf.convert_to_tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    watched = [tensors[place] for place in wrt]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        value = function(*tensors)
        if value is None:
            raise WrongAnswer("it should return a loss, and returned None: does every way end in `return`?")
        parts = _flat(value)
        for part in parts:
            if not tf.is_tensor(part):
                raise WrongAnswer(NO_TENSOR.format(kind=type(part).__name__))
        total = sum(tf.reduce_sum(tf.cast(part, tf.float32)) for part in parts)
    gradients = tape.gradient(total, watched)
    for place, gradient in zip(wrt, gradients, strict=True):
        if gradient is None:
            raise WrongAnswer(_why_no_gradient(function, tensors, place))
    _graph_of(function, tensors)
    # The number in front keeps gradients of one shape apart.
    return value, (len(gradients), *(tf.convert_to_tensor(gradient) for gradient in gradients))


def run_mask(function: Function, arguments: Arguments) -> np.ndarray:
    """Run a function of tensors that marks places: 1 for true and 0 for false; and once more as a graph.

    Raises:
        WrongAnswer: if what comes back is no tensor of true and false, or a graph cannot be made of it.
    """
    tensors = [tf.convert_to_tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    value = function(*tensors)
    if value is None:
        raise WrongAnswer("it should return a tensor, and returned None: does every way end in `return`?")
    if not tf.is_tensor(value):
        raise WrongAnswer(
            f"it should return a tensor, and returned something else: {type(value).__name__}; use `ops` in the place "
            "of `np` all the way"
        )
    if value.dtype != tf.bool:
        raise WrongAnswer(
            f"it should return a tensor of true and false (bool), and yours holds numbers ({value.dtype.name}): what "
            'uses it, `ops.where` for one, has to know which. A comparison, or `ops.cast(x, "bool")`, makes true and '
            "false"
        )
    _graph_of(function, tensors)
    return np.asarray(tf.cast(value, tf.int32))


def compare_losses(value: Plain, expected: Plain) -> Complaint | None:
    """A comparison for `run_loss`: the value, or values, then the gradients."""
    if not isinstance(value, tuple) or len(value) != 2:
        return Complaint(("it should return a loss, and returned something else",))
    (yours, gradients), (right, right_gradients) = value, expected
    complaint = compare_arrays(yours, right)
    if complaint:
        return replace(complaint, part=_first_part(yours, right))
    pairs = list(zip(gradients[1:], right_gradients[1:], strict=True))
    for place, (mine, wanted) in enumerate(pairs):
        complaint = compare_arrays(mine, wanted)
        if complaint is not None:
            which = "its gradient" if len(pairs) == 1 else f"its gradient {place + 1} of {len(pairs)}"
            lines = ("its value is right, but not its gradient, from which the network learns",)
            return Complaint((*lines, f"{which}: {complaint.lines[-1]}"), kind="gradient")
    return None


def show_loss(value: Plain) -> dict[str, Any]:
    """A value of `run_loss` as a learner looks at it."""
    loss, (_, *gradients) = value
    return {"loss": loss, **{f"gradient {place + 1}": gradient for place, gradient in enumerate(gradients)}}


_run_loss.show = show_loss  # type: ignore[attr-defined]  # a function may have attributes


def _first_part(yours: Plain, right: Plain) -> int | None:
    """Number of the first thing that is wrong, of several losses."""
    if isinstance(yours, tuple) or isinstance(right, tuple) or yours.shape != right.shape or right.ndim == 0:
        return None
    wrong = np.argwhere(~close(yours, right))
    return int(wrong[0][0]) if len(wrong) else None


def _flat(value: Any) -> list[Any]:
    return [part for item in value for part in _flat(item)] if isinstance(value, list | tuple) else [value]


def _why_no_gradient(function: Function, tensors: list[Any], place: int) -> str:
    """What stands between an argument and what comes back, read from the graph of both."""
    name = list(inspect.signature(function).parameters)[place]
    try:
        graph = _graph_of(function, tensors)
    except WrongAnswer:
        return CUT.format(name=name)
    number = sum(tf.is_tensor(tensor) for tensor in tensors[:place])
    between = _steps_between(graph.inputs[number], graph.outputs)
    if not between:
        return APART.format(name=name)
    if "StopGradient" in between:
        return STOPPED.format(name=name)
    steps = ", ".join(sorted(between & WITHOUT_SLOPE))
    return STEPS.format(name=name, steps=steps) if steps else APART.format(name=name)


def _steps_between(start: Any, ends: list[Any]) -> set[str]:
    """Names of the operations on the ways from a tensor of a graph to others; empty if there is no way."""
    above, waiting = set(), [start]
    while waiting:
        for operation in waiting.pop().consumers():
            if operation.name not in above:
                above.add(operation.name)
                waiting += operation.outputs
    below, waiting = {}, [end.op for end in ends]
    while waiting:
        operation = waiting.pop()
        if operation.name not in below:
            below[operation.name] = operation.type
            waiting += [tensor.op for tensor in operation.inputs]
    return {kind for name, kind in below.items() if name in above}


def _graph_of(function: Function, tensors: list[Any]) -> Any:
    """It as a graph: what looks at values with Python's `if` or `float` fails here, and would in training.

    Raises:
        WrongAnswer: where it does.
    """

    def call(*values: Any) -> Any:
        return function(*values)

    try:
        return tf.function(call, autograph=False).get_concrete_function(*tensors)
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise WrongAnswer(
            f"called directly it works, but not as part of a graph, which training makes of it ({type(error).__name__}"
            f": {first}): no Python `if`, `float(...)`, `.numpy()` or loop may depend on what a tensor holds"
        ) from error
