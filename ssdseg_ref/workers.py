"""Several processes, on one machine or on many, that call the roll before they do something, and stop together.

Every worker has a place in one list of addresses, its *rank*. The first one listens; the others come to it and say who
they are. The connections stay until the end: over them workers compare what must be the same, and a worker whose
connection breaks, or is silent for half a minute, stops all the others. Nothing on the wire is secret, and nobody has
to prove who he is. What is averaged in every step goes another way: see `averaging`.
"""

import _thread
import errno
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

WAIT = 300  # seconds for all workers to come
TRY_AGAIN = 1  # seconds
BEAT = 5  # seconds between two signs of life
SILENCE = 30  # seconds without one after which a worker counts as gone
LET_GO = 5  # seconds that the main thread has to notice
GIVE_UP = 15  # seconds more: then it hangs in a call that nothing breaks off
HELLO = 5  # seconds for a newcomer to say who it is
LONGEST_HELLO = 100_000  # bytes: whoever says more is none of us
REFUSE = 0.1  # seconds for the machine of a worker that has ended to refuse what it is sent
PIECE = 2**16  # bytes sent at once: even a slow line takes them within the half minute

Say = Callable[[str], None]


class WorkerLost(ValueError):
    """A worker has ended before the others; the message says which, and why if it knew."""


