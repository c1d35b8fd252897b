"""Commands for tests, with what a test does not care about filled in."""

from __future__ import annotations

import pyotp
from cryptography.fernet import Fernet

from services.account.commands import (
    CancelAccount,
    ConfirmRegistration,
    ContinueCancellation,
    EnableSecondFactor,
    NewClient,
    OpenSession,
    PrepareSecondFactor,
    Register,
    StartCancellation,
)
from services.account.handlers.second_factor import recovery_digest
from services.device.commands import BindDevice
from shared.commands import Command, EraseAccount
from shared.contracts.account import Origin
from shared.security import digest
from tests.builders import NEXT_MONTH, NOON, SOON, Person, named

CODE = "12345678"
SECOND_FACTOR_KEY = b"dGVzdHMgb25seSBvcGVuIG5vdGhpbmcgd2l0aCB0aGk="
PACKAGE_KEY = b"dGVzdHMgb25seSB3cmFwIG5vdGhpbmcgd2l0aCB0aGk="
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
RECOVERY_CODE = "00112233445566778899"
REFERENCE, TOKEN = "a reference of the person", digest("the token of the person")


PASSWORD_HASH = "a hash of a password"


def registered(person: Person) -> list[Command]:
    """Make an account: registered and confirmed."""
    code_digest = digest(str(person.account_id), CODE)
    return [
        Register(
            account_id=person.account_id,
            email=person.email,
            password_hash=PASSWORD_HASH,
            region="DE-BE",
            language="de",
            policy_version="2026-05",
            code=CODE,
            code_digest=code_digest,
            expires_at=SOON,
        ),
        ConfirmRegistration(account_id=person.account_id, code_digest=code_digest),
    ]


def with_second_factor(person: Person) -> list[Command]:
    """Have the account ask for a second factor, with one recovery code."""
    sealed = Fernet(SECOND_FACTOR_KEY).encrypt(TOTP_SECRET.encode()).decode()
    code = pyotp.TOTP(TOTP_SECRET).at(NOON)
    recovery = (recovery_digest(person.account_id, RECOVERY_CODE),)
    return [
        PrepareSecondFactor(account_id=person.account_id, sealed_secret=sealed),
        EnableSecondFactor(account_id=person.account_id, code=code, recovery_digests=recovery),
    ]


def logged_in(person: Person) -> OpenSession:
    """Open a session."""
    return OpenSession(
        account_id=person.account_id,
        session_id=named("session", person.name),
        password_hash=PASSWORD_HASH,
        refresh_digest=digest("refresh", person.name),
        expires_at=NEXT_MONTH,
        new_client=NewClient(named("client", person.name), digest("client", person.name), "a phone"),
    )


def cancellation_started(person: Person) -> StartCancellation:
    """First tap."""
    return StartCancellation(account_id=person.account_id, reference=REFERENCE, token_digest=TOKEN, expires_at=SOON)


def cancellation_continued(person: Person) -> ContinueCancellation:
    """Second tap."""
    return ContinueCancellation(account_id=person.account_id, reference=REFERENCE, token_digest=TOKEN)


def cancelled_in_app(person: Person) -> CancelAccount:
    """Third tap."""
    return CancelAccount(account_id=person.account_id, origin=Origin.APP, token_digest=TOKEN)


def cancelled_by_request(person: Person) -> CancelAccount:
    """Cancel as an accepted deletion request does."""
    return CancelAccount(account_id=person.account_id, origin=Origin.REQUEST)


def erased(person: Person) -> EraseAccount:
    """Erase, as an owner does that is told of the cancellation."""
    return EraseAccount(account_id=person.account_id, order_id=person.order_id)


SERIAL = "AIR-0001"
PAIRING = digest(SERIAL, "4711")
KNOW_THE_PRODUCT = "INSERT INTO products VALUES (:serial, 'Purifier 2', :pairing)"
KNOWN = {"serial": SERIAL, "pairing": PAIRING}


def bound(person: Person) -> BindDevice:
    """Add a device by its serial and code."""
    return BindDevice(
        account_id=person.account_id,
        serial=SERIAL,
        pairing_digest=PAIRING,
        binding_id=named("binding", person.name),
    )
