"""A diagram shows every box once, and arrows that run from one to the next."""

from ssdseg_course.explorers.diagrams import JOIN, MAP, WORK, draw_flow
from ssdseg_course.explorers.figures import panels


def test_boxes_and_arrows_stand_where_they_are_put_and_all_of_them_can_be_seen():
    _, (axes,) = panels(1)
    boxes = {"x": (0, 1, "x", MAP), "a": (1, 0, "near", WORK), "b": (1, 2, "far", WORK), "sum": (2, 1, "join", JOIN)}
    draw_flow(axes, boxes, [("x", "a"), ("x", "b"), ("a", "sum"), ("b", "sum")], width=0.8)
    words = [text.get_text() for text in axes.texts if text.get_text()]
    assert words == ["x", "near", "far", "join"]
    arrows = [text for text in axes.texts if not text.get_text()]
    assert [arrow.xyann for arrow in arrows] == [(0.4, 1), (0.4, 1), (1.4, 0), (1.4, 2)]
    assert [arrow.xy for arrow in arrows] == [(0.6, 0), (0.6, 2), (1.6, 1), (1.6, 1)]
    for patch in axes.patches:
        assert axes.get_xlim()[0] <= patch.get_x() <= patch.get_x() + patch.get_width() <= axes.get_xlim()[1]
