# Synod's build. `make help` lists the targets; tests/README.md says how tests are found.
#
# Everything is found by wildcard, so a new source file needs no line here. The default variant (gcc,
# no sanitizer) is built into build/ itself; every other one into a folder of its own, for example
# build/clang or build/gcc-address, so that variants never mix their objects.

VERSION := 0.1.0
ABI := 0

ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
PREFIX ?= /usr/local
DESTDIR ?=

cc_name := $(firstword $(subst -, ,$(notdir $(firstword $(CC)))))
variant := $(cc_name)$(if $(SAN),-$(SAN))
B := $(if $(filter gcc,$(variant)),build,build/$(variant))

# As many jobs as there are processors, or JOBS. A make that was called by another asks that one.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(or $(JOBS),$(shell nproc 2>/dev/null),2)
endif
MAKEFLAGS += --no-print-directory
MAKEFLAGS += --no-builtin-rules
# One short line for each file that is made; V=1 shows the commands instead.
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $@')

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---- flags

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Werror
OPTIMISE := -O2 -g

ifeq ($(SAN),address)
sanitize := -fsanitize=address -fno-omit-frame-pointer
else ifeq ($(SAN),undefined)
sanitize := -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
sanitize := -fsanitize=thread -fno-omit-frame-pointer
else ifneq ($(SAN),)
$(error SAN is "$(SAN)" (no such sanitizer); try: SAN=address, SAN=undefined or SAN=thread)
endif

# One compilation of each source serves programs and the shared library. Without interposition the
# compiler may inline across functions in spite of -fPIC.
BASE_FLAGS := -std=c11 $(WARNINGS) $(OPTIMISE) -fPIC -fno-semantic-interposition $(sanitize) -I.
LIBS := -lzmq -lmsgpackc -lleveldb -lyaml -ljansson -lxxhash -lpthread
# One program outside of the cluster needs it. Without it that program is left out, and that is said.
libpq := $(shell pkg-config --libs libpq 2>/dev/null)
libpq_include := $(shell pkg-config --cflags-only-I libpq 2>/dev/null)
LINK = $(CC) $(sanitize) -Wl,--as-needed $(LDFLAGS)

# Only the layers that talk to the system see more than C11. The pure layers and wire do not.
SYSTEM_LAYERS := common/net/% common/store/% common/config/% common/runtime/% common/client/% \
                 deploy/% tests/% acceptor/main.c proposer/main.c learner/main.c
feature = $(if $(filter $(SYSTEM_LAYERS),$(filter-out common/client/core/%,$(1))),-D_GNU_SOURCE) \
          $(if $(filter deploy/oracles/postgres.c,$(1)),$(libpq_include))

# ---- sources

core_src := $(filter-out common/base/check.c %/main.c, \
            $(wildcard common/base/*.c common/protocol/*.c acceptor/*.c acceptor/log/*.c acceptor/raft/*.c \
            proposer/*.c proposer/oracle/*.c learner/*.c learner/machine/*.c common/client/core/*.c))
system_src := $(wildcard common/base/check.c common/wire/*.c common/net/*.c common/store/*.c \
              common/config/*.c common/runtime/*.c)
client_src := $(wildcard common/client/*.c)
deploy_src := $(wildcard deploy/*.c)
oracle_src := $(wildcard deploy/oracles/*.c)
role_main := $(wildcard acceptor/main.c proposer/main.c learner/main.c)

# tests/<layer>/test_*.c and fuzz_*.c are cmocka programs, tool_*.c are programs that scripts of the
# layer use; every other .c of the folder is linked into each of them. In tests/bench each file is a
# program by itself, and needs nothing of Synod.
test_main := $(wildcard tests/*/test_*.c tests/*/fuzz_*.c)
tool_main := $(filter-out tests/sim/tool_sim.c,$(wildcard tests/*/tool_*.c))
sim_main := $(wildcard tests/sim/tool_sim.c)
bench_main := $(wildcard tests/bench/*.c)
test_help := $(filter-out $(test_main) $(tool_main) $(bench_main) $(sim_main),$(wildcard tests/*/*.c))

object = $(patsubst %.c,$(B)/obj/%.o,$(1))
all_src := $(core_src) $(system_src) $(client_src) $(deploy_src) $(oracle_src) $(role_main) $(test_main) \
           $(tool_main) $(bench_main) $(sim_main) $(test_help)

# ---- what is built

