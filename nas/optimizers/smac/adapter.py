"""SMAC behind the ask/tell protocol."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
from smac.runhistory import StatusType, TrialInfo, TrialValue

from nas.optimizers.prior import Prior
from nas.optimizers.protocol import Suggestion
from nas.optimizers.smac.candidates import Candidates, distinct, key
from nas.optimizers.smac.facade import CRASH_COST, make_facade
from nas.optimizers.smac.feasible import Feasible
from nas.optimizers.smac.snapshot import write_snapshot
from nas.optimizers.smac.tradeoff import Tradeoff
from nas.util.errors import UserError
from nas.util.quantities import counted
from nas.util.seeds import derive
from search_spaces.base import config_id, plain
from search_spaces.points import COST_ENDS, named_points

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ConfigSpace import Configuration, ConfigurationSpace

    from nas.optimizers.objectives import Costs
    from nas.optimizers.protocol import Earlier, Fidelity, Outcome
    from nas.optimizers.settings import OptimizerSettings
    from search_spaces.base import Config, SearchSpace

DEFAULT, POINT, INITIAL, PROMOTION = "default", "named point", "initial design", "promotion"
RECALLED, BELIEVED = "earlier run", "prior"
_RECALLED = 3  # that begin the search anew: enough to see how its errors go with the earlier ones
_DRAWS = 10  # a strong prior draws the same again and again


class SmacOptimizer:
    """Implements :class:`nas.optimizers.protocol.Optimizer` with SMAC 2.4.1's multi-fidelity facade."""

    def __init__(
        self,
        space: SearchSpace,
        fidelity: Fidelity,
        settings: OptimizerSettings,
        *,
        seed: int,
        earlier: Sequence[Earlier] = (),
        costs: Costs | None = None,
    ) -> None:
        """Starts with an empty history.

        Raises:
            UserError: If an earlier result or the prior is not of the space.
        """
        configspace = space.configspace()
        self._rungs = fidelity.rungs
        self._patient = settings.ask_ahead == "low"
        self._candidates = Candidates(configspace)
        self._feasible = None if costs is None else self._feasible_part(space, configspace, costs, seed)
        recalled = [(self._candidates.encode(e.config, RECALLED), e.error) for e in earlier]
        recalled.sort(key=lambda pair: pair[1])
        prior = Prior.parse(settings.prior, space)
        n_initial, min_trials = settings.first(len(fidelity.rungs))
        rng = np.random.RandomState(derive(seed, "initial design"))
        initial = self._initial_configs(space, n_initial, [config for config, _ in recalled], prior, rng)
        self._facade = make_facade(
            configspace,
            self._candidates,
            initial,
            fidelity,
            settings,
            min_trials=min_trials,
            prior=prior,
            seed=seed,
            earlier=recalled,
            cost_models=self._cost_models(configspace, costs, fidelity),
        )
        self._brackets = self._facade.intensifier
        if self._tradeoff is not None:
            self._brackets.prefer, self._brackets.eligible = self._tradeoff.prefer, self._tradeoff.eligible
        self._selector = self._brackets.selector
        if self._selector.learns_rungs:
            self._brackets.first_rung = lambda: self._selector.lowest
            self._brackets.compares_rungs = True
        self._pending: dict[tuple[str, int], TrialInfo] = {}
        self._begin: float | None = None
        self._ids: dict[Configuration, str] = {}

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Proposes the next trial.

        Args:
            speculative: Then None also says that all that is left is to open a new bracket while a
                pending outcome below the highest rung decides a promotion, or that the model is to choose
                while the only pending trial is at the highest rung: its outcome is the most telling there
                is, and worth the seconds of a device that has nothing prepared.

        Returns:
            The trial; None, speculative or not, if the space is exhausted and nothing can be
            promoted before a pending trial ends.
        """
        if self._brackets.waiting() is None:
            if speculative and (self._brackets.decides_by_pending() or self._awaits()):
                return None
            if not self._brackets.draw():
                return None
        trial = self._facade.ask()
        suggestion = Suggestion(plain(trial.config), round(cast("float", trial.budget)), self._origin(trial))
        self._pending[_name(suggestion)] = trial
        return suggestion

    def replay(self, suggestion: Suggestion) -> None:
        """Repeats an earlier answer without computing it again.

        Raises:
            UserError: If this optimiser would have asked another rung or promoted another
                configuration, or could not have proposed this one.
        """
        try:
            self._retrace(suggestion)
        except UserError as error:
            raise UserError(
                f"journal: {_told(suggestion)} does not fit this version, space or settings ({error}); "
                "start a new run"
            ) from None

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Reports how a trial ended; an error that is no finite number counts as a crash."""
        trial = self._pending.pop(_name(suggestion))
        error = math.nan if outcome.error is None else outcome.error
        crashed = not math.isfinite(error)
        if self._begin is None:
            self._begin = outcome.started
        self._facade.optimizer.elapsed = max(outcome.ended - self._begin, self._facade.optimizer.elapsed)
        value = TrialValue(
            cost=CRASH_COST if crashed else float(error),
            time=outcome.seconds,
            status=StatusType.CRASHED if crashed else StatusType.SUCCESS,
            starttime=outcome.started,
            endtime=outcome.ended,
            additional_info={**outcome.metrics, **({"reason": outcome.reason} if outcome.reason else {})},
        )
        self._facade.tell(trial, value, save=False)
        self._selector.observe(
            trial.config,
            suggestion.epochs,
            None if crashed else float(error),
            blameless=outcome.blameless,
            curve={} if crashed else outcome.curve,
        )
        if self._tradeoff is not None:
            row = trial.config.get_array()
            self._tradeoff.observe(row, suggestion.epochs, None if crashed else float(error), outcome.metrics)
            # Who goes on depends on who went on before, so it must not depend on when the next is asked for.
            self._brackets.settle()

    def tell_repeat(self, config: Config, epochs: int, error: float) -> None:
        """Reports a further training with another seed: the model learns from it, SMAC's history does not."""
        self._selector.observe(self._candidates.encode(config), epochs, error)

    def lowest_rung(self) -> int:
        """Returns the epochs of the rung at which new configurations begin, given the results so far."""
        return self._rungs[self._selector.lowest]

    def promotable(self) -> set[str]:
        """Returns ids of configurations that may yet be asked at a higher rung; crashed ones never are."""
        return {self._id(config) for config in self._brackets.promotable()}

    def save(self, folder: Path) -> None:
        """Writes SMAC's scenario, configspace, runhistory, intensifier and optimization files."""
        finished = self._selector.exhausted and not self._pending and not self.promotable()
        write_snapshot(self._facade, folder, self._facade.optimizer.elapsed, finished)

    def _awaits(self) -> bool:
        """Whether the model awaits the only pending trial, which is at the highest rung."""
        longest = [epochs for _, epochs in self._pending] == [self._rungs[-1]]
        return self._patient and longest and self._selector.will_choose()

    def _retrace(self, suggestion: Suggestion) -> None:
        config = self._candidates.encode(suggestion.config)
        if not self._selector.has_yielded(config):
            config.origin = suggestion.origin
            self._selector.give(config)
        asked = self.ask()
        self._selector.give(None)
        if asked is None:
            raise UserError("nothing is left to try")
        if _name(asked) != _name(suggestion):
            raise UserError(f"next is {_told(asked)}")

    def _initial_configs(
        self,
        space: SearchSpace,
        n: int,
        recalled: Sequence[Configuration],
        prior: Prior | None,
        rng: np.random.RandomState,
    ) -> list[Configuration]:
        """The default, the named points, then the best of an earlier search; random ones if there is none."""
        named = [(DEFAULT, space.default)]
        named += [(POINT, point) for name, point in named_points(space).items() if name not in COST_ENDS]
        chosen: dict[bytes, Configuration] = {}
        points = self._fitting([self._candidates.encode(*point[::-1]) for point in named])
        for config in [*points, *self._fitting(recalled)[:_RECALLED]]:
            if len(chosen) < n:
                chosen.setdefault(key(config.get_array()), config)
        fresh = 0 if recalled else n - len(chosen)
        believed = prior.sample(_DRAWS * fresh, rng) if prior else ()
        likely = [self._candidates.decode(row, BELIEVED) for row in distinct(believed, chosen)]
        for config in self._fitting(likely)[:fresh]:
            chosen[key(config.get_array())] = config
            fresh -= 1
        unseen = self._candidates.unseen if self._feasible is None else self._feasible.draw
        rows = unseen(fresh, chosen, rng)
        return [*chosen.values(), *(self._candidates.decode(row, INITIAL) for row in rows)]

    def _feasible_part(
        self, space: SearchSpace, configspace: ConfigurationSpace, costs: Costs, seed: int
    ) -> Feasible:
        points = [space.default, *space.points.values()]  # the cheapest is where few others keep a limit
        anchors = [self._candidates.encode(point) for point in points]
        return Feasible(configspace, self._candidates, costs, anchors, derive(seed, "costs"))

    def _cost_models(
        self, configspace: ConfigurationSpace, costs: Costs | None, fidelity: Fidelity
    ) -> tuple[Feasible, Tradeoff] | None:
        self._tradeoff: Tradeoff | None = None
        if costs is None or self._feasible is None:
            return None
        self._tradeoff = Tradeoff(configspace, costs, self._feasible.model, fidelity.rungs)
        return self._feasible, self._tradeoff

    def _fitting(self, configs: Sequence[Configuration]) -> list[Configuration]:
        """Returns the configurations that keep the known limits."""
        if self._feasible is None or not configs:
            return list(configs)
        fits = self._feasible.model.fitting([config.get_array() for config in configs])
        return [config for config, good in zip(configs, fits, strict=True) if good]

    def _id(self, config: Configuration) -> str:
        if config not in self._ids:
            self._ids[config] = config_id(config)
        return self._ids[config]

    def _origin(self, trial: TrialInfo) -> str:
        known = self._facade.runhistory.get_trials(trial.config)
        return PROMOTION if known else str(trial.config.origin)


def _name(suggestion: Suggestion) -> tuple[str, int]:
    return config_id(suggestion.config), suggestion.epochs


def _told(suggestion: Suggestion) -> str:
    return f"{config_id(suggestion.config)} for {counted(suggestion.epochs, 'epoch')}"
