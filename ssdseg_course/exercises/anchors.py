"""The exercises of lesson 1: where a detector looks."""

import numpy as np

from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.exercises.anchor_choice import CHOOSE_ANCHORS
from ssdseg_ref import anchors as reference
from ssdseg_ref.anchors import AnchorSpec, anchor_sizes, grid_centers, linear_scales, map_anchors
from ssdseg_ref.boxes import areas, corners_to_centers, pairwise_iou

LANDSCAPE, PORTRAIT, SQUARE = (160, 224), (300, 200), (128, 128)  # (height, width) in pixels


def _draw_image_size(rng: np.random.Generator) -> tuple[int, int]:
    height, width = rng.choice(np.arange(96, 513, 32), 2, replace=False)
    return int(height), int(width)


def _draw_ratios(rng: np.random.Generator) -> tuple[float, ...]:
    count = rng.integers(2, 4)
    return tuple(rng.choice([0.25, 0.33, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0], count, replace=False).tolist())


def _draw_scales(rng: np.random.Generator, count: int) -> tuple[float, ...]:
    first = rng.uniform(0.08, 0.25)
    return tuple(np.round(first + np.cumsum(rng.uniform(0.08, 0.3, count)), 2).tolist())


# 01.grid_centers


def _cells(rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of each cell's upper left corner, counted in cells, row by row."""
    y, x = np.mgrid[:rows, :cols].reshape(2, -1)
    return x, y


def _corners_of_cells(rows, cols):
    x, y = _cells(rows, cols)
    return np.stack([x / cols, y / rows], axis=1)


def _sides_swapped(rows, cols):
    x, y = _cells(rows, cols)
    return np.stack([(x + 0.5) / rows, (y + 0.5) / cols], axis=1)


def _border_to_border(rows, cols):
    x, y = np.meshgrid(np.linspace(0, 1, cols), np.linspace(0, 1, rows))
    return np.stack([x, y], axis=-1).reshape(-1, 2)


GRID_CENTERS = Exercise(
    id="01.grid_centers",
    title="Where anchors sit",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=grid_centers,
    fixed_cases=((2, 3), (1, 1), (1, 4), (5, 1), (3, 3)),
    draw=lambda rng: tuple(rng.integers(2, 10, 2).tolist()),
    hints=(
        "A cell of column j begins j cells from the left. Where is its middle, counted in cells? And as a fraction?",
        "x = (column + 0.5) / cols and y = (row + 0.5) / rows. What is left is to make all pairs, row by row.",
        "np.mgrid[:rows, :cols] gives the row and the column of every cell. Work out x and y from them, then "
        "np.stack([x, y], axis=-1).reshape(-1, 2).",
    ),
    mutants=(
        Mutant(
            lambda rows, cols: grid_centers(rows, cols)[:, ::-1],
            "this is what you get when x and y change places. Which of them runs along the columns?",
        ),
        Mutant(_corners_of_cells, "these are the upper left corners of the cells. How far from there is the middle?"),
        Mutant(
            lambda rows, cols: np.add(_corners_of_cells(rows, cols), [1 / cols, 1 / rows]),
            "these are the lower right corners of the cells: a whole cell was added. How far is it to the middle?",
        ),
        Mutant(
            lambda rows, cols: _corners_of_cells(rows, cols) + 0.5,
            "the half was added after dividing, so it means half an image. It should mean half a cell.",
        ),
        Mutant(
            _sides_swapped,
            "x was divided by the number of rows and y by that of columns. How many cells stand side by side in a row?",
        ),
        Mutant(
            lambda rows, cols: grid_centers(cols, rows),
            "this is the grid with rows and columns exchanged: it lies on its side. In which order do they come in?",
        ),
        Mutant(
            lambda rows, cols: grid_centers(cols, rows)[:, ::-1],
            "the points are right, but they come column by column. Row by row, x changes from one point to the next.",
        ),
        Mutant(
            _border_to_border,
            "the first and the last point touch the border, as np.linspace(0, 1, n) sets them. Middles of cells stay "
            "half a cell away from it.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols) * [cols, rows],
            "these are middles counted in cells. As fractions of the image they lie between 0 and 1.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols) * [1, -1] + [0, 1],
            "y was counted from below. In an image row 0 is the top one, and y grows downward.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).reshape(rows, cols, 2),
            "the points still stand in their grid. One reshape makes it a list of points, row by row.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).T,
            "all x stand in one row and all y in the other. Each point should be a row of its own: (x, y).",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).T.reshape(-1, 2),
            "all x were written down, then all y, and that was cut into pairs. np.stack([x, y], axis=-1) puts each x "
            "beside its y.",
        ),
    ),
)


