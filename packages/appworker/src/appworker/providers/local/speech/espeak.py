"""Speech from text by espeak-ng, a formant synthesizer: a library on PyPI (GPL-3.0-or-later, so an extra)."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from appworker.errors import DiscardError, ProviderError, ProviderUnavailableError
from appworker.providers.local.text import plain
from appworker.providers.results import SAMPLE_BYTES, CheckStop, Speech

NAME = "espeak-ng"
CHILD = Path(__file__).with_name("espeak_child.py")
ENVIRONMENT = ("LD_LIBRARY_PATH", "SYSTEMROOT")
"""All that the child inherits: a host's secrets are none of its business."""
POLL_SECONDS = 0.1
"""How often a text that is being spoken is asked for whether it is still wanted."""
SHORTEST_SECONDS = 1.0
"""A text with hardly a sound, such as symbols only, is followed by silence, so that its slide can be seen."""


class EspeakSpeech:
    """Speaks text, each in a process of its own: a text that crashes the library ends only that process."""

    name = NAME

    def check(self) -> None:
        """Check that the library is here and works.

        Raises:
            ProviderUnavailableError: It is not or does not; the message says what to do.
        """
        _voice_files()

    def check_voice(self, voice: str) -> None:
        """Check that *voice* can be spoken.

        Raises:
            DiscardError: The library has no such voice, or it cannot speak here.
        """
        _voice_file(voice)

    def speak(self, text: str, *, voice: str, words_per_minute: int, check_stop: CheckStop) -> Speech:
        """Return *text* as speech.

        Args:
            text: What to say; control characters are left out.
            voice: A language of the library, such as ``en`` or ``en-gb``.
            words_per_minute: 80 to 450.
            check_stop: Called while speaking; what it raises ends the work.

        Raises:
            DiscardError: The library has no such voice here, or no sound for the text.
            ProviderError: The library failed or crashed.
        """
        spoken = plain(text).strip()
        request = {
            "command": "speak",
            "text": spoken,
            "voice_file": _voice_file(voice),
            "words_per_minute": words_per_minute,
        }
        header, pcm = _ask(request, check_stop)
        if not any(pcm) and any(map(str.isalnum, spoken)):
            message = f"voice: {voice!r} has no sound for the text; choose the voice of the text's language"
            raise DiscardError(message)
        sample_rate: int = header["sample_rate"]
        shortest = SAMPLE_BYTES * int(sample_rate * SHORTEST_SECONDS)
        return Speech(pcm=pcm.ljust(shortest, b"\0"), sample_rate=sample_rate)


def _voice_file(voice: str) -> str:
    # Only listed names: the library takes others for files to load, and crashes on one that is no voice.
    try:
        return _voice_files()[voice.lower()]
    except KeyError:
        message = f"voice: espeak-ng has no voice {voice!r} here; use a language such as en, en-gb, de or fr"
        raise DiscardError(message) from None


@cache
def _voice_files() -> Mapping[str, str]:
    try:
        header, _ = _ask({"command": "voices"}, lambda: None)
    except ProviderError as exc:
        raise ProviderUnavailableError(NAME, str(exc), "reinstall espeakng-loader") from exc
    voices: dict[str, str] = header["voices"]
    return voices


def _ask(request: Mapping[str, Any], check_stop: CheckStop) -> tuple[dict[str, Any], bytes]:
    library, data = _paths()
    with subprocess.Popen(
        # The data folder by its bare name, from within its parent: the library has no room for long paths.
        [sys.executable, "-I", "-S", str(CHILD), library, data.name],
        cwd=data.parent,
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            output, complaint = _converse(child, json.dumps(request).encode(), check_stop)
        except BaseException:
            child.kill()
            raise
    if child.returncode < 0:
        reason = f"espeak-ng crashed on the text (signal {-child.returncode}); reword it, or choose another voice"
        raise ProviderError(reason)
    if child.returncode != 0:
        lines = complaint.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise ProviderError(f"espeak-ng ended with code {child.returncode}: {lines[-1]}")
    header, _, body = output.partition(b"\n")
    return json.loads(header), body


def _converse(child: subprocess.Popen[bytes], request: bytes, check_stop: CheckStop) -> tuple[bytes, bytes]:
    unsent: bytes | None = request
    while True:
        try:
            return child.communicate(unsent, timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            unsent = None  # it has it, or gets the rest of it at the next call
            check_stop()


def _paths() -> tuple[str, Path]:
    try:
        loader = importlib.import_module("espeakng_loader")
    except ImportError as exc:
        remedy = "run `pip install 'appworker[speech]'`"
        raise ProviderUnavailableError(NAME, "its library is not installed", remedy) from exc
    return loader.get_library_path(), Path(loader.get_data_path())
