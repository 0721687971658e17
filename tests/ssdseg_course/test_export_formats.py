"""Does a network in another format compute what the Keras network computes, under the same names?"""

from collections import Counter

import numpy as np
import pytest
from tiny_network import TINY, tiny_network

from ssdseg_course.export import litert, onnx, operators, savedmodel
from ssdseg_course.export.tracing import OUTPUTS
from ssdseg_ref import evaluation
from ssdseg_ref.data import warehouse
from ssdseg_ref.multitask import SHIPPED, Predictor, load_network

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, *TINY.image_size, 3), np.uint8)


@pytest.fixture(scope="module")
def float32(network):
    return litert.convert(network)


def differences(network, images, other):
    right, got = network.predict_on_batch(images), other.predict_on_batch(images)
    assert set(got) == set(OUTPUTS)
    for name in OUTPUTS:
        assert got[name].dtype == np.float32
        assert got[name].shape == right[name].shape
    return {name: np.abs(got[name] - right[name]).max() / np.std(right[name]) for name in OUTPUTS}


def test_a_tflite_of_32_bits_computes_the_same(network, images, float32):
    assert max(differences(network, images, litert.LiteRTNetwork(float32)).values()) < 1e-5


@pytest.mark.parametrize(("options", "close"), [({"bits": 16}, 0.01), ({"bits": 8, "weights_only": True}, 0.1)])
def test_weights_of_fewer_bits_change_little(network, images, options, close):
    off = differences(network, images, litert.LiteRTNetwork(litert.convert(network, **options)))
    assert 0 < max(off.values()) < close


def test_whole_numbers_change_little_and_go_in_and_out_as_floats(network, images):
    off = differences(network, images, litert.LiteRTNetwork(litert.convert(network, 8, calibration=images)))
    assert 0 < max(off.values()) < 0.2


def test_whole_numbers_need_images_to_calibrate_on(network):
    with pytest.raises(ValueError, match="8 bits need images to calibrate on"):
        litert.convert(network, 8)
    with pytest.raises(ValueError, match="in 32, 16, 8 bits, got 4"):
        litert.convert(network, 4)


def test_a_onnx_takes_any_number_of_images_and_passes_the_checker(network, images):
    checker = pytest.importorskip("onnx")
    content = onnx.convert(network)
    checker.checker.check_model(content, full_check=True)
    graph = checker.load_from_string(content).graph
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)] == ["batch"] * 4
    for count in (1, 3):
        assert max(differences(network, images[:count], onnx.OnnxNetwork(content)).values()) < 1e-5


def test_a_saved_model_computes_the_same(network, images, tmp_path):
    savedmodel.save(network, tmp_path / "saved")
    assert max(differences(network, images, savedmodel.SavedModelNetwork(tmp_path / "saved")).values()) < 1e-5


def test_the_converters_say_nothing(network, images, capfd):
    litert.LiteRTNetwork(litert.convert(network, 8, calibration=images))
    onnx.OnnxNetwork(onnx.convert(network))
    assert capfd.readouterr() == ("", "")


def test_a_batch_of_one_leaves_no_shapes_to_compute_and_no_convolution_taken_apart(float32):
    kinds = Counter(operator.kind for operator in operators.operators(float32))
    assert kinds["DEPTHWISE_CONV_2D"] == 3 + 6  # with dilation, and in the heads
    assert not {"SHAPE", "PACK", "STRIDED_SLICE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"} & set(kinds)


def test_every_operator_is_timed_under_the_name_of_its_layer_or_output(float32):
    told = []
    found = operators.operators(float32, progress=lambda done, total: told.append((done, total)))
    assert all(operator.milliseconds > 0 for operator in found)
    names = {operator.name for operator in found}
    assert {"classes", "offsets", "mask"} <= names
    assert any(name.startswith("dilated0") for name in names)
    assert told[-1][0] == told[-1][1] >= len(found)


def test_a_padding_is_timed_with_the_convolution_that_takes_it_in(float32):
    kinds = [operator.kind for operator in operators.operators(float32)]
    assert kinds.count("PAD + CONV_2D") == 1
    assert "PAD" not in kinds


def test_weights_that_are_unpacked_when_a_file_is_loaded_are_no_operators(network, float32):
    half = operators.operators(litert.convert(network, 16))
    assert [operator.kind for operator in half] == [operator.kind for operator in operators.operators(float32)]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped"])
@pytest.mark.parametrize("kind", [litert.LiteRTNetwork, onnx.OnnxNetwork])
def test_what_is_no_such_file_is_refused_by_name(kind, damage, float32, tmp_path):
    path = tmp_path / "model"
    flipped = bytes(byte ^ 255 for byte in float32)
    path.write_bytes({"cut": float32[:5000], "empty": b"", "text": b"no network", "flipped": flipped}[damage])
    with pytest.raises(ValueError, match=f"{path}: damaged, or not an? (LiteRT|ONNX) file"):
        kind(path)


def test_a_network_of_other_outputs_is_refused(tmp_path):
    tf = pytest.importorskip("tensorflow")
    function = tf.function(lambda image: {"logits": image * 2}, (tf.TensorSpec((1, 4), name="image"),))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], tf.Module())
    with pytest.raises(ValueError, match="not a network of the course: its outputs are called logits, not classes"):
        litert.LiteRTNetwork(converter.convert())


SMALLER = 0.35  # of the size in 32 bits
LOSS = 0.005  # of mAP and mIoU


def shipped_is_exported(name, calibration_scenes):
    config, network = SHIPPED[name], load_network(name)
    scenes = [warehouse.render(seed, config.image_size) for seed in range(calibration_scenes)]
    images = np.stack([scene.image for scene in scenes])
    whole, quantised = litert.convert(network), litert.convert(network, 8, images)
    assert max(differences(network, images[:2], litert.LiteRTNetwork(whole)).values()) < 1e-4
    return config, network, litert.LiteRTNetwork(quantised), len(quantised) / len(whole)


def test_the_lesson_network_is_exported():
    """A network this small pays for the scales of its many thin layers: it does not get as small as the others."""
    _, network, quantised, share = shipped_is_exported("lesson", 4)
    assert share < 0.4
    assert max(differences(network, warehouse.render(9, (160, 224)).image[None], quantised).values()) < 1


@pytest.mark.parametrize(
    "name", [pytest.param("mobilenetv2", marks=pytest.mark.full), pytest.param("shufflenetv2", marks=pytest.mark.slow)]
)
def test_a_large_network_is_a_third_in_whole_numbers_and_sees_the_same(name):
    config, network, quantised, share = shipped_is_exported(name, 16)
    assert share < SMALLER
    samples = [warehouse.render(seed, config.image_size) for seed in warehouse.SPLITS["validation"][:24]]
    scores = [evaluation.evaluate(Predictor(each, config), samples) for each in (network, quantised)]
    for score in ("mean_ap50", "mean_iou"):
        before, after = (getattr(entry, score) for entry in scores)
        assert after > before - 3 * LOSS  # of few scenes a score says less
