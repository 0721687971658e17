"""Takes a function out of a notebook, with what it uses and without running the rest.

A notebook draws figures, measures and trains; a function in it needs imports, constants and other functions. So the
statements that define names are looked at, and those that the function needs are run, in the notebook's order.
"""

import ast
import linecache
import symtable
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

# What defines a name. Loops and `with` blocks do as well, but those of a lesson draw its figures.
DEFINITIONS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.If,
    ast.Try,
)
EVERYTHING = "*"  # what `from numpy import *` defines


class Source(NamedTuple):
    """A cell of code.

    Attributes:
        place: in the notebook, from 0.
        name: nbgrader's name of the cell, None for other cells.
        text: the code.
    """

    place: int
    name: str | None
    text: str


@dataclass(frozen=True)
class Statement:
    """A statement at the top of a cell.

    Attributes:
        code: the statement.
        file: what a traceback calls its cell.
        names: it is run where one of these is needed.
        uses: names that it needs, now or when what it defines is called.
    """

    code: ast.stmt
    file: str
    names: frozenset[str]
    uses: frozenset[str]

    @property
    def is_definition(self) -> bool:
        """Whether it is of those that define a name."""
        return isinstance(self.code, DEFINITIONS)

    @property
    def is_import(self) -> bool:
        """Whether the name that it defines is a module's, or comes from one."""
        return isinstance(self.code, ast.Import | ast.ImportFrom)


class Defined(NamedTuple):
    """What came of a function's definition.

    Attributes:
        function: what its name stands for; None if for nothing.
        error: the first error on the way, which stops as little as in a notebook.
    """

    function: object
    error: Exception | SystemExit | None


def statements(sources: Sequence[Source], notebook: str, whole: frozenset[str] = frozenset()) -> list[Statement]:
    """The statements of some cells that a function may need; a cell that Python cannot read has none.

    Args:
        sources: the cells.
        notebook: the file's name, for tracebacks.
        whole: names of cells that are run whole if at all: not only what they define, but also a loop that fills a
            table. Of all other cells the definitions are taken one by one.
    """
    found = []
    for source in sources:
        file = f"{notebook}, cell {source.place + 1}"
        try:
            parts = _parts(source.text, file)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if source.name in whole:
            # An import is nothing of the cell's own: who needs `np` alone does not need the rest.
            together = frozenset({source.name}).union(*(part.names for part in parts if not part.is_import))
            for part in parts:
                names = together | part.names if part.is_import else together
                found.append(Statement(part.code, part.file, names, part.uses))
        else:
            found += [part for part in parts if part.is_definition]
    return found


def define(
    found: Sequence[Statement],
    name: str,
    module: str,
    limit: Callable[[], AbstractContextManager] = nullcontext,
) -> Defined:
    """Run the statements that a name needs, in the notebook's order, in a module of their own.

    Args:
        found: statements, in that order.
        name: what is wanted.
        module: the new module's name.
        limit: makes what stands around each statement that defines nothing.
    """
    needed, wanted = {EVERYTHING}, {name}
    while wanted:
        needed |= wanted
        wanted = {used for it in found if it.names & needed for used in it.uses} - needed
    scope = vars(ModuleType(module))
    first_error = None
    for it in found:
        if it.names & needed:
            try:
                with nullcontext() if it.is_definition else limit():
                    exec(compile(ast.Module([it.code], []), it.file, "exec"), scope)
            except (Exception, SystemExit) as error:
                first_error = first_error or error
    return Defined(scope.get(name), first_error)


def _parts(text: str, file: str) -> list[Statement]:
    """The statements of a cell, each known by what it defines."""
    from IPython.core.inputtransformer2 import TransformerManager  # a learner's cell may hold magics

    text = TransformerManager().transform_cell(text)
    tree = ast.parse(text)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return [Statement(part, file, *_names(part)) for statement in tree.body for part in _one_by_one(statement)]


def _one_by_one(statement: ast.stmt) -> list[ast.stmt]:
    """An import of several names as an import of each: one that is not to be had takes none of the others along."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return [statement]
    parts = []
    for alias in statement.names:
        part = ast.copy_location(type(statement)(**{**vars(statement), "names": [alias]}), statement)
        parts.append(part)
    return parts


def _names(statement: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """Names that a statement defines, and global names that it uses, also inside of functions."""
    top = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    inner = list(top.get_children())
    while inner:
        table = inner.pop()
        inner += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_global():
                used.add(symbol.get_name())
    if isinstance(statement, ast.ImportFrom) and statement.names[0].name == EVERYTHING:
        defined.add(EVERYTHING)
    return frozenset(defined), frozenset(used)
