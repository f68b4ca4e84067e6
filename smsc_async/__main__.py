"""``python -m smsc_async``: the commands, where the script ``smsc-async`` is not on the path."""

from smsc_async.cli import main

main()
