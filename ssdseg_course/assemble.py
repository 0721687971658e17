"""The reference's network built, trained and used with the learner's own functions in the places of the reference's.

Every function that passes its check is put where the reference has its own; what is missing or not right yet stays the
reference's. So the joint network is at work from the first lesson on, and with each lesson more of it is the learner's.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdseg_course.check import find_exercise
from ssdseg_course.checking.exercise import Function, call
from ssdseg_course.checking.helpers import used_names
from ssdseg_course.checking.home import OF_LAYERS, function_at
from ssdseg_course.checking.report import Verdict
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.mine import find
from ssdseg_course.quiet import import_keras
from ssdseg_course.work.record import note, recall
from ssdseg_course.work.workspace import NotebookError, course_root

if TYPE_CHECKING:
    from ssdseg_ref.config import Config

PIECES_TRIED = "pieces"  # what the course remembers of them


class PieceError(ValueError):
    """A function of the learner's that passes its check and stops in the network all the same."""


@dataclass(frozen=True)
class Piece:
    """A function of the network that a learner can replace.

    Attributes:
        exercise_id: that asks for it.
        function: the learner's, or None.
        note: why there is none, or "" where there is one.
    """

    exercise_id: str
    function: Function | None
    note: str


@dataclass(frozen=True)
class Assembly:
    """The pieces, the learner's where they are there.

    Attributes:
        pieces: all that a network, its training and its use can call.
        called: ids of those that have been at work inside `in_place`, whoever's they are.
    """

    pieces: tuple[Piece, ...]
    called: set[str] = field(default_factory=set)

    @property
    def own(self) -> tuple[Piece, ...]:
        """The pieces that are the learner's."""
        return tuple(piece for piece in self.pieces if piece.function is not None)

    @property
    def at_work(self) -> tuple[Piece, ...]:
        """The pieces that have been called so far, by the reference or by one of the learner's that was called.

        Another backbone's, for instance, are not among them.
        """
        called = set(self.called)
        for piece in self.pieces:
            if piece.function and piece.exercise_id in self.called:
                called |= {f"{piece.exercise_id[:3]}{name}" for name in used_names(piece.function)}
        return tuple(piece for piece in self.pieces if piece.exercise_id in called)

    def table(self) -> str:
        """One line per piece: whose it is, and why not the learner's."""
        rows = [
            (piece.exercise_id, "yours" if piece.function else "the reference's", piece.note) for piece in self.pieces
        ]
        width = max(len(exercise_id) for exercise_id, *_ in rows)
        return "\n".join(f"{name:<{width}}  {whose:<15}  {note}".rstrip() for name, whose, note in rows)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside of it, the reference works with the learner's functions: building, training, predicting, scoring.

        A configuration keeps the anchors that it has made; take a fresh one, `dataclasses.replace(config)`, for the
        learner's.
        """
        # What is first imported inside would keep the learner's functions for good.
        from ssdseg_ref import evaluation, network, training  # noqa: F401

        originals = [function_at(EXERCISES[piece.exercise_id].home) for piece in self.pieces]
        changed = []
        try:
            for piece, original in zip(self.pieces, originals, strict=True):
                note = functools.partial(self.called.add, piece.exercise_id)
                changed += _replace_everywhere(original, _adapted(piece, original, note))
            yield
        finally:
            for scope, name, original in reversed(changed):
                scope[name] = original

    def build_network(self, config: "Config") -> Any:
        """The joint network of a configuration, with the learner's functions; its layers are the same, or a check would
        have said so.

        Raises:
            PieceError: if one of them stops.
        """
        from ssdseg_ref.network import build_network

        with self.in_place():
            return build_network(replace(config))


def assemble(own: Sequence[str] | None = None, progress: Callable[[int, int], None] | None = None) -> Assembly:
    """Look for the learner's functions in the notebooks of all lessons, and check each.

    Args:
        own: ids of the exercises to take; all that there are by default.
        progress: called with (pieces looked at, pieces in all).

    Raises:
        ValueError: if one of `own` is no piece of the network.
    """
    import_keras()
    names = [exercise.id for exercise in EXERCISES.values() if exercise.piece]
    for exercise_id in own or ():
        if find_exercise(exercise_id).id not in names:
            raise ValueError(f"{exercise_id} is no piece of the network; those are {', '.join(names)}")
    root = course_root()
    pieces = []
    for number, exercise_id in enumerate(names):
        if progress:
            progress(number, len(names))
        wanted = own is None or exercise_id in own
        pieces.append(Piece(exercise_id, *(_take(exercise_id, root) if wanted else (None, "not asked for"))))
    if progress:
        progress(len(names), len(names))
    return Assembly(tuple(pieces))


def _take(exercise_id: str, root: Path) -> tuple[Function | None, str]:
    """The learner's function, if it is right, or why there is none; checked again only if something has changed."""
    try:
        written = find(exercise_id)
        known = recall(root, PIECES_TRIED, exercise_id)
        if isinstance(known, dict) and known.get("key") == written.digest and isinstance(known.get("why"), str):
            if known["why"]:
                return None, known["why"]
            function = written.defined(bool(known.get("wider"))).function
            if callable(function):
                return function, ""
        tried = written.tried()
    except NotebookError as error:
        return None, str(error)
    why = "" if tried.report.passed else f"not right yet: `ssdseg check {int(exercise_id[:2])}` says why"
    if tried.report.verdict is Verdict.UNWRITTEN:
        why = "not written yet"
    note(root, PIECES_TRIED, exercise_id, {"key": written.digest, "why": why, "wider": tried.wider})
    return (None, why) if why else (tried.function, "")


