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
echo "install: ok"
