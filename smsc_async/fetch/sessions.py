"""What a client has in each event loop: connections, and the tasks that outlive its callers.

Invariants: what belongs to a loop is used in that loop alone; what belongs to a loop that is over, or to the parent of a
fork, is dropped unclosed, since nobody is left there to close it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Literal

from smsc_async.fetch.background import BackgroundTasks
from smsc_async.http.connections import Connections
from smsc_async.http.limited_transport import AsyncTransport, LimitedTransport
from smsc_async.limiter.waiter import is_closed_loop, running_loop

__all__ = ["Session", "Sessions", "transport_factory"]


class Session:
    """What a client has in one event loop.

    Attributes:
        transport: The connections, behind the limiter.
        detached: Tasks that no caller's cancellation ends.
    """

    def __init__(self, transport: LimitedTransport) -> None:
        self.transport: LimitedTransport = transport
        self.detached: BackgroundTasks = BackgroundTasks()


class Sessions:
    """The sessions of one client.

    Args:
        new_transport: Makes the transport of a loop.
    """

    def __init__(self, new_transport: Callable[[], LimitedTransport]) -> None:
        self._new_transport = new_transport
        self._sessions: dict[Hashable, Session] = {}
        self._pid = os.getpid()

    def __len__(self) -> int:
        return len(self._sessions) if self._pid == os.getpid() else 0

    def get(self) -> Session:
        """Return the session of the running loop; made where there is none."""
        if self._pid != os.getpid():
            # The parent's sockets: closing them here would say goodbye in its name.
            self._sessions, self._pid = {}, os.getpid()
        loop = running_loop()
        session = self._sessions.get(loop)
        if session is None:
            for former in [each for each in self._sessions if is_closed_loop(each)]:
                del self._sessions[former]
            session = self._sessions[loop] = Session(self._new_transport())
        return session

    def has(self, session: Session) -> bool:
        """Tell whether that is the session of the running loop, and not closed."""
        return self._sessions.get(running_loop()) is session

    async def aclose(self) -> None:
        """Close the session of the running loop, and forget the others."""
        session = self._sessions.pop(running_loop(), None)
        self._sessions.clear()
        if session is not None:
            try:
                await session.detached.aclose()
            finally:
                await session.transport.aclose()


def transport_factory(transport: AsyncTransport | Literal["aiohttp"] | None) -> Callable[[], AsyncTransport]:
    """Return what makes the transport of an event loop."""
    if transport is None:
        return Connections
    if isinstance(transport, AsyncTransport):
        return lambda: transport
    if transport != "aiohttp":
        raise ValueError(f'transport={transport!r}: must be "aiohttp", an httpx.AsyncBaseTransport or None')
    try:
        from smsc_async.http.over_aiohttp import AiohttpConnections  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        return AiohttpConnections
    raise ImportError(f'transport="aiohttp" needs {missing}: pip install "smsc-async[aiohttp]"')
