"""The rights of the person: exports, periods of consent."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import add_category_marks, add_changes, add_consent_periods, add_exports

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Exports
    add_exports()
    # Withdrawal of consent
    add_consent_periods()
    # Deletion of categories
    add_category_marks()
    # Correction
    add_changes()
    # A copy of the data before a cancellation
    package_first = sa.Column("package_first", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("cancellations", package_first)
