cd /work/wt/me; . .venv/bin/activate
export APP_MONGO_URI="mongodb://127.0.0.1:27101/?replicaSet=rs0"
export PATH=/work/wt/me/.venv/lib/python3.11/site-packages/fiftyone/db/bin:$PATH
export UV_LINK_MODE=copy
