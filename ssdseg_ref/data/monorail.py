"""The overhead monorail: an I beam on hangers, and the hoist that runs on it."""

from __future__ import annotations

from itertools import pairwise

from ssdseg_ref.data.drawing import Camera, Colour, Dice, Frame, Point, SceneCanvas, cuboid, shade, turn
from ssdseg_ref.data.hall import GOODS, IRON

RAILS: tuple[Colour, ...] = ((0.95, 0.74, 0.13), (0.92, 0.50, 0.14), (0.20, 0.44, 0.70), (0.76, 0.22, 0.18))


def sample_rail_path(dice: Dice, half_width: float, depth: float, nearest: float) -> list[Point]:
    """(X, Z) of the corners of a monorail's path: straight across, into depth, or round a bend.

    Args:
        half_width: how far to each side the path may go, in metres.
        depth: Z that the path may not pass.
        nearest: Z from which on the rail is inside the picture.
    """
    kind = dice.weighted((0.42, 0.16, 0.42))
    side = dice.sign()
    z = min(nearest + dice.uniform(0.0, 2.5), depth - 3.0)
    length = dice.uniform(4.5, 7.0)
    skew = dice.uniform(0.0, 1.6)
    start = dice.uniform(0.5, half_width - 0.8) * side
    radius = dice.uniform(1.5, 2.6)
    middle = dice.uniform(-1.2, 1.2)
    if kind == 0:
        ends = (middle - 0.5 * length * side, z), (middle + 0.5 * length * side, z + skew)
        path = [ends[0], (middle, z + 0.5 * skew), ends[1]]
    elif kind == 1:
        path = [(start * (1.0 - 0.1 * piece), z - 0.5 + length * piece / 3.0) for piece in range(4)]
    else:  # into depth, a quarter of a circle, and across to the other side of the hall
        bend_z = z + 0.4
        path = [(start, z - 1.2), (start, bend_z)]
        for t in (0.2, 0.42, 0.67, 1.0):
            cosine, sine = turn(t)
            path.append((start - side * radius * (1.0 - cosine), bend_z + radius * sine))
        path.append((path[-1][0] - side * 0.6 * length, bend_z + radius))
    return [(min(max(x, -half_width), half_width), min(z, depth)) for x, z in path]


def paint_monorail(
    canvas: SceneCanvas, camera: Camera, path: list[Point], height: float, ceiling: float, dice: Dice
) -> None:
    """An overhead rail with its hangers and the hoist that runs on it: all of it is one instance.

    Args:
        path: (X, Z) corners, in metres.
        height: of the rail's lower edge over the floor, in metres.
        ceiling: where the hangers end, in metres over the floor.
    """
    colour = dice.pick(RAILS)
    hoist_colour = dice.pick((RAILS[0], (0.88, 0.87, 0.84), (0.30, 0.33, 0.38), RAILS[2]))
    drop = dice.uniform(0.3, 0.55)
    place = dice.uniform(0.25, 0.75)
    carried = dice.chance(0.5)
    goods = dice.pick(GOODS)
    top = height + 0.42

    pieces = sorted(pairwise(path), key=lambda piece: -(piece[0][1] + piece[1][1]))
    for (ax, az), (bx, bz) in pieces:
        for end in (0.0, 1.0) if bz < az else (1.0, 0.0):
            x, z = ax + (bx - ax) * end, az + (bz - az) * end
            radius = 0.035 * camera.focal / z
            hanger = camera.project(x, top, z), camera.project(x, ceiling, z)
            canvas.limb(*hanger, radius, radius, camera.through_haze(IRON, z))
    hoist_at = place * (len(path) - 1)
    piece_of_hoist = int(hoist_at)
    for (ax, az), (bx, bz) in pieces:
        _paint_beam(canvas, camera, (ax, az), (bx, bz), height, top, colour)
    (ax, az), (bx, bz) = path[piece_of_hoist], path[piece_of_hoist + 1]
    share = hoist_at - piece_of_hoist
    frame = Frame(ax + (bx - ax) * share, az + (bz - az) * share)
    _paint_hoist(canvas, camera, frame, height, drop, hoist_colour, goods if carried else None)


def _paint_beam(
    canvas: SceneCanvas, camera: Camera, start: Point, end: Point, low: float, top: float, colour: Colour
) -> None:
    """A straight piece of an I beam: flange, web, flange."""
    (ax, az), (bx, bz) = start, end
    middle = 0.5 * (az + bz)
    paint = camera.through_haze(colour, middle)

    def strip(y0: float, y1: float, brightness: float) -> None:
        corners = [camera.project(x, y, z) for x, y, z in ((ax, y0, az), (bx, y0, bz), (bx, y1, bz), (ax, y1, az))]
        canvas.polygon(corners, shade(paint, brightness), grow=0.3)

    dx, dz = bx - ax, bz - az
    # half a flange to each side, across the piece
    length = max(abs(dx), abs(dz))
    wide_x, wide_z = -0.16 * dz / length, 0.16 * dx / length
    strip(low + 0.05, top - 0.05, 0.84)
    for y, brightness in ((top - 0.07, 0.7), (low, 0.62)):
        corners = [
            camera.project(x + side * wide_x, y, z + side * wide_z)
            for x, z, side in ((ax, az, -1.0), (bx, bz, -1.0), (bx, bz, 1.0), (ax, az, 1.0))
        ]
        canvas.polygon(corners, shade(paint, brightness), grow=0.3)
    # the edge of each flange that is nearer to the camera, or nearer to the middle of the hall
    side = 1.0 if wide_x * ax + wide_z * az < 0.0 else -1.0
    ax, bx, az, bz = ax + side * wide_x, bx + side * wide_x, az + side * wide_z, bz + side * wide_z
    strip(top - 0.09, top, 1.0)
    strip(low, low + 0.09, 1.05)


def _paint_hoist(
    canvas: SceneCanvas, camera: Camera, frame: Frame, height: float, drop: float, colour: Colour, goods: Colour | None
) -> None:
    """A trolley on the rail, a motor under it, a chain, and a hook or a load."""
    reach = camera.focal / frame.z
    cuboid(canvas, camera, frame, (-0.34, 0.34), (-0.2, 0.2), (height - 0.08, height + 0.14), IRON)
    cuboid(canvas, camera, frame, (-0.48, 0.48), (-0.24, 0.24), (height - 0.50, height - 0.08), colour)
    left, right = (
        camera.project(frame.x - 0.2, height - 0.28, frame.z - 0.25),
        camera.project(frame.x + 0.2, height - 0.28, frame.z - 0.25),
    )
    canvas.limb(left, right, 0.07 * reach, 0.07 * reach, camera.through_haze(shade(colour, 0.7), frame.z))
    below = height - 0.5 - drop
    chain = 0.03 * reach
    canvas.limb(
        camera.project(frame.x, height - 0.5, frame.z),
        camera.project(frame.x, below, frame.z),
        chain,
        chain,
        camera.through_haze(IRON, frame.z),
    )
    if goods is None:
        canvas.ellipse(
            camera.project(frame.x, below - 0.06, frame.z),
            (0.11 * reach, 0.0),
            (0.0, 0.13 * reach),
            camera.through_haze(RAILS[0], frame.z),
        )
    else:
        sling = camera.through_haze(IRON, frame.z)
        for side in (-0.45, 0.45):
            corner = camera.project(frame.x + side, below - 0.25, frame.z)
            canvas.limb(camera.project(frame.x, below, frame.z), corner, chain, chain, sling)
        cuboid(canvas, camera, frame, (-0.5, 0.5), (-0.35, 0.35), (below - 0.65, below - 0.25), goods)
