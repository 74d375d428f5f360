"""The type of media is told by the bytes alone."""

from __future__ import annotations

import pytest

from appdb.content.media_type import MediaTypeProbe

KNOWN = {
    b"\x89PNG\r\n\x1a\n....": "image/png",
    b"\xff\xd8\xff\xe0....": "image/jpeg",
    b"GIF89a....": "image/gif",
    b"RIFF\x01\x02\x03\x04WEBPVP8 ": "image/webp",
    b"RIFF\x01\x02\x03\x04WAVEfmt ": "audio/wav",
    b"OggS\x00....": "audio/ogg",
    b"fLaC....": "audio/flac",
    b"ID3\x04....": "audio/mpeg",
    b"\xff\xfb\x90\x00": "audio/mpeg",
    b"\x00\x00\x00\x20ftypisom....": "video/mp4",
    b"\x00\x00\x00\x20ftypavif....": "image/avif",
    b"\x00\x00\x00\x20ftypM4A ....": "audio/mp4",
    b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm": "video/webm",
    b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska": "video/x-matroska",
    b"%PDF-1.7": "application/pdf",
    "Grüße, $where".encode(): "text/plain",
    b"<svg onload='alert(1)'>": "text/plain",
    b"<!doctype html><script>": "text/plain",
    b"": None,
    b"\x00\x01\x02": None,
    b"\xff": None,
    b"text that is cut in a letter \xc3": None,
    b"RIFF\x01\x02\x03\x04AVI \x00": None,
}


def probed(data: bytes, size: int) -> str | None:
    probe = MediaTypeProbe()
    for start in range(0, len(data), size):
        probe.feed(data[start : start + size])
    return probe.media_type()


@pytest.mark.parametrize("size", [1, 3, 1_000])
@pytest.mark.parametrize("data", KNOWN)
def test_bytes_tell_type_in_any_chunks(data: bytes, size: int) -> None:
    assert probed(data, size) == KNOWN[data]


def test_text_with_late_nul_is_binary() -> None:
    assert probed(b"a" * 10_000 + b"\x00", 1_000) is None
