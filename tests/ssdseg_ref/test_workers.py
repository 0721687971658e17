"""Do workers find each other, refuse what does not fit, and stop when one of them ends?"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from ssdseg_ref import workers
from ssdseg_ref.workers import WorkerLost, joined

SILENT = """
import sys
from ssdseg_ref import workers
workers.BEAT = 0.2
with workers.joined(sys.argv[1].split(","), 1, {}, print) as together:
    together.gather("here")
    print("here", flush=True)
    together.gather("never")
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(workers, "TRY_AGAIN", 0.05)


def addresses_of(count):
    """Of ports that are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return found


def together(*parts, addresses=None):
    """What becomes of workers, each of them (what it is about, what it does); an error stands for itself."""
    addresses = addresses or addresses_of(len(parts))
    results = [None] * len(parts)

    def run(rank, about, act):
        try:
            with joined(addresses, rank, about, lambda _: None) as all_of_them:
                results[rank] = act(all_of_them)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank, *part)) for rank, part in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def alone(addresses, rank, said=None):
    """Why a worker that is by itself gives up."""
    say = print if said is None else said.append
    with pytest.raises(ValueError) as refused, joined(addresses, rank, {}, say):  # noqa: PT011
        pass
    return str(refused.value)


def test_all_hear_what_each_one_says():
    parts = [({}, lambda all_of_them: all_of_them.gather(all_of_them.rank * 10))] * 3
    assert together(*parts) == [[0, 10, 20]] * 3


def test_whoever_is_about_something_else_is_named_to_all():
    others = ({"version of Keras": "3.8"}, lambda _: "begun")
    refused = together(others, others, ({"version of Keras": "3.9"}, lambda _: "begun"))
    for error in refused:
        assert "worker 2, 127.0.0.1:" in str(error)
        assert "has another version of Keras than worker 0" in str(error)
        assert str(error).endswith("3.9 and not 3.8")


def test_of_many_settings_the_one_that_differs_is_named():
    def recipe(rate):
        return {"recipe": {"epochs": 3, "rate": rate}}, lambda _: "begun"

    refused = together(recipe(0.1), recipe(0.2))
    assert all("has another recipe (rate) than" in str(error) and "0.2 and not 0.1" in str(error) for error in refused)


def test_a_worker_that_stops_for_a_reason_gives_it_to_all_others():
    def stop(_):
        raise OSError("the disk is full")

    def wait(all_of_them):
        return all_of_them.gather("something")

    first, second, third = together(({}, wait), ({}, stop), ({}, wait))
    assert str(second) == "the disk is full"
    for lost in (first, third):
        assert isinstance(lost, WorkerLost)
        assert "worker 1, 127.0.0.1:" in str(lost)
        assert str(lost).endswith("has stopped: the disk is full")


@pytest.mark.parametrize(("sent", "silence"), [(signal.SIGKILL, 30), (signal.SIGSTOP, 1)])
def test_a_worker_that_dies_or_is_silent_stops_the_others(sent, silence, monkeypatch):
    monkeypatch.setattr(workers, "SILENCE", silence)
    addresses = addresses_of(2)
    command = [sys.executable, "-c", SILENT, ",".join(addresses)]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    kept_together = time.monotonic()

    def lose_it():
        with joined(addresses, 0, {}, print) as all_of_them:
            all_of_them.gather("here")
            while "here" not in other.stdout.readline():
                pass
            time.sleep(1.5 * min(silence, 1))  # nobody is taken for gone who has nothing to say
            all_of_them.must_be_whole()
            os.kill(other.pid, sent)
            all_of_them.gather("never")

    try:
        with pytest.raises(WorkerLost, match=r"worker 1, .* is gone"):
            lose_it()
        assert time.monotonic() - kept_together < 20
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


@pytest.mark.parametrize(
    ("addresses", "rank", "words"),
    [
        (["127.0.0.1:2222"], 0, "several workers need several addresses"),
        (["127.0.0.1:2222", "127.0.0.1:2223"], 2, "ranks go from 0 to 1, got 2"),
        (["127.0.0.1:2222", "127.0.0.1:2223"], -1, "ranks go from 0 to 1, got -1"),
        (["127.0.0.1:2222", "localhost:2222"], 0, "localhost:2222 is the address of two workers"),
        (["127.0.0.1", "127.0.0.1:2223"], 0, "host:port, such as 10.0.0.5:2222, got '127.0.0.1'"),
        (["127.0.0.1:0", "127.0.0.1:2223"], 0, "host:port, such as"),
        (["0.0.0.0:2222", "127.0.0.1:2223"], 0, "the others could not find it"),
        (["nobody.invalid:2222", "127.0.0.1:2223"], 0, "there is no machine 'nobody.invalid'"),
        (["127.0.0.1:2222", "198.51.100.7:2222"], 0, "which no other one reaches"),
        (["198.51.100.7:2222", "198.51.100.8:2222"], 0, "not this machine's address; is 0 its place in the list"),
    ],
)
def test_what_cannot_be_right_is_said_at_once(addresses, rank, words):
    assert words in alone(addresses, rank)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert alone([address, "127.0.0.1:1"], 0).startswith(f"{address}: another program has that port")


@pytest.mark.parametrize("rank", [0, 1])
def test_who_does_not_come_is_waited_for_and_named(rank, monkeypatch):
    monkeypatch.setattr(workers, "WAIT", 0.3)
    addresses, said = addresses_of(2), []
    error = alone(addresses, rank, said)
    assert said == [f"waiting for worker {1 - rank} ({addresses[1 - rank]})"]
    assert addresses[1 - rank] in error
    assert "start it, or look at the network" in error


def test_two_of_one_rank_and_two_lists_are_refused():
    addresses = addresses_of(2)
    place = ("127.0.0.1", int(addresses[0].split(":")[1]))

    def ask(hello):
        with socket.create_connection(place) as stranger:
            channel = workers._Channel(stranger, 5)
            channel.send(hello)
            return channel.receive()["left"]

    refusals = []

    def strangers():
        while True:
            try:
                refusals.append(ask({"workers": addresses, "rank": 0}))
                refusals.append(ask({"workers": ["10.0.0.5:1", "10.0.0.6:1"], "rank": 1}))
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        with socket.create_connection(place) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        refusals.extend(together_second(addresses))

    thread = threading.Thread(target=strangers)
    thread.start()
    with joined(addresses, 0, {}, lambda _: None) as all_of_them:
        assert all_of_them.gather("first") == ["first", "second"]
    thread.join()
    assert "a worker of rank 0 already" in refusals[0]
    assert "all need the same list" in refusals[1]
    assert refusals[2:] == ["first", "second"]


def together_second(addresses):
    with joined(addresses, 1, {}, lambda _: None) as all_of_them:
        return all_of_them.gather("second")


def knock(address, hello):
    """Begin to say something at the first worker's, as soon as it listens; the connection, and what it answers."""
    host, port = address.split(":")
    while True:
        try:
            connection = socket.create_connection((host, int(port)), 5)
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    connection.sendall(hello if isinstance(hello, bytes) else json.dumps(hello).encode() + b"\n")
    return connection, connection.makefile("rb")