# 01.anchor_sizes


def _sizes(widths, heights, extra, image_size):
    """The sizes in fractions from those in short sides, with the extra square last."""
    height, width = image_size
    short = min(image_size)
    sizes = np.stack([np.append(widths, extra), np.append(heights, extra)], axis=1)
    return sizes * [short / width, short / height]


def _root_forgotten(scale, next_scale, aspect_ratios, image_size):
    ratios = np.array(aspect_ratios)
    return _sizes(scale * ratios, scale / ratios, np.sqrt(scale * next_scale), image_size)


def _only_the_width_changes(scale, next_scale, aspect_ratios, image_size):
    ratios = np.array(aspect_ratios)
    return _sizes(scale * ratios, np.full_like(ratios, scale), np.sqrt(scale * next_scale), image_size)


def _root_on_one_side(scale, next_scale, aspect_ratios, image_size):
    root = np.sqrt(aspect_ratios)
    return _sizes(scale * root, np.full_like(root, scale), np.sqrt(scale * next_scale), image_size)


def _extra_square_in_pixels(scale, next_scale, aspect_ratios, image_size):
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return np.concatenate([sizes[:-1], sizes[-1:] * [image_size[1], image_size[0]]])


def _with_extra_square(extra):
    """`anchor_sizes` with another side for the extra square."""

    def sizes(scale, next_scale, aspect_ratios, image_size):
        root = np.sqrt(aspect_ratios)
        return _sizes(scale * root, scale / root, extra(scale, next_scale), image_size)

    return sizes


def _in_pixels(scale, next_scale, aspect_ratios, image_size):
    height, width = image_size
    return anchor_sizes(scale, next_scale, aspect_ratios, image_size) * [width, height]


def _fractions_of_each_side(scale, next_scale, aspect_ratios, image_size):
    return anchor_sizes(scale, next_scale, aspect_ratios, (1, 1))


def _by_the_longer_side(scale, next_scale, aspect_ratios, image_size):
    return anchor_sizes(scale, next_scale, aspect_ratios, image_size) * (max(image_size) / min(image_size))


def _draw_anchor_sizes(rng: np.random.Generator):
    return (*_draw_scales(rng, 2), _draw_ratios(rng), _draw_image_size(rng))


