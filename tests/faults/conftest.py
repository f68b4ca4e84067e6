from __future__ import annotations

import pytest

from smsc_async.fetch import retries


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for hundredths of a second before another try, where a test asks what comes of the tries and not when."""
    monkeypatch.setattr(retries, "_FIRST_STEP", 0.02)
