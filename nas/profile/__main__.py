"""Measure networks side by side: ``python -m nas.profile nexception_t convnext_tiny resnet50``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nas.profile.settings import ProfileSettings
from nas.util import cli

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.profile"

_DESCRIPTION = """Measure parameters, operations, memory, latency and throughput of networks, side by side.

Inference with random weights and random images, in channels_last; the networks take turns, pass by pass."""


@cli.flags(ProfileSettings, output="-o", models="MODEL...")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    settings = cli.parse(ProfileSettings, prog=PROG, description=_DESCRIPTION, args=args)
    _say("loading PyTorch")

    if settings.stages:
        from nas.profile import stages

        networks = stages.look(settings.models, settings.input_size, settings.space)
        stages.show(networks)
        if settings.output is not None:
            print(f"written to {settings.output}: {', '.join(stages.write(settings.output, networks))}")
        return 0

    import torch

    from nas.profile import measure, report
    from nas.util.machine import find_device, hardware, versions

    profiles = measure.profile(settings, note=_say)
    profiles.sort(key=lambda profile: profile.macs)  # as Table 3
    report.show(profiles)
    if settings.output is not None:
        facts = {
            "warm_up": settings.warm_up,
            "repeats": settings.repeats,
            "seconds": settings.seconds,
            "amp": settings.amp,
            "threads": torch.get_num_threads(),
            "hardware": hardware(find_device(settings.device)),
            "versions": versions(),
        }
        names = report.write(settings.output, profiles, facts)
        print(f"written to {settings.output}: {', '.join(names)}")
        if "accuracy-flops.png" not in names:
            print("no plots: no network's accuracy is known; give --top1 NAME=PERCENT or --published")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
