"""The exercises of lesson 1: where a detector looks."""

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Exercise, Function, Mutant
from ssdseg_ref import anchors as reference
from ssdseg_ref.anchors import AnchorSpec, anchor_sizes, grid_centers, linear_scales
from ssdseg_ref.boxes import areas, corners_to_centers, pairwise_iou

map_anchors: Function = reference.map_anchors  # mypy takes a list that is unpacked for any number of arguments

NO_ARITHMETIC = ("'list' and", "and 'list'", "'tuple' and", "and 'tuple'")  # what Python says of + - * / ** on these
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


def _middles(x_of, y_of):
    """`grid_centers` with other ways to x and y.

    Args:
        x_of: of a cell's column j, and of the numbers of rows and columns.
        y_of: the same of its row i.
    """

    def centers(rows, cols):
        j, i = _cells(rows, cols)
        return np.stack([x_of(j, rows, cols), y_of(i, rows, cols)], axis=1)

    return centers


def _middles_of(place_of):
    """`grid_centers` of cells that are counted through, each put at (j, i), as `place_of` says of its number."""

    def centers(rows, cols):
        j, i = place_of(np.arange(rows * cols), rows, cols)
        return np.stack([(j + 0.5) / cols, (i + 0.5) / rows], axis=1)

    return centers


def _right_x(j, rows, cols):
    return (j + 0.5) / cols


def _right_y(i, rows, cols):
    return (i + 0.5) / rows


GRID_CENTERS = Exercise(
    id="01.grid_centers",
    title="Where anchors sit",
    points=10,
    difficulty="easy",
    minutes=10,
    home="anchors.grid_centers",
    piece=True,
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
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).T.reshape(2, rows, cols),
            "these are two grids, one of all x and one of all y. Wanted is a list of points, each x beside its y.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).T.ravel(),
            "all x stand in a row, and behind them all y. Each point should be a row of its own: (x, y).",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).ravel(),
            "the numbers are right, but they make one long row. Each point should be a row of its own: (x, y).",
        ),
        Mutant(
            _middles(lambda j, rows, cols: (j + 1.5) / cols, lambda i, rows, cols: (i + 1.5) / rows),
            "these are the middles of the next cells: rows and columns were counted from 1. Count from 0, or take a "
            "half off instead of adding one.",
        ),
        Mutant(
            _middles(lambda j, rows, cols: (j + 1) / (cols + 1), lambda i, rows, cols: (i + 1) / (rows + 1)),
            "the points are as far from the border as from each other. The middle of a cell is half a cell away from "
            "the border.",
        ),
        Mutant(
            _middles(_right_x, lambda i, rows, cols: (i + 0.5) / cols),
            "x and y were both divided by the number of columns. How many cells stand one below the other?",
        ),
        Mutant(
            _middles(lambda j, rows, cols: (j + 0.5) / rows, _right_y),
            "x and y were both divided by the number of rows. How many cells stand side by side?",
        ),
        Mutant(
            _middles(_right_x, lambda i, rows, cols: i / rows),
            "x is right, and y is that of the cell's upper side. The middle is half a cell further, along y too.",
        ),
        Mutant(
            _middles(lambda j, rows, cols: j / cols, _right_y),
            "y is right, and x is that of the cell's left side. The middle is half a cell further, along x too.",
        ),
        Mutant(
            lambda rows, cols: np.zeros((rows * cols, 2)),
            "every point is (0, 0). If you divided by `//`: that drops what stands behind the point, and `/` keeps it.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols)[:cols],
            "this is the first row of cells alone. Does a `return` stand inside the loop?",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols)[:1],
            "this is the first cell alone. Does a `return` stand inside the loops?",
        ),
        Mutant(
            lambda rows, cols: [((k + 0.5) / cols, (k + 0.5) / rows) for k in range(min(rows, cols))],
            "the first x was paired with the first y, the second with the second. Every x goes with every y.",
        ),
        Mutant(
            _middles_of(lambda k, rows, cols: (k // cols, k % cols)),
            "rows became x and columns y: x is made of the column number, y of the row number.",
        ),
        Mutant(
            _middles_of(lambda k, rows, cols: (k % cols, k / cols)),
            "y rises within a row. `/` gives parts of rows: `//` gives whole ones.",
        ),
        Mutant(
            lambda rows, cols: np.stack(
                [np.repeat(grid_centers(1, cols)[:, 0], rows), np.repeat(grid_centers(rows, 1)[:, 1], cols)], axis=1
            ),
            "x and y were both repeated one by one, by np.repeat. Row by row, x runs through as a whole: np.tile.",
        ),
        Mutant(
            lambda rows, cols: np.stack(
                [np.tile(grid_centers(1, cols)[:, 0], rows), np.tile(grid_centers(rows, 1)[:, 1], cols)], axis=1
            ),
            "x and y were both repeated as whole lists, by np.tile. Row by row, y stays for a whole row: np.repeat.",
        ),
        Mutant(
            lambda rows, cols: _border_to_border(rows + 1, cols + 1),
            "these are the corners of all cells, one more a side than there are cells. Wanted is a middle for each.",
        ),
        Mutant(
            lambda rows, cols: list(grid_centers(rows, cols).reshape(rows, cols, 2)[:-1, :-1].reshape(-1, 2)),
            "the last row and the last column are missing: range(n) goes to n - 1 by itself.",
        ),
        Mutant(
            lambda rows, cols: np.round(grid_centers(rows, cols), 2),
            "the numbers were rounded to two decimals. Leave them as they are.",
        ),
        Mutant(
            lambda rows, cols: grid_centers(rows, cols).T.reshape(2 * rows, cols),
            "these are two grids, one below the other, one of all x and one of all y. Wanted is a list of points.",
        ),
        Mutant(
            lambda rows, cols: np.hstack([*grid_centers(rows, cols).T.reshape(2, rows, cols)]).reshape(-1, 2),
            "the x of a row stand before its y, and that was cut into pairs. np.stack([x, y], axis=-1) puts each x "
            "beside its y.",
        ),
    ),
    errors=(
        (
            "same shape",
            "there are as many x as columns and as many y as rows. Every x goes with every y: make all pairs.",
        ),
        ("takes exactly one argument", "append takes one thing. A point is a pair in brackets of its own: ((x, y))."),
    ),
)


