"""What is drawn while something learns: a picture in one place, drawn anew, and the curves of a training."""

import csv
import os
import time
from pathlib import Path
from typing import Any

from IPython.display import HTML, display
from matplotlib.figure import Figure

from ssdseg_course.explorers import figures
from ssdseg_course.lazy import LazyModule
from ssdseg_course.work.workspace import being_checked

Row = dict[str, float]  # Keras's logs of an epoch

callbacks = LazyModule("keras.callbacks")

SHOWN_WIDTH = 760  # pixels on the page
PARTS = ("class", "box", "giou", "mask", "dice")
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")
COLOURS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.VERMILION, figures.PURPLE)


def how_to_train() -> str:
    """ "full" for a learner; "short" or "skip" where nobody waits for it, as `SSDSEG_TRAINING` says, or in a check."""
    return "skip" if being_checked() else os.environ.get("SSDSEG_TRAINING", "full")


class LivePicture:
    """A place on the page for a figure that is drawn anew while something learns."""

    def __init__(self) -> None:
        self._place = display(HTML(""), display_id=True)

    def draw(self, figure: Figure, alt: str) -> None:
        """Put a figure there, in place of the one before."""
        data, metadata = figures.mimebundle(figures.png(figure), SHOWN_WIDTH, alt)
        self._place.update(data, metadata=metadata, raw=True)

    def leave(self, figure: Figure, alt: str) -> None:
        """Clear the place, and show the last state like all other figures of a lesson."""
        self._place.update(HTML(""))
        figures.show(figure, alt)


def live_curves() -> Any:
    """A Keras callback for `ssdseg_ref.training.train`: a line of progress, and curves after every epoch."""

    class LiveCurves(callbacks.Callback):  # type: ignore[name-defined]  # the module is imported when it is needed
        """Draws what the logs say."""

        def on_train_begin(self, logs: Row | None = None) -> None:
            """Find a place to draw in."""
            self.began = time.monotonic()
            self.rows: list[Row] = []
            self.words = display(
                HTML("the network is being traced; the first step takes some seconds"), display_id=True
            )
            self.picture = LivePicture()

        def on_train_batch_end(self, batch: int, logs: Row) -> None:
            """Say how far it is, now and then."""
            if batch % 10 == 0:
                self._say(f"epoch {len(self.rows) + 1} of {self.params['epochs']}, step {batch + 1} of "
                          f"{self.params['steps']}, loss {logs['loss']:.2f}")  # fmt: skip

        def on_epoch_end(self, epoch: int, logs: Row) -> None:
            """Draw the curves anew."""
            self.rows.append(dict(logs))
            self._say(f"epoch {len(self.rows)} of {self.params['epochs']} done: {in_words(self.rows)}")
            self.picture.draw(draw_curves(self.rows), in_words(self.rows))

        def on_train_end(self, logs: Row | None = None) -> None:
            """Leave a figure like all others of the lesson."""
            if self.rows:
                self.picture.leave(draw_curves(self.rows), in_words(self.rows))

        def _say(self, words: str) -> None:
            minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
            self.words.update(HTML(f'<div role="status">{minutes}:{seconds:02d} min; {words}</div>'))

    return LiveCurves()


def curves_of_a_run(folder: str | Path) -> None:
    """Show the curves of a training that has finished, from its log."""
    from ssdseg_ref.training import LOG

    with (Path(folder) / LOG).open(newline="", encoding="utf-8") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    figures.show(draw_curves(rows), in_words(rows))


def draw_curves(rows: list[Row]) -> Figure:
    """A figure of two panels: the whole loss, of training and validation, and the parts of the latter.

    Args:
        rows: Keras's logs, one per epoch.
    """
    figure, axes = figures.panels(2, image_size=(1, 1.7))
    epochs = range(1, len(rows) + 1)
    for key, style, marker, colour in (("loss", "-", "o", figures.BLUE), ("val_loss", "--", "s", figures.ORANGE)):
        name = {"loss": "training", "val_loss": "validation"}[key]
        axes[0].plot(epochs, [row[key] for row in rows], style, marker=marker, color=colour, label=name)
    for part, dashes, marker, colour in zip(PARTS, STYLES, MARKERS, COLOURS, strict=True):
        values = [row[f"val_{part}"] for row in rows]
        axes[1].plot(epochs, values, linestyle=dashes, marker=marker, color=colour, label=part)
    axes[0].set(title="loss", xlabel="epoch")
    axes[1].set(title="its parts, validation", xlabel="epoch")
    for panel in axes:
        panel.set(ylim=(0, 1.1 * panel.get_ylim()[1]), xticks=epochs)
        panel.legend(fontsize=8)
    return figure


def in_words(rows: list[Row]) -> str:
    """The curves for those who cannot see them."""
    first, last = rows[0], rows[-1]
    parts = ", ".join(f"{part} {last[f'val_{part}']:.2f}" for part in PARTS)
    return (
        f"after {len(rows)} epoch{'s' * (len(rows) > 1)} the training loss went from {first['loss']:.2f} to "
        f"{last['loss']:.2f}, the validation loss from {first['val_loss']:.2f} to {last['val_loss']:.2f}; its parts "
        f"are {parts}"
    )
