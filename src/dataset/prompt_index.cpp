#include "dataset/prompt_index.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr size_t bytes_a_prompt = sizeof(PromptEntry) + sizeof(IdSlot) + sizeof(uint32_t);
constexpr uint64_t most_prompts = std::numeric_limits<uint32_t>::max();
constexpr uint64_t free_slot = std::numeric_limits<uint64_t>::max();

size_t entries_at() { return sizeof(PromptIndexHeader); }
size_t ids_at(uint64_t prompts) { return entries_at() + prompts * sizeof(PromptEntry); }
size_t order_at(uint64_t prompts) { return ids_at(prompts) + prompts * sizeof(IdSlot); }
size_t end_at(uint64_t prompts) { return sizeof(PromptIndexHeader) + prompts * bytes_a_prompt; }

template <class T>
std::string_view bytes_of_value(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

}  // namespace

uint64_t hash_of_id(std::string_view id) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const unsigned char byte : id) hash = (hash ^ byte) * 0x100000001b3;
  // The table takes the low bits and FNV leaves structure in them: the finaliser of SplitMix64 spreads it.
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

IdTable::IdTable(std::filesystem::path folder) : folder_(std::move(folder)) { grow(); }

void IdTable::grow() {
  const auto old = std::move(memory_);
  const auto before = old ? old->as<IdSlot>(0, capacity_) : std::span<IdSlot>();
  capacity_ = old ? capacity_ * 2 : 1 << 12;
  const auto path = folder_ / ("manifest.ids." + std::to_string(::getpid()) + ".tmp");
  memory_ = std::make_unique<FileMemory>(path, capacity_ * sizeof(IdSlot));
  std::filesystem::remove(path);  // the mapping keeps the file alive, and no kill can leave it behind
  std::fill(slots().begin(), slots().end(), IdSlot{0, free_slot});
  count_ = 0;
  for (const IdSlot& slot : before)
    if (slot.prompt != free_slot) insert(slot.hash, slot.prompt);
}

std::optional<uint64_t> IdTable::find(uint64_t hash, const std::function<bool(uint64_t)>& is_it) const {
  for (size_t at = hash & (capacity_ - 1);; at = (at + 1) & (capacity_ - 1)) {
    const IdSlot slot = slots()[at];
    if (slot.prompt == free_slot) return std::nullopt;
    if (slot.hash == hash && is_it(slot.prompt)) return slot.prompt;
  }
}

void IdTable::insert(uint64_t hash, uint64_t prompt) {
  if (count_ * 3 >= capacity_ * 2) grow();
  size_t at = hash & (capacity_ - 1);
  while (slots()[at].prompt != free_slot) at = (at + 1) & (capacity_ - 1);
  slots()[at] = {hash, prompt};
  ++count_;
}

void IdTable::move_to(std::span<IdSlot> out) {
  assert(out.size() == count_);
  std::copy_if(slots().begin(), slots().end(), out.begin(), [](const IdSlot& s) { return s.prompt != free_slot; });
  memory_.reset();
  capacity_ = count_ = 0;
}

PromptIndexWriter::PromptIndexWriter(std::filesystem::path temporary) : file_(std::move(temporary)) {
  file_.append(bytes_of_value(PromptIndexHeader{}));
}

void PromptIndexWriter::add(const PromptEntry& entry) {
  require(prompts_ < most_prompts, "the manifest has more than ", most_prompts, " prompts; split it");
  file_.append(bytes_of_value(entry));
  ++prompts_;
  samples_ += entry.samples;
}

PromptEntry PromptIndexWriter::read_back(uint64_t prompt) {
  PromptEntry entry;
  std::memcpy(&entry, file_.read_back(entries_at() + prompt * sizeof(entry), sizeof(entry)).data(), sizeof(entry));
  return entry;
}

void PromptIndexWriter::publish(PromptIndexHeader header, IdTable& ids, const std::filesystem::path& path) {
  file_.close();
  {
    const FileMemory memory(file_.path(), end_at(prompts_));
    header.prompts = prompts_;
    header.samples = samples_;
    std::memcpy(memory.bytes().data(), &header, sizeof(header));

    const auto slots = memory.as<IdSlot>(ids_at(prompts_), prompts_);
    ids.move_to(slots);
    std::sort(slots.begin(), slots.end(), [](const IdSlot& a, const IdSlot& b) {
      return std::pair(a.hash, a.prompt) < std::pair(b.hash, b.prompt);
    });

    // Sorted in place: a stable sort would take memory that grows with the manifest.
    const auto entries = memory.as<const PromptEntry>(entries_at(), prompts_);
    const auto order = memory.as<uint32_t>(order_at(prompts_), prompts_);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const double cost_a = entries[a].cost * entries[a].samples, cost_b = entries[b].cost * entries[b].samples;
      return cost_a != cost_b ? cost_a > cost_b : a < b;
    });
  }
  pyracast::publish(file_.path(), path);
}

PromptIndex::PromptIndex(const std::filesystem::path& path) : file_(path) {
  const auto bytes = file_.bytes();
  require(bytes.size() >= sizeof(PromptIndexHeader), path.string(), ": has ", bytes.size(),
          " bytes, too few for an index of prompts; remove it and start again from the manifest");
  header_ = reinterpret_cast<const PromptIndexHeader*>(bytes.data());
  require(std::memcmp(header_->magic, PromptIndexHeader{}.magic, sizeof(header_->magic)) == 0, path.string(),
          ": is no index of prompts of this version; remove it and start again from the manifest");
  const uint64_t prompts = header_->prompts;
  require(prompts <= most_prompts && bytes.size() == end_at(prompts), path.string(), ": has ", bytes.size(),
          " bytes, expected ", end_at(prompts), " for ", prompts,
          " prompts; remove it and start again from the manifest");
  entries_ = {reinterpret_cast<const PromptEntry*>(bytes.data() + entries_at()), prompts};
  ids_ = {reinterpret_cast<const IdSlot*>(bytes.data() + ids_at(prompts)), prompts};
  longest_first_ = {reinterpret_cast<const uint32_t*>(bytes.data() + order_at(prompts)), prompts};
}

void PromptIndex::release() const {
  const auto bytes = file_.bytes();
  ::madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_DONTNEED);
}

std::span<const IdSlot> PromptIndex::with_hash(uint64_t hash) const {
  const auto [first, last] = std::equal_range(ids_.begin(), ids_.end(), IdSlot{hash, 0},
                                              [](const IdSlot& a, const IdSlot& b) { return a.hash < b.hash; });
  return {first, last};
}

}  // namespace pyracast
