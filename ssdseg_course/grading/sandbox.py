"""Runs a learner's functions where they can harm nobody and see no answer.

A `Sandbox` is a process that has imported what answers need, in a view of the file system that holds Python, its
libraries and the staged course alone, without a network (bubblewrap makes it); it forks a process with namespaces,
limits and no rights for each exercise of each submission (`ssdseg_course.sandboxed`).
"""

import contextlib
import functools
import importlib.util
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from ssdseg_course.checking.exercise import Arguments, Function, call
from ssdseg_course.checking.probe import Outcome
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading.staging import stage
from ssdseg_course.manifest import ROOT, Lesson
from ssdseg_course.quiet import import_keras
from ssdseg_course.sandboxed import zygote
from ssdseg_course.sandboxed.definitions import Source
from ssdseg_course.sandboxed.isolation import MEMORY_BYTES, MIB, PROCESSES, SCRATCH_BYTES
from ssdseg_course.sandboxed.wire import WireError, clean_text, read_report
from ssdseg_course.sandboxed.zygote import Ending, Way

# Of the system and of Python only what holds programs and libraries: below /usr there may be an exchange of nbgrader's.
PREFIXES = ("/", "/usr", "/usr/local")
PARTS = ("bin", "sbin", "lib", "lib32", "lib64", "pyvenv.cfg")
SYSTEM = ("/nix/store", "/usr/share/zoneinfo", "/etc/alternatives", "/etc/localtime")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
SCRATCH = Path("/tmp")  # inside, that of an answer alone
LARGEST_REPLY = 32 * MIB
MOST_BESIDE, LARGEST_BESIDE = 100, 8 * MIB  # files beside a notebook that it may use, and bytes of all
INSIDE = "/course"  # where the staged course stands in there
LIBRARIES = ("numpy", "keras", "tensorflow", "IPython")
THREADS = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")  # one each: all cores are busy
KEPT = re.compile(r"OPENBLAS_CORETYPE|LANG|LC_\w+|TZ")
GIB = 2**30
NO_BUBBLEWRAP = (
    "no sandbox: bubblewrap is not installed (Debian and Ubuntu: `apt install bubblewrap`, Fedora: `dnf install "
    "bubblewrap`). `--unsafe` grades without one: answers could then read and write whatever you can"
)
NO_NAMESPACES = (
    "no sandbox: this system does not let {who} make user namespaces ({why}). On Ubuntu 24.04 and later: `sudo sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0`. `--unsafe` grades without a sandbox: answers could then read and "
    "write whatever you can"
)


class Runnable(Protocol):
    """What a learner's function answers to: an exercise or a challenge."""

    @property
    def name(self) -> str:
        """The function's name."""

    @property
    def run(self) -> Callable[[Function, Arguments], Any]:
        """The way to run it; stands in a module that is seen inside."""


class SandboxError(OSError):
    """There is no sandbox on this system, or it has failed; the message says what to do."""


@dataclass(frozen=True)
class Probed:
    """What came of an exercise in the sandbox.

    Attributes:
        outcomes: what `probe` saw; None where it came to nothing.
        trouble: why it came to nothing, or what stopped on the way to the function; "" if all went well.
        was_ended: whether it had to be ended, or ended itself.
        took_too_long: whether that was why.
    """

    outcomes: list[Outcome] | None
    trouble: str
    was_ended: bool = False
    took_too_long: bool = False

    @property
    def has_values(self) -> bool:
        """Whether it gave back anything at all."""
        return self.outcomes is not None and any(outcome.failure is None for outcome in self.outcomes)


@dataclass(frozen=True)
class Code:
    """What a learner has handed in of code, as far as an exercise is concerned.

    Attributes:
        sources: the notebook's cells of code.
        check: place of the cell that checks the exercise.
        notebook: name of the file, for messages.
        whole: names of the cells that are answers.
        beside: content of the files that stand beside the notebook, by their paths.
        substitutes: the course's own functions that stand in for the learner's: by name, the cells that define each.
        ways: to find a function in it that may come to something else than those before.
    """

    sources: Sequence[Source]
    check: int
    notebook: str
    whole: frozenset[str]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    substitutes: Mapping[str, Sequence[Source]] = field(default_factory=dict)
    ways: Sequence[Way] = tuple(Way)


