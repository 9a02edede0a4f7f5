"""Crash after crash: is it the networks, or is something broken?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run.causes import from_outside, without_numbers

if TYPE_CHECKING:
    from nas.run.state import SearchState, Trial

CHECK = "check"  # origin of a training that tells
SAME = 5  # equal crashes in a row that raise the question


def hopeless(state: SearchState) -> bool:
    """Whether to give up: the last crashes are alike, and not because of the networks.

    Something else is to blame if nothing has ever succeeded, if their reason says so, or if a
    network crashed among them that had succeeded before (:func:`suspect`).
    """
    streak = _streak(state)
    if not streak:
        return False
    return not state.reached or from_outside(streak[-1].reason) or any(one.origin == CHECK for one in streak)


def suspect(state: SearchState) -> Trial | None:
    """A trial that succeeded, to be run again with a fresh seed; None if crashes give no reason.

    Half of a space may crash, and chance makes rows of any length. A training that went well before tells
    such a row from a machine that is broken.
    """
    streak = _streak(state)
    if not streak or hopeless(state) or any(one.origin == CHECK for one in state.open_trials()):
        return None
    known = (one for one in state.trials.values() if one.error is not None and not one.repeat)
    return min(known, key=lambda one: one.epochs)  # the first of the lowest rung


def _streak(state: SearchState) -> list[Trial]:
    """The crashes since the last success if the last five are alike, else none."""
    row = [state.trials[number] for number in state.crashed[len(state.crashed) - state.crashes_in_a_row :]]
    alike = len(row) >= SAME and len({without_numbers(one.reason) for one in row[-SAME:]}) == 1
    return row if alike else []
