"""The cache of drawn splits: scenes are drawn once, and a cache is whole or not there."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from ssdseg_ref.data import splits
from ssdseg_ref.data.sample import Sample

SIZE = (6, 8)
FEW, MANY = range(100, 105), range(200, 240)  # one chunk, drawn here; several chunks, drawn by several processes


def render(seed: int, size: tuple[int, int]) -> Sample:
    """A cheap scene that differs for each seed; every third has no box."""
    rng = np.random.default_rng(seed)
    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0.25, 1, 1]], np.float32)[: seed % 3]
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return Sample(image, boxes, np.arange(1, 1 + len(boxes), dtype=np.int32), image[..., 0] % 3)


def render_brighter(seed: int, size: tuple[int, int]) -> Sample:
    """The same scenes after somebody changed the drawing."""
    sample = render(seed, size)
    return Sample(sample.image // 2 + 128, sample.boxes, sample.labels, sample.mask)


def render_failing_midway(seed: int, size: tuple[int, int]) -> Sample:
    """Draws the scenes of the fingerprint, then fails: those are the first, the middle and the last."""
    if seed in (FEW[1], MANY[17]):
        raise RuntimeError("the paint is empty")
    return render(seed, size)


def render_interrupted(seed: int, size: tuple[int, int]) -> Sample:
    """Ctrl-C at the second scene."""
    if seed == FEW[1]:
        raise KeyboardInterrupt
    return render(seed, size)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty place for the cache."""
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(splits, "cores", lambda: 2)
    return tmp_path / "home"


def assert_same_scenes(samples, seeds):
    assert len(samples) == len(seeds)
    for sample, seed in zip(samples, seeds, strict=True):
        expected = render(seed, SIZE)
        for part in ("image", "boxes", "labels", "mask"):
            np.testing.assert_array_equal(getattr(sample, part), getattr(expected, part), err_msg=f"seed {seed}")
            assert getattr(sample, part).dtype == getattr(expected, part).dtype


@pytest.mark.parametrize("seeds", [FEW, MANY])
def test_the_scenes_from_the_cache_are_those_that_were_drawn(seeds):
    assert_same_scenes(splits.cached_split("train", seeds, SIZE, render), seeds)


def test_a_split_is_drawn_once():
    drawn = []
    for _ in range(2):
        samples = splits.cached_split("train", FEW, SIZE, render, progress=lambda *counts: drawn.append(counts))
    assert drawn == [(5, 5)]
    assert_same_scenes(samples, FEW)


def test_progress_counts_every_scene_also_when_several_processes_draw():
    counts = []
    splits.cached_split("train", MANY, SIZE, render, progress=lambda done, total: counts.append((done, total)))
    assert counts[-1] == (40, 40)
    assert [done for done, _ in counts] == sorted(done for done, _ in counts)


def test_samples_can_be_counted_indexed_and_cut():
    samples = splits.cached_split("train", FEW, SIZE, render)
    np.testing.assert_array_equal(samples[-1].image, render(FEW[-1], SIZE).image)
    assert_same_scenes(samples[1:3], FEW[1:3])
    with pytest.raises(IndexError):
        samples[5]


def test_changing_a_sample_leaves_the_cache_as_it_was():
    samples = splits.cached_split("train", FEW, SIZE, render)
    for part in (samples[1].image, samples[1].boxes, samples[1].labels, samples[1].mask):
        part[...] = 0
    assert_same_scenes(samples, FEW)


