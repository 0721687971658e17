"""`ssdseg grade` and `ssdseg doctor`: a class is graded, and a notebook looked after before it is handed in."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.manifest import find_lesson
from ssdseg_course.words import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdseg_course.grading.class_report import ExerciseSummary
    from ssdseg_course.grading.contest import Contest
    from ssdseg_course.grading.gradebook import Record
    from ssdseg_course.grading.grading import Tally
    from ssdseg_course.manifest import Lesson

MOST_TO_KNOW = 1500  # characters of remarks on a submission in the table; its page has all


def grade(
    submissions: Annotated[Path, typer.Argument(metavar="SUBMISSIONS", help="Folder with one folder per learner.")],
    lesson: Annotated[
        str | None, typer.Option(metavar="LESSON", help="Grade this one alone: 1, 01 or 01_anchors.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes on this machine; one per core by default.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster to grade on, such as tcp://host:8786.")
    ] = None,
    gradebook: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="nbgrader's gradebook: a file, or an address such as postgresql://host/grades."
        ),
    ] = None,
    students: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Table of ids and names, one line each: id,first_name,last_name,email."),
    ] = None,
    take: Annotated[
        str, typer.Option(metavar="WHICH", help="Of several notebooks of one lesson: newest, oldest or named.")
    ] = "newest",
    again: Annotated[bool, typer.Option("--again", help="Also grade what has not changed since.")] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Without a sandbox: only for the work of people you trust.")
    ] = False,
    challenges: Annotated[
        bool, typer.Option("--challenges", help="No grades: one table of the answers to the open challenges.")
    ] = False,
) -> None:
    """Grade a class, in parallel and in a sandbox, into nbgrader's gradebook.

    SUBMISSIONS holds notebooks as nbgrader collects them,
    ada/01_anchors/01_anchors.ipynb, or as a learning platform hands them out:
    one folder, notebook or zip per learner, whatever its name. The folder
    that you are in gets gradebook.db, autograded/, feedback/, grades.csv and
    class_report.md. Stopped at any moment, it continues where it was when
    you run it again.

    \b
    ssdseg grade submitted
    ssdseg grade submitted --lesson 1 --workers 8
    ssdseg grade submitted --students students.csv
    ssdseg grade submitted --scheduler tcp://10.0.0.5:8786
    ssdseg grade submitted --challenges    # who has the best anchors?
    """
    if workers and scheduler:
        raise ValueError("--workers and --scheduler: either this machine or another cluster, not both")
    if not submissions.is_dir():
        raise ValueError(f"{submissions}: there is no such folder of submissions")
    wanted = find_lesson(lesson) if lesson else None
    from ssdseg_course.grading.grading import Options, grade_folder
    from ssdseg_course.grading.intake import TAKE

    if take not in TAKE:
        raise ValueError(f"--take {take}: it is one of {', '.join(TAKE)}")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # somebody's name may have letters that this terminal does not
    if challenges and (workers or scheduler or gradebook or again):
        raise ValueError("--challenges: answers are timed one after another on this machine, and no grades are written")
    if unsafe:
        console.errors.print("--unsafe: answers run without a sandbox, and can read and write whatever you can.")
    if challenges:
        _hold_challenges(submissions, wanted, unsafe, take, students)
        return
    options = Options(wanted, workers, scheduler, gradebook, unsafe, again, take=take, students=students)
    with console.progress("grading") as update:
        tally = grade_folder(submissions, Path.cwd(), options, update)
    show(tally, submissions)
    raise typer.Exit(1 if tally.not_graded else 0)


def _hold_challenges(
    submissions: Path, lesson: "Lesson | None", unsafe: bool, take: str, students: Path | None
) -> None:
    """Measure the answers of a class to the open challenges, and print the tables."""
    from ssdseg_course.grading.contest import TABLE, hold
    from ssdseg_course.grading.names import read_students

    known = read_students(students) if students else None
    with console.progress("measuring") as update:
        contests, refused = hold(submissions, Path.cwd(), lesson, unsafe, take, known, update)
    for contest in contests:
        _show_contest(contest)
    for one in refused:
        _say(f"not measured: {' '.join(filter(None, (one.student, one.lesson)))}: {one.reason}")
    if not any(contest.entries for contest in contests):
        raise ValueError(f"{submissions}: nobody has taken on a challenge")
    print_plain(f"The same in a file: {TABLE}")


def _show_contest(contest: "Contest") -> None:
    from ssdseg_course.challenges.table import shown

    challenge = contest.challenge
    better = "more" if challenge.higher_is_better else "less"
    if contest.entries:
        table = Table(title=f"challenge {int(challenge.number)}: {challenge.title} ({better} is better)")
        table.add_column("place", justify="right")
        table.add_column("learner", overflow="fold")
        table.add_column("score", justify="right")
        table.add_column("", overflow="fold")
        for entry in contest.entries:
            who = entry.student if entry.name == entry.student else f"{entry.student} ({entry.name})"
            score = shown(challenge, entry.score) if entry.score else "no score"
            table.add_row(str(entry.place or ""), Text(who), score, Text(entry.note))
        console.output.print(table)
    if contest.untouched:
        print_plain(f"challenge {int(challenge.number)}: not taken on by {contest.untouched}")


def show(tally: "Tally", submissions: Path) -> None:
    """Print what has become of a class's submissions.

    Raises:
        ValueError: if there was none.
    """
    from ssdseg_course.grading.class_report import summarise
    from ssdseg_course.grading.grading import CLASS_REPORT, GRADES

    if not (tally.records or tally.not_graded):
        raise ValueError(f"{submissions}: there is no submission in it")
    if tally.records:
        table = Table(title="grades")
        table.add_column("learner", overflow="fold")
        table.add_column("lesson")
        table.add_column("points", justify="right")
        table.add_column("remarks", overflow="fold")
        for record in sorted(tally.records, key=lambda record: (record.student, record.lesson)):
            remarks = Text(cut("; ".join(record.remarks), MOST_TO_KNOW))
            table.add_row(_who(record.student, tally), record.lesson, _points(record, tally), remarks)
        console.output.print(table)
    for lesson in dict.fromkeys(record.lesson for record in tally.records):
        _show_class(lesson, summarise([record for record in tally.records if record.lesson == lesson]))
    for note in tally.notes:
        _say(note)
    for refused in tally.not_graded:
        whose = " ".join(filter(None, (str(_who(refused.student, tally)), refused.lesson)))
        _say(f"not graded: {whose}: {refused.reason}")
    _say(
        f"{tally.graded} graded, {tally.unchanged} unchanged since they were graded, "
        f"{len(tally.not_graded)} not graded."
    )
    if tally.penalties:
        _say(f"A due date has changed: being late now costs something else for {tally.penalties} of them.")
    if tally.records:
        _say(f"Written: {GRADES}, {CLASS_REPORT}, feedback/, autograded/.")


def _say(text: str) -> None:
    """Print what somebody else's words may stand in: none of them is markup, and no line is broken."""
    console.output.print(Text(text), soft_wrap=True)