ANCHOR_SIZES = Exercise(
    id="01.anchor_sizes",
    title="How large anchors are, and of which shape",
    points=20,
    difficulty="medium",
    minutes=20,
    reference=anchor_sizes,
    fixed_cases=(
        (0.2, 0.4, (1.0, 2.0, 0.5), LANDSCAPE),
        (0.3, 0.5, (1.0,), SQUARE),
        (0.1, 0.3, (3.0,), PORTRAIT),
        (0.5, 0.8, (0.33, 0.5), (32, 320)),
    ),
    draw=_draw_anchor_sizes,
    hints=(
        "Work in pixels first: a square of this scale has sides of scale * min(height, width). Which width and height "
        "keep its area, but have a ratio of r?",
        "In pixels width = side * sqrt(r) and height = side / sqrt(r). The extra square has the side of "
        "sqrt(scale * next_scale). Then divide widths by the image's width, heights by its height.",
        "height, width = image_size; short = min(image_size). Make two lists, of roots [sqrt(r) ..., 1] and of sides "
        "[scale * short ..., sqrt(scale * next_scale) * short]; the columns of the answer are sides * roots / width "
        "and sides / roots / height.",
    ),
    mutants=(
        Mutant(
            _root_forgotten,
            "the root of the ratio is missing: width / height comes to the ratio squared. What makes it the ratio, "
            "with the area left as it was?",
        ),
        Mutant(
            _only_the_width_changes,
            "the ratio went into the width alone, so a wider anchor is also a larger one. Share it between width "
            "and height so that the area stays.",
        ),
        Mutant(
            _root_on_one_side,
            "the root of the ratio went into the width alone: the height is to be divided by it, so that the area "
            "stays.",
        ),
        Mutant(
            _extra_square_in_pixels,
            "the extra square is still in pixels: divide its sides by the image's width and height, like the others.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size).T,
            "all widths stand in one row and all heights in the other: a row for each anchor, np.stack(..., axis=1).",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, [1 / r for r in ratios], size),
            "wide and tall have changed places. A ratio is width / height: at 2 the anchor is wider than tall.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size)[:, ::-1],
            "each row is (height, width). It should be (width, height), as x comes before y.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size)[:-1],
            "one anchor is missing: after the ratios comes one more square, between this scale and the next.",
        ),
        Mutant(
            _with_extra_square(lambda s, t: s),
            "the extra square has this map's own scale. It should stand between this scale and the next.",
        ),
        Mutant(
            _with_extra_square(lambda s, t: t),
            "the extra square has the next map's scale. It should stand between this scale and the next.",
        ),
        Mutant(
            _with_extra_square(lambda s, t: (s + t) / 2),
            "the extra square stands at the arithmetic mean of the two scales. SSD takes the geometric mean: as many "
            "times larger than the one as it is smaller than the other.",
        ),
        Mutant(
            _with_extra_square(lambda s, t: s * t),
            "the extra square has the product of the two scales for its side. A root is missing.",
        ),
        Mutant(
            lambda s, t, ratios, size: np.roll(anchor_sizes(s, t, ratios, size), 1, axis=0),
            "the sizes are right, but the extra square comes first. It should come last.",
        ),
        Mutant(
            _fractions_of_each_side,
            "a ratio of 1 is no square on the screen here: the scale was taken as a fraction of each side. Work out "
            "pixels first, from the shorter side, then divide by width and height.",
        ),
        Mutant(
            _by_the_longer_side,
            "the scale was taken as a fraction of the longer side. Which side does it refer to?",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size[::-1]),
            "widths were divided by the image's height and heights by its width. image_size is (height, width).",
        ),
        Mutant(_in_pixels, "these are sizes in pixels. Divide them by the image's width and height."),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size) / 2,
            "each size is half of what it should be: these are the ways from the middle to the sides.",
        ),
    ),
)


# 01.map_anchors


def _regrouped(order: tuple[int, int, int]):
    """`map_anchors` with rows (0), columns (1) and shapes (2) running in another order, the first slowest."""

    def anchors(rows, cols, scale, next_scale, aspect_ratios, image_size):
        grid = map_anchors(rows, cols, scale, next_scale, aspect_ratios, image_size).reshape(rows, cols, -1, 4)
        return grid.transpose(*order, 3).reshape(-1, 4)

    return anchors


def _around(low: float, high: float):
    """`map_anchors` that reach from middle + low * size to middle + high * size."""

    def anchors(*arguments):
        boxes = corners_to_centers(map_anchors(*arguments))
        middles, sizes = boxes[:, :2], boxes[:, 2:]
        return np.concatenate([middles + low * sizes, middles + high * sizes], axis=1)

    return anchors


def _around_corners_of_cells(rows, cols, *shape):
    return map_anchors(rows, cols, *shape) - np.array([0.5 / cols, 0.5 / rows] * 2)


def _draw_map_anchors(rng: np.random.Generator):
    rows, cols = rng.choice(np.arange(2, 6), 2, replace=False).tolist()
    return (rows, cols, *_draw_anchor_sizes(rng))


