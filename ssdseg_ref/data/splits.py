"""Splits of scenes that are drawn once, then read: a cache on disk.

Drawing thousands of scenes takes much longer than reading them, so each split is drawn once, on all cores, into a
folder of three files below `home()`:

    images.npy       (N, H, W, 3) uint8, mapped into memory when read
    masks.npy        (N, H, W) uint8, likewise
    annotations.npz  counts (N,): boxes per scene; boxes (sum, 4) and labels (sum,): those of all scenes in a row

The folder's name ends in a fingerprint of a few scenes, drawn afresh whenever a split is opened. A version number
would have to be raised by hand, and the text of the source changes when a comment does; the scenes themselves
change exactly when the drawing does, also when it does because of another release of NumPy.
"""

import hashlib
import os
import shutil
import signal
import sys
import threading
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import numpy as np
import platformdirs

from ssdseg_ref.data.files import LazySamples
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.keeping import bring_to_disk, sweep, whole_folder

Render = Callable[[int, tuple[int, int]], Sample]  # (seed, (height, width)) -> Sample
Progress = Callable[[int, int], None]  # (scenes drawn, scenes in all)
Annotations = list[tuple[np.ndarray, np.ndarray]]  # boxes (M, 4) and labels (M,) per scene
# ((seeds of each chunk), (height, width), render) -> (place of a chunk, its scenes), in whatever order they come
Elsewhere = Callable[[Sequence[range], tuple[int, int], Render], Generator[tuple[int, list[Sample]], None, None]]
Job = tuple[Path, int, range, tuple[int, int], Render]  # the arguments of `_draw_chunk`

FINGERPRINT_SCENES = 3
CHUNK = 16  # scenes that one process draws at a time: often enough for a smooth progress bar


def home() -> Path:
    """The folder of everything that the course keeps between runs: $SSDSEG_HOME, or the user's cache folder.

    Raises:
        ValueError: if the user has no home folder, and SSDSEG_HOME is not set.
    """
    named = os.environ.get("SSDSEG_HOME")
    try:
        return Path(named).expanduser() if named else _user_cache()
    except RuntimeError as error:  # a user without a line in /etc/passwd, as containers have them
        raise ValueError(
            f"there is no home folder to keep data sets in ({error}); set SSDSEG_HOME to a folder for them"
        ) from error


def _user_cache() -> Path:
    folder = platformdirs.user_cache_path("ssdseg-course")
    if not folder.is_absolute():
        raise RuntimeError("HOME is not set, or is no absolute path")
    return folder


def cache_folder(name: str, seeds: range, size: tuple[int, int], render: Render) -> Path:
    """Where `cached_split` keeps a split; the arguments are the same."""
    height, width = size
    return home() / "scenes" / f"{name}-{height}x{width}-{_fingerprint(seeds, size, render)}"


