"""Celery, for `celery -A cardsite worker` and `celery -A cardsite beat`: the production engine."""

import os

from celery import Celery
from celery.signals import worker_init

from cardsite.garbage import spare_the_collector

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cardsite.settings")

app = Celery("cardsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["delivery"])

worker_init.connect(spare_the_collector)
