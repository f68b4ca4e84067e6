"""Prices as a web service with Django, over the synchronous client.

Needs an account, or the simulator. From the folder above ``examples``:

smsc-async simulator --port 8025
export SMSC_BASE_URL=http://127.0.0.1:8025/sys/ SMSC_LOGIN=alex SMSC_PASSWORD=123 SMSC_STORE=tariffs.db
export DJANGO_SECRET_KEY=$(openssl rand -hex 32) DJANGO_SETTINGS_MODULE=examples.django_service.settings
python -m django runserver
"""

import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ.get("DJANGO_HOSTS", "127.0.0.1,localhost").split(",")
ROOT_URLCONF = "examples.django_service.urls"
MIDDLEWARE = ["examples.django_service.views.Unavailable"]
