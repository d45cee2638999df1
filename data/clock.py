"""The one place where the clock is read; called by the front door and nowhere below."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from data.times import instant, parse_instant


def now() -> int:
    """This instant in microseconds UTC; `LEADSCORE_NOW` (ISO time) stands in for it in demos and rehearsals."""
    pretended = os.environ.get("LEADSCORE_NOW")
    return parse_instant(pretended) if pretended else instant(datetime.now(UTC))
