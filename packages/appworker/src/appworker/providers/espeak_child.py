"""Speaks one text with the espeak-ng library, in a process of its own: some texts make the library crash.

It is a script, not imported, and needs only the standard library: ``espeak.py`` starts it with the path and data
folder of the library, and writes it one request as JSON. It answers with a line of JSON, and samples after it.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

# From espeak-ng's speak_lib.h.
OUTPUT_SYNCHRONOUS = 2
POSITION_CHARACTER = 1
CHARACTERS_UTF8 = 1
PARAMETER_RATE = 1
OK = 0

BUFFER_MILLISECONDS = 200
SAMPLE_BYTES = 2
WORST_PRIORITY = 255
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Voice(ctypes.Structure):
    """What the library tells about a voice."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


def main(library_path: str, data: str) -> None:
    """Answer the request on standard input."""
    # These are meant for the worker, which kills this process if it must.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    request = json.load(sys.stdin.buffer)
    library = ctypes.CDLL(library_path)
    sample_rate = library.espeak_Initialize(OUTPUT_SYNCHRONOUS, BUFFER_MILLISECONDS, data.encode(), 0)
    if request["command"] == "voices":
        answer({"voices": voice_files(library)}, b"")
    else:
        pcm = speak(library, request["text"], request["voice_file"], request["words_per_minute"])
        answer({"sample_rate": sample_rate}, pcm)


def answer(header: dict[str, Any], body: bytes) -> None:
    """Write *header* as one line, then *body*."""
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + body)


def speak(library: Any, text: str, voice_file: str, words_per_minute: int) -> bytes:
    """Return *text* as samples."""
    if library.espeak_SetVoiceByName(voice_file.encode()) != OK:
        sys.exit(f"the voice {voice_file!r} cannot be loaded")
    library.espeak_SetParameter(PARAMETER_RATE, words_per_minute, 0)
    pcm = bytearray()

    def record(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            pcm.extend(ctypes.string_at(samples, SAMPLE_BYTES * count))
        return 0

    callback = Callback(record)
    library.espeak_SetSynthCallback(callback)
    data = text.encode("utf-8", "ignore") + b"\0"
    code = library.espeak_Synth(data, len(data), 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None)
    if code != OK:
        sys.exit(f"the text cannot be spoken (code {code})")
    return bytes(pcm)


def voice_files(library: Any) -> dict[str, str]:
    """Return the file of the voice that speaks each language best."""
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
    best: dict[str, tuple[int, str]] = {}
    for pointer in iter(library.espeak_ListVoices(None)):
        if not pointer:
            break
        for language, priority in languages(pointer.contents.languages):
            voice = (priority, pointer.contents.identifier.decode())
            best[language] = min(best.get(language, (WORST_PRIORITY, "")), voice)
    return {language: file for language, (_, file) in best.items()}


def languages(address: int) -> Iterator[tuple[str, int]]:
    """Yield a voice's languages with their priorities (the lowest is the best): priority byte, name, NUL."""
    while priority := ctypes.string_at(address, 1)[0]:
        name = ctypes.string_at(address + 1)
        yield name.decode().lower(), priority
        address += len(name) + 2


if __name__ == "__main__":
    main(*sys.argv[1:])
