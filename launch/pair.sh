#!/usr/bin/env bash
# A whole matched experiment on this machine: base evaluation, traces, arms, evaluations, report.
#
#   launch/pair.sh recipes/experiments/tiny_pair.yaml
#   launch/pair.sh recipes/experiments/tiny_pair.yaml launch/accelerate/zero2-cpu.yaml
#
# The second argument replaces the launch config of trainings and traces. Run again after an
# interruption: finished stages are not repeated, cut ones go on. Exit code 75: asked to stop by a
# signal, everything saved. To see the commands first:
#   handan experiment recipes/experiments/tiny_pair.yaml --dry_run
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $# -lt 1 || $# -gt 2 ]]; then
  echo "usage: launch/pair.sh EXPERIMENT.yaml [ACCELERATE_CONFIG.yaml]" >&2
  exit 2
fi
words=("$1")
if [[ $# -eq 2 ]]; then
  words+=(--accelerate_config "$2")
fi
exec python -m handan experiment "${words[@]}"
