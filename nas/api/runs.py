"""An opened run folder: its results, and what can be made of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.api import arguments, guard, spaces
from nas.api.trials import FrontMember, Incumbent, Trial
from nas.run import folder, liveness
from nas.run.objectives import Objectives
from nas.run.state import SearchState
from nas.tracking.follower import made
from nas.util import records, user_input
from nas.util.errors import UserError
from nas.util.quantities import counted

if TYPE_CHECKING:
    import os
    from datetime import timedelta

    import pandas as pd
    from torch import nn

    from analysis.frames import Run as Frames
    from search_spaces.base import SearchSpace


def open_run(path: str | os.PathLike[str]) -> Run:
    """Opens a run folder; a search may be writing to it.

    Args:
        path: The folder, ``runs/<name>``.

    Raises:
        UserError: If it is none.
    """
    return Run(path)


def list_runs(folder: str | os.PathLike[str] = "runs") -> pd.DataFrame:
    """All runs of a folder: running ones first, then the most recent.

    Args:
        folder: The folder that holds the run folders.

    Returns:
        One row a run, with what ``python -m nas.status FOLDER --json`` says of it: ``name``, ``path``,
        ``status``, ``used_seconds``, ``finished``, ``best_error``, ``confirmed`` (a dict or None) and others.
        ``attrs["left_out"]`` names what could not be read, with the reason.

    Raises:
        UserError: If there is no such folder.
    """
    import pandas as pd

    from nas.status import listing

    found = listing.read(user_input.path("folder", Path(folder).expanduser()))
    rows = [run.to_json() for run in found.runs]
    table = pd.DataFrame(rows, columns=[field.name for field in fields(listing.ListedRun)])
    table.attrs["left_out"] = found.left_out
    return table


class Run:
    """A search, finished or not, whose folder is read again whenever it has changed.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens a folder.

        Raises:
            UserError: If it is not a run.
        """
        self.path = user_input.path("path", Path(path))
        self._folder = folder.Run.open(self.path)
        self._read: tuple[tuple[int, int], SearchState] | None = None

    def __repr__(self) -> str:
        state = self._state()
        status = self.status if not self.stopped else f"stopped: {self.stopped}"
        words = [counted(state.finished, "trial"), status]
        if state.incumbent is not None:
            words.insert(1, f"best top-1 {100 * self.incumbent.top1:.2f}%")
        return f"<Run {self.path}: {', '.join(words)}>"

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self._folder.name

    @property
    def status(self) -> str:
        """``running``, ``stopped``, ``dead`` (killed), or, on another machine, ``copied`` or ``away``."""
        return liveness.of(self._folder, self._state()).status

    @property
    def stopped(self) -> str:
        """Why it stopped, "" while it runs or after a kill.

        ``budget``, ``trials``, ``exhausted`` (every configuration was trained to the end), ``crashes`` (five
        equal ones in a row, not caused by the networks), ``interrupted``, ``terminated`` or ``error``.
        """
        return self._state().stopped

    @property
    def search(self) -> dict[str, Any]:
        """Settings, data, space, hardware and versions of the search."""
        return records.write(self._folder.read_search())

    @property
    def trials(self) -> list[Trial]:
        """All trials in the order in which they were proposed."""
        return [Trial.of(trial) for trial in self._state().trials.values()]

    @property
    def incumbent(self) -> Incumbent:
        """The best network so far.

        Raises:
            UserError: If no trial has succeeded at the highest rung yet.
        """
        state = self._state()
        search = self._folder.read_search()
        if state.incumbent is None:
            raise UserError(
                f"{self.path}: has no incumbent yet, no trial has succeeded at the highest rung of "
                f"{counted(search.rungs[-1], 'epoch')}"
            )
        return Incumbent.of(state.trials[state.incumbent], state, search.space.default)

    @property
    def front(self) -> list[FrontMember]:
        """The Pareto front of error and costs within the limits, in ascending order of cost.

        Raises:
            UserError: If the run minimises the error alone.
        """
        search = self._folder.read_search()
        objectives = Objectives.of(search)
        if objectives is None:
            raise UserError(
                f"{self.path}: has no front, as it minimised the error alone; run_search takes objectives="
                "('error', 'macs')"
            )
        return [FrontMember.of(trial) for trial in objectives.front(self._state(), search.rungs[-1])]

    def trials_dataframe(self) -> pd.DataFrame:
        """One row per trial: its choices, measurements and times; docs/analysis.md explains the columns."""
        return self._frames().trials

    def curves_dataframe(self) -> pd.DataFrame:
        """One row per trained epoch, with its ``trial`` and metrics."""
        return self._frames().curves

    def network(self, *, space: str | SearchSpace | type[SearchSpace] | None = None) -> nn.Module:
        """Returns the best network with its trained weights, in evaluation mode on the CPU.

        That is the winner of :meth:`confirm` if that has been called, else the incumbent. It takes images
        ``(B, C, H, W)``, normalised with :meth:`normalisation`.

        Args:
            space: The search's space again, if it is a custom one; its code is not run otherwise.

        Raises:
            UserError: If there is no best network yet, or its weights were not kept.
        """
        from nas.export.weights import incumbent_network

        said = None if space is None else spaces.name_of(space)
        with arguments.named():
            return incumbent_network(self._folder, space=said)

    def normalisation(self) -> tuple[list[float], list[float]]:
        """Returns mean and standard deviation per channel (pixels in 0..1) that images were normalised with.

        Raises:
            UserError: If the run kept no weights, which hold these values.
        """
        from nas.export.weights import normalisation

        with arguments.named():
            return normalisation(self._folder)

    @guard.spawning()
    def confirm(
        self,
        *,
        top: int | None = None,
        seeds: int = 3,
        budget: str | float | timedelta | None = None,
        trial_timeout: str | float | timedelta = "auto",
        space: str | SearchSpace | type[SearchSpace] | None = None,
        quiet: bool = False,
        **place: Any,
    ) -> pd.DataFrame:
        """Trains the best configurations and the base architecture again from scratch, with fresh seeds.

        Ctrl-C ends it with the results so far; another call continues. Finished trainings are not repeated.

        Args:
            top: Number of configurations; None: 3, or the whole front of a search with several objectives.
            seeds: Number of seeds of each.
            budget: Time budget of all calls together; None for no limit.
            trial_timeout: Time after which a training counts as hung; ``"auto"``: ten times the prediction.
            space: See :meth:`network`.
            quiet: Print nothing.
            **place: ``device``, ``threads`` or ``data_dir``, if they differ from the search's.

        Returns:
            One row per configuration, the best first: ``config_id``, ``config``, ``baseline`` (whether it is
            the base architecture), ``searched_error``, ``errors`` (one per seed), ``mean_error``,
            ``sd_error``, ``mean_gain`` (error saved against the base architecture, seed by seed),
            ``sd_gain``, ``params``, ``macs`` and others, as in ``confirmed.json``.

        Raises:
            UserError: If there is nothing to confirm or the run is in use.
        """
        from nas.confirm import session, view
        from nas.confirm.settings import ConfirmMachineSettings, ConfirmSettings

        timing = {"budget": budget, "trial_timeout": trial_timeout}
        wanted = arguments.options(ConfirmSettings, {"top": top, "seeds": seeds, **timing})
        said = None if space is None else spaces.name_of(space)
        where = arguments.options(ConfirmMachineSettings, place, space=said)
        with arguments.named():
            _, found, _ = session.confirm(self.path, wanted, where, view.choose(quiet=quiet))
        import pandas as pd

        return pd.DataFrame([records.write(row) for row in found.configurations])

    def export(self, output: str | os.PathLike[str], **settings: Any) -> Path:
        """Exports the best network as a folder that timm loads, with weights, model card and recipe.

        Args:
            output: The folder to write.
            **settings: The settings of ``python -m nas.export``, such as ``geometry="reduced"`` for the
                search's network with its trained weights, ``geometry="t"`` for a full size, ``trial``,
                ``num_classes``, ``onnx``.

        Returns:
            The folder.

        Raises:
            UserError: If it exists, or the run has no such network.
        """
        from nas.export.build import export
        from nas.export.settings import ExportSettings

        wanted = arguments.options(ExportSettings, {**settings, "output": output}, source=str(self.path))
        with arguments.named():
            export(wanted)
        made(self._folder, wanted.output)
        return wanted.output

    def report(self, **settings: Any) -> Path:
        """Writes a page about the run for any browser, and its figures as separate files.

        Args:
            **settings: See :meth:`importance`.

        Returns:
            The page, ``analysis/report.html`` in the run folder.

        Raises:
            UserError: If it cannot be written.
        """
        from analysis.importance import ImportanceSettings
        from analysis.report import report

        wanted = arguments.options(ImportanceSettings, settings)
        with arguments.named():
            page = report(self._frames(), wanted)
        made(self._folder)
        return page

    def importance(self, **settings: Any) -> pd.DataFrame:
        """Computes which choices matter, rung by rung.

        Args:
            **settings: ``engine`` (``"auto"``, ``"deepcave"`` or ``"local"``), ``trees``, ``bootstrap``
                and ``seed``.

        Returns:
            One row per method, rung and choice; docs/analysis.md names the columns. ``attrs["notes"]`` holds
            notes for the reader.

        Raises:
            UserError: If no rung has enough trials yet.
        """
        from analysis.importance import ImportanceSettings, importances

        wanted = arguments.options(ImportanceSettings, settings)
        with arguments.named():
            found = importances(self._frames(), wanted)
        table = found.table.copy()
        table.attrs["notes"] = list(found.notes)
        return table

    def _frames(self) -> Frames:
        from analysis.frames import load

        return load(self.path)

    def _state(self) -> SearchState:
        """Returns the state, reading the journal again if it has grown."""
        stat = self._folder.journal.stat()
        mark = (stat.st_size, stat.st_mtime_ns)
        if self._read is None or self._read[0] != mark:
            self._read = mark, SearchState.of(self._folder.read_journal().events)
        return self._read[1]
