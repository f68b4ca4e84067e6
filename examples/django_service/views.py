"""The views, over one client for each process: it works in any number of threads, and after a fork."""

import logging
import math
from collections.abc import Callable
from functools import cache

from django.http import HttpRequest, HttpResponse, JsonResponse

from smsc_async import SmscError, Tariffs
from smsc_async.sync import Client

log = logging.getLogger(__name__)


@cache
def get_client() -> Client:
    """Return the client of this process; SMSC_STORE names the store that all processes share."""
    return Client.from_env()


def listed() -> Tariffs:
    """Return a list of the last five minutes, or the last one if there is no newer one within ten seconds."""
    return get_client().tariffs(max_age=300, deadline=10, stale_ok=True)


class Unavailable:
    """Answers 503 with the time to wait, or 502 if waiting does not help; the details go to the log only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Wrap a view."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response of the view."""
        return self._get_response(request)

    def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Turn an error of the library into a response."""
        if not isinstance(error, SmscError):
            return None
        log.warning("no tariff list: %s", error)
        headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
        body = {"detail": "the tariff list is not available"}
        return JsonResponse(body, status=503 if error.retryable else 502, headers=headers)


def ready(_request: HttpRequest) -> HttpResponse:
    """Answer once there is a list."""
    listed()
    return HttpResponse("ok")


def tariffs(_request: HttpRequest) -> HttpResponse:
    """Return the complete list; prices are text, with the digits that the service sent."""
    return HttpResponse(listed().to_json(), content_type="application/json")


def price(request: HttpRequest, zone: str) -> HttpResponse:
    """Return the price of one SMS, for ``?operator=25001`` that of a network."""
    found = listed()
    try:
        line = found.price(zone, operator=request.GET.get("operator"))
    except KeyError:
        return JsonResponse({"detail": f"there is no zone {zone}"}, status=404)
    except ValueError as error:
        return JsonResponse({"detail": str(error)}, status=422)
    cost = None if line is None else format(line.cost, "f")
    return JsonResponse({"zone": zone, "name": found.zone(zone).name, "price": cost})
