"""Errors of the Mockingjay code: those of sat-probe, or plain ones in code that was exported with a checkpoint."""

try:
    if not __name__.startswith("sat_probe."):
        raise ImportError("this code was exported: it stands alone")
    from sat_probe.errors import AudioError, ModelError
except ImportError:

    class AudioError(ValueError):  # type: ignore[no-redef]
        """Audio that cannot be used: empty, too short, not finite."""

    class ModelError(ValueError):  # type: ignore[no-redef]
        """A configuration, or an input that does not fit the model."""


__all__ = ["AudioError", "ModelError"]
