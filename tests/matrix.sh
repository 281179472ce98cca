#!/usr/bin/env bash
# Builds aio.h with every compiler, standard, switch and processor at hand, warnings being errors, and runs the tests
# on some of them. What is not installed is skipped and named.
#
# usage: tests/matrix.sh [PATTERN]      only the cells whose name matches
#   MATRIX_JOBS    cells at once (2)
#   MATRIX_SUBSET  the tests to run on emulated processors, as a pattern on their names
# Flags are lists of words.
# shellcheck disable=SC2086
set -u
cd "$(dirname "$0")/.." || exit 1
only=${1:-.}
jobs=${MATRIX_JOBS:-2}
subset=${MATRIX_SUBSET:-future|task|gather|lock|queue|timer|heap|url|parse|stream|http|coding|json|ws_texts|ws_both}
out=$PWD/build/matrix
rm -rf "$out"
mkdir -p "$out"

warn="-Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wimplicit-fallthrough -Wundef -Wvla"
warn_c="$warn -Wstrict-prototypes"
declare -A own=([gcc]="-Wjump-misses-init" [clang]="" [g++]="" [clang++]="")
libs="-lssl -lcrypto -lpthread"

printf '#define AIO_IMPLEMENTATION\n#include "../../aio.h"\n' >"$out/implementation.c"
printf '#include "../../aio.h"\nint main(void) { return 0; }\n' >"$out/declarations.c"
cat >"$out/other.c" <<'END'
#include "../../aio.h"
int other(void);
int other(void)
{
    void (*volatile entry)(void) = (void (*)(void))aio_get_event_loop;
    return !entry;
}
END
printf '#define AIO_IMPLEMENTATION\n#include "../../aio.h"\nint other(void);\nint main(void) { return other(); }\n' \
    >"$out/main.c"
printf '#define AIO_STATIC\n#include "main.c"\n' >"$out/static_main.c"
printf '#define AIO_STATIC\n#define AIO_IMPLEMENTATION\n#include "other.c"\n' >"$out/static_other.c"
cat >"$out/allocator.c" <<'END'
#include <stddef.h>
void *own_malloc(size_t size);
void *own_realloc(void *pointer, size_t size);
void own_free(void *pointer);
#define AIO_MALLOC(size) own_malloc(size)
#define AIO_REALLOC(pointer, size) own_realloc(pointer, size)
#define AIO_FREE(pointer) own_free(pointer)
#define AIO_IMPLEMENTATION
#include "../../aio.h"
static int made, live;
void *own_malloc(size_t size)
{
    __atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return malloc(size);
}
void *own_realloc(void *pointer, size_t size)
{
    if (!pointer) return own_malloc(size);
    return realloc(pointer, size);
}
void own_free(void *pointer)
{
    if (pointer) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    free(pointer);
}
static void *job(void *arg) { return arg; }
struct program { aio_task task; aio_session *session; void *result; };
static AIO_CORO(program)
{
    AIO_BEGIN(program);
    self->session = aio_session_open(.limit = 2);
    AIO_AWAIT(self->result, aio_to_thread(job, &made));
    AIO_FINALLY;
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(program)) || !made || live; }
END
printf '#include <stdio.h>\n#define AIO_IMPLEMENTATION\n#include "../../aio.h"\n' >"$out/late.c"

# Runs a cell's command; its output is kept for the report.
run() {
    local name=$1
    shift
    local log="$out/${name//[^A-Za-z0-9+_-]/_}.log" started=$SECONDS
    if "$@" >"$log" 2>&1; then
        printf 'ok       %-50s %4d s\n' "$name" $((SECONDS - started))
        echo ok >>"$out/results"
    else
        printf 'FAIL     %-50s %4d s\n%s\n         the whole of it: %s\n' "$name" $((SECONDS - started)) \
            "$( (grep -E -B4 'error:|undefined reference|^not ok|ERROR' "$log" || tail -n 3 "$log") | head -n 24 |
                cut -c 1-300 | sed 's/^/         /')" "${log#"$PWD"/}"
        echo FAIL >>"$out/results"
    fi
}

# cell NAME COMMAND...: at most $jobs of them at once.
cell() {
    [[ $1 =~ $only ]] || return 0
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
    run "$@" &
}

