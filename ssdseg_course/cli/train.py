"""`ssdseg train`: a preset on the Warehouse, or a network for a data set of the user's own."""

import json
import shlex
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.markup import escape

from ssdseg_course.cli import console
from ssdseg_course.cli.assemble import look_at_pieces, pieces_table
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.data import WAREHOUSE, must_have_read_all, open_data, open_samples, readable, validation_of
from ssdseg_course.cli.networks import (
    CHECKPOINTS,
    NETWORK_FILE,
    RUN_FILE,
    must_be_writable,
    open_network,
    print_scores,
    score,
)
from ssdseg_course.words import count
from ssdseg_ref.keeping import locked, sweep_files, whole_file, write_whole
from ssdseg_ref.workers import WorkerLost

if TYPE_CHECKING:
    import keras

    from ssdseg_ref.adoption import Adopted
    from ssdseg_ref.averaging import Ring
    from ssdseg_ref.config import Config
    from ssdseg_ref.data.files import Readable
    from ssdseg_ref.data.sample import Sample
    from ssdseg_ref.own_data import Survey

IMAGENET = "imagenet"  # Keras's own weights of a backbone, as a thing to begin with
START = "photos"  # what a data set's network begins with unless told otherwise
HELD_OUT = 5  # every fifth image, where a data set has no validation split


class Preset(StrEnum):
    """The two configurations of the network."""

    LESSON = "lesson"
    REFERENCE = "reference"


class Backbone(StrEnum):
    """The two backbones."""

    MOBILENETV2 = "mobilenetv2"
    SHUFFLENETV2 = "shufflenetv2"


def train(
    folder: Annotated[
        Path, typer.Argument(help="Folder of this run, for its log, its checkpoints and the trained network.")
    ],
    preset: Annotated[
        Preset | None, typer.Option(help="Which configuration and recipe, for the Warehouse. Default: lesson.")
    ] = None,
    backbone: Annotated[
        Backbone | None, typer.Option(help="Which backbone, for the Warehouse. Default: mobilenetv2.")
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Train with your own functions from the lessons.")] = False,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A data set of your own, by its name or path, see `ssdseg data list`."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of that data set, to be trained on. Default: train, or the only one.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Of that data set, with commas between them. Default: all that it names.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NETWORK",
            help="What to begin with: a shipped network, an earlier run's folder, a .keras file, or imagenet. "
            f"Default: {START}.",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,HOST:PORT",
            help="Train on several machines at once: the addresses of all of them, the same list on each. Each listens "
            "on its own; what they send is neither encrypted nor authenticated.",
        ),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(metavar="R", help="Which of these this machine is, counted from 0.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Of a Dask cluster to train on, all workers at once, such as tcp://host:8786."
        ),
    ] = None,
) -> None:
    """Train the joint network on the Warehouse, or on data of your own; with the folder of a stopped run, resume it.

    \b
    ssdseg train runs/mine --data path/to/export
    ssdseg train runs/street --data pennfudan --from mobilenetv2
    ssdseg train runs/mine --workers 10.0.0.5:2222,10.0.0.6:2222 --rank 0
    ssdseg train runs/mine --scheduler tcp://10.0.0.5:8786
    """
    if (workers is None) != (rank is None):
        raise ValueError("--workers and --rank belong together: the addresses of all, and which of them this one is")
    if workers and scheduler:
        raise ValueError("--workers and --scheduler: either these machines or those of a cluster, not both")
    if data is None and (preset, backbone, split, classes, start, mine) == (None,) * 5 + (False,):
        begun = _as_noted(folder) or TrainingRun(Preset.LESSON.value, Backbone.MOBILENETV2.value)
    elif data is None:
        for option, value in (("--split", split), ("--classes", classes), ("--from", start)):
            if value is not None:
                raise ValueError(f"{option} is for data of your own, so say which by --data")
        begun = TrainingRun(str(preset or Preset.LESSON), str(backbone or Backbone.MOBILENETV2), mine)
    else:
        for option, given in (("--preset", preset is not None), ("--backbone", backbone is not None), ("--mine", mine)):
            if given:
                raise ValueError(f"{option} is for the Warehouse; with --data, --from says what network to begin with")
        begun = TrainingRun(data=_whole_path(data), split=split, classes=classes, start=_whole_path(start or START))
    if begun.mine and (workers or scheduler):
        raise ValueError("--mine is for one machine: your functions are on this one alone")
    if not folder.is_dir():
        must_be_writable(folder)  # or say so before anything is drawn
        folder.mkdir(parents=True)
    with locked(folder):
        _must_go_on_as_begun(folder, begun)
        if _has_finished(folder):
            _clear_up(folder)
            command = f"`ssdseg evaluate {folder}{_judged_on(begun)}`"
            print_plain(
                f"{folder}: this training has finished; {command} scores its network. "
                "To train again, use another folder."
            )
            return
        must_be_writable(folder)
        if scheduler:
            _train_on_cluster(folder, begun, scheduler)
            return
        with _stops_explained(folder, begun), _together(workers, rank, begun) as ring:
            if begun.data:
                _train_on_data(folder, begun, ring)
            else:
                _train(folder, begun, ring)


