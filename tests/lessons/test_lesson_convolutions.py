"""Lesson 3 goes on after any answer that its checks accept, also lists, floats, and loops over every number."""

from types import SimpleNamespace

import nbformat
import pytest
from nbgrader import utils

from ssdseg_course.manifest import find_lesson

LOOPS = """
def conv2d_loops(image, kernel, stride, dilation):
    height, width, _ = image.shape
    k, _, in_channels, out_channels = kernel.shape
    paddings = [tuple(int(zeros) for zeros in same_padding(side, k, stride, dilation)) for side in (height, width)]
    padded = np.pad(image, (*paddings, (0, 0)))
    output = np.zeros((-(-height // stride), -(-width // stride), out_channels))
    for y, x, o in np.ndindex(output.shape):
        for i, j, c in np.ndindex(k, k, in_channels):
            output[y, x, o] += padded[y * stride + i * dilation, x * stride + j * dilation, c] * kernel[i, j, c, o]
    return output.tolist()
"""

ANSWERS = {
    "pointwise_conv2d": """
def pointwise_conv2d(image, kernel):
    return (np.asarray(image) @ kernel[0, 0]).tolist()
""",
    "same_padding": """
def same_padding(side, kernel_size, stride, dilation):
    missing = max((-(-side // stride) - 1) * stride + dilation * (kernel_size - 1) + 1 - side, 0)
    return np.array([missing // 2, missing - missing // 2])
""",
    "conv2d_loops": LOOPS,
    "conv2d": LOOPS.replace("conv2d_loops", "conv2d"),
    "depthwise_conv2d": """
def depthwise_conv2d(image, kernel, stride, dilation):
    channels = [reference.conv2d(image[..., [c]], kernel[:, :, [c]], stride, dilation) for c in range(image.shape[2])]
    return np.concatenate(channels, axis=-1).tolist()
""",
    "separable_conv2d": """
def separable_conv2d(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    return pointwise_conv2d(depthwise_conv2d(image, depthwise_kernel, stride, dilation), pointwise_kernel)
""",
    "conv_cost": """
def conv_cost(kind, size, k, in_channels, out_channels, stride):
    parameters = {
        "standard": k * k * in_channels * out_channels,
        "depthwise": k * k * in_channels * (out_channels / in_channels),
        "pointwise": in_channels * out_channels / 1,
        "separable": k * k * in_channels + in_channels * out_channels,
    }[kind]
    return parameters, parameters * np.ceil(size[0] / stride) * np.ceil(size[1] / stride)
""",
}


pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def cells(tmp_path_factory, run_solution):
    """The lesson's cells, run with these answers."""
    notebook = nbformat.read(find_lesson("3").solution(), as_version=4)
    for cell in notebook.cells:
        answer = ANSWERS.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if answer:
            cell.source = answer
    path = tmp_path_factory.mktemp("lesson") / "03_convolutions.ipynb"
    nbformat.write(notebook, path)
    return run_solution(SimpleNamespace(number=3, solution=lambda: path)).cells


def said(cells) -> str:
    return "".join(
        output.text for cell in cells for output in cell.get("outputs", []) if output.output_type == "stream"
    )


def test_no_cell_fails_after_answers_that_are_accepted(cells):
    assert [cell.source for cell in cells if cell.cell_type == "code" and utils.has_failed(cell)] == []


def test_costs_in_floats_are_shown_as_the_whole_numbers_that_they_are(cells):
    assert "depthwise            4,608         903,168" in said(cells)


def test_loops_in_place_of_taps_are_told(cells):
    assert "That is still number by number" in said(cells)
