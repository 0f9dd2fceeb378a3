#!/usr/bin/env bash
# The scripts of launch/slurm on a real Slurm, made on this machine and taken down again.
#
#   benchmarks/slurm_jobs.sh [FOLDER]     # as root, after apt-get install slurm-wlm munge
#
# A training is warned by a signal, another is preempted by a job of higher priority; both are
# requeued, go on from their checkpoint and must end with the weights of an undisturbed one. So must
# one on two nodes, which are two slurmd on this machine. Then an array of evaluations and a whole
# experiment, warned in the middle. docs/results/slurm.md has what was observed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=${1:-$(mktemp -d)}
mkdir -p "$work/slurm/state"
work=$(cd "$work" && pwd)
munge=$(mktemp -d)  # where another user can go
for tool in slurmctld slurmd sbatch scontrol squeue munged mungekey; do
  command -v "$tool" >/dev/null || { echo "needs $tool: apt-get install slurm-wlm munge" >&2; exit 2; }
done
if [[ $(id -u) != 0 ]]; then
  echo "needs root, to start slurmd" >&2
  exit 2
fi
if [[ -z ${VENV:-} ]]; then
  VENV=$(python -c 'import sys; print(sys.prefix)')
fi
export VENV OMP_NUM_THREADS=1 PYTHONPATH=$PWD SLURM_CONF="$work/slurm/slurm.conf"
export PATH="$VENV/bin:$PATH"

