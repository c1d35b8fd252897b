"""The privacy mailbox: how a mail comes in, and what it says."""
