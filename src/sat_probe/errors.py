"""Errors of sat-probe. The command line prints their message as one line."""

from __future__ import annotations


class SatProbeError(Exception):
    """Base class of sat-probe's errors; the message is one line that says what to do."""


class AudioError(SatProbeError, ValueError):
    """Unusable audio: unreadable, empty, too short, or not finite."""


class CorpusError(SatProbeError, ValueError):
    """A corpus that cannot be found or read."""


class AlignmentError(SatProbeError, ValueError):
    """An alignment that is malformed or does not fit its audio."""


class ModelError(SatProbeError, ValueError):
    """A model that cannot be loaded or probed, or an argument that does not fit it."""


class ReportError(SatProbeError, ValueError):
    """A report that cannot be read, written or compared."""


class ConfigurationError(SatProbeError, ValueError):
    """A preset or an option that is unknown or malformed."""


class HubError(SatProbeError):
    """The Hugging Face Hub refused a request, or could not be reached."""
