"""What allauth and Django are told about signing in; `project.settings` takes it as it stands. No Django here."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from malha.foundation.mail.rules import beyond_loopback
from malha.foundation.settings.contracts import Settings
from malha.foundation.tokens.contracts import LIFETIME_SECONDS

APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.idp.oidc",
    "allauth.usersessions",
    "malha.foundation.tokens",
    "malha.foundation.mail",
]
#: after Django's own AuthenticationMiddleware and MessageMiddleware
MIDDLEWARE = [
    "allauth.account.middleware.AccountMiddleware",
    "malha.foundation.identity.middleware.PersonMiddleware",
    "malha.foundation.identity.middleware.PlaneCookieMiddleware",
]
#: alias of the database session that counts attempts, apart from the request's transaction
CACHE_ALIAS = "cache"
FORMS = "malha.foundation.identity.forms."
ACCOUNT_FORMS = {
    "login": "LoginForm",
    "request_login_code": "CodeRequestForm",
    "confirm_login_code": "CodeForm",
    "confirm_email_verification_code": "EmailCodeForm",
    "confirm_password_reset_code": "ResetCodeForm",
    "change_password": "PasswordChangeForm",
    "set_password": "PasswordSetForm",
    "reset_password": "PasswordResetForm",
    "reset_password_from_key": "PasswordResetKeyForm",
    "add_email": "AddressForm",
    "reauthenticate": "ReauthenticateForm",
}
SECOND_FACTOR_FORMS = {
    "authenticate": "SecondStepForm",
    "reauthenticate": "SecondStepAgainForm",
    "activate_totp": "AppForm",
    "add_webauthn": "PasskeyForm",
    "edit_webauthn": "PasskeyNameForm",
}
VALIDATION = "django.contrib.auth.password_validation."


def django_settings(conf: Settings, *, secure: bool) -> dict[str, Any]:
    """The settings of sign-in, mail, rate limits and tokens."""
    return {**_people(), **_second_factor(conf), **_machines(), **_cookies(secure=secure), **_mail(conf), **_provider(conf)}


def _people() -> dict[str, Any]:
    return {
        "AUTHENTICATION_BACKENDS": ["malha.foundation.identity.backends.PersonBackend"],
        "LOGIN_URL": "account_login",
        "LOGIN_REDIRECT_URL": "identity:entered",
        "LOGOUT_REDIRECT_URL": "account_login",
        "ACCOUNT_ADAPTER": "malha.foundation.identity.adapters.AccountAdapter",
        "ACCOUNT_USER_MODEL_USERNAME_FIELD": None,
        "ACCOUNT_LOGIN_METHODS": {"email"},
        "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"],
        "ACCOUNT_EMAIL_VERIFICATION": "mandatory",
        "ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED": True,
        "ACCOUNT_LOGIN_BY_CODE_ENABLED": True,
        "ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND": True,
        "ACCOUNT_LOGIN_BY_CODE_TIMEOUT": 10 * 60,
        "ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED": True,
        "ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT": 10 * 60,
        "ACCOUNT_EMAIL_NOTIFICATIONS": True,
        "ACCOUNT_EMAIL_SUBJECT_PREFIX": "",
        "ACCOUNT_REAUTHENTICATION_REQUIRED": True,
        "ACCOUNT_REAUTHENTICATION_TIMEOUT": 15 * 60,
        "ACCOUNT_SESSION_REMEMBER": True,
        "ACCOUNT_CHANGE_EMAIL": True,
        "ACCOUNT_UNIQUE_EMAIL": True,
        "ACCOUNT_FORMS": {name: f"{FORMS}{form}" for name, form in ACCOUNT_FORMS.items()},
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.PBKDF2PasswordHasher", "malha.foundation.identity.hashers.MachineSecretHasher"],
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"{VALIDATION}UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("email", "name")}},
            {"NAME": f"{VALIDATION}MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
            {"NAME": f"{VALIDATION}CommonPasswordValidator"},
            {"NAME": f"{VALIDATION}NumericPasswordValidator"},
        ],
        # Following every request would serialise the requests of one page behind one row; sessions are listed by sign-in.
        "USERSESSIONS_TRACK_ACTIVITY": False,
        "SESSION_COOKIE_AGE": 14 * 24 * 3600,
    }


def _second_factor(conf: Settings) -> dict[str, Any]:
    return {
        "MFA_ADAPTER": "malha.foundation.identity.adapters.SecondFactorAdapter",
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        "MFA_PASSKEY_SIGNUP_ENABLED": False,  # people come by invitation, which has its own page for the passkey
        "MFA_FORMS": {name: f"{FORMS}{form}" for name, form in SECOND_FACTOR_FORMS.items()},
        "MFA_TOTP_ISSUER": "Malha",
        "MFA_TOTP_TOLERANCE": 1,
        "MFA_RECOVERY_CODE_COUNT": 10,
        # Browsers treat http://localhost as secure; everywhere else https is required by the browser and by us.
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": not beyond_loopback(conf),
    }


def _machines() -> dict[str, Any]:
    return {
        "IDP_OIDC_ADAPTER": "malha.foundation.identity.adapters.ProviderAdapter",
        "IDP_OIDC_ACCESS_TOKEN_FORMAT": "jwt",
        "IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN": LIFETIME_SECONDS,
        "IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN": 14 * 24 * 3600,
    }


def _cookies(*, secure: bool) -> dict[str, Any]:
    return {
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_HTTPONLY": False,  # htmx puts it into the header of what it posts
        "LANGUAGE_COOKIE_SAMESITE": "Lax",
        "LANGUAGE_COOKIE_SECURE": secure,
        # Counters of attempts are shared by every process; over a session of their own they outlive the request that counted them.
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache_entry", "OPTIONS": {"MAX_ENTRIES": 20000}}},
        "DATABASE_ROUTERS": ["malha.foundation.identity.routing.CacheRouter"],
    }


def _mail(conf: Settings) -> dict[str, Any]:
    sender = {"DEFAULT_FROM_EMAIL": conf.mail_from, "SERVER_EMAIL": conf.mail_from}
    if not conf.smtp_url:
        return {**sender, "MAILERS": {"default": {"BACKEND": "malha.foundation.mail.backend.DemoMailBackend"}}}
    url = urlsplit(conf.smtp_url)
    options: dict[str, Any] = {"host": url.hostname or "localhost", "port": url.port or (465 if url.scheme == "smtps" else 587), "timeout": 20}
    if url.username:
        options |= {"username": unquote(url.username), "password": unquote(url.password or "")}
    if url.scheme == "smtps":
        options["use_ssl"] = True
    elif url.username or "starttls" in url.query:
        options["use_tls"] = True
    return {**sender, "MAILERS": {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}}


def form_targets(conf: Settings) -> list[str]:
    """Origins that our forms may lead to, besides ours: browsers hold `form-action` against redirects too."""
    url = urlsplit(conf.oidc_url)
    return [f"{url.scheme}://{url.netloc}"] if url.netloc else []


def _provider(conf: Settings) -> dict[str, Any]:
    """Sign-in at somebody else's OpenID Connect provider, where one is set; without it there is no button."""
    apps: list[dict[str, Any]] = []
    if conf.oidc_url and conf.oidc_client_id:
        apps.append(
            {
                "provider_id": "oidc",
                "name": conf.oidc_name,
                "client_id": conf.oidc_client_id,
                "secret": conf.oidc_secret,
                "settings": {"server_url": conf.oidc_url, "oauth_pkce_enabled": True, "fetch_userinfo": True},
            }
        )
    return {
        "SOCIALACCOUNT_ADAPTER": "malha.foundation.identity.adapters.ProviderLoginAdapter",
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"APPS": apps}},
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": True,
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT": True,
        "SOCIALACCOUNT_ONLY": False,
    }
