"""Bodies of several parts and parameters that stand several times: read in one way only, decided, written anew."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.mounts.http.multipart import Part, PartsError, boundary_of, read_parts, write_parts
from tests.http.conftest import Desk, Reply

pytestmark = pytest.mark.xdist_group("http")
PNG = b"\x89PNG\r\n\x1a\n\0\0--BOUND--not"
NOTE = b'--B\r\nContent-Disposition: form-data; name="note"\r\n\r\nbroken\r\n'
PHOTO = (
    b'--B\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    + PNG
    + b"\r\n"
)
END = b"--B--\r\n"
MULTIPART = "multipart/form-data; boundary=B"


def upload(desk: Desk, body: bytes, kind: str = MULTIPART) -> Reply:
    """Send a body of several parts."""
    return desk.ask("POST", "/billing/uploads", body, {"Content-Type": kind})


def test_parts_are_decided_and_written_anew(desk: Desk) -> None:
    tag = NOTE.replace(b"note", b"tag")
    body = NOTE + PHOTO + tag.replace(b"broken", b"t1") + tag.replace(b"broken", b"t2") + END
    reply = upload(desk, body)
    assert reply.status == 201, reply
    sent = desk.reached[-1]
    kind = desk.sent_headers["content-type"]
    boundary = boundary_of(kind.partition(";")[2])
    assert boundary is not None
    assert boundary.startswith("bailiwick-")
    assert str(sent["body"]).count("Content-Disposition") == 4
    assert 'name="photo"; filename="a.png"\r\nContent-Type: image/png' in str(sent["body"])
    assert upload(desk, NOTE + b"--B--", 'multipart/form-data; boundary="B"').status == 201
    record = [each for each in desk.records() if "POST /billing/uploads" in str(each.get("statement"))][-1]
    assert "broken" not in str(record)


WRONG = [
    *(END, b"x" + NOTE + END, NOTE, NOTE + b"--B", b"\r\n" + NOTE + END, NOTE + END + b"x", NOTE + END + END),
    *(NOTE + NOTE + END, PHOTO + PHOTO + END, NOTE.replace(b"note", b"other") + END, NOTE.replace(b"note", b"") + END),
    *(NOTE.replace(b'"note"', b"note") + END, NOTE.replace(b'"note"', b'"no\\"te"') + END),
    *(NOTE.replace(b"note", b"no%22te") + END, NOTE.replace(b"note", b"note%0d%0a") + END),
    *(
        NOTE.replace(b"form-data", b"attachment") + END,
        NOTE.replace(b"--B", b"--b") + END,
        NOTE.replace(b"\r\n", b"\n") + END,
    ),
    *(
        NOTE.replace(b"broken", b"\xff") + END,
        NOTE.replace(b"broken", b"\0") + END,
        NOTE.replace(b"note", b"photo") + END,
    ),
    *(NOTE.replace(b"note", b"count") + END, NOTE.replace(b"note", b"count").replace(b"broken", b"1.5") + END),
    NOTE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + END,
    NOTE.replace(b"\r\n\r\n", b"\r\nX-A: b\r\n\r\n") + END,
    NOTE.replace(b"\r\n\r\n", b"\r\nContent-Type: text/html\r\n\r\n") + END,
    NOTE.replace(b"\r\n\r\n", b'\r\nContent-Disposition: form-data; name="tag"\r\n\r\n') + END,
    NOTE.replace(b'"note"', b'"note"; filename="x.png"') + END,
    NOTE.replace(b'"note"', b'"note"; name="tag"') + END,
    PHOTO.replace(b"filename=", b"filename*=") + END,
    PHOTO.replace(b'; filename="a.png"', b"") + END,
    *(
        PHOTO.replace(b"a.png", each) + END
        for each in (b"../a.png", b"a/b.png", b"..", b"C:a.png", b"a\\.png", b"a.exe")
    ),
    *(
        PHOTO.replace(b"a.png", each) + END
        for each in (b"", b"a\t.png", b"a.png\xe2\x80\xae.png", b"%2e%2e%2fa.png%0a")
    ),
    *(
        PHOTO.replace(b"image/png", each) + END
        for each in (b"text/html", b"image/svg+xml", b"", b"image", b"image/png; a=b")
    ),
    PHOTO.replace(PNG, PNG * 2000) + END,
    NOTE.replace(b"note", b"tag") + END,
    b"".join(NOTE.replace(b"note", b"tag").replace(b"broken", b"t") for _ in range(70)) + END,
]


@pytest.mark.parametrize("body", WRONG, ids=range(len(WRONG)))
def test_what_could_be_read_in_two_ways_or_is_not_granted_reaches_nothing(desk: Desk, body: bytes) -> None:
    before = len(desk.reached)
    reply = upload(desk, body)
    assert reply.status in (400, 403), reply
    assert len(desk.reached) == before


KINDS = [
    *("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=B; boundary=C"),
    *(
        "multipart/form-data; charset=utf-8; boundary=B",
        "multipart/mixed; boundary=B",
        "multipart/form-data; boundary=B x",
    ),
    *(
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=" + "B" * 71,
    ),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_type_that_is_not_plain_is_refused(desk: Desk, kind: str) -> None:
    before = len(desk.reached)
    assert upload(desk, NOTE + END, kind).status == 415
    assert len(desk.reached) == before


def test_a_body_of_several_parts_is_none_of_another_route(desk: Desk) -> None:
    reply = desk.ask("POST", "/billing/forms", NOTE + END, {"Content-Type": MULTIPART})
    assert reply.status == 415


def test_a_parameter_that_may_stand_several_times_matches_with_each_of_its_values(desk: Desk) -> None:
    assert desk.ask("GET", "/billing/search?tag=red&id=3&tag=blue").status == 200
    assert desk.reached[-1]["query"] == "tag=red&tag=blue&id=3"
    assert desk.ask("GET", "/billing/search?tag=red&id=3").status == 200
    before = len(desk.reached)
    wrong = ("id=3&tag=red&tag=green", "tag=green&id=3", "tag=red&id=3&id=10", "tag=red&id=x", "tag=red&id=7")
    for query in (*wrong, "tag=red&id=3&id=7", "tag=red&id=3&page=1", "tag=&id=3", "tag=red&id=3&id="):
        assert desk.ask("GET", f"/billing/search?{query}").status in (400, 403), query
    assert len(desk.reached) == before


_names = st.text(st.sampled_from("abcXYZ 019._-é"), min_size=1, max_size=20).filter(lambda text: bool(text.strip(" .")))
_fields = st.builds(Part, _names, st.binary(max_size=60))
_files = st.builds(Part, _names, st.binary(max_size=200), _names, st.sampled_from(["image/png", "text/html", "a/b+c"]))


@given(st.lists(_fields | _files, min_size=1, max_size=8))
def test_what_is_written_is_read_again(parts: list[Part]) -> None:
    body, kind = write_parts(parts)
    boundary = boundary_of(kind.partition(";")[2])
    assert boundary is not None
    assert read_parts(body, boundary) == parts


_bytes = st.sampled_from(
    [b"--B", b"--B--", b"\r\n", b"\n", b"--", NOTE, PHOTO, b'name="note"', b"Content-Type:", b"x", b"\xff"]
)


@given(st.lists(_bytes, max_size=12))
def test_any_bytes_are_parts_or_refused(pieces: list[bytes]) -> None:
    try:
        found = read_parts(b"".join(pieces), "B")
    except PartsError:
        return
    assert all(each.name for each in found)
    assert json.dumps([each.name for each in found])
