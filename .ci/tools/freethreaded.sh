#!/usr/bin/env bash
# Prints the path of a free-threaded CPython 3.13 (3.13t); builds it from Debian's source package
# the first time (about 8 minutes on 2 cores), since no package registry has one ready.
#
#   .ci/tools/freethreaded.sh        -> …/python3.13t/bin/python3.13t
#
# GCOTEL_CI_PYTHON_3_13T names a ready interpreter instead. Needs a C compiler and make; the
# headers for ctypes, ssl and zlib are installed with apt-get when root, and must be there otherwise.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

SUITES=(forky trixie)
PREFIX="$CACHE/python3.13t"
PYTHON="$PREFIX/bin/python3.13t"
BUILD="$CACHE/python3.13t.build"

is_freethreaded() {
  "$1" -c 'import sys, _ctypes, ssl, zlib; sys.exit(sys._is_gil_enabled())' 2>/dev/null
}

have_headers() {
  printf '#include <ffi.h>\n#include <openssl/ssl.h>\n#include <zlib.h>\n' | cc -E - >/dev/null 2>&1
}

# configure leaves modules out silently when these are missing, and pip does not work without them.
ensure_headers() {
  have_headers && return
  [[ $EUID == 0 ]] || die 'missing headers: install libffi-dev libssl-dev zlib1g-dev'
  log 'installing libffi-dev libssl-dev zlib1g-dev'
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y install libffi-dev libssl-dev zlib1g-dev >&2
}

unpack_source() {
  local tarball
  fetch_source "$CACHE/python3.13.source" python3.13 "${SUITES[@]}"
  tarball=$(find "$CACHE/python3.13.source" -name 'python3.13_*.orig.tar.*' ! -name '*.asc' -print -quit)
  [[ -n $tarball ]] || die "Debian (${SUITES[*]}) has no python3.13 source tarball any more"
  rm -rf "$BUILD"
  mkdir -p "$BUILD"
  tar -xf "$tarball" -C "$BUILD" --strip-components=1
}

# The prefix is compiled in, so this cannot be built elsewhere and renamed: it is installed into an
# emptied prefix, and only the mark at the end makes it count as complete.
build() {
  [[ -e $PREFIX/.complete ]] && return
  ensure_headers
  unpack_source
  rm -rf "$PREFIX"
  log "building into $PREFIX (log: $BUILD.log)"
  (
    cd "$BUILD" &&
      nice -n 19 ./configure --disable-gil --prefix="$PREFIX" --with-ensurepip=install &&
      nice -n 19 make -j"${GCOTEL_CI_JOBS:-$(nproc)}" &&
      nice -n 19 make install
  ) >"$BUILD.log" 2>&1 || die "the build failed: see $BUILD.log"
  is_freethreaded "$PYTHON" || die "$PYTHON lacks a module or has a GIL: see $BUILD.log"
  touch "$PREFIX/.complete"
  rm -rf "$BUILD"
}

main() {
  local given=${GCOTEL_CI_PYTHON_3_13T:-}
  if [[ -n $given ]]; then
    is_freethreaded "$given" || die "GCOTEL_CI_PYTHON_3_13T=$given is no free-threaded CPython"
    echo "$given"
    return
  fi
  with_lock python3.13t build
  echo "$PYTHON"
}

main "$@"
