#!/bin/sh
# Installs aio.h in a folder of its own, compiles a program beside POSIX' <aio.h> as pkg-config says, and uninstalls it.
#
# usage: tests/install.sh FOLDER
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(cd "$1" && pwd)
prefix=$folder/usr
rm -rf "$prefix"
fail() { echo "ERROR: $*"; exit 1; }

make -s install PREFIX="$prefix"
cat >"$folder/program.c" <<'END'
#define AIO_IMPLEMENTATION
#include <aio/aio.h>
#include <aio.h>
#include <stdio.h>
int main(void)
{
    static struct aiocb control;
    return puts(aio_version()) < 0 || aio_error(&control) != 0;
}
END
if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH="$prefix/share/pkgconfig"
    flags=$(pkg-config --cflags --libs aio)
    version=$(pkg-config --modversion aio)
else
    echo "no pkg-config: what aio.pc says is read by hand"
    flags="$(sed -n "s|^Cflags: ||p; s|^Libs: ||p" "$prefix/share/pkgconfig/aio.pc" |
        sed "s|\${includedir}|$prefix/include|") -lssl -lcrypto"
    version=$(sed -n 's/^Version: //p' "$prefix/share/pkgconfig/aio.pc")
fi
# shellcheck disable=SC2086
${CC:-cc} -o "$folder/program" "$folder/program.c" $flags -lrt
said=$("$folder/program")
[ "$said" = "$version" ] && [ -n "$said" ] || fail "the program says $said, aio.pc $version"
[ "$(ls "$prefix/include")" = aio ] || fail "beside the folder aio there is something else: -I would offer it"

make -s uninstall PREFIX="$prefix"
left=$(find "$prefix" ! -type d)
[ -z "$left" ] || fail "uninstall left $left"
[ ! -e "$prefix/include/aio" ] || fail "uninstall left the folder"

make -s install DESTDIR="$folder/usr/stage" PREFIX=/opt/a
grep -q '^prefix=/opt/a$' "$folder/usr/stage/opt/a/share/pkgconfig/aio.pc" || fail "DESTDIR is in aio.pc"
make -s uninstall DESTDIR="$folder/usr/stage" PREFIX=/opt/a
[ -z "$(find "$prefix" ! -type d)" ] || fail "uninstall left something under DESTDIR"

# As another project has it in its tree, by CMake and by meson: aio.h is found by quotes alone.
mkdir -p "$folder/user/subprojects/aio"
cp aio.h "$folder/user/subprojects/aio/"
cat >"$folder/user/program.c" <<'END'
#define AIO_IMPLEMENTATION
#include "aio.h"
#include <aio.h>
#include <stdio.h>
int main(void) { return puts(aio_version()) < 0 || aio_tls_context_error() == NULL || sizeof(struct aiocb) == 0; }
END
cat >"$folder/user/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.14)
project(user C)
include(FetchContent)
find_package(OpenSSL REQUIRED)
find_package(Threads REQUIRED)
FetchContent_Declare(aio GIT_REPOSITORY https://example.test/aio.git GIT_TAG main)
FetchContent_MakeAvailable(aio)
add_executable(program program.c)
target_compile_options(program PRIVATE -iquote ${aio_SOURCE_DIR})
target_link_libraries(program PRIVATE OpenSSL::SSL Threads::Threads)
END
cat >"$folder/user/meson.build" <<'END'
project('user', 'c')
aio = declare_dependency(compile_args: ['-iquote', meson.current_source_dir() / 'subprojects/aio'],
                         dependencies: [dependency('openssl'), dependency('threads')])
executable('program', 'program.c', dependencies: aio)
END
try() {
    said=$("$1/program")
    [ "$said" = "$version" ] || fail "the program of $1 says $said"
}
if command -v cmake >/dev/null; then
    cmake -S "$folder/user" -B "$folder/cmake" -DFETCHCONTENT_SOURCE_DIR_AIO="$folder/user/subprojects/aio" >/dev/null
    cmake --build "$folder/cmake" >/dev/null
    try "$folder/cmake"
else
    echo "no cmake: not tried"
fi
if command -v meson >/dev/null; then
    rm -rf "$folder/meson"
    meson setup "$folder/meson" "$folder/user" >/dev/null
    meson compile -C "$folder/meson" >/dev/null
    try "$folder/meson"
else
    echo "no meson: not tried"
fi

if command -v python3 >/dev/null; then
    python3 tests/doc/doc.py aio.h "$folder/doc" >/dev/null
    grep -q 'id="aio_open_connection"' "$folder/doc/index.html" || fail "the manual lacks aio_open_connection"
fi
echo "install: ok"
