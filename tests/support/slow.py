"""The tests that ``pytest -m "not slow"`` leaves out, in one table, so that the inner loop stays under 20 seconds.

An entry is a module or one test of a module. Add a test that uses more than half a second of processor time, starts
processes, or waits for seconds. A new test can use ``@pytest.mark.slow`` as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]

SLOW: Final = {
    "starts processes": [
        "cli/test_completion.py",
        "cli/test_demo.py",
        "cli/test_simulator.py",
        "cli/test_terminal.py",
        "cli/test_watch.py::test_if_it_is_asked_to_end_it_ends_well",
        "examples/test_fastapi_service.py",
        "examples/test_programs.py",
        "examples/test_telegram_bot.py",
        "http/test_connections.py",
        "http/test_proxies.py::test_the_demo_and_the_test_kit_send_nothing_to_a_proxy",
        "http/test_user_transports.py",
        "stores/test_lazily.py",
        "stores/test_processes.py",
        "support/test_transcripts.py",
        "test_benchmarks.py",
        "test_sync.py",
    ],
    "runs pytest inside of pytest": [
        "support/test_loopback_only.py::test_a_swallowed_attempt_fails_the_test_all_the_same",
        "test_docs.py::test_the_tests_of_a_page_pass",
        "testing/test_http_mocks.py",
        "testing/test_plugin.py",
    ],
    "stops, kills and restarts a real Redis": ["stores/test_redis_connection.py", "stores/test_redis_faults.py"],
    "tries thousands of orders or schedules": [
        "faults/test_cancellation.py",
        "limiter/test_bucket.py::TestBucketAgainstTheRule",
        "limiter/test_queue.py::test_three_thousand_random_cancellations_lose_no_token_and_no_slot",
        "limiter/test_schedules.py",
        "stores/test_permits.py",
    ],
    "makes hundreds or thousands of calls": [
        "faults/test_lockouts.py::test_five_wrong_passwords_among_two_hundred_leave_the_others_working_and_the_address_free",
        "faults/test_circuit_breaker.py",
        "faults/test_lockout_scenarios.py",
        "faults/test_secrecy.py::test_the_password_shows_nowhere_but_in_the_body",
        "test_client.py::test_ten_thousand_callers_of_one_account_make_one_request",
    ],
    "draws or renders much": [
        "cli/test_history.py::test_a_price_over_time_is_drawn",
        "report/test_page.py::test_it_is_small_though_every_price_is_another_in_every_list",
    ],
}
_ENTRIES: Final = frozenset(entry for entries in SLOW.values() for entry in entries)


def is_slow(nodeid: str) -> bool:
    """Return whether the table contains a test, its class or its module."""
    module, *names = nodeid.removeprefix("tests/").partition("[")[0].split("::")
    return any("::".join([module, *names[:length]]) in _ENTRIES for length in range(len(names) + 1))


def stale(entries: Iterable[str] = _ENTRIES, *, tests: Path = TESTS) -> list[str]:
    """Return the entries without a module or a test of that name."""
    return [entry for entry in sorted(entries) if not _exists(tests, *entry.partition("::")[::2])]


def _exists(tests: Path, module: str, name: str) -> bool:
    path = tests / module
    return path.is_file() and bool(re.search(rf"\b{name}\b", path.read_text("utf-8")))
