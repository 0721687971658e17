"""The table of grades: nbgrader's columns, with nothing where nothing was graded, and fit for a spreadsheet."""

import csv

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins.export import ExportPlugin

from ssdseg_course.grading.names import in_a_table

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)


class GradesExport(ExportPlugin):
    """What `nbgrader export` writes with this course's settings, and `ssdseg grade` by itself.

    nbgrader's own exporter gives 0 to somebody for whom nothing was graded, and does not quote what holds a comma.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write one line for each assignment and learner."""
        with open(self.to or "grades.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            for assignment in gradebook.assignments:
                if self.assignment and assignment.name not in self.assignment:
                    continue
                for student in gradebook.students:
                    if self.student and student.id not in map(str, self.student):
                        continue
                    row = {
                        "assignment": assignment.name,
                        "duedate": assignment.duedate,
                        "student_id": student.id,
                        "last_name": student.last_name,
                        "first_name": student.first_name,
                        "email": student.email,
                        "max_score": assignment.max_score,
                        **_scores(gradebook, assignment.name, student.id),
                    }
                    table.writerow({name: _cell(value) for name, value in row.items()})


def _scores(gradebook: Gradebook, assignment: str, student: str) -> dict[str, object]:
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        return {}
    penalty = submission.late_submission_penalty
    return {
        "timestamp": submission.timestamp,
        "raw_score": submission.score,
        "late_submission_penalty": penalty,
        "score": max(0.0, submission.score - penalty),
    }


def _cell(value: object) -> str:
    return "" if value is None else in_a_table(value) if isinstance(value, str) else str(value)
