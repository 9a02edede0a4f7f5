"""Inside the trial process: keeps the data on a device and trains one network after another on it."""

from __future__ import annotations

import contextlib
import gc
import io
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch

import search_spaces
from nas.data.device import DeviceData
from nas.execution import prefetch
from nas.execution.counted import CountedNetwork
from nas.execution.faults import kind_of
from nas.execution.measuring import CostMeter
from nas.execution.messages import (
    DEVICE,
    MEMORY,
    PAUSE,
    READY,
    EpochDone,
    Facts,
    Measurement,
    Note,
    TrialEnded,
    TrialPaused,
)
from nas.execution.saving import Saver
from nas.execution.settings import named_width
from nas.run.objectives import COST
from nas.run.search_file import Data, Hardware
from nas.trial import checkpoint
from nas.trial.graphs import CudaRecorder, Eager, Recorder
from nas.trial.kernels import FastLayers
from nas.trial.loop import StaleCheckpoint, train
from nas.trial.memory import free_memory, keep_freed_memory
from nas.trial.timing import epoch_seconds
from nas.trial.trainer import Trainer
from nas.trial.weights import WeightsNotWritten, WeightStore
from nas.util import records
from nas.util.counts import count
from nas.util.errors import SettingError, UserError
from nas.util.machine import find_device, hardware, versions
from nas.util.seeds import derive
from search_spaces.ends import find
from search_spaces.presets import recipe_width

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from torch import nn

    from nas.data.images import ImageSet
    from nas.execution.messages import MeasureSpeed, Speed, TrialSpec
    from nas.execution.prefetch import Prepared
    from nas.execution.settings import WorkerSettings
    from nas.trial.loop import EpochMetrics, Result, State
    from nas.trial.settings import Recipe
    from nas.trial.snapshot import Snapshot
    from nas.util.counts import Stats
    from search_spaces.base import Config

_NARROW = 32  # up to this width steps are too short to gain from a second thread
_FINAL = ("val_loss", "train_loss", "top1", "top5")


