#include "dataset/manifest_on_ranks.hpp"

#include <chrono>
#include <optional>
#include <thread>

#include "base/error.hpp"

namespace pyracast {

namespace {

/// What rank 0 wrote. Another node may see the folder as it was for some seconds (NFS keeps attributes that long).
Manifest opened(const Ranks& ranks, const std::filesystem::path& output, const std::string& fingerprint) {
  using namespace std::chrono_literals;
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  for (std::string seen;; std::this_thread::sleep_for(200ms)) {
    try {
      Manifest manifest(output);
      if (manifest.fingerprint() == fingerprint) return manifest;
      seen = concat(output.string(), " holds the manifest ", manifest.fingerprint());
    } catch (const Error& error) {
      seen = error.what();
    }
    require(std::chrono::steady_clock::now() < give_up, "host ", ranks.node_name(), " does not see the manifest ",
            fingerprint, " that rank 0 wrote (", seen, "); the output folder must be on a file system of all nodes");
  }
}

}  // namespace

Manifest build_manifest(const Ranks& ranks, const std::string& source, const std::filesystem::path& output,
                        const ManifestOptions& options) {
  std::string fingerprint(64, ' ');
  ranks.on_first([&] { fingerprint = Manifest::build(source, output, options).fingerprint(); });
  check_mpi(MPI_Bcast(fingerprint.data(), int(fingerprint.size()), MPI_CHAR, 0, ranks.world()),
            "spreading the manifest's fingerprint");
  Manifest manifest = opened(ranks, output, fingerprint);
  // Nobody goes on, and perhaps builds the next one in its place, before all have opened this one.
  MPI_Request request;
  check_mpi(MPI_Ibarrier(ranks.world(), &request), "opening the manifest");
  await(request, "opening the manifest");
  return manifest;
}

}  // namespace pyracast
