"""A prefix of a bucket as a mount, compared with what a client of S3 itself sees in the same server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Protocol

import boto3
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from bailiwick.mounts.files.looking import Listing, Matches
from bailiwick.mounts.files.remote import remote_store
from bailiwick.mounts.files.store import GoneError, UnavailableError
from bailiwick.mounts.files.writing import Written
from tests.files.files_rig import CANARY, Desk, code, files_here

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_s3")]

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    url: s3://company/shared
    credential: {key: "${S3_KEY}", secret: "${S3_SECRET}", endpoint: "${S3_URL}", region: us-east-1}
    resources:
      knowledge_base: {paths: ["kb/**"]}
      staff: {paths: ["hr/**"]}
    quota: {files: 40}
  slips:
    kind: files
    url: s3://company/slips
    credential: {key: "${S3_KEY}", secret: "${S3_SECRET}", endpoint: "${S3_URL}", region: us-east-1}
    resources: {notes: {paths: ["**"]}}
roles:
  writer:
    grants:
      - {allow: "knowledge_base:*", reason: r, args: any}
  noting:
    grants:
      - {allow: notes:read, reason: r}
      - {allow: notes:create, reason: r, limits: {actions: 2/day}}
  changing:
    grants:
      - {allow: notes:update, reason: r}
agents:
  bot: {owner: o, purpose: p, roles: [writer]}
  drafter: {owner: o, purpose: p, roles: [noting]}
  noter: {owner: o, purpose: p, roles: [noting, changing]}
gates:
  delete: {loosen: [knowledge_base:delete], reason: what is deleted is kept}
"""
LARGE = bytes(range(256)) * 4096 * 24


class Bucket(Protocol):
    """What a client of S3 does here."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object: ...  # noqa: N803  # as boto3 calls them
    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, Body]: ...  # noqa: N803  # as boto3 calls them
    def list_objects_v2(self, *, Bucket: str, Prefix: str) -> Mapping[str, list[Mapping[str, str]]]: ...  # noqa: N803


class Body(Protocol):
    """The content of an object."""

    def read(self) -> bytes: ...


@pytest.fixture(scope="module")
def bucket() -> Generator[tuple[str, Bucket]]:
    """A server of S3, and a client of it that is not ours."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host if host != '0.0.0.0' else '127.0.0.1'}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="CANARY-key"
    )
    client.create_bucket(Bucket="company")
    for key, body in {
        "shared/kb/a.md": b"hello world",
        "shared/kb/deep/b.md": b"deep hello",
        "shared/hr/pay.txt": CANARY.encode(),
        "other/kb/a.md": CANARY.encode(),
        "shared/kb/large.bin": LARGE,
        "shared/kb/../hr/odd.txt": CANARY.encode(),
    }.items():
        client.put_object(Bucket="company", Key=key, Body=body)
    yield url, client
    server.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk(bucket: tuple[str, Bucket]) -> AsyncGenerator[Desk]:
    environ = {"S3_KEY": "k", "S3_SECRET": "CANARY-key", "S3_URL": bucket[0]}
    async with files_here(POLICY, {}, environ) as found:
        yield found


def _there(client: Bucket, key: str) -> bytes:
    return client.get_object(Bucket="company", Key=f"shared/{key}")["Body"].read()


async def test_what_is_read_and_listed_is_what_another_client_sees(desk: Desk, bucket: tuple[str, Bucket]) -> None:
    bot = await desk.agent()
    for path in ("kb/a.md", "kb/deep/b.md", "kb/large.bin"):
        assert await bot.read(path) == _there(bucket[1], path)
    assert await bot.names() == ["kb/a.md", "kb/deep/b.md", "kb/large.bin"]
    found = await bot.search("hello")
    assert isinstance(found, Matches)
    assert {each.path for each in found.found} == {"kb/a.md", "kb/deep/b.md"}


@pytest.mark.parametrize(
    "path", ["hr/pay.txt", "kb/../hr/odd.txt", "../other/kb/a.md", "kb/missing.md", "kb/deep", "kb"]
)
async def test_what_is_outside_is_not_there(desk: Desk, path: str) -> None:
    bot = await desk.agent()
    done = [await bot.read(path), await bot.write(f"{path}/x.txt", b"evil"), await bot.delete(path)]
    assert code(done[0]) in ("resource_unknown", "argument_not_granted")
    assert CANARY not in str([done[0], done[2]])
    assert "CANARY" not in str(desk.records())


