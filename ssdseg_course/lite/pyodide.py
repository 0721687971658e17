"""Pyodide, the browser's Python: where the page takes it from, and what of a distribution it needs."""

import json
from collections.abc import Iterator
from pathlib import Path

from ssdseg_course.lite.errors import LiteError

VERSION = "0.27.7"  # which the tests run; JupyterLite's kernel of that time fits it
HOST = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full"
LOCK = "pyodide-lock.json"
CORE = ("pyodide.js", "pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", LOCK)
FOR_LESSONS = ("numpy", "pillow", "matplotlib")
FOR_THE_KERNEL = ("micropip", "ssl", "sqlite3", "jedi", "ipython")


def needed_files(distribution: Path) -> list[Path]:
    """The files of a distribution that lessons and kernel need, those that they need themselves among them.

    Args:
        distribution: a folder, such as that of Pyodide's own archive.

    Raises:
        LiteError: if it is no distribution of `VERSION`, or something in it is missing.
    """
    try:
        lock = json.loads((distribution / LOCK).read_text(encoding="utf-8"))
        version = lock["info"]["version"]
        packages = {_plain(name): package for name, package in lock["packages"].items()}
        names = [*CORE, *(packages[name]["file_name"] for name in _with_needs(packages))]
    except FileNotFoundError:
        raise LiteError(f"{distribution}: no Pyodide distribution there, it has no {LOCK}") from None
    except (ValueError, KeyError, TypeError) as error:
        what = f"has no package {error}" if isinstance(error, KeyError) else "cannot be read"
        raise LiteError(f"{distribution / LOCK} {what}; take Pyodide's own archive of {VERSION}") from None
    if version != VERSION:
        raise LiteError(f"{distribution} holds Pyodide {version}; the page is made for {VERSION}")
    files = [distribution / name for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise LiteError(f"{missing[0]} is missing; take Pyodide's own archive of {VERSION}, with all its packages")
    return files


def _with_needs(packages: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    open_, seen = [*FOR_LESSONS, *FOR_THE_KERNEL], set[str]()
    while open_:
        name = _plain(open_.pop())
        if name not in seen:
            seen.add(name)
            open_ += packages[name]["depends"]
            yield name


def _plain(name: str) -> str:
    """A package's name as all spell it: what needs it may write `prompt_toolkit`."""
    return name.lower().replace("_", "-")
