#!/bin/sh
# Trains on several machines of a Slurm partition, in the project's folder: sbatch docs/slurm/train.sh. See docs/cluster.md.
#SBATCH --job-name=train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --time=12:00:00
#SBATCH --requeue
set -eu
. "${VENV:-.venv}/bin/activate"
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # one for each job: two may share a machine
# A GPU each: --nproc-per-node gpu. If torchrun ends on one machine, the job ends and is resumed as a whole: srun would
# otherwise report its failure when the others have finished, and dvc would not keep the weights.
DETECTOR_LAUNCHER="srun --kill-on-bad-exit=1 torchrun --nnodes $SLURM_JOB_NUM_NODES --nproc-per-node 1 --max-restarts 9
  --rdzv-backend c10d --rdzv-endpoint $first:$port --rdzv-id $SLURM_JOB_ID"
export DETECTOR_LAUNCHER
exec dvc repro train
