"""The rights of the person: periods of consent."""

from shared.migrations import add_consent_periods

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    add_consent_periods()
