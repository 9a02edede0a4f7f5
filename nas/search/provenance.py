"""The program, space, data and machine that a run began with, and whether they are still the same."""

from __future__ import annotations

import math
import os
import platform
import socket
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas import __version__
from nas.run import search_file
from nas.run.search_file import VERSION, SearchFile
from nas.util import records
from nas.util.errors import SettingError, UserError
from search_spaces.loading import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.execution.messages import Facts
    from nas.run.folder import Run
    from nas.search.settings import SearchSettings


def describe(settings: SearchSettings, facts: Facts) -> SearchFile:
    """Returns the content of ``search.json`` for a search that begins now."""
    space = search_spaces.get(settings.space.space)
    return SearchFile(
        format=VERSION,
        program=__version__,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=sys.argv,
        settings=settings.recorded(),
        limits=search_file.Limits(seconds=settings.budget.seconds, trials=settings.budget.trials),
        rungs=list(settings.fidelity.rungs),
        space=search_file.RecordedSpace(
            name=space.name,
            size=_size(space.size),
            fingerprint=space.fingerprint,
            default=space.default,
            source=digest(settings.space.space),
        ),
        data=facts.data,
        width=facts.width,
        train=facts.train,
        hardware=facts.hardware,
        versions={**facts.versions, **_versions()},
    )


def _size(size: float) -> float | None:
    """Converts a space's size for readers of JSON: integers of 64 bits, null for infinitely many."""
    if math.isinf(size):
        return None
    return size if size < 2**63 else float(size)


def changes(before: SearchFile, now: Mapping[str, str]) -> list[str]:
    """Lists the differences from the run's last session, one line each.

    Args:
        before: Content of ``search.json`` before.
        now: Versions of packages, as far as they are known.
    """
    old = {**before.versions, "smacnas": before.program or __version__}
    new = {**now, "smacnas": __version__}
    found = [f"{name} {old[name]} -> {new[name]}" for name in new if old.get(name, new[name]) != new[name]]
    notes = (
        [f"other versions than before: {', '.join(found)}; new figures may differ slightly"] if found else []
    )
    source = before.space.source
    if source and digest(before.named_space) not in ("", source):
        file = Path(before.named_space).name
        notes.append(f"{file} is not what it was: trials before and after compare only if it builds the same")
    return notes


def refuse_other_data(stored: SearchFile, facts: Facts) -> None:
    """Refuses to continue with other images or another space than the run began with.

    Raises:
        UserError: If they have changed; it names which.
    """
    # By the name that the user typed: the name of an unregistered space cannot be imported.
    space = search_spaces.get(stored.named_space)
    if space.fingerprint != stored.space.fingerprint:
        raise UserError(f"space {space.name}: has changed since this run began; start a new run")
    here, then = facts.data, stored.data
    if (here.fingerprint, here.split_fingerprint) != (then.fingerprint, then.split_fingerprint):
        raise UserError(
            f"dataset {then.name}: not the images this run began with; put those back, or start a new run"
        )
    if facts.width != stored.width:
        raise SettingError(
            "device",
            None,
            f"width auto means {facts.width} here, this run was begun with {stored.width}; "
            "resume it on the device it began on",
        )


def _versions() -> dict[str, str]:
    names = ("smac", "ConfigSpace", "numpy", "scikit-learn")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def session_facts(run: Run, place: SearchFile | Facts) -> dict[str, Any]:
    """Returns fields of a ``session`` event on the program and where it runs."""
    return {
        "command": sys.argv,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "folder": run.identity(),
        "program": __version__,
        "hardware": records.write(place.hardware),
        "versions": place.versions,
    }
