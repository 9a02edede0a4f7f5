"""Judge a trained network: ``python -m nas.evaluate DIR --data folder:DIR``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas import cli, output
from nas.evaluation.run import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.evaluate"

_DESCRIPTION = """Judge a trained network on images it has not seen.

Prints accuracy, loss and calibration error; writes scores.json, per_class.csv and confusion.png."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    request = cli.parse(Request, prog=PROG, description=_DESCRIPTION, args=args)

    output.doing("loading PyTorch")
    from nas.evaluation.run import evaluate

    evaluation = evaluate(request)
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
