#!/usr/bin/env bash
# An experiment or a study on a cluster: every stage a task of an array, one array for each wave.
#
#   launch/slurm/stages.sh study recipes/studies/mimicry.yaml
#   launch/slurm/stages.sh experiment recipes/experiments/tiny_pair.yaml
#
# Run it on a login node, in the root of the clone, with the environment active. The stages of a wave
# need only stages of earlier waves; a wave starts when the one before has ended, well or not, and a
# stage that lacks what it needs ends at once. Run it again, once all have ended, for what is missing;
# whoever finishes the last stage of an experiment writes its report, and
# `handan study FILE --page_only` the page of a study.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ $# -ne 2 || ($1 != study && $1 != experiment) ]]; then
  echo "usage: launch/slurm/stages.sh study|experiment FILE.yaml" >&2
  exit 2
fi
# The tasks read their stages here: the order must not change while they wait.
list="slurm-$(basename "$2" .yaml)-$(date +%Y%m%dT%H%M%S).tsv"
python -m handan "$1" "$2" --list >"$list"
previous=
last=$(cut -f 1 "$list" | sort -n | tail -n 1)
for ((wave = 1; wave <= last; wave++)); do
  # Places in the list of what is missing, such as 3,4,17.
  places=$(awk -F '\t' -v wave="$wave" '$1 == wave && $3 != "finished" { print NR }' "$list" |
    paste -s -d , -)
  if [[ -z $places ]]; then continue; fi
  options=(--parsable --array="$places")
  if [[ $previous ]]; then options+=(--dependency="afterany:$previous"); fi
  previous=$(sbatch "${options[@]}" launch/slurm/stages.sbatch "$1" "$2" "$list")
  previous=${previous%%;*}  # a cluster's name may follow
  echo "wave $wave: job $previous, stages $places of $list"
done
if [[ -z $previous ]]; then
  rm "$list"
  echo "$2: every stage is finished; for the report: handan $1 $2"
fi
