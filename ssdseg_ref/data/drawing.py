"""A small painter that gives the same picture, bit for bit, on every machine.

Shapes are signed distance fields: each shape knows how many pixels a point lies inside its edge, and
`clip(0.5 + distance, 0, 1)` of that is how much of a pixel it covers. Only operations that IEEE 754 rounds exactly
are used (+ - * / sqrt, min, max, floor), element by element, because sines, powers and sums differ between
processors and versions. For the same reason scalars are Python floats, never NumPy's: those promote differently in
NumPy 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in 0..1
Choice = TypeVar("Choice")
Point = tuple[float, float]  # x, y in pixels, from the top left corner of the image

MAX_SEED = 2**32 - 1
THINNEST = 0.2  # pixels; a polygon that is seen more edge-on than this is left out
_ZERO, _ONE = np.zeros((), np.float32), np.ones((), np.float32)  # faster than Python's 0.0 and 1.0


class Dice:
    """Random choices from the frozen stream of `np.random.RandomState`.

    Only the operations whose results no NumPy version may change, and that use no logarithm or cosine.
    """

    def __init__(self, seed: int) -> None:
        self._stream = np.random.RandomState(seed)

    def uniform(self, low: float, high: float) -> float:
        """A float in low..high."""
        return low + (high - low) * float(self._stream.random_sample())

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return float(self._stream.random_sample()) < probability

    def integer(self, count: int) -> int:
        """An integer in 0..count-1."""
        return int(self._stream.randint(count))

    def sign(self) -> float:
        """-1.0 or 1.0."""
        return 1.0 if self.chance(0.5) else -1.0

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of the choices, each as likely as the others."""
        return choices[self.integer(len(choices))]

    def weighted(self, weights: Sequence[float]) -> int:
        """Index of one of the weights (they add up to 1), drawn with that probability."""
        left = float(self._stream.random_sample())
        for index, weight in enumerate(weights):
            left -= weight
            if left < 0.0:
                return index
        return len(weights) - 1

    def table(self, *shape: int) -> np.ndarray:
        """Floats in 0..1, float32."""
        return self._stream.random_sample(shape).astype(np.float32)

    def bytes(self, *shape: int) -> np.ndarray:
        """Uniform bytes, uint8."""
        return np.frombuffer(self._stream.bytes(math.prod(shape)), np.uint8).reshape(shape)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour that lies `share` of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, lighter (factor over 1) or darker (under 1)."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def turn(t: float) -> Point:
    """(cosine, sine) of the angle whose half has tangent t: the rational, exactly rounded way to a rotation."""
    return (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along +Z, with its lens shifted so that verticals stay vertical.

    The world is in metres: X to the right, Y up from the floor, Z away from the camera, which stands at (0, height, 0).

    Attributes:
        focal: pixels that a metre takes one metre away.
        centre: column of the vanishing point, in pixels.
        horizon: row of the horizon, in pixels.
        height: of the camera over the floor, in metres.
        haze: what far things fade to.
    """

    focal: float
    centre: float
    horizon: float
    height: float
    haze: Colour

    def project(self, x: float, y: float, z: float) -> Point:
        """Where a point of the world is in the image."""
        scale = self.focal / z
        return self.centre + x * scale, self.horizon + (self.height - y) * scale

    def through_haze(self, colour: Colour, z: float) -> Colour:
        """The colour as it looks from z metres away."""
        return mix(colour, self.haze, z / (z + 75.0))


@dataclass
class SceneCanvas:
    """A picture in the making, and which instance owns each of its pixels.

    Attributes:
        pixels: (3, H, W) float32 in 0..1; planes first, because NumPy is fast along the last axis.
        owner: (H, W) int16, the instance that is in front, 0 for the background.
        instance: the instance that the next shapes belong to; None as long as there is nothing but background.
    """

    height: int
    width: int
    instance: int | None = None
    pixels: np.ndarray = field(init=False)
    owner: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((3, self.height, self.width), np.float32)
        self.owner = np.zeros((self.height, self.width), np.int16)
        self.xs = np.arange(self.width, dtype=np.float32) + 0.5  # middles of the columns
        self.ys = np.arange(self.height, dtype=np.float32)[:, None] + 0.5  # (H, 1), middles of the rows

    def polygon(
        self, points: Sequence[Point], colour: Colour, light: Point = (0.0, 0.0), grow: float = 0.0, alpha: float = 1.0
    ) -> None:
        """A convex polygon, its corners in either order.

        Args:
            points: the corners, in pixels.
            colour: of its middle.
            light: how much lighter the colour gets from the middle to the right edge and to the lower edge.
            grow: pixels by which each edge moves out, so that neighbours leave no seam.
            alpha: how opaque it is. Under 0.5 it owns no pixel.
        """
        x, y = [p[0] for p in points], [p[1] for p in points]
        window = self._window(min(x), min(y), max(x), max(y))
        if window is None:
            return
        doubled_area = 0.0
        for i in range(len(points)):
            doubled_area += x[i - 1] * y[i] - x[i] * y[i - 1]
        if abs(doubled_area) < THINNEST * 2.0 * max(max(x) - min(x), max(y) - min(y)):
            return
        side = 1.0 if doubled_area > 0.0 else -1.0
        edges = []
        for i in range(len(points)):
            dx, dy = x[i] - x[i - 1], y[i] - y[i - 1]
            length = math.sqrt(dx * dx + dy * dy)
            if length > 0.0:
                nx, ny = -dy / length * side, dx / length * side
                edges.append((nx, ny, grow + 0.5 - nx * x[i] - ny * y[i]))
        top, bottom, left, right = window
        planes = np.array(edges, np.float32)[:, :, None]  # (edges, 3, 1)
        down = planes[:, 1] * self.ys[top:bottom, 0] + planes[:, 2]  # (edges, rows)
        across = planes[:, 0] * self.xs[left:right]  # (edges, columns)
        inside = (down[:, :, None] + across[:, None, :]).min(axis=0)
        self._paint(window, inside, colour, light, alpha)

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, light: Point = (0.0, 0.0)
    ) -> None:
        """An axis-aligned rectangle, its edges in pixels."""
        window = self._window(left, top, right, bottom)
        if window is None:
            return
        t, b, le, r = window
        xs, ys = self.xs[le:r], self.ys[t:b]
        across = np.minimum(np.minimum(xs - (left - 0.5), (right + 0.5) - xs), 1.0)
        down = np.minimum(np.minimum(ys - (top - 0.5), (bottom + 0.5) - ys), 1.0)
        self._paint(window, np.maximum(down, 0.0) * np.maximum(across, 0.0), colour, light)

    def limb(
        self,
        start: Point,
        end: Point,
        start_radius: float,
        end_radius: float,
        colour: Colour,
        light: Point = (0.0, 0.0),
        bands: Sequence[tuple[float, float, Colour]] = (),
    ) -> None:
        """A thick line with round ends whose radius changes evenly: an arm, a torso, a pipe in perspective.

        Args:
            start, end: the middles of the round ends, in pixels.
            start_radius, end_radius: in pixels.
            colour: of the middle.
            light: as in `polygon`.
            bands: (place, half width, colour) of rings around it, as shares of the way from start to end.
        """
        (ax, ay), (bx, by) = start, end
        window = self._window(
            min(ax - start_radius, bx - end_radius),
            min(ay - start_radius, by - end_radius),
            max(ax + start_radius, bx + end_radius),
            max(ay + start_radius, by + end_radius),
        )
        if window is None:
            return
        top, bottom, left, right = window
        dx, dy = self.xs[left:right] - ax, self.ys[top:bottom] - ay
        ex, ey = bx - ax, by - ay
        squared = max(ex * ex + ey * ey, 1e-6)
        along = dy * (ey / squared) + dx * (ex / squared)  # 0 at the start, 1 at the end
        t = np.minimum(np.maximum(along, 0.0), 1.0)
        off_x, off_y = dx - t * ex, dy - t * ey
        off_x *= off_x
        off_y *= off_y
        off_x += off_y
        inside = t * (end_radius - start_radius)
        inside += start_radius + 0.5
        inside -= np.sqrt(off_x, out=off_x)
        thin = min(1.0, 2.0 * max(start_radius, end_radius))  # a hair covers less than the pixel it crosses
        self._paint(window, inside, colour, light, thin)
        length = math.sqrt(squared)
        for place, half_width, band_colour in bands:
            ring = (half_width * length + 0.5) - np.abs(along - place) * length
            self._paint(window, np.minimum(ring, inside), band_colour, light)

    def ellipse(
        self,
        centre: Point,
        axis: Point,
        other_axis: Point,
        colour: Colour,
        light: Point = (0.0, 0.0),
        keep_above: float | None = None,
    ) -> None:
        """An ellipse given by two half axes, as vectors in pixels (they may be skew: a circle in perspective).

        With `keep_above` only the part over that row is painted: a helmet, hair.
        """
        (ux, uy), (vx, vy) = axis, other_axis
        determinant = ux * vy - uy * vx
        if determinant == 0.0:
            return
        reach_x, reach_y = math.sqrt(ux * ux + vx * vx), math.sqrt(uy * uy + vy * vy)
        window = self._window(centre[0] - reach_x, centre[1] - reach_y, centre[0] + reach_x, centre[1] + reach_y)
        if window is None:
            return
        top, bottom, left, right = window
        dx, dy = self.xs[left:right] - centre[0], self.ys[top:bottom] - centre[1]
        p = dy * (-vx / determinant) + dx * (vy / determinant)
        q = dy * (ux / determinant) + dx * (-uy / determinant)
        p *= p
        q *= q
        p += q
        radius = math.sqrt(abs(determinant))
        inside = (1.0 - np.sqrt(p, out=p)) * radius
        inside += 0.5
        if keep_above is not None:
            np.minimum(inside, (keep_above + 0.5) - self.ys[top:bottom], out=inside)
        self._paint(window, inside, colour, light)

    def soft_spot(self, centre: Point, half_width: float, half_height: float, colour: Colour, strength: float) -> None:
        """A blurred ellipse that owns nothing: the shadow under a thing, the glow around a lamp."""
        window = self._window(
            centre[0] - half_width, centre[1] - half_height, centre[0] + half_width, centre[1] + half_height
        )
        if window is None:
            return
        top, bottom, left, right = window
        dx = (self.xs[left:right] - centre[0]) * (1.0 / half_width)
        dy = (self.ys[top:bottom] - centre[1]) * (1.0 / half_height)
        cover = np.maximum((1.0 - dy * dy) - dx * dx, 0.0)
        cover *= cover
        cover *= strength
        region = self.pixels[:, top:bottom, left:right]
        region += (_column(colour) - region) * cover

    def _window(self, left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int] | None:
        """(top, bottom, left, right) of the pixels that a shape can touch, or None where it misses the image."""
        x0, x1 = max(math.floor(left - 1.0), 0), min(math.ceil(right + 1.0), self.width)
        y0, y1 = max(math.floor(top - 1.0), 0), min(math.ceil(bottom + 1.0), self.height)
        return None if x0 >= x1 or y0 >= y1 else (y0, y1, x0, x1)

    def _paint(
        self, window: tuple[int, int, int, int], inside: np.ndarray, colour: Colour, light: Point, alpha: float = 1.0
    ) -> None:
        """Blend a colour into the window, each pixel by its cover, and take the pixels that are covered by half."""
        top, bottom, left, right = window
        cover = np.minimum(np.maximum(inside, _ZERO), _ONE)
        if alpha < 1.0:
            cover *= alpha
        if self.instance is not None:
            np.copyto(self.owner[top:bottom, left:right], self.instance, where=cover >= 0.5)
        region = self.pixels[:, top:bottom, left:right]
        paint = _column(colour)
        if light[1]:
            paint = paint * ((self.ys[top:bottom] - 0.5 * (top + bottom)) * (2.0 * light[1] / (bottom - top)) + 1.0)
        if light[0]:
            paint = paint * ((self.xs[left:right] - 0.5 * (left + right)) * (2.0 * light[0] / (right - left)) + 1.0)
        difference = paint - region
        difference *= cover
        region += difference


def _column(colour: Colour) -> np.ndarray:
    return np.array(colour, np.float32)[:, None, None]


@dataclass(frozen=True)
class Frame:
    """Where a thing stands on the floor and where it faces.

    Attributes:
        x, z: its middle on the floor, in metres.
        cosine, sine: of the angle from +X to where it faces, seen from above, towards +Z.
    """

    x: float
    z: float
    cosine: float = 1.0
    sine: float = 0.0

    def to_world(self, u: float, v: float) -> Point:
        """(X, Z) of the point u metres ahead of the middle and v metres to its side."""
        return self.x + u * self.cosine - v * self.sine, self.z + u * self.sine + v * self.cosine

    def of_camera(self) -> Point:
        """(u, v) of the camera."""
        return -self.x * self.cosine - self.z * self.sine, self.x * self.sine - self.z * self.cosine


def cuboid(
    canvas: SceneCanvas,
    camera: Camera,
    frame: Frame,
    us: Point,
    vs: Point,
    ys: Point,
    colour: Colour,
) -> None:
    """The faces of a box that the camera sees.

    Args:
        us, vs: (from, to) ahead of and beside the frame's middle, in metres.
        ys: (from, to) over the floor, in metres.
    """
    eye_u, eye_v = frame.of_camera()
    faces = []  # (corners as (u, v, y), brightness)
    for value, eye, outward in ((us[0], eye_u, -1.0), (us[1], eye_u, 1.0)):
        if (eye - value) * outward > 0.0:
            corners = [(value, v, y) for v, y in ((vs[0], ys[0]), (vs[1], ys[0]), (vs[1], ys[1]), (vs[0], ys[1]))]
            faces.append((corners, _brightness(outward * frame.cosine, outward * frame.sine)))
    for value, eye, outward in ((vs[0], eye_v, -1.0), (vs[1], eye_v, 1.0)):
        if (eye - value) * outward > 0.0:
            corners = [(u, value, y) for u, y in ((us[0], ys[0]), (us[1], ys[0]), (us[1], ys[1]), (us[0], ys[1]))]
            faces.append((corners, _brightness(-outward * frame.sine, outward * frame.cosine)))
    if camera.height > ys[1] or camera.height < ys[0]:
        y, brightness = (ys[1], 1.14) if camera.height > ys[1] else (ys[0], 0.6)
        faces.append(
            ([(u, v, y) for u, v in ((us[0], vs[0]), (us[1], vs[0]), (us[1], vs[1]), (us[0], vs[1]))], brightness)
        )
    seen = camera.through_haze(colour, frame.z)
    for corners, brightness in faces:
        points = []
        for u, v, y in corners:
            x, z = frame.to_world(u, v)
            points.append(camera.project(x, y, z))
        canvas.polygon(points, shade(seen, brightness), (0.0, -0.05), grow=0.2)


def _brightness(normal_x: float, normal_z: float) -> float:
    """How light an upright face looks: the light comes from the left, behind the camera."""
    return 0.86 - 0.16 * normal_x - 0.08 * normal_z
