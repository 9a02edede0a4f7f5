"""Files that would run code, write elsewhere or speak to a terminal or browser if they were trusted."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from nas.run import journal
from nas.run.folder import Run
from nas.util.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
OURS = [path for room in ("nas", "analysis", "search_spaces") for path in (ROOT / room).rglob("*.py")]


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "this-must-not-happen"


def test_nothing_of_ours_reads_code_as_data() -> None:
    calls = [
        (path, ast.unparse(node))
        for path in OURS
        if ".venv" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    assert len(calls) > 1_000
    for path, call in calls:
        function = call.partition("(")[0]
        where = f"{path.relative_to(ROOT)}: {call}"
        assert not function.startswith(("pickle.", "joblib.", "marshal.", "dill.", "cloudpickle.")), where
        assert function not in ("eval", "exec", "os.system", "yaml.unsafe_load", "yaml.full_load"), where
        assert "shell=True" not in call, where
        if function == "torch.load":
            assert "weights_only=True" in call, where
        if function == "np.load":
            assert "allow_pickle=False" in call, where
        if function == "yaml.load":
            assert call.endswith(", Loader)"), where  # nas.util.documents' SafeLoader
        if function.endswith((".extractall", "unpack_archive")):
            raise AssertionError(f"{where}: archives of users are not unpacked")


@pytest.mark.parametrize(
    "space", ["{name}.evil:Space", "{folder}/evil.py", "{folder}/evil.py:Space", "evil.py"]
)
def test_a_run_folder_cannot_have_a_module_imported(
    simulate: Callable[..., Any], trace: Path, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    from nas.search import __main__ as search
    from nas.status import __main__ as status

    simulation = simulate(trials=3)
    simulation.run()
    run = simulation.path
    (run / "evil.py").write_text(f"open({str(trace)!r}, 'w')")
    values = orjson.loads((run / "search.json").read_bytes())
    values["settings"]["space"]["space"] = values["space"]["name"] = space.format(name=run.name, folder=run)
    (run / "search.json").write_bytes(orjson.dumps(values))
    monkeypatch.syspath_prepend(str(run.parent))
    monkeypatch.chdir(run)
    with pytest.raises(UserError, match="--space"):
        search.main(["--resume", str(run)])
    assert status.main([str(run), "--json"]) == 0
    from nas.confirm.session import _settings
    from nas.confirm.settings import ConfirmMachineSettings

    with pytest.raises(UserError, match="^space: "):
        _settings(Run(run).read_search(), ConfirmMachineSettings())
    assert not trace.exists()


@pytest.mark.parametrize(
    "path",
    [
        ("limits", "trials"),
        ("space", "size"),
        ("settings", "space", "space"),
        ("settings", "choice", "optimizer"),
        ("settings", "choice", "seed"),
    ],
)
def test_a_run_without_what_its_readers_need_is_refused_in_a_line(
    simulate: Callable[..., Any], path: tuple[str, ...]
) -> None:
    from nas.status import __main__ as status

    simulation = simulate(trials=3)
    simulation.run()
    file = simulation.path / "search.json"
    values = orjson.loads(file.read_bytes())
    part = values
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    file.write_bytes(orjson.dumps(values))
    with pytest.raises(UserError, match=f"{'.'.join(path)}: missing"):
        status.main([str(simulation.path)])


def test_no_word_of_a_run_speaks_to_the_terminal(
    simulate: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from nas.status import __main__ as status

    simulation = simulate(trials=3)
    simulation.run()
    file = simulation.path / "search.json"
    values = orjson.loads(file.read_bytes())
    escape = "\x1b]0;evil\x07"
    values["hardware"]["device"] = values["space"]["name"] = values["data"]["name"] = escape
    values["settings"]["choice"]["optimizer"] = escape
    file.write_bytes(orjson.dumps(values))
    assert status.main([str(simulation.path)]) == 0
    shown = capsys.readouterr().out
    assert "evil" in shown
    assert "\x1b]" not in shown


@pytest.mark.parametrize("document", ["recipe", "geometry", "cluster"])
@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch TRACE']",
        "a: !!python/name:os.system",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "[" * 50_000,
    ],
)
def test_yaml_is_plain_values(tmp_path: Path, trace: Path, document: str, text: str) -> None:
    from nas.execution.dask.cluster_file import ClusterFile
    from nas.export import recipe, sizes
    from nas.export.source import Source

    path = tmp_path / "file.yaml"
    path.write_text(text.replace("TRACE", str(trace)))
    read: dict[str, Callable[[], object]] = {
        "recipe": lambda: recipe.read(path),
        "geometry": lambda: sizes.find(str(path), Source({}, {})),
        "cluster": lambda: ClusterFile.read(path),
    }
    with pytest.raises(UserError, match=r"file\.yaml"):
        read[document]()
    assert not trace.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path, trace: Path) -> None:
    from nas.data import pictures, sources

    evil = np.array([Evil(trace)] * 8, dtype=object)
    np.savez(tmp_path / "data.npz", x_train=evil, y_train=evil, classes=evil)
    spec = f"npz:{tmp_path / 'data.npz'}"
    with pytest.raises(UserError, match=r"data\.npz"):
        sources.load(spec, data_dir=tmp_path)
    assert pictures.has_test(spec) in (True, False)
    (tmp_path / "data.npz").write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(UserError, match=r"data\.npz"):
        sources.load(spec, data_dir=tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin", "model.pth"])
def test_an_exported_folder_runs_no_code(tmp_path: Path, trace: Path, weights: str) -> None:
    import torch

    from nas.export import loading

    config = {"architecture": "resnet10t", "model_args": {}, "pretrained_cfg": {"custom_load": True}}
    (tmp_path / "config.json").write_bytes(orjson.dumps(config))
    torch.save({"conv1.weight": Evil(trace)}, tmp_path / weights)
    with pytest.raises(UserError, match="cannot be created"):
        loading.find(str(tmp_path)).create(weights=True)
    assert not trace.exists()


def test_a_journal_cannot_choose_where_checkpoints_are_written(tmp_path: Path) -> None:
    from nas.trial.checkpoint import CheckpointNotWritten, CheckpointStore

    store = CheckpointStore(tmp_path / "run" / "checkpoints", 10**6)
    with pytest.raises(CheckpointNotWritten):
        store.save("../../outside", 1, {"model": {}})  # type: ignore[typeddict-item]
    assert list(tmp_path.rglob("*.pt")) == []


def test_terminals_get_no_escapes_and_no_markup(simulate: Callable[..., Any]) -> None:
    from rich.console import Console

    from nas.status.watcher import Watcher
    from nas.view import panel

    simulation = simulate("a[/bold]\x1b[2J", trials=3)
    simulation.run()
    run = simulation.path
    hostile = {"time": "2026-01-01T00:00:00.000Z", "clock": 99.0}
    with (run / "trials.jsonl").open("ab") as file:
        file.write(
            journal.sealed({**hostile, "event": "session", "phase": "stop", "reason": "\x1b]0;x\x07[/]"})
        )
    console = Console(record=True, width=100, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(panel.draw(Watcher(run).look()))
    assert "\x1b" not in console.export_text()
    assert "\x1b" not in str(UserError("evil \x1b[2J\nname"))
    assert "\n" not in str(UserError("evil \x1b[2J\nname"))


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"<{tag} {name}>" for name, _ in attrs if name.startswith("on")]
        if tag == "evil":
            self.found.append("<evil>")


@pytest.mark.slow
def test_a_report_escapes_what_files_say(simulate: Callable[..., Any], tmp_path: Path) -> None:
    from analysis.frames import load
    from analysis.report import report

    hostile = "</script></style></title>\"'><evil onload=x()><!--"
    simulation = simulate(trials=25)
    simulation.run()
    run = shutil.move(simulation.path, simulation.path.parent / hostile.replace("/", "\u2215"))
    values = orjson.loads((Path(run) / "search.json").read_bytes())
    values["data"] |= {"name": hostile, "class_names": [hostile]}
    values["hardware"]["device"] = values["created"] = hostile
    values["command"] = [hostile]
    (Path(run) / "search.json").write_bytes(orjson.dumps(values))
    events = [event.to_json() for event in journal.read(Path(run) / "trials.jsonl").events]
    for event in events:
        if event["event"] == "ended" and event["trial"] % 4 == 0:
            event |= {"status": "crashed", "error": None, "reason": hostile}
        if event["event"] == "session":
            event |= (
                {"command": [hostile], "host": hostile} if event["phase"] == "start" else {"reason": hostile}
            )
        if event["event"] == "asked" and event["origin"] != "baseline":
            event["origin"] = hostile
    kept = [event for event in events if event["event"] != "incumbent"]
    (Path(run) / "trials.jsonl").write_bytes(b"".join(journal.sealed(event) for event in kept))
    text = report(load(Path(run))).read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.found == []
    assert "<evil" not in text
    assert "&lt;evil" in text
