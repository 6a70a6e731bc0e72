# gow-tools: the build, in one file of plain GNU make (4.3 or later).
#
# Everything made lies under $(BUILD).  `make help` lists the goals.
# Variables that a caller may set:
#   CC CPPFLAGS CFLAGS LDFLAGS LDLIBS   as everywhere
#   HOSTCC                 for programs that the build runs, where CC is a cross compiler
#   BUILD=DIR              where to build (build; build/asan with SANITIZE)
#   SANITIZE=LIST          for example address,undefined
#   WERROR=1               warnings are errors, as in CI
#   DESTDIR, PREFIX        where to install (/usr/local), and bindir, libdir, ...
#   TESTS="NAME..."        check: only these test files
#   FUZZ_SECONDS=N         fuzz: how long, all targets together
#   FUZZ_SEED=N            fuzz: with what to begin (another every time)
#   FIO_SECONDS=N          soak-fio: how long
#   TARGETS="NAME..."      fuzz: only these targets
#   DEPS=no                never look at, or install, Debian packages
#   V=1                    print whole commands

VERSION   := 0.1.0
SOVERSION := 1

# Says it in one place: no implicit rule, no half-made file, no locale in what
# the tools of the build sort and print.
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
export LC_ALL := C.UTF-8
GOALS := $(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))

# One short line a step; V=1 prints the commands themselves.
V   ?=
Q   := $(if $(V),,@)
say  = $(if $(V),,@echo '  $(1)	$@')

ifeq ($(origin CC),default)
CC := gcc
endif
# What the build itself runs is made for the machine that builds.
HOSTCC ?= $(if $(filter gcc clang,$(CC)),$(CC),gcc)
ifeq ($(origin AR),default)
AR := ar
endif
PKG_CONFIG ?= pkg-config
NPROC      ?= $(shell nproc)
SANITIZE   ?=
WERROR     ?=

# A sanitized object must never meet a plain one, so such a build has a directory
# of its own.
ifneq ($(SANITIZE),)
BUILD ?= build/$(if $(findstring address,$(SANITIZE)),asan,$(if $(findstring thread,$(SANITIZE)),tsan,ubsan))
endif
BUILD ?= build
O     := $(BUILD)/obj

# --- where things go ---------------------------------------------------------

PREFIX     ?= /usr/local
bindir     ?= $(PREFIX)/bin
libdir     ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
datadir    ?= $(PREFIX)/share
mandir     ?= $(datadir)/man
sysconfdir ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
bashdir    ?= $(datadir)/bash-completion/completions
zshdir     ?= $(datadir)/zsh/site-functions
plugindir  ?= $(libdir)/nbdkit/plugins
fishdir    ?= $(datadir)/fish/vendor_completions.d

# --- Debian packages: the one list -------------------------------------------

BUILD_PACKAGES := gcc make pkg-config libc6-dev libpopt-dev libjson-c-dev \
	libxxhash-dev libarchive-dev zlib1g-dev libnbd-dev libcurl4-openssl-dev nbdkit-plugin-dev
DEMO_PACKAGES  := e2fsprogs dosfstools mtools fdisk
TEST_PACKAGES  := $(DEMO_PACKAGES) shunit2 jq ntfs-3g xfsprogs qemu-utils \
	grub-rescue-pc xxhash util-linux procps attr acl zsh fish bash-completion \
	nbdkit libnbd-bin fio nginx-light lighttpd libvirt-clients python3 openssl libarchive-tools zstd lz4 xz-utils zip cpio \
	qemu-system-x86 linux-image-cloud-amd64 busybox-static syslinux syslinux-common \
	p7zip-full g++ mandoc slurmctld slurmd slurm-client parallel openssh-server systemd
BENCH_PACKAGES := rsync
DEB_PACKAGES   := dpkg-dev debhelper lintian fakeroot xz-utils
FUZZ_PACKAGES  := clang libclang-rt-dev
FOREIGN_PACKAGES := gcc-s390x-linux-gnu gcc-i686-linux-gnu qemu-user
LINT_PACKAGES  := zsh fish clang clang-format clang-tidy libclang-rt-dev cppcheck shellcheck mandoc \
	codespell

