"""optuna-dashboard for runs: one study each, mirrored while the search goes on."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from analysis.dashboard.ports import claim_port
from analysis.studies import page
from analysis.studies.live import LiveStorage, Mirror
from nas.run.folder import Run
from nas.util import output, signals
from nas.util.errors import UserError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

REFRESH = 2.0  # seconds between looks at the journals


def show(paths: Sequence[Path], port: int, prog: str, *, browse: bool) -> int:
    """Shows runs until a signal ends it; returns an exit code.

    Args:
        paths: Run folders.
        port: Port of the page; 0: any free one.
        prog: What begins a line of complaint.
        browse: Open the page in a browser.

    Raises:
        UserError: If a folder is no run or damaged, or the port cannot be had.
    """
    _quiet()
    runs = [Run.open(path) for path in {path.resolve(): path for path in paths}.values()]
    port = claim_port(port)
    stop = threading.Event()
    with signals.handled(lambda _: stop.set()):
        output.doing("reading the runs")
        storage = LiveStorage()
        mirrors = [Mirror(run, name, storage) for run, name in zip(runs, names(runs), strict=True)]
        for mirror in mirrors:
            mirror.refresh()
            if stop.is_set():
                return 0
        with page.served(storage, port) as address:
            output.doing("")
            shown = ", ".join(storage.get_study_name_from_id(mirror.study_id) for mirror in mirrors)
            target = f"{address}/dashboard" + (f"/studies/{mirrors[0].study_id}" if len(mirrors) == 1 else "")
            print(f"optuna-dashboard shows {shown} at {target}", flush=True)
            print("Ctrl-C ends it; its studies are in memory only, nothing is written", flush=True)
            if browse:
                import webbrowser

                webbrowser.open(target)
            _follow(mirrors, stop, prog)
    return 0


def names(runs: Sequence[Run]) -> list[str]:
    """Names of runs' studies: the run's, or its folder as it was typed where two have one name."""
    own = [run.name for run in runs]
    return [str(run.path) if own.count(name) > 1 else name for run, name in zip(runs, own, strict=True)]


def _follow(mirrors: Sequence[Mirror], stop: threading.Event, prog: str) -> None:
    """Keeps the studies up to date; of a run that cannot be followed they stay as they are."""
    followed = list(mirrors)
    said: set[str] = set()
    while not stop.wait(REFRESH):
        for mirror in list(followed):
            try:
                mirror.refresh()
            except UserError as error:
                print(f"{prog}: {error}; the page keeps what it has", file=sys.stderr, flush=True)
                followed.remove(mirror)
            except OSError as error:  # a file system that may come back
                line = f"{prog}: {mirror.run.journal}: {error.strerror or first_line(error)}"
                if line not in said:
                    said.add(line)
                    print(line, file=sys.stderr, flush=True)


def _quiet() -> None:
    """What optuna and its page log at a warning or less is of no use to who looks at a run."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna_dashboard").setLevel(logging.ERROR)
