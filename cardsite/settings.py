"""Every setting, from the environment alone; without one, the embedded product runs.

SQLite, the in-memory channel layer and worker threads are the defaults. What cannot be read is
refused here; what cannot be right together is reported by cardsite/checks.py at the start.
"""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

django_stubs_ext.monkeypatch()  # lets Django's generic classes be written as such: ModelAdmin[Card]
env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)


def switch(name: str, *, default: bool) -> bool:
    """A yes or no from the environment; anything else is refused."""
    said = env.str(name, default=str(default)).lower()
    meant = {"1": True, "true": True, "yes": True, "on": True}
    meant |= {"0": False, "false": False, "no": False, "off": False, "": False}
    if said not in meant:
        raise ImproperlyConfigured(f"{name} is {said!r}; set it to 1 or 0.")
    return meant[said]


def kept_secret_key(path: Path) -> str:
    """The key in `path`, made there (readable by its owner alone) at the first start."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(handle, "w") as file:
        file.write(get_random_secret_key())
    return path.read_text()


# The house
DEBUG = switch("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or kept_secret_key(DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
PROCESSES = env.int("PROCESSES", default=1)
BASE_URL = env.str("BASE_URL", default=f"http://{HOST}:{PORT}").rstrip("/")
HTTPS = urlsplit(BASE_URL).scheme == "https"
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS",
    default=[urlsplit(BASE_URL).hostname or "localhost", "localhost", "127.0.0.1", "[::1]"],
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[BASE_URL])

INSTALLED_APPS = [
    "cardsite",
    "accounts",
    "cards",
    "bindings",
    "delivery",
    "xmpp",
    "accounts.apps.PushTokensConfig",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "csp",
    "accounts.apps.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.PersonalSettingsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "cardsite.urls"
ASGI_APPLICATION = "cardsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Rows
DATABASES = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'cardsite.sqlite3'}")
}
ENGINE = DATABASES["default"]["ENGINE"]
SQLITE = ENGINE == "django.db.backends.sqlite3"
if not SQLITE and ENGINE != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must start with sqlite:/// or postgresql://.")
if SQLITE:
    # IMMEDIATE: a transaction that will write waits for its turn at its start; one that has read
    # first and then wants to write would fail at once, whatever the timeout.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
        "PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY",
    }
    # In a file as well: threads that share a database in memory do not wait for each other.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # Threads share a few connections; a new one for each would cost more than what it is for. And
    # to read a statement and think of a way costs PostgreSQL as much as most of ours themselves.
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": env.int("DATABASE_CONNECTIONS", default=10)},
        "server_side_binding": True,
        "prepare_threshold": 3 if env.bool("DATABASE_PREPARES", default=True) else None,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Between processes
PREFIX = salted_hmac("between processes", "", SECRET_KEY).hexdigest()[:16]  # on a shared Redis
REDIS_URL = env.str("REDIS_URL", default="")
CACHES = {"default": env.cache("CACHE_URL", default=REDIS_URL or "locmemcache://cardsite")}
CHANNEL_LAYERS: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "delivery.layers.RedisLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": PREFIX},
    }
    if REDIS_URL
    else {"BACKEND": "delivery.layers.LocalLayer"}
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"global_keyprefix": PREFIX, "socket_connect_timeout": 1}
    if CELERY_BROKER_URL.startswith("redis")
    else {}
)
CELERY_BROKER_CONNECTION_TIMEOUT = 1  # seconds
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "fan-out"
CELERY_TASK_ROUTES = {"delivery.tasks.prompt": {"queue": "prompts"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_POOL = (
    "threads"  # they share connections; Celery opens a new one for each forked task
)
CELERY_WORKER_CONCURRENCY = 8  # threads; they wait for the database, and for devices to answer
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat")
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "delivery.tasks.sweep", "schedule": 2.0, "options": {"expires": 5}},
    "clean": {"task": "delivery.tasks.clean", "schedule": 3600.0, "options": {"expires": 3600}},
    "add up": {"task": "delivery.tasks.add_up", "schedule": 600.0, "options": {"expires": 600}},
}

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_USER_MODEL_USERNAME_FIELD = "username"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.NameForm"
ACCOUNT_EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", default="optional")
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Cardsite] "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
SENDS_MAIL = EMAIL_CONFIG["EMAIL_BACKEND"] != "django.core.mail.backends.console.EmailBackend"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
MFA_ADAPTER = "accounts.second_step.SecondStep"
MFA_FORMS = {"login_webauthn": "accounts.second_step.PasskeyForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Cardsite"
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute late
# Else whoever signs up with another's address first could shut them out for good. Where no mail can
# be sent, no address is ever confirmed.
MFA_ALLOW_UNVERIFIED_EMAIL = not SENDS_MAIL
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("NUM_PROXIES", default=0)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Cardsite <cardsite@localhost>")

# Doors
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.DeviceAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["cardsite.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "cardsite.api.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"],
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "DEFAULT_THROTTLE_RATES": {
        "sign-in": env.str("THROTTLE_SIGN_IN", default="30/minute"),
        "sign-up": env.str("THROTTLE_SIGN_UP", default="20/hour"),
        "code": env.str("THROTTLE_CODE", default="60/minute"),
        "request": env.str("THROTTLE_REQUEST", default="60/hour"),
        "archive": env.str("THROTTLE_ARCHIVE", default="10/hour"),
        "page": env.str("THROTTLE_PAGE", default="60/hour"),
    },
    "EXCEPTION_HANDLER": "cardsite.api.problem",
    "NON_FIELD_ERRORS_KEY": "detail",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cardsite",
    "DESCRIPTION": "Business cards that keep themselves up to date.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "cardsite.api.document_problems",
    ],
}

# Safety
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^xmpp/"]  # it sees to that by itself (xmpp/door.py)
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # a long card has many fields for each of its properties

# Words, times and files
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["cardsite.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise looks there before it is filled
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

# Delivery
WORKER = switch("WORKER", default=True)  # worker threads in the server process
READY_FRAMES = switch("READY_FRAMES", default=True)  # delivery/frames.py
PROMPT_GRACE = timedelta(seconds=env.float("PROMPT_GRACE", default=5))
PROMPT_QUIET = timedelta(seconds=env.float("PROMPT_QUIET", default=900))
APNS_HOST = env.str("APNS_HOST", default="")
APNS_PORT = env.int("APNS_PORT", default=443)
APNS_CA_FILE = env.str("APNS_CA_FILE", default="")
PUSH_NOTIFICATIONS_SETTINGS = {
    "UNIQUE_REG_ID": True,
    "APNS_AUTH_KEY_PATH": env.str("APNS_AUTH_KEY", default=""),
    "APNS_AUTH_KEY_ID": env.str("APNS_AUTH_KEY_ID", default=""),
    "APNS_TEAM_ID": env.str("APNS_TEAM_ID", default=""),
    "APNS_TOPIC": env.str("APNS_TOPIC", default=""),
    "APNS_USE_SANDBOX": switch("APNS_USE_SANDBOX", default=False),
}
VAPID_PRIVATE_KEY = env.str("VAPID_PRIVATE_KEY", default="")
VAPID_SUBJECT = env.str("VAPID_SUBJECT", default="")
WEB_PUSH_CA_FILE = env.str("WEB_PUSH_CA_FILE", default="")
WEB_PUSH_HOSTS = env.list(  # of Chrome, Firefox, Safari and Edge
    "WEB_PUSH_HOSTS",
    default=[
        "fcm.googleapis.com",
        "updates.push.services.mozilla.com",
        "*.push.apple.com",
        "*.notify.windows.com",
    ],
)

# XMPP, where XMPP_DOMAIN names the domain of people's addresses
XMPP_DOMAIN = env.str("XMPP_DOMAIN", default="").lower()
XMPP_CARDS_DOMAIN = env.str("XMPP_CARDS_DOMAIN", default=f"cards.{XMPP_DOMAIN}").lower()
XMPP_COMPONENT = env.str("XMPP_COMPONENT", default="127.0.0.1:5347")
XMPP_SECRET = env.str("XMPP_SECRET", default="")
XMPP_HOST = env.str("XMPP_HOST", default="127.0.0.1")
XMPP_PORT = env.int("XMPP_PORT", default=5222)  # for clients
XMPP_SERVER_PORT = env.int("XMPP_SERVER_PORT", default=5269)  # for other servers; 0: none
XMPP_CERTIFICATES = env.str("XMPP_CERTIFICATES", default="")
XMPP_ACCOUNT_PASSWORDS = switch("XMPP_ACCOUNT_PASSWORDS", default=False)  # beside app passwords
XMPP_DOOR = env.str("XMPP_DOOR", default=f"http://127.0.0.1:{PORT}").rstrip("/")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}

DEMO = switch("DEMO", default=True)  # demo people in an empty database
