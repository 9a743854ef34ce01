#pragma once
#include <filesystem>
#include <string>

namespace pyracast {

/// The settings of `pyracast reproduce`: which samples, and where things lie and run now; what decides the pixels is the dataset's.
struct ReproduceSettings {
  std::filesystem::path config, output;
  std::string id;
  int64_t sample = 0, count = 0;
  std::filesystem::path snapshot, transformer, vae, text_encoder, tokenizer, scheduler, references;
  int threads = 0, ranks_per_video = 1;
  bool cfg_parallel = false, json = false;
  std::string comm = "auto", stored_outputs = "auto";
  double collective_timeout = 600;

  template <class Visit>
  static void fields(Visit&& visit, ReproduceSettings& s) {
    visit("Reproduce", "config", s.config, "file of `key = value` settings");
    visit("Reproduce", "output", s.output, "folder of the dataset");
    visit("Reproduce", "id", s.id, "id of the sample to make again");
    visit("Reproduce", "sample", s.sample, "its number, for prompts with several samples");
    visit("Reproduce", "count", s.count, "instead of id: so many samples drawn at random; all where there are fewer");
    visit("Reproduce", "json", s.json, "as JSON");
    visit("Model", "snapshot", s.snapshot, "where the model lies now, if not where the run had it");
    visit("Model", "transformer", s.transformer, "the same of its transformer alone");
    visit("Model", "vae", s.vae, "of its VAE");
    visit("Model", "text-encoder", s.text_encoder, "of its text encoder");
    visit("Model", "tokenizer", s.tokenizer, "of its tokenizer");
    visit("Model", "scheduler", s.scheduler, "of its scheduler_config.json");
    visit("Model", "references", s.references, "folder that reference_path starts from now, if not as in the run (the manifest's, or its "
          "--references)");
    visit("Distribution", "threads", s.threads, "threads a rank; 0: the cores bound to the rank, shared by the ranks bound to the same ones");
    visit("Distribution", "ranks-per-video", s.ranks_per_video, "ranks of one node that make a video together; several teams share the samples");
    visit("Distribution", "cfg-parallel", s.cfg_parallel, "the two halves of classifier-free guidance on the two halves of a team");
    visit("Distribution", "comm", s.comm, "how tensors travel within a team: mpi, nccl or auto (see generate)");
    visit("Distribution", "stored-outputs", s.stored_outputs, "where a GPU's outputs that broadcasting stores are kept: device, host or auto (see "
          "generate)");
    visit("Distribution", "collective-timeout", s.collective_timeout, "seconds without a sign of life after which a rank counts as lost");
  }
};

}  // namespace pyracast
