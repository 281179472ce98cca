#!/usr/bin/env bash
# What a beginner gets wrong, and what the compiler, or a checker, says of it: each file of tests/mistakes names, for gcc and for clang,
# a pattern that the first line with an error or warning must match, after flags that the compiler needs for it (the
# user gave none otherwise). Each is tried twice: with aio.h beside the file, and installed among the system's headers,
# unless it says "beside": compilers keep some warnings of what stands in a system header's macros to themselves.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# try FILE COMPILER KIND FLAGS: its first message, with aio.h in a folder of system headers for KIND system.
try() {
    local file=$1 compiler=$2 kind=$3 flags=$4
    # Flags are a list of words.
    # shellcheck disable=SC2086
    if [ "$kind" = system ]; then
        sed 's|"../../aio.h"|<aio/aio.h>|' "$file" >"$out/mistake.c"
        $compiler -std=c99 $flags -isystem "$out" -c -o "$out/object" "$out/mistake.c" 2>&1
    else
        $compiler -std=c99 $flags -c -o "$out/object" "$file" 2>&1
    fi | grep -E -m 1 '(error|warning): '
}

mkdir "$out/aio" && cp aio.h "$out/aio/aio.h"
for file in tests/mistakes/*.c; do
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || continue
        grep -qE "^ \* $compiler" "$file" || continue
        line=$(grep -E -m 1 "^ \* $compiler( -[^:]*)?(, beside)?: " "$file")
        flags=$(sed -E "s/^ \* $compiler([^:,]*).*/\1/" <<<"$line")
        kinds="beside system"
        [[ $line == *", beside: "* ]] && kinds=beside
        wanted=$(sed -E "s/^ \* $compiler[^:]*: //; s/ \*\/\$//" <<<"$line")
        for kind in $kinds; do
            said=$(try "$file" $compiler $kind "$flags")
            if grep -qE "$wanted" <<<"$said"; then passed=$((passed + 1)) && continue; fi
            echo "not ok - $file, $compiler, $kind: wanted /$wanted/, it said: ${said:-nothing}"
            failed=$((failed + 1))
        done
    done
done
# run FILE LINE: " * run AIO_DEBUG=1 -fsanitize=address: PATTERN", or valgrind in place of the flag.
run() {
    local file=$1 line=$2 wanted compiler setting=AIO_DEBUG=0 said
    wanted=$(sed -E "s/^ \* run [^:]*: //; s/ \*\/\$//" <<<"$line")
    [[ $line == *AIO_DEBUG=1* ]] && setting=AIO_DEBUG=1
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || continue
        if [[ $line == *valgrind* ]]; then
            command -v valgrind >/dev/null || continue
            $compiler -std=gnu99 -gdwarf-4 -w -o "$out/mistake" "$file" -lpthread &&
                said=$(env $setting valgrind -q "$out/mistake" 2>&1)
        else
            $compiler -std=gnu99 -g -w -fsanitize=address -o "$out/mistake" "$file" -lpthread || continue
            said=$(env $setting "$out/mistake" 2>&1)
        fi
        if grep -qE "$wanted" <<<"$said"; then passed=$((passed + 1)) && continue; fi
        echo "not ok - $file, $compiler,$line: it said: $(head -n 3 <<<"$said")"
        failed=$((failed + 1))
    done
}

for file in tests/mistakes/*.c; do
    while IFS= read -r line; do run "$file" "$line"; done < <(grep -E '^ \* run ' "$file")
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
