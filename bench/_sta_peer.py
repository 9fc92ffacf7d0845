"""Another SensorThings server over the same PostgreSQL: `django-ogc-sensorthings` (PyPI, extra `bench`), served as our pages are, without tokens.

`python bench/_sta_peer.py` makes its tables; `_sta_peer:application` answers under `/sensorthings/v1.1/`.
"""

from __future__ import annotations

import json
import os
from uuid import UUID

import django
from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

settings.configure(
    # the middleware says how long an answer is: the load does not read pieces
    SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, MIDDLEWARE=["django.middleware.common.CommonMiddleware"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes", "sensorthings.versions.v1_1", "sensorthings.versions.v1_1.backends.django",
        "sensorthings.versions.v1_1.extensions.dataarray",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **json.loads(os.environ["BENCH_PEER_DATABASE"]), "CONN_MAX_AGE": 600}},
    SENSORTHINGS_V1_1_SERVICE_URL="http://localhost/sensorthings",
    SENSORTHINGS_V1_1_BACKEND_ADAPTER="sensorthings.versions.v1_1.backends.django.adapter.DjangoBackendAdapter",
    SENSORTHINGS_V1_1_ID_TYPE=UUID, SENSORTHINGS_V1_1_ID_DELIMITER="'",
)  # fmt: skip
django.setup()


def health(_: HttpRequest) -> HttpResponse:
    """It answers."""
    return HttpResponse("ok")


urlpatterns = [path("health", health), path("sensorthings/", include("sensorthings.versions.v1_1.urls"))]
application = WSGIMiddleware(get_wsgi_application(), workers=16)

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
