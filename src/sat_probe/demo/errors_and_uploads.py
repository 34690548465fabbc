"""What stands between visitors and the machine: one calm line for every error, and uploads that are looked at first."""

from __future__ import annotations

import html
import inspect
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr
import numpy as np
import soundfile
from numpy.typing import NDArray

from sat_probe.audio import read_audio
from sat_probe.demo.memory import worked
from sat_probe.demo.settings import DemoSettings
from sat_probe.errors import AudioError, SatProbeError

MOST_CHANNELS = 8
RATES = (4_000, 192_000)  # Hz
LONGEST_MESSAGE = 400
UNEXPECTED = (
    "That did not work, and it is not your fault. The problem was noted; please try another clip or model."
)

logger = logging.getLogger(__name__)


def guarded(callback: Callable[..., Any], *bound: Any) -> Callable[..., Any]:
    """A callback whose every error becomes one line in the browser; what was not foreseen is logged, not shown.

    Args:
        callback: called with ``bound`` and what the browser sends.
        bound: its first arguments, which the browser has no say in.
    """

    def calm(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*bound, *args, **kwargs)
        except gr.Error:
            raise
        except SatProbeError as error:
            raise gr.Error(one_line(str(error)), title="Please check", print_exception=False) from None
        except Exception:
            logger.exception("%s failed", callback.__name__)
            raise gr.Error(UNEXPECTED, title="Sorry", print_exception=False) from None
        finally:
            worked()

    # Gradio reads names and annotations to see how many values to send, and whether to send the event
    signature = inspect.signature(callback)
    shown = list(signature.parameters.values())[len(bound) :]
    calm.__name__ = callback.__name__
    calm.__doc__ = callback.__doc__
    calm.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    calm.__annotations__ = get_type_hints(callback, include_extras=True)
    return calm


def one_line(message: str) -> str:
    """A message as text for the browser: one line, no folders of this machine, no markup of the visitor's."""
    line = re.sub(r"(?<![\w.:/<])(?:[A-Za-z]:)?[/\\](?:[^/\\:<>\"']+[/\\])+", "", " ".join(message.split()))
    line = line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} …"
    return html.escape(line)


def shown_name(path: str | Path) -> str:
    """How messages call an uploaded file: its own name without folders, short, one line."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", str(path).replace("\\", "/").rsplit("/", 1)[-1])
    return name if len(name) <= 60 else f"{name[:40]}…{name[-15:]}"


def check_size(path: str | Path, settings: DemoSettings) -> None:
    """Raise an AudioError if an upload is larger than allowed."""
    try:
        size = Path(path).stat().st_size
    except OSError:
        raise AudioError(f"{shown_name(path)}: is not here any more; please send it again") from None
    if size > settings.max_upload_bytes:
        raise AudioError(
            f"{shown_name(path)}: {size / 2**20:.3g} MB is too large, at most "
            f"{settings.max_upload_bytes / 2**20:.3g} MB here"
        )


def read_upload(path: str | Path, sampling_rate: int, settings: DemoSettings) -> NDArray[np.float32]:
    """The samples of an uploaded recording, (samples,) mono; its size and header are checked before it is decoded.

    Raises:
        AudioError: too large, too long, too many channels, an odd rate, silent, or not audio that can be read.
    """
    name = shown_name(path)
    check_size(path, settings)
    try:
        header = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError):
        raise AudioError(
            f"{name}: cannot be read as audio; WAV, FLAC, MP3 and Ogg are understood here"
        ) from None
    if not RATES[0] <= header.samplerate <= RATES[1]:
        raise AudioError(f"{name}: {header.samplerate} Hz is no rate of recorded speech (4 to 192 kHz)")
    if header.channels > MOST_CHANNELS:
        raise AudioError(f"{name}: {header.channels} channels are too many, at most {MOST_CHANNELS} here")
    seconds = header.frames / header.samplerate
    if seconds > settings.max_seconds:
        raise AudioError(
            f"{name}: {_duration(seconds)} is too long, at most {settings.max_seconds:g} s here; cut a piece out of it"
        )
    samples = read_audio(path, sampling_rate, name)
    if not np.any(np.abs(samples) > 1e-5):
        raise AudioError(f"{name}: holds nothing but silence; was the microphone on?")
    return samples


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
