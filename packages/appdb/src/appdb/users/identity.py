"""Identity rules: the forms of names, addresses, scopes and secrets, and how names are compared."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import timedelta

from appdb.errors import InvalidDataError
from appdb.models.bounds import AnyText, accept
from appdb.models.refresh_tokens import Device
from appdb.models.users import NewUser, Role

MAX_USERNAME_CHARACTERS = 64
MAX_EMAIL_CHARACTERS = 254
MAX_HASH_CHARACTERS = 1_000
MAX_KEY_NAME_CHARACTERS = 100
MAX_DEVICE_CHARACTERS = 400
MAX_SCOPES = 50
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=3_653)
_SCOPE = re.compile(r"[a-z][a-z0-9_-]{0,39}:[a-z][a-z0-9_-]{0,39}")


def username_key(username: str) -> str:
    """Return what two spellings of one name have in common: width, composition and case do not tell users apart.

    Raises:
        InvalidDataError: It is no username.
    """
    # Normalized twice: the case folding of a normalized text may itself not be normalized.
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
    visible = username.isprintable() and key.isprintable() and not any(letter.isspace() for letter in username + key)
    if not key or not visible or "@" in key or max(len(username), len(key)) > MAX_USERNAME_CHARACTERS:
        how = f"write 1 to {MAX_USERNAME_CHARACTERS} printable characters without '@' and spaces, such as 'ada'"
        raise InvalidDataError("username", how)
    return key


def email_key(email: str) -> str:
    """Return what two spellings of one address have in common.

    Raises:
        InvalidDataError: It is no address.
    """
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())
    local, at, host = key.partition("@")
    visible = email.isprintable() and key.isprintable() and not any(letter.isspace() for letter in email + key)
    whole = bool(local and at and host) and "@" not in host
    if not whole or not visible or max(len(email), len(key)) > MAX_EMAIL_CHARACTERS:
        how = f"write an address of at most {MAX_EMAIL_CHARACTERS} characters, such as 'ada@example.org'"
        raise InvalidDataError("email", how)
    return key


def identity_fields(user: NewUser) -> dict[str, object]:
    """Return how the names of *user* are stored; what is absent has no field.

    Raises:
        InvalidDataError: A name is none, the hash is none, or there is no name at all.
    """
    accept(NewUser, user)
    fields: dict[str, object] = {"roles": role_names(user.roles)}
    if user.username is not None:
        fields |= {"username": user.username, "username_key": username_key(user.username)}
    if user.email is not None:
        fields |= {"email": user.email, "email_key": email_key(user.email)}
    if len(fields) == 1:
        raise InvalidDataError("username", "a user needs a username or an e-mail address; give one of them")
    if user.password_hash is not None:
        fields["password_hash"] = checked_hash(user.password_hash)
    return fields


def role_names(roles: Iterable[str]) -> list[str]:
    """Return the roles as they are stored, each once.

    Raises:
        InvalidDataError: One of them is unknown, or there is none.
    """
    given = set(roles)
    if not given or not given <= set(Role):
        raise InvalidDataError("roles", f"write one or more of {', '.join(sorted(Role))}")
    return sorted(str(role) for role in given)


def checked_hash(password_hash: str) -> str:
    """Return *password_hash* if it can be one; the error does not repeat it.

    Raises:
        InvalidDataError: It is empty, too long, or not printable ASCII.
    """
    accept(AnyText, password_hash, "password_hash")
    plain = password_hash.isascii() and password_hash.isprintable()
    if not plain or not 0 < len(password_hash) <= MAX_HASH_CHARACTERS:
        how = f"give 1 to {MAX_HASH_CHARACTERS:,} printable ASCII characters, as password hash functions write them"
        raise InvalidDataError("password_hash", how)
    return password_hash


def checked_key_name(name: str) -> str:
    """Return *name* if a key can have it.

    Raises:
        InvalidDataError: It cannot.
    """
    accept(AnyText, name, "name")
    if not name or not name.isprintable() or len(name) > MAX_KEY_NAME_CHARACTERS:
        how = f"write 1 to {MAX_KEY_NAME_CHARACTERS} printable characters, such as 'laptop'"
        raise InvalidDataError("name", how)
    return name


def checked_scopes(scopes: Iterable[str] | None) -> list[str] | None:
    """Return the scopes as they are stored, each once; ``None`` stays.

    Raises:
        InvalidDataError: One of them is not written like ``tasks:read``, or there are too many or none.
    """
    if scopes is None:
        return None
    given = sorted(set(scopes))
    if not 0 < len(given) <= MAX_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in given):
        raise InvalidDataError("scopes", f"write 1 to {MAX_SCOPES} names such as 'tasks:read', or none for everything")
    return given


def checked_duration(field: str, duration: timedelta) -> timedelta:
    """Return *duration* if a credential can last so long.

    Raises:
        InvalidDataError: It cannot.
    """
    if not SHORTEST <= duration <= LONGEST:
        raise InvalidDataError(field, "give a second or more and ten years or less, such as 90 days")
    return duration


def device_fields(device: Device) -> dict[str, str]:
    """Return how *device* is stored: cut to length, with a mark for what UTF-8 cannot hold.

    Raises:
        InvalidDataError: It is no device, or does not hold text.
    """
    accept(Device, device, "device")
    given = {"user_agent": device.user_agent, "ip_address": device.ip_address}
    return {name: _storable(text)[:MAX_DEVICE_CHARACTERS] for name, text in given.items()}


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def new_secret() -> str:
    """Return 256 random bits as 43 characters that fit into a URL."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of *secret* in hex; 256 random bits need no slower hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
