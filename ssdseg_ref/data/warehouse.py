"""Warehouse: scenes of a warehouse with people, forklifts and an overhead monorail, drawn from a seed.

The same seed gives the same picture, mask and boxes on every machine, and the same scene at every size. Boxes and
mask tell what is visible, to the pixel: what stands in front hides what stands behind.

- person: a worker and what they carry.
- forklift: the truck with its load and its driver, who is no person of their own.
- monorail: the rail with its hangers, and the hoist that runs on it with its load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ssdseg_ref.data.clutter import (
    paint_coat_stand,
    paint_cone,
    paint_drum,
    paint_duct,
    paint_hand_trolley,
    paint_pallet,
    paint_pillar,
    paint_pipes,
)
from ssdseg_ref.data.drawing import MAX_SEED, Camera, Dice, Frame, Point, SceneCanvas, turn
from ssdseg_ref.data.forklift import paint_forklift
from ssdseg_ref.data.hall import Hall, paint_hall, sample_hall
from ssdseg_ref.data.monorail import paint_monorail, sample_rail_path
from ssdseg_ref.data.people import paint_person
from ssdseg_ref.data.sample import CLASSES as CLASSES
from ssdseg_ref.data.sample import IGNORE, IMAGE_SIZE, Sample, box_around
from ssdseg_ref.data.splits import Elsewhere, cached_split

SPLITS = {
    "train": range(0, 2000),
    "train_large": range(0, 8000),  # train and 6,000 more, for long trainings
    "validation": range(1_000_000, 1_000_300),
    "test": range(2_000_000, 2_000_500),
}
PERSON, FORKLIFT, MONORAIL = 1, 2, 3

DESIGN_ASPECT = 1.4  # width over height of the view that scenes are composed for; other shapes see more around it
MIN_SIDE = 32  # pixels
MIN_VISIBLE_SHARE = 0.25  # of an instance's area inside the image; what shows less is ignored
MIN_VISIBLE_AREA = 14.0 / (160 * 224)  # of the image; nobody could tell what is smaller

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Thing:
    """Something to paint.

    Attributes:
        depth: metres from the camera; far things are painted first.
        label: its class, 0 for clutter.
        paint: paints it.
    """

    depth: float
    label: int
    paint: Callable[[SceneCanvas], None]


def render(seed: int, size: tuple[int, int] = IMAGE_SIZE) -> Sample:
    """Draw one scene.

    Args:
        seed: 0 to 2**32 - 1.
        size: (height, width) in pixels, each at least 32.

    Raises:
        ValueError: if the seed or the size is out of range.
    """
    height, width = size
    if height < MIN_SIDE or width < MIN_SIDE:
        raise ValueError(f"a scene needs at least {MIN_SIDE} x {MIN_SIDE} pixels, got {height} x {width}")
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"a seed lies in 0 to {MAX_SEED}, got {seed}")
    dice = Dice(seed)
    canvas = SceneCanvas(int(height), int(width))
    hall = sample_hall(dice)
    rails = dice.weighted((0.57, 0.38, 0.05))
    camera = _sample_camera(canvas, hall, rails > 0, dice)
    paint_hall(canvas, camera, hall, dice)

    things = _overhead(canvas, camera, hall, rails, dice) + _on_the_floor(canvas, camera, hall, dice)
    labels: list[int] = []
    full_areas: list[int] = []
    for thing in sorted(things, key=lambda thing: -thing.depth):
        canvas.instance = len(labels) + 1 if thing.label else 0
        thing.paint(canvas)
        if thing.label:
            labels.append(thing.label)
            full_areas.append(int(np.count_nonzero(canvas.owner == canvas.instance)))
    boxes, kept_labels, mask = annotate(canvas.owner, labels, full_areas)
    return Sample(image=_develop(canvas.pixels, dice), boxes=boxes, labels=kept_labels, mask=mask)


def split(
    name: str,
    size: tuple[int, int] = IMAGE_SIZE,
    progress: Callable[[int, int], None] | None = None,
    elsewhere: Elsewhere | None = None,
) -> Sequence[Sample]:
    """A split of the data set: drawn once, then read from the cache in `SSDSEG_HOME`.

    Args:
        name: "train", "validation" or "test": 2,000, 300 and 500 scenes of seeds that no two share; "train_large" is
            "train" and 6,000 more.
        size: (height, width) in pixels.
        progress: called with (scenes drawn, scenes in all) while it draws.
        elsewhere: draws on other machines, see `cached_split`.

    Raises:
        ValueError: if there is no such split.
    """
    if name not in SPLITS:
        raise ValueError(f"the warehouse has no split {name!r}, it has {', '.join(SPLITS)}")
    return cached_split(f"warehouse-{name}", SPLITS[name], size, render, progress, elsewhere)


def annotate(
    owner: np.ndarray, labels: Sequence[int], full_areas: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes and mask of what is visible.

    Args:
        owner: (H, W) the number of the instance that is in front at each pixel, from 1; 0 is background.
        labels: the class of each instance.
        full_areas: pixels of each instance before anything was painted over it.

    Returns:
        boxes (M, 4) float32, labels (M,) int32 and mask (H, W) uint8. Instances of which too little shows have no
        box, and their pixels are 255 in the mask.
    """
    height, width = owner.shape
    values = np.zeros(len(labels) + 1, np.uint8)
    boxes, kept = [], []
    for index, (label, full_area) in enumerate(zip(labels, full_areas, strict=True), start=1):
        mine = owner == index
        visible = int(np.count_nonzero(mine))
        if visible < MIN_VISIBLE_SHARE * full_area or visible < MIN_VISIBLE_AREA * height * width:
            values[index] = IGNORE
            continue
        values[index] = label
        boxes.append(box_around(mine))
        kept.append(label)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(kept, np.int32), values[owner]


