"""The rights of the person: one request of each kind to its end, two in the app and two by e-mail."""

from __future__ import annotations

import asyncio
import io
import re
import smtplib
import zipfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from ops.demo.doors import ANSWER_SECONDS, Doors, NotHeldError, until
from ops.demo.people import Person
from ops.demo.stage import Stage
from ops.demo.story import CODE, FEEDBACK_A_PERSON, Story, reading_of
from ops.installation import Installation
from ops.mailbox import Mail
from shared.clock import clock_told_by
from shared.contracts.topics import TELEMETRY

PRIVACY_MAILBOX = "privacy@adieu.example"
READINGS = 50
DAYS_UNDECIDED = 26
REFERENCE = re.compile(r"\[([A-Za-z0-9_-]{20,60})\]")

RECEIVED_MAIL = "We have received your mail"
PROVE_IT = "Is this request yours?"
READY = "Your data is ready"
LONGER = "Your request takes longer"
RIGHT = "Your data is put right"
DONE = "Your request is done"


class Rights:
    """Cleo asks for a copy, has her name put right, her feedback deleted, and takes her consent back."""

    def __init__(self, installation: Installation, story: Story) -> None:
        self.story = story
        self.doors: Doors = story.doors
        self.stage: Stage = story.stage
        self.person = Person("Cleo", region="DE-BE", language="en")
        self.right_name = f"Cleopatra {self.person.mark}"
        self._installation = installation
        self._clock = clock_told_by(installation.clock_shift_file)
        self._staff_id = str(uuid4())

    async def play(self) -> None:
        """Live for a while, then ask for everything that the policy promises."""
        self.stage.scene(f"6  {self.person.name} uses her rights")
        with self.stage.step(f"{self.person.name} settles in") as step:
            await self.story.settle(self.person, readings=READINGS)
            step.detail = f"two devices with {READINGS} readings each, {FEEDBACK_A_PERSON} pieces of feedback"
        await self.access()
        await self.correction()
        await self.deletion()
        await self.withdrawal()

    # A copy, in the app

    async def access(self) -> None:
        """Ask for a copy and fetch it: nobody has to decide the first one in a year."""
        with self.stage.step("in the app: a copy of all data") as step:
            asked = await self._submit({"kind": "access"})
            package = await until("the package", self._package)
            await self._mail_about(READY, asked["reference"])
            step.detail = f"mail: “{READY}”; {package['size']:,} bytes, for 24 hours"
        with self.stage.step("it is fetched") as step:
            path = f"/v1/packages/{package['request_id']}"
            content = (await self._ask("requests", "GET", path, HTTPStatus.OK)).content
            step.detail = self._look_into(content)
            await self._ask("requests", "POST", f"{path}/arrived", HTTPStatus.NO_CONTENT)
            await self._ask("requests", "GET", path, HTTPStatus.NOT_FOUND)
        self.stage.note("and has arrived", "so it is erased here, with the key that it was made with")

    async def _package(self) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = (await self._ask("requests", "GET", "/v1/packages", HTTPStatus.OK)).json()
        return found[0] if found else None

    def _look_into(self, content: bytes) -> str:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            names = package.namelist()
            texts = {name: package.read(name).decode(errors="replace") for name in names}
        whole = "".join(texts.values())
        if self.person.nickname not in whole or self.person.feedback(0) not in whole:
            raise NotHeldError("the package lacks what the person has put in")
        if self.story.bystander.mark in whole:
            raise NotHeldError("the package holds what is somebody else's")
        owners = sorted({name.partition("/")[0] for name in names if "/" in name})
        return f"a ZIP of {len(names)} files: {', '.join(owners)}; manifest.json, index.html"

    # A correction, by e-mail

    async def correction(self) -> None:
        """Write a mail, show by a code that it is hers, have staff read it."""
        words = f"Hello, my name is wrong in my account, please correct it: {self.right_name}."
        reference = await self._write("Please correct my name", words)
        with self.stage.step("staff reads it") as step:
            values = {"nickname": self.right_name}
            await self._decide(reference, "kind", {"kind": "correction", "values": values})
            await self._mail_about(RIGHT, reference)
            profile = (await self._ask("account", "GET", "/v1/account", HTTPStatus.OK)).json()
            if profile["nickname"] != self.right_name:
                raise NotHeldError("the name is not as it was to be put right")
            step.detail = f"a correction of one field; account has put it right; mail: “{RIGHT}”"

    # A deletion of one category, in the app

    async def deletion(self) -> None:
        """Have one category deleted: as it was shown to staff, which takes longer than a month."""
        with self.stage.step("in the app: delete my feedback") as step:
            asked = await self._submit({"kind": "deletion", "categories": ["feedback"]})
            reference = asked["reference"]
            step.detail = f"due {asked['due_at'][:10]}; reference {reference}"
        await self._days_pass(asked["request_id"])
        with self.stage.step("staff takes longer, in time") as step:
            reason = "We have to look through your feedback for words of others."
            longer = await self._decide(reference, "extend", {"reason": reason})
            await self._mail_about(LONGER, reference)
            step.detail = f"until {longer['due_at'][:10]}; mail: “{LONGER}”"
        with self.stage.step("and accepts what it was shown") as step:
            await self._decide(reference, "preview", {}, HTTPStatus.ACCEPTED)
            preview = await until("the preview", lambda: self._preview(asked["request_id"]))
            await self._decide(reference, "accept", {"shown": preview["sha256"]})
            await self._mail_about(DONE, reference)
            if (await self._ask("requests", "GET", "/v1/feedback", HTTPStatus.OK)).json()["items"]:
                raise NotHeldError("feedback is still there")
            order = (await self.doors.ask("requests", "GET", f"/v1/orders/{reference}", HTTPStatus.OK)).json()
            step.detail = f"{_erased(preview)}; the certificate of order {order['order_id']}; mail: “{DONE}”"

    async def _preview(self, request_id: str) -> dict[str, Any] | None:
        preview: dict[str, Any] = (await self._staff("GET", f"/{request_id}/preview")).json()
        return None if preview["waits_for"] else preview

    # A withdrawal, by e-mail

    async def withdrawal(self) -> None:
        """Take consent back by a mail: nobody judges that."""
        reference = await self._write("Consent", "I withdraw my consent to your privacy policy.")
        with self.stage.step("staff reads it, and judges nothing") as step:
            await self._decide(reference, "kind", {"kind": "withdrawal", "whole_policy": True})
            await self._mail_about(DONE, reference)
            await self.doors.publish([reading_of(self.person, self.person.bindings[0], self._clock())])
            await self.doors.read_by("device", TELEMETRY)
            # Where device hears of the withdrawal after the reading, it takes that out again.
            await until("the end of what was measured after the withdrawal", self._only_what_was_before)
            step.detail = "what devices measure from now on is not taken in; what was before she can take along"
        status = (await self.doors.ask("requests", "GET", f"/v1/requests/{reference}", HTTPStatus.OK)).json()
        self.stage.note("each is shown by its reference", f"this one: {status['kind']}, {status['state']}")

    async def _only_what_was_before(self) -> bool | None:
        path = f"/v1/devices/{self.person.bindings[0]}/readings.ndjson"
        taken_along = (await self._ask("device", "GET", path, HTTPStatus.OK)).text.splitlines()
        return len(taken_along) == READINGS or None

    # How she asks, and who answers

    async def _submit(self, wish: Mapping[str, object]) -> dict[str, Any]:
        answer = await self._ask("requests", "POST", "/v1/requests", HTTPStatus.CREATED, json=wish)
        asked: dict[str, Any] = answer.json()
        return asked

    async def _write(self, subject: str, words: str) -> str:
        """Write to the privacy mailbox, and answer with the code that comes to the account's contact."""
        with self.stage.step(f"by e-mail: “{subject}”") as step:
            known = await self.doors.mails(self.person.email)
            await asyncio.to_thread(self._send, subject, words)
            reference = _reference_in(await self._newest(RECEIVED_MAIL, known))
            asked = await self._mail_about(PROVE_IT, reference)
            code = CODE.search(asked.text)
            if not code:
                raise NotHeldError("the mail that asks for proof has no code")
            await asyncio.to_thread(self._send, f"Re: {asked.subject}", f"Yes, it is me: {code[0]}")
            await until("proof of who asks", lambda: self._verified(reference))
            step.detail = "answered at once; a code goes to the account's contact, and comes back by mail"
        return reference

    def _send(self, subject: str, words: str) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.person.email, PRIVACY_MAILBOX, subject
        mail["Message-ID"] = make_msgid(domain="people.example")
        mail.set_content(words)
        host, _, port = self._installation.addresses.privacy_mailbox.rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=ANSWER_SECONDS) as relay:
            relay.send_message(mail)

    async def _newest(self, subject: str, known: Sequence[Mail]) -> Mail:
        async def attempt() -> Mail | None:
            mails = await self.doors.mails(self.person.email)
            return next((mail for mail in mails if mail.subject.startswith(subject) and mail not in known), None)

        return await until(f"the mail “{subject}”", attempt)

    async def _mail_about(self, subject: str, reference: str) -> Mail:
        return await self.doors.mail(self.person.email, f"{subject} [{reference}]")

    async def _verified(self, reference: str) -> bool | None:
        answer = await self.doors.ask("requests", "GET", f"/v1/requests/{reference}", HTTPStatus.OK)
        return answer.json()["verified_at"] is not None or None

    async def _ask(self, service: str, method: str, path: str, *expected: HTTPStatus, **request: Any) -> Any:  # noqa: ANN401 - what httpx takes and gives
        return await self.doors.ask(service, method, path, *expected, headers=self.person.authorization, **request)

    async def _staff(self, method: str, path: str, expected: HTTPStatus = HTTPStatus.OK, **request: Any) -> Any:  # noqa: ANN401 - what httpx takes and gives
        headers = {"Authorization": f"Bearer {self._installation.staff_token(self._staff_id)}"}
        path = f"/v1/staff/requests{path}"
        return await self.doors.ask("requests", method, path, expected, headers=headers, **request)

    async def _decide(
        self, reference: str, verb: str, body: Mapping[str, object], expected: HTTPStatus = HTTPStatus.OK
    ) -> dict[str, Any]:
        found = (await self.doors.ask("requests", "GET", f"/v1/requests/{reference}", HTTPStatus.OK)).json()
        answer = await self._staff("POST", f"/{found['request_id']}/{verb}", expected, json=body)
        decided: dict[str, Any] = answer.json()
        return decided

    async def _days_pass(self, request_id: str) -> None:
        """Move all services forward; whoever is logged in has to be so anew, as after such a time."""
        if self._installation.external_services:
            self.stage.note("no days pass", "the clocks of services that run elsewhere are not moved")
            return
        with self.stage.step(f"{DAYS_UNDECIDED} days pass") as step:
            self._installation.move_clocks(timedelta(days=DAYS_UNDECIDED))
            await self.story.open_session(self.person)
            waiting = (await self._staff("GET", f"/{request_id}")).json()
            step.detail = f"staff sees {waiting['days_left']} days left"


def _erased(preview: dict[str, Any]) -> str:
    return ", ".join(
        f"{owner['owner']}: {item['category']} {item['count']}"
        for owner in preview["owners"]
        for item in owner["items"]
        if item["outcome"] == "erased"
    )


def _reference_in(mail: Mail) -> str:
    found = REFERENCE.search(mail.subject)
    if not found:
        raise NotHeldError("the answer to a mail has no reference in its subject")
    return found[1]
