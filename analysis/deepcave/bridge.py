"""DeepCAVE's evaluators for a run of ours: many requests, one start of DeepCAVE's environment."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any

import orjson

from analysis.deepcave import environment
from analysis.deepcave.exporter import snapshot
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def evaluate(
    run_path: Path,
    requests: Sequence[dict[str, Any]],
    *,
    processes: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Has DeepCAVE 1.4.1 answer requests about a run.

    Only successful trials count, and none that were answered from the record. Constants are
    dropped, and ordinals are treated as unordered. Every request gets a fresh evaluator.

    A request's keys:

    * ``method``: ``fanova`` (main effects), ``fanova_pairs`` (interactions of two), ``lpi``
      (DeepCAVE's own, 0 for every hyperparameter of two choices), ``lpi_choices`` (the same with
      the incumbent and all choices) or ``ablation`` (from the default to the incumbent).
    * ``objective``: ``error`` (the default), ``loss``, ``MACs``, ``params``, ``seconds``, ``top-1``.
    * ``budget``: epochs; None takes each configuration at its highest one.
    * ``trees`` (64) and ``seed`` (0) of the forest.
    * ``trials``: numbers of the trials to use, a repeated one counts as often (bootstrap); None: all.
    * ``incumbent``: number of the trial whose configuration LPI and ablation are about; None: the
      best of the trials used.

    Args:
        run_path: The run folder.
        requests: What to answer.
        processes: How many to answer at a time; None: one for each CPU core.
        progress: Called with the number of requests answered, after each.

    Returns:
        An answer to each request, in order: ``method``, ``budget``, ``n_trials``, ``seconds`` and
        ``values``, which is ``{"name" or "a x b": [mean, standard deviation over trees]}``, shares
        of the variance; for ablation the ordered path ``[["default", cost, std], [name, cost, std],
        ...]`` of predicted costs. Or ``{"error": "one line"}``.

    Raises:
        UserError: If the folder is no run, its journal is damaged, or DeepCAVE's environment cannot
            be had.
    """
    run = Run.open(run_path)
    export = snapshot(run, SearchState.of(run.read_journal().events))
    if not requests:
        return []
    asked = {"export": export, "requests": list(requests), "processes": processes or os.cpu_count() or 1}
    return _answers(orjson.dumps(asked), progress)


def _answers(asked: bytes, progress: Callable[[int], None] | None) -> list[dict[str, Any]]:
    python = environment.ensure()
    with subprocess.Popen(
        [python, "-m", "cave.evaluate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment.variables(),
        cwd=environment.PROJECT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        said: list[bytes] = []
        reader = threading.Thread(target=_drain, args=(process.stderr, said), daemon=True)
        reader.start()
        try:
            process.stdin.write(asked)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once; its last words are reported below
        last = b""
        for last in process.stdout:
            if progress is not None and not last.startswith(b"["):
                progress(int(last))
        code = process.wait()
        reader.join()
    if code != 0 or not last.startswith(b"["):
        lines = b"".join(said).decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
        raise UserError(f"DeepCAVE's evaluators stopped with exit code {code}: {words}")
    answers: list[dict[str, Any]] = orjson.loads(last)
    return answers


def _drain(stream: IO[bytes], into: list[bytes]) -> None:
    into.extend(stream)