# 01.anchor_sizes


def _sizes(widths, heights, extra, image_size, short=min):
    """The sizes in fractions from those in short sides, with the extra square last.

    Args:
        widths: (R,), one per ratio.
        heights: (R,).
        extra: side of the extra square.
        image_size: (height, width) in pixels.
        short: picks the side that is the unit.
    """
    height, width = image_size
    sizes = np.stack([np.append(widths, extra), np.append(heights, extra)], axis=1)
    return sizes * [short(image_size) / width, short(image_size) / height]


def _anchor_sizes(width=lambda s, r: s * np.sqrt(r), height=lambda s, r: s / np.sqrt(r), short=min):
    """`anchor_sizes` with another width or height, of scale and ratios, or another side for the shorter one."""

    def sizes(scale, next_scale, aspect_ratios, image_size):
        ratios = np.array(aspect_ratios, float)
        widths, heights = width(scale, ratios), height(scale, ratios)
        return _sizes(widths, heights, np.sqrt(scale * next_scale), image_size, short)

    return sizes


def _as_it_is(scale, ratios):
    return np.full_like(ratios, scale)


def _rounded_pixels(rounded):
    def sizes(scale, next_scale, aspect_ratios, image_size):
        sides = [image_size[1], image_size[0]]
        return rounded(anchor_sizes(scale, next_scale, aspect_ratios, image_size) * sides) / sides

    return sizes


def _whole_extra_in_fractions(scale, next_scale, aspect_ratios, image_size):
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return np.concatenate([sizes[:-1], np.full((1, 2), np.sqrt(scale * next_scale))])


def _root_of_the_pixels(scale, next_scale, aspect_ratios, image_size):
    height, width = image_size
    side = np.sqrt(scale * next_scale * min(image_size))
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return np.concatenate([sizes[:-1], [[side / width, side / height]]])


def _extra_beside_a_square_alone(scale, next_scale, aspect_ratios, image_size):
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return sizes if 1 in aspect_ratios else sizes[:-1]


def _extra_second(scale, next_scale, aspect_ratios, image_size):
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return np.insert(sizes[:-1], 1, sizes[-1], axis=0)


def _extra_for_each_ratio(scale, next_scale, aspect_ratios, image_size):
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)
    return np.concatenate([part for own in sizes[:-1] for part in (own[None], sizes[-1:])])


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


def _draw_anchor_sizes(rng: np.random.Generator) -> Arguments:
    return (*_draw_scales(rng, 2), _draw_ratios(rng), _draw_image_size(rng))


