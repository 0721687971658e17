import os


def pytest_addoption(parser):
    parser.addoption(
        "--seeds",
        type=int,
        default=10,
        metavar="N",
        help="at how many seeds right answers are tried (default: %(default)s; `make test-all`: 200)",
    )


def pytest_configure():
    os.environ.pop("COLUMNS", None)  # workers of pytest-xdist have it, and a console keeps it for good
