"""Mails for tests, as people and machines write them; put together by hand, since most are not as they should be."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

PRIVACY = "privacy@adieu.example"
DATE = "Mon, 02 Nov 2026 11:58:00 +0000"


def mail(
    text: str = "Please send me a copy of my personal data.",
    sender: str = "Anna <anna@mail.example>",
    *,
    subject: str = "My data",
    message_id: str | None = "<one@mail.example>",
    headers: Sequence[str] = (),
) -> bytes:
    """Write a plain mail."""
    return raw(text.encode(), sender, subject, message_id, ("Content-Type: text/plain; charset=utf-8", *headers))


def raw(
    body: bytes,
    sender: str = "Anna <anna@mail.example>",
    subject: str = "My data",
    message_id: str | None = "<one@mail.example>",
    headers: Sequence[str] = (),
) -> bytes:
    """Write a mail with any bytes in it."""
    lines = [f"From: {sender}", f"To: {PRIVACY}", f"Subject: {subject}", f"Date: {DATE}"]
    lines += [f"Message-ID: {message_id}"] if message_id else []
    head = "\r\n".join([*lines, "MIME-Version: 1.0", *headers]).encode(errors="surrogateescape")
    return head + b"\r\n\r\n" + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def multipart(*parts: bytes, subtype: str = "mixed", sender: str = "Anna <anna@mail.example>", **more: str) -> bytes:
    """Write a mail of several parts."""
    return raw(bundle(*parts), sender, headers=[f'Content-Type: multipart/{subtype}; boundary="cut"'], **more)


def bundle(*parts: bytes, boundary: bytes = b"cut") -> bytes:
    """Put parts into one."""
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


def part(content: bytes, kind: str = "text/plain; charset=utf-8", *headers: str) -> bytes:
    """Write a part of a mail."""
    return "\r\n".join([f"Content-Type: {kind}", *headers]).encode() + b"\r\n\r\n" + content


def attached(name: str, content: bytes, kind: str = "application/pdf") -> bytes:
    """Attach a file."""
    encoding = "Content-Transfer-Encoding: base64"
    return part(b64encode(content), kind, f'Content-Disposition: attachment; filename="{name}"', encoding)
