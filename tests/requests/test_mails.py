"""From a mail to a request whose sender is known, and every way to get there without being that sender."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.requests.commands import AskContact, AskPerson, ShowCode, Submit
from services.requests.repository import cases, mails
from services.requests.repository.cases import WORDS_KEPT
from shared.contracts.requests import Channel, Kind
from shared.retention import Keep, sweep
from tests.builders import ANNA, BEN, NOON, Person, named
from tests.commands import erased
from tests.mails import attached, mail, multipart, part
from tests.requests.mails import PrivacyMailbox, answering, known, unknown, without_chance
from tests.rooms import OpenRoom

EVE = Person("eve")
DELETE = "Please delete all my data."


@pytest.fixture
async def box(room: OpenRoom) -> PrivacyMailbox:
    return PrivacyMailbox(await room("requests"))


async def words_of(box: PrivacyMailbox, request_id: UUID) -> list[tuple[str, bool]]:
    """Read what was written about a request, and whether it is proven by whom."""
    async with box.room.engine.connect() as connection:
        return [(row["text"], row["proven"]) for row in await cases.words(connection, request_id)]


# Coming in


async def test_a_mail_is_a_request_that_waits_for_who_it_is(box: PrivacyMailbox) -> None:
    request_id = await box.begun(mail("Please delete all my data.", subject="Goodbye"))

    request = await box.request(request_id)
    assert (request["state"], request["kind"], request["channel"]) == ("unverified", "deletion", "e-mail")
    assert request["account_id"] == request_id
    assert await words_of(box, request_id) == [("Goodbye\n\nPlease delete all my data.", False)]


async def test_whoever_has_written_is_answered_at_once_in_their_language(box: PrivacyMailbox) -> None:
    await box.gets(mail("Bitte löschen Sie meine Daten", "Anna <anna@mail.example>", message_id="<one@mail.example>"))

    (told,) = await box.told()
    assert (told.notice, told.address, told.language) == ("mail-received", "anna@mail.example", "de")
    assert told.in_reply_to == "<one@mail.example>"
    assert set(told.parameters) == {"reference", "prove_by", "due_at"}


async def test_account_is_asked_whose_address_it_is_and_the_address_is_kept_nowhere(box: PrivacyMailbox) -> None:
    await box.gets(mail(sender="anna@mail.example"))

    assert [e["address"] for e in await box.room.announced() if e["type"] == "SenderAsked"] == ["anna@mail.example"]
    assert "anna@mail.example" not in repr(await box.room.state("outbox"))


async def test_the_same_mail_again_is_the_same_request_and_is_answered_once(box: PrivacyMailbox) -> None:
    await box.gets(mail())
    before = await box.room.state()

    await box.gets(mail(headers=["Received: from another.example by relay.example"]))

    assert await box.room.state() == before


async def test_the_same_mail_that_comes_many_times_at_once_is_one_request(box: PrivacyMailbox) -> None:
    await asyncio.gather(*(PrivacyMailbox(box.room).gets(mail()) for _ in range(8)))

    assert len(await box.room.rows("requests")) == 1
    assert len(await box.told()) == 1


async def test_the_message_id_of_somebody_elses_mail_blocks_nothing(box: PrivacyMailbox) -> None:
    await box.gets(mail("Nonsense", "eve@evil.example", message_id="<one@mail.example>"))
    await box.gets(mail(message_id="<one@mail.example>"))

    assert len(await box.room.rows("requests")) == 2


@pytest.mark.parametrize(
    "content",
    [mail(headers=["Auto-Submitted: auto-replied"]), mail(headers=["List-Id: <people.example>"]), b"", b"\x00"],
)
async def test_what_nobody_has_written_is_neither_a_request_nor_answered(box: PrivacyMailbox, content: bytes) -> None:
    before = await box.room.state()

    assert await box.gets(content) is not None
    assert await box.room.state() == before


# What the answer does not tell


async def test_the_answer_is_the_same_to_the_byte_whether_there_is_an_account_or_not(box: PrivacyMailbox) -> None:
    await box.matched(ANNA)
    nobodys = await box.begun(mail(sender="nobody@mail.example", message_id="<two@mail.example>"))
    await box.room.hears(unknown(nobodys))

    answers = [without_chance(told) for told in await box.told() if told.address]
    assert len(answers) == 2
    assert answers[0] == answers[1]


async def test_a_second_mail_tells_no_more_than_the_first(box: PrivacyMailbox) -> None:
    for number, person in enumerate((ANNA, None, ANNA, None)):
        sender = person.email if person else "nobody@mail.example"
        request_id = await box.begun(mail(sender=sender, message_id=f"<{number}@mail.example>"))
        await box.room.hears(known(request_id, person) if person else unknown(request_id))

    assert len({without_chance(told) for told in await box.told() if told.address}) == 1


async def test_whoever_has_no_account_hears_nothing_more(box: PrivacyMailbox) -> None:
    request_id = await box.begun(mail())
    before = await box.room.types_announced()
    await box.room.hears(unknown(request_id))

    assert await box.room.types_announced() == before
    assert (await box.request(request_id))["account_id"] == request_id


# Who it is


async def test_a_code_goes_to_the_contact_of_the_account_and_not_to_the_address_that_wrote(
    box: PrivacyMailbox,
) -> None:
    request_id = await box.matched(ANNA)

    told = (await box.told())[-1]
    assert (told.notice, told.address, told.account_id) == ("prove-it-is-you", None, ANNA.account_id)
    assert told.parameters["code"] == box.code(request_id, ANNA)


async def test_what_was_written_is_the_accounts_from_then_on_and_goes_with_it(box: PrivacyMailbox) -> None:
    await box.matched(ANNA, multipart(part(b"My papers"), attached("papers.pdf", b"%PDF")))
    assert (await box.room.held_of(ANNA.account_id)).keys() >= {"request_words", "mails", "mail_attachments"}

    async with box.room.bus.work() as work:
        await work.lock([erased(ANNA)])
        await box.room.owner.erase(work, [erased(ANNA)])

    assert await box.room.held_of(ANNA.account_id) == {}


async def test_an_answer_that_carries_the_code_shows_who_it_is(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    code = box.code(request_id, ANNA)

    await box.matched(ANNA, mail(f"It is {code}", ANNA.email, headers=[answering(request_id)]))

    assert sorted(await box.states()) == ["joined", "open"]
    assert (await box.request(request_id))["verified_at"] == NOON


async def test_the_reference_in_the_subject_does_as_well_as_the_header(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    reference = (await box.told())[0].parameters["reference"]
    code = box.code(request_id, ANNA)

    await box.matched(ANNA, mail(f"It is {code}", ANNA.email, subject=f"Re: mail [{reference}]"))

    assert (await box.request(request_id))["state"] == "open"


async def test_every_reference_that_was_given_leads_to_the_request(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    await box.matched(ANNA, mail("And one more thing", ANNA.email, headers=[answering(request_id)]))

    leads = [row["request_id"] for row in await box.room.rows("request_references")]
    assert leads == [request_id, request_id]
    assert [text for text, _ in await words_of(box, request_id)] == [
        f"My data\n\n{DELETE}",
        "My data\n\nAnd one more thing",
    ]


async def test_an_access_by_mail_is_carried_out_when_it_is_known_who_asks(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA)
    await box.room.does(shown(request_id, box.code(request_id, ANNA)))

    assert (await box.request(request_id))["state"] == "accepted"


@pytest.mark.parametrize("wish", ["I withdraw my consent", "Please correct my nickname", DELETE, "Hello"])
async def test_what_somebody_has_to_read_waits_for_staff_also_when_it_is_known_who_asks(
    box: PrivacyMailbox, wish: str
) -> None:
    request_id = await box.matched(ANNA, mail(wish, ANNA.email))
    await box.room.does(shown(request_id, box.code(request_id, ANNA)))

    assert (await box.request(request_id))["state"] == "open"


def shown(request_id: UUID, code: str, person: Person = ANNA) -> ShowCode:
    return ShowCode(account_id=person.account_id, request_id=request_id, code=code)


# Attacks


async def test_a_forged_sender_gets_neither_the_answer_nor_the_code(box: PrivacyMailbox) -> None:
    await box.matched(
        ANNA, mail(DELETE, ANNA.email, headers=["Reply-To: eve@evil.example", "Sender: eve@evil.example"])
    )

    assert [told.address for told in await box.told()] == [ANNA.email, None]
    assert "evil.example" not in repr(await box.room.announced())
    assert await box.states() == ["unverified"]


async def test_three_wrong_codes_by_mail_are_all_that_anybody_has(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    right = box.code(request_id, ANNA)
    for number in range(4):
        wrong = f"{(int(right) + 1 + number) % 10**8:08d}"
        await box.matched(ANNA, reply(wrong, request_id, number))
    await box.matched(ANNA, reply(right, request_id, 9))

    request = await box.request(request_id)
    assert (request["state"], request["tries"]) == ("unverified", 3)


def reply(text: str, request_id: UUID, number: int = 0, sender: str = ANNA.email) -> bytes:
    return mail(text, sender, message_id=f"<reply-{number}@mail.example>", headers=[answering(request_id)])


async def test_one_mail_is_one_try_however_many_codes_it_carries(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    right = box.code(request_id, ANNA)
    many = " ".join(f"{number:08d}" for number in range(100))

    await box.matched(ANNA, reply(f"{many} {right}", request_id))

    assert ((await box.request(request_id))["state"], (await box.request(request_id))["tries"]) == ("unverified", 1)


async def test_of_codes_that_are_tried_at_once_three_are_looked_at(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    right = int(box.code(request_id, ANNA))
    wrong = [f"{(right + 1 + number) % 10**8:08d}" for number in range(20)]

    await asyncio.gather(*(box.room.does(shown(request_id, code)) for code in wrong))
    await box.room.does(shown(request_id, f"{right:08d}"))

    request = await box.request(request_id)
    assert (request["state"], request["tries"]) == ("unverified", 3)


async def test_an_answer_by_another_sender_joins_nothing_whatever_it_carries(box: PrivacyMailbox) -> None:
    request_id = await box.matched(ANNA, mail(DELETE, ANNA.email))
    reference = (await box.told())[0].parameters["reference"]
    code = box.code(request_id, ANNA)
    forged = mail(code, EVE.email, subject=f"[{reference}]", headers=[answering(request_id)])

    by_eve = await box.matched(EVE, forged)
    by_nobody = await box.begun(forged.replace(b"eve@", b"mallory@"))
    await box.room.hears(unknown(by_nobody))

    assert [(await box.request(each))["state"] for each in (request_id, by_eve, by_nobody)] == ["unverified"] * 3
    assert len(await words_of(box, request_id)) == 1
    assert (await box.request(request_id))["tries"] == 0


async def test_who_has_no_account_goes_on_with_their_own_request_and_with_nobody_elses(box: PrivacyMailbox) -> None:
    request_id = await box.begun(mail(sender="nobody@mail.example"))
    await box.room.hears(unknown(request_id, "digest of nobody"))
    same = await box.begun(reply("One more thing", request_id, 1, "nobody@mail.example"))
    await box.room.hears(unknown(same, "digest of nobody"))
    other = await box.begun(reply("Me too", request_id, 2, "mallory@evil.example"))
    await box.room.hears(unknown(other, "digest of mallory"))

    assert [(await box.request(each))["state"] for each in (request_id, same, other)] == [
        "unverified",
        "joined",
        "unverified",
    ]


async def test_a_code_without_an_account_verifies_nothing(box: PrivacyMailbox) -> None:
    request_id = await box.begun(mail(sender="nobody@mail.example"))
    await box.room.hears(unknown(request_id, "digest of nobody"))
    code = box.code(request_id, ANNA)
    again = await box.begun(reply(code, request_id, 1, "nobody@mail.example"))
    await box.room.hears(unknown(again, "digest of nobody"))

    assert ((await box.request(request_id))["state"], (await box.request(request_id))["tries"]) == ("unverified", 0)


async def test_a_duplicate_of_a_request_that_is_known_is_not_known_by_that(box: PrivacyMailbox) -> None:
    in_app = await submitted(box)
    by_mail = await box.matched(ANNA, mail(DELETE, ANNA.email))

    assert ((await box.request(in_app))["state"], (await box.request(by_mail))["state"]) == ("open", "unverified")
    assert len(await words_of(box, in_app)) == 0


async def test_an_unproven_wish_neither_displaces_nor_blocks_a_real_one(box: PrivacyMailbox) -> None:
    for number in range(8):
        await box.matched(ANNA, mail(DELETE, ANNA.email, message_id=f"<{number}@evil.example>"))

    in_app = await submitted(box)

    assert (await box.request(in_app))["state"] == "open"
    assert (await box.states()).count("unverified") == 8


async def submitted(box: PrivacyMailbox) -> UUID:
    request_id = named("request", "in the app")
    wish = Submit(
        account_id=ANNA.account_id,
        request_id=request_id,
        reference="a reference from the app",
        kind=Kind.DELETION,
        channel=Channel.APP,
        known=True,
        scope={},
    )
    await box.room.does(wish)
    return request_id


async def test_a_proven_duplicate_is_the_request_that_is_there(box: PrivacyMailbox) -> None:
    in_app = await submitted(box)
    by_mail = await box.matched(ANNA, mail(DELETE, ANNA.email))
    await box.room.does(shown(by_mail, box.code(by_mail, ANNA)))

    assert ((await box.request(in_app))["state"], (await box.request(by_mail))["state"]) == ("open", "joined")


async def test_two_machines_that_answer_each_other_come_to_an_end(box: PrivacyMailbox) -> None:
    # One that does not say that it is one.
    for number in range(50):
        await box.gets(mail("I am away", "away@mail.example", message_id=f"<{number}@mail.example>"))

    assert len(await box.told()) == 5


async def test_nobody_is_sent_more_than_a_few_answers_by_forging_their_address(box: PrivacyMailbox) -> None:
    for number in range(20):
        sender = f"Victim+{number}@mail.example" if number % 2 else "victim@Mail.example"
        await box.gets(mail(sender=sender, message_id=f"<{number}@evil.example>"))
    assert len(await box.told()) == 5
    assert len(await box.room.rows("requests")) == 20  # none is lost

    box.room.clock.now += timedelta(days=1)
    await box.gets(mail(sender="victim@mail.example", message_id="<next@mail.example>"))
    assert len(await box.told()) == 6


async def test_nobody_is_sent_more_than_a_few_codes_by_forging_their_address(box: PrivacyMailbox) -> None:
    for number in range(20):
        await box.matched(ANNA, mail(sender=ANNA.email, message_id=f"<{number}@evil.example>"))

    assert [told.notice for told in await box.told()].count("prove-it-is-you") == 5


async def test_what_is_forged_uses_up_nothing_of_what_the_relay_vouches_for(box: PrivacyMailbox) -> None:
    settings = box.room.settings.model_copy(update={"relay_name": "mx.adieu.example"})
    box.intake._settings = settings  # type: ignore[assignment] # noqa: SLF001 - the relay is named from now on
    for number in range(20):
        await box.matched(ANNA, mail(sender=ANNA.email, message_id=f"<{number}@evil.example>"))
    vouched = ["Authentication-Results: mx.adieu.example; dmarc=pass header.from=mail.example"]

    await box.matched(ANNA, mail(sender=ANNA.email, message_id="<real@mail.example>", headers=vouched))

    assert [told.notice for told in await box.told()][-2:] == ["mail-received", "prove-it-is-you"]


# Questions


async def test_a_question_that_is_answered_by_mail_is_answered_and_not_proven(box: PrivacyMailbox) -> None:
    in_app = await submitted(box)
    await box.room.does(
        AskPerson(account_id=ANNA.account_id, request_id=in_app, question="Which device?", actor="staff")
    )

    await box.matched(ANNA, reply("The one in the bedroom", in_app))

    assert (await box.request(in_app))["state"] == "open"
    assert await words_of(box, in_app) == [("My data\n\nThe one in the bedroom", False)]


async def test_an_answer_to_a_request_that_has_ended_is_a_request_of_its_own(box: PrivacyMailbox) -> None:
    first = await box.matched(ANNA)
    await box.room.run("UPDATE requests SET state = 'not-identified', ended_at = now()")

    second = await box.matched(ANNA, reply("I still want it", first))

    assert (await box.request(second))["state"] == "unverified"


async def test_the_same_answer_of_account_twice_is_heard_once(box: PrivacyMailbox) -> None:
    request_id = await box.begun(mail(sender=ANNA.email))
    await box.room.hears(known(request_id, ANNA))
    before = await box.room.state("inbox", "positions")

    await box.room.hears(known(request_id, ANNA))

    assert await box.room.state("inbox", "positions") == before


# Somebody who writes for another


async def test_the_person_for_whom_somebody_writes_confirms_it_by_their_own_contact(box: PrivacyMailbox) -> None:
    by_ben = await box.begun(mail(f"{DELETE} I write for anna@mail.example.", BEN.email))
    await box.room.hears(unknown(by_ben))
    await box.room.does(AskContact(account_id=by_ben, request_id=by_ben, address=ANNA.email, actor="staff"))
    asked = [event for event in await box.room.announced() if event["type"] == "SenderAsked"][-1]
    assert (asked["address"], asked["on_behalf"]) == (ANNA.email, True)

    await box.room.hears(known(by_ben, ANNA, on_behalf=True))
    told = (await box.told())[-1]
    assert (told.notice, told.account_id, told.address) == ("prove-it-is-you", ANNA.account_id, None)

    await box.matched(ANNA, reply(told.parameters["code"], by_ben))
    assert (await box.request(by_ben))["state"] == "open"


async def test_who_writes_for_another_cannot_confirm_it_by_their_own_contact(box: PrivacyMailbox) -> None:
    by_ben = await box.matched(BEN, mail(f"{DELETE} I write for anna@mail.example.", BEN.email))
    await box.room.does(AskContact(account_id=BEN.account_id, request_id=by_ben, address=ANNA.email, actor="staff"))
    await box.room.hears(known(by_ben, ANNA, on_behalf=True))

    for person in (BEN, ANNA):
        await box.room.does(shown(by_ben, box.code(by_ben, BEN), person))
    await box.matched(BEN, reply(box.code(by_ben, BEN), by_ben, 1, BEN.email))

    request = await box.request(by_ben)
    assert (request["state"], request["account_id"]) == ("unverified", ANNA.account_id)


async def test_whoever_is_named_without_an_account_changes_nothing(box: PrivacyMailbox) -> None:
    by_ben = await box.matched(BEN, mail(DELETE, BEN.email))
    before = await box.request(by_ben)

    await box.room.hears(unknown(by_ben, on_behalf=True))

    assert await box.request(by_ben) == before


async def test_evidence_is_kept_for_staff_and_what_is_none_only_named(box: PrivacyMailbox) -> None:
    papers = multipart(
        part(b"I write for my mother"),
        attached("power of attorney.pdf", b"%PDF-1.7"),
        attached("tool.exe", b"MZ", "application/x-msdownload"),
        sender=BEN.email,
    )
    request_id = await box.begun(papers)

    async with box.room.engine.connect() as connection:
        found = await mails.attachments(connection, request_id)
        contents = [await mails.attachment(connection, request_id, row["mail_id"], row["number"]) for row in found]
        nobodys = await mails.attachment(connection, uuid4(), found[0]["mail_id"], 1)
    assert [(row["name"], row["kept"]) for row in found] == [("power of attorney.pdf", True), ("tool.exe", False)]
    assert contents == [b"%PDF-1.7", None]
    assert nobodys is None


# Ends


async def test_all_that_was_written_has_an_end(box: PrivacyMailbox) -> None:
    request_id = await box.begun(multipart(part(b"Hello"), attached("papers.pdf", b"%PDF")))
    await box.room.hears(unknown(request_id))
    ends = [row["ends_at"] for table in tables() for row in await box.room.rows(table)]
    assert len(ends) == 3
    assert all(ends)

    await sweep(
        box.room.engine, [Keep(each.ends_at, timedelta()) for each in WORDS_KEPT], max(ends) + timedelta(days=1)
    )

    assert [row for table in tables() for row in await box.room.rows(table)] == []


def tables() -> Sequence[Any]:
    return [each.__tablename__ for each in WORDS_KEPT]