ANCHOR_SIZES = Exercise(
    id="01.anchor_sizes",
    title="How large anchors are, and of which shape",
    points=20,
    difficulty="medium",
    minutes=20,
    home="anchors.anchor_sizes",
    piece=True,
    fixed_cases=(
        (0.2, 0.4, (1.0, 2.0, 0.5), LANDSCAPE),
        (0.3, 0.5, (1.0,), SQUARE),
        (0.1, 0.3, (3.0,), PORTRAIT),
        (0.5, 0.8, (0.33, 0.5), (32, 320)),
        (0.5, 0.7, [4], LANDSCAPE),  # a list, and of whole numbers
        (0.9, 1.1, (3.0, 0.25), LANDSCAPE),  # wider and higher than the image
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
            _anchor_sizes(lambda s, r: s * r, lambda s, r: s / r),
            "the root of the ratio is missing: width / height comes to the ratio squared. What makes it the ratio, "
            "with the area left as it was?",
        ),
        Mutant(
            _anchor_sizes(width=lambda s, r: s * r, height=_as_it_is),
            "the ratio went into the width alone, so a wider anchor is also a larger one. Share it between width "
            "and height so that the area stays.",
        ),
        Mutant(
            _anchor_sizes(height=_as_it_is),
            "the root of the ratio went into the width alone: the height is to be divided by it, so that the area "
            "stays.",
        ),
        Mutant(
            _anchor_sizes(width=_as_it_is, height=lambda s, r: s / r),
            "the ratio went into the height alone, so a wider anchor is also a smaller one. Share it between width "
            "and height so that the area stays.",
        ),
        Mutant(
            _anchor_sizes(width=_as_it_is),
            "the root of the ratio went into the height alone: the width is to be multiplied by it, so that the area "
            "stays.",
        ),
        Mutant(
            _anchor_sizes(height=lambda s, r: s * np.sqrt(r)),
            "width and height were both multiplied by the root of the ratio, so every anchor is a square. One of them "
            "is to be divided by it.",
        ),
        Mutant(
            _anchor_sizes(width=lambda s, r: s * r, height=lambda s, r: s / np.sqrt(r)),
            "the width has lost its root: with the ratio itself the area changes from one anchor to the next.",
        ),
        Mutant(
            _anchor_sizes(height=lambda s, r: s / r),
            "the height has lost its root: with the ratio itself the area changes from one anchor to the next.",
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
            _root_of_the_pixels,
            "in the extra square the image's side went under the root, too. The root is of the two scales alone.",
        ),
        Mutant(
            _whole_extra_in_fractions,
            "the extra square is no square on the screen: its scale was taken for a fraction of each side. Work out "
            "its pixels first, like those of the others.",
        ),
        Mutant(
            _extra_beside_a_square_alone,
            "where 1 is not among the ratios the extra square is missing. Every cell has it.",
        ),
        Mutant(
            _extra_for_each_ratio,
            "there is an extra square behind every ratio. A cell has one, the last.",
        ),
        Mutant(
            _extra_second,
            "the sizes are right, but the extra square comes second, as in SSD's own code. Here it comes last.",
        ),
        Mutant(
            lambda s, t, ratios, size: np.roll(anchor_sizes(s, t, ratios, size), 1, axis=0),
            "the sizes are right, but the extra square comes first. It should come last.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, sorted(ratios), size),
            "the sizes are right, but sorted. They should come in the order of `aspect_ratios`.",
        ),
        Mutant(
            _fractions_of_each_side,
            "a ratio of 1 is no square on the screen here: the scale was taken as a fraction of each side. Work out "
            "pixels first, from the shorter side, then divide by width and height.",
        ),
        Mutant(
            _anchor_sizes(short=max),
            "the scale was taken as a fraction of the longer side. Which side does it refer to?",
        ),
        Mutant(
            _anchor_sizes(short=lambda image_size: image_size[0]),
            "the scale was taken as a fraction of the height, whichever side is shorter. That goes wrong where the "
            "image is higher than wide.",
        ),
        Mutant(
            _anchor_sizes(short=lambda image_size: image_size[1]),
            "the scale was taken as a fraction of the width, whichever side is shorter. That goes wrong where the "
            "image is wider than high.",
        ),
        Mutant(
            _anchor_sizes(short=lambda image_size: np.sqrt(np.prod(image_size))),
            "the scale was taken as a fraction of the root of width times height. Which side does it refer to?",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, (size[1], size[1])) * min(size) / size[1],
            "widths and heights were both divided by the image's width. A height is a fraction of the height.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, (size[0], size[0])) * min(size) / size[0],
            "widths and heights were both divided by the image's height. A width is a fraction of the width.",
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
        Mutant(
            _rounded_pixels(np.round),
            "the sizes were rounded to whole pixels. A size may end between two pixels: leave the numbers as they are.",
        ),
        Mutant(
            _rounded_pixels(np.floor),
            "the sizes were cut down to whole pixels. A size may end between two pixels: leave the numbers as they "
            "are.",
        ),
        Mutant(
            lambda s, t, ratios, size: np.round(anchor_sizes(s, t, ratios, size), 2),
            "the sizes were rounded to two decimals. Leave them as they are.",
        ),
        Mutant(
            lambda s, t, ratios, size: np.minimum(anchor_sizes(s, t, ratios, size), 1),
            "sizes were cut off at 1. An anchor may be larger than the image: leave it as it is.",
        ),
        Mutant(
            lambda s, t, ratios, size: np.floor(anchor_sizes(s, t, ratios, size)),
            "what stood behind the point was dropped, as `//` and int() do. Divide with `/`.",
        ),
        Mutant(
            lambda s, t, ratios, size: _in_pixels(s, t, ratios, size) / max(size),
            "widths and heights were both divided by the longer side. A width is a fraction of the width, a height of "
            "the height.",
        ),
        Mutant(
            lambda s, t, ratios, size: _in_pixels(s, t, ratios, size) / [224, 160],
            "224 and 160 were used whatever `image_size` is. Take the argument.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size).T.reshape(-1, 2),
            "all widths were written down, then all heights, and that was cut into pairs. np.stack(..., axis=1) puts "
            "each width beside its height.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size).T.ravel(),
            "all widths stand in a row, and behind them all heights. Each anchor should be a row of its own.",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(s, t, ratios, size)[:1],
            "this is the first anchor alone. Does a `return` stand inside the loop?",
        ),
        Mutant(
            lambda s, t, ratios, size: anchor_sizes(np.sqrt(s * t), np.sqrt(s * t), ratios, size),
            "all anchors have the size of the extra square. The others have this map's own scale.",
        ),
    ),
    errors=(
        (
            "can only concatenate",
            "`aspect_ratios` may be a list or a tuple, and `+` needs the same on both sides: [*aspect_ratios, 1] takes "
            "either.",
        ),
        ("takes exactly one argument", "append takes one thing. A size is a pair in brackets of its own: ((w, h))."),
        ("no attribute 'append'", "a tuple cannot grow, and it is the caller's: [*aspect_ratios, 1] is a new list."),
        (
            (*NO_ARITHMETIC, "can't multiply sequence"),
            "a list or a tuple does no arithmetic: go through its ratios, or make it an array.",
        ),
        ("inhomogeneous", "one row of yours has other parts than the rest. Each is a pair, (width, height)."),
    ),
)


# 01.map_anchors


def _regrouped(order: tuple[int, int, int]) -> Function:
    """`map_anchors` with rows (0), columns (1) and shapes (2) running in another order, the first slowest."""

    def anchors(rows, cols, scale, next_scale, aspect_ratios, image_size):
        grid = map_anchors(rows, cols, scale, next_scale, aspect_ratios, image_size).reshape(rows, cols, -1, 4)
        return grid.transpose(*order, 3).reshape(-1, 4)

    return anchors


def _around(low: float, high: float) -> Function:
    """`map_anchors` that reach from middle + low * size to middle + high * size."""

    def anchors(*arguments):
        boxes = corners_to_centers(map_anchors(*arguments))
        middles, sizes = boxes[:, :2], boxes[:, 2:]
        return np.concatenate([middles + low * sizes, middles + high * sizes], axis=1)

    return anchors


