"""TensorBoard: a folder of events for the search and for each trial, written without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nas.tracking.entries import SEARCH, SUCCESS
from nas.tracking.protocol import Sent
from nas.util.tables import markdown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nas.tracking.entries import Entry


class _Folder:
    """The events of one entry, written from the start: an earlier process may have left half of them."""

    def __init__(self, path: Path, entry: Entry) -> None:
        for old in path.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = EventFileWriter(str(path))
        self._sent: set[int] = set()
        self._state = ""
        # A TensorBoard that is open drops what it has of the earlier file.
        begin = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=entry.began, step=0, session_log=begin))
        if entry.key == SEARCH:
            self._text("settings", _table(entry.settings), entry.began)
        else:
            self._add(hparams_pb(dict(entry.settings), entry.key, entry.began), entry.began)

    def update(self, entry: Entry) -> None:
        """Adds what is new."""
        new = [step for step in entry.curve if step not in self._sent]
        for step in new:
            point = entry.curve[step]
            self._scalars(point.values, point.time, step)
            self._sent.add(step)
        if entry.state != self._state:
            self._state = entry.state
            said = f"{entry.state}: {entry.reason}" if entry.reason else entry.state
            self._text("state", said, entry.ended or entry.began)
        if entry.complete:
            self._end(entry)
        self._writer.flush()

    def _end(self, entry: Entry) -> None:
        ended = entry.ended or entry.began
        self._scalars(entry.results, ended, max(entry.curve, default=0))
        status = api_pb2.STATUS_SUCCESS if entry.state == SUCCESS else api_pb2.STATUS_FAILURE
        info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
        data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
        value = Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(data),
            tensor=metadata.NULL_TENSOR,
        )
        self._add(Summary(value=[value]), ended)

    def _scalars(self, values: Mapping[str, float], time: float, step: int) -> None:
        if values:
            pairs = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
            self._add(Summary(value=pairs), time, step)

    def text(self, tag: str, text: str, entry: Entry) -> None:
        """Adds a text in Markdown."""
        self._text(tag, text, entry.ended or entry.began)
        self._writer.flush()

    def _text(self, tag: str, text: str, time: float) -> None:
        plugin = SummaryMetadata.PluginData(plugin_name="text")
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
        self._add(Summary(value=[value]), time)

    def _add(self, summary: Any, time: float, step: int = 0) -> None:
        self._writer.add_event(Event(wall_time=time, step=step, summary=summary))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


class TensorBoard:
    """Writes into one folder of the run."""

    def __init__(self, home: Path) -> None:
        """Opens the folder."""
        self._home = home
        self._whole = Sent(home / "whole.txt")
        self._open: dict[str, _Folder] = {}
        self._search: Entry | None = None

    def send(self, entry: Entry) -> None:
        """Takes an entry as far as it has come."""
        if entry.key in self._whole:
            return
        if entry.key not in self._open:
            self._open[entry.key] = _Folder(self._home / entry.key, entry)
        self._open[entry.key].update(entry)
        if entry.key == SEARCH:
            self._search = entry
        if entry.complete:
            self._open.pop(entry.key).close()
            self._whole.add(entry.key)

    def artifacts(self, found: Mapping[str, Path]) -> None:
        """Writes where they are: TensorBoard stores no files."""
        if found and self._search is not None:
            places = {name: str(path.resolve()) for name, path in found.items()}
            self._open[SEARCH].text("files", _table(places), self._search)

    def close(self) -> None:
        """Closes all files."""
        for folder in self._open.values():
            folder.close()


def _table(values: Mapping[str, object]) -> str:
    """Returns a Markdown table of names and values."""
    return "\n".join(markdown(("name", "value"), ((name, str(value)) for name, value in values.items())))
