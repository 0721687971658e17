"""Is it said before anything is installed where the course cannot run, and do all places say the same?"""

import ast
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import metadata, packages_distributions

import pytest

from ssdseg_course.cli.export import NEEDED
from ssdseg_course.export.tracing import INSTALL
from ssdseg_course.manifest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FITS = re.search(r"define FITS\n(.*?)\nendef", MAKEFILE, re.DOTALL)[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

IMPORTED_BY_OTHERS = {  # what our own packages need all the same
    "cryptography": "distributed makes the certificates of its workers with it",
    "ipykernel": "runs notebooks",
    "jupyterlab": "`ssdseg lab` starts it",
    "tensorboard": "TensorFlow writes the log of a training with it",
}


def plain(name: str) -> str:
    """The name of a distribution, of which there are several spellings."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    names = {plain(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}
    return names - {plain(PYPROJECT["name"])}  # with its own extras


def imported(*folders: str) -> set[str]:
    """The distributions whose modules are imported by the files of these folders."""
    distributions = packages_distributions()
    modules = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module.partition(".")[0])
    return {plain(name) for module in modules for name in distributions.get(module, ())} - {plain(PYPROJECT["name"])}


def said():
    with pytest.raises(SystemExit) as stopped:
        exec(FITS, {})
    return stopped.value.code


def test_the_version_is_told():
    command = [sys.executable, "-m", "ssdseg_course", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"ssdseg {PYPROJECT['version']}\n"


def test_every_library_that_is_imported_is_declared():
    runtime = declared(PYPROJECT["dependencies"])
    extras = PYPROJECT["optional-dependencies"]
    assert imported("ssdseg_ref", "ssdseg_course") - runtime - declared(extras["site"]) == set()
    taken_in = extras["dev"] + extras["export"] + extras["site"]  # dev takes the other two in
    assert imported("tests") - runtime - declared(taken_in) == set()


def test_every_library_that_is_declared_is_imported_or_has_a_reason():
    assert declared(PYPROJECT["dependencies"]) - imported("ssdseg_ref", "ssdseg_course") == set(IMPORTED_BY_OTHERS)


def test_the_tools_of_an_export_are_declared_where_their_absence_is_answered_with_that_extra():
    needed = {plain(package) for packages in NEEDED.values() for package in packages}
    assert declared(PYPROJECT["optional-dependencies"]["export"]) == needed
    assert f'pip install "{PYPROJECT["name"]}[export]"' == INSTALL
    assert f"{PYPROJECT['name']}[export,site]" in PYPROJECT["optional-dependencies"]["dev"]


def test_the_tested_version_of_every_library_is_pinned():
    pinned = declared((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:])
    for requirements in (PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"].values()):
        assert declared(requirements) - pinned == set()


def test_this_python_fits():
    assert said() == 0
    assert subprocess.run([sys.executable, "-c", FITS], check=False).returncode == 0


@pytest.mark.parametrize(
    ("place", "name", "value", "sentence"),
    [
        (sys, "version_info", (3, 10, 2), "no package for Python 3.10 (CPython); take one of Python 3.11 to 3.13"),
        (sys, "version_info", (3, 14, 0), "no package for Python 3.14 (CPython); take one of Python 3.11 to 3.13"),
        (sys, "version_info", (2, 7, 18), "no package for Python 2.7"),
        (platform, "python_implementation", lambda: "PyPy", "(PyPy)"),
        (sys, "maxsize", 2**31 - 1, "a Python of 32 bits"),
        (sysconfig, "get_config_var", lambda name: 1, "a Python without its lock"),
        (platform, "libc_ver", lambda: ("", ""), "a Linux without glibc, such as Alpine"),
    ],
)
def test_a_python_without_a_tensorflow_gets_one_sentence(monkeypatch, place, name, value, sentence):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(place, name, value)
    assert sentence in said()


@pytest.mark.parametrize(("machine", "fits"), [("x86_64", False), ("arm64", True)])
def test_a_mac_with_an_intel_processor_gets_one_sentence(monkeypatch, machine, fits):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert (said() == 0) is fits


def test_all_places_name_the_versions_that_the_tested_tensorflow_has_packages_for():
    kinds = metadata("tensorflow").get_all("Classifier")
    has = {kind.rpartition("3.")[2] for kind in kinds if re.search(r"Python :: 3\.\d+$", kind)}
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PYPROJECT["requires-python"]).groups()
    ours = [str(minor) for minor in range(int(low), int(high))]
    assert set(ours) <= has
    named = {kind.rpartition("3.")[2] for kind in PYPROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", kind)}
    assert named == set(ours)
    assert f"(3, {low}) <= sys.version_info[:2] <= (3, {ours[-1]})" in FITS
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {', '.join(f'3.{minor}' for minor in ours[:-1])} or 3.{ours[-1]}" in readme


def test_another_backend_than_tensorflow_does_not_reach_the_commands(tmp_path):
    """What another course has left: a backend that is not even installed, and numbers of half precision."""
    (tmp_path / "keras.json").write_text(
        '{"backend": "torch", "floatx": "float16", "image_data_format": "channels_first"}'
    )
    code = (
        "from ssdseg_course.quiet import import_keras; import_keras(); import keras;"
        "print(keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format())"
    )
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "tensorflow float32 channels_last\n", done.stderr


def test_without_a_home_keras_leaves_nothing_in_the_working_folder(tmp_path):
    code = (
        "import pwd\n"
        "def nobody(number): raise KeyError(number)\n"
        "pwd.getpwuid = nobody\n"
        "from ssdseg_course.quiet import import_keras; import_keras(); print('imported')"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "KERAS_HOME")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr
    assert os.listdir(tmp_path) == []
