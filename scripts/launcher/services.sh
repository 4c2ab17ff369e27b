# Starts and stops libvirt (where nothing else does) and hyperd.
# shellcheck shell=sh disable=SC2154 # variables come from hv and common.sh

# A trial with folders of one's own runs as oneself; everything else needs root, and asks sudo for it.
become_root() {
  [ "$(id -u)" -ne 0 ] || return 0
  [ -z "${HV_STATE_DIR:-}" ] || [ -z "${HV_RUNTIME_DIR:-}" ] || return 0
  action=$1
  if [ "$action" = up ]; then
    set -- "$HV_HOME/hv" up
    [ "$detach" = no ] || set -- "$@" --detach
    [ "$demo" = yes ] || set -- "$@" --no-demo
    [ "$json" = no ] || set -- "$@" --json
  else
    set -- "$HV_HOME/hv" "$action"
  fi
  have sudo || fail "hv $action needs root, and sudo is not installed" "Run as root: $*"
  say "hyperd runs as root: going on with sudo"
  for name in HV_CONFIG HV_STATE_DIR HV_RUNTIME_DIR HV_LISTEN HV_LIBVIRT_URI; do
    eval "value=\${$name:-}"
    [ -z "$value" ] || set -- "$name=$value" "$@"
  done
  exec sudo -- env "$@"
}

# Refuses a folder whose sockets nobody could make or reach, in the words of src/kernel/socket-path.ts.
check_runtime_dir() {
  bytes=$(printf %s "$runtime_dir" | wc -c)
  [ "$bytes" -le 93 ] || fail "The runtime folder is $bytes bytes long and sockets take 93 at most: $runtime_dir" 'Set HV_RUNTIME_DIR to a shorter path, as /run/hyper-nixos.'
}

# True when somebody accepts connections on the socket.
answers() {
  [ -S "$1" ] && "$node" -e 'const s = require("node:net").connect(process.argv[1]); s.on("connect", () => process.exit(0)); s.on("error", () => process.exit(1)); setTimeout(() => process.exit(1), 5000)' "$1"
}

# True once `hv system access-setup` came to its end here: hyperd then runs as its own user, and libvirt asks polkit.
is_set_up() { grep -q '"isComplete": true' /etc/hyper-nixos/access-setup.json 2>/dev/null && getent passwd hyper >/dev/null; }

# Decides as whom hyperd runs. Folders of a trial that belong to root stay root's.
choose_user() {
  hyperd_user=
  is_set_up && [ "$(id -u)" -eq 0 ] || return 0
  if [ -e "$state_dir" ] && [ "$(stat -L -c %U "$state_dir")" != hyper ]; then
    say "$state_dir does not belong to hyper: hyperd runs as root. hv system access-setup gives it to hyper"
    return 0
  fi
  hyperd_user=hyper
}

