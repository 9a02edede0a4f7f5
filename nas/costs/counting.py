"""Inside the counting process: builds networks on the meta device and counts them, one after another.

Light to import, since the search imports it too; torch is imported only inside the process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nas.util import signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from nas.execution.counted import CountedNetwork
    from search_spaces.base import Config

    Counts = dict[str, float]


def main(pipe: Connection, task: CountedNetwork) -> None:
    """Entry point of the process: answers each list of configurations until the pipe closes.

    Args:
        pipe: Receives lists of configurations; sends for each a list of costs by name, or of reasons for
            none.
        task: The network to count.
    """
    signals.ignore_ending()
    silence = os.open(os.devnull, os.O_WRONLY)  # output of libraries would spoil the terminal
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    count = _counter(task)
    while True:
        try:
            configs = pipe.recv()
        except EOFError:  # the search ended, for whatever reason
            return
        pipe.send([_told(count, config) for config in configs])


def _told(count: Callable[[Config], Counts], config: Config) -> Counts | str:
    try:
        return count(config)
    except Exception as error:  # a user's space may raise anything
        return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:300]


def _counter(task: CountedNetwork) -> Callable[[Config], Counts]:
    import torch

    import search_spaces
    from nas.util.repeated_counts import RepeatedCounts

    torch.set_num_threads(1)
    space = search_spaces.get(task.space)
    geometry, side = task.geometry(space)
    counts = RepeatedCounts()

    def count(config: Config) -> Counts:
        stats = counts.count(
            lambda: space.network(config, geometry, task.num_classes, task.in_chans),
            side,
            task.in_chans,
            task.num_classes,
        )
        own = {name: float(space.costs[name](config, geometry)) for name in task.own}
        return {"macs": float(stats.macs), "params": float(stats.params), **own}

    return count
