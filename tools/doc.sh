#!/bin/sh
# doc.sh - writes the reference pages that are made from data/. doc.sh OUTPUT_FOLDER
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=$1/reference
mkdir -p "$out"
python3 "$here/tools/gen_errors.py" --data "$here/data/errors" --doc "$out"
python3 "$here/tools/gen_models.py" --data "$here/data/models" --doc "$out"
python3 "$here/tools/gen_tables.py" doc --params "$here"/data/params/*.txt --routes "$here/data/routes/routes.txt" \
    --options "$here/data/options.txt" --doc "$out"
python3 "$here/tools/gen_admin.py" --data "$here/data/routes/admin.txt" --doc "$out"
echo "reference pages: $out"
