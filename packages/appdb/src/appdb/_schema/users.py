"""Indexes of ``users``: users by name and by address."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import TEXT, Index

# Comparing with "" finds strings only: any number of users have no name or no address, left out or null.
_NAMED = {"username_key": TEXT}
_ADDRESSED = {"email_key": TEXT}

INDEXES = (
    Index(
        collection=collections.USERS,
        name="users_username",
        keys=(("username_key", 1),),
        options={"unique": True, "partialFilterExpression": _NAMED},
    ),
    Index(
        collection=collections.USERS,
        name="users_email",
        keys=(("email_key", 1),),
        options={"unique": True, "partialFilterExpression": _ADDRESSED},
    ),
)
