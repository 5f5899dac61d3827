#!/bin/sh
# Starts tritonserver with the models of TRITON_MODELS, and what may load models or read its memory behind the key in
# TRITON_ADMIN_KEY_FILE, as ai/triton/embedded/launch.py does: whoever can load a model can run code.
set -eu

: "${TRITON_MODELS:?names the models to serve}" "${TRITON_ADMIN_KEY_FILE:?names the file with the admin key}"
key=$(cat "$TRITON_ADMIN_KEY_FILE") || exit 1
if [ -z "$key" ]; then
    echo "TRITON_ADMIN_KEY_FILE=$TRITON_ADMIN_KEY_FILE: the file is empty; deploy/secrets.sh makes it" >&2
    exit 1
fi
for model in $TRITON_MODELS; do
    set -- "$@" "--load-model=$model"
done
restricted="model-repository,shared-memory,logging,trace:crossfade-admin=$key"
exec tritonserver --model-control-mode=explicit \
    "--http-restricted-api=$restricted" "--grpc-restricted-protocol=$restricted" "$@"
