"""A lesson of two exercises in a folder of its own: the parts that make and grade lessons are tried on it."""

from pathlib import Path

from ssdseg_course.manifest import Lesson

TINY = Lesson(1, "01_tiny", "A tiny lesson")

SOURCE = '''\
# %% [markdown]
# # A tiny lesson

# %%
import ipywidgets
import numpy as np

from ssdseg_course import check

ipywidgets.IntSlider()

# %% nbgrader={"grade_id": "grid_centers", "solution": true}
def grid_centers(rows, cols):
    """Middles of the cells."""
    ### BEGIN SOLUTION
    y, x = np.mgrid[:rows, :cols] + 0.5
    return np.stack([x / cols, y / rows], axis=-1).reshape(-1, 2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_grid_centers", "grade": true, "points": 10}
check("01.grid_centers", grid_centers)

# %% nbgrader={"grade_id": "linear_scales", "solution": true}
def linear_scales(first, last, maps):
    """Scales of all maps."""
    ### BEGIN SOLUTION
    return [first + (last - first) / (maps - 1) * k for k in range(maps + 1)]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check_linear_scales", "grade": true, "points": 20}
check("01.linear_scales", linear_scales)
'''


def make_tiny_course(root: Path, source: str = SOURCE) -> Path:
    """Write the lesson's source below `root`, and give `root` back."""
    path = TINY.source(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return root
