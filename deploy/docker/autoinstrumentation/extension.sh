#!/bin/sh
# extension.sh SOURCE OUT: gc_otel's C extension, built by the Python that is there, into OUT; its name says for which.
set -eu
source=$1 out=$2
mkdir -p "$out"
cd "$source"
# 3.12 and later come without setuptools.
build=$(mktemp -d)
python3 -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet --disable-pip-version-check "setuptools>=77"
"$build/venv/bin/python" setup.py --quiet build_ext --build-lib "$build/lib" --build-temp "$build/temp"
cp "$build"/lib/gc_otel/_native/_ext.*.so "$out"
