"""Which configuration comes next: replayed, of the initial design, random, or the model's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from smac.main.config_selector import ConfigSelector

from nas.optimizers.smac.candidates import Candidates, key
from nas.optimizers.smac.crashes import CrashModel
from nas.optimizers.smac.evidence import Evidence
from nas.util.errors import UserError
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ConfigSpace import Configuration
    from numpy.typing import NDArray
    from smac.acquisition.function import AbstractAcquisitionFunction
    from smac.scenario import Scenario

    from nas.optimizers.smac.evidence import TrainingData
    from nas.optimizers.smac.forest import Forest
    from nas.optimizers.smac.gaussian_process import GaussianProcess
    from nas.optimizers.smac.maximizer import PoolSearch

    Vector = NDArray[np.float64]

RANDOM = "random"

_DRAWS = 20  # configurations of which a random one is taken where some crash
_TUNE_GROWTH = 10  # the model is tuned anew with a tenth more trials: half of an ask's time otherwise


class DerivedSelector(ConfigSelector):
    """SMAC's config selector, made stateless.

    What it yields depends on the run's seed, the configurations yielded so far and the finished
    trials only, never on how that point was reached. So configurations of an earlier session can be handed
    to it (:meth:`give`) in place of computing them again, and what follows is what would have
    followed without a break.

    Attributes:
        learns_rungs: Whether results decide at which rung configurations begin.
        lowest: The lowest rung, by number, that tells enough of the highest for its price.
    """

    _model: Forest | GaussianProcess
    _acquisition_function: AbstractAcquisitionFunction
    _acquisition_maximizer: PoolSearch

    def __init__(
        self,
        scenario: Scenario,
        candidates: Candidates,
        *,
        seed: int,
        random_probability: float,
        min_trials: int,
        rungs: Sequence[int],
        learns_rungs: bool,
        earlier: Sequence[tuple[NDArray[np.float64], float]] = (),
    ) -> None:
        super().__init__(scenario, retrain_after=1, min_trials=min_trials)
        self._evidence = Evidence(rungs)
        self._rungs = rungs
        self.learns_rungs = learns_rungs
        self.lowest = 0
        self._telling = 0  # from which on errors are of use to the model
        for row, error in earlier:
            self._evidence.recall(row, error)
        self._min_successes = max(min_trials - len(earlier), 1)
        self._candidates = candidates
        self._seed = seed
        self._random_probability = random_probability
        self._yielded: dict[bytes, Configuration] = {}
        self._given: Configuration | None = None
        self._tuned_at = 0  # finished trials that the model was tuned to last, or is to be before it learns
        self._tune_on: TrainingData | None = None  # set: is to be
        self._learnt = 0  # finished trials that the model knows
        self._crashes = CrashModel(scenario.configspace)
        self._warned = 0  # finished trials that the model of crashes knows

    @property
    def exhausted(self) -> bool:
        """Whether every configuration of the space has been yielded."""
        return len(self._yielded) >= self._candidates.size

    def has_yielded(self, config: Configuration) -> bool:
        """Whether a configuration has been yielded before."""
        return key(config.get_array()) in self._yielded

    def will_choose(self) -> bool:
        """Whether the next configuration is to be the model's choice, not planned or drawn."""
        index = len(self._yielded)
        planned = index < len(self._initial_design_configs)
        return not planned and not self._draws(np.random.RandomState(self._seed_of(index)))

    def expected_errors(self) -> dict[Configuration, float]:
        """The error expected at the highest rung, of each configuration that finished a trial."""
        known = self._evidence.expected_errors()
        return {self._yielded[name]: error for name, error in known.items() if name in self._yielded}

    def observe(
        self,
        config: Configuration,
        epochs: int,
        error: float | None,
        *,
        blameless: bool = False,
        curve: Mapping[int, float] | None = None,
    ) -> None:
        """Takes a finished trial; arguments are those of :meth:`Evidence.add`."""
        self._evidence.add(config.get_array(), epochs, error, blameless=blameless, curve=curve)
        finished = self._evidence.finished
        before = self._telling
        if self.learns_rungs and epochs == self._rungs[-1] and error is not None:
            judged = self._evidence.of_rungs()
            self.lowest, self._telling = judged.first, judged.telling
        if self._telling != before or finished - self._tuned_at > self._tuned_at // _TUNE_GROWTH:
            self._tuned_at, self._tune_on = finished, self._evidence.training_data(self._telling)

    def give(self, config: Configuration | None) -> None:
        """Sets, or with None takes back, the configuration to yield next."""
        self._given = config

    def __iter__(self) -> Iterator[Configuration]:
        while not self.exhausted:
            config = self._next()
            self._yielded[key(config.get_array())] = config
            yield config

    def _next(self) -> Configuration:
        index = len(self._yielded)
        planned = self._initial_design_configs[index] if index < len(self._initial_design_configs) else None
        if self._given is not None:
            config, self._given = self._given, None
            if self.has_yielded(config):
                raise UserError("it was tried before")
            if planned is not None and key(config.get_array()) != key(planned.get_array()):
                raise UserError("the initial design is another one")
            return config
        return planned or self._choose(self._seed_of(index))

    def _seed_of(self, index: int) -> int:
        return derive(self._seed, "ask", index)

    def _draws(self, rng: np.random.RandomState) -> bool:
        """Whether a configuration is drawn at random, by the first number of its own sequence."""
        return rng.random_sample() < self._random_probability

    def _choose(self, seed: int) -> Configuration:
        rng = np.random.RandomState(seed)
        if not self._draws(rng) and self._learn():
            self._acquisition_maximizer.reseed(derive(seed, "maximize"))
            for _, config in self._acquisition_maximizer.search(self._yielded, 1, self._survival()):
                return config
        return self._candidates.decode(self._drawn(rng), RANDOM)

    def _drawn(self, rng: np.random.RandomState) -> Vector:
        """A random configuration; the likelier it is to crash, the more rarely it is drawn."""
        survival = self._survival()
        if survival is None:
            return self._unseen(1, rng)[0]
        rows = self._unseen(_DRAWS, rng)
        chances = survival(rows)
        lucky = np.flatnonzero(rng.random_sample(len(rows)) < chances)
        return rows[lucky[0] if len(lucky) else np.argmax(chances)]

    def _unseen(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws random configurations ``(<= n, D)`` that were not yielded."""
        return self._candidates.unseen(n, self._yielded, rng)

    def _survival(self) -> Callable[[Vector], Vector] | None:
        """The model of crashes; None if nothing or everything has crashed so far."""
        rows, crashed = self._evidence.crashes
        if crashed.all() or not crashed.any():
            return None
        if self._evidence.finished != self._warned:
            self._warned = self._evidence.finished
            self._crashes.learn(rows, crashed)
        return self._crashes.survival

    def _learn(self) -> bool:
        """Brings the model up to date; False if there is too little to learn from."""
        known = self._evidence
        if known.succeeded < self._min_successes:
            return False
        if known.finished == self._learnt:
            return True
        self._learnt = known.finished
        if self._tune_on is not None:
            self._model.tune(self._scaled(self._tune_on))
            self._tune_on = None
        self._model.learn(self._training_data(), derive(self._seed, "train", known.finished))
        self._inform()
        return True

    def _training_data(self) -> TrainingData:
        """What the model learns from."""
        return self._scaled(self._evidence.training_data(self._telling))

    def _scaled(self, data: TrainingData) -> TrainingData:
        """Returns errors on the scale that suits the model best: docs/quality-settings.md."""
        return data.warped() if len(self._rungs) > 1 or self._model.logarithmic else data.tempered()

    def _inform(self) -> None:
        """Passes the acquisition function what it needs from the model."""
        (least,) = self._model.leaders(1)[1]
        self._acquisition_function.update(model=self._model, eta=least, finished=self._evidence.finished)
