"""What the site adds to Sphinx: formulas as MathML, which browsers draw and read aloud without a script."""

import re
from typing import Any

from latex2mathml.converter import convert


def _inline(self: Any, node: Any) -> None:
    self.body.append(convert(node.astext()))
    raise _skip()


def _block(self: Any, node: Any) -> None:
    self.body.append(
        f'<div class="math" tabindex="0" role="group" aria-label="formula">{_display(node.astext())}</div>'
    )
    raise _skip()


def _display(formula: str) -> str:
    return str(convert(formula, display="block"))


def _skip() -> Exception:
    from docutils.nodes import SkipNode

    return SkipNode()


def _plain_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """|d| is an absolute value in our docstrings, not one of docutils' substitutions."""
    lines[:] = [re.sub(r"(`[^`]*`)|\|", lambda match: match[1] or r"\|", line) for line in lines]


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _plain_bars, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
