#pragma once

namespace pyracast {

/// Runs the sub-command argv[1] and gives the exit code: 0 complete, 1 a check that failed, 64 bad input.
int run_job(int argc, char** argv);

/// `pyracast generate`: prompts in, dataset out.
int generate(int argc, char** argv);

/// `pyracast parity CASE…`: runs parity cases and reports each tensor; 0 only if all pass.
int parity(int argc, char** argv);

/// `pyracast plan --comm`: all-to-alls, bytes and memory of one video, before any weight is read.
int plan(int argc, char** argv);

/// `pyracast profile`: how much each branch's output changes from one evaluation to the next, without broadcasting.
int profile(int argc, char** argv);

/// `pyracast compare A B`: how alike the videos of two runs of one manifest are, and what each run cost.
int compare(int argc, char** argv);

/// `pyracast submit … -- SETTINGS`: a batch script for generate, printed or handed to sbatch.
int submit(int argc, char** argv);

/// `pyracast bench`: seconds and memory of the networks at published sizes, with random weights.
int bench(int argc, char** argv);

/// `pyracast clean`: captions as JSON strings on standard input, cleaned on standard output.
int clean_captions(int argc, char** argv);

}  // namespace pyracast
