"""Fixtures for every room: whole searches with the real loop and real SMAC, in simulated time."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import search_spaces
from nas.costs.settings import CostSettings
from nas.execution.simulated import SimulatedClock, SimulatedExecutor, SimulatedResult
from nas.optimizers import create
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run import search_file
from nas.run.events import SessionStarted
from nas.run.folded_journal import FoldedJournal
from nas.run.folder import Run
from nas.run.journal import Journal
from nas.run.objectives import Objectives
from nas.search.costing import SearchCosts
from nas.search.limits import Limits
from nas.search.loop import Search
from nas.search.settings import BudgetSettings, ChoiceSettings, SearchSettings, SpaceSettings
from nas.util.seeds import derive
from search_spaces.nexception import geometry
from search_spaces.nexception.geometry import Geometry
from tests.descriptions import described
from tests.warm_processes import WarmProcesses

# A busy machine is no failure, and neither is the first call of something slow to import.
settings.register_profile("smacnas", deadline=None, max_examples=50)
# The same examples each time, where a failure must be the change's own.
settings.register_profile("ci", settings.get_profile("smacnas"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "smacnas")

# The tests' processes share few cores, and train networks too small for a second thread. Libraries that are
# loaded already do not see it: where there are workers, they start with it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C and so would every program that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that take half a minute or nearly so. They go first, the costliest at the very beginning, or a worker
# would end the tests alone with one.
LONG = (
    "test_readme",
    "test_gpu_program",
    "test_tutorial",
    "test_page_and_examples",
    "test_objectives_page",
    "test_tutorial_own_space",
    "test_deepcave_pages",
    "test_unattended",
    "test_module_space",
    "test_own_space_exported",
    "test_docs_site",
    "test_wheel",
    "test_faults",
    "test_search_command",
    "test_weights_of_a_run",
    "test_training",
    "test_triton",
    "test_dask_executor",
    "test_trained_run",
    "test_forms",
    "test_output",
    "test_quality",
    "test_own_space",
    "test_conformance",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {stem: place for place, stem in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))
    for item in items:  # whole programs, one after another, on a machine that may have other work
        if item.get_closest_marker("acceptance") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1200))


def pytest_collection_finish() -> None:
    """Keeps what has been imported out of garbage collections, each of which would take a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The same of what a file imported."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


def pytest_unconfigure() -> None:
    """Libraries complain of what is left at the end."""
    gc.unfreeze()


def pytest_configure(config: pytest.Config) -> None:
    """Without a GPU, ``-m gpu`` is an error before anything runs; tests/gpu looks at other ways."""
    if on_gpu(config):
        refuse_without_gpu()


def on_gpu(config: pytest.Config) -> bool:
    """Whether the tests that need a GPU were asked for."""
    return re.search(r"(?<!not )\bgpu\b", config.option.markexpr) is not None


def refuse_without_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise pytest.UsageError("the tests marked gpu need a GPU that torch sees; this machine has none")


WEIGHTS = {"bottleneck": 0.20, "kernel_mid": 0.10, "norm_positions": 0.06, "pool": 0.03, "se": 0.02}
KERNEL = {3: 0.6, 5: 0.0, 7: 0.3, 9: 1.0}


