"""The source of an answer: that of its function, and of the functions and classes beside it that it uses."""

import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

from ssdseg_course.checking.exercise import Function


def source_of(function: Function) -> str:
    """The code of a function and of what it uses of its own notebook, as far as that is known.

    What is imported is a line each: `import scipy.signal as signal`.

    Args:
        function: whatever answers to a call.
    """
    parts: list[str] = []
    seen: set[int] = set()
    wanted: list[Any] = [inspect.unwrap(function)]
    while wanted:
        one = wanted.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        try:
            parts.append(inspect.getsource(one))
        except (OSError, TypeError):  # it was made in some other way than by writing it down
            continue
        scope = getattr(one, "__globals__", {})
        for name in _names(one):
            value = scope.get(name)
            if inspect.ismodule(value):
                parts.append(f"import {value.__name__} as {name}")
            elif (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == one.__module__:
                wanted.append(value)
            elif callable(value) and (home := getattr(value, "__module__", None)):
                parts.append(f"from {home} import {getattr(value, '__name__', name)} as {name}")
    return "\n".join(parts)


def _names(one: Any) -> Iterator[str]:
    """Global names that a function's code mentions, also in functions inside of it."""
    codes = [code] if isinstance(code := getattr(one, "__code__", None), CodeType) else []
    while codes:
        code = codes.pop()
        yield from code.co_names
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