class TrialHost:
    """Everything that is kept between trials."""

    def __init__(self, settings: WorkerSettings, images: ImageSet, pipe: Connection) -> None:
        """Places the data on the device.

        Args:
            settings: Settings of the trial process.
            images: The training part of the data.
            pipe: Takes reports and brings requests to pause.

        Raises:
            UserError: If the device, width or training settings are invalid.
        """
        self._settings = settings
        self._pipe = pipe
        self._space = search_spaces.get(settings.space)
        device = find_device(settings.device)
        width = named_width(settings.width, self._space.presets)
        if width is None:
            width = self._space.usual_width(gpu=device.type == "cuda")
        like = recipe_width(self._space.presets, width)
        threads = _threads(settings.threads, like)
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        if settings.cuda_graphs and device.type != "cuda":
            raise SettingError("cuda_graphs", None, f"the device is {device}, which has none; leave it out")
        self._recorder = _recorder(settings, device)
        self._layers = None if settings.reference else FastLayers(device, self._note)
        self._data = data = DeviceData.place(
            images, val_fraction=settings.val_fraction, seed=derive(settings.seed, "split"), device=device
        )
        self._image_size = images.images.shape[1]
        self._recipe = settings.train.resolve(like, len(data.train), flip=data.flip)
        for name in self._space.training:
            if getattr(settings.train, name) is not None:
                raise SettingError(name, None, "the search chooses it, as it is in the space; leave it out")
        self._geometry = self._space.reduced(width, image_size=self._image_size)
        self._store = checkpoint.CheckpointStore(
            settings.checkpoints, settings.quota_bytes, self._note, weights=settings.weights
        )
        self._weights = None
        if settings.weights is not None:
            self._weights = WeightStore(settings.weights, settings.quota_bytes)
        self._saver = Saver(self._store, self._note, beside=device.type == "cuda")
        self.facts = Facts(
            data=Data(
                name=images.name,
                fingerprint=data.fingerprint,
                split_fingerprint=data.split_fingerprint,
                train_images=len(data.train),
                val_images=len(data.val),
                image_size=self._image_size,
                in_chans=data.in_chans,
                class_names=list(images.class_names),
            ),
            hardware=records.read(Hardware, hardware(device)),
            versions=versions(),
            width=width,
            train=asdict(self._recipe),
            notes=images.notes,
        )
        self._meter = self._cost_meter()
        self._prepared: Prepared | None = None
        self._ends: dict[str, Config] | None = None
        gc.freeze()  # objects of the libraries live on: collecting garbage after a trial need not visit them

    def run(self, spec: TrialSpec) -> None:
        """Runs a trial and reports its end; any error in it is reported as its crash."""
        micro_batch: int | None = None
        while True:
            try:
                report = self._attempt(spec, micro_batch)
            except Exception as error:
                reason, fault = _one_line(error), kind_of(error)
            else:
                break
            self._saver.wait()
            if fault == DEVICE:  # any further use of the device fails: this process is replaced
                self._pipe.send(TrialEnded(spec.trial, None, reason=reason, fault=fault))
                return
            self._free()  # outside the except block, which would hold the failed network
            if fault != MEMORY or micro_batch is not None or not spec.alone:
                report = TrialEnded(spec.trial, None, reason=reason, fault=fault)
                break
            micro_batch = max(self._recipe.batch_size // 2, 1)
            self._note(f"trial {spec.trial}: out of memory, once more in micro-batches of {micro_batch}")
        self._saver.wait()
        self._pipe.send(report)
        self._free()

    def measure(self, config: Config | str) -> Measurement | UserError:
        """Times a few steps of a configuration, or of ``cheapest`` or ``costliest``, for the plan."""
        try:
            config = self._named(config)  # may build many networks to find the cheapest or costliest
            begin = time.perf_counter()
            model = self._build(config, seed=0)
            self._counted(model)
            built = time.perf_counter() - begin
            train_seconds, val_seconds = epoch_seconds(
                model, self._data, self._recipe_of(config), layers=self._layers, recorder=self._recorder
            )
        except Exception as error:  # a user's space may raise anything
            return UserError(_one_line(error))
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        moments = 1 if self._recipe.optimizer == "sgd" else 2
        return Measurement(train_seconds, val_seconds, built, (1 + moments) * buffer.tell())

    def costs(self, config: Config) -> dict[str, float] | UserError:
        """What a trial would measure of a configuration's costs, by their names; no training."""
        try:
            found = {} if self._meter is None else self._meter.measure(config, {}, ())
            return {name.removeprefix(COST): value for name, value in found.items()}
        except Exception as error:  # the user's command, or the builder of a user's space
            return UserError(_one_line(error))

    def prepare(self, spec: TrialSpec) -> None:
        """Builds a trial's network and compiles its kernels before the trial starts."""
        self._prepared = None
        self._free()
        self._prepared = prefetch.prepare(
            spec,
            lambda: self._built(spec),
            lambda model: self._trainer(model, spec.config),
            self._data.device,
        )
        self._free()
        self._pipe.send(READY)

    def measure_speed(self, request: MeasureSpeed) -> Speed | UserError:
        """Measures the speed of a configuration beside other processes."""
        try:
            config = self._named(request.config)
            trainer = self._trainer(self._build(config, seed=0), config)
            with contextlib.closing(trainer):
                return prefetch.answer_speed(trainer, request.seconds, self._pipe)
        except Exception as error:
            return UserError(_one_line(error))

    def _attempt(self, spec: TrialSpec, micro_batch: int | None) -> TrialEnded | TrialPaused:
        self._saver.wait()
        found = self._store.latest(spec.config_id, spec.epochs)
        if found is not None:
            try:
                return self._train(spec, micro_batch, *found)
            except StaleCheckpoint as error:
                self._note(f"trial {spec.trial}: trained from the start ({error})")
        return self._train(spec, micro_batch)

    def _train(
        self, spec: TrialSpec, micro_batch: int | None, from_epoch: int = 0, state: State | None = None
    ) -> TrialEnded | TrialPaused:
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared.fits(spec):
            model, stats = prepared.model, prepared.stats
        else:
            model, stats = self._built(spec)
        for row in [] if state is None else state["curve"][spec.known_epochs :]:
            self._pipe.send(_epoch_done(spec, row))
        saved = time.monotonic()

        def on_epoch(metrics: EpochMetrics, snapshot: Snapshot) -> bool:
            nonlocal saved
            pause = self._pipe.poll() and self._pipe.recv() == PAUSE
            due = pause or time.monotonic() - saved > self._settings.checkpoint_every
            if metrics.epoch == spec.epochs:
                due = spec.epochs < self._settings.max_epochs  # nothing continues from the highest rung
            if due:
                self._saver.save(spec, metrics.epoch, snapshot)
                saved = time.monotonic()
            self._pipe.send(_epoch_done(spec, asdict(metrics)))
            return not pause

        result = train(
            model,
            self._data,
            self._recipe_of(spec.config),
            epochs=spec.epochs,
            max_epochs=self._settings.max_epochs,
            seed=spec.seed,
            state=state,
            micro_batch=micro_batch,
            on_epoch=on_epoch,
            on_evaluated=lambda metrics, judged: self._keep(spec, metrics, judged),
            layers=self._layers,
            recorder=self._recorder,
            on_note=lambda text: self._note(f"trial {spec.trial}: {text}"),
        )
        if result.paused:
            return TrialPaused(spec.trial)
        extra = {"from_epoch": float(from_epoch), "params": float(stats.params), "macs": float(stats.macs)}
        if micro_batch is not None:
            extra["micro_batch"] = float(micro_batch)
        if self._meter is not None:
            extra |= self._meter.measure(spec.config, spec.costs, result.curve)
        return TrialEnded(spec.trial, 1.0 - result.last.top1, {**_outcome(result), **extra})

    def _cost_meter(self) -> CostMeter | None:
        wanted, facts = self._settings.measured, self.facts
        if wanted is None:
            return None
        network = CountedNetwork.of(self._settings.space, wanted.network, facts.data, facts.width)
        return CostMeter(wanted, network, self._space, self._data.device)

    def _keep(self, spec: TrialSpec, metrics: EpochMetrics, judged: Snapshot) -> None:
        """Writes the weights of a network of the highest rung; the search deletes those not worth keeping."""
        if self._weights is None or spec.epochs != self._settings.max_epochs:
            return
        facts = {
            "config_id": spec.config_id.partition("_")[0],
            "config": spec.config,
            "epochs": spec.epochs,
            "seed": spec.seed,
            "top1": metrics.top1,
            "val_loss": metrics.val_loss,
            "mean": self._data.mean.tolist(),
            "std": self._data.std.tolist(),
        }
        try:
            self._weights.save(spec.config_id, spec.epochs, judged(), facts)
        except WeightsNotWritten as error:
            self._note(f"trial {spec.trial}: {error}")
        except Exception as error:  # a network that no file can hold is still a result
            self._note(f"trial {spec.trial}: its weights are not kept: {_one_line(error)}")

    def _built(self, spec: TrialSpec) -> tuple[nn.Module, Stats]:
        model = self._build(spec.config, spec.seed)
        return model, self._counted(model)

    def _counted(self, model: nn.Module) -> Stats:
        """Counts a network's parameters and multiply-accumulates.

        Raises:
            ValueError: If its output is not one number per class.
        """
        return count(model, self._image_size, self._data.in_chans, num_classes=self._data.num_classes)

    def _named(self, config: Config | str) -> Config:
        """Resolves ``cheapest`` and ``costliest`` to a configuration."""
        if not isinstance(config, str):
            return config
        if self._ends is None:
            data = self._data
            self._ends = find(self._space, self._geometry, data.num_classes, data.in_chans, self._image_size)
        return self._ends[config]

    def _trainer(self, model: nn.Module, config: Config) -> Trainer:
        recipe = self._recipe_of(config)
        return Trainer(model, self._data, recipe, max_epochs=1, layers=self._layers, recorder=self._recorder)

    def _recipe_of(self, config: Config) -> Recipe:
        """Returns the recipe with a configuration's training choices."""
        chosen: dict[str, Any] = {name: config[name] for name in self._space.training if name in config}
        return replace(self._recipe, **chosen) if chosen else self._recipe

    def _build(self, config: Config, seed: int) -> nn.Module:
        torch.manual_seed(derive(seed, "init"))
        return self._space.network(
            config,
            self._geometry,
            num_classes=self._data.num_classes,
            in_chans=self._data.in_chans,
            drop_path_rate=self._recipe_of(config).drop_path_rate,
        )

    def _note(self, text: str) -> None:
        self._pipe.send(Note(text))

    def _free(self) -> None:
        free_memory(self._data.device)


def _threads(wanted: int | None, width: int) -> int | None:
    """Returns the number of CPU threads to use, None for torch's default."""
    return 1 if wanted is None and width <= _NARROW else wanted


def _recorder(settings: WorkerSettings, device: torch.device) -> Recorder | None:
    """Returns the recorder of CUDA graphs; None where steps run without, as always on a CPU."""
    if device.type != "cuda" or settings.reference:
        return None
    return Eager() if settings.cuda_graphs is False else CudaRecorder()


def _epoch_done(spec: TrialSpec, row: dict[str, Any]) -> EpochDone:
    return EpochDone(spec.trial, row["epoch"], {key: row[key] for key in row if key != "epoch"})


def _outcome(result: Result) -> dict[str, float]:
    last = asdict(result.last)
    return {
        **{key: last[key] for key in _FINAL},
        "train_seconds": result.train_seconds,
        "peak_memory": float(result.peak_memory),
    }


def _one_line(error: BaseException) -> str:
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text}"[:300]
