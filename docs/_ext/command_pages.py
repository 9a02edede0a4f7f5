"""A page for every command, made from the parser that the command itself uses."""

from __future__ import annotations

import argparse
import importlib
import re
import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

import tyro

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

_DEFAULT = re.compile(r"\s*\((?:default: (?P<default>.*)|required)\)$", re.DOTALL)
_CODE = re.compile(r"(`+[^`]+`+)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


class _Seen(BaseException):
    """Ends a command where it would have read its arguments."""


def pages(commands: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Gives file name and Markdown of each command's page, and of the page that lists them.

    Args:
        commands: What is typed -> the module that is run, and what it does.
    """
    for name, (module, says) in commands.items():
        yield f"{name}.md", "\n".join(_page(name, module, says))
    yield "index.md", "\n".join(_index(commands))


def parser_of(module: str, *before: str) -> argparse.ArgumentParser:
    """Runs a command up to the point where it reads its arguments, and takes what it would read them with.

    Args:
        module: The command.
        *before: What is typed first, such as ``show``.

    Raises:
        LookupError: If it reads none.
    """
    caught: list[argparse.ArgumentParser] = []

    def read(settings: Any, **kwargs: Any) -> None:
        wanted = ("prog", "description", "default", "config")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            caught.append(
                tyro.extras.get_parser(settings, **{key: kwargs[key] for key in wanted if key in kwargs})
            )
        raise _Seen

    with mock.patch.object(tyro, "cli", read):
        try:
            _runnable(module).main([*before, "--help"])
        except _Seen:
            return caught[0]
    raise LookupError(f"{module}: reads no arguments")


def _runnable(module: str) -> ModuleType:
    found = importlib.import_module(module)
    return found if hasattr(found, "main") else importlib.import_module(f"{module}.__main__")


def _index(commands: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield "# Commands\n"
    yield "Each can be typed in two ways: `smacnas search` is `python -m nas.search`, and so on."
    yield "What follows is made from the programs themselves; `--help` prints the same.\n"
    yield "| command | as a module | what it does |\n|---|---|---|"
    for name, (module, says) in commands.items():
        yield f"| [`smacnas {name}`]({name}.md) | `python -m {module}` | {says} |"
    yield "\n```{toctree}\n:hidden:\n"
    yield from commands
    yield "```\n"


def _page(name: str, module: str, says: str) -> Iterator[str]:
    yield f"# smacnas {name}\n"
    yield f"{says[0].upper()}{says[1:]}. The same as `python -m {module}`.\n"
    below = getattr(_runnable(module), "COMMANDS", None)
    if below is None:
        parser = parser_of(module)
        yield from _text(parser.description)
        yield from _groups(parser, f"smacnas {name}")
        return
    for word in below:
        parser = parser_of(module, word)
        yield f"## smacnas {name} {word}\n"
        yield from _text(parser.description)
        yield from _groups(parser, f"smacnas {name} {word}", "###")


def _groups(parser: argparse.ArgumentParser, program: str, level: str = "##") -> Iterator[str]:
    yield f"```{{program}} {program}\n```\n"
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if "--help" not in action.option_strings]
        if shown:
            yield f"{level} {_title(group.title or '')}\n"
            yield from _text(group.description)
            for action in shown:
                yield from _option(action)


def _title(title: str) -> str:
    """A heading for people: "settings.budget options" is "Budget"."""
    word = title.removesuffix(" options").rpartition(".")[2].replace("-", " ").replace("_", " ")
    return {"options": "General", "positional arguments": "Arguments"}.get(word, word[:1].upper() + word[1:])


def _option(action: argparse.Action) -> Iterator[str]:
    metavar = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar or ())
    metavar = metavar.strip("[]") or ("" if action.nargs == 0 else str(action.dest))
    if action.option_strings and isinstance(action, (argparse._StoreTrueAction, argparse._StoreFalseAction)):
        metavar = ""
    spelled = [f"{flag} {metavar}".rstrip() for flag in action.option_strings] or [metavar]
    text = (action.help or "").strip()
    found = _DEFAULT.search(text)
    default = found["default"] if found else None
    yield f"````{{option}} {', '.join(spelled)}"
    words = "".join(_text(_DEFAULT.sub("", text))).rstrip("\n")
    if default not in (None, "None", "off"):
        words = f"{words}\nDefault: {default if ' ' in default else f'`{default}`'}."
    elif found and default is None and action.option_strings:
        words = f"{words}\nRequired."
    yield f"{words}\n"
    yield "````\n"


def _text(text: str | None) -> Iterable[str]:
    """Words of a docstring as Markdown: what is not code is taken letter by letter."""
    if not text or not text.strip():
        return ()
    text = text.strip()
    parts = _CODE.split(text[:1].upper() + text[1:] if text.split()[0].isalpha() else text)
    parts[::2] = [
        _FLAG.sub(lambda flag: f"`{flag[0]}`", re.sub(r"([<*_\[\]$])", r"\\\1", part)) for part in parts[::2]
    ]
    return ("".join(parts) + "\n",)
