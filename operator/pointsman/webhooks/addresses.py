"""Which addresses a webhook may lead to: whoever writes a URL must not reach through the operator what they cannot reach."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")  # NAT64 (RFC 6052): the last 32 bits are an IPv4 address
_TRANSLATED_PRIVATE: Final = IPv6Network("64:ff9b:1::/48")  # RFC 8215


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Why nothing is sent to an address, in a sentence; None: it may be.

    Link-local addresses are refused always: nodes have their metadata there, credentials among it.
    """
    found = _meant(ip_address(address.partition("%")[0]))
    if found.is_link_local or found.is_multicast or found.is_unspecified:
        return f"{found} is nobody's public address and none of the cluster's: nothing is sent there"
    if not allow_private and (not found.is_global or found in _TRANSLATED_PRIVATE):
        return f"{found} is a private address: write `allowPrivate: true` beside the URL if it is meant"
    return None


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
