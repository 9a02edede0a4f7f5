"""Searches on scikit-learn's digits and says what it found: a minute on two CPU cores."""

import nas


def main() -> None:
    """Trial processes import this file: what it does stands below, under the last line's guard."""
    run = nas.run_search(
        "digits",
        budget="5m",
        trials=6,
        width=16,
        image_size=8,
        min_epochs=1,
        max_epochs=3,
        on_trial=lambda trial: print(f"trial {trial.trial}: {trial.epochs} epochs, top-1 {trial.top1}"),
        quiet=True,
    )
    best = run.incumbent
    print(f"{run.path}: top-1 {best.top1:.3f}, the base architecture's is {best.baseline_top1:.3f}")
    for name, (base, found) in best.changes.items():
        print(f"  {name}: {base} -> {found}")


if __name__ == "__main__":
    main()
