#!/usr/bin/env bash
# What the image runs (Dockerfile.cuda): prepares the volume, fetches the models, then starts and watches the server.
#
#   pod_start.sh              until SIGTERM or SIGINT, which are passed on: running answers may finish
#   pod_start.sh --healthy    ends with 0 where the server answers (HEALTHCHECK)
#
# The server starts vLLM and starts it again when it ends or hangs; this script does the same for the server. A server
# that ends POD_RESTARTS times in a row, none of them after POD_STEADY_SECONDS, ends the pod with its exit status.
#
#   RAGPOD_API_KEYS      required, as the server listens on every address
#   RAGPOD_*             every other setting; or $POD_VOLUME/ragpod.toml, which can be changed without losing the pod
#   POD_VOLUME           default: /runpod-volume where it is mounted (serverless), else /workspace (pods)
#   POD_MODELS           OWNER/NAME[@REVISION] …, default: what settings and card ask for; "none": fetch nothing
#   POD_USER             default: ragpod; "root" keeps root
#   POD_SERVE=0          nothing is started but sshd: a way into a pod that does not come up
#   PUBLIC_KEY           starts sshd for that key (RunPod sets it from the account)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${POD_PREFIX:-/opt/ragpod}/bin
export RAGPOD_HOST=${RAGPOD_HOST:-0.0.0.0} RAGPOD_PORT=${RAGPOD_PORT:-8000} RAGPOD_PROFILE=${RAGPOD_PROFILE:-cuda}
server=""
stopping=""

say() {
    printf 'pod: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

healthy() {
    "$bin/python" -SE -c '
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=float(sys.argv[2]))
connection.request("GET", "/health")
sys.exit(connection.getresponse().status != 200)' "$RAGPOD_PORT" "${POD_WATCH_SECONDS:-15}" 2>/dev/null
}

# Before anything is fetched. `ragpod config` refuses a bad setting, and an open address without a key.
check_settings() {
    [[ ${RAGPOD_API_KEYS:-} != *"{{"* ]] || die "RAGPOD_API_KEYS names a RunPod secret that does not exist"
    "${as_user[@]}" "$bin/ragpod" config >&2 || die "the settings are refused; see above"
}

prepare_volume() {
    if [[ -z ${POD_VOLUME:-} ]]; then
        POD_VOLUME=/workspace
        if mountpoint -q /runpod-volume; then POD_VOLUME=/runpod-volume; fi
    fi
    mountpoint -q "$POD_VOLUME" 2>/dev/null ||
        say "$POD_VOLUME is not a volume: models and documents vanish with this container"
    export HF_HOME=${HF_HOME:-$POD_VOLUME/huggingface}
    export RAGPOD_DATA_DIR=${RAGPOD_DATA_DIR:-$POD_VOLUME/ragpod}
    # What vLLM, Triton, FlashInfer and the driver compile in minutes is kept for the next start.
    export VLLM_CACHE_ROOT=${VLLM_CACHE_ROOT:-$POD_VOLUME/cache/vllm}
    export TRITON_CACHE_DIR=${TRITON_CACHE_DIR:-$POD_VOLUME/cache/triton}
    export FLASHINFER_WORKSPACE_BASE=${FLASHINFER_WORKSPACE_BASE:-$POD_VOLUME/cache}
    export CUDA_CACHE_PATH=${CUDA_CACHE_PATH:-$POD_VOLUME/cache/cuda}
    folders=("$HF_HOME" "$RAGPOD_DATA_DIR" "$POD_VOLUME/cache" "$VLLM_CACHE_ROOT" "$TRITON_CACHE_DIR" "$CUDA_CACHE_PATH")
    mkdir -p "${folders[@]}" || die "cannot write to $POD_VOLUME"
    if [[ -z ${RAGPOD_CONFIG:-} && -f $POD_VOLUME/ragpod.toml ]]; then export RAGPOD_CONFIG=$POD_VOLUME/ragpod.toml; fi
}

