"""What is tested on the embedded engines, again on a broker and a database in containers."""

from __future__ import annotations

from tests.messaging.test_delivery import *  # noqa: F403 - all of it
from tests.messaging.test_purge import *  # noqa: F403
from tests.messaging.test_relay import *  # noqa: F403
from tests.ops.test_provision import *  # noqa: F403
from tests.shared.test_migrations import *  # noqa: F403
from tests.test_races import *  # noqa: F403
