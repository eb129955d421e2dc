# What is built and installed: the library in three forms, the command, benches and examples.

# tong_glob(out folder...): the C files of the folders, without tests.
function(tong_glob out)
    set(all)
    foreach(folder IN LISTS ARGN)
        file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c")
        list(APPEND all ${found})
    endforeach()
    list(FILTER all EXCLUDE REGEX "_test\\.c$")
    set(${out} "${all}" PARENT_SCOPE)
endfunction()

# Warnings, sanitizers and feature macros, the same for every target of this project.
add_library(tong_flags INTERFACE)
target_compile_options(tong_flags INTERFACE
    -Wall -Wextra -Wundef -Wconversion -Wshadow -Wvla -Wformat=2 -pthread
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)
target_link_options(tong_flags INTERFACE -pthread)
if(TONG_SANITIZE)
    target_compile_options(tong_flags INTERFACE
        -fsanitize=${TONG_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(tong_flags INTERFACE -fsanitize=${TONG_SANITIZE})
endif()

# See src/base/probe.h.
set(TONG_PROBES_BUILT 0)
if(TONG_PROBES)
    check_include_file(sys/sdt.h TONG_HAVE_SDT)
    if(TONG_HAVE_SDT)
        set(TONG_PROBES_BUILT 1)
    else()
        message(STATUS "sys/sdt.h was not found: the library is built without probes for tracing")
    endif()
endif()

# tong_objects(target points): the sources of src/, compiled with or without crash points.
function(tong_objects target points)
    add_library(${target} OBJECT ${TONG_SOURCES})
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    # Empty value: a source that says `#define _GNU_SOURCE` itself says the same thing.
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE= TONG_POINTS=${points}
        TONG_PROBES=${TONG_PROBES_BUILT})
    target_include_directories(${target} PRIVATE
        "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(${target} PRIVATE tong_flags)
endfunction()

# tong, tong_static: the same objects as libtong.so and libtong.a. tong_points: libtong.a with crash
# points, for tests; never installed.
function(tong_add_library)
    tong_objects(tong_objects 0)
    set(public "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
               "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

    set(map "${PROJECT_SOURCE_DIR}/packaging/libtong.map")
    add_library(tong SHARED $<TARGET_OBJECTS:tong_objects>)
    set_target_properties(tong PROPERTIES
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C
        LINK_DEPENDS "${map}")
    target_include_directories(tong INTERFACE ${public})
    # A thread that ends, a fork and the kernel's robust list lead into its code: it is never unloaded.
    target_link_options(tong PRIVATE "LINKER:--version-script=${map}" "LINKER:-z,nodelete")
    if(NOT TONG_SANITIZE)
        target_link_options(tong PRIVATE "LINKER:--no-undefined")
    endif()
    target_link_libraries(tong PRIVATE $<BUILD_INTERFACE:tong_flags>)

    add_library(tong_static STATIC $<TARGET_OBJECTS:tong_objects>)
    set_target_properties(tong_static PROPERTIES OUTPUT_NAME tong LINKER_LANGUAGE C)
    target_include_directories(tong_static INTERFACE ${public})
    target_link_options(tong_static INTERFACE -pthread)

    add_library(tong::tong ALIAS tong)
    add_library(tong::tong_static ALIAS tong_static)

    if(TONG_TESTS)
        tong_objects(tong_points_objects 1)
        add_library(tong_points STATIC $<TARGET_OBJECTS:tong_points_objects>)
        set_target_properties(tong_points PROPERTIES LINKER_LANGUAGE C)
        target_include_directories(tong_points INTERFACE "${PROJECT_SOURCE_DIR}/include")
        target_compile_definitions(tong_points INTERFACE TONG_POINTS=1)
        target_link_options(tong_points INTERFACE -pthread)
    endif()
endfunction()

# libtong-nats: the carrier between computers, loaded by libtong when a name asks for it. With OpenSSL
# it speaks TLS; without it, to servers that do not ask for it.
function(tong_add_nats)
    find_package(OpenSSL 3 QUIET)
    set(base arguments gate clock sys event name key)
    list(TRANSFORM base PREPEND "${PROJECT_SOURCE_DIR}/src/base/")
    list(TRANSFORM base APPEND ".c")
    foreach(source IN LISTS base)
        if(NOT EXISTS "${source}")
            list(REMOVE_ITEM base "${source}")
        endif()
    endforeach()
    add_library(tong_nats SHARED ${TONG_NATS_SOURCES} ${base})
    set_target_properties(tong_nats PROPERTIES OUTPUT_NAME tong-nats
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
    target_compile_definitions(tong_nats PRIVATE _GNU_SOURCE= TONG_POINTS=0
        TONG_NATS_TLS=$<BOOL:${OpenSSL_FOUND}>)
    target_include_directories(tong_nats PRIVATE
        "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
    # Threads and forks lead into its code: it is never unloaded.
    target_link_options(tong_nats PRIVATE "LINKER:-z,nodelete")
    target_link_libraries(tong_nats PRIVATE tong_flags)
    if(OpenSSL_FOUND)
        target_link_libraries(tong_nats PRIVATE OpenSSL::SSL OpenSSL::Crypto)
    else()
        message(STATUS "OpenSSL was not found: libtong-nats is built without TLS")
    endif()
    install(TARGETS tong_nats LIBRARY NAMELINK_SKIP)
endfunction()

# The command, complete in one file of its own. Without jansson it has no --json, without ncurses tong top does not
# draw.
function(tong_add_tool)
    add_executable(tong_tool ${TONG_TOOL_SOURCES})
    set_target_properties(tong_tool PROPERTIES OUTPUT_NAME tong)
    target_compile_definitions(tong_tool PRIVATE _GNU_SOURCE=)
    target_link_libraries(tong_tool PRIVATE tong_flags tong_static)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson)
    endif()
    if(JANSSON_FOUND)
        target_compile_definitions(tong_tool PRIVATE TONG_HAVE_JANSSON=1)
        target_link_libraries(tong_tool PRIVATE PkgConfig::JANSSON)
    else()
        target_compile_definitions(tong_tool PRIVATE TONG_HAVE_JANSSON=0)
        message(STATUS "jansson was not found: the command is built without --json")
    endif()
    if(PkgConfig_FOUND)
        pkg_check_modules(NCURSES QUIET IMPORTED_TARGET ncurses)
    endif()
    if(NCURSES_FOUND)
        target_compile_definitions(tong_tool PRIVATE TONG_HAVE_NCURSES=1)
        target_link_libraries(tong_tool PRIVATE PkgConfig::NCURSES)
    else()
        target_compile_definitions(tong_tool PRIVATE TONG_HAVE_NCURSES=0)
        message(STATUS "ncurses was not found: tong top prints, and does not draw")
    endif()
endfunction()

# tong_add_programs(folder): one program, bin/FOLDER/NAME, for each C file of the folder that has a
# main; the other files are linked into all of them. Examples are compiled as a user would: in the
# compiler's own dialect and without feature macros; those whose names begin with uv_ need libuv.
function(tong_add_programs folder)
    tong_glob(sources ${folder})
    set(uv "${sources}")
    list(FILTER uv INCLUDE REGEX "/uv_[a-z_]+\\.c$")
    if(uv)
        find_package(PkgConfig QUIET)
        if(PkgConfig_FOUND)
            pkg_check_modules(LIBUV QUIET IMPORTED_TARGET libuv)
        endif()
        if(NOT LIBUV_FOUND)
            list(REMOVE_ITEM sources ${uv})
            message(STATUS "libuv was not found: the examples with it are not built")
        endif()
    endif()
    list(FILTER sources EXCLUDE REGEX "bench/nats\\.c$") # it needs a library: tong_add_nats_bench
    set(programs)
    set(shared)
    foreach(source IN LISTS sources)
        file(STRINGS "${source}" main REGEX "^int main\\(")
        if(main)
            list(APPEND programs "${source}")
        else()
            list(APPEND shared "${source}")
        endif()
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})

    foreach(source IN LISTS programs)
        cmake_path(GET source STEM name)
        set(target ${folder}_${name})
        add_executable(${target} "${source}" ${shared})
        set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin/${folder}")
        if(folder STREQUAL "examples")
            set_target_properties(${target} PROPERTIES C_EXTENSIONS ON)
        else()
            target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
        endif()
        target_link_libraries(${target} PRIVATE tong_flags tong_static)
        if(source IN_LIST uv)
            target_link_libraries(${target} PRIVATE PkgConfig::LIBUV)
        endif()
    endforeach()
endfunction()

# bin/examples/mq_on_tong: mq_program.c as it stands, its queues on tong.
function(tong_add_drop_in)
    set(folder "${PROJECT_SOURCE_DIR}/examples")
    add_executable(examples_mq_on_tong "${folder}/mq_program.c")
    set_target_properties(examples_mq_on_tong PROPERTIES OUTPUT_NAME mq_on_tong C_EXTENSIONS ON
        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin/examples")
    set_source_files_properties("${folder}/mq_program.c" PROPERTIES OBJECT_DEPENDS "${folder}/mqueue_tong.h")
    target_compile_options(examples_mq_on_tong PRIVATE "SHELL:-include ${folder}/mqueue_tong.h")
    target_link_libraries(examples_mq_on_tong PRIVATE tong_flags tong_static)
endfunction()

# bin/examples/NAME for each C++ file of examples/, where there is a C++ compiler.
function(tong_add_cxx_examples)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        set(target examples_${name}_cpp)
        add_executable(${target} "${source}")
        set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
            CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
            RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin/examples")
        target_link_libraries(${target} PRIVATE tong_flags tong)
    endforeach()
endfunction()

# The pages of man/. A page of section 3 is found by each of its functions, tong(1) by tong-VERB, too: those
# names are files that lead to it.
function(tong_install_manual)
    foreach(section 1 3 5 7)
        file(GLOB pages CONFIGURE_DEPENDS "man/*.${section}")
        foreach(page IN LISTS pages)
            cmake_path(GET page STEM title)
            set(names)
            if(section EQUAL 3)
                file(STRINGS "${page}" names REGEX "^\\.Nm tong_")
                list(TRANSFORM names REPLACE "^\\.Nm ([a-z_0-9]+).*" "\\1")
            elseif(title STREQUAL "tong")
                file(STRINGS "${page}" lines REGEX "^\\.Ss tong ")
                string(REGEX MATCHALL "tong [a-z]+" names "${lines}")
                list(TRANSFORM names REPLACE " " "-")
            endif()
            list(REMOVE_ITEM names "${title}")
            foreach(name IN LISTS names)
                set(link "${PROJECT_BINARY_DIR}/man/${name}.${section}")
                file(CONFIGURE OUTPUT "${link}" CONTENT ".so man${section}/${title}.${section}\n")
                list(APPEND pages "${link}")
            endforeach()
        endforeach()
        if(pages)
            install(FILES ${pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
        endif()
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
    endforeach()
endfunction()

function(tong_install)
    include(CMakePackageConfigHelpers)
    set(TONG_ZSH_FOLDER "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" CACHE STRING
        "where the completion for zsh goes; Debian has its own place")
    set(package "${CMAKE_INSTALL_LIBDIR}/cmake/tong")

    install(TARGETS tong tong_static EXPORT tongTargets)
    install(DIRECTORY include/tong TYPE INCLUDE FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
    if(TARGET tong_tool)
        install(TARGETS tong_tool)
        set(completion "${PROJECT_SOURCE_DIR}/packaging/completion")
        install(FILES "${completion}/tong.bash" RENAME tong
                DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
        install(FILES "${completion}/_tong" DESTINATION "${TONG_ZSH_FOLDER}")
        install(FILES "${completion}/tong.fish"
                DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
    endif()

    install(EXPORT tongTargets NAMESPACE tong:: DESTINATION "${package}")
    configure_package_config_file(packaging/tongConfig.cmake.in tongConfig.cmake
        INSTALL_DESTINATION "${package}")
    write_basic_package_version_file(tongConfigVersion.cmake COMPATIBILITY SameMinorVersion)
    install(FILES "${PROJECT_BINARY_DIR}/tongConfig.cmake"
                  "${PROJECT_BINARY_DIR}/tongConfigVersion.cmake" DESTINATION "${package}")

    # The prefix in tong.pc is found from where the file lies, so an installed tree can be moved.
    cmake_path(SET pc_folder NORMALIZE "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig")
    file(RELATIVE_PATH TONG_PC_UP "${pc_folder}" "/prefix")
    configure_file(packaging/tong.pc.in tong.pc @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/tong.pc"
            DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

    tong_install_manual()
    foreach(page README.md README.ko.md CONTRIBUTING.md CHANGELOG.md LICENSE)
        if(EXISTS "${PROJECT_SOURCE_DIR}/${page}")
            install(FILES ${page} TYPE DOC)
        endif()
    endforeach()
    if(EXISTS "${PROJECT_SOURCE_DIR}/docs")
        install(DIRECTORY docs TYPE DOC FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
    endif()
endfunction()

# bench/nats.c: mailboxes of nats: beside NATS's own client, where that is installed.
function(tong_add_nats_bench)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(LIBNATS QUIET IMPORTED_TARGET libnats)
    endif()
    if(LIBNATS_FOUND AND TARGET tong_nats)
        add_executable(bench_nats bench/nats.c bench/bench.c bench/process.c)
        set_target_properties(bench_nats PROPERTIES OUTPUT_NAME nats
            RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin/bench")
        target_compile_definitions(bench_nats PRIVATE _GNU_SOURCE=)
        target_link_libraries(bench_nats PRIVATE tong_flags tong_static PkgConfig::LIBNATS)
        add_dependencies(bench_nats tong_nats) # loaded, not linked
    endif()
endfunction()
