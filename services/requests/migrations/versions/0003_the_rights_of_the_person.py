"""The rights of the person: requests, their audit chain, and what was written about them."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import MOMENT, add_category_marks, add_consent_periods, add_exports, silence_statistics

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    add_consent_periods()
    # Deletion of categories
    add_category_marks()
    _requests()
    _words()
    _packages()
    _deletions_and_corrections()
    _mails()


# Requests


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("channel", "state", "law")),
        sa.Column("scope", JSONB, nullable=False),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("received_at", "due_at", "look_at")),
        *(sa.Column(name, MOMENT) for name in ("ends_at", "stopped_at")),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("extended", "reminded")),
        *(sa.Column(name, sa.SmallInteger, nullable=False) for name in ("alarm", "tries")),
        *(sa.Column(name, MOMENT) for name in ("verified_at", "decided_at")),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("in_part", "fee_paid")),
        sa.Column("ended_at", MOMENT),
        *(sa.Column(name, sa.Text) for name in ("how", "ground")),
        sa.Column("audit_count", sa.Integer, nullable=False),
        sa.Column("audit_digest", sa.Text, nullable=False),
    )
    open_ones = sa.text("ended_at IS NULL")
    op.create_index("requests_account", "requests", ["account_id", "received_at", "request_id"])
    op.create_index("requests_queue", "requests", ["due_at", "request_id"], postgresql_where=open_ones)
    op.create_index("requests_look", "requests", ["look_at"], postgresql_where=open_ones)
    op.create_index("requests_ended", "requests", ["ended_at"])
    op.create_table(
        "request_references",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Uuid, _of_request(), nullable=False),
    )
    op.create_index("ix_request_references_request_id", "request_references", ["request_id"])
    op.create_table(
        "audit",
        sa.Column("request_id", sa.Uuid, _of_request(), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", MOMENT, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "step", "previous", "digest")),
    )


def _of_request() -> sa.ForeignKey:
    return sa.ForeignKey("requests.request_id", ondelete="CASCADE")


def _words() -> None:
    op.create_table(
        "request_words",
        *_of_account(),
        *(sa.Column(name, kind) for name, kind in (("text", sa.Text), ("values", JSONB), ("message_id", sa.Text))),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("written_at", "ends_at")),
    )
    op.create_table(
        "request_evidence",
        *_of_account(),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("authority", "note")),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.Column("accepted", sa.Boolean),
        sa.Column("ends_at", MOMENT, nullable=False),
    )
    op.create_table(
        "request_decisions",
        *_of_account(),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("said", JSONB, nullable=False),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("said_at", "ends_at")),
    )
    for table in ("request_words", "request_evidence", "request_decisions"):
        for name, column in (("account", "account_id"), ("request", "request_id"), ("end", "ends_at")):
            op.create_index(f"{table}_{name}", table, [column])
    silence_statistics(
        [
            *(("request_words", column) for column in ("text", "values", "message_id", "written_at")),
            *(("request_evidence", column) for column in ("note", "given_at")),
            *(("request_decisions", column) for column in ("said", "said_at")),
        ]
    )


def _of_account() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("request_id", "account_id")),
    ]


# Packages


def _packages() -> None:
    add_exports()
    op.create_table(
        "packages",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("public_key", JSONB, nullable=False),
        sa.Column("private_key", sa.LargeBinary),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("ordered_at", "asked_at", "answer_by")),
        sa.Column("ready", sa.Boolean, nullable=False),
        sa.Column("made_at", MOMENT),
        sa.Column("attempt", sa.Uuid),
        sa.Column("content_key", sa.LargeBinary),
        sa.Column("chunks", sa.Integer),
        sa.Column("size", sa.BigInteger),
        *(sa.Column(name, sa.Text) for name in ("link_digest", "code_digest")),
        *(sa.Column(name, MOMENT) for name in ("code_ends_at", "fetched_at", "ends_at")),
    )
    op.create_table(
        "export_dues",
        *_of_package("owner"),
        sa.Column("parts", sa.Integer),
        sa.Column("counts", JSONB),
        sa.Column("answered_at", MOMENT),
    )
    op.create_table("export_parts", *_of_package("owner", "number"), sa.Column("sealed", sa.Text, nullable=False))
    op.create_table(
        "package_chunks", *_of_package("attempt", "number"), sa.Column("content", sa.LargeBinary, nullable=False)
    )
    for table in ("packages", "export_dues", "export_parts", "package_chunks"):
        op.create_index(f"{table}_account", table, ["account_id"])
    op.create_index("packages_link", "packages", ["link_digest"])
    op.create_index("packages_open", "packages", ["asked_at"], postgresql_where=sa.text("made_at IS NULL"))
    op.create_index("packages_end", "packages", ["ends_at"])
    silence_statistics([("export_parts", "sealed"), ("package_chunks", "content")])


_KINDS = {"owner": sa.Text, "attempt": sa.Uuid, "number": sa.Integer}


def _of_package(*key: str) -> list[sa.Column[Any]]:
    return [
        sa.Column("request_id", sa.Uuid, primary_key=True),
        *(sa.Column(name, _KINDS[name], primary_key=True, autoincrement=False) for name in key),
        sa.Column("account_id", sa.Uuid, nullable=False),
    ]


# Deletion and correction


def _deletions_and_corrections() -> None:
    names = sa.ARRAY(sa.Text)
    op.add_column("owners", sa.Column("choosable", names, nullable=False, server_default=sa.text("'{}'")))
    op.add_column("orders", sa.Column("categories", names))
    op.add_column("orders", sa.Column("request_id", sa.Uuid))
    for table, answered_at, answer in (
        ("previews", "counted_at", "items"),
        ("correction_dues", "answered_at", "fields"),
    ):
        op.create_table(
            table,
            sa.Column("request_id", sa.Uuid, _of_request(), primary_key=True),
            sa.Column("owner", sa.Text, primary_key=True),
            sa.Column("asked_at", MOMENT, nullable=False),
            sa.Column(answered_at, MOMENT),
            sa.Column(answer, JSONB, nullable=False),
        )
        owed = sa.text(f"{answered_at} IS NULL")
        op.create_index(f"{table}_owed", table, ["asked_at"], postgresql_where=owed)


# By mail


def _mails() -> None:
    op.create_table(
        "mails",
        *_of_account(),
        sa.Column("sender", sa.Text),
        sa.Column("answers", sa.ARRAY(sa.Uuid), nullable=False),
        sa.Column("authenticated", sa.Boolean, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
    )
    op.create_table(
        "mail_attachments",
        sa.Column("mail_id", sa.Uuid, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("request_id", "account_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "media_type")),
        sa.Column("content", sa.LargeBinary),
        sa.Column("ends_at", MOMENT, nullable=False),
    )
    for table in ("mails", "mail_attachments"):
        for name, column in (("account", "account_id"), ("request", "request_id"), ("end", "ends_at")):
            op.create_index(f"{table}_{name}", table, [column])
    silence_statistics([("mail_attachments", column) for column in ("name", "media_type", "content")])
