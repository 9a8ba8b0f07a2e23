"""Runs several tasks in parallel, each on its share of the machine, and shows progress."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from personsearch.processes import last_line
from personsearch.progress import PLAIN_INTERVAL_SECONDS
from personsearch.studies.processes import Place, Subprocesses
from personsearch.studies.runs import LOG, PROMPT, Outcome, Task, execute

SHOWN_WORDS = 60
Execute = Callable[[Task, Place], Outcome]


@contextmanager
def in_subprocesses() -> Iterator[Execute]:
    """Execute runs as subprocesses; those still running are terminated at the end of the block."""
    run = Subprocesses()
    try:
        yield lambda task, place: execute(task, run, place)
    finally:
        run.stop()


def run_tasks(tasks: Sequence[Task], jobs: int, do: Execute) -> list[Outcome]:
    """Run all tasks, `jobs` at a time; returns their outcomes in the order of `tasks`."""
    places: SimpleQueue[Place] = SimpleQueue()
    for place in shares(jobs):
        places.put(place)

    def one(task: Task) -> Outcome:
        place = places.get()
        try:
            return do(task, place)
        finally:
            places.put(place)

    pool = ThreadPoolExecutor(jobs)
    try:
        futures = {pool.submit(one, task): task for task in tasks}
        _watch(futures)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def shares(jobs: int) -> list[Place]:
    """Divide the machine among `jobs`: cores evenly, GPUs round robin."""
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    gpus = torch.cuda.device_count() if jobs > 1 else 0
    return [Place(threads, job % gpus if gpus else None) for job in range(jobs)]


def _watch(futures: Mapping[Future[Outcome], Task]) -> None:
    """Wait until all are done, with a line for each task that ends and the last output of the others in between."""
    waiting = dict(futures)
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(stderr=True, soft_wrap=True), disable=not sys.stderr.isatty(), transient=True,
    ) as bar:  # fmt: skip
        runs, spoken = bar.add_task("runs", total=len(futures), words=""), time.monotonic()
        said = ""
        while waiting:
            done, _ = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                bar.console.print(
                    _line(waiting.pop(future), future.result()), highlight=False, markup=False, soft_wrap=True
                )
            words = "; ".join(_words(task) for future, task in waiting.items() if future.running())
            bar.update(runs, completed=len(futures) - len(waiting), words=words)
            if bar.disable and words not in {"", said} and time.monotonic() - spoken >= PLAIN_INTERVAL_SECONDS:
                said, spoken = words, time.monotonic()
                counted = f"{len(futures) - len(waiting)}/{len(futures)} runs"
                bar.console.print(f"{counted}; {words}", highlight=False, markup=False, soft_wrap=True)


def _line(task: Task, outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{task.name}: failed: {outcome.error}"
    figures = "  ".join(f"{name} R@1 {metrics['r1']:.2f}" for name, metrics in outcome.tests.items())
    return f"{task.name}: {figures}"


def _words(task: Task) -> str:
    said = last_line(task.folder / LOG)
    if said.startswith(PROMPT):
        said = f"{said.removeprefix(PROMPT).split()[0]} starting"
    return f"{task.name}: {said[:SHOWN_WORDS]}"
