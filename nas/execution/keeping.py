"""Which weights a run keeps: those of the incumbent, the baseline and the next best of the highest rung."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run.incumbent import leader, ranked
from nas.trial.weights import file_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.run.objectives import Objectives
    from nas.run.state import SearchState
    from nas.trial.weights import WeightStore

BEST = 3  # the default number that nas.confirm compares


def tidy(
    store: WeightStore, state: SearchState, max_epochs: int, objectives: Objectives | None = None
) -> None:
    """Removes the weights of networks that are no longer among the best.

    Weights of configurations that the state does not know stay: either their trial has not ended, or the
    journal was cut and the search will ask for them again.

    Args:
        store: Where the weights are.
        state: The search so far.
        max_epochs: The highest rung, whose networks alone keep weights.
        objectives: Objectives beside the error; if given, the networks of the front keep their weights.
    """
    best, lost = sorted_out(state, max_epochs, lambda key: store.path(key, max_epochs).is_file(), objectives)
    store.prune([file_name(key, max_epochs) for key in lost], [file_name(key, max_epochs) for key in best])


def sorted_out(
    state: SearchState,
    max_epochs: int,
    there: Callable[[str], bool] = lambda _: True,
    objectives: Objectives | None = None,
) -> tuple[list[str], list[str]]:
    """Splits trainings into those that keep their weights, the most important first, and those that do not.

    Of a configuration that was trained with several seeds, the best seed's are kept.

    Args:
        state: The search so far.
        max_epochs: The highest rung.
        there: Whether a training has weights.
        objectives: Objectives beside the error; if given, the networks of the front keep their weights.
    """
    best_first = ranked(state, max_epochs, objectives)
    ids = [lead.trial.config_id for lead in best_first]
    front = [] if objectives is None else objectives.front(state, max_epochs)
    lead = leader(state, max_epochs, objectives)
    first = [] if lead is None else [lead.trial.config_id]
    baseline = state.baseline(max_epochs)
    wanted = first if baseline is None else [*first, baseline.config_id]
    chosen = dict.fromkeys([*wanted, *(trial.config_id for trial in front), *ids[:BEST]])
    seeds = {name: state.seeds(name, max_epochs) for name in chosen}
    best = [next((key for key in keys if there(key)), keys[0]) for keys in seeds.values()]
    ended = {t.key for t in state.trials.values() if t.epochs == max_epochs and t.finished}
    running = {trial.key for trial in state.open_trials()}
    return best, sorted(ended - set(best) - running)
