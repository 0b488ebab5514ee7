# whisper.cpp: speech to text on llama.cpp's ggml (docs/adr/0014-speech-engine.md). Upstream's own tree inside a pinned source package
# (third_party/sources.txt), whose ggml is not used. Its library is one file, declared here: upstream's CMake would make a shared one.
include(SourcePackage)
gantry_source_package(GANTRY_WHISPER_DIR pywhispercpp-1.5.1/whisper.cpp src/whisper.cpp)

add_library(whisper STATIC EXCLUDE_FROM_ALL ${GANTRY_WHISPER_DIR}/src/whisper.cpp)
target_include_directories(whisper SYSTEM PUBLIC ${GANTRY_WHISPER_DIR}/include)
target_compile_definitions(whisper PRIVATE WHISPER_VERSION="1.8.5")
target_compile_features(whisper PRIVATE cxx_std_17)
target_compile_options(whisper PRIVATE -w)
target_link_libraries(whisper PUBLIC ggml Threads::Threads)
