"""Files that the real xet client wrote to a `local://` folder."""

from __future__ import annotations

import struct
from pathlib import Path

_HASH, _HEADER = 32, 48
_WITH_VERIFICATION, _WITH_METADATA = 1 << 31, 1 << 30


class XetStore:
    """A folder that stands for the content-addressed store behind the Hub."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return f"local://{self.folder}"

    def hash_of(self, sha256: str) -> str | None:
        """The xet hash of an uploaded file, read from the shards (the file index) the client left.

        A shard is a 48-byte header, then per file: a 48-byte header (hash, flags, entry count n), n entries
        of 48 bytes, n verification entries if flagged, and 48 bytes that begin with the sha256 if flagged.
        """
        for shard in sorted(self.folder.glob("**/shards/*.mdb")):
            found = _file_hashes(shard.read_bytes()).get(sha256)
            if found:
                return found
        return None

    def read(self, xet_hash: str, size: int) -> bytes:
        """The content of a file, put together by the xet client itself."""
        from hf_xet import XetFileInfo
        from huggingface_hub.utils._xet import get_xet_session

        group = get_xet_session().new_download_stream_group(endpoint=self.url)
        return b"".join(group.download_stream(XetFileInfo(xet_hash, size)))


def _file_hashes(shard: bytes) -> dict[str, str]:
    hashes, position = {}, _HEADER
    while position + _HEADER <= len(shard):
        raw, (flags, entries) = (shard[position : position + _HASH], struct.unpack_from("<II", shard, position + _HASH))
        if raw == b"\xff" * _HASH:  # the bookend after the last file
            break
        position += _HEADER * (1 + entries * (2 if flags & _WITH_VERIFICATION else 1))
        if flags & _WITH_METADATA:
            hashes[_hex(shard[position : position + _HASH])] = _hex(raw)
            position += _HEADER
    return hashes


def _hex(raw: bytes) -> str:
    """A xet hash prints as four little-endian 64-bit words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))
