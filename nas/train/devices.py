"""Where a full-size network is trained: device, precision, processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nas.util.errors import SettingError, setting
from nas.util.system import cores

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nas.train.settings import TrainCommandSettings

_MOST_WORKERS = 32


def on_gpu(device: str) -> bool:
    """Whether to train on a GPU; makes it the current one if there is one process.

    Raises:
        UserError: If it is not there.
    """
    import torch

    from nas.util.machine import find_device

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return find_device(device).type == "cuda"
    if ":" in device:  # Accelerate gives each its own
        rule = f"several processes have a GPU each; use {setting('device', 'auto')}"
        raise SettingError("device", device, rule)
    return device != "cpu" and torch.cuda.is_available()


def accelerator(settings: TrainCommandSettings) -> Accelerator:
    """Returns accelerate's view of the device, the precision and the other processes.

    Raises:
        UserError: If the device does not allow what is set.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.utils import ProjectConfiguration

    from nas.trial.passes import autocast_dtype

    cuda = on_gpu(settings.device)
    if settings.sync_bn and not cuda and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingError("sync_bn", None, "needs a GPU for each process; leave it out")
    if settings.amp == "fp16" and not cuda:
        raise SettingError("amp", "fp16", f"needs a GPU; use {setting('amp', 'off')} or bf16")
    dtype = autocast_dtype(settings.amp, torch.device("cuda" if cuda else "cpu"))
    precision = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    return Accelerator(
        cpu=not cuda,
        mixed_precision=precision,
        log_with=None if settings.log == "none" else settings.log,
        project_config=ProjectConfiguration(
            project_dir=str(settings.output), logging_dir=str(settings.output / "logs")
        ),
    )


def workers() -> int:
    """As many as leave a core to this process, when the processes on this machine share its cores."""
    processes = max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return max(0, min(_MOST_WORKERS, cores() // processes - 1))
