"""Settings of costs: what to minimise besides the error, and limits that nothing may exceed."""

from __future__ import annotations

import math
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nas.run.objectives import COUNTED, EPOCH_SECONDS, ERROR, LATENCY, MEASURED, MEMORY, Objectives
from nas.util import flag_help
from nas.util.commands import extra
from nas.util.errors import SettingError, setting
from nas.util.quantities import parse_count, parse_duration, parse_milliseconds, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.base import SearchSpace

AUTO, REDUCED = "auto", "reduced"
ONNX = "{onnx}"
_ONNX_PACKAGES = ("onnx", "onnxscript")  # needed to write the file for the command
_MOST = 3
_TYPED = {"train-seconds": EPOCH_SECONDS, "train_seconds": EPOCH_SECONDS}
_STANDARD = ("macs", "params", LATENCY, MEMORY, "train-seconds")
_LIMITS: dict[str, tuple[str, Callable[[str, str], float]]] = {  # cost -> setting, and what reads it
    "macs": ("max_macs", parse_count),
    "params": ("max_params", parse_count),
    LATENCY: ("max_latency", parse_milliseconds),
    MEMORY: ("max_memory", parse_size),
    EPOCH_SECONDS: ("max_train_seconds", parse_duration),
}


@dataclass(frozen=True)
class CostSettings:
    """Costs to minimise besides the error, and limits: those on what can be counted are never exceeded."""

    objectives: tuple[str, ...] = (ERROR,)
    """What to minimise: error, and one or two of macs, params, latency, memory, train-seconds (per epoch) or
    the space's own costs."""
    max_macs: Annotated[str | None, flag_help.default("no limit")] = None
    """Multiply-accumulates that no network may exceed, such as 600M or 4.5G."""
    max_params: Annotated[str | None, flag_help.default("no limit")] = None
    """Parameters that no network may exceed, such as 5M."""
    max_latency: Annotated[str | None, flag_help.default("no limit")] = None
    """Latency that no network may exceed, such as 4ms; it is measured, so networks beyond it
    are recognised only when they are trained."""
    max_memory: Annotated[str | None, flag_help.default("no limit")] = None
    """Peak memory of inference that no network may exceed, such as 500MB; measured, like latency."""
    max_train_seconds: Annotated[str | None, flag_help.default("no limit")] = None
    """Training time of an epoch that no network may exceed, such as 30s; measured, like latency."""
    max_cost: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], flag_help.default("no limit")] = ()
    """Limit of a cost that the space defines, NAME=VALUE, such as energy=2.5; once for each."""
    prefer: Literal["error", "knee"] = "error"
    """Which network of the front is the incumbent: the most accurate one within the limits, or the best
    compromise."""
    cost_of: str = AUTO
    """Network whose costs count: a full size of the space (t, s, tp, ...) or reduced, which is trained;
    auto: what nas.export writes by default, the first full size if there is one."""
    latency_command: Annotated[str | None, flag_help.default("measured on the search's device")] = None
    """Command that prints the milliseconds of one image for the network in the file {onnx}, for another
    device: 'ssh phone bench {onnx}' or a script."""

    def __post_init__(self) -> None:
        for name in ("objectives", "max_cost"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists
        self._check_objectives()
        limits = self.limits
        if self.prefer not in ("error", "knee"):
            raise SettingError("prefer", self.prefer, "must be error or knee")
        if self.prefer == "knee" and len(self.objectives) == 1:
            raise SettingError("prefer", self.prefer, "needs a second objective, such as error macs")
        if not self.active:
            for name, value, plain in (
                ("cost_of", self.cost_of, AUTO),
                ("latency_command", self.latency_command, None),
            ):
                if value != plain:
                    raise SettingError(name, value, "no cost is minimised or limited; leave it out")
        if self.latency_command is not None:
            if LATENCY not in (*self.costs, *limits):
                raise SettingError(
                    "latency_command", self.latency_command, "latency is no objective and has no limit"
                )
            self._check_command(self.latency_command)

    def _check_objectives(self) -> None:
        text = " ".join(self.objectives)
        if not self.objectives or self.objectives[0] != ERROR:
            raise SettingError("objectives", text, "must begin with error, for example: error macs")
        if len(self.objectives) > _MOST:
            raise SettingError("objectives", text, f"must be at most {_MOST}")
        if len(set(self.costs)) < len(self.costs) or ERROR in self.costs:
            raise SettingError("objectives", text, "must name each objective once")

    @staticmethod
    def _check_command(command: str) -> None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise SettingError(
                "latency_command", command, f"not a command ({error})", repr(command)
            ) from None
        if not any(ONNX in word for word in words):
            raise SettingError(
                "latency_command", command, f"must have {ONNX} where the network's file stands", repr(command)
            )

    @property
    def costs(self) -> tuple[str, ...]:
        """Costs that are minimised besides the error, by their names in run folders."""
        return tuple(_TYPED.get(name, name) for name in self.objectives[1:])

    @property
    def limits(self) -> dict[str, float]:
        """Returns the upper limits of costs by name.

        Raises:
            UserError: If one is not a quantity.
        """
        found = {
            name: float(read(text, field))
            for name, (field, read) in _LIMITS.items()
            if (text := getattr(self, field)) is not None
        }
        if found.get(MEMORY) == 0:
            raise SettingError("max_memory", self.max_memory, "must be more than 0")
        return {**found, **self._own_limits()}

    def _own_limits(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for text in self.max_cost:
            name, _, value = text.partition("=")
            if name in (*_STANDARD, EPOCH_SECONDS):
                flag = setting(_LIMITS[_TYPED.get(name, name)][0], value or None)
                raise SettingError("max_cost", text, f"is for the space's own costs; write {flag}")
            if not name or not value:
                raise SettingError("max_cost", text, "must be NAME=VALUE, such as energy=2.5")
            if name in found:
                raise SettingError("max_cost", text, f"{name} has a limit already; name each cost once")
            found[name] = _number(text, value)
        return found

    @property
    def given(self) -> dict[str, tuple[str, str]]:
        """Limits as the user wrote them: the setting and its value, by cost."""
        found = {name: (field, getattr(self, field)) for name, (field, _) in _LIMITS.items()}
        own = {text.partition("=")[0]: ("max_cost", text) for text in self.max_cost}
        return {name: pair for name, pair in {**found, **own}.items() if pair[1] is not None}

    @property
    def active(self) -> bool:
        """Whether any cost counts; without one, these settings change nothing about a search."""
        return len(self.objectives) > 1 or bool(self.limits)

    @property
    def measured(self) -> tuple[str, ...]:
        """Those of the costs that only a trial can measure."""
        return tuple(name for name in dict.fromkeys([*self.costs, *self.limits]) if name in MEASURED)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings that are not at their defaults, for ``search.json``."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value != getattr(CostSettings, key)
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CostSettings:
        """Inverts :meth:`to_json`."""
        return cls(**values)

    def resolve(self, space: SearchSpace) -> Objectives:
        """Returns the objectives and limits of a search of a space.

        Raises:
            UserError: If the space has no such cost or size, or the latency command does not exist.
        """
        for name in self.costs:
            if name not in (*COUNTED, *MEASURED, *space.costs):
                raise SettingError(
                    "objectives",
                    " ".join(self.objectives),
                    f"{name} is not a cost; there are {', '.join((*_STANDARD, *space.costs))}",
                )
        for text in self.max_cost:
            if (name := text.partition("=")[0]) not in space.costs:
                known = f"its own are {', '.join(space.costs)}" if space.costs else "it defines none"
                raise SettingError("max_cost", text, f"{space.name} has no cost {name}; {known}")
        sizes = [*space.full_sizes, REDUCED]
        if self.cost_of not in (AUTO, *sizes):
            raise SettingError(
                "cost_of", self.cost_of, f"{space.name} has no such size; must be auto or {', '.join(sizes)}"
            )
        if self.latency_command is not None:
            program = shlex.split(self.latency_command)[0]
            if shutil.which(program) is None:
                raise SettingError("latency_command", program, "no such program; must be one that can be run")
            missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None]
            if missing:
                rule = f"needs {', '.join(missing)}; install with: {extra('export')}"
                raise SettingError("latency_command", self.latency_command, rule)
        network = sizes[0] if self.cost_of == AUTO else self.cost_of
        return Objectives(self.costs, self.limits, self.prefer, network)


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = parse_count(value, "max_cost")
    if not 0 < number < math.inf:
        raise SettingError("max_cost", text, "must be a number above 0")
    return number
