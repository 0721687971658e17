"""Pictures of data, anchors, predictions and results. The one module of this package that needs matplotlib.

Colours are those of Okabe and Ito 2008, "Color Universal Design", which colour-blind readers can tell apart; no figure
says anything by colour alone. Figures are made without pyplot, which would keep each of them until it is closed.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ssdseg_ref.data.statistics import PERCENTILES, Statistics

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000")
INK = "#000000"


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
