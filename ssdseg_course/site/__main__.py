"""`python -m ssdseg_course.site OUT`: build the site, whole or not at all."""

import argparse
import sys
from pathlib import Path

from ssdseg_course.site.building import SiteError, build


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ssdseg_course.site", description="Build the course's static site.")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder; a site that stands there is replaced")
    options = parser.parse_args(arguments)
    try:
        build(options.out, say=lambda words: print(words, flush=True))
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or options.out}: {error.strerror or error}; the site was not written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended; the site is as it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
