"""Tells what a file is that somebody has handed in: a notebook, of which lesson, an archive, or nobody's work."""

import re
from collections import Counter
from pathlib import Path

from ssdseg_course.grading.bulk import Parts, is_archive
from ssdseg_course.grading.plain_files import SMALL
from ssdseg_course.grading.repair import names_of
from ssdseg_course.manifest import LESSONS, Lesson
from ssdseg_course.work.workspace import has_work, parse_notebook

HEAD = 4096  # bytes in which a notebook shows what it is
NOTEBOOK = re.compile(r"\.ipynb(?![a-z0-9]|_checkpoints)", re.IGNORECASE)
COPY = re.compile(r"([\s_-]*(\(\d+\)|-?copy\s*\d*|-checkpoint|\d+))?[\s_-]*\Z", re.IGNORECASE)  # added to a name
SHOWS_A_NOTEBOOK = re.compile(rb'"(cells|nbformat|nbformat_minor|worksheets)"\s*:')
NAMED = re.compile(rb'(?:def |"grade_id"\s*:\s*"(?:check_)?)(\w+)')
ENDINGS = re.compile(r"(\.(ipynb|zip|json|txt))+(\s*\(\d+\))?\s*\Z", re.IGNORECASE)
PACKAGES = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".whl", ".npz", ".keras", ".epub")
# What systems, editors and platforms leave behind, which nobody has handed in.
DROPPINGS = re.compile(
    r"\.DS_Store|\._.*|Thumbs\.db|ehthumbs\.db|desktop\.ini|__MACOSX|\.git|\.svn|\.hg|\.gitignore|\.gitkeep|\.cache|"
    r"\.ipynb_checkpoints|__pycache__|\.~lock\..*|~\$.*|\.nfs.*|\.Trash.*|\$RECYCLE\.BIN|lost\+found|\.directory|"
    r"System Volume Information|\.Spotlight-V100|\.fseventsd|\.TemporaryItems|\.apdisk",
    re.IGNORECASE,
)
CHECKPOINTS = ".ipynb_checkpoints"  # a dropping, and yet the last that is left of some notebooks
ENVIRONMENTS = {".venv", "venv", "node_modules", "site-packages"}
ENVIRONMENT_MARKS = {"pyvenv.cfg", "conda-meta"}
# Folders of the course that hold no work of a learner's; they are known by the folder `lessons` beside them.
OF_THE_COURSE = {"solutions", "colab", "binder", "docs", "datasets", "tests", "ssdseg_course", "ssdseg_ref", ".ssdseg"}
ASKING: dict[bytes, list[Lesson]] = {}  # the lessons that ask for a function of that name
for _lesson in LESSONS:
    for _function in names_of(_lesson):
        ASKING.setdefault(_function.encode(), []).append(_lesson)


def lesson_of(path: Path, content: bytes) -> Lesson | None:
    """The lesson that a notebook belongs to, by its name and by what is in it; None where neither tells."""
    return lesson_of_content(content, lesson_of_name((path.name,)))


def lesson_of_name(path: Parts) -> Lesson | None:
    """The lesson that a path names: by its file first, then by its folders below the learner's."""
    for part in reversed(path[1:] or path):
        name = stem(part)
        for lesson in LESSONS:
            if name == lesson.name or part.casefold().startswith(lesson.name):
                return lesson
    return None


def stem(name: str) -> str:
    """A file's name without its ending, in small letters, and without what says that it is a copy."""
    return COPY.sub("", ENDINGS.sub("", name)).casefold()


def lesson_of_content(content: bytes, named: Lesson | None) -> Lesson | None:
    """The lesson most of whose functions a notebook defines; that of its name, unless it has far fewer of that."""
    known = {name[1] for name in NAMED.finditer(content.replace(b"\x00", b""))} & ASKING.keys()
    counted = Counter(lesson for name in known for lesson in ASKING[name])
    if not counted:
        return named
    best = max(LESSONS, key=lambda lesson: counted[lesson])
    return best if named is None or counted[best] > 2 * counted[named] else named


def is_blank(content: bytes) -> bool:
    """Whether nothing of a learner's is in a notebook. One that is damaged, or very large, may hold something."""
    if len(content) > SMALL:
        return False
    try:
        return not has_work(parse_notebook(content.decode("utf-8-sig"), ""))
    except Exception:  # broken in one of many ways, which is for `repair` to look at
        return False


def is_pack(name: str, head: bytes) -> bool:
    """Whether a file is an archive, and not one of those that hold something else."""
    return is_archive(head) and not name.casefold().endswith(PACKAGES)


def looks_like_a_notebook(head: bytes) -> bool:
    """Whether a file that begins so is a notebook, whatever its name; with two or four bytes a letter as well."""
    text = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return text.startswith(b"{") and SHOWS_A_NOTEBOOK.search(text) is not None


def is_dropping(name: str) -> bool:
    """Whether a system, an editor or a platform has left that behind."""
    return name != CHECKPOINTS and DROPPINGS.fullmatch(name) is not None


def is_provided(name: str, in_course: bool) -> bool:
    """Whether a folder is an environment or one of the course's own, and no place for a learner's work."""
    return name in ENVIRONMENTS or (in_course and name in OF_THE_COURSE)


def may_be_wanted(parts: Parts, folders: set[Parts]) -> bool | None:
    """Whether a file of an archive may be a notebook, or an archive with one; None for what a search passes over."""
    for place, part in enumerate(parts):
        is_folder = place < len(parts) - 1
        if is_dropping(part) or (is_folder and is_provided(part, (*parts[:place], "lessons") in folders)):
            return None
    last = parts[-1]
    return not Path(last).suffix or bool(NOTEBOOK.search(last) or ENDINGS.search(last))