def test_who_is_there_hears_signs_of_life_until_all_are_and_may_come_again_once_gone(monkeypatch):
    monkeypatch.setattr(workers, "BEAT", 0.1)
    monkeypatch.setattr(workers, "SILENCE", 1)
    addresses, heard = addresses_of(3), []

    def come_and_go():
        connection, answers = knock(addresses[0], {"workers": addresses, "rank": 1})
        heard.extend(answers.readline() for _ in range(3))
        answers.close()
        connection.close()

    def come(rank):
        with joined(addresses, rank, {}, print) as all_of_them:
            heard.append(all_of_them.gather(rank))

    def others():
        come_and_go()
        again = threading.Thread(target=come, args=(1,))
        again.start()
        time.sleep(1.5)  # longer than what is taken for gone
        come(2)
        again.join()

    thread = threading.Thread(target=others)
    thread.start()
    with joined(addresses, 0, {}, lambda _: None) as all_of_them:
        assert all_of_them.gather(0) == [0, 1, 2]
    thread.join()
    assert heard == [b'{"welcome": true}\n', b"{}\n", b"{}\n", [0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    "hello", [b"[" * 99_000 + b"\n", b'{"rank": 1.0, "workers": ["\x1b[2J"]}\n', b"{", b'{"rank": []}\n', b""]
)
def test_a_stranger_neither_ends_nor_holds_up_the_roll_call(hello, monkeypatch):
    monkeypatch.setattr(workers, "HELLO", 0.3)
    addresses, said = addresses_of(2), []

    def drip(connection):
        with contextlib.suppress(OSError):
            for _ in range(6):  # twice as long as it may take
                connection.sendall(b" ")
                time.sleep(0.1)

    def others():
        connection, answers = knock(addresses[0], hello)
        with connection, answers:
            drip(connection)
        together_second(addresses)

    thread = threading.Thread(target=others)
    thread.start()
    with joined(addresses, 0, {}, said.append) as all_of_them:
        assert all_of_them.gather("first") == ["first", "second"]
    thread.join()
    assert said == [f"waiting for worker 1 ({addresses[1]})"]


def test_what_a_stranger_calls_itself_is_said_without_what_a_terminal_obeys():
    addresses, said = addresses_of(2), []

    def others():
        connection, answers = knock(addresses[0], {"workers": ["\x1b[2J" * 1000], "rank": 1})
        with connection, answers:
            answers.readline()
        together_second(addresses)

    thread = threading.Thread(target=others)
    thread.start()
    with joined(addresses, 0, {}, said.append) as all_of_them:
        all_of_them.gather("first")
    thread.join()
    refusal = next(one for one in said if "was started with" in one)
    assert refusal.isprintable()
    assert len(refusal) < 1500


def test_a_message_that_takes_longer_than_the_silence_allowed_arrives():
    """A slow reader, a sender with a short time limit, and signs of life that do not wait for it to be sent."""
    here, there = socket.socketpair(socket.AF_UNIX) if hasattr(socket, "AF_UNIX") else socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
    sent, text = [], "x" * 2**20
    with here, there:
        sender = workers._Channel.__new__(workers._Channel)
        sender._socket, sender._one_sends = here, threading.Lock()
        here.settimeout(0.5)
        thread = threading.Thread(target=lambda: sent.append(sender.send({"said": text})))
        thread.start()
        got = b""
        while not got.endswith(b"\n"):
            time.sleep(0.05)
            sender.beat()
            got += there.recv(2**15)
        thread.join()
    assert sent == [None]
    assert json.loads(got.splitlines()[0]) == {"said": text}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loopback has one address")
def test_the_roll_is_called_on_the_given_address_alone(monkeypatch):
    monkeypatch.setattr(workers, "WAIT", 0.5)
    addresses = addresses_of(2)
    tried = []

    def knock(sentence):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", int(addresses[0].split(":")[1])), 1)
        tried.append(sentence)

    with pytest.raises(ValueError, match="did not come"), joined(addresses, 0, {}, knock):
        pass
    assert tried
