"""The common part of all command lines: typed flags, and errors as one line with exit code 2."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import tyro

from nas.util import output, signals, user_input
from nas.util.errors import EXIT_BAD_INPUT, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nas.util.spinner import Spinner

T = TypeVar("T")

_CONFIG = (tyro.conf.DisallowNone, tyro.conf.OmitArgPrefixes, tyro.conf.PositionalMetavarFromFieldName)

_FRAME = re.compile(r"[╭╮╰╯│─]+")
# What tyro and Python say of a text that is no number: the flag, what it takes if it is said, and the text.
_NO_NUMBER = re.compile(
    r"Error parsing (?P<flag>\S+): "
    r"(?:no type matching (?P<takes>\S+) could be instantiated from \[(?P<given>.*)\]"
    r"|invalid literal for (?P<whole>int)\(\) with base 10: (?P<literal>.*)"
    r"|could not convert string to float: (?P<text>.*))\.?"
)
_KINDS = {"INT": "a whole number", "FLOAT": "a number", "None": "None"}


def parse(
    settings: type[T],
    *,
    prog: str,
    description: str,
    default: T | None = None,
    args: Sequence[str] | None = None,
    pairs: bool = False,
    renamed: Mapping[str, str] | None = None,
) -> T:
    """Parses the command line into a dataclass.

    Args:
        settings: The dataclass; its fields are the flags, their docstrings the help.
        prog: Name to show, for example ``python -m nas.search``.
        description: First lines of the help.
        default: Defaults to use instead of the class's.
        args: The arguments; None: those of the process.
        pairs: Give every switch a ``--no-`` form, for defaults that come from elsewhere.
        renamed: Spellings of earlier versions that still work, see :func:`user_input.respelled`.

    Raises:
        UserError: If a flag is unknown, or a value is invalid or cannot be stored in files.
    """
    said = io.StringIO()
    config = _CONFIG if pairs else (*_CONFIG, tyro.conf.FlagCreatePairsOff)
    args = sys.argv[1:] if args is None else args
    user_input.refuse_empty(args)
    try:
        with flags(settings), contextlib.redirect_stderr(said), _whole_sentences(args):
            start = tyro.MISSING_NONPROP if default is None else default
            found = tyro.cli(
                settings,
                prog=prog,
                description=description.replace("``", "`"),
                args=user_input.respelled(args, renamed or {}),
                default=start,
                config=config,
            )
        with flags(settings):
            return user_input.checked(found)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise UserError(_flatten(said.getvalue())) from None


@contextlib.contextmanager
def _whole_sentences(args: Sequence[str]) -> Iterator[None]:
    """Joins the lines of fields' docstrings in ``--help``: tyro 1.0 keeps breaks before indented lines."""
    if not {"-h", "--help"} & set(args):
        yield
        return
    import docstring_parser  # what tyro reads docstrings with, and imports for help only

    read = docstring_parser.parse_from_object

    def joined(*given: Any, **named: Any) -> docstring_parser.Docstring:
        found = read(*given, **named)
        for param in found.params:
            param.description = " ".join((param.description or "").split()) or None
        return found

    docstring_parser.parse_from_object = joined
    try:
        yield
    finally:
        docstring_parser.parse_from_object = read


@contextlib.contextmanager
def flags(settings: type, **others: str) -> Iterator[None]:
    """Spells settings in errors as a command's flags; decorates the command's ``main``.

    Args:
        settings: The dataclass that the command parses.
        others: Flags of further settings, such as ``dataset="--data"`` or ``output="-o"``.

    Raises:
        UserError: The error raised inside, such as ``--max-epochs 10: must be ...``.
    """
    try:
        yield
    except UserError as error:
        raise UserError(_spelled(error, {**user_input.flags(settings), **others})) from None


def _spelled(error: UserError, known: Mapping[str, str]) -> str:
    return error.spelled(lambda field: known.get(field) or user_input.flag(field.rpartition(".")[2]), " ")


def _flatten(box: str) -> str:
    """Turns tyro's framed message into one line with the fault and a suggested flag."""
    lines = [_FRAME.sub(" ", line).strip() for line in box.splitlines()[1:]]
    sections = " ".join(line or "\n" for line in lines).split("\n")
    text = _NO_NUMBER.sub(_number_wanted, sections[0].strip().rstrip(" ."))
    meant = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", " ".join(lines))
    return text + (f"; perhaps you meant {meant[1]}" if meant else "; --help lists the flags")


def _number_wanted(found: re.Match[str]) -> str:
    """Says what a flag takes that was given something else."""
    takes = found["takes"] or ("INT" if found["whole"] else "FLOAT")
    kinds = [_KINDS.get(kind, kind) for kind in re.split(r"[|{},]+", takes) if kind]
    given = found["given"] or found["literal"] or found["text"]
    return f"{found['flag']} {given}: must be {' or '.join(kinds)}"


def run(main: Callable[[], int], prog: str, *, answer: bool = False) -> None:
    """Runs a command and ends the process with its exit code; user errors become one line.

    Args:
        main: The command.
        prog: Name that begins an error's line.
        answer: Whether its output is its purpose: without a reader it may then end at once, and a failure to
            write is an error. Otherwise it works on files and continues whatever happens to its output.
    """
    with output.opened(answer=answer, quiet=_is_quiet()) as (out, spinner):
        try:
            code = _code(main, prog, spinner)
            if out is not None:
                out.flush()
        except OSError as error:
            if out is None and isinstance(error, BrokenPipeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            elif out is None or out.sink.failed is not error:
                raise
            code = 0
        if out is not None and out.sink.failed is not None and not out.sink.reader_gone:
            print(f"{prog}: what it prints cannot be written ({out.sink.failed.strerror})", file=sys.stderr)
            code = code or (EXIT_BAD_INPUT if answer else 0)
    sys.exit(code)


def _is_quiet() -> bool:
    return "--quiet" in sys.argv or os.environ.get("RANK", "0") != "0"  # one of torchrun's speaks for all


def _code(main: Callable[[], int], prog: str, spinner: Spinner) -> int:
    try:
        with signals.as_exceptions():
            return main()
    except UserError as error:
        print(f"{prog}: {_spelled(error, {})}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return signals.EXIT_CODES[signals.INTERRUPTED]
    except signals.Terminated as ended:
        return signals.EXIT_CODES[str(ended)]
    except SystemExit as exit_:  # --help
        return exit_.code if isinstance(exit_.code, int) else 0
    finally:
        spinner.say("")
