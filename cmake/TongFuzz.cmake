# Fuzz targets. With TONG_FUZZ (a clang with libFuzzer, preset fuzz) they search; in every other build
# with tests they are linked with tests/fuzz/plain_main.c and run what was found before.

option(TONG_FUZZ "build the fuzz targets with libFuzzer" OFF)

# What the compiler adds to the library, and to the targets, so that libFuzzer sees its way.
if(TONG_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# The runs of each target in ./scripts/check: 5 to 10 s each, of which the corpus is a part. Without a
# sanitizer and without libFuzzer's eyes more than the corpus is worth little.
set(TONG_FUZZ_RUNS_hostile_sender 2500)
set(TONG_FUZZ_RUNS_hostile_receiver 3000)
set(TONG_FUZZ_RUNS_hostile_race 100)
set(TONG_FUZZ_RUNS_hostile_region 5000)
set(TONG_FUZZ_RUNS_files 2000)
set(TONG_FUZZ_RUNS_cli 3000)
set(TONG_FUZZ_RUNS_PLAIN 300)

# tong_add_fuzz(name [LIBS lib...] [SOURCES file...])
function(tong_add_fuzz name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBS;SOURCES")
    set(folder "${PROJECT_SOURCE_DIR}/tests/fuzz")
    set(target fuzz_${name})
    add_executable(${target} "${folder}/${name}.c" ${arg_SOURCES})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
    target_link_libraries(${target} PRIVATE fuzz_shared ${arg_LIBS})
    # See tests/fuzz/world.c.
    target_link_options(${target} PRIVATE
        "LINKER:--wrap=mmap" "LINKER:--wrap=munmap" "LINKER:--wrap=tg_point_pass")
    if(TONG_FUZZ)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    endif()
    if(NOT TARGET tests_fuzz)
        add_custom_target(tests_fuzz)
    endif()
    add_dependencies(tests_fuzz ${target})
    set(runs "${TONG_FUZZ_RUNS_${name}}")
    if(NOT TONG_FUZZ AND runs GREATER TONG_FUZZ_RUNS_PLAIN)
        set(runs "${TONG_FUZZ_RUNS_PLAIN}")
    endif()
    tong_register(fuzz.${name} LABELS fuzz TIMEOUT 120 COMMAND
        bash "${folder}/run" --program "$<TARGET_FILE:${target}>" --runs "${runs}" ${name})
endfunction()

function(tong_add_fuzz_tests)
    set(shared input.c world.c forge.c scene.c)
    if(NOT TONG_FUZZ)
        list(APPEND shared plain_main.c)
    endif()
    list(TRANSFORM shared PREPEND "${PROJECT_SOURCE_DIR}/tests/fuzz/")
    add_library(fuzz_shared STATIC ${shared})
    target_compile_definitions(fuzz_shared PRIVATE _GNU_SOURCE=)
    target_include_directories(fuzz_shared PUBLIC "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(fuzz_shared PUBLIC tong_flags tong_points)
    foreach(name hostile_sender hostile_receiver hostile_race hostile_region files)
        tong_add_fuzz(${name})
    endforeach()
    if(TARGET tong_tool)
        set(tool ${TONG_TOOL_SOURCES})
        list(FILTER tool EXCLUDE REGEX "/(main|signals)\\.c$")
        get_target_property(definitions tong_tool COMPILE_DEFINITIONS)
        add_library(fuzz_tool_main OBJECT "${PROJECT_SOURCE_DIR}/tools/tong/main.c")
        target_compile_definitions(fuzz_tool_main PRIVATE ${definitions} main=tool_main)
        target_compile_options(fuzz_tool_main PRIVATE
            -include "${PROJECT_SOURCE_DIR}/tests/fuzz/cli.h")
        target_include_directories(fuzz_tool_main PRIVATE "${PROJECT_SOURCE_DIR}/include")
        target_link_libraries(fuzz_tool_main PRIVATE tong_flags)
        tong_add_fuzz(cli SOURCES ${tool} $<TARGET_OBJECTS:fuzz_tool_main>)
        target_compile_definitions(fuzz_cli PRIVATE ${definitions})
        target_link_options(fuzz_cli PRIVATE
            "LINKER:--wrap=posix_spawnp" "LINKER:--wrap=waitpid")
        target_include_directories(fuzz_cli PRIVATE "${PROJECT_SOURCE_DIR}/tools/tong")
        # The sources of the tool stand in the database once: clang-tidy takes a second look for va_list
        # not initialised.
        set_target_properties(fuzz_cli fuzz_tool_main PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
        foreach(used JANSSON NCURSES)
            if(TARGET PkgConfig::${used})
                target_link_libraries(fuzz_cli PRIVATE PkgConfig::${used})
            endif()
        endforeach()
    endif()
endfunction()
