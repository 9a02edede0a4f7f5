"""Where workers come from: GPUs told apart, files of batch systems, who can reach the scheduler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nas.execution import choice, gpus
from nas.execution.dask import clusters
from nas.execution.dask.cluster_file import ClusterFile
from nas.execution.dask.executor import DaskExecutor
from nas.execution.local import LocalExecutor
from nas.execution.settings import MachineSettings
from nas.util.errors import UserError

EXAMPLES = sorted((Path(clusters.__file__).parent / "examples").glob("*.yaml"))

LISTING = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""


def test_gpus_are_those_the_batch_system_gave() -> None:
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": "2,GPU-abc"}) == ["2", "GPU-abc"]
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": "0,-1,1"}) == ["0"]


def test_a_gpu_that_is_split_counts_by_its_parts() -> None:
    assert gpus.parse_listing(LISTING) == ["MIG-1111", "MIG-2222", "GPU-bbbb"]
    assert gpus.parse_listing("No devices were found\n") == []


@given(names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True), extra=st.integers(0, 9))
def test_workers_spread_evenly_and_take_what_others_leave(
    names: list[str], extra: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("locks")
    claims = [gpus.claim(names, folder) for _ in range(len(names) + extra)]
    taken = [claim.name for claim in claims]
    counts = [taken.count(name) for name in names]
    assert max(counts) - min(counts) <= 1
    claims[0].release()
    assert gpus.claim(names, folder).name == claims[0].name or max(counts) != min(counts)


@pytest.mark.parametrize(
    ("flags", "visible", "workers"),
    [
        ({}, "", 1),
        ({}, "0,1,2,3", 4),
        ({"trials_per_gpu": 2}, "0,1", 4),
        ({"trials_per_gpu": 2}, "", 1),
        ({"trials_per_gpu": 2, "device": "cuda:1"}, "0,1", 2),
        ({"device": "cpu"}, "0,1", 1),
        ({"workers": 3}, "", 3),
    ],
)
def test_workers_by_default_one_for_each_gpu(
    flags: dict[str, object], visible: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert choice.count(MachineSettings(**flags)) == workers  # type: ignore[arg-type]


def test_one_worker_is_the_plain_executor(tmp_path: Path) -> None:
    from nas.search.session import worker_settings
    from nas.search.settings import SearchSettings

    settings = worker_settings(SearchSettings(), tmp_path / "run" / "checkpoints")
    assert isinstance(choice.choose(MachineSettings(workers=1), settings), LocalExecutor)
    assert isinstance(choice.choose(MachineSettings(workers=2), settings), DaskExecutor)
    with pytest.raises(UserError, match=r"dask_scheduler, cluster"):
        choice.choose(MachineSettings(dask_scheduler="tcp://a:1", cluster="b.yaml"), settings)


@pytest.fixture
def machine() -> Iterator[clusters.LocalWorkers]:
    made = clusters.LocalWorkers(2)
    yield made
    made.close()


def test_nothing_of_dask_on_this_machine_can_be_reached_from_another(machine: clusters.LocalWorkers) -> None:
    client = machine.connect()
    client.wait_for_workers(2, timeout=60)
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert len(listening) >= 3  # the scheduler and two workers at least
    assert set(listening) == {"127.0.0.1"}
    assert machine.warning == ""
    client.close()


def test_who_lets_others_in_is_told_what_that_means() -> None:
    assert "can run programs as you" in clusters.RunningScheduler("tcp://192.0.2.7:8786").warning
    assert clusters.RunningScheduler("tls://192.0.2.7:8786").warning == ""
    assert clusters.RunningScheduler("tcp://localhost:8786").warning == ""


@pytest.mark.parametrize("address", ["here", "http://a:1", "tcp://a", "tcp://:8786", "tcp://a:port"])
def test_a_scheduler_needs_an_address(address: str) -> None:
    with pytest.raises(UserError, match="must be tcp://HOST:PORT"):
        clusters.RunningScheduler(address)


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_ANSWER", 0.5)
    with pytest.raises(UserError, match="no scheduler answers there") as error:
        clusters.RunningScheduler("tcp://127.0.0.1:1").connect()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_make_job_scripts_of_one_process_a_trial(path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    values["scheduler"] = {"host": "127.0.0.1"}  # no InfiniBand here
    values["job"].pop("log_directory", None)
    values.pop("tls")
    local = tmp_path / path.name
    local.write_text(yaml.safe_dump(values))
    cluster = ClusterFile.read(local).cluster()
    try:
        script = cluster.job_script()
        assert "distributed.cli.dask_worker tcp://127.0.0.1:" in script
        assert ("--nworkers 2" in script) == (path.stem == "pbs")
        for directive in values["job"].get("job_extra_directives", []):
            assert directive in script
        asked = {"slurm": "#SBATCH -t 24:00:00", "pbs": "ngpus=2", "lsf": "#BSUB -W 24:00"}
        assert asked[path.stem] in script
        assert values["job"]["job_script_prologue"][0] in script
        page = cluster.scheduler.services["dashboard"].address
        assert page == "127.0.0.1"
    finally:
        cluster.close()


def test_there_is_an_example_of_every_batch_system() -> None:
    assert [path.stem for path in EXAMPLES] == ["lsf", "pbs", "slurm"]
    for path in EXAMPLES:
        assert ClusterFile.read(path).tls == "temporary"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must have the keys"),
        ("system: [", "YAML"),
        ("job: {}", "system: missing"),
        ("system: sge", "must be one of slurm, pbs, lsf"),
        ("system: slurm\nworker: 3", "worker: unknown"),
        ("system: slurm\nworkers: many", "workers: 'many' does not fit"),
        ("system: slurm\nworkers: 0\njob: {cores: 1, memory: 1GB}", "at least 1"),
        ("system: slurm\njob: {cores: 1}", "memory is missing"),
        ("system: slurm\njob: {cores: 1, memory: 1GB, security: x}", "security is set by the search"),
        ("system: slurm\njob: {cores: 1, memory: 1GB, processes: 2}", "processes: 2"),
        ("system: slurm\njob: {cores: 1, memory: 1GB}\ntls: {ca: x}", "tls: must be temporary"),
        ("system: slurm\njob: {cores: 1, memory: 1GB}\ntls: yes please", "tls: yes please"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_key(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        ClusterFile.read(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_option_of_a_job_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("system: slurm\njob: {cores: 1, memory: 1GB, colour: red}\nscheduler: {host: 127.0.0.1}")
    with pytest.raises(UserError, match="colour") as error:
        ClusterFile.read(path).cluster()
    assert "\n" not in str(error.value)


def test_the_search_itself_needs_no_torch() -> None:
    import subprocess
    import sys

    modules = "nas.execution.dask.executor, nas.execution.dask.clusters"
    code = f"import {modules}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}).returncode == 0
