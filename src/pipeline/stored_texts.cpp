#include "pipeline/stored_texts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.hpp"
#include "base/sha256.hpp"

namespace pyracast {

// As they lie in the file: no member needs padding in front of it.
struct TextFileHeader {
  char magic[8], encoder[64];
  uint64_t width;
};
struct TextRecordHead {
  char key[32], checksum[64];
  uint64_t rows;
};
struct TextIndexEntry {
  TextRecordHead head;
  uint64_t offset;
};
struct TextFileSeal {
  char hash[64];
  uint64_t records;
  char magic[8];
};

namespace {

namespace fs = std::filesystem;

constexpr std::string_view magic = "PYRATXT1", end_magic = "PYRATXTE", temporary_ending = ".tmp";

static_assert(sizeof(TextFileHeader) == 80 && sizeof(TextRecordHead) == 104 && sizeof(TextIndexEntry) == 112 && sizeof(TextFileSeal) == 80);

using Bytes = std::span<const std::byte>;

template <class T>
Bytes bytes_of(const T& value) { return std::as_bytes(std::span(&value, 1)); }

template <class T>
std::optional<T> read_at(Bytes file, size_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

template <size_t size>
void put(char (&to)[size], std::string_view text) {
  require(text.size() == size, "an encoded text's hash is \"", text, "\", expected ", size, " characters");
  std::memcpy(to, text.data(), size);
}

template <size_t size>
std::string_view text_of(const char (&from)[size]) { return {from, size}; }

std::string checksum_of(const TextRecordHead& head, Bytes embedding) {
  Sha256 hash;
  hash.add(text_of(head.key));
  hash.add(bytes_of(head.rows));
  hash.add(embedding);
  return hash.hexadecimal();
}

/// The embedding at `offset`, where all of it is there.
std::optional<Bytes> embedding_at(Bytes file, uint64_t offset, uint64_t rows, uint64_t width) {
  const uint64_t there = offset <= file.size() ? file.size() - offset : 0;
  if (width == 0 || rows > there / sizeof(float) / width) return std::nullopt;
  return file.subspan(offset, rows * width * sizeof(float));
}

bool is_sound(const TextRecordHead& head, const std::optional<Bytes>& embedding) {
  return embedding && text_of(head.checksum) == checksum_of(head, *embedding);
}

std::optional<TextFileHeader> header_of(Bytes file) {
  const auto header = read_at<TextFileHeader>(file, 0);
  return header && text_of(header->magic) == magic ? header : std::nullopt;
}

std::string seal_hash(const TextFileHeader& header, Bytes index) {
  Sha256 hash;
  hash.add(bytes_of(header));
  hash.add(index);
  return hash.hexadecimal();
}

/// The index of a sealed file; nothing where it is not what was written.
std::optional<Bytes> index_of(Bytes file) {
  const auto header = header_of(file);
  if (!header || file.size() < sizeof(TextFileHeader) + sizeof(TextFileSeal)) return std::nullopt;
  const auto seal = read_at<TextFileSeal>(file, file.size() - sizeof(TextFileSeal));
  if (text_of(seal->magic) != end_magic) return std::nullopt;
  const size_t room = file.size() - sizeof(TextFileHeader) - sizeof(TextFileSeal);
  if (seal->records > room / sizeof(TextIndexEntry)) return std::nullopt;
  const size_t bytes = seal->records * sizeof(TextIndexEntry);
  const Bytes index = file.subspan(file.size() - sizeof(TextFileSeal) - bytes, bytes);
  return text_of(seal->hash) == seal_hash(*header, index) ? std::optional(index) : std::nullopt;
}

}  // namespace

std::string key_of(const TextToEncode& text) {
  return sha256(concat(text.most, ' ', int(text.padding), '\n', text.text)).substr(0, sizeof(TextRecordHead::key));
}

struct TextFile::Contents {
  fs::path path, temporary;
  TextFileHeader header;
  std::vector<TextIndexEntry> index;
  uint64_t end = 0;
  bool sealed = false;

