"""Answers evaluation requests: JSON on the standard input, JSON on the standard output.

In: ``{"export": ..., "requests": [...], "processes": n}``. Out: a line with the number of answers
so far after each, then one line with all of them.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context


def main() -> None:
    """Reads, evaluates, writes."""
    # DeepCAVE logs to the standard output, which has to stay JSON.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        asked = json.load(sys.stdin)

        from cave.converter import SearchRun
        from cave.evaluators import answer

        run = SearchRun.from_export(asked["export"])
        work = partial(answer, run)
        requests = asked["requests"]
        answers = []
        processes = min(asked["processes"], len(requests))
        if processes < 2:
            results = map(work, requests)
        else:
            pool = ProcessPoolExecutor(processes, get_context("fork"))
            results = pool.map(work, requests)
        for result in results:
            answers.append(result)
            out.write(f"{len(answers)}\n")
            out.flush()
        json.dump(answers, out, allow_nan=False)
        out.write("\n")


if __name__ == "__main__":
    main()
