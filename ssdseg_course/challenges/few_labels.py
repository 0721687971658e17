"""Challenge 10: ten labelled pictures of another world, for a network of drawings; which, and how does it learn?"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ssdseg_course.challenges.challenge import LEARNERS, SEEDS, Mark, Refused, Score, Seeded
from ssdseg_course.challenges.scenes import middle_half_of
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.settings import number, one_of, read_settings, run_settings, several, whole
from ssdseg_course.checking.values import Plain
from ssdseg_course.words import filled
from ssdseg_ref import evaluation
from ssdseg_ref.config import LESSON
from ssdseg_ref.data.photographs import penn_fudan
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.data.styles import stand_ins
from ssdseg_ref.data.warehouse import SPLITS
from ssdseg_ref.prediction import Predictor

LABELS = 10
POOL = 100  # pictures that the ten are chosen from, those that the lesson learns from
JUDGED = 60  # hidden pictures
SCENES_A_PICTURE = 4  # that are looked at, at most, for one that shows a person
STEPS, BATCH = 80, 8  # as in the lesson
EMA = 0.95
MOMENTUM = 0.9  # of all batch normalisations, as in the lesson
PEOPLE = replace(LESSON, classes=("person",))

STAGES = ("stem", *(f"stage{number}" for number in range(1, 8)))
AUGMENTATIONS = ("none", "zoom", "strong")
SETTINGS = {
    "pictures": several(whole(0, POOL - 1), LABELS, LABELS),
    "rate": number(0, 0.05),
    "decay": number(0, 1),
    "frozen": whole(0, len(STAGES)),
    "heads_rate": number(0, 0.05),
    "new_statistics": one_of(True, False),
    "augmentation": one_of(*AUGMENTATIONS),
    "zoom_share": number(0, 1),
    "person_weight": number(0.1, 20),
    "weight_decay": number(0, 0.1),
    "warmup": number(0, 0.9),
}


@lru_cache(maxsize=1)
def pool() -> list[Sample]:
    """The pictures that the ten are chosen from."""
    return stand_ins(SPLITS["train"], POOL)


@lru_cache(maxsize=1)
def hidden(first: int) -> list[Sample]:
    """Pictures that no lesson shows."""
    return stand_ins(range(first, first + SCENES_A_PICTURE * JUDGED), JUDGED)


@lru_cache(maxsize=1)
def photographs(first: int) -> tuple[list[Sample], list[Sample]] | None:
    """Penn-Fudan's, to choose from and to be judged by: for learners who have all of them, beside the score."""
    try:
        found = penn_fudan(PEOPLE.image_size) if first == LEARNERS else None
    except (ValueError, OSError):  # `ssdseg data check` says what is wrong with them
        return None
    return (found[0][:POOL], found[1]) if found and len(found[0]) >= POOL and found[1] else None


def cases(first: int, _seed: int) -> list[Arguments]:
    """The pool's pictures, without labels; and a hundred photographs, where they are."""
    found = photographs(first)
    pools = [pool(), found[0]] if found else [pool()]
    return [(np.stack([sample.image for sample in pictures]),) for pictures in pools]


def judge(first: int, seed: int, results: Sequence[Plain]) -> Score:
    """Train as the settings say, and give AP@.5 of people, in percent.

    Raises:
        Refused: if they are no settings, or the training fails.
    """
    try:
        score = _of_plan(_plan(results[0]), pool(), hidden(first), seed)
    except (ValueError, OSError) as error:
        raise Refused(str(error)) from error
    if not (found := photographs(first)):
        return score
    try:
        told = f"{_of_plan(_plan(results[1]), *found, seed).value:.1f}"
    except (ValueError, OSError) as error:  # that costs nobody the score
        told = str(error)
    return replace(score, note=f"{score.note}; the same plan on Penn-Fudan's photographs: {told}")


def _plan(result: Plain) -> dict[str, Any]:
    """The settings that an answer gave.

    Raises:
        ValueError: if they are none.
    """
    given = read_settings(result, SETTINGS)
    if len(set(given.get("pictures", range(LABELS)))) != LABELS:
        raise ValueError(f"pictures are {LABELS} different ones, got {given['pictures']}")
    return given


def _of_plan(given: dict[str, Any], chosen_from: Sequence[Sample], judged: Sequence[Sample], seed: int) -> Score:
    """What a training by these settings comes to.

    Raises:
        ValueError, OSError: if it fails.
    """
    return scored(trained(given, chosen_from, seed=seed), judged, given)


def scored(network: Any, samples: Sequence[Sample], given: dict[str, Any]) -> Score:
    """AP@.5 of people, in percent.

    Args:
        network: for people.
        samples: to be judged by.
        given: the settings, for the note.
    """
    found = evaluation.predict(Predictor(network, PEOPLE, gate_pixels=0), samples)

    def of(chosen: Sequence[int]) -> evaluation.Scores:
        return evaluation.judge([found[k] for k in chosen], [samples[k] for k in chosen], PEOPLE.classes)

    scores = of(range(len(samples)))
    low, high = middle_half_of(lambda chosen: of(chosen.tolist()).mean_ap50, len(samples))
    told = ", ".join(f"{name} {value}" for name, value in given.items() if name != "pictures")
    note = f"IoU of the mask {scores.mean_iou:.2f}" + (f"; {told}" if told else "")
    return Score(100 * scores.mean_ap50, 100 * low, 100 * high, note)


