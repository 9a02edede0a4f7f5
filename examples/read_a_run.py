"""Reads a run, finished or not: ``python examples/read_a_run.py runs/NAME``."""

import sys

import nas


def main(path: str) -> None:
    """Prints what a run found, and writes its page."""
    run = nas.open_run(path)
    print(run)
    trials = run.trials_dataframe()
    print(trials.groupby("epochs")["top1"].agg(["count", "mean", "max"]))
    try:
        print(f"best: trial {run.incumbent.trial}, top-1 {run.incumbent.top1:.3f}")
    except nas.UserError as error:  # no trial has had the highest budget yet
        print(error)
    print(f"page: {run.report()}")


if __name__ == "__main__":
    main(sys.argv[1])
