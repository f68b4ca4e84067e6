"""The cost of the library, beside what a user would use instead: ``uv run --group bench python -m benchmarks``.

Prints ratios and gates nothing. A section is a module with ``TITLE`` and ``run(rounds)``; see ``__main__``.
"""