skip() {
    [[ $1 =~ $only ]] || return 0
    printf 'skipped  %-50s (%s)\n' "$1" "$2"
    echo skipped >>"$out/results"
}

have() { command -v "$1" >/dev/null; }

# object COMPILER FLAGS... SOURCE
object() {
    local object
    object=$(mktemp "$out/XXXXXX.o")
    "$@" -c -o "$object"
}

# What a compiler says, without a program.
parsed() { "$@" -fsyntax-only; }

# Those that live in another library's loop are built by `make examples`, which knows where its headers are.
examples() { printf '%s\n' examples/*.c examples/*/*.c | grep -v '^examples/embed_'; }

# What every example is told by a compiler, without a program.
each_parsed() {
    local example
    for example in $(examples); do "$@" -fsyntax-only "$example" || return 1; done
}

# A C++ file (NAME COMPILER OPTION...) with the declarations, and the implementation as C99: warnings beside each other,
# run together.
cpp_beside_c() {
    local name=$1 binary=$out/beside-$1-$2
    shift
    gcc -std=c99 -O0 -c -o "$binary-c.o" tests/cpp/implementation.c &&
        "$@" -c -o "$binary.o" "tests/cpp/$name.cpp" &&
        "$1" -o "$binary" "$binary.o" "$binary-c.o" $libs && timeout 60 "$binary"
}

# C++20 may name one member of each struct of options, and of those within, and hears nothing of the others.
designated() {
    local source=$out/designated-$1.cpp
    {
        echo '#include "../../aio.h"'
        awk '/^#ifdef AIO_IMPLEMENTATION/ { exit }
             /^(typedef )?struct aio_([a-z0-9_]*_options|auth|producer|retry|timeouts) \{/ {
                 name = $0; sub(/.*struct /, "", name); sub(/ .*/, "", name); want = 1 }
             want && / AIO__UNSET;/ { member = $0; sub(/ AIO__UNSET.*/, "", member); sub(/\)\(.*/, "", member)
                 sub(/.*[ *]/, "", member); print name " use_" name " = { ." member " = {} };"; want = 0 }
             /^\}/ && want { print name ": no member may be left out"; want = 0 }' aio.h
    } >"$source"
    [ "$(wc -l <"$source")" -gt 20 ] && "$@" -fsyntax-only "$source"
}

# A library made with an AIO_API of the user's own exports what is public, and nothing else of its file.
exported() {
    local library=$out/exported-$1.so
    "$@" -DAIO_API='__attribute__((visibility("default")))' -fvisibility=hidden -fPIC -shared -o "$library" \
        "$out/implementation.c" $libs || return 1
    nm -D --defined-only "$library" >"$library.names"
    grep -q ' T aio_version$' "$library.names" && ! grep -E ' [A-Z] ' "$library.names" | grep -vE ' aio_| _(init|fini)$'
}

# Included too late for its feature macros, the implementation must say so.
refused() { ! "$@" -fsyntax-only "$out/late.c" 2>"$out/late" && grep -q 'before any system header' "$out/late"; }

# tests BINARY COMPILER-AND-FLAGS... -- OPTION...: builds the test binary and runs it.
tests() {
    local binary=$out/$1 build=()
    shift
    while [ "$1" != -- ]; do build+=("$1"); shift; done
    shift
    "${build[@]}" -o "$binary" || return 1
    timeout 1200 "$binary" "$@"
}

# on_kqueue COMPILER-AND-FLAGS...: the tests, on the kqueue poller.
on_kqueue() {
    "$@" -o "$out/kqueue" && AIO_POLLER=kqueue timeout 1200 "$out/kqueue" --way kqueue,call,cancel --sample 4
}

# A program that needs nothing at all, and is small.
static_program() {
    musl-gcc -static -s -std=c99 -Os -DAIO_STATIC -DAIO_NO_TLS -o "$out/static" examples/hello.c &&
        "$out/static" && wc -c "$out/static" && [ "$(wc -c <"$out/static")" -lt 400000 ]
}

