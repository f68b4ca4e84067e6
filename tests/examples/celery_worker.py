"""The tasks over a folder that takes the place of a broker; a worker of Celery imports this module."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from examples.celery_tasks import tasks

__all__ = ["app", "configured"]

app = tasks.app


def configured() -> ModuleType:
    """Return the tasks, with the folder that BROKER_FOLDER names."""
    folders = {name: Path(os.environ["BROKER_FOLDER"]) / name for name in ("messages", "control", "results")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    messages = str(folders["messages"])
    app.conf.update(
        broker_url="filesystem://",
        broker_transport_options={
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(folders["control"]),
            "polling_interval": 0.05,
        },
        result_backend=folders["results"].as_uri(),
    )
    return tasks


if "BROKER_FOLDER" in os.environ:
    configured()