def _paired(join):
    """`map_anchors` with another way to join middles, (rows * cols, 2), and sizes, (A, 2)."""

    def anchors(rows, cols, *shape):
        return join(grid_centers(rows, cols), anchor_sizes(*shape))

    return anchors


def _corners(middles, sizes, axis=-1):
    return np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=axis).reshape(-1, 4)


def _tiled(middles, sizes):
    return _corners(np.tile(middles, (len(sizes), 1)), np.tile(sizes, (len(middles), 1)))


def _repeated(middles, sizes):
    return _corners(np.repeat(middles, len(sizes), axis=0), np.repeat(sizes, len(middles), axis=0))


def _with_size_number(number):
    return _paired(lambda middles, sizes: _corners(middles, sizes[number]))


def _around_corners_of_cells(rows, cols, *shape):
    return map_anchors(rows, cols, *shape) - np.array([0.5 / cols, 0.5 / rows] * 2)


def _draw_map_anchors(rng: np.random.Generator) -> Arguments:
    rows, cols = rng.choice(np.arange(2, 6), 2, replace=False).tolist()
    return (rows, cols, *_draw_anchor_sizes(rng))


MAP_ANCHORS = Exercise(
    id="01.map_anchors",
    title="All anchors of one map",
    points=15,
    difficulty="medium",
    minutes=20,
    home="anchors.map_anchors",
    piece=True,
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
        Mutant(
            lambda *arguments: map_anchors(*arguments).reshape(-1, 2, 2),
            "each corner is a pair of its own. A box is one row of four: reshape(-1, 4).",
        ),
        Mutant(
            lambda *arguments: map_anchors(*arguments).T,
            "all xmin stand in the first row, all ymin in the second. Each row should be a box.",
        ),
        Mutant(
            lambda *arguments: map_anchors(*arguments).ravel(),
            "the numbers are right, but they make one long row. Each box should be a row of its own: reshape(-1, 4).",
        ),
        Mutant(
            _paired(_tiled),
            "middles and sizes were both repeated as whole lists, by np.tile, so most pairs are missing or come twice. "
            "One of the two needs np.repeat, which repeats each row by itself.",
        ),
        Mutant(
            _paired(_repeated),
            "middles and sizes were both repeated row by row, by np.repeat, so most pairs are missing or come twice. "
            "One of the two needs np.tile, which repeats the whole list.",
        ),
        Mutant(
            _paired(lambda middles, sizes: _corners(middles[:, None], sizes[None], axis=0)),
            "lower right corners follow behind all the upper left ones, and reshape has cut that into rows. Put the "
            "two side by side: axis=-1.",
        ),
        Mutant(
            _paired(lambda middles, sizes: _corners(middles[:, None], sizes[None], axis=1)),
            "in each cell lower right corners follow behind the upper left ones, and reshape has cut that into rows. "
            "Put the two side by side: axis=-1.",
        ),
        Mutant(
            _with_size_number(0),
            "each cell has the first of its sizes alone. It should have all of them.",
        ),
        Mutant(
            _with_size_number(-1),
            "each cell has the extra square alone. It should have all sizes.",
        ),
        Mutant(
            lambda *arguments: np.concatenate(
                [map_anchors(*arguments)[:, :2], corners_to_centers(map_anchors(*arguments))[:, 2:]], axis=1
            ),
            "each row is the upper left corner and the size. It should be two corners: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            _around(-1, 0),
            "each anchor ends at the middle of its cell. The middle of the cell is the middle of the anchor.",
        ),
        Mutant(
            _paired(lambda middles, sizes: _corners(middles[:, None], sizes[None, :, ::-1])),
            "widths went along y and heights along x. A size is (width, height), as a middle is (x, y).",
        ),
        Mutant(
            lambda *arguments: np.maximum(map_anchors(*arguments), 0),
            "what reaches over the left and the upper border was cut off. Let anchors reach over it: cut, they would "
            "have another shape.",
        ),
        Mutant(
            lambda rows, cols, s, t, *rest: map_anchors(rows, cols, t, s, *rest),
            "scale and next_scale have changed places on their way to anchor_sizes.",
        ),
        Mutant(
            lambda *arguments: np.minimum(map_anchors(*arguments), 1),
            "what reaches over the right and the lower border was cut off. Let anchors reach over it: cut, they would "
            "have another shape.",
        ),
        Mutant(
            lambda *arguments: np.array(
                [box for box in map_anchors(*arguments) if box.min() >= 0 and box.max() <= 1]
            ).reshape(-1, 4),
            "anchors that reach over the border are missing. Keep all: every cell has as many as every other.",
        ),
        Mutant(
            _paired(
                lambda middles, sizes: (
                    np.concatenate([middles[:, None] - sizes, middles[:, None] + sizes], axis=-1).reshape(-1, 4) / 2
                )
            ),
            "middle and size were both halved: a division comes after what stands in brackets. Halve the size alone.",
        ),
        Mutant(
            _paired(
                lambda middles, sizes: _corners(
                    middles[: min(len(middles), len(sizes))], sizes[: min(len(middles), len(sizes))]
                )
            ),
            "the first middle was paired with the first size, the second with the second. Every middle goes with every "
            "size.",
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
        (
            NO_ARITHMETIC,
            "pairs in a list or a tuple do no arithmetic: take x and y apart, or make arrays of them, np.asarray(...).",
        ),
        (
            "must match exactly",
            "to be put side by side, all arrays need a row for each pair of middle and size.",
        ),
        ("takes exactly one argument", "append takes one thing. A box is four numbers in brackets of its own."),
        ("cannot reshape", "reshape(-1, 4) needs four numbers a box: two of each corner."),
    ),
)


# 01.linear_scales


