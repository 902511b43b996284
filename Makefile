# Signet. `make demo` shows it, `make test` proves it, `make help` lists the rest.
#
# The three layers of common/ are archives; a service is its folder plus the archives, and the table LINK_… below says which system
# libraries it may link: that table, deploy/bus/permissions and deploy/database/grants.sql are the privilege map of the house.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
SHELL := /bin/bash

VERSION := 0.1.0
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG := $(firstword $(wildcard /usr/bin/clang-14) clang)

VARIANT := $(if $(SAN),san,$(notdir $(CC)))
BUILD   := build/$(VARIANT)
BIN     := $(BUILD)/bin

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings \
            -Wformat=2 -Wundef -Wvla -Wswitch-enum -Wno-unused-parameter -Wno-missing-field-initializers
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
FORTIFY  := $(if $(SAN),,-D_FORTIFY_SOURCE=2)
OPTIMISE := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined,-O2)
comma    := ,
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
	protoc-c --c_out=$(BUILD)/proto -Iproto -I/usr/include $<
$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c | $(PROTO_H)
	$(CC) $(CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -c $< -o $@

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
	ar rcs $@ $^
ARCHIVES := $(BUILD)/lib/libsignet-link.a $(BUILD)/lib/libsignet-pki.a $(BUILD)/lib/libsignet-base.a $(BUILD)/lib/libsignet-proto.a

# Request path code is compiled with its own folder as include root for its private header only.
$(BUILD)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -I$(dir $<) $(CFLAGS) -MMD -MP -c $< -o $@

# ---- services: what each may link ------------------------------------------------------------------------------------------------------

CORE := -lprotobuf-c -ljansson -lssl -lcrypto -lm
HTTP := -lh2o-evloop
BUS  := -lnats
DB   := -lpq

LINK_acme-gw        := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_validator      := $(CORE) $(HTTP) $(BUS) -lunbound -lcurl
LINK_ra             := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_signer         := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_hsm-worker     := -lp11 -lssl -lcrypto -ldl
LINK_ocsp-responder := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_crl-publisher  := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_inventory      := $(CORE) $(HTTP) $(BUS) $(DB)
LINK_signetctl      := $(CORE) $(HTTP) $(BUS) $(DB) -lyaml
LINK_test           := $(CORE) $(HTTP) $(BUS) $(DB) -lunbound -lcurl -lyaml -lp11 -ldl

SERVICE_DIRS := $(patsubst %/main.c,%,$(wildcard services/*/main.c services/*/*/main.c))
SERVICES     := $(notdir $(SERVICE_DIRS))

define SERVICE
$(BIN)/$(notdir $(1)): $$(patsubst %.c,$(BUILD)/%.o,$$(wildcard $(1)/*.c)) $$(EXTRA_$(notdir $(1))) $$(ARCHIVES)
	@mkdir -p $(BIN)
	$$(CC) $$(LDFLAGS) $$(filter %.o,$$^) $$(ARCHIVES) $$(LINK_$(notdir $(1))) -o $$@
endef
$(foreach dir,$(SERVICE_DIRS),$(eval $(call SERVICE,$(dir))))

# The numbered SQL files travel inside signetctl.
SQL_FILES := $(wildcard services/*/sql/*.sql) $(wildcard deploy/database/*.sql)
EXTRA_signetctl := $(BUILD)/generated/migrations.o
$(BUILD)/generated/migrations.c: deploy/database/embed-sql.sh $(SQL_FILES)
	@mkdir -p $(@D)
	deploy/database/embed-sql.sh $(SQL_FILES) > $@
$(BUILD)/generated/%.o: $(BUILD)/generated/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

.DEFAULT_GOAL := all
.PHONY: all
all: $(addprefix $(BIN)/,$(SERVICES))
	@ln -sfn $(VARIANT) build/current

# ---- tests ---------------------------------------------------------------------------------------------------------------------------------

UNIT_SOURCES := $(shell find tests/unit -name '*_test.c' 2>/dev/null)
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(BUILD)/%)

# tests/kit: what starts a real server (postgres_kit, …) for the tests that want one; an archive, so that each test takes only what it uses.
KIT := $(BUILD)/lib/libsignet-kit.a
$(KIT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/kit/*.c))

# A unit test may define a seam (clock_now_s, random_bytes, bus_…, db_…) itself: its definition is linked first and wins.
# tests/unit/<service>/… is linked with that service's objects, without its main.
unit_service_dir = $(wildcard services/$(word 4,$(subst /, ,$(patsubst $(BUILD)/%,x/%,$(1)))))
.SECONDEXPANSION:
$(BUILD)/tests/unit/%_test: $(BUILD)/tests/unit/%_test.o $$(patsubst %.c,$(BUILD)/%.o,$$(filter-out %/main.c,$$(wildcard services/$$(firstword $$(subst /, ,$$*))/*.c))) $(KIT) $(ARCHIVES)
	$(CC) $(LDFLAGS) -Wl,-z,muldefs $(filter %.o,$^) $(KIT) $(ARCHIVES) $(LINK_test) -lcmocka -o $@
$(BUILD)/tests/unit/%_test.o: tests/unit/%_test.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Iservices/$(firstword $(subst /, ,$*)) -Itests $(CFLAGS) -MMD -MP -c $< -o $@

.PHONY: unit
unit: $(UNIT_TESTS)
	@tests/run-unit.sh $(UNIT_TESTS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: clean
clean:
	rm -rf build