MAP_ANCHORS = Exercise(
    id="01.map_anchors",
    title="All anchors of one map",
    points=15,
    difficulty="medium",
    minutes=20,
    reference=map_anchors,
    fixed_cases=(
        (2, 3, 0.2, 0.4, (1.0, 2.0), LANDSCAPE),
        (1, 1, 0.5, 0.8, (1.0,), SQUARE),
        (1, 3, 0.3, 0.4, (0.5,), PORTRAIT),
        (3, 1, 0.6, 0.9, (1.0, 2.0, 0.5), LANDSCAPE),
    ),
    draw=_draw_map_anchors,
    hints=(
        "You have middles and sizes already: every size goes around every middle. Where is the left side of a box of "
        "width w around x?",
        "A box reaches from middle - size / 2 to middle + size / 2, in x and in y. Let NumPy make all pairs: give the "
        "middles the shape (rows * cols, 1, 2) and the sizes (1, A, 2).",
        "middles = grid_centers(rows, cols)[:, None]; sizes = anchor_sizes(...)[None]; then "
        "np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=-1).reshape(-1, 4).",
    ),
    mutants=(
        Mutant(
            lambda *arguments: corners_to_centers(map_anchors(*arguments)),
            "each row is (x, y, width, height). It should be corners: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            _around(-1, 1),
            "each anchor is twice as wide and tall as it should be. It reaches half its size to each side.",
        ),
        Mutant(
            _around(0, 1),
            "each anchor begins at the middle of its cell. The middle of the cell is the middle of the anchor.",
        ),
        Mutant(
            lambda *arguments: np.clip(map_anchors(*arguments), 0, 1),
            "anchors at the border were cut off. Let them reach over it: cut, they would have another shape.",
        ),
        Mutant(
            lambda *arguments: map_anchors(*arguments)[:, [0, 2, 1, 3]],
            "each row is (xmin, xmax, ymin, ymax). Both minima come first: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            lambda *arguments: map_anchors(*arguments)[:, [1, 0, 3, 2]],
            "each row is (ymin, xmin, ymax, xmax). x comes before y: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            lambda *arguments: map_anchors(*arguments)[:, [2, 3, 0, 1]],
            "maxima come before minima here. Which corner has the smaller numbers?",
        ),
        Mutant(
            _regrouped((2, 0, 1)),
            "the anchors are right, but all of one shape come first. Those that share a cell should follow each other.",
        ),
        Mutant(
            _regrouped((1, 0, 2)),
            "the anchors are right, but they come column by column. They should come row by row.",
        ),
        Mutant(
            lambda rows, cols, *shape: map_anchors(cols, rows, *shape),
            "this is the map with rows and columns exchanged. Which of them does grid_centers take first?",
        ),
        Mutant(
            _around_corners_of_cells,
            "the anchors sit on the upper left corners of the cells. They should sit on the middles.",
        ),
        Mutant(
            lambda rows, cols, s, t, *rest: map_anchors(rows, cols, s, s, *rest),
            "the extra square has this map's own scale. next_scale did not reach anchor_sizes.",
        ),
        Mutant(
            lambda rows, cols, s, t, ratios, size: map_anchors(rows, cols, s, t, ratios, size[::-1]),
            "image_size was turned around on its way to anchor_sizes. It is (height, width) there, too.",
        ),
        Mutant(
            lambda rows, cols, *shape: map_anchors(rows, cols, *shape).reshape(rows * cols, -1, 4),
            "the anchors are still grouped by cell. One reshape makes it a list of boxes.",
        ),
    ),
    errors=(
        (
            "broadcast together",
            "each middle meets each size: middles[:, None] and sizes[None] have the axes (cell, shape, 2) for that.",
        ),
        (
            "list indices must be integers",
            "a list cannot be indexed with `[:, None]`: make an array of it first, np.asarray(...).",
        ),
    ),
)


# 01.linear_scales


def _draw_linear_scales(rng: np.random.Generator):
    first = rng.uniform(0.05, 0.3)
    return (
        round(float(first), 3),
        round(float(first + rng.uniform(0.2, 0.6)), 3),
        int(rng.integers(3, 8)),
    )


