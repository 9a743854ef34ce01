#include "jobs/device.hpp"

#include <omp.h>
#include <sched.h>

#include <algorithm>

namespace pyracast {

std::unique_ptr<Backend> open_device(const ModelSettings& settings) {
  if (settings.device == "cuda") return make_cuda_backend(0);
  require(settings.device == "cpu", "device is \"", settings.device, "\", expected cpu or cuda");
  const std::string& isa = settings.cpu_isa;
  if (isa == "auto") return make_cpu_backend(CpuIsa::automatic);
  if (isa == "portable") return make_cpu_backend(CpuIsa::portable);
  if (isa == "avx2") return make_cpu_backend(CpuIsa::avx2);
  if (isa == "avx512") return make_cpu_backend(CpuIsa::avx512);
  fail("cpu-isa is \"", isa, "\", expected auto, portable, avx2 or avx512");
}

int set_threads(int threads, const Ranks& ranks) {
  require(threads >= 0, "threads is ", threads, ", expected 0 (automatic) or more");
  if (threads == 0) {
    cpu_set_t bound;
    CPU_ZERO(&bound);
    sched_getaffinity(0, sizeof bound, &bound);
    std::vector<cpu_set_t> all(size_t(ranks.node().size()));
    check_mpi(MPI_Allgather(&bound, sizeof bound, MPI_BYTE, all.data(), sizeof bound, MPI_BYTE, ranks.node()),
              "comparing the bindings of a node's ranks");
    const auto sharing = std::count_if(all.begin(), all.end(), [&](const cpu_set_t& other) { return CPU_EQUAL(&bound, &other); });
    threads = std::max(1, int(CPU_COUNT(&bound) / sharing));
  }
  omp_set_num_threads(threads);
  return threads;
}

std::optional<DType> weight_dtype(const std::string& name) {
  if (name == "auto") return std::nullopt;
  if (name == "float32") return DType::float32;
  require(name == "bfloat16", "dtype is \"", name, "\", expected float32, bfloat16 or auto");
  return DType::bfloat16;
}

std::unique_ptr<VideoModel> find_model(const ModelSettings& s) {
  return find_model(ModelChoice{s.model, s.snapshot, {s.transformer, s.vae, s.text_encoder, s.tokenizer, s.scheduler}, s.sampler});
}

}  // namespace pyracast