say() { echo "[$SECONDS s] $*"; }
fail() {
  echo "FAILED: $*" >&2
  for log in "$work"/*.out "$work"/slurm/*.log; do
    echo "--- $log" >&2
    tail -n 5 "$log" | cut -c 1-300 >&2
  done
  exit 1
}

# --- the node -------------------------------------------------------------------------------------

stop_slurm() {
  if [[ -s $work/slurm/slurmctld.pid ]]; then  # no job may outlive what keeps it
    for partition in low high both; do timeout 10 scancel --partition "$partition" || true; done
    for _ in {1..40}; do
      if [[ -z $(timeout 10 squeue -h) ]]; then break; fi
      sleep 1
    done
  fi
  for pid_file in "$work"/slurm/slurmd-*.pid "$work/slurm/slurmctld.pid" "$munge/munged.pid"; do
    if [[ -s $pid_file ]]; then kill "$(<"$pid_file")" 2>/dev/null || true; fi
  done
  rm -rf "$munge"
}
trap stop_slurm EXIT

start_slurm() {
  chown munge "$munge"
  chmod 755 "$munge"
  as_munge=(setpriv --reuid=munge --regid=munge --clear-groups)
  "${as_munge[@]}" mungekey --create --keyfile "$munge/key"
  "${as_munge[@]}" munged --force --socket "$munge/socket" --key-file "$munge/key" \
    --pid-file "$munge/munged.pid" --log-file "$munge/log" --seed-file "$munge/seed"
  local node
  node=$(hostname)
  cat >"$SLURM_CONF" <<CONF
ClusterName=handan
SlurmctldHost=$node
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=socket=$munge/socket,cred_expire=5
SlurmUser=root
StateSaveLocation=$work/slurm/state
SlurmdSpoolDir=$work/slurm/spool-%n
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmdPidFile=$work/slurm/slurmd-%n.pid
SlurmctldLogFile=$work/slurm/slurmctld.log
SlurmdLogFile=$work/slurm/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$node NodeHostname=$node Port=16821 CPUs=2 State=UNKNOWN
NodeName=localhost NodeHostname=$node Port=16822 CPUs=2 State=UNKNOWN
PartitionName=low Nodes=$node Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=60
PartitionName=high Nodes=$node MaxTime=INFINITE PriorityTier=2 PreemptMode=OFF
PartitionName=both Nodes=$node,localhost MaxTime=INFINITE
CONF
  slurmctld -c
  slurmd -c -N "$node"
  slurmd -c -N localhost
  for _ in {1..30}; do
    if [[ $(sinfo -h -p both -o %t%D) == idle2 ]]; then return; fi
    sleep 1
  done
  fail "the nodes did not come up"
}

# --- jobs -----------------------------------------------------------------------------------------

here=(--gpus-per-node=0 --cpus-per-task=2 --time=30 --output="$work/%x-%j.out")

field() { scontrol show job "$1" | grep -o "$2=[^ ]*" | head -n 1 | cut -d= -f2; }

finish() {  # JOB: wait for its end, which must be a good one
  for _ in {1..900}; do
    case $(field "$1" JobState) in
      COMPLETED) return ;;
      PENDING | RUNNING | COMPLETING | REQUEUED | CONFIGURING | PREEMPTED) sleep 1 ;;
      *) fail "job $1: $(scontrol show job "$1" | head -n 5)" ;;
    esac
  done
  fail "job $1 did not end"
}

until_rows() {  # FILE NUMBER: wait until a training has logged so many steps
  for _ in {1..600}; do
    if [[ -f $1 && $(wc -l <"$1") -ge $2 ]]; then return; fi
    sleep 0.3
  done
  fail "$1 did not grow"
}

same_weights() {
  cmp "$1/model.safetensors" "$2/model.safetensors" || fail "$1 and $2 have other weights"
}

# --- what is shown --------------------------------------------------------------------------------

start_slurm
say "$(sbatch --version), on $(nproc --all) cores"

cat >"$work/prompts.yaml" <<'YAML'
families: {binary_addition: 0.5, binary_subtraction: 0.3, ordering: 0.2}
widths: [1, 2, 3, 5]
num_problems: 120
seed: 3
YAML
# No checkpoint but the one that a signal asks for.
few=(--prompts "$work/prompts.yaml" --num_generations 4 --per_device_train_batch_size 8
  --gradient_accumulation_steps 1 --max_steps 40 --save_steps 1000 --probe_steps 0)
grpo=(recipes/grpo.py --config recipes/configs/tiny/grpo.yaml "${few[@]}")

for config in cpu zero2-cpu; do
  say "$config: a training that nobody disturbs"
  accelerate launch --config_file "launch/accelerate/$config.yaml" "${grpo[@]}" \
    --output_dir "$work/whole-$config" >"$work/whole-$config.out" 2>&1 || fail "$config"
done

train() {  # CONFIG RUN [OPTION ...]: submit a training, print the job's number
  sbatch --parsable --job-name "train-$2" "${here[@]}" "${@:3}" launch/slurm/train.sbatch \
    "$1" "${grpo[@]}" --output_dir "$work/$2"
}
disturbed() {  # JOB RUN WHOLE: it was requeued once, and ends as the undisturbed one
  finish "$1"
  [[ $(field "$1" Restarts) == 1 ]] || fail "job $1 was requeued $(field "$1" Restarts) times"
  same_weights "$work/$2" "$work/$3"
  grep -h "saved checkpoint" "$work"/*"-$1.out"
  say "job $1: requeued once, finished, weights equal"
}

for config in cpu zero2-cpu; do
  job=$(train "launch/accelerate/$config.yaml" "warned-$config")
  until_rows "$work/warned-$config/metrics.jsonl" 5
  say "job $job, $config: warned, scancel --signal=USR1 --batch"
  scancel --signal=USR1 --batch "$job"
  disturbed "$job" "warned-$config" "whole-$config"

  job=$(train "launch/accelerate/$config.yaml" "preempted-$config")
  until_rows "$work/preempted-$config/metrics.jsonl" 5
  say "job $job, $config: preempted by a job of higher priority"
  urgent=$(sbatch --parsable --partition=high --job-name=urgent "${here[@]}" --wrap "sleep 3")
  finish "$urgent"
  disturbed "$job" "preempted-$config" "whole-$config"
done

# Two nodes with one process each train as one node with two.
sed 's/^deepspeed_config:/&\n  deepspeed_multinode_launcher: standard/; $a same_network: true' \
  launch/accelerate/zero2-cpu.yaml >"$work/two-nodes.yaml"
job=$(train "$work/two-nodes.yaml" warned-nodes --partition=both --nodes=2 --cpus-per-task=1)
until_rows "$work/warned-nodes/metrics.jsonl" 5
say "job $job on $(squeue -h -j "$job" -o %N): warned"
scancel --signal=USR1 --batch "$job"
disturbed "$job" warned-nodes whole-zero2-cpu

job=$(train launch/accelerate/cpu.yaml cancelled)
until_rows "$work/cancelled/metrics.jsonl" 5
scancel "$job"
for _ in {1..90}; do
  if [[ $(field "$job" JobState) != COMPLETING ]]; then break; fi
  sleep 1
done
sleep 10  # a script that requeued it would have done so
[[ $(field "$job" JobState) == CANCELLED ]] || fail "job $job: $(field "$job" JobState)"
say "job $job: cancelled, and stays so"

for name in warned-cpu warned-zero2-cpu; do
  echo "--model $work/$name --suite eval/suites/tiny_probe.yaml --output_dir $work/$name"
done >"$work/list.txt"
job=$(sbatch --parsable --array=1-2 "${here[@]}" --output="$work/evaluate-%a-%j.out" \
  launch/slurm/evaluate.sbatch "$work/list.txt")
until_rows "$work/warned-cpu/generations.jsonl" 1
scancel --signal=USR1 --batch "${job}_1"
for task in 1 2; do finish "${job}_$task"; done
for name in warned-cpu warned-zero2-cpu; do
  [[ -s $work/$name/alignment.json ]] || fail "no evaluation of $name"
done
say "array $job: $(field "${job}_1" Restarts) requeued, 2 evaluations finished"

cat >"$work/pair.yaml" <<YAML
output_dir: $work/pair
configs: recipes/configs/tiny
suite: eval/suites/tiny_probe.yaml
accelerate_config: launch/accelerate/cpu.yaml
models: {base: handan/tiny/weights/base}
arms:
  grpo:
    recipe: grpo
    settings: {prompts: $work/prompts.yaml, num_generations: 4, per_device_train_batch_size: 8,
      gradient_accumulation_steps: 1, max_steps: 40, save_steps: 1000, probe_steps: 0}
YAML
job=$(sbatch --parsable "${here[@]}" --output="$work/pair-%j.out" launch/slurm/pair.sbatch \
  "$work/pair.yaml")
until_rows "$work/pair/grpo/metrics.jsonl" 5
say "job $job, an experiment: warned while it trains"
scancel --signal=USR1 --batch "$job"
disturbed "$job" pair/grpo whole-cpu
[[ -s $work/pair/report.html ]] || fail "the experiment wrote no report"
say "all as it should be"
