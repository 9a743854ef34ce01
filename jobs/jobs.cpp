#include "jobs/jobs.hpp"

namespace pyracast {

namespace {

constexpr JobEntry jobs[] = {
    {"generate", generate, "make every prompt's video that the dataset does not hold yet (under mpirun or srun: in parallel)"},
    {"extend", extend, "add prompts or samples to a dataset that is there: generate with a longer manifest; refuses an --output without one"},
    {"parity", parity, "run parity cases: parity [-v] CASE...; 0 only if every number fits"},
    {"plan", plan, "say what a manifest takes a machine, and by which teams (--machine, --measure); what a team sends for a video (--comm)"},
    {"simulate", simulate, "run a planned job on 1 to 1024 nodes that fail: efficiency, cost of failures, checkpoint intervals"},
    {"profile", profile, "measure how much each branch's output changes from one denoising step to the next"},
    {"tune", tune, "search the broadcast schedule that errs least for its cost"},
    {"compare", compare, "compare two runs of one manifest: compare A B (PSNR, SSIM, LPIPS, seconds; JSON and an HTML page)"},
    {"gallery", gallery, "make a page of the same videos without reuse, with PAB and with a tuned schedule, side by side"},
    {"inspect", inspect, "say what a snapshot is, what it takes and what it lacks: inspect SNAPSHOT"},
    {"models", models, "list the model families and their presets"},
    {"report", report, "draw a page of a dataset from its files: throughput, steps, reuse, failures, quality, clips; and its card"},
    {"validate", validate, "check a manifest without the model: what generate would refuse and why, counts, cost"},
    {"status", show_status, "show how far a dataset is: done, failed, left, rate, nodes, stragglers (--watch, --json)"},
    {"verify", verify_dataset, "prove that a dataset is whole: every sample once, every checksum, every video decodes, no strays"},
    {"retry", retry, "make failed samples undone, so that the same generate command makes them again (--class, --dry-run)"},
    {"reproduce", reproduce, "make stored samples again from the dataset's own metadata and compare every hash and number (--id, --count)"},
    {"join", join, "make one dataset of the parts that array jobs have made: join --output DIR PART..."},
    {"export", export_videos, "copy the finished videos for a trainer: --format webdataset (tars) or videofolder"},
    {"doctor", doctor, "try out the machines and a file system: MPI, shared memory, rename, fsync, locks, clocks (under mpirun)"},
    {"submit", submit, "fill in a Slurm script for generate, and print or submit it: submit [settings] -- SETTINGS OF GENERATE"},
    {"bench", bench, "time the networks at published sizes, with random weights"},
    {"clean", clean_captions, "show what the text encoder will see of captions (JSON strings on standard input)"},
};

}  // namespace

std::span<const JobEntry> all_jobs() { return jobs; }

}  // namespace pyracast
