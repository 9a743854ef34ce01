#include <gtest/gtest.h>

TEST(CudnnAttention, IsCompiledForAnH200) { GTEST_SKIP() << "built without cuDNN 9.13.1 or newer"; }
