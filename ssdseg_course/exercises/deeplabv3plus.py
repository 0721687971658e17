"""The exercises of lesson 7: DeepLabV3+, from a field of view to the confusion matrix."""

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant
from ssdseg_course.checking.home import new_name
from ssdseg_course.checking.networks import compare_losses, compare_networks, run_loss, run_network
from ssdseg_course.exercises.shared import KERAS_ERRORS, OPS_ERRORS, maps_of_seed
from ssdseg_course.lazy import LazyModule
from ssdseg_ref import convolution, metrics
from ssdseg_ref.data.sample import IGNORE

layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
blocks = LazyModule("ssdseg_ref.blocks")
reference = LazyModule("ssdseg_ref.deeplabv3plus")
joint = LazyModule("ssdseg_ref.losses")

_maps = maps_of_seed(7)


def conv_bn(x, filters):
    """The lesson's pointwise block."""
    return blocks.conv_bn(x, filters, name=new_name())


def separable_conv_bn(x, filters):
    """The lesson's separable block, without dilation."""
    return blocks.separable_conv_bn(x, filters, name=new_name())


# 07.field_of_view


def _field_with(
    *, start=1, reach=lambda k, d: (k - 1) * d, grow=lambda step, stride, d: step * stride, early=False, backwards=False
):  # fmt: skip
    def field(layers):
        side, step = start, 1
        for k, s, d in reversed(layers) if backwards else layers:
            if early:
                step = grow(step, s, d)
            side += reach(k, d) * step
            if not early:
                step = grow(step, s, d)
        return side

    return field


def _field_in_another_order(layers):
    return convolution.field_of_view([(k, d, s) for k, s, d in layers])


def _distance_of_neighbours(layers):
    return int(np.prod([stride for _, stride, _ in layers]))


def _field_of_products(layers):
    return int(np.prod([(k - 1) * d + 1 for k, _, d in layers]))


def _draw_layers(rng: np.random.Generator) -> Arguments:
    count = int(rng.integers(2, 6))
    return ([(int(rng.choice([1, 3, 5])), int(rng.choice([1, 2])), int(rng.choice([1, 2, 4]))) for _ in range(count)],)