def trained(given: dict[str, Any], pictures: Sequence[Sample], steps: int = STEPS, seed: int = SEEDS[0]) -> Any:
    """A network for people, taken over from the one that knows drawings, and trained on ten pictures.

    Args:
        given: the settings; those that are left out are as in the lesson.
        pictures: that the ten are chosen from.
        steps: of the training.
        seed: of the layers that are new, and of the order of the pictures.

    Raises:
        ValueError: if it diverges.
    """
    from ssdseg_course.quiet import import_keras

    import_keras()
    import keras

    from ssdseg_ref.data.pipeline import batches
    from ssdseg_ref.fused import fused_twin
    from ssdseg_ref.training import JointTraining, Recipe, optimizer

    samples = [pictures[index] for index in given.get("pictures", range(LABELS))]
    network = _begun(samples if given.get("new_statistics", False) else [], seed)
    rates = rates_of(given)
    for layer in network.layers:
        layer.trainable = rates[_part(layer.name)] > 0
    if steps and any(layer.trainable and layer.trainable_weights for layer in network.layers):
        recipe = Recipe(
            epochs=1,
            learning_rate=max(rates.values()),
            weight_decay=given.get("weight_decay", 1e-4),
            warmup=given.get("warmup", 0.08),
            ema_momentum=EMA,
            class_weights=(1.0, given.get("person_weight", 2.0)),
        )
        twin = fused_twin(network)
        trainer = JointTraining(twin, PEOPLE, recipe.class_weights)
        shares = [rates[_part(weight.path)] / recipe.learning_rate for weight in twin.trainable_variables]
        learner = optimizer(recipe, steps)
        trainer.compile(optimizer=learner, jit_compile=False)
        learner.build(twin.trainable_variables)
        learner.shares = shares
        augmentation = given.get("augmentation", "none")
        print(f"training {steps} steps of {BATCH} pictures", flush=True)
        history = trainer.fit(
            batches(
                samples,
                PEOPLE,
                BATCH,
                seed=seed,
                zoom_share=given.get("zoom_share", 0.5) if augmentation == "zoom" else 0.0,
                strong=augmentation == "strong",
            ),
            steps_per_epoch=steps,
            shuffle=False,
            callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
            verbose=0,
        )
        if not np.isfinite(history.history["loss"][-1]):
            raise ValueError("the training diverged: its loss is no number any more; try a smaller rate")
        network.set_weights(twin.get_weights())
    return network


def rates_of(given: dict[str, Any]) -> dict[str, float]:
    """The learning rate of each part, by its name: the backbone's stages, and "heads", which is all that is above.

    Args:
        given: the settings.
    """
    rate, decay = given.get("rate", 2e-3), given.get("decay", 1.0)
    depth = len(STAGES)
    rates = {stage: rate * decay ** (depth - place) for place, stage in enumerate(STAGES)}
    rates |= dict.fromkeys(STAGES[: given.get("frozen", 0)], 0.0)
    return {**rates, "heads": given.get("heads_rate", rate)}


def _part(name: str) -> str:
    """The part of the network that a layer or a weight belongs to."""
    first = name.split("/")[0].split("_")[0]
    return first if first in STAGES else "heads"


def _begun(samples: Sequence[Sample], seed: int) -> Any:
    """A network for people with all that the one of drawings has learned, and with the statistics of some pictures."""
    import keras

    from ssdseg_ref.adoption import adopt
    from ssdseg_ref.network import build_network, load_network

    keras.utils.set_random_seed(seed)
    network = build_network(PEOPLE)
    adopt(network, PEOPLE.classes, load_network("lesson"), LESSON.classes)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    if samples:
        images = np.stack([sample.image for sample in samples])
        for _ in range(LABELS):
            network(images, training=True)
    return network


OTHERS = ("new_statistics", "zoom_share", "person_weight", "weight_decay", "warmup")
FEW_LABELS = Seeded(
    number="10",
    title="Ten labels",
    task=filled(
        f"""\
Write `my_plan(pictures)`: it gets {POOL} pictures, ({POOL}, height, width, 3), without labels, and returns a dict
that says which {LABELS} of them shall be labelled and how the drawings' network learns from them, such as
`{{"pictures": [3, 14, ...], "rate": 0.001, "augmentation": "strong"}}`. What you leave out is as in the lesson's
training "all", with the first {LABELS} pictures.

`rate` is that of the deepest layers; each step towards the input multiplies it by `decay`, as in section 5, and the
first `frozen` of the {len(STAGES)} parts of the backbone do not learn at all. `heads_rate` lets the heads learn at a
rate of their own. `augmentation` is {", ".join(AUGMENTATIONS)}. There are also {", ".join(OTHERS)}.

The course trains {STEPS} steps of {BATCH}, half a minute on two cores. The score is AP@.5 of people, in percent, in
{JUDGED} pictures that you have not seen. They are always stand-ins, so that everybody's scores can be compared.
Where Penn-Fudan is (`ssdseg data get pennfudan`), `my_plan` is asked once more, with {POOL} of its photographs, and
what that reaches in others of them is told beside the score. In brackets: where half of the scores would lie with
other pictures. What differs by less is not different."""
    ),
    name="my_plan",
    unit="%",
    higher_is_better=True,
    marks=(  # again: `python tests/benchmarks/challenges.py 10`
        Mark("the limit", 38.4, "labels for all 100, in as many steps, all layers at 0.002"),
        Mark("strong augmentation", 28.4, "the first ten, all layers at 0.004, new statistics"),
        Mark("ten that differ", 23.2, "farthest apart when shrunk to 8 x 8 pixels; at other rates: 0.003, heads 0.006"),
        Mark("the start answer", 23.1, "the first ten, all layers at 0.002"),
        Mark("heads alone", 12.3, "the same ten, the backbone frozen"),
        Mark("nothing learned", 9.8, "the network of drawings as it is"),
    ),
    cases=cases,
    judge=judge,
    run=run_settings,
    digits=1,
)

CHALLENGES = (FEW_LABELS,)
