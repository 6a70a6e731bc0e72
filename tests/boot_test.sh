#!/bin/sh
# A guest boots from an image that the nbdkit plugin serves, and writes to it. One boot here;
# `make soak-boot` has the other versions and the power cuts.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"
# shellcheck source=bootdisk.sh
. "$(dirname "$0")/bootdisk.sh"

plugin=$BUILD/plugin/nbdkit-gow-plugin.so
[ -z "${SANITIZE:-}" ] || skip_suite "nbdkit is not built with the sanitizers"
[ -f "$plugin" ] || skip_suite "the plugin was not built (no nbdkit headers)"

testBootVersion3() {
	need_boot || return 0
	boot_once 3
}

# shellcheck source=/dev/null
. "$SHUNIT2"
