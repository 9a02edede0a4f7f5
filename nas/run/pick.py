"""Picks a network of a front: ``knee``, ``max-macs=600M``, ``trial=12``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run.objectives import EPOCH_SECONDS, ERROR, KNEE, LATENCY, MEMORY, cost, format_cost, knee, title
from nas.util.errors import SettingError, UserError
from nas.util.quantities import parse_count, parse_duration, parse_milliseconds, parse_size

if TYPE_CHECKING:
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState

_RULE = "must be error, knee, trial=N or a limit such as max-macs=600M"


def pick(text: str, objectives: Objectives | None, state: SearchState, epochs: int) -> int:
    """Returns the number of the trial that the user picked.

    Args:
        text: What the user wrote.
        objectives: Objectives and limits of the run besides the error, None for none.
        state: The run.
        epochs: The highest rung.

    Raises:
        UserError: If the text is invalid, or no network of the front is within the limit.
    """
    what, _, value = text.partition("=")
    if what == "trial":
        if not value.isdecimal():
            raise SettingError("pick", text, _RULE, repr(text))
        return int(value)
    if objectives is None:
        raise SettingError("pick", text, "this run searched for the error alone; must be trial=N")
    front = objectives.front(state, epochs)
    if not front:
        raise SettingError("pick", text, "no network within the limits has been trained for all epochs yet")
    if text == ERROR:
        return objectives.best(front).trial
    if text == KNEE:
        return knee(front, objectives).trial
    if not what.startswith("max-") or not value:
        raise SettingError("pick", text, _RULE, repr(text))
    name = what.removeprefix("max-")
    name = EPOCH_SECONDS if name == "train-seconds" else name
    if name not in objectives.names:
        weighed = ", ".join(objectives.names)
        raise SettingError("pick", text, f"{name} was not weighed; this run weighed {weighed}")
    limit = _amount(name, value)
    fitting = [trial for trial in front if cost(trial, name) <= limit]
    if not fitting:
        least = format_cost(name, min(cost(trial, name) for trial in front))
        raise SettingError("pick", text, f"the cheapest network of the front has {least} {title(name)}")
    return objectives.best(fitting).trial


def _amount(name: str, text: str) -> float:
    readers = {LATENCY: parse_milliseconds, MEMORY: parse_size, EPOCH_SECONDS: parse_duration}
    try:
        return float(readers.get(name, parse_count)(text, "pick"))
    except SettingError as error:
        raise SettingError("pick", f"max-{name}={text}", error.rule) from None
    except UserError as error:
        raise SettingError("pick", f"max-{name}={text}", error.given) from None
