#!/bin/sh
# How the shipped models were made: sh training/shipped/train.sh FER2013 UTKFACE FAIRFACE OUT
#
# Needs a GPU that JAX can use; ten minutes on an H200. The bundles are OUT/emotion/emotion, OUT/emotion/emotion-fer2013
# and OUT/age-gender/age-gender.
set -eu
[ $# -eq 4 ] || { sed -n '2,5s/^# *//p' "$0"; exit 2; }
fer2013=$1 utkface=$2 fairface=$3 out=$4
recipes=$(dirname "$0")
on_device() { python3 -m training.on_device "$@"; }

on_device pack emotion --data "$fer2013" --out "$out/emotion.npz" --cache "$out/chips"
for number in 1 2; do
  on_device fit emotion "$out/emotion.npz" --recipe "$recipes/emotion-teacher-$number.toml" --out "$out/teacher-$number"
done
on_device fit emotion "$out/emotion.npz" --recipe "$recipes/emotion.toml" --out "$out/emotion" \
  --teacher "$out/teacher-1/final.keras" --teacher "$out/teacher-2/final.keras" --taught 0.8
facelog train emotion --data "$fer2013" --recipe "$recipes/emotion.toml" --out "$out/emotion" --end-to-end

on_device pack age-gender --data "$utkface" --data "$fairface" --out "$out/age-gender.npz" --cache "$out/chips" \
  --quality 85
on_device fit age-gender "$out/age-gender.npz" --recipe "$recipes/age-gender-teacher.toml" --out "$out/teacher"
on_device fit age-gender "$out/age-gender.npz" --recipe "$recipes/age-gender.toml" --out "$out/age-gender" \
  --teacher "$out/teacher/final.keras" --taught 0.7
facelog train age-gender --data "$utkface" --data "$fairface" --recipe "$recipes/age-gender.toml" \
  --out "$out/age-gender" --end-to-end