LINEAR_SCALES = Exercise(
    id="01.linear_scales",
    title="A scale for every map",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=linear_scales,
    fixed_cases=((0.2, 0.8, 4), (0.2, 0.9, 6), (0.1, 0.5, 2), (0.2, 0.9, 3)),
    draw=_draw_linear_scales,
    hints=(
        "How many steps lead from the first map to the last? With 2 maps it is a single one.",
        "step = (last - first) / (maps - 1), and map k has the scale of first + k * step.",
        "Let k run from 0 to maps, with maps: the last one is the step behind the coarsest map. "
        "[first + step * k for k in range(maps + 1)].",
    ),
    mutants=(
        Mutant(
            lambda first, last, maps: np.linspace(first, last, maps + 1),
            "the coarsest map does not have the scale `last`: that one stands behind it. There are maps - 1 steps from "
            "the first map to the last.",
        ),
        Mutant(
            lambda first, last, maps: linear_scales(first, last, maps)[:-1],
            "the maps' own scales are right, but one more is missing: the one behind the last map, for its extra "
            "square.",
        ),
        Mutant(
            lambda first, last, maps: (*linear_scales(first, last, maps)[:-1], 1.0),
            "the scale behind the last map is 1 here, as in SSD's own code. Our formula goes one step on.",
        ),
        Mutant(
            lambda first, last, maps: (*linear_scales(first, last, maps)[:-1], last),
            "the last scale comes twice. The one behind the last map is one step further.",
        ),
        Mutant(
            lambda first, last, maps: np.minimum(linear_scales(first, last, maps), 1),
            "scales were cut off at 1. The one behind the last map may be larger than the image.",
        ),
        Mutant(
            lambda first, last, maps: first * (last / first) ** (np.arange(maps + 1) / (maps - 1)),
            "each scale is the one before times a factor. Here they rise by equal steps.",
        ),
        Mutant(
            lambda first, last, maps: linear_scales(first, last, maps)[::-1],
            "the scales fall. The first map is the finest one and gets the smallest scale.",
        ),
        Mutant(
            lambda first, last, maps: np.add(linear_scales(first, last, maps), (last - first) / (maps - 1)),
            "all scales are one step too large: the first map should have the scale `first` itself.",
        ),
        Mutant(
            lambda first, last, maps: np.subtract(linear_scales(first, last, maps), (last - first) / (maps - 1)),
            "all scales are one step too small: the first map should have the scale `first`, so k begins with 0.",
        ),
        Mutant(
            lambda first, last, maps: first + (last - first) / (maps + 1) * np.arange(maps + 1),
            "the step is too small: it was divided by maps + 1. How many steps lead from the first map to the last?",
        ),
        Mutant(
            lambda first, last, maps: first + last / (maps - 1) * np.arange(maps + 1),
            "the step is too large: it covers the way from 0 to `last`. The way begins at `first`.",
        ),
    ),
)


# 01.make_anchors


def make_anchors(image_size, feature_maps, scales, aspect_ratios):
    """The reference's `make_anchors`, with the four arguments that the lesson uses."""
    return reference.make_anchors(AnchorSpec(image_size, feature_maps, scales, aspect_ratios))


def _map_by_map(scales_of_map):
    """`make_anchors` where `scales_of_map(scales, k)` chooses scale and next scale of map k."""

    def anchors(image_size, feature_maps, scales, aspect_ratios):
        return np.concatenate(
            [
                map_anchors(rows, cols, *scales_of_map(scales, k), aspect_ratios, image_size)
                for k, (rows, cols) in enumerate(feature_maps)
            ]
        )

    return anchors


def _coarsest_first(image_size, feature_maps, scales, aspect_ratios):
    return np.concatenate(_one_array_a_map(image_size, feature_maps, scales, aspect_ratios)[::-1])


def _one_array_a_map(image_size, feature_maps, scales, aspect_ratios):
    return [
        map_anchors(rows, cols, scales[k], scales[k + 1], aspect_ratios, image_size)
        for k, (rows, cols) in enumerate(feature_maps)
    ]


def _shaped_by_the_map(image_size, feature_maps, scales, aspect_ratios):
    return np.concatenate(
        [
            map_anchors(rows, cols, scales[k], scales[k + 1], aspect_ratios, (rows, cols))
            for k, (rows, cols) in enumerate(feature_maps)
        ]
    )


