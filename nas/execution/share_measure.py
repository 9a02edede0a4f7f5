"""Measures the joint speed of trial processes that share a GPU."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.execution.messages import GO, READY, Facts, MeasureSpeed, Speed
from nas.execution.mps import MpsUnavailable
from nas.execution.process import TrialProcess
from nas.execution.share_rule import CONTEXT_BYTES, NUMBERS, Capacity, Level, fitting, pays
from nas.util import system
from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.execution.settings import WorkerSettings
    from search_spaces.base import Config

_WINDOW = 1.5  # seconds over which the speed of a configuration is measured
_PATIENCE = 300.0  # seconds for a process to get ready; a broken MPS server may let its clients hang


def starts(settings: WorkerSettings, environment: Mapping[str, str]) -> None:
    """Checks that a trial process finds the GPU with these environment variables.

    Raises:
        MpsUnavailable: If it does not find one.
        UserError: If the data are unusable.
    """
    with contextlib.ExitStack() as stack:
        _start(settings, environment, stack)


def measure(
    settings: WorkerSettings, environment: Mapping[str, str], configs: Sequence[Config | str], gpus: int
) -> tuple[Level, ...]:
    """Measures one, two, four, ... processes at once, up to the first doubling that does not pay.

    Args:
        settings: What trial processes need to know.
        environment: Environment variables that make them share one GPU.
        configs: Configurations to train briefly.
        gpus: Number of GPUs that will share the machine's cores and memory.

    Raises:
        MpsUnavailable: If processes do not start, or fail.
        UserError: If the data are unusable.
    """
    with contextlib.ExitStack() as stack:
        processes = [_start(settings, environment, stack)]
        first = [_together(processes, config) for config in configs]
        levels = [_level(first)]
        most = fitting(_room([answers[0] for answers in first], gpus))
        for number in NUMBERS[1:]:
            if number > most:
                break
            try:
                processes += _start_more(number - len(processes), settings, environment, stack)
                level = _level([_together(processes, config) for config in configs])
            except MpsUnavailable:
                if number == NUMBERS[1]:
                    raise
                break  # fewer did
            levels.append(level)
            if not pays(levels[-2], level):
                break
        return tuple(levels)


def _start(
    settings: WorkerSettings, environment: Mapping[str, str], stack: contextlib.ExitStack
) -> TrialProcess:
    process = TrialProcess(replace(settings, environment={**settings.environment, **environment}))
    stack.callback(process.close)
    answer = process.receive()
    if isinstance(answer, UserError) and not (isinstance(answer, SettingError) and answer.field == "device"):
        raise answer
    if not isinstance(answer, Facts):
        raise MpsUnavailable(f"a trial process does not start under MPS ({answer or process.exit_message()})")
    if not answer.hardware.device.startswith("cuda"):
        raise MpsUnavailable("a trial process finds no GPU under MPS")
    return process


def _start_more(
    number: int, settings: WorkerSettings, environment: Mapping[str, str], stack: contextlib.ExitStack
) -> list[TrialProcess]:
    with ThreadPoolExecutor(number) as pool:
        begun = [pool.submit(_start, settings, environment, stack) for _ in range(number)]
    return [one.result() for one in begun]


def _together(processes: Sequence[TrialProcess], config: Config | str) -> list[Speed]:
    """Makes all processes train a configuration during the same seconds."""
    for process in processes:
        process.send(MeasureSpeed(config, _WINDOW))
    for process in processes:
        if (answer := process.receive(_PATIENCE)) != READY:
            raise MpsUnavailable(_failed(process, answer))
    for process in processes:
        process.send(GO)
    found = []
    for process in processes:
        answer = process.receive(_PATIENCE)
        if not isinstance(answer, Speed):
            raise MpsUnavailable(_failed(process, answer))
        found.append(answer)
    return found


def _failed(process: TrialProcess, answer: object) -> str:
    return f"a trial process fails under MPS ({answer or process.exit_message()})"


def _level(answers: Sequence[Sequence[Speed]]) -> Level:
    """Averages the processes' speeds for each configuration."""
    seconds = [len(some) / sum(1 / one.epoch_seconds for one in some) for some in answers]
    return Level(len(answers[0]), tuple(seconds))


def _room(answers: Sequence[Speed], gpus: int) -> Capacity:
    return Capacity(
        gpu_bytes=min(answer.gpu_free for answer in answers) + CONTEXT_BYTES,
        gpu_each=max(answer.gpu_peak for answer in answers),
        host_bytes=(system.proc_bytes("/proc/meminfo", "MemAvailable") + answers[-1].resident) // gpus,
        host_each=max(answer.resident for answer in answers),
        cores=system.cores() // gpus,
    )
