"""Where `ssdseg_ref` has the right answer of an exercise, and how that is called as a learner's function is.

A home is written "mobilenetv2.bottleneck" or "data.augment.flip": module and function.
"""

import inspect
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ssdseg_course.lazy import LazyModule

OF_LAYERS = ("name", "norm")  # arguments of the reference's blocks that no exercise has

_numbers = itertools.count()


@dataclass(frozen=True)
class AtHome:
    """The function at a home, taken from there at each call, with the arguments of a learner's function.

    Attributes:
        home: of the function.
        arguments: names of the learner's arguments, in their order; () for those of the function itself.
    """

    home: str
    arguments: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function gives; layers get a new name and Keras's own momentum and epsilon, as a learner's have."""
        function = function_at(self.home)
        if not self.arguments:
            return function(*args, **kwargs)
        named = dict(zip(self.arguments, args, strict=False))
        return function(**named, **kwargs, **{name: _of_layers(name) for name in _unasked(function)})

    @property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(function_at(self.home))
        asked = [signature.parameters[name] for name in self.arguments or signature.parameters]
        by_place = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return signature.replace(parameters=[parameter.replace(kind=by_place) for parameter in asked])


def function_at(home: str) -> Callable[..., Any]:
    """The function there.

    Args:
        home: "mobilenetv2.bottleneck".
    """
    module, _, name = f"ssdseg_ref.{home}".rpartition(".")
    function: Callable[..., Any] = getattr(sys.modules.get(module) or LazyModule(module), name)
    return function


def new_name() -> str:
    """A name for a layer: Keras demands that none occurs twice in a network."""
    return f"block{next(_numbers)}"


@lru_cache
def _unasked(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters
    return tuple(name for name in OF_LAYERS if name in parameters)


def _of_layers(argument: str) -> Any:
    return new_name() if argument == "name" else function_at("blocks.NORM")
