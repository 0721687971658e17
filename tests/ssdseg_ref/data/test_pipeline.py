import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from ssdseg_ref.coding import encode_targets
from ssdseg_ref.config import LESSON
from ssdseg_ref.data import Sample, warehouse
from ssdseg_ref.data.augment import augment
from ssdseg_ref.data.pipeline import batches, prepare

CONFIG = replace(LESSON, image_size=(64, 96))
ANCHORS = len(CONFIG.anchors)
TWELVE = replace(CONFIG, classes=tuple("abcdefghijkl"))  # for samples that are told apart by the class of their mask


@pytest.fixture(scope="module")
def scenes():
    return [warehouse.render(seed, (64, 96)) for seed in range(10)]


def _numbered(count):
    """Samples whose masks hold nothing but their number, so that they stay recognisable after any augmentation."""
    image, boxes, labels = np.zeros((64, 96, 3), np.uint8), np.empty((0, 4), np.float32), np.empty(0, np.int32)
    return [Sample(image, boxes, labels, np.full((64, 96), number, np.uint8)) for number in range(count)]


def _numbers(dataset, count):
    """Which of the `_numbered` samples the first batches hold, batch by batch."""
    return [targets["mask"].numpy()[:, 0, 0].tolist() for _, targets in itertools.islice(dataset, count)]


def _arrays(batch):
    images, targets = batch
    return [images.numpy(), *(targets[name].numpy() for name in ("classes", "offsets", "mask"))]


def _assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        for part, other_part in zip(_arrays(one), _arrays(other), strict=True):
            np.testing.assert_array_equal(part, other_part)


def test_a_prepared_sample_is_the_image_and_what_is_asked_of_the_network(scenes):
    for scene in scenes:
        image, classes, offsets, mask = prepare(scene, CONFIG)
        expected = encode_targets(scene.boxes, scene.labels, CONFIG.anchors)
        np.testing.assert_array_equal(image, scene.image)
        np.testing.assert_array_equal(classes, expected[0])
        np.testing.assert_array_equal(offsets, expected[1])
        np.testing.assert_array_equal(mask, scene.mask)


