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
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdseg_course.check import find_exercise
from ssdseg_course.checking.exercise import call
from ssdseg_course.checking.helpers import used_names
from ssdseg_course.checking.report import Verdict
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.mine import find
from ssdseg_course.quiet import import_keras
from ssdseg_course.work.record import note, recall
from ssdseg_course.work.workspace import NotebookError, course_root

if TYPE_CHECKING:
    from ssdseg_ref.config import Config
    from ssdseg_ref.data import Sample

# The exercises whose function stands in the network, or in its training, predicting and scoring, by the module of the
# reference that has it. "08.joint_network" does not: the reference's `build_network` also knows the larger preset.
PIECES = {
    "anchors": ("01.grid_centers", "01.anchor_sizes", "01.map_anchors", "01.make_anchors"),
    "boxes": ("02.corners_to_centers", "02.iou"),
    "matching": ("02.match_anchors",),
    "coding": ("02.encode", "02.decode", "02.encode_targets"),
    "blocks": ("04.make_divisible", "04.conv_bn", "04.depthwise_bn"),
    "mobilenetv2": ("04.bottleneck", "04.mobilenet_v2_features"),
    "shufflenetv2": ("05.channel_shuffle", "05.basic_unit", "05.downsampling_unit", "05.shufflenet_v2_features"),
    "ssdlite": ("06.extra_maps", "06.prediction_head"),
    "losses": (
        "06.class_cross_entropy",
        "06.smooth_l1",
        "06.mine_hard_negatives",
        "06.multibox_loss",
        "07.weighted_cross_entropy",
        "07.dice_loss",
    ),
    "nms": ("06.non_max_suppression",),
    "deeplabv3plus": ("07.aspp", "07.decoder"),
    "metrics": ("07.confusion_matrix", "08.average_precision"),
    "prediction": ("08.segmentation_gate",),
    "data.augment": ("08.flip", "08.crop_boxes"),
}
OTHER_NAMES = {"02.iou": "pairwise_iou"}
PIECES_TRIED = "pieces"  # what the course remembers of them
NAMES_OF_LAYERS = ("name", "norm")  # arguments of the reference that no exercise has


class PieceError(ValueError):
    """A function of the learner's that passes its check and stops in the network all the same."""


@dataclass(frozen=True)
class Piece:
    """A function of the network that a learner can replace.

    Attributes:
        exercise_id: that asks for it.
        home: the reference's module and function, "mobilenetv2.bottleneck" or "data.augment.flip".
        function: the learner's, or None.
        note: why there is none, or "" where there is one.
    """

    exercise_id: str
    home: str
    function: Callable | None
    note: str


@dataclass(frozen=True)
class Assembly:
    """The pieces, the learner's where they are there.

    Attributes:
        pieces: all that a network, its training and its use can call.
        called: ids of those that have been at work inside of `in_place`, whoever's they are.
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
        for piece in self.own:
            if piece.exercise_id in self.called:
                called |= {f"{piece.exercise_id[:3]}{name}" for name in used_names(piece.function)}
        return tuple(piece for piece in self.pieces if piece.exercise_id in called)

    def table(self) -> str:
        """A line a piece: whose it is, and why not the learner's."""
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
        changed = []
        try:
            for piece in self.pieces:
                module, name = piece.home.rsplit(".", 1)
                original = getattr(import_module(f"ssdseg_ref.{module}"), name)
                note = functools.partial(self.called.add, piece.exercise_id)
                changed += _replace_everywhere(original, _adapted(piece, original, note))
            yield
        finally:
            for scope, name, original in reversed(changed):
                scope[name] = original

    def build_network(self, config: "Config"):
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
    places = homes()
    for exercise_id in own or ():
        if find_exercise(exercise_id).id not in places:
            raise ValueError(f"{exercise_id} is no piece of the network; those are {', '.join(places)}")
    wanted = set(places if own is None else own)
    root = course_root()
    pieces = []
    for number, (exercise_id, home) in enumerate(places.items()):
        if progress:
            progress(number, len(places))
        function, note = _take(exercise_id, root) if exercise_id in wanted else (None, "not asked for")
        pieces.append(Piece(exercise_id, home, function, note))
    if progress:
        progress(len(places), len(places))
    return Assembly(tuple(pieces))


def homes() -> dict[str, str]:
    """The pieces in the order of the lessons, and where the reference has each."""
    homes = {
        exercise_id: f"{module}.{OTHER_NAMES.get(exercise_id, EXERCISES[exercise_id].name)}"
        for module, exercise_ids in PIECES.items()
        for exercise_id in exercise_ids
    }
    return {exercise_id: homes[exercise_id] for exercise_id in EXERCISES if exercise_id in homes}


