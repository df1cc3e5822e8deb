"""A gateway in this process in front of a folder (or a bucket), and sessions that ask it for files."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bailiwick.gateway.config import load_config
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.run import Running, running
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.mounts.files.admission import Admission, Asked, NotDone
from bailiwick.mounts.files.content import content_of
from bailiwick.mounts.files.front import FilesFront
from bailiwick.mounts.files.looking import Listing, Matches, list_files, search_files
from bailiwick.mounts.files.looking import Wanted as Sought
from bailiwick.mounts.files.reading import Found, read
from bailiwick.mounts.files.writing import Written, delete, move, scratch_of, write
from bailiwick.mounts.http.front import HttpFront
from bailiwick.mounts.mcp.front import McpFront
from bailiwick.mounts.tool_path import Done
from tests.support.mcp_client import McpClient

CANARY = "CANARY-of-nobody"


@dataclass(frozen=True, slots=True)
class Agent:
    """One session at the files of a gateway."""

    admission: Admission
    live: Live
    token: str
    mount: str

    def asked(self, path: str, patience: float = 0.0) -> Asked:
        return Asked(self.mount, path, "a test", patience)

    async def read(self, path: str) -> bytes | NotDone:
        async def use(found: Found) -> Done[bytes]:
            data = await found.part(0, found.size)
            return Done(data, size=len(data))

        return await read(self.admission, self.asked(path), use)

    async def write(self, path: str, data: bytes, condition: str = "", patience: float = 0.0) -> Written | NotDone:
        asked = self.asked(path, patience)
        content = content_of(data, scratch_of(self.admission, asked))
        try:
            return await write(self.admission, asked, content, condition)
        finally:
            content.close()

    async def delete(self, path: str, condition: str = "") -> Written | NotDone:
        return await delete(self.admission, self.asked(path), condition)

    async def move(self, path: str, to: str) -> Written | NotDone:
        return await move(self.admission, self.asked(path), to)

    async def list(self, path: str = "", *, deep: bool = False) -> Listing | NotDone:
        return await list_files(self.admission, self.asked(path), deep=deep)

    async def names(self, path: str = "") -> list[str]:
        """Return the paths of all files below a folder."""
        found = await self.list(path, deep=True)
        assert isinstance(found, Listing), found
        return [each.path for each in found.entries]

    async def search(self, text: str, path: str = "") -> Matches | NotDone:
        return await search_files(self.admission, self.asked(path), Sought(text))


def code(done: object) -> str:
    """Return the code of what was not done; empty when it was done."""
    return done.denial.code if isinstance(done, NotDone) else ""


@dataclass(frozen=True, slots=True)
class Desk:
    """A gateway, and its folder."""

    gateway: Running
    front: FilesFront
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    async def agent(self, name: str = "bot", mount: str = "docs", **values: str) -> Agent:
        task = "ticket" if values else None
        wanted = Wanted(agent=name, task=task, user=None, tenant=None, values=values, opener="tests")
        opened = await self.gateway.opener.open(wanted)
        assert isinstance(opened, Opened), opened
        admission = self.front.admission(opened.live)
        assert admission is not None
        return Agent(admission, opened.live, opened.token, mount)

    def client(self, agent: Agent) -> McpClient:
        return McpClient(self.gateway.addresses()["mcp"][1], agent.token)

    async def http(
        self, agent: Agent, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request below the mount; underscores in the names of headers are hyphens."""

        def ask() -> tuple[int, Mapping[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.addresses()["http"][1], timeout=60)
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(
                method, f"/{agent.mount}/{path}", body, {"Authorization": f"Bearer {agent.token}", **given}
            )
            answer = connection.getresponse()
            found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            connection.close()
            return found

        return await asyncio.to_thread(ask)

    def records(self) -> list[dict[str, object]]:
        """Return what the ledger has of calls."""
        reader = open_reader(self.gateway.config.ledger)
        try:
            return [json.loads(each.body) for each in reader.query(Query(limit=5000))]
        finally:
            reader.close()


def put(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files into a folder."""
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())


@asynccontextmanager
async def files_here(
    policy: str, files: Mapping[str, str | bytes], environ: Mapping[str, str] | None = None
) -> AsyncGenerator[Desk]:
    """Run a gateway for a policy whose mounts of files are in the folder `root` beside it."""
    folder = Path(tempfile.mkdtemp(prefix="bwfiles"))
    (folder / "policy.yaml").write_text(policy)
    (folder / "gateway.yaml").write_text("environment: staging\nmcp: {port: 0}\nhttp: {port: 0}\npostgres: {port: 0}\n")
    (folder / "root").mkdir()
    put(folder / "root", files)
    environ = dict(environ or {})
    try:
        config = load_config(folder / "policy.yaml", environ)
        front = FilesFront(config)
        fronts = [front, McpFront(config, [], offered=[front.tools]), HttpFront(config, files=front)]
        async with running(folder / "policy.yaml", config, environ, fronts) as gateway:
            yield Desk(gateway, front, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
