#!/bin/sh
# Check for the system packages that pip cannot install. Missing ones are installed with apt-get for root on Debian or Ubuntu;
# otherwise the script stops and prints the command that installs them.    sh system-packages.sh [python3]
set -eu
python=${1:-python3}

fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }
loads() { "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null; }

command -v "$python" >/dev/null || fail "$python was not found; name another one: make setup PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer is needed, $python is $("$python" -V 2>&1 | cut -d' ' -f2); name another one: make setup PYTHON=python3.12"

missing=
case $(uname -m) in x86_64|amd64|i?86)
  # mozjpeg's SIMD code is nasm source on x86; without it encoding takes 1.6 to 6 times as long
  [ "${MOZCODEC_REQUIRE_SIMD:-ON}" = OFF ] || command -v nasm >/dev/null || missing="$missing nasm" ;;
esac
"$python" -c 'import pathlib, sysconfig, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || missing="$missing python3-dev"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
command -v cc >/dev/null || missing="$missing gcc"
command -v c++ >/dev/null || missing="$missing g++"
command -v make >/dev/null || missing="$missing make"
command -v git >/dev/null || missing="$missing git"
if [ "$(uname -s)" = Linux ]; then   # OpenCV and PyAV load these
  loads libGL.so.1 && loads libxcb.so.1 || missing="$missing libgl1"
  loads libgthread-2.0.so.0 || missing="$missing libglib2.0-0"
fi
[ -n "$missing" ] || exit 0

debian=$( . /etc/os-release 2>/dev/null && case " ${ID:-} ${ID_LIKE:-} " in *" debian "*|*" ubuntu "*) echo yes ;; esac ) || debian=
if [ "$debian" = yes ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: installing system packages through apt-get (about 20 s):$missing"
  apt-get update -qq
  # shellcheck disable=SC2086  # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  exit 0
fi
case $missing in *nasm*) scalar="To build without nasm: MOZCODEC_REQUIRE_SIMD=OFF make setup   (same bytes, 1.6 to 6 times as slow)" ;; *) scalar= ;; esac
if [ "$debian" = yes ]; then
  fail "these system packages are missing:$missing" "run: sudo apt-get install --no-install-recommends$missing" ${scalar:+"$scalar"}
fi
fail "these packages are missing (Debian's names):$missing" \
  "run on Fedora: sudo dnf install nasm python3-devel gcc gcc-c++ make git mesa-libGL glib2; on Arch: sudo pacman -S nasm base-devel git libglvnd glib2; on macOS: brew install nasm" \
  ${scalar:+"$scalar"}
