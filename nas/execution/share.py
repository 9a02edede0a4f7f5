"""How many trials share a GPU in a session: as asked, as an earlier session measured, or as measured now."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.execution import gpus, mps
from nas.execution.share_measure import measure, starts
from nas.execution.share_rule import NUMBERS, Level, choose
from nas.run.events import SessionStarted
from nas.util import output
from nas.util.quantities import format_duration
from search_spaces.points import cost_ends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nas.execution.settings import MachineSettings, WorkerSettings
    from nas.run.events import Event

_LOOK = 15.0  # seconds between checks of the daemon
_WORTH = 3600.0  # a minute of measuring pays in searches at least this long, seconds


@dataclass
class GpuSharing:
    """How trials share this machine's GPUs, with the MPS daemon for it; to be closed at the end.

    Attributes:
        trials: Number of trials at a time on one GPU.
        gpus: Number of this machine's GPUs that are used.
        reason: Why this number of trials, in one line; "" where there was nothing to decide.
        service: Whose MPS daemon is used: ``private``, ``found`` or ``none``.
        cards: Models of the GPUs.
        levels: The measurements behind the decision, possibly of an earlier session.
    """

    trials: int = 1
    gpus: int = 0
    reason: str = ""
    service: str = "none"
    cards: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    _daemon: mps.MpsDaemon | None = None
    _looked: float = field(default_factory=time.monotonic)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for trial processes."""
        return {} if self._daemon is None else dict(self._daemon.environment)

    @property
    def gain(self) -> float:
        """Throughput of the trials that share a GPU, relative to one trial alone; 1 if not measured."""
        chosen = next((level for level in self.levels if level.trials == self.trials), None)
        return 1.0 if chosen is None else chosen.throughput / self.levels[0].throughput

    def facts(self) -> dict[str, Any]:
        """Returns fields for the journal's ``session`` event; empty where there was nothing to decide."""
        if not self.reason:
            return {}
        levels = [[level.trials, list(level.seconds)] for level in self.levels]
        facts = {"trials_per_gpu": self.trials, "mps": self.service, "reason": self.reason}
        return {"sharing": {**facts, "cards": list(self.cards), "levels": levels}}

    def check_daemon(self) -> str:
        """Checks the daemon at intervals and restarts it if it died.

        Returns:
            What happened to it, in one line, else "". If it does not start again, ``trials`` is 1.
        """
        if self._daemon is None or time.monotonic() - self._looked < _LOOK:
            return ""
        self._looked = time.monotonic()
        if self._daemon.alive():
            return ""
        try:
            self._daemon.restart()
        except mps.MpsUnavailable as error:
            self.close()
            self.trials, self.service = 1, "none"
            return f"the MPS daemon died and does not start again ({error}): one trial at a time on a GPU"
        return "the MPS daemon died and was started again"

    def close(self) -> None:
        """Ends the daemon, if this run started it."""
        if self._daemon is not None:
            self._daemon.close()
        self._daemon = None


def decide(
    machine: MachineSettings,
    settings: WorkerSettings,
    kept: GpuSharing | None = None,
    seconds: float = math.inf,
) -> GpuSharing:
    """Decides how many trials share a GPU, and starts the MPS daemon if they need it.

    Args:
        machine: Where trials run.
        settings: What trial processes need to know.
        kept: The decision and measurements of an earlier session of the run.
        seconds: The search's time budget, seconds; nothing is measured in a short one.
    """
    names = [] if _elsewhere(machine) or machine.device == "cpu" else gpus.visible()
    if not names:
        return GpuSharing()
    number = len(names) if machine.device in ("auto", "cuda") else 1
    asked = _asked(machine, number)
    if asked == 1:
        return GpuSharing(gpus=number)
    shared = GpuSharing(gpus=number, cards=tuple(gpus.models(names)))
    if asked is None and kept is None and seconds < _WORTH:
        length = format_duration(seconds)
        shared.reason = f"one trial at a time on a GPU: measuring how many pay takes a minute of {length}"
        return shared
    try:
        _share(shared, names, asked, settings, kept)
    except mps.MpsUnavailable as error:
        shared.close()
        if asked is None:
            shared.trials, shared.reason = 1, f"one trial at a time on a GPU: {error}"
        else:
            shared.trials = asked
            shared.reason = f"{asked} trials take turns on a GPU, without MPS: {error}"
    except BaseException:
        shared.close()
        raise
    return shared


