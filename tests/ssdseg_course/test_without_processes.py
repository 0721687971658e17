"""Lessons 0 to 3 in a Python as the browser has it: no TensorFlow, no processes, no signals.

A stand-in for Pyodide: CPython that refuses what is missing there. It cannot show what WebAssembly computes.
"""

import subprocess
import sys

import pytest

IN_THE_BROWSER = """
import os, signal, sys, time

MISSING = {"tensorflow", "keras", "h5py", "dask", "distributed", "nbgrader", "nbformat", "fcntl", "resource",
           "termios", "multiprocessing", "_multiprocessing", "_posixsubprocess"}

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuses())
sys.platform = "emscripten"
for module, name in ((os, "fork"), (signal, "setitimer")):
    delattr(module, name)
time.process_time = lambda: 0.0
"""

CHECKS = """
from ssdseg_course import EXERCISES
from ssdseg_course.check import report_on

for name in EXERCISES:
    if name[:2] in ("00", "01", "02", "03"):
        exercise = EXERCISES[name]
        print(name, report_on(exercise, exercise.reference, 7).passed)
"""


def run_there(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", IN_THE_BROWSER + code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_reference_answers_of_lessons_0_to_3_pass_without_tensorflow_and_processes():
    lines = run_there(CHECKS)
    assert len(lines) == 22
    assert [line for line in lines if not line.endswith(" True")] == []


@pytest.mark.parametrize("module", ["ssdseg_ref.data.warehouse", "ssdseg_ref.data.crops", "ssdseg_course.check"])
def test_what_the_lessons_import_needs_no_process_pool(module):
    assert run_there(f"import {module}\nprint('imported')") == ["imported"]


def test_functions_are_timed_though_the_clock_of_the_processor_stands_still():
    lines = run_there(
        "from ssdseg_course.work.timing import in_turn\n"
        "print(all(timing.median > 0 for timing in in_turn([lambda: sum(range(1000))] * 2, 0.05)))"
    )
    assert lines == ["True"]
