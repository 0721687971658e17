"""What all explorers share: controls, a picture of what they say, and the same in words."""

import html
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import HTML, display
from PIL import Image

from ssdseg_course.explorers.figures import mimebundle

SHOWN_WIDTH = 640  # pixels on the page; a picture may have more, and is crisper then
NAME_WIDTH, SLIDER_WIDTH, BUTTON_WIDTH = "90px", "480px", "140px"


class Explorer(ABC):
    """Controls, under them the picture and the text; a change of any control draws both anew.

    A subclass makes its controls, hands them to `__init__`, and gives `state` and `view`. The controls stand on top,
    where neither a low window nor a text that grows by a line moves them.

    Between the controls and the rest there is first a still picture, so that a viewer without widgets (GitHub, a
    printed page, a notebook opened without running it) has a figure too. The first change puts the live one there.
    """

    def __init__(self, controls: Sequence[widgets.Widget], rows: Sequence[widgets.Widget] | None = None):
        """Draw the state that the controls begin with.

        Args:
            controls: whatever has a value; a change of it changes the picture.
            rows: what stands over the picture, the controls among it; by default the controls, one under another.
        """
        self.picture = widgets.Image(format="png", width=SHOWN_WIDTH)
        self.text = widgets.HTML()
        self.above = widgets.VBox(controls if rows is None else rows)
        self._below = widgets.VBox([self.picture, self.text])
        self._still = None
        self._shown = None
        self._held = False
        self._refresh()
        for control in controls:
            control.observe(self._on_change, "value")

    @property
    @abstractmethod
    def state(self) -> Any:
        """What the controls say: a frozen dataclass, or anything else that can be compared."""

    @abstractmethod
    def view(self, state: Any) -> tuple[np.ndarray, str]:
        """Draw a state: (H, W, 3) uint8, and what is to be seen on it, in words."""

    @contextmanager
    def one_change(self) -> Iterator[None]:
        """Whatever moves controls under it is one change: the picture is drawn once, at its end."""
        self._held = True
        yield
        self._held = False
        self._refresh()

    def _on_change(self, _: Any) -> None:
        if self._still is not None:
            self._still.update(HTML(""))
            self._still = None
            self.picture.layout.display = None
        self._refresh()

    def _refresh(self) -> None:
        if self._held or self.state == self._shown:  # one control has moved another, and that has drawn both changes
            return
        self._shown = self.state
        picture, text = self.view(self._shown)
        self._words = text
        self.picture.value = _png(picture)
        style = f"max-width: {SHOWN_WIDTH}px; line-height: 1.4"
        self.text.value = f'<div role="status" style="{style}">{html.escape(text)}</div>'

    def _ipython_display_(self) -> None:
        _display_widget(self.above, "Run this cell to move the sliders.")
        data, metadata = mimebundle(self.picture.value, SHOWN_WIDTH, self._words)
        self._still = display(data, metadata=metadata, raw=True, display_id=True)
        self.picture.layout.display = "none"  # or it would be there twice
        _display_widget(self._below, self._words)


def align(*controls: widgets.Widget) -> None:
    """Set the controls' names in one column, wide enough for them, and give the sliders one length."""
    for control in controls:
        control.style.description_width = NAME_WIDTH  # or longer names are cut off
        if hasattr(control, "readout"):  # a slider
            control.layout.width, control.layout.max_width = SLIDER_WIDTH, "98%"  # less in a narrow window
        if isinstance(control, widgets.ToggleButtons):
            control.style.button_width = BUTTON_WIDTH
            control.layout.display = "flex"  # or the name takes a line of its own


def _display_widget(widget: widgets.Widget, words: str) -> None:
    """Put a widget into the notebook, with words in its place for a viewer that has no widgets."""
    display({**widget._repr_mimebundle_(), "text/plain": words}, raw=True)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", compress_level=1)  # a quick answer matters more than a small file
    return buffer.getvalue()
