"""People and what they do, drawn by a seed: some leave, the others must not notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from chaos.simulation.room import KEY
from services.account.commands import (
    CancelAccount,
    ChangeEmail,
    ChangeProfile,
    ConfirmRegistration,
    ContinueCancellation,
    EndSessions,
    GiveConsent,
    KeepAccount,
    NewClient,
    OpenSession,
    Register,
    RequestEmailChange,
    ScheduleCancellation,
    StartCancellation,
    WithdrawConsent,
)
from services.account.domain.cancellations import Cancelled
from services.device.commands import BindDevice, RenameDevice, UnbindDevice
from shared.commands import ACCOUNT_CLOSED, CONSENT_WITHDRAWN, Command
from shared.contracts.account import POLICY, Origin
from shared.contracts.app import DeviceAdded, DeviceDeleted, FeedbackSubmitted, ReadingReported
from shared.contracts.base import AccountEvent
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.security import Person as Who
from shared.security import digest, issue_access_token

if TYPE_CHECKING:
    from chaos.simulation.world import World

Does = Callable[["World", "Person"], Awaitable[bool]]
"""What a person does next; false where that has to be tried again."""
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WITHDRAWN = ((POLICY,), ("collection:device", "collection:requests"), (POLICY, "collection:device", "use:notifier"))
DEBT_LAPSES = 20 * DAY
PAIRING_CODE = "4711"
LANGUAGES = ("de", "zh-Hans", "fr")


@dataclass(frozen=True)
class Action:
    """One thing that a person does."""

    name: str
    does: Does


@dataclass
class Person:
    """Somebody, with words that stand nowhere else."""

    mark: str
    leaves: bool
    plan: list[Action] = field(default_factory=list)
    email: str = ""
    wavers: bool = False
    """Has wanted to leave and stays: what is said about that depends on the moment."""
    owed: list[UUID] = field(default_factory=list)
    token: str = ""
    """Of a cancellation that was started."""
    cancelled: bool = False
    """Has been told that the account is gone."""

    def __post_init__(self) -> None:
        self.account_id = self.named("account")
        self.email = f"{self.mark}@mail.example"

    def named(self, *words: object) -> UUID:
        """Make an id of this person's that these words always give."""
        return uuid5(NAMESPACE_URL, "/".join(map(str, (self.mark, *words))))

    @property
    def serial(self) -> str:
        return f"device {self.account_id.hex[:6]}"

    @property
    def marks(self) -> list[str]:
        """What says something about this person."""
        return [self.mark, *(str(each) for each in self.owed)]

    def fact(self, kind: type[AccountEvent], world: World, *words: object, **fields: Any) -> AccountEvent:
        """State a fact about this person, as somebody outside does."""
        event_id = self.named(kind.__name__, *words)
        return kind(
            id=event_id,
            source=kind.topic.owner,
            occurred_at=world.clock(),
            correlation_id=event_id,
            account_id=self.account_id,
            **fields,
        )


def people(seed: int) -> list[Person]:
    """Draw who there is and what they plan."""
    draw = Random(f"people {seed}")
    found = [_leaver(draw, Person(f"mark{seed}leaver{number}", leaves=True)) for number in range(draw.randint(1, 2))]
    return [*found, _stayer(draw, Person(f"mark{seed}stayer", leaves=False))]


def couple(number: int) -> list[Person]:
    """Give two people who do most of what can be done: one leaves, one stays."""
    leaver, stayer = Person(f"mark{number}leaver", leaves=True), Person(f"mark{number}stayer", leaves=False)
    life = [
        Action("registers", _registers),
        Action("logs in", _logs_in),
        Action("moves to another address", _moves),
        Action("binds a device", _binds),
        Action("reports", _reports),
        Action("writes", _writes),
    ]
    leaver.plan = [*life, Action("leaves", _leaves), Action("goes on using the app", _goes_on)]
    stayer.plan = [*life, Action("owes", _owes), Action("pays", _pays)]
    return [leaver, stayer]


def _leaver(draw: Random, person: Person) -> Person:
    life = _life(draw)
    by_request = draw.random() < 0.4
    end = [Action("leaves by a request", _leaves_by_request) if by_request else _by_the_app(draw)]
    if draw.random() < 0.5:
        life.insert(draw.randint(0, len(life)), Action("owes", _owes))
        if not by_request:
            end = [Action("tries to leave", _tries_to_leave), Action("pays", _pays), *end]
        elif draw.random() < 0.5:
            end.insert(draw.randint(0, 1), Action("pays", _pays))
    if draw.random() < 0.4:
        life.insert(draw.randint(0, len(life)), Action("withdraws consent", _withdraws(draw.choice(WITHDRAWN))))
        life.append(Action("agrees again", _agrees))
    if draw.random() < 0.5:
        end.append(Action("goes on using the app", _goes_on))
    person.plan = [Action("registers", _registers), *life, *end]
    return person


def _by_the_app(draw: Random) -> Action:
    if draw.random() < 0.3:
        return Action("leaves after a cooling-off", _leaves_later)
    return Action("leaves", _leaves)


