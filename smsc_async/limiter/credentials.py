"""The credentials of a request, for the lockout rules."""

from __future__ import annotations

import attrs

from smsc_async.accounts import Account


@attrs.frozen
class Credentials:
    """The credentials of a request, which the lockout rules guard.

    Attributes:
        service: The name of the service.
        account: The account.
    """

    service: str
    account: Account
