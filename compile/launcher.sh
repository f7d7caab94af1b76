#!/bin/sh
# httpfastcache in one file: this script and, after its last line, an archive of the Deno runtime and the program.
#
# The first start unpacks the archive into a folder of its user. The program then takes the place of this script, so that
# process id, signals, standard input and exit status are the program's. Needs tar, gzip and coreutils, or busybox.

user=$(id -u)

fail() {
  printf 'httpfastcache: %s\n' "$(printf %s "$1" | tr -s '\n' ' ')" >&2
  exit 1
}

# True if $1 is a folder, not a link to one, that belongs to this user and that nobody else may write.
ours() {
  set -- $(ls -ldn "$1" 2>/dev/null)
  case "$1 $3" in d????-??-?*" $user") ;; *) return 1 ;; esac
}

unpacked() {
  ours "$at" && [ -x "$at/httpfastcache" ] && [ -r "$at/program.js" ]
}

# Removes the folders named, but not this version, nor what a process that still runs is unpacking.
sweep() {
  for folder; do
    [ "$folder" = "$at" ] && continue
    case $folder in "$root"/*.*) kill -0 "${folder##*.}" && continue ;; esac
    rm -rf "$folder"
  done 2>/dev/null
}

# Unpacks beside $at and moves the files there, where those of another start that has done the same may be already.
unpack() {
  machine=$(uname -m)
  [ "$machine" = @MACHINE@ ] || fail "cannot start: made for @MACHINE@, and this machine is $machine"
  sweep "$root"/unpacked-*.*
  new=$at.$$
  for signal in HUP INT TERM; do trap "rm -rf \"\$new\"; trap - $signal; kill -s $signal $$" "$signal"; done
  what="cannot unpack into $root"
  why=$({ rm -rf "$new" && mkdir -m 700 "$new" && tail -n +@LINE@ | tar -xzmf - -C "$new" && sync "$new"/*; } 2>&1 <"$0") &&
    what="cannot start: the Deno runtime needs glibc 2.27 or later, and does not run in $root" &&
    why=$("$new/httpfastcache" --version 2>&1 >/dev/null </dev/null) &&
    what="cannot use $at: expected a folder of user $user that nobody else may write" &&
    { mkdir -m 700 "$at" 2>/dev/null || ours "$at"; } &&
    why=$(mv -f "$new"/* "$at" 2>&1)
  rm -rf "$new"
  unpacked || fail "$what${why:+: $why}"
}

[ -O "$HOME" ] && home=$HOME/.cache/httpfastcache || home=
for root in "${CACHE_DIRECTORY%%:*}" "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/httpfastcache}" "$home"; do
  case $root in /*) ;; *) continue ;; esac
  (umask 077 && mkdir -p "$root") 2>/dev/null
  root=$(cd -P "$root" 2>/dev/null && pwd -P) && ours "$root" || continue
  at=$root/unpacked-@HASH@
  unpacked || { [ -w "$root" ] && unpack; } || continue
  sweep "$root"/unpacked-*
  export DENO_DIR="$at/cache" DENO_NO_UPDATE_CHECK=1
  # What the environment has for other programs on this runtime.
  unset DENO_SERVE_ADDRESS DENO_V8_FLAGS DENO_PERMISSION_BROKER_PATH NODE_OPTIONS
  exec "$at/httpfastcache" run --no-config @OPTIONS@ "$at/program.js" "$@"
done
fail "cannot unpack: expected CACHE_DIRECTORY, XDG_CACHE_HOME or HOME to name a folder of user $user that nobody else \
may write, got \"$CACHE_DIRECTORY\", \"$XDG_CACHE_HOME\" and \"$HOME\""
