"""Disks that are full, read-only or slow, and journals that they damaged."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

from nas.run import journal
from nas.run.events import Asked, Ended, Epoch
from tests.faults.disk import Action, Fault
from tests.faults.folders import SEARCH, resuming
from tests.faults.lab import Lab, Row

_NAMES = {"full": "disk full", "readonly": "disk turns read-only"}


def breaking(lab: Lab, action: Action, most: int) -> Row:
    """Lets the disk break at evenly spread operations of a search, and repairs it before the resumption.

    Every second time it breaks in a resumption. The search must finish all the same, or end with one
    line that says what to do.
    """
    row = Row(f"{_NAMES[action]} from the n-th operation on", "goes on, or one line; then resumes in full")
    count = sum(lab.operations.values())
    for index in range(most):
        run = lab.folder / action
        if index % 2:
            lab.start(run.name, Fault(str(run), "kill", "write", "journal", 30)).wait()
            where = Fault(str(run), action, number=max(count // 2 * index // most // 2, 1))
            search = lab.nursery.start(*resuming(run), fault=where)
        else:
            where = Fault(str(run), action, number=count * index // most + 1)
            search = lab.start(run.name, where)
        code = search.wait()
        errors = [line for line in search.said.splitlines() if line.startswith("python -m nas.search:")]
        rude = code not in (0, 2) or "Traceback" in search.said or (code == 2 and len(errors) != 1)
        said = f"operation {where.number}: exit code {code}, {search.said.strip()[-600:]}"
        lab.verdict(row, run, [said] if rude else [])
    return row


def slow(lab: Lab) -> Row:
    """Searches on a disk on which everything takes 30 ms."""
    row = Row("slow disk (30 ms an operation)", "the unharmed ledger")
    run = lab.folder / "slow"
    code = lab.start(run.name, Fault(str(run), "slow")).wait()
    problems, lost = lab.compare(run)
    row.add(problems if code == 0 else [f"exit code {code}"], lost)
    shutil.rmtree(run)
    return row


def small_tmpfs(lab: Lab, kilobytes: int) -> Row:
    """Searches with the real command on a tmpfs that is too small, then goes on where there is room."""
    row = Row(f"real tmpfs of {kilobytes} kB, full", "goes on, or one line; then resumes in full")
    mount, run = lab.folder / "tmpfs", lab.folder / f"moved-{kilobytes}"
    mount.mkdir(exist_ok=True)
    script = (
        f'mount -t tmpfs -o size={kilobytes}k none "{mount}" || exit 99; "$@"; code=$?; '
        f'cp -a "{mount}/small" "{run}" || exit 98; exit $code'
    )
    command = [sys.executable, "-m", "nas.search", *SEARCH, "--runs-dir", str(mount), "--name", "small"]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *command], capture_output=True, text=True, timeout=240
    )
    if done.returncode == 99:
        row.problems.append("not tried: needs Linux with user namespaces")
        return row
    rude = done.returncode not in (0, 2) or "Traceback" in done.stderr
    lab.verdict(row, run, [f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"] if rude else [])
    return row


def truncated(lab: Lab, times: int, seed: int = 0) -> Row:
    """Cuts a journal somewhere in its last lines, as a power cut does."""
    row = Row("half-written last journal line", "dropped, resumes to the unharmed ledger")
    draw = random.Random(seed)
    for _ in range(times):
        run = shutil.copytree(lab.reference, lab.folder / "truncated")
        path = run / "trials.jsonl"
        data = path.read_bytes()
        path.write_bytes(data[: draw.randrange(len(data) // 4, len(data) - 1)])
        lab.verdict(row, run)
    return row


def damaged(lab: Lab, size: int, times: int, seed: int = 0) -> Row:
    """Flips one bit, or overwrites some bytes, in the middle of a journal; repairs it; goes on."""
    what = "one bit flipped" if size == 0 else f"{size} bytes overwritten"
    row = Row(f"{what} in the journal", "refused, line named; repaired; resumes, trains nothing but the lost")
    draw = random.Random(seed)
    for _ in range(times):
        run = shutil.copytree(lab.reference, lab.folder / "damaged")
        path = run / "trials.jsonl"
        data = bytearray(path.read_bytes())
        last = data.rindex(b"\n", 0, -1)
        place = draw.randrange(last - size)
        if size == 0:
            data[place] ^= 1 << draw.randrange(8)
        else:
            data[place : place + size] = draw.randbytes(size)
        path.write_bytes(data)
        problems = _refused(lab, run)
        code, said = lab.nursery.run(str(run), command="nas.repair")
        if code != 0:
            problems.append(f"repair ended with {code}: {said[-200:]}")
        if (run / "trials.damaged-1.jsonl").read_bytes() != data:
            problems.append("the damaged journal was not kept")
        problems += lab.finish(run)
        found, lost = lab.compare(run)
        again = _trained(run) - _trained(lab.reference)
        if size == 0 and again:
            problems.append(f"trained again after a flipped bit at byte {place}: {sorted(again)}")
        # All epochs of a trial whose proposal or result is gone, but no other trial.
        if not {trial for trial, _, _ in again} <= _lost(lab.reference, place, place + size):
            problems.append(f"trained again, though byte {place} holds no result of it: {sorted(again)}")
        row.add([*problems, *found], lost)
        shutil.rmtree(run)
    return row


def _refused(lab: Lab, run: Path) -> list[str]:
    code, said = lab.nursery.run(*resuming(run))
    if code == 2 and said.count("\n") == 1 and "trials.jsonl: line " in said and "nas.repair" in said:
        return []
    return [f"damage was not refused in one line: {code}, {said[-200:]}"]


def _lost(run: Path, begin: int, end: int) -> set[int]:
    """Trials that were asked or ended by a line of a journal which lies, in part, between two bytes."""
    found, offset = set(), 0
    for line in (run / "trials.jsonl").read_bytes().splitlines(keepends=True):
        event = journal.decode(line.rstrip(b"\n"))
        if offset < end and begin < offset + len(line) and isinstance(event, (Asked, Ended)):
            found.add(event.trial)
        offset += len(line)
    return found


def _trained(run: Path) -> set[tuple[int, int, str]]:
    """What was trained: an epoch of a trial, and when."""
    events = journal.read(run / "trials.jsonl").events
    salvaged = (run / "search.log").read_text()
    return {
        (event.trial, event.epoch, event.time)
        for event in events
        if isinstance(event, Epoch) and f"trial {event.trial}: taken from salvaged" not in salvaged
    }


def corrupted_checkpoints(lab: Lab, harm: str) -> Row:
    """Damages all checkpoints of a stopped search, so that the next promotion meets one."""
    row = Row(f"checkpoints {harm} before a promotion", "put aside, trained anew, the unharmed ledger")
    run = lab.folder / "corrupted"
    # Stopped where checkpoints of promotable configurations lie there.
    lab.start(run.name, Fault(str(run), "kill", "write", "journal", 50)).wait()
    files: dict[Path, bytes] = {}
    for path in sorted((run / "checkpoints").glob("*.pt")):
        data = bytearray(path.read_bytes())
        half = len(data) // 2
        if harm == "truncated":
            data = data[:half]
        elif harm == "emptied":
            data = bytearray()
        else:
            data[half : half + 4] = bytes(byte ^ 255 for byte in data[half : half + 4])
        path.write_bytes(data)
        files[path] = bytes(data)
    problems = lab.finish(run) if files else ["no checkpoint was there to damage"]
    for path in (run / "checkpoints").glob("*.bad"):
        path.unlink()
    for path, harmed in files.items():  # those of configurations that were not promoted
        if path.exists() and path.read_bytes() == harmed:
            path.unlink()
    lab.count(row, run, problems)
    return row