def _stayer(draw: Random, person: Person) -> Person:
    life = [*_life(draw), Action("owes", _owes), Action("pays", _pays)]
    if draw.random() < 0.4:
        life.append(Action("thinks better of leaving", _thinks_better))
        person.wavers = True
    # What is done by a topic is refused or not, as it comes before the withdrawal or after.
    if draw.random() < 0.4 and not any("topic" in action.name for action in life):
        life.append(Action("withdraws consent", _withdraws(draw.choice(WITHDRAWN))))
    person.plan = [Action("registers", _registers), *life, Action("reports", _reports), Action("writes", _writes)]
    return person


def _life(draw: Random) -> list[Action]:
    choices = [
        Action("logs in", _logs_in),
        Action("is called", _is_called),
        Action("speaks another language", _speaks(draw.choice(LANGUAGES))),
        Action("moves to another address", _moves),
        Action("binds a device", _binds),
        Action("writes", _writes),
    ]
    life = draw.sample(choices, draw.randint(2, len(choices)))
    if draw.random() < 0.5:
        life += [Action("changes devices by a topic", _changes_devices(number)) for number in range(3)]
    if any(action.does is _binds for action in life):
        life.append(Action("reports", _reports))
        if draw.random() < 0.2:
            life.append(Action("unbinds", _unbinds))
    return life


async def _registers(world: World, person: Person) -> bool:
    register = Register(
        account_id=person.account_id,
        email=person.email,
        password_hash=f"hash of {person.mark}",
        region="DE",
        language="en",
        policy_version="2026-01",
        code="12345678",
        code_digest="digest of the code",
        expires_at=world.clock() + DAY,
    )
    await world.ask("account", register)
    await world.ask("account", ConfirmRegistration(account_id=person.account_id, code_digest="digest of the code"))
    return True


async def _logs_in(world: World, person: Person) -> bool:
    for number in (1, 2):
        await world.ask(
            "account",
            OpenSession(
                account_id=person.account_id,
                session_id=person.named("session", number),
                password_hash=f"hash of {person.mark}",
                refresh_digest=f"{person.account_id} {number}",
                expires_at=world.clock() + 30 * DAY,
                new_client=NewClient(person.named("client", number), f"{person.account_id} {number}", person.mark),
            ),
        )
    await world.ask("account", EndSessions(account_id=person.account_id, but=person.named("session", 2)))
    return True


async def _is_called(world: World, person: Person) -> bool:
    await world.ask("account", ChangeProfile(account_id=person.account_id, changes={"nickname": person.mark}))
    return True


def _speaks(language: str) -> Does:
    async def speaks(world: World, person: Person) -> bool:
        await world.ask("account", ChangeProfile(account_id=person.account_id, changes={"language": language}))
        return True

    return speaks


async def _moves(world: World, person: Person) -> bool:
    """Change the address; who does not know whether that was heard looks first."""
    new = f"{person.mark}+new@mail.example"
    if world.account_of(person).get("email") == new:
        person.email = new
        return True
    attempt = world.attempt()
    change = RequestEmailChange(
        account_id=person.account_id,
        change_id=person.named("change", attempt),
        email=new,
        code="12345678",
        code_digest="digest of the code",
        expires_at=world.clock() + DAY,
    )
    shown = ChangeEmail(
        account_id=person.account_id,
        change_id=change.change_id,
        code_digest="digest of the code",
        undo_token=f"undo {person.mark}",
        undo_digest=f"digest {person.account_id}",
        undo_until=world.clock() + 7 * DAY,
    )
    await world.ask("account", change)
    outcome = await world.ask("account", shown)
    person.email = person.email if outcome == CONSENT_WITHDRAWN else new
    return True


async def _binds(world: World, person: Person) -> bool:
    world.make_device(person.serial)
    bind = BindDevice(
        account_id=person.account_id,
        serial=person.serial,
        pairing_digest=digest(person.serial, PAIRING_CODE),
        binding_id=person.named("binding"),
    )
    await world.ask("device", bind)
    name = RenameDevice(account_id=person.account_id, binding_id=person.named("binding"), name=person.mark)
    await world.ask("device", name)
    return True


async def _unbinds(world: World, person: Person) -> bool:
    await world.ask("device", UnbindDevice(account_id=person.account_id, binding_id=person.named("binding")))
    return True


def _changes_devices(number: int) -> Does:
    """Add a device, delete it, and add it again, each by a topic: only in this order it makes sense."""

    async def changes(world: World, person: Person) -> bool:
        serial, token = f"{person.serial} by topic", access_token(person, world.clock())
        world.make_device(serial)
        added = {"access_token": token, "pairing_code": PAIRING_CODE, "serial": serial}
        event = (
            person.fact(DeviceAdded, world, 1, **added),
            person.fact(DeviceDeleted, world, 2, access_token=token, binding_id=person.named("DeviceAdded", 1)),
            person.fact(DeviceAdded, world, 3, **added),
        )[number]
        world.publish(event, punctual=True)
        return True

    return changes


