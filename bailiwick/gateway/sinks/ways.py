"""The way to each sink of gateway.yaml: secrets resolved, URLs and certificates checked, nothing sent yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bailiwick.errors import ConfigError
from bailiwick.gateway.http_client import Address, address_of
from bailiwick.gateway.identity import is_safe
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.secrets import resolve
from bailiwick.gateway.sinks.jsonl import Files
from bailiwick.gateway.sinks.kafka import Kafka, brokers_of, producer_of
from bailiwick.gateway.sinks.section import SECTION, Sink
from bailiwick.gateway.sinks.syslog import Syslog, place_of
from bailiwick.gateway.sinks.way import Way, trust_of
from bailiwick.gateway.sinks.web import Batches, Otlp, Poster, Splunk


@dataclass(frozen=True, slots=True)
class Outlet:
    """A sink, and what sends to it."""

    sink: Sink
    way: Way


def outlets(
    sinks: Mapping[str, Sink], environ: Mapping[str, str], base: Path, origin: Callable[[], str]
) -> list[Outlet]:
    """Return the ways to all sinks. Relative paths start in `base`; `origin` names the ledger. Raises ConfigError."""
    return [Outlet(sink, way_of(sink, environ, base, origin)) for sink in sinks.values()]


def way_of(sink: Sink, environ: Mapping[str, str], base: Path, origin: Callable[[], str]) -> Way:
    """Return what sends to a sink. Raises ConfigError, which shows no secret."""
    target = resolve(sink.target, environ, base).reveal()
    secret = "" if sink.secret is None else resolve(sink.secret, environ, base).reveal()
    match sink.kind:
        case "jsonl":
            return Files(base / target, sink.rotation, utc_now)
        case "syslog":
            place = place_of(sink, target)
            return Syslog(place, trust_of(sink, base) if place.scheme == "tls" else None)
        case "kafka":
            make = producer_of(brokers_of(sink, target, trust_of(sink, base), secret))
            from aiokafka.errors import KafkaError  # pyright: ignore[reportMissingTypeStubs]  # it has none

            return Kafka(sink.topic, make, (KafkaError,))
        case "https" | "splunk" | "otlp":
            headers = [(name, resolve(text, environ, base).reveal()) for name, text in sink.headers.items()]
            if sink.kind == "splunk":
                headers.append(("authorization", f"Splunk {secret}"))
            return _web(sink, _address(sink, target), headers, base, origin)


def _web(sink: Sink, address: Address, headers: list[tuple[str, str]], base: Path, origin: Callable[[], str]) -> Way:
    if any(not value.isprintable() for _, value in headers):
        raise ConfigError(f"a header of `{SECTION}.{sink.name}` is not one line of text")
    poster = Poster(address, trust_of(sink, base) if address.origin.scheme == "https" else None, headers)
    if sink.kind == "splunk":
        sourcetype = "bailiwick:ocsf" if sink.format == "ocsf" else "bailiwick:record"
        return Splunk(poster, sink.index, sourcetype, sink.name)
    return Otlp(poster, origin) if sink.kind == "otlp" else Batches(poster)


def _address(sink: Sink, url: str) -> Address:
    if sink.kind == "otlp" and url.count("/") == 2:
        url += "/v1/logs"
    try:
        address = address_of(url)
    except ValueError:
        address = None
    if address is None or not is_safe(url):
        raise ConfigError(
            f"the URL of `{SECTION}.{sink.name}` is not one of https, or has a name and password in it",
            remedy="give one that begins with `https://`; `http://` is for this machine alone",
        )
    return address
