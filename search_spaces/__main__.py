"""Lists, shows, begins and checks search spaces: ``python -m search_spaces list``, ``... show NAME``,
``... new FILE`` and ``... check FILE``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import search_spaces
from nas.util import cli, output
from nas.util.commands import typed
from nas.util.errors import EXIT_BAD_INPUT, UserError, one_line
from nas.util.quantities import format_whole
from search_spaces.hyperparameters import Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from search_spaces.base import Parameter, SearchSpace, Value

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
        "size": None if math.isinf(space.size) else space.size,
        "fingerprint": space.fingerprint,
        "presets": dict(space.presets),
        "hyperparameters": {
            hp.name: {
                **_values(hp),
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


def _values(hp: Parameter) -> dict[str, Any]:
    if isinstance(hp, Hyperparameter):
        return {"choices": list(hp.choices)}
    return {"lower": hp.lower, "upper": hp.upper, "log": hp.log, "kind": type(hp).__name__.lower()}


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog=PROG, description="The base architectures that can be searched.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{list,show,new,check}")
    every = commands.add_parser("list", help="name, size and title of every search space")
    show = commands.add_parser("show", help="choices, defaults, meanings and named points of one")
    show.add_argument("name", metavar="NAME", help="a name that `list` prints, a file or module:Class")
    new = commands.add_parser("new", help="write a commented file that is a space, to begin your own with")
    new.add_argument("file", metavar="FILE", help="the file to write, such as my_space.py")
    check = commands.add_parser("check", help="try a space and say what is wrong with it")
    check.add_argument("name", metavar="FILE", help="a file, module:Class, or a name that `list` prints")
    for command in (every, show):
        command.add_argument("--json", action="store_true", help="for machines")
    return parser.parse_args(args)


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
        choices.add_row(hp.name, hp.words, _word(hp.default), hp.meaning, hp.source)
    console.print(choices)
    console.print(
        f"{format_whole(space.size)} configurations, fingerprint {space.fingerprint}", highlight=False
    )
    for hp in space.hyperparameters.values():
        if hp.synonyms:
            console.print(f"{hp.name}: {' and '.join(map(str, hp.synonyms))} are the same function")
    if space.rules is not None:
        for rule in (*space.configspace().conditions, *space.configspace().forbidden_clauses):
            console.print(str(rule), highlight=False, markup=False)
    if space.presets:
        widths = ", ".join(f"{name} {width}" for name, width in space.presets.items())
        console.print(f"Widths: {widths}, or any other integer", highlight=False)

    points = Table("hyperparameter", *space.points, title="Named points")
    for name in space.hyperparameters:
        points.add_row(name, *(_word(config.get(name, "–")) for config in space.points.values()))
    console.print(points)


def _begin(path: Path) -> None:
    """Writes our example under another name.

    Raises:
        UserError: If the file is there already, cannot be written or would not be found.
    """
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UserError(f"{path}: must be letters, digits and _, and end in .py, such as my_space.py")
    text = Path(__file__).with_name("example.py").read_text()
    title = "".join(part.capitalize() for part in path.stem.split("_"))
    text = text.replace("search_spaces/example.py", str(path)).replace("class Example", f"class {title}")
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: is there already; take another name") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"wrote {path}; try it with:\n  {typed('search_spaces', 'check', path)}")


def _check(name: str) -> None:
    """Tries a space, and says what is wrong with it.

    Raises:
        UserError: If anything is.
    """
    space = search_spaces.get(name)
    output.doing("loading PyTorch")
    from search_spaces.conformance import examine

    found = examine(space, lambda what: output.doing(f"trying {what}"))
    output.doing("")
    print(f"{space.name}: {format_whole(space.size)} configurations, fingerprint {space.fingerprint}")
    for line in found.figures:
        print(f"  {line}")
    for note in found.notes:
        print(f"  note: {one_line(note)}")
    if found.problems:
        for problem in found.problems:
            print(f"  wrong: {one_line(problem)}")
        count = len(found.problems)
        raise UserError(f"{name}: {count} thing{'s' if count > 1 else ''} wrong, as listed")
    print(f"nothing wrong; search it with:\n  {typed('nas.search', '--space', name, '--dataset', 'digits')}")


def _answer(args: Sequence[str] | None) -> None:
    options = _parse(args)
    if options.command == "list":
        spaces = [search_spaces.get(name) for name in search_spaces.names()]
        if options.json:
            print(json.dumps([describe(space) for space in spaces], indent=2))
        else:
            _print_list(spaces)
    elif options.command == "new":
        _begin(Path(options.file))
    elif options.command == "check":
        _check(options.name)
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