command_src := $(filter-out deploy/main.c,$(deploy_src))
archives := $(B)/libcores.a $(B)/libsystem.a $(if $(client_src),$(B)/libclient.a) \
            $(if $(command_src),$(B)/libcommand.a)
daemons := $(patsubst %/main.c,$(B)/synod-%,$(role_main))
library := $(if $(client_src),$(B)/libsynod.so $(B)/libsynod.a $(B)/synod.pc)
command := $(if $(deploy_src),$(B)/synod)
oracles := $(B)/synod-oracle-queue $(if $(libpq),$(B)/synod-oracle-postgres)
test_bin := $(patsubst %.c,$(B)/%,$(test_main))
tool_bin := $(patsubst %.c,$(B)/%,$(tool_main))
bench_bin := $(patsubst %.c,$(B)/%,$(bench_main))
simulator := $(if $(sim_main),$(B)/synod-sim)
zookeeper := $(if $(wildcard /usr/include/zookeeper/zookeeper.h),-lzookeeper_mt)

.PHONY: all
all: $(archives) $(daemons) $(library) $(command) $(oracles) $(if $(libpq),,no-libpq) ## build everything into build/

.PHONY: no-libpq
no-libpq:
	@echo '  skipped: $(B)/synod-oracle-postgres (pkg-config finds no libpq); try: apt-get install libpq-dev'

.PHONY: tests
tests: all $(test_bin) $(tool_bin) $(bench_bin) $(simulator) ## build the test programs, too

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(say)
	$(Q)$(CC) $(BASE_FLAGS) $(call feature,$<) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call object,$(all_src)))

# An archive is made anew, so that the object of a deleted source does not stay in it. The list of
# members is a prerequisite for the same reason.
$(B)/libcores.a: $(call object,$(core_src))
$(B)/libsystem.a: $(call object,$(system_src))
$(B)/libclient.a: $(call object,$(client_src))
$(B)/libcommand.a: $(call object,$(command_src))
$(archives): %.a: %.list
	$(say)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(B)/libcores.list: members = $(core_src)
$(B)/libsystem.list: members = $(system_src)
$(B)/libclient.list: members = $(client_src)
$(B)/libcommand.list: members = $(command_src)
$(B)/%.list: force
	@mkdir -p $(@D)
	@echo '$(members)' | cmp -s - $@ || echo '$(members)' >$@

.PHONY: force
force:

$(daemons): $(B)/synod-%: $(B)/obj/%/main.o $(B)/libcores.a $(B)/libsystem.a
	$(say)
	$(Q)$(LINK) -o $@ $< $(B)/libcores.a $(B)/libsystem.a $(B)/libcores.a $(LIBS)

synod_parts := $(if $(client_src),$(B)/libclient.a) $(B)/libsystem.a $(B)/libcores.a
$(B)/synod: $(call object,$(deploy_src)) $(synod_parts)
	$(say)
	$(Q)$(LINK) -o $@ $(call object,$(deploy_src)) -Wl,--start-group $(synod_parts) -Wl,--end-group $(LIBS)

# ---- oracles outside, one program a file

oracle_parts = $(call object,deploy/oracles/claimant.c) $(B)/libcommand.a $(synod_parts)
$(B)/synod-oracle-postgres: oracle_libs := $(libpq)
$(oracles): $(B)/synod-oracle-%: $(B)/obj/deploy/oracles/%.o $(oracle_parts)
	$(say)
	$(Q)$(LINK) -o $@ $< -Wl,--start-group $(oracle_parts) -Wl,--end-group $(oracle_libs) $(LIBS)

# ---- libsynod: the client and what it needs, nothing visible but synod_*

$(B)/synod.map: Makefile
	@mkdir -p $(@D)
	@printf 'SYNOD_%s {\n    global: synod_*;\n    local: *;\n};\n' $(ABI) >$@

$(B)/libsynod.so: $(B)/libsynod.so.$(ABI)
	@ln -sf $(notdir $<) $@

$(B)/libsynod.so.$(ABI): $(call object,$(client_src)) $(synod_parts) $(B)/synod.map
	$(say)
	$(Q)$(LINK) -shared -Wl,-soname,libsynod.so.$(ABI) -Wl,--version-script=$(B)/synod.map \
	    $(if $(SAN),,-Wl,-z,defs) -o $@ $(call object,$(client_src)) \
	    -Wl,--start-group $(B)/libsystem.a $(B)/libcores.a -Wl,--end-group $(LIBS)

