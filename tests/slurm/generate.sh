#!/usr/bin/env bash
# The batch script on a private cluster of two nodes: complete and equal to a run without Slurm, under both launchers;
# warned in the middle, the job requeues itself and loses nothing; and one with teams of two ranks that broadcast. usage: generate.sh PROGRAM CLUSTER_SCRIPTS
# Ends with 77 (skipped) where there is no Slurm.
set -u
program=$1 scripts=$2 repository=$(cd "$(dirname "$0")/../.." && pwd)
for needed in sbatch munged slurmd; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed (packages slurm-wlm and munge)"; exit 77; }
done
[ -x "$scripts/up.sh" ] || { echo "skipped: no private cluster's scripts in $scripts"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: a private cluster needs root"; exit 77; }

folder=$(mktemp -d /tmp/pcslXXXX)
trap '"$scripts/down.sh" "$folder/cluster" >/dev/null 2>&1; rm -rf "$folder"' EXIT
mkdir "$folder/cluster"
"$scripts/up.sh" "$folder/cluster" >"$folder/up.log" 2>&1 || { cat "$folder/up.log"; exit 1; }
. "$folder/cluster/env.sh"
settings=(--config "$repository/configs/demo.cfg" --steps 12)

fail() { echo "FAILED: $1"; tail -30 "$folder"/*.log; exit 1; }
# Submits the job as `name` and gives its number.
submit() {
    name=$1; shift
    sbatch --parsable -N2 --ntasks-per-node=2 -o "$folder/$name.log" "$repository/slurm/generate.sbatch" "$program" "${settings[@]}" --output "$folder/$name" "$@"
}
state() { scontrol -o show job "$1" | grep -o 'JobState=[A-Z]*' | cut -d= -f2; }
finish() {
    for _ in $(seq 1200); do
        case $(state "$1") in COMPLETED) return 0 ;; FAILED | CANCELLED | TIMEOUT | NODE_FAIL) return 1 ;; esac
        sleep 0.1
    done
    return 1
}

"$program" generate "${settings[@]}" --output "$folder/alone" 2>"$folder/alone.log" || fail "the run without Slurm"
for launcher in srun mpirun; do
    export LAUNCHER=$launcher
    job=$(submit "$launcher") && finish "$job" || fail "the job under $launcher"
    diff -r "$folder/alone/videos" "$folder/$launcher/videos" || fail "videos under $launcher"
    for rank in 0 1 2 3; do
        grep -q " made in " "$folder/$launcher/logs/rank-$rank.log" || fail "rank $rank under $launcher got no work"
    done
    [ "$(grep -ho 'on node[12]' "$folder/$launcher"/logs/rank-*.log | sort -u | wc -l)" = 2 ] || fail "both nodes work under $launcher"

    job=$(submit "$launcher-warned") || fail "submitting"
    for _ in $(seq 600); do
        [ "$(find "$folder/$launcher-warned/videos" -name '*.mp4' 2>/dev/null | wc -l)" -ge 3 ] && break
        sleep 0.05
    done
    scancel -b -s USR1 "$job"
    finish "$job" || fail "the job that was warned, under $launcher"
    scontrol -o show job "$job" | grep -q 'Restarts=1' || fail "the warned job was requeued once, under $launcher"
    diff -r "$folder/alone/videos" "$folder/$launcher-warned/videos" || fail "videos of the warned job under $launcher"
    [ "$(wc -l <"$folder/$launcher-warned/metadata.jsonl")" = 16 ] || fail "16 lines of metadata under $launcher"
    echo "$launcher: complete, equal, warned and requeued"
done

export LAUNCHER=srun
broadcast=(--broadcast "$repository/configs/broadcast/demo-246.json")
"$program" generate "${settings[@]}" "${broadcast[@]}" --output "$folder/alone-broadcast" 2>"$folder/alone-broadcast.log" || fail "broadcasting without Slurm"
job=$(submit teams "${broadcast[@]}" --ranks-per-video 2) && finish "$job" || fail "the job with teams"
diff -r "$folder/alone-broadcast/videos" "$folder/teams/videos" || fail "videos of the job with teams"
for team in 0 1; do
    grep -q "team $team of 2" "$folder"/teams/logs/rank-*.log || fail "team $team was not there"
done
grep -q "MiB avoided" "$folder/teams.log" || fail "the saving of the job with teams was not told"
echo "teams of two ranks on two nodes: equal, $(grep -o '[0-9.]* % of the attention.*' "$folder/teams.log")"
