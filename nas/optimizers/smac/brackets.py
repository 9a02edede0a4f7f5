"""Promotion: SMAC's successive halving and Hyperband, one step at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, cast

from smac.intensifier.hyperband import Hyperband
from smac.intensifier.successive_halving import SuccessiveHalving
from smac.runhistory import InstanceSeedBudgetKey, StatusType, TrialInfo, TrialKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ConfigSpace import Configuration
    from smac.scenario import Scenario

    from nas.optimizers.smac.selector import DerivedSelector


class Preference(Protocol):
    """Chooses which configurations are promoted."""

    def __call__(
        self, configs: Sequence[Configuration], errors: Sequence[float], budget: float, n: int
    ) -> list[int]:
        """Returns the indices of at most ``n`` of a finished group's configurations."""
        ...


def _least(configs: Sequence[Configuration], errors: Sequence[float], budget: float, n: int) -> list[int]:
    del configs, budget
    return sorted(range(len(errors)), key=errors.__getitem__)[:n]


def _poor(configs: Sequence[Configuration], errors: Sequence[float], n: int) -> Configuration | None:
    """Returns the second-worst configuration beyond the best ``n``: the worst may have learnt nothing."""
    beyond = sorted(range(len(errors)), key=errors.__getitem__)[n:]
    return configs[beyond[-2:][0]] if beyond else None


def _lowest() -> int:
    return 0


def _always(config: Configuration) -> bool:
    del config
    return True


class _Group(list["Configuration"]):
    """Configurations of a bracket at a rung, with what no longer changes about them.

    Attributes:
        asked: How many, from the first, have been asked.
        decided: How many, from the first, have finished.
        contrast: The poor one that goes on with the best, to show how well the rungs agree.
    """

    asked = 0
    decided = 0
    contrast: Configuration | None = None


