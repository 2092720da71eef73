# SPDX-License-Identifier: Apache-2.0
#
# make            build build/matrixfs              make deps     bring what the build needs
# make demo       build, show hub and mount         make check    everything a change must pass
# make torture    seeded lives for an hour          make leaks    a thousand mounts
# make crash      a power cut at each single change    make sanitize all stories under both sanitizers
# make fuzz-short a minute for each parser           make suite    huggingface_hub's own tests against the hub
# make bench      ratios to plain ways              make bench-peers    what a cluster of peers costs whom
# make check-deploy    chart, dashboards, alert rules by helm and promtool     make check-image    the image's lines
# make check-nfs-kernel    a real kernel's NFS client, in a virtual machine
# make check-engines    llama.cpp and sentence-transformers load from a mount
# make install uninstall     DESTDIR=, prefix= and the other directories of GNU
# make deb        Debian packages in build/deb      make check-deb    installed, run, removed, purged on a bare Debian
# make check-systemd    the units under a systemd of their own
# Options: V=1 full commands · WERROR=1 warnings are errors · VARIANT=asan|tsan|fuzz instrumented
#          FUSE=system Debian's own libfuse (no passthrough) instead of the one in build/fuse

VERSION := 0.1.0
VARIANT ?= release
FUSE    ?= private
# Where `make install` puts things: names of the GNU coding standards; all below $(DESTDIR).
PREFIX      ?= /usr/local
prefix      ?= $(PREFIX)
exec_prefix ?= $(prefix)
bindir      ?= $(exec_prefix)/bin
datarootdir ?= $(prefix)/share
mandir      ?= $(datarootdir)/man
docdir      ?= $(datarootdir)/doc/matrixfs
# Of units and the like: systemd looks in lib/, whatever the architecture. The programs read /etc.
libdir      := $(prefix)/lib
sysconfdir  ?= /etc
# Where mount(8) looks for helpers, and nowhere else.
mountdir    ?= /sbin

comma := ,
objdir = build/$(1)$(if $(filter system,$(FUSE)),-system)
B   := $(call objdir,$(VARIANT))
# The plain build's programs are the ones people run: they lie in build/ itself.
BIN := $(if $(filter build/release,$(B)),build,$(B))

# --- flags

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wconversion \
	-Wno-sign-conversion -Wnull-dereference
WARN += $(if $(filter true 1,$(CI) $(WERROR)),-Werror)

OPT_release := -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2
OPT_asan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_tsan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=thread
OPT_fuzz    := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
ifeq ($(VARIANT),fuzz)
CC := clang
endif

PKG_CONFIG ?= pkg-config
FIND       := PKG_CONFIG_PATH=build/microhttpd/lib/pkgconfig:build/blake3/lib/pkgconfig:$$PKG_CONFIG_PATH \
	$(PKG_CONFIG)
PACKAGES   := libcurl libmicrohttpd gnutls lmdb libcrypto jansson libxxhash zlib libzstd liblz4 libblake3 yaml-0.1
FUSE_FIND  := $(if $(filter system,$(FUSE)),,PKG_CONFIG_LIBDIR=build/fuse/lib/pkgconfig) $(PKG_CONFIG)
# Both <fuse_lowlevel.h> and <fuse3/fuse_lowlevel.h> must mean the libfuse that is linked.
FUSE_FLAGS := $(if $(filter system,$(FUSE)),,-isystem build/fuse/include) \
	$(patsubst -I%,-isystem %,$(shell $(FUSE_FIND) --cflags fuse3 2>/dev/null))
READY := $(shell $(FUSE_FIND) --exists fuse3 2>/dev/null && \
	$(FIND) --exists 'libmicrohttpd >= 1.0' $(PACKAGES) 2>/dev/null && echo yes)

CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DMATRIXFS_VERSION=\"$(VERSION)\" \
	-DMATRIXFS_REHEARSE=$(if $(filter %san,$(VARIANT)),true,false) \
	$(FUSE_FLAGS) $(shell $(FIND) --cflags $(PACKAGES) 2>/dev/null)
CFLAGS   += -std=gnu17 -g -pthread $(OPT_$(VARIANT)) $(WARN)
# A hundred tests are linked after each change of the core: gold takes a fifth of the time.
LDFLAGS  += $(if $(shell command -v ld.gold),-fuse-ld=gold) -Wl,-z,relro,-z,now \
	-pthread $(filter -fsanitize%,$(subst fuzzer-no-link$(comma),,$(OPT_$(VARIANT))))
LDLIBS   += $(shell $(FIND) --libs $(PACKAGES) 2>/dev/null) \
	$(shell $(FUSE_FIND) --libs fuse3 2>/dev/null)

# --- what there is: one program per main, one archive per folder, one test per module

