"""Where the keys of a store are: the forms of its URL, the slots of a cluster, and what servers say about both. Pure.

On a cluster the keys are in ``SHARDS`` groups. All keys of a group have one hash tag, so a script can use them together,
and each group has a record of the store of its own: what one master loses concerns the groups of that master alone.

The errors contain no part of a URL, which may contain a password.
"""

from __future__ import annotations

import binascii
import enum
import itertools
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

import attrs

from smsc_async.accounts import Secret

_SLOTS: Final = 16_384
SHARDS: Final = 64

_SCHEME: Final = re.compile(r"(rediss?)\+(sentinel|cluster)://")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_PERCENT: Final = "percent-encode everything but letters and digits in user and password"
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class Kind(enum.Enum):
    """How the servers of a store are found; the value is the port that a URL may leave out."""

    SENTINEL = 26379
    CLUSTER = 6379


@attrs.frozen
class Address:
    """A server of a store; as text ``host:port``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class Topology:
    """What a URL says about the servers of a store.

    Attributes:
        kind: How the masters are found.
        seeds: The Sentinels, or some nodes of the cluster.
        master: The name by which Sentinel knows the master.
    """

    kind: Kind
    seeds: tuple[Address, ...]
    master: str
    _server: tuple[str, Secret, str]
    _seed: tuple[str, Secret, str]

    @property
    def name(self) -> str:
        """The addresses of the URL, for messages."""
        return ",".join(map(str, self.seeds)) + (f"/{self.master}" if self.master else "")

    def url(self, address: Address, *, is_seed: bool = False) -> Secret:
        """Return the URL of one server, for redis-py."""
        scheme, user, options = self._seed if is_seed else self._server
        return Secret(f"{scheme}://{user.reveal()}{address}{options}")


def topology_of(url: Secret) -> Topology | None:
    """Return the topology of a URL, or ``None`` for the URL of a single server.

    Raises:
        ValueError: The URL is wrong.
    """
    match = _SCHEME.match(url.reveal())
    if match is None:
        return None
    scheme, kind = match[1], Kind[match[2].upper()]
    problem = None
    try:
        return _parsed(url, match.end(), scheme, kind)
    except ValueError as error:
        problem = str(error)
    raise ValueError(f"the URL of the {match[2]}: {problem}")  # here, so that it has no context with parts of the URL


def _parsed(url: Secret, begin: int, scheme: str, kind: Kind) -> Topology:
    authority, mark, rest = re.match(r"([^/?#]*)(.?)(.*)", url.reveal()[begin:], re.DOTALL).groups()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    user, at, hosts = authority.rpartition("@")
    if "@" in rest or "#" in mark + rest:
        raise ValueError(_PERCENT)
    path, _, query = (mark + rest).removeprefix("/").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    sentinel_user, sentinel_password = (options.pop(each, "") for each in _SENTINEL_OPTIONS)
    server = "?" + urlencode(options)
    database = options.pop("db", "0")
    if not database.isdecimal():
        raise ValueError("db must be the number of a database")
    if kind is Kind.CLUSTER and (database != "0" or path not in {"", "0"}):
        raise ValueError("a cluster has database 0 only: end the URL after the addresses")
    if kind is Kind.SENTINEL and (not path or "/" in path):
        raise ValueError(
            "it must end with /NAME, the name by which Sentinel knows the master; the database is ?db=NUMBER"
        )
    seeds = tuple(_address(each, kind) for each in hosts.split(","))
    seed_user = user + at
    if kind is Kind.SENTINEL:
        # A Sentinel has users of its own, often none, and no databases.
        credentials = f"{quote(sentinel_user, safe='')}:{quote(sentinel_password, safe='')}@"
        seed_user = credentials if sentinel_user or sentinel_password else ""
    return Topology(
        kind,
        seeds,
        unquote(path) if kind is Kind.SENTINEL else "",
        (scheme, Secret(user + at), server),
        (scheme, Secret(seed_user), "?" + urlencode(options)),
    )


def _address(text: str, kind: Kind) -> Address:
    match = _HOST.fullmatch(text)
    port = int(match[2] or kind.value) if match is not None else 0
    if match is None or not 0 < port < 65_536:
        raise ValueError(f"the addresses must be HOST or HOST:PORT, with commas between them; {_PERCENT}")
    return Address(match[1].strip("[]"), port)


def slot_of(key: str) -> int:
    """Return the slot of a key with a hash tag: CRC16 of the tag."""
    return binascii.crc_hqx(key.partition("{")[2].partition("}")[0].encode(), 0) % _SLOTS


@cache
def shard_tag(number: int) -> str:
    """Return the hash tag of a group of keys. The slots of the groups are spread evenly, and so over the masters."""
    tags = (f"{{smsc:{each}}}" for each in itertools.count())
    return next(tag for tag in tags if slot_of(tag) * SHARDS // _SLOTS == number)


def masters(answer: Any, slots: Iterable[int], asked: Address) -> dict[int, Address]:
    """Return the masters of slots by the answer to ``CLUSTER SLOTS``; a slot without a master is absent.

    A server that does not know its own host leaves it out: it is that of the server that was ``asked``.

    Raises:
        ValueError: The answer has another shape; also ``TypeError`` and ``LookupError``.
    """
    ranges = [(int(first), int(last), _master(row, asked)) for first, last, row, *_ in answer]
    return {slot: address for slot in slots for first, last, address in ranges if first <= slot <= last}


def named_master(answer: Any) -> Address:
    """Return the master by the answer to ``SENTINEL GET-MASTER-ADDR-BY-NAME``.

    Raises:
        ValueError: The answer has another shape; also ``TypeError`` and ``LookupError``.
    """
    host, port = answer
    return Address(host.decode(), int(port))


def _master(row: Any, asked: Address) -> Address:
    host = (row[0] or b"").decode()
    return Address(asked.host if host in {"", "?"} else host, int(row[1]))
