"""What a mail says: from bytes to who wrote, the words and what is attached, however it was made. Never raises.

Bytes come from anybody. They are read by the standard library's tolerant parser, without its rules for headers, which
raise for some. What is taken from a header is matched strictly here; a sender that is not certain is nobody.
"""

from __future__ import annotations

import hashlib
import re
from codecs import lookup
from collections.abc import Collection
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from enum import StrEnum
from uuid import UUID

from services.requests.commands import Attachment
from services.requests.intake.html import text_of

MOST_BYTES = 25 * 1024 * 1024
MOST_LINES = 500_000
"""More than the largest attachment has. The parser works line by line, and takes seconds for this many."""
MOST_DEPTH = 30
"""So many parts that have parts: each costs every line in it once more."""
MOST_HOPS = 50
MOST_TEXT = 50_000
MOST_HEADER = 4_000
MOST_HTML = 200_000
MOST_ATTACHMENTS = 10
MOST_ANSWERED = 10
UNKNOWN = "application/octet-stream"
KEPT_BYTES = 10 * 1024 * 1024
KEPT_TYPES = frozenset({"application/pdf", "image/jpeg", "image/png", "text/plain"})
"""What evidence of authority comes as. Of any other file only its name is kept, and of what is too large."""


@dataclass(frozen=True)
class Mail:
    """What somebody has written."""

    sender: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    attachments: tuple[Attachment, ...] = ()
    message_id: str | None = field(default=None, repr=False)
    answers: tuple[UUID, ...] = ()
    """What our mails were about that this one answers, by their Message-IDs."""
    references: tuple[str, ...] = field(default=(), repr=False)
    """What stands in brackets in its subject, as in those of our mails."""
    authenticated: bool = False
    """Whether the relay vouches that it is from where it says (DMARC)."""
    digest: str = field(default="", repr=False)
    """The same for the same mail, whatever way it came."""

    @property
    def written(self) -> str:
        """All that somebody has written."""
        return f"{self.subject}\n\n{self.text}".strip()


class Unusable(StrEnum):
    """Why a mail is no request."""

    AUTOMATIC = "automatic"
    """No person has written it: it is never answered."""
    LOOP = "loop"
    NO_SENDER = "no-sender"
    """None, several, or one that cannot be read with certainty."""
    UNREADABLE = "unreadable"


class _AsItCame(Compat32):
    """Hands headers out as they came: what they mean is decided here."""

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002 - as it is called
        return value


_POLICY = _AsItCame()
_BOUNDARY = re.compile(rb"boundary[\s*0-9]*=", re.IGNORECASE)
_ADDRESS = r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"\ufffd]{1,64}@[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"\ufffd]{1,189}"
# A name, of words or in quotation marks, then the address; or the address alone, or with a comment behind it.
_FROM = re.compile(
    rf"(?:(?:[^<>,;:\"]|\"(?:[^\"\\]|\\.)*\")*<\s*(?P<named>{_ADDRESS})\s*>|(?P<bare>{_ADDRESS})(?:\s*\([^()]*\))?)",
    re.DOTALL,
)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,198}>")
_OURS = re.compile(r"<[0-9a-f]{40}\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^<>\s]{1,200}>")
_REFERENCE = re.compile(r"\[([A-Za-z0-9_-]{20,60})\]")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|\([^()]*\)")
_DMARC = re.compile(r"\s*dmarc\s*=\s*pass(\s|$)")
_BULK = frozenset({"auto_reply", "bulk", "junk", "list"})
_REPORTS = frozenset({"multipart/report", "message/delivery-status", "message/disposition-notification"})
_MACHINES = re.compile(r"(mailer-daemon|no-?reply|do-?not-?reply|bounces?)([+-].*)?", re.IGNORECASE)
_KIND = re.compile(r"[!#$&^\w.+-]{1,60}/[!#$&^\w.+-]{1,60}", re.ASCII)
_STATEFUL = ("utf-16", "utf-32", "utf-7", "hz", "iso2022")
_CHARSETS = ("utf", "ascii", "iso", "cp", "koi8", "gb", "hz", "big5", "euc", "shift_jis", "mac", "tis", "johab")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252"}
"""Charsets that are named where a wider one is meant."""
_UNKEPT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def read(
    raw: bytes, return_path: str | None = None, *, own: Collection[str] = (), relay: str | None = None
) -> Mail | Unusable:
    """Say what a mail says, or why it is no request.

    `return_path` is `<>` where a machine sends it; `own` are our addresses; `relay` is the name under which the
    relay writes `Authentication-Results`, and which it lets nobody else use (RFC 8601).
    """
    if len(raw) > MOST_BYTES or raw.count(b"\n") > MOST_LINES or len(_BOUNDARY.findall(raw)) > MOST_DEPTH:
        return Unusable.UNREADABLE
    try:
        message = message_from_bytes(raw, policy=_POLICY)
        return _automatic(message, return_path, own) or _mail(message, relay)
    except Exception:  # noqa: BLE001 - whatever the parser does with bytes that somebody has made for that
        return Unusable.UNREADABLE


