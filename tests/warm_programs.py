"""Programs that start in a second: forked from the server of the warm processes, which has imported torch.

They have the arguments, folder, environment, output and exit code of those that are started by themselves, as
the first of each module is that README and the pages tell to type.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.warm_processes import WarmContext, WarmProcesses


def run(
    words: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m`` with some words to its end.

    Raises:
        subprocess.TimeoutExpired: If it does not end, seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        process = WarmContext().Process(
            target=_main, args=(WarmProcesses.server(), words, cwd, dict(environment), said)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(words), timeout)
        return subprocess.CompletedProcess(words, process.exitcode, *(path.read_text() for path in said))


def _main(
    server: str, words: Sequence[str], cwd: Path, environment: Mapping[str, str], said: Sequence[Path]
) -> None:
    """What a fresh interpreter would find, then the module."""
    WarmProcesses.share(server)
    for descriptor, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(cwd), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = ["", *words[1:]]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
