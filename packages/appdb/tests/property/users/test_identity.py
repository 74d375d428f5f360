"""Names: what is accepted compares the same however often it is folded, and is text that can be shown on one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appdb import InvalidDataError
from appdb.users.identity import email_key, username_key


@given(st.text(max_size=70))
def test_folded_name_folds_to_itself(name: str) -> None:
    try:
        key = username_key(name)
    except InvalidDataError:
        return

    assert username_key(key) == key
    assert key.isprintable()
    assert "@" not in key


@given(st.text(max_size=20), st.text(max_size=20))
def test_folded_address_folds_to_itself(local: str, host: str) -> None:
    try:
        key = email_key(f"{local}@{host}")
    except InvalidDataError:
        return

    assert email_key(key) == key
    assert key.isprintable()
    assert key.count("@") == 1