def _mail(message: Message, relay: str | None) -> Mail | Unusable:
    sender = _sender(message)
    if sender is None:
        return Unusable.NO_SENDER
    contents = _Contents()
    texts = contents.texts_of(message)
    subject = _decoded(_header(message, "Subject")).strip()[:200]
    mail = Mail(
        sender=sender,
        subject=subject,
        text=_tidy("\n\n".join(texts)),
        attachments=tuple(contents.attachments),
        message_id=_message_id(message),
        answers=_answers(message),
        references=tuple(_REFERENCE.findall(subject)),
        authenticated=relay is not None and _vouched(message, relay),
    )
    return _with_digest(mail, _header(message, "Date"))


def _with_digest(mail: Mail, date: str) -> Mail:
    words = (mail.sender, mail.message_id or "", date, mail.subject, mail.text)
    parts = [word.encode(errors="replace") for word in words]
    parts += [attachment.content or attachment.name.encode() for attachment in mail.attachments]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return Mail(**{**vars(mail), "digest": hashlib.sha256(digests).hexdigest()})


# Who wrote, and whether anybody did


def _header(message: Message, name: str) -> str:
    value = str(message.get(name, ""))[:MOST_HEADER]
    # Addresses may be of any script (RFC 6532): bytes beyond ASCII are UTF-8.
    return _storable(value.encode(errors="surrogateescape").decode(errors="replace"))


def _automatic(message: Message, return_path: str | None, own: Collection[str]) -> Unusable | None:
    """Tell a mail that nobody has written (RFC 3834), or that goes in a circle."""
    if len(message.get_all("Received", [])) > MOST_HOPS:
        return Unusable.LOOP
    sender = _sender(message) or ""
    signs = (
        "<>" in (return_path, _header(message, "Return-Path").strip()),
        _word(message, "Auto-Submitted") not in ("", "no"),
        _word(message, "Precedence") in _BULK,
        _word(message, "X-Auto-Response-Suppress") not in ("", "none"),
        any(name.lower().startswith(("list-", "x-autore")) for name in message.keys()),  # noqa: SIM118 - its own method
        message.get_content_type() in _REPORTS,
        sender.lower() in own,
        _MACHINES.fullmatch(sender.partition("@")[0]) is not None,
    )
    return Unusable.AUTOMATIC if any(signs) else None


def _word(message: Message, name: str) -> str:
    return re.split(r"[;,(]", _header(message, name))[0].strip().lower()


def _sender(message: Message) -> str | None:
    written = message.get_all("From", [])
    if len(written) != 1 or len(written[0]) > MOST_HEADER:
        return None
    found = _FROM.fullmatch(_header(message, "From").strip())
    return found and (found["named"] or found["bare"])


def _vouched(message: Message, relay: str) -> bool:
    """Read what the relay says of the sender; a sender's own words in it stand in quotation marks or comments."""
    said = _QUOTED.sub("", _header(message, "Authentication-Results")).lower().split(";")
    return said[0].split()[:1] == [relay.lower()] and any(_DMARC.match(each) for each in said[1:])


