"""The head explorer: what the heads of a speech model do, in the browser. Needs the extra `sat-probe[demo]`."""

from __future__ import annotations

from importlib.util import find_spec

from sat_probe.demo.skip_gradio_stubs import skip_stubs
from sat_probe.errors import ConfigurationError

skip_stubs()  # every module here imports Gradio after this


def require_gradio() -> None:
    """Raise a ConfigurationError that says what to install, if gradio is not."""
    if find_spec("gradio") is None:
        raise ConfigurationError("the demo needs Gradio; install it with: pip install 'sat-probe[demo]'")
