"""The reply on an error, which is for a report, is without the secret."""

from smsc_async import DecodeError
from smsc_async.accounts import Secret
from smsc_async.http.redaction import Redactor

SCRUBBER = Redactor(Secret("s3cret"))


def test_the_reply_of_an_error_is_without_the_secret() -> None:
    error = SCRUBBER.error(DecodeError("no list", body=b"you sent s3cret, s3cret"))
    assert isinstance(error, DecodeError)
    assert error.body == b"you sent ..., ..."


def test_a_reply_that_may_end_within_the_secret_is_dropped() -> None:
    for length, has_body in ((10, True), (64 * 1024, False)):
        error = SCRUBBER.error(DecodeError("no list", body=b"x" * length), may_be_cut=True)
        assert isinstance(error, DecodeError)
        assert bool(error.body) is has_body
