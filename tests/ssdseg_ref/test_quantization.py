"""Whole numbers compute what LiteRT computes, to the last bit, and what the real ones compute, nearly."""

import numpy as np
import pytest

from ssdseg_ref.convolution import conv2d
from ssdseg_ref.network import load_network
from ssdseg_ref.quantization import (
    conv2d_int8,
    dequantize,
    fixed_point,
    fold_batch_norm,
    least_error_range,
    limits,
    quantization_parameters,
    quantize,
    quantize_kernel,
    requantize,
)

NAME = "lesson"


@pytest.fixture(scope="module")
def network():
    return load_network(NAME)


def folded_layers(network):
    """(convolution, batch normalisation) of each pair of the network."""
    by_name = {layer.name: layer for layer in network.layers}
    return [
        (by_name[name.removesuffix("_bn") + kind], layer)
        for name, layer in by_name.items()
        for kind in ("_conv", "_depthwise")
        if name.endswith("_bn") and name.removesuffix("_bn") + kind in by_name
    ]


class TestFolding:
    def test_every_pair_of_the_shipped_network_gives_the_same_numbers(self, network):
        rng = np.random.default_rng(0)
        pairs = folded_layers(network)
        assert len(pairs) > 60
        for convolution, norm in pairs:
            x = rng.normal(size=(1, 7, 6, convolution.input.shape[-1])).astype(np.float32)
            kernel = np.asarray(convolution.kernel)
            depthwise = "depthwise" in convolution.name
            folded, bias = fold_batch_norm(
                kernel[..., 0] if depthwise else kernel,
                norm.gamma,
                norm.beta,
                norm.moving_mean,
                norm.moving_variance,
                norm.epsilon,
            )
            wanted = np.asarray(norm(convolution(x), training=False))
            convolution.kernel.assign(folded[..., None] if depthwise else folded)
            got = np.asarray(convolution(x)) + bias
            convolution.kernel.assign(kernel)
            np.testing.assert_allclose(got, wanted, atol=2e-4 * np.abs(wanted).max(), err_msg=convolution.name)

    def test_a_bias_alone_is_left_of_a_kernel_of_zeros(self):
        kernel, bias = fold_batch_norm(np.zeros((1, 1, 2, 1)), [2.0], [3.0], [4.0], [1.0], 0.0)
        assert not kernel.any()
        np.testing.assert_allclose(bias, [3 - 4 * 2])


class TestNumbers:
    @pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 6), (2, 5), (-7, -3), (-0.1, 250), (0, 0), (-4, 0)])
    @pytest.mark.parametrize("bits", [2, 4, 8, 16])
    def test_zero_is_exact_and_the_range_is_within_half_a_step(self, low, high, bits):
        scale, zero_point = quantization_parameters(low, high, bits)
        assert isinstance(zero_point, int)
        assert limits(bits)[0] <= zero_point <= limits(bits)[1]
        assert dequantize(quantize(0.0, scale, zero_point, bits), scale, zero_point) == 0
        x = np.linspace(min(low, 0), max(high, 0), 101)
        back = dequantize(quantize(x, scale, zero_point, bits), scale, zero_point)
        assert np.abs(back - x).max() <= 1.001 * scale

    def test_what_lies_outside_becomes_the_end(self):
        scale, zero_point = quantization_parameters(0, 6)
        assert quantize([-100, 100, np.inf, -np.inf], scale, zero_point).tolist() == [-128, 127, 127, -128]

    def test_an_empty_array_stays_one(self):
        assert quantize(np.zeros((0, 4)), 1.0, 0).shape == (0, 4)

    @pytest.mark.parametrize("arguments", [(2, 1), (0, 1, 1)])
    def test_a_range_that_is_none_is_refused(self, arguments):
        with pytest.raises(ValueError, match=r"range goes|at least 2 bits"):
            quantization_parameters(*arguments)

    def test_a_kernel_is_kept_channel_by_channel(self):
        kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 4)) * [1e-3, 1, 50, 0]
        whole, scales = quantize_kernel(kernel)
        assert whole.dtype == np.int8
        assert np.abs(whole.astype(int)).max(axis=(0, 1, 2)).tolist() == [127, 127, 127, 0]
        np.testing.assert_allclose(dequantize(whole, scales), kernel, atol=0.5001 * scales.max(), rtol=0)
        assert (np.abs(dequantize(whole, scales) - kernel) <= 0.5001 * scales).all()
        assert scales[3] == 1


class TestFixedPoint:
    @pytest.mark.parametrize("factor", [1e-9, 3e-4, 0.25, 0.3, 0.5, 0.9999999999999, 1, 1.5, 7, 1 / 3])
    def test_a_factor_is_kept_to_31_bits(self, factor):
        multiplier, shift = fixed_point(factor)
        assert 2**30 <= multiplier < 2**31
        assert abs(multiplier / 2**shift / factor - 1) < 2**-31

    @pytest.mark.parametrize("factor", [0, -1, float("nan")])
    def test_no_factor_is_refused(self, factor):
        with pytest.raises(ValueError, match="must be above 0"):
            fixed_point(factor)

    def test_it_rounds_as_real_numbers_do(self):
        rng = np.random.default_rng(0)
        sums = rng.integers(-(2**20), 2**20, (50, 8))
        factors = rng.uniform(1e-5, 1e-3, 8)
        multipliers, shifts = np.transpose([fixed_point(factor) for factor in factors])
        wanted = np.clip(np.floor(sums * factors + 0.5) + 3, -128, 127)
        assert (requantize(sums, multipliers, shifts, 3) == wanted).all()

    def test_halves_go_up_also_below_zero(self):
        multiplier, shift = fixed_point(0.5)
        assert requantize([[-3, -1, 1, 3]], multiplier, shift, 0).tolist() == [[-1, 0, 1, 2]]


class TestConvolution:
    def test_it_is_the_real_convolution_nearly(self):
        rng = np.random.default_rng(0)
        x, kernel = rng.normal(size=(9, 7, 5)), rng.normal(size=(3, 3, 5, 6))
        scale, zero_point = quantization_parameters(x.min(), x.max())
        whole, scales = quantize_kernel(kernel)
        sums = conv2d_int8(quantize(x, scale, zero_point), whole, np.zeros(6, np.int32), zero_point, 2)
        wanted = conv2d(x, kernel, 2)
        assert sums.dtype == np.int32
        assert np.abs(sums * scale * scales - wanted).max() < 0.02 * np.abs(wanted).max()


def test_a_range_may_be_better_narrower_than_its_outliers():
    values = np.append(np.random.default_rng(0).normal(size=10_000), [-40.0, 60.0])
    low, high = least_error_range(values, bits=4)
    assert -40 < low < -2
    assert 2 < high < 60
    assert least_error_range(np.linspace(-1, 1, 1000)) == (-1, 1)


def test_no_values_have_no_range():
    with pytest.raises(ValueError, match="no values"):
        least_error_range([])