def _scale(canvas: SceneCanvas) -> float:
    """Pixels per height of the view that the scene is composed for."""
    return min(float(canvas.height), canvas.width / DESIGN_ASPECT)


def _sample_camera(canvas: SceneCanvas, hall: Hall, looks_up: bool, dice: Dice) -> Camera:
    """A camera at the height of a person or of a mezzanine; it looks up a little where there is a rail to see."""
    scale = _scale(canvas)
    horizon = dice.uniform(0.40, 0.48) if looks_up else dice.uniform(0.32, 0.44)
    return Camera(
        focal=dice.uniform(0.98, 1.18) * scale,
        centre=0.5 * canvas.width + dice.uniform(-0.22, 0.22) * scale,
        horizon=0.5 * canvas.height + (horizon - 0.5) * scale,
        height=dice.uniform(1.7, 2.5),
        haze=hall.theme.haze,
    )


def _overhead(canvas: SceneCanvas, camera: Camera, hall: Hall, rails: int, dice: Dice) -> list[Thing]:
    """Rails, and the duct and pipes that look a little like them."""
    things = []
    half_width = min(hall.left, hall.right)
    view_top = 0.5 * canvas.height - 0.47 * _scale(canvas)
    for _ in range(rails):
        height = hall.ceiling - dice.uniform(0.95, 1.25)
        nearest = camera.focal * (height + 0.42 - camera.height) / (camera.horizon - view_top)
        path = sample_rail_path(dice, half_width - 0.3, hall.depth - 0.8, nearest)
        depth = 0.5 * (min(z for _, z in path) + max(z for _, z in path))

        def paint(canvas: SceneCanvas, path: list[Point] = path, height: float = height) -> None:
            paint_monorail(canvas, camera, path, height, hall.ceiling, dice)

        things.append(Thing(depth, MONORAIL, paint))
    if dice.chance(0.3):
        along = dice.sign() * (half_width - 0.6)
        things.append(
            Thing(hall.depth, 0, lambda canvas: paint_duct(canvas, camera, along, hall.ceiling - 0.8, hall.depth, dice))
        )
    if dice.chance(0.35):
        z = dice.uniform(7.0, 13.0)
        things.append(
            Thing(
                z + 4.0,
                0,
                lambda canvas: paint_pipes(canvas, camera, z, (-hall.left, hall.right), hall.ceiling - 0.9, dice),
            )
        )
    return things


def _on_the_floor(canvas: SceneCanvas, camera: Camera, hall: Hall, dice: Dice) -> list[Thing]:
    """People, forklifts and clutter, each where it hides little of the others."""
    people = dice.weighted((0.17, 0.30, 0.25, 0.17, 0.11))
    forklifts = dice.weighted((0.44, 0.44, 0.12))
    wanted = [FORKLIFT] * forklifts + [PERSON] * people + [0] * (3 + dice.integer(5))
    scale = _scale(canvas)
    focal, centre = camera.focal / scale, (camera.centre - 0.5 * canvas.width) / scale
    things: list[Thing] = []
    taken: list[Rectangle] = []
    for label in wanted:
        place = _find_place(label, focal, centre, camera, hall, taken, dice)
        heading = _sample_heading(dice)
        kind = dice.weighted((0.40, 0.16, 0.18, 0.10, 0.07, 0.09))
        if place is None:
            continue
        x, z = place
        things.append(Thing(z, label, _painter(label, kind, camera, hall, x, z, heading, dice)))
        _cast_shadow(canvas, camera, x, z, 1.25 if label == FORKLIFT else 0.75 if label == 0 else 0.45)
    return things


def _sample_heading(dice: Dice) -> tuple[float, float]:
    """Cosine and sine of where a forklift faces: mostly seen from the side, sometimes aslant, now and then head on."""
    kind = dice.weighted((0.7, 0.15, 0.15))
    tilt = dice.uniform(-0.22, 0.22) if kind == 0 else dice.uniform(-0.1, 0.1)
    direction = dice.sign()
    cosine, sine = turn(tilt)
    if kind == 0:
        return direction * cosine, sine
    return sine, (-cosine if kind == 1 else direction * cosine)


