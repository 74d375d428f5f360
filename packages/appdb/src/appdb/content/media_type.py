"""Media types, recognised from the bytes alone: a declared type proves nothing."""

from __future__ import annotations

import codecs

HEAD_BYTES = 64
"""Bytes at the beginning of a file that are looked at for its signature."""


class MediaTypeProbe:
    """Recognises the types that browsers can show, and plain text, from bytes as they stream by."""

    def __init__(self) -> None:
        self._head = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_text = True

    def feed(self, part: bytes) -> None:
        """Look at the next *part*."""
        if len(self._head) < HEAD_BYTES:
            self._head += part[: HEAD_BYTES - len(self._head)]
        if self._is_text:
            # A NUL is valid UTF-8, but text has none.
            self._is_text = b"\x00" not in part and self._decodes(part, final=False)

    def media_type(self) -> str | None:
        """Return the type of all that was fed, or ``None`` when it is none of the known ones."""
        if (known := _by_signature(self._head)) is not None:
            return known
        # HTML, SVG and scripts are text as well, and as text they are harmless to show.
        return "text/plain" if self._head and self._is_text and self._decodes(b"", final=True) else None

    def _decodes(self, part: bytes, *, final: bool) -> bool:
        try:
            self._decoder.decode(part, final)
        except UnicodeDecodeError:
            return False
        return True


def _by_signature(head: bytes) -> str | None:
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm" if b"webm" in head else "video/x-matroska"
    # An MPEG audio frame: eleven bits of sync, then layer III.
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return "audio/mpeg" if is_mp3 else None


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF-", "application/pdf"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"M4A ": "audio/mp4", b"qt  ": "video/quicktime"}
