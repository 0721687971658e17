"""Lesson 10's exercises take every honest answer, and have words for the mistakes that people make."""

import keras
import numpy as np
import tensorflow as tf
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.metrics import assign_detections
from ssdseg_ref.transfer import learning_rates, linear_probe, running_statistics, take_over

# Right answers, written in another way


def take_in_a_loop(target, source):
    taken = {}
    for name in target:
        if name in source and np.shape(source[name]) == np.shape(target[name]):
            taken[name] = source[name].copy()
        else:
            taken[name] = target[name].copy()
    return taken


def take_by_updating_a_copy(target, source):
    taken = dict(target)
    taken.update({k: w for k, w in source.items() if k in target and w.shape == target[k].shape})
    return taken


def take_in_the_order_of_the_source(target, source):
    """A dict is looked up by name: no order counts."""
    fits = {k: source[k] for k in source if k in target and target[k].shape == source[k].shape}
    return fits | {k: target[k] for k in target if k not in fits}


def take_lists(target, source):
    return {k: v.tolist() for k, v in take_over(target, source).items()}


def take_tensors(target, source):
    taken = {}
    for name, weight in target.items():
        other = source.get(name)
        taken[name] = tf.constant(weight if other is None or other.shape != weight.shape else other)
    return taken


def run_channel_by_channel(mean, variance, batches, momentum):
    means, variances = [], []
    for channel in range(len(mean)):
        m, v = float(mean[channel]), float(variance[channel])
        for batch in batches:
            values = batch[..., channel].ravel().tolist()
            average = sum(values) / len(values)
            m = m * momentum + average * (1 - momentum)
            v = v * momentum + sum((value - average) ** 2 for value in values) / len(values) * (1 - momentum)
        means.append(m)
        variances.append(v)
    return means, variances


def run_by_steps(mean, variance, batches, momentum):
    """Each step a part of the way to the batch's own, as Keras once wrote it; the variance by its other formula."""
    for batch in batches:
        rows = batch.reshape(-1, batch.shape[-1])
        own = rows.mean(0)
        mean = mean - (mean - own) * (1 - momentum)
        variance = variance - (variance - ((rows**2).mean(0) - own**2)) * (1 - momentum)
    return np.stack([mean, variance])


def run_in_float32(mean, variance, batches, momentum):
    mean, variance = np.float32(mean), np.float32(variance)
    for batch in batches:
        batch = np.float32(batch)
        mean = np.float32(momentum) * mean + np.float32(1 - momentum) * np.mean(batch, (0, 1, 2))
        variance = np.float32(momentum) * variance + np.float32(1 - momentum) * np.var(batch, (0, 1, 2))
    return mean, variance


def run_tensors(mean, variance, batches, momentum):
    mean, variance = tf.cast(mean, tf.float32), tf.cast(variance, tf.float32)
    for batch in batches:
        own_mean, own_variance = tf.nn.moments(tf.cast(batch, tf.float32), (0, 1, 2))
        mean = momentum * mean + (1 - momentum) * own_mean
        variance = momentum * variance + (1 - momentum) * own_variance
    return mean, variance


def run_keras(mean, variance, batches, momentum):
    layer = keras.layers.BatchNormalization(momentum=momentum)
    layer.build((None, None, None, len(mean)))
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    for batch in batches:
        layer(np.float32(batch), training=True)
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def probe_by_an_inverse(features, labels, weight_decay):
    x = np.hstack([features, np.ones((len(features), 1))])
    penalty = weight_decay * np.eye(x.shape[1])
    penalty[-1, -1] = 0
    solution = np.linalg.inv(x.T @ x + penalty) @ (x.T @ labels)
    return solution[:-1], solution[-1]


def probe_by_more_rows(features, labels, weight_decay):
    """Least squares with a row for each weight, whose answer should be 0."""
    count = features.shape[1]
    x = np.block(
        [[features, np.ones((len(features), 1))], [np.sqrt(weight_decay) * np.eye(count), np.zeros((count, 1))]]
    )
    solution, *_ = np.linalg.lstsq(x, np.append(labels, np.zeros(count)), rcond=None)
    return solution[:count], float(solution[count])


def probe_by_singular_values(features, labels, weight_decay):
    u, s, v = np.linalg.svd(features - features.mean(0), full_matrices=False)
    gains = np.divide(s, s**2 + weight_decay, out=np.zeros_like(s), where=s > 1e-9)
    weights = v.T @ (gains * (u.T @ (labels - labels.mean())))
    return weights, np.mean(labels - features @ weights)


