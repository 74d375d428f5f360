"""Reports of progress, checked where the actor makes them: the error is the actor's own in every isolation."""

from __future__ import annotations

import math
from typing import SupportsFloat

from appdb import Progress
from appdb.host import storable_text

MAX_PROGRESS_CHARACTERS = 500


def progress_of(fraction: object, message: object) -> Progress:
    """Return a report as it is kept: a fraction below 0 counts as 0, one above 1 as 1.

    Raises:
        TypeError: The fraction is no number, or the message no text.
        ValueError: The fraction is not a number (NaN).
    """
    if not isinstance(fraction, SupportsFloat) or not isinstance(message, str):
        raise TypeError(f"report({fraction!r}, {message!r}): write a fraction from 0 to 1, and a text")
    # NumPy's and decimal numbers are welcome.
    number = float(fraction)
    if math.isnan(number):
        raise ValueError("report(nan): the fraction must be a number from 0 to 1; was something divided by nothing?")
    text = storable_text(message[:MAX_PROGRESS_CHARACTERS])
    # Four digits: more are no news to a viewer, and every report is stored and sent.
    return Progress(fraction=round(min(max(number, 0.0), 1.0), 4), message=text)