@pytest.mark.parametrize("seeds", [FEW, MANY])
def test_a_drawing_that_fails_midway_leaves_nothing_behind(home, seeds):
    with pytest.raises(RuntimeError, match="paint is empty"):
        splits.cached_split("train", seeds, SIZE, render_failing_midway)
    assert list((home / "scenes").iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(home):
    with pytest.raises(KeyboardInterrupt):
        splits.cached_split("train", FEW, SIZE, render_interrupted)
    assert list((home / "scenes").iterdir()) == []


def test_a_progress_bar_that_fails_leaves_nothing_behind(home):
    def fail(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        splits.cached_split("train", MANY, SIZE, render, progress=fail)
    assert list((home / "scenes").iterdir()) == []


@pytest.mark.parametrize("file", ["images.npy", "masks.npy", "annotations.npz"])
@pytest.mark.parametrize("share", [0, 0.5, None], ids=["emptied", "cut off", "removed"])
def test_a_cache_that_is_not_whole_is_drawn_again(home, file, share):
    splits.cached_split("train", FEW, SIZE, render)
    (folder,) = (home / "scenes").iterdir()
    content = (folder / file).read_bytes()
    (folder / file).unlink()
    if share is not None:
        (folder / file).write_bytes(content[: int(share * len(content))])
    assert splits.open_cache(folder, len(FEW), SIZE) is None
    assert_same_scenes(splits.cached_split("train", FEW, SIZE, render), FEW)
    assert list((home / "scenes").iterdir()) == [folder]


def test_whoever_finishes_second_takes_the_scenes_of_the_first(home):
    first = []

    def another_process_finishes(done, total):
        if not first:
            first.append(None)  # its own progress must not start a third one
            first[0] = splits.cached_split("train", FEW, SIZE, render)

    second = splits.cached_split("train", FEW, SIZE, render, progress=another_process_finishes)
    assert len(list((home / "scenes").iterdir())) == 1
    assert_same_scenes(first[0], FEW)
    assert_same_scenes(second, FEW)


def test_scenes_are_drawn_anew_when_the_drawing_changes(home):
    old = splits.cached_split("train", FEW, SIZE, render)
    new = splits.cached_split("train", FEW, SIZE, render_brighter)
    assert old[0].image.min() < 128 <= new[0].image.min()


def test_splits_and_sizes_do_not_share_a_cache():
    folders = {
        splits.cache_folder(name, seeds, size, render)
        for name in ("train", "test")
        for seeds in (FEW, MANY)
        for size in (SIZE, (8, 6))
    }
    assert len(folders) == 8


def test_a_script_without_a_main_guard_can_draw_on_all_cores(tmp_path):
    (tmp_path / "drawing_for_a_script.py").write_text(
        textwrap.dedent("""
            import numpy as np
            from ssdseg_ref.data.sample import Sample

            def render(seed, size):
                blank = np.zeros((*size, 3), np.uint8)
                return Sample(blank, np.zeros((0, 4), np.float32), np.zeros(0, np.int32), blank[..., 0])
        """)
    )
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from drawing_for_a_script import render
            from ssdseg_ref.data import splits

            print("started")
            splits.cores = lambda: 2
            print(len(splits.cached_split("train", range(40), (6, 8), render)))
        """)
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout.split(), result.stderr) == (["started", "40"], "")


KILLED = """
import os, signal, sys
from test_splits import MANY, SIZE, render
from ssdseg_ref.data import splits

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
splits.cores = lambda: 2
def stop(done, total):
    print("drawing", flush=True)
    if sys.argv[1] != "wait":
        os.kill(os.getpid(), int(sys.argv[1]))
    signal.pause()
splits.cached_split("train", MANY, SIZE, render, stop)
"""


def drawing(how):
    """A process in a group of its own that draws, and kills itself or waits in the middle of it."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, how],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="kills by signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_drawing_that_is_killed_leaves_no_process_and_the_next_one_clears_up(home, how):
    with drawing(str(int(how))) as process:
        process.stdout.read()  # ends when the last process has closed it
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("workers live on")
    assert [path.name[0] for path in (home / "scenes").iterdir()] == ["."]
    splits.cached_split("test", FEW, SIZE, render)  # another split will do
    assert [path.name[:4] for path in (home / "scenes").iterdir()] == ["test"]


@pytest.mark.skipif(os.name == "nt", reason="kills by signals")
def test_what_another_process_is_drawing_is_left_alone(home):
    with drawing("wait") as process:
        process.stdout.readline()
        splits.cached_split("test", FEW, SIZE, render)
        names = sorted(path.name[:4] for path in (home / "scenes").iterdir())
        process.kill()
        process.stdout.read()
    assert (len(names), names[0][0], names[1]) == (2, ".", "test")


@pytest.mark.parametrize("home_is", ["a file", "read-only"])
def test_where_scenes_cannot_be_kept_the_way_out_is_named(home, monkeypatch, home_is):
    if home_is == "a file":
        home.write_text("")
    else:
        monkeypatch.setenv("SSDSEG_HOME", "/proc/nowhere")
    with pytest.raises(OSError, match=r"drawn scenes cannot be kept there \(.*\); set SSDSEG_HOME"):
        splits.cached_split("train", FEW, SIZE, render)


@pytest.mark.parametrize("named", ["", "~nobody-of-that-name/scenes"])
def test_a_user_without_a_home_is_told_of_ssdseg_home(monkeypatch, named):
    monkeypatch.setenv("SSDSEG_HOME", named)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: (_ for _ in ()).throw(KeyError(number)))
    with pytest.raises(ValueError, match=r"no home folder .* set SSDSEG_HOME to a folder"):
        splits.home()


def test_a_full_disk_is_named_and_leaves_nothing_behind(home, monkeypatch):
    monkeypatch.setattr(
        splits, "bring_to_disk", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match=r"cannot be kept there \(No space left on device\)"):
        splits.cached_split("train", FEW, SIZE, render)
    assert list((home / "scenes").iterdir()) == []