@pytest.mark.parametrize("size", [(64, 96), (160, 224), (97, 61), (33, 200)])
@pytest.mark.parametrize("seed", [None, 3])
def test_a_sample_of_any_size_is_brought_to_the_networks(size, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    image, classes, offsets, mask = prepare(warehouse.render(4, size), CONFIG, rng)
    assert (image.shape, image.dtype) == ((64, 96, 3), np.uint8)
    assert (classes.shape, classes.dtype) == ((ANCHORS,), np.int32)
    assert (offsets.shape, offsets.dtype) == ((ANCHORS, 4), np.float32)
    assert (mask.shape, mask.dtype) == ((64, 96), np.uint8)


def test_a_sample_without_boxes_can_be_prepared():
    _, classes, offsets, _ = prepare(_numbered(1)[0], CONFIG)
    assert not classes.any()
    assert not offsets.any()


def test_augmentation_changes_image_mask_and_targets_together(scenes):
    for seed, scene in enumerate(scenes):
        view = augment(scene, np.random.default_rng(seed), zoom_share=0.5)
        expected = view.image, *encode_targets(view.boxes, view.labels, CONFIG.anchors), view.mask
        for part, other in zip(
            prepare(scene, CONFIG, np.random.default_rng(seed), zoom_share=0.5), expected, strict=True
        ):
            np.testing.assert_array_equal(part, other)


def test_batches_have_the_shapes_and_the_types_of_the_network(scenes):
    images, targets = next(iter(batches(scenes, CONFIG, 4, seed=0)))
    assert (images.shape, images.dtype.name) == ((4, 64, 96, 3), "uint8")
    assert (targets["classes"].shape, targets["classes"].dtype.name) == ((4, ANCHORS), "int32")
    assert (targets["offsets"].shape, targets["offsets"].dtype.name) == ((4, ANCHORS, 4), "float32")
    assert (targets["mask"].shape, targets["mask"].dtype.name) == ((4, 64, 96), "uint8")


def test_shapes_are_known_before_the_first_batch_comes(scenes):
    images, targets = batches(scenes, CONFIG, 4, seed=0).element_spec
    assert images.shape.as_list() == [4, 64, 96, 3]
    assert targets["offsets"].shape.as_list() == [4, ANCHORS, 4]


def test_evaluation_sees_every_sample_once_in_order_and_as_it_is(scenes):
    dataset = list(batches(scenes, CONFIG, 4))
    assert [len(images) for images, _ in dataset] == [4, 4, 2]
    images = np.concatenate([images for images, _ in dataset])
    np.testing.assert_array_equal(images, [scene.image for scene in scenes])
    np.testing.assert_array_equal(
        np.concatenate([targets["mask"] for _, targets in dataset]), [scene.mask for scene in scenes]
    )


def test_training_sees_every_sample_once_an_epoch_in_another_order_each_time():
    batch_by_batch = _numbers(batches(_numbered(12), TWELVE, 3, seed=0), 16)
    seen = list(itertools.chain(*batch_by_batch))
    epochs = [seen[start : start + 12] for start in range(0, 48, 12)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_training_batches_are_full_also_where_epochs_meet():
    seen = _numbers(batches(_numbered(5), TWELVE, 3, seed=0), 5)
    assert [len(batch) for batch in seen] == [3] * 5
    flat = list(itertools.chain(*seen))
    assert sorted(flat[:5]) == sorted(flat[5:10]) == sorted(flat[10:]) == list(range(5))


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(scenes):
    first, again, other = (list(batches(scenes, CONFIG, 4, seed=seed).take(4)) for seed in (1, 1, 2))
    _assert_equal(first, again)
    assert any((one[0].numpy() != two[0].numpy()).any() for one, two in zip(first, other, strict=True))


def test_a_sample_is_augmented_in_another_way_each_epoch(scenes):
    views = [images.numpy()[0] for images, _ in batches(scenes[:1], CONFIG, 1, seed=0).take(4)]
    assert all((one != other).any() for one, other in itertools.combinations(views, 2))


def test_training_zooms_only_if_it_is_told_to(scenes):
    plain, zoomed = (
        np.concatenate([targets["mask"] for _, targets in batches(scenes, CONFIG, 5, seed=0, zoom_share=share).take(2)])
        for share in (0, 1)
    )
    drawn = {scene.mask[:, ::side].tobytes() for scene in scenes for side in (1, -1)}
    assert all(mask.tobytes() in drawn for mask in plain)
    assert not any(mask.tobytes() in drawn for mask in zoomed)


@pytest.mark.parametrize("first_batch", [1, 3, 7])
def test_a_training_that_goes_on_gets_the_batches_that_it_would_have_had(scenes, first_batch):
    whole = list(batches(scenes, CONFIG, 4, seed=5, zoom_share=0.5).take(first_batch + 2))
    _assert_equal(
        batches(scenes, CONFIG, 4, seed=5, first_batch=first_batch, zoom_share=0.5).take(2), whole[first_batch:]
    )


@pytest.mark.parametrize("first_batch", [0, 2])
def test_workers_have_together_what_one_alone_would_have(scenes, first_batch):
    common = {"seed": 2, "first_batch": first_batch, "zoom_share": 0.5}
    whole = itertools.islice(batches(scenes, CONFIG, 4, **common), 3)
    parts = [itertools.islice(batches(scenes, CONFIG, 4, **common, share=(rank, 2)), 3) for rank in range(2)]
    for batch, *of_each in zip(whole, *parts, strict=True):
        for array, *shares in zip(_arrays(batch), *map(_arrays, of_each), strict=True):
            np.testing.assert_array_equal(array[0::2], shares[0])
            np.testing.assert_array_equal(array[1::2], shares[1])


def test_a_batch_without_equal_parts_names_how_many_can_share_it(scenes):
    with pytest.raises(ValueError, match=r"batch of 8 cannot be shared equally by 3 workers; it can by 2, 4, 8$"):
        batches(scenes, CONFIG, 8, seed=1, share=(0, 3))


def test_threads_may_ask_for_many_epochs_at_once():
    """One sample makes an epoch, so that threads working ahead are in different ones."""
    assert _numbers(batches(_numbered(1), TWELVE, 1, seed=0), 200) == [[0]] * 200


def test_a_sample_that_is_slow_to_read_keeps_its_place():
    class SlowStart(list):
        def __getitem__(self, index):
            time.sleep(0.1 * (index == 0))
            return super().__getitem__(index)

    assert _numbers(batches(SlowStart(_numbered(6)), TWELVE, 1), 6) == [[0], [1], [2], [3], [4], [5]]


def test_a_data_set_smaller_than_a_batch_cannot_be_trained_on_but_evaluated(scenes):
    with pytest.raises(ValueError, match="3 samples do not fill a batch of 4"):
        batches(scenes[:3], CONFIG, 4, seed=0)
    assert len(list(batches(scenes[:3], CONFIG, 4))) == 1


@pytest.mark.parametrize("seed", [None, 0])
def test_without_samples_there_are_no_batches(seed):
    with pytest.raises(ValueError, match="there is no sample"):
        batches([], CONFIG, 1, seed=seed)


@pytest.mark.parametrize(("labels", "value"), [([4], 0), ([1], 4), ([1], 254)])
def test_a_class_that_the_network_does_not_know_is_refused(labels, value):
    """On a GPU its pixels would silently weigh nothing."""
    boxes = np.array([[0, 0, 0.5, 0.5]], np.float32)
    mask = np.full((64, 96), value, np.uint8)
    sample = Sample(np.zeros((64, 96, 3), np.uint8), boxes, np.array(labels, np.int32), mask)
    with pytest.raises(ValueError, match=f"a sample holds class {max(*labels, value)}, the network knows 1 to 3"):
        prepare(sample, CONFIG)
