#!/usr/bin/env bash
# Shared by the tool-fetching scripts of this folder; source it, do not run it.
#
#   CACHE                      where every fetched tool lives (GCOTEL_CI_CACHE overrides it)
#   log WORD...                one line to stderr (stdout is for what the callers print)
#   die WORD...                log, then exit 1
#   with_lock NAME COMMAND...  run COMMAND while no other script holds the lock NAME
#   into_new_dir DIR MARK FUNCTION ARG...
#                              run `FUNCTION TEMPORARY ARG...`, which fills the folder TEMPORARY; that
#                              becomes DIR only when all went well, with DIR/.complete holding MARK
#
# A DIR which is complete under the same MARK is left as it is, so that a second call costs nothing.
# Delete a folder of CACHE to have it fetched anew.

set -euo pipefail

CACHE="${GCOTEL_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gc_otel-ci}"
CACHE=$(realpath -m "$CACHE") # its paths end up in interpreters and links

log() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
  log "$@"
  exit 1
}

# Two CI jobs on one machine share the cache; the second waits and then finds the work done.
with_lock() {
  local name=$1
  shift
  mkdir -p "$CACHE/locks"
  (
    flock 9
    "$@"
  ) 9>"$CACHE/locks/$name"
}

into_new_dir() {
  local dir=$1 mark=$2 function=$3
  shift 3
  [[ -e $dir/.complete && $(<"$dir/.complete") == "$mark" ]] && return
  rm -rf "$dir.tmp"
  mkdir -p "$dir.tmp"
  "$function" "$dir.tmp" "$@"
  echo "$mark" >"$dir.tmp/.complete"
  rm -rf "$dir"
  mv "$dir.tmp" "$dir"
}
