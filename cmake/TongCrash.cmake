# The account of the crash tests: each appends what it did to one file, and crash.complete compares
# that with tests/crash/operations and with tong.h. Run alone, it has the others run first.

# Random kills once more, with the back-stop of all sleeps off: that takes the library with points.
function(tong_add_crash_kills)
    tong_add_test(crash.kills POINTS LABELS crash TIMEOUT 600
        SOURCES "${PROJECT_SOURCE_DIR}/tests/process/kills_test.c")
    # And over queues of the kernel: 200 kills of each kind of traffic; and at every second point, with
    # TONG_TEST_EVERY=1 at all, as in shared memory.
    tong_register(crash_mq.kills LABELS crash TIMEOUT 300 COMMAND $<TARGET_FILE:test_crash_kills>)
    set_property(TEST crash_mq.kills APPEND PROPERTY ENVIRONMENT "TONG_TEST_KILLS=200")
    set(names attributes call delivery full give poll receive select send)
    foreach(name IN LISTS names)
        tong_register(crash_mq.${name} LABELS crash TIMEOUT 300
            COMMAND $<TARGET_FILE:test_mailbox_crash_${name}>)
        set_property(TEST crash_mq.${name} APPEND PROPERTY ENVIRONMENT "TONG_TEST_EVERY=2")
    endforeach()
    foreach(name IN ITEMS kills ${names})
        set_property(TEST crash_mq.${name} APPEND PROPERTY ENVIRONMENT "TONG_CARRIER=mq:")
        set_property(TEST crash_mq.${name} APPEND PROPERTY RESOURCE_LOCK mqueue)
    endforeach()
endfunction()

function(tong_add_crash_account)
    set(folder "${PROJECT_SOURCE_DIR}/tests/crash")
    set(report "${PROJECT_BINARY_DIR}/tests/crash-report")
    tong_register(crash.complete_self_test LABELS crash COMMAND "${folder}/complete_self_test.sh")
    add_test(NAME crash.begin COMMAND "${CMAKE_COMMAND}" -E rm -f "${report}")
    set_tests_properties(crash.begin PROPERTIES LABELS crash FIXTURES_SETUP crash_begin)
    set(may_lack --may-lack steps --may-lack pairs --may-lack "two users")
    get_property(tests DIRECTORY PROPERTY TESTS)
    list(FILTER tests INCLUDE REGEX "^(mailbox\\.crash_|(region|link)\\.crash$|crash\\.kills$|step\\.)")
    foreach(test IN LISTS tests)
        set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "TONG_CRASH_REPORT=${report}")
        set_tests_properties(${test} PROPERTIES
            FIXTURES_REQUIRED crash_begin FIXTURES_SETUP crash_account)
    endforeach()
    tong_register(crash.complete LABELS crash COMMAND "${folder}/complete" ${may_lack} "${report}")
    set_tests_properties(crash.complete PROPERTIES FIXTURES_REQUIRED crash_account)
endfunction()
