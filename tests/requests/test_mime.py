"""What is read out of a mail: of real ones, of wrong ones, and of any bytes at all."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.requests.domain.mails import code_in, kind_of, language_of, said
from services.requests.intake.mime import MOST_ATTACHMENTS, MOST_BYTES, MOST_TEXT, Mail, Unusable, read
from shared.contracts.requests import Kind
from tests.mails import PRIVACY, attached, bundle, mail, multipart, part, raw

REQUEST = UUID("6f1c0f3e-7d2f-4a6b-9c1d-2e3f4a5b6c7d")


def good(content: bytes, **more: object) -> Mail:
    found = read(content, **more)  # type: ignore[arg-type] # own, relay
    assert isinstance(found, Mail), found
    return found


# Who has written


@pytest.mark.parametrize(
    ("written", "sender"),
    [
        ("anna@mail.example", "anna@mail.example"),
        ("<anna@mail.example>", "anna@mail.example"),
        ("Anna <Anna@Mail.example>", "Anna@Mail.example"),
        ('"Müller, Anna" <anna@mail.example>', "anna@mail.example"),
        ("Anna (at home) <anna@mail.example>", "anna@mail.example"),
        ("anna@mail.example (Anna)", "anna@mail.example"),
        ("=?utf-8?q?M=C3=BCller=2C_Anna?= <anna@mail.example>", "anna@mail.example"),
        ("anna+news@mail.example", "anna+news@mail.example"),
        ("jürgen@bücher.example", "jürgen@bücher.example"),
        # What is shown is not who it is.
        ('"anna@mail.example" <eve@evil.example>', "eve@evil.example"),
        ("=?utf-8?q?anna=40mail.example?= <eve@evil.example>", "eve@evil.example"),
    ],
)
def test_the_sender_is_the_one_address_in_from(written: str, sender: str) -> None:
    assert good(mail(sender=written)).sender == sender


@pytest.mark.parametrize(
    "written",
    [
        "",
        "Anna",
        "anna@mail.example, eve@evil.example",
        "<anna@mail.example> <eve@evil.example>",
        "anna@mail.example eve@evil.example",
        "anna@mail.example>eve@evil.example",
        "anna@mail.example)eve@evil.example",
        "Friends: anna@mail.example;",
        "<@relay.example:anna@mail.example>",
        '"anna"@mail.example',
        "anna@[192.0.2.1]",
        "anna@mail.example\r\nFrom: eve@evil.example",
        "=?utf-8?q?Anna_=3Canna=40mail=2Eexample=3E?=",
        "anna@mail.example\x00",
        "a" * 5_000 + "@mail.example",
        '"' * 4_000,
    ],
)
def test_a_sender_that_is_not_certain_is_nobody(written: str) -> None:
    assert read(mail(sender=written)) is Unusable.NO_SENDER


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; reason=x",
        "auto-submitted: AUTO-REPLIED (away)",
        "Precedence: bulk",
        "Precedence: auto_reply",
        "List-Id: <people.mail.example>",
        "List-Unsubscribe: <https://mail.example/>",
        "X-Auto-Response-Suppress: OOF, AutoReply",
        "X-Autoreply: yes",
        "Return-Path: <>",
    ],
)
def test_what_a_machine_has_sent_is_no_request(header: str) -> None:
    assert read(mail(headers=[header])) is Unusable.AUTOMATIC


def test_a_bounce_is_no_request() -> None:
    report = multipart(
        part(b"Your mail could not be delivered."),
        part(b"Final-Recipient: rfc822; anna@mail.example", "message/delivery-status"),
        subtype="report",
    )

    assert read(report) is Unusable.AUTOMATIC
    assert read(mail(), return_path="<>") is Unusable.AUTOMATIC
    assert read(mail(sender="Mail Delivery <MAILER-DAEMON@mail.example>")) is Unusable.AUTOMATIC


@pytest.mark.parametrize("header", ["Auto-Submitted: no", "Precedence: normal", "X-Auto-Response-Suppress: none"])
def test_a_header_that_says_nobody_is_automatic_is_not_held_against_a_person(header: str) -> None:
    assert isinstance(read(mail(headers=[header])), Mail)


def test_our_own_mail_that_comes_back_is_no_request() -> None:
    assert read(mail(sender=f"Adieu <{PRIVACY.upper()}>"), own=[PRIVACY]) is Unusable.AUTOMATIC


def test_a_mail_that_goes_in_a_circle_is_refused() -> None:
    hops = ["Received: from a.example by b.example"] * 60

    assert read(mail(headers=hops)) is Unusable.LOOP


# What it says


def test_the_plain_text_is_read_where_there_is_html_as_well() -> None:
    both = multipart(part(b"Delete my data"), part(b"<p>Delete</p>", "text/html"), subtype="alternative")

    assert good(both).text == "Delete my data"


def test_html_alone_is_read_as_a_person_sees_it() -> None:
    html = (
        "<html><head><title>no</title><style>p {color: red}</style></head><body><p>Bitte <b>löschen</b> Sie<br>"
        "meine&nbsp;Daten &amp; alles &lt;andere&gt;<script>steal()</script><!-- hidden --></p><div>Anna</div></body>"
    )

    text = good(raw(html.encode(), headers=["Content-Type: text/html; charset=utf-8"])).text

    assert text.split("\n") == ["", "Bitte löschen Sie", "meine Daten & alles <andere>", "", "Anna"][1:]


def test_an_empty_plain_part_does_not_hide_the_html() -> None:
    both = multipart(part(b"  \r\n"), part(b"<p>Delete my data</p>", "text/html"), subtype="alternative")

    assert good(both).text == "Delete my data"


def test_parts_in_parts_are_read_and_files_are_attached() -> None:
    inner = part(
        bundle(part(b"Hello"), part(b"<p>Hello</p>", "text/html"), boundary=b"in"),
        "multipart/alternative; boundary=in",
    )
    found = good(
        multipart(
            inner, attached("Vollmacht.pdf", b"%PDF-1.7"), attached("run.exe", b"MZ", "application/x-msdownload")
        )
    )

    assert found.text == "Hello"
    assert [(file.name, file.content) for file in found.attachments] == [
        ("Vollmacht.pdf", b"%PDF-1.7"),
        ("run.exe", None),
    ]


def test_a_forwarded_mail_is_attached_and_says_nothing_for_itself() -> None:
    forwarded = part(mail("Delete my data", "Ben <ben@mail.example>"), "message/rfc822")

    found = good(multipart(part(b"See below"), forwarded))

    assert (found.sender, found.text) == ("anna@mail.example", "See below")
    assert [file.media_type for file in found.attachments] == ["message/rfc822"]


@pytest.mark.parametrize(
    ("named", "encoding", "text"),
    [
        ("utf-8", "utf-8", "Grüße, 再见"),
        ("iso-8859-1", "latin-1", "Grüße"),
        ("iso-8859-1", "cp1252", "„Grüße“ für 5 €"),
        ("iso-8859-1", "utf-8", "Grüße"),  # wrong: it is UTF-8
        ("us-ascii", "utf-8", "Grüße"),
        ("utf-8", "latin-1", "Grüße"),  # wrong the other way round
        ("gb2312", "gb18030", "请删除我的个人信息镕"),
        ("big5", "big5", "請刪除我的資料"),
        ("iso-2022-jp", "iso-2022-jp", "データを削除してください"),
        ("utf-16", "utf-16", "Löschen"),
        ("klingon", "utf-8", "Grüße"),
        ("klingon", "cp1252", "Grüße"),
        ("punycode", "ascii", "Loeschen-abc"),  # no charset, and takes for ever
        ("unicode_escape", "ascii", r"\x41"),
        ("x" * 500, "ascii", "Hello"),
    ],
)
def test_words_are_read_in_any_charset_also_a_wrong_or_unknown_one(named: str, encoding: str, text: str) -> None:
    content = b64encode(text.encode(encoding))
    headers = [f"Content-Type: text/plain; charset={named}", "Content-Transfer-Encoding: base64"]

    assert good(raw(content, headers=headers)).text == text


def test_a_subject_is_read_in_encoded_words_and_as_it_is_where_they_are_broken() -> None:
    assert good(mail(subject="=?utf-8?b?5Yig6Zmk?= =?utf-8?b?5oiR55qE?=")).subject == "删除我的"
    assert good(mail(subject="=?utf-8?b?5Yi?=")).subject
    assert good(mail(subject="=?klingon?q?Hello?=")).subject == "Hello"


def test_lines_that_a_program_has_cut_are_paragraphs_again() -> None:
    flowed = ["Content-Type: text/plain; charset=utf-8; format=flowed"]

    found = good(raw(b"Please delete \nall my data.\n\n-- \nAnna\n", headers=flowed))

    assert found.text == "Please delete all my data.\n\n--\nAnna"


def test_nothing_comes_out_that_a_database_cannot_hold() -> None:
    found = good(raw(b"a\x00b\xed\xa0\x80c\x1b[2J", headers=["Content-Type: text/plain"]))

    assert "\x00" not in found.text
    assert "\x1b" not in found.text
    found.text.encode()


def test_a_message_id_is_taken_only_where_it_can_stand_in_a_header() -> None:
    assert good(mail(message_id="<a@b.example>")).message_id == "<a@b.example>"
    for wrong in (
        "no brackets",
        "<a b@c.example>",
        "<ä@b.example>",
        "<a@b.example> <c@d.example>",
        f"<{'a' * 300}@b>",
    ):
        assert good(mail(message_id=wrong)).message_id is None


def test_a_mail_says_which_of_ours_it_answers() -> None:
    ours = f"<{'0' * 40}.{REQUEST}@adieu.example>"
    for header in (f"In-Reply-To: {ours}", f"References: <other@mail.example>\r\n {ours}"):
        assert good(mail(headers=[header])).answers == (REQUEST,)
    assert good(mail(headers=["In-Reply-To: <other@mail.example>"])).answers == ()


def test_a_subject_names_references() -> None:
    assert good(mail(subject="AW: Ihr Anliegen [abcdefghij-0123456789_XYZ]")).references == (
        "abcdefghij-0123456789_XYZ",
    )


def test_the_same_mail_has_the_same_digest_whatever_way_it_came_and_another_one_another() -> None:
    first = good(mail())

    assert (
        good(mail(headers=["Received: from a.example by b.example", "Return-Path: <x@mail.example>"])).digest
        == first.digest
    )
    assert good(mail("Something else")).digest != first.digest
    assert good(mail(message_id="<two@mail.example>")).digest != first.digest
    assert good(mail(sender="eve@evil.example")).digest != first.digest


def test_the_relay_alone_can_vouch_for_a_sender() -> None:
    def vouched(header: str, relay: str | None = "mx.adieu.example") -> bool:
        return good(mail(headers=[header]), relay=relay).authenticated

    good_word = "Authentication-Results: mx.adieu.example 1; spf=pass; dmarc=pass (p=reject) header.from=mail.example"
    assert vouched(good_word)
    assert not vouched(good_word, None)
    assert not vouched(good_word.replace("mx.adieu", "mx.evil"))
    assert not vouched(good_word.replace("dmarc=pass", "dmarc=fail"))
    assert not vouched('Authentication-Results: mx.adieu.example; spf=pass smtp.mailfrom=";dmarc=pass"@evil.example')
    assert not vouched("Authentication-Results: mx.adieu.example; dmarc=fail (;dmarc=pass)")


# Attachments


def test_the_name_of_a_file_is_no_path_and_no_markup() -> None:
    names = ["../../etc/passwd", r"C:\boot.ini", "a\tb<script>.pdf", "", "..", "x" * 300]
    for name in names:
        (file,) = good(multipart(attached(name, b"%PDF"))).attachments
        assert not set(file.name) & set("/\\<>\t\r\n:")
        assert file.name.strip(". ")
        assert len(file.name) <= 100


def test_of_many_files_and_of_large_ones_only_some_are_kept() -> None:
    many = good(multipart(*(attached(f"{n}.pdf", b"%PDF") for n in range(30))))
    large = good(multipart(attached("large.pdf", b"x" * (10 * 1024 * 1024 + 1))))

    assert len(many.attachments) == MOST_ATTACHMENTS
    assert [file.content for file in large.attachments] == [None]


# Whatever it is


BOMBS = {
    "too large": b"From: anna@mail.example\r\n\r\n" + b"x" * MOST_BYTES,
    "of too many lines": b"From: anna@mail.example\r\n\r\n" + b"\r\n" * 600_000,
    "of too many headers": b"From: anna@mail.example\r\n" + b"A: b\r\n" * 600_000,
    "of too many parts": b"From: anna@mail.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\n" * 600_000,
    "of parts in parts": b"From: anna@mail.example\r\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5_000)),
    "of mails in mails": b"From: anna@mail.example\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS.keys())
def test_a_mail_that_is_made_to_be_never_read_to_the_end_is_refused(content: bytes) -> None:
    assert read(content) is Unusable.UNREADABLE


@pytest.mark.parametrize("html", ["<a " * 300_000, "<!--" * 300_000, "<div>" * 60_000, "&#" * 300_000])
def test_html_that_is_made_to_be_never_read_to_the_end_is_read(html: str) -> None:
    headers = ["Content-Type: text/html", "Content-Transfer-Encoding: base64"]

    found = good(raw(b64encode(html.encode()), headers=headers))

    assert len(found.text) <= MOST_TEXT


HEADERS = st.sampled_from(
    [
        "From",
        "To",
        "Subject",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
        "Message-ID",
        "References",
    ]
)
VALUES = st.one_of(
    st.text(max_size=80),
    st.binary(max_size=80).map(lambda value: value.decode("latin-1")),
    st.sampled_from(
        [
            "anna@mail.example",
            "multipart/mixed; boundary=cut",
            "multipart/alternative; boundary*0=c; boundary*1=ut",
            "text/html; charset=\x00",
            "text/plain; charset*=utf-8''%ff%fe",
            "text/plain; format=flowed; delsp=yes; charset=utf-7",
            "message/rfc822",
            "base64",
            "quoted-printable",
            "x-uuencode",
            "attachment; filename*0*=''%00; filename*2=x",
            "=?utf-8?b?=?=",
            "=?utf-8*en?q?=ff?=",
        ]
    ),
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from([b"--cut", b"--cut--", b"", b"Content-Type: text/html", b"<p>", b"=FF", b"begin 644 x"]),
        max_size=20,
    ).map(b"\r\n".join),
)


@given(st.binary(max_size=500))
def test_any_bytes_at_all_are_read_without_an_error(content: bytes) -> None:
    storable(read(content))


@given(st.lists(st.tuples(HEADERS, VALUES), max_size=8), BODIES)
def test_any_headers_and_bodies_are_read_without_an_error(headers: list[tuple[str, str]], body: bytes) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers).encode(errors="replace")

    storable(read(b"From: anna@mail.example\r\n" + head + b"\r\n" + body))


def storable(found: Mail | Unusable) -> None:
    """Check that a database takes it."""
    if isinstance(found, Mail):
        texts = [found.sender, found.written, found.message_id or "", *(file.name for file in found.attachments)]
        texts += [file.media_type for file in found.attachments]
        for each in texts:
            assert "\x00" not in each
            each.encode()
        assert replace(found, digest="") != found


# What it seems to wish


@pytest.mark.parametrize(
    ("words", "kind", "language"),
    [
        ("Hello, please send me a copy of my personal data.", Kind.ACCESS, "en"),
        ("What data do you hold about me? This is a request for access under Art. 15.", Kind.ACCESS, "en"),
        ("Guten Tag, ich bitte um Auskunft über meine Daten.", Kind.ACCESS, "de"),
        ("我想查询我的个人信息。", Kind.ACCESS, "zh-Hans"),
        ("Please correct my nickname", Kind.CORRECTION, "en"),
        ("Bitte berichtigen Sie meine Region", Kind.CORRECTION, "de"),
        ("请更正我的昵称", Kind.CORRECTION, "zh-Hans"),
        ("Delete all my data, please", Kind.DELETION, "en"),
        ("Bitte löschen Sie mein Konto", Kind.DELETION, "de"),
        ("请删除我的账号", Kind.DELETION, "zh-Hans"),
        ("I withdraw my consent", Kind.WITHDRAWAL, "en"),
        ("Hiermit widerrufe ich meine Einwilligung", Kind.WITHDRAWAL, "de"),
        ("我要撤回我的同意", Kind.WITHDRAWAL, "zh-Hans"),
        ("Send me a copy of my data, then delete all my data.", None, "en"),
        ("My purifier is too loud at night", None, "en"),
        ("", None, "en"),
    ],
)
def test_plain_words_suggest_a_wish_and_a_language(words: str, kind: Kind | None, language: str) -> None:
    assert (kind_of(words), language_of(words)) == (kind, language)


@pytest.mark.parametrize(
    "quoted",
    [
        "> Your code: 12345678",
        "On Mon, 2 Nov 2026, Adieu <no-reply@adieu.example> wrote:\n12345678",
        "Am 2. November 2026 schrieb Adieu:\n12345678",
        "-----Original Message-----\n12345678",
        "Von: Adieu\n12345678",
        "发件人: Adieu\n12345678",
        "在 2026年11月2日 Adieu 写道:\n12345678",
    ],
)
def test_what_is_quoted_is_not_said(quoted: str) -> None:
    assert code_in(said(f"This was not me!\n{quoted}"), 8) is None
    assert code_in(said(f"Here it is: 87654321\n{quoted}"), 8) == "87654321"


def test_a_number_that_is_longer_is_no_code() -> None:
    assert code_in("123456789 and 1234567", 8) is None
