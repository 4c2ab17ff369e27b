# Shared by the launcher's parts: where things lie, how it speaks, which Node it takes. Sourced by hv with HV_HOME set.
# shellcheck shell=sh disable=SC2034 # the parts that source this use the variables

state_dir=${HV_STATE_DIR:-/var/lib/hyper-nixos}
runtime_dir=${HV_RUNTIME_DIR:-/run/hyper-nixos}
# Process ids of what `hv up` started, so that `hv down` stops that and nothing else.
pid_dir=$runtime_dir/launcher

# Compiled TypeScript is kept here: it halves the start of every command.
if [ -w "$HV_HOME" ]; then
  : "${NODE_COMPILE_CACHE:=$HV_HOME/.cache/node}"
  export NODE_COMPILE_CACHE
fi

say() { printf 'hv: %s\n' "$*" >&2; }

fail() {
  printf 'hv: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '    %s\n' "$2" >&2
  exit 1
}

usage_error() {
  printf 'hv: %s\n%s\n' "$1" "$2" >&2
  exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# A Node of the right age: the one from our own libraries, or on NixOS, where that one cannot run, the system's.
find_node() {
  node=$HV_HOME/node_modules/.bin/node
  [ ! -e /etc/NIXOS ] && [ -x "$node" ] && return
  node=$(command -v node) && "$node" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 18) ? 0 : 1)' && [ -d "$HV_HOME/node_modules/zod" ] && return
  fail 'the libraries are not installed yet' "Run $HV_HOME/hv up once: it installs what is missing."
}

# True when the file names a living process whose command line holds the given text.
is_running() {
  [ -s "$1" ] || return 1
  read -r pid <"$1"
  # The braces silence the shell too, which complains when the process is gone.
  { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF -- "$2"
}

# True while the process exists and is more than a zombie that nobody has waited for. Costs no process of its own.
is_alive() {
  { read -r _ _ process_state _ <"/proc/$1/stat"; } 2>/dev/null && [ "$process_state" != Z ]
}
