#!/bin/sh
# One part of a folder's pictures, one line of JSON each: every PARTS-th, beginning with the JOB_COMPLETION_INDEX-th.
# A part is there as a whole or not at all; one that is there is not made again. No step stands before a pipe that could
# hide its failure.
set -eu
part="$RESULTS/part-$JOB_COMPLETION_INDEX.jsonl"
test ! -e "$part" || exit 0
find "$PICTURES" -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' -o -iname '*.webp' \) > "$part.all"
test -s "$part.all" || { echo "there is no picture in $PICTURES" >&2; exit 1; }
sort -o "$part.all" "$part.all"
awk -v parts="$PARTS" -v part="$JOB_COMPLETION_INDEX" 'NR % parts == part' "$part.all" > "$part.mine"
xargs -r -d '\n' -n 100 crossfade detect --url "$BACKEND" --json < "$part.mine" > "$part.new"
mv "$part.new" "$part"
rm "$part.all" "$part.mine"
