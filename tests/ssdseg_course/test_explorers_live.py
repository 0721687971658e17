"""A picture is drawn anew while something learns; the curves of a training after every epoch, and said in words."""

import pytest

from ssdseg_course.explorers import live

ROWS = [
    {key: value / epoch for key, value in {"loss": 8.0, **dict.fromkeys(live.PARTS, 1.0)}.items()}
    | {f"val_{key}": (value + 1) / epoch for key, value in {"loss": 8.0, **dict.fromkeys(live.PARTS, 1.0)}.items()}
    for epoch in (1, 2, 4)
]


def test_the_curves_are_those_of_the_log():
    losses, parts = live.draw_curves(ROWS).axes
    assert [list(line.get_ydata()) for line in losses.lines] == [[8.0, 4.0, 2.0], [9.0, 4.5, 2.25]]
    assert [text.get_text() for text in parts.get_legend().get_texts()] == list(live.PARTS)
    assert list(losses.get_xticks()) == [1, 2, 3]


def test_the_words_say_where_it_began_and_where_it_is():
    assert "after 3 epochs the training loss went from 8.00 to 2.00, the validation loss from 9.00 to 2.25" in (
        live.in_words(ROWS)
    )


def test_a_training_is_shown_while_it_runs(monkeypatch):
    shown = []

    class Place:
        def update(self, content, **_):
            shown.append(content)

    monkeypatch.setattr(live, "display", lambda *_, **__: Place())
    monkeypatch.setattr(live.figures, "show", lambda figure, alt: shown.append(alt))
    callback = live.live_curves()
    callback.set_params({"epochs": 2, "steps": 20})
    callback.on_train_begin()
    callback.on_train_batch_end(10, {"loss": 5.0})
    callback.on_epoch_end(0, ROWS[0])
    callback.on_train_end()
    assert "epoch 1 of 2, step 11 of 20, loss 5.00" in shown[0].data
    assert any(isinstance(content, dict) and "image/png" in content for content in shown)
    assert shown[-1].startswith("after 1 epoch ")


def test_a_live_picture_leaves_its_place_empty_and_the_last_state_as_a_figure_in_words(monkeypatch):
    there, shown = [], []

    class Place:
        def update(self, content, **_):
            there.append(content)

    monkeypatch.setattr(live, "display", lambda *_, **__: Place())
    monkeypatch.setattr(live.figures, "show", lambda figure, alt: shown.append(alt))
    picture = live.LivePicture()
    for step in (1, 2):
        picture.draw(live.draw_curves(ROWS), f"step {step}")
    assert [content["text/plain"] for content in there] == ["step 1", "step 2"]
    assert shown == []
    picture.leave(live.draw_curves(ROWS), "step 3")
    assert there[-1].data == ""
    assert shown == ["step 3"]


def test_the_curves_of_a_finished_run_come_from_its_log(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(live.figures, "show", lambda figure, alt: shown.append(alt))
    keys = list(ROWS[0])
    lines = [",".join(["epoch", *keys])] + [
        ",".join(map(str, [epoch, *(row[key] for key in keys)])) for epoch, row in enumerate(ROWS)
    ]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    live.curves_of_a_run(tmp_path)
    assert shown == [live.in_words(ROWS)]


def test_an_interrupt_in_the_first_epoch_draws_nothing(monkeypatch):
    monkeypatch.setattr(live, "display", lambda *_, **__: type("Place", (), {"update": lambda *_, **__: None})())
    monkeypatch.setattr(live.figures, "show", lambda *_, **__: pytest.fail("there is nothing to be shown"))
    callback = live.live_curves()
    callback.on_train_begin()
    callback.on_train_end()


@pytest.mark.parametrize(("environment", "mode"), [({}, "full"), ({"SSDSEG_TRAINING": "short"}, "short")])
def test_where_nobody_waits_it_says_so(monkeypatch, environment, mode):
    monkeypatch.delenv("SSDSEG_TRAINING", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert live.how_to_train() == mode
    monkeypatch.setattr(live, "being_checked", lambda: True)
    assert live.how_to_train() == "skip"
