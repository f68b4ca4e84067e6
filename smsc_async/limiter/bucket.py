"""The arithmetic of tokens and slots, for any number of logins: no clock, no lock, no loop.

A login has a bucket of ``quota.requests`` tokens for tariff requests (all of them are identical to the service) and
``quota.concurrent`` slots for all its requests.

Invariants:

- A token that is out comes free at ``seen + window``, where ``seen`` is when the head of the answer was seen; never
  counted from the sending. That is the whole proof: a request had arrived before its answer was seen.
- An exchange without an answer may still be on its way: its token comes free at ``ended + linger + window``, its slot
  at ``ended + linger``. Only where nothing can have left do both come back at once.
- A bucket is never forgotten before all its tokens are free, and holds nothing once they are.
"""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Mapping
from typing import Final

import attrs

from smsc_async.limiter.quota import Quota

__all__ = ["Buckets", "Ending", "Refusal"]


class Ending(enum.Enum):
    """How an exchange ended."""

    WHOLE = enum.auto()
    """The last byte of the answer was read."""
    CUT = enum.auto()
    """Without an answer, or within it: the server may still be at it."""
    UNSENT = enum.auto()
    """Before a byte of the request can have left."""


_WHOLE: Final = Ending.WHOLE
_NONE: Final = (0, 0)
_ONE_WITH_TOKEN: Final = (1, 1)
_ONE_WITHOUT: Final = (1, 0)


@attrs.frozen
class Refusal:
    """Why there is no permit now, and when to ask again.

    Attributes:
        retry_in: Seconds until another try can succeed; ``inf`` where only a permit given back can tell.
        tokens_in: Seconds until each token of the bucket can be free at the earliest, soonest first; empty where it is
            not tokens that are missing. What a queue is told by: whoever is n-th gets the n-th.
    """

    retry_in: float
    tokens_in: tuple[float, ...] = ()


