#pragma once
#include "base/file_writer.hpp"
#include "base/weight_file.hpp"

namespace pyracast {

/// The tensors of a safetensors file that lies in memory. `owner` keeps `bytes` alive; `file` names it in messages.
/// Throws Error as read_safetensors does.
StoredTensors parse_safetensors(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                                const std::string& file);

/// A tensor of a file that is to be written.
struct DeclaredTensor {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
};

/// Writes a safetensors file whose tensors come one after the other, in the order in which they are declared: where the widest elements
/// come first, each tensor is aligned to its element. As with FileWriter, nothing stays unless publish() is called.
class SafetensorsStream {
 public:
  SafetensorsStream(const std::filesystem::path& path, const std::vector<DeclaredTensor>& tensors);
  /// The next bytes, of tensors that may begin and end within them.
  void write(std::span<const std::byte> bytes);
  /// Throws Error where fewer or more bytes came than were declared.
  void publish();

 private:
  std::string path_;
  FileWriter file_;
  int64_t missing_ = 0;
};

}  // namespace pyracast
