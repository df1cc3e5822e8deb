"""Messages of mail programs: what is refused, each with what makes it hostile, and neighbours that are sent."""

from __future__ import annotations

from dataclasses import dataclass, field

FROM = "From: support@acme.example"
TO = "To: bo@ok.example"
SUBJECT = "Subject: hello"
TEXT = "hello"
_EVIL = "CANARY-evil@evil.test"


@dataclass(frozen=True, slots=True)
class Case:
    """One message: its head, its body, and who the envelope names."""

    name: str
    head: tuple[str, ...]
    body: str = TEXT
    recipients: tuple[str, ...] = ("bo@ok.example",)
    raw: bytes = b""
    """All of it, where lines do not say it."""
    expect: dict[str, str] = field(default_factory=dict[str, str])
    """Of one that is sent: header or `text`, `html` → what the server got."""

    @property
    def data(self) -> bytes:
        """Return the bytes."""
        return self.raw or ("\r\n".join([*self.head, "", self.body]) + "\r\n").encode("utf-8")


def _with(*more: str, without: str = "") -> tuple[str, ...]:
    return tuple(line for line in (FROM, TO, SUBJECT) if line != without) + more


def _head(
    name: str, *more: str, without: str = "", body: str = TEXT, recipients: tuple[str, ...] = ("bo@ok.example",)
) -> Case:
    return Case(name, _with(*more, without=without), body, recipients)


def _raw(name: str, text: bytes) -> Case:
    return Case(name, (), raw=text)


_PLAIN = b"From: support@acme.example\r\nTo: bo@ok.example\r\nSubject: hello\r\n"
_MIXED = ("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=xyz")
_ALTERNATIVE = ("MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=xyz")
_BOTH = (
    "--xyz\r\nContent-Type: text/plain\r\n\r\nplain\r\n--xyz\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--xyz--"
)


def _file(name: str, *head: str, body: str = "AAECAw==", kind: str = "application/pdf", coding: str = "base64") -> Case:
    """Return a message with a text, and a file of that head."""
    part = "\r\n".join([f"Content-Type: {kind}", f"Content-Transfer-Encoding: {coding}", *head, "", body])
    return Case(name, _with(*_MIXED), f"--xyz\r\n\r\nhello\r\n--xyz\r\n{part}\r\n--xyz--")


_AS = "Content-Disposition: attachment; filename="


def _several(name: str, body: str, head: tuple[str, ...] = _MIXED) -> Case:
    return Case(name, _with(*head), body)


def _coded(name: str, coding: str, body: str, kind: str = "text/plain; charset=utf-8") -> Case:
    return Case(name, _with("MIME-Version: 1.0", f"Content-Type: {kind}", f"Content-Transfer-Encoding: {coding}"), body)