def previous(events: Iterable[Event]) -> GpuSharing | None:
    """Returns the result of the last session that measured, None if none did."""
    found = None
    for event in events:
        if isinstance(event, SessionStarted) and isinstance(event.sharing, dict):
            found = _read(event.sharing) or found
    return found


def _read(facts: dict[str, Any]) -> GpuSharing | None:
    """Reads a journal's fields; None if they are not as this program writes them."""
    try:
        levels = tuple(Level(int(trials), tuple(map(float, rest))) for trials, rest in facts["levels"])
        cards = tuple(str(card) for card in facts["cards"])
        if not levels or choose(levels).trials not in NUMBERS:
            return None
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return GpuSharing(choose(levels).trials, levels=levels, cards=cards)


def _elsewhere(machine: MachineSettings) -> bool:
    return machine.dask_scheduler not in ("", "none") or machine.cluster not in ("", "none")


def _asked(machine: MachineSettings, number: int) -> int | None:
    """Returns the number of trials per GPU that the settings ask for, None to measure it."""
    if machine.workers is not None:
        return -(-machine.workers // number)
    if machine.trials_per_gpu == "auto":
        return 1 if machine.reference else None
    return machine.trials_per_gpu


def _share(
    shared: GpuSharing,
    names: list[str],
    asked: int | None,
    settings: WorkerSettings,
    before: GpuSharing | None,
) -> None:
    """Fills in the decision.

    Raises:
        MpsUnavailable: If MPS is not available.
    """
    if before is not None and before.cards != shared.cards:
        before = None
    if asked is None and before is not None and before.trials == 1:
        shared.levels, shared.reason = before.levels, f"{_words(before.levels)} (as measured before)"
        return
    if gpus.MIG in shared.cards:
        raise mps.MpsUnavailable("it is split up (MIG)")
    if asked is None and len(set(shared.cards)) > 1:
        raise mps.MpsUnavailable(f"they are of different kinds ({', '.join(sorted(set(shared.cards)))})")
    if mps.answers():
        shared.service = "found"
    elif folder := os.environ.get(mps.PIPES):
        raise mps.MpsUnavailable(f"{mps.PIPES} is set to {folder}, but no MPS daemon answers there")
    else:
        shared._daemon, shared.service = mps.MpsDaemon(names), "private"
    chosen = dict(shared.environment)
    if settings.device in ("auto", "cuda"):
        chosen["CUDA_VISIBLE_DEVICES"] = names[0]
    whose = "a daemon that was there" if shared.service == "found" else "a daemon of its own"
    if asked is not None:
        starts(settings, chosen)
        shared.trials, shared.reason = asked, f"{asked} trials share a GPU through MPS ({whose}), as asked"
    elif before is not None:
        starts(settings, chosen)
        shared.trials, shared.levels = before.trials, before.levels
        shared.reason = f"{_words(before.levels)} (as measured before), through MPS ({whose})"
    else:
        output.doing(
            "measuring how many trials share a GPU: a minute or two; a number of trials per GPU skips it"
        )
        shared.levels = measure(settings, chosen, _points(settings.space), shared.gpus)
        shared.trials = choose(shared.levels).trials
        shared.reason = _words(shared.levels)
        if shared.trials == 1:  # then taking turns is as fast, and there is one process fewer that can fail
            shared.close()
            shared.service = "none"
        else:
            shared.reason += f", through MPS ({whose})"


def _points(name: str) -> list[dict[str, Any] | str]:
    """Returns the configurations to measure, or names that the trial process resolves."""
    space = search_spaces.get(name)
    named = cost_ends(space)
    return [named.get("cheapest", "cheapest"), space.default, named.get("costliest", "costliest")]


def _words(levels: tuple[Level, ...]) -> str:
    """Describes the decision with the figures behind it."""
    one, chosen = levels[0], choose(levels)
    figures = ", ".join(
        f"{level.trials} together {level.throughput / one.throughput:.2f} times one's speed"
        for level in levels[1:]
    )
    head = "one trial" if chosen.trials == 1 else f"{chosen.trials} trials"
    return f"{head} at a time on a GPU: {figures or 'no more fit into memory or have a core'}"
