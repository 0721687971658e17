"""What a gradebook has for a class, as files for a learning platform; nothing is graded, and nothing written."""

from pathlib import Path

from sqlalchemy.engine import make_url

from ssdseg_course.grading.gradebook import GradebookError, Records, gradebook_url, open_gradebook
from ssdseg_course.grading.grading import pseudonyms_of, read_config
from ssdseg_course.grading.platforms import PlatformError, Result, Upload, read_roster, upload
from ssdseg_course.grading.pseudonyms import Pseudonyms
from ssdseg_course.manifest import LESSONS, Lesson


def uploads(
    folder: Path, platform: str, lesson: Lesson | None, roster: Path | None, gradebook: str | None, key: Path | None
) -> list[Upload]:
    """The files for a learning platform, one for each lesson that was graded; nothing is written.

    Args:
        folder: in which the class was graded.
        platform: "canvas" or "moodle".
        lesson: the only one that is wanted; all without one.
        roster: what the platform has exported.
        gradebook: its address, as for `grade_folder`.
        key: to the pseudonyms under which learners stand in the gradebook.

    Raises:
        GradebookError, KeyFileError, PlatformError, StudentsError: if the gradebook, the key or the platform's export
            cannot be used.
    """
    known = read_roster(roster, platform) if roster else None
    config = read_config(folder)
    url = gradebook_url(config, gradebook)
    path = make_url(url).database
    if make_url(url).get_backend_name() == "sqlite" and not (path and Path(path).is_file()):
        raise GradebookError(f"{path}: there is no gradebook; `ssdseg grade SUBMISSIONS` makes one")
    with open_gradebook(url, config) as records:
        pseudonyms = pseudonyms_of(records, key)
        by_lesson = [(one, _results(records, one, pseudonyms)) for one in ([lesson] if lesson else LESSONS)]
    graded = [(one, of_lesson) for one, of_lesson in by_lesson if of_lesson]
    if known and known.is_worksheet and len(graded) > 1:
        raise PlatformError(f"{known.path}: this worksheet is of one assignment: say with --lesson which lesson it is")
    return [upload(platform, one, of_lesson, known) for one, of_lesson in graded]


def _results(records: Records, lesson: Lesson, pseudonyms: Pseudonyms | None) -> list[Result]:
    """What a class has for a lesson, for a learning platform: under the learners' own ids, whatever the gradebook has.

    Args:
        records: the open gradebook.
        lesson: which.
        pseudonyms: under which learners stand in the gradebook.
    """
    names, standings = records.names(), records.standings(lesson.name)
    found = []
    for record in records.records(lesson.name):
        standing = standings.get(record.student)
        if standing is None:
            continue
        learner = pseudonyms.whose(record.student) if pseudonyms else None
        name, email = (learner.name, learner.email) if learner else names.get(record.student, (record.student, ""))
        comments = tuple(f"{exercise}: {mark.comment}" for exercise, mark in standing.marks.items() if mark.comment)
        found.append(
            Result(
                learner.id if learner else record.student,
                name,
                email,
                standing.points,
                record.points,
                standing.penalty,
                comments,
                record.student if learner else "",
            )
        )
    return found
