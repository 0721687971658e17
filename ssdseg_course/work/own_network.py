"""Where the learner's own network of lesson 8 is kept: a folder for each set of functions that it is trained with.

A training that has finished is found again as long as the functions stay the same; a changed one starts in a folder of
its own, and what was trained before stays.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FunctionType

from ssdseg_course.checking.helpers import used_names

OWN_NETWORKS = "my_network"  # beside the notebook; git ignores it
DIGITS = 8  # of a folder's name


def run_folder(
    functions: Iterable[Callable[..., object] | None], recipe: object, parent: str | Path = OWN_NETWORKS
) -> Path:
    """The folder of a training.

    Args:
        functions: the learner's, in an order that stays; None where the reference's stands in.
        recipe: of the training; it is told from others by its `repr`.
        parent: of all such folders.

    Returns:
        a folder whose name changes with what a function does, not with its comments or its place in the notebook.
    """
    what = [repr(recipe), *(_work_of(function) if function else "" for function in functions)]
    return Path(parent) / hashlib.sha256("\n".join(map(str, what)).encode()).hexdigest()[:DIGITS]


def _work_of(function: Callable[..., object]) -> tuple[object, ...]:
    """What a function does, and those of its notebook that it calls, and the constants there that it reads."""
    function = inspect.unwrap(function)
    scope = function.__globals__
    work = [_code(function.__code__, function.__doc__), repr(function.__defaults__)]
    for name in sorted(used_names(function)):
        thing = scope[name]
        if isinstance(thing, FunctionType) and thing.__globals__ is scope:
            work.append((name, _code(thing.__code__, thing.__doc__), repr(thing.__defaults__)))
        elif isinstance(thing, int | float | str | tuple):
            work.append((name, repr(thing)))
    return tuple(work)


def _code(code: CodeType, docstring: str | None = None) -> tuple[object, ...]:
    """Steps and constants, without the docstring, the file and its lines."""
    constants = [constant for constant in code.co_consts if docstring is None or constant != docstring]
    return code.co_code.hex(), code.co_names, code.co_varnames, tuple(map(_constant, constants))


def _constant(constant: object) -> object:
    if isinstance(constant, CodeType):
        return _code(constant)
    if isinstance(constant, frozenset):  # whose order differs from one process to the next
        return tuple(sorted(map(repr, constant)))
    return repr(constant)
