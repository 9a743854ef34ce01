#pragma once
// Settings that several jobs share: plain structs, each naming its members once in `fields`.
#include <filesystem>
#include <string>

#include "settings/team_size.hpp"

namespace pyracast {

/// Which model, where it lies, and what it runs on.
struct ModelSettings {
  std::string model = "opensora-1.2";
  std::filesystem::path snapshot, transformer, vae, text_encoder, tokenizer, scheduler;
  std::string sampler;
  std::string dtype = "auto";
  std::string text_encoding = "resident";
  std::string device = "cpu", stored_outputs = "auto";
  std::string cpu_isa = "auto", gpu_attention = "auto";
  int threads = 0;

  template <class Visit>
  static void fields(Visit&& visit, ModelSettings& s) {
    visit("Model", "model", s.model, "family of the model: opensora-1.2, latte-1, osp-1.1 or osp-1.2 (`pyracast models` describes them); "
          "or null: tiny videos that take no time, for drills and scale tests");
    visit("Model", "snapshot", s.snapshot, "folder that holds all parts of the model");
    visit("Model", "transformer", s.transformer, "folder of the transformer, where it is not in the snapshot");
    visit("Model", "vae", s.vae, "folder of the VAE, where it is not in the snapshot (Latte: of either of its two)");
    visit("Model", "text-encoder", s.text_encoder, "folder of the T5 or mT5 encoder, where it is not in the snapshot");
    visit("Model", "tokenizer", s.tokenizer, "folder or file of the SentencePiece model, where it is not beside the text encoder");
    visit("Model", "scheduler", s.scheduler, "scheduler_config.json or its folder, where it is not in the snapshot");
    visit("Model", "sampler", s.sampler, "sampler in place of the snapshot's: ddim, ddpm, pndm, euler, euler-ancestral, dpm-solver");
    visit("Model", "dtype", s.dtype,
          "float32; bfloat16 (weights kept in bfloat16, sizes and timesteps rounded as the published pipeline does); "
          "bfp16 (on a CPU: products in block floating point of 16 bits, which err by 1e-4; all else float32); amx (on a CPU with AMX: products of "
          "factors rounded to bfloat16, which err by 2e-3; all else float32); auto (on a CPU amx where it is there, else bfp16; on a GPU bfloat16); "
          "fp8 (on a GPU: products of a transformer's blocks in 8 bits, scaled by rows, all else bfloat16). Other arithmetic is "
          "float32; on a GPU bfloat16 is also what tokens and pictures are kept in");
    visit("Model", "text-encoding", s.text_encoding, "when the text encoder is in memory. resident: always, on each team's first rank; offload: "
          "while a text that is new is encoded, for which it is read again; once: before the videos, when generate encodes all texts that are left "
          "into OUTPUT/text, and never beside transformer and VAE (other jobs take offload for it). The videos are the same");
    visit("Device", "device", s.device, "cpu or cuda");
    visit("Device", "stored-outputs", s.stored_outputs, "where a GPU's outputs that broadcasting stores are kept. device: in its memory; host: in "
          "the host's, copied there and back beside computing; auto: host where videos of the run's own size do not fit the GPU's memory "
          "otherwise. The videos are the same. On the CPU both memories are one, and host is refused");
    visit("Device", "cpu-isa", s.cpu_isa, "instruction set: auto, portable, avx2, avx512 or avx512vnni (all but portable give the same bits)");
    visit("Device", "gpu-attention", s.gpu_attention, "what long self attentions in bfloat16 run by on a GPU: cudnn, own (kernels that need no "
          "library), or auto (cudnn where the program was built with it)");
    visit("Device", "threads", s.threads, "threads a rank; 0: the cores bound to the rank, shared by the ranks bound to the same ones");
  }
};

/// When a job stops by itself, or is asked to.
struct WalltimeSettings {
  double max_walltime = 0, walltime_reserve = 60;
  std::vector<std::string> stop_signals{"TERM", "USR1", "USR2"};

