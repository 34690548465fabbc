"""Errors as visitors see them: one line each, without folders of this machine."""

from __future__ import annotations

import html
import inspect
import logging
import re
from collections.abc import Callable
from typing import Any, get_type_hints

import gradio as gr

from sat_probe.demo.memory import request_done
from sat_probe.errors import SatProbeError

LONGEST_MESSAGE = 400
UNEXPECTED = "Something went wrong on our side. The problem has been logged; please try another recording or model."

logger = logging.getLogger(__name__)


def guard(callback: Callable[..., Any], *bound: Any) -> Callable[..., Any]:
    """Return a callback for Gradio whose errors become one line in the browser.

    Errors of sat-probe are shown with their message. Any other error is logged and shown as `UNEXPECTED`.

    Args:
        callback: called with ``bound`` and then with what the browser sends.
        bound: first arguments of the callback, which the browser cannot set.
    """

    def safe(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*bound, *args, **kwargs)
        except gr.Error:
            raise
        except SatProbeError as error:
            raise gr.Error(message_html(str(error)), title="Please check", print_exception=False) from None
        except Exception:
            logger.exception("%s failed", callback.__name__)
            raise gr.Error(UNEXPECTED, title="Sorry", print_exception=False) from None
        finally:
            request_done()

    # Gradio reads names and annotations to learn how many values to send, and whether to send the event
    signature = inspect.signature(callback)
    free = list(signature.parameters.values())[len(bound) :]
    safe.__name__ = callback.__name__
    safe.__doc__ = callback.__doc__
    safe.__signature__ = signature.replace(parameters=free)  # type: ignore[attr-defined]
    safe.__annotations__ = get_type_hints(callback, include_extras=True)
    return safe


def message_html(message: str) -> str:
    """Return a message as one line of escaped text, without the folders of this machine."""
    line = re.sub(r"(?<![\w.:/<])(?:[A-Za-z]:)?[/\\](?:[^/\\:<>\"']+[/\\])+", "", " ".join(message.split()))
    line = line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} …"
    return html.escape(line)
