"""Takes a function out of a notebook: with what it uses alone, or with all that the learner wrote.

A notebook draws figures, measures and trains; a function in it needs imports, constants and other functions. So the
statements that make or change what the function uses are run, in the notebook's order, and no others. Where that is
not enough, for a table is filled by a call, say, the learner's own cells are run as well, as the notebook would.
"""

import __future__

import ast
import linecache
import re
import symtable
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import ModuleType
from typing import NamedTuple

# What defines a name at once. Anything else, such as a loop, may take its time.
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
SHOWING = ("print", "display", "hint", "check", "challenge")  # functions that change nothing
CALLING = (ast.Call, ast.Await, ast.NamedExpr)
EVERYTHING = "*"  # what `from numpy import *` defines
AROUND_A_CELL = re.compile(r"\A\s*%%(time|capture|prun)\b.*\n")  # magics that run the cell as it is


class Source(NamedTuple):
    """A cell of code.

    Attributes:
        place: in the notebook, from 0.
        name: nbgrader's name of the cell, None for other cells.
        text: the code.
        own: whether the learner wrote it, or changed what the course had written.
    """

    place: int
    name: str | None
    text: str
    own: bool = True


@dataclass(frozen=True)
class Statement:
    """A statement at the top of a cell.

    Attributes:
        code: the statement.
        file: what a traceback calls its cell.
        names: it is run where one of these is needed, for it defines them.
        changes: likewise, for it changes what they stand for: an entry of a table, an attribute.
        uses: names that it needs, now or when what it defines is called.
        place: of its cell.
        own: whether that is the learner's.
    """

    code: ast.stmt
    file: str
    names: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]
    place: int
    own: bool

    @property
    def is_inert(self) -> bool:
        """Whether nothing comes of it but its names."""
        if isinstance(self.code, ast.FunctionDef | ast.AsyncFunctionDef):
            return not self.code.decorator_list
        if isinstance(self.code, ast.Assign | ast.AnnAssign | ast.Expr):
            value = self.code.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in SHOWING:
                return not any(isinstance(node, CALLING) for part in value.args for node in ast.walk(part))
            return not self.changes and (value is None or isinstance(value, ast.Constant))
        return self.is_import or isinstance(self.code, ast.Pass)

    @property
    def is_definition(self) -> bool:
        """Whether it is of those that define a name."""
        return isinstance(self.code, DEFINITIONS)

    @property
    def is_import(self) -> bool:
        """Whether the name that it defines is a module's, or comes from one."""
        return isinstance(self.code, ast.Import | ast.ImportFrom)

    @property
    def is_future(self) -> bool:
        """Whether it is `from __future__ import annotations`."""
        return isinstance(self.code, ast.ImportFrom) and self.code.module == "__future__"


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
        whole: names of cells that are run whole if at all. Of all other cells statements are taken one by one.
    """
    found = []
    for source in sources:
        try:
            parts = _parts(source, f"{notebook}, cell {source.place + 1}")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if source.name in whole:
            # An import is nothing of the cell's own: a function that needs only `np` does not need the rest.
            together = frozenset({source.name}).union(*(part.names for part in parts if not part.is_import))
            parts = [replace(part, names=together | part.names if part.is_import else together) for part in parts]
        found += parts
    return found


def needed_for(found: Sequence[Statement], name: str, whole: bool = False) -> list[Statement]:
    """The statements that make or change what a name uses, in the notebook's order.

    Args:
        found: all there are, in that order.
        name: what is wanted.
        whole: besides, all of the learner's own, and what they use.
    """
    imported = {name for statement in found if statement.is_import for name in statement.names}
    # `np.random.seed(0)` changes nothing that is the notebook's
    made = [statement.names | (statement.changes - imported) for statement in found]
    by_name: dict[str, list[int]] = {}
    for number, names in enumerate(made):
        for one in names:
            by_name.setdefault(one, []).append(number)
    taken = {number for number, statement in enumerate(found) if whole and statement.own}
    wanted, seen = [EVERYTHING, name, *(used for number in taken for used in found[number].uses)], set()
    while wanted:
        one = wanted.pop()
        if one in seen:
            continue
        seen.add(one)
        for number in by_name.get(one, ()):
            if number not in taken:
                taken.add(number)
            wanted += found[number].uses
    return [found[number] for number in sorted(taken)]


def adds_nothing(more: Sequence[Statement], few: Sequence[Statement], name: str) -> bool:
    """Whether running some statements comes to the same as running a part of them, as far as a name is concerned."""
    known = {id(statement) for statement in few}
    used = {name}.union(*(statement.uses | statement.names for statement in few))
    others = (statement for statement in more if statement.own and id(statement) not in known)
    return all(statement.is_inert and not statement.names & used for statement in others)


def define(
    chosen: Sequence[Statement],
    name: str,
    module: ModuleType,
    limit: Callable[[Statement], AbstractContextManager[None]] = lambda _: nullcontext(),
    fixed: Mapping[str, object] | None = None,
    check: int | None = None,
) -> Defined:
    """Run statements, and give what a name stands for.

    Args:
        chosen: the statements, in the notebook's order.
        name: what is wanted.
        module: new; gets what they define.
        limit: makes what stands around each statement, that it may not take all the time.
        fixed: things that stay what they are, by their names, whatever the statements say.
        check: place of the cell that looks at the name: what it stands for there counts, where it stands for anything.
    """
    flags, first_error, seen = 0, None, None
    scope, fixed = vars(module), fixed or {}
    scope.update(fixed)
    for statement in chosen:
        if check is not None and statement.place > check:
            seen, check = scope.get(name), None
        if statement.is_future:  # holds for all that follows
            flags |= __future__.annotations.compiler_flag
        try:
            code = compile(ast.Module([statement.code], []), statement.file, "exec", flags, dont_inherit=True)
            with limit(statement):
                exec(code, scope)
        except (Exception, SystemExit) as error:
            first_error = first_error or error
        if statement.names & fixed.keys():
            scope.update(fixed)
    return Defined(seen if callable(seen) else scope.get(name), first_error)


def _parts(source: Source, file: str) -> list[Statement]:
    """The statements of a cell, each known by what it defines; but for those that nobody can make sense of."""
    from IPython.core.inputtransformer2 import TransformerManager  # a learner's cell may hold magics

    text = TransformerManager().transform_cell(AROUND_A_CELL.sub("\n", source.text))
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    linecache.cache[file] = (len(text), None, lines, file)
    parts = []
    for statement in tree.body:
        first = min([statement.lineno, *(decorator.lineno for decorator in getattr(statement, "decorator_list", ()))])
        written = "".join(lines[first - 1 : statement.end_lineno])
        for part in _one_by_one(statement):
            try:
                names, uses = _names(ast.unparse(part) if part is not statement else written, part)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            parts.append(Statement(part, file, names, _changes(part), uses, source.place, source.own))
    return parts


def _one_by_one(statement: ast.stmt) -> list[ast.stmt]:
    """An import of several names as an import of each: one that is missing does not take the others along."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return [statement]
    parts: list[ast.stmt] = []
    for alias in statement.names:
        part = ast.copy_location(type(statement)(**{**vars(statement), "names": [alias]}), statement)
        parts.append(part)
    return parts


def _names(source: str, statement: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """Names that a statement defines, and global names that it uses, also inside of functions."""
    top = symtable.symtable(source, "<cell>", "exec")
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


def _changes(statement: ast.stmt) -> frozenset[str]:
    """Names whose things a statement changes: `T[0] = 1`, `T.one = 1`, `T.append(1)`, `@T.register`, `del T`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        found = statement.decorator_list  # what its body does happens later
    else:
        found = [part for node in ast.walk(statement) for part in _changed_by(node)]
    return frozenset(name for name in map(_base, found) if name)


def _changed_by(node: ast.AST) -> Iterator[ast.expr]:
    """The expression that a part of a statement changes, if it does."""
    match node:
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield node
        case ast.Name(ctx=ast.Del()):
            yield node
        case ast.Expr(value=ast.Call(func=ast.Attribute() as method)):
            yield method


def _base(node: ast.expr) -> str | None:
    """The name that an expression such as `T.one[0].two` begins with."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
