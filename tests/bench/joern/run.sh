#!/usr/bin/env bash
# Real Joern 2.0.25 over a folder of sources: its jars are inside the npm package @appthreat/atom 1.0.0.
# Usage: run.sh java|python FOLDER OUT.jsonl     Needs npm and JDK 17; PEERS_CACHE says where the jars are kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${PEERS_CACHE:-$PWD/.peers}
mkdir -p "$cache"
if [ ! -d "$cache/atom" ]; then
  (cd "$cache" && npm pack --silent @appthreat/atom@1.0.0 >/dev/null && mkdir atom && tar xzf appthreat-atom-1.0.0.tgz -C atom)
fi
jars=$(ls "$cache"/atom/package/plugins/atom-1.0.0/lib/*.jar | tr '\n' ':')
if [ ! "$cache/JoernEdges.class" -nt "$here/JoernEdges.java" ]; then
  javac -nowarn -cp "$jars" -d "$cache" "$here/JoernEdges.java"
fi
# Joern tells all its steps on the standard output.
exec nice -n 10 java -Xmx3g -cp "$cache:$jars" JoernEdges "$@" >/dev/null