  void append(Bytes bytes) {
    append_to_file(temporary, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    end += bytes.size();
  }
};

TextFile::TextFile(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
TextFile::TextFile(TextFile&&) noexcept = default;
TextFile::~TextFile() = default;

TextFile::TextFile(fs::path path, const std::string& encoder, int64_t width) : contents_(std::make_unique<Contents>()) {
  Contents& c = *contents_;
  c.path = std::move(path);
  c.temporary = c.path.string() + std::string(temporary_ending);
  put(c.header.magic, magic);
  put(c.header.encoder, encoder);
  c.header.width = uint64_t(width);
  ::close(open_descriptor(c.temporary, O_WRONLY | O_CREAT | O_EXCL));
  c.append(bytes_of(c.header));
}

TextFile TextFile::left_behind(const fs::path& temporary) {
  auto contents = std::make_unique<Contents>();
  Contents& c = *contents;
  c.temporary = temporary;
  c.path = fs::path(temporary).replace_extension();
  {
    const MappedFile mapped(temporary);
    const Bytes file = mapped.bytes();
    const auto header = header_of(file);
    require(header.has_value(), temporary.string(), ": is no file of encoded texts, or was cut in its header");
    c.header = *header;
    c.end = sizeof(TextFileHeader);
    while (const auto head = read_at<TextRecordHead>(file, c.end)) {
      const uint64_t offset = c.end + sizeof(TextRecordHead);
      const auto embedding = embedding_at(file, offset, head->rows, header->width);
      if (!is_sound(*head, embedding)) break;
      c.index.push_back({*head, offset});
      c.end = offset + embedding->size();
    }
  }
  if (::truncate(temporary.c_str(), off_t(c.end)) != 0) fail_at_the_disk(temporary, "cannot be cut behind its last sound text", errno);
  return TextFile(std::move(contents));
}

void TextFile::append(const std::string& key, const HostTensor& embedding) {
  Contents& c = *contents_;
  require(embedding.shape.size() == 2 && uint64_t(embedding.shape[1]) == c.header.width, c.path.string(), ": takes embeddings ", c.header.width,
          " wide, and got one of ", embedding.shape);
  TextRecordHead head;
  put(head.key, key);
  head.rows = uint64_t(embedding.shape[0]);
  const Bytes values = std::as_bytes(std::span(embedding.values));
  put(head.checksum, checksum_of(head, values));
  c.append(bytes_of(head));
  c.index.push_back({head, c.end});
  c.append(values);
}

size_t TextFile::texts() const { return contents_->index.size(); }

void TextFile::seal() {
  Contents& c = *contents_;
  if (c.index.empty()) {
    fs::remove(c.temporary);
    return;
  }
  const auto by_key = [](const TextIndexEntry& a, const TextIndexEntry& b) { return text_of(a.head.key) < text_of(b.head.key); };
  std::sort(c.index.begin(), c.index.end(), by_key);
  const Bytes index = std::as_bytes(std::span(c.index));
  TextFileSeal seal;
  put(seal.hash, seal_hash(c.header, index));
  seal.records = c.index.size();
  put(seal.magic, end_magic);
  c.append(index);
  c.append(bytes_of(seal));
  publish(c.temporary, c.path);
}

struct StoredTexts::File {
  explicit File(const fs::path& of) : path(of), mapped(of) {}
  fs::path path;
  MappedFile mapped;
  Bytes index;
  uint64_t width = 0;

  TextIndexEntry entry(size_t i) const { return *read_at<TextIndexEntry>(index, i * sizeof(TextIndexEntry)); }

  std::optional<TextIndexEntry> find(std::string_view key) const {
    size_t begin = 0, end = index.size() / sizeof(TextIndexEntry);
    while (begin < end) {
      const size_t middle = (begin + end) / 2;
      const TextIndexEntry found = entry(middle);
      if (text_of(found.head.key) == key) return found;
      if (text_of(found.head.key) < key) begin = middle + 1;
      else end = middle;
    }
    return std::nullopt;
  }
};

StoredTexts::StoredTexts(const std::vector<fs::path>& files, const std::string& encoder, std::function<void(const std::string&)> say)
    : say_(std::move(say)) {
  for (const fs::path& path : files) {
    auto file = std::make_unique<File>(path);
    const auto index = index_of(file->mapped.bytes());
    require(index.has_value(), path.string(), ": its index of encoded texts is not what was written");
    const TextFileHeader header = *header_of(file->mapped.bytes());
    if (text_of(header.encoder) != encoder) continue;
    file->index = *index;
    file->width = header.width;
    files_.push_back(std::move(file));
  }
}

StoredTexts::~StoredTexts() = default;

std::optional<HostTensor> StoredTexts::find(const TextToEncode& text) const {
  const std::string key = key_of(text);
  for (const auto& file : files_) {
    const auto entry = file->find(key);
    if (!entry) continue;
    const auto embedding = embedding_at(file->mapped.bytes(), entry->offset, entry->head.rows, file->width);
    if (!is_sound(entry->head, embedding)) {
      say_(concat(file->path.string(), ": the embedding of a text is not what was written (\"", text.text, "\")"));
      continue;   // another file may have it as well: what was found damaged is encoded anew
    }
    HostTensor found{{int64_t(entry->head.rows), int64_t(file->width)}, std::vector<float>(embedding->size() / sizeof(float))};
    std::memcpy(found.values.data(), embedding->data(), embedding->size());
    return found;
  }
  return std::nullopt;
}

uint64_t bytes_of_text_files(uint64_t files, uint64_t texts, uint64_t values) {
  return files * (sizeof(TextFileHeader) + sizeof(TextFileSeal)) + texts * (sizeof(TextRecordHead) + sizeof(TextIndexEntry)) + values * sizeof(float);
}

bool is_sealed_text_file(const fs::path& path) { return index_of(MappedFile(path).bytes()).has_value(); }

}  // namespace pyracast
