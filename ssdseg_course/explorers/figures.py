"""Drawing for the lessons: a scene, boxes over it, a grid over it, and the way a figure gets into a notebook.

Everything is drawn in fractions of the image, like the boxes themselves. Lines differ in style and not in colour alone;
colours are those of Okabe and Ito 2008.
"""

import base64
import html
import io
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import ArrayLike
from PIL import Image

from ssdseg_course.work.workspace import being_checked
from ssdseg_ref.data.sample import IMAGE_SIZE
from ssdseg_ref.plot import LABEL_ROOM, OKABE_ITO, place_label

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, BLACK = OKABE_ITO
WIDTH = 10.0  # inches, nearly a notebook's text column
DOTS_PER_INCH = 144  # more than a screen shows, so that lines stay crisp
SHOWN_PER_INCH = 96  # letters of 8 points are 11 pixels high
COLORS = 256
RIM = 0.08  # inches around what is drawn

TRUTH = {"edgecolor": "white", "linewidth": 2.0}
CAUGHT = {"edgecolor": ORANGE, "linewidth": 2.2, "linestyle": (0, (4, 1.5))}
MISSED = {"edgecolor": SKY, "linewidth": 2.2, "linestyle": (0, (1, 1.2))}
ANCHOR = {"edgecolor": VERMILION, "linewidth": 1.4, "halo": 0.7}  # thin: of many that lie in each other, all are seen
FAINT = {"edgecolor": BLACK, "linewidth": 0.3, "alpha": 0.012, "halo": 0}  # of thousands, many lie on one line


