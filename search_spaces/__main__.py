"""Lists and shows search spaces: ``python -m search_spaces list`` and ``... show NAME``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import search_spaces
from nas.util import cli
from nas.util.errors import EXIT_BAD_INPUT, UserError
from nas.util.quantities import format_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from search_spaces.base import SearchSpace, Value

PROG = "python -m search_spaces"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {PROG} --help lists the commands")


def describe(space: SearchSpace) -> dict[str, Any]:
    """Everything ``show`` tells about a search space, as plain values."""
    return {
        "name": space.name,
        "title": space.title,
        "size": space.size,
        "fingerprint": space.fingerprint,
        "presets": dict(space.presets),
        "hyperparameters": {
            hp.name: {
                "choices": list(hp.choices),
                "default": hp.default,
                "ordinal": hp.ordinal,
                "synonyms": list(hp.synonyms),
                "meaning": hp.meaning,
                "source": hp.source,
            }
            for hp in space.hyperparameters.values()
        },
        "points": space.points,
    }


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog=PROG, description="The base architectures that can be searched.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{list,show}")
    every = commands.add_parser("list", help="name, size and title of every search space")
    show = commands.add_parser("show", help="choices, defaults, meanings and named points of one")
    show.add_argument("name", metavar="NAME", help="a name that `list` prints")
    for command in (every, show):
        command.add_argument("--json", action="store_true", help="for machines")
    return parser.parse_args(args)


def _words(values: Iterable[Value]) -> str:
    return " ".join(_word(value) for value in values)


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print_list(spaces: list[SearchSpace]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "configurations", "what it is", title="Search spaces")
    for space in spaces:
        table.add_row(space.name, format_whole(space.size), space.title)
    Console().print(table)
    print(f"More: {PROG} show NAME")


def _print_space(space: SearchSpace) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    longest = max(len(name) for name in space.hyperparameters)
    choices = Table(
        Column("hyperparameter", no_wrap=True, min_width=longest),
        "choices",
        "default",
        Column("what it means", overflow="fold", min_width=13),
        Column("source", overflow="fold"),
        title=space.title,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for hp in space.hyperparameters.values():
        choices.add_row(hp.name, _words(hp.choices), _word(hp.default), hp.meaning, hp.source)
    console.print(choices)
    console.print(
        f"{format_whole(space.size)} configurations, fingerprint {space.fingerprint}", highlight=False
    )
    for hp in space.hyperparameters.values():
        if hp.synonyms:
            console.print(f"{hp.name}: {' and '.join(map(str, hp.synonyms))} are the same function")
    widths = ", ".join(f"{name} {width}" for name, width in space.presets.items())
    console.print(f"Widths: {widths}, or any other integer", highlight=False)

    points = Table("hyperparameter", *space.points, title="Named points")
    for name in space.hyperparameters:
        points.add_row(name, *(_word(config[name]) for config in space.points.values()))
    console.print(points)


def _answer(args: Sequence[str] | None) -> None:
    options = _parse(args)
    if options.command == "list":
        spaces = [search_spaces.get(name) for name in search_spaces.names()]
        if options.json:
            print(json.dumps([describe(space) for space in spaces], indent=2))
        else:
            _print_list(spaces)
    else:
        space = search_spaces.get(options.name)
        if options.json:
            print(json.dumps(describe(space), indent=2))
        else:
            _print_space(space)


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    try:
        _answer(args)
        sys.stdout.flush()
    except UserError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
