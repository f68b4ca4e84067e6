"""Tasks of Celery, over the synchronous client. All workers share one quota and one cached list in a store.

Needs a broker, and an account or the simulator. From the folder above ``examples``:

smsc-async simulator --port 8025
export SMSC_BASE_URL=http://127.0.0.1:8025/sys/ SMSC_LOGIN=alex SMSC_PASSWORD=123
export SMSC_STORE=tariffs.db CELERY_BROKER_URL=redis://127.0.0.1:6379/0 CELERY_RESULT_BACKEND=redis://127.0.0.1:6379/0
celery -A examples.celery_tasks.tasks worker --beat
"""

from functools import cache
from typing import Any

from celery import Celery

from smsc_async import SmscError, Tariffs
from smsc_async.sync import Client

app = Celery("prices")  # reads CELERY_BROKER_URL and CELERY_RESULT_BACKEND
app.conf.beat_schedule = {"refresh": {"task": "prices.refresh", "schedule": 900.0}}


@cache
def get_client() -> Client:
    """Return the client of this worker process, which is made after the fork."""
    return Client.from_env()


def listed(task: Any, max_age: float) -> Tariffs:
    """Return the list; an error that ends by itself repeats the task when it is over, and keeps no worker waiting."""
    try:
        return get_client().tariffs(max_age=max_age, deadline=20)
    except SmscError as error:
        if not error.retryable:
            raise  # such as a wrong password, which must not be sent again
        raise task.retry(exc=error, countdown=60.0 if error.retry_after is None else error.retry_after) from None


@app.task(bind=True, name="prices.refresh", max_retries=3)
def refresh(self: Any) -> int:
    """Fetch the list, and return the number of its zones."""
    return len(listed(self, 0).zones)


@app.task(bind=True, name="prices.price", max_retries=3)
def price(self: Any, zone: str, operator: str | None = None) -> str | None:
    """Return the price of one SMS as text, with the digits that the service sent."""
    line = listed(self, 3600).price(zone, operator=operator)
    return None if line is None else format(line.cost, "f")
