"""What may be asked of account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.commands import Command, Lock, Needs
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
class TellOwner(Command):
    """Tell whose address it is that somebody else wanted to use it."""

    needs: ClassVar[Needs] = Needs.NOTHING


@dataclass(frozen=True)
class NewClient:
    """The phone or browser that a log-in comes from, for the case that it is not known yet."""

    client_id: UUID
    token_digest: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class OpenSession(Command):
    """Log in; the password was right. The same session again gets tokens anew, unless it was ended."""

    needs: ClassVar[Needs] = Needs.NOTHING

    session_id: UUID
    password_hash: str
    """What the password was checked against: it may have been changed meanwhile."""
    refresh_digest: str
    expires_at: datetime
    shown_client: str | None = None
    """Digest of the token by which the client is known, if it has shown one."""
    new_client: NewClient


@dataclass(frozen=True, kw_only=True)
class RefreshSession(Command):
    """Exchange a refresh token for the next one."""

    needs: ClassVar[Needs] = Needs.NOTHING

    refresh_digest: str
    next_digest: str


@dataclass(frozen=True, kw_only=True)
class EndSession(Command):
    """Log out."""

    needs: ClassVar[Needs] = Needs.NOTHING

    session_id: UUID


@dataclass(frozen=True, kw_only=True)
class EndSessions(Command):
    """Log out everywhere, or everywhere else."""

    needs: ClassVar[Needs] = Needs.NOTHING

    but: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class ProveSecondFactor(Command):
    """Show the second factor, if the account has one; each code works once."""

    needs: ClassVar[Needs] = Needs.NOTHING

    code: str | None


@dataclass(frozen=True, kw_only=True)
class PrepareSecondFactor(Command):
    """Keep the secret of a second factor that is not asked for yet."""

    sealed_secret: str


@dataclass(frozen=True, kw_only=True)
class EnableSecondFactor(Command):
    """Ask for the second factor from now on: a first code has shown that the person has it."""

    code: str
    recovery_digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RenewRecoveryCodes(Command):
    """Replace the codes that stand in for the second factor."""

    recovery_digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DropSecondFactor(Command):
    """Ask for the password alone from now on."""


@dataclass(frozen=True, kw_only=True)
class ChangeProfile(Command):
    """Change what the account says of the person; a `None` clears."""

    needs: ClassVar[Needs] = Needs.COLLECTION

    changes: Mapping[str, str | None]
    version: int | None = None
    """The version that was seen; none where any will do."""


@dataclass(frozen=True, kw_only=True)
class ChangeAvatar(Command):
    """Set the avatar."""

    needs: ClassVar[Needs] = Needs.COLLECTION

    avatar: bytes | None
    media_type: str | None
    version: int | None = None
    """The version that was seen; none where any will do."""


@dataclass(frozen=True, kw_only=True)
class ClearAvatar(ChangeAvatar):
    """Have no avatar: to forget is no collection."""

    needs: ClassVar[Needs] = Needs.POLICY

    avatar: bytes | None = None
    media_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class AgreeToPolicy(Command):
    """Agree to a version of the privacy policy."""

    needs: ClassVar[Needs] = Needs.NOTHING

    policy_version: str


@dataclass(frozen=True, kw_only=True)
class WithdrawConsent(Command):
    """Take consent back in these scopes: now, or from when that was wished by a request."""

    needs: ClassVar[Needs] = Needs.NOTHING

    scopes: tuple[str, ...]
    wished_at: datetime | None = None
    request_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class GiveConsent(Command):
    """Agree again in these scopes."""

    needs: ClassVar[Needs] = Needs.NOTHING

    scopes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ChangePassword(Command):
    """Set another password; the old one was right. Every other session ends."""

    password_hash: str
    session_id: UUID


@dataclass(frozen=True, kw_only=True)
class RequestPasswordReset(Command):
    """Have a code mailed to whoever has forgotten the password."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reset_id: UUID
    code: str
    code_digest: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ResetPassword(Command):
    """Set another password by the mailed code, and by the second factor where there is one."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reset_id: UUID
    code_digest: str
    second_factor_code: str | None
    password_hash: str
    password_is_address: bool = False
    """Said only to whoever has the code: the refusal would tell which addresses are known."""


@dataclass(frozen=True, kw_only=True)
class RequestEmailChange(Command):
    """Have a code mailed to the new address."""

    needs: ClassVar[Needs] = Needs.COLLECTION

    change_id: UUID
    email: str
    code: str
    code_digest: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ChangeEmail(Command):
    """Show by the code that the new address is one's own."""

    needs: ClassVar[Needs] = Needs.COLLECTION

    change_id: UUID
    code_digest: str
    undo_token: str
    undo_digest: str
    undo_until: datetime


