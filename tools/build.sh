#!/bin/sh
# Puts the named tools into a directory: copied from a directory of prebuilt binaries where those are sound,
# built from their Go module otherwise.
#
# usage: build.sh MODULES PREBUILT OUT NAME...
#
# A prebuilt binary is sound if Go's own record in it names no module that go.sum does not have with
# the same checksum.
set -eu
modules=$1 prebuilt=$2 out=$3
shift 3
mkdir -p "$out"

sound() { # binary go.sum
    go version -m "$1" | awk -v sums="$2" '
        BEGIN { while ((getline line < sums) > 0) { split(line, part, " "); known[part[1] " " part[2] " " part[3]] = 1 } }
        $1 == "dep" { seen = 1; if (!(($2 " " $3 " " $4) in known)) { print "unknown module: " $2 " " $3; bad = 1 } }
        END { exit bad || !seen }'
}

for name; do
    if [ -f "$prebuilt/$name" ] && sound "$prebuilt/$name" "$modules/$name/go.sum"; then
        echo "$name: prebuilt, every module as in go.sum"
        cp "$prebuilt/$name" "$out/$name"
    else
        echo "$name: building from its Go module"
        # The flags of one tool are next to its module.
        (cd "$modules/$name" && . ../compiler.env && . ./build.env && export GOEXPERIMENT CGO_ENABLED=0 GOFLAGS=-mod=readonly \
            && go build -trimpath -buildvcs=false "-gcflags=$GCFLAGS" -ldflags "$LDFLAGS" -o "$out/$name" "$PACKAGE")
    fi
done
