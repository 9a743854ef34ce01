// Matrix products by cuBLASLt. The algorithm is the first that its heuristics name for a shape, kept for the next product
// of that shape: timing several would choose differently from run to run, and with it the bits.
#include <cublasLt.h>

#include <map>
#include <tuple>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/scratch.hpp"
#include "kernels/cuda/tensor_cores.hpp"

namespace pyracast::cuda {
namespace {

void check(cublasStatus_t result, std::string_view what) {
  if (result == CUBLAS_STATUS_SUCCESS) return;
  throw Error(concat("cuBLASLt: ", what, " failed: ", cublasLtGetStatusString(result), " (", cublasLtGetStatusName(result), ")"),
              ExitCode::environment);
}

/// A handle that is given back by `Destroy`.
template <class Handle, cublasStatus_t (*Destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle) Destroy(handle);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle handle = nullptr;
};

/// A matrix as cuBLASLt sees it, column-major: ours [rows, depth] row-major is depth x rows there.
struct Layout : Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> {
  Layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t column_stride) {
    check(cublasLtMatrixLayoutCreate(&handle, type, uint64_t(rows), uint64_t(columns), column_stride), "describing a matrix");
  }
};

struct Description : Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> {
  Description() { check(cublasLtMatmulDescCreate(&handle, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product"); }
  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, Value value) {
    check(cublasLtMatmulDescSetAttribute(handle, attribute, &value, sizeof value), "describing a product");
  }
};

struct Preference : Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> {
  explicit Preference(size_t workspace_bytes) {
    check(cublasLtMatmulPreferenceCreate(&handle), "choosing an algorithm");
    check(cublasLtMatmulPreferenceSetAttribute(handle, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                               sizeof workspace_bytes), "choosing an algorithm");
    const uint32_t in_float32 = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;   // sums of parts of the depth; else they may be kept in out's type
    check(cublasLtMatmulPreferenceSetAttribute(handle, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &in_float32, sizeof in_float32),
          "choosing an algorithm");
  }
};

cudaDataType_t type_of(DType type) {
  switch (type) {
    case DType::bfloat16: return CUDA_R_16BF;
    case DType::float8: return CUDA_R_8F_E4M3;
    default: return CUDA_R_32F;
  }
}

cublasLtEpilogue_t epilogue_of(Activation activation, bool bias) {
  switch (activation) {   // cuBLASLt's GELU is the tanh approximation
    case Activation::relu: return bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case Activation::gelu_tanh: return bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    default: return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  }
}

/// Products of one shape: what cuBLASLt needs to know, and its algorithm.
struct Plan {
  Layout right, left, out;
  Description description;
  cublasLtMatmulAlgo_t algorithm{};
  Activation applied = Activation::none;

  Plan(cublasLtHandle_t library, const TensorCoreProduct& p, size_t workspace_bytes)
      : right(type_of(p.factors), p.depth, p.columns, p.depth), left(type_of(p.factors), p.depth, p.rows, p.depth),
        out(type_of(p.out_type), p.columns, p.rows, p.out_row ? p.out_row : p.columns) {
    // out^T [columns x rows] = right [columns x depth] left^T, all column-major.
    description.set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    description.set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    if (p.bias) description.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(bias_type(p.factors, p.out_type)));
    if (p.factors == DType::float8)
      for (const auto mode : {CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_DESC_B_SCALE_MODE})
        description.set(mode, int32_t(CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F));
    point_to(p);
    const Preference preference(workspace_bytes);
    for (const Activation activation : {p.activation, Activation::none})
      if (choose(library, activation, p.bias != nullptr, preference)) return;
    fail("cuBLASLt has no ", name_of(p.factors), " product of [", p.rows, ", ", p.depth, "] and [", p.columns, ", ", p.depth, "] (",
         cublasLtGetStatusName(refusal), "): use --dtype ", p.factors == DType::float8 ? "bfloat16" : "float32");
  }

  /// What lies elsewhere from product to product, besides the factors themselves.
  void point_to(const TensorCoreProduct& p) {
    if (p.bias) description.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    if (p.factors != DType::float8) return;
    description.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p.right.scales);   // A is the right factor
    description.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, p.left.scales);
  }

 private:
  cublasStatus_t refusal = CUBLAS_STATUS_NOT_SUPPORTED;

  bool choose(cublasLtHandle_t library, Activation activation, bool bias, const Preference& preference) {
    if (activation == Activation::silu) return false;
    description.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(activation, bias));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t result = cublasLtMatmulAlgoGetHeuristic(library, description.handle, right.handle, left.handle, out.handle,
                                                                 out.handle, preference.handle, 1, &best, &found);
    if (result != CUBLAS_STATUS_SUCCESS) refusal = result;
    switch (result) {   // what is not there is refused in several ways
      case CUBLAS_STATUS_NOT_SUPPORTED:
      case CUBLAS_STATUS_INVALID_VALUE:
      case CUBLAS_STATUS_ARCH_MISMATCH: return false;
      default: check(result, "choosing an algorithm");
    }
    if (found == 0) return false;
    algorithm = best.algo;
    applied = activation;
    return true;
  }
};

