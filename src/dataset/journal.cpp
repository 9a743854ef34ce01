#include "dataset/journal.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "base/file.hpp"

namespace pyracast {

namespace {

constexpr char magic[] = "PYRAJNL1", record_mark[] = "SAMP";
constexpr size_t fingerprint_size = 64, header_size = 8 + fingerprint_size, record_header_size = 4 + 8 + 4;

uint32_t checksum(std::span<const uint8_t> bytes) { return uint32_t(crc32_z(0, bytes.data(), bytes.size())); }

}  // namespace

JournalWriter::JournalWriter(const std::filesystem::path& path, const std::string& fingerprint) : path_(path) {
  require(fingerprint.size() == fingerprint_size, "a fingerprint of ", fingerprint.size(), " characters, expected ", fingerprint_size);
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_at_the_disk(path, "the journal cannot be made", errno);
  const std::string header = magic + fingerprint;
  write({reinterpret_cast<const uint8_t*>(header.data()), header.size()});
  if (::fsync(descriptor_) != 0) fail_at_the_disk(path, "fsync failed", errno);
  sync_folder(path.parent_path());
}

JournalWriter::~JournalWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void JournalWriter::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_at_the_disk(path_, "writing the journal failed", errno);
    bytes = bytes.subspan(size_t(written));
  }
}

void JournalWriter::append(const SampleRecord& record) {
  const std::vector<uint8_t> payload = to_bytes(record);
  std::vector<uint8_t> bytes(record_header_size + payload.size());
  const uint64_t size = payload.size();
  const uint32_t crc = checksum(payload);
  std::memcpy(bytes.data(), record_mark, 4);
  std::memcpy(bytes.data() + 4, &size, 8);
  std::memcpy(bytes.data() + 12, &crc, 4);
  std::memcpy(bytes.data() + record_header_size, payload.data(), payload.size());
  write(bytes);
  if (::fdatasync(descriptor_) != 0) fail_at_the_disk(path_, "fdatasync failed", errno);
}

void JournalWriter::clear() {
  const bool cleared = ::ftruncate(descriptor_, header_size) == 0 && ::lseek(descriptor_, header_size, SEEK_SET) >= 0 &&
                       ::fsync(descriptor_) == 0;
  if (!cleared) fail_at_the_disk(path_, "the journal cannot be cleared", errno);
}

JournalEnd read_journal(std::span<const std::byte> bytes, const std::string& fingerprint,
                        const std::function<void(SampleRecord)>& each) {
  require(fingerprint.size() == fingerprint_size, "a fingerprint of ", fingerprint.size(), " characters, expected ", fingerprint_size);
  JournalEnd end;
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const std::string header = magic + fingerprint;
  end.held_nothing = bytes.size() <= header_size && (bytes.empty() || std::memcmp(data, header.data(), bytes.size()) == 0);
  if (bytes.size() < header_size || std::memcmp(data, magic, 8) != 0) {
    end.problem = "it does not begin as a journal does";
    return end;
  }
  if (std::memcmp(data, header.data(), header_size) != 0) {
    end.problem = concat("it belongs to a run of other settings (fingerprint ",
                         std::string(reinterpret_cast<const char*>(data + 8), fingerprint_size), ", this run's is ", fingerprint, ')');
    return end;
  }
  for (size_t at = header_size; at < bytes.size();) {
    const auto stop = [&](const char* why) { end.problem = concat("record ", end.records + 1, " at byte ", at, ' ', why); };
    if (bytes.size() - at < record_header_size) return stop("is torn"), end;
    uint64_t size;
    uint32_t crc;
    std::memcpy(&size, data + at + 4, 8);
    std::memcpy(&crc, data + at + 12, 4);
    if (std::memcmp(data + at, record_mark, 4) != 0) return stop("does not begin as a record does"), end;
    if (size > bytes.size() - at - record_header_size) return stop("is torn"), end;
    const std::span payload(data + at + record_header_size, size_t(size));
    if (checksum(payload) != crc) return stop("does not fit its checksum"), end;
    SampleRecord record;
    try {
      record = sample_from_bytes(payload);
    } catch (const Error& error) {
      return stop(error.what()), end;
    }
    each(std::move(record));
    ++end.records;
    at += record_header_size + size_t(size);
  }
  return end;
}

JournalEnd read_journal(const std::filesystem::path& path, const std::string& fingerprint,
                        const std::function<void(SampleRecord)>& each) {
  const MappedFile file(path);
  return read_journal(file.bytes(), fingerprint, each);
}

std::string journal_fingerprint(std::span<const std::byte> bytes) {
  if (bytes.size() < header_size) return "";
  return {reinterpret_cast<const char*>(bytes.data()) + header_size - fingerprint_size, fingerprint_size};
}

}  // namespace pyracast
