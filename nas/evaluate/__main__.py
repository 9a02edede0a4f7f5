"""Evaluate trained networks: ``python -m nas.evaluate DIR --data folder:DIR``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.evaluate.evaluation import EvaluateSettings
from nas.util import cli, output

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.evaluate"

RENAMED = {"--dataset": "--data", "--crop": "--crop-pct"}  # the search's, and that of an earlier version

_DESCRIPTION = """Evaluate trained networks on images they have not seen.

Prints accuracy, loss and calibration error; writes scores.json, per_class.csv and confusion.png. For
several networks or data sets it also writes one table, like Table 2 of the NEXcepTion paper:
A B --suite imagenet-a --data folder:DIR --suite imagenet-r --data folder:OTHER."""


@cli.flags(EvaluateSettings, output="-o", dataset="--data")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    settings = cli.parse(EvaluateSettings, prog=PROG, description=_DESCRIPTION, args=args, renamed=RENAMED)

    output.doing("loading PyTorch")
    from nas.evaluate import evaluation as run
    from nas.evaluate import joint

    if len(settings.models) > 1 or len(settings.data) > 1:
        found = run.evaluate_all(settings)
        joint.show(found.lines, found.sets)
        for note in found.notes:
            print(f"note: {note}")
        print(f"written to {found.output}: {', '.join(joint.FILES)}, and a folder for each network and set")
        return 0
    evaluation = run.evaluate(settings)
    scores = evaluation.scores
    print(f"images                      {scores.images:>8,}")
    print(f"top-1                       {100 * scores.top1:>8.2f}%")
    print(f"top-5                       {100 * scores.top5:>8.2f}%")
    print(f"cross-entropy               {scores.loss:>8.4f}")
    print(f"expected calibration error  {100 * scores.ece:>8.2f}%")
    for note in evaluation.notes:
        print(f"note: {note}")
    print(f"written to {evaluation.output}")
    return 0


if __name__ == "__main__":
    cli.run(main, PROG)
