"""What stands about in a warehouse and is none of its classes, some of it easily taken for one."""

from __future__ import annotations

from ssdseg_ref.data.drawing import Camera, Colour, Dice, Frame, Point, SceneCanvas, cuboid, mix, shade, turn
from ssdseg_ref.data.hall import GOODS, STEEL

WOOD: Colour = (0.70, 0.56, 0.40)
CONE_ORANGE: Colour = (0.95, 0.42, 0.14)
PALE: Colour = (0.94, 0.93, 0.90)
DRUMS: tuple[Colour, ...] = ((0.22, 0.42, 0.58), (0.62, 0.24, 0.20), (0.35, 0.50, 0.40), (0.75, 0.75, 0.73))


def paint_pallet(canvas: SceneCanvas, camera: Camera, x: float, z: float, dice: Dice) -> None:
    """A pallet with goods on it, or a stack of empty ones."""
    frame = Frame(x, z, *turn(dice.uniform(-0.12, 0.12)))
    empty = dice.chance(0.25)
    layers = 2 + dice.integer(5)
    colours = [dice.pick(GOODS) for _ in range(4)]
    heights = [dice.uniform(0.3, 0.55) for _ in range(4)]
    tall = dice.chance(0.5)
    for layer in range(layers if empty else 1):
        cuboid(
            canvas,
            camera,
            frame,
            (-0.6, 0.6),
            (-0.5, 0.5),
            (layer * 0.15, layer * 0.15 + 0.11),
            shade(WOOD, 1.0 - 0.05 * (layer % 2)),
        )
    if empty:
        return
    order = ((-0.58, -0.01), (0.01, 0.58)) if x > 0.0 else ((0.01, 0.58), (-0.58, -0.01))
    for column, us in enumerate(order[::-1]):
        base = 0.12
        for level in range(2 if tall else 1):
            height = heights[2 * column + level]
            cuboid(canvas, camera, frame, us, (-0.48, 0.48), (base, base + height), colours[2 * column + level])
            base += height + 0.01


def paint_drum(canvas: SceneCanvas, camera: Camera, x: float, z: float, dice: Dice) -> None:
    """A standing steel drum."""
    colour = camera.through_haze(dice.pick(DRUMS), z)
    reach = camera.focal / z
    radius = 0.3 * reach
    flat = 0.3 * reach * (camera.height - 0.9) / z
    (left, bottom), (_, top) = camera.project(x - 0.3, 0.0, z), camera.project(x, 0.9, z)
    canvas.ellipse((left + radius, bottom), (radius, 0.0), (0.0, 0.3 * reach * camera.height / z), colour, (-0.25, 0.0))
    canvas.rectangle(left, top, left + 2.0 * radius, bottom, colour, (-0.25, 0.0))
    for share in (0.33, 0.66):
        row = top + (bottom - top) * share
        canvas.rectangle(left, row, left + 2.0 * radius, row + 0.04 * reach, shade(colour, 0.8), (-0.25, 0.0))
    canvas.ellipse((left + radius, top), (radius, 0.0), (0.0, flat), shade(colour, 1.15))


def paint_cone(canvas: SceneCanvas, camera: Camera, x: float, z: float, dice: Dice) -> None:
    """A traffic cone."""
    height = dice.uniform(0.55, 0.75)
    reach = camera.focal / z
    orange, pale = camera.through_haze(CONE_ORANGE, z), camera.through_haze(PALE, z)
    cuboid(canvas, camera, Frame(x, z), (-0.2, 0.2), (-0.2, 0.2), (0.0, 0.05), shade(CONE_ORANGE, 0.85))
    centre, bottom = camera.project(x, 0.05, z)
    for low, high, colour in ((0.0, 0.4, orange), (0.4, 0.65, pale), (0.65, 1.0, orange)):
        y0, y1 = bottom - low * height * reach, bottom - high * height * reach
        w0, w1 = (0.15 - 0.12 * low) * reach, (0.15 - 0.12 * high) * reach
        canvas.polygon(
            [(centre - w0, y0), (centre + w0, y0), (centre + w1, y1), (centre - w1, y1)], colour, (-0.12, 0.0), grow=0.2
        )


def paint_hand_trolley(canvas: SceneCanvas, camera: Camera, x: float, z: float, dice: Dice) -> None:
    """A sack truck with a box on it."""
    side = dice.sign()
    colour = camera.through_haze(dice.pick(((0.72, 0.22, 0.20), (0.22, 0.38, 0.55), STEEL)), z)
    box = dice.pick(GOODS)
    reach = camera.focal / z
    bar = 0.035 * reach
    cuboid(canvas, camera, Frame(x + 0.28 * side, z), (-0.24, 0.24), (-0.25, 0.25), (0.06, 0.55), box)
    canvas.limb(camera.project(x, 0.12, z), camera.project(x - 0.2 * side, 1.25, z), bar, bar, colour)
    canvas.limb(camera.project(x - 0.2 * side, 1.25, z), camera.project(x - 0.36 * side, 1.22, z), bar, bar, colour)
    canvas.limb(camera.project(x, 0.05, z), camera.project(x + 0.5 * side, 0.05, z), bar, bar, colour)
    wheel = 0.13 * reach
    canvas.ellipse(camera.project(x, 0.13, z), (wheel, 0.0), (0.0, wheel), (0.17, 0.17, 0.18))


