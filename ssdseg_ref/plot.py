"""Pictures of data, anchors, predictions and results. The one module of this package that needs matplotlib.

Colours are those of Okabe and Ito 2008, "Color Universal Design", which colour-blind readers can tell apart; no figure
says anything by colour alone. Figures are made without pyplot, which would keep each of them until it is closed.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from PIL import Image

from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample
from ssdseg_ref.data.statistics import PERCENTILES, Statistics
from ssdseg_ref.prediction import Prediction

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000")
INK = "#000000"
PAGE_WIDTH = 10  # inches
PAGE_COLUMNS, PAGE_SAMPLES = 4, 12
LEAST_REACH = 10**0.5  # of a logarithmic axis, to either side: a whole decade has a power of ten, which is labelled
LEAST_TOLD = 0.005  # share of a mask: less would read 0 %
PAGE_PIXELS = 600  # of the longer side of a sample on a page
CLASS_COLOURS = tuple(OKABE_ITO[k] for k in (0, 1, 6, 2, 5, 3, 4))  # by label, from 1; see `class_colour`
SHADES = (1.0, 0.6, 0.35)  # of those colours, for the first seven labels, the next, and so on
CLASS_LINES = ("-", "--", ":")  # one line style per label, so that colour is never the only sign
MASK_OPACITY = 0.45
BOX_LINE_WIDTH = 1.8  # points
LABEL_ROOM = 0.06  # of the image's height, what a box's label takes
DOTS_PER_INCH = 216  # of a painted prediction: twice what a screen shows
MOST_PAINTED = 4_000_000  # pixels of a painted prediction, whose memory is 60 bytes a pixel and more
LONGEST_PAINTED = 2**15  # pixels of its longer side; matplotlib takes no more than twice that
DARK = 0.18  # luminance below which black is hard to read on a colour


def plot_statistics(statistics: Statistics) -> Figure:
    """Four panels: instances, pixel shares, sizes and shapes of the boxes, a line for each class."""
    figure = Figure(figsize=(PAGE_WIDTH, _statistics_height(statistics)), layout="constrained")
    _draw_statistics(figure, statistics)
    return figure


def plot_data_set(statistics: Statistics, samples: Sequence[Sample], names: Sequence[str]) -> Figure:
    """The panels of `plot_statistics`, and below them a page of samples with their boxes and masks.

    Args:
        statistics: of the whole data set.
        samples: at least one; `PAGE_SAMPLES` of them are drawn, evenly from the first to the last.
        names: of the classes; name 0 belongs to label 1.
    """
    places = np.unique(np.linspace(0, len(samples) - 1, PAGE_SAMPLES).astype(int))
    rows = -(-len(places) // PAGE_COLUMNS)
    heights = (_statistics_height(statistics), 2.2 * rows + 0.5)
    figure = Figure(figsize=(PAGE_WIDTH, sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights).ravel()
    _draw_statistics(above, statistics)
    frames = below.subplots(rows, PAGE_COLUMNS, squeeze=False).ravel()
    for axes, place in itertools.zip_longest(frames, places.tolist()):
        axes.set_axis_off()
        if place is not None:
            sample = samples[place]
            image, mask = _small(sample)
            draw_mask(axes, image, mask)
            draw_boxes(axes, mask.shape, sample.boxes, sample.labels, names)
            ignored = np.mean(mask == IGNORE)
            title = f"{place}   {ignored:.0%} ignored" if ignored >= LEAST_TOLD else f"{place}"
            axes.set_title(title, fontsize=7, loc="left")
    below.suptitle("samples, by their number from 0")
    return figure


def _small(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask, their longer side no more than what a page shows."""
    height, width = sample.mask.shape
    scale = PAGE_PIXELS / max(height, width)
    if scale >= 1:
        return sample.image, sample.mask
    size = max(1, round(scale * width)), max(1, round(scale * height))
    image = np.asarray(Image.fromarray(sample.image).resize(size, Image.Resampling.BOX))
    return image, np.asarray(Image.fromarray(sample.mask).resize(size, Image.Resampling.NEAREST))


def _statistics_height(statistics: Statistics) -> float:
    return 2.4 + 0.7 * (len(statistics.classes) + 1)


