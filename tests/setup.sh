#!/bin/sh
# Makes sure that the examples and the tests can be built: a C compiler, make, OpenSSL's headers.
# Silent where all is there. What is missing is installed when that may be done without asking, else the line that
# installs it is printed.
missing=
command -v "${CC:-cc}" >/dev/null 2>&1 || missing="$missing compiler"
command -v make >/dev/null 2>&1 || command -v gmake >/dev/null 2>&1 || missing="$missing make"

# macOS keeps OpenSSL out of the compiler's way; the Makefile knows these folders too.
has_openssl() {
    for folder in /usr /usr/local /opt/homebrew/opt/openssl@3 /usr/local/opt/openssl@3; do
        [ -e $folder/include/openssl/ssl.h ] && return 0
    done
    return 1
}
has_openssl || missing="$missing openssl"
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null; then
    line="apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    line="$line gcc libc6-dev make libssl-dev"
elif command -v dnf >/dev/null; then
    line="dnf install -y gcc make openssl-devel"
elif command -v apk >/dev/null; then
    line="apk add gcc musl-dev linux-headers make openssl-dev"
elif command -v pacman >/dev/null; then
    line="pacman -Sy --noconfirm --needed gcc make openssl"
elif command -v zypper >/dev/null; then
    line="zypper --non-interactive install gcc make libopenssl-devel"
elif command -v brew >/dev/null; then
    line="brew install make openssl@3"
elif command -v pkg >/dev/null; then
    line="pkg install -y gmake"
else
    echo "missing:$missing; install a C compiler, make and OpenSSL's headers" >&2
    exit 1
fi

case $line in
brew*) as= ;;
*) [ "$(id -u)" = 0 ] && as= || as="sudo -n" ;;
esac
if [ -n "$as" ] && ! sudo -n true 2>/dev/null; then
    echo "missing:$missing; run this as root, then try again:" >&2
    echo "    $line" >&2
    exit 1
fi
echo "missing:$missing; installing: $line" >&2
$as sh -c "$line" >&2 || {
    echo "that failed; install a C compiler, make and OpenSSL's headers by hand" >&2
    exit 1
}
