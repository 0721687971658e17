"""The pages that are no lessons: the front page, texts of docs/ and datasets/, the API, glossary and notation."""

import posixpath
import re
import shutil
from pathlib import Path

from ssdseg_course.manifest import LESSONS
from ssdseg_course.site.explorers import PLACE

PAGES = Path(__file__).parent / "pages"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
ROW = re.compile(r"^\| \[\d+ [^\n]*\|$", re.MULTILINE)  # of the README's table of lessons


def write_texts(source: Path, root: Path, fragments: dict[str, str], lite: bool) -> None:
    """Write the sources of all pages but the lessons; `lite`: whether lessons that run in the browser are there."""
    for path in _documents(root):
        _write(source, path, relink((root / path).read_text(encoding="utf-8"), path, root, root / path))
    for picture in sorted((root / "docs").glob("*.png")):
        shutil.copy(picture, source / "docs" / picture.name)
    for name in ("glossary.md", "notation.md", "learners.md", "instructors.md"):
        _write(source, name, (PAGES / name).read_text(encoding="utf-8"))
    _write_api(source, root)
    parts = [fragment.replace(PLACE, "_static/explorers") for fragment in fragments.values()]
    intro = "# Explorers\n\nThe explorers of the lessons, which need no Python here."
    _write(source, "explorers.md", "\n\n".join([intro, *parts]) + "\n")
    _write(source, "index.md", _front(root, lite))


def relink(text: str, page: str, root: Path, origin: Path) -> str:
    """A text of the repository with its links turned into those of the site; what is no page here becomes plain text.

    Args:
        text: in Markdown.
        page: where its source lies on the site.
        root: the repository.
        origin: the file that the links start from.
    """

    def turned(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        if target.startswith(("https:", "mailto:", "#", "attachment:")):
            return match[0]
        path, _, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(origin.parent.relative_to(root).as_posix(), path))
        lesson = next((lesson for lesson in LESSONS if lesson.name in place.split("/")), None)
        if lesson:
            place = f"lessons/{lesson.name}.ipynb"
        elif not picture and place not in _documents(root):
            return words
        way = posixpath.relpath(place, posixpath.dirname(page) or ".")
        return f"{picture}[{words}]({way}{'#' + anchor if anchor else ''})"

    return LINK.sub(turned, text)


def _documents(root: Path) -> list[str]:
    folders = ("docs", "docs/models", "datasets")
    found = [path.relative_to(root).as_posix() for folder in folders for path in sorted((root / folder).glob("*.md"))]
    return ["README.md", "CHANGELOG.md", *found]


def _write(source: Path, name: str, text: str) -> None:
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_api(source: Path, root: Path) -> None:
    names = []
    for path in sorted((root / "ssdseg_ref").rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        names.append(name)
        title = name if name == "ssdseg_ref" else name.removeprefix("ssdseg_ref.")
        text = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {name}\n   :members:\n"
        _write(source, f"api/{name}.rst", text)
    toc = "\n".join(names)
    intro = "Module by module: what each function takes, gives and refuses, and where it comes from."
    _write(
        source,
        "api/index.md",
        f"# The reference, `ssdseg_ref`\n\n{intro}\n\n```{{toctree}}\n:maxdepth: 1\n{toc}\n```\n",
    )


def _toc(caption: str, pages: list[str], options: str = ":hidden:\n:maxdepth: 1") -> str:
    return f"```{{toctree}}\n{options}\n:caption: {caption}\n" + "\n".join(pages) + "\n```"


def _front(root: Path, lite: bool) -> str:
    rows = ROW.findall(relink((root / "README.md").read_text(encoding="utf-8"), "index.md", root, root / "README.md"))
    docs = [name.removesuffix(".md") for name in _documents(root) if name.startswith("docs/")]
    cards = [name.removesuffix(".md") for name in _documents(root) if name.startswith("datasets/")]
    front = (PAGES / "index.md").read_text(encoding="utf-8").replace("ROWS", "\n".join(rows))
    if lite:
        front += '\n<p><a href="lite/index.html">Lessons that run in your browser</a>, with nothing to install.</p>\n'
    return "\n\n".join(
        [
            front,
            _toc("Lessons", [f"lessons/{lesson.name}" for lesson in LESSONS]),
            _toc("Solutions", [f"solutions/{lesson.name}" for lesson in LESSONS]),
            _toc("Look it up", ["explorers", "glossary", "notation", "api/index"]),
            _toc("Guides", ["learners", "instructors", "README", *docs]),
            _toc("Data sets", cards),
            _toc("The project", ["CHANGELOG"]),
        ]
    )