def paint_coat_stand(canvas: SceneCanvas, camera: Camera, x: float, z: float, dice: Dice) -> None:
    """A stand with a coat on it: as tall as a person and as bright, but without head, arms or legs."""
    colour = camera.through_haze(
        dice.pick(((0.93, 0.86, 0.24), (0.95, 0.53, 0.20), (0.30, 0.36, 0.46), (0.55, 0.30, 0.25))), z
    )
    reach = camera.focal / z
    pole = camera.through_haze((0.35, 0.30, 0.27), z)
    thin = 0.03 * reach
    canvas.limb(camera.project(x, 0.03, z), camera.project(x, 1.75, z), thin, thin, pole)
    canvas.limb(camera.project(x - 0.25, 0.03, z), camera.project(x + 0.25, 0.03, z), thin, thin, pole)
    for side, tone in ((-1.0, 1.0), (1.0, 0.86)):
        sleeve = camera.project(x + 0.20 * side, 1.42, z), camera.project(x + 0.25 * side, 0.95, z)
        canvas.limb(*sleeve, 0.07 * reach, 0.06 * reach, shade(colour, 0.9 * tone))
        corners = [
            camera.project(x + dx * side, y, z) for dx, y in ((0.0, 1.55), (0.22, 1.46), (0.20, 0.72), (0.0, 0.70))
        ]
        canvas.polygon(corners, shade(colour, tone), (-0.08, 0.0), grow=0.2)


def paint_pillar(canvas: SceneCanvas, camera: Camera, x: float, z: float, ceiling: float, dice: Dice) -> None:
    """A pillar with a striped foot."""
    colour = dice.pick((STEEL, (0.76, 0.73, 0.68), (0.45, 0.52, 0.56)))
    frame = Frame(x, z)
    cuboid(canvas, camera, frame, (-0.16, 0.16), (-0.16, 0.16), (0.0, ceiling), colour)
    for stripe in range(6):
        paint = (0.93, 0.77, 0.20) if stripe % 2 else (0.20, 0.20, 0.21)
        cuboid(canvas, camera, frame, (-0.19, 0.19), (-0.19, 0.19), (stripe * 0.2, stripe * 0.2 + 0.2), paint)


def paint_duct(canvas: SceneCanvas, camera: Camera, along: float, height: float, depth: float, dice: Dice) -> None:
    """A round air duct under the roof: it runs where a monorail could, but has no flanges and no hangers.

    Args:
        along: its X in metres.
        depth: Z of the back wall.
    """
    colour = mix(STEEL, (0.86, 0.87, 0.87), dice.uniform(0.2, 0.9))
    radius = dice.uniform(0.22, 0.32)
    near, far = 3.0, depth
    rings = []
    for z in (4.0, 5.0, 6.5, 8.0, 10.0, 13.0):
        # an even step in depth is no even step in the picture: 1 / z is what runs evenly there
        share = (1.0 / near - 1.0 / z) / (1.0 / near - 1.0 / far)
        rings.append((share, 0.012, shade(colour, 0.8)))
    canvas.limb(
        camera.project(along, height, near),
        camera.project(along, height, far),
        radius * camera.focal / near,
        radius * camera.focal / far,
        camera.through_haze(colour, 6.0),
        bands=rings,
    )
    canvas.limb(
        camera.project(along - 0.3 * radius, height + 0.35 * radius, near),
        camera.project(along - 0.3 * radius, height + 0.35 * radius, far),
        0.22 * radius * camera.focal / near,
        0.22 * radius * camera.focal / far,
        shade(colour, 1.15),
    )


def paint_pipes(canvas: SceneCanvas, camera: Camera, z: float, ends: Point, height: float, dice: Dice) -> None:
    """Two thin pipes across the hall, from ends[0] to ends[1] (X in metres)."""
    reach = camera.focal / z
    for offset in (0.0, 0.22):
        colour = camera.through_haze(dice.pick((STEEL, (0.62, 0.28, 0.24), (0.42, 0.55, 0.48), (0.82, 0.80, 0.76))), z)
        thick = 0.05 * reach
        start, end = camera.project(ends[0], height + offset, z), camera.project(ends[1], height + offset, z)
        canvas.limb(start, end, thick, thick, colour, (0.0, -0.3))
