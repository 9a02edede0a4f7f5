"""Every parser that reads what somebody else may have written, with inputs to throw at it.

Each answers with a value or with a one-line UserError; anything else is a fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

import search_spaces
from nas.data import pictures, sources
from nas.execution.dask import cluster_file
from nas.execution.salvaged import with_salvage
from nas.execution.simulated import SimulatedClock, SimulatedExecutor, SimulatedResult
from nas.export import folder, recipe, sizes, source
from nas.optimizers.prior import Prior
from nas.run import journal, repair
from nas.run.events import parse
from nas.run.folder import Run
from nas.run.search_file import SearchFile
from nas.run.state import SearchState
from nas.search.settings import SearchSettings
from nas.trial import weights
from nas.util import records
from nas.util.errors import UserError
from nas.util.quantities import parse_count, parse_duration, parse_size
from nas.view import snapshot
from search_spaces.nexception.geometry import NEXCEPTION_T

Parser = Callable[[Any, Path], object]

PRIORS = st.lists(
    st.sampled_from(["se", "true", "kernel_mid", "5", "=", ":", ",", "2", "nan", "1e999", "\n", " ", "é"])
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
# What no random byte finds: depth, code, and references that multiply.
_BOMBS = [
    b"[" * 20_000,
    b'{"a":' * 20_000,
    b"!!python/object/apply:os.system ['exit 1']",
    b"a: &a [x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 116)),
    b"1" * 5_000,
    b"\xff\xfe\x00",
    b"",
]


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """Generates a valid file with bytes changed, inserted, left out or doubled."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 12))
        match draw(st.sampled_from(["flip", "put", "cut", "double", "end"])):
            case "flip" if data:
                data[place] ^= draw(st.integers(1, 255))
            case "put":
                data[place:place] = draw(st.binary(max_size=12))
            case "cut":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case "end":
                del data[place:]
    return bytes(data)


@st.composite
def changed(draw: st.DrawFn, valid: Any) -> Any:
    """Generates a valid document with values replaced, keys left out or inserted."""
    document = json.loads(json.dumps(valid))
    for _ in range(draw(st.integers(1, 3))):
        where = document
        while isinstance(where, dict | list) and where:
            key = draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            inner = where[key]
            if not (isinstance(inner, dict | list) and inner) or draw(st.booleans()):
                if isinstance(where, dict) and draw(st.integers(0, 3)) == 0:
                    del where[key]
                else:
                    where[key] = draw(JSON)
                break
            where = inner
    return document


def documents(valid: Any, dump: Callable[[Any], bytes]) -> st.SearchStrategy[bytes]:
    """Files that are nearly right, in structure or in bytes, and some that are far from it."""
    whole = dump(valid)
    return st.one_of(
        changed(valid).map(dump),
        mutated(whole),
        st.sampled_from(_BOMBS),
        st.binary(max_size=40),
        JSON.map(dump),
    )


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value).encode()


STAMP = {"time": "2026-01-01T00:00:00.000Z", "clock": 0.0}
EVENTS: list[dict[str, Any]] = [
    {
        "event": "session",
        "phase": "start",
        "command": ["x"],
        "clock": 0.0,
        "time": "2026-01-01T00:00:00.000Z",
    },
    {"event": "asked", "trial": 1, "config_id": "a", "config": {"k": 1}, "epochs": 1, "origin": "baseline"},
    {"event": "started", "trial": 1, "clock": 0.5, "time": "2026-01-01T00:00:01.000Z"},
    {"event": "epoch", "trial": 1, "epoch": 1, "metrics": {"top1": 0.5, "train_seconds": 1.0}, "clock": 1.0},
    {
        "event": "ended",
        "trial": 1,
        "status": "success",
        "error": 0.5,
        "metrics": {"top1": 0.5},
        "reason": "",
        "seconds": 1.0,
        "clock": 1.5,
        "time": "2026-01-01T00:00:02.000Z",
    },
    {"event": "incumbent", "trial": 1, "error": 0.5},
    {"event": "session", "phase": "stop", "reason": "budget", "clock": 2.0},
]


def _journal(events: list[Any]) -> bytes:
    return b"".join(
        journal.sealed({**STAMP, **(event if isinstance(event, dict) else {"event": "x"})})
        for event in events
    )


def _search() -> dict[str, Any]:
    return {
        "format": 1,
        "program": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "command": ["search"],
        "settings": SearchSettings().to_json(),
        "limits": {"seconds": 60.0, "trials": None},
        "rungs": [5, 15, 45],
        "width": 16,
        "train": {},
        "hardware": {"device": "cpu"},
        "versions": {},
        "space": {"name": "nexception", "size": 2, "fingerprint": "x", "default": {"k": 1}},
        "data": {"name": "digits", "train_images": 9, "val_images": 1, "class_names": ["0", "1"]},
    }


def _weights() -> bytes:
    facts = {"epochs": 2, "seed": 1, "top1": 0.5, "val_loss": 1.0, "mean": [0.5], "std": [0.25]}
    return save({"w": np.zeros(3)}, {"smacnas": json.dumps(facts)})