def _draw_make_anchors(rng: np.random.Generator):
    rows, cols = rng.choice(np.arange(4, 8), 2, replace=False).tolist()
    count = int(rng.integers(2, 4))
    maps = tuple((-(-rows // 2**k), -(-cols // 2**k)) for k in range(count))
    return _draw_image_size(rng), maps, _draw_scales(rng, count + 1), _draw_ratios(rng)


MAKE_ANCHORS = Exercise(
    id="01.make_anchors",
    title="All anchors of a network",
    points=15,
    difficulty="medium",
    minutes=15,
    reference=make_anchors,
    fixed_cases=(
        (LANDSCAPE, ((2, 3), (1, 2)), (0.2, 0.5, 0.8), (1.0, 2.0)),
        (PORTRAIT, ((3, 2),), (0.4, 0.7), (1.0,)),
        (LANDSCAPE, ((5, 7), (3, 4), (2, 2)), (0.1, 0.35, 0.6, 0.85), (1.0, 2.0, 0.5)),
    ),
    draw=_draw_make_anchors,
    hints=(
        "One call of map_anchors a map gives all there is. Which two scales does map k get?",
        "Map k uses scales[k] and, for its extra square, scales[k + 1]; that is why there is one scale more than maps.",
        "Collect map_anchors(rows, cols, scales[k], scales[k + 1], aspect_ratios, image_size) in a list, for k and "
        "(rows, cols) from enumerate(feature_maps), and join it: np.concatenate(list).",
    ),
    mutants=(
        Mutant(
            _map_by_map(lambda scales, k: (scales[k], scales[k])),
            "each map got its own scale twice. For its extra square it needs that of the next map.",
        ),
        Mutant(
            _map_by_map(lambda scales, k: (scales[0], scales[1])),
            "every map got the first map's scales. Coarser maps have larger anchors.",
        ),
        Mutant(
            _map_by_map(lambda scales, k: (scales[k], scales[-1])),
            "every map got the very last scale for its extra square. It needs the one that comes after its own.",
        ),
        Mutant(
            _map_by_map(lambda scales, k: (scales[k + 1], scales[k])),
            "scale and next scale have changed places on their way to map_anchors.",
        ),
        Mutant(
            _map_by_map(lambda scales, k: (scales[k + 1], scales[min(k + 2, len(scales) - 1)])),
            "the scales are off by one: map 0 should get scales[0] and scales[1].",
        ),
        Mutant(
            lambda size, maps, scales, ratios: make_anchors(size, maps, scales[::-1], ratios),
            "the finest map got the largest scale. Small things are found on fine maps.",
        ),
        Mutant(
            _coarsest_first,
            "the anchors are right, but the coarsest map comes first. They should come in the order of feature_maps.",
        ),
        Mutant(
            lambda size, maps, scales, ratios: make_anchors(size, [m[::-1] for m in maps], scales, ratios),
            "rows and columns of the maps were exchanged. Each feature map is (rows, cols).",
        ),
        Mutant(
            lambda size, maps, scales, ratios: make_anchors(size[::-1], maps, scales, ratios),
            "image_size was turned around. It is (height, width).",
        ),
        Mutant(
            _shaped_by_the_map,
            "the grid has squeezed the anchors: their shape was worked out from the map's rows and columns. It comes "
            "from the image's height and width, the same for every map.",
        ),
        Mutant(
            lambda *arguments: np.clip(make_anchors(*arguments), 0, 1),
            "anchors at the border were cut off. Let them reach over it: cut, they would have another shape.",
        ),
        Mutant(
            lambda size, maps, scales, ratios: map_anchors(*maps[-1], *scales[-2:], ratios, size),
            "these are the anchors of the last map alone. Collect those of all maps, and join them.",
        ),
        Mutant(
            lambda size, maps, scales, ratios: map_anchors(*maps[0], *scales[:2], ratios, size),
            "these are the anchors of the first map alone. Does a `return` stand inside the loop?",
        ),
        Mutant(
            _one_array_a_map,
            "this is a list with an array for each map. Join them to one array.",
        ),
    ),
    errors=(
        ("inhomogeneous", "each map has another number of anchors: np.concatenate joins them, np.array cannot."),
        ("must have the same shape", "np.stack wants equal shapes: np.concatenate joins maps of different sizes."),
        ("broadcast together", "`+` adds numbers: np.concatenate puts the maps' anchors one behind the other."),
    ),
)


# 01.coverage


def _share(values) -> float:
    """The mean; 1 for nothing at all."""
    return float(np.mean(values)) if np.size(values) else 1.0


def _best(anchors, boxes) -> np.ndarray:
    """(M,) IoU of each box with its best anchor."""
    return pairwise_iou(boxes, anchors).max(axis=1, initial=0)


def _only_overlap_counts(anchors, boxes, threshold):
    """Intersection over the box's own area: a huge anchor covers everything."""
    low = np.maximum(boxes[:, None, :2], anchors[:, :2])
    high = np.minimum(boxes[:, None, 2:], anchors[:, 2:])
    inside = areas(np.concatenate([low, high], axis=-1)) / areas(boxes)[:, None]
    return _share(inside.max(axis=1, initial=0) >= threshold)


# Halves and quarters, so that some overlaps are exactly 1/2 or 1/4, in float32 and float64 alike.
_FIXED_ANCHORS = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32)
_FIXED_BOXES = np.array([[0, 0, 1, 0.5], [0, 0, 0.25, 0.5], [0.5, 0.5, 1, 1], [0.75, 0, 1, 0.25]], np.float32)


def _draw_coverage(rng: np.random.Generator):
    """Anchors, boxes near some of them, boxes anywhere, and boxes inside a large anchor."""
    anchors = _draw_boxes(rng, 12)
    near = anchors[:6] + rng.uniform(-0.06, 0.06, (6, 4))
    boxes = np.concatenate([near, _draw_boxes(rng, 4)]).astype(np.float32)
    return anchors.astype(np.float32), boxes, float(rng.choice([0.3, 0.4, 0.6, 0.7]))


def _draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(0, 0.6, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.15, 0.4, (count, 2))], axis=1)


