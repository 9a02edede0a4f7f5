"""Of equal errors the cheaper network leads, in the search, in the list to confirm and after confirming."""

import pytest

from nas.run.incumbent import by_error_then_cost, leader
from nas.run.state import SearchState, Trial


def trial(number, error, macs):
    metrics = {} if macs is None else {"macs": macs}
    return Trial(number, f"c{number}", {}, 9, "asked", status="success", error=error, metrics=metrics)


@pytest.mark.parametrize(
    ("error", "macs", "better"),
    [(0.2, 1e6, True), (0.2, 2e6, False), (0.2, 3e6, False), (0.2, None, False), (0.1, 3e6, True)],
)
def test_a_tie_goes_to_the_cheaper(error, macs, better):
    state = SearchState()
    for one in (trial(1, 0.2, 2e6), trial(2, error, macs)):
        state.rung(9).ended(one)
    lead = leader(state, 9)
    assert lead is not None
    assert (lead.trial.trial == 2) == better


def test_sorting_puts_what_is_known_to_be_cheap_first():
    trials = [trial(1, 0.2, None), trial(2, 0.2, 3e6), trial(3, None, 1e6), trial(4, 0.2, 1e6)]
    assert [t.trial for t in sorted(trials, key=by_error_then_cost)] == [4, 2, 1, 3]
