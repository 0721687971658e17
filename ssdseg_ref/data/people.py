"""People: drawn from a few thick lines and discs, in the coordinates of their own body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssdseg_ref.data.drawing import Camera, Colour, Dice, Point, SceneCanvas, shade, turn
from ssdseg_ref.data.hall import CARTON

SKIN: tuple[Colour, ...] = (
    (0.95, 0.79, 0.67),
    (0.87, 0.66, 0.52),
    (0.73, 0.52, 0.38),
    (0.55, 0.38, 0.28),
    (0.40, 0.27, 0.20),
)
HAIR: tuple[Colour, ...] = (
    (0.16, 0.13, 0.12),
    (0.31, 0.21, 0.15),
    (0.50, 0.34, 0.20),
    (0.72, 0.58, 0.38),
    (0.62, 0.60, 0.58),
)
HI_VIS: tuple[Colour, ...] = ((0.93, 0.92, 0.22), (0.98, 0.52, 0.16))
SHIRTS: tuple[Colour, ...] = (
    (0.24, 0.38, 0.58), (0.69, 0.24, 0.22), (0.30, 0.46, 0.40), (0.88, 0.86, 0.82),
    (0.33, 0.35, 0.40), (0.55, 0.33, 0.48), (0.83, 0.62, 0.28),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = ((0.20, 0.26, 0.38), (0.25, 0.25, 0.27), (0.45, 0.40, 0.33), (0.30, 0.36, 0.44))
HELMETS: tuple[Colour, ...] = ((0.97, 0.95, 0.92), (0.97, 0.78, 0.20), (0.25, 0.45, 0.72), (0.86, 0.30, 0.22))
REFLECTIVE: Colour = (0.93, 0.94, 0.93)
SHOES: Colour = (0.16, 0.14, 0.14)
WALKING, STANDING, CARRYING, WAVING = range(4)
TO_US, AWAY = 0.0, 2.0  # where a person faces; -1.0 is left and 1.0 is right


class Figure:
    """A person's own coordinates (in statures: x to the side, y up from the feet) on the canvas."""

    def __init__(self, canvas: SceneCanvas, camera: Camera, x: float, y: float, z: float, stature: float) -> None:
        self.canvas = canvas
        self.scale = stature * camera.focal / z
        self.origin = camera.project(x, y, z)
        self.camera, self.z = camera, z

    def at(self, point: Point) -> Point:
        """The pixel of a point of the figure."""
        return self.origin[0] + point[0] * self.scale, self.origin[1] - point[1] * self.scale

    def tint(self, colour: Colour) -> Colour:
        """The colour as it looks from the camera."""
        return self.camera.through_haze(colour, self.z)

    def limb(
        self,
        start: Point,
        end: Point,
        start_radius: float,
        end_radius: float,
        colour: Colour,
        bands: Sequence[tuple[float, float, Colour]] = (),
    ) -> None:
        """A thick line with round ends, see `SceneCanvas.limb`."""
        self.canvas.limb(
            self.at(start),
            self.at(end),
            start_radius * self.scale,
            end_radius * self.scale,
            self.tint(colour),
            (-0.13, -0.04),
            [(place, half_width, self.tint(band)) for place, half_width, band in bands],
        )

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """An upright rectangle."""
        (x0, y0), (x1, y1) = self.at((left, top)), self.at((right, bottom))
        self.canvas.rectangle(x0, y0, x1, y1, self.tint(colour), (-0.07, -0.05))

    def quad(self, low_half_width: float, bottom: float, top_half_width: float, top: float, colour: Colour) -> None:
        """A trapezoid around the figure's axis."""
        corners = ((-low_half_width, bottom), (low_half_width, bottom), (top_half_width, top), (-top_half_width, top))
        self.canvas.polygon([self.at(corner) for corner in corners], self.tint(colour), (-0.13, -0.04), grow=0.1)

    def disc(self, centre: Point, rx: float, ry: float, colour: Colour, keep_above: float | None = None) -> None:
        """An ellipse; with `keep_above`, the part of it above that height."""
        row = None if keep_above is None else self.at((0.0, keep_above))[1]
        self.canvas.ellipse(
            self.at(centre), (rx * self.scale, 0.0), (0.0, ry * self.scale), self.tint(colour), (-0.10, -0.05), row
        )

    def head(self, neck: Point, facing: float, skin: Colour, hair: Colour, helmet: Colour | None) -> None:
        """Head, seen from the side (facing -1 or 1), from the front (0) or from the back (2)."""
        side = facing if facing in (-1.0, 1.0) else 0.0
        x, y = neck[0] + 0.012 * side, neck[1] + 0.085
        self.limb(neck, (x, y), 0.030, 0.030, shade(skin, 0.88))
        self.disc((x - 0.008 * side, y + 0.008), 0.058, 0.066, hair)
        if facing != 2.0:
            self.disc((x + 0.010 * side, y - 0.008), 0.050, 0.060, skin)
            if side:
                self.disc((x + 0.060 * side, y - 0.006), 0.012, 0.012, skin)
        if helmet is not None:
            self.disc((x, y + 0.012), 0.068, 0.072, helmet, keep_above=y + 0.020)
            self.limb(
                (x - 0.062 + 0.02 * side, y + 0.022),
                (x + 0.062 + 0.03 * side, y + 0.022),
                0.009,
                0.009,
                shade(helmet, 0.86),
            )
        elif facing != 2.0:
            self.disc((x - 0.006 * side, y + 0.014), 0.060, 0.062, hair, keep_above=y + 0.030)


