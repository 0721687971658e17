"""Forklifts: boxes in perspective, painted from back to front."""

from __future__ import annotations

from ssdseg_ref.data.drawing import Camera, Canvas, Colour, Dice, Frame, Point, cuboid, mix, shade
from ssdseg_ref.data.hall import GOODS, IRON
from ssdseg_ref.data.people import (
    AWAY,
    HAIR,
    HELMETS,
    HI_VIS,
    REFLECTIVE,
    SHIRTS,
    SKIN,
    TO_US,
    TROUSERS,
    Figure,
    paint_arm,
)

TRUCKS: tuple[Colour, ...] = (
    (0.93, 0.56, 0.13), (0.95, 0.75, 0.16), (0.79, 0.22, 0.17), (0.20, 0.43, 0.67), (0.29, 0.53, 0.36),
)  # fmt: skip
RUBBER: Colour = (0.15, 0.15, 0.16)


def paint_forklift(canvas: Canvas, camera: Camera, frame: Frame, dice: Dice) -> None:
    """A forklift. Its driver, if it has one, and its load are part of it."""
    colour = dice.pick(TRUCKS)
    dark = mix(IRON, shade(colour, 0.4), 0.25)
    mast_height = dice.uniform(2.15, 2.9)
    lift = dice.uniform(0.10, 0.35) if dice.chance(0.75) else dice.uniform(0.5, 1.1)
    driver = dice.chance(0.65)
    skin, shirt = dice.pick(SKIN), dice.pick(HI_VIS + SHIRTS)
    helmet = dice.pick(HELMETS)
    load = dice.weighted((0.35, 0.35, 0.3))  # nothing, one large box, four small boxes
    goods = [dice.pick(GOODS) for _ in range(4)]
    load_height = dice.uniform(0.55, 0.95)
    roof = 2.12
    eye_u, eye_v = frame.of_camera()
    near = 1.0 if eye_v > 0.0 else -1.0  # the side that the camera sees

    def block(us: Point, vs: Point, ys: Point, paint: Colour) -> None:
        cuboid(canvas, camera, frame, us, vs, ys, paint)

    def at(u: float, v: float, y: float) -> Point:
        x, z = frame.to_world(u, v)
        return camera.project(x, y, z)

    def bar(start: tuple[float, float, float], end: tuple[float, float, float], radius: float, paint: Colour) -> None:
        pixels = radius * camera.focal / frame.z
        canvas.limb(at(*start), at(*end), pixels, pixels, camera.through_haze(paint, frame.z))

    def wheel(u: float, radius: float) -> None:
        v = 0.56 * near
        centre = at(u, v, radius)
        for share, paint in ((1.0, RUBBER), (0.52, mix(colour, REFLECTIVE, 0.55)), (0.2, IRON)):
            ahead, above = at(u + radius * share, v, radius), at(u, v, radius * (1.0 + share))
            canvas.ellipse(
                centre,
                (ahead[0] - centre[0], ahead[1] - centre[1]),
                (above[0] - centre[0], above[1] - centre[1]),
                camera.through_haze(paint, frame.z),
                (-0.05, -0.12),
            )

    def paint_body() -> None:
        if abs(eye_u) > abs(eye_v):  # the treads show from ahead and from behind only
            for v in (-0.45, 0.45):
                block((0.20, 0.50), (v - 0.1, v + 0.1), (0.0, 0.55), RUBBER)
                block((-0.90, -0.66), (v - 0.1, v + 0.1), (0.0, 0.45), RUBBER)
        parts = [
            ((-1.2, -0.6), (-0.52, 0.52), (0.24, 1.02), shade(colour, 0.96)),
            ((-0.6, 0.55), (-0.54, 0.54), (0.22, 0.60), colour),
        ]
        for us, vs, ys, paint in parts if eye_u > -0.6 else parts[::-1]:
            block(us, vs, ys, paint)
        stripe = [at(u, 0.525 * near, y) for u, y in ((-1.17, 0.42), (-0.63, 0.42), (-0.63, 0.54), (-1.17, 0.54))]
        if abs(eye_v) > 0.54:
            canvas.polygon(stripe, camera.through_haze(dark, frame.z))
        for v in (-0.48 * near, 0.48 * near):
            if v == 0.48 * near:
                paint_cabin()
            bar((-0.62, v, 1.0), (-0.52, v, roof), 0.035, dark)
            bar((0.52, v, 0.58), (0.30, v, roof), 0.035, dark)
        block((-0.68, 0.42), (-0.54, 0.54), (roof, roof + 0.09), dark)
        wheel(0.35, 0.33)
        wheel(-0.78, 0.27)

    def paint_cabin() -> None:
        seat = [((-0.62, -0.02), (-0.4, 0.4), (0.60, 0.90), dark), ((-0.58, -0.46), (-0.28, 0.28), (0.90, 1.42), IRON)]
        panel = [((0.36, 0.52), (-0.4, 0.4), (0.60, 1.08), colour)]
        for us, vs, ys, paint in seat if eye_u > 0.0 else panel:
            block(us, vs, ys, paint)
        if driver:
            paint_driver()
        for us, vs, ys, paint in panel if eye_u > 0.0 else seat:
            block(us, vs, ys, paint)
        bar((0.40, 0.0, 1.05), (0.26, 0.0, 1.2), 0.03, RUBBER)

    def paint_driver() -> None:
        scale = camera.focal / frame.z
        ahead = at(0.3, 0.0, 1.2)[0] - at(-0.3, 0.0, 1.2)[0]
        facing = (1.0 if ahead > 0.0 else -1.0) if abs(ahead) > 0.3 * scale else (TO_US if eye_u > 0.0 else AWAY)
        x, z = frame.to_world(-0.28, 0.0)
        figure = Figure(canvas, camera, x, 0.90, z, 1.7)
        lean = 0.02 * (facing if facing != AWAY else 0.0)
        if facing in (-1.0, 1.0):
            figure.limb((0.0, 0.04), (0.22 * facing, 0.03), 0.06, 0.05, TROUSERS[0])
        figure.limb((0.0, 0.07), (lean, 0.26), 0.085, 0.100, shirt, ((0.3, 0.1, REFLECTIVE),))
        figure.head((lean, 0.36), facing, skin, HAIR[1], helmet)
        if facing in (-1.0, 1.0):
            paint_arm(figure, ((lean, 0.30), (0.10 * facing, 0.19), (0.25 * facing, 0.22)), shirt, skin)

    def paint_mast() -> None:
        for side in (-near, near):
            v = 0.31 * side
            block((0.60, 0.74), (v - 0.06, v + 0.06), (0.08, mast_height), dark)
        for y in (mast_height - 0.12, 1.25):
            block((0.63, 0.71), (-0.31, 0.31), (y, y + 0.1), dark)
        block((0.66, 0.69), (-0.04, 0.04), (lift, mast_height - 0.1), shade(IRON, 1.5))

    def paint_fork() -> None:
        front = eye_u > 0.9
        order = (-near, near)
        carriage = [((0.75, 0.82), (-0.5, 0.5), (lift + y, lift + y + 0.09), IRON) for y in (0.0, 0.62)]
        carriage += [((0.75, 0.80), (v - 0.03, v + 0.03), (lift, lift + 0.7), IRON) for v in (-0.45, 0.45)]
        if front:
            for us, vs, ys, paint in carriage:
                block(us, vs, ys, paint)
        for side in order:
            block((0.82, 1.85), (0.25 * side - 0.06, 0.25 * side + 0.06), (lift, lift + 0.06), shade(IRON, 1.25))
        if load:
            block((0.86, 1.9), (-0.55, 0.55), (lift + 0.06, lift + 0.18), (0.68, 0.54, 0.38))
        if load == 1:
            block((0.88, 1.88), (-0.52, 0.52), (lift + 0.18, lift + 0.18 + load_height), goods[0])
        elif load == 2:
            columns = ((0.88, 1.36), (1.39, 1.87))
            for us in columns if front else columns[::-1]:
                for level, height in ((0, 0.42), (1, 0.38)):
                    base = lift + 0.18 + 0.42 * level
                    paint = goods[2 * level + (us == columns[0])]
                    block(us, (-0.5, 0.5), (base, base + height), paint)
        if not front:
            for us, vs, ys, paint in carriage:
                block(us, vs, ys, paint)

    if eye_u > 0.6:
        paint_body()
        paint_mast()
        paint_fork()
    else:
        paint_fork()
        paint_mast()
        paint_body()
