# Signet. `make demo` shows it, `make test` proves it, `make help` lists the rest.
#
# The three layers of common/ are archives; a service is its folder plus the archives, and the table LINK_… below says which system
# libraries it may link: that table, deploy/bus/permissions and deploy/database/grants.sql are the privilege map of the house.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
SHELL := /bin/bash
# nats-server lies where only root looks.
export PATH := $(PATH):/usr/sbin:/sbin

VERSION := 0.1.0
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG := $(firstword $(wildcard /usr/bin/clang-14) clang)

JOBS := $(shell nproc)

# V=1 shows whole commands.
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# What LeakSanitizer is to overlook, in tests and in services that tests start.
export LSAN_OPTIONS := suppressions=$(CURDIR)/tests/lsan-suppressions:print_suppressions=0

VARIANT := $(if $(SAN),san,$(notdir $(CC)))
BUILD   := build/$(VARIANT)
BIN     := $(BUILD)/bin

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings \
            -Wformat=2 -Wundef -Wvla -Wswitch-enum -Wno-unused-parameter -Wno-missing-field-initializers
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
FORTIFY  := $(if $(SAN),,-D_FORTIFY_SOURCE=2)
comma    := ,
OPTIMISE := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined,-O2)
CFLAGS   := -std=gnu17 -g -pthread $(OPTIMISE) $(WARNINGS) $(HARDEN) $(FORTIFY)
LDFLAGS  := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(if $(SAN),-fsanitize=address$(comma)undefined)
CPPFLAGS := -D_GNU_SOURCE -DSIGNET_VERSION='"$(VERSION)"' -DH2O_USE_LIBUV=0 -DOPENSSL_NO_DEPRECATED_3_0 -Icommon -I$(BUILD)/proto -isystem /usr/include/postgresql

# ---- contracts --------------------------------------------------------------------------------------------------------------------

PROTOS    := $(wildcard proto/signet/v1/*.proto)
PROTO_C   := $(PROTOS:proto/%.proto=$(BUILD)/proto/%.pb-c.c)
PROTO_H   := $(PROTO_C:.c=.h)
PROTO_OBJ := $(PROTO_C:.c=.o)

$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h: proto/%.proto
	@mkdir -p $(BUILD)/proto
	$(call say,PROTO,$<)
	$(Q)protoc-c --c_out=$(BUILD)/proto -Iproto -I/usr/include $<
$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c | $(PROTO_H)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -c $< -o $@

# ---- common: base <- link, base <- pki ----------------------------------------------------------------------------------------------

LAYERS := base link pki
define LAYER
LIB_$(1) := $(BUILD)/lib/libsignet-$(1).a
$(BUILD)/lib/libsignet-$(1).a: $$(patsubst %.c,$(BUILD)/%.o,$$(wildcard common/$(1)/*.c))
endef
$(foreach layer,$(LAYERS),$(eval $(call LAYER,$(layer))))
$(BUILD)/lib/libsignet-proto.a: $(PROTO_OBJ)
$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^
ARCHIVES := $(BUILD)/lib/libsignet-link.a $(BUILD)/lib/libsignet-pki.a $(BUILD)/lib/libsignet-base.a $(BUILD)/lib/libsignet-proto.a

# Request path code is compiled with its own folder as include root for its private header only.
$(BUILD)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -I$(dir $<) $(CFLAGS) -MMD -MP -c $< -o $@

# ---- services: what each may link ------------------------------------------------------------------------------------------------------

CORE := -lprotobuf-c -ljansson -lssl -lcrypto -lm
HTTP := -lh2o-evloop
BUS  := -lnats
DB   := -lpq

LINK_acme-gw        := $(CORE) $(HTTP) $(BUS) $(DB) -lpsl
LINK_est-gw         := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_validator      := $(CORE) $(HTTP) $(BUS) -lunbound -lresolv -lcurl -lcbor
LINK_scep-gw        := $(CORE) $(HTTP) $(BUS) $(DB) -lcurl
LINK_ra             := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_signer         := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_hsm-worker     := -lp11 -lssl -lcrypto -ldl
LINK_ocsp-responder := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_crl-publisher  := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_inventory      := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_signetctl      := $(CORE) $(HTTP) $(BUS) $(DB) -lyaml
LINK_test           := $(CORE) $(HTTP) $(BUS) $(DB) -lunbound -lresolv -lcurl -lyaml -lp11 -ldl -lpsl -lcbor

SERVICE_DIRS := $(patsubst %/main.c,%,$(wildcard services/*/main.c services/*/*/main.c))
SERVICES     := $(notdir $(SERVICE_DIRS))

