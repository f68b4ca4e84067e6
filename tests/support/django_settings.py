"""Settings of Django for the length of a test: a process can configure them only once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def django_settings(**options: object) -> Generator[None]:
    """Run the block with these settings."""
    import django
    from django.conf import settings
    from django.test import override_settings

    if not settings.configured:
        settings.configure(SECRET_KEY="x", LOGGING_CONFIG=None)
        django.setup()
    with override_settings(**options):
        yield
