"""The root of the command line: what it shows, what it loads, and how it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bailiwick.cli.main import commands

bailiwick = str(Path(sys.executable).with_name("bailiwick"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([bailiwick, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_help_lists_every_command_with_its_whole_summary() -> None:
    shown = run("--help").stdout
    for name, entry in commands.items():
        assert any(name in line and entry.summary in line for line in shown.splitlines()), name


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from bailiwick.cli.main import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "heavy = {'sqlalchemy', 'asyncpg', 'cryptography', 'postgast', 'joserfc', 'yaml'} & set(sys.modules);"
        "light = ('bailiwick.cli.main', 'bailiwick.cli.quick');"
        "print(sorted(heavy) + sorted(n for n in sys.modules if n.startswith('bailiwick.cli.') and n not in light))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert shown.stdout.strip() == "[]"


def test_version_is_that_of_the_package() -> None:
    assert run("--version").stdout.startswith("bailiwick 0.")


def test_unknown_command_is_a_usage_error_with_the_near_name() -> None:
    result = run("sesion")
    assert result.returncode == 2
    assert "'session'" in result.stderr


def test_errors_are_one_line_with_their_remedy_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bailiwick.cli import main
    from bailiwick.errors import ConfigError

    def fail() -> None:
        raise ConfigError("cannot read `x`", remedy="write it")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as exit_:
        main.run()
    assert exit_.value.code == 1
    assert capsys.readouterr() == ("", "error: cannot read `x`\n  write it\n")
