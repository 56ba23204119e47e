#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, for the regions named (default: eu
# us ap). Run it from the repository's root; what exists is kept, so that it can be run
# again after a region was added.
set -eu

folder=.revocation/secrets
template=$(dirname "$0")/users.acl.template

# Compose mounts a secret as the file that it is on the host, and each container runs as
# a user of its own: so the files are readable, and the folder is closed.
umask 022
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    [ -s "$1" ] || openssl rand -hex 32 >"$1"
}

hash() {
    tr -d '\n' <"$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1
}

[ $# -gt 0 ] || set -- eu us ap
for region; do
    random "$folder/pepper_$region"
    random "$folder/projector_$region"
    random "$folder/verifier_$region"
    sed -e '/^#/d' -e '/^$/d' \
        -e "s/PROJECTOR_SHA256/$(hash "$folder/projector_$region")/" \
        -e "s/VERIFIER_SHA256/$(hash "$folder/verifier_$region")/" \
        "$template" >"$folder/users_$region.acl"
done
echo "secrets are in $folder"
