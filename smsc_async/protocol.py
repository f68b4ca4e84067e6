"""What a request looks like on the wire, and whose it is.

Everything here is arithmetic over bytes and texts: nothing is sent, and no module above is known.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from smsc_async.records import Format

__all__ = [
    "FORM",
    "REPLY_BYTES",
    "Claim",
    "Reply",
    "claim_of",
    "declared_charset",
    "endpoint",
    "form",
    "is_loopback",
    "key_label",
    "quota_key",
    "reserve_endpoint",
    "retry_after",
    "service_of",
]

FORM: Final = "application/x-www-form-urlencoded"
# A list of 2,000 zones takes a quarter of a megabyte in the longest of the formats.
REPLY_BYTES: Final = 4 * 2**20
# Where the service answers under its own names, each with a reserve host www2 (spec/README.md, row 9).
_DOMAINS: Final = frozenset({"smscentre.com", "smsc.ru", "smsc.ua", "smsc.kz", "smsc.tj"})


@attrs.frozen
class Claim:
    """What a request needs of the quota.

    Attributes:
        login: Under which the quota is filed.
        token: Whether it is a tariff request, which needs a token beside its slot.
    """

    login: str
    token: bool


@attrs.frozen
class Reply:
    """An answer, whole.

    Attributes:
        status: The HTTP status.
        content_type: The header, empty where there is none.
        retry_after: Seconds that the server asks to wait, or ``None``.
        body: At most ``REPLY_BYTES``, unpacked.
    """

    status: int
    content_type: str
    retry_after: float | None
    body: bytes


def quota_key(login: str) -> str:
    """Return what the quota of a login is filed under.

    Nobody has told whether the service minds case and spaces around a login: two spellings that share a quota cost a
    little time, two quotas for one login cost an error 9.
    """
    return login.strip().casefold()


def key_label(api_key: str) -> str:
    """Return the login under which an API key of an unknown login is filed; the same in every process.

    64 bits of a digest of a random key: enough to tell two keys apart, nothing that gives one away.
    """
    return "key-" + hashlib.blake2b(api_key.encode(), digest_size=8, person=b"smsc_async").hexdigest()


def endpoint(base_url: str) -> str:
    """Return the URL of the tariff request for a base URL, such as ``https://smscentre.com/sys/``.

    Raises:
        ValueError: Not an HTTPS URL (plain HTTP is for loopback alone), or one with a user, a query or a fragment.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        told = f", not {parts.scheme}:…" if parts.scheme else ""
        raise ValueError(f"base_url must be an https:// URL such as https://smscentre.com/sys/{told}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("base_url must have no user, query or fragment: credentials go into Account")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"base_url must be https: the password would cross the network to {parts.hostname} in clear")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}/get.php"


def reserve_endpoint(primary: str, reserve_url: str | None) -> str | None:
    """Return the URL of the tariff request at the reserve host, or ``None`` where there is none.

    Args:
        primary: What ``endpoint`` returned.
        reserve_url: A base URL, ``"auto"`` for ``www2.`` before the domain of a service that is known to have one, or
            ``None`` for no reserve.

    Raises:
        ValueError: ``reserve_url`` is not a base URL, or one of another domain: the password is not for that.
    """
    host = urlsplit(primary).hostname or ""
    if reserve_url is None:
        return None
    if reserve_url == "auto":
        domain = _domain(host)
        known = domain in _DOMAINS and host != f"www2.{domain}"
        return primary.replace(host, f"www2.{domain}", 1) if known else None
    reserve = endpoint(reserve_url)
    if _domain(urlsplit(reserve).hostname or "") != _domain(host):
        raise ValueError(
            f"reserve_url must be of the same domain as base_url, such as https://www2.{_domain(host)}/sys/"
        )
    if reserve.partition(":")[0] != primary.partition(":")[0]:
        raise ValueError("reserve_url must have the scheme of base_url")
    return reserve


def service_of(endpoint: str) -> str:
    """Return a name for whoever answers there: the provider's domains are one service, which blocks an address once."""
    parts = urlsplit(endpoint)
    return "smsc" if _domain(parts.hostname or "") in _DOMAINS else parts.netloc


def form(credentials: Mapping[str, str], reply_format: Format) -> bytes:
    """Return the body of a tariff request.

    Args:
        credentials: ``login`` and ``psw``, or ``apikey``.
        reply_format: The shape to answer in.
    """
    return f"get_price=1&{urlencode(credentials)}&fmt={reply_format.value}&charset=utf-8".encode()


def claim_of(path: str, query: str, content_type: str, body: bytes) -> Claim | None:
    """Return what a request to the service needs of the quota, or ``None`` where it names no login.

    The identity of a request is its login and what it asks for: not its format, charset, host or method.

    Args:
        path: Of the URL.
        query: Of the URL, undecoded.
        content_type: The header, empty where there is none.
        body: The whole body: a form, multipart or JSON.
    """
    told = {**_body_fields(content_type, body), **dict(parse_qsl(query, keep_blank_values=True))}
    login, api_key = told.get("login", ""), told.get("apikey", "")
    if not login and not api_key:
        return None
    tariffs = path.rsplit("/", 1)[-1] == "get.php" and "get_price" in told
    return Claim(quota_key(login or key_label(api_key)), tariffs)


def declared_charset(content_type: str) -> str | None:
    """Return the charset that a Content-Type names, or ``None``."""
    found = re.search(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", content_type, re.IGNORECASE)
    return found[1] if found else None


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for: 0 or more, or ``None`` where it says nothing usable.

    Args:
        value: The header: a number of seconds, or a date.
        now: The wall clock, in seconds since the epoch.
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    if math.isnan(seconds) or seconds == math.inf:
        return None
    return max(seconds, 0.0)


def _domain(host: str) -> str:
    return host.removeprefix("www.").removeprefix("www2.")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself, whose traffic nobody else sees."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _body_fields(content_type: str, body: bytes) -> dict[str, str]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _json_fields(body)
    if kind == "multipart/form-data":
        return _multipart_fields(body)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) if kind == FORM else {}


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    members: dict[object, object] = document  # pyright: ignore[reportUnknownVariableType]  # whatever JSON holds
    return {str(name): str(value) for name, value in members.items()}


# Only the names and short values of plain fields are wanted; a file in the same body is skipped, not read.
_PART: Final = re.compile(
    rb'content-disposition:\s*form-data;\s*name="(login|apikey|get_price)"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{0,300})\r\n',
    re.IGNORECASE,
)


def _multipart_fields(body: bytes) -> dict[str, str]:
    return {name.decode().lower(): value.decode("utf-8", "replace") for name, value in _PART.findall(body)}
