# Benchmark targets, included by the Makefile at the top; every path is relative to the top of the tree.
#
#   make bench-programs   our programs: build/bench_echo, build/bench_tasks, build/bench_http
#   make bench-peers      the peers: build/bench/* (with -k, one whose library is missing fails alone)
#   make bench            both, then sizes, system calls a message and every table, also as build/bench/table.md
#                         BENCH_ARGS="--rounds 3 echo tasks" runs a part (see tests/bench/run.py --help)
#   make bench-size       only the sizes; make bench-counts only the system calls
#   make bench-coding     only inflate and deflate beside zlib, JSON beside cJSON, a head beside picohttpparser
#   make bench-databases  only the clients of examples/ beside libmariadb, hiredis and redis-benchmark
#   make bench-install    the distribution's packages that the peers need (Debian, as root)

BENCH          := tests/bench
BENCH_OUT      := build/bench
BENCH_CFLAGS   := -O2 -g -Wall -Wextra
BENCH_GO       ?= go
BENCH_ARGS     ?=
BENCH_MAKE      = $(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST))
BENCH_GOAL     := $(.DEFAULT_GOAL)

BENCH_PROGRAMS := bench_echo bench_tasks bench_http bench_ws bench_site
BENCH_DATABASES := build/bench_mysql build/bench_redis
BENCH_CODING   := build/bench_coding
BENCH_TOOLS    := launch echo_load
BENCH_C        := $(BENCH_TOOLS) echo_raw echo_tls_raw timers_raw tasks_raw echo_uv echo_ev echo_event timers_uv \
                  timers_ev hop_uv http_raw http_curl ws_raw mysql_mariadb redis_hiredis
BENCH_GOS      := echo http_client site timers tasks

bench: bench-programs
	@$(BENCH_MAKE) -k bench-peers || echo 'bench: the peers that did not build are left out'
	@$(BENCH_MAKE) bench-size bench-counts
	@$(BENCH_MAKE) bench-coding || echo 'bench: coding and JSON were not measured'
	@$(BENCH_MAKE) bench-databases || echo 'bench: the clients of databases were not measured'
	$(BENCH)/run.py --markdown $(BENCH_OUT)/table.md $(BENCH_ARGS)

# A program whose source is not there yet is named and counts for nothing.
bench-programs: $(patsubst $(BENCH)/%.c,build/%,$(wildcard $(BENCH_PROGRAMS:%=$(BENCH)/%.c)))
	@for p in $(BENCH_PROGRAMS); do [ -e $(BENCH)/$$p.c ] || echo "$$p: not written yet"; done

bench-peers: $(BENCH_C:%=$(BENCH_OUT)/%) build/bench_embed $(BENCH_GOS:%=$(BENCH_OUT)/go_%) ## build the peers; -k skips what cannot be

bench-size: ## what including aio.h costs: parsing, compiling, bytes
	@CC='$(CC)' $(BENCH)/size.py

bench-counts: $(BENCH_TOOLS:%=$(BENCH_OUT)/%) $(BENCH_OUT)/echo_raw ## system calls an echo server makes for a message
	@$(BENCH)/counts.py

bench-coding: build/bench_coding ## inflate and deflate beside zlib, JSON beside cJSON, a head beside picohttpparser
	@$<

bench-databases: $(BENCH_DATABASES) ## MySQL and Redis beside their C clients
	@$(BENCH_MAKE) -k $(BENCH_OUT)/mysql_mariadb $(BENCH_OUT)/redis_hiredis || true
	@$(BENCH)/databases.py

bench-install: ## install the packages that the peers need (Debian, as root)
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$(cat $(BENCH)/packages)

$(BENCH_PROGRAMS:%=build/%) $(BENCH_DATABASES): build/%: $(BENCH)/%.c $(BENCH)/src/common.h aio.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(BENCH_CFLAGS) -o $@ $< $(LDFLAGS) -lssl -lcrypto -lpthread

build/bench_embed: $(BENCH)/bench_embed.c $(BENCH)/src/common.h aio.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(BENCH_CFLAGS) $$(pkg-config --cflags glib-2.0 libuv) -o $@ $< $(LDFLAGS) \
	    $$(pkg-config --libs glib-2.0 libuv) -lssl -lcrypto -lpthread

build/bench_mysql: examples/mysql/aio_mysql.h
build/bench_redis: examples/redis/aio_redis.h

build/bench_coding: $(BENCH)/bench_coding.c aio.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(BENCH_CFLAGS) -o $@ $< $(LDFLAGS) -lz -lcjson -lssl -lcrypto -lpthread -ldl

$(BENCH_OUT)/echo_uv $(BENCH_OUT)/timers_uv $(BENCH_OUT)/hop_uv: BENCH_LIBS = -luv -lpthread
$(BENCH_OUT)/echo_ev $(BENCH_OUT)/timers_ev: BENCH_LIBS = -lev
$(BENCH_OUT)/echo_ev $(BENCH_OUT)/timers_ev: BENCH_CFLAGS += -fno-strict-aliasing # as libev's documentation asks
$(BENCH_OUT)/echo_event: BENCH_LIBS = -levent
$(BENCH_OUT)/http_raw $(BENCH_OUT)/echo_load $(BENCH_OUT)/echo_tls_raw: BENCH_LIBS = -lssl -lcrypto
$(BENCH_OUT)/http_curl:  BENCH_LIBS = -lcurl
$(BENCH_OUT)/mysql_mariadb: BENCH_LIBS = -lmariadb
$(BENCH_OUT)/redis_hiredis: BENCH_LIBS = -lhiredis

$(BENCH_C:%=$(BENCH_OUT)/%): $(BENCH_OUT)/%: $(BENCH)/src/%.c $(BENCH)/src/common.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(BENCH_CFLAGS) -o $@ $< $(LDFLAGS) $(BENCH_LIBS)

$(BENCH_GOS:%=$(BENCH_OUT)/go_%): $(BENCH_OUT)/go_%: $(BENCH)/go/%.go
	@mkdir -p $(@D)
	GO111MODULE=off $(BENCH_GO) build -o $@ $<

.PHONY: bench bench-programs bench-peers bench-size bench-counts bench-coding \
    bench-databases bench-install

# The goal of a plain `make` is the including file's business.
.DEFAULT_GOAL := $(BENCH_GOAL)