def _replace_everywhere(original: Function, function: Function) -> list[tuple[dict[str, Any], str, Function]]:
    """Put a function wherever a module of the reference, or the notebook, knows the original, and say where."""
    changed = []
    for module_name, module in list(sys.modules.items()):
        if module_name in ("__main__", "ssdseg_ref") or module_name.startswith("ssdseg_ref."):
            scope = vars(module)
            names = [name for name, value in scope.items() if value is original]
            changed += [(scope, name, original) for name in names]
            scope.update(dict.fromkeys(names, function))
    return changed


def _adapted(piece: Piece, original: Function, note: Callable[[], None]) -> Function:
    """The learner's function, called as the reference's is; the reference's where there is none. `note` is told."""
    exercise = EXERCISES[piece.exercise_id]
    signature = inspect.signature(original)
    asked = exercise.argument_names
    is_numpy = exercise.run is call

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if piece.function is None:
            note()
            return original(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = bound.arguments
        if is_numpy and any(_is_tensor(value) for value in values.values()):
            return original(*args, **kwargs)  # in training's graph, where NumPy cannot go
        if callable(exercise.piece):
            work, arguments = exercise.piece, [piece.function, *values.values()]
        else:
            beyond = [name for name in values if name not in asked and name not in OF_LAYERS]
            if any(values[name] != signature.parameters[name].default for name in beyond):
                return original(*args, **kwargs)  # what the exercise does not ask for
            work, arguments = piece.function, [values[name] for name in asked]
        note()
        try:
            result = work(*arguments)
        except Exception as error:
            message = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise PieceError(
                f"your `{exercise.name}` of {piece.exercise_id} passes its check, but stopped in the network with "
                f"{type(error).__name__}: {message}"
            ) from error
        return _plain(result) if is_numpy else result

    return function


def _is_tensor(value: Any) -> bool:
    import keras

    return keras.ops.is_tensor(value) or isinstance(value, keras.KerasTensor)


def _plain(result: Any) -> Any:
    """What a NumPy function gave, in the types that the reference gives: a list or float64 is right as an answer."""
    if isinstance(result, tuple):
        return tuple(_plain(part) for part in result)
    array = np.asarray(result)
    if array.ndim == 0:
        return result
    return array.astype({"f": np.float32, "i": np.int32, "u": np.int32}.get(array.dtype.kind, array.dtype), copy=False)
