#!/bin/sh
# archive.sh IN OUT: an archive of one object, in which only what is seen from outside has a name.
set -eu
object=$2.o
${LD:-ld} -r -o "$object" --whole-archive "$1"
${OBJCOPY:-objcopy} --localize-hidden "$object"
rm -f "$2"
${AR:-ar} rcs "$2" "$object"
rm -f "$object"
