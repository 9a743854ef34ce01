#pragma once
// Embeddings of texts on disk, many in a file, so that a text encoder need not be there when videos are made. A file is
//   header   "PYRATXT1", 64 characters that say what has encoded the texts, the embeddings' width (uint64)
//   records  key (32 characters, of the text), checksum (64 characters, of key, rows and embedding), rows (uint64); then the embedding,
//            float32 [rows, width]: of the tokens that count, and of padding only where the network reads it
//   index    of each record, sorted by key: its first 104 bytes again, and where its embedding begins (uint64)
//   seal     SHA-256 of header and index (64 characters), records (uint64), "PYRATXTE"
// Numbers are little-endian, hashes hexadecimal. While it is written its name ends in ".tmp", and there is no index; what a killed job left
// behind is read by its records' checksums.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "pipeline/text_to_encode.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// What stands for a text in such files.
std::string key_of(const TextToEncode& text);

/// A file of encoded texts that is being written.
class TextFile {
 public:
  /// A new one that is to be called `path`. `encoder`: 64 characters, equal where the same embeddings come out.
  TextFile(std::filesystem::path path, const std::string& encoder, int64_t width);
  /// What a job left behind under `temporary`, up to the first record that is not sound. Throws Error where not even its header is.
  static TextFile left_behind(const std::filesystem::path& temporary);
  ~TextFile();
  TextFile(TextFile&&) noexcept;

  /// The embedding [rows, width] of the text with this key.
  void append(const std::string& key, const HostTensor& embedding);
  size_t texts() const;
  /// Writes the index and puts the file into place, durable when it returns; one without texts is removed.
  void seal();

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
  explicit TextFile(std::unique_ptr<Contents> contents);
};

/// The texts of sealed files. Nothing of them is held in memory: files are mapped, and what is asked for is read.
class StoredTexts {
 public:
  /// Files of another encoder are left out. `say` hears of embeddings that are not what was written.
  StoredTexts(const std::vector<std::filesystem::path>& files, const std::string& encoder, std::function<void(const std::string&)> say);
  ~StoredTexts();

  /// The embedding [rows, width]; nothing where it is not there, or damaged.
  std::optional<HostTensor> find(const TextToEncode& text) const;

 private:
  struct File;
  std::vector<std::unique_ptr<File>> files_;
  std::function<void(const std::string&)> say_;
};

/// Of so many sealed files together, with `texts` texts whose embeddings have `values` numbers in all.
uint64_t bytes_of_text_files(uint64_t files, uint64_t texts, uint64_t values);

/// Whether the file's index is what was written. Throws Error where the system cannot read it.
bool is_sealed_text_file(const std::filesystem::path& path);

}  // namespace pyracast
