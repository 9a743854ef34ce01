// libFuzzer: a shard whose HDF5 is sound but whose structure is odd gives records or an Error. (HDF5 itself is not fuzzed: a
// damaged file does not fit its seal and never reaches it.) The input is a program: four bytes an operation on a sound shard,
// of which the first choose a dataset and what becomes of it: removed, or another of another type, shape and values.
#include <fcntl.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <unistd.h>

#include "base/file.hpp"
#include "dataset/shard_reader.hpp"

using namespace pyracast;
using hdf5::Handle;

namespace {

constexpr const char* datasets[] = {
    "content/id", "content/sample", "content/status", "content/prompt", "content/seed", "content/fps", "content/frames", "content/height",
    "content/width", "content/video", "provenance/started", "provenance/step_offsets", "provenance/step_seconds", "provenance/step_counts",
    "content/latents", "content/latents_offsets", "content/latents_shapes", "content/text_embedding", "content/text_embedding_offsets",
    "content/text_embedding_shapes", "content/frames_2x4x6", "content/frames_2x4x6_rows"};

std::string sound_shard() {
  const std::filesystem::path path = concat("/tmp/pyracast-fuzz-sound-", ::getpid(), ".h5");
  ShardFile shard(path.string() + ".tmp", std::string(64, 'f'), "{}");
  for (int n = 0; n < 3; ++n) {
    SampleRecord record;
    record.id = concat("sample ", n);
    record.frames = 2, record.height = 4, record.width = 6, record.fps = 8;
    record.step_seconds.resize(2);
    record.step_counts.resize(2);
    record.latents = {{1, 2, 1, 3}, std::vector<float>(6, 0.5f)};
    record.text_embedding = {{2, 2}, std::vector<uint16_t>(4, 1)};
    record.pixels = Video{2, 4, 6, 8, std::vector<uint8_t>(2 * 4 * 6 * 3, 9)};
    shard.append(record);
  }
  shard.seal_as(path);
  const std::string bytes = read_file(path);
  std::filesystem::remove(path);
  return bytes;
}

/// Numbers near those that are right, and numbers far from them.
int64_t odd_number(FuzzedDataProvider& input) {
  return input.ConsumeBool() ? input.ConsumeIntegralInRange<int64_t>(-3, 40) : input.ConsumeIntegral<int64_t>();
}

template <class T>
void put(hid_t file, const char* name, FuzzedDataProvider& input) {
  std::vector<hsize_t> shape;
  size_t elements = 1;
  for (int axes = input.ConsumeIntegralInRange(1, 3); axes > 0; --axes) {
    shape.push_back(input.ConsumeIntegralInRange<hsize_t>(axes == 1 ? 0 : 1, 13));
    elements *= size_t(shape.back());
  }
  std::vector<T> values(elements);
  for (T& value : values) value = T(odd_number(input));
  hdf5::write_dataset(file, name, values, values.empty() ? std::vector<hsize_t>{0} : shape);
}

/// A dataset that says it is large and of which nothing is stored.
void put_hollow(hid_t file, const char* name, FuzzedDataProvider& input) {
  const std::vector<hsize_t> shape{input.ConsumeIntegral<hsize_t>() >> 8};
  const Handle space(H5Screate_simple(1, shape.data(), nullptr), H5Sclose, "a shape"), list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "a list");
  const hsize_t chunk = 1;
  H5Pset_chunk(list, 1, &chunk);
  Handle(H5Dcreate2(file, name, H5T_NATIVE_INT64, space, H5P_DEFAULT, list, H5P_DEFAULT), H5Dclose, "a dataset");
}

void change(hid_t file, FuzzedDataProvider& input) {
  const char* name = datasets[input.ConsumeIntegralInRange<size_t>(0, std::size(datasets) - 1)];
  if (hdf5::exists(file, name)) H5Ldelete(file, name, H5P_DEFAULT);
  switch (input.ConsumeIntegralInRange(0, 5)) {
    case 0: return;
    case 1: return put<int64_t>(file, name, input);
    case 2: return put<float>(file, name, input);
    case 3: return put<double>(file, name, input);
    case 4: return put_hollow(file, name, input);
    default: {
      std::vector<std::string> texts(input.ConsumeIntegralInRange<size_t>(0, 5));
      for (std::string& text : texts) text = input.ConsumeRandomLengthString(20);
      return hdf5::write_dataset(file, name, texts);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string sound = sound_shard();
  const std::filesystem::path path = concat("/tmp/pyracast-fuzz-", ::getpid(), ".h5");
  FuzzedDataProvider input(data, size);
  try {
    std::filesystem::remove(path);
    append_to_file((::close(open_descriptor(path, O_RDWR | O_CREAT)), path), sound);
    {
      const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "opening");
      while (input.remaining_bytes() > 2) change(file, input);
    }
    const ShardReader shard(path, ShardCheck::columns);
    for (size_t row = 0; row < shard.size(); ++row) {
      try {
        to_bytes(shard.whole(row));
      } catch (const Error&) {   // an array is odd; the other rows may be whole
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
