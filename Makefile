# Everything that is run by hand or by CI. `make run` and `make test` need nothing done before.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench pictures clean

run: .venv/run
	@$(BIN)/python manage.py serve

test: .venv/test
	@$(BIN)/python -m tests.servers --install
	@$(MAKE) --no-print-directory lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadfile --no-loadscope-reorder
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
	$(BIN)/python -m bench

pictures: .venv/test
	$(BIN)/python -m tests.servers --install
	PYTHONPATH=. $(BIN)/python docs/pictures.py

clean:
	rm -rf .venv var

# A virtual environment each time the requirements change; uv is pip, sooner done.
.venv/run: requirements.txt
	@$(PYTHON) -m venv .venv || { echo "Install Python's venv first, on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	@touch $@

.venv/test: .venv/run requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	@touch $@
