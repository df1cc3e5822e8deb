"""What the HTTP mount works out without a socket: paths, addresses, signatures, streams that are sieved."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.match.routes import Router, path_fault, path_of, template_problem, variables_of
from bailiwick.mounts.http.addresses import AddressError, Finder
from bailiwick.mounts.http.aws import AwsKey, signed
from bailiwick.mounts.http.stream import Sieve, WithheldError

ROUTES = [
    ("GET", "/a/{id}", 1),
    ("GET", "/a/me", 2),
    ("POST", "/a/{id}", 3),
    ("GET", "/a/{id}:cancel", 4),
    ("GET", "/a/{id}/x", 5),
    ("GET", "/f/{+rest}", 6),
    ("GET", "/two/{a}/x", 7),
    ("GET", "/two/x/{b}", 8),
]


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/a/5", 1),
        ("GET", "/a/me", 2),
        ("POST", "/a/5", 3),
        ("POST", "/a/me", None),  # the most specific place lacks it
        ("GET", "/a/5:cancel", 4),
        ("GET", "/a/me/x", 5),
        ("GET", "/f/x/y", 6),
        ("GET", "/f", None),
        ("GET", "/two/x/x", 8),
        ("GET", "/a/", None),
        ("GET", "/A/5", None),
    ],
)
def test_the_most_specific_route_is_found(method: str, path: str, target: int | None) -> None:
    assert path_fault(path) == ""
    found = Router(ROUTES).find(method, path)
    assert (None if found is None else found.target) == target


@given(st.text(min_size=1, max_size=30))
def test_a_value_in_a_path_comes_out_as_it_went_in_or_not_at_all(value: str) -> None:
    try:
        path = path_of("/f/{id}/x", {"id": value})
    except UnicodeEncodeError:  # a lone surrogate is in no path
        return
    found = Router([("GET", "/f/{id}/x", 1)]).find("GET", path) if path_fault(path) == "" else None
    assert found is None or found.values == {"id": value}
    assert found is not None or not value.replace(" ", "").isalnum()


def test_templates_are_checked() -> None:
    for good in ("/", "/a/{id}", "/a/{id}.json", "/f/{+rest}", "/.well-known/x", "/a/"):
        assert template_problem(good) == "", good
    for bad in ("a", "/a//b", "/{a}{b}", "/{+a}/b", "/{a}/{a}", "/..", "/a b", "/a%2f", "/a;b", "/{}", "/{a"):
        assert template_problem(bad) != "", bad
    assert variables_of("/a/{id}/b/{+rest}") == ("id", "rest")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1"),
        *("fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::"),
        *("2002:a9fe:a9fe::1", "::7f00:1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    ],
)
def test_addresses_that_are_not_of_the_internet_need_a_name(address: str) -> None:
    known = ipaddress.ip_address(address)
    assert not Finder((), "api.example").may(known)
    assert Finder((address,), "api.example").may(known)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"])
def test_addresses_of_the_internet_may_be_used(address: str) -> None:
    assert Finder((), "api.example").may(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]"])
async def test_what_a_name_leads_to_is_what_counts(host: str) -> None:
    with pytest.raises((AddressError, OSError)):
        await Finder((), "api.example")(host, 80)


async def test_a_mount_that_names_an_address_may_use_it() -> None:
    assert await Finder((), "127.0.0.1")("127.0.0.1", 80) == ["127.0.0.1"]
    assert "127.0.0.1" in await Finder(("127.0.0.0/8", "::1"), "localhost")("localhost", 80)


def test_requests_are_signed_as_aws_does() -> None:
    key = AwsKey("AKIDEXAMPLE", "us-east-1", "service", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    headers = dict(signed(key, "GET", "example.amazonaws.com", "/?b=2&a=1", b"", now))
    assert headers["x-amz-date"] == "20150830T123600Z"
    assert headers["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
    )
    other = dict(signed(key, "GET", "example.amazonaws.com", "/?a=1&b=2", b"", now))
    assert other == headers  # the order of parameters is canonical
    assert dict(signed(key, "GET", "example.amazonaws.com", "/?a=1&b=3", b"", now)) != headers


@given(st.lists(st.binary(max_size=12), max_size=12), st.integers(0, 40))
def test_a_sieve_passes_everything_but_marks(parts: list[bytes], place: int) -> None:
    marks = (b"secret-value", b"sesame")
    clean = [part.replace(b"s", b"") for part in parts]
    sieve = Sieve(marks)
    assert b"".join(map(sieve.feed, clean)) + sieve.end() == b"".join(clean)
    sieve = Sieve(marks)
    shown = [sieve.feed(bytes([byte])) for byte in b"x" * place + b"secret-valu"]
    assert b"".join(shown) == b"x" * place  # not even its beginning
    with pytest.raises(WithheldError):
        sieve.feed(b"ey")
