"""The head explorer, an app in the browser for the heads of a speech model. Needs the extra `sat-probe[demo]`."""

from __future__ import annotations

from importlib.util import find_spec

from sat_probe.demo.skip_gradio_stubs import skip_stubs
from sat_probe.errors import ConfigurationError

skip_stubs()  # every module of this package imports Gradio after this line


def require_gradio() -> None:
    """Raise a ConfigurationError that says what to install if Gradio is missing."""
    if find_spec("gradio") is None:
        raise ConfigurationError(
            "the demo needs Gradio; in a checkout of sat-probe: pip install -c constraints.txt '.[demo]'"
        )
