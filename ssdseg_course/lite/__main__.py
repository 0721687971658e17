"""`python -m ssdseg_course.lite OUT`: build the page of lessons that run in the browser, whole or not at all."""

import argparse
import os
import sys
from pathlib import Path

from ssdseg_course.lite.building import LiteError, build


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ssdseg_course.lite",
        description="Build the page in which lessons 0 to 3 run in the browser's own Python.",
        epilog="SSDSEG_PYODIDE names a folder with a Pyodide distribution: the page then takes it from there, and asks "
        "no other host for anything.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder; a page that stands there is replaced")
    options = parser.parse_args(arguments)
    pyodide = os.environ.get("SSDSEG_PYODIDE")
    try:
        build(options.out, Path(pyodide) if pyodide else None, say=lambda words: print(words, flush=True))
    except LiteError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or options.out}: {error.strerror or error}; the page was not written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended; the page is as it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
