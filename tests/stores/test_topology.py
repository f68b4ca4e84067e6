"""Where the keys of a store are: URLs, hash tags, and the answers of servers about their masters."""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any

import pytest

from smsc_async import RedisStore
from smsc_async.accounts import Secret
from smsc_async.stores.redis.topology import (
    SHARDS,
    Address,
    Kind,
    Topology,
    masters,
    named_master,
    shard_tag,
    slot_of,
    topology_of,
)

PEPPER = "a long random text"
ASKED = Address("10.0.0.9", 7000)


def _topology(url: str) -> Topology:
    topology = topology_of(Secret(url))
    assert topology is not None
    return topology


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://localhost/1", "unix:///run/redis.sock"])
def test_a_single_server_has_no_topology(url: str) -> None:
    assert topology_of(Secret(url)) is None


def test_a_cluster_is_some_of_its_nodes() -> None:
    topology = _topology("redis+cluster://user:p%40ss@one,two:7001,[::1]:7002?ssl_ca_certs=/ca.pem")
    assert topology.kind is Kind.CLUSTER
    assert topology.seeds == (Address("one", 6379), Address("two", 7001), Address("::1", 7002))
    assert topology.name == "one:6379,two:7001,[::1]:7002"
    for is_seed in (False, True):
        url = topology.url(Address("::1", 7002), is_seed=is_seed).reveal()
        assert url == "redis://user:p%40ss@[::1]:7002?ssl_ca_certs=%2Fca.pem"


def test_sentinels_know_a_master_by_a_name_and_have_neither_its_users_nor_its_databases() -> None:
    topology = _topology("rediss+sentinel://user:hunter2@one,two:7001/my%20main?db=3&ssl_cert_reqs=none")
    assert topology.kind is Kind.SENTINEL
    assert topology.seeds == (Address("one", 26379), Address("two", 7001))
    assert (topology.master, topology.name) == ("my main", "one:26379,two:7001/my main")
    assert topology.url(ASKED).reveal() == "rediss://user:hunter2@10.0.0.9:7000?db=3&ssl_cert_reqs=none"
    assert topology.url(ASKED, is_seed=True).reveal() == "rediss://10.0.0.9:7000?ssl_cert_reqs=none"


def test_sentinels_may_have_users_of_their_own() -> None:
    topology = _topology("redis+sentinel://:hunter2@one/main?sentinel_username=watch&sentinel_password=p%2Fw")
    assert topology.url(ASKED, is_seed=True).reveal() == "redis://watch:p%2Fw@10.0.0.9:7000?"
    assert topology.url(ASKED).reveal() == "redis://:hunter2@10.0.0.9:7000?"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+cluster://:hunter2@one/1", "database 0 only"),
        ("redis+cluster://:hunter2@one?db=1", "database 0 only"),
        ("redis+cluster://:hunter2@one/name", "database 0 only"),
        ("redis+cluster://:hunter2@one,,two", "HOST or HOST:PORT"),
        ("redis+cluster://:hunter2@one:70000", "HOST or HOST:PORT"),
        ("redis+cluster://:hunter2@one:0", "HOST or HOST:PORT"),
        ("redis+cluster://", "HOST or HOST:PORT"),
        ("redis+cluster://:hunter2/x@one", "percent-encode"),
        ("redis+cluster://:2024#hunter2@one", "percent-encode"),
        ("redis+cluster://:2024?hunter2@one", "percent-encode"),
        ("redis+cluster://one#hunter2", "percent-encode"),
        ("redis+cluster://:hunter2@one?unheard=of", "percent-encode"),
        ("redis+sentinel://:hunter2@one", "must end with /NAME"),
        ("redis+sentinel://:hunter2@one/main/3", "must end with /NAME"),
        ("redis+sentinel://:hunter2@one/main?db=first", "number of a database"),
        ("redis+sentinel://one:hunter2@/main", "HOST or HOST:PORT"),
        ("redis+unheard://:hunter2@one", "must begin with"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_and_shows_no_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        RedisStore(url, pepper=PEPPER)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown.stack.pop(0)  # this test's own
    assert "hunter2" not in "".join(shown.format())


@pytest.mark.parametrize(
    ("url", "is_open"),
    [
        ("redis+cluster://127.0.0.1,[::1]", False),
        ("redis+cluster://127.0.0.1,redis.example", True),
        ("rediss+cluster://redis.example", False),
        ("redis+sentinel://redis.example/main", True),
        ("rediss+sentinel://redis.example/main", False),
    ],
)
def test_a_way_over_a_network_needs_tls(url: str, *, is_open: bool) -> None:
    assert RedisStore(url, pepper=PEPPER)._redis.is_open_to_listeners == is_open  # pyright: ignore[reportPrivateUsage]


def test_a_store_shows_its_addresses_and_no_user() -> None:
    store = RedisStore("redis+sentinel://user:hunter2@one,two/main", pepper=PEPPER)
    assert repr(store) == "RedisStore('one:26379,two:26379/main')"


@pytest.mark.parametrize(
    ("key", "slot"),
    [("{123456789}", 0x31C3), ("{user1000}.following", 3443), ("x{user1000}.followers", 3443)],
)
def test_a_slot_is_the_checksum_of_the_tag(key: str, slot: int) -> None:
    assert slot_of(key) == slot


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_the_tags_are_spread_evenly_over_masters_with_equal_shares(count: int) -> None:
    tags = [shard_tag(number) for number in range(SHARDS)]
    assert len(set(tags)) == SHARDS
    shares = Counter(slot_of(tag) * count // 16_384 for tag in tags)
    assert max(shares.values()) - min(shares.values()) <= 1


ROW: Any = [b"10.0.0.1", 7001, b"id", []]


def test_the_masters_are_read_from_the_table_of_a_cluster() -> None:
    answer: Any = [
        [0, 99, ROW, [b"10.0.0.2", 7002, b"replica"]],
        [100, 199, [b"", 7003, b"id"]],
        [200, 200, [None, 7004, b"id"]],
        [201, 299, [b"?", 7005, b"id"]],
    ]
    read = masters(answer, [0, 99, 100, 200, 250, 400], ASKED)
    first = Address("10.0.0.1", 7001)
    assert read == {
        0: first,
        99: first,
        **{slot: Address(ASKED.host, port) for slot, port in ((100, 7003), (200, 7004), (250, 7005))},
    }


WRONG: list[Any] = [None, 7, [1], [[0, 1]], [[0, 1, None]], [[0, 1, [b"host"]]], [[b"x", 1, ROW]]]


@pytest.mark.parametrize("answer", WRONG)
def test_a_table_of_another_shape_is_an_error(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        masters(answer, [0], ASKED)


def test_sentinel_names_one_address() -> None:
    assert named_master([b"10.0.0.1", b"6379"]) == Address("10.0.0.1", 6379)
    with pytest.raises((ValueError, TypeError)):
        named_master([b"10.0.0.1"])
