"""Every message exists in every language and every part, and is a well-formed mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jinja2 import Environment, meta

from services.notifier import mails
from services.notifier.commands import Address, Kind
from services.notifier.domain import Draft, Queued
from services.notifier.mails import Composer, words
from shared.contracts.account import DeclineReason
from shared.languages import LANGUAGES

TEMPLATES = Path(mails.__file__).parent / "templates"
COMPOSER = Composer("Adieu <no-reply@adieu.example>", "privacy@adieu.example")
WISH = {"reference": "REF-1", "kind": "access"}
CORRECTED = [
    {"field": "nickname", "outcome": "corrected", "reason": None},
    {"field": "email", "outcome": "refused", "reason": "own-door"},
]
FEE = {"costs": [{"what": "an hour of work", "amount": "40.00"}], "total": "40.00", "currency": "EUR"}
REASONS = {"ground": "repetitive", "facts": "asked last week", "items": ["feedback"], "remedy": "look into the app"}
SLUGS = {"kind", "ground"}
PARAMETERS: dict[Kind, dict[str, Any]] = {
    Kind.CONFIRMATION_CODE: {"code": "402917", "expires_at": "2026-03-03T04:05:00Z"},
    Kind.PASSWORD_RESET_CODE: {"code": "402917", "expires_at": "2026-03-03T04:05:00Z"},
    Kind.EMAIL_CHANGE_CODE: {"code": "402917", "expires_at": "2026-03-03T04:05:00Z"},
    Kind.EMAIL_CHANGED: {"undo_token": "a-random-word", "undo_until": "2026-03-03T04:05:00Z"},
    Kind.EMAIL_RESTORED: {"occurred_at": "2026-03-03T04:05:00Z"},
    Kind.ADDRESS_REGISTERED_AGAIN: {},
    Kind.NEW_CLIENT_SEEN: {"occurred_at": "2026-03-03T04:05:00Z"},
    Kind.PASSWORD_CHANGED: {"occurred_at": "2026-03-03T04:05:00Z"},
    Kind.SECOND_FACTOR_CHANGED: {"enabled": True, "occurred_at": "2026-03-03T04:05:00Z"},
    Kind.MAIL_RECEIVED: {
        "reference": "REF-1",
        "prove_by": "2026-03-03T04:05:00Z",
        "due_at": "2026-03-03T04:05:00Z",
    },
    Kind.CANCELLATION_DECLINED: {"declines": [{"reason": "unpaid-installments", "count": 2}]},
    Kind.CANCELLATION_POSSIBLE: {},
    Kind.CANCELLATION_SCHEDULED: {"reference": "REF-1", "due_at": "2026-03-03T04:05:00Z"},
    Kind.CANCELLATION_UNDONE: {"reference": "REF-1"},
    Kind.CANCELLATION_RECEIVED: {"references": ["REF-1", "REF-2"]},
    Kind.CANCELLATION_COMPLETED: {"references": ["REF-1", "REF-2"]},
    Kind.REQUEST_RECEIVED: {**WISH, "due_at": "2026-03-03T04:05:00Z"},
    Kind.PROVE_IT_IS_YOU: {**WISH, "code": "40291735", "expires_at": "2026-03-03T04:05:00Z"},
    Kind.PROVE_IT_IS_YOU_REMINDER: {**WISH, "code": "40291735", "expires_at": "2026-03-03T04:05:00Z"},
    Kind.NOT_IDENTIFIED: WISH,
    Kind.REQUEST_QUESTION: {**WISH, "question": "which device?", "answer_by": "2026-03-03T04:05:00Z"},
    Kind.REQUEST_EXTENDED: {**WISH, "reason": "many devices", "due_at": "2026-03-03T04:05:00Z"},
    Kind.REQUEST_FEE: {**WISH, **FEE, "accept_by": "2026-03-03T04:05:00Z"},
    Kind.REQUEST_LAPSED: WISH,
    Kind.REQUEST_REFUSED: {**WISH, **REASONS},
    Kind.REQUEST_ACCEPTED_IN_PART: {**WISH, **REASONS},
    Kind.REQUEST_DONE: WISH,
    Kind.CORRECTION_DONE: {**WISH, "fields": CORRECTED},
    Kind.PACKAGE_READY: {
        **WISH,
        "fetch_by": "2026-03-03T04:05:00Z",
        "package_link": "a-random-word",
        "missing": ["diary"],
    },
    Kind.PACKAGE_CODE: {**WISH, "code": "40291735", "expires_at": "2026-03-03T04:05:00Z"},
}
EVERY_MESSAGE = pytest.mark.parametrize(("kind", "language"), list(product(Kind, LANGUAGES)))


def queued(kind: Kind, **changes: Any) -> Queued:  # noqa: ANN401 - fields
    at = datetime(2026, 3, 3, 4, 5, tzinfo=UTC)
    return replace(Queued(7, UUID(int=1), kind, PARAMETERS[kind], None, at, 0, None), **changes)


def read(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=policy.SMTP)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    return mail


def part(mail: EmailMessage, subtype: str) -> str:
    body = mail.get_body((subtype,))
    assert body
    return str(body.get_content())


@EVERY_MESSAGE
def test_every_message_has_a_subject_a_text_and_html(kind: Kind, language: str) -> None:
    said = words(kind, PARAMETERS[kind], language)
    mail = read(COMPOSER.mail(queued(kind), Address("anna@people.example", language)).content)
    assert mail["subject"] == said.subject
    assert said.subject.strip()
    assert part(mail, "plain").splitlines() == said.text.splitlines()
    assert part(mail, "html").splitlines() == said.html.splitlines()
    assert "{" not in said.subject + said.text


@EVERY_MESSAGE
def test_every_parameter_is_told(kind: Kind, language: str) -> None:
    text = words(kind, PARAMETERS[kind], language).text
    plain = {name: value for name, value in PARAMETERS[kind].items() if name not in SLUGS}
    told = [value for value in plain.values() if isinstance(value, str) and "T" not in value]
    assert [value for value in told if value not in text] == []
    assert all(reference in text for reference in PARAMETERS[kind].get("references", []))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_for_declining_has_its_own_words(language: str) -> None:
    said = [_declined(reason, language) for reason in DeclineReason]
    assert len(set(said)) == len(DeclineReason)
    assert not [text for text, reason in zip(said, DeclineReason, strict=True) if reason in text]


def test_a_reason_that_a_newer_account_gives_is_told_all_the_same() -> None:
    assert "court-order" in _declined("court-order", "en")


def _declined(reason: str, language: str) -> str:
    parameters: dict[str, object] = {"declines": [{"reason": str(reason), "count": 2}]}
    return words(Kind.CANCELLATION_DECLINED, parameters, language).text


def test_dates_are_told_in_words() -> None:
    parameters = PARAMETERS[Kind.CANCELLATION_SCHEDULED]
    assert "3 March 2026, 04:05 UTC" in words(Kind.CANCELLATION_SCHEDULED, parameters, "en").text
    assert "2026 年 3 月 3 日 04:05" in words(Kind.CANCELLATION_SCHEDULED, parameters, "zh-Hans").text
    assert "3. März 2026, 04:05 UTC" in words(Kind.CANCELLATION_SCHEDULED, parameters, "de").text


def test_there_is_a_template_for_every_message_in_every_language_and_none_besides() -> None:
    written = {path.name for path in TEMPLATES.glob("*.txt")}

    assert written == {f"{kind}.{language}.txt" for kind, language in product(Kind, LANGUAGES)}


@pytest.mark.parametrize("kind", Kind)
def test_a_message_says_the_same_things_in_every_language(kind: Kind) -> None:
    environment = Environment(autoescape=True)
    environment.filters |= {"in_english": str, "in_chinese": str, "in_german": str}
    used = [
        meta.find_undeclared_variables(environment.parse(path.read_text()))
        for path in TEMPLATES.glob(f"{kind}.*.txt")
    ]

    assert used[0] == used[1] == used[2]


@pytest.mark.parametrize("hostile", ["{{ 7 * 7 }}", "<script>alert(1)</script>", "x\r\nBcc: eve@mail.example"])
@EVERY_MESSAGE
def test_a_hostile_value_stays_what_it_is(kind: Kind, language: str, hostile: str) -> None:
    parameters = {
        name: hostile if isinstance(value, str) and "T" not in value else value
        for name, value in PARAMETERS[kind].items()
    }
    message = queued(kind, parameters=parameters)
    mail = read(COMPOSER.mail(message, Address("anna@people.example", language)).content)

    assert mail["bcc"] is None
    assert mail["subject"] == words(kind, PARAMETERS[kind], language).subject
    assert "49" not in part(mail, "plain")
    assert "<script" not in part(mail, "html")


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_second_factor_is_told_on_or_off(language: str, enabled: bool) -> None:  # noqa: FBT001 - a case
    at = {"occurred_at": "2026-03-03T04:05:00Z"}
    said = words(Kind.SECOND_FACTOR_CHANGED, {"enabled": enabled, **at}, language).text
    other = words(Kind.SECOND_FACTOR_CHANGED, {"enabled": not enabled, **at}, language).text

    assert said != other


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_app_shows_a_changed_address_without_the_word_that_undoes_it(language: str) -> None:
    told = Draft(UUID(int=1), Kind.EMAIL_CHANGED, PARAMETERS[Kind.EMAIL_CHANGED])

    assert told.shown == {"undo_until": "2026-03-03T04:05:00Z"}
    assert "a-random-word" not in words(Kind.EMAIL_CHANGED, dict(told.shown), language).text


def test_values_are_text_in_html() -> None:
    said = words(Kind.CANCELLATION_UNDONE, {"reference": "<b>&"}, "en")
    assert "<b>&" in said.text
    assert "&lt;b&gt;&amp;" in said.html
    assert "<b>" not in said.html


def test_headers_say_from_whom_to_whom_and_that_no_person_wrote_it() -> None:
    mail = read(COMPOSER.mail(queued(Kind.CANCELLATION_UNDONE), Address("anna@people.example", "en")).content)
    assert mail["from"] == "Adieu <no-reply@adieu.example>"
    assert mail["to"] == "anna@people.example"
    assert mail["date"].datetime == datetime(2026, 3, 3, 4, 5, tzinfo=UTC)
    assert mail["auto-submitted"] == "auto-generated"
    assert mail["message-id"].endswith("@adieu.example>")


def test_a_repeat_is_the_same_mail_and_another_message_never_is() -> None:
    anna = Address("anna@people.example", "en")
    first = queued(Kind.CANCELLATION_POSSIBLE)
    assert COMPOSER.mail(first, anna) == COMPOSER.mail(replace(first, attempts=3), anna)
    other_id, other_account = replace(first, id=8), replace(first, account_id=UUID(int=2))
    ids = {read(COMPOSER.mail(each, anna).content)["message-id"] for each in (first, other_id, other_account)}
    assert len(ids) == 3


def test_lines_end_as_smtp_wants_and_stay_short() -> None:
    for kind, language in product(Kind, LANGUAGES):
        content = COMPOSER.mail(queued(kind), Address("anna@people.example", language)).content
        lines = content.split(b"\r\n")
        assert not [line for line in lines if b"\n" in line or b"\r" in line or len(line) > 120]
        assert content.isascii()