COVERAGE = Exercise(
    id="01.coverage",
    title="How well anchors cover the boxes of a data set",
    points=15,
    difficulty="medium",
    minutes=15,
    reference=lambda anchors, boxes, threshold: reference.coverage(anchors, boxes, threshold),
    fixed_cases=(
        (_FIXED_ANCHORS, _FIXED_BOXES[:2], 0.5),
        (_FIXED_ANCHORS, _FIXED_BOXES, 0.5),
        (_FIXED_ANCHORS, _FIXED_BOXES, 0.25),
        (_FIXED_ANCHORS[:1], _FIXED_BOXES[2:], 0.75),
        (_FIXED_ANCHORS, np.zeros((0, 4), np.float32), 0.5),
    ),
    draw=_draw_coverage,
    hints=(
        "A box is covered if its best anchor is good enough. What is the IoU of each box with its best anchor?",
        "pairwise_iou(boxes, anchors) has a row for each box: its largest number is the best anchor's. Then count the "
        "share of boxes where it reaches the threshold.",
        "(pairwise_iou(boxes, anchors).max(axis=1) >= threshold).mean(), but 1.0 if there is no box at all.",
    ),
    mutants=(
        Mutant(
            lambda anchors, boxes, threshold: _share(_best(anchors, boxes) > threshold),
            "a box whose best IoU is exactly the threshold was not counted. Reaching it is enough.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(_best(boxes, anchors) >= threshold),
            "this is the share of anchors that meet a box. Wanted is the share of boxes that meet an anchor: along "
            "which axis do you take the best?",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(_best(boxes, anchors) >= threshold) if len(boxes) else 1.0,
            "this is the share of anchors that meet a box, where there is one. Take the best along the other axis: one "
            "number for each box.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(_best(anchors, boxes)),
            "this is the mean of the best IoUs. A box is either covered or not: compare with the threshold first.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(pairwise_iou(boxes, anchors) >= threshold),
            "this is the share of all pairs. For each box, only its best anchor matters.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: float((_best(anchors, boxes) >= threshold).sum()),
            "this is how many boxes are covered. Which share of all boxes is that?",
        ),
        Mutant(
            lambda anchors, boxes, threshold: 100 * reference.coverage(anchors, boxes, threshold),
            "this is a percentage. As a share it lies between 0 and 1.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: reference.coverage(anchors, boxes, 0.5),
            "0.5 was used whatever `threshold` is. Take the argument.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(_best(anchors, boxes) > 0),
            "every box that an anchor merely touches was counted. The best IoU has to reach the threshold.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: float((_best(anchors, boxes) >= threshold).sum() / max(len(boxes), 1)),
            "without any box none is missed: that is a coverage of 1, not of 0.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(_best(anchors, boxes) < threshold) if len(boxes) else 0.0,
            "this is the share of boxes that are missed. Wanted are those that are covered.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: _share(pairwise_iou(boxes, anchors).mean(axis=1) >= threshold),
            "the mean over all anchors was taken. For each box, only its best anchor matters.",
        ),
        Mutant(
            _only_overlap_counts,
            "the overlap was divided by the box's own area, so one huge anchor covers everything. IoU divides by the "
            "union.",
        ),
    ),
    errors=(("zero-size array", "without any box there is nothing to take the largest of: ask for len(boxes) first."),),
)


EXERCISES = (GRID_CENTERS, ANCHOR_SIZES, MAP_ANCHORS, LINEAR_SCALES, MAKE_ANCHORS, COVERAGE, CHOOSE_ANCHORS)
