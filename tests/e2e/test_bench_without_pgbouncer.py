"""`bench/postgres.py` where pgbouncer is missing: nothing is written, and there are no targets."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
MODES = ("simple", "extended", "prepared")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("common", "peers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location("bench_postgres", BENCH / "postgres.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_postgres", module)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_written_without_pgbouncer(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "bouncer_version", tuple)
    monkeypatch.setattr(sys, "argv", ["postgres.py", "--write"])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 2
    assert "--write needs pgbouncer" in capsys.readouterr().err


@pytest.mark.parametrize(("other", "has_targets"), [("pgbouncer", True), (None, False)])
def test_targets_are_against_pgbouncer_alone(bench: ModuleType, other: str | None, has_targets: bool) -> None:
    names = ["direct", "gateway", *([other] if other else [])]
    figures = {(name, mode, 8): [1.0 if name == "gateway" else 100.0] for name in names for mode in MODES}
    report = bench.Report()
    bench.tell_transactions(report, figures, (8,))
    assert report.short is has_targets
    assert any("target" in line for line in report.lines) is has_targets
