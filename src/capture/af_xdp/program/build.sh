#!/bin/sh
# Compiles redirect.bpf.c into the file named by the first argument, by default the committed object beside it.
#
# The compiler is pinned: another version gives other bytes, and a test compares them. The source is named without its folder, and
# what is kept of paths is cut off, so that the bytes do not depend on where the project lies.
set -eu
cd "$(dirname "$0")"
out=${1:-redirect.bpf.o}
clang-14 -O2 -g -Wall -Wextra -Werror -target bpf -mcpu=v3 -I"/usr/include/$(uname -m)-linux-gnu" \
    -fdebug-prefix-map="$PWD=." -c redirect.bpf.c -o "$out"
llvm-strip-14 -g "$out"