def _swing(start: Point, t: float, length: float) -> Point:
    """The end of a limb that hangs from `start`, swung by the angle whose half has tangent t (positive: to +x)."""
    cosine, sine = turn(t)
    return start[0] + sine * length, start[1] - cosine * length


@dataclass(frozen=True)
class Person:
    """What somebody looks like and does. Lengths are in statures, colours as seen close by."""

    stature: float  # metres
    build: float  # 1 is slim
    facing: float
    pose: int
    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    helmet: Colour | None
    vest: Colour | None
    stride: float  # tangent of half the angle of the front leg
    lean: float
    load: Colour
    load_size: float
    reach: float  # how high an arm is raised: tangent of half its angle
    raised: float  # the side of that arm


def sample_person(dice: Dice) -> Person:
    """A random person."""
    pose = dice.weighted((0.38, 0.27, 0.2, 0.15))
    shirt, trousers = dice.pick(SHIRTS), dice.pick(TROUSERS)
    moving, walk, stand = dice.chance(0.9), dice.uniform(0.13, 0.26), dice.uniform(0.02, 0.06)
    return Person(
        stature=dice.uniform(1.60, 1.92),
        build=dice.uniform(0.92, 1.22),
        facing=dice.pick((-1.0, 1.0, -1.0, 1.0, TO_US, AWAY)),
        pose=pose,
        skin=dice.pick(SKIN),
        hair=dice.pick(HAIR),
        shirt=shirt,
        trousers=shirt if dice.chance(0.25) else trousers,  # one colour: an overall
        helmet=dice.pick(HELMETS) if dice.chance(0.55) else None,
        vest=dice.pick(HI_VIS) if dice.chance(0.55) else None,
        stride=walk if moving and pose in (WALKING, CARRYING) else stand,
        lean=dice.uniform(-0.01, 0.02),
        load=dice.pick(CARTON),
        load_size=dice.uniform(0.10, 0.15),
        reach=dice.uniform(2.0, 4.5),
        raised=dice.sign(),
    )


def paint_person(canvas: SceneCanvas, camera: Camera, x: float, z: float, dice: Dice) -> None:
    """A person on the floor. What somebody carries is part of the person.

    Args:
        x, z: where the person stands, in metres.
    """
    person = sample_person(dice)
    figure = Figure(canvas, camera, x, 0.0, z, person.stature)
    if person.facing in (TO_US, AWAY):
        _paint_from_the_front(figure, person)
    else:
        _paint_from_the_side(figure, person)


