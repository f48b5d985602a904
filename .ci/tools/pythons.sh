#!/usr/bin/env bash
# Prints one line `VERSION PATH` per CPython the tests run on, e.g. `3.11 /…/bin/python3.11`.
#
#   .ci/tools/pythons.sh             all of 3.10 … 3.15
#   .ci/tools/pythons.sh 3.14 3.15   only these
#
# Every PATH is a real interpreter (no shim, no venv, with a GIL) that can make a venv and build C
# extensions with the host's compiler as it is: no CFLAGS or other environment is needed.
# Each version is looked for in this order, and the first that fits is taken:
#   1. the variable GCOTEL_CI_PYTHON_3_14 (likewise for the others); refused loudly when unfit
#   2. pyenv's versions folder, newest patch release first
#   3. PATH
#   4. Debian sid, unpacked below the cache beside the system (needs apt-get; amd64 and arm64)
# Exits 1, naming the versions, when one cannot be had.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

VERSIONS=(3.10 3.11 3.12 3.13 3.14 3.15)
SUITE=sid

# Prints the interpreter's own path, or why it is unfit (and fails).
PROBE='
import os, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
if "%d.%d" % sys.version_info[:2] != sys.argv[1]: sys.exit("is " + sys.version)
if sys.implementation.name != "cpython": sys.exit("is no CPython")
if sysconfig.get_config_var("Py_GIL_DISABLED"): sys.exit("is free-threaded")
if sys.prefix != sys.base_prefix: sys.exit("is a virtual environment")
if not os.path.exists(header): sys.exit("has no " + header)
try: import ensurepip, venv
except ImportError as error: sys.exit("cannot make a venv: %s" % error)
print(os.path.realpath(sys.executable))
'

probe() { "$1" -I -c "$PROBE" "$2"; }

variable_for() { echo "GCOTEL_CI_PYTHON_${1//./_}"; }

pyenv_candidates() {
  local root
  root=$(pyenv root 2>/dev/null) || return 0
  find "$root/versions" -maxdepth 1 -name "$1.*" 2>/dev/null | sort -rV | sed "s|\$|/bin/python$1|"
}

# Prints the first interpreter found here that fits. What does not fit is passed over in silence:
# a python3.11 without headers on PATH is common and no fault.
find_here() {
  local version=$1 candidate
  while IFS= read -r candidate; do
    probe "$candidate" "$version" 2>/dev/null && return
  done < <(
    pyenv_candidates "$version"
    type -ap "python$version"
  )
  return 1
}

# Debian splits pyconfig.h: the one beside Python.h includes another by a path below /usr/include,
# where it is not. Putting the real one in its place makes extensions build without any -I.
join_pyconfig() {
  local usr=$1 version=$2 real
  real=$(find "$usr/include" -path "*-linux-*/python$version/pyconfig.h" -print -quit)
  [[ -z $real ]] || cp "$real" "$usr/include/python$version/pyconfig.h"
}

# ensurepip takes pip's wheel from an absolute folder: unchanged, it would pick up the host's old pip.
point_to_wheels() {
  local usr=$1 version=$2
  sed -i "s|'WHEEL_PKG_DIR': .*|'WHEEL_PKG_DIR': '$usr/share/python-wheels',|" \
    "$usr/lib/python$version"/_sysconfigdata_*.py
}

make_usable() {
  local usr=$1 version=$2
  [[ -e $usr/../.usable && $(<"$usr/../.usable") == "$usr" ]] && return
  join_pyconfig "$usr" "$version"
  point_to_wheels "$usr" "$version"
  relocate "$usr/bin/python$version" "$usr"
  echo "$usr" >"$usr/../.usable" # a cache restored elsewhere is made usable again
}

# Prints the path of sid's interpreter. Only the -dev package's headers are wanted, so that one
# comes without its dependencies (a whole compiler).
fetch_python() {
  local version=$1 dir=$CACHE/debian-python$1
  fetch_debs "$SUITE" "$dir" "python$version+deps" "python$version-venv+deps" "libpython$version-dev"
  with_lock "python$version" make_usable "$dir/usr" "$version"
  probe "$dir/usr/bin/python$version" "$version"
}

# Prints the interpreter for one version.
provide() {
  local version=$1 name given
  name=$(variable_for "$version")
  given=${!name:-}
  if [[ -n $given ]]; then
    probe "$given" "$version" || die "$name=$given is unfit as Python $version"
  elif ! find_here "$version"; then
    command -v apt-get >/dev/null || return 1
    fetch_python "$version"
  fi
}

main() {
  local version path missing=()
  (($#)) || set -- "${VERSIONS[@]}"
  for version in "$@"; do
    # Another shell, because bash ignores `set -e` inside anything whose failure is looked at.
    if path=$("$BASH" "${BASH_SOURCE[0]}" --provide "$version"); then
      echo "$version $path"
    else
      missing+=("$version")
    fi
  done
  ((${#missing[@]} == 0)) ||
    die "no usable CPython ${missing[*]}: install it with its headers and venv, or set $(variable_for "${missing[0]}")=/path/to/python"
}

if [[ ${1:-} == --provide ]]; then
  provide "$2"
else
  main "$@"
fi
