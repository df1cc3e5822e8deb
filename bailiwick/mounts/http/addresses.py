"""Which addresses an API may be at: those of the whole internet, and those that its mount names."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


class AddressError(Exception):
    """An API is at an address where its mount does not say that it is. Never holds the address."""


class Finder:
    """Finds the addresses of one host. What it returns is what is connected to: nothing is looked up twice."""

    def __init__(self, networks: Sequence[str], named: str) -> None:
        """`named` is the host of the mount's URL; an address that stands there is named by the mount."""
        self._networks = tuple(ipaddress.ip_network(each) for each in networks)
        self._named = _address(named)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host. Raises AddressError if one of them is not to be used, OSError for none."""
        literal = _address(host)
        if literal is not None:
            found = [str(literal)]
        else:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        for each in found:
            address = _address(each)
            if address is None or not self.may(address):
                raise AddressError(
                    "its address is not one of the internet, and `networks` of the mount does not name it"
                )
        return found

    def may(self, address: Address) -> bool:
        """Return whether an address may be connected to."""
        if address == self._named or any(address in network for network in self._networks):
            return True
        inner = _within(address)
        if inner is not None:
            return self.may(inner)
        return address.is_global and not address.is_multicast and not address.is_reserved


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _within(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for, whatever translates it."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
