"""Leaves out what is not looked through for examples, as every other module under ``tests`` is."""

# Imports the libraries of the bot, which takes seconds.
collect_ignore = ["telegram.py"]
