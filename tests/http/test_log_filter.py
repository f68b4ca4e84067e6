"""Log records of httpx lose their details during an exchange of ours, and only then."""

from __future__ import annotations

import logging

import pytest

from smsc_async.http.log_filter import quiet_logs


def test_details_are_dropped_in_the_block_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    httpx_log, core_log = logging.getLogger("httpx"), logging.getLogger("httpcore.http11")
    with quiet_logs():
        httpx_log.info("HTTP Request: %s", "secret")
        core_log.debug("receive_response_headers.complete return_value=secret")
    httpx_log.info("HTTP Request: %s", "of the application")
    assert [each.getMessage() for each in caplog.records] == [
        "HTTP request of smsc_async",
        "receive_response_headers.complete",
        "HTTP Request: of the application",
    ]
