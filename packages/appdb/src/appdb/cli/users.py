"""`appdb users` and `appdb keys`: users of the API hosts and their access keys; the first ones are made here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TypeVar

import click

from appdb.cli.output import json_line, moment, printable, table
from appdb.cli.params import duration
from appdb.cli.selection import owner_option
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.access_keys import KeyInfo
from appdb.models.users import NewUser, Role, User
from appdb.repos.user import UserRepository

T = TypeVar("T")

USERS_HEAD = ("user", "name", "e-mail", "roles", "active", "guest", "created", "last sign-in")
KEYS_HEAD = ("key", "name", "scopes", "created", "expires", "last used")
MAX_PAGE = 1_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


@click.group()
def users() -> None:
    """Make users, switch them off and on, and list them."""


@users.command("list")
@click.option("--before", metavar="ID", help="Go on behind this user, the last one of the page before.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=50, show_default=True, help="The most to print.")
@json_option
@pass_target
def list_users(target: Target, before: str | None, limit: int, as_json: bool) -> None:
    """List users, newest first."""
    found = _run(target, lambda users: users.page(before=before, limit=limit))
    _tell_users(found, as_json=as_json)
    if len(found) == limit and not as_json:
        click.echo(f"there may be more: repeat with --before {found[-1].id}", err=True)


@users.command()
@click.argument("user_id")
@json_option
@pass_target
def show(target: Target, user_id: str, as_json: bool) -> None:
    """Show the user USER_ID."""
    _tell_users([_run(target, lambda users: users.get(user_id))], as_json=as_json)


@users.command()
@click.argument("username")
@click.option("--email", help="An address; no mail is sent to it.")
@click.option("--admin", is_flag=True, help="May also look after others.")
@json_option
@pass_target
def create(target: Target, username: str, email: str | None, admin: bool, as_json: bool) -> None:
    """Make the user USERNAME, who has no password and no key yet: `appdb keys create` makes one."""
    roles = (Role.USER, Role.ADMIN) if admin else (Role.USER,)
    new = NewUser(username=username, email=email, roles=roles)
    _tell_users([_run(target, lambda users: users.create(new))], as_json=as_json)


@users.command()
@click.argument("user_id")
@json_option
@pass_target
def deactivate(target: Target, user_id: str, as_json: bool) -> None:
    """Switch USER_ID off: no key and no session of theirs is accepted; what is theirs stays."""
    _tell_users([_run(target, lambda users: users.deactivate(user_id))], as_json=as_json)


@users.command()
@click.argument("user_id")
@json_option
@pass_target
def activate(target: Target, user_id: str, as_json: bool) -> None:
    """Switch USER_ID on again; keys count again, sessions do not come back."""
    _tell_users([_run(target, lambda users: users.activate(user_id))], as_json=as_json)


@click.group()
def keys() -> None:
    """Make, list and revoke the access keys of a user."""


@keys.command("list")
@owner_option
@json_option
@pass_target
def list_keys(target: Target, owner: str, as_json: bool) -> None:
    """List a user's keys that were not revoked, newest first; never a secret."""
    found = _run(target, lambda users: users.keys(owner_id=owner))
    if as_json:
        for key in found:
            click.echo(json_line(key.model_dump(mode="json")))
    else:
        click.echo(table(KEYS_HEAD, [_key_row(key) for key in found]))
        if not found:
            advice = "`appdb users list` shows who is there, and `appdb keys create` makes a key"
            click.echo(f"user {printable(owner)!r} has no key, or does not exist: {advice}", err=True)


@keys.command("create")
@owner_option
@click.option("--name", required=True, help="What the user calls it, such as 'laptop'.")
@click.option("--scope", "scopes", multiple=True, help="What it may do, such as tasks:read; repeatable. Default: all.")
@click.option("--expires-in", type=duration, help="How long it is valid. Default: until it is revoked.")
@json_option
@pass_target
def create_key(
    target: Target, owner: str, name: str, scopes: tuple[str, ...], expires_in: timedelta | None, as_json: bool
) -> None:
    """Make a key of a user and print it: only its digest is stored, so it can be seen this once."""
    # None stands for all scopes; a key with an empty list could do nothing.
    wanted = list(scopes) or None
    made = _run(target, lambda users: users.create_key(owner_id=owner, name=name, scopes=wanted, expires_in=expires_in))
    if as_json:
        click.echo(json_line({"id": made.key_id, "user_id": made.user_id, "key": made.secret}))
    else:
        # Alone on stdout, so that `KEY=$(appdb keys create ...)` holds the key and nothing else.
        click.echo(made.secret)
        click.echo("keep it: it is not shown again. Send it as `Authorization: Bearer KEY`", err=True)


@keys.command()
@click.argument("key_id")
@owner_option
@pass_target
def revoke(target: Target, key_id: str, owner: str) -> None:
    """End the key KEY_ID for good."""
    key = _run(target, lambda users: users.revoke_key(key_id, owner_id=owner))
    click.echo(f"key {key.id} is revoked")


def _run(target: Target, work: Callable[[UserRepository], Awaitable[T]]) -> T:
    async def opened(database: Database) -> T:
        return await work(UserRepository(database))

    return target.run(opened)


def _tell_users(found: Iterable[User], *, as_json: bool) -> None:
    if as_json:
        for user in found:
            click.echo(json_line(user.model_dump(mode="json")))
    else:
        click.echo(table(USERS_HEAD, [_user_row(user) for user in found]))


def _user_row(user: User) -> list[object]:
    flags = ["yes" if flag else "no" for flag in (user.is_active, user.is_guest)]
    names = [user.id, user.username or "-", user.email or "-", ", ".join(user.roles)]
    return [*names, *flags, moment(user.created_at), moment(user.last_sign_in_at)]


def _key_row(key: KeyInfo) -> list[object]:
    scopes = "all" if key.scopes is None else ", ".join(key.scopes)
    return [key.id, key.name or "-", scopes, *map(moment, (key.created_at, key.expires_at, key.last_used_at))]
