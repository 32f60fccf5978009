# What Makefile.musl and Makefile.glibc share; they set LIBC.
#
# Targets:   all (build, then verify)  run  test  setup  verify  size  size-report  upx  install  uninstall  clean  distclean
#            and the parts of test: fmt  vet  unit  interop  fuzz  toolchain  lint (staticcheck, shellcheck)
# Variables: ARGS        arguments of the server for `run`, as in  make -f Makefile.musl run ARGS='-p 2022 -d'
#            TESTFLAGS   arguments of `go test`, as in  TESTFLAGS='-run Login -v'
#            FUZZTIME    how long each fuzz target runs (2s)
#            DEPS        deps: the pinned libraries (default); system: the distribution's static libraries
#            PREFIX, DESTDIR   where install puts it (/usr/local)
#            CC          another compiler for LIBC; CGO_CFLAGS and CGO_LDFLAGS say where its libraries are
#            NANO_DEPS_CACHE   a folder with source tarballs, looked at before the network

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ifneq ($(words $(CURDIR)),1)
$(error "$(CURDIR)" has a space in it, which neither make nor configure scripts can cope with. Fix: move the tree)
endif

GO ?= go
DEPS ?= deps
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
TESTFLAGS ?=
FUZZTIME ?= 2s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

NAME := nano_ssh_server
MANDIR := $(PREFIX)/share/man
BINARY ?= $(NAME).$(LIBC)
BUILD := $(or $(NANO_BUILD),$(CURDIR)/build)
READY := $(BUILD)/$(LIBC)/ready

# The compiler: the shell's in nix, the host's for the distribution's libraries, else the one deps/ makes, which knows where
# the sysroot is. One that the caller names is looked at closely (deps/guard.sh).
ifeq ($(origin CC),default)
CC := $(if $(filter deps,$(DEPS)),$(BUILD)/$(LIBC)/bin/cc,gcc)
endif
ifeq ($(DEPS),deps)
PKG_CONFIG_ENV := PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR=$(BUILD)/$(LIBC)/sysroot/lib/pkgconfig
endif

# The stamp does nothing but change when the libraries do: Go's build cache looks at flags, not into a sysroot.
# Both are read from a file that exists only once the libraries are built.
STAMP = $(shell sed -n 's/^stamp=//p' $(READY) 2>/dev/null)
TAGS = $(shell sed -n 's/^tags=//p' $(READY) 2>/dev/null)
GO_ENV = env CGO_ENABLED=1 CC='$(CC)' $(PKG_CONFIG_ENV) \
	CGO_CFLAGS='-O2 -fstack-protector-strong -ffunction-sections -fdata-sections -DNANO_DEPS_$(STAMP) $(CGO_CFLAGS)' \
	CGO_LDFLAGS='$(CGO_LDFLAGS)'

# -buildid= and --build-id=none: the identifiers would hash the compiler's path into the file.
EXTLDFLAGS := -static -Wl,--gc-sections -Wl,--build-id=none
LDFLAGS := -s -w -buildid= -linkmode external
GO_FLAGS = -trimpath -buildvcs=false -tags $(TAGS)
# Tests need no stripping, but the same compiler, libraries and kind of link.
# tests/interop and tests/privsep take minutes; go test's own limit is 10.
GO_TEST_FLAGS = -timeout 25m $(GO_FLAGS) -ldflags '-linkmode external -extldflags "$(EXTLDFLAGS)"'

SOURCES := go.mod go.sum $(shell find server cgo -type f ! -name '*_test.go' ! -path '*/testdata/*' 2>/dev/null)
TOOL_ENV := LIBC=$(LIBC) DEPS=$(DEPS) CC='$(CC)' CGO_CFLAGS='$(CGO_CFLAGS)' CGO_LDFLAGS='$(CGO_LDFLAGS)' $(PKG_CONFIG_ENV)

.PHONY: all run test setup setup-test guard verify size size-report upx install uninstall clean distclean
.PHONY: fmt vet unit interop regress bench bench-quick fuzz toolchain lint

all: $(BINARY) verify

# The libraries and the compiler. Looked at every time, but the file changes only when something of it did.
$(READY): FORCE
	@$(TOOL_ENV) deps/toolchain.sh $@

FORCE:

$(BINARY): $(SOURCES) $(READY) deps/common.mk
	@$(TOOL_ENV) deps/guard.sh
	@echo "go build $@"
	@deps/explain.sh $(GO_ENV) $(GO) build $(GO_FLAGS) -ldflags '$(LDFLAGS) -extldflags "$(EXTLDFLAGS)"' -o $@ ./server

# In the order given, also with -j: everything waits for the set-up.
$(READY): | $(if $(filter run test,$(MAKECMDGOALS)),setup)

