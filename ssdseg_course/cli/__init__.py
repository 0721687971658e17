"""The command line, `ssdseg`: a module for each group of commands.

Nothing heavy is imported here or at the top of those modules, so that `ssdseg --help` answers at once: commands import
what they need when they run.
"""

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ssdseg_course.cli import (
    assemble,
    challenge,
    compare,
    console,
    data,
    demo,
    export,
    grade,
    keep,
    learn,
    networks,
    predict,
    train,
)
from ssdseg_course.manifest import version


class _OneSentenceErrors(TyperGroup):
    """Ends a command that met bad input with one sentence instead of a traceback.

    Our functions raise ValueError or OSError for what the user can put right; anything else is our mistake, and shows
    where.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.errors.print("stopped")
            raise typer.Exit(130) from None
        except BrokenPipeError:  # `ssdseg ... | head` closes our output early: typer knows how to end then
            raise
        except (ValueError, OSError) as error:
            console.print_plain(f"ssdseg: {_sentence(error)}", console.errors)
            raise typer.Exit(1) from None


def _sentence(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


app = typer.Typer(cls=_OneSentenceErrors, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print_plain(f"ssdseg {version()}")
        raise typer.Exit


@app.callback()
def _course(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version of the course.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A course on light multi-task vision: SSDLite and DeepLabV3+ in one small network."""


app.command()(demo.demo)
app.command()(keep.start)
app.command()(learn.lab)
app.command()(learn.check)
app.command()(learn.progress)
app.command()(learn.hint)
app.command()(compare.compare)
app.command()(challenge.challenge)
app.command()(keep.reset)
app.command()(keep.update)
app.add_typer(data.app, name="data")
app.command()(train.train)
app.command()(networks.evaluate)
app.command()(predict.predict)
app.command()(export.export)
app.command()(assemble.assemble)
app.command()(grade.grade)
app.command()(grade.doctor)


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may have bytes or letters that cannot be printed
        sys.stdout.reconfigure(errors="backslashreplace")
    app(prog_name="ssdseg")