def cached_split(
    name: str,
    seeds: range,
    size: tuple[int, int],
    render: Render,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> LazySamples:
    """The scenes of `seeds`, drawn if they are not in the cache yet.

    Stopping it midway leaves nothing behind; what a process that was killed has left is cleared away by the next. Two
    processes that draw the same split at once do not disturb each other: the first to finish wins. A cache that is not
    whole is drawn again.

    Args:
        name: of the split, a part of the folder's name.
        seeds: one scene each, at least one.
        size: (height, width) in pixels.
        render: draws a scene; a function at the top of a module, so that other processes find it.
        progress: called now and then while drawing, not when the scenes are in the cache.
        elsewhere: draws on other machines, in place of this one's cores.

    Raises:
        OSError: if the scenes cannot be kept; the sentence says where, and how to keep them elsewhere.
    """
    folder = cache_folder(name, seeds, size, render)
    sweep(folder.parent)
    samples = open_cache(folder, len(seeds), size)
    if samples is None:
        _make_cache(folder, seeds, size, render, progress, elsewhere)
        samples = open_cache(folder, len(seeds), size)
    if samples is None:
        raise _cannot_keep(folder, "the scenes just drawn cannot be read back")
    return samples


def open_cache(folder: Path, scenes: int, size: tuple[int, int]) -> LazySamples | None:
    """The samples in a cache folder, or None if it is missing or not whole."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks = np.load(folder / "masks.npy", mmap_mode="r")
        with np.load(folder / "annotations.npz") as annotations:
            counts, boxes, labels = (annotations[key] for key in ("counts", "boxes", "labels"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    whole = (
        images.shape == (scenes, *size, 3)
        and masks.shape == (scenes, *size)
        and counts.shape == (scenes,)
        and len(boxes) == len(labels) == counts.sum()
    )
    if not whole:
        return None
    ends = np.cumsum(counts)

    def read(index: int) -> Sample:
        own = slice(ends[index] - counts[index], ends[index])
        # Copies, so that whoever changes a sample changes nothing else, and none keeps the file open.
        return Sample(np.array(images[index]), boxes[own].copy(), labels[own].copy(), np.array(masks[index]))

    return LazySamples(range(scenes), read)


def _fingerprint(seeds: range, size: tuple[int, int], render: Render) -> str:
    """Ten hexadecimal digits that change when the seeds or the scenes drawn for them do."""
    digest = hashlib.sha256(repr(seeds).encode())
    for index in np.linspace(0, len(seeds) - 1, FINGERPRINT_SCENES).astype(int):
        sample = render(seeds[index], size)
        for part in (sample.image, sample.boxes, sample.labels, sample.mask):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:10]


def _make_cache(
    folder: Path,
    seeds: range,
    size: tuple[int, int],
    render: Render,
    progress: Progress | None,
    elsewhere: Elsewhere | None,
) -> None:
    try:
        with whole_folder(folder) as draft:
            _draw_all(draft, seeds, size, render, progress, elsewhere)
            if open_cache(folder, len(seeds), size) is None:
                _discard(folder)
    except OSError as error:
        if open_cache(folder, len(seeds), size) is None:  # else another process was quicker with the same scenes
            raise _cannot_keep(folder, error.strerror or str(error)) from error
    except BrokenExecutor as error:
        raise OSError("a process that draws scenes was ended from outside, perhaps for lack of memory") from error


def _cannot_keep(folder: Path, reason: str) -> OSError:
    return OSError(f"{folder}: drawn scenes cannot be kept there ({reason}); set SSDSEG_HOME to a folder with room")


def _discard(folder: Path) -> None:
    """Remove a broken cache, if there is one, in a single step as others see it."""
    rubbish = folder.with_name(f".{folder.name}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        os.replace(folder, rubbish)
        shutil.rmtree(rubbish, ignore_errors=True)


def _draw_all(
    folder: Path,
    seeds: range,
    size: tuple[int, int],
    render: Render,
    progress: Progress | None,
    elsewhere: Elsewhere | None,
) -> None:
    """Draw every scene into the three files of `folder`, on all cores or elsewhere."""
    for name, shape in (("images.npy", (len(seeds), *size, 3)), ("masks.npy", (len(seeds), *size))):
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.uint8, shape=shape).flush()
    jobs = [(folder, first, seeds[first : first + CHUNK], size, render) for first in range(0, len(seeds), CHUNK)]
    annotations: dict[int, Annotations] = {}
    drawn = 0
    with closing(
        _fetch(jobs, elsewhere) if elsewhere else _run(jobs)
    ) as results:  # closed, so that no process still draws when `progress` raises
        for first, chunk in results:
            annotations[first] = chunk
            drawn += len(chunk)
            if progress:
                progress(drawn, len(seeds))
    in_order = [scene for first in sorted(annotations) for scene in annotations[first]]
    np.savez(
        folder / "annotations.npz",
        counts=np.array([len(labels) for _, labels in in_order], np.int64),
        boxes=np.concatenate([boxes for boxes, _ in in_order]),
        labels=np.concatenate([labels for _, labels in in_order]),
    )
    for file in folder.iterdir():  # or a power cut could leave black scenes under the name of whole ones
        bring_to_disk(file)


def _draw_chunk(
    folder: Path, first: int, seeds: range, size: tuple[int, int], render: Render
) -> tuple[int, Annotations]:
    """Draw scenes into rows `first`, `first` + 1, ... of the two arrays on disk; gives `first` and the annotations."""
    return _keep_chunk(folder, first, [render(seed, size) for seed in seeds])


def _keep_chunk(folder: Path, first: int, samples: list[Sample]) -> tuple[int, Annotations]:
    _write_rows(folder / "images.npy", first, [sample.image for sample in samples])
    _write_rows(folder / "masks.npy", first, [sample.mask for sample in samples])
    return first, [(sample.boxes, sample.labels) for sample in samples]


def _write_rows(path: Path, first: int, rows: list[np.ndarray]) -> None:
    """Overwrite rows of an array on disk, by an ordinary write: a full disk kills whoever writes through a mapping."""
    array = np.load(path, mmap_mode="r")
    content = np.stack(rows).reshape(len(rows), *array.shape[1:])
    with path.open("r+b") as file:
        file.seek(array.offset + first * array.strides[0])
        file.write(content.tobytes())


def _fetch(jobs: Sequence[Job], elsewhere: Elsewhere) -> Generator[tuple[int, Annotations], None, None]:
    """Results as of `_draw_chunk`, of scenes that others draw."""
    folder, _, _, size, render = jobs[0]
    with closing(elsewhere([seeds for _, _, seeds, _, _ in jobs], size, render)) as chunks:
        for place, samples in chunks:
            yield _keep_chunk(folder, jobs[place][1], samples)


def _run(jobs: Sequence[Job]) -> Generator[tuple[int, Annotations], None, None]:
    """Results of `_draw_chunk` in whatever order they come."""
    workers = 1 if sys.platform == "emscripten" else min(cores(), len(jobs))
    if workers == 1:
        yield from (_draw_chunk(*job) for job in jobs)
        return
    # Imported here, for the browser's Python has no processes, and no module for them.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # "spawn" and not "fork": a fork of a process in which TensorFlow runs threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_live_and_stop_with_the_parent) as pool:
        try:
            with _main_hidden():
                futures = [pool.submit(_draw_chunk, *job) for job in jobs]
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep processes that start now from running the caller's script again.

    "spawn" would do so, and a learner's script need not have an `if __name__ == "__main__"`, or imports TensorFlow.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _live_and_stop_with_the_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it does, however it ends: a worker would wait for work forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    import multiprocessing

    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
