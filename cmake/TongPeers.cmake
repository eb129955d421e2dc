# bench/kills: one harness, and a module for each messaging system that is installed here.

# tong_add_kills_peer(name SOURCE file [LIBS lib...]): bin/bench/kills-NAME.so
function(tong_add_kills_peer name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE" "LIBS")
    string(MAKE_C_IDENTIFIER "kills_${name}" target)
    add_library(${target} MODULE "bench/kills/${arg_SOURCE}")
    set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME "kills-${name}" SUFFIX ".so"
        LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin/bench")
    target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>)
    target_link_libraries(${target} PRIVATE ${arg_LIBS})
    message(STATUS "bench/kills: ${name}")
endfunction()

function(tong_add_kills)
    tong_glob(sources bench/kills)
    list(FILTER sources EXCLUDE REGEX "/peer_")
    add_executable(kills ${sources})
    set_target_properties(kills PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin/bench")
    target_compile_definitions(kills PRIVATE _GNU_SOURCE=)
    target_link_libraries(kills PRIVATE tong_flags ${CMAKE_DL_LIBS})

    tong_add_kills_peer(tong SOURCE peer_tong.c LIBS tong_flags tong_static)
    tong_add_kills_peer(posix-mq SOURCE peer_mq.c LIBS tong_flags rt)

    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(ZMQ QUIET IMPORTED_TARGET libzmq)
    endif()
    if(ZMQ_FOUND)
        tong_add_kills_peer(zeromq SOURCE peer_zmq.c LIBS tong_flags PkgConfig::ZMQ)
    endif()

    find_path(NNG_INCLUDE nng/nng.h)
    find_library(NNG_LIBRARY nng)
    if(NNG_INCLUDE AND NNG_LIBRARY)
        tong_add_kills_peer(nng SOURCE peer_nng.c LIBS tong_flags "${NNG_LIBRARY}")
    endif()

    # Its own CMake package asks for more than the C binding needs.
    file(GLOB iceoryx_include "/usr/include/iceoryx/v*")
    find_path(ICEORYX_INCLUDE iceoryx_binding_c/runtime.h HINTS ${iceoryx_include})
    find_library(ICEORYX_LIBRARY iceoryx_binding_c)
    if(ICEORYX_INCLUDE AND ICEORYX_LIBRARY)
        tong_add_kills_peer(iceoryx SOURCE peer_iceoryx.c LIBS "${ICEORYX_LIBRARY}")
        target_include_directories(kills_iceoryx SYSTEM PRIVATE "${ICEORYX_INCLUDE}")
        string(REGEX MATCH "[0-9]+(\\.[0-9]+)+$" version "${ICEORYX_INCLUDE}")
        target_compile_definitions(kills_iceoryx PRIVATE "ICEORYX_VERSION=\"${version}\"")
    endif()

    find_path(BOOST_INCLUDE boost/interprocess/ipc/message_queue.hpp)
    if(BOOST_INCLUDE AND CMAKE_CXX_COMPILER)
        tong_add_kills_peer(boost SOURCE peer_boost.cpp LIBS rt)
        target_compile_options(kills_boost PRIVATE -pthread)
    endif()
endfunction()
