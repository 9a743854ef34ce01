# shellcheck shell=bash
# What the batch scripts share: they read it when the job begins, and `pyracast submit` writes it into its scripts.
# Set before sbatch, where the defaults do not fit:
#   LAUNCHER       srun (with PMIx; default) or mpirun
#   MAX_RESTARTS   how often a job requeues itself (20)
#   LAUNCH_TRIES   how often a launch that fails in its first seconds is tried (3)
#   STEP_SECONDS   how long srun waits for nodes of the job that are not free, or were taken from it, before it gives up (120):
#                  the job then begins anew
#   STOP_SIGNAL    what the ranks are sent when the early warning comes (USR1); one of generate's --stop-signals
#   WARNING        seconds before the end of the allocation from which no video is begun that cannot end by then (300)
: "${LAUNCHER:=srun}" "${MAX_RESTARTS:=20}" "${LAUNCH_TRIES:=3}" "${STEP_SECONDS:=120}" "${STOP_SIGNAL:=USR1}" "${WARNING:=300}"
launch_seconds=15   # what fails sooner has not come to its work

warned=0     # USR1: the allocation ends soon, or somebody wants the job to begin anew
ended=0      # TERM: the job is cancelled, preempted or out of time
launched=    # the launcher's process
status=      # how it ended

say() { echo "pyracast: $(date -u +%FT%TZ) $*"; }

# The job as Slurm's commands know it. An array's last task has the number of the whole array, which is not meant.
if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; else job=$SLURM_JOB_ID; fi

case $LAUNCHER in
    srun)   # a step does not take over what sbatch was told of a task's CPUs
        export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
        launcher=(srun --mpi=pmix --kill-on-bad-exit=1 --immediate="$STEP_SECONDS")
        # Bound to its own, a rank may be kept from the other GPUs of its node (cgroups), and NCCL needs the way there. A step that is told
        # of no task's GPUs has all of the job, of which ranks share out what they see.
        unset SLURM_GPUS_PER_TASK SLURM_TRES_PER_TASK ;;
    mpirun)   # waits so many seconds between TERM and KILL, for one rank after the other, also where all end by themselves
        launcher=(mpirun --map-by "slot:PE=${SLURM_CPUS_PER_TASK:-1}" --mca odls_base_sigkill_timeout 3)
        # Its one daemon on each node would get the GPUs of one task, for all ranks there.
        if [ -n "${SLURM_GPUS_ON_NODE:-}" ]; then unset SLURM_GPUS_PER_TASK; export SLURM_GPUS_PER_NODE=$SLURM_GPUS_ON_NODE; fi ;;
    *) say "LAUNCHER is \"$LAUNCHER\", expected srun or mpirun"; exit 64 ;;
esac

# The program leaves its exit code here: launchers may hide it behind their own.
PYRACAST_EXIT_FILE=$(mktemp) || exit 69
export PYRACAST_EXIT_FILE
trap 'rm -f "$PYRACAST_EXIT_FILE"' EXIT

# Hands a signal on to the launcher, which hands it to every rank: the one way that is the same under srun and mpirun.
pass_on() { if [ -n "$launched" ]; then kill -"$1" "$launched" 2>/dev/null; fi; }
trap 'warned=1; pass_on "$STOP_SIGNAL"' USR1
trap 'ended=1; pass_on TERM' TERM

# Ends a launcher that does not end when its ranks have come to their end. It is forked when `launched` is known.
end_launcher() {
    trap - USR1 TERM EXIT
    until [ -s "$PYRACAST_EXIT_FILE" ]; do sleep 1; done
    sleep 5
    kill -KILL "$launched" 2>/dev/null
}

# Launches the program on all tasks and leaves in `status` how that ended. A launch that fails at once is tried again:
# after a requeue the nodes may still be busy with ending what was there.
run_on_all_tasks() {
    local try began
    # Before 23.02 Slurm does not tell a job when it ends.
    SLURM_JOB_END_TIME=$(SLURM_TIME_FORMAT=%s squeue -h -j "$job" -o %e)
    case $SLURM_JOB_END_TIME in '' | *[!0-9]*) unset SLURM_JOB_END_TIME ;; *) export SLURM_JOB_END_TIME ;; esac
    if [ -n "${SLURM_JOB_END_TIME:-}" ] && [ $((SLURM_JOB_END_TIME - $(date +%s))) -le "$WARNING" ]; then
        say "the time limit leaves nothing before the warning of $WARNING s: give --time more, or less WARNING and --signal"
        status=64
        return
    fi
    for ((try = 1; ; ++try)); do
        if [ $((warned + ended)) -gt 0 ]; then status=75; return; fi
        say "job $job, restart ${SLURM_RESTART_COUNT:-0}, on $SLURM_JOB_NODELIST under $LAUNCHER"
        began=$SECONDS
        : >"$PYRACAST_EXIT_FILE"
        "${launcher[@]}" "$@" & launched=$!
        end_launcher & watch=$!
        while kill -0 "$launched" 2>/dev/null; do wait "$launched"; done   # a trap makes it come back early
        wait "$launched"; status=$?
        kill "$watch" 2>/dev/null
        launched=
        if [ -s "$PYRACAST_EXIT_FILE" ]; then
            status=$(cat "$PYRACAST_EXIT_FILE")
        elif [ "$status" = 0 ]; then
            status=1   # the program has not come to its end, whatever the launcher says
        fi
        say "ended with $status after $((SECONDS - began)) s"
        is_decided && return
        if [ "$try" -ge "$LAUNCH_TRIES" ] || [ $((SECONDS - began)) -ge "$launch_seconds" ] || [ "$status" = 75 ]; then return; fi
        sleep 5 & wait $!
    done
}

# Whether to run again cannot change how it ended: complete (perhaps with failures), bad input, another run's folder, an
# environment that somebody has to look at, a program that is not there.
is_decided() { case $status in 0 | 3 | 64 | 65 | 69 | 126 | 127) return 0 ;; *) return 1 ;; esac; }

# Ends the script: requeues the job where there is more to do, or the launcher was ended from outside. After TERM alone it
# is Slurm's to say what becomes of the job; one that was cancelled stays cancelled.
requeue_or_exit() {
    local restarts=${SLURM_RESTART_COUNT:-0}
    if is_decided || { [ "$ended" = 1 ] && [ "$warned" = 0 ]; }; then exit "$status"; fi
    if [ "$restarts" -ge "$MAX_RESTARTS" ]; then
        say "not requeued: $restarts restarts are the most allowed (MAX_RESTARTS)"
        exit "$status"
    fi
    say "requeued: restart $((restarts + 1)) of at most $MAX_RESTARTS"
    trap - USR1 TERM
    scontrol requeue "$job" && sleep 300   # the requeue ends this script
    exit "$status"
}

# Ends the script of one link of a chain: the links behind it begin by themselves, and are taken back where there is
# nothing left for them.
pass_on_or_exit() {
    if is_decided; then
        say "the links behind this one are not needed"
        scancel --user="$(id -un)" --name="$SLURM_JOB_NAME" --state=PENDING
    fi
    exit "$status"
}