class StepwiseHalving(SuccessiveHalving):
    """SMAC's successive halving (arXiv 1502.07943) without its loop; tracker and rules stay SMAC's.

    SMAC samples all configurations of a bracket when it opens, and its loop is a suspended
    generator. Here every answer is a function of the tracker and the runhistory, so that one can
    see what would come next without making it happen. Run one trial at a time, the brackets and
    promotions are SMAC's (tested side by side); beyond that:

    * A configuration is sampled when it is needed, with the outcomes known by then.
    * Promotions go before new configurations, so that workers in parallel finish brackets first.
    * Where rungs are compared (``compares_rungs``), the very first configuration is trained to the end at
      once, and a poor one of the first bracket goes on with the best. Brackets begin at ``first_rung`` or
      above.
    * A crashed configuration is not promoted, even if that leaves a rung short of configurations.
    * If the space is exhausted, the last bracket makes do with the configurations there are. Then those that
      were not promoted go on too, the most promising first, until all are at the highest rung.
    * Rungs and their numbers of configurations are exact: by SMAC's logarithms and powers, 243 = 3^5
      epochs have one rung too few, and of 49 configurations with eta 7 none reaches the last rung.
    """

    _tracker: dict[tuple[int, int], list[tuple[int | None, _Group]]]  # type: ignore[assignment]  # narrower

    def __init__(self, scenario: Scenario, eta: int) -> None:
        self._filling: tuple[_Group, int] | None = None
        self._keys: dict[tuple[int, int], InstanceSeedBudgetKey] = {}
        self._settled = -1  # finished trials at the last pass over the groups; -1 if one was filled since
        self._ready = False
        self.prefer: Preference = _least
        self.eligible: Callable[[Configuration], bool] = _always
        self.first_rung: Callable[[], int] = _lowest
        self.compares_rungs = False
        self._contrasting: _Group | None = None
        super().__init__(scenario, eta=eta, incumbent_selection="highest_budget", seed=scenario.seed)

    @property
    def selector(self) -> DerivedSelector:
        """The selector, which provides the next configuration."""
        return cast("DerivedSelector", self.config_selector)

    def __post_init__(self) -> None:
        if self._ready:
            return
        super().__post_init__()
        self._ready = True
        for bracket, n in self._max_iterations.items():
            for stage in range(n):
                self._tracker[bracket, stage] = []
                # A single key, since the seed is SMAC's one and only: trials differ in budget alone.
                (self._keys[bracket, stage],) = self._get_instance_seed_budget_keys_by_stage(bracket, stage)

    def __iter__(self) -> Iterator[TrialInfo]:
        while (trial := self.waiting()) is not None or self.draw():
            if trial is not None:
                yield trial

    def waiting(self) -> TrialInfo | None:
        """Returns a trial of the open brackets that has not been asked, from the highest rung first."""
        self.settle()
        for place, groups in sorted(self._tracker.items(), key=self._height, reverse=True):
            for _, configs in groups:
                while configs.asked < len(configs):
                    config, key = configs[configs.asked], self._keys[place]
                    if self._status(config, key) is None:
                        return TrialInfo(config, key.instance, key.seed, key.budget)
                    configs.asked += 1
        return None

    def draw(self) -> bool:
        """Adds a configuration to the bracket, a new one if the last is full; False if there is none.

        In an exhausted space it takes the most promising of those that were not promoted.
        """
        self.__post_init__()
        if self.selector.exhausted:
            return self._take_on()
        config = next(self.config_generator)
        if self._filling is None:
            self._filling = self._open()
            if self._begins_at_the_top(config):
                return True
        configs, size = self._filling
        configs.append(config)
        if len(configs) == size or self.selector.exhausted:
            self._filling, self._settled = None, -1
        return True

    def _open(self) -> tuple[_Group, int]:
        """Begins a bracket; returns its first group and the number of configurations it will hold."""
        bracket = self._get_next_bracket()
        # Of Hyperband's brackets those that begin above the lowest rung have no stages below.
        above = len(self._budgets_in_stage[0]) - len(self._budgets_in_stage[bracket])
        stage = max(self.first_rung() - above, 0)
        group, size = _Group(), self._n_configs_in_stage[bracket][stage]
        self._tracker[bracket, stage].append((self._get_next_order_seed(), group))
        return group, size

    def _begins_at_the_top(self, config: Configuration) -> bool:
        """Whether a configuration is trained to the end at once: the very first, if rungs are compared."""
        if not self.compares_rungs or self._contrasting is not None or self._filling is None:
            return False
        group, size = self._filling
        self._contrasting, self._filling = group, (group, size - 1)
        self._tracker[0, self._max_iterations[0] - 1].append((None, _Group([config])))
        return True

    def _take_on(self) -> bool:
        left = self._left_behind()
        if not left:
            return False
        expected = self.selector.expected_errors()
        config, stage = min(left, key=lambda one: (expected[one[0]], -one[1]))
        self._tracker[0, stage + 1].append((None, _Group([config])))
        return True

    def _left_behind(self) -> list[tuple[Configuration, int]]:
        """Returns those left behind at a stage of the first bracket, which has all rungs."""
        found = []
        for config in self.runhistory.get_configs():
            steps = [self._status(config, self._keys[0, stage]) for stage in range(self._max_iterations[0])]
            found += [
                (config, stage)
                for stage, (below, above) in enumerate(pairwise(steps))
                if below == StatusType.SUCCESS and above is None and self.eligible(config)
            ]
        return found

    def decides_by_pending(self) -> bool:
        """Whether the next configuration would open a bracket while another's promotions are undecided.

        Also true while the first bracket has not yet shown what the rungs are worth.
        """
        if self._filling is not None:
            return False
        return any(
            not self._is_last(*place) or configs.contrast is not None
            for place, groups in self._tracker.items()
            for _, configs in groups
        )

    def promotable(self) -> list[Configuration]:
        """Returns the configurations that may yet be asked at a higher rung than they have finished."""
        found = []
        for place, groups in self._tracker.items():
            last = self._is_last(*place)
            for _, configs in groups:
                for config in configs[configs.asked :] if last else configs:
                    status = self._status(config, self._keys[place])
                    if status is None or not (last or status == StatusType.CRASHED):
                        found.append(config)
        if self.selector.exhausted:
            found += [config for config, _ in self._left_behind()]
        return found

    def settle(self) -> None:
        """Moves the best of every finished group up, as SMAC does at every pass of its loop."""
        self.__post_init__()
        if self._settled == self.runhistory.finished:
            return
        self._settled = self.runhistory.finished
        for (bracket, stage), groups in self._tracker.items():
            for group in list(groups):
                seed, configs = group
                if self._filling is not None and configs is self._filling[0]:
                    continue
                if not self._decided(configs, self._keys[bracket, stage]):
                    continue
                groups[:] = [other for other in groups if other is not group]
                if best := self._best(configs, bracket, stage):
                    higher = _Group(best)
                    higher.contrast = configs.contrast
                    self._tracker[bracket, stage + 1].append((seed, higher))

    def _decided(self, configs: _Group, key: InstanceSeedBudgetKey) -> bool:
        while configs.decided < len(configs):
            if self._status(configs[configs.decided], key) in (None, StatusType.RUNNING):
                return False
            configs.decided += 1
        return True

    def _best(self, configs: _Group, bracket: int, stage: int) -> list[Configuration]:
        if self._is_last(bracket, stage):
            return []
        key = self._keys[bracket, stage]
        alive = [config for config in configs if self._status(config, key) == StatusType.SUCCESS]
        # One objective, and a budget: SMAC's types allow for others.
        errors = [cast("float", self.runhistory.average_cost(config, [key])) for config in alive]
        n = self._n_configs_in_stage[bracket][stage + 1]
        if configs is self._contrasting:
            kept = [i for i, config in enumerate(alive) if self.eligible(config)]
            configs.contrast = _poor([alive[i] for i in kept], [errors[i] for i in kept], n)
        poor = configs.contrast
        if poor is not None and poor in alive and self.eligible(poor):
            place = alive.index(poor)
            alive.append(alive.pop(place))
            errors.pop(place)
            order = self.prefer(alive[:-1], errors, cast("float", key.budget), max(n - 1, 1))
            return [*(alive[i] for i in order), alive[-1]]
        return [alive[i] for i in self.prefer(alive, errors, cast("float", key.budget), n)]

    def _status(self, config: Configuration, key: InstanceSeedBudgetKey) -> StatusType | None:
        history = self.runhistory
        if not history.has_config(config):
            return None
        trial = TrialKey(history.get_config_id(config), key.instance, key.seed, key.budget)
        return history[trial].status if trial in history else None

    def _is_last(self, bracket: int, stage: int) -> bool:
        return stage == self._max_iterations[bracket] - 1

    def _height(self, item: tuple[tuple[int, int], Any]) -> tuple[float, int]:
        bracket, stage = item[0]
        return self._budgets_in_stage[bracket][stage], -bracket

    @staticmethod
    def _get_max_iterations(eta: int, max_budget: float, min_budget: float) -> int:
        iterations = 0
        while min_budget * eta ** (iterations + 1) <= max_budget:
            iterations += 1
        return iterations

    @staticmethod
    def _compute_configs_and_budgets_for_stages(  # type: ignore[override]  # SMAC's budgets are floats, too
        eta: int, max_budget: float, max_iter: int, s_max: int | None = None
    ) -> tuple[list[float], list[int]]:
        brackets = (max_iter if s_max is None else s_max) + 1
        n_configs = -(-(eta**max_iter) * brackets // (max_iter + 1))  # rounded up
        stages = range(max_iter + 1)
        budgets = [float(max_budget // eta ** (max_iter - stage)) for stage in stages]
        return budgets, [n_configs // eta**stage for stage in stages]


class StepwiseHyperband(StepwiseHalving, Hyperband):
    """SMAC's Hyperband (arXiv 1603.06560), in the same way."""
