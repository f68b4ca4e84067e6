"""What is not looked through for examples to run, as every module under ``tests`` is."""

# Import the libraries of the bot and of the tasks, which takes seconds.
collect_ignore = ["celery_worker.py", "telegram.py"]
