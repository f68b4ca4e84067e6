"""A Redis Cluster and a Redis with Sentinels, made of servers of the test's own."""

from __future__ import annotations

import functools
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from smsc_async.stores.redis.topology import SHARDS, shard_tag, slot_of
from tests.stores.redis_server import OVER_TLS, RedisServer, over_tls, tls_options

SLOTS: Final = 16_384
# A busy machine pauses processes for a while, and must not look like a node that failed.
NODE_TIMEOUT: Final = 1.5


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and whose ports for the bus of a cluster are free too.

    They stay reserved for this process: between the choice and the start of a server, another worker of the tests could take them.
    """
    ports: list[int] = []
    chance = random.SystemRandom()  # workers of the tests may have the same seed
    while len(ports) < count:
        # Both below 32,768, where Linux begins to choose the ports of outgoing connections.
        port = chance.randrange(10_000, 22_000)
        if port not in ports and _is_reserved(port) and all(map(_is_free, (port, port + 10_000))):
            ports.append(port)
    return ports


@functools.cache
def _reservations() -> int:
    """Open a file that all test processes of a user share; the byte of a port is locked by the process that uses the port."""
    path = Path(tempfile.gettempdir(), f"smsc-async-test-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_reserved(port: int) -> bool:
    """Reserve a port until this process ends, unless another one has it."""
    import fcntl

    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    due = time.monotonic() + seconds
    while not _holds(condition):
        assert time.monotonic() < due, "the servers did not get there"
        time.sleep(0.02)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except ConnectionError:  # a sentinel that promotes a replica ends the connections of the replica's clients
        return False


class Node(RedisServer):
    """A server with a port; ``ask`` uses its socket."""

    def __init__(self, port: int, *options: str, is_tls: bool = False) -> None:
        ports = tls_options(port) if is_tls else ("--port", str(port))
        super().__init__(*ports, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *options)
        self.port = port
        self.address = f"127.0.0.1:{port}"

    def info(self, section: str) -> dict[str, str]:
        lines = self.ask("INFO", section).decode().splitlines()
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    @property
    def is_master(self) -> bool:
        return self.info("replication").get("role") == "master"

    def is_in_step(self) -> bool:
        return self.info("replication").get("master_link_status") == "up"


def wait_until_replicated(master: Node, replica: Node) -> None:
    """Wait until a replica has what its master has now."""
    written = int(master.info("replication")["master_repl_offset"])
    wait_until(lambda: int(replica.info("replication")["slave_repl_offset"]) >= written)


class RedisCluster:
    """Three masters, each with a replica; runs while a ``with`` block does."""

    def __init__(self, *options: str, replicas: bool = True) -> None:
        ports = free_ports(6 if replicas else 3)
        timeout = str(int(NODE_TIMEOUT * 1_000))
        # Otherwise one slot without a master would stop all masters.
        common = [
            *("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-node-timeout", timeout),
            *("--cluster-replica-validity-factor", "0", *options),
        ]
        if OVER_TLS:
            common += ["--tls-cluster", "yes", "--tls-replication", "yes"]
        self.nodes = [Node(port, *common, is_tls=OVER_TLS) for port in ports]
        self.masters = self.nodes[:3]
        self.replicas = dict(zip(self.masters, self.nodes[3:], strict=False))
        self.url = over_tls("redis+cluster://" + ",".join(node.address for node in self.masters))

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        for number, master in enumerate(self.masters):
            slots = range(number * SLOTS // 3, (number + 1) * SLOTS // 3)
            master.ask("CLUSTER", "ADDSLOTS", *map(str, slots))
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port))
        wait_until(
            lambda: all(f"known_nodes:{len(self.nodes)}".encode() in n.ask("CLUSTER", "INFO") for n in self.nodes)
        )
        for master, replica in self.replicas.items():
            wait_until(lambda m=master, r=replica: r.ask("CLUSTER", "REPLICATE", self.id_of(m)) == b"+OK\r\n")  # type: ignore[misc]
        wait_until(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes))
        wait_until(lambda: all(replica.is_in_step() for replica in self.replicas.values()))
        # Every node knows all masters with their slots.
        wait_until(lambda: all(node.ask("CLUSTER", "SLOTS").startswith(b"*3\r\n") for node in self.nodes))

    def id_of(self, node: Node) -> str:
        return node.ask("CLUSTER", "MYID").decode().split("\r\n")[1]

    def tags_of(self, node: Node) -> list[str]:
        """Return the hash tags of the store whose keys are on a master when the cluster starts."""
        number = self.masters.index(node)
        slots = range(number * SLOTS // 3, (number + 1) * SLOTS // 3)
        return [tag for tag in map(shard_tag, range(SHARDS)) if slot_of(tag) in slots]

    def fail_over(self, master: Node, *, lost: float = 0.0) -> None:
        """Kill a master, and wait until its replica has its slots.

        With ``lost``, it lacks what was written in the last seconds, and takes over at once: the lost permits matter.
        What was written before is on the replica.
        """
        if lost:
            wait_until_replicated(master, self.replicas[master])
            self.replicas[master].signal(signal.SIGSTOP)
            master.ask("CLIENT", "KILL", "TYPE", "replica")
            time.sleep(lost)
        master.kill()
        if lost:
            self.replicas[master].signal(signal.SIGCONT)
            self.replicas[master].ask("CLUSTER", "FAILOVER", "TAKEOVER")
        wait_until(lambda: self.replicas[master].is_master)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.__exit__(kind, error, traceback)


class Sentinels:
    """A master, a replica, and Sentinels; runs while a ``with`` block does."""

    def __init__(self, sentinels: int = 3, *options: str) -> None:
        ports = free_ports(2 + sentinels)
        self.master = Node(ports[0], *options)
        self.replica = Node(ports[1], "--replicaof", "127.0.0.1", str(ports[0]), *options)
        self.sentinels = [Node(port) for port in ports[2:]]
        self.url = "redis+sentinel://" + ",".join(node.address for node in self.sentinels) + "/main"

    def start(self) -> None:
        self.master.start()
        self.replica.start()
        wait_until(self.replica.is_in_step)
        for sentinel in self.sentinels:
            sentinel.start_sentinel("main", self.master.port, len(self.sentinels) // 2 + 1)
        others = len(self.sentinels) - 1
        wait_until(
            lambda: all(b"slaves=1,sentinels=%d" % (others + 1) in s.ask("INFO", "sentinel") for s in self.sentinels)
        )

    def fail_over(self) -> None:
        """Kill the master when its replica has everything, and wait until the Sentinels have promoted that one."""
        wait_until_replicated(self.master, self.replica)
        self.master.kill()
        wait_until(lambda: self.replica.is_master)
        name = f"{self.replica.port}".encode()
        wait_until(lambda: name in self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for node in (*self.sentinels, self.replica, self.master):
            node.__exit__(kind, error, traceback)
