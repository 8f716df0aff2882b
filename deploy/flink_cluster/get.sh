#!/bin/sh
# Gets what a Flink cluster on this machine needs, into FACELOG_FLINK_HOME (default: .cache/flink in the checkout):
#
#   flink/          Flink's distribution (its Python packages hold it whole)   needs PYTHON (default: python3) with pip
#   job-server.jar  Beam's Flink job server, from pom.xml                      needs mvn
#   versitygw       an S3 server whose buckets are folders                     needs go; left out with --no-s3
#
# All of it needs Java 17 to run. A part that is there is not made again. Each is made beside its place and moved there when it is whole.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
FLINK=1.19.3
BEAM=$(sed -n 's:.*<beam.version>\(.*\)</beam.version>.*:\1:p' "$here/pom.xml")
VERSITYGW=v1.8.0
home=${FACELOG_FLINK_HOME:-$here/../../.cache/flink}
python=${PYTHON:-python3}
mkdir -p "$home"
home=$(cd "$home" && pwd)
part=$home/part

exec 9>"$home/get.lock"
flock 9
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM

fail() { echo "$*" >&2; exit 1; }

need() { command -v "$1" >/dev/null || fail "$1 is missing; install $2, then run this again."; }

# quietly WHAT COMMAND...: the command's output is shown only if it fails.
quietly() {
  what=$1; shift
  "$@" >"$home/get.log" 2>&1 || { tail -n 20 "$home/get.log" >&2; fail "Could not get $what; see above and $home/get.log."; }
}

# begin NAME VERSION WHAT: false if NAME is there in that version.
begin() {
  rm -rf "$part"
  [ ! -e "$home/$1-$2" ] || { ln -sfn "$1-$2" "$home/$1"; return 1; }
  echo "Getting $3 into $home/$1"
  mkdir "$part"
}

# finish NAME VERSION MADE
finish() {
  mv "$3" "$home/$1-$2"
  ln -sfn "$1-$2" "$home/$1"
}

need java "Java 17 (Debian: openjdk-17-jre-headless)"

if begin flink $FLINK "Flink $FLINK (about 260 MB)"; then
  "$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip; install it, or name another: PYTHON=/path/to/python."
  quietly "Flink $FLINK" "$python" -m pip install --no-deps --target "$part" \
    apache-flink==$FLINK apache-flink-libraries==$FLINK
  finish flink $FLINK "$part/pyflink"
fi

if begin job-server.jar $BEAM "Beam's job server $BEAM (about 160 MB)"; then
  need mvn "Maven (Debian: maven)"
  cp "$here/pom.xml" "$part"
  quietly "Beam's job server" mvn -B -f "$part/pom.xml" package
  finish job-server.jar $BEAM "$part/target/flink-job-server.jar"
fi

if [ "${1:-}" != --no-s3 ] && begin versitygw $VERSITYGW "the S3 server versitygw $VERSITYGW (about 60 MB)"; then
  need go "Go (https://go.dev/dl)"
  quietly "versitygw $VERSITYGW" env GOBIN="$part" go install github.com/versity/versitygw/cmd/versitygw@$VERSITYGW
  finish versitygw $VERSITYGW "$part/versitygw"
fi
