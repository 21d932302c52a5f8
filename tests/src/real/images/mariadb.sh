#!/bin/sh
# Makes the data at the first start, then becomes the server.
set -e
data=/data/mysql
if [ ! -d "$data/mysql" ]; then
    # Beside its place first, for a Pod that is killed meanwhile must find none or all of it.
    rm -rf "$data.new"
    mariadb-install-db --no-defaults --datadir="$data.new" --auth-root-authentication-method=normal --skip-test-db --force
    mv "$data.new" "$data"
fi
# A snapshot stops the server for a moment, which the kernel's own writers would not heed.
exec mariadbd --no-defaults --datadir="$data" --socket=/tmp/mysql.sock --pid-file=/tmp/mysql.pid --innodb-use-native-aio=0 "$@"
