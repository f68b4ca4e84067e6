"""The identity of a request, and what the wire looks like: endpoints, logins, headers. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs

FORM: Final = "application/x-www-form-urlencoded"
# A list of 2,000 zones takes a quarter of a megabyte in the longest of the formats.
REPLY_BYTES: Final = 4 * 2**20
_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")
# httpx has a limit of its own, and takes a host that ends in a number for an IPv4 address: its errors would come from calls.
_LONGEST_URL: Final = 2_000
# Where the service answers under its own names, each with a reserve host www2 (spec/README.md, row 9).
_DOMAINS: Final = frozenset({"smscentre.com", "smsc.ru", "smsc.ua", "smsc.kz", "smsc.tj"})
# A program that sleeps for as long as a server demands must come back: a date in another century is a mistake.
_LONGEST_RETRY_AFTER: Final = 3600.0


@attrs.frozen(repr=False)
class Claim:
    """What a request needs of the quota.

    Attributes:
        login: The login, or the label of the API key.
        token: Whether it is a tariff request, which needs a token beside its slot.
    """

    login: str
    token: bool


@attrs.frozen(eq=False, repr=False)
class Reply:
    """A complete reply.

    Attributes:
        status: The HTTP status.
        content_type: The header, or empty if there is none.
        retry_after: Seconds that the server names, or ``None``.
        body: At most ``REPLY_BYTES``, decompressed. Not in the repr, because it may quote the secret.
    """

    status: int
    content_type: str
    retry_after: float | None
    body: bytes = attrs.field(repr=False)


def quota_key(service: str, login: str) -> str:
    """Return the name of a login's bucket.

    It is unknown whether the service distinguishes case, and spaces around a login. Two spellings that share a quota cost
    a little time; two quotas for one login cost an error 9.

    Args:
        service: What ``service_of`` returned.
        login: The login, or the label of an API key.
    """
    return f"{service} {login.strip().casefold()}"


def key_label(api_key: str) -> str:
    """Return the name of the quota of an API key whose login is unknown; the same in every process.

    64 bits of a digest distinguish two keys. Never show them: a guess of the key could be tested with them.
    """
    return "key-" + hashlib.blake2b(api_key.encode(), digest_size=8, person=b"smsc_async").hexdigest()


def endpoint(base_url: str, name: str = "base_url") -> str:
    """Return the URL of the tariff request for a base URL, such as ``https://smscentre.com/sys/``.

    Args:
        base_url: The base URL.
        name: What the errors call it.

    Raises:
        ValueError: Not an HTTPS URL (plain HTTP is for loopback only), or a URL with a user, a query, a fragment, a bad
            host or a bad port, or one that ends in ``get.php``.
        TypeError: Not a ``str``.
    """
    url = _endpoint(base_url, name)
    del base_url  # it may contain a password, and error reporters show the locals of every frame
    if isinstance(url, Exception):
        raise url
    return url


def reserve_endpoint(primary: str, reserve_url: str | None) -> str | None:
    """Return the URL of the tariff request at the reserve host, or ``None`` if there is none.

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
    reserve = endpoint(reserve_url, "reserve_url")
    if _domain(urlsplit(reserve).hostname or "") != _domain(host):
        raise ValueError(
            f"reserve_url must be of the same domain as base_url, such as https://www2.{_domain(host)}/sys/"
        )
    if reserve.partition(":")[0] != primary.partition(":")[0]:
        raise ValueError("reserve_url must have the scheme of base_url")
    return reserve


def service_of(url: str) -> str:
    """Return a name for the service behind a URL: the provider's domains are one service, which blocks an address once."""
    parts = urlsplit(url)
    domain = _domain((parts.hostname or "").removesuffix("."))
    if domain in _DOMAINS:
        return "smsc"
    usual = 443 if parts.scheme == "https" else 80
    return domain if parts.port in {None, usual} else f"{domain}:{parts.port}"