# The static library is one object whose other names were made local: a program that links it may
# have an errmsg_set of its own.
$(B)/libsynod.a: $(call object,$(client_src)) $(synod_parts)
	$(say)
	@rm -f $@
	$(Q)$(LD) -r -o $(B)/obj/libsynod.o $(call object,$(client_src)) \
	    --start-group $(B)/libsystem.a $(B)/libcores.a --end-group
	$(Q)objcopy --wildcard --keep-global-symbol='synod_*' $(B)/obj/libsynod.o
	$(Q)$(AR) rcs $@ $(B)/obj/libsynod.o

$(B)/synod.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	    'Name: synod' 'Description: C client of Synod, a replicated command log' \
	    'Version: $(VERSION)' 'Libs: -L$${libdir} -lsynod' \
	    'Libs.private: -lzmq -lmsgpackc -lyaml -lpthread' \
	    'Cflags: -I$${includedir}' >$@

.PHONY: install
install: all ## install programs, library, header and synod.pc under PREFIX (and DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install $(daemons) $(command) $(oracles) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/synod
	install -m 644 deploy/oracles/lease.sql $(DESTDIR)$(PREFIX)/share/synod
	install -m 644 common/client/synod.h $(DESTDIR)$(PREFIX)/include/synod.h
	install -d $(DESTDIR)$(PREFIX)/include/synod
	install -m 644 common/client/synod/*.h $(DESTDIR)$(PREFIX)/include/synod
	install -m 644 $(B)/libsynod.a $(B)/libsynod.so.$(ABI) $(DESTDIR)$(PREFIX)/lib
	ln -sf libsynod.so.$(ABI) $(DESTDIR)$(PREFIX)/lib/libsynod.so
	sed 's|^prefix=.*|prefix=$(PREFIX)|' $(B)/synod.pc >$(DESTDIR)$(PREFIX)/lib/pkgconfig/synod.pc

# ---- tests

test_parts := $(synod_parts) $(if $(command_src),$(B)/libcommand.a)
helpers = $(call object,$(filter $(patsubst $(B)/%,%,$(dir $(1)))%,$(test_help)) \
          $(if $(filter tests/check/ tests/unit/,$(patsubst $(B)/%,%,$(dir $(1)))),$(filter tests/model/reference%,$(test_help))))

.SECONDEXPANSION:
$(test_bin) $(tool_bin): $(B)/%: $(B)/obj/%.o $$(call helpers,$$@) $(test_parts)
	@mkdir -p $(@D)
	$(say)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) -Wl,--start-group $(test_parts) -Wl,--end-group -lcmocka $(LIBS) -lm

# The simulator links the archive of cores and nothing else of Synod: no clock, no socket, no disk.
sim_parts = $(call object,$(sim_main) $(filter tests/sim/% tests/trace/% tests/check/% tests/model/reference% tests/model/generate%,$(test_help)))
$(B)/synod-sim: $(sim_parts) $(B)/libcores.a
	$(say)
	$(Q)$(LINK) -o $@ $(sim_parts) $(B)/libcores.a -lxxhash

$(bench_bin): $(B)/%: $(B)/obj/%.o
	@mkdir -p $(@D)
	$(say)
	$(Q)$(LINK) -o $@ $< $(LIBS) $(zookeeper) -lm

.PHONY: test
test: deps ## build and run every test that fits in minutes; ends with "N passed, N failed"
	+@$(MAKE) tests
	@BUILD=$(B) CC='$(CC)' SAN='$(SAN)' tests/run_tests.sh $(LAYERS)

.PHONY: soak
soak: $(B)/synod-sim ## 20,000 random runs of the simulator, and 100 of each partial partition
	@BUILD=$(B) CC='$(CC)' SAN='$(SAN)' SIM_SEEDS='$(or $(SEEDS),20000)' SIM_PARTITION_SEEDS=100 \
	    tests/sim/run.sh

unit_parts = $(call helpers,$(B)/tests/unit/x) -Wl,--start-group $(test_parts) -Wl,--end-group -lcmocka $(LIBS) -lm

.PHONY: mutants
mutants: $(B)/synod-sim $(B)/tests/trace/tool_trace $(filter %/test_oracle% %/test_machine_events %/test_machine_txn %/test_machine_leases %/test_proposer_clients,$(test_bin)) ## prove that the simulator can fail: it has to catch every seeded bug (MUTANTS= SEEDS=)
	@BUILD=$(B) SEEDS='$(SEEDS)' COMPILE='$(CC) $(BASE_FLAGS) $(CFLAGS)' LINK='$(LINK)' \
	    SIM_PARTS='$(sim_parts)' UNIT_PARTS='$(unit_parts)' tests/sim/mutants.py $(MUTANTS)

# ---- running

.PHONY: run
run: deps ## the main job: replicate the lines of INPUT, kill the leader halfway, prove the result
	+@$(MAKE) all
	@BUILD=$(B) INPUT='$(INPUT)' PROTOCOL='$(or $(PROTOCOL),paxos)' tests/process/demo.sh

.PHONY: bench
bench: deps ## measure against the limit of the machine and, if installed, etcd and ZooKeeper
	+@$(MAKE) tests
	@BUILD=$(B) tests/bench/run.sh

# ---- what a Debian 12 machine needs

DEPS := gcc make pkg-config libzmq3-dev libmsgpack-dev libleveldb-dev libcmocka-dev \
        libyaml-dev libjansson-dev uthash-dev libbsd-dev libxxhash-dev libpq-dev \
        python3 \
        $(if $(filter clang,$(cc_name)),clang)
LINT_DEPS := clang-tidy clang-format cppcheck

# $(call install_missing,PACKAGES): silent and without a call of apt when all are there.
define install_missing
@if ! command -v dpkg-query >/dev/null; then \
    echo "make deps: this is no Debian system, nothing was installed; needed: $(1)"; exit 0; \
fi; \
present=" $$(dpkg-query -W -f '$${Package}:$${db:Status-Status}\n' $(1) 2>/dev/null | \
    sed -n 's/:installed$$//p' | tr '\n' ' ') "; \
missing=; \
for package in $(1); do \
    case "$$present" in *" $$package "*) ;; *) missing="$$missing $$package" ;; esac; \
done; \
[ -n "$$missing" ] || exit 0; \
as_root=; \
if [ "$$(id -u)" != 0 ]; then \
    if ! command -v sudo >/dev/null; then \
        echo "error: cannot install$$missing (not root, and no sudo);" \
             "try: apt-get install$$missing, as root" >&2; exit 1; \
    fi; \
    as_root=sudo; \
fi; \
echo "make deps: installing from Debian's packages:$$missing"; \
$$as_root apt-get update -qq && \
$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing
endef

.PHONY: deps
deps: ## install what is missing from Debian's packages
	$(call install_missing,$(DEPS))

.PHONY: deps-lint
deps-lint: deps ## install the tools of make lint and make format, too
	$(call install_missing,$(LINT_DEPS))

# ---- form

c_files = $(sort $(all_src) $(wildcard common/*/*.h common/client/*/*.h acceptor/*.h acceptor/*/*.h proposer/*.h \
          proposer/*/*.h learner/*.h learner/*/*.h deploy/*.h deploy/*/*.h tests/*/*.h))

.PHONY: format
format: deps-lint ## rewrite all C sources with clang-format
	clang-format -i $(c_files)

.PHONY: lint
lint: deps-lint ## layering, purity, tidy, clang-format, cppcheck and clang-tidy
	+@$(MAKE) -k lint-tree lint-format lint-cppcheck lint-clang

.PHONY: lint-tree lint-format lint-cppcheck lint-clang
lint-tree: $(B)/libcores.a
	@BUILD=$(B) SAN='$(SAN)' tests/lint/run.sh

lint-format:
	@clang-format --dry-run -Werror $(c_files)

lint-cppcheck:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr -I. \
	    --library=tests/lint/cppcheck.cfg --suppress='uninitvar:tests/*' --error-exitcode=1 \
	    $(sort $(filter-out $(bench_main),$(all_src)))

# One file a call: clang-tidy 14 takes every va_list after the first file for uninitialised.
lint-clang: $(patsubst %.c,lint-clang/%,$(sort $(filter-out $(bench_main),$(all_src))))
lint-clang/%: force
	@clang-tidy --quiet $*.c -- -std=c11 $(call feature,$*.c) -I. 2>/dev/null

.PHONY: sources
sources:
	@printf '%s\n' $(all_src)

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo '  CC=gcc|clang   SAN=address|undefined|thread   PREFIX=DIR DESTDIR=DIR   (variants build into build/<cc>-<san>)'
	@echo '  V=1 (show commands)   JOBS=N (at a time)   B=DIR (build there instead)'
	@echo '  make test LAYERS="unit trace"    make run INPUT=FILE PROTOCOL=paxos|raft'
