"""Uploaded files: checked before they are read, and deleted afterwards. Nothing is fetched from an address."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import soundfile
from numpy.typing import NDArray

from sat_probe.audio import read_audio
from sat_probe.demo.settings import DemoSettings
from sat_probe.errors import AudioError

MOST_CHANNELS = 8
RATES = (4_000, 192_000)  # Hz
UNUSED_SECONDS = 600  # uploads that were never used are deleted after this time
SWEEP = (60, UNUSED_SECONDS)  # `delete_cache` of Gradio: look every minute


def accept_uploads_only(component: gr.components.Component) -> None:
    """Make a component refuse addresses, which Gradio would fetch, and delete files of a type it does not take."""
    move = component.async_move_resource_to_block_cache

    async def refuse_addresses(path: str | Path | None) -> str | None:
        if path is not None and re.match(r"\w+:/", str(path)):
            raise gr.Error("Please send the file itself, not an address.", print_exception=False)
        return await move(path)

    component.async_move_resource_to_block_cache = refuse_addresses
    if isinstance(component, gr.File):
        types = tuple(str(one) for one in component.file_types or ())

        def path_of(payload: Any) -> str | None:  # Gradio's own version leaves an empty file behind each time
            if payload is None:
                return None
            if types and not payload.path.lower().endswith(tuple(one.lower() for one in types)):
                delete_upload(payload.path)
                raise gr.Error(f"Please send a file of type {' or '.join(types)}.", print_exception=False)
            return str(payload.path)

        component.preprocess = path_of


def delete_upload(path: str | Path | None) -> None:
    """Delete an upload, and the folder that Gradio made for it; do nothing if it is gone already."""
    if path is None:
        return
    file = Path(path)
    with suppress(IsADirectoryError, PermissionError):
        file.unlink(missing_ok=True)
    if re.fullmatch(r"[0-9a-f]{64}", file.parent.name):  # Gradio's folder for this file alone
        with suppress(OSError):
            file.parent.rmdir()


def file_name(path: str | Path) -> str:
    """Return the name of an upload for messages: without folders and control characters, at most 60 characters."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", str(path).replace("\\", "/").rsplit("/", 1)[-1])
    return name if len(name) <= 60 else f"{name[:40]}…{name[-15:]}"


def check_size(path: str | Path, settings: DemoSettings) -> None:
    """Raise an AudioError if an upload is larger than allowed, or gone."""
    try:
        size = Path(path).stat().st_size
    except OSError:
        raise AudioError(f"{file_name(path)}: has been deleted; please upload it again") from None
    if size > settings.max_upload_bytes:
        raise AudioError(
            f"{file_name(path)}: {size / 2**20:.3g} MB is too large; the limit is "
            f"{settings.max_upload_bytes / 2**20:.3g} MB"
        )


def read_upload(path: str | Path, sampling_rate: int, settings: DemoSettings) -> NDArray[np.float32]:
    """Return the samples of an uploaded recording, (samples,) mono; size and header are checked before decoding.

    Raises:
        AudioError: if it is too large, too long, silent or not readable as audio, or has too many channels or an
            unusual sampling rate.
    """
    name = file_name(path)
    check_size(path, settings)
    try:
        header = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError):
        raise AudioError(f"{name}: cannot be read as audio; use WAV, FLAC, MP3 or Ogg") from None
    if not RATES[0] <= header.samplerate <= RATES[1]:
        raise AudioError(f"{name}: a sampling rate of {header.samplerate} Hz is not supported (4 to 192 kHz are)")
    if header.channels > MOST_CHANNELS:
        raise AudioError(f"{name}: has {header.channels} channels; the limit is {MOST_CHANNELS}")
    seconds = header.frames / header.samplerate
    if seconds > settings.max_seconds:
        raise AudioError(
            f"{name}: {_duration(seconds)} is too long; the limit is {settings.max_seconds:g} s, please cut out a part"
        )
    samples = read_audio(path, sampling_rate, name)
    if not np.any(np.abs(samples) > 1e-5):
        raise AudioError(f"{name}: contains only silence; was the microphone on?")
    return samples


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
