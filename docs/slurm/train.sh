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
# a GPU each: --nproc-per-node gpu. Above, --nodes is a maximum for torchrun: it goes on with those that are left
DETECTOR_LAUNCHER="srun torchrun --nnodes 1:$SLURM_JOB_NUM_NODES --nproc-per-node 1 --max-restarts 9
  --rdzv-backend c10d --rdzv-endpoint $first:29400 --rdzv-id $SLURM_JOB_ID"
export DETECTOR_LAUNCHER
exec dvc repro train
