#!/bin/sh
# httpfastcache in one file: this script and, after its last line, an archive of the Deno runtime and the program.
#
# It unpacks the archive once, into a folder named by what is in it, and lets the program take its place: process id,
# signals, standard input and exit status are then the program's. What is unpacked already it trusts only if nobody but
# this user can have put it there. Needs sh, tar, gzip, find and coreutils.

set -u
name=unpacked-@HASH@
user=$(id -u)
new=

# The program takes the place of this script. $1 is the runtime, $2 the program, $3 where compiled code is kept.
run() {
  runtime=$1 program=$2
  export DENO_DIR="$3" DENO_NO_UPDATE_CHECK=1
  # What the environment has for other programs on this runtime.
  unset DENO_SERVE_ADDRESS DENO_V8_FLAGS DENO_PERMISSION_BROKER_PATH NODE_OPTIONS
  shift 3
  exec "$runtime" run --no-config --cached-only --ext=js @OPTIONS@ "$program" "$@"
}

# True if find finds nothing. It wants to return to where it started, which this user may not be allowed to.
none() {
  found=$(cd / && find "$@" 2>/dev/null) && [ -z "$found" ]
}

# True if nobody but this user may write the files and folders named, and none is a link. The first is the outermost:
# the folders above it are to be this user's or root's, and if everybody may write there, then as in /tmp.
ours() {
  none "$@" -prune \( ! -user "$user" -o -perm -020 -o -perm -002 -o ! -type f ! -type d \) || return
  above=$1
  set --
  while [ "$above" ]; do
    above=${above%/*}
    set -- "$@" "$above/"
  done
  none "$@" -prune \( ! -user "$user" ! -user 0 -o -perm -002 ! -perm -1000 \)
}

# Unpacks into a new folder in $1, and sees that it runs there. If this script is ended, that folder, $new, goes too.
unpack() {
  machine=$(uname -m)
  [ "$machine" = @MACHINE@ ] || fail "cannot start: made for @MACHINE@, and this machine is $machine"
  trap 'rm -rf "$new"' EXIT
  trap 'end HUP' HUP
  trap 'end INT' INT
  trap 'end TERM' TERM
  why='no folder can be made there'
  new=$(mktemp -d "$1/$name.XXXXXX" 2>/dev/null) &&
    why=$({ tail -n +@LINE@ | tar -xzmof - -C "$new"; } <"$0" 2>&1) &&
    why=$(DENO_DIR=/dev/null "$new/httpfastcache" --version 2>&1 >/dev/null </dev/null) && return
  rm -rf "$new"
  return 1
}

end() {
  rm -rf "$new"
  trap - EXIT "$1"
  kill -s "$1" $$
}

# Unpacks into $1: whole or not at all, however many do so at once, and even if the power fails.
settle() {
  unpack "$1" || return
  sync "$new/httpfastcache" "$new/program.js"
  mv -fT "$new" "$1/$name" 2>/dev/null || rm -rf "$new"
  # What other versions, and starts that were cut short, left there more than a day ago.
  (cd / && find "$1/." ! -name . -prune -type d -name 'unpacked-*' ! -name "$name" -mtime +0 -exec rm -rf {} +)
}

# One line, whatever a command had to say.
say() {
  printf 'httpfastcache: %s\n' "$(printf '%s' "$1" | tr -s '\n' ' ')" >&2
}

fail() {
  say "$1"
  exit 1
}

home=
[ -O "${HOME-}" ] && home=$HOME/.cache/httpfastcache
cache=${CACHE_DIRECTORY-}
for root in "${cache%%:*}" "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/httpfastcache}" "$home"; do
  case $root in /*) ;; *) continue ;; esac
  [ -d "$root" ] || (umask 077 && mkdir -p "$root") 2>/dev/null || continue
  root=$(cd -P "$root" 2>/dev/null && pwd -P) || continue
  if [ ! -e "$root/$name" ]; then
    [ -w "$root" ] || continue
    if ours "$root" && ! settle "$root"; then
      say "warning: cannot unpack into $root: $why"
      continue
    fi
  fi
  at=$root/$name
  ours "$root" "$at" "$at/httpfastcache" "$at/program.js" "$at/cache" &&
    run "$at/httpfastcache" "$at/program.js" "$at/cache" "$@"
  say "warning: $at is not used: expected it whole, and nobody but this user to be able to write there"
done

# No folder to keep it in: one that is gone before the program starts, which then has its files open.
temporary=${TMPDIR:-/tmp}
root=$(cd -P "$temporary" && pwd -P) || fail "cannot unpack into $temporary"
unpack "$root" || fail "cannot unpack into $temporary: $why"
ours "$new" || fail "cannot unpack into $temporary: others may change what is there"
exec 8<"$new/httpfastcache" 9<"$new/program.js"
rm -rf "$new"
run /proc/self/fd/8 /proc/self/fd/9 /dev/null "$@"
