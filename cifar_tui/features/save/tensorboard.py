"""A run as a TensorBoard event file: a scalar per figure and epoch, and its settings as hparams."""

import io
from collections.abc import Iterator
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS
from cifar_tui.runs.events import EPOCH_METRICS, read_epochs
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import started_at
from cifar_tui.spec.settings import format_value

ENDINGS = {"finished": "STATUS_SUCCESS", "running": "STATUS_RUNNING"}
"""TensorBoard's word for what became of a run; all others are failures to it."""


def require_tensorboard() -> None:
    """Raise UserError saying how to get tensorboard where it is missing."""
    try:
        import tensorboard.plugins.hparams.metadata
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError:
        raise UserError(
            "Event files need tensorboard, which is not installed: "
            "`pip install 'cifar-tui[tensorboard]'` gets it."
        ) from None


def file_name(run: Run) -> str:
    """The event file's name, always the same for the same run."""
    return f"events.out.tfevents.{int(_start(run))}.cifar-tui"


def _start(run: Run) -> float:
    started = started_at(run.id)
    return started.timestamp() if started else 0.0


def event_bytes(run: Run) -> bytes:
    """The whole event file, each epoch with the time at which it ended."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in _events(run):
        writer.write(event.SerializeToString())
    return file.getvalue()


def _events(run: Run) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    time = _start(run)
    yield Event(wall_time=time, file_version="brain.Event:2")
    yield Event(wall_time=time, summary=_settings(run, time))
    for epoch in read_epochs(run.path):
        time = time if epoch.time is None else epoch.time
        known = {n: value for n in EPOCH_METRICS if (value := getattr(epoch, n)) is not None}
        values = [Summary.Value(tag=name, simple_value=value) for name, value in known.items()]
        yield Event(wall_time=time, step=epoch.epoch, summary=Summary(value=values))
    yield Event(wall_time=time, summary=_end(run, time))


def _settings(run: Run, time: float) -> Any:
    """What the hparams table shows of the run, with its name and images."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    start = SessionStartInfo(start_time_secs=time, group_name=run.id)
    for name, field in FIELDS.items():
        value = field.value(run) if field.setting or name in ("name", "images") else None
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        elif value is not None:
            start.hparams[name].string_value = format_value(value)
    return _hparams("SESSION_START_INFO_TAG", HParamsPluginData(session_start_info=start))


def _end(run: Run, time: float) -> Any:
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = api_pb2.Status.Value(ENDINGS.get(run.status, "STATUS_FAILURE"))
    end = SessionEndInfo(status=status, end_time_secs=time)
    return _hparams("SESSION_END_INFO_TAG", HParamsPluginData(session_end_info=end))


def _hparams(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(
        tag=getattr(metadata, tag),
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])
