"""The page of lessons 0 to 3: what goes into it, and what is said where something is missing."""

import json
import subprocess
import sys
import zipfile

import pytest

from ssdseg_course.lite import building, pyodide
from ssdseg_course.lite.__main__ import main
from ssdseg_course.lite.errors import LiteError
from ssdseg_course.lite.wheel import write_wheel
from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.work.workspace import read_notebook


@pytest.fixture
def distribution(tmp_path):
    """Files with the names that a Pyodide distribution has."""
    folder = tmp_path / "pyodide"
    folder.mkdir()
    names = [*pyodide.FOR_LESSONS, *pyodide.FOR_THE_KERNEL, "openblas", "unused"]
    packages = {name: {"file_name": f"{name}.whl", "depends": []} for name in names}
    packages["numpy"]["depends"] = ["openblas"]
    for name in [*pyodide.CORE, *(f"{name}.whl" for name in names)]:
        (folder / name).write_text("")
    (folder / pyodide.LOCK).write_text(json.dumps({"info": {"version": pyodide.VERSION}, "packages": packages}))
    return folder


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Where JupyterLite would take everything from; packages are not fetched."""
    monkeypatch.setattr(building, "_fetch_wheels", lambda folder: (folder / "comm-1-py3-none-any.whl").touch())
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def test_the_lessons_that_go_in_are_those_that_are_handed_out(source):
    building.write_sources(source, [], ROOT)
    for lesson in LESSONS[:4]:
        assert read_notebook(lesson.notebook(source / "files")) == read_notebook(lesson.notebook())
    assert len(list((source / "files").rglob("*.ipynb"))) == 4


def test_without_a_distribution_the_kernel_asks_one_host_and_no_package_index(source):
    building.write_sources(source, [], ROOT)
    config = json.loads((source / building.MARK).read_text())["jupyter-config-data"]
    settings = config["litePluginSettings"][building.KERNEL]
    assert settings["disablePyPIFallback"]
    assert settings["pyodideUrl"] == f"{pyodide.HOST}/pyodide.js"
    wheels = [name for name in settings["loadPyodideOptions"]["packages"] if name.endswith(".whl")]
    assert [name.rpartition("/")[2].partition("-")[0] for name in wheels] == ["comm", "ssdseg_course"]


def test_a_distribution_is_copied_as_far_as_it_is_needed(source, distribution):
    building.write_sources(source, pyodide.needed_files(distribution), ROOT)
    copied = {path.name for path in (source / "static" / "pyodide").iterdir()}
    assert {"openblas.whl", "pyodide.asm.wasm", "ipython.whl"} <= copied
    assert "unused.whl" not in copied
    settings = json.loads((source / building.MARK).read_text())["jupyter-config-data"]["litePluginSettings"]
    assert "pyodideUrl" not in settings[building.KERNEL]


def test_the_wheel_runs_without_weights_and_asks_for_nothing(tmp_path):
    with zipfile.ZipFile(write_wheel(tmp_path)) as wheel:
        names = wheel.namelist()
        (about,) = (name for name in names if name.endswith("METADATA"))
        assert "Requires-Dist" not in wheel.read(about).decode()
        wheel.extractall(tmp_path / "there")
    assert not [name for name in names if name.endswith((".h5", ".ipynb"))]
    code = (
        "import ssdseg_course.check, ssdseg_ref.data.warehouse as warehouse\n"
        "print(ssdseg_course.__file__, warehouse.render(1).mask.max())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "there")}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path / "there"))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / pyodide.LOCK).unlink(), "no Pyodide distribution there"),
        (lambda folder: (folder / pyodide.LOCK).write_text("{"), "cannot be read"),
        (lambda folder: (folder / "openblas.whl").unlink(), "openblas.whl is missing"),
        (
            lambda folder: (folder / pyodide.LOCK).write_text('{"info": {"version": "0.1"}, "packages": {}}'),
            "has no package",
        ),
    ],
)
def test_what_is_no_whole_distribution_is_named(distribution, harm, words):
    harm(distribution)
    with pytest.raises(LiteError, match=words) as refusal:
        pyodide.needed_files(distribution)
    assert str(distribution) in str(refusal.value)


def test_another_version_of_pyodide_is_refused(distribution):
    lock = json.loads((distribution / pyodide.LOCK).read_text())
    lock["info"]["version"] = "0.1"
    (distribution / pyodide.LOCK).write_text(json.dumps(lock))
    with pytest.raises(LiteError, match=f"holds Pyodide 0.1; the page is made for {pyodide.VERSION}"):
        pyodide.needed_files(distribution)


def test_without_jupyterlite_the_way_to_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(building, "NEEDED", ("nowhere_to_be_found",))
    assert main([str(tmp_path / "page")]) == 1
    assert "nowhere_to_be_found is not installed in this Python; `make lite` sets up" in capsys.readouterr().err


def test_a_folder_with_something_else_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "NEEDED", ())
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(LiteError, match="holds something that is not such a page"):
        building.build(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_page_whose_building_fails_leaves_the_old_one(tmp_path, source, monkeypatch):
    monkeypatch.setattr(building, "NEEDED", ())
    (old := tmp_path / "page").mkdir()
    (old / building.MARK).write_text("old")

    def fail(*_):
        raise LiteError("JupyterLite cannot build the page: no room")

    monkeypatch.setattr(building, "_run_jupyterlite", fail)
    with pytest.raises(LiteError, match="no room"):
        building.build(old)
    assert (old / building.MARK).read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page", "source"]