class CublasLt final : public TensorCores {
 public:
  explicit CublasLt(void* workspace) : workspace_(workspace) {
    check(cublasLtCreate(&library_.handle), "starting");
  }

  std::string version() const override { return concat("cublas", cublasLtGetVersion()); }

  Activation multiply(const TensorCoreProduct& p, void* stream) override {
    if (p.rows > most_rows) return multiply_in_pieces(p, stream);
    const Key key{p.factors, p.rows, p.columns, p.depth, p.activation, p.bias != nullptr, p.out_type, p.out_row};
    Plan& plan = plans_.try_emplace(key, library_.handle, p, library_workspace_bytes).first->second;
    plan.point_to(p);
    const float one = 1, of_residual = p.residual ? 1 : 0;
    check(cublasLtMatmul(library_.handle, plan.description.handle, &one, p.right.data, plan.right.handle, p.left.data, plan.left.handle,
                         &of_residual, p.residual ? p.residual : p.out, plan.out.handle, p.out, plan.out.handle, &plan.algorithm, workspace_,
                         library_workspace_bytes, static_cast<cudaStream_t>(stream)), "a product");
    return plan.applied == p.activation ? Activation::none : p.activation;
  }

 private:
  /// Of a product: cuBLAS has had bounds on the number of its tiles. Pieces begin at multiples of 256 bytes.
  static constexpr int64_t most_rows = 1 << 20;
  using Key = std::tuple<DType, int64_t, int64_t, int64_t, Activation, bool, DType, int64_t>;
  Owned<cublasLtHandle_t, cublasLtDestroy> library_;
  void* workspace_;
  std::map<Key, Plan> plans_;

  Activation multiply_in_pieces(const TensorCoreProduct& whole, void* stream) {
    for (int64_t first = 0; first < whole.rows; first += most_rows) {
      TensorCoreProduct piece = whole;
      piece.activation = Activation::none;   // left to the caller: cuBLASLt may have it for some of the pieces only
      piece.rows = std::min(most_rows, whole.rows - first);
      piece.left.data = static_cast<const char*>(whole.left.data) + first * whole.depth * int64_t(size_of(whole.factors));
      if (whole.left.scales) piece.left.scales += first;
      const int64_t before = first * (whole.out_row ? whole.out_row : whole.columns) * int64_t(size_of(whole.out_type));
      if (whole.residual) piece.residual = static_cast<const char*>(whole.residual) + before;
      piece.out = static_cast<char*>(whole.out) + before;
      multiply(piece, stream);
    }
    return whole.activation;
  }
};

}  // namespace

std::unique_ptr<TensorCores> make_tensor_cores(void* workspace) { return std::make_unique<CublasLt>(workspace); }

}  // namespace pyracast::cuda
