# llama.cpp with ggml: upstream's own tree inside a pinned source package (third_party/sources.txt), linked unmodified.
include(SourcePackage)
gantry_source_package(GANTRY_LLAMA_DIR llama_cpp_python-0.3.36/vendor/llama.cpp CMakeLists.txt)

set(BUILD_SHARED_LIBS OFF)
set(LLAMA_BUILD_COMMON ON)
# Its own server is a target that only the tests and benchmarks ask for: a real foreign engine of the same source.
set(LLAMA_BUILD_TOOLS ON CACHE BOOL "" FORCE)
set(LLAMA_BUILD_SERVER ON CACHE BOOL "" FORCE)
foreach(off LLAMA_BUILD_TESTS LLAMA_BUILD_EXAMPLES LLAMA_BUILD_APP LLAMA_BUILD_UI
        LLAMA_USE_PREBUILT_UI LLAMA_OPENSSL LLAMA_SUBPROCESS LLAMA_LLGUIDANCE LLAMA_BUILD_MTMD MTMD_VIDEO GGML_RPC_RDMA GGML_CCACHE
        GGML_BACKEND_DL GGML_OPENMP)
  set(${off} OFF CACHE BOOL "" FORCE)
endforeach()
# ggml's RPC is for that server and for ggml-rpc-server, a target beside it: one model on several machines (docs/multi-worker.md).
# The embedded engine has it linked and never adds a server.
set(GGML_RPC ON CACHE BOOL "" FORCE)
set(GGML_NATIVE ${GANTRY_NATIVE} CACHE BOOL "" FORCE)
if(NOT GANTRY_NATIVE)
  foreach(on GGML_SSE42 GGML_AVX GGML_AVX2 GGML_FMA GGML_F16C GGML_BMI2)
    set(${on} ON CACHE BOOL "" FORCE)
  endforeach()
endif()
# A GPU or NPU build: -DGGML_CUDA=ON, -DGGML_CANN=ON and so on at configure time; nothing above ModelRunner knows.
add_subdirectory(${GANTRY_LLAMA_DIR} ${CMAKE_BINARY_DIR}/llama.cpp EXCLUDE_FROM_ALL SYSTEM)
# g++ 12's _tile_loadconfig tells the optimiser that ldtilecfg reads 8 of its 64 bytes, so it drops the stores to the rest and the
# first tile load is an illegal instruction: every product crashes on a CPU with AMX. Keeping dead stores in that file avoids it.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set_source_files_properties(${GANTRY_LLAMA_DIR}/ggml/src/ggml-cpu/amx/mmq.cpp TARGET_DIRECTORY ggml-cpu
    PROPERTIES COMPILE_OPTIONS "-fno-tree-dse;-fno-dse")
endif()
