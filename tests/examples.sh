#!/bin/sh
# Runs each example that was built: it must end with 0, in time, and print something.
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
for source in examples/*.c; do
    name=$(basename "$source" .c)
    case $name in
    crawl) arguments="--self 200 --limit 20" ;;
    *) arguments= ;;
    esac
    # shellcheck disable=SC2086
    said=$(timeout 30 "build/examples/$name" $arguments 2>&1 </dev/null)
    status=$?
    if [ $status = 0 ] && [ -n "$said" ]; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "not ok $name: ended with $status, and said:"
        printf '%s\n' "$said" | tail -n 10 | sed 's/^/    /'
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed != 0 ]