def _take(exercise_id: str, root: Path) -> tuple[Callable | None, str]:
    """The learner's function, if it is right, or why there is none; checked again only if something has changed."""
    try:
        written = find(exercise_id)
        known = recall(root, PIECES_TRIED, exercise_id)
        if isinstance(known, dict) and known.get("key") == written.digest and isinstance(known.get("why"), str):
            function = None if known["why"] else written.defined(bool(known.get("wider"))).function
            if known["why"] or callable(function):
                return function, known["why"]
        tried = written.tried()
    except NotebookError as error:
        return None, str(error)
    why = "" if tried.report.passed else f"not right yet: `ssdseg check {int(exercise_id[:2])}` says why"
    if tried.report.verdict is Verdict.UNWRITTEN:
        why = "not written yet"
    note(root, PIECES_TRIED, exercise_id, {"key": written.digest, "why": why, "wider": tried.wider})
    return (None, why) if why else (tried.function, "")


def _replace_everywhere(original: Callable, function: Callable) -> list[tuple[dict, str, Callable]]:
    """Put a function wherever a module of the reference, or the notebook, knows the original, and say where."""
    changed = []
    for module_name, module in list(sys.modules.items()):
        if module_name in ("__main__", "ssdseg_ref") or module_name.startswith("ssdseg_ref."):
            scope = vars(module)
            names = [name for name, value in scope.items() if value is original]
            changed += [(scope, name, original) for name in names]
            scope.update(dict.fromkeys(names, function))
    return changed


def _adapted(piece: Piece, original: Callable, note: Callable[[], None]) -> Callable:
    """The learner's function, called as the reference's is; the reference's where there is none. `note` is told."""
    exercise = EXERCISES[piece.exercise_id]
    signature = inspect.signature(original)
    asked = exercise.argument_names
    is_numpy = exercise.run is call

    @functools.wraps(original)
    def function(*args, **kwargs):
        if piece.function is None:
            note()
            return original(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = bound.arguments
        if is_numpy and any(_is_tensor(value) for value in values.values()):
            return original(*args, **kwargs)  # in training's graph, where NumPy cannot go
        if piece.exercise_id in SPECIAL:
            work, arguments = SPECIAL[piece.exercise_id], (piece.function, *values.values())
        else:
            beyond = [name for name in values if name not in asked and name not in NAMES_OF_LAYERS]
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


def _all_anchors(make_anchors: Callable, spec) -> np.ndarray:
    """A map at a time, for the exercise has one list of ratios for all maps."""
    return np.concatenate(
        [
            np.asarray(make_anchors(spec.image_size, (feature_map,), spec.scales[k : k + 2], ratios)).reshape(-1, 4)
            for k, (feature_map, ratios) in enumerate(zip(spec.feature_maps, spec.ratios_by_map, strict=True))
        ]
    )


def _decoded(decode: Callable, offsets, anchors, _) -> np.ndarray:
    """An image at a time, for the exercise has no batch."""
    images = np.reshape(offsets, (-1, *np.shape(offsets)[-2:]))
    return np.stack([decode(image, anchors) for image in images]).reshape(np.shape(offsets))


def _precision_if_any(average_precision: Callable, scores, hits, positives) -> float:
    """The exercise has at least one box to be found."""
    return average_precision(np.asarray(scores), np.asarray(hits), positives) if positives else float("nan")


def _of_whole_numbers(loss: Callable, mask, *others):
    """The exercise's masks are int32; those of a training are uint8, the smallest that hold them."""
    from keras import ops

    return loss(ops.cast(mask, "int32"), *others)


def _flipped(flip: Callable, sample: "Sample") -> "Sample":
    """The exercise has the parts of a sample, in any type of numbers."""
    image, boxes, mask = flip(sample.image, sample.boxes, sample.mask)
    return replace(
        sample,
        image=np.asarray(image, np.uint8),
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        mask=np.asarray(mask, np.uint8),
    )


# Where the exercise has other arguments than the reference: from the learner's function and the reference's arguments.
SPECIAL = {
    "01.make_anchors": _all_anchors,
    "02.decode": _decoded,
    "07.weighted_cross_entropy": _of_whole_numbers,
    "07.dice_loss": _of_whole_numbers,
    "08.average_precision": _precision_if_any,
    "08.flip": _flipped,
}


def _is_tensor(value) -> bool:
    import keras

    return keras.ops.is_tensor(value) or isinstance(value, keras.KerasTensor)


def _plain(result):
    """What a NumPy function gave, in the types that the reference gives: a list or float64 is right as an answer."""
    if isinstance(result, tuple):
        return tuple(_plain(part) for part in result)
    array = np.asarray(result)
    if array.ndim == 0:
        return result
    return array.astype({"f": np.float32, "i": np.int32, "u": np.int32}.get(array.dtype.kind, array.dtype), copy=False)
