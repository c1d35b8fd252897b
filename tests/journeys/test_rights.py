"""What a person asks for by mail, by the public doors of the running system, and what is left of it afterwards."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import httpx

from ops.system import System
from tests.people import Person, eventually, mails_by_address

CODE = re.compile(r"\b\d{8}\b")
REFERENCE = re.compile(r"\[([\w-]{20,60})\]")
MAIL = "From: {sender}\nTo: privacy@adieu.example\nSubject: My data\nMessage-ID: <{mark}@people.example>\n\n{text}\n"


async def mailed(person: Person, subject: str) -> str:
    """Wait for a mail, and read it."""
    mailbox = person.system.mailbox
    assert mailbox

    async def arrived() -> str | None:
        mails = mails_by_address(mailbox).get(person.email, [])
        return next((text for text in mails if text.startswith(subject)), None)

    return str(await eventually(arrived, f"mail: {subject}"))


async def status_of(person: Person, reference: str) -> dict[str, Any]:
    answer = await person.ask("requests", "GET", f"/requests/{reference}")
    assert answer.status_code == HTTPStatus.OK, answer.text
    return dict(answer.json())


async def brought(system: System, http: httpx.AsyncClient, mail: str) -> str:
    """Bring a mail to the privacy mailbox, as `adieu intake` does, and say what became of it."""
    door = f"{system.addresses.services['requests']}/internal/mails"
    headers = {"X-Internal-Token": system.installation.internal_token}
    return str((await http.post(door, content=mail, headers=headers)).json()["outcome"])


async def test_a_mail_becomes_a_request_when_the_contact_confirms_and_its_end_stays_shown(
    system: System, ada: Person, http: httpx.AsyncClient
) -> None:
    mail = MAIL.format(sender=ada.email, mark=ada.mark, text="Please delete all of my data.")

    assert [await brought(system, http, mail) for _ in range(2)] == ["taken", "taken"]
    answer = await mailed(ada, "We have received your mail")
    found = REFERENCE.search(answer.partition("\n")[0])
    assert found
    reference = found[1]
    assert (await status_of(ada, reference))["state"] == "unverified"

    code = CODE.search(await mailed(ada, "Is this request yours?"))
    assert code
    shown = await ada.ask("requests", "POST", f"/requests/{reference}/identity", json={"code": code[0]})
    assert (shown.json()["kind"], shown.json()["state"]) == ("deletion", "open")

    await ada.start_to_leave()
    await ada.leave()
    await eventually(ada.gone, "the end of the cancellation")
    after = await status_of(ada, reference)
    assert (after["state"], after["how"]) == ("account-cancelled", "account-cancelled")
    assert ada.mark not in str(after)
