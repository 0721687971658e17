"""`ssdseg demo --live`: the page of `ssdseg export --to web` with the shipped networks, for this machine alone."""

import hashlib
import shutil
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

import ssdseg_ref
from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.manifest import version

BITS = 16
FIRST = "photos"  # the one that knows what a camera sees


def show_live() -> None:
    """Open the page in a browser, and serve it until Ctrl-C.

    Raises:
        ValueError: if there is no folder to keep it in.
        OSError: if it cannot be kept there, or there is no port to serve it from.
    """
    from ssdseg_course.export.page import serving

    with serving.open_server(_kept_page()) as server:
        address = serving.address(server)
        print_plain(f"the page: {address}  (Ctrl-C ends it)")
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some wait for their browser
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    print_plain("ended")


def _kept_page() -> Path:
    """The folder of the page: written once, and again when the course has changed."""
    from ssdseg_course.export import page
    from ssdseg_course.export.folder import read_description
    from ssdseg_ref.data.splits import home

    weights = Path(ssdseg_ref.__file__).parent / "weights"  # not from the module that loads them: it imports Keras
    digest = hashlib.sha256()
    for path in sorted((*page.HERE.glob("*.*"), *weights.iterdir())):
        digest.update(path.read_bytes())
    folder = home() / "page" / f"{version()}-{BITS}-{digest.hexdigest()[:10]}"
    if read_description(folder) is None:
        _write(folder)
        for other in folder.parent.iterdir():  # those of other versions
            if other != folder and read_description(other) is not None:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def _write(folder: Path) -> None:
    console.import_keras()
    from ssdseg_course.export.page import write_page
    from ssdseg_ref import multitask

    names = sorted(multitask.SHIPPED, key=lambda name: name != FIRST)
    networks = {name: (multitask.load_network(name), multitask.SHIPPED[name]) for name in names}
    with console.output.status("writing the page; once, it takes half a minute"):
        write_page(networks, folder, BITS, one_file=False)
