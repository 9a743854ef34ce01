#pragma once
#include "base/config.hpp"

namespace pyracast {

/// The settings of `pyracast submit`.
struct SubmitSettings {
  std::filesystem::path config;
  bool submit = false;
  std::string form = "job";
  int parts = 0, at_once = 0, links = 0;
  int nodes = 1, tasks_per_node = 1, cpus_per_task = 1, gpus_per_task = 0;
  std::string time, memory, partition, account, qos, name = "pyracast";
  std::vector<std::string> sbatch;
  std::filesystem::path logs = ".";
  std::string launcher = "srun", setup;
  int warning = 300, max_restarts = 20;

  template <class Visit>
  static void fields(Visit&& visit, SubmitSettings& s) {
    visit("Job", "config", s.config, "file of `key = value` settings of this list, e.g. what a site always wants; the command line "
          "wins over it");
    visit("Job", "submit", s.submit, "hand the script to sbatch and print the jobs' numbers; else the script is printed");
    visit("Job", "form", s.form, "job (one MPI job that requeues itself), array (a job for each part of the manifest), chain (jobs one after "
          "the other, without requeueing)");
    visit("Job", "parts", s.parts, "array: how many parts");
    visit("Job", "at-once", s.at_once, "array: how many jobs may run at once; 0: all");
    visit("Job", "links", s.links, "chain: how many jobs; those that are not needed are taken back");
    visit("Resources", "nodes", s.nodes, "of each job");
    visit("Resources", "tasks-per-node", s.tasks_per_node, "ranks a node");
    visit("Resources", "cpus-per-task", s.cpus_per_task, "cores a rank");
    visit("Resources", "gpus-per-task", s.gpus_per_task, "GPUs a rank");
    visit("Resources", "time", s.time, "limit of each job: minutes, minutes:seconds, hours:minutes:seconds or "
          "days-hours[:minutes[:seconds]]; default: the partition's");
    visit("Resources", "memory", s.memory, "a node, as for sbatch --mem: 64G; default: the partition's");
    visit("Resources", "partition", s.partition, "default: the cluster's");
    visit("Resources", "account", s.account, "default: the user's");
    visit("Resources", "qos", s.qos, "default: the user's");
    visit("Resources", "sbatch", s.sbatch, "further options of sbatch (comma between): --exclusive,--constraint=avx512");
    visit("Running", "name", s.name, "of the job");
    visit("Running", "logs", s.logs, "folder of the jobs' logs");
    visit("Running", "launcher", s.launcher, "srun or mpirun");
    visit("Running", "setup", s.setup, "a shell command that comes first on the first node, e.g. \"module load openmpi\"");
    visit("Running", "warning", s.warning, "seconds before the time limit at which the job stops by itself");
    visit("Running", "max-restarts", s.max_restarts, "how often a job requeues itself");
  }
};

}  // namespace pyracast
