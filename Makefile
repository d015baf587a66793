# SPDX-License-Identifier: Apache-2.0
# wyze: every target that a person types. Each installs the Debian packages that it is missing.
#
#   make run        builds wyze and starts it on an example: the one to begin with
#   make build      builds the programs into build/
#   make test       runs every test: unit, system, style, format
#   make lint       style, format, and clang-tidy over the sources
#   make format     formats all C sources in place
#   make sanitize   all tests under ASan and UBSan, then those with threads under TSan
#   make fuzz       each fuzzer for FUZZ_SECONDS (30)
#   make mutants    breaks the program on purpose; the tests must notice
#   make soak       kills and load: SOAK_SECONDS (600), SOAK_KILLS (100),
#                   and under scripts SOAK_SCRIPT_KILLS (1000), of each kind
#   make bench      measures beside mosquitto and nats-server; BENCH_ARGS go to bench/run
#   make install    installs below PREFIX (/usr/local); DESTDIR is put in front
#   make clean      removes all that was built; dice-data, what make run keeps, stays
#   make help       prints this
#
# CC chooses the compiler (gcc), BUILD and TEST_BUILD the folders of what is run (build, optimised as a
# whole) and of what is tested (build-test), MESON_ARGS further options (-Dwerror=true),
# PYTEST_ARGS which system tests run (tests/test_x.py -k name).

ifeq ($(origin CC),default)
CC := gcc
endif
export CC

BUILD ?= build
TEST_BUILD ?= build-test
MESON_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 30
# What "make test" runs.
TEST_PARTS ?= unit system style format
EXAMPLE ?= dice

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: run build test unit system style format-check lint format sanitize asan tsan fuzz mutants \
	soak bench install clean help
# Targets share build folders: one after the other.
.NOTPARALLEL:

# Files that root builds in somebody else's tree are given to the tree's owner.
OWNED := scripts/keep-owner
# What is run is optimised as a whole, and built without the tests, which need cmocka.
WHOLE := -Dtests=false -Db_lto=$(if $(findstring clang,$(CC)),false,true)
# What a sanitizer's build is given besides its name; clang does not link -z defs with it. It compiles in
# less time than what is fully optimised, and runs hardly longer.
SANITIZED := -Db_lundef=false -Dtests=true -Doptimization=1

# The system tests that are worth a run under TSan: those in which threads meet.
TSAN_TESTS ?= $(addprefix tests/system/test_,thread.py machine.py crash.py kafka.py)

run:
	scripts/install-deps run
	$(OWNED) scripts/build $(BUILD) $(WHOLE) $(MESON_ARGS)
	exec scripts/as-owner examples/$(EXAMPLE)/run $(BUILD)

build:
	scripts/install-deps run
	$(OWNED) scripts/build $(BUILD) $(WHOLE) $(MESON_ARGS)

test:
	scripts/install-deps test
	$(OWNED) scripts/build $(TEST_BUILD) -Dtests=true -Dbench=true $(MESON_ARGS)
	$(OWNED) scripts/run-tests --build $(TEST_BUILD) --pytest "$(PYTEST_ARGS)" $(TEST_PARTS)

unit system:
	scripts/install-deps test
	$(OWNED) scripts/build $(TEST_BUILD) -Dtests=true $(MESON_ARGS)
	$(OWNED) scripts/run-tests --build $(TEST_BUILD) --pytest "$(PYTEST_ARGS)" $@

style:
	scripts/install-deps test
	scripts/run-tests style

format-check:
	scripts/install-deps test
	scripts/run-tests format

lint: style format-check
	$(OWNED) scripts/build $(TEST_BUILD) -Dtests=true $(MESON_ARGS)
	run-clang-tidy -quiet -p $(TEST_BUILD) "$(CURDIR)/src/.*"

format:
	scripts/install-deps test
	find src modules tests bench -name '*.[ch]' -print0 2>/dev/null | xargs -0r clang-format -i

sanitize: asan tsan

# The report of a process that nobody watches lands in a file only with clang: gcc links UBSan apart.
asan: export CC := clang
asan:
	scripts/install-deps test
	$(OWNED) scripts/build build-asan -Db_sanitize=address,undefined $(SANITIZED) $(MESON_ARGS)
	$(OWNED) scripts/run-tests --build build-asan --pytest "$(PYTEST_ARGS)" unit system

# clang's runs the same tests in about half of the time that gcc's takes.
tsan: export CC := clang
tsan:
	scripts/install-deps test
	$(OWNED) scripts/build build-tsan -Db_sanitize=thread $(SANITIZED) $(MESON_ARGS)
	$(OWNED) scripts/run-tests --build build-tsan --pytest "$(or $(PYTEST_ARGS),$(TSAN_TESTS))" \
		unit system

fuzz: export CC := clang
fuzz:
	scripts/install-deps test
	$(OWNED) scripts/build build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dtests=false $(MESON_ARGS)
	$(OWNED) scripts/run-fuzzers --build build-fuzz --seconds $(FUZZ_SECONDS)

mutants:
	scripts/install-deps test
	$(OWNED) tests/mutants/run --jobs 2

soak: export SOAK_SECONDS := $(or $(SOAK_SECONDS),600)
soak: export SOAK_KILLS := $(or $(SOAK_KILLS),100)
soak: export SOAK_SCRIPT_KILLS := $(or $(SOAK_SCRIPT_KILLS),1000)
soak:
	scripts/install-deps test
	$(OWNED) scripts/build $(TEST_BUILD) -Dtests=true $(MESON_ARGS)
	$(OWNED) scripts/run-tests --build $(TEST_BUILD) --pytest "$(PYTEST_ARGS)" soak

bench:
	scripts/install-deps bench
	$(OWNED) scripts/build $(BUILD) -Dbench=true $(WHOLE) $(MESON_ARGS)
	$(OWNED) bench/run --build $(BUILD) $(BENCH_ARGS)

install:
	scripts/install-deps run
	$(OWNED) scripts/build $(BUILD) -Dprefix=$(PREFIX) $(WHOLE) $(MESON_ARGS)
	$(OWNED) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-*
	@[ ! -d dice-data ] || echo "dice-data stays: what make run has kept is yours"

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile
