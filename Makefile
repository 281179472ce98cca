# aio.h needs no building: copy it. This builds and runs its examples, tests, checks and benchmarks, all under build/.

FUZZ_CC  ?= clang
CFLAGS   ?= -O1 -g
# Of the examples as C++.
CPP_CFLAGS ?= $(CFLAGS)
CPP_WARN   = $(filter-out $(JUMPS) -Wstrict-prototypes,$(WARN))
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wimplicit-fallthrough -Wundef -Wvla -Wstrict-prototypes
# gcc tells of a local that an await would lose; clang has no such warning.
JUMPS    := -Wjump-misses-init
WARN     += $(shell $(CC) -Werror $(JUMPS) -x c -fsyntax-only /dev/null 2>/dev/null && echo $(JUMPS))
LDLIBS   := -lssl -lcrypto -lpthread
PREFIX   ?= /usr/local
ONLY     ?=
FUZZ_SECONDS ?= 10
FUZZ_CFLAGS ?= -O1 -g
# Of how many runs of a way torture (empty: all of them) and the sanitizers (empty: 40) take a sample, evenly spread.
SAMPLE   ?=
# In which ways torture and valgrind run tests, joined by commas; empty: all that they have.
WAYS     ?=
MUTANTS  ?= 100
SEED     ?= 1
# What ThreadSanitizer and valgrind are to run, as patterns on the names that `build/test --list` gives.
THREADED ?= thread|executor|signal|getaddrinfo|resolve|wake|loops
SLOW     ?= 100k|million|10000|many|deep|crowd|big|much|kinds_of_keys
# valgrind's vfork does not share memory, so posix_spawn cannot tell there that there is no such program; it keeps
# descriptors of its own, which a tight limit on them takes away. Who looks through freed memory reads what nobody wrote.
# A signal each 100 us leaves it no time for anything else.
NO_VALGRIND ?= ^sub_missing|^pool_starved|^secrets_erased|^proxy_erased|^seam_fork_is_interrupted

# Homebrew keeps OpenSSL where no compiler looks.
TLS_HOME := $(firstword $(wildcard /opt/homebrew/opt/openssl@3 /usr/local/opt/openssl@3))
override CPPFLAGS += $(TLS_HOME:%=-I%/include)
override LDFLAGS  += $(TLS_HOME:%=-L%/lib)

# An example that lives in another library's loop, or that one in ours, is built where pkg-config finds that library.
EMBED     := embed_glib:glib-2.0 embed_uv:libuv embed_sdl:sdl2 embed_glib_source:glib-2.0 embed_uv_source:libuv
NO_EMBED  := $(foreach e,$(EMBED),$(if $(shell pkg-config --exists $(lastword $(subst :, ,$e)) 2>&1 || echo no),\
    $(firstword $(subst :, ,$e))))
EXAMPLES  := $(filter-out $(NO_EMBED:%=build/examples/%),\
    $(patsubst examples/%.c,build/examples/%,$(wildcard examples/*.c examples/*/*.c)))