def _draw_linear_scales(rng: np.random.Generator) -> Arguments:
    first = rng.uniform(0.05, 0.3)
    return (
        round(float(first), 3),
        round(float(first + rng.uniform(0.2, 0.6)), 3),
        int(rng.integers(3, 8)),
    )


def _one_by_one(first, last, maps, until):
    """Scales by adding the step until a bound is passed, which rounding moves now and then."""
    step = (last - first) / (maps - 1)
    scales = [first]
    while scales[-1] + step <= until(last, step):
        scales.append(scales[-1] + step)
    return scales


def _step_in_whole_percent(first, last, maps):
    step = np.floor(round(100 * (last - first) / (maps - 1), 6)) / 100
    return first + step * np.arange(maps + 1)


LINEAR_SCALES = Exercise(
    id="01.linear_scales",
    title="A scale for every map",
    points=10,
    difficulty="easy",
    minutes=10,
    home="anchors.linear_scales",
    # Thirds, which rounding to decimals changes. Steps that are added up, by np.arange or by a loop, miss the end by a
    # last bit here and there: in (0.2, 0.9, 4) one scale comes out too many, in (0.2, 0.8, 4) one too few.
    fixed_cases=((0.2, 0.8, 3), (0.2, 0.9, 4), (0.2, 0.9, 6), (0.1, 0.5, 2), (0.2, 0.8, 4)),
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
        Mutant(
            lambda first, last, maps: first + (last - first) / max(maps - 2, 1) * np.arange(maps + 1),
            "the step is too large: it was divided by maps - 2. How many steps lead from the first map to the last?",
        ),
        Mutant(
            lambda first, last, maps: (last - first) / (maps - 1) * np.arange(maps + 1),
            "the scales begin at 0: `first` has to be added to the steps.",
        ),
        Mutant(
            lambda first, last, maps: first + (last - first) / maps * np.arange(maps + 1) - 1,
            "1 was taken off the scale, not off the number of maps: a division comes first. Put maps - 1 in brackets.",
        ),
        Mutant(
            lambda first, last, maps: first + (last - first / (maps - 1)) * np.arange(maps + 1),
            "only `first` was divided: a division comes first. Put last - first in brackets.",
        ),
        Mutant(
            lambda first, last, maps: np.linspace(first, 1, maps + 1),
            "the scales rise to 1. The coarsest map has the scale `last`, and one step more follows.",
        ),
        Mutant(
            lambda first, last, maps: np.geomspace(first, last, maps + 1),
            "each scale is the one before times a factor, and the last one is `last`. They rise by equal steps, and "
            "one more stands behind `last`.",
        ),
        Mutant(
            lambda first, last, maps: np.append(np.linspace(first, last, maps), last + first),
            "the maps' own scales are right, but the one behind them is last + first. It is one step behind `last`.",
        ),
        Mutant(
            lambda first, last, maps: np.append(np.linspace(first, last, maps), last + (last - first) / maps),
            "the maps' own scales are right, but the step to the one behind them is too small. All steps are equal.",
        ),
        Mutant(
            lambda first, last, maps: first + (last - first) / (maps - 1) * np.arange(maps + 2),
            "there is one scale too many. Each map has one, and one more stands behind the last map.",
        ),
        Mutant(
            lambda first, last, maps: linear_scales(first, last, maps)[1:],
            "the first scale is missing: k begins with 0.",
        ),
        Mutant(
            lambda first, last, maps: last + (first - last) / (maps - 1) * np.arange(maps + 1),
            "the scales fall from `last`. They should rise from `first`: the first map is the finest one.",
        ),
        Mutant(
            lambda first, last, maps: np.full(maps + 1, first),
            "all scales are `first`. If you divided by `//`: that drops what stands behind the point, and `/` keeps "
            "it.",
        ),
        Mutant(
            lambda first, last, maps: np.round(linear_scales(first, last, maps), 2),
            "the scales were rounded to two decimals. Leave them as they are.",
        ),
        Mutant(
            lambda first, last, maps: np.round(linear_scales(first, last, maps), 3),
            "the scales were rounded to three decimals. Leave them as they are.",
        ),
        Mutant(
            _step_in_whole_percent,
            "the step was rounded down to whole percent, as in SSD's own code. Leave it as it is.",
        ),
        Mutant(
            lambda first, last, maps: np.arange(first, last + 2 * (step := (last - first) / (maps - 1)), step),
            "np.arange counts steps up to a bound, and rounding decides whether the bound itself is in: now and then "
            "there is one scale too many. Count the steps instead.",
        ),
        Mutant(
            lambda first, last, maps: np.arange(first, last + (step := (last - first) / (maps - 1)), step),
            "np.arange leaves its end out, so the scale behind the last map is missing, but where rounding lets it in. "
            "Count the steps instead.",
        ),
        Mutant(
            lambda first, last, maps: _one_by_one(first, last, maps, lambda last, step: last + step),
            "the steps were added up until a bound is passed, and rounding decides whether the last one is in. Count "
            "the steps instead.",
        ),
        Mutant(
            lambda first, last, maps: _one_by_one(first, last, maps, lambda last, step: last),
            "the steps end at `last`, or, where rounding decides so, a step before. Count them: one more scale stands "
            "behind the last map.",
        ),
    ),
    errors=(
        ("ZeroDivisionError", "with 2 maps there is one step, not none. How many are there with 3?"),
        (
            "cannot be interpreted as an integer",
            "range counts in whole numbers: let k run through range(maps + 1), and work out each scale from it.",
        ),
    ),
)


# 01.make_anchors


def make_anchors(image_size, feature_maps, scales, aspect_ratios):
    """The reference's `make_anchors`, with the four arguments that the lesson uses."""
    return reference.make_anchors(AnchorSpec(image_size, feature_maps, scales, aspect_ratios))


