#!/bin/sh
# Makes the models: sh training/shipped/train.sh FER2013 EXPRESSIONS.ZIP UTKFACE FAIRFACE OUT [gpu|cpu]
#
# gpu: the shipped models as they were made. Needs a GPU that JAX can use; a quarter of an hour on an H200. The bundles
# are OUT/emotion/emotion, OUT/emotion-first/emotion-first-fer2013 (shipped as emotion-fer2013) and
# OUT/age-gender/age-gender.
# cpu: a night on two cores for the recipes without teachers and the networks of the zoo, with fewer epochs. The bundles
# are OUT/NAME/NAME. After a stop, the same command continues.
# OUT/times.txt says how long each step took.
set -eu
[ $# -eq 5 ] || [ $# -eq 6 ] || { sed -n '2,9s/^# *//p' "$0"; exit 2; }
fer2013=$1 expressions=$2 utkface=$3 fairface=$4 out=$5
recipes=$(dirname "$0")
mkdir -p "$out"

# step COMMAND...: runs a command, and notes the seconds that it took
step() {
  began=$(date +%s)
  "$@"
  echo "$(($(date +%s) - began)) s: $*" | tee -a "$out/times.txt"
}
on_device() { step python3 -m training.on_device "$@"; }

if [ "${6:-gpu}" = cpu ]; then
  # NAME EPOCHS DATA...; docs/training.md says how the epochs were reckoned.
  of_the_zoo() {
    name=$1 epochs=$2
    shift 2
    step facelog train "$name" --epochs "$epochs" --out "$out/$name" --cache "$out/chips" "$@"
  }
  of_the_zoo emotion 20 --data "$fer2013"
  of_the_zoo age-gender 24 --data "$utkface" --data "$fairface"
  of_the_zoo mini-xception 60 --data "$fer2013"
  of_the_zoo emotion-hog-landmarks 40 --data "$fer2013"
  of_the_zoo emotion-cnn 20 --data "$fer2013"
  of_the_zoo emotion-cnn3 40 --data "$fer2013"
  of_the_zoo emotion-3block 8 --data "$fer2013"
  of_the_zoo gender-cnn 10 --data "$utkface"
  of_the_zoo age-cnn7 4 --data "$utkface"
  of_the_zoo age-gender-wrn 8 --recipe "$recipes/age-gender-wrn-narrow.toml" --data "$utkface"
  exit
fi

# Emotion, first: FER2013 alone, with two larger teachers.
on_device pack emotion --data "$fer2013" --out "$out/fer2013.npz" --cache "$out/chips"
for number in 1 2; do
  on_device fit emotion "$out/fer2013.npz" --recipe "$recipes/emotion-teacher-$number.toml" --out "$out/teacher-$number"
done
on_device fit emotion "$out/fer2013.npz" --recipe "$recipes/emotion-first.toml" --out "$out/emotion-first" \
  --teacher "$out/teacher-1/final.keras" --teacher "$out/teacher-2/final.keras" --taught 0.8
step facelog train emotion --data "$fer2013" --recipe "$recipes/emotion-first.toml" --out "$out/emotion-first" \
  --bundle "$out/emotion-first/emotion-first" --end-to-end

# Then other kinds of faces, most of them without labels. The press and film faces are given twice, to count double.
step python3 "$recipes/expressions.py" "$expressions" "$out/expressions"
step facelog prepare "$out/expressions" --geometry emotion --out "$out/expression-chips"
on_device pack emotion --data "$out/expression-chips" --out "$out/expressions.npz" --cache "$out/chips" --quality 85
on_device pack emotion --unlabelled --data "$utkface" --data "$fairface" --out "$out/faces.npz" --cache "$out/chips" \
  --quality 60
on_device fit emotion "$out/fer2013.npz" "$out/expressions.npz" "$out/expressions.npz" \
  --recipe "$recipes/emotion.toml" --out "$out/emotion" --start "$out/emotion-first/final.keras" \
  --teacher "$out/emotion-first/final.keras" --plain --taught 0.5 --unlabelled "$out/faces.npz"
step facelog train emotion --data "$fer2013" --data "$out/expression-chips" --recipe "$recipes/emotion.toml" \
  --out "$out/emotion" --end-to-end

on_device pack age-gender --data "$utkface" --data "$fairface" --out "$out/age-gender.npz" --cache "$out/chips" \
  --quality 85
on_device fit age-gender "$out/age-gender.npz" --recipe "$recipes/age-gender-teacher.toml" --out "$out/teacher"
on_device fit age-gender "$out/age-gender.npz" --recipe "$recipes/age-gender.toml" --out "$out/age-gender" \
  --teacher "$out/teacher/final.keras" --taught 0.7
step facelog train age-gender --data "$utkface" --data "$fairface" --recipe "$recipes/age-gender.toml" \
  --out "$out/age-gender" --end-to-end
