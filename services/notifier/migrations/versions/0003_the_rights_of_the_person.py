"""The rights of the person: exports, periods of consent."""

from shared.migrations import add_category_marks, add_consent_periods, add_exports

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