def _all_anchors(make_anchors, spec):
    """Plays the part of the one at home, a map at a time: the exercise has one list of ratios for all maps."""
    return np.concatenate(
        [
            np.asarray(make_anchors(spec.image_size, (feature_map,), spec.scales[k : k + 2], ratios)).reshape(-1, 4)
            for k, (feature_map, ratios) in enumerate(zip(spec.feature_maps, spec.ratios_by_map, strict=True))
        ]
    )


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


def _with_scales(scales_of):
    """`make_anchors` with scales of its own, of those that came in and the number of maps."""
    return lambda size, maps, scales, ratios: make_anchors(size, maps, scales_of(scales, len(maps)), ratios)


def _scales_looked_up(image_size, feature_maps, scales, aspect_ratios):
    """Finds each map's place by its size, so that of equal maps all get the first one's scales."""
    places = [list(feature_maps).index(size) for size in feature_maps]
    return np.concatenate(
        [
            map_anchors(rows, cols, scales[k], scales[k + 1], aspect_ratios, image_size)
            for k, (rows, cols) in zip(places, feature_maps, strict=True)
        ]
    )


def _one_of_equal_maps(image_size, feature_maps, scales, aspect_ratios):
    """A dictionary by size keeps one entry, the last, where several maps are equal."""
    by_size = {
        size: map_anchors(*size, scales[k], scales[k + 1], aspect_ratios, image_size)
        for k, size in enumerate(map(tuple, feature_maps))
    }
    return np.concatenate(list(by_size.values()))


def _shaped_by_the_map(image_size, feature_maps, scales, aspect_ratios):
    return np.concatenate(
        [
            map_anchors(rows, cols, scales[k], scales[k + 1], aspect_ratios, (rows, cols))
            for k, (rows, cols) in enumerate(feature_maps)
        ]
    )


def _draw_make_anchors(rng: np.random.Generator) -> Arguments:
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
    home="anchors.make_anchors",
    reference=make_anchors,
    piece=_all_anchors,
    fixed_cases=(
        (LANDSCAPE, [(2, 3), (1, 2)], [0.2, 0.3, 0.8], (1.0, 2.0)),
        (PORTRAIT, ((3, 2),), (0.4, 0.7), (1.0,)),
        (LANDSCAPE, ((5, 7), (3, 4), (2, 2)), (0.1, 0.35, 0.5, 0.85), (1.0, 2.0, 0.5)),
        (LANDSCAPE, ((2, 2), (2, 2)), (0.25, 0.4, 0.75), (0.5,)),
        (SQUARE, ((2, 2), (1, 1)), (0.3, 0.3, 0.6), (1, 1)),  # some anchors come several times
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
        Mutant(
            lambda *arguments: make_anchors(*arguments).ravel(),
            "the numbers are right, but they make one long row, as np.append joins without axis=0. Each box should be "
            "a row of its own.",
        ),
        Mutant(
            _with_scales(lambda scales, maps: np.linspace(scales[0], scales[-1], maps + 1)),
            "the scales were made anew, at equal steps from the first to the last. Take those that come in: they may "
            "rise as they like.",
        ),
        Mutant(
            _with_scales(
                lambda scales, maps: scales[0] + (scales[-2] - scales[0]) / max(maps - 1, 1) * np.arange(maps + 1)
            ),
            "the scales were made anew, by linear_scales. Take those that come in: they may rise as they like.",
        ),
        Mutant(
            lambda size, maps, scales, ratios: make_anchors(size, maps, [*scales[:-1], scales[-2]], ratios),
            "the coarsest map got its own scale for its extra square, too. The last entry of `scales` is there for "
            "that.",
        ),
        Mutant(
            _scales_looked_up,
            "two maps of one size got the same scales: the place of a map was looked up by its size. Count the maps "
            "instead, with enumerate.",
        ),
        Mutant(
            _one_of_equal_maps,
            "of two maps with one size one is missing. Keep the maps in a list, one after the other.",
        ),
        Mutant(
            lambda *arguments: np.unique(make_anchors(*arguments), axis=0),
            "the anchors are sorted, and equal ones are left out, as np.unique does it. Keep all, in the order of maps "
            "and cells.",
        ),
        Mutant(
            lambda size, maps, scales, ratios: (
                make_anchors(size, maps[:-1], scales[:-1], ratios) if len(maps) > 1 else np.zeros((0, 4))
            ),
            "the last map is missing. Every map has anchors: `scales` has one entry more than there are maps.",
        ),
        Mutant(
            _map_by_map(lambda scales, k: (scales[k], scales[k - 1])),
            "the extra square stands between a map and the one before it. It needs the scale of the next map.",
        ),
        Mutant(
            _map_by_map(lambda scales, k: (scales[k], 1.0)),
            "1 was taken for every next scale. It is the entry of `scales` behind the map's own.",
        ),
        Mutant(
            lambda *arguments: np.vstack([np.zeros(4), make_anchors(*arguments)]),
            "there is a row of zeros in front, from which the array has grown. Collect the maps in a list, then join "
            "them.",
        ),
        Mutant(
            lambda size, maps, scales, ratios: np.concatenate(
                [map_anchors(*one, *scales[k : k + 2], ratios, size) for one in maps for k in range(len(scales) - 1)]
            ),
            "every map got all scales, one pair after the other. Map k gets scales[k] and scales[k + 1] alone.",
        ),
    ),
    errors=(
        (
            "IndexError",
            "`scales` has one entry more than there are maps: map k, counted from 0, gets scales[k] and scales[k + 1].",
        ),
        (
            "must match exactly",
            "each map has another number of anchors, so they cannot stand side by side: np.concatenate puts them one "
            "behind the other, along axis 0.",
        ),
        (
            "same number of dimensions",
            "what you join has other axes than a map's anchors, (N, 4). Collect the maps in a list, then join them.",
        ),
        (
            ("'float' object is not iterable", "'float' has no len()"),
            "hand all `aspect_ratios` on to every map: they are the same for all.",
        ),
        (
            "'NoneType' object has no attribute 'append'",
            "append gives back nothing: write maps.append(...) without an assignment.",
        ),
        ("map_anchors() takes", "map_anchors takes six: rows, cols, scale, next_scale, aspect_ratios, image_size."),
        ("argument after *", "hand all `aspect_ratios` on to every map: they are the same for all."),
        ("need at least one array", "the list of maps is empty. Does it collect what map_anchors gives?"),
        ("inhomogeneous", "each map has another number of anchors: np.concatenate joins them, np.array cannot."),
        ("must have the same shape", "np.stack needs equal shapes: np.concatenate joins maps of different sizes."),
        ("broadcast together", "`+` adds numbers: np.concatenate puts the maps' anchors one behind the other."),
    ),
)


