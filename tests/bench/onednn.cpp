// Debian's oneDNN beside our matrix products and convolutions, in turns with `pyracast bench --on-request` (peers.py): names of
// stages come line by line on standard input, each is run once and answered by a line of JSON. `rows` answers how many values
// of a row change when the matrix has other rows below it, or another number of threads. Built where libdnnl-dev is; the
// product does not use it.
#include <omp.h>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "base/error.hpp"
#include "kernels/cpu/peak.hpp"

namespace {

using namespace dnnl;
using Dims = memory::dims;
constexpr auto f32 = memory::data_type::f32;

engine& cpu() {
  static engine only(engine::kind::cpu, 0);
  return only;
}

memory filled(const memory::desc& description, unsigned seed) {
  memory out(description, cpu());
  auto* values = static_cast<float*>(out.get_data_handle());
  for (size_t i = 0; i < description.get_size() / 4; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = float(seed >> 8) / 16777216.f - 0.5f;
  }
  return out;
}

/// Memory in the layout that a primitive asks for; weights are laid out once, as ours are packed once.
memory in_layout(const memory& x, const memory::desc& wanted) {
  if (x.get_desc() == wanted) return x;
  memory out(wanted, cpu());
  stream s(cpu());
  reorder(x, out).execute(s, const_cast<memory&>(x), out);
  s.wait();
  return out;
}

struct Stage {
  primitive run;
  std::unordered_map<int, memory> arguments;
  void operator()() {
    stream s(cpu());
    run.execute(s, arguments);
    s.wait();
  }
};

Stage product(int64_t rows, int64_t depth, int64_t columns) {
  using tag = memory::format_tag;
  const memory::desc x({rows, depth}, f32, tag::ab), weight({depth, columns}, f32, tag::any), bias({1, columns}, f32, tag::ab),
      out({rows, columns}, f32, tag::ab);
  const matmul::primitive_desc description(matmul::desc(x, weight, bias, out), cpu());
  const memory plain = filled(memory::desc({depth, columns}, f32, tag::ba), 2);
  return {matmul(description), {{DNNL_ARG_SRC, filled(x, 1)}, {DNNL_ARG_WEIGHTS, in_layout(plain, description.weights_desc())},
                                {DNNL_ARG_BIAS, filled(bias, 3)}, {DNNL_ARG_DST, memory(out, cpu())}}};
}

Stage convolution(const std::vector<int64_t>& kernel, int64_t in, int64_t out, Dims size) {
  using tag = memory::format_tag;
  const bool flat = kernel.size() == 2;
  if (flat) size.erase(size.begin());
  const auto channels_last = flat ? tag::nhwc : tag::ndhwc;
  const auto with = [](int64_t a, int64_t b, const Dims& rest) {
    Dims dims{a, b};
    dims.insert(dims.end(), rest.begin(), rest.end());
    return dims;
  };
  Dims before, after;
  for (size_t axis = 0; axis < kernel.size(); ++axis) {
    const bool causal = !flat && axis == 0;   // along time all padding lies in front
    before.push_back(causal ? kernel[axis] - 1 : kernel[axis] / 2);
    after.push_back(causal ? 0 : kernel[axis] / 2);
  }
  const memory::desc x(with(1, in, size), f32, channels_last), y(with(1, out, size), f32, channels_last);
  const memory::desc weight(with(out, in, kernel), f32, tag::any), bias({out}, f32, tag::a);
  const convolution_forward::primitive_desc description(convolution_forward::desc(prop_kind::forward_inference, algorithm::convolution_direct, x,
                                                                                  weight, bias, y, Dims(kernel.size(), 1), before, after),
                                                        cpu());
  const memory plain = filled(memory::desc(with(out, in, kernel), f32, flat ? tag::oihw : tag::oidhw), 2);
  return {convolution_forward(description), {{DNNL_ARG_SRC, filled(x, 1)}, {DNNL_ARG_WEIGHTS, in_layout(plain, description.weights_desc())},
                                             {DNNL_ARG_BIAS, filled(bias, 3)}, {DNNL_ARG_DST, memory(y, cpu())}}};
}

std::vector<int64_t> numbers(const std::string& text) {
  std::vector<int64_t> all;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, 'x');) all.push_back(std::stoll(part));
  return all;
}

/// gemm-ROWSxDEPTHxCOLUMNS, conv-KERNEL-IN-OUT-at-SIZE.
Stage stage_of(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream words(name);
  for (std::string word; std::getline(words, word, '-');) parts.push_back(word);
  if (parts.size() == 2 && parts[0] == "gemm") {
    const auto sizes = numbers(parts[1]);
    return product(sizes.at(0), sizes.at(1), sizes.at(2));
  }
  pyracast::require(parts.size() == 6 && parts[0] == "conv", "there is no stage \"", name, '"');
  return convolution(numbers(parts[1]), std::stoll(parts[2]), std::stoll(parts[3]), numbers(parts[5]));
}

/// How many values of the first rows differ from those of the same rows among 1500, on one thread.
int64_t changed(int64_t rows, int64_t depth, int64_t columns, int threads) {
  omp_set_num_threads(1);
  Stage whole = product(1500, depth, columns);
  whole();
  omp_set_num_threads(threads);
  Stage part = product(rows, depth, columns);
  const size_t in_bytes = size_t(rows * depth) * 4;
  for (const int argument : {DNNL_ARG_SRC, DNNL_ARG_BIAS})
    std::memcpy(part.arguments.at(argument).get_data_handle(), whole.arguments.at(argument).get_data_handle(),
                argument == DNNL_ARG_SRC ? in_bytes : size_t(columns) * 4);
  part();
  omp_set_num_threads(1);
  const auto* a = static_cast<const float*>(whole.arguments.at(DNNL_ARG_DST).get_data_handle());
  const auto* b = static_cast<const float*>(part.arguments.at(DNNL_ARG_DST).get_data_handle());
  int64_t different = 0;
  for (int64_t i = 0; i < rows * columns; ++i) different += std::memcmp(a + i, b + i, 4) != 0;
  return different;
}

void answer_rows() {
  std::string found;
  for (const auto& [depth, columns] : {std::pair<int64_t, int64_t>{1152, 3456}, {1152, 1152}, {4608, 1152}})
    for (const int64_t rows : {1, 7, 120, 750, 1500})
      for (const int threads : {1, 2, 3})
        if (const int64_t values = changed(rows, depth, columns, threads))
          found += pyracast::concat(found.empty() ? "" : ", ", "{\"rows\": ", rows, ", \"depth\": ", depth, ", \"columns\": ", columns,
                                    ", \"threads\": ", threads, ", \"changed\": ", values, ", \"of\": ", rows * columns, '}');
  std::printf("[%s]\n", found.c_str());
}

}  // namespace

int main() {
  omp_set_num_threads(1);
  std::map<std::string, Stage> kept;
  for (std::string name; std::getline(std::cin, name);) {
    if (name == "rows") {
      answer_rows();
    } else {
      if (!kept.contains(name)) {
        kept.clear();
        kept.emplace(name, stage_of(name)).first->second();
      }
      const double start = pyracast::thread_cpu_seconds();
      kept.at(name)();
      std::printf("{\"stage\": \"%s\", \"cpu_seconds\": %.9f}\n", name.c_str(), pyracast::thread_cpu_seconds() - start);
    }
    std::fflush(stdout);
  }
}
