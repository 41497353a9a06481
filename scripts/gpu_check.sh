#!/bin/sh
# scripts/gpu_check.sh [--small]: the cuda profile on a card, at most 7 minutes, from a bare checkout. Needs Python with
# torch, transformers and sentence-transformers, and .whl (`make gpu-wheels`), which travels with the checkout; nothing is
# downloaded. The most telling parts come first and each has its bound; what is done is in $OUT (default .bench/check)
# every ten seconds, so that a cut leaves it. --small: the same on a CPU with tiny shapes, which shows that it runs.
# Ends non-zero where a part broke; one that ran out of its time has its rows so far, and does not count as broken.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-.bench/check}
python=${PYTHON:-python3}
LIMIT=${LIMIT:-420}
PARTS="tests:50 encoders:110 stages:50 dense:80 serving:80 matrix:25 generation:90"
results=.bench/gpu-check
began=$(date +%s)

left() {
    echo $((LIMIT - $(date +%s) + began))
}

rm -rf "$results"
mkdir -p "$out" "$results"
say() {
    printf '%4d s  %s\n' $(($(date +%s) - began)) "$*" | tee -a "$results/check.txt"
}

# Whole or not at all: the machine may be taken away while it is written.
kept() {
    tar -czf "$out/gpu-check.tgz.new" -C .bench gpu-check 2>/dev/null || true
    mv -f "$out/gpu-check.tgz.new" "$out/gpu-check.tgz"
    cp "$results/check.txt" "$out/check.txt"
}

site=$(mktemp -d)
keeper=
making=
# shellcheck disable=SC2329 # by the trap
ended() {
    [ -z "$keeper" ] || kill "$keeper" 2>/dev/null || true
    [ -z "$making" ] || kill "$making" 2>/dev/null || true
    rm -rf "$site"
}
trap ended EXIT
trap 'exit 143' INT TERM

set -- --brief "$@"
if ls .whl/*.whl >/dev/null 2>&1; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" .whl/*.whl
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
say "installed"
(while sleep 10; do kept; done) &
keeper=$!
# The weights are made beside the tests, which have tiny ones of their own and are not timed.
"$python" -m benchmarks.gpu.checkpoints "$@" >"$results/checkpoints.log" 2>&1 &
making=$!

status=0
for part in $PARTS; do
    name=${part%:*} bound=${part#*:}
    [ "$name" = tests ] || [ -z "$making" ] || { wait "$making" || status=1; making=; say "weights made"; }
    [ "$bound" -le "$(left)" ] || bound=$(left)
    if [ "$bound" -lt 10 ]; then
        say "$name: no time left"
        continue
    fi
    "$python" -m benchmarks.gpu "$@" --only "$name" --limit "$bound" --cut --out "$results" || status=1
    say "$name: $(cat "$results/$name.ended" 2>/dev/null || echo broken)"
    kept
done
kept
exit $status
