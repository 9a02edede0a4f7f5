"""The conformance kit: checks that a space has everything that a search needs, and describes problems."""

from __future__ import annotations

import copy
import io
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from nas.util.counts import count
from nas.util.errors import UserError, first_line
from nas.util.quantities import counted
from search_spaces import ends
from search_spaces.base import config_id
from search_spaces.points import cost_ends

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from search_spaces.base import Config, SearchSpace

_CLASSES, _IMAGES, _SIDE = 7, 8, 32
_SAMPLE, _SEED = 12, 5
_STEP = 0.01


@dataclass
class Findings:
    """The findings of a check.

    Attributes:
        problems: Faults with which a search would crash or could not be resumed.
        notes: Oddities that may be intended.
        figures: Costs of the cheapest and costliest configurations, formatted.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> None:
        """Adds a problem, once."""
        if text not in self.problems:
            self.problems.append(text)


def examine(space: SearchSpace, said: Callable[[str], None] = lambda _: None) -> Findings:
    """Checks a space.

    Args:
        space: The space, already checked by loading it.
        said: Called with one line on what is being checked.
    """
    found = Findings()
    geometry = space.reduced(space.usual_width(gpu=False), _SIDE)
    said("configurations")
    sample = space.sample(_SAMPLE, _SEED)
    for config in [*space.points.values(), *sample]:
        _comes_back(space, config, found)
    said("networks, a step of training each")
    failures = 0
    tried = [("the default", space.default), *ends.corners(space), *(("", config) for config in sample)]
    for name, config in tried:
        label = name or f"configuration {_words(config)}"
        try:
            _trains(space, config, geometry, label, found)
        except Exception as error:  # a user's space may raise anything
            failures += 1
            found.wrong(f"{label}: {type(error).__name__} ({first_line(error)})")
    if failures and failures < len(tried):
        found.notes.append(
            f"{failures} of {len(tried)} configurations failed; a search takes such trials for crashes and "
            "goes on, but conditions or forbidden clauses that leave them out save their time"
        )
    said("costs")
    _costs(space, geometry, found)
    return found


def _words(config: Config) -> str:
    return ", ".join(f"{key}={value}" for key, value in config.items())


def _comes_back(space: SearchSpace, config: Config, found: Findings) -> None:
    try:
        again = space.validate(json.loads(json.dumps(space.validate(config))))
    except UserError as error:
        found.wrong(f"point or sample {_words(config)}: {error.given}")
        return
    if again != config or config_id(again) != config_id(config):
        found.wrong(f"configuration {_words(config)}: comes back from JSON as {_words(again)}")


def _trains(space: SearchSpace, config: Config, geometry: Any, label: str, found: Findings) -> None:
    model = _built(space, config, geometry)
    count(model, _SIDE, num_classes=_CLASSES)
    images = torch.randn(_IMAGES, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(_IMAGES) % _CLASSES
    output = model.train()(images)
    if tuple(output.shape) != (_IMAGES, _CLASSES):
        found.wrong(f"{label}: gives shape {tuple(output.shape)}; must give ({_IMAGES}, {_CLASSES})")
        return
    loss = cross_entropy(output, labels)
    if not torch.isfinite(loss):
        found.wrong(f"{label}: the loss of a fresh network is {float(loss)}")
        return
    loss.backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    if unused:
        many = counted(len(unused), "parameter")
        found.wrong(f"{label}: no gradient reaches {unused[0]} ({many} in all); leave out what is not used")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=_STEP)
    if not torch.isfinite(model.eval()(images)).all():
        found.wrong(f"{label}: gives numbers that are not finite after a step of training")
    _same_again(space, config, geometry, model, label, found)


def _built(space: SearchSpace, config: Config, geometry: Any) -> nn.Module:
    torch.manual_seed(_SEED)
    return space.network(config, geometry, _CLASSES)


def _same_again(
    space: SearchSpace, config: Config, geometry: Any, model: nn.Module, label: str, found: Findings
) -> None:
    other = _built(space, config, geometry)
    first, second = _built(space, config, geometry).state_dict(), other.state_dict()
    if first.keys() != second.keys() or any(not torch.equal(first[key], second[key]) for key in first):
        found.wrong(f"{label}: two networks of one seed differ; take random numbers from torch alone")
    try:
        other.load_state_dict(model.state_dict())
    except RuntimeError as error:
        found.wrong(f"{label}: its weights cannot be put into a second network ({first_line(error)})")
    try:
        copy.deepcopy(model)
    except Exception as error:  # averaging weights copies the network
        found.wrong(f"{label}: cannot be copied ({type(error).__name__}: {first_line(error)})")
    try:
        torch.save(model, io.BytesIO())  # whole, class and all
    except Exception as error:
        note = f"cannot be pickled ({type(error).__name__}: {first_line(error)}); a search does not need it"
        if note not in found.notes:
            found.notes.append(note)


def _costs(space: SearchSpace, geometry: Any, found: Findings) -> None:
    for name, config in ends.find(space, geometry, _CLASSES, 3, _SIDE).items():
        try:
            stats = count(_built(space, config, geometry), _SIDE, num_classes=_CLASSES)
        except Exception:  # said already
            continue
        named = "" if name in cost_ends(space) else ", found by sampling"
        found.figures.append(f"{name}: {stats.macs:,} MACs, {stats.params:,} parameters{named}")
        if not stats.macs:
            found.notes.append(f"{name}: no convolution or linear layer was counted")
    if math.isfinite(space.size) and space.size == 1:
        found.notes.append("there is one configuration only: nothing to search")
