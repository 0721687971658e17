"""Builds the site: sources and pages in a temporary folder, a whole site beside the old one, then one for the other.

A build that was stopped at any moment leaves a whole site: the old one, at worst under its other name, under which the
next build finds it.
"""

import contextlib
import importlib.util
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.site import lessons, texts
from ssdseg_course.site.errors import SiteError
from ssdseg_course.site.explorers import write_explorers
from ssdseg_ref.keeping import whole_folder

__all__ = ["SiteError", "build"]

NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "latex2mathml")
MARK = ".nojekyll"  # in every site of ours; it also tells the host to serve folders that begin with "_"
LIVE = "network"  # the folder of the page that runs a network
LIVE_NETWORK, LIVE_BITS = "lesson", 16
CONF = """
project = "One small network that detects and segments"
author = copyright = ""
html_show_copyright = html_show_sphinx = False
html_title = "One small network"
html_last_updated_fmt = None
language = "en"  # the words for en_GB that come with Sphinx 9 are empty where the search counts its results
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "ssdseg_course.site.sphinx_parts"]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "navbar_persistent": [],  # or a second field for the search stands in a bar over every page
    "use_download_button": False, "use_fullscreen_button": False, "show_toc_level": 2, "launch_buttons": {},
    "pygments_light_style": "a11y-high-contrast-light", "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = html_show_sourcelink = html_use_index = False
html_math_renderer = "mathml"
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 6
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "ref.python"]
"""


def build(out: Path, root: Path = ROOT, say: Callable[[str], None] = lambda words: None) -> None:
    """Write the site into a folder, whole or not at all; a site that stands there is replaced.

    Args:
        out: the folder.
        root: the repository.
        say: is told what is being done.

    Raises:
        SiteError: if a package or a notebook is missing or broken, or something else than a site is there.
        OSError: if something cannot be written.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SiteError(f'{missing[0]} is not installed: pip install "ssdseg-course[site]"')
    if not (root / "solutions").is_dir():
        raise SiteError(f"{root / 'solutions'} is missing: the site is built in a clone of the repository")
    out = out.absolute()
    before = out.with_name(f".{out.name}.before")  # the old site, between the two renames
    if before.is_dir() and not out.exists():  # a build was stopped there
        before.rename(out)
    if out.is_symlink() or (out.exists() and not (out.is_dir() and _may_be_replaced(out))):
        raise SiteError(f"{out} holds something that is not a site; name another folder, or remove it first")
    shutil.rmtree(before, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ssdseg-site-") as temporary, whole_folder(out) as draft:
            say("lessons and texts")
            source, pages = Path(temporary) / "source", Path(temporary) / "pages"
            source.mkdir()
            _write_sources(source, root, (out / "lite").is_dir())
            say("pages")
            _run_sphinx(source, pages)  # not into the draft: MyST-NB leaves a folder of its own beside its pages
            shutil.copytree(pages, draft, dirs_exist_ok=True)
            say("the network that runs in the page")
            _write_network(draft / LIVE)
            (draft / MARK).touch()
            if (lite := out / "lite").is_dir():
                shutil.copytree(lite, draft / "lite")
            if out.exists():
                out.rename(before)
    finally:
        if before.is_dir() and not out.exists():
            before.rename(out)
    shutil.rmtree(before, ignore_errors=True)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    say(f"{out / 'index.html'}: open it in a browser; {size / 1e6:.0f} MB in all")


def _may_be_replaced(folder: Path) -> bool:
    """Whether there is a site, or nothing but what `make lite` has written before the first one."""
    return (folder / MARK).exists() or all(path.name == "lite" for path in folder.iterdir())


def _write_sources(source: Path, root: Path, lite: bool) -> None:
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    static = source / "_static"
    static.mkdir()
    for name in ("site.css", "site.js", "favicon.svg"):
        shutil.copy(Path(__file__).parent / "pages" / name, static)
    fragments = write_explorers(static / "explorers")
    for lesson in LESSONS:
        lessons.write_lesson(lesson, source, root, fragments)
    texts.write_texts(source, root, fragments, lite)


def _run_sphinx(source: Path, out: Path) -> None:
    from ssdseg_course.cli import console

    console.import_keras()  # quietly; autodoc would let it talk
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.console import nocolor
    from sphinx.util.docutils import docutils_namespace

    nocolor()

    warnings = io.StringIO()
    try:
        with docutils_namespace():
            app = Sphinx(source, source, out, source / ".doctrees", "html", status=None, warning=warnings)
            app.build()
    except SphinxError as error:
        raise SiteError(f"Sphinx cannot build the site: {error}") from error
    if text := warnings.getvalue().strip():
        lines = text.replace(f"{source}/", "").splitlines()
        raise SiteError(f"the site has {len(lines)} lines of warnings:\n" + "\n".join(lines[:40]))
    shutil.rmtree(out / "_sources", ignore_errors=True)
    for name in (".buildinfo", "objects.inv"):
        with contextlib.suppress(FileNotFoundError):
            (out / name).unlink()


def _write_network(folder: Path) -> None:
    from ssdseg_course.cli import console

    console.import_keras()
    from ssdseg_course.export.page import write_page
    from ssdseg_ref import multitask

    network = (multitask.load_network(LIVE_NETWORK), multitask.SHIPPED[LIVE_NETWORK])
    write_page({LIVE_NETWORK: network}, folder, LIVE_BITS, one_file=False)
