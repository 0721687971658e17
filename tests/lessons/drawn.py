"""Looks at every figure that a lesson shows: in which colours its lines and areas are, and in which styles.

Looks at the clock as well, where something learns and is watched.

Runs in the kernel of the lesson. `watch()` comes before the lesson's first cell, `tell()` after its last.
"""

import json
import time

from IPython import get_ipython
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssdseg_course.explorers import figures

_seen: list[dict] = []
_learning: list[float] = []


def watch() -> None:
    """Note every figure from now on, and show it as before; and how long the cells take that draw while they learn."""
    show, clock = figures.show, [0.0]

    def begin(_) -> None:
        clock[0] = time.process_time()

    def end(result) -> None:
        if "LivePicture()" in (result.info.raw_cell or ""):
            _learning.append(time.process_time() - clock[0])

    get_ipython().events.register("pre_run_cell", begin)
    get_ipython().events.register("post_run_cell", end)

    def noting(figure: Figure, alt: str) -> None:
        _seen.extend({"alt": alt, "marks": _marks(axes)} for axes in figure.axes)
        show(figure, alt)

    figures.show = noting


def tell() -> None:
    """Print what was seen, the processor time of it all, and that of each cell that draws while it learns.

    For each panel: the alt text of its figure and its marks, as pairs of style and colours.
    """
    print(json.dumps({"panels": _seen, "seconds": time.process_time(), "learning": _learning}))


def _marks(axes) -> list[tuple[str, list[str]]]:
    arrows = [text.arrow_patch for text in axes.texts if getattr(text, "arrow_patch", None)]
    grounds = [text.get_bbox_patch() for text in axes.texts if text.get_bbox_patch()]
    marks = [
        *map(_line, axes.lines),
        *map(_area, (*axes.patches, *arrows, *grounds)),
        *map(_collection, axes.collections),
        *(("words", [to_hex(text.get_color())]) for text in axes.texts),
    ]
    return [(style, sorted(set(colours))) for style, colours in marks if colours]


def _line(line: Line2D) -> tuple[str, list[str]]:
    dashes, marker = line.get_linestyle(), line.get_marker()
    colours = [line.get_color()] if dashes != "None" else []
    if marker not in ("None", "", None, " "):
        colours += [line.get_markerfacecolor(), line.get_markeredgecolor()]
    return f"line {dashes} marker {marker}", _hex(colours)


def _area(patch: Patch) -> tuple[str, list[str]]:
    colours = [patch.get_facecolor()] if patch.get_fill() else []
    colours += [patch.get_edgecolor()] if patch.get_linewidth() or patch.get_hatch() else []
    return f"area hatch {patch.get_hatch()} line {patch.get_linestyle()}", _hex(colours)


def _collection(collection) -> tuple[str, list[str]]:
    dashes = [pattern for _, pattern in collection.get_linestyle()]
    return (
        f"{type(collection).__name__} hatch {collection.get_hatch()} line {dashes}",
        _hex([*collection.get_facecolor(), *collection.get_edgecolor()]),
    )


def _hex(colours) -> list[str]:
    """The colours as #rrggbb, without those that cannot be seen."""
    return [
        to_hex(colour)
        for colour in colours
        if not (isinstance(colour, str) and colour == "none")
        and (isinstance(colour, str) or len(colour) < 4 or colour[3])
    ]
