#!/usr/bin/env bash
# `make test-debian13 [T=…]`: the tests on Debian 13, whatever runs here: this commit, cloned into a root that debootstrap makes once (about 3 GB with
# all packages, below build/ unless SIGNET_DEBIAN13_ROOT says where). As root. The root has its own mounts, but this machine's network and processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=${SIGNET_DEBIAN13_ROOT:-$PWD/build/debian13}
# debootstrap lies where only root looks.
export PATH=$PATH:/usr/sbin:/sbin

die() {
    echo "test-debian13: $*" >&2
    exit 1
}

in_root() { # COMMAND…
    # The root is a mount point, so that tests can make mount namespaces of their own in it. When the last process is gone, so are the mounts.
    # shellcheck disable=SC2016
    unshare --mount --propagation private sh -c '
        mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/run" || exit 1
        exec chroot "$0" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' "$root" "$@"
}

[[ $(id -u) -eq 0 ]] || die "needs root: it makes mounts and enters a root of its own"
command -v debootstrap >/dev/null || die "debootstrap is not installed: apt-get install debootstrap"
if [[ ! -e $root/.complete ]]; then
    rm -rf --one-file-system "$root"
    mkdir -p "$root"
    debootstrap --include=ca-certificates,git,make trixie "$root"
    touch "$root/.complete"
fi
rm -rf --one-file-system "$root/srv/signet"
git clone -q "$PWD" "$root/srv/signet"
in_root make -C /srv/signet test "$@"
