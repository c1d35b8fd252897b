"""The rights of the person: exports, periods of consent."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

from shared.migrations import add_category_marks, add_changes, add_consent_periods, add_exports, silence_statistics

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Exports
    add_exports()
    add_consent_periods()
    # Deletion of categories
    add_category_marks()
    # Correction
    add_changes()
    # Withdrawal of consent
    op.add_column("bindings", sa.Column("silent", TSTZMULTIRANGE))
    op.create_table("beyond_consent", sa.Column("account_id", sa.Uuid, primary_key=True))
    silence_statistics([("bindings", "silent")])
