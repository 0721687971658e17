"""Challenge 8: the best joint score in eight minutes, by the shape of the network and the recipe of its training."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssdseg_course.challenges.challenge import SEEDS, Mark, Refused, Score, Seeded
from ssdseg_course.challenges.scenes import hidden_scenes, middle_half_of
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.settings import number, one_of, read_settings, run_settings, several, whole
from ssdseg_course.checking.values import Plain
from ssdseg_course.words import filled
from ssdseg_ref import evaluation
from ssdseg_ref.config import LESSON, Config
from ssdseg_ref.data import warehouse
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.data.splits import home
from ssdseg_ref.prediction import Prediction, Predictor

JUDGED = 150  # hidden scenes
SCENES = 2000  # of the split that is learned from
MOST_PARAMETERS = 1_000_000
WORK = 107_607_232  # multiply-adds of the lesson's network for a picture
EPOCHS = 7  # of that network; another has as many as its multiply-adds leave it
MOST_EPOCHS = 14  # of a network that is very small: reading and augmenting pictures takes time, too

SHAPE = {
    "backbone": one_of("mobilenetv2", "shufflenetv2"),
    "alpha": number(0.1, 2),
    "width": one_of("0.5", "1.0", "1.5", "2.0"),
    "image_size": several(whole(64, 320), 2, 2),
    "extra_channels": several(whole(8, 256), 0, 2),
    "scales": several(number(0.01, 1.5), 4, 6),
    "aspect_ratios": lambda name, value: _ratios(name, value),
    "aspp_rates": several(whole(1, 12), 0, 4),
    "mask_channels": whole(8, 256),
    "low_level_channels": whole(4, 128),
    "fine_channels": whole(0, 128),
    "shared_channels": whole(0, 256),
}
RECIPE = {
    "batch_size": whole(4, 64),
    "learning_rate": number(1e-5, 0.1),
    "weight_decay": number(0, 0.1),
    "warmup": number(0, 0.9),
    "ema_momentum": number(0, 0.9999),
    "class_weights": several(number(0, 100), 4, 4),
    "zoom_share": number(0, 1),
    "strong": one_of(True, False),
    "giou_weight": number(0, 100),
    "iou_aware": one_of(True, False),
    "muon_rate": number(0, 1),
}


@dataclass(frozen=True)
class Trained:
    """What an answer's training is.

    Attributes:
        config: of the network.
        recipe: as `ssdseg_ref.training.Recipe` takes it; that module imports Keras.
        parameters: of the network.
        work: its multiply-adds for a picture.
    """

    config: Config
    recipe: dict[str, Any]
    parameters: int
    work: int


def cases(_first: int, _seed: int) -> list[Arguments]:
    """The one case: the answer takes nothing."""
    return [()]


def judge(first: int, seed: int, results: Sequence[Plain]) -> Score:
    """Train what the settings say, and score it.

    Raises:
        Refused: if they are none, or the network is too large.
    """
    try:
        planned = plan(results[0], seed)
        network = trained_network(planned)
        scenes = hidden_scenes(first, JUDGED)
        found = evaluation.predict(Predictor(network, planned.config), scenes)
    except (ValueError, OSError) as error:
        raise Refused(str(error)) from error
    return joint_score(found, scenes, lambda scores: scores.mean_ap50, _note(planned))


def plan(result: Plain, seed: int = SEEDS[0]) -> Trained:
    """The network and the training that settings stand for.

    Args:
        result: what `run_settings` gave.
        seed: of the training.

    Raises:
        ValueError: if they stand for none, or for one that is too large.
    """
    from ssdseg_course.checking.fair_training import multiply_adds
    from ssdseg_course.quiet import import_keras

    given = read_settings(result, {**SHAPE, **RECIPE})
    config = replace(LESSON, **{name: value for name, value in given.items() if name in SHAPE})
    maps = len(config.strides)
    if len(config.scales) != maps + 1:
        raise ValueError(f"with {maps} maps there are {maps + 1} scales, got {len(config.scales)}")
    if list(config.scales) != sorted(config.scales):
        raise ValueError(f"scales grow from the finest map to the coarsest, got {config.scales}")
    if len(set(config.aspp_rates)) != len(config.aspp_rates):
        raise ValueError(f"aspp_rates differ from one another, got {config.aspp_rates}")
    import_keras()
    from ssdseg_ref.network import build_network

    network = build_network(config)
    parameters, work = network.count_params(), multiply_adds(network)
    if parameters > MOST_PARAMETERS:
        raise ValueError(f"the network has {parameters:,} parameters, and {MOST_PARAMETERS:,} are allowed")
    if work > EPOCHS * WORK:
        raise ValueError(
            f"the network takes {work:,} multiply-adds a picture: with as many as all pictures together may cost, it "
            "cannot see each scene once"
        )
    recipe = {name: value for name, value in given.items() if name in RECIPE}
    return Trained(config, {**recipe, "epochs": epochs_of(work), "seed": seed}, parameters, work)


def epochs_of(work: int) -> int:
    """How many times a network may see each scene: all have the same multiply-adds, of all pictures together.

    Args:
        work: its multiply-adds for a picture.
    """
    return int(min(EPOCHS * WORK // work, MOST_EPOCHS))


def trained_network(planned: Trained, scenes: int = SCENES, validation: int = 300) -> Any:
    """Train, or find what has been trained before with the same settings; one that was interrupted goes on.

    Args:
        planned: what.
        scenes: how many are learned from.
        validation: how many say which epoch is the best.

    Raises:
        ValueError, OSError: as `ssdseg_ref.training.train`.
    """
    import keras

    from ssdseg_ref.network import build_network
    from ssdseg_ref.training import Recipe, train

    settings = {"config": asdict(planned.config), "recipe": planned.recipe, "scenes": [scenes, validation]}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(home()) / "challenges" / f"08-{digest}"
    keras.utils.set_random_seed(planned.recipe["seed"])
    network = build_network(planned.config)
    learned, judged = (
        _scenes(split, count, planned.config.image_size)
        for split, count in (("train", scenes), ("validation", validation))
    )
    train(network, planned.config, Recipe(**planned.recipe), learned, judged, folder, verbose=2)
    return network


def _scenes(split: str, count: int, size: tuple[int, int]) -> Sequence[Sample]:
    """The first scenes of a split. Those of another size than the lesson's are drawn for this once: kept, those of all
    sizes that may be asked for would fill a disk."""
    if size == LESSON.image_size:
        kept = warehouse.split(split, size)
        return [kept[index] for index in range(count)]
    return [warehouse.render(seed, size) for seed in warehouse.SPLITS[split][:count]]


def joint_score(
    found: Sequence[Prediction], scenes: Sequence[Sample], precision: Callable[[evaluation.Scores], float], note: str
) -> Score:
    """The mean of a mean average precision and mIoU, in percent.

    Args:
        found: what a network finds.
        scenes: what is there.
        precision: which of the average precisions.
        note: what the network is.
    """

    def of(chosen: np.ndarray) -> tuple[float, float]:
        scores = evaluation.judge([found[k] for k in chosen], [scenes[k] for k in chosen], LESSON.classes)
        return precision(scores), scores.mean_iou

    mean_ap, mean_iou = of(np.arange(len(scenes)))
    low, high = middle_half_of(lambda chosen: float(np.mean(of(chosen))), len(scenes))
    return Score(50 * (mean_ap + mean_iou), 100 * low, 100 * high, f"mAP {mean_ap:.3f}, mIoU {mean_iou:.3f}; {note}")


def _note(planned: Trained) -> str:
    epochs = planned.recipe["epochs"]
    return f"{planned.parameters:,} parameters, {planned.work / 1e6:.0f} million multiply-adds, {epochs} epochs"


def _ratios(name: str, value: Any) -> Any:
    """Aspect ratios: for all maps, or for each."""
    row = several(number(0.05, 20), 0, 6)
    nested = isinstance(value, list) and any(isinstance(one, list) for one in value)
    return several(row, 3, 5)(name, value) if nested else row(name, value)


JOINT = Seeded(
    number="08",
    title="The best network in eight minutes",
    task=filled(
        f"""\
