"""What account keeps, and what each column is."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Index, Integer, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.changes import ChangesBase
from shared.contracts.receipts import Phase
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, OfNobody, opaque, personal, rows, secret
from shared.tables import COLUMN_TYPES

RANDOM = "random id"


class Base(DeclarativeBase):
    """The metadata of account's own tables."""

    type_annotation_map = COLUMN_TYPES


class Registration(Base):
    """Somebody wants an account and has not shown yet that the address is theirs; becomes one, or expires."""

    __tablename__ = "registrations"
    __table_args__ = (Index("registrations_email", "email"), rows(OfAccount("id")))

    id: Mapped[UUID] = opaque("random id, becomes the account's", primary_key=True)
    email: Mapped[str] = personal(Category.EMAIL)
    password_hash: Mapped[str] = secret(Category.PASSWORD)
    region: Mapped[str] = personal(Category.REGION_AND_LANGUAGE)
    language: Mapped[str] = personal(Category.REGION_AND_LANGUAGE)
    policy_version: Mapped[str] = personal(Category.POLICY_AGREEMENT)
    code_digest: Mapped[str] = opaque("digest of a random code")
    tries: Mapped[int] = opaque("counts wrong codes", Integer)
    expires_at: Mapped[datetime] = opaque("end of this row")


class Account(Base):
    """A person's account."""

    __tablename__ = "accounts"
    __table_args__ = (
        Index("accounts_declined", "id", postgresql_where=text("declined")),
        rows(OfAccount("id")),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    email: Mapped[str] = personal(Category.EMAIL, unique=True)
    password_hash: Mapped[str] = secret(Category.PASSWORD)
    region: Mapped[str] = personal(Category.REGION_AND_LANGUAGE)
    language: Mapped[str] = personal(Category.REGION_AND_LANGUAGE)
    policy_version: Mapped[str] = personal(Category.POLICY_AGREEMENT)
    nickname: Mapped[str | None] = personal(Category.NICKNAME)
    avatar: Mapped[bytes | None] = personal(Category.AVATAR)
    avatar_media_type: Mapped[str | None] = personal(Category.AVATAR)
    totp_secret: Mapped[str | None] = secret(Category.SECOND_FACTOR)
    totp_confirmed: Mapped[bool] = opaque("whether the second factor is asked for", Boolean, server_default=false())
    totp_last_step: Mapped[int | None] = opaque("counts half minutes: a code works once", BigInteger)
    created_at: Mapped[datetime] = personal(Category.CREATION_TIME)
    version: Mapped[int] = opaque("counts changes of the profile", Integer, server_default=text("1"))
    contact_version: Mapped[int] = opaque("counts changes", Integer)
    declined: Mapped[bool] = opaque("a cancellation was declined, and the person wants to know when not", Boolean)


class Agreement(Base):
    """A version of the privacy policy that the person has agreed to."""

    __tablename__ = "agreements"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    policy_version: Mapped[str] = personal(Category.POLICY_AGREEMENT, primary_key=True)
    agreed_at: Mapped[datetime] = personal(Category.POLICY_AGREEMENT)


class PasswordReset(Base):
    """Somebody has forgotten the password, and has to show by a code that the address is theirs."""

    __tablename__ = "password_resets"
    __table_args__ = (
        Index("password_resets_account", "account_id"),
        Index("password_resets_expiry", "expires_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    code_digest: Mapped[str] = opaque("digest of a random code")
    tries: Mapped[int] = opaque("counts tries of the code", Integer)
    expires_at: Mapped[datetime] = opaque("end of this row")


class EmailChange(Base):
    """The person wants another address, and has to show by a code that it is theirs."""

    __tablename__ = "email_changes"
    __table_args__ = (
        Index("email_changes_account", "account_id"),
        Index("email_changes_expiry", "expires_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    email: Mapped[str] = personal(Category.EMAIL)
    code_digest: Mapped[str] = opaque("digest of a random code")
    tries: Mapped[int] = opaque("counts tries of the code", Integer)
    expires_at: Mapped[datetime] = opaque("end of this row")


class EmailUndo(Base):
    """An address that the account had, for as long as its holder can take it back."""

    __tablename__ = "email_undos"
    __table_args__ = (
        Index("email_undos_account", "account_id"),
        Index("email_undos_email", "email"),
        Index("email_undos_end", "ends_at"),
        rows(OfAccount()),
    )

    token_digest: Mapped[str] = opaque("digest of a random token", primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    email: Mapped[str] = personal(Category.EMAIL)
    ends_at: Mapped[datetime] = opaque("end of this row")


class RecoveryCode(Base):
    """A code that stands in for the second factor, once."""

    __tablename__ = "recovery_codes"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    code_digest: Mapped[str] = secret(Category.SECOND_FACTOR, primary_key=True)


class Client(Base):
    """A phone or browser that the account has been used with: a log-in from another one is told."""

    __tablename__ = "clients"
    __table_args__ = (
        Index("clients_account", "account_id"),
        Index("clients_token", "token_digest"),
        Index("clients_last_used", "last_used_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True, shown=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    token_digest: Mapped[str] = opaque("digest of a random token")
    name: Mapped[str | None] = personal(Category.LOGIN_TIMES)
    last_used_at: Mapped[datetime] = personal(Category.LOGIN_TIMES)


class Session(Base):
    """A log-in. Open until it is ended or expires; then history, for a time."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("sessions_account", "account_id"),
        Index("sessions_refresh", "refresh_digest"),
        Index("sessions_previous", "previous_digest"),
        Index("sessions_logged_in_at", "logged_in_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    client_id: Mapped[UUID | None] = opaque(RANDOM, shown=True)
    refresh_digest: Mapped[str] = opaque("digest of a random token")
    previous_digest: Mapped[str | None] = opaque("digest of the token before: who shows that one has stolen it")
    logged_in_at: Mapped[datetime] = personal(Category.LOGIN_TIMES)
    last_used_at: Mapped[datetime] = personal(Category.LOGIN_TIMES)
    expires_at: Mapped[datetime] = opaque("until when it can be refreshed")
    ended: Mapped[bool] = opaque("logged out", Boolean)


class Installment(Base):
    """An instalment: while it is open a hold, with its latest end.

    A settled one is remembered for as long as a topic can repeat it: publishers need not agree on partitions, so
    that it is paid may be heard before that it is owed.
    """

    __tablename__ = "installments"
    __table_args__ = (
        Index("installments_lapse", "lapses_at", postgresql_where=text("settled_at IS NULL")),
        rows(OfAccount()),
    )

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    installment_id: Mapped[UUID] = personal(Category.INSTALLMENTS, primary_key=True)
    lapses_at: Mapped[datetime | None] = personal(Category.INSTALLMENTS)
    settled_at: Mapped[datetime | None] = personal(Category.INSTALLMENTS)


class Cancellation(Base):
    """A cancellation that was started: every reference that the person holds."""

    __tablename__ = "cancellations"
    __table_args__ = (
        Index("cancellations_account", "account_id"),
        Index("cancellations_due", "due_at"),
        rows(OfAccount()),
    )

    reference: Mapped[str] = opaque("random secret", primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    token_digest: Mapped[str] = opaque("digest of a random token")
    started_at: Mapped[datetime] = personal(Category.CANCELLATION)
    expires_at: Mapped[datetime] = opaque("end of the token")
    continued: Mapped[bool] = opaque("has seen what will go", Boolean)
    package_first: Mapped[bool] = opaque("a copy of the data comes first", Boolean, server_default=false())
    tries: Mapped[int] = opaque("counts passwords tried", Integer)
    due_at: Mapped[datetime | None] = personal(Category.CANCELLATION)


class UsedToken(Base):
    """The answer that a confirmation was given: given again for a day, when account and password are gone."""

    __tablename__ = "used_tokens"
    __table_args__ = (
        Index("used_tokens_used_at", "used_at"),
        rows(OfNobody("digest of a random token, and the order it led to, for 24 hours")),
    )

    token_digest: Mapped[str] = opaque("digest of a random token", primary_key=True)
    reference: Mapped[str] = opaque("random secret")
    order_id: Mapped[UUID] = opaque(RANDOM)
    used_at: Mapped[datetime] = opaque("end of this row is a day later")


OWNER = DataOwner("account", Phase.DATA, Base.metadata, ChangesBase.metadata)