def noise(*parts: object) -> float:
    """A number in [0, 1) that depends on its arguments only, in every process."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def true_error(config: dict[str, Any]) -> float:
    """Error after infinitely many epochs: known weights, best at bottleneck, kernel 5, "12", blur, SE."""
    error = 0.15
    error += WEIGHTS["bottleneck"] * (not config["bottleneck"])
    error += WEIGHTS["kernel_mid"] * KERNEL[config["kernel_mid"]]
    error += WEIGHTS["norm_positions"] * (config["norm_positions"] != "12")
    error += WEIGHTS["pool"] * {"blur": 0.0, "max": 0.5, "conv": 1.0}[config["pool"]]
    error += WEIGHTS["se"] * (not config["se"])
    return error


def synthetic(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """Learning curves towards the true error, with noise; kernels cost what large kernels cost."""
    final = true_error(config)
    errors = tuple(
        min(final + 0.5 / (1 + epoch) + 0.01 * (noise(seed, epoch) - 0.5), 1.0)
        for epoch in range(1, epochs + 1)
    )
    kernels = config["kernel_mid"] + config["kernel_down"]
    return SimulatedResult(errors, seconds=2.0 + kernels, params=1e5 * kernels, macs=1e6 * kernels)


def crashing(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """The same, but one configuration in eight (never the default) crashes in its second epoch."""
    answer = synthetic(config, epochs, seed)
    if noise("crash", *sorted(config.items())) < 1 / 8 and config["stem"] != "conv":
        return SimulatedResult((*answer.errors[:1], *(None for _ in answer.errors[1:])), answer.seconds)
    return answer


def ranked(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """The same with three choices that stand out from the others."""
    answer = crashing(config, epochs, seed)
    extra = 0.04 * (config["norm_positions"] != "12") + 0.14 * KERNEL[config["kernel_mid"]]
    errors = tuple(None if error is None else min(error + extra, 1.0) for error in answer.errors)
    return SimulatedResult(errors, answer.seconds)


@dataclass
class Simulation:
    """A search in a run folder, in simulated time."""

    path: Path
    problem: Callable[..., SimulatedResult] = synthetic
    optimizer: str = "smac"
    seed: int = 0
    seconds: float = 1e9
    trials: int | None = 60
    slots: int = 1
    fidelity: Fidelity = field(default_factory=lambda: Fidelity(1, 9, 3))
    smac: OptimizerSettings = field(default_factory=OptimizerSettings)
    space: str = "nexception"
    replicates: float = 0.0
    costs: SearchCosts | None = None

    def search(self, *listeners: Any) -> tuple[Search, Journal]:
        """Begins the run, or resumes it where its journal ends."""
        space = search_spaces.get(self.space)
        run = Run.open(self.path) if self.path.exists() else self._create(space)
        past = FoldedJournal.of(run)
        clock = SimulatedClock(past.state.clock)
        journal = Journal(run.journal, past.contents.size)
        seed = derive(self.seed, "optimizer")
        costs = None if self.costs is None else self.costs.for_optimizer
        search = Search(
            run=run,
            journal=journal,
            past=past,
            space=space,
            fidelity=self.fidelity,
            seed=self.seed,
            limits=Limits(self.seconds, self.trials),
            optimizer=create(self.optimizer, space, self.fidelity, seed, self.smac, costs=costs),
            executor=SimulatedExecutor(self.problem, clock, self.slots),
            clock=clock,
            listeners=listeners,
            replicates=self.replicates,
            costs=self.costs,
        )
        return search, journal

    def run(self, *listeners: Any) -> str:
        """Searches until a limit; returns why it stopped."""
        search, journal = self.search(*listeners)
        with journal:
            return search.run(SessionStarted("", 0.0, command=["simulated"], hardware={}, versions={}))

    def _create(self, space: Any) -> Run:
        settings = SearchSettings(
            budget=BudgetSettings(trials=self.trials),
            fidelity=self.fidelity,
            choice=ChoiceSettings(optimizer=self.optimizer, seed=self.seed, replicates=self.replicates),  # type: ignore[arg-type]
            costs=CostSettings() if self.costs is None else _flags(self.costs.objectives),
            smac=self.smac,
            space=SpaceSettings(self.space),
        )
        limits = search_file.Limits(seconds=self.seconds, trials=self.trials)
        objectives = None if self.costs is None else self.costs.objectives.recorded()
        search = replace(described(settings), limits=limits, objectives=objectives)
        return Run.create(self.path, search, space.configspace().to_serialized_dict())


def _flags(objectives: Objectives) -> CostSettings:
    """What a user would have typed; limits are of MACs."""
    limit = objectives.limits.get("macs")
    return CostSettings(("error", *objectives.costs), max_macs=None if limit is None else f"{limit:.0f}")


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_machine() -> Iterator[None]:
    """A search in simulated time does not wait for the disk after each event; processes of their own do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def warm() -> WarmProcesses:
    """Starts processes without a second for their imports."""
    return WarmProcesses()


@pytest.fixture(scope="session", autouse=True)
def _trials_start_at_once(request: pytest.FixtureRequest, warm: WarmProcesses) -> Iterator[None]:
    """Trial processes of searches in this process; those of forks of it and of programs are spawned.

    So are those that use a GPU: CUDA bears no fork.
    """
    with pytest.MonkeyPatch.context() as patch:
        for room in () if on_gpu(request.config) else ("nas.execution.process", "nas.costs.counter"):
            patch.setattr(f"{room}.multiprocessing", warm)
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread, for small networks on shared cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trials_here(one_thread: None) -> Iterator[None]:
    """Makes searches train in this process: for tests of a run's results, not of its trial process."""
    from tests.execution import in_thread

    with pytest.MonkeyPatch.context() as patch:
        in_thread.install(patch)
        yield


@pytest.fixture(scope="module")
def shallow() -> Iterator[None]:
    """Gives a search's networks one middle block: for tests that do not depend on their depth."""

    def reduced(width: int, image_size: int = 32) -> Geometry:
        return replace(whole(width, image_size), depths=(1,))

    whole = geometry.reduced
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "reduced", reduced)
        yield


@pytest.fixture(scope="session")
def tiny_geometry() -> Geometry:
    """The smallest network of the space that still has every kind of block; made for 16x16 pixels."""
    return Geometry(
        name="tiny",
        image_size=16,
        pyramid=False,
        patchify_chs=8,
        conv_chs=(8, 8),
        conv_padding=1,
        widths=(16,),
        depths=(1,),
        exit_chs=(24, 24, 32),
    )


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., Simulation]:
    """Makes a simulated search: ``simulate("name", trials=150, problem=...)``."""

    def make(name: str = "run", **settings: Any) -> Simulation:
        return Simulation(tmp_path / name, **settings)

    return make


@pytest.fixture(scope="session")
def simulation() -> type[Simulation]:
    """For fixtures of wider scope, which choose their own folder."""
    return Simulation


@pytest.fixture(scope="session")
def even_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three finished searches of 150 trials, half of them at random; tests only read them."""
    paths = [tmp_path_factory.mktemp("runs") / f"even{seed}" for seed in range(3)]
    half = OptimizerSettings(random_probability=0.5)
    for seed, path in enumerate(paths):
        Simulation(path, trials=150, problem=ranked, seed=seed, smac=half).run()
    return paths


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished search of 150 trials with some crashes; tests only read it."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    Simulation(path, trials=150, problem=crashing).run()
    before = set(path.rglob("*"))
    yield path
    assert set(path.rglob("*")) == before, "a test has written into the run that all read"
