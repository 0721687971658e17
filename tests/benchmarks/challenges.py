"""The marks of the challenges that train or measure networks, found anew: `python tests/benchmarks/challenges.py 4`.

Not a test: it takes minutes. Each answer below is scored as a learner's would be, and its mark stands in the challenge
under the same name. Further names choose some of them: `... 7 reference`.
"""

import argparse
import time
from collections.abc import Callable

from ssdseg_course.quiet import import_keras

import_keras()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

from ssdseg_course.challenges import few_labels, find_challenge, joint  # noqa: E402
from ssdseg_course.challenges.challenge import LEARNERS, Score  # noqa: E402
from ssdseg_course.challenges.scenes import hidden_scenes  # noqa: E402
from ssdseg_ref.blocks import conv_bn  # noqa: E402
from ssdseg_ref.config import SHIPPED  # noqa: E402
from ssdseg_ref.deeplabv3plus import aspp, decoder, resize  # noqa: E402
from ssdseg_ref.evaluation import predict  # noqa: E402
from ssdseg_ref.mobilenetv2 import bottleneck  # noqa: E402
from ssdseg_ref.network import load_network  # noqa: E402
from ssdseg_ref.prediction import Predictor  # noqa: E402
from ssdseg_ref.shufflenetv2 import basic_unit, downsampling_unit  # noqa: E402

SHAPE = (48, 48, 3)


def sorting(image, x):
    return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def start_bottlenecks():
    image = keras.Input(SHAPE)
    x = conv_bn(image, 16, 3, 2, name="stem")
    for number, channels in enumerate((24, 32, 48)):
        x, _ = bottleneck(x, channels, 2, 3, name=f"block{number}")
    return sorting(image, x)


def reference_bottlenecks():
    image = keras.Input(SHAPE)
    x = conv_bn(image, 24, 3, 2, name="stem")
    rows = ((24, 1), (32, 2), (32, 1), (48, 2), (48, 1), (64, 2), (64, 1))
    for number, (channels, stride) in enumerate(rows):
        x, _ = bottleneck(x, channels, stride, 4, name=f"block{number}")
    return sorting(image, x)


def plain_residuals():
    image = keras.Input(SHAPE)
    x = conv_bn(image, 24, 3, 2, name="stem", activation="relu")
    for number, channels in enumerate((32, 48, 64)):
        x = conv_bn(x, channels, 3, 2, name=f"down{number}", activation="relu")
        x = layers.Add()([x, conv_bn(x, channels, 3, name=f"more{number}", activation="relu")])
    return sorting(image, x)


def moved_residuals():
    image = keras.Input(SHAPE)
    x = layers.RandomTranslation(0.08, 0.08, fill_mode="nearest")(image)
    x = layers.RandomZoom((-0.2, 0.1), fill_mode="nearest")(x)
    x = conv_bn(x, 32, 3, 2, name="stem", activation="relu")
    for number, channels in enumerate((48, 64, 64)):
        x = conv_bn(x, channels, 3, 2, name=f"down{number}", activation="relu")
        x = layers.Add()([x, conv_bn(x, channels, 3, name=f"more{number}", activation="relu")])
    return sorting(image, x)


def start_shuffles():
    image = keras.Input(SHAPE)
    x = conv_bn(image, 24, 3, 2, name="stem", activation="relu")
    for number, channels in enumerate((32, 64)):
        x = downsampling_unit(x, channels, name=f"down{number}")
        x = basic_unit(x, name=f"unit{number}")
    return sorting(image, x)


def reference_shuffles():
    image = keras.Input(SHAPE)
    x = conv_bn(image, 32, 3, 2, name="stem", activation="relu")
    rows = ((64, 2), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (192, 2))
    for number, (channels, stride) in enumerate(rows):
        unit = f"unit{number}"
        x = downsampling_unit(x, channels, name=unit) if stride == 2 else basic_unit(x, name=unit)
    return sorting(image, x)


def start_decoder(maps):
    fine, coarse = (conv_bn(maps[stride], 32, name=f"narrow{stride}") for stride in (4, 16))
    coarse = resize(coarse, fine.shape[1:3])
    return layers.Conv2D(4, 1)(layers.Concatenate()([fine, coarse]))


def reference_decoder(maps):
    return layers.Conv2D(4, 1)(decoder(aspp(maps[16], 64, (2, 4)), maps[4], 24, 64))