def _message_id(message: Message) -> str | None:
    value = _header(message, "Message-ID").strip()
    return value if _MESSAGE_ID.fullmatch(value) else None


def _answers(message: Message) -> tuple[UUID, ...]:
    # Of a long conversation the end counts.
    named = "".join(str(message.get(name, ""))[-MOST_HEADER:] for name in ("References", "In-Reply-To"))
    return tuple(dict.fromkeys(UUID(found) for found in reversed(_OURS.findall(named))))[:MOST_ANSWERED]


# What it says


class _Contents:
    """Gathers what a mail consists of, within bounds."""

    def __init__(self) -> None:
        self.attachments: list[Attachment] = []
        self._html_left = MOST_HTML

    def texts_of(self, part: Message) -> list[str]:
        """Read the texts, of alternatives the first that says something; what else there is, is attached."""
        if part.get_content_maintype() != "multipart" or not part.is_multipart():
            return self._leaf(part)
        texts: list[str] = []
        for inner in part.get_payload():
            if isinstance(inner, Message) and not (texts and part.get_content_subtype() == "alternative"):
                texts += self.texts_of(inner)
        return texts

    def _leaf(self, part: Message) -> list[str]:
        kind = part.get_content_type() if _KIND.fullmatch(part.get_content_type()) else UNKNOWN
        name = part.get_filename()
        if name or part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
            if len(self.attachments) < MOST_ATTACHMENTS:
                self.attachments.append(_attachment(part, kind, name or kind))
            return []
        text = _as_text(_bytes_of(part), str(part.get_content_charset("utf-8"))[:40])
        text = self._seen(text) if kind == "text/html" else _unflowed(part, text)
        return [text] if text.strip() else []

    def _seen(self, html: str) -> str:
        html = html[: self._html_left]
        self._html_left -= len(html)
        return text_of(html)


def _bytes_of(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _attachment(part: Message, kind: str, name: str) -> Attachment:
    content = _bytes_of(part)
    kept = kind in KEPT_TYPES and 0 < len(content) <= KEPT_BYTES
    shown = re.sub(r"[^\w .()-]", "_", _decoded(name).rpartition("/")[2].rpartition("\\")[2])
    return Attachment(shown[-100:].strip(". ") or "file", kind, content if kept else None)


def _as_text(content: bytes, charset: str) -> str:
    """Decode by what the bytes are, then by what they are said to be: that is often wrong, UTF-8 hardly by chance."""
    named = _known(charset)
    tried = (named, "utf-8") if named.startswith(_STATEFUL) else ("utf-8", named)
    for candidate in tried:
        try:
            return content.decode(candidate)
        except UnicodeError:
            continue
    return content.decode("cp1252" if named == "utf-8" else named, errors="replace")


def _known(charset: str) -> str:
    """Name a charset as Python does; not those of its codecs that are none, or take for ever."""
    try:
        name = lookup(charset).name
    except (LookupError, ValueError):
        return "cp1252"
    return _WIDER.get(name, name) if name.startswith(_CHARSETS) else "cp1252"


def _decoded(value: str) -> str:
    """Read encoded words (RFC 2047); what is none stays as it is."""
    try:
        pieces = decode_header(re.sub(r"[\r\n]+", "", value))
        text = "".join(_as_text(p, charset or "utf-8") if isinstance(p, bytes) else p for p, charset in pieces)
    except (ValueError, HeaderParseError):
        text = value
    return _storable(text).replace("\n", " ").replace("\t", " ")


def _unflowed(part: Message, text: str) -> str:
    """Put paragraphs together that were cut into lines (RFC 3676)."""
    if part.get_param("format") != "flowed":
        return text
    between = "" if part.get_param("delsp") == "yes" else " "
    lines = [line.removeprefix(" ") for line in text.splitlines()]
    ends = (line[:-1] + between if line.endswith(" ") and line != "-- " else f"{line}\n" for line in lines)
    return "".join(ends)


def _tidy(text: str) -> str:
    lines = (line.rstrip() for line in _storable(text).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()[:MOST_TEXT]


def _storable(text: str) -> str:
    """Replace what no database text can hold, and what would only disturb who reads."""
    return _UNKEPT.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " "))
