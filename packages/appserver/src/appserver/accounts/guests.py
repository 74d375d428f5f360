"""Guests: users with nothing but a key, limited by address on this host and by day in the database."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from appdb import UserRepository
from appdb.models import NewKey
from appserver.errors import GuestsClosedError, TooManyGuestsError

HOUR_SECONDS = 3_600.0
DAY = timedelta(days=1)
MOST_ADDRESSES = 10_000
"""Addresses whose rates are kept; those that came longest ago are forgotten first."""
IPV6_NETWORK_BITS = 64
"""The network of one connection: it may take any address of it, so all of them share an allowance."""


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class Guests:
    """
    Makes guests.

    Args:
        users: Where users are kept.
        per_hour: How many one address may make in an hour, at once or spread; a restart of the host forgets it.
        per_day: How many may be made in a day, all hosts together; counted in the database.
        clock: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        users: UserRepository,
        *,
        per_hour: int,
        per_day: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._per_hour = per_hour
        self._per_day = per_day
        self._clock = clock
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()

    async def make(self, address: str | None) -> NewKey:
        """Make a guest for a request from *address*, and return the key.

        Raises:
            GuestsClosedError: This host takes no guests.
            TooManyGuestsError: Too many guests came from this address, or in all.
        """
        if not self._per_day or not self._per_hour:
            raise GuestsClosedError
        # The local limit first: it costs no round trip.
        self._spend(_network(address))
        if await self._users.count_guests(within=DAY, at_most=self._per_day) >= self._per_day:
            raise _too_many(f"{self._per_day:,} guests have come within a day, which is the most", HOUR_SECONDS)
        return await self._users.create_guest()

    def _spend(self, network: str) -> None:
        # A bucket of tokens that fills steadily: an address may spend an hour's guests at once, and then waits.
        now = self._clock()
        allowance = self._allowances.pop(network, None) or _Allowance(self._per_hour, now)
        gained = (now - allowance.at) * self._per_hour / HOUR_SECONDS
        allowance.left, allowance.at = min(self._per_hour, allowance.left + gained), now
        self._allowances[network] = allowance
        if len(self._allowances) > MOST_ADDRESSES:
            self._allowances.popitem(last=False)
        if allowance.left < 1:
            seconds = (1 - allowance.left) * HOUR_SECONDS / self._per_hour
            raise _too_many(f"{self._per_hour:,} guests in an hour are the most from one address", seconds)
        allowance.left -= 1


def _network(address: str | None) -> str:
    try:
        found = ip_address(address or "")
    except ValueError:
        # A socket of the file system has no address: all that come by it share an allowance.
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, IPV6_NETWORK_BITS), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)


def _too_many(reason: str, seconds: float) -> TooManyGuestsError:
    # One second more, so that a caller that waits as told is not refused again.
    return TooManyGuestsError(reason, int(seconds) + 1)
