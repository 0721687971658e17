"""A page that runs networks in a browser, on a camera, a video or pictures: a folder, or one html file.

Nothing is fetched when it is open, and it opens from the disk: whatever it needs lies gzipped, in base64, in scripts
beside it (`data/`), or in the page itself. LiteRT's runtime in `runtime/` does the computing.
"""

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ssdseg_course.export import litert
from ssdseg_course.export.folder import DESCRIPTION, FORMAT, PAGE, describe, replaced_folder
from ssdseg_course.manifest import version
from ssdseg_ref.config import Config
from ssdseg_ref.data import warehouse
from ssdseg_ref.plot import MASK_OPACITY, class_colour

if TYPE_CHECKING:
    import keras

HERE = Path(__file__).parent
LICENCE = "LICENSE-LiteRT"  # beside the page; in it, too
ONE_THREAD = ("compat.js", "compat.wasm")
OTHERS = ("threaded.js", "threaded.wasm", "jspi.js", "jspi.wasm")  # for several threads; for WebGPU
SCENES = warehouse.SPLITS["test"][:16]  # that play where there is no camera
SCENE_SIZE, SCENE_QUALITY = (384, 512), 80  # (height, width) in pixels; of WebP
CALIBRATION_SCENES = 100

Convert = Callable[[str, "keras.Model", Config, int], bytes]


def convert(name: str, network: "keras.Model", config: Config, bits: int) -> bytes:
    """A network as LiteRT's file; its ranges, for 8 bits, come from training scenes of the Warehouse."""
    seeds = warehouse.SPLITS["train"][:CALIBRATION_SCENES] if bits == 8 else ()
    images = [warehouse.render(seed, config.image_size).image for seed in seeds]
    return litert.convert(network, bits, np.stack(images) if images else None)


def write_page(
    networks: Mapping[str, tuple["keras.Model", Config]],
    out: Path,
    bits: int,
    one_file: bool,
    convert: Convert = convert,
) -> None:
    """Write the page, whole or not at all; an earlier export there is replaced.

    Args:
        networks: by their names, each with the configuration that it was built from; the page begins with the first.
        out: the folder.
        bits: of the networks' numbers: 32, 16 or 8.
        one_file: whether the page needs no other file. It then computes on one thread: without a server of its own no
            page gets more, and the runtimes for threads and for WebGPU alone would be another 4 MB each.
        convert: makes LiteRT's file of a network; is given its name, the network, its configuration and `bits`.

    Raises:
        ValueError: if something is there that is not an export, or a network cannot be converted.
        OSError: if something cannot be written.
    """
    with replaced_folder(out) as draft:
        scenes = [_webp(warehouse.render(seed, SCENE_SIZE).image) for seed in SCENES]
        packs = dict(_runtime(complete=not one_file))
        packs["scenes"] = gzip.compress(b"".join(scenes), 9, mtime=0)
        described = []
        for index, (name, (network, config)) in enumerate(networks.items()):
            packs[f"network{index}"] = gzip.compress(convert(name, network, config, bits), 9, mtime=0)
            packs[f"anchors{index}"] = gzip.compress(config.anchors.astype("<f4").tobytes(), 9, mtime=0)
            described.append(_describe(name, config, bits))
        about = {"networks": described, "scenes": list(map(len, scenes)), "mask_opacity": MASK_OPACITY}
        texts = {name: base64.b64encode(content).decode() for name, content in packs.items()}
        (draft / PAGE).write_text(_page(about, texts if one_file else {}), encoding="utf-8")
        if not one_file:
            (draft / "data").mkdir()
            for name, text in texts.items():
                (draft / "data" / f"{name}.js").write_text(f'pack("{name}", "{text}");\n', encoding="ascii")
        (draft / LICENCE).write_bytes((HERE / "runtime" / "LICENSE").read_bytes())
        description = {"format": FORMAT, "course": version(), "model": PAGE, "networks": list(networks), "bits": bits}
        (draft / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _runtime(complete: bool) -> Iterator[tuple[str, bytes]]:
    """Names and gzipped contents of what runs in the worker."""
    worker = gzip.decompress((HERE / "runtime" / "litert.js.gz").read_bytes())
    for name in ("decode.js", "worker.js"):
        worker += b"\n" + (HERE / name).read_bytes()
    yield "worker", gzip.compress(worker, 9, mtime=0)
    for name in (*ONE_THREAD, *(OTHERS if complete else ())):
        yield name.replace(".", "-"), (HERE / "runtime" / f"{name}.gz").read_bytes()


def _describe(name: str, config: Config, bits: int) -> dict[str, Any]:
    """What the page knows of a network."""
    described = describe(name, config, bits=bits)
    return {
        "name": name,
        "bits": bits,
        "input": described["input"]["shape"],
        "labels": described["labels"],
        "colours": [[round(255 * part) for part in class_colour(n)] for n in range(1, len(config.classes) + 1)],
        "decoding": described["decoding"],
    }


def _page(about: dict[str, Any], packs: Mapping[str, str]) -> str:
    """The page, with packs in it if it is to need no other file."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page = (HERE / "page.html").read_text(encoding="utf-8")
    data = json.dumps(about).replace("<", "\\u003c")  # or a network's name could end the script that it stands in
    blocks = "".join(f'<script type="text/plain" id="pack-{name}">{text}</script>\n' for name, text in packs.items())
    scripts = "" if packs else " 'self' file:"  # those in data/
    parts = {
        "policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {_hash(script)} 'wasm-unsafe-eval' blob:{scripts}",
                f"style-src {_hash(style)}",
                "worker-src blob:",
                "img-src blob: data:",
                "media-src blob:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        "style": style,
        "licence": (HERE / "runtime" / "LICENSE").read_text(encoding="utf-8"),
        "about": data,
        "packs": blocks,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def _hash(text: str) -> str:
    """What a policy allows a script or a style by: no other one runs in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _webp(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "WEBP", quality=SCENE_QUALITY, method=6)
    return stream.getvalue()
