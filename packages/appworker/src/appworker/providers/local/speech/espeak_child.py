"""The process that speaks one text with the espeak-ng library, since some texts make the library crash.

It is a script, not imported, and needs only the standard library: ``espeak.py`` starts it with the path and data
folder of the library, and writes it one request as JSON. It answers with a line of JSON, and samples after it.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

# From espeak-ng's speak_lib.h.
OUTPUT_SYNCHRONOUS = 2
POSITION_CHARACTER = 1
CHARACTERS_UTF8 = 1
PARAMETER_RATE = 1
OK = 0
LIST_TERMINATED = 0
CLAUSE_ENDS = 5

BUFFER_MILLISECONDS = 200
SAMPLE_BYTES = 2
CLAUSE_SECONDS = 10.0
"""The longest clause at the usual rate: the library drops what is over its room for one, 20 s and more of sound."""
USUAL_RATE = 165
WORD_CHARACTERS = 30
"""The longest run of characters without a space: the library drops the rest of one that is over 160 bytes for it."""
JOINER = "\u200d"
PROBE = "1 a"
"""What every voice that can speak at all can say."""


class Event(ctypes.Structure):
    """The library's ``espeak_EVENT``: a place in the sound that it gives."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Voice(ctypes.Structure):
    """The library's ``espeak_VOICE``: one voice that it lists."""

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
    """Return *text* as samples, all of it: it goes to the library in pieces whose clauses it has the room for."""
    if library.espeak_SetVoiceByName(voice_file.encode()) != OK:
        sys.exit(f"the voice {voice_file!r} cannot be loaded")
    library.espeak_SetParameter(PARAMETER_RATE, words_per_minute, 0)
    longest = CLAUSE_SECONDS * USUAL_RATE / words_per_minute
    pcm = bytearray()
    pieces = [with_short_words(text)]
    while pieces:
        piece = pieces.pop()
        samples, clauses = say(library, piece)
        parts = cut(piece, clauses, longest)
        if len(parts) > 1:
            pieces.extend(reversed(parts))
        else:
            pcm += samples
    return bytes(pcm)


def say(library: Any, text: str) -> tuple[bytes, list[tuple[int, float]]]:
    """Return *text* as samples, and where its clauses end: after how many characters, and after how many seconds."""
    pcm = bytearray()
    clauses: list[tuple[int, float]] = []

    def record(samples: Any, count: int, events: Any) -> int:
        if samples and count:
            pcm.extend(ctypes.string_at(samples, SAMPLE_BYTES * count))
        ends = (event for event in iter_events(events) if event.type == CLAUSE_ENDS)
        clauses.extend((event.text_position, event.audio_position / 1_000) for event in ends)
        return 0

    callback = Callback(record)
    library.espeak_SetSynthCallback(callback)
    data = text.encode("utf-8", "ignore") + b"\0"
    code = library.espeak_Synth(data, len(data), 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None)
    if code != OK:
        sys.exit(f"the text cannot be spoken (code {code})")
    return bytes(pcm), clauses


def iter_events(events: Any) -> Iterator[Event]:
    """Yield the events of a list that ends with one of type 0."""
    index = 0
    while events and events[index].type != LIST_TERMINATED:
        yield events[index]
        index += 1


def cut(text: str, clauses: list[tuple[int, float]], longest: float) -> list[str]:
    """Return *text* in parts: each clause that lasts too long in two, and what is between them as it was."""
    places, begin, began = [0], 0, 0.0
    for end, ended in clauses:
        if end > begin and ended - began > longest:
            places += [begin, begin + breath(text[begin:end]), end]
        begin, began = max(begin, end), ended
    return [part for place, following in pairwise([*places, len(text)]) if (part := text[place:following])]


def breath(clause: str) -> int:
    """Return where to part *clause*: at the space that is nearest to its middle, else in the middle."""
    middle = len(clause) // 2
    spaces = [place for place, character in enumerate(clause) if character == " " and clause[:place].strip()]
    nearest = min(spaces, key=lambda place: abs(place - middle), default=middle)
    return nearest if clause[nearest:].strip() else middle


def with_short_words(text: str) -> str:
    """Return *text* with a space in each run of characters that is too long for the library."""
    return " ".join(" ".join(short_words(word)) for word in text.split(" "))


def short_words(word: str) -> Iterator[str]:
    """Yield *word* in parts that the library has the room for; after a sign if there is one, never before an accent."""
    while len(word) > WORD_CHARACTERS:
        window = range(WORD_CHARACTERS, WORD_CHARACTERS // 2, -1)
        whole = [end for end in window if not joins(word, end)] or [WORD_CHARACTERS]
        end = next((end for end in whole if not word[end - 1].isalnum()), whole[0])
        yield word[:end]
        word = word[end:]
    yield word


def joins(word: str, place: int) -> bool:
    """Return whether the characters before and after *place* belong together."""
    return word[place - 1] == JOINER or word[place] == JOINER or unicodedata.category(word[place]).startswith("M")


def voice_files(library: Any) -> dict[str, str]:
    """Return the file of the voice that speaks each language best, of those that can speak here at all."""
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
    found: dict[str, list[tuple[int, str]]] = {}
    for pointer in iter(library.espeak_ListVoices(None)):
        if not pointer:
            break
        for language, priority in languages(pointer.contents.languages):
            found.setdefault(language, []).append((priority, pointer.contents.identifier.decode()))
    files = {file for voices in found.values() for _, file in voices}
    silent = {file for file in files if not sounds(library, file)}
    spoken = {
        language: [file for _, file in sorted(voices) if file not in silent] for language, voices in found.items()
    }
    return {language: able[0] for language, able in spoken.items() if able}


def sounds(library: Any, voice_file: str) -> bool:
    """Return whether a voice can be heard: some are listed whose data is not there."""
    if library.espeak_SetVoiceByName(voice_file.encode()) != OK:
        return False
    samples, _ = say(library, PROBE)
    return any(samples)


def languages(address: int) -> Iterator[tuple[str, int]]:
    """Yield a voice's languages with their priorities (the lowest is the best): priority byte, name, NUL."""
    while priority := ctypes.string_at(address, 1)[0]:
        name = ctypes.string_at(address + 1)
        yield name.decode().lower(), priority
        address += len(name) + 2


if __name__ == "__main__":
    main(*sys.argv[1:])
