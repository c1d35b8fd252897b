"""Rules of access: how long codes and sessions are good, and how often anything may be tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp

from shared.commands import Refusal

CODE_LIFE = timedelta(hours=24)
RESET_LIFE = timedelta(hours=1)
UNDO_LIFE = timedelta(days=7)
SESSION_LIFE = timedelta(days=30)
SESSION_IDLE = timedelta(days=14)
"""A session that was not refreshed for so long has ended."""
HISTORY_KEPT = timedelta(days=180)
CLIENT_KEPT = timedelta(days=365)
CODE_TRIES = 3
MOST_CLIENTS = 20
RECOVERY_CODES = 10
STEP_SECONDS = 30

CODE_WRONG = Refusal("code-wrong")
CREDENTIALS_WRONG = Refusal("credentials-wrong")
PASSWORD_TOO_COMMON = Refusal("password-too-common")
SESSION_ENDED = Refusal("session-ended")
NO_SUCH_SESSION = Refusal("no-such-session")
NO_SUCH_UNDO = Refusal("no-such-undo")
FACTOR_NEEDED = Refusal("second-factor-needed")
FACTOR_WRONG = Refusal("second-factor-wrong")
FACTOR_ENABLED = Refusal("second-factor-enabled")
FACTOR_MISSING = Refusal("no-such-second-factor")


@dataclass(frozen=True)
class Factor:
    """A second factor as it is kept, its secret opened."""

    secret: str
    confirmed: bool
    last_step: int


def step_of(factor: Factor, code: str, now: datetime) -> int | None:
    """Find the half minute that a code belongs to: this one or one beside it, later than any that was used."""
    one_time = pyotp.TOTP(factor.secret, interval=STEP_SECONDS)
    this = int(now.timestamp()) // STEP_SECONDS
    steps = (step for step in (this - 1, this, this + 1) if step > factor.last_step)
    return next((step for step in steps if pyotp.utils.strings_equal(one_time.generate_otp(step), code)), None)