CPP_ONLY  := $(patsubst examples/%.cpp,build/examples/cpp/%,$(wildcard examples/*.cpp))
TEST_FILES := $(wildcard tests/*.[ch] tests/fuzz/*.[ch] examples/*/aio_*.h)
FUZZERS   := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
INTEGRATION := $(patsubst tests/%.c,build/%,$(wildcard tests/integration/*.c))
# For a program of one source file: what it does not use is not compiled.
ONE_FILE  := -DAIO_STATIC
COMPILE    = $(CC) -std=c99 $(WARN) $(CPPFLAGS) $(CFLAGS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build/examples/crawl ## build and run the crawler: 1000 pages, 100 at once, on a server of its own
	build/examples/crawl --self 1000 --limit 100

test: build/test ## run the tests; make test ONLY=name runs one, build/test --list names them
	build/test $(ONLY)

examples: $(EXAMPLES) $(EXAMPLES:build/examples/%=build/examples/cpp/%) $(CPP_ONLY) ## build them as C99 and, if there is one, as C++20

torture: build/test ## every scenario in every way: failing allocations and calls, slices, cancellation; debug mode
	build/test --torture $(SAMPLE:%=--sample %) $(WAYS:%=--way %) $(ONLY)
	AIO_DEBUG=1 build/test --way epoll $(ONLY)

# clang sees what gcc does not (NULL + 0).
CLANG     := $(shell command -v clang)
SANITIZED := build/test-address $(if $(CLANG),build/test-address-clang) build/test-thread
PLAIN     := epoll,poll,plain-alloc
# Seconds for one run, where it takes many times as long as by itself.
PATIENT   := 180

# Leaks of what the tests do not count themselves (OpenSSL's memory) are looked for in all ways by gcc's, and not once more
# by clang's: it takes as long as the tests. One test's child of a fork starts threads of its own while the parent has one.
test-sanitize: $(SANITIZED) ## address, leak, undefined behaviour; threads where there are some
	build/test-address --seconds $(PATIENT) $(SAMPLE:%=--sample %) $(ONLY)
	$(if $(CLANG),ASAN_OPTIONS=detect_leaks=0 build/test-address-clang --seconds $(PATIENT) --way $(PLAIN) $(ONLY),@echo "no clang: tried with gcc alone")
	TSAN_OPTIONS=die_after_fork=0 build/test-thread --seconds $(PATIENT) $(or $(ONLY),$$(build/test-thread --list | grep -E '$(THREADED)'))

test-valgrind: build/test ## the quicker tests under valgrind, with slabs and with an allocation for each object
	valgrind -q --leak-check=full --errors-for-leak-kinds=definite,possible --error-exitcode=99 \
	    --suppressions=tests/valgrind.supp build/test --way $(or $(WAYS),epoll,plain-alloc) --seconds $(PATIENT) \
	    $(or $(ONLY),$$(build/test --list | grep -vE '$(SLOW)|$(NO_VALGRIND)'))

test-matrix: | setup ## compilers, standards, 32 bits, musl, other processors, switches; what is missing is skipped
	@bash tests/matrix.sh

fuzz: $(FUZZERS) ## fuzz each parser for FUZZ_SECONDS (10)
	@[ -n "$(FUZZERS)" ] || echo "fuzz: no target yet"
	@for fuzzer in $(FUZZERS); do \
	    name=$${fuzzer##*/fuzz_}; seeds=tests/fuzz/corpus/$$name; [ -d $$seeds ] || seeds=; \
	    mkdir -p build/fuzz/corpus/$$name; \
	    $$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -artifact_prefix=build/fuzz/$$name- \
	        build/fuzz/corpus/$$name $$seeds >$$fuzzer.log 2>&1 || { tail -n 40 $$fuzzer.log; exit 1; }; \
	    sed -n "s/^stat::number_of_executed_units: */fuzz: $$name: runs /p" $$fuzzer.log; \
	done

coverage: build/coverage/test ## lines and branches that the tests reach, by section of aio.h
	@rm -f build/coverage/*.gcda
	build/coverage/test $(ONLY) >build/coverage/log || { cat build/coverage/log; exit 1; }
	@python3 tests/coverage.py aio.h build/coverage

mutants: | setup ## 100 small changes of aio.h, of sample SEED (1): shows those that no test sees
	@python3 tests/mutants.py --count $(MUTANTS) --seed $(SEED)

integration-programs: $(INTEGRATION) $(addprefix build/examples/,crawl chat download forward hops post session upload api large_transfer static ws_chat mysql/mysql redis/redis mongo/mongo crawler/crawler loadgen/loadgen service/service) ## build what integration runs

integration: integration-programs ## try it against the real servers and clients that are installed
	@tests/integration/run $(ONLY)

mistakes: ## what compilers say of what a beginner gets wrong
	@bash tests/mistakes.sh

check-layout: ## aio.h's contents, form, lengths, layers, members, names, seam; and the check itself
	@python3 tests/layout/check_test.py
	@python3 tests/layout/check.py aio.h

# <aio.h> is POSIX': the folder that -I names has only `aio` in it.
VERSION = $(shell sed -n 's/^\#define AIO_VERSION  *"\(.*\)"$$/\1/p' aio.h)

install: ## put aio.h in PREFIX/include/aio, to be included as <aio/aio.h>, and aio.pc where pkg-config looks
	mkdir -p $(DESTDIR)$(PREFIX)/include/aio $(DESTDIR)$(PREFIX)/share/pkgconfig
	cp aio.h $(DESTDIR)$(PREFIX)/include/aio/aio.h
	printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' '' 'Name: aio' \
	    'Description: asyncio and aiohttp for C, in one header' 'Version: $(VERSION)' 'Requires: openssl' \
	    'Libs: -lpthread' 'Cflags: -I$${includedir}' >$(DESTDIR)$(PREFIX)/share/pkgconfig/aio.pc

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/include/aio/aio.h $(DESTDIR)$(PREFIX)/share/pkgconfig/aio.pc
	-rmdir $(DESTDIR)$(PREFIX)/include/aio

doc: ## the manual as HTML: build/doc/index.html
	@python3 tests/doc/doc.py aio.h build/doc

clean: ## remove build/
	rm -rf build

ifeq ($(wildcard tests/bench/bench.mk),)
bench: ## measure against peers, in one interleaved run
	@echo "bench: nothing there yet"
bench-programs: ## build the programs that bench measures
	@echo "bench-programs: nothing there yet"
else
include tests/bench/bench.mk
endif

# A compiler and OpenSSL's headers, installed when they are missing and that is allowed.
setup:
	@sh tests/setup.sh

build/examples/embed_% build/examples/cpp/embed_%: LIBRARY = $(patsubst $*:%,%,$(filter $*:%,$(EMBED)))
build/examples/embed_% build/examples/cpp/embed_%: \
    override CPPFLAGS += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(LIBRARY)))
build/examples/embed_% build/examples/cpp/embed_%: override LDLIBS += $(shell pkg-config --libs $(LIBRARY))

build/examples/%: examples/%.c aio.h | setup
	@mkdir -p $(@D)
	$(COMPILE) $(ONE_FILE) -o $@ $< $(LDFLAGS) $(LDLIBS)

build/examples/cpp/%: examples/%.c aio.h | setup
	@mkdir -p $(@D)
	@if command -v $(CXX) >/dev/null; then set -x; \
	    $(CXX) -x c++ -std=c++20 $(CPP_WARN) $(ONE_FILE) $(CPPFLAGS) $(CPP_CFLAGS) -o $@ $< -x none $(LDFLAGS) $(LDLIBS); \
	else echo "no $(CXX): $< was not tried as C++"; fi

# clang has the coroutines of C++20, but says so only from version 16 on.
build/examples/cpp/%: examples/%.cpp aio.h | setup
	@mkdir -p $(@D)
	@if command -v $(CXX) >/dev/null; then \
	    coroutines=$$($(CXX) -x c++ -std=c++20 -dM -E /dev/null | grep -q __cpp_impl_coroutine || \
	        echo -D__cpp_impl_coroutine=201902L); set -x; \
	    $(CXX) -std=c++20 $$coroutines $(CPP_WARN) $(ONE_FILE) $(CPPFLAGS) $(CPP_CFLAGS) -o $@ $< $(LDFLAGS) $(LDLIBS); \
	else echo "no $(CXX): $< was not tried"; fi

build/integration/mysql build/integration/redis build/integration/mongo: $(wildcard tests/integration/*.h)

build/examples/mysql/mysql build/examples/cpp/mysql/mysql build/integration/mysql: examples/mysql/aio_mysql.h

build/examples/mongo/mongo build/examples/cpp/mongo/mongo build/integration/mongo: examples/mongo/aio_mongo.h

build/examples/redis/redis build/examples/cpp/redis/redis build/integration/redis: examples/redis/aio_redis.h

build/examples/crawler/crawler build/examples/cpp/crawler/crawler: $(wildcard examples/crawler/*.h) \
    examples/redis/aio_redis.h

build/examples/service/service build/examples/cpp/service/service: $(wildcard examples/service/*.h) \
    examples/redis/aio_redis.h

build/examples/loadgen/loadgen build/examples/cpp/loadgen/loadgen: $(wildcard examples/loadgen/*.h)

build/integration/%: tests/integration/%.c aio.h | setup
	@mkdir -p $(@D)
	$(COMPILE) $(ONE_FILE) -o $@ $< $(LDFLAGS) $(LDLIBS)

build/test: $(TEST_FILES) aio.h | setup
	@mkdir -p $(@D)
	$(COMPILE) -o $@ tests/main.c $(LDFLAGS) $(LDLIBS)

build/test-address: $(TEST_FILES) aio.h | setup
	@mkdir -p $(@D)
	$(COMPILE) -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -o $@ tests/main.c \
	    $(LDFLAGS) $(LDLIBS)

build/test-address-clang: $(TEST_FILES) aio.h | setup
	@mkdir -p $(@D)
	clang -std=c99 $(filter-out $(JUMPS),$(WARN)) $(CPPFLAGS) $(CFLAGS) -fsanitize=address,undefined \
	    -fno-sanitize-recover=all -fno-omit-frame-pointer -o $@ tests/main.c $(LDFLAGS) $(LDLIBS)

build/test-thread: $(TEST_FILES) aio.h | setup
	@mkdir -p $(@D)
	$(COMPILE) -fsanitize=thread -o $@ tests/main.c $(LDFLAGS) $(LDLIBS)

build/coverage/test: $(TEST_FILES) aio.h | setup
	@mkdir -p $(@D) && rm -f $(@D)/*.gc*
	$(CC) -std=c99 -O0 -g --coverage $(CPPFLAGS) -c -o $(@D)/main.o tests/main.c
	$(CC) --coverage -o $@ $(@D)/main.o $(LDFLAGS) $(LDLIBS)

build/fuzz/fuzz_deflate build/fuzz/fuzz_inflate: LDLIBS += -lz

build/fuzz/%: tests/fuzz/%.c aio.h $(wildcard examples/*/aio_*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=c99 $(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(ONE_FILE) \
	    $(CPPFLAGS) -o $@ $< $(LDFLAGS) $(LDLIBS)

.PHONY: help demo test examples torture test-sanitize test-valgrind test-matrix fuzz coverage mutants integration bench \
    integration-programs bench-programs check-layout mistakes install uninstall clean setup
