# mypy: ignore-errors
"""django-allauth as its quickstart sets it up, with MFA by WebAuthn, for production. As a program: make the accounts.

The rate limits work as they do in use, and have been set so high that a benchmark does not reach them.
"""

import json
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path

FOLDER = Path(os.environ["BENCH_FOLDER"])

settings.configure(
    DEBUG=False,
    SECRET_KEY=(FOLDER / "secret").read_text(),
    ALLOWED_HOSTS=["accounts.example.com"],
    CSRF_TRUSTED_ORIGINS=["https://accounts.example.com"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / "allauth.db",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "django.contrib.humanize",
        "allauth",
        "allauth.account",
        "allauth.mfa",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    STATIC_URL="/static/",
    USE_TZ=True,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    SECURE_SSL_REDIRECT=True,
    SECURE_HSTS_SECONDS=31536000,
    SESSION_COOKIE_SECURE=True,
    CSRF_COOKIE_SECURE=True,
    SESSION_COOKIE_NAME="__Host-session",
    CSRF_COOKIE_NAME="__Host-csrf",
    LOGIN_REDIRECT_URL="/home/",
    ALLAUTH_TRUSTED_PROXY_COUNT=1,
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_RATE_LIMITS={"login": "1000000/m/ip", "login_failed": "1000000/m/ip,1000000/300s/key"},
    MFA_SUPPORTED_TYPES=["webauthn", "totp", "recovery_codes"],
)
django.setup()


def home(request):
    return HttpResponse("home")


urlpatterns = [path("accounts/", include("allauth.urls")), path("home/", home)]


def seed():
    from allauth.mfa.models import Authenticator
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for person in json.loads((FOLDER / "people.json").read_text()):
        account = get_user_model().objects.create_user(person["username"], person["email"], person["password"])
        assert str(account.pk) == person["handle"], account.pk
        data = {"name": "Bench key", "credential": person["bound"]}
        Authenticator.objects.create(user=account, type=Authenticator.Type.WEBAUTHN, data=data)


if __name__ == "__main__":
    sys.modules["allauth_site"] = sys.modules[__name__]
    seed()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