# 01.coverage


def _best(anchors, boxes):
    """(M,) IoU of each box with its best anchor."""
    return pairwise_iou(boxes, anchors).max(axis=1)


def _best_share_inside(anchors, boxes):
    """(M,) intersection over the box's own area, with the best anchor: a huge anchor covers everything."""
    low = np.maximum(boxes[:, None, :2], anchors[:, :2])
    high = np.minimum(boxes[:, None, 2:], anchors[:, 2:])
    return (areas(np.concatenate([low, high], axis=-1)) / areas(boxes)[:, None]).max(axis=1)


def _coverage_by(share: Function, without_boxes: float = 1.0) -> Function:
    """A wrong `coverage`: a function of anchors, boxes and threshold, and what comes out where there is no box."""
    return lambda anchors, boxes, threshold: share(anchors, boxes, threshold) if len(boxes) else without_boxes


def _guarded_or_not(share: Function, sentence: str, unguarded: float = np.nan) -> tuple[Mutant, Mutant]:
    """One mistake twice: with the care for images without boxes, and before that is written.

    Args:
        share: the mistake, of anchors, boxes and threshold.
        sentence: what helps.
        unguarded: what comes out without that care.
    """
    after_that = f"{sentence} (After that: without any box the answer is 1.)"
    return Mutant(_coverage_by(share), sentence), Mutant(_coverage_by(share, unguarded), after_that)


# Halves and quarters, so that some overlaps are exactly 1/2 or 1/4, in float32 and float64 alike.
_FIXED_ANCHORS = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32)
_FIXED_BOXES = np.array([[0, 0, 1, 0.5], [0, 0, 0.25, 0.5], [0.5, 0.5, 1, 1], [0.75, 0, 1, 0.25]], np.float32)
_THREE_QUARTERS = np.array([[0, 0, 1, 0.625], [0, 0, 1, 0.75], [0.75, 0, 1, 0.25]], np.float32)
# IoUs of 0.498 and 0.47 with the first anchor: rounded they would reach 0.5.
_NEARLY_HALF = np.array([[0, 0, 1, 0.498], [0, 0, 0.47, 1], [0, 0, 1, 0.875], [0, 0, 1, 0.625]], np.float32)
# IoUs of 0.4, 0.35 and 0.25 with three anchors: together they would reach 0.6.
_IN_PIECES = np.array([[0.1, 0.1, 0.9, 0.9]], np.float32)
_PIECES = np.array([[0, 0, 0.5, 0.9], [0.5, 0, 1, 0.9], [0.1, 0.1, 0.9, 0.3]], np.float32)
LEAST_GAP = 1e-3  # between an overlap and the threshold in what is drawn, so that no rounding decides


def _draw_coverage(rng: np.random.Generator) -> Arguments:
    """Anchors, boxes near some of them, boxes anywhere, and a threshold that no best overlap comes near to."""
    while True:
        anchors = _draw_boxes(rng, 12)
        near = anchors[:6] + rng.uniform(-0.06, 0.06, (6, 4))
        boxes = np.concatenate([near, _draw_boxes(rng, 4)]).astype(np.float32)
        threshold = float(rng.choice([0.3, 0.4, 0.6, 0.7]))
        if (np.abs(pairwise_iou(anchors, boxes) - threshold) > LEAST_GAP).all():
            return anchors.astype(np.float32), boxes, threshold


def _draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(0, 0.6, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.15, 0.4, (count, 2))], axis=1)


