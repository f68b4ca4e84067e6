"""The credentials of a request, for the lockout rules."""

from __future__ import annotations

import attrs

from smsc_async.accounts import Account
from smsc_async.protocol import quota_key


@attrs.frozen(eq=False, repr=False)
class Credentials:
    """The credentials of a request, which the lockout rules guard.

    Attributes:
        service: The name of the service.
        account: The account.
    """

    service: str
    account: Account

    @property
    def login(self) -> str:
        """The login under which the service counts the request, as a key of the quota."""
        return quota_key(self.service, self.account.quota_login)
