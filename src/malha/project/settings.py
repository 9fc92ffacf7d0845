"""Django's settings, derived from Malha's own (`foundation.settings`)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from django.utils.csp import CSP

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.identity import configuration as identity
from malha.foundation.language import catalogue
from malha.foundation.settings import service as settings

MALHA = settings.current()
HERE = Path(__file__).resolve().parent.parent

PUBLIC_URL = (MALHA.public_url or f"http://localhost:{MALHA.port}").rstrip("/")
_PUBLIC = urlsplit(PUBLIC_URL)
DEBUG = MALHA.debug
SECURE = _PUBLIC.scheme == "https"


def _database(role: Role) -> dict[str, object]:
    url = urlsplit(database.dsn(role))
    place = database.endpoint()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.removeprefix("/"),
        "USER": role.value,
        "PASSWORD": place.passwords[role],
        "HOST": place.host,
        "PORT": place.port,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


SECRET_KEY = settings.secret_key()
SECRET_KEY_FALLBACKS = settings.older_secrets()
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", ".localhost", _PUBLIC.hostname or "localhost", *MALHA.allowed_hosts]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
ROOT_URLCONF = "malha.project.urls"
DATABASES = {"default": _database(Role.APP), "owner": _database(Role.OWNER), identity.CACHE_ALIAS: _database(Role.APP)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "identity.Person"
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"  # `jobs.py` of every room

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "procrastinate.contrib.django",
    "malha.foundation.jobs",
    "malha.foundation.tenancy",
    "malha.foundation.identity",
    *identity.APPS,
    "malha.foundation.access",
    "malha.foundation.audit",
    "malha.foundation.events",
    "malha.foundation.agreements",
    "malha.foundation.administration",
    "malha.insight.exports",
    "malha.insight.metrics",
    "malha.insight.maps",
    "malha.insight.past",
    "malha.insight.alerts",
    "malha.insight.records",
    "malha.insight.today",
    "malha.packs.registry",
    "malha.vocabulary.contexts",
    "malha.vocabulary.models",
    "malha.vocabulary.territory",
    "malha.context.store",
    "malha.context.subscriptions",
    "malha.context.federation",
    "malha.context.snapshots",
    "malha.history.backups",
    "malha.history.erasure",
    "malha.history.retention",
    "malha.ingest.lineage",
    "malha.ingest.quality",
    "malha.ingest.mapping",
    "malha.ingest.runs",
    "malha.ingest.bulk",
    "malha.ingest.devices",
    "malha.ingest.guide",
    "malha.share.datahub",
    "malha.share.sensorthings",
    "malha.share.connections",
    "malha.ingest.tables",
    "malha.share.opendata",
    "malha.share.received",
    "malha.ui",
    "malha.project",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "malha.foundation.tenancy.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    *identity.MIDDLEWARE,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "malha.foundation.language.middleware.ErrorsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

catalogue.ensure_compiled()
LANGUAGE_CODE = MALHA.language
LANGUAGES = [("pt-pt", "Português"), ("en", "English")]
LOCALE_PATHS = [HERE / "locale"]
LANGUAGE_COOKIE_NAME = "malha_language"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Europe/Lisbon"

# One cookie for every tenant under a host: whoever manages several moves between them without signing in again.
SESSION_COOKIE_NAME = "malha_session"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
CSRF_COOKIE_NAME = "malha_csrf"
CSRF_FAILURE_VIEW = "malha.ui.views.csrf_failure"
STATIC_URL = "/static/"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
SECURE_CSP = {
    "default-src": ["'self'"],
    "script-src": ["'self'", CSP.NONCE],
    "style-src": ["'self'", CSP.NONCE],
    "img-src": ["'self'", "data:", "blob:"],
    "worker-src": ["'self'", "blob:"],
    "connect-src": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'", *identity.form_targets(MALHA)],
}

# Sign-in, second factor, tokens for machines, mail and rate limits are the identity room's.
globals().update(identity.django_settings(MALHA, secure=SECURE))

# everything to standard error, which `up` keeps in <data>/log and a service manager in its journal
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False}},
}