def _find_place(
    label: int,
    focal: float,
    centre: float,
    camera: Camera,
    hall: Hall,
    taken: list[Rectangle],
    dice: Dice,
) -> tuple[float, float] | None:
    """(X, Z) of a free place, or None. Works in units of the view's height, so it is the same at every size."""
    half, tall = {PERSON: (0.36, 1.8), FORKLIFT: (1.5, 2.4), 0: (0.55, 1.1)}[label]
    nearest, farthest = {PERSON: (2.9, 11.0), FORKLIFT: (4.4, 11.0), 0: (3.6, 13.0)}[label]
    farthest = min(farthest, hall.depth - 2.0)
    found = None
    for _ in range(10):
        # even steps of 1 / z are even steps of size in the picture
        z = 1.0 / dice.uniform(1.0 / farthest, 1.0 / nearest)
        spot = dice.uniform(-0.5, 0.5)
        if found is not None:
            continue
        left_limit = max(-hall.left + half + 0.5, (-0.64 - centre) * z / focal)
        right_limit = min(hall.right - half - 0.5, (0.64 - centre) * z / focal)
        if label == 0:  # clutter keeps to the sides
            spot = -0.5 + 0.3 * (spot + 0.5) if spot < 0.0 else 0.5 - 0.3 * (0.5 - spot)
        x = 0.5 * (left_limit + right_limit) + spot * (right_limit - left_limit)
        size = focal / z
        feet = camera.height * size
        area = ((x - half) * size, feet - tall * size, (x + half) * size, feet)
        if all(_overlap(area, other) < 0.6 for other in taken):
            taken.append(area)
            found = (x, z)
    return found


def _overlap(a: Rectangle, b: Rectangle) -> float:
    """Shared area over the area of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height / smaller


def _painter(
    label: int, kind: int, camera: Camera, hall: Hall, x: float, z: float, heading: tuple[float, float], dice: Dice
) -> Callable[[SceneCanvas], None]:
    if label == PERSON:
        return lambda canvas: paint_person(canvas, camera, x, z, dice)
    if label == FORKLIFT:
        return lambda canvas: paint_forklift(canvas, camera, Frame(x, z, *heading), dice)
    if kind == 5:
        return lambda canvas: paint_pillar(canvas, camera, x, z, hall.ceiling, dice)
    paint = (paint_pallet, paint_drum, paint_cone, paint_hand_trolley, paint_coat_stand)[kind]
    return lambda canvas: paint(canvas, camera, x, z, dice)


def _cast_shadow(canvas: SceneCanvas, camera: Camera, x: float, z: float, half_width: float) -> None:
    reach = camera.focal / z
    centre = camera.project(x + 0.12 * half_width, 0.0, z)
    flat = max(reach * camera.height / z, 0.1 * reach)
    canvas.soft_spot(centre, 1.35 * half_width * reach, 0.75 * half_width * flat, (0.22, 0.19, 0.18), 0.62)


def _develop(pixels: np.ndarray, dice: Dice) -> np.ndarray:
    """From light to a photograph: light falls off from one side, the lens blurs, the sensor adds noise.

    Args:
        pixels: (3, H, W) float32.

    Returns:
        (H, W, 3) uint8.
    """
    _, height, width = pixels.shape
    exposure, warmth = dice.uniform(0.90, 1.08), dice.uniform(-0.04, 0.04)
    across, down = dice.uniform(-0.09, 0.09), dice.uniform(-0.07, 0.05)
    blur = dice.uniform(0.0, 0.45)
    grain = dice.uniform(0.25, 0.8)

    rows = (np.arange(height, dtype=np.float32) + 0.5)[:, None] * (2.0 * down / height) + (1.0 - down)
    columns = (np.arange(width, dtype=np.float32) + 0.5) * (2.0 * across / width) - across
    balance = np.array((1.0 + warmth, 1.0, 1.0 - warmth), np.float32)[:, None, None] * exposure
    image: np.ndarray = pixels * (rows + columns)
    image *= balance * 255.0

    along_columns = image[:, :-2], image[:, 1:-1], image[:, 2:]
    along_rows = image[:, :, :-2], image[:, :, 1:-1], image[:, :, 2:]
    for before, middle, after in (along_columns, along_rows):
        soft = before + after  # (1 2 1) / 4 along this axis, at the strength drawn
        soft *= 0.25 * blur
        middle *= 1.0 - 0.5 * blur
        middle += soft

    bytes_ = dice.bytes(3, height, width)
    grains = np.add(bytes_[0], bytes_[1], dtype=np.int16) + bytes_[2]  # nearly a bell curve around 382.5
    image += grains.astype(np.float32) * (0.02 * grain) + (0.5 - 382.5 * 0.02 * grain)
    np.maximum(image, 0.0, out=image)
    np.minimum(image, 255.0, out=image)
    return image.astype(np.uint8).transpose(1, 2, 0).copy()
