"""The browser's Python (Pyodide), in which lessons 0 to 3 run: it has no TensorFlow, and nothing interrupts a cell.

A cell that needs TensorFlow says so in one sentence and is left out, and so is every later cell that needs what it
would have defined: *Run All Cells* comes to the end, and all checks are reached.
"""

import ast
import builtins
import logging
import sys
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from typing import Any

LIBRARIES = ("tensorflow", "keras")
IMPORTS_THEM = "import_keras"  # what a lesson's cell calls before it names them
MISSING = (
    "This needs TensorFlow, which the browser's Python does not have, so it is left out here; no exercise of lessons "
    "0 to 3 needs it. To see it, install the course on a computer, as its README says, and open this notebook there."
)
GREETING = (
    "This is the browser's own Python. Ctrl + S keeps your work in this browser; to take it elsewhere, right-click on\n"
    "the notebook's name in the list on the left, and choose Download. Nothing interrupts a cell here: if one never\n"
    "ends, Kernel > Restart Kernel stops it. What needs TensorFlow is left out."
)


class TensorFlowMissing(ModuleNotFoundError):
    """Raised where TensorFlow or Keras is imported; in a notebook it is the sentence alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class _Refuses(MetaPathFinder):
    """Comes last: says why what nobody else has found is not there."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in LIBRARIES:
            raise TensorFlowMissing(MISSING, name=name)


class LeavesOut:
    """Takes the place of one of IPython's `ast_transformers`: puts the sentence in the place of a cell's code.

    Args:
        defined: the names that the notebook has defined, at any time.
    """

    def __init__(self, defined: Mapping[str, Any]):
        self.defined = defined
        self.left_out: set[str] = set()  # names that cells would have defined

    def visit(self, cell: ast.Module) -> ast.Module:
        """The cell, or in its place one that prints the sentence."""
        used, own, imports = _names(cell)
        undefined = used - own - set(self.defined) - set(vars(builtins))
        if not (imports or IMPORTS_THEM in used or undefined & self.left_out):
            return cell
        self.left_out |= own
        return ast.parse(f"print({MISSING!r})")


def _names(cell: ast.Module) -> tuple[set[str], set[str], bool]:
    """What a cell reads, what it defines, at any depth, and whether it imports what is not there."""
    used, own, modules = set[str](), set[str](), set[str]()
    for node in ast.walk(cell):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            own |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            modules |= {node.module or ""} if isinstance(node, ast.ImportFrom) else {alias.name for alias in node.names}
    return used, own, any(module.partition(".")[0] in LIBRARIES for module in modules)


def prepare() -> None:
    """Prepare this process, and the notebook that it runs, if it runs one."""
    sys.meta_path.append(_Refuses())
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it has no cache here
    ipython = sys.modules.get("IPython")
    if ipython and (shell := ipython.get_ipython()):
        shell.ast_transformers.append(LeavesOut(shell.user_ns))
        print(GREETING)
