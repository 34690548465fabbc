"""`python -m sat_probe` and the `sat-probe` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit status: 0, 1 (failed), 2 (usage) or 130 (Ctrl-C)."""
    try:
        # Imported here so that Ctrl-C while modules still load is no traceback either.
        from sat_probe.cli import run

        status = run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