class Buckets:
    """Every login's tokens and slots.

    Tokens that are coming free are kept in two generations: an entry is written into the younger one, and whole
    generations are dropped. An entry of the older one was written before the last turn, so at the next turn, a longest
    absence later, all its tokens are free. So nothing is ever swept, and nothing stays.

    ``take_fresh`` and the first lines of ``give_back`` are what most requests of a fleet take: one at a time of a login.
    """

    __slots__ = ("_busy", "_lingering", "_older", "_span", "_turn_at", "_younger")

    def __init__(self) -> None:
        self._younger: dict[str, tuple[float, ...]] = {}
        self._older: dict[str, tuple[float, ...]] = {}
        self._turn_at = -math.inf
        self._span = 0.0  # the longest that a token can be away after its exchange ended
        self._busy: dict[str, tuple[int, int]] = {}  # slots and tokens whose exchange is under way
        self._lingering: dict[str, tuple[float, ...]] = {}  # slots that come free by themselves, at these instants

    def take_fresh(self, login: str, quota: Quota, *, token: bool) -> bool:
        """Do as ``take`` where nothing of a login is in use, for which nobody needs to know the time.

        Returns:
            Whether it was taken; ``False`` where something is in use.
        """
        if (
            login in self._busy
            or login in self._younger
            or login in self._older
            or (self._lingering and login in self._lingering)
        ):
            return False
        if quota.absence > self._span:
            self._span = quota.absence
        self._busy[login] = _ONE_WITH_TOKEN if token else _ONE_WITHOUT
        return True

    def take(self, login: str, now: float, quota: Quota, *, token: bool) -> Refusal | None:
        """Take a slot, and a token with it where asked: both or neither.

        Args:
            login: Whose.
            now: The instant.
            quota: The rule.
            token: Whether a token is needed.

        Returns:
            ``None`` where they are taken, else when to ask again.
        """
        slots, tokens = self._busy.get(login, _NONE)
        if token and (refusal := self._no_token(login, now, quota, tokens)) is not None:
            return refusal
        lingering = self._lingering_slots(login, now) if self._lingering else ()
        if slots + len(lingering) >= quota.concurrent:
            return Refusal(lingering[0] - now if lingering else math.inf)
        if quota.absence > self._span:
            self._span = quota.absence
        self._busy[login] = (slots + 1, tokens + token)
        return None

    def give_back(
        self, login: str, now: float, quota: Quota, ending: Ending, *, token: bool, seen: float | None
    ) -> None:
        """Take back what ``take`` gave.

        Args:
            login: Whose.
            now: When the exchange ended.
            quota: As it was taken under.
            ending: How the exchange ended.
            token: Whether a token was taken.
            seen: When the head of the answer was seen, or ``None`` where it was not.
        """
        slots, tokens = self._busy[login]
        if slots == 1:
            del self._busy[login]
        else:
            self._busy[login] = (slots - 1, tokens - token)
        if ending is _WHOLE and token and seen is not None:
            # As below, for most.
            if seen < self._turn_at and login not in self._younger and login not in self._older:
                self._younger[login] = (seen + quota.window,)
            else:
                self._stamp(login, now, quota.requests, seen + quota.window)
            return
        if ending is Ending.CUT:
            self._lingering[login] = tuple(sorted((*self._lingering.get(login, ()), now + quota.linger)))
        if token and ending is not Ending.UNSENT:
            since = now + quota.linger if seen is None else seen
            self._stamp(login, now, quota.requests, since + quota.window)

    def shut(self, login: str, now: float, quota: Quota) -> None:
        """Let no tariff request of the login through for a window: the service says that it has had enough."""
        self._span = max(self._span, quota.absence)
        for _ in range(quota.requests):
            self._stamp(login, now, quota.requests, now + quota.window)

    def forget_holders(self, now: float) -> None:
        """End every exchange that is under way as one without an answer: nobody is left to give it back."""
        free_at = now + self._span
        for login, (slots, tokens) in self._busy.items():
            self._lingering[login] = (*self._lingering.get(login, ()), *[free_at] * slots)
            for _ in range(tokens):
                # None is left out: how many tokens the bucket has is known to those alone who are gone.
                self._stamp(login, now, sys.maxsize, free_at)
        self._busy.clear()

    def count(self) -> Mapping[str, int]:
        """How many entries of each kind are held: all 0 when nothing is in use."""
        return {
            "buckets": len(self._younger.keys() | self._older.keys()),
            "tokens_out": sum(tokens for _, tokens in self._busy.values()),
            "slots": sum(slots for slots, _ in self._busy.values()),
            "lingering": sum(map(len, self._lingering.values())),
        }

    def turn(self, now: float) -> None:
        """Drop the generation whose tokens are all free, if it is time."""
        if now < self._turn_at:
            return
        # After a pause longer than a whole generation the younger one is just as free.
        self._older = self._younger if now < self._turn_at + self._span else {}
        self._younger = {}
        self._lingering = {login: left for login, at in self._lingering.items() if (left := _after(now, at))}
        self._turn_at = now + self._span

    def _no_token(self, login: str, now: float, quota: Quota, out: int) -> Refusal | None:
        stamps = self._younger.get(login) or self._older.get(login) or ()
        if len(stamps) + out < quota.requests:
            return None
        stamps = _after(now, stamps)
        spent = out + len(stamps) - quota.requests
        if spent < 0:
            return None
        # A token that is out can be free a window from now at the earliest, if its answer is seen this instant.
        away = sorted([*(at - now for at in stamps), *[quota.window] * out])
        # Where more are away than there are (the bucket was shut), the first to come free are spent already.
        return Refusal(stamps[spent] - now if len(stamps) > spent else math.inf, tuple(away[spent:]))

    def _stamp(self, login: str, now: float, tokens: int, free_at: float) -> None:
        if now >= self._turn_at:
            self.turn(now)
        stamps = _after(now, self._younger.get(login) or self._older.get(login) or ())
        in_order = not stamps or stamps[-1] <= free_at
        stamps = (*stamps, free_at) if in_order else tuple(sorted((*stamps, free_at)))
        # Of more than there are tokens (the bucket was shut) only the last to come free decide.
        self._younger[login] = stamps if len(stamps) <= tokens else stamps[-tokens:]

    def _lingering_slots(self, login: str, now: float) -> tuple[float, ...]:
        stamps = _after(now, self._lingering.pop(login, ()))
        if stamps:
            self._lingering[login] = stamps
        return stamps


def _after(now: float, stamps: tuple[float, ...]) -> tuple[float, ...]:
    """Those of sorted instants that are still to come."""
    return stamps if not stamps or stamps[0] > now else tuple(at for at in stamps if at > now)