def probe_by_products_of_examples(features, labels, weight_decay):
    """The same by a table of examples with examples: fewer of these than of features are cheaper so."""
    x = features - features.mean(0)
    weights = x.T @ np.linalg.pinv(x @ x.T + weight_decay * np.eye(len(x))) @ (labels - labels.mean())
    return list(weights), labels.mean() - features.mean(0) @ weights


def probe_in_float32(features, labels, weight_decay):
    x, y = features.astype(np.float32), labels.astype(np.float32)
    centred = x - x.mean(0)
    gram = centred.T @ centred + np.float32(weight_decay) * np.eye(x.shape[1], dtype=np.float32)
    weights = np.linalg.solve(gram, centred.T @ y)
    return weights, y.mean() - x.mean(0) @ weights


def probe_tensors(features, labels, weight_decay):
    x, y = tf.constant(features), tf.cast(labels, tf.float64)
    centred = x - tf.reduce_mean(x, 0)
    gram = tf.matmul(centred, centred, transpose_a=True) + weight_decay * tf.eye(x.shape[1], dtype=tf.float64)
    weights = tf.linalg.solve(gram, tf.linalg.matvec(centred, y, transpose_a=True)[:, None])[:, 0]
    return weights, tf.reduce_mean(y) - tf.tensordot(tf.reduce_mean(x, 0), weights, 1)


def rates_step_by_step(depths, rate, decay):
    rates = {}
    for name, depth in depths.items():
        rates[name] = rate
        for _ in range(depth, max(depths.values())):
            rates[name] *= decay
    return rates


def rates_from_the_deepest(depths, rate, decay):
    """Sorted, so that the dict that comes back has another order."""
    if not depths:
        return {}
    order = sorted(depths, key=depths.get, reverse=True)
    return {name: np.float32(rate) * np.power(decay, float(depths[order[0]] - depths[name])) for name in order}


def rates_in_numpy(depths, rate, decay):
    steps = max([*depths.values(), 0]) - np.array([*depths.values()])
    return dict(zip(depths, rate * decay**steps, strict=True))


