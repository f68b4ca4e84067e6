"""The package of the stores, which loads each of them when it is asked for."""

from __future__ import annotations

import subprocess
import sys


def test_a_client_loads_no_store_that_it_does_not_use() -> None:
    told = (
        "import sys, smsc_async.client; print([name for name in sys.modules if name.startswith('smsc_async.stores.')])"
    )
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, encoding="utf-8", check=True).stdout
    assert "memory" in loaded
    assert not any(name in loaded for name in ("sqlite", "redis"))