# become_hyper COMMAND...: replaces this shell by the command, without any right of root and without a way to get one back.
become_hyper() { exec setpriv --reuid=hyper --regid="$(id -g hyper)" --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"; }

# Two launchers at once start everything once. What they start must not inherit the lock.
lock_starting() {
  mkdir -p "$runtime_dir"
  # hyper may make its sockets there, and touch nothing of ours.
  if [ -n "$hyperd_user" ]; then chgrp hyper "$runtime_dir" && chmod 1775 "$runtime_dir"; fi
  mkdir -p "$pid_dir"
  exec 8>"$pid_dir/lock"
  ! have flock || flock 8
}

unlock_starting() { exec 8>&-; }

start_libvirt() {
  find_node
  [ "${HV_LIBVIRT_URI:-qemu:///system}" = qemu:///system ] || return 0
  if answers /run/libvirt/libvirt-sock || answers /run/libvirt/virtqemud-sock; then return 0; fi
  if [ -d /run/systemd/system ] && have systemctl; then
    for unit in virtlogd.socket libvirtd.socket virtqemud.socket virtnetworkd.socket virtstoraged.socket; do
      systemctl cat "$unit" >/dev/null 2>&1 || continue
      say "starting $unit"
      systemctl start "$unit" || fail "$unit does not start" "Look at: systemctl status $unit"
    done
    return 0
  fi
  give_kvm_to_qemu
  if is_set_up; then start_polkit; fi
  start_daemon virtlogd /run/libvirt/virtlogd-sock
  start_daemon libvirtd /run/libvirt/libvirt-sock
}

# Without systemd nobody starts what libvirt asks about every call. libvirtd ends when D-Bus does, so this is stopped last.
start_polkit() {
  polkitd=
  for program in /usr/lib/polkit-1/polkitd /usr/libexec/polkitd; do [ ! -x "$program" ] || polkitd=$program; done
  [ -n "$polkitd" ] && have dbus-daemon || fail 'polkitd or D-Bus is missing, and libvirt asks them about every call' 'Install them: apt-get install polkitd dbus; or hv system access-setup --undo'
  if ! answers /run/dbus/system_bus_socket; then
    mkdir -p /run/dbus
    rm -f /run/dbus/pid /run/dbus/system_bus_socket
    start_in_background dbus-daemon dbus-daemon --system --nofork --nopidfile
    wait_for_socket dbus-daemon /run/dbus/system_bus_socket
  fi
  is_running "$pid_dir/polkitd.pid" polkitd || start_in_background polkitd "$polkitd" --no-debug
}

# start_in_background NAME COMMAND...
start_in_background() {
  name=$1
  shift
  say "starting $name (nothing else on this machine does)"
  setsid "$@" </dev/null >/dev/null 2>&1 8>&- &
  echo $! >"$pid_dir/$name.pid"
}

# Without udev nobody gives /dev/kvm to the group that QEMU runs in. libvirt then finds KVM as root, misses it as QEMU's user and asks
# QEMU anew at every call, which takes seconds each (measured, 9.0). This is what the distribution's udev rule does.
give_kvm_to_qemu() {
  [ -c /dev/kvm ] && have getent && getent group kvm >/dev/null || return 0
  [ "$(stat -c %G:%a /dev/kvm)" != kvm:660 ] || return 0
  [ -z "$(find /dev/kvm -perm -o=rw 2>/dev/null)" ] || return 0
  say 'giving /dev/kvm to the group kvm (no udev does it here)'
  { chgrp kvm /dev/kvm && chmod 660 /dev/kvm; } || fail '/dev/kvm cannot be given to the group kvm' 'Run: chgrp kvm /dev/kvm; chmod 660 /dev/kvm'
}

# start_daemon PROGRAM SOCKET
start_daemon() {
  ! answers "$2" || return 0
  say "starting $1 (nothing else on this machine does)"
  rm -f "$pid_dir/$1.pid"
  PATH=$PATH:/usr/sbin:/sbin "$1" --daemon --pid-file "$pid_dir/$1.pid" 8>&- || fail "$1 does not start" "Run it in the foreground to see why: $1 --verbose"
  wait_for_socket "$1" "$2"
}

# wait_for_socket PROGRAM SOCKET
wait_for_socket() {
  tries=100
  until answers "$2"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "$1 started but does not answer on $2" "Run it in the foreground to see why: $1 --verbose"
    sleep 0.1
  done
}

start_hyperd() {
  log=$state_dir/hyperd.log
  log_start=0
  if is_running "$pid_dir/hyperd.pid" src/daemon/main.ts || answers "$runtime_dir/admin.sock"; then
    started=no
    return
  fi
  started=yes
  [ -e "$state_dir" ] || mkdir -p "$state_dir"
  if [ -n "$hyperd_user" ]; then
    start_hyperd_as_hyper
    return
  fi
  if [ -n "$(find "$log" -size +10240k 2>/dev/null)" ]; then mv "$log" "$log.1"; fi
  [ ! -e "$log" ] || log_start=$(wc -c <"$log")
  # A session of its own: Ctrl-C in this terminal reaches the launcher, which stops hyperd in order.
  (umask 077 && exec setsid "$node" --disable-warning=ExperimentalWarning "$HV_HOME/src/daemon/main.ts" </dev/null >>"$log" 2>&1 8>&-) &
  echo $! >"$pid_dir/hyperd.pid"
}

# The state folder is hyper's, so root writes nothing there: a link in it could lead anywhere.
start_hyperd_as_hyper() {
  main=$HV_HOME/src/daemon/main.ts
  [ "$(stat -L -c %U "$state_dir")" = hyper ] || { chown hyper:"$(id -g hyper)" "$state_dir" && chmod 711 "$state_dir"; }
  (become_hyper test -r "$main") || fail "the user hyper cannot read the program in $HV_HOME" 'Put it where everybody may read, as /opt/hyper-nixos, and run it from there.'
  [ ! -e "$log" ] || log_start=$(wc -c <"$log")
  # shellcheck disable=SC2016 # the inner shell expands them
  (cd / && become_hyper env HOME="$state_dir" NODE_COMPILE_CACHE="$state_dir/.cache/compiled" USER=hyper LOGNAME=hyper \
    sh -c 'umask 077; if [ -n "$(find "$1" -size +10240k 2>/dev/null)" ]; then mv "$1" "$1.1"; fi; exec setsid "$2" --disable-warning=ExperimentalWarning "$3" </dev/null >>"$1" 2>&1' sh "$log" "$node" "$main" 8>&-) &
  echo $! >"$pid_dir/hyperd.pid"
}

# announce DETACH DEMO JSON: waits until hyperd is ready, makes the demonstration guest, prints addresses and a sign-in link.
# In the foreground it stays, shows warnings from the log, and Ctrl-C stops what was started.
announce() {
  detach=$1
  pid=0
  [ "$started" = no ] || read -r pid <"$pid_dir/hyperd.pid"
  set -- "$HV_HOME/src/cli/up.ts" --log "$log" --log-start "$log_start" --pid "$pid" --demo "$2" --json "$3"
  code=0
  if [ "$detach" = yes ] || [ "$started" = no ]; then
    "$node" "$@" || code=$?
    # A daemon that never became ready must not be left behind by a launcher that says it failed.
    [ "$code" -ne 1 ] || [ "$started" = no ] || ! stop_process hyperd src/daemon/main.ts || true
    exit "$code"
  fi
  "$node" "$@" --stay yes &
  follower=$!
  trap 'trap "" INT TERM HUP; kill "$follower" 2>/dev/null; stop_all; exit 130' INT TERM HUP
  wait "$follower" || code=$?
  stop_all
  exit "$code"
}

# stop_process NAME TEXT-IN-COMMAND-LINE: only what our pid file names, and only if it is still that program.
stop_process() {
  if ! is_running "$pid_dir/$1.pid" "$2"; then
    rm -f "$pid_dir/$1.pid"
    return 1
  fi
  say "stopping $1"
  kill -TERM "$pid" 2>/dev/null || fail "$1 (process $pid) cannot be stopped by this user" 'Run it with sudo.'
  tries=300
  while is_alive "$pid"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "$1 (process $pid) does not stop within 30 s" "It may be waiting for an operation: hv op list. To force it: kill -9 $pid"
    sleep 0.1
  done
  rm -f "$pid_dir/$1.pid"
}

stop_all() {
  stopped=no
  ! stop_process hyperd src/daemon/main.ts || stopped=yes
  ! stop_process libvirtd libvirtd || stopped=yes
  ! stop_process virtlogd virtlogd || stopped=yes
  ! stop_process polkitd polkitd || stopped=yes
  ! stop_process dbus-daemon dbus-daemon || stopped=yes
  if [ "$stopped" = no ]; then
    say 'nothing to stop: hv up started nothing that still runs'
  else
    say 'stopped. Guests keep running; hv up finds them again.'
  fi
}
