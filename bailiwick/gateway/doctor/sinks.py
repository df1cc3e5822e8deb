"""The sinks: whether their secrets, certificates and URLs are as they must be. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.doctor.finding import Finding, ok, problem
from bailiwick.gateway.sinks.ways import way_of


def sink_findings(config: GatewayConfig, environ: Mapping[str, str], base: Path) -> Iterator[Finding]:
    """Yield what is to be said of each sink."""
    for sink in config.sinks.values():
        try:
            way_of(sink, environ, base, str)
        except ConfigError as error:
            yield problem("sinks", f"sink `{sink.name}`: {error.message}", error.remedy)
        else:
            yield ok("sinks", f"sink `{sink.name}`: its settings are right; `bailiwick ledger sinks test` tries it")
