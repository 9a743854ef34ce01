#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pyracast {

/// Throws Error "path: what: the system's reason", with the environment's exit code.
[[noreturn]] void fail_at_the_disk(const std::filesystem::path& path, std::string_view what, int error);

/// A file descriptor; the caller closes it. Throws Error; its code is bad_input where a file to be read is not there, is
/// none or may not be read, the environment's in all other cases.
int open_descriptor(const std::filesystem::path& path, int flags);

/// A whole file mapped read-only; the mapping lives as long as the object.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// The whole file as text. Throws Error naming it.
std::string read_file(const std::filesystem::path& path);

/// Writes the file under a temporary name beside `path`, fsyncs it, renames it into place and fsyncs the folder.
/// Whoever sees `path` sees all of `content`.
void write_atomically(const std::filesystem::path& path, std::string_view content);

/// Adds to the end of a file that is there. Not durable by itself.
void append_to_file(const std::filesystem::path& path, std::string_view content);

/// The second half of write_atomically, for a file that another library wrote: fsync of `temporary`, rename, fsync of the
/// folder.
void publish(const std::filesystem::path& temporary, const std::filesystem::path& path);

/// Makes the names in a folder durable: of files that were made, renamed or removed there.
void sync_folder(const std::filesystem::path& folder);

/// Lower-case hexadecimal SHA-256.
std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view text);
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace pyracast
