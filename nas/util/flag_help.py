"""How settings show in ``--help``: names of groups, and defaults that depend on something."""

from __future__ import annotations

from typing import Annotated, Any

import tyro

Switch = Annotated[
    bool,
    tyro.conf.arg(help_behavior_hint=lambda label: f"(default: {'on' if label == 'True' else 'off'})"),
]
"""A flag without a value; help says whether it is on where it is left out."""


def group(title: str) -> Any:
    """Names a group of flags for people; to be put into ``Annotated`` around a dataclass.

    Args:
        title: Head of the group, before "options"; empty: only the groups inside it are shown.
    """
    return tyro.conf.arg(name=title)


def default(
    text: str, *, name: str | None = None, aliases: list[str] | None = None, metavar: str | None = None
) -> Any:
    """Says what is used where a flag is left out; to be put into ``Annotated`` around a field.

    Args:
        text: Shown in help instead of ``None`` or an empty list.
        name: Name of the flag, if it is not the field's.
        aliases: Further spellings, such as ``-o``.
        metavar: What its value is called, where its type does not say so.
    """
    return tyro.conf.arg(
        name=name,
        aliases=aliases,
        metavar=metavar,
        help_behavior_hint=lambda label: f"(default: {text if label in ('', 'None') else label})",
    )


def choices(*names: str, **stored: str) -> Any:
    """Spells choices that run folders store in another form; to be put into ``Annotated`` around a field.

    Args:
        names: The choices listed in help.
        stored: Typed form by stored form.
    """
    return tyro.conf.arg(
        metavar=f"{{{','.join(names)}}}",
        help_behavior_hint=lambda label: f"(default: {stored.get(label, label)})",
    )


def or_word(word: str) -> Any:
    """Lets a whole number be a word too, which is passed on as it is; to be put into ``Annotated``.

    Args:
        word: Such as ``auto``.
    """

    def read(given: list[str]) -> Any:
        if given == [word]:
            return word
        try:
            return int(given[0])
        except ValueError:
            # as tyro says it of a number that may be a word
            raise ValueError(f"no type matching INT|{word} could be instantiated from {given}") from None

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"INT|{word}",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, int) or value == word,
        str_from_instance=lambda value: [str(value)],
    )


def several(name: str) -> Any:
    """Requires at least one value; to be put into ``Annotated`` around a positional tuple.

    Args:
        name: Name of one value in help, such as ``RUN``.
    """
    return tyro.conf.arg(metavar=f"{name}...", help_behavior_hint="(required)")