class Sandbox:
    """A place to run the answers to one lesson in; `close` it, or use it in a `with` statement."""

    def __init__(self, lesson: Lesson, unsafe: bool = False, keras: bool | None = None):
        """Make a sandbox.

        Args:
            lesson: whose answers will be run, and are not to be seen.
            unsafe: do without namespaces: limits and processes of their own alone.
            keras: whether to have TensorFlow ready; by default, where an exercise of the lesson needs it.

        Raises:
            SandboxError: if this system has none.
        """
        self._stage = tempfile.TemporaryDirectory(prefix="ssdseg-sandbox-", ignore_cleanup_errors=True)
        folder = Path(self._stage.name)
        folder.chmod(0o755)  # for a user without rights, inside
        stage(lesson, folder)
        if keras is None:
            keras = any(exercise.run is not call for exercise in exercises_of(lesson))
        below = [] if unsafe else [str(path) for path in visible_paths() if _holds(SCRATCH, path)]
        program = f"from ssdseg_course.sandboxed.zygote import main; main({keras}, {not unsafe}, {below})"
        python = [str(_python()), "-P", "-s", "-c", program]
        command = python if unsafe else [*_bubblewrap(folder), *python]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads could fill up
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=_environment(str(folder) if unsafe else INSIDE),
            cwd="/",
            bufsize=0,
            start_new_session=True,  # Ctrl-C is meant for the process that grades
        )
        assert self._process.stdin
        assert self._process.stdout
        self._jobs, self._replies = self._process.stdin, self._process.stdout
        if keras:  # so that both load it at the same time, for the judge will need it as well
            import_keras()
        ending, why = self._answer()
        if ending is not Ending.NORMAL:
            self.close()
            raise SandboxError(NO_NAMESPACES.format(who=_user(), why=why.decode()))

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of it."""
        with contextlib.suppress(OSError):
            self._jobs.close()
        self._process.kill()
        self._process.wait()
        self._replies.close()
        self._complaints.close()
        self._stage.cleanup()

    def probe(
        self,
        exercise: Runnable,
        cases: Sequence[Arguments],
        code: Code,
        seconds: int,
        way: Way = Way.DEFINITIONS,
        most: int = LARGEST_REPLY,
    ) -> Probed | None:
        """Run the learner's function of an exercise or a challenge.

        Args:
            exercise: which; its reference and all that gives it away stay outside.
            cases: the arguments to call it with.
            code: where it is found.
            seconds: of work that it may take.
            way: how it is found there.
            most: bytes that may come out.

        Returns:
            what came of it; None where this way comes to the same as the one before.

        Raises:
            SandboxError: if the sandbox itself has failed.
        """
        job = {
            **{part.name: getattr(code, part.name) for part in fields(code)},
            "substitutes": list(code.substitutes.items()),
            "beside": list(code.beside.items()),
            "name": exercise.name,
            "run": exercise.run,
            "cases": list(cases),
            "way": way,
            "most": most,
        }
        del job["ways"]
        try:
            zygote.write_frame(self._jobs.fileno(), seconds, pickle.dumps(job))
        except BrokenPipeError:
            raise SandboxError(self._last_words()) from None
        ending, content = self._answer()
        return _understood(ending, content, len(cases), seconds)

    def _answer(self) -> tuple[Ending, bytes]:
        frame = zygote.read_frame(self._replies.fileno())
        if frame is None:
            return Ending.NO_SANDBOX, self._last_words().encode()
        return Ending(frame[0]), frame[1]

    def _last_words(self) -> str:
        """Why the sandbox has ended."""
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"the sandbox has ended: {lines[-1]}" if lines else "the sandbox has ended by itself"


def _understood(ending: Ending, content: bytes, cases: int, seconds: int) -> Probed | None:
    """What a reply of the sandbox means."""
    if ending is Ending.NO_SANDBOX:
        why = content.decode(errors="replace")
        raise SandboxError(NO_NAMESPACES.format(who=_user(), why=why))
    too_long = f"it did not come to its end within {seconds} seconds of work"
    endings = {
        Ending.KILLED_ITSELF: "it ended the process that runs it, or crashed it",
        Ending.TOO_LONG: f"{too_long}, and did not let itself be interrupted",
        Ending.TOO_MUCH_MEMORY: f"it took more than {MEMORY_BYTES / GIB:.0f} GiB of memory",
        Ending.TOO_MANY_PROCESSES: f"it started more than {PROCESSES} processes",
        Ending.TOO_MUCH_OUTPUT: "it gives back far more numbers than it should",
    }
    if ending in endings:
        return Probed(None, endings[ending], was_ended=True, took_too_long=ending is Ending.TOO_LONG)
    word, _, text = content.partition(b"\n")
    try:
        if word == zygote.THE_SAME:
            return None
        if word == zygote.OUTCOMES:
            return Probed(*read_report(text, cases))
        if word == zygote.MISSING:
            return Probed(None, clean_text(text.decode()))
        if word == zygote.TOO_LONG:
            return Probed(None, _where_it_was(json.loads(text), seconds), was_ended=True, took_too_long=True)
    except (WireError, ValueError, TypeError, RecursionError):
        return Probed(None, "what it gave back could not be read")
    return Probed(None, "it ended the process that runs it")


def _where_it_was(place: Any, seconds: int) -> str:
    function, line_number, line = place
    text = f"it did not come to its end within {seconds} seconds of work"
    if line and isinstance(line_number, int):
        text += f"; in line {line_number} of `{clean_text(function)}`: {clean_text(line)}"
    return text


def _user() -> str:
    return "root" if os.geteuid() == 0 else "you"


def _environment(path: str) -> dict[str, str]:
    """All that there is in the environment inside."""
    paths = os.pathsep.join([path, *_more_libraries()])
    return {
        **{name: value for name, value in os.environ.items() if KEPT.fullmatch(name)},
        **{f"{name}_THREADS": "1" for name in THREADS},
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": paths,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
        "KERAS_HOME": "/tmp",
        "MPLCONFIGDIR": "/tmp",
        "MPLBACKEND": "agg",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def _bubblewrap(folder: Path) -> list[str]:
    """The command that gives a program its view: read-only, without a network and without what nobody may see."""
    bubblewrap = shutil.which("bwrap")
    if not bubblewrap:
        raise SandboxError(NO_BUBBLEWRAP)
    shown = visible_paths()
    hidden = [path for path in _secrets() if any(_holds(one, path) for one in shown)]
    command = [bubblewrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() != 0:
        command += ["--unshare-user"]
    scratch = str(SCRATCH)
    command += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", scratch]
    for parent in sorted({parent for path in shown for parent in path.parents if parent not in (Path("/"), SCRATCH)}):
        command += ["--perms", "0755", "--dir", str(parent)]  # bubblewrap's own would be open to its owner alone
    outer = [path for path in shown if not any(_holds(secret, path) for secret in hidden)]
    for path in outer:
        command += _as_it_is(path, shown)
    for path in hidden:
        command += ["--perms", "0755", "--tmpfs", str(path)]
    for path in shown:
        if path not in outer:
            command += _as_it_is(path, shown)
    command += ["--ro-bind", str(folder), INSIDE, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp", "--"]
    return command


def _as_it_is(path: Path, shown: Sequence[Path]) -> list[str]:
    """The arguments that show a file or folder, or a link where what it leads to is shown."""
    if path.is_symlink() and any(_holds(one, path.resolve()) for one in shown if one != path):
        return ["--symlink", os.readlink(path), str(path)]
    return ["--ro-bind", str(path), str(path)]


@functools.cache
def visible_paths() -> list[Path]:
    """The files and folders of this system that are seen inside."""
    paths = [Path(path) for path in (*SYSTEM, *SYSTEM_FILES)]
    paths += [Path(prefix, part) for prefix in PREFIXES for part in PARTS]
    pythons = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix)]
    paths += [path / part for path in pythons for part in PARTS]
    if not any(_holds(path, _python()) for path in paths):
        paths.append(_python())
    return [path for path in dict.fromkeys((*paths, *map(Path, _more_libraries()))) if path.exists()]


def _python() -> Path:
    """This interpreter, by a path without links but its own: its name tells it where its libraries are."""
    path = Path(sys.executable)
    return path.parent.resolve() / path.name


def _secrets() -> list[Path]:
    """What must not be seen although Python or the system may stand around it: the course, and the place of grading."""
    found = [ROOT, Path.cwd()]
    found += map(_folder_of, ("ssdseg_ref", "ssdseg_course"))
    return sorted({path.resolve() for path in found if path.resolve() != Path("/")})


def _more_libraries() -> list[str]:
    """Where the libraries that answers need stand, if not in Python's own folders: a user's packages, for instance."""
    own = [Path(prefix).resolve() / part for prefix in (sys.prefix, sys.base_prefix, *PREFIXES) for part in PARTS]
    folders = {_folder_of(name).parent.resolve() for name in LIBRARIES}
    return sorted(str(folder) for folder in folders if not any(_holds(one, folder) for one in own))


def _folder_of(package: str) -> Path:
    """Where a package is installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SandboxError(f"no sandbox: {package} is not installed as a package")
    return Path(spec.origin).parent


def _holds(folder: Path, path: Path) -> bool:
    return path == folder or folder in path.parents
