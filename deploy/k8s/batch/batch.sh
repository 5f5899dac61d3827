#!/bin/sh
# One part of a folder's pictures, one line of JSON each: every PARTS-th, beginning with the JOB_COMPLETION_INDEX-th.
# A part is there as a whole or not at all; one that is there is not made again.
set -eu
part="$RESULTS/part-$JOB_COMPLETION_INDEX.jsonl"
test ! -e "$part" || exit 0
find "$PICTURES" -type f \( -name '*.jpg' -o -name '*.jpeg' -o -name '*.png' -o -name '*.webp' \) | sort |
  awk -v parts="$PARTS" -v part="$JOB_COMPLETION_INDEX" 'NR % parts == part' |
  xargs -r -d '\n' -n 100 crossfade detect --url "$BACKEND" --json > "$part.new"
mv "$part.new" "$part"
