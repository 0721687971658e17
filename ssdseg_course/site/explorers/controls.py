"""The controls of an explorer as a page has them: native inputs, made from the widgets of the notebook.

So both have the same names, limits, steps and beginnings. Values travel as JSON; `web/controls.js` reads them.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets


def control(explorer: str, name: str, widget: Any, ends: Mapping[str, tuple[str, str]]) -> str:
    """A labelled input, or a group of them, for a widget.

    Args:
        explorer: its name, which ids begin with.
        name: of the control, under which the page keeps its value.
        widget: with its description, limits and value; a dict is a group of check boxes by their names.
        ends: of a range: its two names.

    Raises:
        TypeError: if it is of a kind that no explorer has had so far.
    """
    place = f"explorer-{explorer}-{name}"
    match widget:
        case dict():
            return _check_boxes(name, widget)
        case widgets.FloatRangeSlider():
            pairs = zip(ends[name], widget.value, strict=True)
            sliders = "".join(_slider(f"{place}-{end}", *pair, widget) for end, pair in enumerate(pairs))
            return f'<div class="explorer-ends" {_kind(name, "ends")}>{sliders}</div>'
        case widgets.SelectionSlider():
            values = [option[1] if isinstance(option, tuple) else option for option in widget.options]
            limits = f'min="0" max="{len(values) - 1}" step="1" value="{values.index(widget.value)}"'
            listed = f'data-options="{_json(values)}" aria-valuetext="{widget.value}"'
            return _row(place, widget.description, f"{_kind(name, 'options')} {listed} {limits}", str(widget.value))
        case widgets.IntSlider() | widgets.FloatSlider():
            return _slider(place, widget.description, widget.value, widget, _kind(name, "number"))
        case widgets.ToggleButtons():
            return _radio_buttons(place, name, widget)
        case widgets.Dropdown():
            options = "".join(
                f'<option value="{_json(value)}"{" selected" * (value == widget.value)}>{escape(words)}</option>'
                for words, value in widget.options
            )
            label = f'<label for="{place}">{escape(widget.description)}</label>'
            choice = f'<select id="{place}" {_kind(name, "select")}>{options}</select>'
            return f'<div class="explorer-row">{label}{choice}</div>'
    raise TypeError(f"a page has no control for a {type(widget).__name__}")


def _slider(place: str, label: str, value: float, widget: Any, kind: str = "") -> str:
    step, least = getattr(widget, "step", 1), f"{widget.min:g}"
    limits = f'min="{least}" max="{widget.max:g}" step="{step:g}" value="{value:g}"'
    return _row(place, label, f"{kind} {limits}", f"{value:g}")


def _row(place: str, label: str, attributes: str, shown: str) -> str:
    return (
        f'<div class="explorer-row"><label for="{place}">{escape(label)}</label>'
        f'<input type="range" id="{place}" {attributes}>'
        f'<span class="explorer-value" aria-hidden="true">{escape(shown)}</span></div>'  # the input says it itself
    )


def _radio_buttons(place: str, name: str, widget: Any) -> str:
    options: Sequence[Any] = widget.options
    pairs = [option if isinstance(option, tuple) else (option, option) for option in options]
    buttons = [(words, value, value == widget.value) for words, value in pairs]
    return _group(_kind(name, "choice"), widget.description, f'type="radio" name="{place}"', buttons)


def _check_boxes(name: str, boxes: Mapping[str, Any]) -> str:
    buttons = [(words, words, box.value) for words, box in boxes.items()]
    return _group(_kind(name, "flags"), "aspect ratios, width : height", 'type="checkbox"', buttons)


def _group(kind: str, legend: str, attributes: str, buttons: Sequence[tuple[str, Any, bool]]) -> str:
    """Buttons by their words, their values, and whether they are pressed."""
    inputs = "".join(
        f'<label><input {attributes} value="{_json(value)}"{" checked" * pressed}><span>{escape(words)}</span></label>'
        for words, value, pressed in buttons
    )
    return (
        f'<fieldset class="explorer-choice" {kind}><legend>{escape(legend)}</legend>'
        f'<div class="explorer-options">{inputs}</div></fieldset>'
    )


def _kind(name: str, kind: str) -> str:
    return f'data-control="{name}" data-kind="{kind}"'


def _json(value: Any) -> str:
    return escape(json.dumps(value))
