"""Plain text, which can be spoken, drawn and stored: composed, and without control characters."""

from __future__ import annotations

import unicodedata

_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})


def plain(text: str) -> str:
    """Return *text* in composed form (NFC), with a space for each control character and line break.

    Joiners stay, since emoji and several scripts are spelt with them.
    """
    composed = unicodedata.normalize("NFC", text)
    return "".join(" " if _is_control(character) else character for character in composed)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROLS
