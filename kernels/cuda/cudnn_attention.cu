// Attention by cuDNN's graph API ("cuDNN Backend", descriptors of 9.13 and newer): a graph of one operation, scaled dot product attention. Its
// engine is the first that the heuristics name for a shape and that makes do with the workspace, kept for the next attention of that shape, as
// an algorithm of products is (tensor_cores.cu).
#include <cudnn.h>

#include <compare>
#include <map>
#include <optional>

#include "kernels/cuda/library_attention.hpp"

namespace pyracast::cuda {
namespace {

std::string last_reason() {
  char reason[512] = {};
  cudnnGetLastErrorString(reason, sizeof reason);
  return reason;
}

void check(cudnnStatus_t result, std::string_view what) {
  if (result == CUDNN_STATUS_SUCCESS) return;
  throw Error(concat("cuDNN: ", what, " failed: ", cudnnGetErrorString(result), ": ", last_reason(), ": --gpu-attention own does without it"),
              ExitCode::environment);
}

class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) { check(cudnnBackendCreateDescriptor(type, &made_), "making a descriptor"); }
  ~Descriptor() {
    if (made_) cudnnBackendDestroyDescriptor(made_);
  }
  Descriptor(Descriptor&& from) noexcept : made_(std::exchange(from.made_, nullptr)) {}

  cudnnBackendDescriptor_t get() const { return made_; }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::initializer_list<T> values) {
    check(cudnnBackendSetAttribute(made_, name, type, int64_t(values.size()), std::data(values)), "describing an attention");
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& other) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, {other.made_});
  }
  cudnnStatus_t finalize() { return cudnnBackendFinalize(made_); }
  void finish(std::string_view what) { check(finalize(), what); }

 private:
  cudnnBackendDescriptor_t made_ = nullptr;
};

/// What tells attentions apart that run by different plans.
struct ShapeOfCall {
  int64_t batch, queries, keys, heads, size, q_row, k_row, v_row;
  ShapeOfCall(const NarrowAttentionCall& call, int64_t batch, int64_t keys)
      : batch(batch),
        queries(call.queries),
        keys(keys),
        heads(call.heads),
        size(call.size),
        q_row(call.q_row),
        k_row(call.k_row),
        v_row(call.v_row) {}
  auto operator<=>(const ShapeOfCall&) const = default;
};

enum Tensors : int64_t { queries = 1, keys, values, out, scale };   // names of a graph's tensors

Descriptor tensor(int64_t name, cudnnDataType_t type, int64_t alignment, std::initializer_list<int64_t> shape, std::initializer_list<int64_t> strides,
                  bool on_host) {
  Descriptor made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, {name});
  made.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, {type});
  made.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, {alignment});
  made.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, shape);
  made.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides);
  made.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, {on_host});
  made.finish("describing a tensor");
  return made;
}

/// [batch, heads, tokens, size] that lies [batch, tokens, heads, size], rows so far apart.
Descriptor tokens(int64_t name, const ShapeOfCall& shape, int64_t count, int64_t row) {
  return tensor(name, CUDNN_DATA_BFLOAT16, 16, {shape.batch, shape.heads, count, shape.size}, {count * row, shape.size, row, 1}, false);
}

/// A number that lies in the host's memory.
Descriptor number(int64_t name) { return tensor(name, CUDNN_DATA_FLOAT, sizeof(float), {1, 1, 1, 1}, {1, 1, 1, 1}, true); }