def _whole_path(name: str) -> str:
    """The name of a data set or a network, or its whole path: the same folder is meant wherever a training goes on."""
    from ssdseg_ref.config import SHIPPED

    path = Path(name)
    return str(path.resolve()) if path.exists() and name not in SHIPPED else name


def _judged_on(begun: "TrainingRun") -> str:
    """The options of `evaluate` for the images that say when a training stops."""
    if begun.data is None:
        return ""
    try:
        judged_by, _ = validation_of(begun.data, begun.split)
    except (ValueError, OSError):  # it is there no more
        judged_by = ""
    return f" --data {shlex.quote(begun.data)}" + (f" --split {shlex.quote(judged_by)}" if judged_by else "")


@contextmanager
def _together(workers: str | None, rank: int | None, begun: "TrainingRun") -> "Iterator[Ring | None]":
    """The ring of the machines that train, once all are there; None where there is this one alone."""
    if workers is None or rank is None:
        yield None
        return
    from ssdseg_course.digest import versions
    from ssdseg_ref.workers import joined

    def say(sentence: str) -> None:
        print_plain(sentence, console.errors)

    addresses = [address.strip() for address in workers.split(",")]
    with joined(addresses, rank, {**versions(), "set of options": begun.without_folders()}, say) as together:
        console.import_keras()
        from ssdseg_ref.averaging import Ring

        yield Ring(together, say)


def _train_on_cluster(folder: Path, begun: "TrainingRun", scheduler: str) -> None:
    """Let the workers of a Dask cluster train, and bring the network here."""
    console.import_keras()
    from ssdseg_course.cli.cluster_training import counted_on, train_on
    from ssdseg_course.cluster import same_everywhere
    from ssdseg_ref.training import RECIPES

    if not _as_noted(folder):
        _note(folder, begun)
    with _stops_explained(folder, begun), same_everywhere(scheduler) as client:
        if begun.data:
            batch_size = counted_on(client, partial(_batch_size, begun))
        else:
            batch_size = RECIPES[str(begun.preset)].batch_size
        train_on(client, folder, shlex.split(str(begun)), batch_size, print_plain)
    _clear_up(folder)
    print_plain(f"trained network: {folder / NETWORK_FILE}; `ssdseg evaluate {folder}{_judged_on(begun)}` scores it")


