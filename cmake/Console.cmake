# gantry_console(TARGET): builds console/ (React, TypeScript) with its pinned packages, compresses what comes out and makes it part of
# TARGET. ./dev installs Node and the packages (console/node_modules); without them, or with GANTRY_CONSOLE=OFF, `/` says that the
# console is not built in.
option(GANTRY_CONSOLE "build the web console into the binary" ON)
set(GANTRY_NODE_DIR "$ENV{HOME}/.cache/gantry/node/bin" CACHE PATH "where ./dev has put node")

function(gantry_console target)
  set(source ${CMAKE_SOURCE_DIR}/console)
  set(out ${CMAKE_BINARY_DIR}/console)
  find_program(GANTRY_NODE node HINTS ${GANTRY_NODE_DIR} NO_CACHE)
  file(GLOB installed CONFIGURE_DEPENDS ${source}/node_modules/installed)   # looked for anew at each build
  if(NOT GANTRY_CONSOLE OR NOT installed OR NOT GANTRY_NODE)
    if(GANTRY_CONSOLE)
      message(WARNING "the console is not built in: ./dev setup installs Node and console/node_modules")
    endif()
    file(WRITE ${out}/none.cc.new "#include \"control/api/console.h\"\nnamespace gantry::control {\nstd::span<const ConsoleFile> console_files() { return {}; }\n}\n")
    file(COPY_FILE ${out}/none.cc.new ${out}/none.cc ONLY_IF_DIFFERENT)
    target_sources(${target} PRIVATE ${out}/none.cc)
    return()
  endif()
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${source}/src/* ${source}/tools/*)
  list(FILTER files EXCLUDE REGEX "/api/schema\\.ts$")   # made by the build
  add_custom_command(
    OUTPUT ${out}/files.cc ${out}/files.bin
    COMMAND ${CMAKE_COMMAND} -E env GANTRY_CONSOLE_OUT=${out} ${GANTRY_NODE} ${source}/tools/build.mjs
    DEPENDS ${files} ${source}/index.html ${source}/vite.config.ts ${source}/tsconfig.json ${source}/package-lock.json
            ${CMAKE_SOURCE_DIR}/src/control/api/openapi.json
    WORKING_DIRECTORY ${source} COMMENT "Building the console" VERBATIM)
  target_sources(${target} PRIVATE ${out}/files.cc)
  set_source_files_properties(${out}/files.cc PROPERTIES OBJECT_DEPENDS ${out}/files.bin)
endfunction()
