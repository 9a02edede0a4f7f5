"""Fuzzes every parser for a while: ``python -m tests.security.fuzz --minutes 10``."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from nas.util import cli
from tests.security.parsers import Parser, judge, targets

PROG = "python -m tests.security.fuzz"


@dataclass(frozen=True)
class Command:
    """How long to fuzz."""

    minutes: float = 10.0
    """Shared equally by all parsers."""
    only: str = ""
    """This parser alone."""


def fuzz(strategy: Any, parse: Parser, seconds: float) -> int:
    """Throws inputs at a parser; returns their number. A fault raises, with the smallest such input."""
    tried = 0
    place = Path(tempfile.mkdtemp(prefix="smacnas-fuzz-"))

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def round_(value: Any) -> None:
        nonlocal tried
        tried += 1
        judge(parse, value, place)

    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            round_()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return tried


def main() -> int:
    """Runs the command; its exit code is 0 only if no parser failed."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=sys.argv[1:])
    chosen = {name: both for name, both in targets().items() if command.only in ("", name)}
    failed = 0
    for name, (strategy, parse) in chosen.items():
        try:
            tried = fuzz(strategy, parse, 60 * command.minutes / len(chosen))
            print(f"{name}: {tried} inputs, no fault", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name}: {error!r}\n{''.join(getattr(error, '__notes__', []))}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    cli.run(main, PROG)
