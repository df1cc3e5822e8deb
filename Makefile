# Every target does its own set-up; a repeated one is quick. `make demo` and `make test` are the two to know.

.PHONY: demo example test check static unit compiled nightly bench lock clean
unexport PYTHONDONTWRITEBYTECODE  # hundreds of processes of the tests would each compile everything anew

demo:            ## run the made-up support desk and the scripted agent
	@scripts/setup demo
	@.venv/bin/bailiwick demo $(DEMO)

example:         ## run an example of examples/: EXAMPLE=support-company, analyst, coding-agent or orchestrator
	@scripts/setup demo
	@.venv/bin/python $(or $(wildcard examples/$(or $(EXAMPLE),support-company)/run.py),examples/support-company/day.py)

test:            ## everything that must hold: the static checks and the whole test suite
	@scripts/setup dev
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target static compiled
	@.venv/bin/pytest -q -n $(or $(WORKERS),auto) --dist loadgroup $(TESTS)

check:           ## the quick half: static checks and the unit tests, side by side, in under a minute
	@scripts/setup dev
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target static unit

static:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/pyright

compiled:        # the tests' bytecode, which every worker would make for itself
	@.venv/bin/pytest -n0 --collect-only $(TESTS) >/dev/null 2>&1 || true

unit:
	.venv/bin/pytest -q -p tests.support.unit $(TESTS)

nightly:         ## new examples for the property tests, sqlsmith for ten minutes, PostgreSQL's files on one version more
	@scripts/setup dev
	BAILIWICK_EXAMPLES=new $(MAKE) --no-print-directory test
	BAILIWICK_SQLSMITH_SECONDS=$(or $(SECONDS),600) BAILIWICK_SQLSMITH_SEED=$(or $(SEED),$(shell date +%j)) \
	  .venv/bin/pytest -q -n0 tests/sqlsmith
	BAILIWICK_REGRESS=every .venv/bin/pytest -q -n0 tests/regress

bench:           ## measure; prints the tables of docs/benchmarks.md
	@scripts/setup bench
	.venv/bin/python bench/decide.py
	.venv/bin/python bench/rewrite.py
	.venv/bin/python bench/scoped.py
	.venv/bin/python bench/postgres.py
	.venv/bin/python bench/mcp.py
	.venv/bin/python bench/http.py
	.venv/bin/python bench/files.py
	.venv/bin/python bench/mail.py
	.venv/bin/python bench/limits.py
	.venv/bin/python bench/plan.py
	.venv/bin/python bench/ledger.py
	.venv/bin/python bench/identity.py
	.venv/bin/python bench/start.py
	.venv/bin/python bench/console.py
	.venv/bin/python bench/learn.py

lock:            ## make the hashed lock files anew; UPGRADE=--upgrade moves the pins forward
	@scripts/setup dev
	@scripts/lock

clean:           ## remove everything that was made here
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
