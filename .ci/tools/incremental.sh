#!/usr/bin/env bash
# The two ways to test on the incremental collector, which only CPython 3.14.0 … 3.14.4 have.
#
#   .ci/tools/incremental.sh           prints the path of a native interpreter, taken from
#                                      GCOTEL_CI_PYTHON_INCREMENTAL; exits 3 when none is given,
#                                      because no package registry has one: the caller may skip
#   .ci/tools/incremental.sh pyodide   prints the folder of Pyodide (CPython 3.14.2 on WebAssembly,
#                                      no threads, no C extensions), which node runs:
#                                      node .ci/tools/pyodide_run.mjs PYODIDE SYS_PATH_FOLDER SCRIPT
#
# Pyodide needs node and npm.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PYODIDE=314.0.7
NOT_GIVEN=3

is_incremental() {
  "$1" -c 'import sys; sys.exit(not (3, 14, 0) <= sys.version_info[:3] <= (3, 14, 4))'
}

native() {
  local given=${GCOTEL_CI_PYTHON_INCREMENTAL:-}
  if [[ -z $given ]]; then
    log 'set GCOTEL_CI_PYTHON_INCREMENTAL=/path/to/python of a CPython 3.14.0 … 3.14.4, e.g. one built with pyenv install 3.14.3'
    exit "$NOT_GIVEN"
  fi
  is_incremental "$given" || die "GCOTEL_CI_PYTHON_INCREMENTAL=$given is no CPython 3.14.0 … 3.14.4"
  echo "$given"
}

install_pyodide() {
  npm install --prefix "$1" --no-save --silent --no-audit --no-fund "pyodide@$PYODIDE" >&2
}

pyodide() {
  command -v npm >/dev/null || die 'Pyodide needs node and npm'
  with_lock pyodide into_new_dir "$CACHE/pyodide" "$PYODIDE" install_pyodide
  echo "$CACHE/pyodide/node_modules/pyodide"
}

case ${1:-native} in
  native) native ;;
  pyodide) pyodide ;;
  *) die "unknown route '$1': native or pyodide" ;;
esac
