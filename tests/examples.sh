#!/bin/sh
# Runs each example that was built: it must end with 0, in time, and print something.
#
# usage: tests/examples.sh [FOLDER]      where they were built; build/examples, and as C++ build/examples/cpp
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0

# run FOLDER NAME
run() {
    case $2 in
    embed_*)
        [ -e "$1/$2" ] || { echo "skipped $1/$2: its library was not there"; return; }
        arguments= ;;
    crawl) arguments="--self 200 --limit 20" ;;
    *) arguments= ;;
    esac
    # shellcheck disable=SC2086
    said=$(timeout 30 "$1/$2" $arguments 2>&1 </dev/null)
    status=$?
    if [ $status = 0 ] && [ -n "$said" ]; then
        echo "ok $1/$2"
        passed=$((passed + 1))
    else
        echo "not ok $1/$2: ended with $status, and said:"
        printf '%s\n' "$said" | tail -n 10 | sed 's/^/    /'
        failed=$((failed + 1))
    fi
}

for source in examples/*.c; do
    name=$(basename "$source" .c)
    run "${1:-build/examples}" "$name"
    [ $# != 0 ] || ! command -v "${CXX:-c++}" >/dev/null || run build/examples/cpp "$name"
done
for source in examples/*.cpp; do
    [ $# != 0 ] || ! command -v "${CXX:-c++}" >/dev/null || run build/examples/cpp "$(basename "$source" .cpp)"
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed != 0 ]
