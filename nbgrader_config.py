"""Settings of nbgrader for this course: run `nbgrader` here, in the folder of this file.

nbgrader generate_assignment 01_anchors --force    # knows the lesson's points from now on
nbgrader autograde 01_anchors                      # grades submitted/<student>/01_anchors/01_anchors.ipynb
nbgrader generate_feedback 01_anchors
nbgrader export                                    # grades.csv
"""

import os

os.environ.setdefault("SSDSEG_TRAINING", "skip")  # no grade waits for the training of lesson 8

c = get_config()  # noqa: F821 - nbgrader provides it

c.CourseDirectory.course_id = "ssdseg"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "lessons"
# A lesson's text source holds the answers, and nbgrader would hand it to the learners with the rest of the folder.
c.CourseDirectory.ignore = ["[0-9][0-9]_*.py", ".ipynb_checkpoints", "__pycache__", "*.pyc", "feedback"]

c.ExportApp.plugin_class = "ssdseg_course.grading.export.GradesExport"  # no grade is not 0

c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("not written yet")  # your code goes here'}
c.ClearSolutions.text_stub = "*Your answer goes here.*"

c.Execute.timeout = 300  # seconds a cell
c.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"]
c.Autograde.permissions = 644  # so that grading again can replace what stands there
