"""What is not looked through for examples to run, as every module under ``tests`` is."""

# Imports the library of the bot, which takes seconds.
collect_ignore = ["telegram.py"]
