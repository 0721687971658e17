"""Builds the page: what JupyterLite needs in a temporary folder, the page beside the old one, then one in its place."""

import html
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from ssdseg_course.lite import pyodide
from ssdseg_course.lite.errors import LiteError
from ssdseg_course.lite.wheel import write_wheel
from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.work.fresh import handed_out
from ssdseg_course.work.workspace import NotebookError

__all__ = ["LiteError", "build"]

IN_THE_BROWSER = LESSONS[:4]  # those whose exercises need NumPy alone
NEEDED = ("jupyterlite_core", "jupyterlite_pyodide_kernel", "jupyter_server")
WHEELS = ("comm", "ipywidgets", "jupyterlab-widgets", "platformdirs")  # of what the lessons import, beside the course
KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"
TO_THE_PAGE = "../../../../"  # from the script of the kernel, which looks for wheels from where it stands itself
MARK = "jupyter-lite.json"  # in every page of JupyterLite
FRONT = Path(__file__).with_name("front.html")


def build(
    out: Path, distribution: Path | None = None, root: Path = ROOT, say: Callable[[str], None] = lambda words: None
) -> None:
    """Write the page into a folder, whole or not at all; a page that stands there is replaced.

    Args:
        out: the folder.
        distribution: a folder with a Pyodide distribution, which is copied into the page; without one, the page takes
            Pyodide and its packages from the content network that Pyodide is published on.
        root: of the lessons.
        say: is told what is being done.

    Raises:
        LiteError: if a package, a lesson or a part of Pyodide is missing, or something else than a page is there.
        OSError: if something cannot be written.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LiteError(f"{missing[0]} is not installed in this Python; `make lite` sets up one that has all it takes")
    if out.is_symlink() or (out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists()))):
        raise LiteError(f"{out} holds something that is not such a page; name another folder, or remove it first")
    files = pyodide.needed_files(distribution) if distribution else []
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="ssdseg-lite-") as source,
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside,
    ):
        draft = Path(beside) / "new"
        say("lessons and packages")
        write_sources(Path(source), files, root)
        say("JupyterLite")
        _run_jupyterlite(Path(source), draft)
        (draft / "index.html").write_text(_front(bool(files)), encoding="utf-8")
        if out.exists():
            out.rename(Path(beside) / "old")
        draft.rename(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    say(f"{out / 'index.html'}: {size / 1e6:.0f} MB in all; a browser needs it from a server: "
        f"python -m http.server -d {os.path.relpath(out)}")  # fmt: skip


def write_sources(source: Path, distribution: Sequence[Path], root: Path) -> None:
    """Write what JupyterLite makes the page from.

    Args:
        source: an empty folder.
        distribution: files of Pyodide that go into the page.
        root: of the lessons.

    Raises:
        LiteError: if a lesson is missing or damaged, or a package cannot be fetched.
    """
    for lesson in IN_THE_BROWSER:
        path = lesson.notebook(source / "files")
        path.parent.mkdir(parents=True)
        try:
            path.write_text(handed_out(lesson, root), encoding="utf-8", newline="\n")
        except NotebookError as error:
            raise LiteError(str(error)) from None
    wheels = source / "pypi"
    wheels.mkdir()
    _fetch_wheels(wheels)
    write_wheel(wheels)
    for file in distribution:
        (source / "static" / "pyodide").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, source / "static" / "pyodide")
    packages = [*pyodide.FOR_LESSONS, *(f"{TO_THE_PAGE}pypi/{path.name}" for path in sorted(wheels.iterdir()))]
    settings = {"disablePyPIFallback": True, "loadPyodideOptions": {"packages": packages}}
    if not distribution:
        settings["pyodideUrl"] = f"{pyodide.HOST}/pyodide.js"
    config = {"appName": "Lessons in your browser", "litePluginSettings": {KERNEL: settings}}
    text = json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": config}, indent=1)
    (source / MARK).write_text(text, encoding="utf-8")


def _fetch_wheels(folder: Path) -> None:
    """Fetch the packages that the lessons import, in the versions that are installed here."""
    wanted = [f"{name}=={version(name)}" for name in WHEELS]
    command = (
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--dest", str(folder), *wanted,
    )  # fmt: skip
    _run(command, f"cannot fetch {', '.join(wanted)}", folder)


def _run_jupyterlite(source: Path, out: Path) -> None:
    command = (
        sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", str(source), "--contents",
        str(source / "files"), "--output-dir", str(out), "--apps", "lab", "--no-sourcemaps",
        "--no-unused-shared-packages",
    )  # fmt: skip
    _run(command, "JupyterLite cannot build the page", source)


def _run(command: Sequence[str], what: str, folder: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    done = subprocess.run(
        command,
        cwd=folder,  # JupyterLite keeps notes of its own there
        env=own | {"JUPYTER_NO_CONFIG": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        raise LiteError(f"{what}: {lines[-1].strip() if lines else f'exit status {done.returncode}'}")


def _front(alone: bool) -> str:
    """The first page: the lessons, and what a learner has to know."""
    rows = "\n".join(
        f'<li><a href="lab/index.html?path=lessons/{lesson.name}/{lesson.name}.ipynb">Lesson {lesson.number}</a>: '
        f"{html.escape(lesson.title)}</li>"
        for lesson in IN_THE_BROWSER
    )
    host = "this site alone" if alone else "this site and, for Python, NumPy, Pillow and matplotlib, cdn.jsdelivr.net"
    return FRONT.read_text(encoding="utf-8").replace("LESSONS", rows).replace("HOST", host)