# The numbered SQL files travel inside signetctl.
SQL_FILES := $(wildcard services/*/sql/*.sql) $(wildcard deploy/database/*.sql)
EXTRA_signetctl := $(BUILD)/generated/migrations.o
$(BUILD)/generated/migrations.c: deploy/database/embed-sql.sh $(SQL_FILES)
	@mkdir -p $(@D)
	$(Q)deploy/database/embed-sql.sh $(SQL_FILES) > $@
$(BUILD)/generated/%.o: $(BUILD)/generated/%.c
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

define SERVICE
$(BIN)/$(notdir $(1)): $$(patsubst %.c,$(BUILD)/%.o,$$(wildcard $(1)/*.c)) $$(EXTRA_$(notdir $(1))) $$(ARCHIVES)
	@mkdir -p $(BIN)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) $$(filter %.o,$$^) $$(ARCHIVES) $$(LINK_$(notdir $(1))) -o $$@
endef
$(foreach dir,$(SERVICE_DIRS),$(eval $(call SERVICE,$(dir))))

.DEFAULT_GOAL := all
.PHONY: all
all: $(addprefix $(BIN)/,$(SERVICES))
	@ln -sfn $(VARIANT) build/current

# ---- tests ---------------------------------------------------------------------------------------------------------------------------------

UNIT_SOURCES := $(shell find tests/unit -name '*_test.c' 2>/dev/null)
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(BUILD)/%)

# tests/kit: what starts a real server (postgres_kit, …) for the tests that want one; an archive, so that each test takes only what it uses.
KIT := $(BUILD)/lib/libsignet-kit.a
$(BUILD)/tests/kit/%.o: CPPFLAGS += -Itests
$(KIT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/kit/*.c))

# A unit test may define a seam (clock_now_s, random_bytes, bus_…, db_…) itself: its definition is linked first and wins.
# tests/unit/<service>/… is linked with that service's objects, without its main.
unit_service_objects = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(wildcard services/$(firstword $(subst /, ,$(1)))/*.c))) \
                       $(EXTRA_$(firstword $(subst /, ,$(1))))
.SECONDEXPANSION:
$(BUILD)/tests/unit/%_test: $(BUILD)/tests/unit/%_test.o $$(call unit_service_objects,$$*) $(KIT) $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -Wl,-z,muldefs $(filter %.o,$^) $(KIT) $(ARCHIVES) $(LINK_test) -lcmocka -o $@
$(BUILD)/tests/unit/%_test.o: tests/unit/%_test.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -Iservices/$(firstword $(subst /, ,$*)) -Itests $(CFLAGS) -MMD -MP -c $< -o $@

# T=signer/encode builds and runs the programs whose path contains it.
UNIT_WANTED := $(if $(T),$(foreach test,$(UNIT_TESTS),$(if $(findstring $(T),$(test)),$(test))),$(UNIT_TESTS))
.PHONY: unit
unit: $(UNIT_WANTED)
	@tests/run-unit.sh $(UNIT_WANTED)

FAKES := $(patsubst tests/fakes/%/Makefile.inc,%,$(wildcard tests/fakes/*/Makefile.inc))
-include tests/fakes/*/Makefile.inc

# Whole stack and real clients, three files side by side: each starts a stack of its own. T=acme_issue runs the files whose name contains it.
PYTEST := SIGNET_BIN=$(abspath $(BIN)) SIGNET_BUILD=$(abspath $(BUILD)) /usr/bin/python3 -m pytest -q -p no:cacheprovider
SIDE_BY_SIDE := -n 3 --dist loadfile
.PHONY: layout flow fault
layout: all
	$(PYTEST) tests/layout
flow: all $(FAKE_TARGETS)
	$(PYTEST) $(SIDE_BY_SIDE) --durations=8 tests/flow $(if $(T),-k '$(notdir $(T))')
fault: all $(FAKE_TARGETS)
	$(PYTEST) $(SIDE_BY_SIDE) --durations=8 tests/fault $(if $(T),-k '$(notdir $(T))')

# ---- fuzzing: every parser of outside bytes. F=csr runs one; TIME is seconds each. ----------------------------------------------------------

FUZZ_SOURCES := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_NAMES   := $(patsubst tests/fuzz/%_fuzz.c,%,$(FUZZ_SOURCES))
FUZZ_BUILD   := build/fuzz
FUZZ_FLAGS   := -std=gnu17 -g -O1 -pthread -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE
TIME ?= 20
.PHONY: fuzz
fuzz:
	@deploy/dev/install-packages all
	@$(MAKE) --no-print-directory $(if $(F),$(addprefix $(FUZZ_BUILD)/bin/,$(F)),fuzz-build)
	@tests/fuzz/run.sh $(TIME) $(addprefix $(FUZZ_BUILD)/bin/,$(if $(F),$(F),$(FUZZ_NAMES)))
$(FUZZ_BUILD)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	@$(CLANG) $(CPPFLAGS) -I$(dir $<) $(addprefix -I,$(wildcard services/*)) $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
FUZZ_COMMON := $(patsubst %.c,$(FUZZ_BUILD)/%.o,$(wildcard common/base/*.c common/pki/*.c))
# A target that drives a parser of a service names its file: FUZZ_NEEDS_jws := services/acme-gw/jws.c
-include tests/fuzz/needs.mk
$(foreach name,$(FUZZ_NAMES),$(eval $(FUZZ_BUILD)/bin/$(name): $(patsubst %.c,$(FUZZ_BUILD)/%.o,$(FUZZ_NEEDS_$(name)))))
$(FUZZ_BUILD)/bin/%: $(FUZZ_BUILD)/tests/fuzz/%_fuzz.o $(FUZZ_COMMON) $(BUILD)/lib/libsignet-proto.a
	@mkdir -p $(@D)
	@$(CLANG) -pthread -fsanitize=fuzzer,address,undefined $(filter %.o,$^) $(filter %.a,$^) $(LINK_test) -o $@
.PHONY: fuzz-build
fuzz-build: $(addprefix $(FUZZ_BUILD)/bin/,$(FUZZ_NAMES))
-include $(shell find $(FUZZ_BUILD) -name '*.d' 2>/dev/null)

# ---- whole jobs ---------------------------------------------------------------------------------------------------------------------------------

.PHONY: deps demo down clean-demo test check bench help
deps:
	@deploy/dev/install-packages

demo: deps
	@$(MAKE) --no-print-directory -s -j$(JOBS) all
	@deploy/dev/demo

down:
	@deploy/dev/stack down

clean-demo:
	@deploy/dev/stack clean

# make test T=signer/sign_certificates runs one of them.
test:
	@deploy/dev/install-packages all
	@$(MAKE) --no-print-directory -s -j$(JOBS) all
	@tests/run-all.sh $(if $(SAN),SAN=1) $(if $(T),T=$(T))

# On Debian 13, in a root of its own: as root, with debootstrap.
.PHONY: test-debian13
test-debian13:
	@tests/debian13.sh $(if $(SAN),SAN=1) $(if $(T),T=$(T))

check:
	@deploy/dev/install-packages all
	@$(MAKE) --no-print-directory -s -j$(JOBS) CC=$(notdir $(CLANG)) all
	@PROTO=build/$(notdir $(CLANG))/proto tests/check.sh

bench: deps
	@deploy/dev/install-packages all
	@$(MAKE) --no-print-directory -s -j$(JOBS) all benches
	@tests/bench/run

ACME_BENCH_PARTS := acme_client acme_jws acme_responder connection
DEVICE_BENCH_PARTS := connection device_messages
BENCHES := $(filter-out $(addprefix $(BUILD)/bench/,$(ACME_BENCH_PARTS) $(DEVICE_BENCH_PARTS)),$(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c)))
.PHONY: benches
benches: $(BENCHES)
# The signing bench drives the signer's own pool of workers; the others speak to a running suite.
$(BUILD)/bench/hsm_sign: $(addprefix $(BUILD)/services/signer/,hsm_pool.o hsm_keeper.o hsm_process.o) | $(BIN)/hsm-worker
$(BUILD)/bench/acme: $(patsubst %,$(BUILD)/tests/bench/%.o,$(ACME_BENCH_PARTS))
$(BUILD)/bench/device: $(patsubst %,$(BUILD)/tests/bench/%.o,$(DEVICE_BENCH_PARTS))
$(addprefix $(BUILD)/tests/bench/,hsm_sign.o acme.o acme_cryptography.o device_messages.o): CPPFLAGS += -Itests
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(KIT) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(KIT) $(ARCHIVES) $(LINK_test) -o $@

help:
	@printf '%s\n' \
	  'make                 build everything into build/gcc/bin (CC=clang-14, SAN=1)' \
	  'make demo            install packages, build, start the suite, issue and revoke a certificate' \
	  'make down            stop the demo;  make clean-demo removes it' \
	  'make test            every test (T=part/of/path: one; SAN=1: under sanitizers)' \
	  'make unit layout flow fault    one kind of test' \
	  'make test-debian13   every test on Debian 13, in a root that debootstrap makes (as root; T=…)' \
	  'make fuzz            every fuzz target (F=name TIME=60)' \
	  'make check           clang, format, clang-tidy, cppcheck, shellcheck' \
	  'make bench           figures and ratios of one run'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: clean
clean:
	rm -rf build
