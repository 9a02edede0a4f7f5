"""Works on what the pages ask for.

DeepCAVE connects to its queue where the program's name holds ``worker.py``.
"""

from __future__ import annotations

import logging
from typing import Any

from cave import lifeline
from cave.settings import Settings


def main() -> None:
    """Works until the dashboard ends."""
    lifeline.hold(Settings.read())

    from deepcave import queue
    from rq import Connection, Worker

    class PromptWorker(Worker):
        """Ends at once with the job it is on; stock workers finish that first."""

        def request_stop(self, signum: int, frame: Any) -> None:
            """Ends the job's process, then this one."""
            self.request_force_stop(signum, frame)

        def main_work_horse(self, job: Any, queue: Any) -> None:
            """Does the job, in a process of its own."""
            lifeline.hold_job()
            super().main_work_horse(job, queue)

    logging.getLogger("rq.worker").disabled = False  # deepcave silences what came before it
    with Connection(queue._connection):
        PromptWorker([queue._queue]).work()


if __name__ == "__main__":
    main()
