"""The files that visitors send: taken and never fetched, and deleted when they were read or refused."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

UNUSED_SECONDS = 600  # a file that was sent and never used is deleted after so long
SWEEP = (60, UNUSED_SECONDS)  # for `delete_cache`: look every minute


def uploads_only(component: gr.components.Component) -> None:
    """Make a component take what visitors send, and fetch nothing from an address that they name instead of a file.

    A file of a kind that it does not take is deleted at once.
    """
    move = component.async_move_resource_to_block_cache

    async def refuse_addresses(path: str | Path | None) -> str | None:
        if path is not None and re.match(r"\w+:/", str(path)):
            raise gr.Error("Please send the file itself, not an address.", print_exception=False)
        return await move(path)

    component.async_move_resource_to_block_cache = refuse_addresses
    if isinstance(component, gr.File):
        kinds = tuple(str(kind) for kind in component.file_types or ())

        def path_of(payload: Any) -> str | None:  # Gradio's own leaves an empty file behind each time
            if payload is None:
                return None
            if kinds and not payload.path.lower().endswith(tuple(kind.lower() for kind in kinds)):
                delete_upload(payload.path)
                raise gr.Error(f"Please send a file of this kind: {', '.join(kinds)}", print_exception=False)
            return str(payload.path)

        component.preprocess = path_of


def delete_upload(path: str | Path | None) -> None:
    """Remove an upload that was read or refused; nothing happens if it is gone already."""
    if path is None:
        return
    file = Path(path)
    with suppress(IsADirectoryError, PermissionError):
        file.unlink(missing_ok=True)
    if re.fullmatch(r"[0-9a-f]{64}", file.parent.name):  # Gradio's folder for this file alone
        with suppress(OSError):
            file.parent.rmdir()
