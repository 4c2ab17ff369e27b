# Installs what is missing: distribution packages and our own libraries. Says what it does; quick when nothing is missing.
# shellcheck shell=sh disable=SC2154 # node comes from common.sh

packages_for_up='libvirt-daemon-system qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools bubblewrap dnsmasq-base iproute2
  iptables nftables dmidecode xorriso syslinux syslinux-common mtools dosfstools fdisk e2fsprogs busybox-static xz-utils util-linux'
packages_for_tests="$packages_for_up libvirt-clients python3-libvirt openssl openssh-client ipxe rsyslog rsyslog-gnutls postfix prometheus prometheus-alertmanager prometheus-libvirt-exporter influxdb libnbd-bin strace xfsprogs btrfs-progs ntfs-3g cryptsetup-bin unzip pebble polkitd dbus passwd zstd python3-cryptography restic openssh-server openssh-sftp-server ceph-mon ceph-osd radosgw virtnbdbackup"

nixos_lines='virtualisation.libvirtd = { enable = true; qemu.swtpm.enable = true; qemu.ovmf.enable = true; };
    environment.systemPackages = with pkgs; [ nodejs_24 qemu bubblewrap xorriso syslinux mtools dosfstools e2fsprogs busybox ];'

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    fail 'this needs root, and sudo is not installed' "Run as root: $*"
  fi
}

# install_packages up|test
install_packages() {
  if [ -e /etc/NIXOS ]; then
    missing=
    for program in libvirtd qemu-img bwrap node; do have "$program" || missing="$missing $program"; done
    [ -z "$missing" ] || fail "missing here:$missing. Put this into /etc/nixos/configuration.nix and run nixos-rebuild switch:" "$nixos_lines"
  elif have apt-get && have dpkg-query; then
    if [ "$1" = up ]; then
      install_deb "$packages_for_up"
    elif [ "$(id -u)" -ne 0 ] && ! have sudo; then
      say 'not root and no sudo: tests of programs that are not installed are skipped'
    elif have google-chrome; then
      install_deb "$packages_for_tests"
    else
      install_deb "$packages_for_tests chromium"
    fi
  else
    missing=
    for program in libvirtd qemu-system-x86_64 qemu-img bwrap; do have "$program" || missing="$missing $program"; done
    [ -z "$missing" ] || fail "missing here:$missing. This system is neither Debian, Ubuntu nor NixOS: install them with its package manager" \
      'Needed: libvirt with its QEMU driver, qemu-system-x86_64, qemu-img, OVMF, swtpm, bubblewrap, dnsmasq.'
  fi
}

# Word splitting of the package list is meant.
# shellcheck disable=SC2086
install_deb() {
  installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' $1 2>/dev/null || true)"
  missing=
  for package in $1; do
    case "$installed" in *" installed:$package "*) ;; *) missing="$missing $package" ;; esac
  done
  [ -n "$missing" ] || return 0
  say "installing distribution packages:$missing"
  mkdir -p "$HV_HOME/.cache"
  log=$HV_HOME/.cache/apt.log
  apt_get update >"$log" 2>&1 || say "apt-get update had problems (see $log); going on with the lists that are there"
  known=
  for package in $missing; do
    if apt-cache show --no-all-versions "$package" >/dev/null 2>&1; then
      known="$known $package"
    else
      say "$package is not in the package lists of this system; what needs it will say so"
    fi
  done
  [ -n "$known" ] || return 0
  if ! apt_get install -y --no-install-recommends $known >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    fail 'the packages could not be installed' "Run yourself: apt-get update && apt-get install --no-install-recommends$known"
  fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

npm_quietly() (
  cd "$HV_HOME" || exit
  set -- "$@" --ignore-scripts --include=dev --no-audit --no-fund --loglevel=error
  if [ -n "$npm_node" ]; then "$npm_node" "$npm_program" "$@"; else npm "$@"; fi
)

# npm under an old Node (Debian 12 has 18) leaves out optional packages that we need, without a word. There it only fetches
# a newer Node and npm, which then do the work.
find_npm() {
  npm_node=
  ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null || return 0
  case "$(uname -m)" in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) fail "there is no ready-made Node 24 for $(uname -m)" 'Install Node.js 24 with npm yourself, then try again.' ;;
  esac
  version=$(sed -n "s/.*\"node-linux-$arch\": \"\([0-9.]*\)\".*/\1/p" "$HV_HOME/package.json")
  say "the Node here is too old: fetching Node $version and npm first"
  fetched=$HV_HOME/.cache/npm
  mkdir -p "$fetched"
  npm install --prefix "$fetched" --no-save --no-package-lock --no-audit --no-fund --loglevel=error "node-linux-$arch@$version" npm@11 >"$HV_HOME/.cache/npm.log" 2>&1 || {
    head -n 15 "$HV_HOME/.cache/npm.log" >&2
    fail "Node $version could not be fetched" 'Install Node.js 22 or newer with npm yourself, then try again.'
  }
  npm_node=$fetched/node_modules/node-linux-$arch/bin/node
  npm_program=$fetched/node_modules/npm/bin/npm-cli.js
}

# Node and the libraries, from package-lock.json. A copy of the lock file is the sign that they are complete.
install_libraries() {
  stamp=$HV_HOME/node_modules/.hv-installed
  cmp -s "$HV_HOME/package-lock.json" "$stamp" && return
  if ! have npm; then
    have apt-get || fail 'npm is missing; it is needed once, to fetch Node 24 and the libraries' 'Install Node.js with npm, any version from 18 on.'
    install_deb npm
  fi
  mkdir -p "$HV_HOME/.cache"
  (
    ! have flock || flock 9
    # Somebody else may have done it while we waited.
    cmp -s "$HV_HOME/package-lock.json" "$stamp" && exit 0
    find_npm
    say 'installing Node 24 and the libraries (npm ci, about 20 s)'
    log=$HV_HOME/.cache/npm.log
    # npm versions differ in what they call a complete lock file; npm install is less strict and checks the same hashes.
    if ! npm_quietly ci >"$log" 2>&1 && ! npm_quietly install --no-save >>"$log" 2>&1; then
      head -n 15 "$log" >&2
      fail 'the libraries could not be installed' "Run yourself: cd $HV_HOME && npm ci --ignore-scripts"
    fi
    rm -rf "$HV_HOME/.cache/npm"
    cp "$HV_HOME/package-lock.json" "$stamp"
  ) 9>"$HV_HOME/.cache/install.lock"
}

# The dashboard, when a source is newer than the bundle.
build_dashboard() {
  bundle=$HV_HOME/src/web/dist/index.html
  if [ -e "$bundle" ]; then
    newer=$(find "$HV_HOME/src/web" "$HV_HOME/src/contract" "$HV_HOME/src/kernel" "$HV_HOME/package-lock.json" -path "$HV_HOME/src/web/dist" -prune -o -type f -newer "$bundle" -print -quit)
    [ -n "$newer" ] || return 0
  fi
  say 'building the dashboard'
  find_node
  log=$HV_HOME/.cache/build.log
  mkdir -p "$HV_HOME/.cache"
  if ! (cd "$HV_HOME" && "$node" node_modules/vite/bin/vite.js build --config src/web/vite.config.ts) >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail 'the dashboard could not be built' "The whole output is in $log"
  fi
}
