"""Forklifts: boxes in perspective, painted from back to front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssdseg_ref.data.drawing import Camera, Colour, Dice, Frame, Point, SceneCanvas, cuboid, mix, shade
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
ROOF = 2.12  # metres over the floor


@dataclass(frozen=True)
class Forklift:
    """How a forklift looks, in metres.

    Attributes:
        dark: of its frame, mast and roof.
        lift: of the fork over the floor.
        driver: colours of skin, shirt and helmet, or None where nobody drives.
        load: 0 is nothing, 1 one large box, 2 four small ones.
        goods: colours of the boxes.
        load_height: of the large box.
    """

    colour: Colour
    dark: Colour
    mast_height: float
    lift: float
    driver: tuple[Colour, Colour, Colour] | None
    load: int
    goods: list[Colour]
    load_height: float


def sample_forklift(dice: Dice) -> Forklift:
    """A random forklift."""
    colour = dice.pick(TRUCKS)
    mast_height = dice.uniform(2.15, 2.9)
    lift = dice.uniform(0.10, 0.35) if dice.chance(0.75) else dice.uniform(0.5, 1.1)
    driven = dice.chance(0.65)
    driver = dice.pick(SKIN), dice.pick(HI_VIS + SHIRTS), dice.pick(HELMETS)
    return Forklift(
        colour=colour,
        dark=mix(IRON, shade(colour, 0.4), 0.25),
        mast_height=mast_height,
        lift=lift,
        driver=driver if driven else None,
        load=dice.weighted((0.35, 0.35, 0.3)),
        goods=[dice.pick(GOODS) for _ in range(4)],
        load_height=dice.uniform(0.55, 0.95),
    )


Block = tuple[Point, Point, Point, Colour]  # (from, to) ahead, to the side and upwards, in metres


class Site:
    """Where a forklift stands: from metres ahead of its middle, to its side and over the floor to pixels."""

    def __init__(self, canvas: SceneCanvas, camera: Camera, frame: Frame) -> None:
        self.canvas, self.camera, self.frame = canvas, camera, frame
        self.eye_u, self.eye_v = frame.of_camera()
        self.near = 1.0 if self.eye_v > 0.0 else -1.0  # the side that the camera sees

    def at(self, u: float, v: float, y: float) -> Point:
        """The pixel of a point."""
        x, z = self.frame.to_world(u, v)
        return self.camera.project(x, y, z)

    def tint(self, colour: Colour) -> Colour:
        """The colour as it looks from the camera."""
        return self.camera.through_haze(colour, self.frame.z)

    def blocks(self, blocks: Sequence[Block]) -> None:
        """Boxes, the farthest first."""
        for us, vs, ys, colour in blocks:
            cuboid(self.canvas, self.camera, self.frame, us, vs, ys, colour)

    def bar(
        self, start: tuple[float, float, float], end: tuple[float, float, float], radius: float, colour: Colour
    ) -> None:
        """A thin round bar."""
        pixels = radius * self.camera.focal / self.frame.z
        self.canvas.limb(self.at(*start), self.at(*end), pixels, pixels, self.tint(colour))

    def wheel(self, u: float, radius: float, rim: Colour) -> None:
        """A wheel on the side that the camera sees."""
        v = 0.56 * self.near
        centre = self.at(u, v, radius)
        for share, colour in ((1.0, RUBBER), (0.52, rim), (0.2, IRON)):
            ahead, above = self.at(u + radius * share, v, radius), self.at(u, v, radius * (1.0 + share))
            self.canvas.ellipse(
                centre,
                (ahead[0] - centre[0], ahead[1] - centre[1]),
                (above[0] - centre[0], above[1] - centre[1]),
                self.tint(colour),
                (-0.05, -0.12),
            )


def paint_forklift(canvas: SceneCanvas, camera: Camera, frame: Frame, dice: Dice) -> None:
    """A forklift. Its driver, if it has one, and its load are part of it."""
    truck, site = sample_forklift(dice), Site(canvas, camera, frame)
    parts = (_paint_fork, _paint_mast, _paint_body)
    for paint in reversed(parts) if site.eye_u > 0.6 else parts:
        paint(site, truck)


def _paint_body(site: Site, truck: Forklift) -> None:
    if abs(site.eye_u) > abs(site.eye_v):  # the treads show from ahead and from behind only
        for v in (-0.45, 0.45):
            site.blocks([((0.20, 0.50), (v - 0.1, v + 0.1), (0.0, 0.55), RUBBER)])
            site.blocks([((-0.90, -0.66), (v - 0.1, v + 0.1), (0.0, 0.45), RUBBER)])
    parts: list[Block] = [
        ((-1.2, -0.6), (-0.52, 0.52), (0.24, 1.02), shade(truck.colour, 0.96)),
        ((-0.6, 0.55), (-0.54, 0.54), (0.22, 0.60), truck.colour),
    ]
    site.blocks(parts if site.eye_u > -0.6 else parts[::-1])
    if abs(site.eye_v) > 0.54:
        corners = ((-1.17, 0.42), (-0.63, 0.42), (-0.63, 0.54), (-1.17, 0.54))
        stripe = [site.at(u, 0.525 * site.near, y) for u, y in corners]
        site.canvas.polygon(stripe, site.tint(truck.dark))
    _paint_posts(site, truck, -0.48 * site.near)
    _paint_cabin(site, truck)
    _paint_posts(site, truck, 0.48 * site.near)
    site.blocks([((-0.68, 0.42), (-0.54, 0.54), (ROOF, ROOF + 0.09), truck.dark)])
    rim = mix(truck.colour, REFLECTIVE, 0.55)
    site.wheel(0.35, 0.33, rim)
    site.wheel(-0.78, 0.27, rim)


def _paint_posts(site: Site, truck: Forklift, v: float) -> None:
    """What carries the roof on one side."""
    site.bar((-0.62, v, 1.0), (-0.52, v, ROOF), 0.035, truck.dark)
    site.bar((0.52, v, 0.58), (0.30, v, ROOF), 0.035, truck.dark)


def _paint_cabin(site: Site, truck: Forklift) -> None:
    seat: list[Block] = [
        ((-0.62, -0.02), (-0.4, 0.4), (0.60, 0.90), truck.dark),
        ((-0.58, -0.46), (-0.28, 0.28), (0.90, 1.42), IRON),
    ]
    panel: list[Block] = [((0.36, 0.52), (-0.4, 0.4), (0.60, 1.08), truck.colour)]
    behind, ahead = (seat, panel) if site.eye_u > 0.0 else (panel, seat)
    site.blocks(behind)
    if truck.driver:
        _paint_driver(site, *truck.driver)
    site.blocks(ahead)
    site.bar((0.40, 0.0, 1.05), (0.26, 0.0, 1.2), 0.03, RUBBER)


def _paint_driver(site: Site, skin: Colour, shirt: Colour, helmet: Colour) -> None:
    scale = site.camera.focal / site.frame.z
    ahead = site.at(0.3, 0.0, 1.2)[0] - site.at(-0.3, 0.0, 1.2)[0]
    facing = (1.0 if ahead > 0.0 else -1.0) if abs(ahead) > 0.3 * scale else (TO_US if site.eye_u > 0.0 else AWAY)
    x, z = site.frame.to_world(-0.28, 0.0)
    figure = Figure(site.canvas, site.camera, x, 0.90, z, 1.7)
    lean = 0.02 * (facing if facing != AWAY else 0.0)
    from_the_side = facing in (-1.0, 1.0)
    if from_the_side:
        figure.limb((0.0, 0.04), (0.22 * facing, 0.03), 0.06, 0.05, TROUSERS[0])
    figure.limb((0.0, 0.07), (lean, 0.26), 0.085, 0.100, shirt, ((0.3, 0.1, REFLECTIVE),))
    figure.head((lean, 0.36), facing, skin, HAIR[1], helmet)
    if from_the_side:
        paint_arm(figure, ((lean, 0.30), (0.10 * facing, 0.19), (0.25 * facing, 0.22)), shirt, skin)


def _paint_mast(site: Site, truck: Forklift) -> None:
    for side in (-site.near, site.near):
        v = 0.31 * side
        site.blocks([((0.60, 0.74), (v - 0.06, v + 0.06), (0.08, truck.mast_height), truck.dark)])
    for y in (truck.mast_height - 0.12, 1.25):
        site.blocks([((0.63, 0.71), (-0.31, 0.31), (y, y + 0.1), truck.dark)])
    site.blocks([((0.66, 0.69), (-0.04, 0.04), (truck.lift, truck.mast_height - 0.1), shade(IRON, 1.5))])


def _paint_fork(site: Site, truck: Forklift) -> None:
    lift, from_ahead = truck.lift, site.eye_u > 0.9
    carriage: list[Block] = [((0.75, 0.82), (-0.5, 0.5), (lift + y, lift + y + 0.09), IRON) for y in (0.0, 0.62)]
    carriage += [((0.75, 0.80), (v - 0.03, v + 0.03), (lift, lift + 0.7), IRON) for v in (-0.45, 0.45)]
    if from_ahead:
        site.blocks(carriage)
    for side in (-site.near, site.near):
        v = 0.25 * side
        site.blocks([((0.82, 1.85), (v - 0.06, v + 0.06), (lift, lift + 0.06), shade(IRON, 1.25))])
    _paint_load(site, truck, from_ahead)
    if not from_ahead:
        site.blocks(carriage)


def _paint_load(site: Site, truck: Forklift, from_ahead: bool) -> None:
    base = truck.lift + 0.18
    if truck.load:
        site.blocks([((0.86, 1.9), (-0.55, 0.55), (truck.lift + 0.06, base), (0.68, 0.54, 0.38))])
    if truck.load == 1:
        site.blocks([((0.88, 1.88), (-0.52, 0.52), (base, base + truck.load_height), truck.goods[0])])
    elif truck.load == 2:
        columns = [((0.88, 1.36), truck.goods[1::2]), ((1.39, 1.87), truck.goods[::2])]
        for us, (lower, upper) in columns if from_ahead else columns[::-1]:
            top = base + 0.42
            site.blocks([(us, (-0.5, 0.5), (base, top), lower), (us, (-0.5, 0.5), (top, top + 0.38), upper)])