def _shin_band(person: Person) -> Sequence[tuple[float, float, Colour]]:
    return ((0.35, 0.07, REFLECTIVE),) if person.vest and person.trousers != person.shirt else ()


def _paint_from_the_side(figure: Figure, person: Person) -> None:
    facing, build, stride = person.facing, person.build, person.stride
    hip, shoulder = (0.0, 0.50), (person.lean * facing, 0.795)
    legs = []  # (knee, ankle), the far one first
    for swing, bend in ((-stride, 0.10 + 0.9 * stride), (stride, 0.03)):
        knee = _swing(hip, swing * facing, 0.235)
        legs.append((knee, _swing(knee, (swing - bend) * facing, 0.225)))
    drop = min(ankle[1] for _, ankle in legs) - 0.035  # so that the lower foot stands on the floor
    hip, shoulder = (hip[0], hip[1] - drop), (shoulder[0], shoulder[1] - drop)
    for (knee, ankle), far in zip(legs, (True, False), strict=True):
        knee, ankle = (knee[0], knee[1] - drop), (ankle[0], ankle[1] - drop)
        dim = 0.78 if far else 1.0
        arm = _arm_from_the_side(person, shoulder, far)
        if far:
            paint_arm(figure, arm, shade(person.shirt, dim), shade(person.skin, dim))
        figure.limb(hip, knee, 0.064 * build, 0.046 * build, shade(person.trousers, dim))
        figure.limb(knee, ankle, 0.046 * build, 0.032, shade(person.trousers, dim), _shin_band(person))
        toe = (ankle[0] + 0.062 * facing, ankle[1] - 0.012)
        figure.limb((ankle[0], ankle[1] - 0.008), toe, 0.027, 0.021, shade(SHOES, dim + 0.2))
        if not far:
            _paint_torso_from_the_side(figure, person, hip, shoulder)
            neck = (shoulder[0] + 0.008 * facing, shoulder[1] + 0.03)
            figure.head(neck, facing, person.skin, person.hair, person.helmet)
            if person.pose == CARRYING:
                _paint_load(figure, person, shoulder[0] + 0.20 * facing, person.load_size)
            paint_arm(figure, arm, person.shirt, person.skin)


def _paint_torso_from_the_side(figure: Figure, person: Person, hip: Point, shoulder: Point) -> None:
    width, waist = 0.074 * person.build, hip[1] + 0.13
    torso = person.vest or person.shirt
    figure.limb((0.0, waist), (shoulder[0], shoulder[1] - 0.055), width, 1.1 * width, torso)
    figure.quad(0.96 * width, hip[1] - 0.015, width, waist, torso)
    if person.vest:
        figure.quad(0.98 * width, hip[1] + 0.04, 0.98 * width, hip[1] + 0.075, REFLECTIVE)
        figure.quad(1.02 * width, hip[1] + 0.15, 1.02 * width, hip[1] + 0.185, REFLECTIVE)


def _arm_from_the_side(person: Person, shoulder: Point, far: bool) -> tuple[Point, Point, Point]:
    """Shoulder, elbow and hand; the arms swing against the legs."""
    facing = person.facing
    if person.pose == CARRYING:
        elbow = _swing(shoulder, 0.12 * facing, 0.155)
        return shoulder, elbow, _swing(elbow, 0.75 * facing, 0.15)
    if person.pose == WAVING and not far:
        elbow = _swing(shoulder, 0.5 * person.reach * facing, 0.165)
        return shoulder, elbow, _swing(elbow, 0.9 * person.reach * facing, 0.155)
    swing = 1.3 * person.stride * (1.0 if far else -1.0)
    elbow = _swing(shoulder, swing * facing, 0.165)
    return shoulder, elbow, _swing(elbow, (swing + 0.16) * facing, 0.150)


def _paint_load(figure: Figure, person: Person, middle: float, half_width: float) -> None:
    top = 0.53 + 1.5 * person.load_size
    figure.box(middle - half_width, 0.53, middle + half_width, top, person.load)
    figure.box(middle - 0.02, 0.53, middle + 0.02, top, shade(person.load, 1.12))  # its tape


