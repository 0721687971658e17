"""Is the page that `ssdseg export --to web` writes whole, by itself, and served as `ssdseg demo --live` promises?"""

import base64
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_network import TINY, tiny_network
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_course.cli import export as command
from ssdseg_course.export import folder as exports
from ssdseg_course.export import page as web
from ssdseg_course.export.page import serving, write_page
from ssdseg_course.manifest import ROOT
from ssdseg_ref import multitask

RUNTIME = web.HERE / "runtime"
ADDRESS = re.compile(r"(?:src|href)\s*=\s*[\"']?(?!data:)[^\s\"'>]+|url\(|@import|fetch\(|XMLHttpRequest|WebSocket")


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(web, "SCENES", web.SCENES[:2])


def model(*_):
    """In the place of a conversion, where it is not looked at."""
    return b"a network"


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})
    return result.exit_code, result.stdout, result.stderr


def packs_beside(page: Path) -> dict[str, bytes]:
    texts = [path.read_text() for path in sorted((page / "data").iterdir())]
    found = [re.fullmatch(r'pack\("([\w-]+)", "([^"]*)"\);\n', text) for text in texts]
    return {match[1]: gzip.decompress(base64.b64decode(match[2])) for match in found}


def packs_within(page: Path) -> dict[str, bytes]:
    found = re.findall(
        r'<script type="text/plain" id="pack-([\w-]+)">(.*?)</script>', (page / "index.html").read_text()
    )
    return {name: gzip.decompress(base64.b64decode(text)) for name, text in found}