def claim_of(path: str, query: str, content_type: str, body: bytes) -> Claim | None:
    """Return what a request to the service needs of the quota, or ``None`` if it names no login.

    The identity of a request is its login and what it requests: not its format, charset, host or method. The form takes
    precedence over the query, as in PHP (spec/README.md, "Seen elsewhere", row 13).

    Args:
        path: Of the URL.
        query: Of the URL, undecoded.
        content_type: The header, or empty if there is none.
        body: The body, or its beginning: a form, multipart or JSON.
    """
    fields = {**_form_fields(query), **_body_fields(content_type, body)}
    login, api_key = fields.get("login", ""), fields.get("apikey", "")
    if not login and not api_key:
        return None
    is_tariffs = path.rsplit("/", 1)[-1] == "get.php" and "get_price" in fields
    return Claim(login or key_label(api_key), is_tariffs)


def declared_charset(content_type: str) -> str | None:
    """Return the charset that a Content-Type names, or ``None``."""
    found = re.search(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", content_type, re.IGNORECASE)
    return found[1] if found else None


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header demands: 0 to 3,600, or ``None`` if it contains neither.

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
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None


def _endpoint(base_url: str, name: str) -> str | Exception:  # noqa: PLR0911  # each fault has its error
    """Return the URL, or the error: raised here, it would have the base URL in the locals of its frames."""
    problem = _text_problem(base_url, name)
    if problem is not None:
        return problem
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return ValueError(f"{name} has a bad host or port, such as a port above 65535")
    host = parts.hostname or ""
    if parts.scheme not in {"https", "http"} or not host:
        given = f", not {parts.scheme}:…" if parts.scheme else ""
        return ValueError(f"{name} must be an https:// URL such as https://smscentre.com/sys/{given}")
    if parts.username or parts.password or parts.query or parts.fragment:
        return ValueError(f"{name} must have no user, query or fragment: credentials go into Account")
    if parts.path.rstrip("/").endswith("get.php"):
        return ValueError(f"{name} must not end in get.php: the client adds it")
    netloc = f"[{host}]" if ":" in host else host
    if parts.netloc.lower().removesuffix(f":{port}") != netloc:
        return ValueError(f"{name} has a bad host or port, such as characters behind an IPv6 address")
    if not is_host(host):
        return ValueError(f"{name} has a bad host: it must be a name such as smscentre.com, or an IP address")
    if parts.scheme == "http" and not is_loopback(host):
        return ValueError(f"{name} must be https: the password would cross the network to {host} in clear text")
    return f"{parts.scheme}://{netloc}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}/get.php"


def _text_problem(base_url: object, name: str) -> Exception | None:
    if not isinstance(base_url, str):
        return TypeError(f"{name} must be a str such as https://smscentre.com/sys/, not {type(base_url).__name__}")
    if not (base_url.isascii() and base_url.isprintable()) or " " in base_url:
        return ValueError(f"{name} must be printable ASCII without spaces: letters that look alike name another host")
    if len(base_url) > _LONGEST_URL:
        return ValueError(f"{name} has more than {_LONGEST_URL:,} characters")
    return None


def _domain(host: str) -> str:
    return host.removeprefix("www.").removeprefix("www2.")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself, whose traffic no other machine sees."""
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)


def is_host(host: str) -> bool:
    """Return whether a host is an IP address, or a name in ASCII."""
    labels = host.removesuffix(".").split(".")
    return is_ip(host) or (all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit())


def is_ip(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _body_fields(content_type: str, body: bytes) -> dict[str, str]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _json_fields(body)
    if kind == "multipart/form-data":
        return _multipart_fields(body)
    return _form_fields(body.decode("utf-8", "surrogateescape")) if kind == FORM else {}


def _form_fields(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    return {name: _decoded(value.encode("utf-8", "surrogateescape")) for name, value in pairs}


def _decoded(value: bytes) -> str:
    # The default charset of the service is windows-1251 (spec/README.md, "Seen elsewhere", row 6).
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("cp1251", "backslashreplace")


def _json_fields(body: bytes) -> dict[str, str]:
    with suppress(ValueError, RecursionError):
        members: dict[str, object] | None = json.loads(body)
        return {name: str(value) for name, value in members.items()} if isinstance(members, dict) else {}
    return {}


# Only the names and short values of plain fields are wanted; a file in the same body is skipped, not read.
_PART: Final = re.compile(
    rb'content-disposition:\s*form-data;\s*name="?(login|apikey|get_price)"?[ \t]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{0,300})\r\n',
    re.IGNORECASE,
)


def _multipart_fields(body: bytes) -> dict[str, str]:
    return {name.decode().lower(): _decoded(value) for name, value in _PART.findall(body)}
