"""What the site adds to Sphinx: formulas as MathML, which browsers draw and read aloud without a script."""

import re
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def _inline(self: Any, node: Any) -> None:
    self.body.append(convert(node.astext()))
    raise SkipNode


def _block(self: Any, node: Any) -> None:
    formula = convert(node.astext(), display="block")
    self.body.append(f'<div class="math" tabindex="0" role="group" aria-label="formula">{formula}</div>')
    raise SkipNode


def _plain_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let |d| be an absolute value in our docstrings, not one of docutils' substitutions."""
    lines[:] = [re.sub(r"(`[^`]*`)|\|", lambda match: match[1] or r"\|", line) for line in lines]


def setup(app: Any) -> dict[str, bool]:
    """Add both; Sphinx calls this."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _plain_bars, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