objects = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)))
CORE  := $(call objects,daemon/*.c daemon/*/*.c)
FS    := $(filter-out $(B)/fs/main.o,$(call objects,fs/*.c))
ADMIN := $(filter-out $(B)/admin/main.o $(B)/admin/ctl.o,$(call objects,admin/*.c admin/*/*.c))
PROGRAMS := $(if $(wildcard fs/main.c),$(BIN)/matrixfs) \
	$(if $(wildcard admin/main.c),$(BIN)/matrixhubd) $(if $(wildcard admin/ctl.c),$(BIN)/matrixctl)
TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/test_*.c))
FUZZ  := $(patsubst %.c,$(call objdir,fuzz)/%,$(wildcard tests/fuzz_*.c))
BESIDE := tests/relay.c tests/peer_node.c
# Whatever else lies in tests/ helps them all: fakes, builders.
HELP  := $(call objects,$(filter-out tests/test_% tests/fuzz_% tests/bench_% tests/check_% tests/shim_% \
	tests/guest_% $(BESIDE), \
	$(wildcard tests/*.c)))
BENCH := $(patsubst %.c,$(B)/%,$(wildcard tests/bench_*.c))
# What stories run beside the programs: a cache's judge, a clock that jumps, links, nodes without a mount.
TOOLS := $(patsubst %.c,$(B)/%,$(wildcard tests/check_*.c) $(BESIDE)) $(patsubst %.c,$(B)/%.so,$(wildcard tests/shim_*.c))
LIBS  := $(addprefix $(B)/,libhelp.a $(if $(ADMIN),libadmin.a) libfs.a libcore.a)

ifneq ($(V),1)
quiet = @printf '  %-5s %s\n' '$(1)' '$@';
endif
# What a caller's -j says counts; without one, all cores.
SUBMAKE = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
FUZZ_SECONDS ?= 600
TORTURE_SECONDS ?= 3600
# Stories short enough for an instrumented build.
SHORT_FLOWS_asan := tests/flow_restart.py tests/flow_tree.py tests/flow_torture.py tests/flow_schedule.py \
	tests/flow_bytes.py tests/flow_hubd.py tests/flow_registry.py tests/flow_registry_tags.py tests/flow_hub_upload.py \
	tests/flow_nfs_talk.py tests/flow_nfs_walk.py tests/flow_hub_xet.py
SHORT_FLOWS_tsan := tests/flow_bytes.py tests/flow_torture.py tests/flow_schedule.py \
	tests/flow_hub_limits.py tests/flow_nfs_talk.py tests/flow_nfs_writes.py tests/flow_peers_crowd.py \
	tests/flow_hub_xet.py

.PHONY: all objects helpers tests fuzzers ready deps demo check check-unit check-flows check-asan check-tsan \
	check-clients check-engines check-nfs-kernel check-deploy check-image suite torture leaks crash sanitize lint fuzz fuzz-short bench bench-peers \
	format install uninstall deb check-systemd check-deb clean distclean
.SECONDARY:
.DELETE_ON_ERROR:

all: $(PROGRAMS)
helpers: $(TOOLS)
objects: $(CORE) $(FS) $(ADMIN) $(call objects,fs/main.c admin/main.c admin/ctl.c tests/fuzz_*.c)
tests: $(TESTS)
fuzzers: $(FUZZ)

ready:
	@$(if $(READY),:,echo "libfuse or a library's headers are missing: run 'make deps' first" >&2; exit 1)

$(B)/%.o: %.c Makefile $(wildcard build/.stamp/fuse build/.stamp/blake3) | ready
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

archive = $(call quiet,AR)rm -f $@ && $(AR) rcs $@ $^
$(B)/libcore.a: $(CORE) ; $(archive)
$(B)/libfs.a: $(FS) ; $(archive)
$(B)/libadmin.a: $(ADMIN) ; $(archive)
$(B)/libhelp.a: $(HELP) ; $(archive)

link = $(call quiet,LD)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BIN)/matrixfs: $(B)/fs/main.o $(B)/libfs.a $(B)/libcore.a ; $(link)
$(BIN)/matrixhubd: $(B)/admin/main.o $(B)/libadmin.a $(B)/libcore.a ; $(link)
$(BIN)/matrixctl: $(B)/admin/ctl.o $(B)/libadmin.a $(B)/libcore.a ; $(link)
$(B)/tests/test_%: $(B)/tests/test_%.o $(LIBS) ; $(link) -lcmocka
$(B)/tests/check_%: $(B)/tests/check_%.o $(B)/libadmin.a $(B)/libcore.a ; $(link)
$(patsubst %.c,$(B)/%,$(BESIDE)): %: %.o $(B)/libhelp.a $(B)/libcore.a ; $(link)
$(B)/tests/bench_%: $(B)/tests/bench_%.o $(B)/libhelp.a $(B)/libcore.a ; $(link) $(if $(filter nfs,$*),-lnfs)
$(B)/tests/shim_%.so: tests/shim_%.c
	$(call quiet,LD)$(CC) $(CPPFLAGS) -std=gnu17 -g -O2 $(WARN) -fPIC -shared -o $@ $<
$(B)/tests/fuzz_%: $(B)/tests/fuzz_%.o $(LIBS) ; $(link) -fsanitize=fuzzer

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

# --- what one can ask for

deps:
	@tools/deps

demo:
	@tools/deps demo
	@$(SUBMAKE) all
	@tools/demo

check:
	+@tools/check
check-unit:
	@$(SUBMAKE) tests
	@tools/unit $(B)/tests
check-asan check-tsan: check-%:
	@$(MAKE) --no-print-directory VARIANT=$* check-unit all helpers
	@MATRIXFS=build/$*/matrixfs tools/flows $(SHORT_FLOWS_$*)
check-flows: all helpers
	@tools/flows tests/flow_*.py
check-clients: all helpers
	@tools/flows tests/clients_*.py
check-engines: all
	@tools/engines
	@tools/flows tests/engines_*.py
# A real kernel's client, in a virtual machine: one at a time.
check-nfs-kernel: all
	@tools/nfs-kernel
	@FLOWS_AT_ONCE=1 tools/flows tests/kernel_*.py
# Needs Go once, and minutes then: lint has the short form.
check-deploy:
	@tools/deps deploy
	@tools/deployed
# As root, with debootstrap.
check-image:
	@tools/image
# Needs PyPI, and minutes.
suite: all
	@tools/suite
lint: objects
	@LINT_FLAGS='$(CPPFLAGS) -std=gnu17' tools/lint $(B)

# One seeded life after another, a thousand mounts, each of some 1500 power cuts, and all stories instrumented: for
# hours, not for each change.
torture: all helpers
	@$(SUBMAKE) $(B)/tests/test_swarm
	@SWARM_SCHEDULES=10000 $(B)/tests/test_swarm
	@before=$$(tools/before) && MATRIXFS_BEFORE=$$before tools/flows tests/long_*.py
	@STORIES=long tools/flows tests/flow_*.py
	@build/venv/test/bin/python tests/torture.py --seconds $(TORTURE_SECONDS)
	@build/venv/test/bin/python tests/torture.py --nfs --seconds $$(($(TORTURE_SECONDS) / 3))
	@KEEP_SECONDS=$(shell expr $(TORTURE_SECONDS) / 6) FLOW_TIMEOUT=$(TORTURE_SECONDS) tools/flows tests/flow_hub_keep.py
	@XET_EDITS=$(shell expr $(TORTURE_SECONDS) / 12) FLOW_TIMEOUT=$(TORTURE_SECONDS) tools/flows tests/clients_xet_edits.py
	@build/venv/test/bin/python tests/histories.py --seconds $$(($(TORTURE_SECONDS) / 6))
leaks: all
	@$(SUBMAKE) $(B)/tests/test_node
	@NODE_LIVES=1000 $(B)/tests/test_node
	@LEAK_MOUNTS=1000 LEAK_OPENS=10000 FLOW_TIMEOUT=3000 tools/flows tests/flow_leaks.py
crash: all helpers
	@CRASH_POINTS=0 FLOW_TIMEOUT=3000 tools/flows tests/flow_crash.py tests/flow_hub_crash.py
sanitize: sanitize-asan sanitize-tsan
sanitize-asan sanitize-tsan: sanitize-%:
	@$(MAKE) --no-print-directory VARIANT=$* all helpers
	@MATRIXFS=build/$*/matrixfs tools/flows tests/flow_*.py tests/clients_xet.py

fuzz:
	@$(SUBMAKE) VARIANT=fuzz fuzzers
	@tools/fuzz $(FUZZ_SECONDS) $(FUZZ)
fuzz-short:
	@$(MAKE) --no-print-directory FUZZ_SECONDS=60 fuzz
bench bench-peers: all helpers $(BENCH)
	@tools/$@
format:
	@clang-format -i $(wildcard $(addsuffix /*.[ch],fs daemon daemon/* admin admin/* tests))

places := DESTDIR bindir sysconfdir mandir datarootdir docdir libdir mountdir
install: all
	@$(foreach p,$(places),$(p)='$($(p))') build=$(BIN) tools/install install
uninstall:
	@$(foreach p,$(places),$(p)='$($(p))') tools/install uninstall
# Debian packages, in build/deb.
deb: all
	@tools/deb
# Both are put into a system that systemd runs, one from packages on a bare Debian.
check-systemd: all helpers
	@FLOWS_AT_ONCE=1 tools/flows tests/flow_systemd.py
check-deb: deb
	@FLOWS_AT_ONCE=1 FLOW_TIMEOUT=900 tools/flows tests/deb_life.py

# A mount left under build/ is not ours to empty: stay on this file system.
clean:
	@find build -xdev -mindepth 1 -maxdepth 1 ! -name '.*' ! -name fuse ! -name venv ! -name model \
		! -name download ! -name nfs-kernel ! -name debian -exec rm -rf --one-file-system {} + 2>/dev/null || true
distclean:
	rm -rf --one-file-system build
