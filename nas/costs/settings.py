"""Settings of costs: what to minimise besides the error, and limits that nothing may exceed."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from nas.run.objectives import COUNTED, EPOCH_SECONDS, ERROR, LATENCY, MEASURED, MEMORY, Objectives
from nas.util import flag_help
from nas.util.commands import extra
from nas.util.errors import SettingError
from nas.util.quantities import parse_count, parse_milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.base import SearchSpace

AUTO, REDUCED = "auto", "reduced"
ONNX = "{onnx}"
_ONNX_PACKAGES = ("onnx", "onnxscript")  # needed to write the file for the command
_MOST = 3
_TYPED = {"train-seconds": EPOCH_SECONDS, "train_seconds": EPOCH_SECONDS}
_STANDARD = ("macs", "params", LATENCY, MEMORY, "train-seconds")


@dataclass(frozen=True)
class CostSettings:
    """Costs to minimise besides the error, and limits. Configurations beyond a limit are never trained."""

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
        object.__setattr__(self, "objectives", tuple(self.objectives))  # JSON has lists
        self._check_objectives()
        limits = self.limits
        if self.prefer not in ("error", "knee"):
            raise SettingError("prefer", self.prefer, "must be error or knee")
        if self.prefer == "knee" and len(self.objectives) == 1:
            raise SettingError("prefer", self.prefer, "needs a second objective, such as error macs")
        if not self.weighs:
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
        found: dict[str, float] = {}
        if self.max_macs is not None:
            found["macs"] = parse_count(self.max_macs, "max_macs")
        if self.max_params is not None:
            found["params"] = parse_count(self.max_params, "max_params")
        if self.max_latency is not None:
            found[LATENCY] = parse_milliseconds(self.max_latency, "max_latency")
        return found

    @property
    def weighs(self) -> bool:
        """Whether any cost counts; without one, these settings change nothing about a search."""
        return len(self.objectives) > 1 or bool(self.limits)

    @property
    def measured(self) -> tuple[str, ...]:
        """Those of the costs that only a trial can measure."""
        return tuple(name for name in dict.fromkeys([*self.costs, *self.limits]) if name in MEASURED)

    def said(self) -> dict[str, Any]:
        """Returns the settings that are not at their defaults, for ``search.json``."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value != getattr(CostSettings, key)
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> CostSettings:
        """Inverts :meth:`said`."""
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
                    f"{name} is no cost; there are {', '.join((*_STANDARD, *space.costs))}",
                )
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
