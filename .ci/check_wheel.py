"""What holds for the installed wheel with run-time dependencies alone. Run by ``.ci/run`` away from the checkout."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import smsc_async

EXTRAS = ("h11", "rich", "typer", "trio", "pytest")

assert Path(sys.prefix) in Path(smsc_async.__file__).parents, f"{smsc_async.__file__} is not the installed one"
assert files(smsc_async).joinpath("py.typed").is_file(), "py.typed is not in the wheel"

loaded = [name for name in EXTRAS if name in sys.modules]
assert not loaded, f"import smsc_async loads {loaded}"

tariffs = smsc_async.decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.10"}')
assert tariffs.zone("1").api == Decimal("2.50"), tariffs

# Its template, style and script are files of the package.
snapshot = smsc_async.Snapshot("alex", datetime(2026, 11, 24, tzinfo=UTC), tariffs)
assert "Russia" in smsc_async.render_report([snapshot])


def told(*command: str) -> str:
    """Return what a command that fails says."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode != 0, f"{command} works without its extra"
    return ran.stderr


for extra, command in {
    "smsc-async[cli]": (str(Path(sys.executable).with_name("smsc-async")), "demo"),
}.items():
    error = told(*command)
    assert extra in error, f"the error does not name {extra}:\n{error}"
    print(f"without its extra: {error.strip().splitlines()[-1]}")
