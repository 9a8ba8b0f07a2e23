"""Several processes that decode and encode pictures with one bundle, for a machine with many cores.

A process that is killed is started again, and what it was working on is given to it again. All of them end with the
process that started them.

Shapes: N pictures of a batch, H height, W width, D embedding dimension.
"""

import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Bundle, Preprocessing
from personsearch.encoders.decoding import Picture, ahead, decode
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.images import ImageRejected
from personsearch.processes import why_it_failed

IN_FLIGHT = 2  # batches that a process has: one that it works on, and the next
LIVES = 5  # of a process that ends before it has answered once since it was started
STOP_SECONDS = 10.0

T = TypeVar("T")
Answer = tuple[NDArray[np.float32], dict[int, ImageRejected]]


class EncoderProcesses:
    """Starts the processes when they are first needed; `close` ends them."""

    def __init__(self, bundle: Path, *, processes: int, threads: int) -> None:
        self._bundle = bundle
        self._threads = threads
        self._count = processes
        self._children: list[_Child] = []

    def encode(
        self, batches: Iterable[tuple[T, Sequence[Picture]]]
    ) -> Iterator[tuple[T, NDArray[np.float32], dict[int, ImageRejected]]]:
        """Unit vectors [N, D] of each batch's pictures that can be decoded, and why the others cannot, by their place.

        What a batch is named by comes back with it. Batches come in the order in which they are ready.

        Raises:
            UserError: a process ends again and again, or cannot load the bundle.
        """
        if not self._children:
            self._children = [_Child(self._bundle, self._threads) for _ in range(self._count)]
        given: dict[_Child, deque[tuple[T, Sequence[Picture]]]] = {child: deque() for child in self._children}
        try:
            yield from _encode(given, iter(batches))
        finally:
            if any(given.values()):  # nobody takes their answers any more
                self.close()

    def pids(self) -> list[int]:
        """The processes that run."""
        return [child.pid for child in self._children]

    def close(self) -> None:
        """End the processes."""
        for child in self._children:
            child.close()
        self._children = []


def _encode(
    given: "dict[_Child, deque[tuple[T, Sequence[Picture]]]]", coming: Iterator[tuple[T, Sequence[Picture]]]
) -> Iterator[tuple[T, NDArray[np.float32], dict[int, ImageRejected]]]:
    for child in list(given) * IN_FLIGHT:
        _give(child, given[child], coming)
    while any(given.values()):
        for child in _answering([child for child, held in given.items() if held]):
            answer = child.answer()
            if answer is None:  # it was started again
                for _, pictures in given[child]:
                    child.send(pictures)
            else:
                name, _ = given[child].popleft()
                _give(child, given[child], coming)
                yield name, *answer


def _give(
    child: "_Child", held: deque[tuple[T, Sequence[Picture]]], coming: Iterator[tuple[T, Sequence[Picture]]]
) -> None:
    if (batch := next(coming, None)) is not None:
        held.append(batch)
        child.send(batch[1])


def _answering(children: "Sequence[_Child]") -> "list[_Child]":
    ready = wait([child.connection for child in children])
    return [child for child in children if child.connection in ready]


class _Child:
    """One process and the connection to it."""

    def __init__(self, bundle: Path, threads: int) -> None:
        self._command = [sys.executable, "-m", __name__, str(bundle), str(threads)]
        self._lives = LIVES
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, pictures: Sequence[Picture]) -> None:
        with suppress(OSError):  # it has ended, which `answer` will find
            self.connection.send(pictures)

    def answer(self) -> Answer | None:
        """What it says to the oldest batch; None if it had ended and was started again.

        Raises:
            UserError: it ends again and again, or says why it cannot work.
        """
        try:
            answer: Answer | UserError = self.connection.recv()
        except (EOFError, OSError):
            self.close()
            self._lives -= 1
            if not self._lives:
                why = why_it_failed(self._process.returncode, "")
                raise UserError(f"a process that encodes ended {LIVES} times: {why}") from None
            self._start()
            return None
        if isinstance(answer, UserError):
            raise answer
        self._lives = LIVES
        return answer

    def close(self) -> None:
        self.connection.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [*self._command, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self.connection = Connection(ours.detach())


def main() -> None:
    """Answer until the other end closes."""
    bundle, threads, descriptor = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with Connection(descriptor) as connection, suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            encoder = load_graph_encoder(Bundle.open(bundle), threads)
            # Read ahead: the other end may be sending while this one sends, and neither may wait for the other.
            for pixels_NHW3, rejected in ahead(_decoded(connection, encoder.preprocessing)):
                connection.send((encoder.encode_images(pixels_NHW3), rejected))
        except UserError as error:
            connection.send(error)


def _decoded(
    connection: Connection, size: Preprocessing
) -> Iterator[tuple[NDArray[np.uint8], dict[int, ImageRejected]]]:
    while True:
        pictures: list[Picture] = connection.recv()
        yield decode(pictures, size, count=len(pictures))


if __name__ == "__main__":
    main()
