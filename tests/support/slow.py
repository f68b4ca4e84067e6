"""The tests that do not always run, in five tables.

- ``SLOW``: ``pytest -m "not slow"`` leaves these tests out, so that the inner loop takes some 15 seconds. Add a test that uses
  more than a quarter of a second of processor time, starts processes, or waits for a second.
- ``EXHAUSTIVE``: ``pytest`` leaves these tests out, unless a file or ``--exhaustive`` is named on its command line. They repeat what other
  tests show, over whole matrices, hundreds of accounts or dozens of processes. ``.ci/run`` runs them once.
- ``PAIRS``: of these tests with three or more parameters, ``pytest`` runs cases that together have each pair of values. The other
  cases are exhaustive.
- ``VALUES``: of these tests, whose parameters have nothing to do with each other, ``pytest`` runs cases that together have each
  value. The other cases are exhaustive.
- ``LOOPS_IN_TURN``: each case of these tests runs on one event loop, the first on asyncio, the second on trio, and so on. The same
  case on the other loop is exhaustive. They make hundreds of calls or wait for seconds, or their module is far from the event loop;
  smaller tests of the same path, and those of the client, run on both.

An entry is a module or one test of a module. Each exhaustive test counts as slow. A test may mark single cases as well, for
example all seeds but the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import pytest
from _pytest.mark import ParameterSet

from tests.support.pairwise import each_value, pairwise
from tests.support.virtual_time import BACKEND_NAMES

T = TypeVar("T")
TESTS: Final = Path(__file__).parents[1]

SLOW: Final = {
    "starts processes": [
        "cli/test_completion.py",
        "cli/test_demo.py",
        "cli/test_main.py::test_a_disk_that_is_full_has_one_sentence_and_one_code",
        "cli/test_main.py::test_a_reader_who_has_seen_enough_ends_the_process_quietly",
        "cli/test_main.py::test_help_does_not_import_what_only_a_command_needs",
        "cli/test_main.py::test_no_file_gets_the_number_of_a_stream_that_is_closed",
        "cli/test_main.py::test_the_package_runs_as_a_module",
        "cli/test_simulator.py",
        "cli/test_status.py::test_what_a_killed_command_has_left_is_shown",
        "cli/test_terminal.py",
        "examples/test_celery_tasks.py",
        "examples/test_django_service.py",
        "examples/test_fastapi_service.py",
        "examples/test_programs.py",
        "examples/test_telegram_bot.py",
        "history/test_history.py::test_a_thread_that_begins_to_write_takes_no_lock_from_another",
        "history/test_history.py::test_two_processes_may_add_at_once",
        "history/test_locks.py",
        "http/test_connections.py",
        "http/test_proxies.py::test_the_demo_sends_nothing_to_a_proxy",
        "http/test_user_transports.py",
        "limiter/test_clock.py::test_thirty_event_loops_in_a_second_share_three_tokens",
        "stores/test_lazily.py",
        "stores/test_lifecycle.py::test_a_copy_in_a_spawned_process_shares_the_quota",
        "stores/test_private_files.py::test_processes_that_start_together_have_one_key",
        "stores/test_processes.py",
        "support/test_transcripts.py",
        "test_imports.py",
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
        "decoder/test_decode.py::test_garbage_is_refused_quickly",
        "decoder/test_differential.py",
        "faults/test_cancellation.py",
        "faults/test_lockout_schedules.py",
        "fetch/test_lockout.py::TestService",
        "fetch/test_lockout.py::test_no_healthy_account_waits_ten_seconds_after_the_last_cause_unless_errors_are_known",
        "fetch/test_lockout.py::test_untested_credentials_never_cause_a_fifth_error_with_a_known_outcome",
        "fuzz/test_fuzz.py",
        "limiter/test_bucket.py::TestBucketAgainstTheRule",
        "limiter/test_bucket.py::test_nothing_is_forgotten_before_its_token_is_free_nor_kept_for_long",
        "limiter/test_queue.py::test_three_thousand_random_cancellations_lose_no_token_and_no_slot",
        "limiter/test_schedules.py",
        "limiter/test_threads.py",
        "stores/test_permits.py",
    ],
    "makes hundreds or thousands of calls": [
        "faults/test_lockouts.py::test_five_wrong_passwords_among_two_hundred_leave_the_others_working_and_the_address_free",
        "faults/test_circuit_breaker.py",
        "faults/test_lockout_scenarios.py",
        "faults/test_secrecy.py::test_the_password_shows_nowhere_but_in_the_body",
        "fetch/test_bulk.py::test_a_slow_account_keeps_nobody_back",
        "fetch/test_bulk.py::test_an_endless_source_is_drawn_as_there_is_room",
        "fetch/test_bulk.py::test_every_account_has_one_outcome",
        "history/test_watch.py::test_each_change_of_many_accounts_is_reported_once_across_restarts",
        "history/test_watch.py::test_of_300_watches_those_with_wrong_passwords_end_and_no_other",
        "history/test_watch.py::test_two_watches_of_one_history_report_a_change_once",
        "test_client.py::test_no_call_of_four_workers_waits_for_a_list_that_is_refreshed_in_the_background",
    ],
    "waits for windows, leases and deadlines in real time": [
        "cli/test_history.py::test_what_cannot_be_had_is_told",
        "cli/test_watch.py",
        "cli/test_watch_processes.py",
        "faults/test_tls_and_names.py",
        "faults/test_wire.py",
        "http/test_hosts_and_threads.py",
        "http/test_limited_transport.py::test_an_exchange_ends_at_its_limit",
        "http/test_proxies.py::test_a_host_of_no_proxy_is_connected_directly",
        "http/test_proxies.py::test_a_proxy_of_the_environment_carries_the_request",
        "http/test_proxies.py::test_a_proxy_that_refuses_is_named_and_costs_no_token",
        "stores/test_cold_start.py",
        "stores/test_contract.py",
        "stores/test_early_permits.py::test_a_follower_takes_no_permit_while_it_waits",
        "stores/test_lockouts.py",
        "stores/test_loss.py",
        "stores/test_preconditions.py",
        "stores/test_shared.py",
        "stores/test_sqlite.py",
        "support/test_stopwatch.py",
        "telemetry/test_events.py::test_a_list_of_another_process_is_cached_or_shared",
        "test_client_sockets.py",
        "test_docs.py::test_an_example_prints_what_the_page_says",
        "test_long_lists.py::test_a_deadline_does_not_wait_for_the_reading",
    ],
    "reads the source of the whole package": [
        "support/test_code_lines.py::test_the_core_is_the_package_without_its_applications",
        "support/test_code_lines.py::test_the_package_stays_within_its_bound",
        "support/test_code_lines.py::test_the_script_prints_the_parts_that_have_a_bound",
        "test_private_names.py::test_no_private_name_of_a_dependency_is_used",
    ],
    "opens a database or a file for each of many kinds of damage": [
        "history/test_history.py::test_a_damaged_list_counts_as_absent_and_is_logged_once",
        "history/test_history.py::test_a_row_of_odd_types_counts_as_absent",
        "history/test_packing.py::test_bytes_that_are_damaged_or_inflate_without_end_are_no_list",
        "stores/test_memory.py::test_a_list_weighs_no_more_than_it_is_counted_for",
        "stores/test_sealed_lists.py::test_a_damaged_or_forged_list_counts_as_absent_and_is_reported_once",
    ],
    "draws or renders much": [
        "cli/test_chart.py",
        "cli/test_history.py::test_a_chart_is_called_whatever_a_zone_is_called",
        "cli/test_history.py::test_a_price_over_time_is_drawn",
        "cli/test_narrow.py::test_all_accounts_are_compared_however_many",
        "cli/test_narrow.py::test_no_price_and_no_name_is_cut",
        "report/test_page.py::test_it_is_small_though_every_price_is_another_in_every_list",
    ],
}
EXHAUSTIVE: Final = {
    "every command in every environment": ["cli/test_environments.py"],
    "every section, page or setting, each in processes of its own": [
        "cli/test_chart.py::test_the_settings_of_matplotlib_have_no_effect",
        "cli/test_completion.py::test_a_tab_in_bash_completes_a_command_and_an_account",
        "cli/test_terminal.py::test_no_color_is_heard_on_a_terminal",
        "cli/test_terminal.py::test_progress_is_for_the_terminal_alone_and_goes_away",
        "cli/test_terminal.py::test_the_help_fits_the_terminal",
        "support/test_transcripts.py::test_the_commands_of_a_page_print_what_it_shows",
        "test_benchmarks.py::test_every_section_prints_its_table",
    ],
    "hundreds of accounts, thousands of calls, or many seeds": [
        "faults/test_lockout_scenarios.py::test_10_watches_end_only_for_their_own_wrong_password",
        "faults/test_circuit_breaker.py::test_an_hour_without_the_service_costs_no_more_requests_than_one_with_it",
        "fetch/test_lockout_scenarios.py",
        "limiter/test_schedules.py",
        "test_client.py::test_ten_thousand_callers_of_one_account_make_one_request",
    ],
    "a master that is stopped or killed, while Sentinels watch it": [
        "stores/test_redis_sentinel.py::test_a_failover_is_a_loss",
        "stores/test_redis_sentinel.py::test_a_former_master_that_is_back_is_not_asked_by_a_worker_that_was_idle",
        "stores/test_redis_sentinel.py::test_every_call_ends_in_time_while_the_master_is_stopped_and_replaced",
    ],
    "several processes over real servers, as an application runs them": [
        "examples/test_celery_tasks.py",
        "examples/test_fastapi_service.py::test_four_workers_that_start_together_send_one_request_and_share_one_quota",
        "examples/test_telegram_bot.py",
        "stores/test_cluster_processes.py",
        "stores/test_processes.py::test_eight_processes_share_one_quota_though_one_is_killed_while_it_holds_a_permit",
        "stores/test_processes.py::test_no_call_of_four_processes_waits_while_one_of_them_refreshes_the_list",
        "stores/test_processes.py::test_the_places_and_tokens_of_a_killed_process_are_free_after_its_leases",
        "stores/test_redis_faults.py::test_every_script_keeps_to_one_slot_of_a_cluster",
    ],
    "the scenarios of the lockout with the real constants, in real time": ["faults/test_lockout_sockets.py"],
    "the same at every line, in every order, or after every kill": [
        "cli/test_watch_processes.py::test_killed_twelve_times_with_a_receiver_down_and_one_refusing_it_loses_nothing_and_repeats_at_most_the_last",
        "http/test_connections.py::test_every_connection_carries_one_request_in_loops_in_turn_and_around_a_fork",
        "http/test_trace_secrets.py",
        "stores/test_processes.py::test_a_program_that_is_restarted_over_and_over_keeps_the_quota",
    ],
    "tables of 20,000 rows": [
        "cli/test_tables.py::test_a_table_of_20_000_rows_costs_at_most_three_times_its_csv",
        "cli/test_tables.py::test_changes_cost_at_most_three_times_their_csv",
    ],
}
PAIRS: Final = [
    "faults/test_lockout_scenarios.py::test_1_a_moved_address_costs_at_most_four_errors",
    "faults/test_secrecy.py::test_the_password_shows_nowhere_but_in_the_body",
    "fetch/test_stale_lists.py::test_a_call_does_not_wait_for_a_request_that_is_refused",
    "http/test_connections.py::test_a_second_answer_is_returned_to_nobody",
    "http/test_hosts_and_threads.py::test_calls_return_though_all_threads_of_the_application_wait_for_them",
    "http/test_proxies.py::test_a_proxy_of_the_environment_carries_the_request",
    "http/test_user_transports.py::test_a_failure_of_the_network_says_by_the_body_alone_whether_it_was_sent",
    "simulator/test_requests.py::test_a_login_in_any_charset_is_the_same_login",
    "simulator/test_responses.py::test_every_refusal_comes_with_status_200_in_the_format_asked_for",
    "simulator/test_responses.py::test_the_list_comes_in_every_format_and_charset_by_get_and_by_post",
    "decoder/test_refusals.py::test_a_refusal_is_its_error_whatever_was_asked_for",
]
# One reader of rows and one grammar of prices serve all formats.
VALUES: Final = [
    "cli/test_price.py::test_what_can_name_nothing_costs_no_request",
    "decoder/test_assemble.py::test_an_odd_character_in_a_name_costs_nothing",
    "decoder/test_assemble.py::test_an_odd_character_in_a_number_is_refused",
    "decoder/test_assemble.py::test_an_operator_has_four_to_seven_digits",
    "decoder/test_assemble.py::test_anything_else_is_no_operator",
    "decoder/test_assemble.py::test_the_number_of_a_zone_is_any_short_text",
    "decoder/test_assemble.py::test_two_rows_that_differ_in_any_member_are_refused",
    "decoder/test_decode.py::test_a_list_that_is_cut_anywhere_is_never_a_short_list",
    "decoder/test_decode.py::test_an_empty_answer_is_incomplete",
    "decoder/test_decode.py::test_garbage_is_refused_in_bounded_memory",
    "decoder/test_decode.py::test_what_is_no_answer_of_the_service_is_refused",
    "decoder/test_prices.py::test_a_price_keeps_the_digits_that_were_sent",
    "decoder/test_prices.py::test_a_second_decimal_mark_and_a_lone_one_are_refused",
    "decoder/test_prices.py::test_an_absent_price_is_no_price_and_shifts_none",
    "http/test_proxies.py::test_a_proxy_that_refuses_is_named_and_costs_no_token",
    "simulator/test_faults.py::test_a_status_comes_as_a_page_with_the_retry_after_it_was_given",
    "simulator/test_responses.py::test_incomplete_or_unknown_parameters_are_error_1_and_no_wrong_password",
    "stores/test_lifecycle.py::test_a_memory_store_in_use_refuses_a_copy",
]
LOOPS_IN_TURN: Final = [
    "cli/test_notify.py",
    "cli/test_webhook.py",
    "faults/test_cancellation.py",
    "faults/test_circuit_breaker.py",
    "faults/test_lockout_scenarios.py",
    "faults/test_lockouts.py",
    "faults/test_secrecy.py",
    "faults/test_tls_and_names.py::test_a_deadline_while_certificates_are_read_is_kept",
    "faults/test_tls_and_names.py::test_a_handshake_that_never_ends_is_bounded_and_leaves_no_socket_open",
    "faults/test_tls_and_names.py::test_a_name_that_hangs_ends_at_the_deadline_and_closing_does_not_wait_for_it",
    "faults/test_wire.py::test_a_redirect_is_an_error_and_nothing_goes_to_the_other_host",
    "faults/test_wire.py::test_however_much_comes_little_of_it_is_kept",
    "faults/test_wire.py::test_what_goes_wrong_ends_in_its_error_and_the_next_call_is_fine",
    "fetch/test_bulk.py",
    "history/test_history.py",
    "history/test_watch.py",
    "http/test_hosts_and_threads.py::test_the_reserve_host_answers_in_time_if_the_first_drops_packets_and_is_first_from_then_on",
    "http/test_limited_transport.py::test_an_exchange_ends_at_its_limit",
    "http/test_limited_transport.py::test_only_a_connect_error_of_httpx_itself_refunds",
    "http/test_proxies.py::test_a_host_of_no_proxy_is_connected_directly",
    "http/test_send.py",
    "limiter/test_queue.py::test_every_request_of_a_login_holds_a_slot_however_it_names_it",
    "limiter/test_queue.py::test_three_thousand_random_cancellations_lose_no_token_and_no_slot",
    "simulator/test_faults.py",
    "simulator/test_limits.py",
    "stores/test_contract.py",
    "stores/test_lockouts.py",
    "stores/test_memory.py",
    "telemetry/test_events.py::test_a_list_of_another_process_is_cached_or_shared",
    "test_client.py::test_no_call_of_four_workers_waits_for_a_list_that_is_refreshed_in_the_background",
    "test_long_lists.py::test_a_deadline_does_not_wait_for_the_reading",
]


def _entries(*tables: Mapping[str, list[str]]) -> frozenset[str]:
    return frozenset(entry for table in tables for entries in table.values() for entry in entries)


_SLOW: Final = _entries(SLOW, EXHAUSTIVE)
_EXHAUSTIVE: Final = _entries(EXHAUSTIVE)
_LOOPS_IN_TURN: Final = frozenset(LOOPS_IN_TURN)
EXHAUSTIVE_CASE: Final = (pytest.mark.exhaustive, pytest.mark.slow)


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark the tests and the cases of the tables. Each name is looked up once, because a test may have hundreds of cases."""
    by_name: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_name.setdefault(_name(item.nodeid), []).append(item)
    loops: list[pytest.Item] = []
    for name, cases in by_name.items():
        if is_slow(name):
            _add_markers(cases, pytest.mark.slow)
        if is_exhaustive(name):
            _add_markers(cases, pytest.mark.exhaustive)
        if name in PAIRS:
            _mark_all_but(pairwise, cases)
        if name in VALUES:
            _mark_all_but(each_value, cases)
        if _contains(_LOOPS_IN_TURN, name):
            loops += cases
    _mark_loops_in_turn(loops)