def _batch_size(begun: "TrainingRun") -> int:
    """Pictures of a step on a data set, as far as can be told before each of its images has been read."""
    from ssdseg_ref import own_data

    try:
        images = len(open_data(str(begun.data), begun.split, None, begun.classes).samples)
    except (ValueError, OSError):  # the training says why
        return own_data.BATCH_SIZE
    return own_data.fit_batch_size(max(1, images - images // HELD_OUT))


def _scores_it(ring: "Ring | None") -> bool:
    """Whether this machine scores the network, once all have it: the others would count the same."""
    if ring:
        ring.workers.finish()
    return ring is None or ring.workers.rank == 0


def _train(folder: Path, begun: "TrainingRun", ring: "Ring | None") -> None:
    """Train the preset that was begun, or the rest of it, save it, and score it."""
    console.import_keras()
    import keras

    from ssdseg_ref import multitask, training

    own = look_at_pieces() if begun.mine else None
    if own:
        console.output.print(pieces_table(own.pieces, "what a training can call"))
    _note(folder, begun)
    with own.in_place() if own else nullcontext():
        config = replace(multitask.preset(str(begun.preset), str(begun.backbone)))
        recipe = training.RECIPES[str(begun.preset)]
        samples, _ = open_samples(WAREHOUSE, recipe.split, config.image_size, None)
        validation, _ = open_samples(WAREHOUSE, "validation", config.image_size, None)
        keras.utils.set_random_seed(recipe.seed)
        network = multitask.build_network(config)
        done = training.finished_epochs(folder)
        console.output.print(
            f"{begun.preset} on {begun.backbone}: {network.count_params():,} parameters, "
            f"{len(config.anchors):,} anchors, {recipe.epochs} epochs of {len(samples):,} scenes"
            + (f", {done} of them done" if done else "")
        )
        training.train(network, config, recipe, samples, validation, folder, verbose=_verbose(), ring=ring)
        _keep(network, config, folder)
        if _scores_it(ring):
            score(network, config, "validation")
    if own:
        idle = [piece.exercise_id for piece in own.own if piece not in own.at_work]
        never = f"; right, but never called: {', '.join(idle)}" if idle else ""
        print_plain(f"{len(own.own) - len(idle)} of your functions were at work in it{never}")


class _Data(NamedTuple):
    """What a training on own data learns from."""

    classes: tuple[str, ...]
    has_masks: bool
    found: "Survey"
    training: Sequence["Sample"]
    validation: Sequence["Sample"]
    scored: Sequence["Sample"]  # the same as they are: kept in memory, large ones are smaller
    judges: str
    read: tuple["Readable", ...]


def _train_on_data(folder: Path, begun: "TrainingRun", ring: "Ring | None") -> None:
    """Fit a network to the data, train it or go on with that, save it, and score it."""
    console.import_keras()
    data = _look_at_data(begun)
    import keras

    from ssdseg_ref import own_data, training
    from ssdseg_ref.fitting import covered
    from ssdseg_ref.network import build_network

    source, base = _open_start(str(begun.start))
    noted = _as_noted(folder)
    if noted and noted.checksum not in (None, data.found.checksum):
        raise ValueError(
            f"{begun.data}: its images or labels are others than when the training in {folder} was begun; use another "
            "folder"
        )
    if ring:
        ring.workers.must_agree({"checksum of images and labels": data.found.checksum})
    _note(folder, replace(begun, checksum=data.found.checksum))
    config = own_data.fit_config(base, data.found, data.classes, data.has_masks)
    recipe = own_data.fit_recipe(len(data.training), data.found.statistics.class_weights)
    keras.utils.set_random_seed(recipe.seed)
    network = build_network(config)
    taken_over = _take_over(network, config, source, base, str(begun.start))
    samples = own_data.repeated(data.training, recipe.batch_size)
    height, width = config.image_size
    same = (config.scales, config.aspect_ratios) == (base.scales, base.aspect_ratios)
    boxes = count(len(data.found.boxes), "box", "boxes")
    print_plain(
        f"{count(len(data.training), 'image')} with {boxes or 'no boxes'} to learn from: {', '.join(data.classes)}\n"
        f"{count(len(data.validation), 'image')} to say when to stop: {data.judges}\n"
        f"pictures of {height} x {width}, {len(config.anchors):,} anchors "
        f"{f'as {begun.start} has them' if same else 'chosen from the boxes'}"
        + (f", which cover {covered(config, data.found.boxes):.3f} of them\n" if boxes else "\n")
        + f"at most {recipe.epochs} epochs of {len(samples) // recipe.batch_size:,} steps"
        + (f", {done} of them done" if (done := training.finished_epochs(folder)) else "")
    )
    if not data.has_masks:
        print_plain("there are boxes alone, so the mask head is not trained, and its masks mean nothing")
    if not boxes:
        print_plain("there are masks alone, so the network learns to find no boxes")
    training.train(
        network,
        config,
        recipe,
        samples,
        data.validation,
        folder,
        taken_over=taken_over,
        verbose=_verbose(),
        ring=ring,
    )
    _keep(network, config, folder)
    if _scores_it(ring):
        print_scores(network, config, data.scored, f"{count(len(data.scored), 'image')} of {data.judges}")
    must_have_read_all(*data.read)


def _look_at_data(begun: "TrainingRun") -> _Data:
    """Read all of it once, so that nothing ends the training half-way, and see what it asks for."""
    from ssdseg_ref import own_data
    from ssdseg_ref.data import registry
    from ssdseg_ref.data.files import LazySamples

    opened = open_data(str(begun.data), begun.split, None, begun.classes)
    all_of_it = readable(opened.samples)
    if len(all_of_it) == 0:
        raise ValueError(f"{begun.data}: there is no image to learn from")
    judged_by, judging = validation_of(str(begun.data), begun.split)
    read: tuple[Readable, ...]
    training: Sequence[Sample]
    validation: Sequence[Sample]
    scored: Sequence[Sample]
    if judging is not None and len(judging.samples):
        held_out = readable(registry.in_labels_of(judging, opened.classes).samples)
        read = (all_of_it, held_out)
        found = own_data.survey(console.tracked(all_of_it, "reading"), opened.classes)
        judges = own_data.survey(console.tracked(held_out, f"reading {judged_by}"), opened.classes)
        training, validation, scored = found.samples or all_of_it, judges.samples or held_out, held_out
    else:
        for _ in console.tracked(all_of_it, "reading"):
            pass
        read = (all_of_it,)
        places = range(len(all_of_it))
        apart = [place for place in places if place % HELD_OUT == HELD_OUT - 1] or list(places)
        rest = [place for place in places if place not in set(apart)] or list(places)
        judged_by = "every fifth image, which is not trained on" if len(rest) < len(places) else "those very images"
        training, scored = (LazySamples(part, all_of_it.__getitem__) for part in (rest, apart))
        found = own_data.survey(training, opened.classes)
        training = found.samples or training
        validation = own_data.survey(scored, opened.classes).samples or scored
    if len(found.boxes) == 0 and not any(found.statistics.pixel_shares[1:]):
        raise ValueError(
            f"{begun.data}: there is neither a box nor a mask of {', '.join(opened.classes)} to learn from"
        )
    return _Data(opened.classes, opened.has_masks, found, training, validation, scored, judged_by, read)


def _open_start(start: str) -> tuple["keras.Model", "Config"]:
    """The network that a training begins with, and its configuration.

    Raises:
        ValueError: if there is none, or it cannot be trained.
    """
    import keras

    from ssdseg_ref.config import REFERENCE
    from ssdseg_ref.mobilenetv2 import mobilenet_v2

    if start != IMAGENET:
        network, config = open_network(start)
        if not isinstance(network, keras.Model):
            raise ValueError(f"{start}: an exported network, which cannot be trained; begin with the run that it is of")
        return network, config
    try:
        published = mobilenet_v2((224, 224, 3), REFERENCE.alpha, include_top=False, weights=IMAGENET)
    except ConnectionError as error:
        raise ValueError(
            f"{' '.join(str(error).split())}; `--from {START}` needs no network, and has learned from photographs, too"
        ) from error
    return published, replace(REFERENCE, classes=("",))


def _take_over(network: "keras.Model", config: "Config", source: "keras.Model", base: "Config", name: str) -> set[str]:
    """Begin with what fits, and say so; the paths of what the source had learned."""
    from ssdseg_ref.adoption import adopt

    adopted: Adopted = adopt(network, config.classes, source, base.classes)
    anew = sorted({path.split("/")[0].split("_")[0] for path in adopted.anew})
    shared = [repr(known) for known in config.classes if known in base.classes]
    print_plain(
        f"from {name}: {len(adopted.whole):,} of {len(network.weights):,} weights"
        + (f", of {len(adopted.partly)} more what belongs to {', '.join(shared)}" if adopted.partly else "")
        + (f"; made anew: {len(adopted.anew)} of {', '.join(anew)}" if adopted.anew else "")
    )
    return {*adopted.whole, *adopted.partly}


def _verbose() -> int:
    return 1 if console.output.is_terminal else 2  # Keras's bar, or one line per epoch in a file


def _note(folder: Path, begun: "TrainingRun") -> None:
    write_whole(folder / RUN_FILE, json.dumps(begun.noted()) + "\n")


def _keep(network: "keras.Model", config: "Config", folder: Path) -> None:
    _save(network, config, folder / NETWORK_FILE)
    _clear_up(folder)
    console.output.print(f"trained network: {escape(str(folder / NETWORK_FILE))}", soft_wrap=True)


def _save(network: "keras.Model", config: "Config", path: Path) -> None:
    from ssdseg_ref.network import save_network

    try:
        with whole_file(path) as draft:
            save_network(network, config, draft)
    except (OSError, RuntimeError) as error:  # the latter from h5py
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{path}: cannot be written ({reason}); the training is kept, once there is room the same command saves it"
        ) from error


def _has_finished(folder: Path) -> bool:
    """Whether a whole network is there, which nothing may write over.

    Raises:
        ValueError: if it is there and cannot be this command's, or is not whole and cannot be saved again.
    """
    path = folder / NETWORK_FILE
    if not path.exists():
        return False
    if zipfile.is_zipfile(path):  # it looks for the end of the file
        if not (folder / RUN_FILE).exists():
            raise ValueError(f"{path}: the network of some other training; use another folder")
        return True
    if not any((folder / CHECKPOINTS).glob("*.json")):
        raise ValueError(f"{path}: cut off, or not a network; delete it, and the same command trains again")
    return False


def _clear_up(folder: Path) -> None:
    """Remove what a finished training no longer needs."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    sweep_files(folder)


@contextmanager
def _stops_explained(folder: Path, begun: "TrainingRun") -> Iterator[None]:
    """At Ctrl-C, or when another machine is lost, say what is kept and how to resume."""
    try:
        yield
    except WorkerLost as error:
        raise ValueError(f"{error}; the same commands on all machines go on from the last complete epoch") from error
    except KeyboardInterrupt:
        command = f"`ssdseg train {folder} {begun}`"
        if (folder / NETWORK_FILE).exists() and zipfile.is_zipfile(folder / NETWORK_FILE):
            words = f"stopped; the training has finished, its network is {folder / NETWORK_FILE}"
        elif records := sorted((folder / CHECKPOINTS).glob("*.json")):
            epochs = int(records[-1].stem)
            words = f"stopped; {count(epochs, 'complete epoch')} kept in {folder}: {command} resumes from there"
        else:
            words = f"stopped before the first epoch was complete; {command} starts again"
        print_plain(words, console.errors)
        raise typer.Exit(130) from None


@dataclass(frozen=True)
class TrainingRun:
    """What a training was begun with; another network cannot go on from its checkpoints.

    Attributes:
        preset: of the network, where it learns the Warehouse.
        backbone: of that network.
        mine: whether with the learner's functions.
        data: the data set, where it is another one.
        split: of that data set.
        classes: of that data set.
        start: what its network begins with.
        checksum: of what it learns from.
    """

    preset: str | None = None
    backbone: str | None = None
    mine: bool = False
    data: str | None = None
    split: str | None = None
    classes: str | None = None
    start: str | None = None
    checksum: str | None = None

    def noted(self) -> dict[str, str | bool]:
        """As it stands in the run's folder."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def without_folders(self) -> str:
        """The same with mere names of what may lie elsewhere on another machine."""
        data, start = (value and Path(value).name for value in (self.data, self.start))
        return str(replace(self, data=data, start=start))

    def __str__(self) -> str:
        options = {"preset": self.preset, "backbone": self.backbone, "data": self.data, "split": self.split}
        options |= {"classes": self.classes, "from": self.start}
        words = [f"--{name} {shlex.quote(value)}" for name, value in options.items() if value is not None]
        return " ".join([*words, *(["--mine"] if self.mine else [])])


def _as_noted(folder: Path) -> TrainingRun | None:
    """What a training was begun with; None before it began.

    Raises:
        ValueError: if nothing says so any more.
    """
    path = folder / RUN_FILE
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(
            f"{path}: damaged; delete it and go on with the options that the training was begun with, or use another "
            "folder"
        ) from error
    kinds = ({"preset", "backbone", "mine"}, {"data", "start", "mine"})
    if not isinstance(noted, dict) or not any(kind <= set(noted) <= set(asdict(TrainingRun())) for kind in kinds):
        raise ValueError(f"{path}: written by another version of the course; use another folder")
    return TrainingRun(**noted)


def _must_go_on_as_begun(folder: Path, wanted: TrainingRun) -> None:
    noted = _as_noted(folder)
    if noted and replace(noted, checksum=None) != replace(wanted, checksum=None):
        raise ValueError(
            f"{folder}: holds a training that was begun with {noted}; go on with these, or use another folder"
        )
