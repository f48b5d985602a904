#!/usr/bin/env bash
# Makes prometheus, promtool, victoria-metrics and wrk available and prints the folder they are in.
#
#   .ci/tools/components.sh          -> …/components/bin
#
# All come from Debian forky's packages (bookworm's Prometheus and VictoriaMetrics are years old),
# unpacked below the cache. The Go programs need a C library of 2.34 or newer, which Debian 12 and
# Ubuntu 22.04 have; wrk gets the one it was built with. GCOTEL_CI_COMPONENTS names a ready folder
# instead, for machines without apt-get; it must hold the same four commands.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

SUITE=forky
DIR="$CACHE/components"
COMMANDS=(prometheus promtool victoria-metrics wrk)

# wrk has no --version: it answers -v with its version and usage, and exits 1 all the same.
answers() {
  case $1 in
    */wrk) { "$1" -v 2>&1 || true; } | grep -q Usage ;;
    *) "$1" --version >/dev/null 2>&1 ;;
  esac
}

check_all() {
  local bin=$1 command
  for command in "${COMMANDS[@]}"; do
    answers "$bin/$command" || die "$bin/$command does not start: $("$bin/$command" --version 2>&1 | head -n 1)"
  done
}

# Runs at most once per unpacking: a relocated wrk answers.
relocate_wrk() {
  answers "$1/usr/bin/wrk" || relocate "$1/usr/bin/wrk" "$1/usr"
}

# Only links: the packages' own folders stay as Debian made them.
link_commands() {
  local command package
  mkdir -p "$DIR/bin"
  for command in "${COMMANDS[@]}"; do
    package=$DIR/monitoring
    [[ $command == wrk ]] && package=$DIR/wrk
    ln -sfn "$package/usr/bin/$command" "$DIR/bin/$command"
  done
}

main() {
  local bin=${GCOTEL_CI_COMPONENTS:-}
  if [[ -z $bin ]]; then
    bin=$DIR/bin
    fetch_debs "$SUITE" "$DIR/monitoring" prometheus promtool victoria-metrics
    fetch_debs "$SUITE" "$DIR/wrk" wrk+deps
    with_lock wrk relocate_wrk "$DIR/wrk"
    link_commands
  fi
  check_all "$bin"
  echo "$bin"
}

main "$@"
