#pragma once
#include <span>

namespace pyracast {

/// A sub-command.
struct JobEntry {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;
};

/// Those that this program was built with.
std::span<const JobEntry> all_jobs();

/// Runs the sub-command argv[1] and gives the exit code: 0 complete, 1 a check that failed, 64 bad input.
int run_job(int argc, char** argv);

/// `pyracast generate`: prompts in, dataset out.
int generate(int argc, char** argv);

/// `pyracast extend`: generate with a manifest of more prompts or samples, into a dataset that must be there.
int extend(int argc, char** argv);

/// `pyracast parity CASE…`: runs parity cases and reports each tensor; 0 only if all pass.
int parity(int argc, char** argv);

/// `pyracast plan`: what a manifest takes a machine; or all-to-alls, bytes and memory of one video, before any weight is read.
int plan(int argc, char** argv);

/// `pyracast simulate`: a planned job on nodes that fail and differ in speed.
int simulate(int argc, char** argv);

/// `pyracast profile`: how much each branch's output changes from one evaluation to the next, without broadcasting.
int profile(int argc, char** argv);

/// `pyracast tune`: the static broadcast schedule that errs least for its cost.
int tune(int argc, char** argv);

/// `pyracast compare A B`: how alike the videos of two runs of one manifest are, and what each run cost.
int compare(int argc, char** argv);

/// `pyracast gallery`: a page of the same videos made without reuse and by broadcast files, side by side.
int gallery(int argc, char** argv);

/// `pyracast inspect SNAPSHOT`: what a snapshot is and takes, and what is wrong with it.
int inspect(int argc, char** argv);

/// `pyracast models`: the families and their presets.
int models(int argc, char** argv);

/// `pyracast report`: a page about a dataset, whole or not, and its card.
int report(int argc, char** argv);

/// `pyracast status`: how far a dataset is, while its job runs or after it died.
int show_status(int argc, char** argv);

/// `pyracast verify`: whether a dataset is whole, from its files alone.
int verify_dataset(int argc, char** argv);

/// `pyracast retry`: failed samples become undone, so that the same generate command makes them again.
int retry(int argc, char** argv);

/// `pyracast reproduce`: stored samples made again from what the dataset says of them, and compared.
int reproduce(int argc, char** argv);

/// `pyracast join`: the parts that array jobs have made, as one dataset.
int join(int argc, char** argv);

/// `pyracast export`: the finished videos for a trainer, as tars or as a folder.
int export_videos(int argc, char** argv);

/// `pyracast validate`: what generate would make of a manifest, and what it would leave out and why.
int validate(int argc, char** argv);

/// `pyracast doctor`: whether these machines and this file system are fit for a job.
int doctor(int argc, char** argv);

/// `pyracast submit … -- SETTINGS`: a batch script for generate, printed or handed to sbatch.
int submit(int argc, char** argv);

/// `pyracast bench`: seconds and memory of the networks at published sizes, with random weights.
int bench(int argc, char** argv);

/// `pyracast clean`: captions as JSON strings on standard input, cleaned on standard output.
int clean_captions(int argc, char** argv);

}  // namespace pyracast
