"""Speech from text by espeak-ng, a formant synthesizer that ships as a library on PyPI (GPL-3.0-or-later: an extra)."""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from appworker.errors import DiscardError, ProviderError, ProviderUnavailableError
from appworker.providers.base import SAMPLE_BYTES, CheckStop, Speech

NAME = "espeak-ng"

# From espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_POSITION_CHARACTER = 1
_CHARACTERS_UTF8 = 1
_PARAMETER_RATE = 1
_OK = 0
_BUFFER_MILLISECONDS = 200
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

SHORTEST_SECONDS = 1.0
"""A text with hardly a sound, such as one of symbols only, is followed by silence, so that its slide can be seen."""


class EspeakSpeech:
    """Speaks text. The library keeps global state, so one process speaks one text at a time."""

    name = NAME

    def check(self) -> None:
        """Check that the library is here.

        Raises:
            ProviderUnavailableError: It is not; the message says how to install it.
        """
        _library()

    def speak(self, text: str, *, voice: str, words_per_minute: int, check_stop: CheckStop) -> Speech:
        """Return *text* as speech.

        Args:
            text: What to say; control characters are left out.
            voice: A language of the library, such as ``en`` or ``de``.
            words_per_minute: 80 to 450.
            check_stop: Called while speaking; what it raises ends the work.

        Raises:
            DiscardError: The library has no such voice.
            ProviderError: The library failed.
        """
        library = _library()
        spoken = "".join(character if character.isprintable() else " " for character in text).strip()
        with library.lock:
            recording = library.say(spoken, voice, words_per_minute, check_stop)
        if recording.stopped is not None:
            raise recording.stopped
        shortest = SAMPLE_BYTES * int(library.sample_rate * SHORTEST_SECONDS)
        return Speech(pcm=bytes(recording.pcm).ljust(shortest, b"\0"), sample_rate=library.sample_rate)


@dataclass(slots=True)
class _Recording:
    pcm: bytearray = field(default_factory=bytearray)
    stopped: BaseException | None = None


class _Library:
    def __init__(self, path: str, data: str) -> None:
        self.lock = threading.Lock()
        self._lib = ctypes.CDLL(path)
        self.sample_rate: int = self._lib.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, _BUFFER_MILLISECONDS, data.encode(), 0
        )
        if self.sample_rate <= 0:
            raise ProviderUnavailableError(NAME, f"its data in {data} cannot be read", "reinstall espeakng-loader")

    def say(self, text: str, voice: str, words_per_minute: int, check_stop: CheckStop) -> _Recording:
        if not voice.isascii() or self._lib.espeak_SetVoiceByName(voice.encode()) != _OK:
            raise DiscardError(f"voice: espeak-ng has no voice {voice!r}; use a language such as en, de, es or fr")
        self._lib.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
        recording = _Recording()
        callback = _CALLBACK(_recorder(recording, check_stop))
        self._lib.espeak_SetSynthCallback(callback)
        data = text.encode("utf-8", "ignore") + b"\0"
        code = self._lib.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None)
        if code != _OK:
            raise ProviderError(f"espeak-ng could not speak the text (code {code})")
        return recording


def _recorder(recording: _Recording, check_stop: CheckStop) -> Callable[[Any, int, Any], int]:
    def record(samples: Any, count: int, _events: Any) -> int:
        try:
            check_stop()
        except BaseException as exc:  # it must not cross the library; it is raised again after it
            recording.stopped = exc
            return 1
        if samples and count:
            recording.pcm += ctypes.string_at(samples, 2 * count)
        return 0

    return record


@cache
def _library() -> _Library:
    try:
        loader = importlib.import_module("espeakng_loader")
    except ImportError as exc:
        remedy = "run `pip install 'appworker[speech]'`"
        raise ProviderUnavailableError(NAME, "its library is not installed", remedy) from exc
    try:
        return _Library(loader.get_library_path(), loader.get_data_path())
    except OSError as exc:
        raise ProviderUnavailableError(NAME, f"its library cannot be loaded: {exc}", "reinstall espeakng-loader") from exc
