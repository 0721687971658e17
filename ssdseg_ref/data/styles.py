"""Drawn scenes in a style that no network of drawings has seen: what stands in for photographs where there are none.

Every region of a scene gets a texture whose power falls with the frequency as that of natural pictures does, in
colours of its own; then come blur, noise and JPEG, as cameras have them. Shapes and places stay as they were drawn.

Sources: Field 1987, "Relations between the statistics of natural images and the response properties of cortical
cells", for the textures; Geirhos et al. 2019, "ImageNet-trained CNNs are biased towards texture", for what they do.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from ssdseg_ref.data.augment import crop
from ssdseg_ref.data.sample import BACKGROUND, CLASSES, IGNORE, IMAGE_SIZE, Sample
from ssdseg_ref.data.warehouse import render

PERSON = CLASSES.index("person") + 1
TONES = 5  # steps of brightness that a scene is cut into: each becomes a region with a texture of its own
GREY = np.array([0.299, 0.587, 0.114])  # what red, green and blue add to the brightness


def restyle(sample: Sample, rng: np.random.Generator) -> Sample:
    """The same scene in another style, in which people alone have labels: the other classes are background.

    Args:
        sample: a scene of the drawn Warehouse.
        rng: chooses the style.
    """
    people = sample.labels == PERSON
    mask = np.where((sample.mask == PERSON) | (sample.mask == IGNORE), sample.mask, BACKGROUND).astype(np.uint8)
    height, width = mask.shape
    brightness = sample.image @ GREY / 255
    tone = np.digitize(brightness, np.quantile(brightness, np.linspace(0, 1, TONES + 1)[1:-1]))
    picture = np.zeros((height, width, 3))
    for step in range(TONES):
        picture[tone == step] = _textured((height, width), rng, contrast=0.3)[tone == step]
    drawn = (brightness - brightness.mean())[..., None]
    picture += rng.uniform(-1, 0.3) * drawn  # what is left of the drawing, mostly in negative
    for box in sample.boxes[people]:
        xmin, ymin, xmax, ymax = np.round(box * [width, height, width, height]).astype(int)
        inside = np.zeros_like(mask, bool)
        inside[ymin:ymax, xmin:xmax] = mask[ymin:ymax, xmin:xmax] == PERSON
        share = np.clip((np.arange(height) - ymin) / max(ymax - ymin, 1), 0, 1)
        parts = np.digitize(share, [0.16, rng.uniform(0.45, 0.6), 0.93])  # head, jacket, trousers, shoes
        for part in range(4):
            here = inside & (parts == part)[:, None]
            picture[here] = _textured((height, width), rng, contrast=0.25)[here]
        picture[inside] += 0.8 * drawn[inside]
    light = 1 + 0.2 * _texture((height, width), rng, 2.0)[..., None]
    return Sample(_photographed(picture * light, rng), sample.boxes[people], sample.labels[people], mask)


def stand_ins(seeds: Sequence[int], count: int, size: tuple[int, int] = IMAGE_SIZE) -> list[Sample]:
    """The first scenes that have people in them, each in a style of its own: the same ones for the same seeds.

    Args:
        seeds: of the Warehouse's scenes.
        count: how many are wanted.
        size: (height, width) in pixels.

    Raises:
        ValueError: if the seeds have fewer scenes with people.
    """
    found: list[Sample] = []
    for seed in seeds:
        if len(found) == count:
            break
        scene = render(seed, size=(size[0] * 3 // 2, size[1] * 3 // 2))
        if PERSON in scene.labels:
            rng = np.random.default_rng((seed, 10))
            found.append(restyle(crop(scene, _near_a_person(scene, rng), size), rng))
    if len(found) < count:
        raise ValueError(f"{len(seeds)} seeds have {len(found)} scenes with people, {count} are wanted")
    return found


def _near_a_person(scene: Sample, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A window, xmin, ymin, xmax, ymax, in which the largest person is about half as high as the picture."""
    xmin, ymin, xmax, ymax = max(scene.boxes[scene.labels == PERSON].tolist(), key=lambda box: box[3] - box[1])
    side = min((ymax - ymin) * rng.uniform(1.4, 2.4), 1.0)
    left, top = (
        float(np.clip((low + high) / 2 - side * rng.uniform(0.35, 0.65), 0, 1 - side))
        for low, high in ((xmin, xmax), (ymin, ymax))
    )
    return left, top, left + side, top + side


def _texture(size: tuple[int, int], rng: np.random.Generator, slope: float) -> np.ndarray:
    """(H, W) noise of mean 0 and deviation 1, whose amplitude falls with the frequency to the power of a slope."""
    across, down = np.fft.rfftfreq(size[1]), np.fft.fftfreq(size[0])
    frequency = np.hypot(rng.uniform(0.5, 2) * across, down[:, None])  # longer along one of the sides
    frequency[0, 0] = np.inf
    noise: np.ndarray = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) / frequency**slope, s=size)
    return np.asarray(noise / noise.std())


def _textured(size: tuple[int, int], rng: np.random.Generator, contrast: float) -> np.ndarray:
    """(H, W, 3) around a colour of its own, in 0..1 and somewhat beyond."""
    grey = rng.uniform(0.1, 0.9)
    colour = grey + rng.normal(0, 0.12, 3)
    texture = _texture(size, rng, rng.uniform(0.6, 1.6))[..., None]
    return colour + contrast * rng.uniform(0.1, 0.6) * texture * (1 + rng.normal(0, 0.2, 3))


def _photographed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 of numbers around 0..1, blurred, noisy and out of a JPEG."""
    seen = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    seen = seen.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1)))
    noisy = np.clip(np.asarray(seen) + rng.normal(0, rng.uniform(1, 8), picture.shape), 0, 255).astype(np.uint8)
    kept = io.BytesIO()
    Image.fromarray(noisy).save(kept, "JPEG", quality=int(rng.integers(40, 90)))
    return np.array(Image.open(kept).convert("RGB"))
