#include "runtime/device.hpp"

#include <omp.h>
#include <sched.h>

#include <algorithm>

#include "base/counted.hpp"
#include "settings/open_backend.hpp"

namespace pyracast {

std::unique_ptr<Backend> open_device(const ModelSettings& settings, int gpu) {
  return open_backend(settings.device, settings.dtype, isa_of(settings.cpu_isa), gpu_attention_of(settings.gpu_attention), gpu);
}

RankGpu gpu_of(const Ranks& ranks, bool share) {
  std::string names;
  const std::vector<std::string> gpus = visible_gpus();
  for (const std::string& name : gpus) names += name + ' ';
  const uint64_t own = std::hash<std::string>{}(names);
  std::vector<uint64_t> all(size_t(ranks.node().size()));
  check_mpi(MPI_Allgather(&own, 1, MPI_UINT64_T, all.data(), 1, MPI_UINT64_T, ranks.node()), "comparing the GPUs of a node's ranks");
  const auto before = int(std::count(all.begin(), all.begin() + ranks.node().rank(), own)), together = int(std::count(all.begin(), all.end(), own));
  if (!share && together > int(gpus.size()) && !gpus.empty())
    throw Error(concat(together, " ranks of node ", ranks.node_name(), " see the same ", counted(gpus.size(), "GPU"),
                       ": use as many ranks a node as it has GPUs, or --comm mpi, with which ranks may share one"), ExitCode::environment);
  if (gpus.empty()) return {};
  const int count = int(gpus.size()), own_gpu = before % count;
  return {own_gpu, together / count + (own_gpu < together % count)};
}

std::unique_ptr<Backend> open_device(const ModelSettings& settings, const Ranks& ranks, bool share) {
  return open_device(settings, settings.device == "cuda" ? gpu_of(ranks, share).index : 0);
}

Transport transport_of(const std::string& comm, const std::string& device, int ranks_per_video) {
  const bool gpus = device == "cuda";
  require(comm == "auto" || comm == "mpi" || comm == "nccl", "comm is \"", comm, "\", expected auto, mpi or nccl");
  require(comm != "nccl" || gpus, "comm is nccl, which moves data between GPUs, but device is ", device, ": leave comm out");
  if (!gpus || ranks_per_video == 1) return Transport::mpi;
  return comm == "mpi" ? Transport::staged_mpi : Transport::nccl;
}

RankThreads set_threads(int threads, const Ranks& ranks) {
  check_threads(threads);
  cpu_set_t bound;
  CPU_ZERO(&bound);
  sched_getaffinity(0, sizeof bound, &bound);
  std::vector<cpu_set_t> all(size_t(ranks.node().size()));
  check_mpi(MPI_Allgather(&bound, sizeof bound, MPI_BYTE, all.data(), sizeof bound, MPI_BYTE, ranks.node()),
            "comparing the bindings of a node's ranks");
  const auto sharing = std::count_if(all.begin(), all.end(), [&](const cpu_set_t& other) { return CPU_EQUAL(&bound, &other); });
  const int cores = std::max(1, int(CPU_COUNT(&bound) / sharing));
  if (threads == 0) threads = cores;
  omp_set_num_threads(threads);
  return {threads, std::max(0, cores - threads)};
}

std::string resolved_dtype(const ModelSettings& settings) { return resolved_dtype(settings.device, settings.dtype, isa_of(settings.cpu_isa)); }

WeightStorage weight_storage(const ModelSettings& settings, SharedWeights* shared) {
  WeightStorage storage = weight_storage(settings.device, settings.dtype, isa_of(settings.cpu_isa));
  storage.shared = shared;
  return storage;
}

PlannedDevice planned_device(const ModelSettings& settings) { return planned_device(settings.device, settings.dtype); }

TextEncoding text_encoding(const ModelSettings& settings) {
  if (settings.text_encoding == "resident") return TextEncoding::resident;
  if (settings.text_encoding == "offload") return TextEncoding::offload;
  if (settings.text_encoding == "once") return TextEncoding::once;
  fail("text-encoding is \"", settings.text_encoding, "\", expected resident, offload or once (--text-encoder names the encoder's folder)");
}

TextEncoding text_encoding_without_folder(const ModelSettings& settings) {
  const TextEncoding wanted = text_encoding(settings);
  return wanted == TextEncoding::once ? TextEncoding::offload : wanted;
}

std::optional<OutputPlace> stored_outputs(const ModelSettings& settings) {
  const std::string& place = settings.stored_outputs;
  require(place == "auto" || place == "device" || place == "host", "stored-outputs is \"", place, "\", expected auto, device or host");
  require(place != "host" || settings.device == "cuda", "stored-outputs is host, but device is ", settings.device,
          ", whose memory is the host's: leave stored-outputs out");
  if (place == "auto") return std::nullopt;
  return place == "host" ? OutputPlace::host : OutputPlace::device;
}

bool encodes_beforehand(const ModelSettings& settings, const VideoModel& model) {
  return text_encoding(settings) == TextEncoding::once && !model.files().text_encoder.empty();
}

SnapshotPaths find_given(const ModelSettings& s) { return {s.transformer, s.vae, s.text_encoder, s.tokenizer, s.scheduler}; }

std::unique_ptr<VideoModel> find_model_to_ask(const ModelSettings& s) {
  const bool on_disk = !s.snapshot.empty() || !s.transformer.empty();
  return find_model(ModelChoice{s.model, s.snapshot, find_given(s), s.sampler, on_disk});
}

std::unique_ptr<VideoModel> find_model(const ModelSettings& s) { return find_model(ModelChoice{s.model, s.snapshot, find_given(s), s.sampler}); }

}  // namespace pyracast
