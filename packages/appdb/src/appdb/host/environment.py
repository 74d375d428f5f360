"""The shared settings of both hosts and the ``appdb`` command, and the check of names that look like settings.

For hosts: appdb's own classes take arguments, and read no environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches

from dotenv import dotenv_values

from appdb.errors import InvalidDataError

ENV_FILE = ".env"
"""Read from the working directory; the environment wins."""
ENV_FILE_ENCODING = "utf-8-sig"
"""UTF-8, also with the mark that some editors put at its beginning."""
SHARED_START = "APP_"
SHARED_PREFIX = "APP_MONGO_"
SHARED = ("APP_MONGO_DATABASE", "APP_MONGO_URI")


def file_variables() -> dict[str, str | None]:
    """Return the variables of ``.env``; none when there is no such file.

    Raises:
        InvalidDataError: It cannot be read, or is no text in UTF-8.
    """
    # Each way of being unreadable becomes one line that tells what to do, not a traceback.
    try:
        return dotenv_values(ENV_FILE, encoding=ENV_FILE_ENCODING)
    except UnicodeDecodeError as exc:
        raise InvalidDataError(ENV_FILE, "it is no text in UTF-8; save it as UTF-8") from exc
    except OSError as exc:
        raise InvalidDataError(ENV_FILE, f"it cannot be read ({exc.strerror}); let this user read it") from exc


def check_variables(fields: Iterable[str] = (), *, prefix: str = SHARED_PREFIX) -> None:
    """Check every variable of the environment and of ``.env`` that looks like a setting, so that a misspelt one is
    refused and does not leave a default in force.

    Args:
        fields: The fields of the host's settings, such as ``slots``; those of shared settings are known anyway.
        prefix: The beginning of the host's own variables, such as ``APPWORKER_``.

    Raises:
        InvalidDataError: A name begins like a setting and is none; the message has the nearest one. Or ``.env`` cannot
            be read.
    """
    own = [f"{prefix}{field.upper()}" for field in fields if f"{SHARED_START}{field.upper()}" not in SHARED]
    settings = sorted({*SHARED, *own})
    # Names are compared in capitals, as the hosts' settings read them on every system.
    for name in (*os.environ, *file_variables()):
        for start in {prefix, SHARED_PREFIX}:
            if name.upper().startswith(start) and name.upper() not in settings:
                nearest = start + _nearest(name.upper(), start, settings)
                problem = f"unknown setting; did you mean {nearest}? Known are {', '.join(settings)}"
                raise InvalidDataError(name, problem)


def _nearest(name: str, start: str, settings: Iterable[str]) -> str:
    """Return what follows *start* in the setting that *name* is most like."""
    known = [setting.removeprefix(start) for setting in settings if setting.startswith(start)]
    return get_close_matches(name.removeprefix(start), known, n=1, cutoff=0)[0]