  template <class Visit>
  static void fields(Visit&& visit, WalltimeSettings& s) {
    visit("Job", "max-walltime", s.max_walltime, "seconds after which no video is being made; none is begun that would take longer, and the job "
          "ends with 75. 0: no such end");
    visit("Job", "walltime-reserve", s.walltime_reserve, "seconds before the end of the Slurm allocation (SLURM_JOB_END_TIME) that are no time "
          "for videos");
    visit("Job", "stop-signals", s.stop_signals, "signals besides INT that ask for a stop with all durable: of TERM, USR1, USR2 (comma between)");
  }
};

/// The settings of `pyracast generate`.
struct GenerateSettings {
  std::filesystem::path config, prompts, output;
  bool strict = false, check_files = false;
  std::string part = "0/1", on_change = "refuse", checkpoint_every = "60s";
  int64_t give_up_after = 50;
  WalltimeSettings walltime;
  ModelSettings model;
  uint64_t seed = 42;
  std::string noise = "philox";
  std::optional<int64_t> height, width, frames;
  std::optional<std::string> resolution, aspect_ratio;
  std::optional<double> fps, guidance;
  std::optional<int> steps;
  double eta = 0;
  std::optional<std::string> negative_prompt;
  std::optional<double> aesthetic, motion;
  std::optional<std::string> camera, mask_strategy;
  std::filesystem::path references;
  std::filesystem::path broadcast;
  std::string audit = "0%";
  std::optional<double> audit_bound;
  bool audit_fallback = false;
  int clips = 1;
  int64_t condition_latents = 5;
  double condition_edit = 0;
  TeamSize ranks_per_video;
  std::vector<std::filesystem::path> machine;
  bool cfg_parallel = false;
  std::string comm = "auto";
  double collective_timeout = 600;
  std::vector<std::string> save;
  int crf = 18;
  int64_t shard_samples = 1000, shard_megabytes = 1024;
  bool verbose = false;