# The tests of the subset, on an emulator, which is slow: without the ways that differ in nothing of the processor's.
emulated() {
    local binary=$out/$1 emulator=$2 names
    shift 2
    "$@" -o "$binary" || return 1
    names=$("$emulator" "$binary" --list | grep -E "$subset")
    timeout 1200 "$emulator" "$binary" --seconds 180 --sample 8 --way epoll,slice-random,cancel $names || return 1
    [ "${binary##*/}" != aarch64 ] || return 0
    # Big-endian: all tests once, but those of charsets, which a static glibc loads and has not for that processor, and
    # of what posix_spawn tells by vfork and asks for by flags, and of signals in storms, where the emulator errs.
    names=$("$emulator" "$binary" --list | grep -vE '^(charset|contents_texts|post_answers|post_decode_without|sub_missing|seam_spawns|sub_groups|signal_threads_storm)')
    timeout 1200 "$emulator" "$binary" --seconds 180 --way epoll $names
}

# linked NAME COMPILER FLAGS... -- SOURCE...: links the sources and runs the program.
linked() {
    local binary=$out/$1 build=() object objects=()
    shift
    while [ "$1" != -- ]; do build+=("$1"); shift; done
    shift
    for source in "$@"; do
        object=$binary-$(basename "$source").o
        "${build[@]}" -c -o "$object" "$source" || return 1
        objects+=("$object")
    done
    "${build[@]}" -o "$binary" "${objects[@]}" $libs && "$binary"
}

with_tests() {
    if [ -e tests/main.c ]; then cell "$@"; else skip "$1" "there are no tests yet"; fi
}

with_examples() {
    if compgen -G 'examples/*.c' >/dev/null; then cell "$@"; else skip "$1" "there are no examples yet"; fi
}

# The long ones first, so that they do not end alone. Where the compiler alone differs, or the C library, a few ways of
# each test tell it, with fewer runs; optimised by each compiler once, since the optimiser takes as long as the tests.
few="--sample 8 --way epoll,poll,alloc-one,slice-random,cancel"
with_tests "tests gcc c99 -O2" tests gcc-O2 gcc -std=c99 -O2 $warn_c ${own[gcc]} tests/main.c $libs -- $few
if have clang; then
    with_tests "tests clang gnu17 -O2" tests clang-O2 clang -std=gnu17 -O2 $warn_c tests/main.c $libs -- $few
fi
with_tests "tests AIO_NO_LINUX" tests no-linux gcc -std=c99 -O0 $warn_c -DAIO_NO_LINUX tests/main.c $libs \
    -- --sample 8 --way poll,alloc-one,call,slice-random,cancel
# kqueue, which Debian has not, by what its manuals say of it.
with_tests "tests kqueue" on_kqueue gcc -std=c99 -O0 $warn_c -DAIO_KQUEUE -Itests/kqueue tests/main.c $libs

# 32 bits: a compiler that can, and OpenSSL for it if there is one.
gcc32="gcc -m32 -idirafter /usr/include/$(gcc -print-multiarch)"
unpacked=$PWD/build/openssl32/usr # by .ci/run, where it cannot be installed beside the other
[ ! -d "$unpacked" ] || gcc32="$gcc32 -I$unpacked/include/i386-linux-gnu -L$unpacked/lib/i386-linux-gnu \
    -Wl,-rpath,$unpacked/lib/i386-linux-gnu"
echo 'int main(void) { return 0; }' >"$out/empty.c"
if $gcc32 -o "$out/empty" "$out/empty.c" 2>/dev/null && "$out/empty"; then
    if $gcc32 -o "$out/empty" "$out/empty.c" -lssl -lcrypto 2>/dev/null; then
        with_tests "tests -m32" tests m32 $gcc32 -std=c99 -O1 $warn_c tests/main.c $libs -- $few
    else
        with_tests "tests -m32 AIO_NO_TLS" tests m32 $gcc32 -std=c99 -O1 $warn_c -DAIO_NO_TLS tests/main.c -lpthread \
            -- $few
        skip "tests -m32" "no 32-bit OpenSSL; tried with AIO_NO_TLS"
    fi
    cell "implementation -m32 c99 -O2" object $gcc32 -std=c99 -O2 $warn_c -DAIO_NO_TLS "$out/implementation.c"
else
    skip "tests -m32" "no 32-bit libc"
fi

if have musl-gcc; then
    with_tests "tests musl AIO_NO_TLS" tests musl musl-gcc -static -std=c99 -O0 $warn_c -DAIO_NO_TLS tests/main.c -- $few
    with_examples "a static program musl" static_program
