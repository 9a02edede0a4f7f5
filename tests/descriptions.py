"""Contents of ``search.json`` for searches that tests make."""

from __future__ import annotations

from dataclasses import replace

from nas.execution.messages import Facts
from nas.run.search_file import Data, Hardware, SearchFile
from nas.search import provenance
from nas.search.settings import SearchSettings


def described(settings: SearchSettings | None = None) -> SearchFile:
    """Returns that of a simulated search, the same on every machine."""
    facts = Facts(
        data=Data(name="simulated", train_images=900, val_images=100),
        hardware=Hardware(device="simulated"),
        versions={},
        width=16,
        train={},
    )
    return replace(
        provenance.describe(settings or SearchSettings(), facts),
        program="0.1.0",
        created="2026-01-01T00:00:00+00:00",
        command=["simulated"],
        versions={},
    )
