"""Decides whether repeated crashes are due to the networks or to something broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run.causes import from_outside, without_numbers

if TYPE_CHECKING:
    from nas.run.state import SearchState, Trial

CHECK = "check"  # origin of a training that checks
SAME = 5  # equal crashes in a row that prompt a check


def hopeless(state: SearchState) -> bool:
    """Whether to end the search: the last crashes are alike and not caused by the networks.

    The cause lies elsewhere if no trial has ever succeeded, if the reasons say so, or if one of the crashed
    networks had succeeded before (:func:`suspect`).
    """
    streak = _streak(state)
    if not streak:
        return False
    return not state.reached or from_outside(streak[-1].reason) or any(one.origin == CHECK for one in streak)


def suspect(state: SearchState) -> Trial | None:
    """Returns a successful trial to run again with a fresh seed as a check; None if no check is due.

    Half of a space may crash, and then series of any length occur by chance. Repeating a successful training
    distinguishes such a series from a broken machine.
    """
    streak = _streak(state)
    if not streak or hopeless(state) or any(one.origin == CHECK for one in state.open_trials()):
        return None
    known = (one for one in state.trials.values() if one.error is not None and not one.repeat)
    return min(known, key=lambda one: one.epochs)  # the first of the lowest rung


def _streak(state: SearchState) -> list[Trial]:
    """Returns the crashes since the last success if the last five are alike, else none."""
    row = [state.trials[number] for number in state.crashed[len(state.crashed) - state.crashes_in_a_row :]]
    alike = len(row) >= SAME and len({without_numbers(one.reason) for one in row[-SAME:]}) == 1
    return row if alike else []
