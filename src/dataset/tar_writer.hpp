#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct archive;

namespace pyracast {

/// A tar file under a temporary name that close() renames into place. The same members give the same bytes: no times, no
/// owners.
class TarWriter {
 public:
  explicit TarWriter(const std::filesystem::path& path);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  /// Throws Error naming the tar file.
  void add(const std::string& name, std::string_view content);
  /// Durable when it returns.
  void close();

  /// Bytes that a member of this size takes, without what a long name adds.
  static uint64_t bytes_of(uint64_t content) { return 512 + (content + 511) / 512 * 512; }

 private:
  struct Free {
    void operator()(archive* a) const;
  };
  std::filesystem::path path_, temporary_;
  std::unique_ptr<archive, Free> archive_;
  void check(int result, const char* action);
};

}  // namespace pyracast