def panels(
    columns: int, image_size: tuple[float, float] = IMAGE_SIZE, width: float = WIDTH
) -> tuple[Figure, np.ndarray]:
    """A figure of panels side by side, each shaped like the image.

    Args:
        columns: number of panels.
        image_size: (height, width) of a panel, in any unit.
        width: of the whole figure in inches; by default that of the notebook's text.

    Returns:
        the figure, and its (columns,) axes.
    """
    panel_height = width / columns * image_size[0] / image_size[1] + 0.35  # room for a title
    figure = Figure(figsize=(width, panel_height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def draw_image(axes: Axes, image: np.ndarray, margin: float = 0.0, fade: float = 0.0) -> None:
    """Lay an image under the unit square: x runs to the right, y down.

    Args:
        image: (H, W, 3) uint8.
        margin: what to show around the image, a fraction of its sides, for boxes that reach over the border.
        fade: 0 leaves the image as it is, 1 makes it white, so that lines over it stand out.
    """
    height, width = image.shape[:2]
    faded = image + (255.0 - image) * fade
    axes.imshow(faded.astype(np.uint8), extent=(0, 1, 1, 0), aspect=height / width, interpolation="antialiased")
    axes.set(xlim=(-margin, 1 + margin), ylim=(1 + margin, -margin), xticks=[], yticks=[])


def draw_boxes(axes: Axes, boxes: ArrayLike, *, halo: float = 1.5, labels: Sequence[str] = (), **style: Any) -> None:
    """Outline boxes.

    Args:
        boxes: (N, 4) corners in fractions of the image.
        halo: width of the dark rim that keeps a line visible on any ground.
        labels: a word for each box, written at its upper left corner or where it covers no other.
        style: of matplotlib's PolyCollection: edgecolor, linewidth, linestyle, alpha.
    """
    xmin, ymin, xmax, ymax = np.asarray(boxes, np.float64).reshape(-1, 4).T
    corners = np.stack([xmin, ymin, xmax, ymin, xmax, ymax, xmin, ymax], axis=-1).reshape(-1, 4, 2)
    outlines = PolyCollection(list(corners), facecolor="none", **style)
    if halo:
        width = style.get("linewidth", 1.0) + 2 * halo
        outlines.set_path_effects([Stroke(linewidth=width, foreground=BLACK, alpha=0.6), Normal()])
    axes.add_collection(outlines, autolim=False)
    taken = [text.get_window_extent() for text in axes.texts]
    for x, top, bottom, label in zip(xmin, ymin, ymax, labels, strict=False):
        ground = {"facecolor": style.get("edgecolor", "white"), "edgecolor": BLACK, "linewidth": 0.8, "pad": 1.8}
        ground["linestyle"] = style.get("linestyle", "-")  # a label is told by more than its colour, as its box is
        text = axes.text(max(x, 0), max(top, 0), label, fontsize=8, color=BLACK, bbox=ground, clip_on=True)
        room = axes.get_window_extent().x1 - text.get_window_extent().x1
        if room < 0:  # at the right edge a label would be cut off, so it ends there
            text.set(x=axes.get_xlim()[1], ha="right")
        places = [(top, "bottom"), (max(top, 0), "top"), (bottom, "top"), (bottom, "bottom")]
        place_label(text, places if top > LABEL_ROOM else places[1:], taken)


def draw_grid(axes: Axes, rows: int, cols: int) -> None:
    """The cells of a feature map over the image: the finer the grid, the finer its lines."""
    style: dict[str, Any] = {"color": BLACK, "linewidth": 0.4 + 2 / rows, "alpha": 0.6}
    axes.vlines(np.arange(cols + 1) / cols, 0, 1, **style)
    axes.hlines(np.arange(rows + 1) / rows, 0, 1, **style)


def draw_points(axes: Axes, points: ArrayLike, size: float = 4.0, color: str = ORANGE) -> None:
    """Dots with a dark rim at (N, 2) points (x, y), fractions of the image."""
    x, y = np.asarray(points, np.float64).reshape(-1, 2).T
    axes.plot(x, y, "o", markersize=size, color=color, markeredgecolor=BLACK, markeredgewidth=0.6, linestyle="none")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file with a palette, a third of the size: notebooks are kept in git.

    The same rim is left on every side: a panel that keeps its image's shape leaves a strip of the figure empty.
    """
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", pad_inches=RIM, metadata={"Software": None}
    )
    picture = Image.open(buffer).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, "png")
    return small.getvalue()


def mimebundle(picture: bytes, width: int, alt: str) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Data and metadata of a notebook's output: a PNG file, with its content in words.

    Args:
        picture: the file.
        width: on the page, in pixels.
        alt: the words.
    """
    data = {"image/png": base64.b64encode(picture).decode(), "text/plain": alt}
    return data, {"image/png": {"width": width, "alt": alt}}


def show(figure: Figure, alt: str) -> None:
    """Put a figure into the notebook, with its content in words for those who cannot see it.

    The words go into the output twice, as the picture's alternative text and as a line to unfold: JupyterLab and
    nbconvert (7.17) leave the former out of their pages.
    """
    if being_checked():  # drawing takes longer than all the rest of a lesson
        return
    picture = png(figure)
    width = Image.open(io.BytesIO(picture)).width / DOTS_PER_INCH * SHOWN_PER_INCH
    data, metadata = mimebundle(picture, round(width), alt)
    display(data, metadata=metadata, raw=True)
    display(HTML(f"<details><summary>This figure in words</summary>{html.escape(alt)}</details>"))


class AnswerError(Exception):
    """A cell of a lesson cannot go on with what a learner's function returned."""

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this instead of a traceback, which would lead through the lesson's own code.
        return [str(self)]


@contextmanager
def after(*exercises: str) -> Iterator[None]:
    """The code under it needs functions of the learner's: say so kindly while one is not there, or not right.

    Args:
        exercises: by their numbers, as their headings have them: "1.1".

    Raises:
        AnswerError: if the functions are there, and the code under it fails all the same.
    """
    *others, last = exercises
    named = f"exercises {', '.join(others)} and {last}" if others else f"exercise {last}"
    answers, them, their, s = ("answers", "them", "their", "s") if others else ("answer", "it", "its", "")
    try:
        yield
    except (NotImplementedError, NameError) as error:
        if isinstance(error, NameError):  # its cell was not run, or has another name in it
            print(f"{error}.")
        elif unwritten := _function_that_raised(error):  # perhaps an earlier one, that this one calls
            print(f"Your `{unwritten}` is not written yet.")
        print(f"This needs your {answers} to {named}. Write {them}, run {their} cell{s}, then this one again.")
    except Exception as error:  # an answer of another shape, for instance
        what = f"This uses your {answers} to {named}, and stopped with {type(error).__name__}: {error}."
        raise AnswerError(f"{what} What {'do' if others else 'does'} {their} check{s} say?") from error


def _function_that_raised(error: BaseException) -> str:
    """Name of the function an error comes from; "" where that is no function but the cell itself."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_code.co_name if frame.f_locals is not frame.f_globals else ""
