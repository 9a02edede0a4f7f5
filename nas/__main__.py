"""Every command under one name: ``smacnas search ...`` is ``python -m nas.search ...``.

Light to start: a command is imported when it is asked for.
"""

from __future__ import annotations

import difflib
import runpy
import sys
from typing import TYPE_CHECKING

from nas import __version__
from nas.util.errors import EXIT_BAD_INPUT, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "smacnas"

# What is typed -> the module that is run, and what it does.
COMMANDS = {
    "search": ("nas.search", "search for a better network, against the clock"),
    "status": ("nas.status", "how far a search has come, whether running, stopped or dead"),
    "repair": ("nas.repair", "repair a damaged journal"),
    "confirm": ("nas.confirm", "train the best configurations again with fresh seeds"),
    "export": ("nas.export", "build a found network at full size"),
    "train": ("nas.train", "train a network at full size"),
    "evaluate": ("nas.evaluate", "evaluate trained networks"),
    "profile": ("nas.profile", "measure size, latency and throughput side by side"),
    "spaces": ("search_spaces", "list and show search spaces"),
    "report": ("analysis.report", "one page about a run"),
    "importance": ("analysis.importance", "which choices matter"),
    "compare": ("analysis.compare", "runs of several seeds or optimisers side by side"),
    "tracking": ("nas.tracking", "show a run in TensorBoard, Weights & Biases or MLflow"),
    "history": ("analysis.history", "a run's history for other tools"),
    "dashboard": ("analysis.dashboard", "explore runs in DeepCAVE, or live in optuna-dashboard"),
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command, which ends the process itself; returns an exit code where there is none to run."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0
    if args[0] == "--version":
        print(f"{PROG} {__version__}")
        return 0
    try:
        module = find(args[0])
    except UserError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    sys.argv = [PROG, *args[1:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def find(name: str) -> str:
    """The module behind a command.

    Raises:
        UserError: If there is no such command.
    """
    if name in COMMANDS:
        return COMMANDS[name][0]
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UserError(f"{name}: {hint}must be one of {', '.join(COMMANDS)}")


def usage() -> str:
    """What there is, a line for each command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {says}" for name, (_, says) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROG} COMMAND [FLAGS]",
            "",
            *lines,
            "",
            f"{PROG} COMMAND --help lists its flags; {PROG} search is python -m nas.search, and so on.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
