"""The networks of a run's front at the size whose costs it minimised, and timm's of about the same cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

import search_spaces
from nas.export import loading, sizes, source
from nas.export.training import Training
from nas.run.folder import Run
from nas.run.objectives import Objectives
from nas.run.state import SearchState
from nas.util.counts import count
from nas.util.errors import SettingError, setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from nas.export.loading import LoadableNetwork
    from nas.export.sizes import Size
    from nas.run.state import Trial

# Usual choices from a few hundred thousand parameters up to some tens of millions, of all kinds.
_TIMMS = (
    *("resnet10t", "resnet18", "resnet34", "resnet50", "resnet101"),
    *("lcnet_050", "mobilenetv3_small_050", "mobilenetv3_small_100", "mobilenetv3_large_100"),
    *("mobilenetv2_100", "efficientnet_b0", "efficientnet_b1", "tf_efficientnetv2_s"),
    *("regnety_002", "regnety_004", "regnety_008", "regnety_016", "regnety_032"),
    *("convnext_atto", "convnext_femto", "convnext_pico", "convnext_nano", "convnext_tiny", "convnext_small"),
    *("deit_tiny_patch16_224", "deit_small_patch16_224", "swin_tiny_patch4_window7_224"),
)
_MOST = 5  # networks of a front
_CLASSES, _CHANNELS = 1000, 3  # what nas.export builds at full size


@dataclass(frozen=True)
class Member:
    """A network of a front, as :class:`nas.export.loading.LoadableNetwork` for what measures it.

    Attributes:
        name: Short, for people.
        trial: Its trial.
        top1: What the search measured of the reduced network, 0..1.
        costs: What the search minimised, by name.
        path: None: no folder holds it.
        training: Unknown: no folder describes it.
    """

    name: str
    trial: int
    top1: float
    costs: dict[str, float]
    _source: source.Source = field(repr=False)
    _size: Size = field(repr=False)
    path: None = None
    training: Training = field(default_factory=Training)

    @property
    def searched_as(self) -> str:
        """Which network the search trained, in words."""
        return "this network" if self._size.reduced else f"reduced to width {self._source.width}"

    def create(self) -> nn.Module:
        """Builds it, with random weights."""
        space = search_spaces.get(self._source.space)
        classes, chans = _CLASSES, _CHANNELS
        if self._size.reduced:
            classes, chans = len(self._source.class_names) or classes, self._source.in_chans or chans
        model: nn.Module = space.network(self._source.config, self._size.geometry, classes, chans)
        side = self._size.image_size
        model.pretrained_cfg = {"input_size": (chans, side, side)}  # type: ignore[assignment]  # as timm's have
        return model


def members(path: Path, space: str | None = None) -> list[Member]:
    """At most five networks of a run's front, by rising cost, both of its ends among them.

    Args:
        path: The run.
        space: Code of its custom space, as the user named it.

    Raises:
        UserError: If the run has no front, or its space cannot be had.
    """
    run = Run.open(path)
    search = run.read_search()
    objectives = Objectives.of(search)
    if objectives is None or not objectives.costs:
        rule = f"this run searched for the error alone; must have {setting('objectives')}, such as error macs"
        raise SettingError("front", path, rule)
    front = objectives.front(SearchState.of(run.read_journal().events), search.rungs[-1])
    if not front:
        raise SettingError("front", path, "no network of it has been trained for all epochs yet")
    places = {round(i * (len(front) - 1) / max(_MOST - 1, 1)) for i in range(_MOST)}
    return [_member(path, front[place], objectives, space) for place in sorted(places) if place < len(front)]


def neighbours(front: Sequence[Member]) -> list[LoadableNetwork]:
    """For each network of a front one of timm's, each another: of the nearest cost, on a logarithmic scale.

    The cost is that of the search: its parameters if it minimised those first, else multiply-accumulates.
    """
    name = "params" if next(iter(front[0].costs)) == "params" else "macs"
    wanted = [math.log(max(_cost(member.create, name), 1.0)) for member in front]
    known = {one: math.log(_cost(loading.find(one).create, name)) for one in _TIMMS}
    found = []
    for at in wanted[: len(known)]:
        found.append(min(known, key=lambda one: abs(known[one] - at)))
        del known[found[-1]]
    return [loading.find(one) for one in found]


def _member(path: Path, trial: Trial, objectives: Objectives, space: str | None) -> Member:
    found = source.find(str(path), trial=trial.trial, space=space)
    size = sizes.find(objectives.network, found)
    costs = dict(zip(objectives.costs, objectives.point(trial)[1:], strict=True))
    return Member(f"trial {trial.trial}", trial.trial, 1.0 - (trial.error or 0.0), costs, found, size)


def _cost(create: Any, name: str) -> float:
    """What a network costs at its own image size."""
    from timm.data import resolve_model_data_config

    with torch.device("meta"):
        model = create()
    chans, side = resolve_model_data_config(model)["input_size"][:2]
    return float(getattr(count(model.eval(), side, chans), name))