HOSTILE: tuple[Case, ...] = (
    # headers that name others than the envelope, or say where answers go
    *(
        _head(f"a header {name}", f"{name}: {_EVIL}")
        for name in (
            *(
                "Resent-To",
                "Resent-Cc",
                "Resent-Bcc",
                "Resent-From",
                "Resent-Sender",
                "Resent-Message-ID",
                "Return-Path",
            ),
            *("Return-Receipt-To", "Disposition-Notification-To", "Errors-To", "Apparently-To", "Received"),
            *("DKIM-Signature", "List-Unsubscribe", "List-Post", "Delivered-To", "Envelope-To", "Mail-Followup-To"),
            *("Autocrypt", "Encrypted", "Content-Location", "Content-Base"),
        )
    ),
    _head("a header twice: To", f"To: {_EVIL}"),
    _head("a header twice: From", f"From: {_EVIL}"),
    _head("a header twice: Subject", "Subject: other"),
    _head("a header twice in other letters", f"TO: {_EVIL}"),
    _head("Content-Type twice", "Content-Type: text/plain", "Content-type: text/html"),
    _head("Reply-To twice", "Reply-To: a@acme.example", f"Reply-To: {_EVIL}"),
    _head("a recipient that the envelope does not name", f"Cc: {_EVIL}"),
    _head("a blind copy that the envelope does not name", f"Bcc: {_EVIL}"),
    _head("no From", without=FROM),
    _head("no Subject", without=SUBJECT),
    _head("another sender in From", f"From: {_EVIL}", without=FROM),
    _head("two senders in From", f"From: support@acme.example, {_EVIL}", without=FROM),
    _head("another Sender", f"Sender: {_EVIL}"),
    _head("a space before the colon", f"Cc : {_EVIL}"),
    _head("a header without a name", ": x"),
    _head("a header that is none", "no header at all"),
    _head("a name with other letters", "S\u00fcbject: x"),
    _head("8 bits in a header", "X-Note: gr\u00fc\u00dfe"),
    _head("8 bits in the subject", "Subject: gr\u00fc\u00dfe", without=SUBJECT),
    _raw("a fold at the very beginning", b" x\r\n" + _PLAIN + b"\r\nhello\r\n"),
    _raw("a fold of nothing", b"From: support@acme.example\r\n \r\nTo: bo@ok.example\r\nSubject: x\r\n\r\nhello\r\n"),
    _raw("bare LF in the head", _PLAIN + b"X-A: b\nBcc: " + _EVIL.encode() + b"\r\n\r\nhello\r\n"),
    _raw("bare CR in the head", _PLAIN + b"X-A: b\rBcc: " + _EVIL.encode() + b"\r\n\r\nhello\r\n"),
    _raw("bare LF in the body", _PLAIN + b"\r\nhello\n.\nMAIL FROM:<x@evil.test>\r\n"),
    _raw("bare CR in the body", _PLAIN + b"\r\nhello\r.\r\n"),
    _raw("CR CR LF", _PLAIN + b"\r\r\n\r\nhello\r\n"),
    _raw("NUL in the head", _PLAIN + b"X-A: b\0c\r\n\r\nhello\r\n"),
    _raw("NUL in the body", _PLAIN + b"\r\nhel\0lo\r\n"),
    _raw("a control in the head", _PLAIN + b"X-A: b\x08c\r\n\r\nhello\r\n"),
    _raw("an escape sequence in the subject", b"From: support@acme.example\r\nSubject: \x1b[31mx\r\n\r\nhello\r\n"),
    _head("too many headers", *(f"X-{n}: y" for n in range(80))),
    _head("a header that is too long", "X-A: " + "y" * 900, *(["\t" + "z" * 900] * 20)),
    # addresses in headers
    *(
        Case(f"in To: {text}", (FROM, f"To: {text}", SUBJECT))
        for text in (
            "bo@ok.example (a comment)",
            "(CANARY) bo@ok.example",
            "undisclosed-recipients:;",
            f"friends: bo@ok.example, {_EVIL};",
            "<@evil.test,@other.test:bo@ok.example>",
            '"bo"@ok.example',
            '"bo@ok.example" <other@evil.test>',
            '"bo@ok.example, x" <bo@ok.example>',
            "bo@ok.example <bo@ok.example>",
            "bo\uff20ok.example <bo@ok.example>".encode("ascii", "xmlcharrefreplace").decode(),
            "=?utf-8?q?bo=40ok=2Eexample?= <bo@ok.example>",
            "=?utf-8?b?Ym9Ab2suZXhhbXBsZQ==?= <bo@ok.example>",
            "=?utf-8?q?bo=EF=BC=A0ok?= <bo@ok.example>",
            "=?utf-8?q?p=D0=B0ypal?= <bo@ok.example>",
            "=?utf-8?q?=E2=80=AEelpmaxe?= <bo@ok.example>",
            "=?utf-8?q?paypal=2Ecom?= <bo@ok.example>",
            "paypal.com <bo@ok.example>",
            "=?utf-8?q?bo=40ok.example?=",
            '"=?utf-8?q?x?=" <bo@ok.example>',
            "=?utf-7?q?+AEA-?= <bo@ok.example>",
            "=?utf-8?q?x=0D=0ABcc:_e=40evil.test?= <bo@ok.example>",
            "=?utf-8?x?abc?= <bo@ok.example>",
            "=?utf-8?b?####?= <bo@ok.example>",
            "=?utf-8?q?a b?= <bo@ok.example>",
            "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?= <bo@ok.example>",
            "<bo@ok.example",
            "bo@ok.example>",
            "<<bo@ok.example>>",
            "<bo@ok.example> <x@evil.test>",
            "bo@ok.example x@evil.test",
            "bo@ok.example; x@evil.test",
            "bo@ok.example,",
            ",bo@ok.example",
            "bo@ok.example,,bo@ok.example",
            "",
            '"unfinished <bo@ok.example>',
            '"esc\\"aped" <bo@ok.example>',
            "bo@[127.0.0.1]",
            "bo@localhost",
            "bo@ok.example.",
            "bo@@ok.example",
            "bo@ok..example",
            "b..o@ok.example",
            ".bo@ok.example",
            "bo.@ok.example",
            "-bo@ok.example",
            "bo%evil.test@ok.example",
            "evil.test!bo@ok.example",
            "bo @ok.example",
            "bo@ ok.example",
            "b\tb@ok.example",
            "bo@xn--80ak6aa92e.example",
            "bo@xn--a.example",
            "bo@xn--.example",
            "bo@ok.example\u200b".encode("unicode_escape").decode(),
        )
    ),
    # encoded words
    *(
        Case(f"as subject: {text}", (FROM, TO, f"Subject: {text}"))
        for text in (
            "=?utf-8?q?x=0D=0ABcc=3A_evil?=",
            "=?utf-8?q?x=00?=",
            "=?utf-8?q?=E2=80=AE?= x",
            "=?utf-8?q?=FF?=",
            "=?utf-8?b?4pi=?=",
            "=?us-ascii?q?gr=FC?=",
            "=?utf-7?q?+AEA-?=",
            "=?utf-16?b?AGEAYgA=?=",
            "=?utf-8?q?x?=y",
            "y=?utf-8?q?x?=",
            "=?utf-8?q?unfinished",
            "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=",
            "=?utf-8*en?q?x?=",
            "",
            "   ",
        )
    ),
    # what a part is
    *(
        Case(f"Content-Type: {kind}", _with("MIME-Version: 1.0", f"Content-Type: {kind}"))
        for kind in (
            *(
                "message/rfc822",
                "message/partial; id=1; number=1; total=2",
                "message/external-body; access-type=local-file",
            ),
            *("application/octet-stream", "application/ms-tnef", "image/svg+xml", "text/calendar", "text/enriched"),
            *("multipart/related; boundary=xyz", "multipart/signed; boundary=xyz", "multipart/digest; boundary=xyz"),
            *("multipart/mixed", 'multipart/mixed; boundary=""', "multipart/mixed; boundary=" + "x" * 71),
            *("text", "text/", "/plain", "text/plain; charset", "text/plain; charset=", "text/plain charset=utf-8"),
            *(
                "text/plain; charset=utf-8; charset=utf-7",
                "text/plain; charset*=utf-8''utf-7",
                "text/plain; charset*0=ut",
            ),
            *("text/plain; charset=utf-7", "text/plain; charset=utf-16", "text/plain; charset=iso-2022-jp"),
            *("text/plain; name=invoice.exe", "text/plain; boundary=x", "text/plain (comment); charset=utf-8"),
            *(
                'text/plain; charset="utf\\-8"',
                "multipart/mixed; boundary=a b",
                "multipart/mixed; boundary=x; boundary=y",
            ),
        )
    ),
    Case("another version of MIME", _with("MIME-Version: 2.0", "Content-Type: text/plain")),
    Case("an attachment", _with("MIME-Version: 1.0", "Content-Disposition: attachment; filename=x.exe")),
    Case("a file name inline", _with("MIME-Version: 1.0", "Content-Disposition: inline; filename=x.exe")),
    Case("another disposition", _with("MIME-Version: 1.0", "Content-Disposition: form-data; name=x")),
    # encodings
    _coded("base64 with rubbish", "base64", "aGVs!bG8="),
    _coded("base64 that ends twice", "base64", "aGVsbG8=\r\naGVsbG8="),
    _coded("base64 with bits that say nothing", "base64", "aGVsbG9="),
    _coded("base64 without its end", "base64", "aGVsbG8"),
    _coded("base64 in a long line", "base64", "aGVs" * 30),
    _coded("base64 of other bytes than UTF-8", "base64", "//79"),
    _coded("base64 of a text that runs backwards", "base64", "4oCu"),
    _coded("base64 of NUL", "base64", "AAAA"),
    _coded("quoted-printable of nothing", "quoted-printable", "=XY"),
    _coded("quoted-printable that ends within", "quoted-printable", "x="),
    _coded("quoted-printable with spaces at an end", "quoted-printable", "x  "),
    _coded("quoted-printable in 8 bits", "quoted-printable", "gr\u00fc\u00df"),
    _coded("quoted-printable with a bare CR", "quoted-printable", "x=0Dy"),
    _coded("7bit in 8 bits", "7bit", "gr\u00fc\u00df"),
    _coded("binary", "binary", "x"),
    _coded("uuencode", "x-uuencode", "x"),
    _coded("an unknown encoding", "rot13", "x"),
    _coded("ASCII in 8 bits", "8bit", "gr\u00fc\u00df", "text/plain; charset=us-ascii"),
    _coded("HTML that does something", "7bit", "<a href='java&#115;cript:x'>x</a>", "text/html"),
    # parts
    _several("no last boundary", "--xyz\r\n\r\nhello"),
    _several("no part at all", "--xyz--"),
    _several("a boundary that is longer", "--xyz\r\n\r\nhello\r\n--xyzz\r\n\r\nCANARY\r\n--xyz--"),
    _several("a boundary with spaces behind it", "--xyz \r\n\r\nhello\r\n--xyz--"),
    _several("a part behind the last boundary", "--xyz\r\n\r\nhello\r\n--xyz--\r\n--xyz\r\n\r\nCANARY\r\n--xyz--"),
    _several("a text behind the last boundary", "--xyz\r\n\r\nhello\r\n--xyz--\r\nCANARY"),
    _several("a text before the first boundary", "CANARY\r\n--xyz\r\n\r\nhello\r\n--xyz--"),
    _several("two texts", "--xyz\r\n\r\nhello\r\n--xyz\r\n\r\nCANARY\r\n--xyz--"),
    _several("a message within", "--xyz\r\nContent-Type: message/rfc822\r\n\r\nTo: x@evil.test\r\n\r\nx\r\n--xyz--"),
    _several("a file that is not attached", "--xyz\r\nContent-Type: application/pdf\r\n\r\nx\r\n--xyz--"),
    _several("an attached text", "--xyz\r\nContent-Disposition: attachment\r\n\r\nhello\r\n--xyz--"),
    _file("a file without a name", "Content-Disposition: attachment"),
    _file("a file in another folder", _AS + '"../CANARY.pdf"'),
    _file("a file with a drive", _AS + '"C:CANARY.pdf"'),
    _file("a file with a name of a device", _AS + "con.pdf"),
    _file("a file with an escape in its name", _AS + '"a\\".exe"'),
    _file("a file whose name ends with a dot", _AS + '"CANARY.exe."'),
    _file("a file with two names", _AS + "a.pdf; filename=CANARY.exe"),
    _file("a file with two names of two kinds", _AS + "a.pdf; filename*=utf-8''CANARY.exe"),
    _file("a file with another name as its type", _AS + "a.pdf", kind="application/pdf; name=CANARY.exe"),
    _file("a file whose name turns around", "Content-Disposition: attachment; filename*=utf-8''a%E2%80%AEfdp.exe"),
    _file("a file whose name is no UTF-8", "Content-Disposition: attachment; filename*=utf-8''a%FF.pdf"),
    _file("a file whose name has another character set", "Content-Disposition: attachment; filename*=utf-7''a.pdf"),
    _file("a file whose name comes in parts", "Content-Disposition: attachment; filename*0=a; filename*1=.pdf"),
    _file("a file that is no base64", _AS + "a.pdf", body="AAEC!w=="),
    _file("a file that ends twice", _AS + "a.pdf", body="AAECAw==\r\nAAECAw=="),
    _file("a file with bits that say nothing", _AS + "a.pdf", body="AAECAx=="),
    _file("a file in quoted-printable", _AS + "a.pdf", coding="quoted-printable"),
    _file("a file in 8bit", _AS + "a.pdf", coding="8bit"),
    _file("a message as a file", _AS + "a.eml", kind="message/rfc822"),
    _file("parts as a file", _AS + "a.eml", kind="multipart/mixed; boundary=abc"),
    _file("a file with a header of messages", _AS + "a.pdf", f"Bcc: {_EVIL}"),
    _file("a text with the name of a file", kind="text/html; name=CANARY.html"),
    _several(
        "two files of one name",
        "--xyz\r\n\r\nx\r\n"
        + "".join(f"--xyz\r\n{_AS}{n}\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n" for n in ("a.pdf", "A.PDF"))
        + "--xyz--",
    ),
    _several(
        "a file as an alternative",
        f"--xyz\r\nContent-Type: text/plain\r\n\r\nx\r\n--xyz\r\n{_AS}a.html\r\nContent-Type: text/html\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nPHA+Q0FOQVJZPC9wPg==\r\n--xyz--",
        _ALTERNATIVE,
    ),
    _several(
        "a header twice in a part", "--xyz\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n--xyz--"
    ),
    _several("an address in a part", f"--xyz\r\nBcc: {_EVIL}\r\n\r\nhello\r\n--xyz--"),
    _several(
        "alternatives in the wrong order",
        _BOTH.replace("plain", "HTML").replace("html", "plain").replace("HTML", "html"),
        _ALTERNATIVE,
    ),
    _several(
        "an alternative that is a file", "--xyz\r\nContent-Type: application/pdf\r\n\r\nx\r\n--xyz--", _ALTERNATIVE
    ),
    _several(
        "parts within parts within parts",
        "".join(
            f"--{'xyz' if n == 0 else f'b{n}'}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n"
            for n in range(6)
        ),
    ),
    _several(
        "an inner boundary that begins like the outer one",
        "--xyz\r\nContent-Type: multipart/alternative; boundary=xyz1\r\n\r\n--xyz1\r\n\r\nhello\r\n--xyz1--\r\n--xyz--",
    ),
    _several("many parts", "".join("--xyz\r\nContent-Type: text/plain\r\n\r\nx\r\n" for _ in range(20)) + "--xyz--"),
    _several("encoded parts", _BOTH, (*_ALTERNATIVE, "Content-Transfer-Encoding: base64")),
    Case("an envelope that names nobody of the head", _with(), recipients=("other@ok.example",)),
    Case("nothing to say", _with(), body=""),
    Case(
        "a text that turns around",
        _with("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"),
        "pay \u202etxt",
    ),
)