# Fills `as_user` with what runs a command as POD_USER. Volumes belong to root, and some refuse another owner: where the
# user cannot write, root stays, and the log says so.
choose_user() {
    as_user=()
    local user=${POD_USER:-ragpod} folder
    [[ $(id -u) == 0 && $user != root ]] || return 0
    id "$user" >/dev/null 2>&1 || die "POD_USER: no user $user in this image"
    as_user=(env "HOME=$(getent passwd "$user" | cut -d: -f6)" setpriv "--reuid=$user" "--regid=$(id -g "$user")"
        --init-groups --no-new-privs)
    for folder in "${folders[@]}"; do
        if [[ $(stat -c %U "$folder") != "$user" ]]; then chown -R "$user:" "$folder" 2>/dev/null || true; fi
        "${as_user[@]}" test -w "$folder" && continue
        say "$folder cannot be made writable for $user: the server runs as root"
        as_user=()
        return 0
    done
}

start_sshd() {
    [[ -n ${PUBLIC_KEY:-} && $(id -u) == 0 ]] && command -v sshd >/dev/null || return 0
    mkdir -p ~/.ssh /run/sshd
    printf '%s\n' "$PUBLIC_KEY" >~/.ssh/authorized_keys
    chmod -R go= ~/.ssh
    ssh-keygen -A >/dev/null
    "$(command -v sshd)" -o PasswordAuthentication=no && say "sshd listens"
}

fetch_models() {
    [[ $RAGPOD_PROFILE != embedded && ${POD_MODELS:-} != none ]] || return 0
    local models status=0
    read -ra models <<<"${POD_MODELS:-}"
    run 0 "${as_user[@]}" "$bin/python" "$here/download_models.py" "${models[@]}" || status=$?
    if [[ -n $stopping ]]; then exit "$status"; fi
    ((status == 0)) || die "the models are not complete; the next start goes on where this one ended"
    export HF_HUB_OFFLINE=1
}

# run SECONDS COMMAND…: in the background and watched, so that a signal is acted on while it runs.
run() {
    "${@:2}" &
    server=$!
    if [[ -n $stopping ]]; then pass_on; fi
    watch "$1"
}

# Until the process `server` ends; returns its exit status. $1: seconds between health checks, 0 for none. A server that
# has answered and then is silent for three checks is killed, and so is one that does not come up.
watch() {
    local every=$1 checked=$SECONDS good=$SECONDS patience=${POD_START_SECONDS:-1800} status=0
    while kill -0 "$server" 2>/dev/null; do
        sleep 0.5 &
        wait $! || true
        ((every > 0 && SECONDS - checked >= every)) || continue
        checked=$SECONDS
        if healthy; then
            ((patience == 3 * every)) || say "the server answers on port $RAGPOD_PORT"
            good=$SECONDS patience=$((3 * every))
        elif [[ -z $stopping ]] && ((SECONDS - good > patience)); then
            say "no answer to a health check for $((SECONDS - good)) s: the server is killed"
            kill -KILL "$server" 2>/dev/null || true
            break
        fi
    done
    wait "$server" || status=$?
    server=""
    return "$status"
}

# SIGTERM for both: what bash starts in the background ignores SIGINT unless it says otherwise.
pass_on() {
    stopping=yes
    if [[ -n $server ]]; then kill -TERM "$server" 2>/dev/null || true; fi
}

serve() {
    local failures=0 since status
    while :; do
        since=$SECONDS status=0
        run "${POD_WATCH_SECONDS:-15}" "${as_user[@]}" "$bin/ragpod" serve || status=$?
        if [[ -n $stopping ]]; then exit "$status"; fi
        if ((SECONDS - since >= ${POD_STEADY_SECONDS:-60})); then failures=0; fi
        failures=$((failures + 1))
        say "the server ended with status $status (failure $failures of ${POD_RESTARTS:-5})"
        ((failures < ${POD_RESTARTS:-5})) || exit "$((status ? status : 1))"
        sleep $((2 ** (failures - 1))) &
        wait $! || true
        if [[ -n $stopping ]]; then exit 0; fi
    done
}

if [[ ${1:-} == --healthy ]]; then healthy; exit; fi
trap pass_on TERM INT
prepare_volume
choose_user
start_sshd
if [[ ${POD_SERVE:-1} == 0 ]]; then
    say "POD_SERVE=0: no server is started"
    run 0 sleep infinity || exit 0
fi
unset RUNPOD_API_KEY PUBLIC_KEY # of the account, and no business of the server's
check_settings
fetch_models
unset HF_TOKEN
if [[ -n ${RUNPOD_POD_ID:-} ]]; then say "will serve at https://$RUNPOD_POD_ID-$RAGPOD_PORT.proxy.runpod.net"; fi
serve
