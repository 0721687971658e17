"""Pictures of data, anchors, predictions and results. The one module of this package that needs matplotlib.

Colours are those of Okabe and Ito 2008, "Color Universal Design", which colour-blind readers can tell apart; no figure
says anything by colour alone. Figures are made without pyplot, which would keep each of them until it is closed.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample
from ssdseg_ref.data.statistics import PERCENTILES, Statistics

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000")
INK = "#000000"
CLASS_COLOURS = (OKABE_ITO[0], OKABE_ITO[1], OKABE_ITO[6])  # by label, from 1; further labels start over
CLASS_LINES = ("-", "--", ":")  # a line style a label, so that colour never speaks alone
MASK_OPACITY = 0.45
BOX_LINE_WIDTH = 1.8  # points
LABEL_ROOM = 0.06  # of the image's height, what a box's label takes
DOTS_PER_INCH = 216  # of a painted prediction: twice what a screen shows


def plot_statistics(statistics: Statistics) -> Figure:
    """Four panels: instances, pixel shares, sizes and shapes of the boxes, a line for each class."""
    names = [entry.name for entry in statistics.classes]
    figure = Figure(figsize=(10, 2.4 + 0.7 * (len(names) + 1)), layout="constrained")
    (instances, shares), (sizes, shapes) = figure.subplots(2, 2)
    _bars(instances, names, [entry.instances for entry in statistics.classes], "{:,.0f}")
    instances.set(title="instances", xlabel="boxes")
    _bars(shares, ["background", *names], [100 * share for share in statistics.pixel_shares], "{:.2f} %")
    shares.set(title="pixels", xlabel="% of all pixels")
    _spans(sizes, names, [entry.areas for entry in statistics.classes])
    sizes.set(title="size of boxes", xlabel="area, fraction of the image")
    _spans(shapes, names, [entry.aspect_ratios for entry in statistics.classes])
    shapes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    shapes.set(title="shape of boxes", xlabel="width / height")
    figure.legend(*shapes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"{statistics.images:,} images, {statistics.images_without_boxes:,} of them without a box")
    return figure


def _bars(axes: Axes, names: list[str], values: list[float], form: str) -> None:
    bars = axes.barh(names, values, color=OKABE_ITO[1], edgecolor=INK)
    axes.bar_label(bars, [form.format(value) for value in values], padding=3)
    axes.margins(x=0.2)  # room for the numbers
    axes.invert_yaxis()  # the first class on top, as in the tables


def _spans(axes: Axes, names: list[str], percentiles: list[tuple[float, ...]]) -> None:
    """For each class a thin line from the 5th to the 95th percentile, a thick one for the middle half, its median."""
    low, quarter, half, three_quarters, high = zip(*percentiles, strict=True)
    axes.hlines(names, low, high, color=INK, linewidth=1.5, label=f"{PERCENTILES[0]} to {PERCENTILES[-1]} %")
    axes.hlines(names, quarter, three_quarters, color=OKABE_ITO[1], linewidth=9, label="middle half")
    axes.plot(half, names, "o", color=OKABE_ITO[5], markeredgecolor=INK, label="median")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(len(names) - 0.5, -0.5)


def draw_mask(axes: Axes, image: np.ndarray, mask: np.ndarray) -> None:
    """Show an image with its mask laid over it; "ignore" stays as it is.

    Args:
        axes: to draw on; its frame and ticks are taken away.
        image: (H, W, 3) uint8.
        mask: (H, W) classes.
    """
    painted = image.astype(np.float32)
    for label in np.unique(mask):
        if label not in (BACKGROUND, IGNORE):
            colour = 255 * np.float32(to_rgb(CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)]))
            pixels = mask == label
            painted[pixels] += MASK_OPACITY * (colour - painted[pixels])
    axes.imshow(painted.astype(np.uint8), interpolation="nearest")
    axes.set_axis_off()


def draw_boxes(
    axes: Axes,
    size: tuple[int, int],
    boxes: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    scores: np.ndarray | None = None,
) -> None:
    """Draw boxes over an image that is shown already, each with its class and its score.

    Args:
        axes: that show the image.
        size: (height, width) of the image in pixels.
        boxes: (M, 4) corners in fractions of the image.
        labels: (M,) classes, from 1.
        names: of the classes; name 0 belongs to label 1.
        scores: (M,), or None where boxes are the truth.
    """
    height, width = size
    taken: list[Bbox] = []  # by labels
    for index, ((xmin, ymin, xmax, ymax), label) in enumerate(zip(boxes, labels, strict=True)):
        style = (label - 1) % len(CLASS_COLOURS)
        left, top = xmin * width - 0.5, ymin * height - 0.5  # a pixel's middle has whole coordinates in matplotlib
        frame = Rectangle((left, top), (xmax - xmin) * width, (ymax - ymin) * height, fill=False)
        frame.set(edgecolor=CLASS_COLOURS[style], linestyle=CLASS_LINES[style], linewidth=BOX_LINE_WIDTH)
        axes.add_patch(frame)
        text = names[label - 1] if scores is None else f"{names[label - 1]} {scores[index]:.2f}"
        plate = {"facecolor": CLASS_COLOURS[style], "edgecolor": "none", "pad": 1.2}
        label_text = axes.text(left, max(top, 0), text, fontsize=7, bbox=plate, clip_on=True)
        bottom = ymax * height - 0.5
        places = [(top, "bottom"), (max(top, 0), "top"), (bottom, "bottom"), (bottom, "top")]
        # Where there is no room above the box, the label goes inside.
        place_label(label_text, places if top > LABEL_ROOM * height else places[1:], taken)


def place_label(label: Text, places: Sequence[tuple[float, str]], taken: list[Bbox]) -> None:
    """Put a label where it covers no other, and note the room that it takes.

    Args:
        label: drawn already.
        places: y and vertical alignment of each, best first; the first one counts where none is free.
        taken: room of other labels, in dots; grows by this one's.
    """
    frame = label.axes.get_window_extent()
    for y, alignment in (*places, places[0]):
        label.set(y=y, va=alignment)
        extent = label.get_window_extent().padded(-1)  # one above and one below a line touch, and may
        inside = frame.y0 <= extent.y0 and extent.y1 <= frame.y1
        if inside and not any(extent.overlaps(other) for other in taken):
            break
    taken.append(extent)


def plot_gallery(
    samples: Sequence[Sample], predictions: Sequence, names: Sequence[str], least_score: float = 0.4
) -> Figure:
    """Pictures in pairs: what is there above, what the network sees below.

    Args:
        samples: the truth, at least one.
        predictions: one a sample, each with `boxes`, `labels`, `scores` and `mask`.
        names: of the classes.
        least_score: of the detections that are drawn.
    """
    columns = len(samples)
    figure = Figure(figsize=(3.4 * columns, 5.2), layout="constrained")
    rows = figure.subplots(2, columns, squeeze=False)
    for sample, prediction, above, below in zip(samples, predictions, *rows, strict=True):
        size = sample.image.shape[:2]
        draw_mask(above, sample.image, sample.mask)
        draw_boxes(above, size, sample.boxes, sample.labels, names)
        draw_mask(below, sample.image, prediction.mask)
        sure = prediction.scores >= least_score
        draw_boxes(below, size, prediction.boxes[sure], prediction.labels[sure], names, prediction.scores[sure])
    rows[0][0].set_title("truth", loc="left", fontsize=10)
    rows[1][0].set_title("network", loc="left", fontsize=10)
    return figure


def paint_prediction(
    image: np.ndarray,
    mask: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
    *,
    width: int,
) -> np.ndarray:
    """A picture with what a network sees in it, and nothing around it.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) classes.
        boxes: (D, 4) corners in fractions of the image.
        labels: (D,) classes, from 1.
        scores: (D,).
        names: of the classes; name 0 belongs to label 1.
        width: of what comes out, in pixels; its height follows the image's.

    Returns:
        (h, width, 3) uint8.
    """
    rows, cols = image.shape[:2]
    inches = width / DOTS_PER_INCH
    figure = Figure(figsize=(inches, inches * rows / cols), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_mask(axes, image, mask)
    draw_boxes(axes, (rows, cols), boxes, labels, names, scores)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
