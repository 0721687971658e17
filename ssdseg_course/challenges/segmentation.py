"""Challenge 7: the best mIoU from a frozen backbone, with a decoder that is trained for two minutes."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ssdseg_course.challenges.challenge import Mark, Refused, Score, Seeded
from ssdseg_course.challenges.scenes import hidden_scenes, middle_half_of
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.trained import DECODER_BATCH, DECODER_LIMITS, STRIDES, backbone_of, run_decoder
from ssdseg_course.checking.values import Plain
from ssdseg_course.words import filled
from ssdseg_ref.data.sample import CLASSES, IMAGE_SIZE
from ssdseg_ref.data.splits import cached_split
from ssdseg_ref.data.warehouse import render
from ssdseg_ref.metrics import class_ious, confusion_matrix, known_mean

LEARNED = range(4_001_000, 4_001_160)  # seeds of the scenes that are learned from
JUDGED = 100  # hidden scenes
STEPS = 600
SECONDS = 800.0  # of work: the dearest decoder that is allowed takes about two minutes on two quiet cores


def cases(first: int, seed: int) -> list[Arguments]:
    """The one case: see `run_decoder`."""
    learned = list(cached_split("challenge-masks", LEARNED, IMAGE_SIZE, render))
    images, masks = (np.stack([getattr(scene, part) for scene in learned]) for part in ("image", "mask"))
    judged = np.stack([scene.image for scene in hidden_scenes(first, JUDGED)])
    return [(_weights(), images, masks, judged, len(CLASSES) + 1, STEPS, seed)]


@lru_cache(maxsize=1)
def _weights() -> np.ndarray:
    """Of the shipped network's backbone, all in a row."""
    from ssdseg_course.quiet import import_keras

    import_keras()
    from ssdseg_ref.network import load_network

    by_name = {weight.path: np.asarray(weight) for weight in load_network("lesson").weights}
    return np.concatenate([by_name[weight.path].ravel() for weight in backbone_of(IMAGE_SIZE).weights])


def judge(first: int, _seed: int, results: Sequence[Plain]) -> Score:
    """mIoU of the hidden scenes, in percent."""
    return mean_iou(results[0], [scene.mask for scene in hidden_scenes(first, JUDGED)])


def mean_iou(result: Plain, masks: Sequence[np.ndarray]) -> Score:
    """mIoU of the classes, background left out, in percent.

    Args:
        result: classes (M, H, W), and (2,) parameters and multiply-adds.
        masks: M of (H, W), the truth.

    Raises:
        Refused: if these are no such numbers.
    """
    guessed, costs = _parts(result, (len(masks), *masks[0].shape))
    tables = np.stack(
        [confusion_matrix([mask], [guess], len(CLASSES)) for mask, guess in zip(masks, guessed, strict=True)]
    )
    ious = class_ious(tables.sum(axis=0))[1:]
    low, high = middle_half_of(lambda chosen: known_mean(class_ious(tables[chosen].sum(axis=0))[1:]), len(masks))
    by_class = ", ".join(f"{name} {100 * iou:.0f}" for name, iou in zip(CLASSES, ious, strict=True))
    note = f"{by_class}; {int(costs[0]):,} parameters, {costs[1] / 1e6:.0f} million multiply-adds"
    return Score(100 * known_mean(ious), 100 * low, 100 * high, note)


def _parts(result: Plain, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    # A sandbox may give anything.
    if isinstance(result, tuple) and [getattr(part, "shape", None) for part in result] == [shape, (2,)]:
        guessed, costs = result
        if not DECODER_LIMITS.allow(*costs):
            raise Refused("it has more parameters or multiply-adds than are allowed")
        if guessed.dtype == np.uint8 and guessed.max() <= len(CLASSES):
            return guessed, costs
    raise Refused(f"masks of {shape} are wanted, of classes from 0 to {len(CLASSES)}")


COUNT, SCENES = len(CLASSES) + 1, len(LEARNED)
PARAMETERS, MILLIONS = DECODER_LIMITS.parameters, DECODER_LIMITS.multiply_adds // 10**6
TIMES = DECODER_LIMITS.yardsticks
DECODER = Seeded(
    number="07",
    title="The best mask from a backbone that stays as it is",
    task=filled(
        f"""\
Write `my_decoder(maps)`: `maps` is a dict from strides, {", ".join(map(str, STRIDES))}, to the maps (Keras tensors)
of the course's own backbone, which stays as it is. It returns the logits of {COUNT} classes, background first, at
any size; the course enlarges them to the picture's. It has at most {PARAMETERS:,} parameters, and takes at most
{MILLIONS} million multiply-adds a picture.

The course trains it, all answers alike: {STEPS} steps of {DECODER_BATCH} out of {SCENES} scenes, with the
cross-entropy of the pixels. That takes up to two minutes on two cores. The budget is steps and multiply-adds, not
seconds, so your score does not depend on how busy your machine is. Only a step that takes {TIMES:g} times as long
as one of the start answer, measured in turns, is refused.

The score is the mIoU of the classes without background, in percent, over {JUDGED} scenes that you have not seen.
In brackets: where half of the scores would lie with other scenes. What differs by less is not different."""
    ),
    name="my_decoder",
    unit="%",
    higher_is_better=True,
    marks=(  # again: `python tests/benchmarks/challenges.py 7`
        Mark("a clever one", 74.6, "ASPP, then decoders on strides 8 and 4; 142,532 parameters"),
        Mark("the reference's decoder", 72.7, "as in `LESSON`; 113,756 parameters"),
        Mark("the start answer", 68.9, "stride 16 over stride 4, nothing else; 12,804 parameters"),
    ),
    cases=cases,
    judge=judge,
    run=run_decoder,
    seconds=SECONDS,
    needs_tensorflow=True,
    digits=1,
)

CHALLENGES = (DECODER,)