def _paint_from_the_front(figure: Figure, person: Person) -> None:
    """From the front or from the back."""
    from_front, carries = person.facing == TO_US, person.pose == CARRYING
    for side in (-1.0, 1.0):
        _paint_leg_from_the_front(figure, person, side)
    arms = [_arm_from_the_front(person, side) for side in (-1.0, 1.0)]
    load_half_width = person.load_size + 0.03
    if carries and not from_front:  # arms and load are in front of the body: behind it, for us
        for arm in arms:
            paint_arm(figure, arm, shade(person.shirt, 0.9), person.skin)
        _paint_load(figure, person, 0.0, load_half_width)
    _paint_torso_from_the_front(figure, person)
    figure.head((0.0, 0.825), person.facing, person.skin, person.hair, person.helmet)
    if carries and from_front:
        _paint_load(figure, person, 0.0, load_half_width)
    if from_front or not carries:
        for arm in arms:
            paint_arm(figure, arm, person.shirt, person.skin)


def _paint_leg_from_the_front(figure: Figure, person: Person, side: float) -> None:
    build = person.build
    lift = 0.045 if person.stride > 0.1 and side == person.raised else 0.0
    hip_x = side * 0.046 * build
    knee, ankle = (hip_x + side * 0.008, 0.265 + 0.5 * lift), (hip_x + side * 0.008, 0.045 + lift)
    tone = 1.0 if side < 0.0 else 0.9
    figure.limb((hip_x, 0.50), knee, 0.062 * build, 0.046 * build, shade(person.trousers, tone))
    figure.limb(knee, ankle, 0.046 * build, 0.033, shade(person.trousers, tone - 0.04), _shin_band(person))
    toe = (ankle[0] + 0.012 * side, ankle[1] - (0.022 if person.facing == TO_US else 0.014))
    figure.limb(ankle, toe, 0.026, 0.029, shade(SHOES, 1.2))


def _arm_from_the_front(person: Person, side: float) -> tuple[Point, Point, Point]:
    """Shoulder, elbow and hand."""
    shoulder = (side * 0.098 * person.build, 0.775)
    if person.pose == CARRYING:
        return shoulder, (shoulder[0] + side * 0.03, 0.63), (side * person.load_size, 0.58)
    if person.pose == WAVING and side == person.raised:
        elbow = _swing(shoulder, side * 0.35 * person.reach, 0.165)
        return shoulder, elbow, _swing(elbow, side * 1.6 * person.reach, 0.155)
    elbow = _swing(shoulder, side * 0.10, 0.165)
    return shoulder, elbow, _swing(elbow, side * 0.03, 0.155)


def _paint_torso_from_the_front(figure: Figure, person: Person) -> None:
    hem, low, top = 0.49, 0.092 * person.build, 0.118 * person.build
    torso, rounding = person.vest or person.shirt, 0.05
    figure.limb((rounding - top, 0.775), (top - rounding, 0.775), rounding, rounding, torso)
    figure.quad(low, hem, top, 0.785, torso)
    if person.vest:
        for y in (0.545, 0.66):
            half_width = low + (top - low) * (y - hem) / 0.295
            figure.quad(half_width, y, half_width + 0.002, y + 0.035, REFLECTIVE)
        if person.facing == TO_US:
            figure.quad(0.006, hem, 0.006, 0.81, shade(person.vest, 0.72))  # its zip
    elif person.trousers != person.shirt:
        figure.quad(low, hem, low, 0.505, shade(torso, 0.8))


def paint_arm(figure: Figure, arm: tuple[Point, Point, Point], sleeve: Colour, skin: Colour) -> None:
    """An arm from its shoulder, elbow and hand."""
    shoulder, elbow, hand = arm
    figure.limb(shoulder, elbow, 0.037, 0.031, sleeve)
    figure.limb(elbow, hand, 0.031, 0.025, shade(sleeve, 0.96))
    figure.disc(hand, 0.027, 0.027, skin)
