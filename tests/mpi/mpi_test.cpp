#include "mpi_test.hpp"

#include "dataset/manifest_on_ranks.hpp"

namespace pyracast {

std::vector<int64_t> gathered(int64_t value) {
  std::vector<int64_t> values(static_cast<size_t>(test_ranks().size()));
  check_mpi(MPI_Allgather(&value, 1, MPI_INT64_T, values.data(), 1, MPI_INT64_T, test_ranks().world()), "gathering");
  return values;
}

MpiTest::MpiTest() {
  std::string name = (std::filesystem::temp_directory_path() / "pyracast-mpi-XXXXXX").string();
  ranks_.on_first([&] { require(::mkdtemp(name.data()) != nullptr, name, ": no such folder can be made"); });
  check_mpi(MPI_Bcast(name.data(), int(name.size()), MPI_CHAR, 0, ranks_.world()), "naming the test's folder");
  folder_ = name;
}

MpiTest::~MpiTest() {
  MPI_Barrier(ranks_.world());
  std::error_code ignored;
  if (ranks_.rank() == 0) std::filesystem::remove_all(folder_, ignored);
}

Manifest MpiTest::manifest_of(int prompts, const std::function<int(int)>& samples) const {
  const auto path = folder_ / "prompts.jsonl";
  ranks_.on_first([&] {
    std::ofstream out(path);
    for (int i = 0; i < prompts; ++i)
      out << Json{{"prompt", concat("prompt ", i)}, {"steps", 1 + i % 7}, {"samples", samples(i)}} << "\n";
  });
  return build_manifest(ranks_, path.string(), folder_,
                        {.cost = [](const Prompt& prompt) { return double(prompt.steps.value()); }});
}

}  // namespace pyracast