def access_token(person: Person, now: datetime) -> str:
    """Sign what shows who asks."""
    return issue_access_token(KEY, Who(person.account_id, person.named("session", "topic")), now)


async def _reports(world: World, person: Person) -> bool:
    for number in range(4):
        device = {"serial": person.serial} if number == 0 else {"binding_id": person.named("binding")}
        reading = {"measured_at": world.clock(), "values": {"pm25": number + 0.5}}
        world.publish(person.fact(ReadingReported, world, len(person.plan), number, **device, **reading))
    return True


async def _writes(world: World, person: Person) -> bool:
    world.publish(person.fact(FeedbackSubmitted, world, len(person.plan), text=f"{person.mark} likes it"))
    return True


def _withdraws(scopes: tuple[str, ...]) -> Does:
    """Take consent back. Nothing else happens at that moment: what is measured then is neither before nor after."""

    async def withdraws(world: World, person: Person) -> bool:
        world.tick(SECOND)
        await world.ask("account", WithdrawConsent(account_id=person.account_id, scopes=scopes))
        world.tick(SECOND)
        return True

    return withdraws


async def _agrees(world: World, person: Person) -> bool:
    for scopes in WITHDRAWN:
        await world.ask("account", GiveConsent(account_id=person.account_id, scopes=scopes))
    return True


async def _owes(world: World, person: Person) -> bool:
    installment = person.named("installment")
    person.owed.append(installment)
    lapse = {"lapses_at": world.clock() + DEBT_LAPSES}
    world.publish(person.fact(InstallmentOwed, world, installment_id=installment, **lapse))
    return True


async def _pays(world: World, person: Person) -> bool:
    world.publish(person.fact(InstallmentPaid, world, installment_id=person.named("installment")))
    return True


async def _goes_on(world: World, person: Person) -> bool:
    """Use the app as if nothing had happened: a phone that has not heard of it."""
    await _reports(world, person)
    await _writes(world, person)
    await _binds(world, person)
    await _is_called(world, person)
    return True


def _taps(world: World, person: Person) -> tuple[str, str, list[Command]]:
    attempt = world.attempt()
    reference, token = f"reference {attempt} {person.account_id}", f"token {attempt} {person.account_id}"
    start = StartCancellation(
        account_id=person.account_id, reference=reference, token_digest=token, expires_at=world.clock() + 10 * MINUTE
    )
    go_on = ContinueCancellation(account_id=person.account_id, reference=reference, token_digest=token)
    return reference, token, [start, go_on]


async def _leaves(world: World, person: Person) -> bool:
    """Tap twice, and a third time when it is the person's turn again: much can happen in between."""
    if not person.token:
        _, token, taps = _taps(world, person)
        for tap in taps:
            await world.ask("account", tap)
        person.token = token
        return False
    token, person.token = person.token, ""
    confirm = CancelAccount(account_id=person.account_id, origin=Origin.APP, token_digest=token)
    return await _confirmed(world, person, [confirm])


async def _tries_to_leave(world: World, person: Person) -> bool:
    """Try once; whoever owes something is most likely declined."""
    confirms = bool(person.token)
    return await _leaves(world, person) or confirms


async def _leaves_by_request(world: World, person: Person) -> bool:
    confirm = CancelAccount(account_id=person.account_id, origin=Origin.REQUEST)
    return await _confirmed(world, person, [confirm, confirm])


async def _confirmed(world: World, person: Person, confirm: Sequence[Command]) -> bool:
    """Confirm, perhaps twice; what was owed and is not settled may neither be lost nor stand in the way wrongly."""
    for each in confirm:
        held = world.held_of(person)
        outcome = await world.ask("account", each)
        world.saw_cancellation(person, each, outcome, held)
    person.cancelled = isinstance(outcome, Cancelled) or outcome == ACCOUNT_CLOSED
    return person.cancelled


async def _leaves_later(world: World, person: Person) -> bool:
    if not world.account_of(person) and world.is_closed(person):
        person.cancelled = True
        return True
    reference, token, taps = _taps(world, person)
    schedule = ScheduleCancellation(
        account_id=person.account_id, reference=reference, token_digest=token, due_at=world.clock() + 15 * MINUTE
    )
    for each in [*taps, schedule]:
        await world.ask("account", each)
    return False


async def _thinks_better(world: World, person: Person) -> bool:
    """Schedule, then keep the account; declined, never mind."""
    scheduled = world.scheduled(person)
    if scheduled:
        await world.ask("account", KeepAccount(account_id=person.account_id, reference=scheduled))
        return True
    reference, token, taps = _taps(world, person)
    schedule = ScheduleCancellation(
        account_id=person.account_id, reference=reference, token_digest=token, due_at=world.clock() + 90 * DAY
    )
    for each in [*taps, schedule]:
        await world.ask("account", each)
    await world.ask("account", KeepAccount(account_id=person.account_id, reference=reference))
    return True
