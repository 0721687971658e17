"""Whether this system has what grading's sandbox needs."""

import functools

import pytest

from ssdseg_course.grading.sandbox import Sandbox, SandboxError
from ssdseg_course.manifest import LESSONS


@functools.cache
def why_none() -> str:
    """Why there is no sandbox here, "" if there is one."""
    try:
        Sandbox(LESSONS[0]).close()
    except SandboxError as error:
        return str(error)
    return ""


needs_sandbox = pytest.mark.skipif(bool(why_none()), reason=why_none().split(".")[0])
