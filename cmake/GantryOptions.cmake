# Compile options of our own code. Third-party code gets none of these, except ThreadSanitizer, which must see every thread.
set(GANTRY_SANITIZE "" CACHE STRING "address,undefined or thread, or empty")
option(GANTRY_FUZZ "build libFuzzer targets (clang)" OFF)
option(GANTRY_NATIVE "use all that this machine's CPU has" ON)

add_library(gantry_options INTERFACE)
target_compile_options(gantry_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  -fno-omit-frame-pointer -ffunction-sections -fdata-sections)
# Asserts stay on in release: a bug stops the process.
target_compile_definitions(gantry_options INTERFACE _GLIBCXX_ASSERTIONS BOOST_ASIO_NO_DEPRECATED)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false positives of these inside coroutine frames and boost::variant2.
  target_compile_options(gantry_options INTERFACE -Wno-maybe-uninitialized -Wno-mismatched-new-delete -Wno-dangling-pointer)
  target_compile_options(gantry_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fcoroutines>)
  if(GANTRY_SANITIZE MATCHES thread)   # more of them, and a word that atomic_thread_fence is not followed (Boost.Asio has one)
    target_compile_options(gantry_options INTERFACE -Wno-restrict -Wno-tsan)
  endif()
endif()
if(GANTRY_NATIVE)
  target_compile_options(gantry_options INTERFACE -march=native)
else()
  target_compile_options(gantry_options INTERFACE -march=x86-64-v3)
endif()

if(GANTRY_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -g1)
  add_link_options(-fsanitize=thread)
elseif(GANTRY_SANITIZE)
  target_compile_options(gantry_options INTERFACE
    -fsanitize=${GANTRY_SANITIZE} -fno-sanitize-recover=all -g1 -O1)
  # The check of a virtual table's address opens a pipe, and reports what is sound where no descriptor is left to be had.
  target_compile_options(gantry_options INTERFACE -fno-sanitize=vptr)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # clang 14 can't compile coroutines with it.
    target_compile_options(gantry_options INTERFACE -fno-sanitize=function)
  endif()
  target_link_options(gantry_options INTERFACE -fsanitize=${GANTRY_SANITIZE})
else()
  target_compile_options(gantry_options INTERFACE -O2 -g1)
endif()
if(GANTRY_FUZZ)
  target_compile_options(gantry_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # What only errors run (GANTRY_COLD) stays in one place, as other linkers leave it.
  add_link_options(-fuse-ld=mold -Wl,-z,keep-text-section-prefix)
endif()
add_link_options(-Wl,--gc-sections)
