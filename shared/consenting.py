"""How a service hears of consent, and how its doors ask: withdrawn, they are closed unless they say otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Depends

from shared.bus import Work
from shared.commands import CONSENT_WITHDRAWN, Command, KeepToConsent, Needs
from shared.consents import is_withdrawn, note
from shared.contracts.account import ConsentGiven, ConsentWithdrawn, scope_names
from shared.contracts.base import Event
from shared.contracts.topics import CONSENTS
from shared.http import refused
from shared.messaging.consumer import Subscription
from shared.security import Person
from shared.service import Running

Who = Callable[..., Awaitable[Person]]


def on_consent(event: Event) -> Command | None:
    """Account: what the person has withdrawn, and given again."""
    match event:
        case ConsentWithdrawn() | ConsentGiven():
            return KeepToConsent(
                account_id=event.account_id,
                caused_by=event,
                scopes=scope_names(event.scopes, whole_policy=event.whole_policy),
                since=event.occurred_at,
                given=isinstance(event, ConsentGiven),
            )
    return None


CONSENTS_HEARD = Subscription(CONSENTS, on_consent)


async def keep_to_consents(work: Work, commands: Sequence[KeepToConsent]) -> None:
    """Note what is withdrawn, and what is given again."""
    periods = [(c.account_id, scope, c.since, c.given) for c in commands for scope in c.scopes]
    if periods:
        await note(work.connection, periods)


def asks(who: Who, needs: Needs) -> Who:
    """Make a door ask for consent too: say who it is, unless what is needed is withdrawn (FastAPI dependency)."""

    async def consenting(service: Running, person: Person = Depends(who)) -> Person:
        async with service.engine.connect() as connection:
            if await is_withdrawn(connection, person.account_id, needs, service.name):
                raise refused(CONSENT_WITHDRAWN)
        return person

    return consenting
