"""The limiter: how many requests of a login may be on their way, and when.

``quota`` is the rule, ``bucket`` the arithmetic that keeps it (pure), ``table`` the buckets of all logins, for any number of
threads, ``gate`` the line of those who wait, ``parking`` and ``clock`` what the line sleeps by.
"""
