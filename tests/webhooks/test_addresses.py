"""Where a webhook may lead, and where not."""

from __future__ import annotations

import pytest

from pointsman.webhooks.addresses import refusal

PUBLIC = ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822")
PRIVATE = (
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "127.0.0.1",
    "100.64.0.1",
    "::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "2002:0a00:0001::1",  # 6to4 of 10.0.0.1
    "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
    "64:ff9b:1::1",
)
NEVER = (
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "0.0.0.0",  # noqa: S104  nothing listens
    "::",
    "224.0.0.1",
    "ff02::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_ones(address: str) -> None:
    assert refusal(address, allow_private=False) is None
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_ones_where_they_are_meant(address: str) -> None:
    assert "write `allowPrivate: true`" in str(refusal(address, allow_private=False))
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    for allowed in (True, False):
        assert "nothing is sent there" in str(refusal(address, allow_private=allowed))