class Workers:
    """All that take part, seen by one of them; made by `joined`.

    Args:
        addresses: of all, `host:port`.
        places: the same as (IPv4 address, port).
        rank: of this one.
        channels: to the first worker; the first one's are to all the others, by their ranks.
        say: takes the last sentence of a process that has to be ended from within.

    Attributes:
        lost: why the others have stopped; empty while all is well.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        places: Sequence[tuple[str, int]],
        rank: int,
        channels: "Mapping[int, _Channel]",
        say: Say,
    ):
        self.addresses = tuple(addresses)
        self.places = tuple(places)
        self.rank = rank
        self.lost = ""
        self._say = say
        self._channels = channels
        self._heard: dict[int, queue.SimpleQueue[Any]] = {peer: queue.SimpleQueue() for peer in channels}
        self._left = threading.Event()
        self._one_loss = threading.Lock()
        for peer in channels:
            threading.Thread(target=self._listen, args=(peer,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def __len__(self) -> int:
        return len(self.addresses)

    def gather(self, value: Any) -> list[Any]:
        """What every worker says, by their ranks; waits for all of them.

        Args:
            value: what this one says, as json takes it.

        Raises:
            WorkerLost: if one has ended instead.
        """
        value = json.loads(json.dumps(value, default=str))  # as the others get it
        if self.rank:
            self._send(0, {"said": value})
            return list(self._hear(0))
        values = [value, *(self._hear(peer) for peer in sorted(self._channels))]
        for peer in self._channels:
            self._send(peer, {"said": values})
        return values

    def must_agree(self, about: Mapping[str, Any]) -> None:
        """Make sure that all workers say the same.

        Args:
            about: for each name of something the value that it has here.

        Raises:
            ValueError: if another one has another value, on all of them the same sentence.
        """
        if difference := _difference(self.addresses, self.gather(dict(about))):
            raise ValueError(difference)

    def finish(self) -> None:
        """Wait until all have done what they came together for, and part: none is missed from now on.

        Raises:
            WorkerLost: if one has ended before.
        """
        self.gather("done")
        self._leave()

    def must_be_whole(self) -> None:
        """Stop as soon as another worker has.

        Raises:
            WorkerLost: if one has ended.
        """
        if self.lost:
            raise WorkerLost(self.lost)

    def _hear(self, peer: int) -> Any:
        while True:
            with suppress(queue.Empty):
                return self._heard[peer].get(timeout=0.2)
            self.must_be_whole()

    def _send(self, peer: int, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the thread that listens there finds out as well, and says so
            self._channels[peer].send(message)

    def _listen(self, peer: int) -> None:
        where = f"worker {peer}, {self.addresses[peer]},"
        try:
            while True:
                message = self._channels[peer].receive()
                if "said" in message:
                    self._heard[peer].put(message["said"])
                elif "lost" in message:  # the first worker knows it from another one
                    return self._lose(message["lost"])
                elif "left" in message:
                    if message["left"]:
                        self._lose(f"{where} has stopped: {message['left']}")
                    return
        except (OSError, ValueError):
            self._lose(f"{where} is gone: its process has ended, its machine, or the connection to it")

    def _beat(self) -> None:
        while not self._left.wait(BEAT):
            for channel in self._channels.values():
                with suppress(OSError):
                    channel.beat()

    def _lose(self, sentence: str) -> None:
        with self._one_loss:
            if self.lost or self._left.is_set():
                return
            self.lost = sentence
        for peer in self._channels if self.rank == 0 else ():
            self._send(peer, {"lost": sentence})
        if self._left.wait(LET_GO):
            return
        _thread.interrupt_main()
        if not self._left.wait(GIVE_UP):  # it waits inside TensorFlow for what will never come
            self._say(sentence)
            os._exit(1)

    def _leave(self, why: str = "") -> None:
        """Tell the others, and hear nothing more."""
        if self._left.is_set():
            return
        self._left.set()
        for peer, channel in self._channels.items():
            self._send(peer, {"left": why})
            channel.end()


@contextmanager
def joined(addresses: Sequence[str], rank: int, about: Mapping[str, Any], say: Say) -> Iterator[Workers]:
    """Come together with the other workers, and stay so until `finish`, or until the block ends.

    Args:
        addresses: `host:port` of each worker, the same list everywhere; this one's is listened on, and no other.
        rank: of this worker: its place in the list, from 0.
        about: what must be the same everywhere, such as versions, under the names that a sentence calls them by.
        say: takes a sentence on what is being waited for.

    Raises:
        ValueError: if the addresses or the rank cannot be right, if not all workers come within `WAIT` seconds, or if
            one of them is about something else.
        WorkerLost: if one ends before the block does.
    """
    places = _places(addresses, rank)
    with _own(addresses[rank], places[rank], rank) as listener:
        hello = {"workers": list(addresses), "rank": rank}
        channels = _wait_for_all(listener, hello, say) if rank == 0 else _go_to_first(places, hello, say)
    workers = Workers(addresses, places, rank, channels, say)
    try:
        workers.must_agree(about)
        yield workers
        if not workers._left.is_set():
            workers.finish()
    except BaseException as error:
        _explain(workers, error)
        raise


def _explain(workers: Workers, error: BaseException) -> None:
    """Leave with a reason; where it was another worker that ended, raise that in place of what has come of it."""
    if workers._left.is_set():
        return
    if "ollective" in str(error):  # TensorFlow often notices first, and does not know who it was
        deadline = time.monotonic() + SILENCE + LET_GO
        while not workers.lost and time.monotonic() < deadline:
            time.sleep(0.1)
    lost = workers.lost and not isinstance(error, ValueError)  # which has a reason of its own
    why = "Ctrl-C" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
    workers._leave(workers.lost or why)
    if lost:
        raise WorkerLost(workers.lost) from error


def _difference(addresses: Sequence[str], said: Sequence[dict[str, Any]]) -> str:
    for rank, other in enumerate(said):
        for name in said[0] | other:
            here, there, part = said[0].get(name), other.get(name), ""
            if isinstance(here, dict) and isinstance(there, dict) and here != there:
                one = next(one for one in here | there if here.get(one) != there.get(one))
                here, there, part = here.get(one), there.get(one), f" ({one})"
            if here != there:
                return (
                    f"worker {rank}, {addresses[rank]}, has another {name}{part} than worker 0, {addresses[0]}: "
                    f"{_short(there)} and not {_short(here)}"
                )
    return ""


def _short(value: Any, most: int = 200) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _places(addresses: Sequence[str], rank: int) -> list[tuple[str, int]]:
    """(IPv4 address, port) of each worker.

    Raises:
        ValueError: if they cannot be those of several workers, of which this is one.
    """
    if len(addresses) < 2:
        raise ValueError(f"several workers need several addresses, host:port,host:port, got {','.join(addresses)!r}")
    if not 0 <= rank < len(addresses):
        raise ValueError(f"there are {len(addresses)} workers, so ranks go from 0 to {len(addresses) - 1}, got {rank}")
    places: list[tuple[str, int]] = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"a worker's address is host:port, such as 10.0.0.5:2222, got {address!r}")
        try:
            found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
        except (OSError, UnicodeError):
            raise ValueError(f"{address}: there is no machine {host!r} with an IPv4 address") from None
        place = (str(found[0]), int(found[1]))
        if place in places:
            raise ValueError(f"{address} is the address of two workers; each needs its own, if only another port")
        if place[0] == "0.0.0.0":
            raise ValueError(
                f"{address}: the others could not find it; name the machine, or its address in their network"
            )
        places.append(place)
    if len({place[0].startswith("127.") for place in places}) > 1:
        raise ValueError(
            f"{','.join(addresses)}: some are addresses of a machine for itself, which no other one reaches; name each "
            "by its address in their network"
        )
    return places


def _own(address: str, place: tuple[str, int], rank: int) -> socket.socket:
    """A socket that listens on this worker's address, and on no other one of this machine.

    Raises:
        ValueError: if it cannot.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # there it would let two listen at once
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"{address}: another program has that port, or this worker runs already; take another port, or wait"
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise ValueError(
                f"{address} is not this machine's address; is {rank} its place in the list, counted from 0?"
            ) from None
        raise ValueError(f"{address}: cannot be listened on ({error.strerror})") from None
    return listener


