"""The rights of the person: exports."""

from shared.migrations import add_exports

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Exports
    add_exports()
