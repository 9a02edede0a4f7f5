"""Which configuration comes next: given, of the initial design, random, or the model's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from smac.main.config_selector import ConfigSelector

from nas.errors import UserError
from nas.optimizers.candidates import Candidates, key
from nas.optimizers.lesson import Evidence
from nas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ConfigSpace import Configuration
    from smac.scenario import Scenario

RANDOM = "random"


class DerivedSelector(ConfigSelector):
    """SMAC's config selector without a memory of its own.

    What it yields depends on the run's seed, the configurations yielded so far and the finished
    trials only, never on how it came there. So configurations of an earlier session can be handed
    to it (:meth:`give`) in place of computing them again, and what follows is what would have
    followed without a break.
    """

    def __init__(
        self,
        scenario: Scenario,
        candidates: Candidates,
        *,
        seed: int,
        random_probability: float,
        min_trials: int,
        rungs: Sequence[int],
    ) -> None:
        super().__init__(scenario, retrain_after=1, min_trials=min_trials)
        self._evidence = Evidence(rungs)
        self._candidates = candidates
        self._seed = seed
        self._random_probability = random_probability
        self._yielded: dict[bytes, Configuration] = {}
        self._given: Configuration | None = None
        self._learnt = 0  # finished trials that the model knows

    @property
    def exhausted(self) -> bool:
        """Whether every configuration of the space has been yielded."""
        return len(self._yielded) >= self._candidates.size

    def has_yielded(self, config: Configuration) -> bool:
        """Whether a configuration has been yielded before."""
        return key(config.get_array()) in self._yielded

    def observe(self, config: Configuration, epochs: int, error: float | None) -> None:
        """Takes a finished trial; ``error`` None: it crashed."""
        self._evidence.add(config.get_array(), epochs, error)

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
            if planned is not None and not np.array_equal(config.get_array(), planned.get_array()):
                raise UserError("the initial design is another one")
            return config
        return planned or self._choose(derive(self._seed, "ask", index))

    def _choose(self, seed: int) -> Configuration:
        rng = np.random.RandomState(seed)
        if rng.random_sample() >= self._random_probability and self._learn():
            self._acquisition_maximizer.reseed(derive(seed, "maximize"))
            ((_, config),) = self._acquisition_maximizer.search(self._yielded, 1)
            return config
        return self._candidates.decode(self._candidates.unseen(1, self._yielded, rng)[0], RANDOM)

    def _learn(self) -> bool:
        """Brings the model up to date; False if there is too little to learn from."""
        known = self._evidence
        if known.succeeded < self._min_trials:
            return False
        if known.finished == self._learnt:
            return True
        self._learnt = known.finished
        self._model.learn(known.lesson().warped(), derive(self._seed, "train", known.finished))
        (least,) = self._model.leaders(1)[1]
        self._acquisition_function.update(model=self._model, eta=least)
        return True