else
    skip "tests musl" "no musl-gcc"
    with_tests "tests AIO_NO_TLS" tests no-tls gcc -std=c99 -O0 $warn_c -DAIO_NO_TLS tests/main.c -lpthread -- $few
fi

for machine in aarch64 s390x powerpc64; do
    compiler=$machine-linux-gnu-gcc
    emulator=$(command -v qemu-${machine/powerpc/ppc}-static || command -v qemu-${machine/powerpc/ppc})
    if ! have $compiler; then
        [ $machine = powerpc64 ] || skip "tests $machine" "no $compiler"
    elif [ -z "$emulator" ]; then
        skip "tests $machine" "no qemu-user"
    else
        with_tests "tests $machine AIO_NO_TLS" emulated $machine "$emulator" $compiler -static -std=c99 -O1 $warn_c \
            -DAIO_NO_TLS tests/main.c -lpthread
    fi
done

for compiler in gcc clang; do
    if ! have $compiler; then
        skip "everything with $compiler" "no $compiler"
        continue
    fi
    # The standards differ in the parser alone; what gcc sees of a program's flow, it sees when it optimises.
    for standard in c11 c17 gnu17; do
        cell "implementation $compiler $standard" parsed $compiler -std=$standard $warn_c ${own[$compiler]} \
            "$out/implementation.c"
    done
    level=-O2
    [ $compiler = gcc ] || level=-O0
    for switch in "" AIO_NO_TLS AIO_NO_LINUX "AIO_NO_TLS AIO_NO_LINUX"; do
        flags=${switch:+-D${switch// / -D}}
        cell "implementation $compiler c99 $level${switch:+ $switch}" object $compiler -std=c99 $level $warn_c \
            ${own[$compiler]} $flags "$out/implementation.c"
    done
    cell "allocator of one's own $compiler" linked allocator-$compiler $compiler -std=c99 -O0 $warn_c \
        ${own[$compiler]} -- "$out/allocator.c"
    cell "AIO_API of one's own $compiler" exported $compiler -std=c99 -O0 $warn_c
    cell "too late an include $compiler" refused $compiler -std=c99
    cell "two files $compiler" linked two-$compiler $compiler -std=c99 -O0 $warn_c -- "$out/main.c" "$out/other.c"
    cell "two files $compiler AIO_STATIC" linked static-$compiler $compiler -std=c99 -O0 $warn_c -- \
        "$out/static_main.c" "$out/static_other.c"
done

# Read by gcc and g++; `make examples` takes a compiler, and builds and runs them.
with_examples "examples gcc c99" each_parsed gcc -std=c99 -O0 $warn_c ${own[gcc]} -DAIO_STATIC
if have g++; then with_examples "examples g++ c++20" each_parsed g++ -x c++ -std=c++20 $warn -DAIO_STATIC; fi

cell "install" sh tests/install.sh "$out/install"

for compiler in g++ clang++; do
    if ! have $compiler; then
        skip "everything with $compiler" "no $compiler"
        continue
    fi
    for standard in c++11 c++17 c++20; do
        cell "declarations $compiler $standard" object $compiler -x c++ -std=$standard $warn "$out/declarations.c"
    done
    cell "implementation $compiler c++20" object $compiler -x c++ -std=c++20 -O2 $warn "$out/implementation.c"
    cell "coroutines $compiler c++20, c99" cpp_beside_c coroutines $compiler -std=c++20 -O0 $warn
    coroutines=
    $compiler -x c++ -std=c++20 -dM -E /dev/null | grep -q __cpp_impl_coroutine ||
        coroutines=-D__cpp_impl_coroutine=201902L # clang up to version 16 has them, but does not say so
    # None or one word.
    # shellcheck disable=SC2086
    cell "tasks $compiler c++20, c99" cpp_beside_c tasks $compiler -std=c++20 $coroutines -O2 $warn
    cell "designated options $compiler c++20" designated $compiler -std=c++20 $warn
    cell "options $compiler c++11, c99" cpp_beside_c options $compiler -std=c++11 -O2 $warn
done

wait
count() { grep -c "^$1" "$out/results" 2>/dev/null; }
failed=$(count FAIL)
echo "$(count ok) passed, $failed failed, $(count skipped) skipped"
[ "$failed" = 0 ]