  template <class Visit>
  static void fields(Visit&& visit, GenerateSettings& s) {
    visit("Job", "config", s.config, "file of `key = value` settings; the command line wins over it");
    visit("Job", "prompts", s.prompts, "manifest: .jsonl, .csv, .tsv, .txt (a prompt a line), each also .gz; - reads standard input");
    visit("Job", "output", s.output, "folder of the dataset; the same command again continues in it");
    visit("Job", "strict", s.strict, "generate nothing when one line of the manifest is bad");
    visit("Job", "check-files", s.check_files, "when continuing, read every finished video, shard and reference and compare it with its checksum; "
          "else those videos and shards that changed");
    visit("Job", "part", s.part, "K/N: only the K-th of N parts of the manifest, counted from 0; which prompts are in it their ids decide");
    visit("Job", "checkpoint-every", s.checkpoint_every, "how often the progress of a video is saved, so that a stopped job goes on inside it: "
          "seconds (60s), evaluations of the network (10), or never; at the next evaluation behind which no stored attention output is needed");
    visit("Job", "on-change", s.on_change, "where the model, a setting or a row of the manifest is not the one that finished samples were made "
          "with: refuse (ends with 65 and names it), fork (goes on in a folder beside it, OUTPUT-<fingerprint>), only-new (keeps them as they "
          "are, makes only what is not there)");
    visit("Job", "give-up-after", s.give_up_after, "so many failed samples of a team one after the other end the job with 69, since something is "
          "wrong with the settings or the machine then; 0: none do");
    visit("Job", "verbose", s.verbose, "a line for every video (-v)");
    WalltimeSettings::fields(visit, s.walltime);
    ModelSettings::fields(visit, s.model);
    visit("Sampling", "seed", s.seed, "seed of the run; a row's own seed, else this and its id, decide its noise");
    visit("Sampling", "noise", s.noise, "philox (ours, the same on every device) or torch (what torch.randn on the CPU gives for the seed)");
    visit("Sampling", "height", s.height, "pixels; default: the snapshot's");
    visit("Sampling", "width", s.width, "pixels; default: the snapshot's");
    visit("Sampling", "resolution", s.resolution, "144p, 240p, 360p, 480p, 720p …, instead of height and width");
    visit("Sampling", "aspect-ratio", s.aspect_ratio, "height:width, e.g. 9:16, with resolution");
    visit("Sampling", "frames", s.frames, "frames of a clip; default: the snapshot's");
    visit("Sampling", "fps", s.fps, "frames a second; default: the snapshot's");
    visit("Sampling", "steps", s.steps, "denoising steps; default: the snapshot's");
    visit("Sampling", "guidance", s.guidance, "classifier-free guidance scale; default: the snapshot's");
    visit("Sampling", "negative-prompt", s.negative_prompt, "what guidance leads away from, of rows that name none; not of Open-Sora v1.2");
    visit("Sampling", "eta", s.eta, "DDIM: share of DDPM's noise, 0 to 1");
    visit("Sampling", "aesthetic", s.aesthetic, "aesthetic score appended to prompts that name none (Open-Sora v1.2; default 6.5); 0: none is "
          "appended");
    visit("Sampling", "motion", s.motion, "motion score appended to prompts that name none");
    visit("Sampling", "camera", s.camera, "camera motion appended to prompts that name none");
    visit("Sampling", "references", s.references, "folder that a row's reference_path starts from; default: the manifest's");
    visit("Sampling", "mask-strategy", s.mask_strategy, "which latent frames of references go where, of rows with a reference_path that name none: "
          "clip, reference, its first frame, where that goes, how many, how much they may change (0 to 1); e.g. 0: the video begins with the "
          "first reference's first frame");
    visit("Sampling", "clips", s.clips, "clips a video; each continues the one before");
    visit("Sampling", "condition-latents", s.condition_latents, "latent frames of the clip before that a clip continues from (a multiple of 5)");
    visit("Sampling", "condition-edit", s.condition_edit, "how much those frames may change, 0 to 1");
    visit("Broadcasting", "broadcast", s.broadcast,
          "JSON file that says which attention outputs are reused over several steps "
          "(Pyramid Attention Broadcast), or a preset by its name, e.g. opensora-246 (those of configs/broadcast); none is given: everything is "
          "computed");
    visit("Broadcasting", "audit", s.audit, "share of the samples that are also made without reuse, to say how far reuse leads away, e.g. 1% (the "
          "same samples on any ranks); their videos stay those with reuse");
    visit("Broadcasting", "audit-bound", s.audit_bound, "PSNR in dB of an audited sample's frames below which the log warns and the sample counts "
          "as beyond the bound; default: no bound");
    visit("Broadcasting", "audit-fallback", s.audit_fallback, "keep of an audited sample beyond the bound the video made without reuse");
    visit("Distribution", "ranks-per-video", s.ranks_per_video, "ranks of one node that make a video together; auto: as many as make the manifest "
          "soonest, with or without cfg-parallel, by the file that `machine` names");
    visit("Distribution", "machine", s.machine, "what the machine takes for a video (pyracast plan --measure FILE), for ranks-per-video auto; "
          "files of several numbers of ranks a node (comma between): the one that fits the job");
    visit("Distribution", "cfg-parallel", s.cfg_parallel, "the two halves of classifier-free guidance on the two halves of a team");
    visit("Distribution", "comm", s.comm, "how tensors travel within a team: mpi (from GPUs through the host's memory; ranks may share a GPU), "
          "nccl (from GPU to GPU, one a rank), or auto (nccl between GPUs)");
    visit("Distribution", "collective-timeout", s.collective_timeout, "seconds without a sign of life, or in one exchange of a team, after which "
          "a rank counts as lost and the job ends");
    visit("Results", "save", s.save, "what shards hold besides the videos' data: frames, latents, step-latents (after each step), embeddings "
          "(comma between)");
    visit("Results", "crf", s.crf, "quality of the MP4 files: 0 (lossless) to 51");
    visit("Results", "shard-samples", s.shard_samples, "samples a shard at most");
    visit("Results", "shard-megabytes", s.shard_megabytes, "size of a shard's arrays at most");
  }
};

/// Settings of a job that makes some of a manifest's videos to learn from them: those of `generate` that say which model makes which videos, of one
/// clip, and how many samples.
struct SettingsOfSamples {
  GenerateSettings generate;
  int64_t samples = 0;   ///< the first so many of the manifest; 0: all

  /// `group` and `help`: of `samples`.
  template <class Visit>
  static void fields(Visit&& visit, SettingsOfSamples& s, const char* group, const char* help) {
    GenerateSettings::fields([&](const std::string& of, const std::string& name, auto& member, const char* its_help) {
      const bool is_output = name == "output";   // no dataset
      if (says_which_videos(of, name)) visit(of.c_str(), name.c_str(), member, is_output ? "folder for the files that this job writes" : its_help);
    }, s.generate);
    visit(group, "samples", s.samples, help);
  }

 private:
  static bool says_which_videos(const std::string& group, const std::string& name) {
    if (group == "Job") return name == "config" || name == "prompts" || name == "output";
    if (group == "Sampling") return name != "clips" && !name.starts_with("condition-");
    return group == "Model" || group == "Device";
  }
};

}  // namespace pyracast