def _mark_all_but(covering: Callable[[list[dict[str, object]]], list[int]], items: Iterable[pytest.Item]) -> None:
    cases = [item for item in items if isinstance(item, pytest.Function) and not item.get_closest_marker("exhaustive")]
    chosen = covering([case.callspec.params for case in cases])
    _add_markers((case for number, case in enumerate(cases) if number not in chosen), *EXHAUSTIVE_CASE)


def _mark_loops_in_turn(items: Iterable[pytest.Item]) -> None:
    cases: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        test, _, case = item.nodeid.partition("[")
        loop = next((each for each in BACKEND_NAMES if each in case), "")
        cases.setdefault(f"{test}[{case.replace(loop, '')}", {})[loop] = item
    for number, by_loop in enumerate(each for each in cases.values() if len(each) == len(BACKEND_NAMES)):
        _add_markers([by_loop[BACKEND_NAMES[1 - number % 2]]], *EXHAUSTIVE_CASE)


def _add_markers(items: Iterable[pytest.Item], *markers: pytest.MarkDecorator) -> None:
    for item in items:
        for marker in markers:
            item.add_marker(marker)


def on_loops_in_turn(cases: Iterable[T], name: Callable[[T], str] = str) -> list[ParameterSet]:
    """Return each case with both event loops; one of them is exhaustive: the first loop of every other case, else the second."""
    return [
        pytest.param(
            case,
            loop,
            id=f"{name(case)}-{loop}",
            marks=EXHAUSTIVE_CASE if (number + place) % 2 else [],
        )
        for number, case in enumerate(cases)
        for place, loop in enumerate(BACKEND_NAMES)
    ]


