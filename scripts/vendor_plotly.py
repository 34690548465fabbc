"""Fetch the plotly.js that report pages carry from npm, and pack it into the package.

    python scripts/vendor_plotly.py 4.1.1

npm checks the archive against the registry's hash. After a new version also change `PLOTLY` in
`sat_probe/reports/page/render.py` and the hash in `tests/reports/test_html.py`, which this prints.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

PAGE = Path(__file__).parents[1] / "src" / "sat_probe" / "reports" / "page"
PACKAGE = "plotly.js-cartesian-dist-min"


def main() -> None:
    """Write `plotly-cartesian-VERSION.min.js.gz` and its license."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help=f"of {PACKAGE} on npm")
    version = parser.parse_args().version
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", "--silent", f"{PACKAGE}@{version}"]
        packed = subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True).stdout.strip()
        with tarfile.open(Path(scratch) / packed) as archive:
            script, text = (
                archive.extractfile(f"package/{name}").read()  # type: ignore[union-attr]
                for name in ("plotly-cartesian.min.js", "LICENSE")
            )
    (PAGE / f"plotly-cartesian-{version}.min.js.gz").write_bytes(gzip.compress(script, 9, mtime=0))
    (PAGE / "plotly-LICENSE.txt").write_bytes(text)
    print(hashlib.sha256(script).hexdigest())


if __name__ == "__main__":
    main()
