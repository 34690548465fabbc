"""Version of sat-probe."""

__version__ = "0.1.0"
