"""The warehouse itself: floor, walls, racks, roof and lamps. All of it is background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ssdseg_ref.data.drawing import Camera, Colour, Dice, Point, SceneCanvas, mix, shade

LEVEL_HEIGHT = 1.45  # metres between the shelves of a rack
SLOT_WIDTH = 0.95  # metres of shelf that a stack of goods takes
SLOTS_PER_BAY = 3
SLOTS = 32  # drawn per shelf: enough for the deepest hall

CARTON: tuple[Colour, ...] = ((0.76, 0.58, 0.39), (0.70, 0.52, 0.34), (0.82, 0.66, 0.47), (0.63, 0.47, 0.32))
GOODS: tuple[Colour, ...] = (*CARTON, (0.80, 0.62, 0.44), (0.87, 0.84, 0.78), (0.45, 0.56, 0.62), (0.55, 0.60, 0.48))
LINE_YELLOW: Colour = (0.93, 0.76, 0.28)
LINE_WHITE: Colour = (0.93, 0.92, 0.88)
STEEL: Colour = (0.62, 0.64, 0.66)
IRON: Colour = (0.26, 0.27, 0.30)
SUNLIGHT: Colour = (1.0, 0.95, 0.80)


@dataclass(frozen=True)
class Theme:
    """The colours of a hall and of its light."""

    floor: Colour
    wall: Colour
    dado: Colour
    ceiling: Colour
    upright: Colour
    beam: Colour
    haze: Colour


THEMES = (
    Theme(  # morning sun
        (0.70, 0.65, 0.58), (0.90, 0.85, 0.76), (0.66, 0.66, 0.60), (0.60, 0.56, 0.51),
        (0.25, 0.38, 0.50), (0.85, 0.50, 0.24), (0.93, 0.88, 0.79),
    ),
    Theme(  # overcast day
        (0.64, 0.66, 0.66), (0.84, 0.86, 0.85), (0.53, 0.62, 0.66), (0.55, 0.59, 0.61),
        (0.30, 0.43, 0.52), (0.84, 0.57, 0.31), (0.86, 0.89, 0.90),
    ),
    Theme(  # evening
        (0.62, 0.55, 0.50), (0.83, 0.74, 0.65), (0.56, 0.49, 0.46), (0.47, 0.42, 0.40),
        (0.36, 0.39, 0.45), (0.77, 0.42, 0.26), (0.90, 0.78, 0.65),
    ),
    Theme(  # fresh paint
        (0.68, 0.70, 0.66), (0.88, 0.90, 0.84), (0.49, 0.63, 0.57), (0.61, 0.64, 0.60),
        (0.25, 0.43, 0.42), (0.88, 0.66, 0.34), (0.90, 0.92, 0.86),
    ),
    Theme(  # old brick
        (0.63, 0.60, 0.57), (0.77, 0.63, 0.54), (0.59, 0.45, 0.39), (0.56, 0.53, 0.50),
        (0.31, 0.36, 0.42), (0.84, 0.60, 0.34), (0.88, 0.81, 0.74),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Hall:
    """A hall, in metres. Its side walls stand at X = -left and X = right, its back wall at Z = depth."""

    theme: Theme
    left: float
    right: float
    depth: float
    ceiling: float


def sample_hall(dice: Dice) -> Hall:
    """A random hall."""
    return Hall(
        theme=dice.pick(THEMES),
        left=dice.uniform(3.4, 5.6),
        right=dice.uniform(3.4, 5.6),
        depth=dice.uniform(15.0, 22.0),
        ceiling=dice.uniform(4.9, 6.0),
    )


def paint_hall(canvas: SceneCanvas, camera: Camera, hall: Hall, dice: Dice) -> None:
    """Everything that stands still, from back to front."""
    _paint_floor(canvas, camera, hall, dice)
    _paint_ceiling(canvas, camera, hall)
    _paint_back_wall(canvas, camera, hall, dice)
    _mirror_back_wall(canvas, camera, hall, dice.uniform(0.06, 0.22))
    for side, distance in ((-1.0, hall.left), (1.0, hall.right)):
        kind = dice.weighted((0.62, 0.38))
        stock = _sample_stock(dice)
        if kind == 0:
            _paint_rack_wall(canvas, camera, hall, side * distance, stock)
        else:
            _paint_plain_wall(canvas, camera, hall, side * distance, dice)
    _paint_trusses_and_lamps(canvas, camera, hall, dice)


def _paint_floor(canvas: SceneCanvas, camera: Camera, hall: Hall, dice: Dice) -> None:
    theme = hall.theme
    first = min(max(math.floor(camera.horizon), 0), canvas.height)
    z = (camera.focal * camera.height) / np.maximum(canvas.ys[first:] - camera.horizon, 0.5)  # (rows, 1)
    base = np.array(theme.floor, np.float32)[:, None, None]
    haze = np.array(theme.haze, np.float32)[:, None, None]
    fade = z / (z + 40.0)
    canvas.pixels[:, first:] = base + (haze - base) * fade

    aisle = min(hall.left, hall.right) * dice.uniform(0.62, 0.75)
    joint = shade(theme.floor, 0.72)
    for z_joint in (3.5, 7.0, 11.0):
        _paint_floor_strip(canvas, camera, (-hall.left, hall.right), (z_joint, z_joint + 0.03), joint, 0.4)
    lamplight = mix(theme.haze, LINE_WHITE, 0.5)
    for lamp_z in (4.5, 8.0, 12.0):
        centre = camera.project(dice.uniform(-0.8, 0.8), 0.0, lamp_z)
        reach = camera.focal / lamp_z
        canvas.soft_spot(centre, 3.4 * reach, 1.8 * reach * camera.height / lamp_z, lamplight, 0.34)
    for _ in range(2):  # worn and patched places
        z_patch = dice.uniform(3.0, 9.0)
        centre = camera.project(dice.uniform(-3.0, 3.0), 0.0, z_patch)
        reach = camera.focal / z_patch
        half_width, half_height = (
            dice.uniform(0.6, 1.6) * reach,
            dice.uniform(0.2, 0.5) * reach * camera.height / z_patch,
        )
        tone = shade(theme.floor, dice.uniform(0.88, 0.96))
        canvas.soft_spot(centre, half_width, half_height, tone, 0.5)

    paint = LINE_YELLOW if dice.chance(0.7) else LINE_WHITE
    for x in (-aisle, aisle):
        _paint_floor_strip(canvas, camera, (x - 0.06, x + 0.06), (1.2, hall.depth), paint, 0.8)
    extra = dice.weighted((0.35, 0.3, 0.35))
    z_start = dice.uniform(4.5, 8.0)
    if extra == 1:  # a pedestrian crossing
        for stripe in range(7):
            x = -aisle + (stripe + 0.5) * aisle * 2.0 / 7.0
            _paint_floor_strip(canvas, camera, (x - 0.2, x + 0.2), (z_start, z_start + 1.6), LINE_WHITE, 0.7)
    elif extra == 2:  # a marked place for pallets
        x = dice.sign() * aisle * 0.55
        bars = ((-0.9, 0.9, 0.0, 0.1), (-0.9, 0.9, 1.9, 2.0), (-0.9, -0.8, 0.1, 1.9), (0.8, 0.9, 0.1, 1.9))
        for left, right, near, far in bars:
            _paint_floor_strip(canvas, camera, (x + left, x + right), (z_start + near, z_start + far), paint, 0.8)


def _paint_floor_strip(
    canvas: SceneCanvas, camera: Camera, xs: tuple[float, float], zs: tuple[float, float], colour: Colour, alpha: float
) -> None:
    near, far = zs
    corners = [camera.project(x, 0.0, z) for x, z in ((xs[0], near), (xs[1], near), (xs[1], far), (xs[0], far))]
    canvas.polygon(corners, camera.through_haze(colour, 0.5 * (near + far)), alpha=alpha)


def _paint_ceiling(canvas: SceneCanvas, camera: Camera, hall: Hall) -> None:
    last = min(max(math.floor(camera.horizon), 0), canvas.height)
    if last == 0:
        return
    z = camera.focal * (hall.ceiling - camera.height) / np.maximum(camera.horizon - canvas.ys[:last], 0.5)
    base = np.array(hall.theme.ceiling, np.float32)[:, None, None]
    haze = np.array(hall.theme.haze, np.float32)[:, None, None]
    canvas.pixels[:, :last] = base + (haze - base) * (z / (z + 55.0))


def _paint_trusses_and_lamps(canvas: SceneCanvas, camera: Camera, hall: Hall, dice: Dice) -> None:
    spacing = dice.uniform(3.0, 4.0)
    steel = mix(hall.theme.ceiling, hall.theme.upright if dice.chance(0.5) else STEEL, 0.45)
    lamp_x = dice.uniform(0.9, 1.8)
    glow = mix(hall.theme.haze, (1.0, 1.0, 0.96), 0.8)
    for number in range(4, 0, -1):
        z = number * spacing
        if z > hall.depth - 0.5:
            continue
        colour = camera.through_haze(shade(steel, 0.8), z)
        left, top = camera.project(-hall.left, hall.ceiling, z)
        right, bottom = camera.project(hall.right, hall.ceiling - 0.32, z)
        bar = max(0.07 * camera.focal / z, 0.6)
        canvas.rectangle(left, top, right, top + bar, colour)
        canvas.rectangle(left, bottom - bar, right, bottom, colour)
        _paint_zigzag(canvas, left, top, right, bottom, 0.5 * bar, colour)
        for x in (-lamp_x, lamp_x):
            near, far = z + 0.9, z + 1.9
            y = hall.ceiling - 0.15
            ends = ((-0.16, near), (0.16, near), (0.16, far), (-0.16, far))
            corners = [camera.project(x + dx, y, lamp_z) for dx, lamp_z in ends]
            centre = camera.project(x, y, 0.5 * (near + far))
            reach = camera.focal / near
            canvas.soft_spot(centre, 0.9 * reach, 0.45 * reach, glow, 0.45)
            canvas.polygon(corners, (1.0, 0.99, 0.93), grow=0.3)


def _paint_zigzag(
    canvas: SceneCanvas, left: float, top: float, right: float, bottom: float, half_width: float, colour: Colour
) -> None:
    """The diagonals of a truss, as one field instead of one shape each."""
    t, b = max(math.floor(top), 0), min(math.ceil(bottom), canvas.height)
    le, r = max(math.floor(left), 0), min(math.ceil(right), canvas.width)
    if t >= b or le >= r:
        return
    period = 2.0 * (bottom - top)
    phase = (canvas.xs[le:r] - left) * (1.0 / period)
    phase -= np.floor(phase)
    height = np.abs(phase - 0.5) * period + top  # the row of the zigzag in each column
    cover = np.minimum(np.maximum((half_width + 0.5) - np.abs(canvas.ys[t:b] - height) * 0.7071, 0.0), 1.0)
    cover *= min(1.0, 2.0 * half_width)
    region = canvas.pixels[:, t:b, le:r]
    region += (np.array(colour, np.float32)[:, None, None] - region) * cover


def _paint_back_wall(canvas: SceneCanvas, camera: Camera, hall: Hall, dice: Dice) -> None:
    theme, z = hall.theme, hall.depth

    def box(x0: float, y0: float, x1: float, y1: float, colour: Colour, light: Point = (0.0, 0.0)) -> None:
        left, top = camera.project(x0, y1, z)
        right, bottom = camera.project(x1, y0, z)
        canvas.rectangle(left, top, right, bottom, camera.through_haze(colour, z), light)

    box(-hall.left, 0.0, hall.right, hall.ceiling, theme.wall, (0.0, -0.05))
    box(-hall.left, 0.0, hall.right, 1.1, theme.dado)
    kind = dice.weighted((0.5, 0.25, 0.25))
    if kind == 0:  # a roll-up door, open or shut
        x = dice.uniform(-0.4, 0.4) * hall.left
        half, height = dice.uniform(1.2, 1.9), dice.uniform(3.0, 3.8)
        door = mix(theme.dado, dice.pick(((0.86, 0.87, 0.87), (0.50, 0.60, 0.66), (0.75, 0.55, 0.40))), 0.6)
        box(x - half - 0.15, 0.0, x + half + 0.15, height + 0.15, shade(theme.upright, 0.9))
        opened = dice.uniform(0.0, height) if dice.chance(0.5) else 0.0
        box(x - half, 0.0, x + half, height, (0.97, 0.96, 0.90), (0.0, -0.05))
        for slat in range(8):
            bottom = slat * height / 8.0
            if bottom >= opened:
                box(x - half, bottom, x + half, bottom + height / 8.0, shade(door, 0.98 if slat % 2 else 0.9))
    elif kind == 1:  # a band of windows
        panes = 3 + dice.integer(3)
        width = (hall.left + hall.right) * 0.8 / panes
        start = 0.5 * (hall.right - hall.left) - 0.5 * panes * width
        for pane in range(panes):
            x = start + pane * width
            box(x + 0.1, 2.2, x + width - 0.1, 3.9, shade(theme.upright, 1.1))
            box(x + 0.2, 2.3, x + width - 0.2, 3.8, (0.95, 0.97, 0.97), (0.0, -0.06))
    else:  # a rack that closes the aisle
        for level in range(3):
            y = level * LEVEL_HEIGHT
            box(-hall.left, y, hall.right, y + LEVEL_HEIGHT, shade(mix(theme.dado, theme.upright, 0.5), 0.75))
            x = -hall.left + 0.2
            for _ in range(9):
                width, height = dice.uniform(0.7, 1.1), dice.uniform(0.5, 1.15)
                colour = dice.pick(GOODS)
                if x + width < hall.right:
                    box(x, y, x + width - 0.08, y + height, colour, (-0.06, 0.0))
                x += width
        for level in range(1, 4):
            box(-hall.left, level * LEVEL_HEIGHT - 0.14, hall.right, level * LEVEL_HEIGHT, theme.beam)
        for bay in range(4):
            x = -hall.left + (hall.left + hall.right) * bay / 3.0
            box(x - 0.07, 0.0, x + 0.07, 3 * LEVEL_HEIGHT + 0.2, theme.upright)


def _mirror_back_wall(canvas: SceneCanvas, camera: Camera, hall: Hall, strength: float) -> None:
    """The polished floor mirrors the back wall about its foot, ever fainter towards the camera."""
    foot = math.floor(camera.project(0.0, 0.0, hall.depth)[1] + 0.5)
    reach = min(foot, canvas.height - foot, math.floor(camera.focal * 3.5 / hall.depth))
    if reach <= 0:
        return
    fade = 1.0 - np.arange(reach, dtype=np.float32)[:, None] * (1.0 / reach)
    floor = canvas.pixels[:, foot : foot + reach]
    floor += (canvas.pixels[:, foot - reach : foot][:, ::-1] - floor) * (fade * strength)


@dataclass(frozen=True)
class Stock:
    """What stands on a rack: tables of (level, slot), and the stretch of the wall that the rack takes."""

    heights: np.ndarray  # metres
    colours: np.ndarray  # index into GOODS
    levels: int
    start: float  # Z, metres
    end: float


def _sample_stock(dice: Dice) -> Stock:
    levels = 3
    filled = dice.table(levels, SLOTS)
    heights = dice.table(levels, SLOTS) * 0.55 + 0.6
    colours = np.floor(dice.table(levels, SLOTS) * float(len(GOODS))).astype(np.intp)
    colours = np.minimum(colours, len(GOODS) - 1)
    start = 0.0 if dice.chance(0.6) else dice.uniform(3.0, 6.0)
    return Stock(np.where(filled < 0.84, heights, np.float32(-1.0)), colours, levels, start, dice.uniform(14.0, 30.0))


def _wall_columns(canvas: SceneCanvas, camera: Camera, hall: Hall, x: float) -> tuple[int, int]:
    """First and last (excluded) column of a side wall."""
    corner = camera.centre + camera.focal * x / hall.depth
    if x < 0.0:
        return 0, min(max(math.ceil(corner), 0), canvas.width)
    return min(max(math.floor(corner), 0), canvas.width), canvas.width


def _clip(values: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = np.minimum(np.maximum(values, 0.0), 1.0)
    return clipped


def _paint_rack_wall(canvas: SceneCanvas, camera: Camera, hall: Hall, x: float, stock: Stock) -> None:
    """A wall of racks that runs into depth, coloured pixel by pixel: each looks up what stands where it looks."""
    first, last = _wall_columns(canvas, camera, hall, x)
    if first >= last:
        return
    theme = hall.theme
    per_metre = np.abs(canvas.xs[first:last] - camera.centre) * (1.0 / abs(x))  # pixels, upwards; (columns,)
    z = camera.focal / per_metre
    per_metre_along = per_metre * per_metre * (abs(x) / camera.focal)
    y = camera.height - (canvas.ys - camera.horizon) / per_metre  # (H, columns) metres over the floor

    slot = z * (1.0 / SLOT_WIDTH)
    slot_index = np.minimum(np.floor(slot), SLOTS - 1.0)
    from_middle = np.abs(slot - slot_index - 0.5) * SLOT_WIDTH
    level_index = np.minimum(np.maximum(np.floor(y * (1.0 / LEVEL_HEIGHT)), 0.0), stock.levels - 1.0)
    above_shelf = y - level_index * LEVEL_HEIGHT
    cell = (level_index * SLOTS + slot_index).astype(np.intp)

    upward = above_shelf * per_metre
    goods = _clip(np.take(stock.heights, cell) * per_metre - upward + 0.5)
    goods *= _clip((SLOT_WIDTH * 0.44 - from_middle) * per_metre_along + 0.5)
    palette = np.array(GOODS, np.float32).T.copy()  # (3, goods)
    colour = np.take(palette, np.take(stock.colours, cell), axis=1)  # (3, H, columns)
    colour *= above_shelf * 0.16 + 0.80
    label = np.abs(slot - slot_index - 0.62) * SLOT_WIDTH
    label = _clip((0.10 - label) * per_metre_along + 0.5) * _clip(per_metre_along * 0.2)
    label = label * _clip((0.07 - np.abs(above_shelf - 0.40)) * per_metre + 0.5)
    colour += label * 0.35
    inner = np.array(shade(mix(theme.dado, theme.upright, 0.6), 0.62), np.float32)[:, None, None]
    colour -= inner
    colour *= goods
    colour += inner

    beam = _clip(0.14 * per_metre - np.abs(upward - 0.07 * per_metre) + 0.5 - 0.07 * per_metre)
    beam *= (y > LEVEL_HEIGHT * 0.5).astype(np.float32)
    colour += (np.array(shade(theme.beam, 0.92), np.float32)[:, None, None] - colour) * beam
    bay = slot * (1.0 / SLOTS_PER_BAY)
    to_upright = np.abs(bay - np.floor(bay + 0.5)) * (SLOTS_PER_BAY * SLOT_WIDTH)
    upright = _clip((0.06 - to_upright) * per_metre_along + 0.5) * _clip(per_metre_along * 0.24)
    colour += (np.array(theme.upright, np.float32)[:, None, None] - colour) * upright

    rack = _clip((stock.levels * LEVEL_HEIGHT + 0.15 - y) * per_metre + 0.5)
    rack *= _clip((z - stock.start) * per_metre_along + 0.5) * _clip((stock.end - z) * per_metre_along + 0.5)
    wall = np.array(shade(theme.wall, 0.93), np.float32)[:, None, None]
    colour -= wall
    colour *= rack
    colour += wall
    fade = z / (z + 50.0)
    colour *= np.minimum(y * 0.2 + 0.82, 1.0) * (1.0 - fade)  # darker near the floor, paler far away
    colour += np.array(theme.haze, np.float32)[:, None, None] * fade

    cover = _clip(y * per_metre + 0.5) * _clip((hall.ceiling - y) * per_metre + 0.5)
    region = canvas.pixels[:, :, first:last]
    colour -= region
    colour *= cover
    region += colour


def _paint_plain_wall(canvas: SceneCanvas, camera: Camera, hall: Hall, x: float, dice: Dice) -> None:
    """A painted wall with pilasters, and windows or loading gates between them."""
    theme = hall.theme
    side_light = 0.97 if x < 0.0 else 0.90

    def panel(y0: float, y1: float, z0: float, z1: float, colour: Colour, light: Point = (0.0, 0.0)) -> None:
        corners = [camera.project(x, y, z) for y, z in ((y0, z0), (y0, z1), (y1, z1), (y1, z0))]
        canvas.polygon(corners, camera.through_haze(shade(colour, side_light), 0.5 * (z0 + z1)), light, grow=0.2)

    near = 0.9
    panel(0.0, hall.ceiling, near, hall.depth, theme.wall, (0.03, -0.04))
    panel(0.0, 1.1, near, hall.depth, theme.dado)
    gates = dice.chance(0.35)
    inward = 1.0 if x < 0.0 else -1.0
    sun = dice.uniform(0.8, 2.2) if dice.chance(0.6) else 0.0  # metres that sunlight reaches past the wall's foot
    glass = mix((0.94, 0.97, 0.98), theme.haze, 0.35)
    gate = dice.pick(((0.80, 0.80, 0.78), (0.46, 0.56, 0.62), (0.72, 0.50, 0.36)))
    offset = dice.uniform(1.2, 2.0)
    for bay in range(4, -1, -1):
        z = offset + bay * 3.4
        if z + 3.0 > hall.depth:
            continue
        panel(0.0, hall.ceiling, z - 0.2, z + 0.05, shade(theme.wall, 0.9))
        if gates:
            panel(0.0, 3.0, z + 0.6, z + 2.7, shade(theme.upright, 0.95))
            for slat in range(4):
                panel(slat * 0.72, slat * 0.72 + 0.72, z + 0.72, z + 2.58, shade(gate, 0.98 if slat % 2 else 0.91))
        else:
            panel(1.9, 3.7, z + 0.6, z + 2.7, shade(theme.upright, 1.15))
            panel(2.0, 3.6, z + 0.7, z + 2.6, glass, (0.0, -0.04))
            panel(2.76, 2.84, z + 0.7, z + 2.6, shade(theme.upright, 1.15))
            if sun:
                ends = ((0.25, z + 0.2), (0.25, z + 2.0), (0.25 + sun, z + 1.4), (0.25 + sun, z - 0.4))
                spot = [camera.project(x + inward * out, 0.0, max(spot_z, 1.0)) for out, spot_z in ends]
                canvas.polygon(spot, SUNLIGHT, alpha=0.32)
