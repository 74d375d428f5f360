#!/usr/bin/env bash
# minijinja: a template changes the documents and lists that it is given, also with pycompat=False.
#
# Surprise: {{ task.tags.append("x") }}, {{ task.update(state="done") }} or {{ task.pop("owner") }} in a template changes
#   the caller's own dictionary and list. Names of Python's methods are attributes of every value too: in a document
#   without a field "copy" or "update", {{ task.update }} is defined and is a method, so that
#   {{ task.copy | default("none") }} never gives its default.
# Guess: the engine is written in Rust and takes values over when it renders, as its documentation of templates knows
#   values and no objects; and pycompat=False, which switches Python's methods off, leaves none.
# Whom it hurts: who renders many templates over one document that is stored or rendered again afterwards (prompts, mails,
#   pages of a workflow): the second template sees what the first one has done, and what is written back to MongoDB is not
#   what was read. Optional fields named like a method of dict are never missing.
# Source: minijinja 3.1.0 (PyPI, minijinja-py): a Python object is passed as a dynamic object whose attributes and methods
#   are those of the object; pycompat adds methods to the engine's own values alone. What helps: hand over JSON that the
#   template's language reads itself.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q "minijinja==3.1.0"
cat >"$place/see.py" <<'PY'
from importlib.metadata import version

import minijinja

print("minijinja", version("minijinja"))
environment = minijinja.Environment(pycompat=False)
task = {"_id": "t1", "owner": "ada", "tags": ["new"]}
said = environment.render_str(
    '{{ task.tags.append("seen") }} {{ task.pop("owner") }} {{ task.update(state="done") }}', task=task
)
print("the template said:", said)
print("the caller's document afterwards:", task)
changed = task == {"_id": "t1", "tags": ["new", "seen"], "state": "done"}
default = environment.render_str('{{ task.copy | default("none") }}', task={"_id": "t2"})
print("a missing field named copy, with a default:", default.partition(" at ")[0])
method = default.startswith("<built-in method copy")
print("as described" if changed and method else "THIS HAS CHANGED")
raise SystemExit(0 if changed and method else 1)
PY
"$place/venv/bin/python" "$place/see.py"
