"""The limiter: how many requests of a login may be on their way, and when.

``quota`` is the rule, ``bucket`` the arithmetic that keeps it (pure), ``gate`` the line of those who wait for it,
``parking`` and ``clock`` what the line sleeps by.
"""
