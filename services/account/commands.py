"""What may be asked of account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.commands import Command, Lock
from shared.contracts.account import Origin


@dataclass(frozen=True, kw_only=True)
class Register(Command):
    """Ask for an account. `account_id` is the registration's, and the account's if it is confirmed."""

    email: str
    password_hash: str
    region: str
    language: str
    policy_version: str
    code: str
    code_digest: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ConfirmRegistration(Command):
    """Show by the code that the address is one's own."""

    code_digest: str


@dataclass(frozen=True, kw_only=True)
class OpenSession(Command):
    """Log in; the password was right."""

    lock: ClassVar[Lock] = Lock.SHARED

    session_id: UUID
    refresh_digest: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class RefreshSession(Command):
    """Exchange a refresh token for the next one."""

    lock: ClassVar[Lock] = Lock.SHARED

    refresh_digest: str
    next_digest: str


@dataclass(frozen=True, kw_only=True)
class EndSession(Command):
    """Log out."""

    session_id: UUID


@dataclass(frozen=True, kw_only=True)
class ChangeNickname(Command):
    """Set or clear the nickname."""

    nickname: str | None


@dataclass(frozen=True, kw_only=True)
class ChangeAvatar(Command):
    """Set or clear the avatar."""

    avatar: bytes | None


@dataclass(frozen=True, kw_only=True)
class AddInstallment(Command):
    """Note that an instalment is owed."""

    installment_id: UUID
    lapses_at: datetime


@dataclass(frozen=True, kw_only=True)
class SettleInstallment(Command):
    """Note that an instalment is paid, or has lapsed: ends a hold, also of a closed account."""

    outlives_account: ClassVar[bool] = True

    installment_id: UUID


@dataclass(frozen=True, kw_only=True)
class DropHeldPayments(Command):
    """Erase payment messages that nobody could read and that a closed account held: their latest end has come."""

    outlives_account: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class TellPossible(Command):
    """Tell the person that a cancellation that was declined is possible now."""


@dataclass(frozen=True, kw_only=True)
class StartCancellation(Command):
    """First tap: ask to cancel, and be told what will go."""

    reference: str
    token_digest: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ContinueCancellation(Command):
    """Second tap: go on, having seen what will go."""

    reference: str
    token_digest: str


@dataclass(frozen=True, kw_only=True)
class SpendTry(Command):
    """Before a password is checked for the third tap: count the try, so that parallel ones cannot exceed it."""

    reference: str
    token_digest: str


@dataclass(frozen=True, kw_only=True)
class ScheduleCancellation(Command):
    """Third tap where there is a cooling-off period: the password was right."""

    reference: str
    token_digest: str
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class KeepAccount(Command):
    """Undo a scheduled cancellation."""

    reference: str


@dataclass(frozen=True, kw_only=True)
class CancelAccount(Command):
    """Cancel now: the third tap (`token_digest`; the password was right), its due date, or an accepted request."""

    origin: Origin
    token_digest: str | None = None
