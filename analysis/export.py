"""The old name of :mod:`analysis.history`: ``python -m analysis.export`` goes on working."""

from analysis.history.__main__ import PROG, Command, main
from nas.util import cli

__all__ = ["Command", "main"]

if __name__ == "__main__":
    cli.run(main, PROG)
