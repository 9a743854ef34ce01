#include "dataset/manifest_check.hpp"

#include <fstream>

#include "dataset/manifest_reader.hpp"
#include "dataset/scratch_folder.hpp"

namespace pyracast {

namespace {

void read_rejected(const std::filesystem::path& path, size_t most, ManifestCheck& check) {
  std::ifstream lines(path);
  check.rejected = 0;
  for (std::string line; std::getline(lines, line); ++check.rejected) {
    if (check.first_rejected.size() >= most) continue;
    const Json row = Json::parse(line);
    check.first_rejected.push_back({row.at("line"), row.at("reason"), row.at("text")});
  }
}

}  // namespace

void check_beginning(const std::string& path) {
  require(ManifestReader(open_bytes(path), path).next().has_value(), path, ": holds no prompt");
}

ManifestCheck check_manifest(const std::string& source, const ManifestOptions& options, size_t most_rejected) {
  const ScratchFolder folder;
  ManifestCheck check;
  ByteSource bytes = open_bytes(source);   // what cannot be opened is no matter of its rows
  try {
    const Manifest manifest = Manifest::build(std::move(bytes), source == "-" ? "standard input" : source, folder.path(), options);
    check.prompts = manifest.size(), check.samples = manifest.total_samples(), check.merged = manifest.merged();
    for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt)
      check.cost += manifest.entry(prompt).cost * manifest.entry(prompt).samples;
  } catch (const Error& error) {
    if (error.code == ExitCode::environment) throw;
    check.refusal = error.what();
    const auto own_file = check.refusal.find("; all are listed in ");   // which is gone when the user reads this
    if (own_file != std::string::npos) check.refusal.erase(own_file);
  }
  read_rejected(folder.path() / "rejected.jsonl", most_rejected, check);
  return check;
}

}  // namespace pyracast
