"""Checkpoints of promotable configurations: one file each, written whole, within a quota."""

from __future__ import annotations

import contextlib
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.trial.weights import file_sizes
from nas.util.errors import first_line
from nas.util.files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import BinaryIO

    from nas.trial.loop import State

_NAME = re.compile(r"(?P<config>[0-9a-zA-Z_]+)-(?P<epoch>\d+)\.pt")


class CheckpointNotWritten(OSError):
    """A checkpoint could not be written; the earlier one is intact.

    ``errno`` is the system's error code, if there is one.
    """

    def __init__(self, message: str, cause: OSError | None = None) -> None:
        super().__init__(message)
        self.errno = None if cause is None else cause.errno


class CheckpointStore:
    """A folder of ``<config_id>-<epoch>.pt`` files.

    Files are written atomically: under another name, flushed to the disk and renamed. They hold only
    tensors, numbers, strings, lists and dictionaries, so that reading one runs no code (``weights_only``).

    Args:
        folder: The folder; created when first needed.
        quota_bytes: Size that ``prune`` reduces the folder to, bytes.
        on_note: Called with one line on each unreadable file.
        weights: Folder of finished networks' weights, which count towards the quota.
    """

    def __init__(
        self,
        folder: Path,
        quota_bytes: int,
        on_note: Callable[[str], None] = lambda _: None,
        weights: Path | None = None,
    ) -> None:
        self._folder = folder
        self._quota = quota_bytes
        self._weights = weights
        self._on_note = on_note

    @property
    def size(self) -> int:
        """Returns the size of all checkpoints, bytes."""
        return sum(self._bytes(path) for paths in self._files().values() for _, path in paths)

    def save(self, config_id: str, epoch: int, state: State) -> None:
        """Writes a checkpoint, then deletes the configuration's earlier ones.

        Raises:
            CheckpointNotWritten: If the disk is full or the folder not writable; nothing is lost. Errors that
                do not come from the disk are raised unchanged.
        """
        import torch  # here, since the search manages these files without torch

        from nas.trial.packing import pack

        packed = pack(state)
        self._write(f"{config_id}-{epoch}.pt", lambda file: torch.save(packed, file))

    def get(self, config_id: str, max_epoch: int) -> tuple[str, bytes] | None:
        """Returns name and content of a configuration's newest checkpoint of at most ``max_epoch`` epochs."""
        for epoch, path in sorted(self._files().get(config_id, []), reverse=True):
            if epoch <= max_epoch:
                with contextlib.suppress(OSError):
                    return path.name, path.read_bytes()
        return None

    def put(self, name: str, data: bytes) -> None:
        """Writes a checkpoint that :meth:`get` returned on another machine.

        Raises:
            CheckpointNotWritten: If it cannot be written, or the name is not that of a checkpoint.
        """
        self._write(name, lambda file: file.write(data))

    def latest(self, config_id: str, max_epoch: int) -> tuple[int, State] | None:
        """Reads a configuration's newest readable checkpoint of at most ``max_epoch`` epochs.

        Unreadable files are renamed to ``.bad`` and reported by ``on_note``; they raise nothing.
        """
        for epoch, path in sorted(self._files().get(config_id, []), reverse=True):
            if epoch > max_epoch:
                continue
            try:
                return epoch, _load(path)
            except Exception as error:  # a damaged file can raise nearly anything
                self._on_note(f"checkpoint {path.name} is unreadable, put aside: {type(error).__name__}")
                with contextlib.suppress(OSError):
                    path.replace(path.with_suffix(".bad"))
        return None

    def prune(self, promotable: Collection[str], errors: Mapping[str, float]) -> list[str]:
        """Deletes checkpoints that can no longer be promoted, then the worst until the quota is met.

        Args:
            promotable: Configurations that may still continue, including the running one.
            errors: Error of each configuration so far; those without one are kept longest.

        Returns:
            The configurations whose checkpoints were deleted.
        """
        files = self._files()
        sizes = {config: sum(self._bytes(path) for _, path in paths) for config, paths in files.items()}
        worst_first = sorted(
            files, key=lambda config: (config in promotable, -errors.get(config, float("-inf")), config)
        )
        total, dropped = sum(sizes.values()) + self._beside(), []
        for config in worst_first:
            if config in promotable and total <= self._quota:
                break
            for _, path in files[config]:
                path.unlink(missing_ok=True)
            total -= sizes[config]
            dropped.append(config)
        return dropped

    def _beside(self) -> int:
        return 0 if self._weights is None else sum(file_sizes(self._weights).values())

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        if _NAME.fullmatch(name) is None:  # a foreign journal must not choose where this writes
            raise CheckpointNotWritten(f"cannot write checkpoint {name!r}: not a checkpoint's name")
        target = self._folder / name
        watched: _Watched | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary, temporary.open("wb") as file:
                watched = _Watched(file)
                write(watched)  # type: ignore[arg-type]
                watched.flush()
        except Exception as error:
            refusal = error if isinstance(error, OSError) else None if watched is None else watched.refusal
            if refusal is None:
                raise
            reason = refusal.strerror or first_line(refusal)
            raise CheckpointNotWritten(f"cannot write checkpoint {target.name}: {reason}", refusal) from error
        config_id, epoch = target.stem.rsplit("-", 1)
        for earlier, path in self._files().get(config_id, []):
            if earlier < int(epoch):
                path.unlink(missing_ok=True)

    def _files(self) -> dict[str, list[tuple[int, Path]]]:
        files: dict[str, list[tuple[int, Path]]] = {}
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if match := _NAME.fullmatch(path.name):
                    files.setdefault(match["config"], []).append((int(match["epoch"]), path))
        return files

    @staticmethod
    def _bytes(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0


class _Watched:
    """A file that remembers the system's error, since ``torch.save`` replaces it by another."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.refusal: OSError | None = None

    def write(self, data: Any) -> int:
        """See ``io.BufferedIOBase``."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.refusal = error
            raise

    def flush(self) -> None:
        """See ``io.BufferedIOBase``."""
        try:
            self._file.flush()
        except OSError as error:
            self.refusal = error
            raise


def _load(path: Path) -> State:
    import torch

    from nas.trial.packing import unpack

    with zipfile.ZipFile(path) as archive:  # torch.load ignores the checksums
        if archive.testzip() is not None:
            raise zipfile.BadZipFile("checksum does not match")
    return unpack(torch.load(path, map_location="cpu", weights_only=True))
