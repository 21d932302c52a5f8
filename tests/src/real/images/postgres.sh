#!/bin/sh
# Makes the data at the first start, then becomes the server.
set -e
export PGDATA="${PGDATA:-/data/pgdata}"
server=$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    "$server/initdb" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync
    echo "host all all all trust" >> "$PGDATA/pg_hba.conf"
fi
# Compiling queries needs libraries that the image leaves out.
exec "$server/postgres" -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off "$@"