# --- sources -----------------------------------------------------------------

# Protocol modules are loaded on demand: they are no part of the library. NAME_PART.c is a part of
# the module NAME.
MODULE_SRC   := $(sort $(wildcard lib/io/modules/*.c))
MODULE_NAMES := $(foreach name,$(MODULE_SRC:lib/io/modules/%.c=%),$(if $(findstring _,$(name)),,$(name)))
LIB_SRC    := $(filter-out $(MODULE_SRC),$(sort $(wildcard lib/*/*.c lib/*/*/*.c)))
COMMON_SRC := $(sort $(wildcard cmd/common/*.c))
TOOL_SRC   := $(sort $(wildcard cmd/gow-*.c))
TOOL_NAMES := $(TOOL_SRC:cmd/%.c=%)
# What a tool has for itself alone: cmd/NAME/ of gow-NAME.
PART_SRC   := $(sort $(wildcard $(TOOL_NAMES:gow-%=cmd/%/*.c)))

# tests/*.c are programs that stand alone: the tests' own view of the format
# must not come from the library under test.
PRELOAD_SRC := $(wildcard tests/faultio.c tests/failalloc.c)
PRELOADS    := $(PRELOAD_SRC:tests/%.c=$(BUILD)/tests/%.so)
HELPER_SRC  := $(sort $(filter-out $(PRELOAD_SRC),$(wildcard tests/*.c)))
UNIT_SRC    := $(sort $(wildcard tests/unit/*_test.c))
SUPPORT_SRC := $(sort $(wildcard tests/unit/support/*.c))
GENERATORS  := $(sort $(wildcard man/gen-*.c))
FUZZ_SRC    := $(sort $(wildcard tests/fuzz/*_fuzz.c))
KIT_SRC     := $(sort $(wildcard tests/fuzz/kit/*.c))

LIB_OBJ     := $(LIB_SRC:%.c=$(O)/%.o)
PLUGIN_SRC  := $(sort $(wildcard plugin/*.c))
PLUGIN_OBJ  := $(PLUGIN_SRC:%.c=$(O)/%.o)
MODULE_OBJ  := $(MODULE_SRC:%.c=$(O)/%.o)
COMMON_OBJ  := $(COMMON_SRC:%.c=$(O)/%.o)
TOOL_OBJ    := $(TOOL_SRC:%.c=$(O)/%.o)
PART_OBJ    := $(PART_SRC:%.c=$(O)/%.o)
parts        = $(filter $(O)/cmd/$(1:gow-%=%)/%,$(PART_OBJ))
HELPER_OBJ  := $(HELPER_SRC:%.c=$(O)/%.o)
UNIT_OBJ    := $(UNIT_SRC:%.c=$(O)/%.o)
SUPPORT_OBJ := $(SUPPORT_SRC:%.c=$(O)/%.o)
FUZZ_OBJ    := $(FUZZ_SRC:%.c=$(O)/%.o)
KIT_OBJ     := $(KIT_SRC:%.c=$(O)/%.o)
PACK_OBJ    := $(O)/tests/fuzz/pack.o
OBJ := $(LIB_OBJ) $(MODULE_OBJ) $(PLUGIN_OBJ) $(COMMON_OBJ) $(TOOL_OBJ) $(PART_OBJ) $(HELPER_OBJ) $(UNIT_OBJ) $(SUPPORT_OBJ) \
	$(FUZZ_OBJ) $(KIT_OBJ) $(PACK_OBJ)

TOOLS   := $(TOOL_NAMES:%=$(BUILD)/bin/%)
HELPERS := $(HELPER_SRC:tests/%.c=$(BUILD)/tests/%)
UNITS   := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)
FUZZERS := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/targets/%)
MADEMAN := $(GENERATORS:man/gen-%.c=$(BUILD)/man/gow-%.7)
MAN     := $(sort $(wildcard man/*.[1-9])) $(MADEMAN)
LIB_A   := $(BUILD)/libgow.a
# The tools look for them beside their own directory, in ../lib/gow.
PLUGIN     := $(BUILD)/plugin/nbdkit-gow-plugin.so
MODULES := $(MODULE_NAMES:%=$(BUILD)/lib/gow/gow-%.so)
LIB_SO  := $(BUILD)/libgow.so.$(SOVERSION)
SO_FILE := libgow.so.$(VERSION)

# --- flags -------------------------------------------------------------------

# CFLAGS and LDFLAGS stay the caller's; what the code cannot do without is
# in variables of our own, so that `make CFLAGS=-O3` loses no warning.
CFLAGS ?= $(if $(SANITIZE),-O1 -g,-O3 -g)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough \
	$(if $(WERROR),-Werror)

# _FORTIFY_SOURCE wants an optimiser, and hides from AddressSanitizer what it
# checks itself.
ifeq ($(SANITIZE),)
HARDEN    := -fstack-protector-strong \
	$(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDEN_LD := -Wl,-z,relro,-z,now
NOUNDEF   := -Wl,-z,defs
else
# What a fuzzer learns from every comparison is not worth four fifths of the time.
SAN       := -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	$(if $(findstring fuzzer,$(SANITIZE)),-fno-sanitize-coverage=trace-cmp)
endif

STD  := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
ARCH  = $(CFLAGS) -pthread $(HARDEN) $(SAN)

# pkg-config is asked when a recipe first needs the answer, not when this file
# is read: `make check` on a fresh machine installs it on the way.
LIB_PKGS := libxxhash libarchive zlib
# libarchive's own .pc wants libraries that Debian does not install with it, should anybody ask for
# what a static program needs.
PC_PKGS  := $(filter-out libarchive,$(LIB_PKGS))
CMD_PKGS := popt json-c
ask = $(or $(shell $(PKG_CONFIG) $(1) && echo " "),$(error $(PKG_CONFIG) $(1) failed: try `make deps'))
# -isystem: other people's headers do not keep to our warnings.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(patsubst -I%,-isystem %,$(call ask,--cflags $(LIB_PKGS) $(CMD_PKGS))))$(PKG_CFLAGS)
LIB_LIBS   = $(eval LIB_LIBS := $(call ask,--libs $(LIB_PKGS)))$(LIB_LIBS)
CMD_LIBS   = $(eval CMD_LIBS := $(if $(CMD_PKGS),$(call ask,--libs $(CMD_PKGS))))$(CMD_LIBS)

INC       := -Ilib -Icmd
DEFS      := -DGOW_VERSION='"$(VERSION)"' -DGOW_MODULE_DIR='"$(libdir)/gow"' \
	-DGOW_SYSCONFDIR='"$(sysconfdir)"'
COMPILE    = $(STD) $(INC) $(DEFS) $(PKG_CFLAGS) $(CPPFLAGS) $(WARN) $(ARCH)
LINK       = $(CC) $(ARCH) $(HARDEN_LD) -Wl,--as-needed $(LDFLAGS)

# What one kind of target has of its own is private: make would hand it on to
# what the target is made from, the stamp of flags among it.
#
# The library's objects serve the archive and the shared library alike.  The
# linker turns the detour of -fPIC back into direct calls in the tools.
$(LIB_OBJ) $(MODULE_OBJ): private PIC := -fPIC -fno-semantic-interposition
$(PLUGIN_OBJ): private PIC := -fPIC -fvisibility=hidden
PIC     := -fPIE
$(UNIT_OBJ) $(SUPPORT_OBJ): private INC := $(INC) -Itests/unit
$(FUZZ_OBJ) $(KIT_OBJ) $(PACK_OBJ): private INC := $(INC) -Itests/unit -Itests/fuzz
# The helpers are not what is tested, and run under and around sanitized tools.
$(HELPER_OBJ) $(HELPERS) $(PRELOADS) $(PACK_OBJ) $(BUILD)/targets/pack: private SAN :=
$(HELPER_OBJ): private INC :=
# What looks for new ways through the library is not led by those through the tests.
comma := ,
$(FUZZ_OBJ) $(KIT_OBJ) $(SUPPORT_OBJ): private SAN := $(subst $(comma)fuzzer-no-link,,$(SAN))

# --- goals -------------------------------------------------------------------


.PHONY: all lib tools modules plugin tests man FORCE
all: lib tools modules plugin man ## the library, the tools and the man pages (the default)
lib: $(LIB_A) $(LIB_SO) $(BUILD)/gow.pc
tools: $(TOOLS)
modules: $(MODULES)
plugin: $(PLUGIN)
man: $(MADEMAN)
tests: $(HELPERS) $(PRELOADS) $(UNITS) ## the test programs, not run
# tests/run takes every program that lies there: one whose source is gone must go.
	@$(if $(strip $(STALE_UNITS)),rm -f $(STALE_UNITS),:)
STALE_UNITS = $(filter-out $(UNITS),$(wildcard $(BUILD)/tests/unit/*))

# Stamps change only when their text does: a change of flags rebuilds
# everything, a removed source remakes the library.
define FLAGS_TEXT
CC=$(CC)
VERSION=$(VERSION)
SANITIZE=$(SANITIZE)
COMPILE=$(COMPILE)
LINK=$(LINK) $(NOUNDEF)
LIBS=$(LIB_LIBS) $(CMD_LIBS) $(LDLIBS)
endef
stamp = @$(shell mkdir -p $(@D))$(file >$@.new,$(1))if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(BUILD)/flags: FORCE | $(if $(filter check demo lint bench fuzz deps,$(GOALS)),packages)
	$(call stamp,$(FLAGS_TEXT))
$(BUILD)/sources: FORCE
	$(call stamp,$(LIB_OBJ) $(COMMON_OBJ) $(PART_OBJ) $(SUPPORT_OBJ) $(KIT_OBJ) $(TOOL_NAMES))

$(OBJ): $(O)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) $(PIC) -MMD -MP -c -o $@ $<

$(LIB_A): $(LIB_OBJ) $(BUILD)/sources
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

# What gow.h declares is exported and nothing else: the library's own rooms use
# gow_ names among themselves too.
$(BUILD)/libgow.map: lib/gow.h Makefile
	@mkdir -p $(@D)
	$(call say,MAP)
	$(Q){ echo 'LIBGOW_$(SOVERSION) {'; echo 'global:'; \
	   $(CC) -E -P $< | grep -o '\<gow_[a-z0-9_]*(' | sort -u | sed 's/(/;/; s/^/\t/'; \
	   echo 'local: *;'; echo '};'; } >$@

$(LIB_SO): $(LIB_OBJ) $(BUILD)/libgow.map $(BUILD)/sources
	$(call say,LINK)
	$(Q)$(LINK) $(NOUNDEF) -shared -Wl,-soname,$(@F) -Wl,--version-script=$(BUILD)/libgow.map \
		-o $@ $(LIB_OBJ) $(LIB_LIBS) $(LDLIBS)
	@ln -sf $(@F) $(BUILD)/libgow.so

$(BUILD)/lib/gow/gow-http.so: private MODULE_LIBS = $(call ask,--libs libcurl) -lm
$(BUILD)/lib/gow/gow-nbd.so: private MODULE_LIBS = $(call ask,--libs libnbd)
$(foreach name,$(MODULE_NAMES),$(eval $(BUILD)/lib/gow/gow-$(name).so: \
	$(filter $(O)/lib/io/modules/$(name)_%,$(MODULE_OBJ))))
$(MODULES): $(BUILD)/lib/gow/gow-%.so: $(O)/lib/io/modules/%.o $(O)/lib/base/error.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) $(NOUNDEF) -shared -o $@ $^ $(MODULE_LIBS) $(LDLIBS)

$(foreach tool,$(TOOL_NAMES),$(eval $(BUILD)/bin/$(tool): $(call parts,$(tool))))
# A plugin has no business with what else it is made of: only its entry is seen.
$(PLUGIN): $(PLUGIN_OBJ) $(LIB_A) $(BUILD)/sources
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) -shared -Wl,--exclude-libs,ALL -o $@ $(filter %.o %.a,$^) $(LIB_LIBS) $(LDLIBS)

$(TOOLS): $(BUILD)/bin/%: $(O)/cmd/%.o $(COMMON_OBJ) $(LIB_A) $(BUILD)/sources
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) -pie -o $@ $(filter %.o,$^) $(filter %.a,$^) $(CMD_LIBS) $(LIB_LIBS) $(LDLIBS)

$(HELPERS): $(BUILD)/tests/%: $(O)/tests/%.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) -pie -o $@ $^ $(LIB_LIBS) $(LDLIBS)

$(PRELOADS): $(BUILD)/tests/%.so: tests/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMPILE) -fPIC -shared -o $@ $< -ldl

$(UNITS): $(BUILD)/tests/unit/%: $(O)/tests/unit/%.o $(SUPPORT_OBJ) $(LIB_A) $(BUILD)/sources
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) -pie -o $@ $(filter %.o %.a,$^) $(LIB_LIBS) $(LDLIBS)

# Every assertion that fails is the end of a fuzzer, so theirs are not the unit tests'.
FUZZ_SUPPORT := $(filter-out %/check.o,$(SUPPORT_OBJ)) $(KIT_OBJ)
$(FUZZERS): $(BUILD)/targets/%: $(O)/tests/fuzz/%.o $(FUZZ_SUPPORT) $(LIB_A) $(BUILD)/sources
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) -fsanitize=fuzzer -pie -o $@ $(filter %.o %.a,$^) $(LIB_LIBS) $(LDLIBS)

$(BUILD)/targets/pack: $(PACK_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(LINK) -pie -o $@ $^ $(LDLIBS)

# They run while building, so they are made for this machine, and of the tables alone.
$(BUILD)/gen-problems: lib/image/problem.c
$(BUILD)/gen-formats: $(addprefix lib/,disk/formats.c disk/signs.c base/error.c)
$(BUILD)/gen-%: man/gen-%.c man/mdoc.c man/mdoc.h lib/gow.h lib/disk/formats.h
	@mkdir -p $(@D)
	$(call say,HOSTCC)
	$(Q)$(HOSTCC) $(STD) -Ilib -o $@ $(filter %.c,$^)

$(BUILD)/man/gow-%.7: $(BUILD)/gen-%
	@mkdir -p $(@D)
	$(call say,MAN)
	$(Q)$< >$@.new && mv $@.new $@

make-pc = sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(libdir))|' \
	-e 's|@includedir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(includedir))|' \
	-e 's|@VERSION@|$(VERSION)|' -e 's|@requires@|$(PC_PKGS)|'
$(BUILD)/gow.pc: gow.pc.in Makefile
	@mkdir -p $(@D)
	$(call say,SED)
	$(Q)$(make-pc) $< >$@

-include $(OBJ:.o=.d)

# --- packages ----------------------------------------------------------------

WANT := $(BUILD_PACKAGES) \
	$(if $(filter check bench fuzz deps,$(GOALS)),$(TEST_PACKAGES)) \
	$(if $(filter fuzz deps,$(GOALS)),$(FUZZ_PACKAGES)) \
	$(if $(filter bench deps,$(GOALS)),$(BENCH_PACKAGES)) \
	$(if $(filter demo,$(GOALS)),$(DEMO_PACKAGES)) \
	$(if $(filter lint deps,$(GOALS)),$(LINT_PACKAGES)) \
	$(if $(filter foreign deps,$(GOALS)),$(FOREIGN_PACKAGES)) \
	$(if $(filter deb deb-check deps,$(GOALS)),$(DEB_PACKAGES))

.PHONY: deps packages
deps: packages ## install the Debian packages that building, testing and linting need
packages:
	@$(if $(filter no,$(DEPS)),:,contrib/deps) $(sort $(WANT))

# --- running it --------------------------------------------------------------

# 99 is no exit status of any tool, so a sanitizer's report never passes for one.
# A preloaded library stands before the sanitizer's runtime, which is fine.
SAN_ENV := $(if $(SANITIZE),ASAN_OPTIONS=$${ASAN_OPTIONS-exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:verify_asan_link_order=0} \
	TSAN_OPTIONS=$${TSAN_OPTIONS-exitcode=99:halt_on_error=1} \
	UBSAN_OPTIONS=$${UBSAN_OPTIONS-halt_on_error=1:print_stacktrace=1:exitcode=99} SANITIZE=$(SANITIZE))
RUN_ENV := BUILD='$(abspath $(BUILD))' CC='$(CC)' $(SAN_ENV)

.PHONY: check demo bench fuzz
check: packages all tests ## install what is missing, build, run every test
	@$(RUN_ENV) tests/run $(TESTS)

# Counted by a build of its own; what a program that is killed had counted is lost. The lines that
# were never run stand in the .gcov files, marked #####.
.PHONY: coverage
COVERAGE := $(BUILD)/coverage
coverage: packages ## which lines of lib/ the suites run (TESTS: these suites), the least covered files first
	+@$(MAKE) --no-print-directory all tests BUILD='$(COVERAGE)' CFLAGS='-O0 -g --coverage'
	@BUILD='$(abspath $(COVERAGE))' CC='$(CC)' tests/run $(TESTS) || \
		echo "some tests failed; their lines count all the same"
	@BUILD='$(abspath $(COVERAGE))' contrib/coverage

# Machines of the other byte order, and of 32 bits.
FOREIGN ?= s390x i386
.PHONY: foreign
foreign: packages ## the library and its quick unit tests, built for other machines and run
	+@MAKE='$(MAKE) $(if $(findstring -j,$(MAKEFLAGS)),,-j$(NPROC))' contrib/foreign $(BUILD)/foreign $(FOREIGN)

demo: packages all ## install what is missing, build, show the main job on a real disk
	@PATH='$(abspath $(BUILD))/bin':"$$PATH" contrib/demo

bench: packages all tests ## measure against peers (needs tests/bench/run)
	@$(RUN_ENV) tests/bench/run

# Takes minutes; a sample of it is in the suite.
PROBE_IMAGES ?= 1000
# How long random writes are done; a short run is in the suite.
FIO_SECONDS ?= 3600
.PHONY: soak-probe soak-boot soak-fio
soak-boot: packages all tests ## boot guests from images of every version, and cut the power
	@$(RUN_ENV) GOW_SUITE_TIMEOUT=7200 tests/run -v tests/soak-boot

soak-fio: packages all tests ## random writes, trims and flushes with fio for FIO_SECONDS, judged by a raw twin
	@$(RUN_ENV) FIO_SECONDS=$(FIO_SECONDS) GOW_SUITE_TIMEOUT=$$(($(FIO_SECONDS) + 1200)) \
		tests/run -v tests/soak-fio

soak-probe: packages all tests ## ask gow-probe for the layout of PROBE_IMAGES generated images
	@$(RUN_ENV) tests/soak-probe $(PROBE_IMAGES)

# The targets are instrumented, and so is the library in them: another build, in a directory of its
# own, with the compiler that has libFuzzer.
FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZ_BUILD   := $(BUILD)/fuzz
.PHONY: fuzzers fuzz-build
fuzzers: $(FUZZERS) $(BUILD)/targets/pack
fuzz-build: packages ## build the fuzz targets, not run
	+@$(MAKE) --no-print-directory fuzzers BUILD='$(FUZZ_BUILD)' CC='$(FUZZ_CC)' \
		SANITIZE=address,undefined,fuzzer-no-link

fuzz: packages all tests fuzz-build ## look for wrong results and crashes for FUZZ_SECONDS
	@$(RUN_ENV) FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_SEED='$(FUZZ_SEED)' tests/fuzz/run $(TARGETS)

# --- lint --------------------------------------------------------------------

# What git knows or would know; what lies in a release's tar file otherwise.
FILES    = $(shell git ls-files -co --exclude-standard 2>/dev/null || find . \( -path ./build -o -path ./.git \) -prune -o -type f -printf '%P\n')
TEXT     = $(filter-out LICENSE,$(wildcard $(FILES)))
C_FILES  = $(filter lib/%.c cmd/%.c plugin/%.c tests/%.c man/%.c,$(TEXT))
SCRIPTS  = $(shell grep -lE '^(\#!.*\b(ba)?sh$$|\# shellcheck shell)' $(TEXT) /dev/null) $(filter tests/%.sh,$(TEXT))
LINT_INC := -Ilib -Icmd -Iman -Itests/unit -Itests/fuzz

# Each is a goal of its own, so that `make -k lint` tells everything at once.
LINTS := lint-layers lint-text lint-format lint-spelling lint-shell lint-man lint-cppcheck lint-tidy
.PHONY: lint $(LINTS)
lint: $(LINTS) ## all linters: clang-tidy cppcheck shellcheck mandoc codespell layers text
$(LINTS): | packages

lint-layers:
	contrib/lint-layers

lint-text:
	@contrib/lint-text $(TEXT)

# What was formatted by .clang-format stays so; a directory joins the list once it is (make format).
FORMATTED_DIRS := lib/base lib/image lib/io lib/journal lib/disk lib/guest lib/ops/check lib/ops/convert \
	lib/ops/infer lib/ops/inplace lib/ops/metadata lib/ops/repair lib/ops/sync cmd/common cmd/convert \
	cmd/info cmd/repair cmd/report plugin
FORMATTED = $(filter $(FORMATTED_DIRS:%=%/%.c) $(FORMATTED_DIRS:%=%/%.h) cmd/gow-%.c,$(TEXT))
.PHONY: format
format: ## the formatted part of the C code, formatted anew
	@clang-format -i $(FORMATTED)
lint-format:
	@clang-format --dry-run --Werror $(FORMATTED)

lint-spelling:
	@codespell --check-filenames --ignore-words-list=nd,conectix,daa,sav $(TEXT)

lint-shell:
	@shellcheck -x -P SCRIPTDIR -P tests $(sort $(SCRIPTS))
	zsh -n completion/gow.zsh.in
	fish -n completion/gow.fish.in

# Warnings and style alike, but for which pages of others are installed here; by lines, since it
# writes to two places that are one here.
lint-man: $(MADEMAN)
	@! stdbuf -oL mandoc -T lint -W style $(MAN) 2>&1 </dev/null | \
		grep -vE 'referenced manual not found|mandoc\.db lacks'

# Suppressed for all: system headers, which it is not meant to read, and its
# advice to take readdir_r, which glibc calls deprecated.  Its "style" group is
# left to clang-tidy, which guesses better.
lint-cppcheck:
	@cppcheck -q -j$(NPROC) --std=c11 --enable=warning,performance,portability \
		--error-exitcode=1 --inline-suppr --library=posix,gnu \
		--suppress=missingIncludeSystem --suppress=readdirCalled \
		-D_GNU_SOURCE $(DEFS) $(LINT_INC) $(C_FILES)

# A process for each file, as many at a time as there are processors; the
# largest first, so that none is left alone at the end.
lint-tidy:
	@ls -S $(C_FILES) | xargs -P$(NPROC) -I{} sh -c ' \
		out=$$(clang-tidy --quiet "$$1" -- $(STD) $(LINT_INC) -DGOW_VERSION=\"\" $(PKG_CFLAGS) 2>&1) || { \
		printf "%s\n" "$$out" | grep -v "warnings\{0,1\} .*generated\.$$"; exit 1; }' sh {}

# --- completion, installing --------------------------------------------------

COMPLETION := $(patsubst completion/%.in,$(BUILD)/completion/%,$(wildcard completion/*.in))
all: $(COMPLETION)
$(COMPLETION): $(BUILD)/completion/%: completion/%.in $(BUILD)/sources
	@mkdir -p $(@D)
	$(call say,SED)
	$(Q)sed 's/@TOOLS@/$(TOOL_NAMES)/' $< >$@

# Where everything goes, for install and uninstall alike.
INSTALLED := $(TOOL_NAMES:%=$(bindir)/%) \
	$(addprefix $(libdir)/,libgow.a $(SO_FILE) libgow.so.$(SOVERSION) libgow.so pkgconfig/gow.pc) \
	$(includedir)/gow.h \
	$(MODULES:$(BUILD)/lib/gow/%=$(libdir)/gow/%) \
	$(plugindir)/$(notdir $(PLUGIN)) \
	$(foreach page,$(notdir $(MAN)),$(mandir)/man$(subst .,,$(suffix $(page)))/$(page)) \
	$(TOOL_NAMES:%=$(bashdir)/%) $(zshdir)/_gow $(TOOL_NAMES:%=$(fishdir)/%.fish)
INSTALL ?= install
put = $(INSTALL) -m $(1) $(2) '$(DESTDIR)$(3)'

.PHONY: install install-only uninstall
install: all install-only ## install under $(DESTDIR)$(PREFIX)
# sudo make install-only, after make: root builds nothing.
install-only: $(if $(filter install,$(GOALS)),all)
	$(INSTALL) -d $(foreach dir,$(sort $(dir $(INSTALLED))),'$(DESTDIR)$(dir)')
	$(call put,755,$(TOOLS),$(bindir))
	$(call put,644,$(LIB_A),$(libdir))
	$(call put,644,$(LIB_SO),$(libdir)/$(SO_FILE))
	ln -sf $(SO_FILE) '$(DESTDIR)$(libdir)/libgow.so.$(SOVERSION)'
	ln -sf libgow.so.$(SOVERSION) '$(DESTDIR)$(libdir)/libgow.so'
	$(foreach module,$(MODULES),$(call put,644,$(module),$(libdir)/gow) &&) :
	$(call put,644,$(PLUGIN),$(plugindir))
	$(call put,644,lib/gow.h,$(includedir))
	$(make-pc) gow.pc.in >'$(DESTDIR)$(libdir)/pkgconfig/gow.pc'
	$(foreach page,$(MAN),$(call put,644,$(page),$(mandir)/man$(subst .,,$(suffix $(page)))) &&) :
	$(foreach tool,$(TOOL_NAMES),$(call put,644,$(BUILD)/completion/gow.bash,$(bashdir)/$(tool)) &&) :
	$(foreach tool,$(TOOL_NAMES),$(call put,644,$(BUILD)/completion/gow.fish,$(fishdir)/$(tool).fish) &&) :
	$(call put,644,$(BUILD)/completion/gow.zsh,$(zshdir)/_gow)

uninstall: ## remove what install put there
	rm -f $(foreach file,$(INSTALLED),'$(DESTDIR)$(file)')

# --- releases ----------------------------------------------------------------

# The same tree gives the same bytes: names in order, no owners, one time for all.
DIST      := gow-tools-$(VERSION)
DIST_TIME  = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || dpkg-parsechangelog -S Timestamp))
.PHONY: dist deb deb-check
dist: ## a release: a tar file of the sources
	@mkdir -p $(BUILD)
	$(Q)printf '%s\n' $(wildcard $(FILES)) | tar --sort=name --mtime=@$(DIST_TIME) --owner=0 --group=0 \
		--numeric-owner --mode=u=rwX,go=rX --format=gnu --transform='s|^|$(DIST)/|' \
		-cf $(BUILD)/$(DIST).tar -T - && xz -T1 -f $(BUILD)/$(DIST).tar

# From the tar file, so that what a release lacks is found here; the result is in $(BUILD)/deb.
deb: dist $(if $(filter no,$(DEPS)),,packages) ## Debian packages (dpkg-buildpackage -b)
	@rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb
	@tar -xf $(BUILD)/$(DIST).tar.xz -C $(BUILD)/deb
	cd $(BUILD)/deb/$(DIST) && env -u MAKEFLAGS -u MAKELEVEL -u BUILD dpkg-buildpackage -us -uc -b

deb-check: deb ## build them twice, compare, and run lintian
	@rm -rf $(BUILD)/deb-first && mv $(BUILD)/deb $(BUILD)/deb-first
	$(Q)$(MAKE) --no-print-directory deb DEPS=no
	@set -e; for deb in $(BUILD)/deb/*.deb; do cmp "$$deb" "$(BUILD)/deb-first/$${deb##*/}"; done
	@lintian --allow-root --fail-on error,warning $(BUILD)/deb/*.changes
	@rm -rf $(BUILD)/deb-first

.PHONY: clean help
clean: ## remove everything made
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo; sed -n '/^# Variables/,/^$$/s/^# \{0,1\}//p' Makefile
