"""rsyslog, Debian's own: a real receiver over TCP and TLS, killed and started again in between."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sinks_rig import PATIENCE, Rig, caught_up, ledger_in, record, sink_of, until

from bailiwick.gateway.sinks.item import notes_in
from bailiwick.gateway.state import open_state
from tests.support.certificates import certificate
from tests.support.installed import rsyslogd
from tests.support.postgres import free_port

pytestmark = pytest.mark.xdist_group("rsyslog")


@dataclass
class Daemon:
    """One rsyslogd, which writes what it gets into a file."""

    folder: Path
    port: int
    tls: bool
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is ready when it has written that it is."""
        stream = ""
        if self.tls:
            stream = (
                f'global(defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{self.folder}/cert.pem"'
                f' defaultNetstreamDriverCertFile="{self.folder}/cert.pem"'
                f' defaultNetstreamDriverKeyFile="{self.folder}/key.pem")\n'
            )
        driver = ' StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"' if self.tls else ""
        (self.folder / "rsyslog.conf").write_text(
            f'global(workDirectory="{self.folder}" maxMessageSize="128k")\n{stream}'
            f'module(load="imtcp"{driver})\n'
            'template(name="whole" type="string" string="%msgid%|%structured-data%|%msg%\\n")\n'
            f'input(type="imtcp" port="{self.port}" address="127.0.0.1")\n'
            f'*.* action(type="omfile" file="{self.folder}/out" template="whole" asyncWriting="off")\n'
        )
        command = [rsyslogd(), "-n", "-C", "-f", f"{self.folder}/rsyslog.conf", "-i", f"{self.folder}/pid"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)

    def lines(self) -> list[str]:
        """Return what it wrote of what it was sent."""
        path = self.folder / "out"
        found = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [each for each in found if "|[bailiwick@32473 " in each]

    def ids(self) -> list[str]:
        """Return the ids of the records that arrived whole, in order."""
        documents = [json.loads(each.split("|", 2)[2]) for each in self.lines()]
        return [each["id"] for each in documents if each["kind"] == "call"]


@contextmanager
def running(folder: Path, *, tls: bool) -> Generator[Daemon]:
    daemon = Daemon(folder, free_port(), tls)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    state = await open_state(tmp_path / "state.db")
    with ledger_in(tmp_path) as store:
        yield Rig(tmp_path, store, state)
    await state.close()


async def test_rsyslog_takes_records_over_tls_and_checkpoints_are_found_in_its_file(rig: Rig, tmp_path: Path) -> None:
    certificate(tmp_path)
    ids = rig.fill(300, lambda number: record(number, message='quotes " and ] é'))
    with running(tmp_path, tls=True) as daemon:
        delivery = rig.delivery(sink_of(f"{{syslog: 'tls://localhost:{daemon.port}', ca: cert.pem}}"))
        await caught_up(delivery)
        await until(lambda: len(daemon.lines()) >= 301)
        assert daemon.ids() == ids
        assert notes_in("\n".join(daemon.lines())) != []
        await delivery.way.close()


async def test_nothing_is_lost_when_rsyslog_is_killed(rig: Rig, tmp_path: Path) -> None:
    expected = rig.fill(200)
    with running(tmp_path, tls=False) as daemon:
        delivery = rig.delivery(sink_of(f"{{syslog: 'tcp://127.0.0.1:{daemon.port}'}}"))
        await caught_up(delivery)
        await until(lambda: len(daemon.lines()) >= 50)
        daemon.kill()
        expected += rig.fill(200)
        await delivery.step()
        daemon.start()
        deadline = time.monotonic() + PATIENCE
        while not set(expected) <= set(daemon.ids()):
            assert time.monotonic() < deadline
            await caught_up(delivery)
        await delivery.way.close()
