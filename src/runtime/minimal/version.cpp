#include "runtime/version.hpp"

namespace pyracast {

Json version_json() {
  const char* const absent = "not built in";
  return {{"pyracast", PYRACAST_VERSION}, {"revision", PYRACAST_REVISION}, {"compiler", __VERSION__}, {"mpi", absent}, {"hdf5", absent},
          {"libavcodec", absent}, {"matrix_products", "own kernels (portable, AVX2, AVX-512)"}, {"cuda", PYRACAST_CUDA_VERSION},
          {"cudnn", PYRACAST_CUDNN_VERSION}};
}

}  // namespace pyracast
