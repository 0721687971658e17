"""The README of an export: the lines that use it, in Python, Kotlin and JavaScript."""

from string import Template
from typing import Any

TITLE = Template("""\
# $network

A network that detects ($classes) and segments in one pass, exported by `ssdseg export`.

| file | what |
|---|---|
| `$model` | the network$numbers |
| `labels.txt` | the names of the classes by their numbers, a line each, background first |
| `anchors.bin` | $anchors anchors: xmin, ymin, xmax, ymax in fractions of the image, float32, little endian |
| `model.json` | how to feed the network, what comes out, and all that decoding needs |

In goes `image`: $height x $width pixels, RGB, float32 from 0 to 255. Out come, by their names,

- `classes`: for every anchor $values logits, background first;
- `offsets`: for every anchor (dx, dy, dw, dh), from which its box follows as below;
- `mask`: $mask.

Of the boxes that score $score or more, keep the best of those of one class that overlap by more than an IoU of $iou
(non-maximum suppression)$gate. Boxes are sharper when each one that is kept becomes the mean of
all of its class that overlap it by an IoU of 0.5 or more, weighted by score x exp(-(1 - IoU)^2 / 0.05).
""")

PYTHON_DECODING = """\
logits, offsets = outputs["classes"][0], outputs["offsets"][0]
shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
anchors = np.fromfile("anchors.bin", "<f4").reshape(-1, 4)
sizes = anchors[:, 2:] - anchors[:, :2]
middles = (anchors[:, :2] + anchors[:, 2:]) / 2 + offsets[:, :2] * $va * sizes
sizes = sizes * np.exp(offsets[:, 2:] * $vb)
boxes = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)  # fractions of the image
mask = outputs["mask"][0].argmax(axis=-1)
for label, name in list(enumerate(open("labels.txt").read().splitlines()))[1:]:
    best = shares[:, label].argmax()
    print(name, shares[best, label], boxes[best])
"""

KOTLIN_DECODING = """\
val bytes = ByteBuffer.wrap(context.assets.open("anchors.bin").readBytes()).order(ByteOrder.LITTLE_ENDIAN)
val anchors = FloatArray(4 * $anchors).also { bytes.asFloatBuffer().get(it) }
fun box(n: Int): RectF {  // of anchor n, in fractions of the image; its logits are classes[$values * n] and on
    val (left, top, right, bottom) = anchors.slice(4 * n until 4 * n + 4)
    val (dx, dy, dw, dh) = offsets.slice(4 * n until 4 * n + 4)
    val x = (left + right) / 2 + dx * ${va}f * (right - left)
    val y = (top + bottom) / 2 + dy * ${va}f * (bottom - top)
    val halfWidth = (right - left) * exp(dw * ${vb}f) / 2
    val halfHeight = (bottom - top) * exp(dh * ${vb}f) / 2
    return RectF(x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight)
}
"""

KOTLIN_PIXELS = """\
val pixels = IntArray($height * $width)
Bitmap.createScaledBitmap(photo, $width, $height, true).getPixels(pixels, 0, $width, 0, 0, $width, $height)
val floats = FloatArray(pixels.size * 3) { (pixels[it / 3] shr (16 - 8 * (it % 3)) and 255).toFloat() }
"""

JAVASCRIPT_PIXELS = """\
const anchors = new Float32Array(await (await fetch("anchors.bin")).arrayBuffer());
const pen = new OffscreenCanvas($width, $height).getContext("2d");
pen.drawImage(document.querySelector("img"), 0, 0, $width, $height);
const rgba = pen.getImageData(0, 0, $width, $height).data;
const floats = Float32Array.from({length: $height * $width * 3}, (_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]);
"""

JAVASCRIPT_DECODING = """\
function box(n) {  // of anchor n, in fractions of the image; its logits are classes[$values * n] and on
  const [left, top, right, bottom] = anchors.slice(4 * n, 4 * n + 4);
  const [dx, dy, dw, dh] = offsets.slice(4 * n, 4 * n + 4);
  const x = (left + right) / 2 + dx * $va * (right - left), w = (right - left) * Math.exp(dw * $vb);
  const y = (top + bottom) / 2 + dy * $va * (bottom - top), h = (bottom - top) * Math.exp(dh * $vb);
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}
"""