def _wait_for_all(listener: socket.socket, hello: dict[str, Any], say: Say) -> "dict[int, _Channel]":
    """The first worker's part of the roll call."""
    addresses = hello["workers"]
    channels: dict[int, _Channel] = {}
    deadline = time.monotonic() + WAIT
    said = ""
    while True:
        _beat_those_there(channels)
        missing = [rank for rank in range(1, len(addresses)) if rank not in channels]
        if not missing:
            return channels
        names = ", ".join(f"{rank} ({addresses[rank]})" for rank in missing)
        if names != said:
            say(f"waiting for worker {names}")
        said = names
        if time.monotonic() > deadline:
            late = f"worker {names} did not come within {WAIT} seconds; start it, or look at the network"
            for channel in channels.values():
                with suppress(OSError):
                    channel.send({"left": late})
                channel.end()
            raise ValueError(late)
        listener.settimeout(min(BEAT, max(0.1, deadline - time.monotonic())))
        try:
            connection = listener.accept()[0]
        except TimeoutError:
            continue
        try:
            channel = _Channel(connection, HELLO)
            other = _hello_of(channel)
            if type(other["rank"]) is not int:
                continue
            if other["rank"] in channels:  # perhaps it was stopped, and is there again
                for _ in range(2):
                    _beat_those_there(channels)
                    time.sleep(REFUSE)
            if other["workers"] != addresses:
                theirs = _short(",".join(map(str, other["workers"])))  # repr: a stranger may send what a terminal obeys
                wrong = f"a worker was started with --workers {theirs!r}, worker 0 with "
                refusal = f"{wrong}{','.join(addresses)}; all need the same list"
            elif other["rank"] in channels or not 0 < other["rank"] < len(addresses):
                refusal = f"there is a worker of rank {other['rank']} already; each needs its own"
            else:
                refusal = ""
            channel.send({"left": refusal} if refusal else {"welcome": True})
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no worker of ours
        if refusal:
            channel.end()
            say(refusal)
        else:
            channel.wait_for(SILENCE)
            channels[other["rank"]] = channel


def _beat_those_there(channels: "dict[int, _Channel]") -> None:
    """A sign of life to those that wait for the rest; whoever has gone again is taken off, and may come again."""
    for rank, channel in list(channels.items()):
        try:
            channel.beat()
        except OSError:
            del channels[rank]


def _hello_of(channel: "_Channel") -> dict[str, Any]:
    """What a newcomer says of itself, all of it within `HELLO` seconds."""
    limit = threading.Timer(HELLO, channel.cut)
    limit.start()
    try:
        return channel.receive(LONGEST_HELLO)
    finally:
        limit.cancel()


def _go_to_first(places: Sequence[tuple[str, int]], hello: dict[str, Any], say: Say) -> "dict[int, _Channel]":
    """The part of every other one."""
    first = hello["workers"][0]
    deadline = time.monotonic() + WAIT
    told = False
    while True:
        try:
            connection = socket.create_connection(places[0], HELLO, (places[hello["rank"]][0], 0))
            channel = _Channel(connection, SILENCE)
            channel.send(hello)
            answer = channel.receive(LONGEST_HELLO)
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                heard = (error.strerror or str(error)) if isinstance(error, OSError) else "what answers is no worker"
                raise ValueError(
                    f"worker 0, {first}, did not answer within {WAIT} seconds ({heard}); start it, or look at the "
                    "network"
                ) from None
            if not told:
                say(f"waiting for worker 0 ({first})")
            told = True
            time.sleep(TRY_AGAIN)
            continue
        if "welcome" not in answer:
            raise ValueError(str(answer.get("left")))
        return {0: channel}


class _Channel:
    """Messages over a socket, one json object a line."""

    def __init__(self, connection: socket.socket, seconds: float):
        connection.settimeout(seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._one_sends = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._one_sends:
            for start in range(0, len(data), PIECE):  # the time limit is one for each call
                self._socket.sendall(data[start : start + PIECE])

    def beat(self) -> None:
        """Give a sign of life, unless something is being sent, which is one."""
        if self._one_sends.acquire(blocking=False):
            try:
                self._socket.sendall(b"{}\n")
            finally:
                self._one_sends.release()

    def receive(self, longest: int = -1) -> dict[str, Any]:
        """The next message.

        Raises:
            OSError, ValueError: if none comes any more, or what comes is none.
        """
        try:
            message = json.loads(self._lines.readline(longest))
        except RecursionError as error:
            raise ValueError("not a message") from error
        if not isinstance(message, dict):
            raise ValueError("not a message")
        return message

    def wait_for(self, seconds: float) -> None:
        """From now on so long for a message."""
        self._socket.settimeout(seconds)

    def end(self) -> None:
        """Send no more; what the other end still says can be heard."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Neither send nor hear any more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