Write `my_training()`: it returns a dict of what differs from `LESSON` and from a plain recipe, such as
`{{"learning_rate": 0.004, "alpha": 0.35}}`. Of the network: {", ".join(list(SHAPE)[:6])},
{", ".join(list(SHAPE)[6:])}. Of the training: {", ".join(list(RECIPE)[:5])}, {", ".join(list(RECIPE)[5:])}. What
you leave out is as in `LESSON`; of the training: batches of 16, learning_rate 0.0025, weight_decay 0.0001, warmup 0.08,
ema_momentum 0.99, all class_weights 1, giou_weight 1, no zooms, no Muon, and scores that know nothing of their boxes.
(Lesson 8 had more of these; here you choose.)

The network has at most {MOST_PARAMETERS:,} parameters. The course trains it on the {SCENES:,} scenes of the
training split. All answers have the same budget, and it is not in seconds, so that a busy machine harms nobody: the
multiply-adds of the lesson's network for {EPOCHS} epochs, about eight minutes on two cores. A network of half the
work may see each scene twice as often, up to {MOST_EPOCHS} times; the number of epochs follows from that. What has
been trained is kept, and found again.

The score is the mean of mAP@.5 and mIoU, in percent, over {JUDGED} scenes that you have not seen. In brackets: where
half of the scores would lie with other scenes. What differs by less is not different."""
    ),
    name="my_training",
    unit="%",
    higher_is_better=True,
    marks=(  # again: `python tests/benchmarks/challenges.py 8`, half an hour
        Mark(
            "what three hours bring",
            95.0,
            "`mobilenetv2`: 2.4 million parameters, larger pictures, 177 minutes of training; mAP 0.977, mIoU 0.923",
        ),
        Mark("the course's own", 88.0, "`lesson`: twenty epochs instead of seven; mAP 0.933, mIoU 0.826"),
        Mark("a clever one", 83.4, "within the budget: Muon at 0.02, batches of 8, lesson 8's losses; mAP 0.886"),
        Mark("the start answer", 73.7, "within the budget: AdamW at 0.003, rare classes weigh more; mAP 0.775"),
        Mark("blind", 0.0, "background everywhere, and no box"),
    ),
    cases=cases,
    judge=judge,
    run=run_settings,
    digits=1,
)

CHALLENGES = (JOINT,)
