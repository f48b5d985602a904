#!/usr/bin/env bash
# What .ci/run and .ci/nightly share: phases with their times, venvs, wheels, test runs.
# Source it after common.sh; the caller sets PHASES and defines a function for each.

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# One phase after the other, each with its time; the first that fails ends the run.
run_phases() {
  local phase began spent
  ((${#})) || set -- "${PHASES[@]}"
  [[ " $* " == *" tools "* ]] || tools
  for phase in "$@"; do
    began=$SECONDS spent=$(cpu_seconds)
    printf '\n=== %s\n' "$phase"
    "$phase"
    printf '=== %s: %d s, %d s of CPU\n' "$phase" $((SECONDS - began)) $(($(cpu_seconds) - spent))
  done
  printf '\n=== all of %s passed in %d s\n' "$*" "$SECONDS"
}

# Of all that has ended until now: how much of the machine a phase leaves idle.
cpu_seconds() { awk -v tick="$(getconf CLK_TCK)" '{ printf "%d", ($16 + $17) / tick }' "/proc/$$/stat"; }

# Interpreters, real components, a browser, and an installer that is quick.
tools() {
  bash .ci/tools/pythons.sh >"$WORK/pythons"
  cat "$WORK/pythons"
  GCOTEL_CI_COMPONENTS=$(bash .ci/tools/components.sh)
  GCOTEL_CI_CHROMIUM=$(bash .ci/tools/chromium.sh)
  export GCOTEL_CI_COMPONENTS GCOTEL_CI_CHROMIUM
  python3 -m venv "$WORK/uv"
  "$WORK/uv/bin/pip" install -q uv
}

python_path() {
  awk -v version="$1" '$1 == version { print $2; found = 1 } END { exit !found }' "$WORK/pythons"
}

make_venv() { "$WORK/uv/bin/uv" venv -q -p "$2" "$1"; }

install() {
  local venv=$1
  shift
  "$WORK/uv/bin/uv" pip install -q -p "$venv/bin/python" "$@"
}

# The files of the checkout that git knows, committed or not; nothing built.
copy_tree() {
  mkdir -p "$1"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$1"
}

build_wheel() {
  local tree
  tree=$WORK/build-$(basename "$2")
  copy_tree "$tree"
  "$WORK/uv/bin/uv" build -q --wheel -p "$(python_path "$1")" -o "$2" "$tree"
}

wheel_in() { ls "$1"/*.whl; }

# run_tests VENV DIR [PYTEST-ARGUMENT...]: in a folder that has the tests and not the package.
run_tests() {
  local venv=$1 dir=$2
  shift 2
  mkdir -p "$dir"
  cp -r tests pyproject.toml "$dir"
  (cd "$dir" && "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@")
}

# run_all "FUNCTION ARGUMENT..."...: two at a time, each with a log of its own; the end of every log
# is shown, and the whole of one that failed.
run_all() {
  local job log failed=0
  local -a words
  mkdir -p "$WORK/logs"
  for job in "$@"; do
    while (($(jobs -rp | wc -l) >= 2)); do wait -n || true; done
    log=$WORK/logs/${job// /-}
    read -ra words <<<"$job"
    # Nothing behind an `&&` may decide here: bash would then go on behind a command of the job that fails.
    (
      "${words[@]}"
      touch "$log.ok"
    ) >"$log" 2>&1 &
  done
  wait || true
  for job in "$@"; do
    log=$WORK/logs/${job// /-}
    printf '%s: ' "$job"
    if [[ -e $log.ok ]]; then
      tail -n 1 "$log"
      grep '^RERUN' "$log" || true # what is not steady yet
    else
      failed=1
      printf 'FAILED\n'
      cat "$log"
    fi
  done
  return $failed
}