def exhaustive_after(count: int, cases: Iterable[T]) -> list[T | ParameterSet]:
    """Return the parameters of a test, all but the first ones marked as exhaustive."""
    return [each if n < count else pytest.param(each, marks=EXHAUSTIVE_CASE) for n, each in enumerate(cases)]


def is_slow(nodeid: str) -> bool:
    """Return whether a table contains a test, its class or its module."""
    return _contains(_SLOW, nodeid)


def is_exhaustive(nodeid: str) -> bool:
    """Return whether the table of exhaustive tests contains a test, its class or its module."""
    return _contains(_EXHAUSTIVE, nodeid)


def _contains(entries: frozenset[str], nodeid: str) -> bool:
    module, *names = _name(nodeid).split("::")
    return any("::".join([module, *names[:length]]) in entries for length in range(len(names) + 1))


def _name(nodeid: str) -> str:
    """Return the name of a test in the tables."""
    return nodeid.partition("[")[0].removeprefix("tests/")


def stale(entries: Iterable[str] = (*_SLOW, *PAIRS, *VALUES, *LOOPS_IN_TURN), *, tests: Path = TESTS) -> list[str]:
    """Return the entries without a module or a test of that name."""
    return [entry for entry in sorted(entries) if not _exists(tests, *entry.partition("::")[::2])]


def _exists(tests: Path, module: str, name: str) -> bool:
    path = tests / module
    return path.is_file() and bool(re.search(rf"\b{name}\b", path.read_text("utf-8")))
