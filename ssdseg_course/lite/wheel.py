"""The course as a wheel for the browser: its Python and small arrays, without weights and what other programs run."""

import base64
import hashlib
import zipfile
from pathlib import Path

from ssdseg_course.manifest import version

PACKAGES = ("ssdseg_ref", "ssdseg_course")
KINDS = (".py", ".npy")
WHEEL = "Wheel-Version: 1.0\nGenerator: ssdseg_course.lite\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(folder: Path) -> Path:
    """Write the wheel of this course. It asks for no other package: TensorFlow, which the course needs, is not there.

    Args:
        folder: that exists.

    Returns:
        the wheel, `ssdseg_course-0.3.0-py3-none-any.whl`.
    """
    name = f"ssdseg_course-{version()}"
    packages = Path(__file__).resolve().parents[2]
    contents = {
        file.relative_to(packages).as_posix(): file.read_bytes()
        for package in PACKAGES
        for file in sorted((packages / package).rglob("*"))
        if file.suffix in KINDS and "_course" not in file.parts  # lessons of an installed course
    }
    metadata = f"Metadata-Version: 2.1\nName: ssdseg-course\nVersion: {version()}\n"
    contents |= {f"{name}.dist-info/METADATA": metadata.encode(), f"{name}.dist-info/WHEEL": WHEEL.encode()}
    record = f"{name}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in contents.items()]
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for within, content in {**contents, record: f"{''.join(lines)}{record},,\n".encode()}.items():
            wheel.writestr(zipfile.ZipInfo(within), content, zipfile.ZIP_DEFLATED)  # a time of day would be another
    return path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
