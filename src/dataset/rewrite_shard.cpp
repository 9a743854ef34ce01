#include "dataset/rewrite_shard.hpp"

#include "base/file.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/shard_reader.hpp"

namespace pyracast {

size_t rewrite_shard(const std::filesystem::path& path, const std::function<bool(const SampleRecord&)>& keep) {
  const ShardReader reader(path);
  std::vector<size_t> kept;
  for (size_t row = 0; row < reader.size(); ++row)
    if (keep(reader.rows()[row])) kept.push_back(row);
  const size_t taken = reader.size() - kept.size();
  if (taken == 0) return 0;
  if (kept.empty()) {
    std::filesystem::remove(path);
    sync_folder(path.parent_path());
    return taken;
  }
  const std::string configuration = hdf5::read_text_attribute(hdf5::open_file(path), "configuration");
  ShardFile shard(path.parent_path() / ("." + path.stem().string() + ".rewritten.tmp"), shard_fingerprint(path), configuration);
  for (const size_t row : kept) shard.append(reader.whole(row));
  shard.seal_as(path);
  return taken;
}

}  // namespace pyracast