/// Attentions of one shape. What it was made of lives as long as it does.
class Plan {
 public:
  Plan(const Descriptor& gpu, const ShapeOfCall& shape)
      : tensors_{tokens(queries, shape, shape.queries, shape.q_row), tokens(keys, shape, shape.keys, shape.k_row),
                 tokens(values, shape, shape.keys, shape.v_row), tokens(out, shape, shape.queries, shape.heads * shape.size), number(scale)},
        operation_(CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR), graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    operation_.set(CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, tensors_[0]);
    operation_.set(CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, tensors_[1]);
    operation_.set(CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, tensors_[2]);
    operation_.set(CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, tensors_[3]);
    operation_.set(CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, tensors_[4]);
    operation_.finish("describing an attention");
    graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation_);
    graph_.finish("making a graph of an attention");
    std::string reason = "its heuristics name no engine";
    for (Descriptor& engine : engines(gpu))
      if (reason = refusal(gpu, engine); reason.empty()) return;
    throw Error(concat("cuDNN has no attention of ", shape.batch, " times ", shape.queries, " queries and ", shape.keys, " keys in ", shape.heads,
                       " heads of ", shape.size, " (", reason, "): use --gpu-attention own"), ExitCode::environment);
  }

  int64_t workspace_bytes() const { return workspace_bytes_; }

  void execute(cudnnHandle_t library, const NarrowAttentionCall& call, void* workspace) const {
    float factor = call.scale;
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, {queries, keys, values, out, scale});
    pack.set<const void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, {call.q, call.k, call.v, call.out, &factor});
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, {workspace});
    pack.finish("pointing to an attention's tensors");
    check(cudnnBackendExecute(library, plan_->get(), pack.get()), "an attention");
  }

 private:
  Descriptor tensors_[5], operation_, graph_;
  std::optional<Descriptor> engine_, plan_;   // chosen
  int64_t workspace_bytes_ = 0;

  /// Those that the heuristics name, the fastest first.
  std::vector<Descriptor> engines(const Descriptor& gpu) const {
    Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, {CUDNN_HEUR_MODE_A});
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, gpu);
    heuristics.finish("looking for an attention's engines");
    int64_t count = 0;
    const auto results = [&](int64_t room, void* to) {
      check(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, room, &count, to),
            "looking for an attention's engines");
    };
    results(0, nullptr);
    std::vector<Descriptor> found;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (int64_t i = 0; i < count; ++i) handles.push_back(found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
    results(count, handles.data());
    while (int64_t(found.size()) > count) found.pop_back();
    return found;
  }

  /// Takes this engine; or says why it does not do.
  std::string refusal(const Descriptor& gpu, Descriptor& engine) {
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, gpu);
    if (plan.finalize() != CUDNN_STATUS_SUCCESS) return last_reason();
    int64_t count = 0;
    check(cudnnBackendGetAttribute(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &workspace_bytes_),
          "asking for an attention's workspace");
    if (workspace_bytes_ > int64_t(library_workspace_bytes))
      return concat("it takes ", workspace_bytes_, " bytes of workspace, and has ", library_workspace_bytes);
    engine_.emplace(std::move(engine));
    plan_.emplace(std::move(plan));
    return "";
  }
};

/// The GPU with this index, or one that is described.
Descriptor gpu_of(int device) {
  Descriptor gpu(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  gpu.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, {int32_t(device)});
  gpu.finish("asking for the GPU's properties");
  return gpu;
}
Descriptor gpu_of(const std::string& properties) {
  Descriptor gpu(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  check(cudnnBackendSetAttribute(gpu.get(), CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, int64_t(properties.size()),
                                 properties.data()), "reading a GPU's properties");
  gpu.finish("reading a GPU's properties");
  return gpu;
}

class Cudnn final : public LibraryAttention {
 public:
  Cudnn(int device, void* workspace) : gpu_(gpu_of(device)), workspace_(workspace) {
    check(cudnnCreate(&library_), "starting");
  }
  ~Cudnn() override { cudnnDestroy(library_); }
  Cudnn(const Cudnn&) = delete;
  Cudnn& operator=(const Cudnn&) = delete;

  std::string version() const override { return concat("cudnn", cudnnGetVersion()); }

  void attend(cudaStream_t stream, const NarrowAttentionCall& call, int64_t batch, int64_t keys) override {
    const ShapeOfCall shape(call, batch, keys);
    const Plan& plan = plans_.try_emplace(shape, gpu_, shape).first->second;
    check(cudnnSetStream(library_, stream), "choosing the stream");
    plan.execute(library_, call, workspace_);
  }

 private:
  Descriptor gpu_;
  void* workspace_;
  cudnnHandle_t library_ = nullptr;
  std::map<ShapeOfCall, Plan> plans_;
};

}  // namespace

std::unique_ptr<LibraryAttention> make_library_attention(int device, void* workspace) {
  return std::make_unique<Cudnn>(device, workspace);
}

int64_t compile_library_attention(const std::string& properties, const NarrowAttentionCall& call, int64_t batch, int64_t keys) {
  return Plan(gpu_of(properties), {call, batch, keys}).workspace_bytes();
}

}  // namespace pyracast::cuda
