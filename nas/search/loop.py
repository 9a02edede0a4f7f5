"""The search's loop, the only place that knows optimiser, executor, clock and journal."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.execution.messages import TrialEnded, TrialSpec
from nas.run import incumbent, rungs
from nas.run.events import Asked, Ended, NewIncumbent, RepeatAsked, Slots, Started
from nas.run.state import BASELINE
from nas.search import baseline, crashes, replicates
from nas.search.duration import DurationModel
from nas.search.files import Files, Snapshots
from nas.search.translation import outcome, suggestion
from nas.search.trial_runner import TrialRunner
from nas.util.seeds import derive
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nas.execution.protocol import Executor
    from nas.optimizers.protocol import Fidelity, Optimizer
    from nas.run.events import Event, SessionStarted
    from nas.run.folded_journal import FoldedJournal
    from nas.run.folder import Run
    from nas.run.journal import Journal
    from nas.run.state import Trial
    from nas.search.clock import Clock
    from nas.search.costing import SearchCosts
    from nas.search.limits import Limits
    from nas.search.listener import Listener
    from nas.trial.weights import WeightStore
    from search_spaces.base import SearchSpace

_SLOTS_AHEAD = 16  # slots for each trial asked ahead: few are, so that most use the latest outcomes
_TIMEOUT_UNKNOWN = 4 * 3600.0  # seconds


class Search(TrialRunner):
    """Asks the optimiser, runs trials, journals them and tells the optimiser, until a limit is reached.

    The order of calls to the optimiser depends on the journal only. With one slot the next trial is always
    asked while the current one trains, before its end is known. So a search that is killed and resumed asks
    for the same trials as an uninterrupted one.

    With several slots no slot waits: neither for the slowest trial of a rung, since a new bracket begins
    meanwhile, nor for the model, since trials are asked ahead in batches.
    """

    def __init__(
        self,
        *,
        run: Run,
        journal: Journal,
        past: FoldedJournal,
        space: SearchSpace,
        fidelity: Fidelity,
        seed: int,
        limits: Limits,
        optimizer: Optimizer,
        executor: Executor,
        clock: Clock,
        listeners: Sequence[Listener] = (),
        weights: WeightStore | None = None,
        costs: SearchCosts | None = None,
        replicates: float = 0.0,
    ) -> None:
        """Continues a run from the end of its journal, ``past``, which is empty for a new run.

        ``replicates`` is the share of the epochs that goes to further seeds of the best, or of the front.
        """
        super().__init__(
            state=past.state, journal=journal, executor=executor, clock=clock, listeners=listeners
        )
        self._files = Files(run, space, fidelity.max_epochs, self.note, weights, costs)
        self._snapshots = Snapshots(run, clock, optimizer.save)
        self._space = space
        self._fidelity = fidelity
        self._seed = seed
        self._limits = limits
        self._optimizer = optimizer
        self._costs = costs
        self._replicates = replicates
        self._cost = DurationModel()
        self._earlier = len(self.state.trials)  # trials that earlier sessions asked for
        self._dry = False  # the optimiser has nothing to propose before a pending outcome
        self._announced = 0
        self._replay(past.contents.events)
        self._begins = optimizer.lowest_rung()
        self._queue = deque(self.state.open_trials())

    def run(self, session: SessionStarted) -> str:
        """Searches until a limit is reached, a stop is requested or a fatal error occurs.

        Args:
            session: Facts of this session, for the journal.

        Returns:
            Why it ended: ``budget``, ``trials``, ``exhausted``, ``crashes`` or the argument of :meth:`stop`.

        Raises:
            UserError: If the journal cannot be written.
        """
        reason = super().run(session)
        self._snapshots.take()
        return reason

    def _work(self) -> None:
        self._finish_what_was_cut_off()
        while not self._stop:
            self._count_slots()
            self._fill_slots()
            if not self.state.running_trials() and self._executor.slots:
                self._stop = self._stop or "exhausted"
                return
            self._look_ahead()
            self._announce()
            self._poll()
            if self._clock.used() >= self._deadline():
                self._stop = self._stop or "budget"

    def _count_slots(self) -> None:
        if self._executor.slots != self.state.slots:
            self._emit(Slots(*self._now(), count=self._executor.slots), durable=False)

    def _finish_what_was_cut_off(self) -> None:
        """Completes the consequences of a trial's end, in case the search was killed in between."""
        self._answer_from_record()
        self._update_incumbent()
        if (lead := self._leader()) is not None:
            self._files.write_incumbent(lead, self.state)
        self._files.write_front(self.state)
        self._files.tidy_weights(self.state)

    # What to run next

    def _fill_slots(self) -> None:
        while not self._stop and len(self.state.running_trials()) < self._executor.slots:
            if self._limit_reached():
                return self._end_when_idle("trials")
            trial = self._next_trial()
            if trial is None:
                return None
            if self._clock.used() + self._predict(trial) > self._deadline():
                self._queue.appendleft(trial)
                return self._end_when_idle("budget")
            self._start(trial)
        return None

    def _deadline(self) -> float:
        return self._limits.seconds - self._limits.reserved(self.state)

    def _limit_reached(self) -> bool:
        under_way = self.state.finished + len(self.state.running_trials())
        return self._limits.trials is not None and under_way >= self._limits.trials

    def _end_when_idle(self, reason: str) -> None:
        if not self.state.running_trials():
            self._stop = self._stop or reason

    def _next_trial(self) -> Trial | None:
        while not (ready := self._ready()):
            if not self._ask(speculative=False):
                return None
        self._queue.remove(ready[0])
        return ready[0]

    def _ready(self) -> list[Trial]:
        """Returns the queued trials that can begin; the others wait for a running trial's checkpoint."""
        running = {trial.key for trial in self.state.running_trials()}
        return [trial for trial in self._queue if trial.key not in running]

    def _look_ahead(self) -> None:
        """Asks in batches, so that the model is fitted once per batch and while all slots are busy.

        At the limit on trials too: a later session may have a higher one, and goes on with what was asked.
        """
        slots = self._executor.slots
        # With one slot, the next trial may continue the running one.
        queued = len(self._queue if slots <= 1 else self._ready())
        if queued >= max(slots // (2 * _SLOTS_AHEAD), 1):
            return
        for _ in range(max(slots // _SLOTS_AHEAD, 1) - queued):
            if self._dry:
                return
            self._dry = not self._ask(speculative=True)

    def _announce(self) -> None:
        """Announces the next trial to an executor with one slot, once, so that it can prepare."""
        if self._executor.slots != 1 or not self._queue or self._queue[0].trial == self._announced:
            return
        if self._limit_reached():
            return
        coming = self._queue[0]
        running = {(trial.key, trial.epochs) for trial in self.state.running_trials()}
        if (coming.key, coming.epochs) not in running:  # else the end of the running one answers it, too
            self._announced = coming.trial
            self._executor.prepare(self._spec(coming, _TIMEOUT_UNKNOWN))

    def _ask(self, *, speculative: bool) -> bool:
        """Queues one trial; returns False if there is none now."""
        while True:
            begin = time.perf_counter()
            asked = self._proposal(speculative=speculative)
            if asked is None:
                return False
            self._emit(replace(asked, ask_seconds=round(time.perf_counter() - begin, 6)))
            trial = self.state.trials[len(self.state.trials)]
            self._queue.append(trial)
            self._answer_from_record()
            if not trial.finished:
                return True

    def _proposal(self, *, speculative: bool) -> Asked | None:
        wanted = baseline.due(self.state, self._space, self._fidelity.rungs, self._earlier)
        if wanted is None and (known := crashes.suspect(self.state)) is not None:
            return self._again(known, crashes.CHECK)
        top, share = self._fidelity.max_epochs, self._replicates
        weighed = self._files.objectives
        if wanted is None and (known := replicates.due(self.state, top, share, weighed)) is not None:
            return self._again(known, replicates.REPLICATE)
        wanted = wanted or self._optimizer.ask(speculative=speculative)
        if wanted is None:
            again = share and not speculative
            rest = replicates.next_best(self.state, top, weighed) if again else None
            return None if rest is None else self._again(rest, replicates.REPLICATE)
        return Asked(
            *self._now(),
            trial=len(self.state.trials) + 1,
            config_id=config_id(wanted.config),
            config=wanted.config,
            epochs=wanted.epochs,
            origin=wanted.origin,
        )

    def _again(self, known: Trial, origin: str) -> RepeatAsked:
        """Asks for a trial's configuration again, with a fresh seed."""
        return RepeatAsked(
            *self._now(),
            trial=len(self.state.trials) + 1,
            config_id=known.config_id,
            config=known.config,
            epochs=known.epochs,
            origin=origin,
            repeat=self.state.next_repeat(known.config_id, known.epochs),
            searched_trial=known.trial,
        )

    def _answer_from_record(self) -> None:
        """Ends queued trials whose configuration has already been trained for as many epochs."""
        for trial in list(self._queue):
            known = self.state.answered(trial.config_id, trial.epochs)
            if known is not None and not trial.repeat:
                self._queue.remove(trial)
                self._end(trial, TrialEnded(trial.trial, known.error, known.metrics), cached=True)

    def _predict(self, trial: Trial) -> float:
        left = max(trial.epochs - self._known_epochs(trial), 0)
        return self._cost.seconds(trial.config_id, trial.config, left)

    def _known_epochs(self, trial: Trial) -> int:
        reached = 0 if trial.repeat else self.state.reached.get(trial.config_id, 0)
        return max(reached, max(trial.curve, default=0))

    def _start(self, trial: Trial) -> None:
        timeout = self._limits.trial_timeout
        if timeout is None:
            timeout = _TIMEOUT_UNKNOWN
            if self._cost.known:
                timeout = self._cost.timeout(trial.config_id, trial.config, trial.epochs)
        self._emit(Started(*self._now(), trial=trial.trial))
        self._executor.submit(replace(self._spec(trial, timeout), keep=self._keep()))

    def _spec(self, trial: Trial, timeout: float) -> TrialSpec:
        return TrialSpec(
            trial=trial.trial,
            config_id=trial.key,
            config=trial.config,
            epochs=trial.epochs,
            seed=self._seed_of(trial),
            timeout=timeout,
            known_epochs=self._known_epochs(trial),
            costs=self._measured(trial.config_id),
        )

    def _measured(self, name: str) -> dict[str, float]:
        if self._costs is None:
            return {}
        return self._costs.measured(self.state, name, self.state.reached.get(name, 0))

    def _seed_of(self, trial: Trial) -> int:
        """Returns a trial's seed; a repeat's is the same for every configuration, as in a confirmation."""
        if trial.repeat:
            return derive(self._seed, "confirm", trial.repeat)
        return derive(self._seed, "train", trial.config_id)

    def _keep(self) -> dict[str, float]:
        """Returns names of checkpoints that may be continued, with their configurations' errors so far."""
        keep = self._optimizer.promotable() | {trial.key for trial in self.state.open_trials()}
        if self.state.baseline(self._fidelity.max_epochs) is None:
            keep.add(config_id(self._space.default))
        if self.state.incumbent is not None:
            keep.add(self.state.trials[self.state.incumbent].config_id)
        return {name: self._error(name) for name in sorted(keep)}

    def _error(self, name: str) -> float:
        trial = self.state.answered(name, self.state.reached.get(name, 0))
        return 0.0 if trial is None or trial.error is None else trial.error

    # Results

    def _end(self, trial: Trial, report: TrialEnded, *, cached: bool = False) -> None:
        if self._costs is not None:
            report = replace(report, metrics=self._costs.metrics(trial.config, report.metrics))
        super()._end(trial, report, cached=cached)
        self._tell(trial)
        if cached:
            return
        self._answer_from_record()
        self._dry = False
        self._cost.observe(trial)
        if trial.epochs == self._fidelity.max_epochs:
            self._note_lowest_rung()
            self._update_incumbent()
            self._files.write_front(self.state)
            self._files.tidy_weights(self.state)
        self._give_up_on_crashes()
        self._snapshots.take_if_due()

    def _tell(self, trial: Trial) -> None:
        if trial.repeat:
            if trial.error is not None and trial.epochs == self._fidelity.max_epochs:
                self._optimizer.tell_repeat(trial.config, trial.epochs, trial.error)
        elif trial.origin != BASELINE:
            self._optimizer.tell(suggestion(trial), outcome(trial, self.state, self._fidelity.rungs))

    def _note_lowest_rung(self) -> None:
        before, self._begins = self._begins, self._optimizer.lowest_rung()
        if self._begins != before:
            self.note(rungs.judged(self.state, self._fidelity.rungs).summary())

    def _leader(self) -> incumbent.IncumbentEstimate | None:
        return incumbent.leader(self.state, self._fidelity.max_epochs, self._files.objectives)

    def _update_incumbent(self) -> None:
        """Journals the incumbent if it or its estimate has changed."""
        lead, said = self._leader(), self.state.lead
        if lead is None:
            return
        if said is None or (said.trial, said.error, said.seeds) != (lead.trial.trial, lead.error, lead.seeds):
            low, high = lead.interval or (None, None)
            self._emit(
                NewIncumbent(
                    *self._now(),
                    trial=lead.trial.trial,
                    error=lead.error,
                    seeds=lead.seeds,
                    low=low,
                    high=high,
                )
            )
            self._files.write_incumbent(lead, self.state)

    def _give_up_on_crashes(self) -> None:
        if crashes.hopeless(self.state):
            self._stop = self._stop or "crashes"

    def _replay(self, events: Iterable[Event]) -> None:
        """Replays all earlier results to the optimiser and the cost model, in order."""
        for event in events:
            if isinstance(event, Asked):
                trial = self.state.trials[event.trial]
                if trial.origin != BASELINE and not trial.repeat:
                    self._optimizer.replay(suggestion(trial))
            elif isinstance(event, Ended):
                trial = self.state.trials[event.trial]
                self._cost.observe(trial)
                self._tell(trial)