@dataclass(frozen=True, kw_only=True)
class UndoEmailChange(Command):
    """Take the old address back, by what was mailed to it."""

    needs: ClassVar[Needs] = Needs.NOTHING

    token_digest: str


@dataclass(frozen=True, kw_only=True)
class AddInstallment(Command):
    """Note that an instalment is owed."""

    needs: ClassVar[Needs] = Needs.NOTHING

    installment_id: UUID
    lapses_at: datetime


@dataclass(frozen=True, kw_only=True)
class SettleInstallment(Command):
    """Note that an instalment is paid, or has lapsed: ends a hold, also of a closed account."""

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True

    installment_id: UUID


@dataclass(frozen=True, kw_only=True)
class DropHeldPayments(Command):
    """Erase payment messages that nobody could read and that a closed account held: their latest end has come."""

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class TellPossible(Command):
    """Tell the person that a cancellation that was declined is possible now."""

    needs: ClassVar[Needs] = Needs.NOTHING


@dataclass(frozen=True, kw_only=True)
class StartCancellation(Command):
    """First tap: ask to cancel, and be told what will go."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reference: str
    token_digest: str
    expires_at: datetime
    package_first: bool = False
    """Whether a copy of the data comes first."""


@dataclass(frozen=True, kw_only=True)
class ContinueCancellation(Command):
    """Second tap: go on, having seen what will go."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reference: str
    token_digest: str


@dataclass(frozen=True, kw_only=True)
class SpendTry(Command):
    """Before a password is checked for the third tap: count the try, so that parallel ones cannot exceed it."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reference: str
    token_digest: str


@dataclass(frozen=True, kw_only=True)
class ScheduleCancellation(Command):
    """Third tap where there is a cooling-off period: the password was right."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reference: str
    token_digest: str
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class GoOnWithoutPackage(Command):
    """A package is there no more: a cancellation that waited for it waits for the cooling-off period alone."""

    needs: ClassVar[Needs] = Needs.NOTHING


@dataclass(frozen=True, kw_only=True)
class KeepAccount(Command):
    """Undo a scheduled cancellation."""

    needs: ClassVar[Needs] = Needs.NOTHING

    reference: str


@dataclass(frozen=True, kw_only=True)
class CancelAccount(Command):
    """Cancel now: the third tap (`token_digest`; the password was right), its due date, or an accepted request."""

    needs: ClassVar[Needs] = Needs.NOTHING

    origin: Origin
    token_digest: str | None = None
    reference: str | None = None
    """What the person was given for the request, to see it again."""


@dataclass(frozen=True, kw_only=True)
class MatchSender(Command):
    """Say whose address has written to the privacy mailbox. `account_id` is the request's own."""

    needs: ClassVar[Needs] = Needs.NOTHING
    lock: ClassVar[Lock] = Lock.NONE
    """The accounts are locked when they are found."""
    outlives_account: ClassVar[bool] = True
    """An address that is nobody's gets an answer as well."""

    request_id: UUID
    address: str
    on_behalf: bool = False
