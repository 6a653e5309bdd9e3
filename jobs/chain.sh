#!/bin/bash
# A chain of SLURM jobs, where the site does not allow --requeue: each begins when the one before it has ended, in
# whatever way, and goes on from its checkpoint. From the folder of the checkout, options of sbatch before the script:
#     jobs/chain.sh LINKS [OPTION OF SBATCH ...] jobs/one_node.sbatch [DECK [OPTION ...]]
# A run that finishes early costs nothing: the jobs that are left find it "finished already" and end at once, status 0.
# It prints the numbers of the jobs; `scancel` with all of them ends the chain. With one of them it ends that job alone.
set -eu
usage="usage: $0 LINKS [OPTION OF SBATCH ...] SCRIPT [DECK [OPTION ...]]"
links=${1:?$usage}
shift
: "${1:?$usage}"

job=
for ((link = 0; link < links; link++)); do
    # --no-requeue: SLURM then refuses the script's own `scontrol requeue`, and the next link goes on instead
    job=$(sbatch --parsable --no-requeue ${job:+--dependency=afterany:$job} "$@")
    job=${job%%;*}                  # without the name of the cluster that some sites append
    echo "$job"
done
