import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ssdseg_course.explorers.canvas import draw_scene
from ssdseg_course.explorers.matching import ANCHOR_SPEC
from ssdseg_course.explorers.raw_output import raw_output
from ssdseg_course.site.explorers import PAGES, PLACE, data, write_explorers
from ssdseg_course.site.explorers.controls import control
from ssdseg_ref.convolution import conv_cost
from ssdseg_ref.data.warehouse import SPLITS
from ssdseg_ref.nms import non_max_suppression

MOST_BYTES = 8_000_000
VOID = {"img", "input", "link"}


class Outline(HTMLParser):
    """Elements as (tag, attributes), and whether each was closed in its turn."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "explorers"
    return folder, write_explorers(folder)


def read(folder, name):
    text = (folder / "data" / f"{name}.js").read_text()
    return json.loads(text.removeprefix(f'explorerParts["data/{name}"] = ').removesuffix(";\n"))


def test_there_is_a_fragment_for_every_explorer_and_its_parts_are_closed(written):
    _, fragments = written
    assert list(fragments) == list(PAGES)
    for html in fragments.values():
        assert Outline(html).open == []


def test_every_input_has_a_name_for_those_who_cannot_see_it(written):
    _, fragments = written
    for name, html in fragments.items():
        page = Outline(html)
        labelled = {attributes.get("for") for attributes in page.all("label")}
        for attributes in page.all("input", "select"):
            if attributes.get("type") in ("radio", "checkbox"):
                continue  # stands in its label, and that in a group with a legend
            assert attributes["id"] in labelled, name
        assert len(page.all("legend")) == len(page.all("fieldset"))


def test_no_two_elements_of_a_page_with_all_explorers_share_an_id(written):
    _, fragments = written
    elements = Outline("".join(fragments.values())).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_whatever_a_fragment_asks_for_lies_in_the_folder(written):
    folder, fragments = written
    for html in fragments.values():
        for attributes in Outline(html).all("img", "link", "script"):
            address = attributes.get("src") or attributes.get("href")
            assert address.startswith(f"{PLACE}/")
            assert (folder / address.removeprefix(f"{PLACE}/")).is_file()


def test_nothing_names_another_host(written):
    folder, fragments = written
    texts = [*fragments.values(), *(path.read_text() for path in folder.iterdir() if path.is_file())]
    for text in texts:
        assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_everything_together_is_small(written):
    folder, _ = written
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_scene_of_the_sliders_has_its_picture(written):
    folder, _ = written
    for seed in (0, len(data.SEEN) - 1, SPLITS["test"][0], SPLITS["test"][data.TEST_SCENES - 1]):
        picture = np.asarray(Image.open(folder / f"scenes/{seed}.webp").convert("RGB"), int)
        assert np.abs(picture - draw_scene(seed).image).mean() < 4  # of 255


def test_boxes_come_back_as_the_very_same_numbers(written):
    scenes = read(written[0], "matching")["scenes"]
    for seed in (47, 234):
        assert np.array_equal(np.array(scenes[seed]["boxes"], np.float32), draw_scene(seed).boxes)


def test_the_matching_explorer_lays_the_anchors_of_the_notebook(written):
    content, spec = read(written[0], "matching"), ANCHOR_SPEC
    assert [tuple(size) for size in content["maps"]] == list(spec.feature_maps)
    assert tuple(content["scales"]) == spec.scales
    assert [tuple(ratios) for ratios in content["ratios"]] == list(spec.ratios_by_map)


def test_costs_are_those_of_the_reference(written):
    standard, depthwise, pointwise = read(written[0], "cost")["parameters"]["5 32 256"]
    assert standard == conv_cost("standard", (7, 9), 5, 32, 256).parameters
    assert depthwise + pointwise == conv_cost("separable", (7, 9), 5, 32, 256).parameters


def test_suppression_of_what_was_written_keeps_what_suppression_of_all_keeps(written):
    content = read(written[0], "network")
    for scene in (0, data.RAW_SCENES - 1):
        output = raw_output(content["seeds"][scene])
        for label, candidates in enumerate(content["scenes"][scene]["candidates"], start=1):
            everything = np.clip(output.boxes, 0, 1), output.shares[:, label]
            some = np.array(candidates["boxes"], np.float32), np.array(candidates["scores"], np.float32)
            kept = [pair[1][non_max_suppression(*pair, 0.45, data.LEAST_SCORE)] for pair in (everything, some)]
            assert np.array_equal(*kept)


def test_a_box_is_taken_by_one_detection_of_its_class_at_most(written):
    for scene in read(written[0], "detections")["scenes"]:
        taken = [box for box in scene["taken"] if box >= 0]
        assert len(taken) == len(set(taken))
        for label, box in zip(scene["labels"], scene["taken"], strict=True):
            assert box < 0 or scene["truth"]["labels"][box] == label
        assert scene["scores"] == sorted(scene["scores"], reverse=True)


def test_the_grey_picture_keeps_every_shade(written):
    folder, _ = written
    shades = np.asarray(Image.open(io.BytesIO((folder / "scenes/brightness.webp").read_bytes())).convert("L"))
    assert np.bincount(shades.ravel(), minlength=256).tolist() == read(folder, "quantization")["counts"]


def test_a_control_that_no_page_knows_is_refused():
    with pytest.raises(TypeError, match="no control for a object"):
        control("anchors", "scene", object(), {})
