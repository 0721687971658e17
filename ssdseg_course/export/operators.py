"""What a `.tflite` is made of: its operators, and the time that each takes.

The interpreter for Python tells no times. So each operator is cut out into a file of its own, with its weights, and run
alone, together with what LiteRT makes one operator of: a padding and the convolution behind it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdseg_course.export.litert import open_interpreter
from ssdseg_course.export.tracing import tool

ROUNDS = 20  # of which the fastest counts
SECONDS = 0.02  # that an operator is timed for at least
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
        kind: such as "CONV_2D", or "PAD + CONV_2D".
        name: of the layer that it comes from, or of the network's output that it makes.
        shape: of what it makes.
        milliseconds: that it takes alone.
    """

    kind: str
    name: str
    shape: tuple[int, ...]
    milliseconds: float


def operators(
    content: bytes, threads: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Operator]:
    """The operators of a file, in their order, each timed.

    What unpacks weights once, when the file is loaded, is none of its own here.

    Args:
        content: of the file.
        threads: of the processor.
        progress: called with (operators done, operators in all).

    Raises:
        ValueError: if LiteRT is not installed.
    """
    schema = tool("ai_edge_litert.schema_py_generated")
    model = tool("ai_edge_litert.tools.flatbuffer_utils").read_model_from_bytearray(bytearray(content))
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    graph = model.subgraphs[0]
    outputs = {tensor.tensorIndex: tensor.name.decode() for tensor in model.signatureDefs[0].outputs}
    taken_along: dict[int, Any] = {}  # by what they make
    found = []
    for done, operator in enumerate(graph.operators):
        progress(done, len(graph.operators))
        kind, made = codes[operator.opcodeIndex], operator.outputs[0]
        behind = [codes[other.opcodeIndex] for other in graph.operators if made in other.inputs]
        if (kind == "DEQUANTIZE" and _is_constant(model, operator.inputs[0])) or (
            kind == "PAD" and len(behind) == 1 and behind[0] in CONVOLUTIONS
        ):
            taken_along[made] = operator
            continue
        before = [taken_along[tensor] for tensor in operator.inputs if tensor in taken_along]
        if any(codes[other.opcodeIndex] == "PAD" for other in before):
            kind = f"PAD + {kind}"
        name = outputs.get(made) or _layer(graph.tensors[made].name.decode())
        shape = tuple(int(side) for side in graph.tensors[made].shape)
        found.append(Operator(kind, name, shape, _milliseconds(_cut_out(model, [*before, operator]), threads)))
    progress(len(graph.operators), len(graph.operators))
    return found


def whole_milliseconds(content: bytes, threads: int = 1) -> float:
    """The time that the whole file takes for an image."""
    return _milliseconds(content, threads)


def _is_constant(model: Any, tensor: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return data is not None and len(data) > 0


def _cut_out(model: Any, chain: list[Any]) -> bytes:
    """A file of these operators alone, each of which may need what those before it make."""
    schema = tool("ai_edge_litert.schema_py_generated")
    graph = model.subgraphs[0]
    used = sorted({tensor for operator in chain for tensor in (*operator.inputs, *operator.outputs) if tensor >= 0})
    number = {tensor: position for position, tensor in enumerate(used)} | {-1: -1}  # -1 stands for no tensor
    made = {tensor for operator in chain for tensor in operator.outputs}
    part, file = schema.SubGraphT(), schema.ModelT()
    file.version, file.operatorCodes, file.subgraphs = model.version, model.operatorCodes, [part]
    file.buffers = [schema.BufferT(), *(model.buffers[graph.tensors[tensor].buffer] for tensor in used)]
    part.tensors = [
        _copy(graph.tensors[tensor], buffer=position + 1) for tensor, position in number.items() if tensor >= 0
    ]
    part.operators = [
        _copy(
            operator,
            inputs=[number[tensor] for tensor in operator.inputs],
            outputs=[number[tensor] for tensor in operator.outputs],
        )
        for operator in chain
    ]
    part.inputs = [number[tensor] for tensor in used if tensor not in made and not _is_constant(model, tensor)]
    part.outputs = [number[tensor] for tensor in chain[-1].outputs]
    content = tool("ai_edge_litert.tools.flatbuffer_utils").convert_object_to_bytearray(file)
    return bytes(content)


def _copy(entry: Any, **changes: Any) -> Any:
    copied = type(entry)()
    vars(copied).update(vars(entry) | changes)
    return copied


def _milliseconds(content: bytes, threads: int) -> float:
    interpreter = open_interpreter(content, "an operator", num_threads=threads)
    generator = np.random.default_rng(0)
    for entry in interpreter.get_input_details():
        values = generator.uniform(0, 100, entry["shape"]).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], values)
    interpreter.invoke()
    best, begun, rounds = np.inf, time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - begun < SECONDS:
        start = time.perf_counter()
        interpreter.invoke()
        best, rounds = min(best, time.perf_counter() - start), rounds + 1
    return best * 1e3


def _layer(tensor: str) -> str:
    """`network_1/stem_conv_1/convolution;network_1/...` -> `stem_conv`."""
    parts = tensor.partition(";")[0].split("/")
    return parts[1].removesuffix("_1") if len(parts) > 1 else tensor
