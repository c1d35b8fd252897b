"""Who is there: people who leave, people who stay, and those who change something meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from argon2 import PasswordHasher

from ops.demo.people import ALPHABET, MARK_LENGTH, Person
from ops.installation import Installation
from services.account.commands import (
    ChangeAvatar,
    ChangeProfile,
    ConfirmRegistration,
    NewClient,
    OpenSession,
    Register,
)
from services.account.handlers import handlers
from services.account.settings import Settings
from shared.bus import CommandBus
from shared.clock import system_clock
from shared.commands import Command
from shared.database import engine_for
from shared.security import Person as Subject
from shared.security import digest, issue_access_token

CODE = "12345678"
# As weak as can be: what an honest hash costs is no matter of faults, and 200 of them take half a minute.
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
FIRST_LANGUAGE = "de"
AHEAD = timedelta(hours=2)
"""Tokens are good for longer than any clock is wrong."""


@dataclass
class Human(Person):
    """Somebody in the crowd, and what they hold of their cancellation."""

    password_hash: str = ""
    reference: str = ""
    token: str = ""
    confirmed: bool = False
    readings: list[UUID] = field(default_factory=list)
    """Those that were published, each by its id."""
    feedback_ids: list[UUID] = field(default_factory=list)


@dataclass(frozen=True)
class Crowd:
    """Everybody, by what they will do. All of a group share the first part of their mark."""

    leaving: Sequence[Human]
    staying: Sequence[Human]
    """They do nothing but live on: nothing of theirs may change."""
    changing: Sequence[Human]
    """They stay, and change a name, a device."""
    owing: Sequence[Human]
    """They want to leave and may not yet."""

    @property
    def everybody(self) -> list[Human]:
        return [*self.leaving, *self.staying, *self.changing, *self.owing]

    @property
    def remaining(self) -> list[Human]:
        return [*self.staying, *self.changing, *self.owing]


def gather(rng: random.Random, people: int) -> Crowd:
    """Think of so many people; four in five will leave."""
    others = max(1, people // 15)
    counts = {"Lea": people - 3 * others, "Stan": others, "Chan": others, "Owen": others}
    groups = [_group(rng, name, count) for name, count in counts.items()]
    return Crowd(*groups)


def _group(rng: random.Random, name: str, count: int) -> list[Human]:
    mark = "".join(rng.choice(ALPHABET) for _ in range(MARK_LENGTH))
    number = float(f"{rng.randint(1, 9)}{rng.randrange(1000):03}.{rng.randrange(10**7):07}1")
    return [
        Human(
            name=name,
            region="DE",
            language="en",
            mark=f"{mark}{nth:04}",
            number=number,
            account_id=UUID(int=rng.getrandbits(128), version=4),
        )
        for nth in range(count)
    ]


def group_marks(people: Sequence[Human]) -> tuple[str, str]:
    """Tell what a search for anything of a whole group looks for."""
    return people[0].mark[:MARK_LENGTH], str(people[0].number)


async def settle(installation: Installation, people: Sequence[Human]) -> None:
    """Open everybody's account at once, by account's own commands: HTTP and honest hashes would take a minute."""
    environment = {name.lower(): value for name, value in installation.service_environment("account").items()}
    settings = Settings(**environment)  # type: ignore[arg-type] # pydantic reads texts
    engine = engine_for(settings.database_url)
    bus = CommandBus("account", handlers, engine, system_clock, settings)
    now = system_clock()
    try:
        await bus.execute(*(_register(person, now) for person in people))
        await bus.execute(*(command for person in people for command in _confirm(person)))
        for person in people:
            await bus.execute(*_moving_in(person, settings, now))
    finally:
        await engine.dispose()


def _register(person: Human, now: datetime) -> Register:
    person.password_hash = HASHER.hash(person.password)
    return Register(
        account_id=person.account_id,
        email=person.email,
        password_hash=person.password_hash,
        region=person.region,
        language=FIRST_LANGUAGE,
        policy_version="2026-01",
        code=CODE,
        code_digest=digest(str(person.account_id), CODE),
        expires_at=now + timedelta(hours=1),
    )


def _confirm(person: Human) -> list[Command]:
    """Confirm the address and take another language in one breath: of two contacts the newer one counts."""
    who = person.account_id
    return [
        ConfirmRegistration(account_id=who, code_digest=digest(str(who), CODE)),
        ChangeProfile(account_id=who, changes={"language": person.language}),
    ]


def _moving_in(person: Human, settings: Settings, now: datetime) -> list[Command]:
    session, key = uuid4(), settings.access_token_private_key
    person.access_token = issue_access_token(key, Subject(person.account_id, session), now + AHEAD)
    return [
        OpenSession(
            account_id=person.account_id,
            session_id=session,
            password_hash=person.password_hash,
            refresh_digest=digest(str(session)),
            expires_at=now + timedelta(days=1),
            new_client=NewClient(uuid4(), digest(str(session), "client"), None),
        ),
        ChangeProfile(account_id=person.account_id, changes={"nickname": person.nickname}),
        ChangeAvatar(account_id=person.account_id, avatar=person.avatar, media_type="image/png"),
    ]
