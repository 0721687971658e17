"""Do workers find each other, refuse what does not fit, and stop when one of them ends?"""

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
