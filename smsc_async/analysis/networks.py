"""Names and countries of mobile networks by MCC and MNC. Pure.

A name is a hint for people: it changes without notice, and no price or look-up of a price depends on it. The data and
their source are in ``networks.tsv``.
"""

# ruff: noqa: RUF002, RUF003  # Cyrillic letters are the subject

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_MCC_DIGITS: Final = 3
_SHORTEST_CODE: Final = 5
# Sounds, not looks: МТС is MTS, Мегафон is Megafon, Теле2 is Tele2.
_CYRILLIC: Final = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ"
_LATIN: Final = "a,b,v,g,d,e,e,zh,z,i,y,k,l,m,n,o,p,r,s,t,u,f,h,ts,ch,sh,sch,,y,,e,yu,ya,i,i,e,g"
_TO_LATIN: Final = str.maketrans(dict(zip(_CYRILLIC, _LATIN.split(","), strict=True)))


class _Network(NamedTuple):
    code: str
    name: str
    country: str


def name_of(mccmnc: str) -> str | None:
    """Return the name of the network with this code, or ``None`` if it is unknown.

    A code of six digits that is unknown has the name of the network of its first five.

    Example:
        >>> from smsc_async.analysis.networks import name_of
        >>> name_of("25001"), name_of("99999")
        ('MTS', None)
    """
    network = _network(mccmnc)
    return None if network is None else network.name


def country_of(mcc: str) -> str | None:
    """Return the ISO 3166 code of a country by its MCC, or by the code of a network.

    Returns:
        ``None`` if the MCC is unknown, or if several countries share it and the code names no network that is known.

    Example:
        >>> from smsc_async.analysis.networks import country_of
        >>> country_of("250"), country_of("25001"), country_of("234"), country_of("23450")
        ('RU', 'RU', None, 'GG')
    """
    network = _network(mcc)
    if network is not None:
        return network.country or None
    countries = {each.country for each in _networks().values() if each.code.startswith(mcc[:_MCC_DIGITS])} - {""}
    return countries.pop() if len(mcc) >= _MCC_DIGITS and len(countries) == 1 else None


def label_of(mccmnc: str) -> str:
    """Return a code with what is known of it.

    Example:
        >>> from smsc_async.analysis.networks import label_of
        >>> label_of("25001"), label_of("25077"), label_of("99999")
        ('25001 MTS · RU', '25077 · RU', '99999')
    """
    name, country = name_of(mccmnc), country_of(mccmnc)
    return f"{mccmnc}{f' {name}' if name else ''}{f' · {country}' if country else ''}"


def search(text: str) -> tuple[str, ...]:
    """Return the codes of the networks that a text describes.

    Args:
        text: Words, each of which is the beginning of a code, a country (``RU``), or a part of a name in Latin or
            Cyrillic letters of any case.

    Returns:
        The codes in their order; none for a text without words.

    Example:
        >>> from smsc_async.analysis.networks import search
        >>> search("мтс ru"), search("2500")[:2], search("beeline 401")
        (('25001',), ('25001', '25002'), ('40101',))
    """
    words = fold(text).split()
    return tuple(each.code for each in _networks().values() if words and all(_fits(each, word) for word in words))


def suggest(text: str, names: Iterable[str] | None = None) -> str:
    """Return a part of a sentence that names what somebody may have meant, or nothing.

    Args:
        text: What was searched for.
        names: Names to choose from, or ``None`` for those of the networks.

    Example:
        >>> from smsc_async.analysis.networks import suggest
        >>> suggest("vodafon"), suggest("Latvija", ["Latvia", "Lithuania"]), suggest("?")
        (' (did you mean Vodafone or Vodafone FO or Vodacom?)', ' (did you mean Latvia?)', '')
    """
    if names is None:
        names = (each.name for each in _networks().values())
    known = {fold(name): name for name in names}
    wanted = fold(text)
    close = [known[each] for each in get_close_matches(wanted, known, n=3, cutoff=0.6)] if not wanted.isdigit() else []
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def fold(text: str) -> str:
    """Return a text as it is compared: without case, in Latin letters.

    Example:
        >>> from smsc_async.analysis.networks import fold
        >>> fold("МТС (Россия)")
        'mts (rossiya)'
    """
    return text.casefold().translate(_TO_LATIN)


def _fits(network: _Network, word: str) -> bool:
    return network.code.startswith(word) or word == network.country.lower() or word in fold(network.name)


def _network(mccmnc: str) -> _Network | None:
    networks = _networks()
    return networks.get(mccmnc) or networks.get(mccmnc[:_SHORTEST_CODE])


@cache
def _networks() -> dict[str, _Network]:
    networks: dict[str, _Network] = {}
    for line in files("smsc_async.analysis").joinpath("networks.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            mcc, country, *rest = line.split("\t")
            for mnc, _, name in (each.partition(" ") for each in rest):
                networks[mcc + mnc] = _Network(mcc + mnc, name, country)
    return networks
