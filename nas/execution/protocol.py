"""The protocol between the search's loop and whatever runs its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nas.execution.messages import Facts, Measurement, Report, TrialSpec
    from search_spaces.base import Config


class Executor(Protocol):
    """Runs trials somewhere and reports.

    A trial that dies, hangs or runs out of memory is reported as a crash with its reason; no fault
    of a trial raises out of an executor.
    """

    @property
    def slots(self) -> int:
        """How many trials can run at the same time; may change at every :meth:`poll`."""
        ...

    def start(self) -> Facts:
        """Makes the place ready: loads the data, finds the device.

        Raises:
            UserError: If the data or the device is unusable.
        """
        ...

    def submit(self, spec: TrialSpec) -> None:
        """Starts a trial; the caller never exceeds ``slots``."""
        ...

    def prepare(self, spec: TrialSpec) -> None:
        """Announces the trial that will probably come next, while another runs; may be ignored."""
        ...

    def poll(self, timeout: float) -> list[Report]:
        """Waits up to ``timeout`` seconds for reports; returns as soon as there are any."""
        ...

    def pause(self) -> None:
        """Asks running trials to stop at the end of their epoch, with a checkpoint."""
        ...

    def close(self) -> None:
        """Stops immediately; running trials lose what came after their last checkpoint."""
        ...


class MeasuringExecutor(Executor, Protocol):
    """An executor that trains real networks, whose times a plan can be made from."""

    @property
    def wanted(self) -> int:
        """Number of trials at the same time once all workers are there."""
        ...

    def measure(self, config: Config | str) -> Measurement:
        """Times a few steps of a configuration, or of ``cheapest`` or ``costliest``, while no trial runs.

        Raises:
            UserError: If the network cannot be trained here.
        """
        ...

    def costs(self, config: Config) -> dict[str, float]:
        """Measures what trials measure of a configuration's costs, by name, while no trial runs.

        Raises:
            UserError: If it cannot be measured here.
        """
        ...