def _draw_statistics(figure: FigureBase, statistics: Statistics) -> None:
    names = [entry.name for entry in statistics.classes]
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
    left, right = axes.get_xlim()
    middle, reach = (left * right) ** 0.5, max((right / left) ** 0.5, LEAST_REACH)
    axes.set_xlim(middle / reach, middle * reach)
    axes.set_ylim(len(names) - 0.5, -0.5)


def class_colour(label: int) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 of a label, from 1: the first 21 are all different, then they repeat."""
    turn, place = divmod(label - 1, len(CLASS_COLOURS))
    red, green, blue = to_rgb(CLASS_COLOURS[place])
    shade = SHADES[turn % len(SHADES)]
    return red * shade, green * shade, blue * shade


def mask_palette() -> list[int]:
    """256 x (red, green, blue) for a picture with a palette: its pixels are classes, and its colours can be seen.

    Background is black, "ignore" white, and a class has the colour that its boxes have.
    """
    palette = np.zeros((256, 3))
    for label in range(1, 256):
        palette[label] = class_colour(label)
    palette[IGNORE] = 1
    return np.rint(255 * palette).astype(int).ravel().tolist()


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
            colour = 255 * np.array(class_colour(int(label)), np.float32)
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
        colour, style = class_colour(int(label)), CLASS_LINES[(label - 1) % len(CLASS_LINES)]
        left, top = xmin * width - 0.5, ymin * height - 0.5  # a pixel's middle has whole coordinates in matplotlib
        frame = Rectangle((left, top), (xmax - xmin) * width, (ymax - ymin) * height, fill=False)
        frame.set(edgecolor=colour, linestyle=style, linewidth=BOX_LINE_WIDTH)
        axes.add_patch(frame)
        text = names[label - 1] if scores is None else f"{names[label - 1]} {scores[index]:.2f}"
        plate = {"facecolor": colour, "edgecolor": "none", "pad": 1.2}
        ink = "white" if luminance(colour) < DARK else INK
        label_text = axes.text(left, max(top, 0), text, color=ink, fontsize=7, bbox=plate, clip_on=True)
        bottom = ymax * height - 0.5
        places = [(top, "bottom"), (max(top, 0), "top"), (bottom, "bottom"), (bottom, "top")]
        # Where there is no room above the box, the label goes inside.
        place_label(label_text, places if top > LABEL_ROOM * height else places[1:], taken)


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance of an sRGB colour, 0 for black and 1 for white, as WCAG 2 defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def place_label(label: Text, places: Sequence[tuple[float, str]], taken: list[Bbox]) -> None:
    """Put a label where it covers no other, and note the room that it takes.

    Args:
        label: drawn already.
        places: y and vertical alignment of each, best first; the first one counts where none is free.
        taken: room of other labels, in dots; grows by this one's.
    """
    assert label.axes is not None  # it is drawn already
    frame = label.axes.get_window_extent()
    for y, alignment in (*places, places[0]):
        label.set(y=y, va=alignment)
        extent = label.get_window_extent().padded(-1)  # one above and one below a line touch, and may
        inside = frame.y0 <= extent.y0 and extent.y1 <= frame.y1
        if inside and not any(extent.overlaps(other) for other in taken):
            break
    taken.append(extent)


def plot_gallery(
    samples: Sequence[Sample], predictions: Sequence[Prediction], names: Sequence[str], least_score: float = 0.4
) -> Figure:
    """Pictures in pairs: what is there above, what the network sees below.

    Args:
        samples: the truth, at least one.
        predictions: one per sample, each with `boxes`, `labels`, `scores` and `mask`.
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
        width: of what comes out, in pixels; its height follows the image's. A tall image comes out narrower, with at
            most `MOST_PAINTED` pixels.

    Returns:
        (h, w, 3) uint8.
    """
    rows, cols = image.shape[:2]
    height = width * rows / cols
    width *= min(1.0, (MOST_PAINTED / (width * height)) ** 0.5, LONGEST_PAINTED / max(width, height))
    size = max(width, 1.0), max(width * rows / cols, 1.0)
    if rows * cols > MOST_PAINTED:
        small = max(round(size[0]), 1), max(round(size[1]), 1)
        image = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BOX))
        mask = np.asarray(Image.fromarray(mask).resize(small, Image.Resampling.NEAREST))
        rows, cols = image.shape[:2]
    figure = Figure(figsize=(size[0] / DOTS_PER_INCH, size[1] / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_mask(axes, image, mask)
    draw_boxes(axes, (rows, cols), boxes, labels, names, scores)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