def about(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="about">(.*?)</script>', (page / "index.html").read_text())
    return json.loads(found[1])


def test_the_folder_holds_networks_scenes_runtime_and_licence(network, tmp_path):
    write_page({"mine": (network, TINY), "other": (network, TINY)}, tmp_path / "page", 16, one_file=False)
    page = tmp_path / "page"
    assert {path.name for path in page.iterdir()} == {"index.html", "data", "model.json", "LICENSE-LiteRT"}
    packs = packs_beside(page)
    assert packs["network0"][4:8] == b"TFL3"
    assert np.array_equal(np.frombuffer(packs["anchors1"], "<f4").reshape(-1, 4), TINY.anchors)
    for name in ("compat-js", "compat-wasm", "threaded-js", "threaded-wasm", "jspi-js", "jspi-wasm"):
        assert packs[name] == gzip.decompress((RUNTIME / f"{name.replace('-', '.')}.gz").read_bytes())
    assert b"LiteRT" in packs["worker"]
    lengths = about(page)["scenes"]
    assert (len(lengths), sum(lengths)) == (2, len(packs["scenes"]))
    assert "Apache License" in (page / "LICENSE-LiteRT").read_text()
    assert "Apache License" in (page / "index.html").read_text()


def test_one_file_refers_to_nothing_and_lets_nothing_out(network, tmp_path):
    write_page({"mine": (network, TINY)}, tmp_path / "page", 16, True, model)
    page = tmp_path / "page"
    assert {path.name for path in page.iterdir()} == {"index.html", "model.json", "LICENSE-LiteRT"}
    assert packs_within(page)["network0"] == b"a network"
    text = (page / "index.html").read_text()
    text = re.sub(r'<script type="text/plain".*?</script>', "", text)
    assert ADDRESS.findall(text) == ["src = `data/${name}.js`;", "src = address;"]  # never reached; a file's own
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src" not in policy
    assert "unsafe-inline" not in policy


def test_the_policy_names_the_script_and_the_style_of_the_page(network, tmp_path):
    write_page({"mine": (network, TINY)}, tmp_path / "page", 16, False, model)
    text = (tmp_path / "page" / "index.html").read_text()
    for tag in ("script", "style"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        assert base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() in text


def test_what_the_page_knows_of_a_network_is_what_decoding_needs(network, tmp_path):
    write_page({"</script>": (network, TINY)}, tmp_path / "page", 32, True, model)
    (known,) = about(tmp_path / "page")["networks"]
    assert known["name"] == "</script>"
    assert known["input"] == [1, 32, 48, 3]
    assert known["labels"] == ["background", *TINY.classes]
    assert len(known["colours"]) == len(TINY.classes)
    predictor = multitask.Predictor(None, TINY)
    decoding = known["decoding"]
    assert (decoding["iou_threshold"], decoding["gate_pixels"]) == (predictor.iou_threshold, predictor.gate_pixels)
    assert decoding["max_detections"] == predictor.max_detections


def test_eight_bits_are_calibrated_on_scenes(network, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "CALIBRATION_SCENES", 3)
    write_page({"mine": (network, TINY)}, tmp_path / "page", 8, one_file=True)
    assert packs_within(tmp_path / "page")["network0"][4:8] == b"TFL3"


def test_a_second_page_takes_the_place_of_the_first_and_of_no_other_folder(network, tmp_path):
    for one_file in (False, True):
        write_page({"mine": (network, TINY)}, tmp_path / "page", 16, one_file, model)
    assert not (tmp_path / "page" / "data").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    with pytest.raises(ValueError, match="holds something other than an export"):
        write_page({"mine": (network, TINY)}, tmp_path, 16, True, model)


def test_a_page_that_is_stopped_leaves_the_old_one(network, tmp_path):
    write_page({"mine": (network, TINY)}, tmp_path / "page", 16, True, model)
    before = (tmp_path / "page" / "index.html").read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page({"other": (network, TINY)}, tmp_path / "page", 16, True, stop)
    assert (tmp_path / "page" / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_page_is_no_network_for_other_commands(network, tmp_path):
    write_page({"mine": (network, TINY)}, tmp_path / "page", 16, True, model)
    with pytest.raises(ValueError, match=r"page: a page for a browser, which nothing else runs; open .*index\.html"):
        exports.open_export(tmp_path / "page")


def test_the_command_tries_out_the_network_and_offers_the_shipped_ones(network, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "open_network", lambda _: (network, TINY))
    monkeypatch.setattr(command, "SCENES", 2)
    monkeypatch.setattr(multitask, "load_network", lambda _: network)
    monkeypatch.setattr(multitask, "SHIPPED", dict.fromkeys(("lesson", "shufflenetv2"), TINY))
    pytest.importorskip("ai_edge_litert")
    status, said, errors = run("export", "somewhere/lesson", "--to", "web", "--one-file", "--out", tmp_path / "page")
    assert (status, errors) == (0, "")
    assert "largest difference of the raw outputs from the network's: classes" in said
    assert f"open {tmp_path / 'page' / 'index.html'}" in said
    names = [known["name"] for known in about(tmp_path / "page")["networks"]]
    assert names == ["lesson (yours)", "lesson", "shufflenetv2"]
    assert json.loads((tmp_path / "page" / "model.json").read_text())["bits"] == 16


@contextmanager
def served(folder):
    import threading

    with serving.open_server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield serving.address(server)
        server.shutdown()


def test_it_is_served_to_this_machine_alone_and_isolated(tmp_path):
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "page" / "data").mkdir(parents=True)
    (tmp_path / "page" / "index.html").write_text("the page")
    with served(tmp_path / "page") as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == b"the page"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for path in ("data/", "../secret", "%2e%2e/secret"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(address + path)


LIVE = """
import sys, webbrowser
import tiny_network
from ssdseg_course.cli import live, main
from ssdseg_course.export import page
from ssdseg_ref import multitask

network = tiny_network.tiny_network()
multitask.load_network = lambda _: network
multitask.SHIPPED = {"lesson": tiny_network.TINY}
page.SCENES = page.SCENES[:1]
webbrowser.open = lambda address: print("opened", address, flush=True)
sys.argv = ["ssdseg", "demo", "--live"]
main()
"""


def test_the_demo_keeps_the_page_serves_it_and_ends_at_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, ROOT))))
    written = []
    for _ in range(2):
        demo = subprocess.Popen([sys.executable, "-c", LIVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            said = ""
            while "opened http" not in said:
                line = demo.stdout.readline()
                assert line, demo.stderr.read()
                said += line
            address = re.search(r"opened (\S+)", said)[1]
            with urllib.request.urlopen(address) as answer:
                assert b"Boxes and masks, live" in answer.read()
            demo.send_signal(signal.SIGINT)
            rest, errors = demo.communicate(timeout=60)
        finally:
            demo.kill()
        assert (demo.returncode, rest.strip().splitlines()[-1]) == (0, "ended")
        assert "Traceback" not in errors
        (page,) = (tmp_path / "page").iterdir()
        written.append((page / "index.html").stat().st_mtime_ns)
    assert written[0] == written[1]


def test_the_runtime_is_what_its_readme_says():
    said = dict(re.findall(r"^\| `([\w.]+)\.gz` .* \| `([0-9a-f]{64})` \|$", (RUNTIME / "README.md").read_text(), re.M))
    assert set(said) == {path.name.removesuffix(".gz") for path in RUNTIME.glob("*.gz")}
    for name, digest in said.items():
        packed = (RUNTIME / f"{name}.gz").read_bytes()
        assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == digest
        assert packed[4:8] == bytes(4)  # no time stamp
