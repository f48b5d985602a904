#!/usr/bin/env bash
# Makes Chromium available for the tests of the live page and prints its path.
#
#   .ci/tools/chromium.sh          -> /usr/bin/chromium
#
# A browser cannot be unpacked beside the system as the components are: it comes by the system's package, which needs
# root. GCOTEL_CI_CHROMIUM names one instead.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

find_chromium() { command -v "${GCOTEL_CI_CHROMIUM:-chromium}"; }

install_chromium() {
  find_chromium >/dev/null && return
  ((EUID == 0)) || die "there is no chromium, and only root can install it"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2
}

with_lock chromium install_chromium
find_chromium || die "there is no chromium after its package was installed"
