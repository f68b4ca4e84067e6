"""What the library costs, beside what a user would pick instead: ``uv run python -m benchmarks``.

Prints ratios and gates nothing. A section is a module with ``TITLE`` and ``run(rounds)``; see ``__main__``.
"""
