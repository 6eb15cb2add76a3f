"""The product's settings, with which the tests run and the servers that they start: but a password
is hashed at once. Argon2 takes a fifth of a second for each, on purpose."""

from cardsite.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