COVERAGE = Exercise(
    id="01.coverage",
    title="How well anchors cover the boxes of a data set",
    points=15,
    difficulty="medium",
    minutes=15,
    home="anchors.coverage",
    fixed_cases=(
        (_FIXED_ANCHORS, _FIXED_BOXES[:2], 0.5),
        (_FIXED_ANCHORS, _FIXED_BOXES, 0.5),
        (_FIXED_ANCHORS, _FIXED_BOXES, 0.25),
        (_FIXED_ANCHORS[:1], _THREE_QUARTERS, 0.75),
        (_FIXED_ANCHORS[1:], _FIXED_BOXES, 0.75),
        (_FIXED_ANCHORS[:1], _NEARLY_HALF, 0.5),
        (_PIECES, _IN_PIECES, 0.6),
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
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(anchors, boxes) > threshold).mean(),
            "a box whose best IoU is exactly the threshold was not counted. Reaching it is enough.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(boxes, anchors) >= threshold).mean(),
            "this is the share of anchors that meet a box. Wanted is the share of boxes that meet an anchor: take the "
            "best along the other axis, one number for each box.",
        ),
        Mutant(
            _coverage_by(lambda anchors, boxes, threshold: (_best(boxes, anchors) >= threshold).mean(), 0.0),
            "this is the share of anchors that meet a box, also where there is none. Wanted is the share of boxes that "
            "meet an anchor: along which axis do you take the best?",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: _best(anchors, boxes).mean(),
            "this is the mean of the best IoUs. A box is either covered or not: compare with the threshold first.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (pairwise_iou(boxes, anchors) >= threshold).mean(),
            "this is the share of all pairs. For each box, only its best anchor matters.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (pairwise_iou(boxes, anchors) >= threshold).sum() / len(boxes),
            "every anchor that fits was counted, so a box with two of them counts twice. For each box, only its best "
            "anchor matters.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(anchors, boxes) >= threshold).sum() / len(anchors),
            "the covered boxes were divided by the number of anchors. Wanted is their share of the boxes.",
            unguarded=0.0,
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(anchors, boxes) >= threshold).sum(),
            "this is how many boxes are covered. Which share of all boxes is that?",
            unguarded=0.0,
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(boxes, anchors) >= threshold).sum() / len(boxes),
            "anchors that meet a box were counted, and divided by the number of boxes. Count the boxes that meet an "
            "anchor.",
        ),
        Mutant(
            _coverage_by(
                lambda anchors, boxes, threshold: (
                    _best(anchors, boxes)[_best(anchors, boxes) >= threshold].mean()
                    if (_best(anchors, boxes) >= threshold).any()
                    else np.nan  # the mean of nothing
                )
            ),
            "this is the mean IoU of the covered boxes. Wanted is their share of all boxes.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: 100 * (_best(anchors, boxes) >= threshold).mean(),
            "this is a percentage. As a share it lies between 0 and 1.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: 100 * reference.coverage(anchors, boxes, threshold),
            "this is a percentage, 100 for no box at all. As a share it lies between 0 and 1.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: float((_best(anchors, boxes) >= threshold).any()),
            "this is 1 as soon as a single box is covered. Wanted is the share of the boxes that are.",
            unguarded=0.0,
        ),
        Mutant(
            _coverage_by(lambda anchors, boxes, threshold: float((_best(anchors, boxes) >= threshold).all())),
            "this is 1 only where all boxes are covered, and else 0. Wanted is the share of the boxes that are. (Does "
            "`//` drop what stands behind the point?)",
        ),
        Mutant(
            _coverage_by(lambda anchors, boxes, threshold: (_best(anchors, boxes) >= threshold).astype(int)),
            "this says of each box whether it is covered. Wanted is one number, the share of those that are.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(anchors, boxes) >= 0.5).mean(),
            "0.5 was used whatever `threshold` is. Take the argument.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(anchors, boxes) > 0).mean(),
            "every box that an anchor merely touches was counted. The best IoU has to reach the threshold.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (np.round(_best(anchors, boxes), 2) >= threshold).mean(),
            "the IoUs were rounded to two decimals, and 0.498 became 0.5. Compare them as they are.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (np.round(_best(anchors, boxes), 1) >= threshold).mean(),
            "the IoUs were rounded to one decimal, and 0.47 became 0.5. Compare them as they are.",
        ),
        Mutant(
            lambda anchors, boxes, threshold: np.round(reference.coverage(anchors, boxes, threshold), 2),
            "the share was rounded to two decimals. Leave it as it is.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (pairwise_iou(boxes, anchors).sum(axis=1) >= threshold).mean(),
            "the IoUs of each box with all anchors were added up. Several bad anchors do not make a good one: take the "
            "best.",
        ),
        Mutant(
            _coverage_by(lambda anchors, boxes, threshold: (_best(anchors, boxes) >= threshold).mean(), 0.0),
            "without any box none is missed: that is a coverage of 1, not of 0.",
        ),
        Mutant(
            _coverage_by(lambda anchors, boxes, threshold: (_best(anchors, boxes) >= threshold).mean(), np.nan),
            "right, but for an image without boxes: the mean of nothing is nan, 0 / 0. None is missed there: say 1.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best(anchors, boxes) < threshold).mean(),
            "this is the share of boxes that are missed. Wanted are those that are covered.",
        ),
        Mutant(
            _coverage_by(lambda anchors, boxes, threshold: (_best(anchors, boxes) < threshold).mean(), 0.0),
            "this is the share of boxes that are missed, 0 where there is none. Wanted are those that are covered.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (pairwise_iou(boxes, anchors).mean(axis=1) >= threshold).mean(),
            "the mean over all anchors was taken. For each box, only its best anchor matters.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (pairwise_iou(boxes, anchors).min(axis=1) >= threshold).mean(),
            "the worst anchor of each box was taken. Its best one decides.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (pairwise_iou(boxes, anchors).argmax(axis=1) >= threshold).mean(),
            "argmax says which anchor is the best. Wanted is how good it is: max.",
        ),
        *_guarded_or_not(
            lambda anchors, boxes, threshold: (_best_share_inside(anchors, boxes) >= threshold).mean(),
            "the overlap was divided by the box's own area, so one huge anchor covers everything. IoU divides by the "
            "union.",
        ),
    ),
    errors=(
        ("array of bool", "that says which boxes are covered; their share is wanted, one number: `.mean()`."),
        (
            ("zero-size array", "empty sequence"),
            "without any box there is nothing to take the largest of: ask for len(boxes) first.",
        ),
        ("ZeroDivisionError", "without any box there is nothing to divide by: ask for len(boxes) first."),
        (
            "is ambiguous",
            "a comparison of an array gives true or false for each entry, and `if` needs one of them. Count those that "
            "are true, by .mean() or .sum().",
        ),
    ),
)


EXERCISES = (GRID_CENTERS, ANCHOR_SIZES, MAP_ANCHORS, LINEAR_SCALES, MAKE_ANCHORS, COVERAGE)