FIELD_OF_VIEW = Exercise(
    id="07.field_of_view",
    title="How far one value sees",
    points=10,
    difficulty="easy",
    minutes=15,
    home="convolution.field_of_view",
    fixed_cases=(
        ([(3, 1, 1)],),
        ([(3, 1, 1), (3, 1, 1)],),
        ([(3, 1, 4)],),
        ([(3, 1, 4), (3, 1, 1)],),
        ([(3, 2, 1), (3, 2, 1), (3, 1, 2), (1, 1, 1)],),
        ([(7, 3, 1), (2, 2, 2), (4, 1, 3)],),  # a stride of 3, and kernels without a middle
        ([],),
    ),
    draw=_draw_layers,
    hints=(
        "Keep two numbers: how wide the view is, and how many pixels lie between two neighbours of the map.",
        "A layer widens the view by (kernel_size - 1) * dilation places of *its* map, and each of those is `step` "
        "pixels.",
        "side, step = 1, 1; for k, s, d in layers: side += (k - 1) * d * step; step *= s; return side.",
    ),
    mutants=(
        Mutant(
            _field_with(grow=lambda step, stride, d: 1),
            "the strides are missing: behind a stride of 2 a place is two pixels wide.",
        ),
        Mutant(
            _field_with(early=True), "a layer's own stride counts for the layers *behind* it: multiply step afterwards."
        ),
        Mutant(
            _field_with(early=True, grow=lambda step, stride, d: stride),
            "a layer's gaps are multiplied by the strides of the layers *before* it, all of them, and not by its own.",
        ),
        Mutant(
            _field_with(grow=lambda step, stride, d: stride),
            "all strides before a layer count, multiplied, not the last one alone: 2 and 2 make places of 4 pixels.",
        ),
        Mutant(
            _field_with(grow=lambda step, stride, d: step + stride),
            "strides multiply and do not add up: behind 2 and 2 and 2 a place is 8 pixels wide.",
        ),
        Mutant(
            _field_with(grow=lambda step, stride, d: step * stride * d),
            "a dilation spreads a layer's taps, not its results: it widens this layer's view, and `step` stays.",
        ),
        Mutant(
            _field_with(reach=lambda k, d: k - 1),
            "the dilation is missing: the taps lie `dilation` places apart.",
        ),
        Mutant(
            _field_with(reach=lambda k, d: k * d), "k taps have k - 1 gaps between them: (kernel_size - 1) * dilation."
        ),
        Mutant(
            _field_with(reach=lambda k, d: k * d - 1),
            "there are kernel_size - 1 gaps of `dilation` places: 3 taps with dilation 4 span 9 places, not 12.",
        ),
        Mutant(
            _field_with(reach=lambda k, d: (k - 1) * d + 1),
            "the layer's middle place is in `side` already: only its gaps are added, (kernel_size - 1) * dilation.",
        ),
        Mutant(_field_with(start=0), "without any layer a value sees its own pixel: begin with 1."),
        Mutant(
            _field_with(reach=lambda k, d: ((k - 1) // 2) * d),
            "that is one side only: the view grows to the left and to the right.",
        ),
        Mutant(
            _field_with(reach=lambda k, d: 2 * (k // 2) * d),
            "that is right for odd kernels only: a kernel of 2 has one gap, not two.",
        ),
        Mutant(
            _field_with(backwards=True), "go from the picture on: the first layer's stride counts for all behind it."
        ),
        Mutant(
            _field_with(reach=lambda k, d: k - 1 + d - 1),
            "the gaps are multiplied by the dilation, nothing is added: three taps with dilation 4 span 9.",
        ),
        Mutant(_field_in_another_order, "each layer is (kernel_size, stride, dilation), in this order."),
        Mutant(_distance_of_neighbours, "that is how far apart neighbours lie on the last map, not how far one sees."),
        Mutant(_field_of_products, "views do not multiply: each layer *adds* its gaps, in pixels."),
        Mutant(
            lambda layers: convolution.field_of_view(layers) ** 2, "the side of the square is wanted, not its area."
        ),
    ),
)


# 07.aspp


def _aspp_with(
    *, point=conv_bn, image=True, rates_are=None, plain=False, joined="concat", axis=-1, project=conv_bn,
    order=(0, 1, 2), pool="average", narrow=True, chained=False, near=False,
):  # fmt: skip
    """ASPP with one mistake; `order` is that of the parts: point, rates, image."""

    def pyramid(x, channels, rates):
        looks, y = [], x
        for rate in [1] * len(rates) if near else rates_are or rates:
            y = y if chained else x
            if plain:
                y = layers.Conv2D(channels, 3, padding="same", dilation_rate=rate, use_bias=False)(y)
                y = layers.Activation("relu6")(layers.BatchNormalization()(y))
            else:
                y = blocks.separable_conv_bn(y, channels, dilation=rate, name=new_name())
            looks.append(y)
        whole = []
        if image:
            pooling = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}[pool]
            y = pooling(keepdims=True)(x)
            y = conv_bn(y, channels) if narrow else y
            whole = [reference.resize(y, x.shape[1:3])]
        parts = [point(x, channels)] if point else [], looks, whole
        branches = [branch for part in order for branch in parts[part]]
        y = layers.Concatenate(axis=axis)(branches) if joined == "concat" else layers.Add()(branches)
        return project(y, channels) if project else y

    return pyramid


ASPP = Exercise(
    id="07.aspp",
    title="The same map, seen several times",
    points=20,
    difficulty="medium",
    minutes=25,
    home="deeplabv3plus.aspp",
    piece=True,
    fixed_cases=((_maps(1, 6, 7, 8), 16, (2,)), (_maps(2, 5, 8, 6), 5, (1, 3, 2))),
    draw=None,
    hints=(
        "A list of branches, all made from x: the point, one a rate, the image. Then concatenate and project.",
        "The image: layers.GlobalAveragePooling2D(keepdims=True)(x), conv_bn to the channels, resize to x.shape[1:3].",
        "branches = [conv_bn(x, channels)] + [separable_conv_bn(x, channels, rate) for rate in rates]; append the "
        "image; conv_bn(layers.Concatenate()(branches), channels).",
    ),
    mutants=(
        Mutant(_aspp_with(image=False), "the image branch is missing: what the map shows as a whole."),
        Mutant(_aspp_with(point=None), "the first branch is missing, the pointwise one."),
        Mutant(
            _aspp_with(point=separable_conv_bn),
            "the first branch is a pointwise convolution: the place itself, without its neighbours.",
        ),
        Mutant(
            _aspp_with(near=True),
            "all branches look with dilation 1: each has its own rate.",
        ),
        Mutant(
            _aspp_with(rates_are=(6, 12, 18)),
            "those are the paper's rates, 6, 12 and 18; yours come in, as `rates`.",
        ),
        Mutant(
            _aspp_with(chained=True),
            "each rate starts from the branch before; all of them start from the same map, x.",
        ),
        Mutant(_aspp_with(plain=True), "the branches are separable convolutions here: depthwise, then pointwise."),
        Mutant(_aspp_with(joined="add"), "the branches are concatenated, not added."),
        Mutant(_aspp_with(axis=1), "axis 1 sets the maps below each other; join their channels, axis -1."),
        Mutant(_aspp_with(project=None), "the projection at the end is missing: a conv_bn to `channels`."),
        Mutant(
            _aspp_with(project=lambda y, channels: layers.Conv2D(channels, 1)(y)),
            "the projection is a convolution with a bias and nothing behind it: it is a conv_bn like the others.",
        ),
        Mutant(_aspp_with(order=(2, 0, 1)), "the image's branch comes last: point, rates, image."),
        Mutant(_aspp_with(pool="max"), "the image branch takes the mean over all places, not the maximum."),
        Mutant(_aspp_with(narrow=False), "behind the pooling there is a conv_bn to `channels`."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        (
            "oncatenate",
            "what is concatenated has one height and width: is the image's branch resized to x.shape[1:3]? And a rate "
            "is a dilation, no stride.",
        ),
        ("ExpandDims", "`resize` takes (B, H, W, C): keepdims=True keeps the two sides of the pooling."),
        (("must be 3D or 4D", "rank"), "`resize` takes (B, H, W, C): pool with keepdims=True."),
        *KERAS_ERRORS,
    ),
)


# 07.resize_bilinear


def resize_bilinear(image, size):
    """Bilinear resampling with the pixels' middles where they belong, as TensorFlow and Pillow have it today.

    Args:
        image: (H, W, C).
        size: (height, width) that comes out.

    Returns:
        (height, width, C).
    """
    return _resized(image, size)


def _resized(
    image, size, *, place=lambda i, old, new: (i + 0.5) * old / new - 0.5, clip=True, wrap=False, swap=False,
    nearest=None, axes=(0, 1), mixed=lambda share: share, rounded=None, indices_only=False,
):  # fmt: skip
    given, image = np.asarray(image), np.asarray(image, np.float64)
    for axis in axes:
        old, new = image.shape[axis], size[1 - axis if swap else axis]
        at = place(np.arange(new), old, new)
        at = np.clip(at, 0, old - 1) if clip else at
        if wrap or indices_only:
            low = np.floor(at).astype(int)
            share = at - low
            low = low if wrap else np.clip(low, 0, old - 1)
        else:
            low = np.clip(np.floor(at).astype(int), 0, max(old - 2, 0))
            share = (nearest(at) if nearest else at) - low
        share = mixed(share).reshape([-1 if k == axis else 1 for k in range(3)])
        image = (1 - share) * image.take(low, axis) + share * image.take(np.minimum(low + 1, old - 1), axis)
    return rounded(image, given) if rounded else image


def _draw_image(rng: np.random.Generator) -> Arguments:
    height, width, new_height, new_width = (int(side) for side in rng.integers(2, 9, 4))
    return rng.normal(size=(height, width, 2)), (new_height + 1, new_width)


def _resize_with(**mistake):
    return lambda image, size: _resized(image, size, **mistake)


RESIZE_BILINEAR = Exercise(
    id="07.resize_bilinear",
    title="Between the pixels",
    points=15,
    difficulty="hard",
    minutes=30,
    reference=resize_bilinear,
    fixed_cases=(
        (np.array([[[0.0], [8.0]]]), (1, 4)),
        (np.array([[[0.0], [8.0]], [[4.0], [20.0]]]), (4, 4)),
        (np.arange(24.0).reshape(3, 4, 2) ** 2, (5, 7)),
        (np.arange(30.0).reshape(6, 5, 1) ** 2, (2, 3)),
        (np.array([[[7, 1]]]), (2, 3)),  # one pixel, of whole numbers
        (np.array([[[3], [8]], [[5], [1]]]), (3, 4)),
    ),
    draw=_draw_image,
    hints=(
        "One side at a time. For each new pixel: where is its middle among the old ones, which two lie beside it, and "
        "how much of each?",
        "at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1); low = np.floor(at).astype(int); the share "
        "of the next one, np.minimum(low + 1, old - 1), is at - low.",
        "rows = (1 - share)[:, None, None] * image[low] + share[:, None, None] * image[high]; then the same along "
        "axis 1, with share[None, :, None] and rows[:, low].",
    ),
    mutants=(
        Mutant(
            _resize_with(place=lambda i, old, new: i * old / new),
            "the halves are missing: a pixel's middle lies at i + 0.5. So everything moves to one side.",
        ),
        Mutant(
            _resize_with(place=lambda i, old, new: i * (old - 1) / max(new - 1, 1)),
            "that puts corners onto corners (aligned corners): the step is not quite old / new.",
        ),
        Mutant(_resize_with(nearest=np.rint), "that takes the nearest pixel; mix the two on both sides of it."),
        Mutant(
            _resize_with(nearest=lambda at: np.floor(at + 0.5)),
            "that repeats the nearest pixel, which makes stairs; mix the two on both sides.",
        ),
        Mutant(
            _resize_with(place=lambda i, old, new: np.floor(i * old / new)),
            "that repeats pixels, i * old // new, which makes stairs; mix the two beside the place.",
        ),
        Mutant(
            _resize_with(place=lambda i, old, new: np.floor(np.clip((i + 0.5) * old / new - 0.5, 0, old - 1))),
            "that takes the pixel before the place alone; the one behind it has its share, too.",
        ),
        Mutant(
            _resize_with(mixed=lambda share: 1 - share),
            "the two shares are exchanged: the nearer a pixel, the more it counts; the *next* one has at - low.",
        ),
        Mutant(
            _resize_with(mixed=lambda share: np.full_like(share, 0.5)),
            "both pixels count one half; each counts the more, the nearer it lies.",
        ),
        Mutant(
            _resize_with(clip=False, wrap=True),
            "before the first middle the index is -1, and for Python that is the *last* pixel: clip the place to 0.",
        ),
        Mutant(
            _resize_with(clip=False, indices_only=True),
            "you clip the indices, but the share is still that of the place outside: clip the place first.",
        ),
        Mutant(
            _resize_with(clip=False), "beyond the outermost middles nothing is extrapolated: clip to 0 and old - 1."
        ),
        Mutant(_resize_with(place=lambda i, old, new: (i + 0.5) * new / old - 0.5), "the ratio is upside down."),
        Mutant(_resize_with(axes=(0,)), "only the height has changed."),
        Mutant(_resize_with(axes=(1,)), "only the width has changed."),
        Mutant(_resize_with(swap=True), "size is (height, width), in this order."),
        Mutant(
            _resize_with(rounded=lambda image, given: np.floor(image)),
            "what lies between two numbers has a fraction: do not cut it off.",
        ),
        Mutant(
            _resize_with(rounded=lambda image, given: np.rint(image)),
            "what lies between two numbers has a fraction: do not round it.",
        ),
        Mutant(
            _resize_with(rounded=lambda image, given: image.astype(given.dtype)),
            "your array has the picture's type: where that has whole numbers, what stands behind the point is cut off.",
        ),
        Mutant(
            _resize_with(place=lambda i, old, new: (i + 0.5) * old / new),
            "at the end half a pixel has to be taken off again: pixel 0 has its middle at 0.5.",
        ),
    ),
    errors=(
        ("broadcast", "the shares of rows need the shape (height, 1, 1), those of columns (1, width, 1)."),
        ("is out of bounds", "there is no pixel behind the last one: np.minimum(low + 1, old - 1)."),
    ),
)


# 07.decoder


def _decoder_with(
    *, narrow="low", order=1, refine=2, plain=False, joined="concat", down=False, same=False, enlarge="bilinear",
):  # fmt: skip
    def decode(x, low_level, low_level_channels, channels):
        count = x.shape[-1] if joined == "add" else channels if same else low_level_channels
        if narrow == "low":
            low_level = conv_bn(low_level, count)
        elif narrow == "x":
            x = conv_bn(x, count)
        if down:
            low_level = reference.resize(low_level, x.shape[1:3])
        x = ops.image.resize(x, low_level.shape[1:3], interpolation=enlarge)
        y = x
        if joined != "only x":
            pair = [x, low_level][::order]
            y = layers.Add()(pair) if joined == "add" else layers.Concatenate()(pair)
        for _ in range(refine):
            y = blocks.conv_bn(y, channels, 3, name=new_name()) if plain else separable_conv_bn(y, channels)
        return y

    return decode


DECODER = Exercise(
    id="07.decoder",
    title="The edges come back",
    points=10,
    difficulty="medium",
    minutes=15,
    home="deeplabv3plus.decoder",
    arguments=("x", "low_level", "low_level_channels", "channels"),
    piece=True,
    fixed_cases=(
        (_maps(1, 3, 4, 6), _maps(1, 6, 8, 10), 3, 5),
        (_maps(2, 2, 3, 4), _maps(2, 7, 9, 6), 4, 6),
    ),
    draw=None,
    hints=(
        "Four steps: narrow the fine map, enlarge the coarse one, concatenate, refine twice.",
        "low_level = conv_bn(low_level, low_level_channels); x = resize(x, low_level.shape[1:3]).",
        "x = layers.Concatenate()([x, low_level]); then twice x = separable_conv_bn(x, channels).",
    ),
    mutants=(
        Mutant(_decoder_with(narrow=None), "the fine map is not narrowed: with all its channels it drowns the other."),
        Mutant(_decoder_with(narrow="x"), "the *fine* map is narrowed; ASPP's keeps its channels."),
        Mutant(_decoder_with(same=True), "the fine map is narrowed to `low_level_channels`."),
        Mutant(_decoder_with(order=-1), "x stands first when the two are joined."),
        Mutant(
            _decoder_with(joined="add"),
            "the two maps are concatenated, not added; so the fine one is narrowed to `low_level_channels`.",
        ),
        Mutant(_decoder_with(refine=1), "only one of the two refining convolutions is there."),
        Mutant(_decoder_with(refine=0), "the two refining convolutions are missing."),
        Mutant(_decoder_with(plain=True), "the refining convolutions are separable ones."),
        Mutant(_decoder_with(down=True), "the coarse map is enlarged, not the fine one made smaller."),
        Mutant(
            _decoder_with(enlarge="nearest"),
            "the coarse map is enlarged by repeating its values, which makes stairs: `resize` is bilinear.",
        ),
        Mutant(_decoder_with(joined="only x"), "the fine map is missing: nobody else knows where the edges are."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        ("oncatenate", "what is concatenated has one height and width: resize x to low_level.shape[1:3] first."),
        (
            ("ncompatible shapes", "broadcast"),
            "the two maps need not have the same channels: they are concatenated, not added.",
        ),
        *KERAS_ERRORS,
    ),
)


# 07.weighted_cross_entropy


def _of_whole_numbers(loss, mask, *others):
    """Plays the part of the one at home: a training's masks are uint8, the exercise's int32."""
    return loss(ops.cast(mask, "int32"), *others)


def _weighted_with(*, weigh="truth", ignore="out", divisor="weights", squared=False, below=False, on="losses"):
    """Cross-entropy with one mistake.

    `ignore` says what becomes of 255, and `below` whether such pixels still count below the line; `on` is what the
    weights are multiplied with.
    """

    def loss(mask, logits, class_weights):
        counts = mask != IGNORE
        last = logits.shape[-1] - 1
        classes = ops.minimum(mask, last) if ignore == "last class" else ops.where(counts, mask, 0)
        counts = counts if ignore == "out" else ops.ones_like(mask, dtype="bool")
        of_class = ops.convert_to_tensor(class_weights, dtype=logits.dtype)
        weights = {
            "truth": lambda: ops.take(of_class, classes),
            "guess": lambda: ops.take(of_class, ops.argmax(logits, axis=-1)),
            "no": lambda: ops.ones_like(logits[..., 0]),
        }[weigh]()
        weights = ops.square(weights) if squared else weights
        counted = ops.where(counts, weights, 0.0)
        below_the_line = ops.sum(weights if below else counted)
        if on == "losses":
            total = ops.sum(counted * joint.class_cross_entropy(classes, logits))
        else:
            total = ops.sum(ops.where(counts, joint.class_cross_entropy(classes, logits * of_class), 0.0))
        return {
            "weights": lambda: total / ops.maximum(below_the_line, 1e-7),
            "class weights": lambda: total / ops.sum(of_class),
            "pixels": lambda: total / float(np.prod(mask.shape)),
            "counted": lambda: total / ops.maximum(ops.sum(ops.cast(counts, logits.dtype)), 1.0),
            "one": lambda: total,
            "images": lambda: total / float(mask.shape[0]),
        }[divisor]()

    return loss


def _mean_of_images(mask, logits, class_weights):
    return ops.mean(
        ops.stack(
            [
                joint.weighted_cross_entropy(mask[k : k + 1], logits[k : k + 1], class_weights)
                for k in range(mask.shape[0])
            ]
        )
    )


def _mean_of_classes(mask, logits, class_weights):
    """A mean for each class, then their weighted mean."""
    losses = joint.class_cross_entropy(ops.where(mask != IGNORE, mask, 0), logits)
    means = []
    for label in range(len(class_weights)):
        here = ops.cast(mask == label, logits.dtype)
        means.append(class_weights[label] * ops.sum(here * losses) / ops.maximum(ops.sum(here), 1.0))
    return sum(means) / sum(class_weights)


def _draw_masks(rng: np.random.Generator) -> Arguments:
    images, height, width, classes = 2, int(rng.integers(2, 5)), int(rng.integers(2, 5)), 4
    mask = rng.choice([0, 0, 1, 2, 3, IGNORE], (images, height, width)).astype(np.int32)
    mask[0, 0, :2], mask[1, 0, :2] = (0, IGNORE), (1, 2)  # some of everything
    return mask, (2 * rng.normal(size=(images, height, width, classes))).astype(np.float32)


def _draw_weighted(rng: np.random.Generator) -> Arguments:
    return *_draw_masks(rng), (0.25, 1.5, float(rng.choice([1.0, 2.0])), 1.25)


WEIGHTED_CROSS_ENTROPY = Exercise(
    id="07.weighted_cross_entropy",
    title="Rare classes count more",
    points=15,
    difficulty="medium",
    minutes=20,
    home="losses.weighted_cross_entropy",
    piece=_of_whole_numbers,
    fixed_cases=(
        (np.array([[[0, 1], [2, IGNORE]]], np.int32), np.zeros((1, 2, 2, 4), np.float32), (0.5, 1.0, 2.0, 1.0)),
        _draw_weighted(np.random.default_rng(1)),
        (np.full((1, 2, 2), IGNORE, np.int32), np.ones((1, 2, 2, 4), np.float32), (1.0, 1.0, 1.0, 1.0)),
    ),
    draw=_draw_weighted,
    random_cases=1,  # for each a graph is made
    hints=(
        "Each pixel has a weight: that of its class, or 0 where the mask says 255. Then a weighted mean.",
        "First make 255 a class that there is, or nothing can be looked up: ops.where(mask != 255, mask, 0). "
        "`ops.take(ops.convert_to_tensor(class_weights, dtype=logits.dtype), classes)` looks the weights up.",
        "weights = ops.where(counts, weights, 0.0); ops.sum(weights * class_cross_entropy(classes, logits)) / "
        "ops.maximum(ops.sum(weights), 1e-7).",
    ),
    mutants=(
        Mutant(_weighted_with(weigh="no"), "all classes weigh the same: what about class_weights?"),
        Mutant(
            _weighted_with(weigh="guess"),
            "a pixel has the weight of its *true* class, from the mask, not of the class that the network guesses.",
        ),
        Mutant(_weighted_with(ignore="background"), "pixels with 255 count as background; their weight should be 0."),
        Mutant(
            _weighted_with(ignore="last class"),
            "pixels with 255 count as the last class; which class they become does not matter, but their weight is 0.",
        ),
        Mutant(
            _weighted_with(below=True),
            "above the line pixels with 255 are left out, below it their weights still count.",
        ),
        Mutant(
            _weighted_with(divisor="pixels"),
            "divide by the sum of the weights, not by all pixels: then equal weights change nothing, however large.",
        ),
        Mutant(_weighted_with(divisor="counted"), "divide by the sum of the *weights*, not by the number of pixels."),
        Mutant(
            _weighted_with(divisor="class weights"),
            "divide by the weights of all the pixels that count, added up, not by those of the classes.",
        ),
        Mutant(_weighted_with(divisor="one"), "the sum grows with the picture: a mean is wanted."),
        Mutant(
            _weighted_with(divisor="images"), "divided by the images alone, it still grows with the picture's size."
        ),
        Mutant(_weighted_with(squared=True), "the weights enter twice."),
        Mutant(_weighted_with(on="logits"), "the *losses* are weighed; a logit times a weight is another prediction."),
        Mutant(_mean_of_images, "one mean over all pixels of the batch, no mean of the images' means."),
        Mutant(_mean_of_classes, "one mean over all pixels; yours is a mean for each class, and then one of these."),
    ),
    run=run_loss(wrt=(1,)),
    compare=compare_losses,
    errors=(
        (
            "outside the valid range",
            "255 is no class: make it one by ops.where before the loss looks at it, and give it the weight 0.",
        ),
        (
            ("out of bounds", "out of range", "is not in [0"),
            "255 is no class: look up weights only after ops.where has made it one.",
        ),
        (
            ("indices must be", "scalar index"),
            "a tuple or list takes one whole number; ops.take looks up as many as there are pixels.",
        ),
        *OPS_ERRORS,
    ),
)


# 07.dice_loss


def _dice_with(
    *, background=True, twice=2, share="softmax", axes=(0, 1, 2), present="truth", power=False,
    one_minus=True, hide=("truth", "share"), smooth=(0, 0), jaccard=False, guarded=True,
):  # fmt: skip
    """Dice as a loss with one mistake; `hide` says what is set to 0 where the mask is 255."""

    def loss(mask, logits):
        counts = ops.cast(mask != IGNORE, logits.dtype)[..., None]
        truth = ops.one_hot(ops.where(mask != IGNORE, mask, 0), logits.shape[-1], dtype=logits.dtype)
        truth = truth * counts if "truth" in hide else truth
        shares = {
            "softmax": ops.softmax,
            "sigmoid": ops.sigmoid,
            "none": lambda x: x,
        }[share](logits)
        shares = shares * counts if "share" in hide else shares
        if not background:
            truth, shares = truth[..., 1:], shares[..., 1:]
        overlap = ops.sum(truth * shares, axes)
        areas = ops.sum(truth, axes) + ops.sum(ops.square(shares) if power else shares, axes)
        areas = areas - overlap if jaccard else areas
        areas = ops.where(ops.abs(areas) < 1e-7, 1e-7, areas) if guarded else areas
        dice = (twice * overlap + smooth[0]) / (areas + smooth[1])
        there = {
            "truth": lambda: ops.cast(ops.sum(truth, axes) > 0, logits.dtype),
            "either": lambda: ops.cast(ops.sum(truth + shares, axes) > 1e-6, logits.dtype),
            "all": lambda: ops.ones_like(dice),
        }[present]()
        parts = there * ((1 - dice) if one_minus else dice)
        return ops.sum(parts) / ops.maximum(ops.sum(there), 1.0)

    return loss


DICE_LOSS = Exercise(
    id="07.dice_loss",
    title="Overlap as a loss",
    points=15,
    difficulty="medium",
    minutes=25,
    home="losses.dice_loss",
    piece=_of_whole_numbers,
    fixed_cases=(
        (
            np.array([[[0, 1], [1, 2]]], np.int32),
            np.array([[[[2, 0, 0], [0, 2, 0]], [[0, 1, 1], [0, 0, 2]]]], np.float32),
        ),
        _draw_masks(np.random.default_rng(2)),
        (np.full((1, 2, 2), IGNORE, np.int32), np.ones((1, 2, 2, 4), np.float32)),
    ),
    draw=_draw_masks,
    random_cases=1,  # for each a graph is made
    hints=(
        "For each class three sums over all pixels of all images: truth times share, truth, share. Which pixels count?",
        "counts = ops.cast(mask != 255, logits.dtype)[..., None]; truth = one_hot(...) * counts; share = "
        "ops.softmax(logits) * counts; sums over axis=(0, 1, 2).",
        "dice = 2 * overlap / ops.maximum(truth_area + share_area, 1e-7); present = ops.cast(truth_area > 0, "
        "logits.dtype); ops.sum(present * (1 - dice)) / ops.maximum(ops.sum(present), 1.0).",
    ),
    mutants=(
        Mutant(_dice_with(one_minus=False), "that is dice itself; a loss is small where all is well: 1 - dice."),
        Mutant(_dice_with(twice=1), "twice the overlap: otherwise a perfect mask has 0.5."),
        Mutant(
            _dice_with(twice=1, jaccard=True),
            "that is IoU, overlap through union (Jaccard); dice is twice the overlap through both areas.",
        ),
        Mutant(_dice_with(smooth=(1, 1)), "there is a 1 added above and below the line: dice as above has none."),
        Mutant(_dice_with(hide=()), "pixels with 255 count as background, in the truth and in the shares."),
        Mutant(_dice_with(hide=("truth",)), "pixels with 255 are out of the truth, but their shares still count."),
        Mutant(_dice_with(background=False), "the background is a class like the others."),
        Mutant(_dice_with(axes=(1, 2)), "over all images of the batch together, not image by image."),
        Mutant(
            _dice_with(axes=(0, 1, 2, 3)),
            "a dice for each class, then their mean; with all classes in one sum the large ones decide.",
        ),
        Mutant(_dice_with(present="all"), "a class that the masks do not hold is left out of the mean."),
        Mutant(_dice_with(power=True), "that is dice-square; here the shares are not squared."),
        Mutant(_dice_with(share="sigmoid"), "the shares of all classes make 1: a softmax, no sigmoid."),
        Mutant(
            _dice_with(share="none", guarded=False),
            "those are logits; the overlap needs shares, a softmax. (And with no pixel that counts you divide 0 by 0.)",
        ),
        Mutant(
            _dice_with(axes=(0, 1, 2, 3), present="all"),
            "with all classes in one sum the large ones decide: a dice for each, then the mean of those that the masks "
            "hold.",
        ),
    ),
    run=run_loss(wrt=(1,)),
    compare=compare_losses,
    errors=OPS_ERRORS,
)


# 07.confusion_matrix


def _confusion_with(
    *, transposed=False, ignore="out", background=True, share=None, only=slice(None), side=1, step=1, hits=False,
    dtype=np.int64,
):  # fmt: skip
    """A confusion matrix with one mistake; `step` is how far apart rows are when two numbers are made one."""

    def count(masks, predicted, classes):
        rows = classes + side
        matrix = np.zeros((rows, rows))
        for mask, guess in list(zip(masks, predicted, strict=True))[only]:
            mask, guess = np.asarray(mask).ravel(), np.asarray(guess).ravel()
            if ignore == "out":
                mask, guess = mask[mask != IGNORE], guess[mask != IGNORE]
            else:
                mask = np.where(mask == IGNORE, {"background": 0, "last class": classes}[ignore], mask)
            if not background:
                mask, guess = mask[mask > 0], guess[mask > 0]
            inside = (mask < rows) & (guess < rows)
            pairs = mask[inside].astype(dtype) * dtype(rows - 1 + step) + guess[inside].astype(dtype)
            one = np.bincount(pairs, minlength=rows**2)[: rows**2].reshape(rows, rows)
            one = np.diag(np.diag(one)) if hits else one
            matrix += one / max(one.sum(), 1) if share in ("sum", "mean") else one
        matrix = matrix.T if transposed else matrix
        if share == "rows":
            return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        if share == "all":
            return matrix / max(matrix.sum(), 1)
        return matrix / len(masks) if share == "mean" else matrix

    return count


def _counted_in_bytes(masks, predicted, classes):
    return np.asarray(metrics.confusion_matrix(masks, predicted, classes)).astype(np.uint8)


def _once_a_pair(masks, predicted, classes):
    """`matrix[mask, guess] += 1` counts a pair of indices once, however often it comes."""
    matrix = np.zeros((classes + 1, classes + 1), int)
    for mask, guess in zip(masks, predicted, strict=True):
        seen = mask != IGNORE
        matrix[mask[seen], guess[seen]] += 1
    return matrix


def _draw_pairs(rng: np.random.Generator) -> Arguments:
    classes = 3
    sizes = [tuple(rng.integers(2, 6, 2).tolist()) for _ in range(int(rng.integers(2, 4)))]
    masks = [rng.choice([0, 0, 1, 2, 3, IGNORE], size).astype(np.int64) for size in sizes]
    return masks, [rng.integers(0, classes + 1, size) for size in sizes], classes


CONFUSION_MATRIX = Exercise(
    id="07.confusion_matrix",
    title="What is taken for what",
    points=15,
    difficulty="medium",
    minutes=20,
    home="metrics.confusion_matrix",
    piece=True,
    fixed_cases=(
        ([np.array([[0, 1], [1, 1]])], [np.array([[0, 1], [0, 0]])], 1),
        (
            [np.array([[0, 2, 2], [IGNORE, 1, 0]]), np.array([[2, 2], [1, IGNORE]])],
            [np.array([[0, 2, 1], [1, 1, 0]]), np.array([[2, 2], [2, 0]])],
            2,
        ),
        # A picture of which nothing counts, and more pixels of a kind than a byte can count.
        ([np.full((2, 1), IGNORE), np.ones((15, 20), int)], [np.array([[0], [1]]), np.ones((15, 20), int)], 1),
        # Masks as a picture file holds them, and so many classes that a row and a column make no byte.
        (
            [np.array([[3, 18, 20], [IGNORE, 20, 0]], np.uint8)],
            [np.array([[3, 17, 20], [7, 2, 19]], np.uint8)],
            20,
        ),
    ),
    draw=_draw_pairs,
    hints=(
        "A table of zeros with classes + 1 rows and columns. For each pair of masks: throw out the pixels with 255, "
        "count the pairs of classes.",
        "`matrix[mask, guess] += 1` counts a pair once, however often it comes. Make one number of the two: mask * "
        "(classes + 1) + guess, and let np.bincount count.",
        "seen = mask != 255; np.bincount(mask[seen] * side + guess[seen], minlength=side * side).reshape(side, side), "
        "added up over all images. Make whole numbers of the masks first: .astype(int).",
    ),
    mutants=(
        Mutant(_confusion_with(transposed=True), "rows are the *true* classes, columns what was predicted."),
        Mutant(_once_a_pair, "`matrix[mask, guess] += 1` counts each pair once, however often it comes: np.bincount."),
        Mutant(_confusion_with(ignore="background"), "pixels with 255 count nowhere, and not as background."),
        Mutant(_confusion_with(ignore="last class"), "pixels with 255 count nowhere, and not as the last class."),
        Mutant(_confusion_with(background=False), "background is a class: false alarms stand in its row."),
        Mutant(
            _confusion_with(share="sum"), "count pixels, no shares: a small image may not weigh as much as a large one."
        ),
        Mutant(
            _confusion_with(share="mean"),
            "that is the mean of a table of shares for each image; the pixels of all images are counted in one table.",
        ),
        Mutant(_confusion_with(share="rows"), "the rows are divided by their sums; the counts are wanted."),
        Mutant(_confusion_with(share="all"), "the table is divided by its sum; the counts are wanted."),
        Mutant(_confusion_with(only=slice(1)), "only the first pair of masks was counted."),
        Mutant(_confusion_with(only=slice(-1, None)), "only the last pair of masks was counted: += adds the others."),
        Mutant(_confusion_with(side=0), "with the background there are classes + 1 rows and columns."),
        Mutant(
            _confusion_with(step=0),
            "a row has classes + 1 places: with mask * classes the last of one falls onto the first of the next.",
        ),
        Mutant(_confusion_with(hits=True), "the mistakes are missing, the numbers beside the diagonal."),
        Mutant(
            _confusion_with(dtype=np.uint8),
            "the masks are uint8, which ends at 255, and so does mask * side + guess: .astype(int) first.",
        ),
        Mutant(
            _counted_in_bytes, "the table counts in uint8, which begins again after 255: it needs whole numbers, int."
        ),
    ),
    errors=(
        ("index 255 is out of bounds", "255 is no row of the table: leave these pixels out first."),
        (
            "too deep",
            "np.bincount counts along one axis; a mask has two: mask.ravel(), or the pixels seen, mask[seen].",
        ),
        ("cannot reshape", "np.bincount(..., minlength=side * side) also counts those that never come."),
        ("inhomogeneous", "the pictures have different sizes: count each by itself, and add up the tables."),
        (
            ("must be same length", "broadcast"),
            "leave the same pixels out of both, of the true mask and of the predicted one.",
        ),
        ("overflow", "uint8 ends at 255: make whole numbers first, by .astype(int)."),
    ),
)

EXERCISES = (
    FIELD_OF_VIEW,
    ASPP,
    RESIZE_BILINEAR,
    DECODER,
    WEIGHTED_CROSS_ENTROPY,
    DICE_LOSS,
    CONFUSION_MATRIX,
)
