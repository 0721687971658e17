"""What a process of the sandbox does to itself before it runs an answer: Linux namespaces, no rights, limits.

Each function is called in a forked child, and none can be undone. See `man 7 namespaces`, `man 2 unshare`,
`man 7 capabilities`, `man 2 setrlimit`.
"""

import contextlib
import ctypes
import errno
import functools
import mmap
import os
import platform
import signal
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

POSIX = os.name == "posix"  # elsewhere this can be imported, and no more
if POSIX:
    import resource

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
ALL_BUT_FILES = CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC = 0x2, 0x4, 0x1000, 0x4000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECUREBITS = 1, 4, 24, 38, 28
NO_ROOT_WAYS_BACK = 0b101111  # securebits: a uid of 0 brings no rights, now and for good
LAST_CAPABILITY = 63
JOIN_KEYRING = {"x86_64": 250, "aarch64": 219}  # number of the system call keyctl
JOIN_SESSION_KEYRING = 1
CAPABILITY_VERSION = 0x20080522
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SECCOMP_ALLOW, SECCOMP_ERROR = 0x7FFF0000, 0x00050000
LOAD, IS_EQUAL, IS_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of a filter
CALL, ARCHITECTURE = 0, 4  # where they find the number of a system call, and the machine that it is meant for
OTHER_NUMBERS = 0x40000000  # on x86_64, calls with numbers from here on are those of another interface
# Numbers of the system calls by which memory is held that no limit counts, or that only ever harmed: shmget, semget,
# msgget, mq_open, memfd_create, memfd_secret, add_key, request_key, keyctl, io_uring_setup, userfaultfd, bpf,
# perf_event_open.
REFUSED = {
    "x86_64": (0xC000003E, (29, 64, 68, 240, 319, 447, 248, 249, 250, 425, 323, 321, 298)),
    "aarch64": (0xC00000B7, (194, 190, 186, 180, 279, 447, 217, 218, 219, 425, 282, 280, 241)),
}

NOBODY = 65534
OWN_PROCESSES_COUNTED = (5, 14)  # Linux counts the processes of a user namespace by itself from then on
MIB = 2**20
PAGE = mmap.PAGESIZE
SCRATCH_BYTES = 64 * MIB  # of /tmp, which is memory
SHOWN_OF_PROC = ("/proc/cpuinfo", "/proc/meminfo", "/proc/self/cmdline")  # TensorFlow stops without the last one
FILE_BYTES = 16 * MIB
OPEN_FILES = 64
PROCESSES = 8  # besides the first
THREADS = 64  # of all of them
MEMORY_BYTES = 2048 * MIB  # more than TensorFlow has at the start


def unshare_all_but_files() -> None:
    """Share no namespace but that of files with the parent; a child forked after this is the first process of its own.

    Raises:
        OSError: if the system does not allow it.
    """
    if os.geteuid() == 0:  # nobody's processes can be counted and own no file
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)  # or its own /proc/self belongs to root
    user, group = os.geteuid(), os.getegid()
    _call("unshare", ALL_BUT_FILES)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with contextlib.suppress(OSError):  # or an answer could make itself root of more of them
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    # The keys of whoever grades; and notes that one answer could leave to another.
    if platform.machine() in JOIN_KEYRING:
        _libc().syscall(JOIN_KEYRING[platform.machine()], JOIN_SESSION_KEYRING, None)


def hide_system_and_drop_rights(under_tmp: Sequence[str] = ()) -> None:
    """In the first process of new namespaces: fresh scratch folders, no sight of processes, and no rights at all.

    Args:
        under_tmp: what below /tmp stays in sight.

    Raises:
        OSError: if the system does not allow it.
    """
    _call("unshare", CLONE_NEWNS)
    python = os.readlink("/proc/self/exe")
    about_the_machine = {path: path.read_bytes() for path in map(Path, SHOWN_OF_PROC)}
    staying = {path: os.open(path, os.O_PATH) for path in under_tmp}
    _make_scratch(b"/tmp")
    for path, descriptor in staying.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            Path(path).mkdir()
        else:
            Path(path).touch()
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), path.encode(), None, MS_BIND | MS_REC, None)
        os.close(descriptor)
    for folder in (b"/dev/shm", b"/proc"):
        _make_scratch(folder)
    Path("/proc/self").mkdir()
    Path("/proc/self/exe").symlink_to(python)  # nor without this one
    for file, content in about_the_machine.items():
        file.write_bytes(content)
    _call("prctl", PR_SET_SECUREBITS, NO_ROOT_WAYS_BACK, 0, 0, 0)
    for capability in range(LAST_CAPABILITY + 1):
        _libc().prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that this Linux does not know
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())
    _refuse_calls()


def _make_scratch(folder: bytes) -> None:
    _call("mount", b"tmpfs", folder, b"tmpfs", MS_NOSUID | MS_NODEV, f"size={SCRATCH_BYTES},mode=0777".encode())


def _refuse_calls() -> None:
    """Have the system calls of `REFUSED` fail, on machines whose numbers are known; see `man 2 seccomp`."""
    if platform.machine() not in REFUSED:
        return
    machine, numbers = REFUSED[platform.machine()]
    refuse = len(numbers) + 1  # instructions from the first comparison of numbers to the one that refuses
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (IS_EQUAL, 0, refuse + 2, machine),
        (LOAD, 0, 0, CALL),
        (IS_AT_LEAST, refuse, 0, OTHER_NUMBERS),
        *((IS_EQUAL, refuse - 1 - place, 0, number) for place, number in enumerate(numbers)),
        (RETURN, 0, 0, SECCOMP_ALLOW),
        (RETURN, 0, 0, SECCOMP_ERROR | errno.EPERM),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code)
    described = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(held)))
    _call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described, 0, 0)


def limit_yourself(warned: int, ended: int, count_processes: bool) -> None:
    """Limits on memory, time, files and, in namespaces of its own, processes; as far as the system knows them.

    Args:
        warned: seconds of work after which SIGXCPU comes.
        ended: seconds of work after which the process is killed.
        count_processes: whether to limit those, too.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory ends, this process goes first
    used = _address_space()
    limits = {
        "RLIMIT_CPU": (warned, ended),
        "RLIMIT_FSIZE": (FILE_BYTES, FILE_BYTES),
        "RLIMIT_NOFILE": (OPEN_FILES, OPEN_FILES),
        "RLIMIT_CORE": (0, 0),
    }
    if used:
        limits["RLIMIT_AS"] = used + MEMORY_BYTES, used + MEMORY_BYTES
    if count_processes and _linux_version() >= OWN_PROCESSES_COUNTED:
        limits["RLIMIT_NPROC"] = THREADS, THREADS
    for name, value in limits.items():
        if hasattr(resource, name):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), value)


def die_with_parent() -> None:
    """End when the process that has forked this one ends; a help where no namespace does that."""
    if platform.system() == "Linux":
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def keep_only(descriptor: int) -> None:
    """Close every file but one; what is read is empty, and what is printed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 65536)


def _address_space() -> int:
    """Bytes of this process's address space, 0 where it cannot be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    except OSError:
        return 0


def _linux_version() -> tuple[int, ...]:
    if platform.system() != "Linux":
        return (0, 0)
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2] if part.isdigit())


@functools.cache
def _libc() -> ctypes.CDLL:
    """The C library."""
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """A function of the C library that gives 0 where all is well."""
    if getattr(_libc(), name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