def _npz() -> bytes:
    file = BytesIO()
    np.savez(file, x_train=np.arange(512).astype(np.uint8).reshape(8, 8, 8, 1), y_train=np.arange(8) % 2)
    return file.getvalue()


def _png() -> bytes:
    file = BytesIO()
    Image.new("RGB", (9, 8), (1, 2, 3)).save(file, "PNG")
    return file.getvalue()


def _read_journal(data: bytes, place: Path) -> object:
    (place / "trials.jsonl").write_bytes(data)
    state = SearchState.of(journal.read(place / "trials.jsonl").events)
    return snapshot.take(
        state, records.read(SearchFile, _search()), name="x", status="dead", used=1.0
    ).to_json()


def _read_search(data: bytes, place: Path) -> object:
    (place / "search.json").write_bytes(data)
    search = Run(place).read_search()
    SearchSettings.of(search)
    state = SearchState.of(parse({**STAMP, **event}) for event in EVENTS)
    return snapshot.take(state, search, name="x", status="dead", used=1.0).to_json()


def _read_salvaged(data: bytes, place: Path) -> object:
    (place / "salvaged.jsonl").write_bytes(data)
    nothing = SimulatedExecutor(lambda config, epochs, seed: SimulatedResult((), 1.0), SimulatedClock())
    return with_salvage(nothing, Run(place))


def _mend(data: bytes, place: Path) -> object:
    repaired = repair.repair(data)
    repair.finished(repair.events(repaired.salvaged), repair.events(repaired.lines))
    again = repair.repair(b"".join(line + b"\n" for line in repaired.lines))
    assert not again.changed, "what was repaired must be whole"
    return None


def _file(name: str, read: Callable[[Path], object]) -> Parser:
    def parse(data: bytes, place: Path) -> object:
        (place / name).write_bytes(data)
        return read(place / name)

    return parse


def _npz_file(path: Path) -> object:
    spec = f"npz:{path}"
    pictures.has_test(spec)
    return sources.load(spec, data_dir=path.parent)


def _image(data: bytes, place: Path) -> object:
    for name, content in (("cat", data), ("dog", _png())):
        (place / "p" / name).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            (place / "p" / name / f"{number}.png").write_bytes(content)
    return sources.load(f"folder:{place / 'p'}", data_dir=place, image_size=8)


def _exported(path: Path) -> object:
    return folder.read_config(path.parent)


@cache
def targets() -> dict[str, tuple[st.SearchStrategy[Any], Parser]]:
    """Strategy and parser by name."""
    words = st.text(alphabet="0123456789.dhmskKMGTiB +-eE,inf", max_size=10) | st.text(max_size=10)
    point = search_spaces.get("nexception").default
    architecture = {"architecture": "nexception", "model_args": {"config": point}, "label_names": ["a"]}
    salvaged = {"event": "salvaged", "config_id": "a", "epochs": 1, "error": None, "metrics": {}, "curve": []}
    salvaged["reason"] = "x"
    cluster = {"system": "slurm", "workers": 4, "job": {"cores": 4, "memory": "16GB"}}
    return {
        "duration": (words, lambda text, _: parse_duration(text)),
        "size": (words, lambda text, _: parse_size(text)),
        "count": (words, lambda text, _: parse_count(text, "match_macs")),
        "journal bytes": (mutated(_journal(EVENTS)), _read_journal),
        "journal events": (changed(EVENTS).map(_journal), _read_journal),
        "repair": (mutated(_journal(EVENTS)) | changed(EVENTS).map(_journal) | st.binary(max_size=60), _mend),
        "salvaged": (changed([salvaged]).map(_journal), _read_salvaged),
        "search.json": (documents(_search(), _json), _read_search),
        "geometry": (
            documents(NEXCEPTION_T.to_json(), _json) | documents(NEXCEPTION_T.to_json(), _yaml),
            _file("g.yaml", lambda path: sizes.find(str(path), source.Source(point, {}))),
        ),
        "recipe": (documents(yaml.safe_load(recipe.Recipe().to_yaml()), _yaml), _file("r.yaml", recipe.read)),
        "cluster": (documents(cluster, _yaml), _file("c.yaml", cluster_file.ClusterFile.read)),
        "configuration": (documents(point, _json), _file("c.json", lambda path: source.find(str(path)))),
        "config.json": (documents(architecture, _json), _file("config.json", _exported)),
        "weights": (mutated(_weights()) | st.binary(max_size=40), _file("w.safetensors", weights.read)),
        "npz": (mutated(_npz()) | st.binary(max_size=40), _file("d.npz", _npz_file)),
        "image": (mutated(_png()) | st.binary(max_size=40), _image),
        "prior": (PRIORS, lambda text, _: Prior.parse(text, search_spaces.get("nexception"))),
        "space": (st.text(alphabet="ab.:_ /0é\n\0", max_size=12), lambda text, _: search_spaces.get(text)),
    }


def judge(parse: Parser, value: Any, place: Path) -> None:
    """Parses; only a value or a one-line UserError will do.

    Raises:
        AssertionError: If the error has several lines.
    """
    try:
        parse(value, place)
    except UserError as error:
        text = str(error)
        assert "\n" not in text, f"several lines: {text!r}"
        assert len(text) < 2_000, f"{len(text)} characters"
