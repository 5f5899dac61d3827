#!/usr/bin/env bash
# Makes what docker-compose.prod.yml needs and no file of the repository may hold: the secrets (mode 600), the folders
# that containers write to, and .env.prod. Nothing that exists is overwritten.
#
#   deploy/secrets.sh [--dir DIR] [--owner UID:GID] [--self-signed NAME]
#
# --dir          where they go (./prod); --owner: who the containers run as, needed when you are root (10001:10001);
# --self-signed  a certificate for NAME, to try things out. Otherwise put yours into DIR/secrets/tls_{certificate,key}.
set -euo pipefail
umask 077

root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/prod owner=$(id -u):$(id -g) name='' folders=(backend weights models redis prometheus alertmanager grafana/dashboards)
generated=(api_keys redis_password rollout_store triton_admin_key grafana_admin_password)
given=(tls_certificate tls_key page_url ticket_url info_url heartbeat_url)

fail() { echo "deploy/secrets.sh: $*" >&2; exit 1; }
random() { head -c 60 /dev/urandom | base64 | tr -d '+/=\n' | head -c 40; }

while (($#)); do
    (($# > 1)) || fail "$1 needs a value, or is no option (--dir, --owner, --self-signed)"
    case $1 in
        --dir) dir=$(realpath -m "$2") ;;
        --owner) owner=$2 ;;
        --self-signed) name=$2 ;;
        *) fail "$1 is no option (--dir, --owner, --self-signed)" ;;
    esac
    shift 2
done
[[ $owner =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "the containers cannot run as $owner: say --owner 10001:10001, or be no root"
((EUID == 0)) || [[ $owner == "$(id -u):$(id -g)" ]] || fail "only root can give files to $owner"

secrets=$dir/secrets
for secret in "${generated[@]}" ${name:+tls_certificate tls_key}; do
    [[ ! -e $secrets/$secret ]] || fail "$secrets/$secret exists; nothing was changed"
done

mkdir -p "$secrets" "${folders[@]/#/$dir/}"
redis_password=$(random)
put() { printf '%s\n' "$2" > "$secrets/$1"; }
put api_keys "admin:admin:$(random),viewer:viewer:$(random),caller:caller:$(random)"
put redis_password "$redis_password"
put rollout_store "redis://:$redis_password@redis:6379/0"
put triton_admin_key "$(random)"
put grafana_admin_password "$(random)"
if [[ $name ]]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
        -keyout "$secrets/tls_key" -out "$secrets/tls_certificate" 2> /dev/null || fail "openssl made no certificate"
fi
chmod 600 "$secrets"/*
if ((EUID == 0)); then chown -R "$owner" "$dir"; fi

if [[ -e $root/.env.prod ]]; then
    echo ".env.prod exists and was left alone; it needs: CROSSFADE_USER=$owner and PROD_DIR=$dir"
else
    sed "s|^CROSSFADE_USER=.*|CROSSFADE_USER=$owner|; s|^PROD_DIR=.*|PROD_DIR=$dir|" "$root/.env.prod.example" > "$root/.env.prod"
    echo ".env.prod written"
fi
echo "$secrets: ${generated[*]}${name:+ tls_certificate tls_key}"
for secret in "${given[@]}"; do
    [[ -e $secrets/$secret ]] || echo "still to come from you, mode 600, owner $owner: $secrets/$secret"
done
