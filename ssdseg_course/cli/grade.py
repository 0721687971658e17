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

LOOK, UPLOAD, WHERE = "Look at answers; no grades are written", "For a learning platform", "How it runs"
MOST_PAIRS = 20  # of a lesson that are shown
MOST_TO_KNOW = 1500  # characters of remarks on a submission in the table; its page has all


def grade(
    submissions: Annotated[
        Path | None, typer.Argument(metavar="SUBMISSIONS", help="Folder with one folder per learner.")
    ] = None,
    lesson: Annotated[str | None, typer.Option(metavar="LESSON", help="This one alone: 1, 01 or 01_anchors.")] = None,
    exercise: Annotated[
        str | None,
        typer.Option(
            metavar="EXERCISE", help="Score this one anew for all, and leave the rest: 2.3 or 02.greedy_match."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also grade what has not changed since.")] = False,
    students: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Table of ids and names, one line each: id,first_name,last_name,email."),
    ] = None,
    take: Annotated[
        str, typer.Option(metavar="WHICH", help="Of several notebooks of one lesson: newest, oldest or named.")
    ] = "newest",
    anonymous: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Pseudonyms in all that is written; this file says whose, and is yours."),
    ] = None,
    challenges: Annotated[
        bool,
        typer.Option("--challenges", help="One table of the answers to the open challenges.", rich_help_panel=LOOK),
    ] = False,
    similarity: Annotated[
        bool,
        typer.Option("--similarity", help="Answers that are unusually alike: a hint to look.", rich_help_panel=LOOK),
    ] = False,
    platform: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="PLATFORM", help="Write the recorded points for canvas or moodle.", rich_help_panel=UPLOAD
        ),
    ] = None,
    roster: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="What the platform exports: ids, and points so far.", rich_help_panel=UPLOAD),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be uploaded; write nothing.", rich_help_panel=UPLOAD)
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes on this machine; one per core by default.", rich_help_panel=WHERE
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Of a Dask cluster to grade on, such as tcp://host:8786.", rich_help_panel=WHERE
        ),
    ] = None,
    gradebook: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="nbgrader's gradebook: a file, or an address such as postgresql://host/grades.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe", help="Without a sandbox: only for the work of people you trust.", rich_help_panel=WHERE
        ),
    ] = False,
) -> None:
    """Grade a class, in parallel and in a sandbox, into nbgrader's gradebook.

    SUBMISSIONS holds notebooks as nbgrader collects them,
    ada/01_anchors/01_anchors.ipynb, or as a learning platform hands them out:
    one folder, notebook or zip per learner, whatever its name. The folder
    that you are in gets gradebook.db, autograded/, feedback/, grades.csv and
    class_report.md; due_dates.toml in it says what being late costs. Stopped
    at any moment, it continues where it was when you run it again.

    \b
    ssdseg grade submitted
    ssdseg grade submitted --lesson 1 --workers 8
    ssdseg grade submitted --exercise 2.3    # its check was mended
    ssdseg grade submitted --similarity
    ssdseg grade submitted --challenges      # who has the best anchors?
    ssdseg grade --csv canvas --roster export.csv --dry-run
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # somebody's name may have letters that this terminal does not
    wanted = find_lesson(lesson) if lesson else None
    if platform:
        for option, given in {
            "--exercise": exercise, "--again": again, "--students": students, "--challenges": challenges,
            "--similarity": similarity, "--workers": workers, "--scheduler": scheduler, "--unsafe": unsafe,
            "SUBMISSIONS": submissions,
        }.items():  # fmt: skip
            if given:
                raise ValueError(f"--csv writes what is in the gradebook, and grades nothing: leave {option} out")
        _write_uploads(platform, wanted, roster, gradebook, anonymous, dry_run)
        return
    if roster or dry_run:
        raise ValueError(f"{'--roster' if roster else '--dry-run'} belongs to --csv canvas or --csv moodle")
    if submissions is None:
        raise ValueError("which folder of submissions? `ssdseg grade submitted`, for instance")
    if workers and scheduler:
        raise ValueError("--workers and --scheduler: either this machine or another cluster, not both")
    if not submissions.is_dir():
        raise ValueError(f"{submissions}: there is no such folder of submissions")
    only = _exercise(exercise, wanted) if exercise else None
    from ssdseg_course.grading.intake import TAKE

    if take not in TAKE:
        raise ValueError(f"--take {take}: it is one of {', '.join(TAKE)}")
    if challenges and (workers or scheduler or gradebook or again or only or anonymous):
        raise ValueError("--challenges: answers are timed one after another on this machine, and no grades are written")
    if similarity and (challenges or workers or scheduler or gradebook or again or only):
        raise ValueError("--similarity: answers are only read and compared here, and no grades are written")
    if similarity:
        _show_similarity(submissions, wanted, take, students, anonymous)
        return
    if unsafe:
        console.errors.print("--unsafe: answers run without a sandbox, and can read and write whatever you can.")
    if challenges:
        _hold_challenges(submissions, wanted, unsafe, take, students)
        return
    from ssdseg_course.grading.grading import Options, grade_folder

    if only:
        wanted = find_lesson(only.partition(".")[0])
    options = Options(
        wanted, workers, scheduler, gradebook, unsafe, again, take=take, students=students,
        exercise=only or "", key=anonymous,
    )  # fmt: skip
    with console.progress("grading") as update:
        tally = grade_folder(submissions, Path.cwd(), options, update)
    show(tally, submissions)
    if only:
        _show_changes(only, tally)
    raise typer.Exit(1 if tally.not_graded else 0)


def _exercise(name: str, lesson: "Lesson | None") -> str:
    """The id of an exercise that is called by its number in its lesson, 2.3, or by its id, 02.greedy_match.

    Raises:
        ValueError: if there is none, or it is of another lesson than that.
    """
    from ssdseg_course.check import find_exercise
    from ssdseg_course.exercises import exercises_of

    number, _, rest = name.partition(".")
    known = find_lesson(number) if number.isdecimal() and number.isascii() else None
    if known and rest.isdecimal() and rest.isascii():
        exercises = exercises_of(known)
        if not 1 <= int(rest) <= len(exercises):
            raise ValueError(
                f"--exercise {name}: {known.name} has exercises {known.number}.1 to {known.number}.{len(exercises)}"
            )
        found = exercises[int(rest) - 1].id
    else:
        found = find_exercise(f"{known.number:02d}.{rest}" if known else name).id
    if lesson and find_lesson(found.partition(".")[0]) is not lesson:
        raise ValueError(f"--exercise {name} is not of {lesson.name}: leave --lesson out")
    return found


def _show_changes(exercise: str, tally: "Tally") -> None:
    """Print whose points for the exercise that was scored anew are others now."""
    if tally.changes:
        table = Table("learner", title=f"{exercise}: changed")
        table.add_column("before", justify="right")
        table.add_column("now", justify="right")
        for change in sorted(tally.changes, key=lambda change: change.student):
            table.add_row(_who(change.student, tally), f"{change.before:g}", f"{change.after:g}")
        console.output.print(table)
    same = tally.graded - len(tally.changes)
    _say(f"{exercise}: {len(tally.changes)} changed, {same} as before. Points and comments given by hand have stayed.")


def _write_uploads(
    platform: str, lesson: "Lesson | None", roster: Path | None, gradebook: str | None, key: Path | None, dry_run: bool
) -> None:
    """Write the files for a learning platform, or only show what they would change."""
    from ssdseg_course.grading.platforms import PLATFORMS
    from ssdseg_course.grading.uploads import uploads
    from ssdseg_ref.keeping import write_whole

    if platform not in PLATFORMS:
        raise ValueError(f"--csv {platform}: it is one of {', '.join(PLATFORMS)}")
    if key and not key.exists():
        raise ValueError(f"{key}: there is no such key file")
    files = uploads(Path.cwd(), platform, lesson, roster, gradebook, key)
    if not files:
        raise ValueError(f"nothing was graded{f' for {lesson.name}' if lesson else ''}: there are no points to upload")
    for file in files:
        if roster and roster.resolve() == Path(file.name).resolve():
            raise ValueError(f"{roster}: the file to upload would be written over it; give the export another name")
    for file in files:
        table = Table("learner", f"in {platform.capitalize()}", title=file.name)
        table.add_column("before", justify="right")
        table.add_column("after", justify="right")
        for change in sorted(file.changes, key=lambda change: change.student):
            table.add_row(*map(Text, (change.student, change.known_as, change.before, change.after)))
        console.output.print(table)
        for reason in file.left_out:
            _say(f"left out: {reason}")
        for note in file.notes:
            _say(note)
        if not dry_run:
            write_whole(Path(file.name), file.text)
        changed = sum(change.is_new for change in file.changes)
        done = "would be written; --dry-run wrote nothing" if dry_run else "is written"
        _say(f"{file.name} {done}. Learners: {len(file.changes)}, {changed} of them with other points than before.")


def _show_similarity(
    submissions: Path, lesson: "Lesson | None", take: str, students: Path | None, key: Path | None
) -> None:
    """Print whose answers are more alike than answers to one task usually are."""
    from ssdseg_course.grading.intake import take_in
    from ssdseg_course.grading.names import read_students
    from ssdseg_course.grading.similarity import LEAST, NOTEWORTHY, compare_submissions

    known = read_students(students) if students else None
    hand_ins = take_in(submissions, lesson, take, known)
    if key:
        from ssdseg_course.grading.grading import hidden
        from ssdseg_course.grading.pseudonyms import Pseudonyms

        hand_ins = hidden(hand_ins, Pseudonyms(key), [])
    with console.errors.status("comparing"):
        found = compare_submissions(hand_ins)
    if not found:
        raise ValueError(f"{submissions}: there is no submission in it")
    for one in found:
        if one.pairs:
            table = Table("learner", "and", title=f"{one.lesson}: worth a look")
            table.add_column("alike", justify="right")
            table.add_column("compared", justify="right")
            for pair in one.pairs[:MOST_PAIRS]:
                table.add_row(Text(pair.one), Text(pair.other), f"{pair.share:.0%}", str(pair.compared))
            console.output.print(table)
            if len(one.pairs) > MOST_PAIRS:
                _say(f"{one.lesson}: {len(one.pairs) - MOST_PAIRS} more pairs are not shown.")
        if one.compared:
            _say(f"{one.lesson}: {one.compared} compared; pairs of {NOTEWORTHY:.0%} or more: {len(one.pairs)}.")
        if one.too_short:
            _say(
                f"{one.lesson}: not compared, for they have written fewer than {LEAST} characters or so that are "
                f"not in the lesson, its solution or most answers: {', '.join(one.too_short)}"
            )
        for refused in one.unread:
            _say(f"not compared: {' '.join(filter(None, (refused.student, refused.lesson)))}: {refused.reason}")
    _say(
        "This is a hint to look, and never a verdict: two who learned together, or from one book, write alike as well. "
        "Read both answers, and ask."
    )


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
    if standing.late:
        late = late.removesuffix(")") + f": {standing.late})" if late else f" ({standing.late})"
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