def _who(student: str, tally: "Tally") -> Text:
    """A learner's id, and the name where that is another."""
    learner = tally.learners.get(student)
    return Text(student if learner is None or learner.name == student else f"{learner.name} ({student})")


def _points(record: "Record", tally: "Tally") -> str:
    """What counts, with what was changed by hand and what being late has cost."""
    standing = tally.standings[record.student, record.lesson]
    late = f" ({standing.penalty:g} less for being late)" if standing.penalty else ""
    return f"{standing.points:g} of {record.points:g}{late}"


def _show_class(lesson: str, summaries: "Sequence[ExerciseSummary]") -> None:
    table = Table("exercise", title=f"{lesson}: how the class did")
    table.add_column("right", justify="right")
    table.add_column("not written", justify="right")
    table.add_column("what the others were told most", overflow="fold")
    for summary in summaries:
        said = "\n".join(f"{count} × {sentence}" for sentence, count in summary.mistakes)
        table.add_row(summary.exercise, f"{summary.passed} of {summary.learners}", str(summary.unwritten), Text(said))
    console.output.print(table)


def doctor(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NOTEBOOK", help="What you want to hand in: a file, or the number or the name of a lesson."
        ),
    ],
    lesson: Annotated[
        str | None, typer.Option(metavar="LESSON", help="Which lesson it is, where its name does not say so.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write the mended notebook in its place; yours is kept in `backups`.")
    ] = False,
) -> None:
    """See whether a notebook can be graded as it is, and what grading would make of its answers.

    It finds what most often goes wrong: a file that breaks off, cells that
    were copied, deleted, moved or changed in type, checks that were edited;
    and it tries each answer that is written the way grading will.
    The exit status is 0 if all is well, else 1.

    \b
    ssdseg doctor 1
    ssdseg doctor 01_anchors.ipynb --repair
    ssdseg doctor ~/Downloads/anything.ipynb
    """
    from ssdseg_course.grading.doctor import examine, mend
    from ssdseg_course.grading.text import LONGEST_SENTENCE, shown, shown_lines

    notebook = _notebook_meant(name)
    with console.output.status("trying the answers"):
        found = examine(notebook, find_lesson(lesson) if lesson else None)
    for remark in (*found.remarks, *found.notes):
        _say(f"- {shown(remark, LONGEST_SENTENCE)}")
    if found.lost:
        print_plain("These answers would get no points:")
    for report in found.lost:
        _say(shown_lines(report))
    answers = f"{found.written} of {found.answers} answers are written"
    if found.remarks and repair:
        kept = mend(notebook, found)
        print_plain(f"{notebook}: mended; {answers}. Before: {kept}")
    elif found.remarks:
        print_plain(f"{notebook}: it can be graded, with the above; {answers}. `--repair` mends the file itself.")
    elif found.lost:
        print_plain(f"{notebook}: the file is in order; {answers}, {len(found.lost)} of them not right yet.")
    else:
        print_plain(f"{notebook}: all is well with it; {answers}.")
    if found.lost or (found.remarks and not repair):
        raise typer.Exit(1)


def _notebook_meant(name: str) -> Path:
    """The file of that name, or the learner's notebook of a lesson of that number or name.

    Raises:
        ValueError: if it is neither.
    """
    from ssdseg_course.work.workspace import course_root

    path = Path(name)
    if path.exists():
        return path
    try:
        return find_lesson(name).notebook(course_root())
    except ValueError:
        raise ValueError(f"{name}: there is no such file, and no lesson of that number or name") from None
