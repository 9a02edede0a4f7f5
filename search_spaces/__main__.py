"""Lists, shows, begins and checks search spaces: ``python -m search_spaces list``, ``... show NAME``,
``... new FILE`` and ``... check FILE``.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

import search_spaces
from nas.util import cli, flag_help, output
from nas.util.commands import typed
from nas.util.errors import UserError, one_line
from nas.util.quantities import counted, format_whole
from search_spaces.hyperparameters import Hyperparameter
from search_spaces.points import named_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from search_spaces.base import Parameter, SearchSpace, Value

PROG = "python -m search_spaces"


@dataclass(frozen=True)
class ListCommand:
    """Name, size and title of every search space."""

    json: flag_help.Switch = False
    """Print the list as JSON."""


@dataclass(frozen=True)
class ShowCommand:
    """Choices, defaults, meanings and named points of a search space."""

    name: Annotated[str, tyro.conf.Positional]
    """A name that `list` prints, path/to/file.py or module:Class."""
    json: flag_help.Switch = False
    """Print the description as JSON."""


@dataclass(frozen=True)
class NewCommand:
    """Write a commented example of a search space, to start a custom one from."""

    file: Annotated[Path, tyro.conf.Positional]
    """The file to write, such as my_space.py."""


@dataclass(frozen=True)
class CheckCommand:
    """Try a search space, and say what is wrong with it."""

    file: Annotated[str, tyro.conf.Positional]
    """path/to/file.py, module:Class or a name that `list` prints."""


COMMANDS: dict[str, type[ListCommand | ShowCommand | NewCommand | CheckCommand]] = {
    "list": ListCommand,
    "show": ShowCommand,
    "new": NewCommand,
    "check": CheckCommand,
}


def describe(space: SearchSpace) -> dict[str, Any]:
    """Returns the description of a search space that ``show`` prints, as plain values."""
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
        "points": named_points(space),
    }


def _values(hp: Parameter) -> dict[str, Any]:
    if isinstance(hp, Hyperparameter):
        return {"choices": list(hp.choices)}
    return {"lower": hp.lower, "upper": hp.upper, "log": hp.log, "kind": type(hp).__name__.lower()}


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
    console.print(_identity(space), highlight=False)
    for hp in space.hyperparameters.values():
        if hp.synonyms:
            console.print(f"{hp.name}: {' and '.join(map(str, hp.synonyms))} are the same function")
    if space.rules is not None:
        for rule in (*space.configspace().conditions, *space.configspace().forbidden_clauses):
            console.print(str(rule), highlight=False, markup=False)
    if space.presets:
        widths = ", ".join(f"{name} {width}" for name, width in space.presets.items())
        console.print(f"Widths: {widths}, or any other integer", highlight=False)

    named = named_points(space)
    points = Table("hyperparameter", *named, title="Named points")
    for name in space.hyperparameters:
        points.add_row(name, *(_word(config.get(name, "–")) for config in named.values()))
    console.print(points)


def _identity(space: SearchSpace) -> str:
    return f"{counted(space.size, 'configuration')}, fingerprint {space.fingerprint}"


def _begin(path: Path) -> None:
    """Writes the example space under another name.

    Raises:
        UserError: If the file exists already, cannot be written or could not be imported.
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
    """Checks a space and reports what is wrong with it.

    Raises:
        UserError: If anything is wrong.
    """
    space = search_spaces.get(name)
    output.doing("loading PyTorch")
    from search_spaces.conformance import examine

    found = examine(space, lambda what: output.doing(f"trying {what}"))
    output.doing("")
    print(f"{space.name}: {_identity(space)}")
    for line in found.figures:
        print(f"  {line}")
    for note in found.notes:
        print(f"  note: {one_line(note)}")
    if found.problems:
        for problem in found.problems:
            print(f"  wrong: {one_line(problem)}")
        raise UserError(f"{name}: {counted(len(found.problems), 'thing')} wrong, as listed")
    print(f"nothing wrong; search it with:\n  {typed('nas.search', '--space', name, '--dataset', 'digits')}")


def usage() -> str:
    """Returns the usage, one line per command."""
    lines = [f"  {name:<5}  {(kind.__doc__ or '').rstrip('.')}" for name, kind in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROG} {{{','.join(COMMANDS)}}} ...",
            "",
            "The base architectures that can be searched.",
            "",
            *lines,
            "",
            f"{PROG} COMMAND --help says more.",
        ]
    )


def _parse(args: Sequence[str]) -> ListCommand | ShowCommand | NewCommand | CheckCommand:
    """Reads the command line.

    Raises:
        UserError: If there is no such command, or what follows it does not fit.
    """
    if not args or args[0] not in COMMANDS:
        said = repr(args[0]) if args else "a command is missing"
        raise UserError(f"{said}: must be one of {', '.join(COMMANDS)}; {PROG} --help says what they do")
    kind = COMMANDS[args[0]]
    return cli.parse(kind, prog=f"{PROG} {args[0]}", description=kind.__doc__ or "", args=args[1:])


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = sys.argv[1:] if args is None else args
    if args and args[0] in ("-h", "--help"):
        print(usage())
        return 0
    command = _parse(args)
    if isinstance(command, NewCommand):
        _begin(command.file)
    elif isinstance(command, CheckCommand):
        _check(command.file)
    elif isinstance(command, ListCommand):
        spaces = [search_spaces.get(name) for name in search_spaces.names()]
        _print_json([describe(space) for space in spaces]) if command.json else _print_list(spaces)
    else:
        space = search_spaces.get(command.name)
        _print_json(describe(space)) if command.json else _print_space(space)
    return 0


def _print_json(values: object) -> None:
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
