#!/usr/bin/env bash
# Makes what docker-compose.prod.yml needs and no file of the repository may hold: the secrets (mode 600), the folders
# that containers write to, and .env.prod. Nothing that exists is overwritten or given to another owner.
#
#   deploy/secrets.sh [--dir DIR] [--owner UID:GID] [--self-signed NAME]
#   deploy/secrets.sh --check
#
# --dir          where they go (./prod); --owner: who the containers run as, needed when you are root (10001:10001);
# --self-signed  a certificate for NAME, to try things out. Otherwise put yours into DIR/secrets/tls_{certificate,key}.
# --check        changes nothing: says what .env.prod asks for and this machine has not, and fails if there is anything.
set -euo pipefail
umask 077

root=$(cd "$(dirname "$0")/.." && pwd)
named=./prod owner=$(id -u):$(id -g) name='' check='' cores=$(getconf _NPROCESSORS_ONLN)
folders=(backend weights models redis prometheus alertmanager grafana grafana/dashboards)
generated=(api_keys redis_password rollout_store triton_admin_key grafana_admin_password)
given=(tls_certificate tls_key page_url ticket_url info_url heartbeat_url)
mounted=("$root"/{monitoring,deploy/switch,deploy/docker/redis.conf})

fail() { echo "deploy/secrets.sh: $*" >&2; exit 1; }
random() { head -c 60 /dev/urandom | base64 | tr -d '+/=\n' | head -c 40; }

# --- what the containers' user cannot open of the repository: a umask of 027 or 077 leaves a checkout like that ---
lacking() { find "${mounted[@]}" "${@:2}" '(' -uid "${owner%:*}" ! -perm "-u=$1" -o ! -uid "${owner%:*}" ! -perm "-o=$1" ')' 2> /dev/null || true; }
closed() { { lacking r; lacking x -type d; } | sort -u; }

# --- --check ---
of_env() { sed -n "s/^$1=//p" "$root/.env.prod" | tail -n 1; }
missing() {
    local path what variable
    for what in "${generated[@]}" "${given[@]}"; do
        path=$dir/secrets/$what
        [[ -s $path ]] || { echo "$path is missing or empty"; continue; }
        [[ $(stat -c %u:%a "$path") =~ ^${owner%:*}:[46]00$ ]] || echo "$path is not of mode 600 and of $owner"
    done
    for what in "${folders[@]}"; do
        [[ -d $dir/$what && $(stat -c %u "$dir/$what") == "${owner%:*}" ]] || echo "$dir/$what is no folder of $owner"
    done
    for variable in BACKEND_CPUS LEGACY_CPUS TRITON_CPUS; do
        what=$(of_env "$variable")
        [[ ${what%%.*} =~ ^[0-9]*$ ]] && ((${what%%.*}0 <= cores * 10)) || echo "$variable=$what is more than this machine's $cores, which Docker refuses"
    done
    closed | sed "s/\$/ cannot be read by $owner: chmod -R a+rX it/"
}
run_check() {
    [[ -e $root/.env.prod ]] || fail ".env.prod is not there; deploy/secrets.sh writes it"
    owner=$(of_env CROSSFADE_USER) named=$(of_env PROD_DIR)
    dir=$(cd "$root" && realpath -m "${named:-./prod}")
    [[ $owner =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "CROSSFADE_USER=$owner in .env.prod is no UID:GID"
    [[ ! -e $dir || -x $dir ]] || fail "$dir is not yours to look into: check as root"
    found=$(missing)
    [[ -z $found ]] || fail $'this is not complete:\n'"$found"
    echo "nothing is missing in $dir, and $owner can read what is mounted"
    exit 0
}

while (($#)); do
    case $1 in
        --help | -h) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        --check) check=yes; shift; continue ;;
        --dir | --owner | --self-signed) (($# > 1)) || fail "$1 needs a value" ;;
        *) fail "$1 is no option (--dir, --owner, --self-signed, --check, --help)" ;;
    esac
    case $1 in
        --dir) named=$(realpath -m "$2") ;;
        --owner) owner=$2 ;;
        --self-signed) name=$2 ;;
    esac
    shift 2
done
[[ -z $check ]] || run_check
[[ $owner =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "the containers cannot run as $owner: say --owner 10001:10001, or be no root"
((EUID == 0)) || [[ $owner == "$(id -u):$(id -g)" ]] || fail "only root can give files to $owner"
[[ $named =~ ^[A-Za-z0-9_./-]+$ ]] || fail "$named: there is more in it than A-Z, a-z, 0-9 and _ . / -"
[[ $name =~ ^[A-Za-z0-9.:*-]*$ ]] || fail "$name is no name of a host and no address"
dir=$(cd "$root" && realpath -m "$named") secrets=$dir/secrets
made=("${generated[@]}" ${name:+tls_certificate tls_key})
for secret in "${made[@]}"; do
    [[ ! -e $secrets/$secret ]] || fail "$secrets/$secret exists; nothing was changed"
done
found=$(closed)
[[ -z $found ]] || fail $'nothing was changed, for the containers\' user could not read these; chmod -R a+rX them:\n'"$found"

# --- all is made beside its place, and moved there when nothing can fail any more ---
give() { ((EUID != 0)) || chown "$owner" "$@"; }
folder() { [[ -d $1 ]] || { mkdir -p "$1" && give "$1"; }; }
folder "$dir"
staged=$(mktemp -d "$dir/.secrets.XXXXXX")
trap 'rm -rf "$staged"' EXIT
redis_password=$(random)
put() { printf '%s\n' "$2" > "$staged/$1"; }
put api_keys "admin:admin:$(random),viewer:viewer:$(random),caller:caller:$(random)"
put redis_password "$redis_password"
put rollout_store "redis://:$redis_password@redis:6379/0"
put triton_admin_key "$(random)"
put grafana_admin_password "$(random)"
if [[ $name ]]; then
    kind=DNS
    [[ ! $name =~ ^[0-9.]+$|: ]] || kind=IP
    openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj "/CN=$name" -addext "subjectAltName=$kind:$name" \
        -keyout "$staged/tls_key" -out "$staged/tls_certificate" 2> /dev/null || fail "openssl made no certificate; nothing was changed"
fi
chmod 600 "$staged"/*
give "$staged"/*
for one in secrets "${folders[@]}"; do folder "$dir/$one"; done
for secret in "${made[@]}"; do mv -n "$staged/$secret" "$secrets/"; done

# The example with its two blanks filled in, and no limit of more processors than there are: Docker refuses that.
filled_in() {
    local variable wanted script="s|^CROSSFADE_USER=.*|CROSSFADE_USER=$owner|; s|^PROD_DIR=.*|PROD_DIR=$named|"
    while IFS='=' read -r variable wanted; do
        ((wanted <= cores)) || script+="; s|^$variable=.*|$variable=$cores|"
    done < <(grep '^[A-Z]*_CPUS=' "$root/.env.prod.example")
    sed "$script" "$root/.env.prod.example"
}
if [[ -e $root/.env.prod ]]; then
    echo ".env.prod exists and was left alone; it needs: CROSSFADE_USER=$owner and PROD_DIR=$named"
else
    filled_in > "$root/.env.prod"
    echo ".env.prod written"
fi
echo "$secrets: ${made[*]}"
for secret in "${given[@]}"; do
    [[ -e $secrets/$secret ]] || echo "still to come from you, mode 600, owner $owner: $secrets/$secret"
done
