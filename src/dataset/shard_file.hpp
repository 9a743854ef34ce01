#pragma once
// A shard: many samples in one HDF5 file (docs/dataset-format.md). Columns, not groups, so that millions of samples stay
// readable; two groups, `content` and `provenance`, after SampleGroup. Behind the HDF5 file stands its seal (seal.hpp).
#include <functional>
#include <map>
#include <optional>

#include "dataset/hdf5.hpp"
#include "dataset/sample.hpp"

namespace pyracast {

inline constexpr int64_t shard_format_version = 4;

/// One shard that is being written under a temporary name. Arrays go to disk at once, columns when it is sealed.
class ShardFile {
 public:
  /// `configuration` is the run's, as JSON text.
  ShardFile(const std::filesystem::path& temporary, const std::string& fingerprint, const std::string& configuration);

  void append(const SampleRecord& record);
  size_t rows() const { return rows_.size(); }
  /// Bytes of the arrays so far.
  uint64_t bytes() const { return bytes_; }

  /// Writes the columns, closes the file and renames it to `folder`/<2 hex>/shard-<hash of its samples>.h5, durable when
  /// it returns. Gives that path.
  std::filesystem::path seal(const std::filesystem::path& folder);
  /// The same under a given name; what was there is replaced.
  void seal_as(const std::filesystem::path& path);

 private:
  std::filesystem::path temporary_;
  std::string fingerprint_;
  hdf5::Handle file_, content_, provenance_;
  std::vector<SampleRecord> rows_;   // without their arrays
  uint64_t bytes_ = 0;
  std::vector<float> step_seconds_;
  std::vector<int64_t> step_counts_;
  std::vector<int64_t> step_offsets_{0};
  struct FlatArrays {   // one sample's behind the other's
    std::optional<hdf5::GrowingDataset> values;
    std::vector<int64_t> offsets{0}, shapes;
  };
  std::map<std::string, FlatArrays> arrays_;   // by name
  struct PixelBucket {
    hdf5::GrowingDataset clips;
    std::vector<int64_t> rows;
  };
  std::map<std::string, PixelBucket> pixels_;   // by "frames x height x width"

  void write_columns();
};

/// What of a shard is compared with checksums before it is believed.
enum class ShardCheck {
  seal,      ///< the whole file with its seal, before HDF5 sees it: HDF5 1.10 may crash on a file that is damaged
  columns    ///< the columns that are read; for a shard known to be as it was sealed
};

/// Throws Error naming the file where its bytes do not fit its seal; gives the SHA-256 of the whole file.
std::string check_shard_seal(const std::filesystem::path& path);

/// The rows of a sealed shard without their arrays, in order. Throws Error naming the file where it is not a sound
/// shard of this format; with the environment's code where the system cannot read it.
std::vector<SampleRecord> read_shard(const std::filesystem::path& path, ShardCheck check = ShardCheck::seal);

/// The fingerprint a shard was written under, as its seal says.
std::string shard_fingerprint(const std::filesystem::path& path);

/// Sealed shards of a folder and of the folders in it, by name: those of a large dataset are spread over 256 folders.
std::vector<std::filesystem::path> sealed_shards(const std::filesystem::path& folder);

}  // namespace pyracast
