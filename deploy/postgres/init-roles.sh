#!/bin/sh
# Makes creditd's database, its roles, and a login for each process.
#
# The postgres image runs this once, when its volume is empty. To change a password later, change
# it in .env, recreate the services (docker compose up --detach), and run it again:
#   docker compose exec postgres sh /docker-entrypoint-initdb.d/init-roles.sh
set -eu

for login in OWNER WATCHER API OPERATOR READER; do
  eval "password=\${CREDITD_${login}_PASSWORD:-}"
  if [ -z "$password" ]; then
    echo "CREDITD_${login}_PASSWORD is not set: deploy/new-env.sh makes one" >&2
    exit 1
  fi
done

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
  --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
-- Passwords stay out of the server's log, even if a statement fails.
set log_statement = 'none';
set log_min_error_statement = 'panic';
set client_min_messages = 'warning';

\getenv owner_password CREDITD_OWNER_PASSWORD
\getenv watcher_password CREDITD_WATCHER_PASSWORD
\getenv api_password CREDITD_API_PASSWORD
\getenv operator_password CREDITD_OPERATOR_PASSWORD
\getenv reader_password CREDITD_READER_PASSWORD

-- What a process may do is its group role's; migrations grant it. The owner, whom only migrations
-- use, need not be able to make roles, because they are here already.
select format('create role %I nologin', name)
  from unnest(array['creditd_watcher', 'creditd_api', 'creditd_operator', 'creditd_reader']) as name
  where not exists (select from pg_roles where rolname = name)
\gexec
select format('create role %I', name || '_login')
  from unnest(array['creditd_owner', 'creditd_watcher', 'creditd_api', 'creditd_operator', 'creditd_reader']) as name
  where not exists (select from pg_roles where rolname = name || '_login')
\gexec

alter role creditd_owner_login login password :'owner_password';
alter role creditd_watcher_login login password :'watcher_password';
alter role creditd_api_login login password :'api_password';
alter role creditd_operator_login login password :'operator_password';
alter role creditd_reader_login login password :'reader_password';

grant creditd_watcher to creditd_watcher_login;
grant creditd_api to creditd_api_login;
-- Status and audit are the reader's commands, and operators run them too.
grant creditd_operator, creditd_reader to creditd_operator_login;
grant creditd_reader to creditd_reader_login;

select 'create database creditd owner creditd_owner_login'
  where not exists (select from pg_database where datname = 'creditd')
\gexec
revoke all on database creditd from public;
grant connect on database creditd to creditd_watcher, creditd_api, creditd_operator, creditd_reader;
SQL
