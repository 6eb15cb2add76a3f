# Everything that is run by hand or by CI. `make run` and `make test` need nothing done before.
# The system's own, which a distribution builds with a profile and which runs a fifth faster than one
# that was just compiled; or whichever else is new enough.
PYTHON ?= $(shell for each in /usr/bin/python3 python3; do $$each -c \
	'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>&- && echo $$each && break; done)
BIN := .venv/bin

# The tests start many processes, and each would compile all of Django again.
unexport PYTHONDONTWRITEBYTECODE

PYTEST := -m pytest -n auto --dist loadfile --no-loadscope-reorder

# What touches neither the database nor Redis is not tested on them once more, nor is what brings
# its own, looks at pages, or is about what comes in. Every page of the admin is opened there by
# tests/accounts/test_admin.py; what a role sees of one is not the database's to say.
BESIDE := --ignore-glob='*/test_vcard_*' $(addprefix --ignore=tests/,delivery/test_frames.py \
	browser clients test_docs.py test_locale.py test_production.py test_roles.py test_serve.py \
	$(patsubst %,xmpp/test_%.py,configuration encryption hostile prosody restarts stock_clients \
	strangers trying))

.PHONY: run run-production run-xmpp test test-embedded test-production coverage lint bench pictures icons clean

run: .venv/run
	@$(BIN)/python manage.py serve

run-production: .venv/run
	@$(BIN)/python -m tests.servers --install
	@$(BIN)/python -m tests.servers --product

run-xmpp: .venv/run
	@$(BIN)/python -m tests.prosody

test: .venv/test
	@$(BIN)/python -m tests.servers --install
	@$(MAKE) --no-print-directory -j3 lint test-embedded test-production

# Side by side, as many of the tests wait for servers of theirs.
test-embedded:
	$(BIN)/python $(PYTEST)

test-production:
	$(BIN)/python -m tests.servers $(BIN)/python $(PYTEST) $(BESIDE)

coverage: .venv/test
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python manage.py makemigrations --check --dry-run
	DATA_DIR=$(CURDIR)/var/check BASE_URL=https://cards.example.org \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --fail-on-warn --validate --file var/schema.yaml

bench: .venv/test
	$(BIN)/python -m bench $(PARTS)

pictures: .venv/test
	$(BIN)/python -m tests.servers --install
	PYTHONPATH=. $(BIN)/python docs/pictures.py

icons: .venv/test
	@$(BIN)/python -m tests.servers --install
	PYTHONPATH=. $(BIN)/python docs/icons.py

clean:
	rm -rf .venv var

# A virtual environment each time the requirements change; uv is pip, sooner done.
.venv/run: requirements.txt
	@test "$(PYTHON)" || { echo "This needs Python 3.11 with venv, on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	@touch $@

.venv/test: .venv/run requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	@touch $@
