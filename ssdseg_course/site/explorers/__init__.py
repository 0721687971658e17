"""The lessons' explorers as parts of a page, which need no Python there.

Controls are made from the widgets of the notebook (`controls.py`), data by `ssdseg_ref` (`data.py`), and the scripts of
`web/` draw what the notebook draws and say the same words, to the last digit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ssdseg_course.explorers.anchors import explore_anchors
from ssdseg_course.explorers.cost import explore_cost
from ssdseg_course.explorers.explorer import Explorer
from ssdseg_course.explorers.field_of_view import explore_field_of_view
from ssdseg_course.explorers.hits import explore_hits
from ssdseg_course.explorers.matching import explore_matching
from ssdseg_course.explorers.mining import explore_mining
from ssdseg_course.explorers.prediction import explore_predictions
from ssdseg_course.explorers.quantization import explore_quantization
from ssdseg_course.explorers.relu import explore_relu
from ssdseg_course.explorers.shuffle import explore_shuffle
from ssdseg_course.explorers.suppression import explore_suppression
from ssdseg_course.site.explorers import data
from ssdseg_course.site.explorers.controls import control

PLACE = "{explorers}"  # in a fragment, for the way from its page to the folder
WEB = Path(__file__).parent / "web"


@dataclass(frozen=True)
class Page:
    """What a fragment adds to an explorer.

    Attributes:
        explore: makes the notebook's own, as its lesson begins with it.
        title: over the controls.
        caption: what to try, in a sentence or two.
        controls: attributes of the explorer, as the page shows them, one under another.
        ends: names of the two ends of each range.
        scenes: how many the page has, where it has fewer than the notebook.
    """

    explore: Callable[[], Explorer]
    title: str
    caption: str
    controls: tuple[str, ...]
    ends: dict[str, tuple[str, str]] = field(default_factory=dict)
    scenes: int | None = None


PAGES = {
    "prediction": Page(
        explore_predictions,
        "What the finished network sees",
        "Go through scenes that the network has never seen, and lower the least score until boxes appear that should "
        "not be there.",
        ("scene", "least_score"),
        scenes=data.TEST_SCENES,
    ),
    "anchors": Page(
        explore_anchors,
        "Anchors over a scene",
        "Choose scales and ratios until every box reaches an IoU of 0.5, then look for a scene where they fail. A "
        "click on the picture chooses a cell.",
        ("level", "scales", "ratios", "cell", "scene"),
        {"scales": ("scale", "next scale")},
    ),
    "matching": Page(
        lambda: explore_matching(box=3),
        "Which anchors answer for a box",
        "Raise the threshold until only the first anchor is left to the box, then move the box: drag it on the "
        "picture, or set its sides with the sliders.",
        ("threshold", "box", "x", "y", "scene"),
        {"x": ("left side, pixels", "right side, pixels"), "y": ("upper side, pixels", "lower side, pixels")},
    ),
    "cost": Page(
        explore_cost,
        "What a convolution costs",
        "Which matters more for what a separable convolution saves: the size of the kernel, or the channels that come "
        "out? And when does it save nothing?",
        ("kernel_size", "in_channels", "out_channels", "size"),
    ),
    "relu": Page(
        lambda: explore_relu(dimensions=3),
        "What a ReLU destroys",
        "Begin with 2 dimensions and try several matrices, then go up: from how many dimensions on does the spiral "
        "come back in one piece?",
        ("dimensions", "matrix"),
    ),
    "shuffle": Page(
        explore_shuffle,
        "How channels learn of each other",
        "After how many units does every channel know of the one that you follow? Now leave the shuffle out.",
        ("channel", "units", "shuffled"),
    ),
    "mining": Page(
        explore_mining,
        "The hardest of the negatives",
        "Look at what the hardest negatives are taken for, and at the positives beside them. How many negatives per "
        "positive does it take until the least hard of them is easy?",
        ("scene", "ratio", "positives"),
        scenes=data.RAW_SCENES,
    ),
    "suppression": Page(
        explore_suppression,
        "What suppression keeps",
        "Find an IoU at which one person keeps two boxes, and one at which two people have to share a box.",
        ("scene", "label", "iou_threshold", "score_threshold"),
        scenes=data.RAW_SCENES,
    ),
    "field_of_view": Page(
        explore_field_of_view,
        "Where the taps of an atrous convolution fall",
        "Raise the rate until only the middle tap is left on the map, then move the cross into a corner.",
        ("rate", "map_size", "row", "col"),
    ),
    "hits": Page(
        explore_hits,
        "Found, missed, and false alarms",
        "Which least score would you choose for this scene: where nothing is missed, or where nobody is alarmed for "
        "nothing? Does it suit the next scene?",
        ("scene", "least_score"),
        scenes=data.TEST_SCENES,
    ),
    "quantization": Page(
        lambda: explore_quantization(bits=3),
        "A picture in a few whole numbers",
        "For 2 or 3 bits, look for the range with the least error: cutting off a little at the top can be worth it.",
        ("high", "bits"),
    ),
}


def write_explorers(folder: Path) -> dict[str, str]:
    """Write what the explorers need into a folder, and give their fragments.

    Args:
        folder: is made where it is not there; files of the same names in it are replaced.

    Returns:
        HTML by name, in the order of the lessons. `PLACE` in it stands for the way from the page to the folder. A
        fragment holds all that it needs, so a page may have several, each once.

    Raises:
        OSError: if something cannot be written.
    """
    for script in sorted(WEB.iterdir()):
        _write(folder / script.name, script.read_bytes())
    for name, content in data.files():
        _write(folder / name, content)
    fragments = {}
    for name, page in PAGES.items():
        explorer = _shown(page)
        picture, words = explorer.view(explorer.state)
        _write(folder / f"stills/{name}.webp", data.webp(picture))
        fragments[name] = _fragment(name, page, explorer, picture.shape[:2], words)
    return fragments


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _shown(page: Page) -> Explorer:
    """The notebook's explorer, with as many scenes as the page has."""
    explorer = page.explore()
    if page.scenes is not None:
        vars(explorer)["scene"].max = page.scenes - 1
    return explorer


def _fragment(name: str, page: Page, explorer: Explorer, size: tuple[int, int], words: str) -> str:
    widgets_of: dict[str, Any] = vars(explorer)
    inputs = "\n".join(control(name, one, widgets_of[one], page.ends) for one in page.controls)
    height, width = size
    title = f"explorer-{name}-title"
    alt = escape(f"{page.title}, as the controls stand at first; the words below say what is to be seen")
    return f"""<section class="explorer" data-explorer="{name}" aria-labelledby="{title}">
<link rel="stylesheet" href="{PLACE}/explorers.css">
<p class="explorer-title" id="{title}">{escape(page.title)}</p>
<p class="explorer-caption">{escape(page.caption)}</p>
<div class="explorer-controls">
{inputs}
</div>
<figure class="explorer-figure">
<img src="{PLACE}/stills/{name}.webp" width="{width}" height="{height}" alt="{alt}">
</figure>
<p class="explorer-words" role="status">{escape(words)}</p>
<p class="explorer-asleep">The controls move as soon as this page may run its scripts.</p>
<script defer src="{PLACE}/explorers.js"></script>
</section>
"""
