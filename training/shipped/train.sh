#!/bin/sh
# How the shipped models were made: sh training/shipped/train.sh FER2013 EXPRESSIONS.ZIP UTKFACE FAIRFACE OUT
#
# Needs a GPU that JAX can use; a quarter of an hour on an H100. The bundles are OUT/emotion/emotion,
# OUT/emotion-first/emotion-first-fer2013 (shipped as emotion-fer2013) and OUT/age-gender/age-gender.
set -eu
[ $# -eq 5 ] || { sed -n '2,5s/^# *//p' "$0"; exit 2; }
fer2013=$1 expressions=$2 utkface=$3 fairface=$4 out=$5
recipes=$(dirname "$0")
on_device() { python3 -m training.on_device "$@"; }

# Emotion, first: FER2013 alone, with two larger teachers.
on_device pack emotion --data "$fer2013" --out "$out/fer2013.npz" --cache "$out/chips"
for number in 1 2; do
  on_device fit emotion "$out/fer2013.npz" --recipe "$recipes/emotion-teacher-$number.toml" --out "$out/teacher-$number"
done
on_device fit emotion "$out/fer2013.npz" --recipe "$recipes/emotion-first.toml" --out "$out/emotion-first" \
  --teacher "$out/teacher-1/final.keras" --teacher "$out/teacher-2/final.keras" --taught 0.8
facelog train emotion --data "$fer2013" --recipe "$recipes/emotion-first.toml" --out "$out/emotion-first" \
  --bundle "$out/emotion-first/emotion-first" --end-to-end

# Then other kinds of faces, most of them without labels. The press and film faces are given twice, to count double.
python3 "$recipes/expressions.py" "$expressions" "$out/expressions"
facelog prepare "$out/expressions" --geometry emotion --out "$out/expression-chips"
on_device pack emotion --data "$out/expression-chips" --out "$out/expressions.npz" --cache "$out/chips" --quality 85
on_device pack emotion --unlabelled --data "$utkface" --data "$fairface" --out "$out/faces.npz" --cache "$out/chips" \
  --quality 60
on_device fit emotion "$out/fer2013.npz" "$out/expressions.npz" "$out/expressions.npz" \
  --recipe "$recipes/emotion.toml" --out "$out/emotion" --start "$out/emotion-first/final.keras" \
  --teacher "$out/emotion-first/final.keras" --plain --taught 0.5 --unlabelled "$out/faces.npz"
facelog train emotion --data "$fer2013" --data "$out/expression-chips" --recipe "$recipes/emotion.toml" \
  --out "$out/emotion" --end-to-end

on_device pack age-gender --data "$utkface" --data "$fairface" --out "$out/age-gender.npz" --cache "$out/chips" \
  --quality 85
on_device fit age-gender "$out/age-gender.npz" --recipe "$recipes/age-gender-teacher.toml" --out "$out/teacher"
on_device fit age-gender "$out/age-gender.npz" --recipe "$recipes/age-gender.toml" --out "$out/age-gender" \
  --teacher "$out/teacher/final.keras" --taught 0.7
facelog train age-gender --data "$utkface" --data "$fairface" --recipe "$recipes/age-gender.toml" \
  --out "$out/age-gender" --end-to-end