SENT: tuple[Case, ...] = (
    _file("a file", _AS + "a.pdf"),
    _file("a file with a coded name", "Content-Disposition: attachment; filename*=utf-8''r%C3%A9.pdf"),
    _file("a file with its name twice", _AS + '"a b.pdf"', kind='application/pdf; name="a b.pdf"'),
    _file("a file that is described", _AS + "a.pdf", "Content-Description: a"),
    Case("plain", _with(), expect={"text": "hello\n", "Subject": "hello", "To": "bo@ok.example"}),
    Case("a name", (FROM, "To: Bo Li <bo@ok.example>", SUBJECT), expect={"To": "bo@ok.example"}),
    Case("a name in quotes", (FROM, 'To: "Li, Bo" <bo@ok.example>', SUBJECT), expect={"To": "bo@ok.example"}),
    Case(
        "an encoded name",
        (FROM, "To: =?utf-8?q?J=C3=BCrgen?= <bo@ok.example>", SUBJECT),
        expect={"To": "bo@ok.example"},
    ),
    Case(
        "an IDN",
        (FROM, "To: a@xn--bcher-kva.example", SUBJECT),
        recipients=("a@xn--bcher-kva.example",),
        expect={"text": "hello\n"},
    ),
    Case("a domain in capitals", (FROM, "To: bo@OK.example", SUBJECT), expect={"To": "bo@ok.example"}),
    Case(
        "a tag",
        (FROM, "To: bo+news@ok.example", SUBJECT),
        recipients=("bo+news@ok.example",),
        expect={"To": "bo+news@ok.example"},
    ),
    Case(
        "an apostrophe",
        (FROM, "To: o'neil@ok.example", SUBJECT),
        recipients=("o'neil@ok.example",),
        expect={"To": "o'neil@ok.example"},
    ),
    Case("a folded subject", (FROM, TO, "Subject: hello", "\tworld"), expect={"Subject": "hello world"}),
    Case(
        "encoded words in a row",
        (FROM, TO, "Subject: =?utf-8?q?gr=C3=BC?= =?utf-8?b?w59l?="),
        expect={"Subject": "grüße"},
    ),
    Case("an answer that goes home", _with("Reply-To: team@acme.example"), expect={"Reply-To": "team@acme.example"}),
    Case(
        "headers of no matter",
        _with("X-Mailer: tests", "Date: Thu, 1 Jan 2026 00:00:00 +0000", "Message-ID: <CANARY@evil.test>"),
        expect={"X-Mailer": "", "text": "hello\n"},
    ),
    Case("a dot at the beginning of a line", _with(), "a\r\n.b", expect={"text": "a\n.b\n"}),
    _coded("base64", "base64", "Z3LDvMOfZQ=="),
    _coded("quoted-printable", "quoted-printable", "gr=C3=BC=\r\n=C3=9Fe"),
    _coded("8bit", "8bit", "gr\u00fc\u00dfe"),
    _coded("Latin 1", "quoted-printable", "gr=FC=DFe", "text/plain; charset=iso-8859-1"),
    _coded("HTML", "7bit", "<p>x</p>", "text/html; charset=utf-8"),
    _several("alternatives", _BOTH, _ALTERNATIVE),
    _several("one part", "--xyz\r\n\r\nhello\r\n--xyz--"),
    _several(
        "alternatives in parts",
        "--xyz\r\nContent-Type: multipart/alternative; boundary=abc\r\n\r\n"
        + _BOTH.replace("xyz", "abc")
        + "\r\n--xyz--",
    ),
    _several("a well-known preamble", "This is a multi-part message in MIME format.\r\n--xyz\r\n\r\nhello\r\n--xyz--"),
    Case(
        "a blind copy of the envelope",
        _with(),
        recipients=("bo@ok.example", "quiet@ok.example"),
        expect={"To": "bo@ok.example"},
    ),
)
