"""Repairs a damaged journal: keeps all lines that can be read, also after one bit is corrected.

The checksum not only detects damage: among the few thousand lines that differ from a damaged one in one bit,
a wrong one has a matching checksum only once in a million cases. So a flipped bit is corrected by trying all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run import journal
from nas.run.events import Asked, Ended, Epoch, RepeatAsked, Salvaged
from nas.run.state import SearchState, seed_key
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nas.run.events import Event

# Lines that follow from others or can be measured again: a journal without them is still complete.
_MINOR = re.compile(rb'"event":"(epoch|started|paused|incumbent|session|slots)"')
_LONG = 4_096  # bytes; the line of a session, the longest of these, has about 1,500
_LINE = re.compile(rb'\{"v":[^\n]*,"crc":"[^\n"]{8}"\}')


@dataclass
class Repaired:
    """A journal after its repair.

    Attributes:
        lines: The lines that are kept, in order, without newlines.
        salvaged: Intact lines after the place where the journal had to be cut.
        healed: Numbers of lines in which one bit was corrected.
        dropped: Numbers of lost lines that no trial's result depends on.
        cut: Number of the line before which the journal was cut, None if it was not.
    """

    lines: list[bytes] = field(default_factory=list)
    salvaged: list[bytes] = field(default_factory=list)
    healed: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    cut: int | None = None

    @property
    def changed(self) -> bool:
        """Whether anything was damaged."""
        return bool(self.healed or self.dropped) or self.cut is not None


def repair(data: bytes) -> Repaired:
    """Repairs a journal.

    A damaged line is corrected if a single bit is wrong. Otherwise it is dropped if no trial's result depends
    on it. Otherwise the journal is cut before it and the results after it are salvaged: a search that
    continues from there asks for the same trials and need not train them again.

    Args:
        data: Content of the file; a half-written last line is left out.
    """
    raw = data.split(b"\n")[:-1]
    result = Repaired()
    readable: list[tuple[int, bytes]] = []
    lost: list[tuple[int, bytes]] = []
    number = 0
    while number < len(raw):
        line, here = raw[number], number + 1
        number += 1
        if _intact(line):
            readable.append((here, line))
            continue
        healed = _heal(line)
        if not healed and number < len(raw) and not _intact(raw[number]):
            healed = _rejoin(line, raw[number])
            number += bool(healed)
        if healed:
            result.healed.append(here)
            readable += [(here, part) for part in healed]
        else:
            lost.append((here, line))
    longest = _longest(line for _, line in readable)
    grave = [here for here, line in lost if not _is_minor(line, longest)]
    result.dropped = [here for here, _ in lost if here not in grave]
    state = SearchState()
    for here, line in readable:
        if result.cut is None and ((grave and here > grave[0]) or not _follows(state, line)):
            result.cut = min([*grave, here])
        (result.lines if result.cut is None else result.salvaged).append(line)
    if grave and result.cut is None:
        result.cut = grave[0]
    return result


def events(lines: Iterable[bytes]) -> list[Event]:
    """Decodes intact lines."""
    return [journal.decode(line) for line in lines]


def _intact(line: bytes) -> bool:
    try:
        journal.decode(line)
    except ValueError:
        return False
    return True


def _heal(line: bytes) -> list[bytes]:
    """Corrects one bit of a line: returns one line, two if the bit was in a newline, or none."""
    for place in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            parts = bytes(changed).split(b"\n")
            if all(map(_intact, parts)):
                return parts
    return []


def _rejoin(first: bytes, second: bytes) -> list[bytes]:
    """Rejoins a line that a flipped bit split by turning a byte into a newline."""
    for bit in range(8):
        joined = first + bytes([ord("\n") ^ (1 << bit)]) + second
        if _intact(joined):
            return [joined]
    return []


def _longest(lines: Iterable[bytes]) -> dict[bytes, int]:
    """Returns the length of the longest line of each minor kind."""
    longest: dict[bytes, int] = {}
    for line in lines:
        if found := _MINOR.search(line):
            longest[found[1]] = max(longest.get(found[1], 0), len(line))
    return longest


def _is_minor(line: bytes, longest: dict[bytes, int]) -> bool:
    """Whether a damaged line was a single one of a minor kind; a longer one may contain other lines."""
    found = _MINOR.search(line)
    if found is None or _LINE.fullmatch(line) is None or line.count(b'"event":') != 1 or b"\0" in line:
        return False
    return len(line) <= longest.get(found[1], _LONG)


def _follows(state: SearchState, line: bytes) -> bool:
    """Applies a line to the state; returns False if it refers to something missing."""
    event = journal.decode(line)
    try:
        if isinstance(event, Asked) and event.trial != len(state.trials) + 1:
            return False
        state.apply(event)
    except UserError:
        return False
    return True


def finished(salvaged: Iterable[Event], before: Iterable[Event]) -> list[Salvaged]:
    """Collects the results of the trials that ended after a cut, each complete in one event.

    Args:
        salvaged: The events after the cut.
        before: The events before it, where some of these trials were asked.

    Returns:
        The results, without those of trials whose ``asked`` line is lost.
    """
    asked: dict[int, Asked] = {}
    curves: dict[int, dict[int, dict[str, float]]] = {}
    results: list[Salvaged] = []
    for behind, event in [*((False, e) for e in before), *((True, e) for e in salvaged)]:
        if isinstance(event, Asked):
            asked[event.trial] = event
        elif isinstance(event, Epoch):
            curves.setdefault(event.trial, {})[event.epoch] = event.metrics
        elif behind and isinstance(event, Ended) and event.trial in asked and not event.cached:
            results.append(
                Salvaged(
                    event=Salvaged.kind,
                    config_id=_key(asked[event.trial]),
                    epochs=asked[event.trial].epochs,
                    error=event.error,
                    metrics=event.metrics,
                    reason=event.reason,
                    curve=sorted(curves.get(event.trial, {}).items()),
                )
            )
    return results


def _key(asked: Asked) -> str:
    return seed_key(asked.config_id, asked.repeat if isinstance(asked, RepeatAsked) else 0)
