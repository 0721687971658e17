"""A wheel is a course: installed without the repository, it gives a learner the lessons, and commands work on them."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from learners import LESSON, cell_of, right_answers, save, with_answers
from sandboxes import needs_sandbox

from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.work.workspace import read_notebook

pytestmark = pytest.mark.full

BUILD = "import setuptools.build_meta, sys; setuptools.build_meta.build_{}(sys.argv[1])"
LARGEST = 25e6  # bytes of the wheel: weights, and 9 MB that run networks in a browser; no executed notebooks
ANSWER = right_answers()["grid_centers"]
TITLE = "# Lesson 1 - Anchors"
BETTER = "# Lesson 1, better - Anchors"


def run(*command, cwd, status=0) -> str:
    """What a program prints that knows nothing of this repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    # The programs of the libraries, such as nbgrader's alembic, stand where the libraries were borrowed from.
    borrowed = os.pathsep.join([sysconfig.get_path("scripts"), environment.get("PATH", os.defpath)])
    environment.update(COLUMNS="150", NO_COLOR="1", PATH=borrowed)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(kind: str, source: Path, folder: Path) -> Path:
    folder.mkdir()
    run(sys.executable, "-c", BUILD.format(kind), folder, cwd=source)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a source distribution unpacks to."""
    folder = tmp_path_factory.mktemp("source")
    tree = folder / "tree"  # a copy, since setuptools writes into it
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__"))
    with tarfile.open(build("sdist", tree, folder / "built")) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.glob("ssdseg*")
    return unpacked


@pytest.fixture(scope="module")
def wheel(source):
    return build("wheel", source, source.parent / "wheel")


@pytest.fixture(scope="module")
def next_wheel(source, wheel):
    """A newer version, whose lesson 1 has another title."""
    for path, before, after in (
        (source / "pyproject.toml", '\nversion = "', '\nversion = "99.'),
        (LESSON.solution(source), TITLE, BETTER),
    ):
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return build("wheel", source, source.parent / "next wheel")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh environment that finds the libraries of this one, so that nothing is downloaded, but not the course."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    packages = Path(
        run(python_of(folder), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)[:-1]
    )
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "libraries.pth").write_text("\n".join(libraries))  # only these folders: no .pth file in them is read
    return folder


def python_of(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def install(wheel: Path, environment: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python_of(environment)]
    run(*pip, "install", "--no-deps", "--no-index", "--force-reinstall", wheel, cwd=environment)


@pytest.fixture(scope="module")
def ssdseg(wheel, environment):
    """Runs the command that the wheel installs."""
    install(wheel, environment)
    program = python_of(environment).with_name("ssdseg")
    return lambda *arguments, cwd, status=0: run(program, *arguments, cwd=cwd, status=status)


@pytest.fixture
def course(ssdseg, tmp_path):
    """A course folder in which one exercise is solved."""
    ssdseg("start", "course", cwd=tmp_path)
    root = tmp_path / "course"
    save(with_answers(read_notebook(LESSON.notebook(root)), grid_centers=ANSWER), root)
    return root


def test_the_packages_are_those_of_the_wheel(ssdseg, environment, tmp_path):
    code = "import ssdseg_course, ssdseg_ref; print(ssdseg_course.__file__, ssdseg_ref.__file__, sep='\\n')"
    for path in run(python_of(environment), "-c", code, cwd=tmp_path).splitlines():
        assert Path(path).is_relative_to(environment)
    assert ssdseg("--version", cwd=tmp_path).startswith("ssdseg ")


def test_the_wheel_holds_the_lessons_and_no_outputs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for lesson in LESSONS:
            for path in (lesson.source(), lesson.solution(), lesson.notebook()):
                assert f"ssdseg_course/_course/{path.relative_to(ROOT).as_posix()}" in names
    packages = [ROOT / "ssdseg_ref", ROOT / "ssdseg_course"]
    endings = ("py", "npy", "h5", "html", "css", "js", "gz")
    files = [path for package in packages for ending in endings for path in package.rglob(f"*.{ending}")]
    files += [ROOT / "ssdseg_course" / "export" / "page" / "runtime" / name for name in ("LICENSE", "README.md")]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= names
    assert wheel.stat().st_size < LARGEST


def test_outside_of_a_course_folder_one_sentence_says_how_to_begin(ssdseg, tmp_path):
    for command in (["progress"], ["check", "1"], ["lab"], ["hint", "1"], ["reset", "1"], ["update"]):
        said = ssdseg(*command, cwd=tmp_path, status=1)
        assert said.startswith("ssdseg: ")
        assert "`ssdseg start FOLDER`" in said


def test_the_lessons_are_those_of_the_repository(course):
    for lesson in LESSONS[2:]:
        assert lesson.notebook(course).read_bytes() == lesson.notebook().read_bytes()


def test_answers_are_checked_and_counted(ssdseg, course):
    said = ssdseg("check", "1", cwd=course, status=1)
    assert "10 of 100" in said
    assert "Next:" in said
    assert "10 of 1010" in ssdseg("progress", cwd=course)
    assert "right" in ssdseg("compare", "1", cwd=course)
    assert "hint 1 of 3" in ssdseg("hint", "1", cwd=course)
    assert "all is well with it; 1 of 7 answers are written" in ssdseg("doctor", "1", cwd=course)


def test_a_lesson_is_begun_anew(ssdseg, course):
    ssdseg("reset", "1", cwd=course)
    assert LESSON.notebook(course).read_bytes() == LESSON.notebook().read_bytes()
    (backup,) = (course / "backups").iterdir()
    assert cell_of(read_notebook(backup), "grid_centers")["source"] == ANSWER


@needs_sandbox
def test_a_class_is_graded_and_no_answer_reads_what_is_installed(ssdseg, course, environment, tmp_path):
    (solution,) = environment.rglob(f"_course/solutions/*/{LESSON.name}.py")
    notebook = with_answers(
        read_notebook(LESSON.notebook(course)),
        linear_scales=f"def linear_scales(*_):\n    return open({str(solution)!r})",
    )
    folder = tmp_path / "submitted" / "ada" / LESSON.name
    folder.mkdir(parents=True)
    save(notebook, course).rename(folder / f"{LESSON.name}.ipynb")
    said = ssdseg("grade", "submitted", "--workers", "1", cwd=tmp_path)
    assert "10 of 100" in said
    assert "FileNotFoundError" in said


def test_a_newer_version_brings_its_lessons_and_keeps_the_answers(ssdseg, course, environment, wheel, next_wheel):
    assert "Install a newer one first" in ssdseg("update", cwd=course)
    install(next_wheel, environment)
    try:
        said = ssdseg("update", cwd=course)
    finally:
        install(wheel, environment)
    assert "with changes in 1 lesson" in said
    assert "01_anchors: 1 answer" in said
    notebook = read_notebook(LESSON.notebook(course))
    assert notebook["cells"][0]["source"].startswith(BETTER)
    assert cell_of(notebook, "grid_centers")["source"] == ANSWER