LITERT = {
    "Python": """\
# pip install ai-edge-litert pillow
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

image = Image.open("picture.jpg").convert("RGB").resize(($width, $height), Image.BILINEAR)
outputs = Interpreter("$model").get_signature_runner()(image=np.float32(image)[None])
"""
    + PYTHON_DECODING,
    "Kotlin": """\
// implementation("com.google.ai.edge.litert:litert:2.1.0"), and this folder's files in src/main/assets
val model = CompiledModel.create(context.assets, "$model", CompiledModel.Options(Accelerator.CPU))
val input = model.createInputBuffer("image")
val outputs = listOf("classes", "offsets", "mask").associateWith { model.createOutputBuffer(it) }
"""
    + KOTLIN_PIXELS
    + """\
input.writeFloat(floats)
model.run(mapOf("image" to input), outputs)
val (classes, offsets, mask) = outputs.values.map { it.readFloat() }
"""
    + KOTLIN_DECODING,
    "JavaScript": """\
// npm install @litertjs/core
import {loadAndCompile, loadLiteRt, Tensor} from "@litertjs/core";

await loadLiteRt("node_modules/@litertjs/core/wasm/");
const model = await loadAndCompile("$model", {accelerator: "wasm"});
"""
    + JAVASCRIPT_PIXELS
    + """\
const image = new Tensor(floats, [1, $height, $width, 3]);
const outputs = await model.run({image});
const [classes, offsets, mask] = ["classes", "offsets", "mask"].map((name) => outputs[name].toTypedArray());
[image, ...Object.values(outputs)].forEach((tensor) => tensor.delete());
"""
    + JAVASCRIPT_DECODING,
}

ONNX = {
    "Python": """\
# pip install onnxruntime pillow
import numpy as np
import onnxruntime
from PIL import Image

image = Image.open("picture.jpg").convert("RGB").resize(($width, $height), Image.BILINEAR)
names = ["classes", "offsets", "mask"]
session = onnxruntime.InferenceSession("$model")
outputs = dict(zip(names, session.run(names, {"image": np.float32(image)[None]})))
"""
    + PYTHON_DECODING,
    "Kotlin": """\
// implementation("com.microsoft.onnxruntime:onnxruntime-android:1.20.0"), and this folder's files in src/main/assets
val environment = OrtEnvironment.getEnvironment()
val session = environment.createSession(context.assets.open("$model").readBytes())
"""
    + KOTLIN_PIXELS
    + """\
val image = OnnxTensor.createTensor(environment, FloatBuffer.wrap(floats), longArrayOf(1, $height, $width, 3))
val outputs = session.run(mapOf("image" to image))
val (classes, offsets, mask) = listOf("classes", "offsets", "mask").map { name ->
    val buffer = (outputs.get(name).get() as OnnxTensor).floatBuffer
    FloatArray(buffer.remaining()).also { buffer.get(it) }
}
"""
    + KOTLIN_DECODING,
    "JavaScript": """\
// npm install onnxruntime-web
import * as ort from "onnxruntime-web";

const session = await ort.InferenceSession.create("$model");
"""
    + JAVASCRIPT_PIXELS
    + """\
const outputs = await session.run({image: new ort.Tensor("float32", floats, [1, $height, $width, 3])});
const [classes, offsets, mask] = ["classes", "offsets", "mask"].map((name) => outputs[name].data);
"""
    + JAVASCRIPT_DECODING,
}

SAVEDMODEL = {
    "Python": """\
# pip install tensorflow pillow
import numpy as np
import tensorflow as tf
from PIL import Image

image = Image.open("picture.jpg").convert("RGB").resize(($width, $height), Image.BILINEAR)
network = tf.saved_model.load("$model")
outputs = network.signatures["serving_default"](image=tf.constant(np.float32(image)[None]))
outputs = {name: output.numpy() for name, output in outputs.items()}
"""
    + PYTHON_DECODING,
}

RECIPES = {"litert": LITERT, "onnx": ONNX, "savedmodel": SAVEDMODEL}
NO_MASKS = "leave it aside; the network was trained on boxes alone, and its masks mean nothing"
NOT_FOR_DEVICES = "TensorFlow's own format; for phones and browsers, `ssdseg export --to litert` or `--to onnx`."


def readme(kind: str, description: dict[str, Any]) -> str:
    """The text of README.md.

    Args:
        kind: a key of `RECIPES`.
        description: of `describe`.
    """
    _, height, width, _ = description["input"]["shape"]
    anchors, values = description["outputs"]["classes"]["shape"][1:]
    decoding = description["decoding"]
    masks = decoding["gate_pixels"] > 0
    names = {
        "network": description["network"],
        "model": description["model"],
        "numbers": "" if description["bits"] == 32 else f", in {description['bits']} bits",
        "classes": ", ".join(description["labels"][1:]),
        "height": height,
        "width": width,
        "anchors": anchors,
        "values": values,
        "score": decoding["least_score"],
        "iou": decoding["iou_threshold"],
        "mask": f"for every pixel {values} logits; the largest is its class" if masks else NO_MASKS,
        "gate": ", and drop those whose class has no pixel in the mask" if masks else "",
        "va": decoding["variances"][0],
        "vb": decoding["variances"][2],
    }
    parts = [TITLE.substitute(names)]
    for language, code in RECIPES[kind].items():
        parts.append(f"## {language}\n\n```{language.lower()}\n{Template(code).substitute(names)}```\n")
    if kind == "savedmodel":
        parts.append(f"{NOT_FOR_DEVICES}\n")
    return "\n".join(parts)
