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
    from nas.export import loading

    loading.refuse_folders(settings.models, *settings.space)
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
    from nas.profile.front import members
    from nas.util.machine import find_device, hardware, versions

    front = [] if settings.front is None else members(settings.front, *settings.space[:1])
    profiles = measure.profile(settings, front, note=_say)
    profiles.sort(key=lambda profile: profile.macs)  # as Table 3
    report.show(profiles)
    for member in front:
        print(f"{member.name}: {member.top1:.2%} in the search, where it was {member.searched_as}")
    if settings.folder is not None:
        facts = {
            "warm_up": settings.warm_up,
            "repeats": settings.repeats,
            "seconds": settings.seconds,
            "amp": settings.amp,
            "threads": torch.get_num_threads(),
            "hardware": hardware(find_device(settings.device)),
            "versions": versions(),
        }
        names = report.write(settings.folder, profiles, facts)
        print(f"written to {settings.folder}: {', '.join(names)}")
        if "accuracy-flops.png" not in names:
            print("no plots: no network's accuracy is known; give --top1 NAME=PERCENT or --published")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