setup:
	@deps/setup.sh $(LIBC) $(DEPS) $(if $(filter test setup-test,$(MAKECMDGOALS)),test)

guard: $(READY)
	@$(TOOL_ENV) deps/guard.sh

run: setup $(BINARY) verify
	./$(BINARY) $(ARGS)

verify: $(BINARY)
	@deps/verify.sh $(BINARY)

install: $(BINARY) verify
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/$(NAME)
	install -D -m 644 man/$(NAME).8 $(DESTDIR)$(MANDIR)/man8/$(NAME).8
	install -D -m 644 man/$(NAME)_config.5 $(DESTDIR)$(MANDIR)/man5/$(NAME)_config.5

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/$(NAME) $(DESTDIR)$(MANDIR)/man8/$(NAME).8 $(DESTDIR)$(MANDIR)/man5/$(NAME)_config.5

clean:
	rm -f $(NAME).$(LIBC) $(NAME).$(LIBC)-system $(NAME).$(LIBC).upx
	rm -rf $(BUILD)/$(LIBC)/size

distclean: clean
	rm -rf $(BUILD)

## Tests

test: setup $(BINARY) verify
	@$(MAKE) --no-print-directory -f Makefile.$(LIBC) fmt vet unit
	@$(MAKE) --no-print-directory -f Makefile.glibc DEPS=system race spacemonkey
	@$(MAKE) --no-print-directory -f Makefile.$(LIBC) regress fuzz toolchain
	@echo "$(NAME).$(LIBC): all tests passed"

fmt:
	@found=$$(gofmt -l $$(find . -name '*.go' ! -path './build/*')); \
	if [ -n "$$found" ]; then echo "not formatted as gofmt does:" $$found >&2; exit 1; fi; echo "gofmt: clean"

vet: $(READY)
	$(GO_ENV) $(GO) vet -tags $(TAGS) ./...

# Some tests log in, so they want the built file: NANO_SSH_SERVER is its path.
unit: $(BINARY)
	NANO_SSH_SERVER=$(abspath $(BINARY)) $(GO_ENV) $(GO) test $(GO_TEST_FLAGS) $(TESTFLAGS) ./...

interop: $(BINARY)
	NANO_SSH_SERVER=$(abspath $(BINARY)) $(GO_ENV) $(GO) test $(GO_TEST_FLAGS) -count=1 $(TESTFLAGS) ./tests/interop/...

# OpenSSH's own suite, where its runner is (tests/regress says how). REGRESS=all takes ten minutes more.
REGRESS ?= quick
regress: $(BINARY)
	NANO_REGRESS=$(REGRESS) NANO_SSH_SERVER=$(abspath $(BINARY)) $(GO_ENV) $(GO) test $(GO_TEST_FLAGS) -count=1 -timeout 60m \
		$(TESTFLAGS) ./tests/regress

# This server beside the machine's sshd: docs/bench.md. BENCHFLAGS: what nanobench -h tells.
bench: $(BINARY)
	CGO_ENABLED=0 $(GO) run ./tests/bench/nanobench -nano $(abspath $(BINARY)) $(BENCHFLAGS)

bench-quick: $(BINARY)
	CGO_ENABLED=0 $(GO) run ./tests/bench/nanobench -quick -nano $(abspath $(BINARY)) $(BENCHFLAGS)

fuzz: $(READY)
	@FUZZTIME=$(FUZZTIME) $(GO_ENV) tests/fuzz.sh $(GO_TEST_FLAGS)

toolchain: $(READY)
	@tests/toolchain/run.sh

lint: $(READY)
	shellcheck -x .ci/run $$(find deps tests -name '*.sh')
	$(GO_ENV) $(GO) run $(STATICCHECK) -tags $(TAGS) ./...

## Sizes

# The same link, but with symbols and with the linker's map.
SIZE_MAP = -Wl,-Map=$(BUILD)/$(LIBC)/size/link.map
size: $(BINARY)
	@mkdir -p $(BUILD)/$(LIBC)/size
	@$(GO_ENV) $(GO) build $(GO_FLAGS) -ldflags '$(LDFLAGS:-s=) -extldflags "$(EXTLDFLAGS) $(SIZE_MAP)"' \
		-o $(BUILD)/$(LIBC)/size/$(NAME) ./server
	@$(GO) run deps/size.go $(BUILD)/$(LIBC)/size/$(NAME) $(BUILD)/$(LIBC)/size/link.map $(BINARY)

size-report:
	@deps/size-report.sh

upx: $(BINARY)
	@command -v upx >/dev/null || { echo "upx is not installed, so there is no packed file. Fix: install upx-ucl" >&2; exit 1; }
	rm -f $(BINARY).upx
	upx -q --best --lzma -o $(BINARY).upx $(BINARY)
	@deps/verify.sh --starts $(BINARY).upx
