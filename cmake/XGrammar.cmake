# XGrammar: compiles JSON schemas to automata over a vocabulary (docs/adr/0006-xgrammar.md). Its own CMake wants tvm_ffi, for Python
# only, so the library is declared here, over its unmodified source (third_party/sources.txt) but for one function: the name under
# which MergeEquivalentStates is defined in fsm.cc is another, and ours stands in for it (third_party/xgrammar says why).
set(GANTRY_XGRAMMAR_DIR "" CACHE PATH "XGrammar source tree; ./dev setup fetches it")
if(NOT GANTRY_XGRAMMAR_DIR)
  if(DEFINED ENV{GANTRY_SOURCE_CACHE})
    set(source_cache $ENV{GANTRY_SOURCE_CACHE})
  else()
    set(source_cache $ENV{HOME}/.cache/gantry/src)
  endif()
  set(GANTRY_XGRAMMAR_DIR ${source_cache}/xgrammar-0.2.8)
endif()
if(NOT EXISTS ${GANTRY_XGRAMMAR_DIR}/cpp/grammar_compiler.cc)
  message(FATAL_ERROR "no XGrammar source at ${GANTRY_XGRAMMAR_DIR}: run ./dev setup")
endif()

file(GLOB_RECURSE xgrammar_sources ${GANTRY_XGRAMMAR_DIR}/cpp/*.cc)
list(FILTER xgrammar_sources EXCLUDE REGEX "/cpp/tvm_ffi/")
set(xgrammar_ours ${CMAKE_CURRENT_SOURCE_DIR}/third_party/xgrammar)
add_library(xgrammar STATIC EXCLUDE_FROM_ALL ${xgrammar_sources} ${xgrammar_ours}/merge_equivalent_states.cc
  ${xgrammar_ours}/string_rules.cc)
set_source_files_properties(${GANTRY_XGRAMMAR_DIR}/cpp/fsm.cc
  PROPERTIES COMPILE_DEFINITIONS MergeEquivalentStates=MergeEquivalentStatesOfXGrammar)
# picojson and dlpack are seen by its source, and dlpack by its public headers too.
target_include_directories(xgrammar SYSTEM PUBLIC ${xgrammar_ours} ${GANTRY_XGRAMMAR_DIR}/include ${GANTRY_XGRAMMAR_DIR}/3rdparty/dlpack/include)
target_include_directories(xgrammar SYSTEM PRIVATE ${GANTRY_XGRAMMAR_DIR}/cpp ${GANTRY_XGRAMMAR_DIR}/3rdparty/picojson)
target_compile_definitions(xgrammar PRIVATE XGRAMMAR_ENABLE_CPPTRACE=0 XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
target_compile_features(xgrammar PRIVATE cxx_std_17)
target_compile_options(xgrammar PRIVATE -w -ffunction-sections -fdata-sections)
target_link_libraries(xgrammar PUBLIC Threads::Threads)
