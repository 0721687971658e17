"""What the prose of a lesson says in numbers is what its cells print."""

import re

import pytest
from length import of_length

from ssdseg_course.manifest import ROOT, find_lesson

# A lesson, a part of its prose, and what a cell has to print for it to be true.
CLAIMS = [
    ("4", "where Keras's own network has 6,156,712", "6,156,712"),
    ("4", "and 3,538,984 for 1", "3,538,984"),
    ("5", "1,366,792", "1,366,792 parameters that are trained"),
    ("5", "2,278,604", "2,278,604 parameters that are trained"),
    ("5", "3,503,624", "3,503,624 parameters that are trained"),
    ("5", "7,393,996", "7,393,996 parameters that are trained"),
    ("6", "For every one of its 2,428 anchors", "rows; anchors: 2428"),
    ("6", "the negatives have 53 times the weight", "45 positives:    62.4   2383 negatives:  3303.5"),
    ("7", "would get 0.36 for the thin monorails", "16     0.55       0.67       0.36"),
    ("7", "though a perfect mask at stride 4 could have 0.92", "4     0.92"),
    ("7", "sees nearly four times as far as our picture is wide", "rate 18:  843 pixels"),
    ("8", "| `lesson`, 160 × 224 | 660,020 |", "joint   660,020 parameters"),
]


@pytest.mark.parametrize(
    ("number", "said", "printed"), [pytest.param(*claim, marks=of_length(find_lesson(claim[0]))) for claim in CLAIMS]
)
def test_a_number_in_the_prose_is_what_a_cell_prints(number, said, printed, run_solution):
    lesson = find_lesson(number)
    cells = run_solution(lesson).cells
    prose = " ".join(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())
    output = "".join(part.text for cell in cells for part in cell.get("outputs", []) if part.output_type == "stream")
    assert said in prose
    assert printed in output


def test_the_tour_tells_the_scores_that_the_models_card_has():
    """They take minutes to work out: `ssdseg evaluate lesson` prints them, and docs/models/lesson.md keeps them."""
    card = (ROOT / "docs" / "models" / "lesson.md").read_text(encoding="utf-8")
    people, forklifts, monorails = re.search(
        r"\| test, 500 scenes \| AP@\.5 \| (\S+) \| (\S+) \| (\S+) \|", card
    ).groups()
    prose = " ".join(find_lesson("0").source().read_text(encoding="utf-8").replace("\n# ", " ").split())
    assert f"{people} for people, {forklifts} for forklifts and {monorails} for monorails" in prose
