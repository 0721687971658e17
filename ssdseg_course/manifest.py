"""The lessons of the course, in order, and where their files are."""

from dataclasses import dataclass
from pathlib import Path

PACKAGED = Path(__file__).resolve().parent / "_course"  # in an installed wheel; setup.py puts it there
ROOT = PACKAGED if PACKAGED.is_dir() else Path(__file__).resolve().parents[1]  # of the lessons as they are handed out


@dataclass(frozen=True)
class Lesson:
    """One lesson: a folder of that name under `solutions/` and, made from it, one under `lessons/`.

    Attributes:
        number: its place in the course; the ids of its exercises begin with it, in two digits.
        name: name of its folders and of its notebook.
        title: what the learner reads.
    """

    number: int
    name: str
    title: str

    def source(self, root: Path = ROOT) -> Path:
        """The one source: text with the answers in it."""
        return root / "solutions" / self.name / f"{self.name}.py"

    def solution(self, root: Path = ROOT) -> Path:
        """The notebook with the answers, executed."""
        return root / "solutions" / self.name / f"{self.name}.ipynb"

    def notebook(self, root: Path = ROOT) -> Path:
        """The learner's notebook, with stubs where the answers were."""
        return root / "lessons" / self.name / f"{self.name}.ipynb"


LESSONS = (
    Lesson(0, "00_tour", "A tour: one network that detects and segments"),
    Lesson(1, "01_anchors", "Anchors: where a detector looks"),
    Lesson(2, "02_matching", "Matching and coding: what the network is asked to say"),
    Lesson(3, "03_convolutions", "Depthwise-separable convolutions: the same view for a ninth of the price"),
    Lesson(4, "04_mobilenetv2", "MobileNetV2: wide inside, narrow between"),
    Lesson(5, "05_shufflenetv2", "ShuffleNetV2: what multiply-adds do not tell"),
    Lesson(6, "06_ssdlite", "SSDLite: boxes from a map"),
    Lesson(7, "07_deeplabv3plus", "DeepLabV3+: a class for every pixel"),
    Lesson(8, "08_training", "Joint training: everything together"),
    Lesson(9, "09_on_device", "On the device: the network in eight bits"),
    Lesson(10, "10_photographs", "From drawings to photographs"),
)


def version() -> str:
    """The version of the course: that of the repository, or that of the package which is installed."""
    import tomllib  # every command imports this module, and one asks for the version
    from importlib import metadata

    project = ROOT / "pyproject.toml"
    if project.exists():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return metadata.version("ssdseg-course")


def find_lesson(name: str) -> Lesson:
    """The lesson of that number ("1", "01"), name ("01_anchors") or notebook ("lessons/01_anchors/01_anchors.ipynb").

    Raises:
        ValueError: if there is none, with the names of those there are.
    """
    stem = Path(name).name.removesuffix(".ipynb")
    for lesson in LESSONS:
        if stem in (lesson.name, str(lesson.number), f"{lesson.number:02d}"):
            return lesson
    raise ValueError(f"there is no lesson {name!r}; there are: {', '.join(lesson.name for lesson in LESSONS)}")
