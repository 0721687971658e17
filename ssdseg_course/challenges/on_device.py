"""Challenge 9: the best score for the time that a network takes on one thread, as LiteRT runs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ssdseg_course.challenges.challenge import LEARNERS, Mark, Refused, Score, Scored
from ssdseg_course.challenges.joint import joint_score
from ssdseg_course.challenges.scenes import hidden_scenes
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.settings import number, one_of, read_settings, run_settings, several, whole
from ssdseg_course.checking.values import Plain
from ssdseg_course.export.tracing import must_be_installed
from ssdseg_course.lazy import LazyModule
from ssdseg_course.words import filled
from ssdseg_course.work.timing import Timing, duration, in_turn
from ssdseg_ref import evaluation
from ssdseg_ref.config import SHIPPED, Config
from ssdseg_ref.data.sample import CLASSES
from ssdseg_ref.data.warehouse import SPLITS, render
from ssdseg_ref.prediction import Predictor

litert = LazyModule("ssdseg_course.export.litert")

JUDGED = 100  # hidden scenes
SIZE = (216, 288)  # of the hidden pictures, that of the large networks; others get them enlarged or reduced
BASELINE = "shufflenetv2"  # in float32: whose time counts as one
PRICE = 5.0  # points for each doubling of the time, as in the lesson
SECONDS_OF_TIMING = 4.0
MOST_CALIBRATION = 200
NETWORKS = ("lesson", "mobilenetv2", "shufflenetv2")

OWN_FILE = "an exported folder or .tflite"
OF_A_NETWORK = {
    "image_size": several(whole(64, 512), 2, 2),
    "bits": one_of(32, 16, 8),
    "weights_only": one_of(True, False),
    "calibration": whole(1, MOST_CALIBRATION),
}
OF_ALL = {
    "network": lambda name, value: _name(name, value),
    "iou_threshold": number(0.05, 0.95),
    "score_threshold": number(0.001, 0.9),
    "max_detections": whole(1, 300),
    "gate_pixels": whole(0, 10_000),
}


@dataclass(frozen=True)
class Candidate:
    """What an answer stands for.

    Attributes:
        run: has `predict_on_batch`: the file, on one thread.
        config: of its network.
        predicting: what `Predictor` takes besides.
        note: what it is.
    """

    run: Any
    config: Config
    predicting: dict[str, Any]
    note: str


def cases(_first: int) -> list[Arguments]:
    """The one case: the answer takes nothing."""
    return [()]


def judge(first: int, results: Sequence[Plain]) -> Score:
    """Points of a candidate: its scores, less the price of its time.

    Raises:
        Refused: if it is none, or LiteRT is not installed.
    """
    try:
        must_be_installed("ai_edge_litert")
        candidate = read_candidate(results[0], own_files=first == LEARNERS)
        scenes = hidden_scenes(first, JUDGED, SIZE)
        found = evaluation.predict(Predictor(candidate.run, candidate.config, **candidate.predicting), scenes)
        times = in_turn([_look(candidate.run, candidate.config), _look(*_baseline())], SECONDS_OF_TIMING)
    except (ValueError, OSError) as error:
        raise Refused(str(error)) from error
    return priced(joint_score(found, scenes, lambda scores: scores.mean_ap, candidate.note), *times)


def priced(score: Score, own: Timing, baseline: Timing) -> Score:
    """A score less five points for each doubling of the time; its spread is that of both.

    Args:
        score: of what is found.
        own: the candidate's time.
        baseline: in turns with it.
    """
    price = PRICE * np.log2(own.median / baseline.median)
    of_time = [PRICE * np.log2(time / own.median) for time in (own.low, own.high)]
    low = np.hypot(score.value - score.low, of_time[1])
    high = np.hypot(score.high - score.value, of_time[0])
    value = float(score.value - price)
    note = f"{duration(own.median)}, {BASELINE} {duration(baseline.median)}; {score.note}"
    return Score(value, value - float(low), value + float(high), note)


def read_candidate(result: Plain, own_files: bool) -> Candidate:
    """The file that settings stand for, made or found.

    Args:
        result: what `run_settings` gave.
        own_files: whether a file of the learner's may be opened.

    Raises:
        ValueError, OSError: if they stand for none.
    """
    given = read_settings(result, {**OF_ALL, **OF_A_NETWORK})
    name = given.pop("network", BASELINE)
    predicting = {key: value for key, value in given.items() if key in OF_ALL}
    making = {key: value for key, value in given.items() if key in OF_A_NETWORK}
    if name in NETWORKS:
        return _made(name, making, predicting)
    if not own_files:
        raise ValueError(
            f"in a class table the network is one of {', '.join(NETWORKS)}: {name!r} is a file of your own"
        )
    if making:
        raise ValueError(f"{name}: {next(iter(making))} was chosen when it was exported, so leave it out here")
    from ssdseg_course.export.folder import open_export

    if not Path(name).exists():
        raise ValueError(
            f"{name}: neither {', '.join(NETWORKS)}, nor a folder or file that `ssdseg export` has written"
        )
    run, config = open_export(Path(name))
    if not isinstance(run, litert.LiteRTNetwork):
        raise ValueError(f"{name}: export it with `--to litert`, for LiteRT measures it")
    if config.classes != CLASSES:
        raise ValueError(f"{name}: knows {', '.join(config.classes)}, and {', '.join(CLASSES)} are looked for")
    return Candidate(run, config, predicting, str(name))


def _made(name: str, making: dict[str, Any], predicting: dict[str, Any]) -> Candidate:
    """A shipped network, converted."""
    from ssdseg_course.quiet import import_keras

    import_keras()
    from ssdseg_ref.network import build_network, load_network

    config = replace(SHIPPED[name], image_size=making.get("image_size", SHIPPED[name].image_size))
    network = build_network(config)
    network.set_weights(load_network(name).get_weights())  # kernels do not ask how large a picture is
    bits, weights_only = making.get("bits", 32), making.get("weights_only", False)
    calibration = None
    if bits == 8 and not weights_only:
        seeds = SPLITS["train"][: making.get("calibration", 100)]
        calibration = np.stack([render(seed, config.image_size).image for seed in seeds])
    content = litert.convert(network, bits, calibration, weights_only and bits == 8)
    height, width = config.image_size
    kept = f"weights in {bits} bits" if weights_only else f"{bits} bits"
    return Candidate(litert.LiteRTNetwork(content), config, predicting, f"{name}, {height} x {width}, {kept}")


@cache
def _baseline() -> tuple[Any, Config]:
    candidate = _made(BASELINE, {}, {})
    return candidate.run, candidate.config


def _look(run: Any, config: Config) -> Any:
    """A call without arguments: the network looks at a picture."""
    picture = np.zeros((1, *config.image_size, 3), np.float32)
    return lambda: run.predict_on_batch(picture)


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {', '.join(NETWORKS)}, or {OWN_FILE}, got {value!r}")
    return value


ON_DEVICE = Scored(
    number="09",
    title="Score against milliseconds",
    task=filled(
        f"""\
