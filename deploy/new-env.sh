#!/bin/sh
# Prints a .env with new passwords, one for each login:
#   (umask 077; sh deploy/new-env.sh > .env)
# Hexadecimal, because they stand in database URLs, where other signs would need escaping.
set -eu

for name in POSTGRES CREDITD_OWNER CREDITD_WATCHER CREDITD_API CREDITD_OPERATOR CREDITD_READER; do
  secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  echo "${name}_PASSWORD=$secret"
done
echo "# The node to read the chain from; left out, the anvil of \`docker compose --profile dev up\`."
echo "#RPC_URL=http://node.example:8545"