def decoder_in_two_steps(maps):
    x = decoder(aspp(maps[16], 64, (2, 4)), maps[8], 64, 64, name="stride8")
    return layers.Conv2D(4, 1)(decoder(x, maps[4], 64, 64, name="stride4"))


def ten_that_differ(pictures):
    """One after the other, the picture that is farthest from all that are chosen, by what is left of it in 8 x 8."""
    count, height, width, _ = pictures.shape
    small = pictures.reshape(count, 8, height // 8, 8, width // 8, 3).mean(axis=(2, 4)).reshape(count, -1)
    chosen = [0]
    while len(chosen) < 10:
        apart = np.linalg.norm(small[:, None] - small[chosen], axis=-1).min(axis=1)
        chosen.append(int(apart.argmax()))
    return {"pictures": chosen, "rate": 0.003, "heads_rate": 0.006}


ANSWERS: dict[str, dict[str, Callable[..., object]]] = {
    "04": {
        "the start answer": start_bottlenecks,
        "the reference's blocks": reference_bottlenecks,
        "a clever one": plain_residuals,
        "another": moved_residuals,
    },
    "05": {"the start answer": start_shuffles, "the reference's units": reference_shuffles},
    "07": {
        "the start answer": start_decoder,
        "the reference's decoder": reference_decoder,
        "a clever one": decoder_in_two_steps,
    },
    "10": {"ten that differ": ten_that_differ},
}


SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "08": {
        "the start answer": {"learning_rate": 0.003, "class_weights": (1, 2, 1.5, 2)},
        "a clever one": {
            "muon_rate": 0.02,
            "learning_rate": 0.002,
            "batch_size": 8,
            "giou_weight": 5,
            "iou_aware": True,
            "class_weights": (1, 2, 1.5, 2),
        },
    },
    "09": {
        "the baseline": {"network": "shufflenetv2"},
        "a clever one": {"network": "mobilenetv2", "bits": 8},
        "lesson": {"network": "lesson"},
        "mobilenetv2": {"network": "mobilenetv2"},
        "the start answer": {"network": "shufflenetv2", "image_size": (176, 240)},
    },
    "10": {
        "nothing learned": {"rate": 0, "heads_rate": 0},
        "the start answer": {},
        "heads alone": {"rate": 0, "heads_rate": 0.002},
        "strong augmentation": {"augmentation": "strong", "rate": 0.004, "new_statistics": True},
    },
}


def show(name: str, score: Score, spent: float | None = None) -> None:
    seconds = "" if spent is None else f"; {spent:.0f} s of work"
    print(f"{name}: {score.value:.2f} ({score.low:.2f} to {score.high:.2f}), {score.note}{seconds}", flush=True)


def shipped() -> None:
    """What the networks reach that come with the course, on the scenes of challenge 8."""
    scenes = hidden_scenes(LEARNERS, joint.JUDGED)
    for name in ("lesson", "mobilenetv2"):
        found = predict(Predictor(load_network(name), SHIPPED[name]), scenes)
        show(name, joint.joint_score(found, scenes, lambda scores: scores.mean_ap50, "shipped"))


def all_labels() -> None:
    """The limit of challenge 10: all pictures of the pool with labels, in as many steps."""
    few_labels.LABELS = few_labels.POOL
    network = few_labels.trained({"pictures": range(few_labels.POOL)}, few_labels.pool())
    show("all 100 with labels", few_labels.scored(network, few_labels.hidden(LEARNERS), {}))


LIMITS: dict[str, dict[str, Callable[[], None]]] = {
    "08": {"shipped": shipped},
    "10": {"all": all_labels},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("challenge", choices=[str(int(number)) for number in (*ANSWERS, *SETTINGS)])
    parser.add_argument("names", nargs="*", help="of the marks; all by default")
    asked = parser.parse_args()
    found = find_challenge(asked.challenge)
    settings = SETTINGS.get(found.number, {})
    answers = ANSWERS.get(found.number, {}) | {name: lambda *_, one=one: one for name, one in settings.items()}
    for name, answer in answers.items():
        if asked.names and name not in asked.names:
            continue
        began = time.process_time()
        score = found.score(answer)
        show(name, score, time.process_time() - began)
    for name, limit in LIMITS.get(found.number, {}).items():
        if not asked.names or name in asked.names:
            limit()


if __name__ == "__main__":
    main()
