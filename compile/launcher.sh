#!/bin/sh
# httpfastcache in one file: this script and, after its last line, an archive of the Deno runtime and the program.
#
# The first start unpacks the archive into a folder of its user. The program then takes the place of this script, so
# that process id, signals, standard input and exit status are the program's.
#
# Needs tar, gzip, coreutils and findutils, or busybox.

user=$(id -u)
tmp=${TMPDIR:-/tmp}
expected="expected CACHE_DIRECTORY, XDG_CACHE_HOME, HOME or TMPDIR to name a folder of user $user that nobody else may \
write, with no folder above it that others own or may write, but for sticky ones such as /tmp, got \
\"$CACHE_DIRECTORY\", \"$XDG_CACHE_HOME\", \"$HOME\" and \"$tmp\""
why="cannot unpack: $expected"
first=
# 75: a folder may exist later. 1: the file is broken or for another machine.
status=75

# Ends with a line. Systemd gives up what it has to start anew five times within 10 s.
fail() {
  [ "$status" -eq 75 ] && why="$why; exiting with status 75 in 10 s"
  printf 'httpfastcache: %s\n' "$(printf %s "$why" | tr -s '\n' ' ')" >&2
  [ "$status" -eq 75 ] && sleep 10
  exit "$status"
}

# True if $1, mode and owner as stat has them, are those of a folder of this user that nobody else may write.
closed() {
  case $1 in d????-??-?."$user") ;; *) return 1 ;; esac
}

# True if $1 is such a folder, not a link to one.
ours() {
  closed "$(stat -c %A.%u "$1" 2>/dev/null)"
}

# Sets $real to where $1 leads. True if nobody else can put another folder there: each on the way belongs to root or this
# user, and others may write it only if it is sticky, so that they cannot move what is not theirs.
safe() {
  real=$(cd -P "$1" 2>/dev/null && pwd -P) || return
  set --
  above=$real
  while [ "${above%/}" ]; do
    set -- "$above" "$@"
    above=${above%/*}
  done
  # Whoever owns /bin/sh is root, which has another number in some containers.
  folders=$(stat -c %A.%u /bin/sh "$@" 2>/dev/null) || return
  set -- $folders
  superuser=${1#*.}
  shift
  for folder; do
    case $folder in d????-??-?.* | d????????[tT].*) ;; *) return 1 ;; esac
    case ${folder#*.} in "$superuser" | "$user") ;; *) return 1 ;; esac
  done
}

# True if both files are there in full size, which after a power cut they may not be.
unpacked() {
  set -- $(stat -c '%A.%u %s' "$at" "$at/httpfastcache" "$at/program.js" 2>/dev/null)
  closed "$1" && [ "$4 $6" = "@SIZES@" ] && [ -x "$at/httpfastcache" ] && [ -r "$at/program.js" ]
}

# Removes the folders named, but not this version, nor what another start has touched within ten minutes. A process id
# would mean nothing, since that start may be in another container.
sweep() {
  for folder; do
    [ "$folder" = "$at" ] || find "$folder" -maxdepth 0 -mmin +10 -exec rm -rf {} +
  done 2>/dev/null
}

archive() {
  tail -n +@LINE@ <"$0"
}

# Unpacks beside $at and moves the files there, where the same files of another start may be already.
unpack() {
  machine=$(uname -m)
  [ "$machine" = @MACHINE@ ] || status=1 why="cannot start: made for @MACHINE@, and this machine is $machine"
  [ "$status" -eq 75 ] || fail
  sweep "$root"/unpacked-*.*
  new=
  # As the first process of a container it does not die by a signal of its own.
  for signal in HUP INT TERM; do trap "rm -rf \"\$new\"; trap - $signal; kill -s $signal $$; exit 143" "$signal"; done
  if ! new=$(mktemp -d "$at.XXXXXX" 2>&1); then
    why="cannot unpack into $root: $new" new=
  elif ! why=$({ archive | tar -xzmf - -C "$new" && sync "$new"/*; } 2>&1); then
    why="cannot unpack into $root: $why"
    archive | gzip -t 2>/dev/null || status=1
  elif runs && ! why=$({ ours "$at" || mkdir -m 700 "$at" || ours "$at"; } 2>&1 && mv -f "$new"/* "$at" 2>&1); then
    why="cannot use $at: expected a folder of user $user that nobody else may write: $why"
  fi
  rm -rf "$new"
  trap - HUP INT TERM
  [ "$status" -eq 75 ] || fail
  unpacked
}

# True if the runtime runs on this machine, and in this folder.
runs() {
  why=$({ "$new/httpfastcache" --version; } 2>&1 >/dev/null </dev/null)
  case $? in
    0) return ;;
    126) why="cannot run anything in $root: $why" && return 1 ;;
    # If the clock was set, another start may have removed it as too old.
    127) [ -e "$new/httpfastcache" ] || return
      why="needs glibc 2.27 or later for @MACHINE@: $why" ;;
    132) why="needs an instruction that this processor lacks" ;;
    *) why="ends with status $?: $why" ;;
  esac
  status=1 why="cannot start: the Deno runtime $why"
  return 1
}

[ -O "$HOME" ] && home=$HOME/.cache/httpfastcache || home=
[ -d "$tmp" ] && private=$tmp/httpfastcache-$user || private=
for root in "${CACHE_DIRECTORY%%:*}" "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/httpfastcache}" "$home" "$private"; do
  case $root in /*) ;; *) continue ;; esac
  if [ ! -d "$root" ]; then
    there=$root
    until [ -d "${there:-/}" ]; do there=${there%/*}; done
    safe "${there:-/}" || continue
    made=$(umask 077 && mkdir -p "$real/${root#"$there"/}" 2>&1) || why="cannot unpack: $expected: $made"
  fi
  # Anybody may have put a link there.
  [ "$root" != "$private" ] || ours "$root" || continue
  safe "$root" && ours "$real" || continue
  root=$real
  at=$root/unpacked-@HASH@
  # For ten minutes no other start takes it for an old version.
  touch -c "$at" 2>/dev/null
  # Of several folders that fail, the first is the one that was meant.
  unpacked || { [ -w "$root" ] && { unpack || { first=${first:-$why} && false; }; }; } || continue
  sweep "$root"/unpacked-*
  export DENO_DIR="$at/cache" DENO_NO_UPDATE_CHECK=1
  # What the environment has for other programs on this runtime.
  unset DENO_V8_FLAGS DENO_PERMISSION_BROKER_PATH NODE_OPTIONS
  # The process is called what this file is, as any other would be.
  as=$at/as/${0##*/}
  [ -x "$as" ] || { mkdir -p "$at/as" && ln -s ../httpfastcache "$as"; } 2>/dev/null
  [ -x "$as" ] || as=$at/httpfastcache
  exec "$as" run --no-config @OPTIONS@ "$at/program.js" "$@"
done
why=${first:-$why}
fail