def paste_pixel_by_pixel(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    image, mask = image.copy(), mask.copy()
    height, width = mask.shape
    pasted = np.zeros((height, width), int)
    for y in range(height):
        for x in range(width):
            if other_mask[y, x] not in (0, 255):
                image[y, x], mask[y, x], pasted[y, x] = other_image[y, x], other_mask[y, x], 1
    kept_boxes, kept_labels = [], []
    for (xmin, ymin, xmax, ymax), label in zip(boxes.tolist(), labels.tolist(), strict=True):
        rows = range(round(ymin * height), round(ymax * height))
        cols = range(round(xmin * width), round(xmax * width))
        seen = sum(1 - pasted[y, x] for y in rows for x in cols)
        if 4 * seen >= len(rows) * len(cols):
            kept_boxes.append([xmin, ymin, xmax, ymax])
            kept_labels.append(label)
    return image, kept_boxes + other_boxes.tolist(), kept_labels + other_labels.tolist(), mask


def paste_by_indexing(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    image, mask = np.copy(image), np.copy(mask)
    taken = (other_mask > 0) & (other_mask < 255)
    image[taken] = other_image[taken]
    mask[taken] = other_mask[taken]
    h, w = mask.shape
    keep = np.ones(len(boxes), bool)
    for k, box in enumerate(boxes):
        x0, y0, x1, y1 = np.floor(box * np.array([w, h, w, h]) + 0.5).astype(int)
        keep[k] = np.mean(~taken[y0:y1, x0:x1]) >= 0.25
    return image, np.vstack([boxes[keep], other_boxes]), np.hstack([labels[keep], other_labels]), mask


def paste_by_sums_of_corners(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    """The covered pixels of any box out of one table of running sums."""
    taken = ~np.isin(other_mask, [0, 255])
    sums = np.pad(taken.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    x0, y0, x1, y1 = np.round(boxes * np.tile(mask.shape[::-1], 2)).astype(int).T
    covered = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    kept = np.flatnonzero(covered <= 0.75 * (x1 - x0) * (y1 - y0))
    return (
        np.where(np.dstack([taken] * 3), other_image, image).astype(np.int64),
        np.append(boxes[kept], other_boxes, axis=0),
        np.append(labels[kept], other_labels),
        mask * ~taken + other_mask * taken,
    )


def kinds_in_plain_python(boxes, labels, true_boxes, true_labels):
    def iou(a, b):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        both = max(width, 0) * max(height, 0)
        return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)

    taken, kinds = set(), []
    for box, label in zip(boxes, labels, strict=True):
        best, kind = 0, "background"
        own = [(iou(box, t), k) for k, t in enumerate(true_boxes) if true_labels[k] == label]
        others = [iou(box, t) for k, t in enumerate(true_boxes) if true_labels[k] != label]
        if any(value >= 0.1 for value, _ in own):
            kind = "localisation"
        if any(value >= 0.5 for value in others):
            kind = "confusion"
        if any(value >= 0.5 for value, _ in own):
            kind = "duplicate"
        for value, k in own:
            if k not in taken and value >= 0.5 and value > best:
                best, kind, found = value, "correct", k
        if kind == "correct":
            taken.add(found)
        kinds.append(kind)
    return kinds


def kinds_in_float32(boxes, labels, true_boxes, true_labels):
    ious = pairwise_iou(boxes.astype(np.float32), true_boxes.astype(np.float32))
    own = labels[:, None] == true_labels
    kinds, free = [], np.full(len(true_labels), True)
    for k in range(len(boxes)):
        mine, others = np.max(ious[k][own[k]], initial=0), np.max(ious[k][~own[k]], initial=0)
        candidates = np.flatnonzero(own[k] & free & (ious[k] >= 0.5))
        if len(candidates):
            free[candidates[np.argmax(ious[k, candidates])]] = False
            kinds.append("correct")
        elif mine >= 0.5:
            kinds.append("duplicate")
        elif others >= 0.5:
            kinds.append("confusion")
        else:
            kinds.append("localisation" if mine >= 0.1 else "background")
    return tuple(kinds)


def kinds_by_the_metric(boxes, labels, true_boxes, true_labels):
    """Class by class, and what is correct as average precision counts it."""
    kinds = np.full(len(labels), "background", dtype="<U20")
    ious = pairwise_iou(boxes, true_boxes)
    own = labels[:, None] == true_labels
    kinds[np.where(own, ious, 0).max(axis=1, initial=0) >= 0.1] = "localisation"
    kinds[np.where(own, 0, ious).max(axis=1, initial=0) >= 0.5] = "confusion"
    kinds[np.where(own, ious, 0).max(axis=1, initial=0) >= 0.5] = "duplicate"
    for label in set(labels.tolist()):
        rows = np.flatnonzero(labels == label)
        hits = assign_detections(ious[rows][:, true_labels == label], np.array([0.5]))[0] >= 0
        kinds[rows[hits]] = "correct"
    return kinds


def threshold_by_trying(scores, correct, least_precision):
    best = float("inf")
    for threshold in scores:
        right = sum(1 for s, c in zip(scores, correct, strict=True) if s >= threshold and c)
        kept = sum(1 for s in scores if s >= threshold)
        if right >= least_precision * kept and threshold < best:
            best = threshold
    return best


def threshold_by_counting(scores, correct, least_precision):
    values, places = np.unique(-scores, return_inverse=True)
    right = np.bincount(places, weights=correct, minlength=len(values)).cumsum()
    kept = np.bincount(places, minlength=len(values)).cumsum()
    good = -values[right / kept >= least_precision]
    return good.min(initial=np.inf)


def threshold_from_below(scores, correct, least_precision):
    for threshold in np.sort(np.float32(scores)):
        if correct[np.float32(scores) >= threshold].astype(np.float32).mean() >= least_precision:
            return threshold
    return np.inf


def threshold_by_a_table(scores, correct, least_precision):
    kept = scores[:, None] <= scores
    precision = (kept & correct).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    return np.array(min(scores[precision >= least_precision], default=float("inf")))


HONEST = {
    "10.take_over": (
        take_in_a_loop, take_by_updating_a_copy, take_in_the_order_of_the_source, take_lists, take_tensors,
    ),
    "10.running_statistics": (run_channel_by_channel, run_by_steps, run_in_float32, run_tensors, run_keras),
    "10.linear_probe": (
        probe_by_an_inverse, probe_by_more_rows, probe_by_singular_values, probe_by_products_of_examples,
        probe_in_float32, probe_tensors,
    ),
    "10.learning_rates": (rates_step_by_step, rates_from_the_deepest, rates_in_numpy),
    "10.paste": (paste_pixel_by_pixel, paste_by_indexing, paste_by_sums_of_corners),
    "10.error_kinds": (kinds_in_plain_python, kinds_in_float32, kinds_by_the_metric),
    "10.choose_threshold": (threshold_by_trying, threshold_by_counting, threshold_from_below, threshold_by_a_table),
}  # fmt: skip


@every_variant(HONEST)
def test_an_honest_answer_written_in_another_way_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("10")


# Mistakes as people write them


def take_in_place(target, source):
    for name in target:
        if name in source and source[name].shape == target[name].shape:
            target[name] = source[name]
    return target


def take_a_list(target, source):
    return [*take_over(target, source).values()]


def take_without_asking(target, source):
    return {name: source[name] if source[name].shape == weight.shape else weight for name, weight in target.items()}


def take_what_the_source_has(target, source):
    return {
        name: target[name] if name in target and target[name].shape != other.shape else other
        for name, other in source.items()
    }


def take_or_none(target, source):
    return {name: None if name not in source else taken for name, taken in take_over(target, source).items()}


def take_by_values(target, source):
    return {n: source[n] if n in source and source[n] == weight else weight for n, weight in target.items()}


def run_the_list(mean, variance, batches, momentum):
    return momentum * mean + (1 - momentum) * batches.mean((0, 1, 2)), variance


def run_as_one_array(mean, variance, batches, momentum):
    batch = np.array(batches)
    own_mean, own_variance = batch.mean((0, 1, 2, 3)), batch.var((0, 1, 2, 3))
    return momentum * mean + (1 - momentum) * own_mean, momentum * variance + (1 - momentum) * own_variance


def run_and_return_at_once(mean, variance, batches, momentum):
    for batch in batches:
        return (
            momentum * mean + (1 - momentum) * batch.mean((0, 1, 2)),
            momentum * variance + (1 - momentum) * batch.var((0, 1, 2)),
        )
    return mean, variance


def run_channels_first(mean, variance, batches, momentum):
    for batch in batches:
        mean = momentum * mean + (1 - momentum) * batch.mean((0, 2, 3))
        variance = momentum * variance + (1 - momentum) * batch.var((0, 2, 3))
    return mean, variance


def run_in_place(mean, variance, batches, momentum):
    new = running_statistics(mean, variance, batches, momentum)
    mean[:], variance[:] = new
    return mean, variance


def probe_without_an_inverse(features, labels, weight_decay):
    x = features - features.mean(0)
    weights = np.linalg.inv(x.T @ x) @ (x.T @ labels)
    return weights, labels.mean() - features.mean(0) @ weights


def probe_with_a_number_added(features, labels, weight_decay):
    x = features - features.mean(0)
    weights = np.linalg.solve(x.T @ x + weight_decay, x.T @ labels)
    return weights, labels.mean() - features.mean(0) @ weights


def probe_with_rows_too_large(features, labels, weight_decay):
    count = features.shape[1]
    x = np.block([[features, np.ones((len(features), 1))], [weight_decay * np.eye(count), np.zeros((count, 1))]])
    solution, *_ = np.linalg.lstsq(x, np.append(labels, np.zeros(count)), rcond=None)
    return solution[:count], solution[count]


def probe_of_examples(features, labels, weight_decay):
    x = features - features.mean(0)
    return np.linalg.solve(x.T @ x + weight_decay * np.eye(len(x)), x.T @ labels), labels.mean()


def probe_in_one_array(features, labels, weight_decay):
    return np.append(*linear_probe(features, labels, weight_decay))


def rates_without_a_default(depths, rate, decay):
    deepest = max(depths.values())
    return {name: rate * decay ** (deepest - depth) for name, depth in depths.items()}


def rates_of_the_largest_name(depths, rate, decay):
    return {name: rate * decay ** (max(depths) - depth) for name, depth in depths.items()}


def rates_of_numbers(depths, rate, decay):
    return {depths[name]: value for name, value in learning_rates(depths, rate, decay).items()}


def rates_in_words(depths, rate, decay):
    return {name: f"{value:.3g}" for name, value in learning_rates(depths, rate, decay).items()}


def rates_the_other_way(depths, rate, decay):
    deepest = max(depths.values(), default=0)
    return {name: rate * decay ** (depth - deepest) for name, depth in depths.items()}


def paste_colours_by_a_flat_table(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    taken = (other_mask != 0) & (other_mask != 255)
    return np.where(taken, other_image, image), boxes, labels, mask


def paste_into_the_image_itself(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    parts = paste_by_indexing(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask)
    image[:] = parts[0]
    return image, *parts[1:]


def paste_between_pixels(image, boxes, labels, mask, other_image, other_boxes, other_labels, other_mask):
    taken, height = other_mask > 0, len(mask)
    kept = [box for box in boxes if taken[box[1] * height : box[3] * height].mean() < 0.75]
    return image, np.array(kept), labels, mask


def kinds_without_a_return(boxes, labels, true_boxes, true_labels):
    kinds_in_float32(boxes, labels, true_boxes, true_labels)


def kinds_in_numbers(boxes, labels, true_boxes, true_labels):
    return [0] * len(boxes)


def kinds_spelt_otherwise(boxes, labels, true_boxes, true_labels):
    return [kind.replace("lis", "liz") for kind in kinds_in_float32(boxes, labels, true_boxes, true_labels)]


def kinds_of_some(boxes, labels, true_boxes, true_labels):
    kinds = kinds_in_float32(boxes, labels, true_boxes, true_labels)
    return [kind for kind in kinds if kind != "background"]


def kinds_by_the_best_truth(boxes, labels, true_boxes, true_labels):
    kinds, taken = [], []
    for box, label in zip(boxes, labels, strict=True):
        ious = pairwise_iou(box, true_boxes)[0]
        best = ious.argmax() if len(ious) else None
        if best is None or ious[best] < 0.1:
            kinds.append("background")
        elif true_labels[best] != label:
            kinds.append("confusion" if ious[best] >= 0.5 else "background")
        elif ious[best] < 0.5:
            kinds.append("localisation")
        else:
            kinds.append("duplicate" if best in taken else "correct")
            taken.append(best)
    return kinds


def kinds_of_an_empty_row(boxes, labels, true_boxes, true_labels):
    kinds = kinds_in_float32(boxes, labels, true_boxes, true_labels)
    largest = [row[labels[k] == true_labels].max() for k, row in enumerate(pairwise_iou(boxes, true_boxes))]
    return [
        "background" if iou < 0.1 and kind != "confusion" else kind for kind, iou in zip(kinds, largest, strict=True)
    ]


def threshold_or_nothing(scores, correct, least_precision):
    return min((t for t in scores if correct[scores >= t].mean() >= least_precision), default=None)


def threshold_of_none(scores, correct, least_precision):
    return min(t for t in scores if correct[scores >= t].mean() >= least_precision)


def threshold_from_above(scores, correct, least_precision):
    for threshold in sorted(scores, reverse=True):
        if correct[scores >= threshold].mean() >= least_precision:
            return threshold
    return float("inf")


def all_thresholds(scores, correct, least_precision):
    return np.array([t for t in scores if correct[scores >= t].mean() >= least_precision])


MISTAKES = {
    "10.take_over": (
        (take_in_place, "it changed its argument `target`"),
        (take_a_list, "it should return a dict, from names to values, and returned a list"),
        (take_without_asking, "what does `name in source` say?"),
        (take_what_the_source_has, "'new' is missing from what it returns"),
        (take_or_none, "its entry 'new' should be numbers, and is None"),
        (take_by_values, "compare their shapes instead"),
    ),
    "10.running_statistics": (
        (run_the_list, "is there a loop over them?"),
        (run_as_one_array, "so that they make no one array"),
        (run_and_return_at_once, "Does the `return` stand inside of the loop?"),
        (run_channels_first, "Over which axes was it taken?"),
        (run_in_place, "its argument `mean` and `variance` itself, written over"),
    ),
    "10.linear_probe": (
        (probe_without_an_inverse, "the decay is left out"),
        (probe_with_a_number_added, "the decay was added to the whole table"),
        (probe_with_rows_too_large, "what is the square root of weight_decay good for?"),
        (probe_of_examples, "how large is np.eye?"),
        (probe_in_one_array, "stand in one array"),
    ),
    "10.learning_rates": (
        (rates_without_a_default, "an empty dict has no largest depth"),
        (rates_of_the_largest_name, "what do you get by `depths.values()`?"),
        (rates_of_numbers, "the names in its dict should be strings, and one is an int"),
        (rates_in_words, "its entry 'stem' should be numbers, and is a str"),
        (rates_the_other_way, "Which way should they go?"),
    ),
    "10.paste": (
        (paste_colours_by_a_flat_table, "has an axis for the colours"),
        (paste_into_the_image_itself, "its argument `image` itself, written over"),
        (paste_between_pixels, "pixels are counted in whole numbers"),
    ),
    "10.error_kinds": (
        (kinds_without_a_return, "does every way through it end in `return`?"),
        (kinds_in_numbers, "it should return a list of words, and entry 0 is an int"),
        (kinds_spelt_otherwise, "entry 2 should be 'localisation' and yours is 'localization'"),
        (kinds_of_some, "it should be a list of length 2, and yours has 1"),
        (kinds_by_the_best_truth, "Which is the best of *these*?"),
        (kinds_of_an_empty_row, "there is no largest IoU"),
    ),
    "10.choose_threshold": (
        (threshold_or_nothing, "it should return one number, and returned None"),
        (threshold_of_none, "infinity is wanted"),
        (threshold_from_above, "that is the highest threshold with this precision"),
        (all_thresholds, "it should be one number, and yours is an array of shape (3,)"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
