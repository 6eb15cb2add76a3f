"""`make bench`: what the product costs, measured on this machine."""

import os
import sys
import tempfile

import django


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DATA_DIR=folder, DJANGO_SETTINGS_MODULE="cardsite.settings")
        django.setup()
        from bench import offline

        offline.run(sys.stdout)


if __name__ == "__main__":
    main()