async def test_what_is_there_is_changed_and_only_what_was_created_is_charged_as_that(desk: Desk) -> None:
    noter = await desk.agent("noter", "slips")
    for path, text, created in (("n.md", b"one", True), ("n.md", b"two", False), ("m.md", b"three", True)):
        done = await noter.write(path, text)
        assert isinstance(done, Written)
        assert done.created is created
        assert await noter.read(path) == text
    assert code(await noter.write("o.md", b"four")) == "limit_exceeded"
    assert isinstance(await noter.write("n.md", b"five", "*"), Written)


async def test_who_may_only_create_changes_nothing_that_is_there(desk: Desk, bucket: tuple[str, Bucket]) -> None:
    bucket[1].put_object(Bucket="company", Key="slips/there.md", Body=b"by somebody else")
    drafter = await desk.agent("drafter", "slips")
    assert code(await drafter.write("there.md", b"evil")) == "action_not_granted"
    assert await drafter.read("there.md") == b"by somebody else"
    assert isinstance(await drafter.write("new.md", b"mine"), Written)
    assert await drafter.read("new.md") == b"mine"


async def test_what_is_written_is_there_and_what_was_is_kept(desk: Desk, bucket: tuple[str, Bucket]) -> None:
    bot = await desk.agent()
    made = await bot.write("kb/n.md", b"one")
    assert isinstance(made, Written)
    assert made.info is not None
    assert _there(bucket[1], "kb/n.md") == b"one"
    assert code(await bot.write("kb/n.md", b"two", "none")) == "data_changed"
    bucket[1].put_object(Bucket="company", Key="shared/kb/n.md", Body=b"by somebody else")
    assert code(await bot.write("kb/n.md", b"two", made.info.version)) == "data_changed"
    assert isinstance(await bot.write("kb/n.md", b"two"), Written)
    assert _there(bucket[1], "kb/n.md") == b"two"
    assert isinstance(await bot.move("kb/n.md", "kb/m.md"), Written)
    assert isinstance(await bot.delete("kb/m.md"), Written)
    keys = [each["Key"] for each in bucket[1].list_objects_v2(Bucket="company", Prefix="shared/kb/")["Contents"]]
    assert not {"shared/kb/n.md", "shared/kb/m.md"} & set(keys)
    mounted = desk.front.folders.get("docs")
    assert mounted is not None
    kept = [mounted.versions.open(each).read_bytes() for each in mounted.versions.listed("kb/n.md")]
    assert kept == [b"by somebody else"]


async def test_the_version_of_an_object_tells_nothing_of_its_content(desk: Desk, bucket: tuple[str, Bucket]) -> None:
    bot = await desk.agent()
    versions: list[str] = []
    for path in ("kb/same.md", "kb/copy.md"):
        made = await bot.write(path, b"the same")
        assert isinstance(made, Written)
        assert made.info is not None
        versions.append(made.info.version)
    listed = await bot.list("kb")
    assert isinstance(listed, Listing)
    known = {each.path: each.info.version for each in listed.entries if each.info is not None}
    assert [known["kb/same.md"], known["kb/copy.md"]] == versions
    assert versions[0] != versions[1]
    tag = bucket[1].list_objects_v2(Bucket="company", Prefix="shared/kb/same.md")["Contents"][0]["ETag"]
    assert hashlib.md5(b"the same", usedforsecurity=False).hexdigest() in tag
    assert not [each for each in versions if each in tag]
    assert tag.strip('"') not in str(desk.records())
    for path, version in zip(("kb/same.md", "kb/copy.md"), versions, strict=True):
        assert isinstance(await bot.write(path, b"another", version), Written)
        assert isinstance(await bot.delete(path), Written)


async def test_a_large_object_is_read_and_written_by_http(desk: Desk, bucket: tuple[str, Bucket]) -> None:
    bot = await desk.agent()
    assert (await desk.http(bot, "PUT", "kb/put.bin", LARGE))[0] == 201
    assert _there(bucket[1], "kb/put.bin") == LARGE
    status, _, body = await desk.http(bot, "GET", "kb/put.bin", Range="bytes=100-199")
    assert (status, body) == (206, LARGE[100:200])
    assert (await desk.http(bot, "GET", "kb/put.bin"))[2] == LARGE


async def test_a_bucket_that_is_not_there_is_said_to_be_so_without_its_name(bucket: tuple[str, Bucket]) -> None:
    store = remote_store("s3://gone/x", {"key": "k", "secret": "CANARY-key", "endpoint": bucket[0]})
    with pytest.raises((GoneError, UnavailableError)) as raised:
        store.open(("kb", "a.md"))
    assert "gone" not in str(raised.value)
