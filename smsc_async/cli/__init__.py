"""The commands. Need the extra: ``pip install "smsc-async[cli]"``."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command that the arguments of the process name, and end the process with its exit code."""
    interrupt = signal.getsignal(signal.SIGINT)
    # Ctrl-C during the imports shows no traceback; the background jobs of a script ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL if interrupt is signal.default_int_handler else interrupt)
    try:
        # Not above: this script is also installed without the extra, and then names the missing package.
        from smsc_async.cli.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        sys.stderr.write(f'smsc-async: the commands need {error.name}: pip install "smsc-async[cli]"\n')
        sys.exit(2)
    finally:
        signal.signal(signal.SIGINT, interrupt)
    run()