Write `my_candidate()`: it returns a dict that says which network runs, such as
`{{"network": "shufflenetv2", "bits": 8}}`. `network` is {", ".join(NETWORKS)}, or the path of a network of your own
that `ssdseg export ... --to litert` has written: trained on smaller pictures, narrower, pruned. Of a shipped one
you choose {", ".join(OF_A_NETWORK)}; of any {", ".join(list(OF_ALL)[1:])}.

LiteRT runs it on one thread, one picture at a time, in turns with `{BASELINE}` in 32 bits on the same machine. What
is counted is the processor's time for the network alone.

The score is the mean of mAP@[.5:.95] and mIoU, in percent, over {JUDGED} scenes that you have not seen, less
{PRICE:g} points for each doubling of the time beside `{BASELINE}`; half of its time brings {PRICE:g} points. In
brackets: where half of the scores would lie with other scenes and in other rounds. What differs by less is not
different."""
    ),
    name="my_candidate",
    unit="points",
    higher_is_better=True,
    # Again: `python tests/benchmarks/challenges.py 9`. Times are of two cores of an AMD EPYC, which has VNNI.
    marks=(
        Mark("a clever one", 91.3, "mobilenetv2 in 8 bits, 0.71 of the time; mAP 0.844, mIoU 0.932"),
        Mark("mobilenetv2", 86.6, "in 32 bits, 1.34 times the time; mAP 0.842, mIoU 0.932"),
        Mark("the baseline", 85.5, "shufflenetv2 in 32 bits; mAP 0.789, mIoU 0.921"),
        Mark("lesson", 84.5, "in 32 bits, 0.27 of the time; mAP 0.677, mIoU 0.824"),
        Mark("the start answer", 62.1, "shufflenetv2 on 176 x 240 pixels, 0.68 of the time; mAP 0.298, mIoU 0.888"),
    ),
    cases=cases,
    judge=judge,
    run=run_settings,
    digits=1,
)

CHALLENGES = (ON_DEVICE,)
