"""What kind of content bytes are: by their first bytes, and among texts by the name's ending. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

head_size = 4096
"""Bytes that are looked at."""
BINARY = "application/octet-stream"
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftyp", "video/mp4"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\xca\xfe\xba\xbe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"\x00asm", "application/wasm"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"#!", "text/x-script"),
)
_IN_ZIP: Mapping[str, str] = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "jar": "application/java-archive",
    "epub": "application/epub+zip",
}
_TEXTS: Mapping[str, str] = {
    "md": "text/markdown",
    "markdown": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "html": "text/html",
    "htm": "text/html",
    "css": "text/css",
    "xml": "application/xml",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "toml": "application/toml",
    "js": "text/javascript",
    "py": "text/x-python",
    "svg": "image/svg+xml",
    "eml": "message/rfc822",
    "ics": "text/calendar",
}
_MARKS = {place: tuple(mark for at, mark, _ in _MAGIC if at == place) for place, _, _ in _MAGIC}
"""Place → what may stand there: most content is none of it, which is asked once a place."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""What does not stand in texts; tabs, ends of lines and pages, and escapes do."""
_ACTIVE = (b"<!doctype html", b"<html", b"<script", b"<svg", b"<?xml")


def type_of(name: str, head: bytes) -> str:
    """Return a media type. What the first bytes say comes before what the name says; only among texts, and what lies
    in a ZIP, the name's ending decides."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    marked = any(head.startswith(marks, place) for place, marks in _MARKS.items())
    for place, mark, found in _MAGIC if marked else ():
        if head.startswith(mark, place) and not (mark in (b"BM", b"MZ", b"ID3") and is_text(head)):
            return _IN_ZIP.get(ending, found) if found == "application/zip" else found
    if not is_text(head):
        return BINARY
    start = head.lstrip().lower()
    if ending not in _TEXTS and start.startswith(_ACTIVE):
        return "application/xml" if start.startswith(b"<?xml") else "image/svg+xml" if b"<svg" in start else "text/html"
    return _TEXTS.get(ending, "text/plain")


def is_text(head: bytes) -> bool:
    """Return whether bytes are the beginning of a text in UTF-8."""
    if b"\x00" in head:
        return False
    try:
        codecs.utf_8_decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(head) is None
