# Tests. tong_add_test() builds one program and registers it; tong_add_all_tests() finds them.
#
# Every test runs through tests/kit/isolate: a mailbox folder of its own, removed afterwards, and a
# failure if the test left something behind. Exit 77 is a skip.

set(TONG_ISOLATE "${PROJECT_SOURCE_DIR}/tests/kit/isolate")

# tong_register(name LABELS label... [TIMEOUT seconds] COMMAND word...)
function(tong_register name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LABELS;COMMAND")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 60)
    endif()
    if(TONG_SANITIZE OR CMAKE_C_FLAGS_DEBUG MATCHES "-fcoverage-mapping")
        # A test that forks at every step is slow with a shadow memory to copy, or counters.
        math(EXPR arg_TIMEOUT "4 * ${arg_TIMEOUT}")
    endif()
    add_test(NAME ${name} COMMAND "${TONG_ISOLATE}" ${arg_COMMAND})
    set_tests_properties(${name} PROPERTIES
        LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
    if(TARGET tong_tool)
        set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "TONG=$<TARGET_FILE:tong_tool>")
    endif()
    # These want every processor for themselves.
    if("stress" IN_LIST arg_LABELS OR "model" IN_LIST arg_LABELS)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

# tong_add_test(name SOURCES file... LABELS label... [POINTS | SHIPPED] [TIMEOUT seconds]
#               [LIBS lib...])
#
# A cmocka program. With POINTS it is linked with the library that has crash points and may use
# internal headers; with SHIPPED it may, too, but the library is the optimised one without points.
# Without either it sees what a user sees, and tests/kit/.
function(tong_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "POINTS;SHIPPED" "TIMEOUT" "SOURCES;LABELS;LIBS")
    string(REPLACE "." "_" target "test_${name}")
    add_executable(${target} ${arg_SOURCES})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/kit")
    target_link_libraries(${target} PRIVATE tong_flags ${arg_LIBS})
    if(TARGET tong_kit)
        target_link_libraries(${target} PRIVATE tong_kit)
    endif()
    if(arg_POINTS)
        target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
        target_link_libraries(${target} PRIVATE tong_points)
    elseif(arg_SHIPPED)
        target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
        target_link_libraries(${target} PRIVATE tong_shipped)
    else()
        target_link_libraries(${target} PRIVATE tong_static)
    endif()
    target_link_libraries(${target} PRIVATE PkgConfig::CMOCKA)

    tong_register(${name} LABELS ${arg_LABELS} TIMEOUT ${arg_TIMEOUT}
        COMMAND $<TARGET_FILE:${target}>)

    # tests_unit, tests_link, ...: build only the programs of one label, or of one layer.
    string(REGEX MATCH "^[a-z_]+" group "${name}")
    foreach(part IN LISTS arg_LABELS ITEMS ${group})
        if(NOT TARGET tests_${part})
            add_custom_target(tests_${part})
        endif()
        add_dependencies(tests_${part} ${target})
    endforeach()
endfunction()

# Tests beside the sources: src/link/take_test.c is link.take.
function(tong_add_unit_tests)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*_test.c")
    foreach(source IN LISTS sources)
        file(RELATIVE_PATH name "${PROJECT_SOURCE_DIR}/src" "${source}")
        string(REGEX REPLACE "_test\\.c$" "" name "${name}")
        string(REPLACE "/" "." name "${name}")
        tong_add_test(${name} POINTS SOURCES "${source}" LABELS unit TIMEOUT 120)
    endforeach()
endfunction()

# Tests in a folder of tests/: tests/conformance/order_test.c is conformance.order.
function(tong_add_folder_tests folder label timeout)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${folder}/*_test.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "_test$" "" name "${name}")
        tong_add_test(${folder}.${name} SOURCES "${source}" LABELS ${label} TIMEOUT ${timeout}
            ${ARGN})
    endforeach()
endfunction()

# The conformance suite over the other carriers that are built: conformance_mq.order is conformance.order
# with its mailboxes named mq:NAME. Left out: what shared memory alone has, the regions.
function(tong_add_carrier_tests)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/conformance/*_test.c")
    list(FILTER sources EXCLUDE REGEX "/region_test\\.c$")
    set(unix_can attributes by_key call call_end capacity claim dead_letter descriptor direct drop_oldest end everyone everyone_look expiry fd look many message open parties priority
        place process random rendezvous select set_aside thread wait watch) # what that carrier can by now
    set(nats_can attributes call call_end capacity claim dead_letter direct end everyone everyone_leave expiry fd fd_send give give_race look many message open place process random rendezvous
        set_aside thread wait watch)
    foreach(carrier IN ITEMS unix mq nats)
        if(NOT EXISTS "${PROJECT_SOURCE_DIR}/src/carrier/${carrier}.c")
            continue()
        endif()
        foreach(source IN LISTS sources)
            cmake_path(GET source STEM name)
            string(REGEX REPLACE "_test$" "" name "${name}")
            if((carrier STREQUAL "unix" AND NOT name IN_LIST unix_can) OR
               (carrier STREQUAL "nats" AND NOT (TARGET tong_nats AND name IN_LIST nats_can)))
                continue()
            endif()
            set(test "conformance_${carrier}.${name}")
            tong_register(${test} LABELS conformance TIMEOUT 120
                COMMAND $<TARGET_FILE:test_conformance_${name}>)
            set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "TONG_CARRIER=${carrier}:")
            if(carrier STREQUAL "mq")
                set_property(TEST ${test} APPEND PROPERTY RESOURCE_LOCK mqueue) # one limit for a user
            elseif(carrier STREQUAL "nats")
                add_dependencies(test_conformance_${name} tong_nats) # loaded, not linked
                # A sanitizer's own dlopen does not look where the program's RUNPATH says.
                set_property(TEST ${test} APPEND PROPERTY
                    ENVIRONMENT "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:tong_nats>")
            endif()
        endforeach()
    endforeach()
endfunction()

# tests/nats/lost_test.c is nats.lost: over a real server, and over links that lose something.
function(tong_add_nats_tests)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/nats/*_test.c")
    if(NOT TARGET tong_nats)
        return()
    endif()
    tong_add_folder_tests(nats process 120)
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "_test$" "" name "${name}")
        add_dependencies(test_nats_${name} tong_nats) # loaded, not linked
        set_property(TEST nats.${name} APPEND PROPERTY
            ENVIRONMENT "TONG_CARRIER=nats:" "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:tong_nats>")
    endforeach()
endfunction()

# What has to wake by itself is run once more with the back-stop of all sleeps switched off.
function(tong_add_no_backstop_tests)
    foreach(name IN LISTS ARGN)
        tong_add_test(no_backstop.${name} POINTS LABELS conformance TIMEOUT 120
            SOURCES "${PROJECT_SOURCE_DIR}/tests/conformance/${name}_test.c")
        set_property(TEST no_backstop.${name} APPEND PROPERTY ENVIRONMENT "TONG_TEST_NO_BACKSTOP=1")
    endforeach()
endfunction()

# Tests that trace a process instruction by instruction: tests/step/kill_test.c is step.kill. What is
# stepped through is the library as it is shipped, whatever this build is, but for step.points, which is
# about the points.
function(tong_add_step_tests)
    set(folder "${PROJECT_SOURCE_DIR}/tests/step")
    if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" OR TONG_SANITIZE)
        message(STATUS "tests/step is left out: it knows x86-64 only, and no sanitizer")
        return()
    endif()
    tong_objects(tong_shipped_objects 0)
    target_compile_options(tong_shipped_objects PRIVATE -O2)
    add_library(tong_shipped STATIC $<TARGET_OBJECTS:tong_shipped_objects>)
    set_target_properties(tong_shipped PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(tong_shipped INTERFACE "${PROJECT_SOURCE_DIR}/include")
    target_link_options(tong_shipped INTERFACE -Wl,--wrap=tg_backstop_ns)
    # For the headers of the crash tests; what they declare then is not called.
    target_compile_definitions(tong_shipped INTERFACE TONG_POINTS=1)
    set(shared "${folder}/stepper.c" "${folder}/watch.c")
    tong_add_test(step.kill SOURCES "${folder}/kill_test.c" "${folder}/scenes.c" ${shared}
        LABELS crash TIMEOUT 300 SHIPPED)
    tong_add_test(step.points SOURCES "${folder}/points_test.c" "${folder}/scenes.c" ${shared}
        LABELS crash TIMEOUT 300 POINTS)
    tong_add_test(step.pairs SOURCES "${folder}/pairs_test.c" "${folder}/pairs.c" ${shared}
        LABELS crash TIMEOUT 300 SHIPPED)
endfunction()

# The structure of the tree, and whether the script that judges it can refuse.
function(tong_add_layers_tests)
    set(tests "${PROJECT_SOURCE_DIR}/tests")
    tong_register(layers LABELS layers COMMAND "${tests}/layers.sh" "${PROJECT_SOURCE_DIR}")
    tong_register(layers.self_test LABELS layers COMMAND "${tests}/layers_self_test.sh")
endfunction()

# What a user of the built and installed library sees: tests/abi/exports.sh is abi.exports. A
# sanitizer brings symbols and libraries of its own, so they run without one.
function(tong_add_abi_tests)
    if(TONG_SANITIZE OR NOT TARGET tong_tool)
        return()
    endif()
    set(folder "${PROJECT_SOURCE_DIR}/tests/abi")
    foreach(name exports header cpp install documents hello languages probes table validation abigail)
        tong_register(abi.${name} LABELS abi TIMEOUT 300 COMMAND "${folder}/${name}.sh")
        set_property(TEST abi.${name} APPEND PROPERTY ENVIRONMENT
            "ABI_SOURCE=${PROJECT_SOURCE_DIR}" "ABI_BUILD=${PROJECT_BINARY_DIR}"
            "ABI_VERSION=${PROJECT_VERSION}" "ABI_GENERATOR=${CMAKE_GENERATOR}"
            "CC=${CMAKE_C_COMPILER}")
    endforeach()
endfunction()

# The manual: its text against tong.h and the command, and its examples, which have to work.
function(tong_add_man_tests)
    if(TONG_SANITIZE OR NOT TARGET tong_tool)
        return()
    endif()
    foreach(name text examples)
        tong_register(man.${name} LABELS man TIMEOUT 300 COMMAND
            "${PROJECT_SOURCE_DIR}/tests/man/${name}.sh")
        set_property(TEST man.${name} APPEND PROPERTY ENVIRONMENT
            "MAN_SOURCE=${PROJECT_SOURCE_DIR}" "MAN_BUILD=${PROJECT_BINARY_DIR}" "CC=${CMAKE_C_COMPILER}")
    endforeach()
endfunction()

# The Python package on the library of this build.
function(tong_add_python_tests)
    if(TONG_SANITIZE OR NOT TARGET tong)
        return()
    endif()
    tong_register(python.package LABELS python TIMEOUT 300 COMMAND
        "${PROJECT_SOURCE_DIR}/bindings/python/tests/run")
    set_property(TEST python.package APPEND PROPERTY ENVIRONMENT "TONG_LIBRARY=$<TARGET_FILE:tong>")
endfunction()

# docs/security.md against the tests, and what the sources must not hold.
function(tong_add_security_tests)
    foreach(name table source)
        tong_register(security.${name} LABELS abi COMMAND
            "${PROJECT_SOURCE_DIR}/tests/security/${name}.sh" "${PROJECT_SOURCE_DIR}")
    endforeach()
endfunction()

# docs/format.md against the shared structs.
function(tong_add_format_tests)
    tong_register(format.layout LABELS abi COMMAND
        "${PROJECT_SOURCE_DIR}/tests/format/layout.sh" "${PROJECT_SOURCE_DIR}" "${CMAKE_C_COMPILER}")
endfunction()

# The command as a user types it: tests/cli/stream.sh is cli.stream. TONG is its path. A C file there is a
# program that scripts need: TONG_CLI_PROGRAMS is where.
function(tong_add_cli_tests)
    file(GLOB scripts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/cli/*.sh")
    if(NOT TARGET tong_tool)
        return()
    endif()
    foreach(script IN LISTS scripts)
        cmake_path(GET script STEM name)
        tong_register(cli.${name} LABELS cli TIMEOUT 120 COMMAND bash "${script}")
        if(TARGET tong_nats AND name MATCHES "^nats")
            set_property(TEST cli.${name} APPEND PROPERTY ENVIRONMENT
                "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:tong_nats>") # see tong_add_carrier_tests
        endif()
    endforeach()
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/cli/*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        add_executable(cli_${name} "${source}")
        set_target_properties(cli_${name} PROPERTIES OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/cli")
        target_compile_definitions(cli_${name} PRIVATE _GNU_SOURCE=)
        target_link_libraries(cli_${name} PRIVATE tong_flags tong_static)
    endforeach()
endfunction()

# What scripts/cluster-test runs: the programs; and as a test what one server can show.
function(tong_add_cluster_tests)
    set(folder "${PROJECT_SOURCE_DIR}/tests/cluster")
    if(NOT TARGET tong_tool OR NOT TARGET tong_nats)
        return()
    endif()
    foreach(name flow slow_link)
        add_executable(cluster_${name} "${folder}/${name}.c")
        set_target_properties(cluster_${name} PROPERTIES OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/cluster")
        target_compile_definitions(cluster_${name} PRIVATE _GNU_SOURCE=)
        target_link_libraries(cluster_${name} PRIVATE tong_flags tong_static)
    endforeach()
    find_program(TONG_PYTHON python3)
    if(TONG_PYTHON)
        tong_register(cluster.one_server LABELS process TIMEOUT 300 COMMAND ${TONG_PYTHON} "${folder}/run.py"
            --build "${PROJECT_BINARY_DIR}" --alone --only sizes,holder,owner)
        set_property(TEST cluster.one_server APPEND PROPERTY
            ENVIRONMENT "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:tong_nats>") # see tong_add_carrier_tests
    endif()
endfunction()

# The examples: each prints what tests/examples/NAME.expected says. Of one that takes a word,
# tests/examples/NAME.words holds it, to make it short. One that was not built is skipped with the reason.
function(tong_add_example_tests)
    set(folder "${PROJECT_SOURCE_DIR}/tests/examples")
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        set(target examples_${name})
        if(NOT TARGET ${target} AND name MATCHES "^uv_" AND TONG_EXAMPLES)
            tong_register(examples.${name} LABELS example COMMAND
                sh -c "echo 'skipped: libuv (libuv1-dev) was not found'; exit 77")
        endif()
        if(NOT TARGET ${target})
            continue()
        endif()
        set(words)
        if(EXISTS "${folder}/${name}.words")
            file(STRINGS "${folder}/${name}.words" words)
        endif()
        tong_register(examples.${name} LABELS example COMMAND
            "${folder}/run" "${folder}/${name}.expected" $<TARGET_FILE:${target}> ${words})
    endforeach()
    if(TARGET examples_mq_on_tong)
        set_property(TEST examples.mq_program examples.kernel APPEND PROPERTY RESOURCE_LOCK mqueue)
        tong_register(examples.mq_on_tong LABELS example COMMAND
            "${folder}/run" "${folder}/mq_program.expected" $<TARGET_FILE:examples_mq_on_tong>)
    endif()
    if(TARGET tong_tool AND TARGET tong_nats)
        tong_register(examples.two_computers LABELS example COMMAND
            "${folder}/run" "${folder}/two_computers.expected" bash
            "${PROJECT_SOURCE_DIR}/examples/two_computers.sh")
        set_property(TEST examples.two_computers APPEND PROPERTY ENVIRONMENT
            "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:tong_nats>") # see tong_add_carrier_tests
    endif()
    tong_register(examples.documents LABELS example COMMAND
        "${folder}/documents.sh" "${PROJECT_SOURCE_DIR}")
endfunction()

# The protocols, checked by Spin. They do not depend on a build; one is enough.
function(tong_add_model_tests)
    find_program(TONG_SPIN spin)
    if(TONG_SPIN AND EXISTS "${PROJECT_SOURCE_DIR}/models/run" AND NOT TONG_SANITIZE)
        tong_register(models LABELS model TIMEOUT 1200
            COMMAND "${PROJECT_SOURCE_DIR}/models/run" quick)
    endif()
endfunction()

function(tong_add_all_tests)
    tong_add_layers_tests()
    tong_add_abi_tests()
    tong_add_format_tests()
    tong_add_security_tests()
    tong_add_cli_tests()
    tong_add_cluster_tests()
    tong_add_python_tests()
    tong_add_man_tests()
    tong_add_example_tests()
    tong_add_model_tests()
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(CMOCKA QUIET IMPORTED_TARGET cmocka)
    endif()
    if(NOT CMOCKA_FOUND)
        message(WARNING "cmocka was not found: only the tests that are scripts are registered")
        return()
    endif()
    if(NOT TONG_SOURCES)
        return()
    endif()
    if(TONG_KIT_SOURCES)
        add_library(tong_kit STATIC ${TONG_KIT_SOURCES})
        target_compile_definitions(tong_kit PRIVATE _GNU_SOURCE=
            KIT_CARRIERS_TABLE="${PROJECT_SOURCE_DIR}/docs/carriers.md")
        target_include_directories(tong_kit PUBLIC
            "${PROJECT_SOURCE_DIR}/tests/kit" "${PROJECT_SOURCE_DIR}/include")
        target_link_libraries(tong_kit PRIVATE tong_flags PkgConfig::CMOCKA)
    endif()
    tong_add_unit_tests()
    tong_add_folder_tests(conformance conformance 120)
    tong_add_carrier_tests()
    tong_add_nats_tests()
    tong_add_no_backstop_tests(call call_end direct fd_send everyone give give_race watch dead_letter set_aside)
    tong_add_folder_tests(process process 120)
    if(TARGET test_process_dl AND TARGET tong)
        add_dependencies(test_process_dl tong) # it loads the library while it runs
    endif()
    tong_add_folder_tests(stress stress 300)
    tong_add_folder_tests(crash crash 300 POINTS)
    tong_add_step_tests()
    tong_add_folder_tests(security process 120)
    # Allocations fail there, too: those of the program itself, by the linker.
    tong_add_folder_tests(fail unit 300 POINTS LIBS
        -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=free)
    set_property(TEST fail.mq fail.mq_remove mailbox.carried_ended APPEND PROPERTY RESOURCE_LOCK mqueue)
    # A wake-up that failed is found by the back-stop: soon, here.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fail/*_test.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "_test$" "" name "${name}")
        set_property(TEST fail.${name} APPEND PROPERTY ENVIRONMENT "TONG_TEST_BACKSTOP_MS=20")
    endforeach()
endfunction()
