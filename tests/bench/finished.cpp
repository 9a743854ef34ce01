// What finished samples cost the next run, without a model and without MPI: a manifest of SAMPLES prompts is checked and
// indexed, shards and stand-ins for the videos are written, then the folder is read as a run that goes on reads it.
//   finished_bench SAMPLES FOLDER [SAMPLES_A_SHARD [FINGERPRINT SETTINGS]]
// FOLDER must not exist. Prints seconds, CPU microseconds a sample and the largest memory of the process so far. A run with that
// fingerprint, whose samples have those settings (a column of metadata.jsonl), can go on in FOLDER, whose prompts.jsonl is the manifest.
#include <cstdio>
#include <ctime>
#include <fstream>

#include "base/stopwatch.hpp"
#include "dataset/derive.hpp"
#include "dataset/manifest.hpp"
#include "dataset/recover.hpp"
#include "dataset/shard_file.hpp"
#include "production/finished_samples.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

/// Megabytes.
long most_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6) >> 10;
  return 0;
}

struct Bench {
  int64_t samples;
  OutputLayout layout;
  int64_t samples_a_shard;
  std::string fingerprint, settings;

  template <class Act>
  void timed(const char* what, Act act) const {
    const Stopwatch watch;
    const std::clock_t before = std::clock();
    act();
    const double cpu = double(std::clock() - before) / CLOCKS_PER_SEC;
    std::printf("%-40s %8.2f s, CPU %8.2f us a sample, %6ld MB\n", what, watch.seconds(), cpu / double(samples) * 1e6, most_memory());
    std::fflush(stdout);
  }

  static std::string id_of(int64_t n) { return concat("prompt-", n); }

  void write_manifest() const {
    std::ofstream out(layout.root / "prompts.jsonl");
    for (int64_t n = 0; n < samples; ++n)
      out << R"({"id": ")" << id_of(n) << R"(", "prompt": "a red circle moving left, seen for the )" << n << R"(th time"})" << '\n';
  }

  static constexpr const char* stand_in = "a video";

  /// Names of a few files, which millions take as little room as can be.
  void write_videos() const {
    constexpr int64_t names_a_file = 60'000;   // ext4 allows 65,000
    fs::path file;
    for (int64_t n = 0; n < samples; ++n) {
      const fs::path path = layout.root / video_path(id_of(n), 0);
      fs::create_directories(path.parent_path());
      if (n % names_a_file == 0) std::ofstream(file = path) << stand_in;
      else fs::create_hard_link(file, path);
    }
  }

  SampleRecord record_of(const Prompt& row) const {
    SampleRecord record;
    record.id = row.id;
    record.prompt = record.encoded_prompt = row.text;
    // What `generate --model null` writes, which goes on here only where samples were made of the manifest's rows.
    record.seed = 42;
    record.frames = 4, record.height = record.width = 16, record.fps = 8, record.steps = 1, record.guidance = 1;
    record.settings = settings;
    record.video = video_path(row.id, 0);
    record.video_sha256 = sha256(stand_in);
    record.perceptual_hash = sha256(row.id) + "808080";   // of clips that do not look alike
    record.host = "host";
    record.step_seconds.resize(1);
    record.step_counts.resize(1);
    return record;
  }

  void write_shards(const Manifest& manifest) const {
    for (uint64_t first = 0; first < manifest.size(); first += uint64_t(samples_a_shard)) {
      ShardFile shard(layout.shards() / ".bench.tmp", fingerprint, "{}");
      for (uint64_t n = first; n < std::min(manifest.size(), first + uint64_t(samples_a_shard)); ++n)
        shard.append(record_of(manifest.row(n)));
      shard.seal(layout.shards());
    }
  }

  void run() const {
    fs::create_directories(layout.shards());
    timed("(writing a manifest)", [&] { write_manifest(); });
    timed("checking and indexing the manifest", [&] { Manifest::build((layout.root / "prompts.jsonl").string(), layout.root); });
    const Manifest manifest(layout.root);
    timed("(writing stand-ins for the videos)", [&] { write_videos(); });
    timed("writing shards", [&] { write_shards(manifest); });
    FinishedSamples finished(manifest);
    uint64_t found = 0;
    timed("finding what is finished", [&] {
      recover(layout.root, {{fingerprint, "{}"}}, [&](const FinishedSample& sample) { finished.add(sample), ++found; },
              [](const std::string& message) { std::puts(message.c_str()); });
    });
    require(found == manifest.total_samples(), found, " samples were found, expected ", manifest.total_samples());
    manifest.release();
    timed("index.h5 and metadata.jsonl", [&] { derive(layout.root, {}); });
  }
};

}  // namespace
}  // namespace pyracast

int main(int argc, char** argv) try {
  using namespace pyracast;
  require(argc > 2, "usage: finished_bench SAMPLES FOLDER [SAMPLES_A_SHARD [FINGERPRINT SETTINGS]]");
  require(!fs::exists(argv[2]), argv[2], ": is there already");
  fs::create_directories(argv[2]);
  Bench{std::atoll(argv[1]), {argv[2]}, argc > 3 ? std::atoll(argv[3]) : 1000, argc > 4 ? argv[4] : std::string(64, 'a'), argc > 5 ? argv[5] : "{}"}
      .run();
} catch (const std::exception& error) {
  std::fprintf(stderr, "finished_bench: %s\n", error.what());
  return 1;
}
