"""The limiter: how many requests of a login may be in flight, and when the next one may be sent.

``quota`` is the rule of the service, ``bucket`` the arithmetic of one login (pure), ``buckets`` the table of all logins,
``queue`` the waiters, ``waiter`` the suspension of one task, ``clock`` the clock.
"""
